/**
 * One's own devices, on the device with the account key: it links new ones and revokes old ones.
 *
 * A linking lives in memory, with the code that is shown: a code is good for minutes, for one request, and for this run. What a person has
 * confirmed is committed with the list that names the new device, and finds its way from there: publication, the grant in the drop
 * box, then the contacts, through the first session. The other side is join.ts.
 */

import { equal, toHex, wipe } from '../bytes.js';
import { DecodeError, InternalError, isCyphrError, TransportError, TrustError, UsageError } from '../errors.js';
import { keyHash, verifyDeviceList } from '../identity/index.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  type LinkExchange,
  type LinkOffer,
  sealLinkGrant,
  sealLinkRefusal,
} from '../identity/linking.js';
import { limits, linkLimits, wireLimits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { DeviceEntry } from '../wire/objects.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import type { ControlEffect, ControlOf, ControlSender } from './control.js';
import type { Calls } from './engine.js';
import type { Outbox } from './outbox.js';
import type { OwnList } from './own-list.js';
import { abortable, type Endable, endingWith, timer } from './platform.js';
import { isRefusedForGood } from './ports.js';
import { bySchema, type ContactRecord, contactRecord, grantRecord, keys, shareRecord } from './records.js';
import type { Repair } from './repair.js';
import type { Sessions } from './sessions.js';
import type { Talk } from './talk.js';

/** Contacts in one message, at most: each has 6 to 12 KiB of keys and list. */
const CONTACTS_PER_MESSAGE = 8;
/** What a frame has beside its content at most, of a carrier's bytes: a first flight, sealed and padded. */
const FRAME_BYTES = 24 * 1024;
/** Pause before the network is tried again. */
const PAUSE_MS = 5_000;

/** The linking of one client. */
export interface Linking {
  readonly calls: Pick<Calls, 'devices' | 'fingerprint' | 'linkOpen' | 'linkRequest' | 'linkAnswer' | 'revoke'>;
  /** The handler of `contacts`. */
  contacts(from: ControlSender, control: ControlOf<'contacts'>): Promise<ControlEffect>;
  /** Brings on its way what was confirmed, also by an earlier run: called when the engine starts, and when a session with an own device has begun. */
  deliver(): void;
}

/** The code that is shown. */
interface Shown {
  readonly id: string;
  readonly offer: LinkOffer;
  readonly madeAtMs: number;
  /** Aborts once the code is forgotten: what its request waits for is then waited for no longer. */
  readonly ended: AbortController;
  asked?: Promise<LinkExchange> | undefined;
  /** The request that was taken. Challenged once: what has been left in the drop box can't be replaced. */
  taken?: ReturnType<typeof acceptLinkRequest>;
  /** Set once a person has answered, or nothing more can come of it. */
  isOver: boolean;
}

/** The linking of `ctx`. `publish` sends to the directory what waits to be published. */
export function linking(
  ctx: Context,
  own: OwnList,
  contacts: Contacts,
  sessions: Sessions,
  talk: Pick<Talk, 'brought'>,
  outbox: Outbox,
  repair: Pick<Repair, 'losses'>,
  publish: () => Promise<void>,
): Linking {
  const { directory } = ctx;
  let shown: Shown | undefined;

  const forget = (link = shown): void => {
    if (link === undefined || link !== shown) return;
    wipe(link.offer.seed, link.offer.drawn);
    // An answer that is under way still needs them.
    if (!link.isOver && link.taken !== undefined) wipe(link.taken.answerKeys);
    shown = undefined;
    link.ended.abort();
  };
  ctx.life.onEnd(() => forget());

  const pause = (signal?: AbortSignal, ms = PAUSE_MS): Promise<void> => {
    let stop = (): void => {};
    const paused = new Promise<void>((resolve) => {
      stop = timer(resolve, ms);
    });
    return abortable(ctx.life.race(paused), signal).finally(() => stop());
  };

  const dropBox = (): Required<Pick<typeof directory, 'leave' | 'pickUp'>> => {
    const { leave, pickUp } = directory;
    if (leave === undefined || pickUp === undefined) throw noDropBox();
    return { leave, pickUp };
  };

  /** The linking of that name, while its code is good. */
  const current = (id: string): Shown => {
    assertPrimary(ctx);
    if (shown?.id !== id || shown.isOver) throw expired();
    const ageMs = ctx.now() - shown.madeAtMs;
    // A clock that was set back says nothing about the age of a code.
    if (ageMs < 0 || ageMs >= linkLimits.codeMs) throw expired();
    return shown;
  };

  /** One call to the drop box, which ends with the code. */
  const whileShown = <T>(link: Shown, signal: AbortSignal | undefined, call: Endable<T>): Promise<T> =>
    endingWith([signal, link.ended.signal], call).catch((error: unknown) => {
      // Says why, as an abort of ours has no reason of its own.
      if (signal?.aborted !== true && link.ended.signal.aborted) current(link.id);
      throw error;
    });

  /** One such call; `undefined` if the network failed, or nothing came for a while. */
  const attempt = async <T>(link: Shown, signal: AbortSignal | undefined, call: Endable<T>): Promise<T | undefined> => {
    try {
      return await whileShown(link, signal, call);
    } catch (error) {
      if (signal?.aborted === true || link.ended.signal.aborted || !isCyphrError(error) || error.action !== 'retry') throw error;
      await pause(signal);
      return undefined;
    }
  };

  const request = async (link: Shown, signal: AbortSignal | undefined): Promise<LinkExchange> => {
    const { leave, pickUp } = dropBox();
    while (link.taken === undefined) {
      const found = await attempt(link, signal, (options) => pickUp(link.offer.requestSlot, options));
      current(link.id);
      if (found !== undefined) link.taken = accept(link, found);
      else await pause(signal, linkLimits.emptyMs);
    }
    const { taken } = link;
    const leaveChallenge: Endable<true> = async (options) => {
      await leave(taken.challengeSlot, taken.challenge, options).catch((error: unknown) => {
        throw isRefusedForGood(error) ? spoilt(link, error) : error;
      });
      return true;
    };
    while ((await attempt(link, signal, leaveChallenge)) === undefined) current(link.id);
    current(link.id);
    return taken;
  };

  /** The one request that a code is good for. */
  const accept = (link: Shown, bytes: Uint8Array): NonNullable<Shown['taken']> => {
    try {
      const taken = acceptLinkRequest(link.offer, bytes);
      assertNew(ctx.ownList().entries, taken.entry);
      return taken;
    } catch (error) {
      throw spoilt(link, error);
    }
  };

  /** Nothing comes of a code whose drop box holds something else than the two devices put there. */
  const spoilt = (link: Shown, cause: unknown): unknown => {
    link.isOver = true;
    if (!isCyphrError(cause)) return cause;
    return new TrustError('ERR_DEVICE_UNTRUSTED', 'what came for this code is no request of a new device: show another code', { cause });
  };

  const confirm = async (exchange: LinkExchange): Promise<void> => {
    const { entry, grantSlot } = exchange;
    const untilMs = ctx.now() + linkLimits.slotMs;
    await own.sign(
      (entries) => {
        assertNew(entries, entry);
        return [...entries, entry].sort((a, b) => a.device - b.device);
      },
      ({ accountKey, device, deviceList }): Write[] => {
        const grant = sealLinkGrant(exchange, accountKey.publicKey, device, deviceList);
        return [
          { key: keys.grant(grantSlot), value: grantRecord.encode({ device: entry.device, bytes: grant, untilMs }) },
          { key: keys.share(entry.keyHash), value: shareRecord.encode({}) },
          { key: keys.linked(entry.keyHash), value: new Uint8Array([1]) },
        ];
      },
    );
    self.deliver();
  };

  /** Leaves each grant, once the list is published. One that nobody waits for any more is dropped. */
  const leaveGrants = async (): Promise<void> => {
    for (const { key, value } of await ctx.db.list(['grant'])) {
      const { bytes, untilMs } = grantRecord.decode(value);
      if (ctx.now() < untilMs) {
        await publish();
        await ctx.life.race(dropBox().leave(key[1]!, bytes)).catch((error: unknown) => {
          if (!isRefusedForGood(error)) throw error;
          ctx.observer.log('warn', 'grant-refused', error.code);
        });
      }
      await ctx.db.commit([{ key, value: null }]);
    }
  };

  /** Queues the contacts for the devices that have just been linked and have been heard of, a few in each message. */
  const share = async (): Promise<void> => {
    const account = ctx.device().account;
    for (const { key, value } of await ctx.db.list(['share'])) {
      let { after } = shareRecord.decode(value);
      const to = ctx.ownList().entries.find((entry) => toHex(entry.keyHash) === key[1]);
      // It greets the others of its account once it is published: nothing is said to a device that may never be there.
      if (to !== undefined && (await ctx.db.read(keys.peer(account, to.keyHash))) === undefined) continue;
      for (;;) {
        const page =
          to === undefined
            ? []
            : await ctx.db.list(['contact'], CONTACTS_PER_MESSAGE, after === undefined ? undefined : ['contact', after]);
        if (page.length === 0) break;
        // By size: a list of many devices leaves room for fewer.
        const room = partBytes(ctx);
        const entries: { account: string; contact: Uint8Array; talk?: Uint8Array }[] = [];
        let size = 0;
        for (const row of page) {
          const contact = contactRecord.encode(asWord(contactRecord.decode(row.value)));
          const talk = await ctx.db.read(keys.talk(row.key[1]!));
          const bytes = contact.length + (talk?.length ?? 0);
          if (entries.length > 0 && size + bytes > room) break;
          size += bytes;
          entries.push({ account: row.key[1]!, contact, ...(talk === undefined ? {} : { talk }) });
        }
        const { writes, committed } = outbox.post(account, { t: 'contacts', entries }, { only: [to!.keyHash] });
        after = entries.at(-1)!.account;
        await ctx.db.commit([...writes, { key, value: shareRecord.encode({ after }) }]);
        committed();
      }
      await ctx.db.commit([{ key, value: null }]);
    }
  };

  /** Until nothing is left to bring, or something that trying again can't mend is in the way. */
  const deliverAll = async (): Promise<void> => {
    while (isDue) {
      isDue = false;
      try {
        await leaveGrants();
        await share();
      } catch (error) {
        if (ctx.life.hasEnded() || !isCyphrError(error) || error.action !== 'retry') throw error;
        await pause();
        isDue = true;
      }
    }
  };
  let isDue = false;
  let isRunning = false;

  const self: Linking = {
    calls: {
      async devices() {
        ctx.life.assertOpen();
        const { device: self, accountKey } = ctx.device();
        return ctx
          .ownList()
          .entries.map(({ device }) =>
            device === self ? { device, self: true, isPrimary: accountKey.secretKey !== undefined } : { device, self: false },
          );
      },
      async fingerprint() {
        ctx.life.assertOpen();
        return toHex(keyHash(ctx.device().accountKey.publicKey));
      },
      async linkOpen(_input, signal) {
        assertPrimary(ctx);
        const { leave } = dropBox();
        assertRoom(ctx.ownList().entries);
        forget();
        const offer = generateLinkOffer(ctx.device().account, ctx.rng);
        const link: Shown = { id: offer.offerSlot, offer, madeAtMs: ctx.now(), ended: new AbortController(), isOver: false };
        shown = link;
        // Whatever the clock says, and also while nothing looks at it.
        timer(() => forget(link), linkLimits.codeMs);
        await whileShown(link, signal, (options) => leave(offer.offerSlot, offer.offer, options));
        return { id: link.id, qr: offer.qr, typed: offer.typed, expiresAtMs: link.madeAtMs + linkLimits.codeMs };
      },
      async linkRequest({ id }, signal) {
        const link = current(id);
        link.asked ??= request(link, signal).catch((error: unknown) => {
          link.asked = undefined;
          throw error;
        });
        const { confirmation, entry } = await abortable(link.asked, signal);
        return { confirmation, device: entry.device };
      },
      async linkAnswer({ id, isConfirmed }) {
        const link = current(id);
        if (link.asked === undefined) throw new UsageError('ERR_ARGUMENT', 'no device has asked yet', { field: 'request' });
        const exchange = await link.asked;
        current(id);
        // Before anything is awaited: a linking is answered once.
        link.isOver = true;
        try {
          if (isConfirmed) await confirm(exchange);
          else await ctx.life.race(dropBox().leave(exchange.grantSlot, sealLinkRefusal(exchange)));
        } catch (error) {
          link.isOver = false;
          if (shown !== link) wipe(exchange.answerKeys);
          throw error;
        }
        wipe(exchange.answerKeys);
        forget(link);
      },
      async revoke({ device }) {
        assertPrimary(ctx);
        const { account, device: self } = ctx.device();
        if (device === self) throw new UsageError('ERR_ARGUMENT', 'a device does not revoke itself: erase() it', { field: 'device' });
        await ctx.lock(`peer ${account}`, async () => {
          const entry = ctx.ownList().entries.find((each) => each.device === device);
          if (entry === undefined) throw new UsageError('ERR_ARGUMENT', 'the account has no such device', { field: 'device' });
          const owner = { account, deviceKeyHash: entry.keyHash };
          const { requests: reports } = repair.losses(owner, await sessions.peer(owner));
          const gone = await sessions.removal(owner);
          const grants = (await ctx.db.list(['grant'])).filter(({ value }) => grantRecord.decode(value).device === device);
          const rows = [...grants.map(({ key }) => key), keys.share(entry.keyHash), keys.linked(entry.keyHash)].map(
            (key): Write => ({ key, value: null }),
          );
          await own.sign(
            (entries) => entries.filter((each) => each.device !== device),
            () => [...gone.writes, ...rows, ...reports.flatMap(({ writes }) => writes)],
          );
          gone.install();
          for (const { committed } of reports) committed();
        });
      },
    },
    async contacts(from, { entries }) {
      await assertLinker(ctx, from);
      for (const each of entries) {
        const { account, contact, talk: conversation } = bySchema(entrySchema, each, malformed);
        await contacts.brought(account, readContact(account, contact));
        if (conversation !== undefined) await talk.brought(account, conversation);
      }
      return { writes: [] };
    },
    deliver() {
      isDue = true;
      if (isRunning) return;
      isRunning = true;
      deliverAll()
        .catch((error: unknown) => {
          if (!ctx.life.hasEnded()) ctx.observer.log('info', 'linking-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
        })
        .finally(() => {
          isRunning = false;
          if (isDue && !ctx.life.hasEnded()) self.deliver();
        });
    },
  };
  return self;
}

/** Throws `ERR_DEVICE_UNTRUSTED` on a device without the account key, or what has ended the client. */
export function assertPrimary({ life, device }: Pick<Context, 'life' | 'device'>): void {
  life.assertOpen();
  if (device().accountKey.secretKey !== undefined) return;
  throw new TrustError('ERR_DEVICE_UNTRUSTED', 'this device does not have the account key: only a primary device can do that');
}

/** Throws `ERR_DECODE` unless a message is from the device that has linked this one. */
export async function assertLinker({ db, device }: Pick<Context, 'db' | 'device'>, from: ControlSender): Promise<void> {
  const { account: own, accountKey } = device();
  // What a primary device knows is not for devices to change that it may have to revoke.
  if (from.account !== own || accountKey.secretKey !== undefined) throw malformed('account');
  // Nor do linked devices tell each other: only whoever linked this one, which it knows by its grant.
  const linkedBy = await db.read(keys.linkedBy);
  if (linkedBy === undefined || !equal(linkedBy, from.deviceKeyHash)) throw malformed('device');
}

/** How many bytes of records one message for a device takes, on this carrier. */
export function partBytes({ transport }: Pick<Context, 'transport'>): number {
  const { maxBytes } = transport.limits;
  return Math.min(limits.historyPartBytes, Math.max(maxBytes - FRAME_BYTES, Math.floor(maxBytes / 2)));
}

const entrySchema = { account: 'string', contact: 'bytes', talk: 'bytes?' } as const;

/** What of a contact is a person's word: the rest is one device's, and found anew by another. */
function asWord({ identity, sinceMs, verified, list }: ContactRecord): ContactRecord {
  return { identity, sinceMs, verified, list, former: [] };
}

/** A contact as another device has it: its identity and what a person has said of it. The list is verified here as it was there. */
function readContact(account: string, bytes: Uint8Array): ContactRecord {
  try {
    const word = asWord(contactRecord.decode(bytes));
    if (verifyDeviceList(word.list, word.identity).account === account) return word;
  } catch (error) {
    if (!isCyphrError(error) || error instanceof InternalError) throw error;
  }
  throw malformed('contact');
}

function assertRoom(entries: readonly DeviceEntry[]): void {
  if (entries.length < wireLimits.devicesPerList) return;
  const numbers = { field: 'devices', got: entries.length, max: wireLimits.devicesPerList };
  throw new UsageError('ERR_LENGTH', 'the account has as many devices as it can: revoke one first', numbers);
}

/** Neither the number nor the key of a new device may be in use: a list says which key is whose. */
function assertNew(entries: readonly DeviceEntry[], entry: DeviceEntry): void {
  assertRoom(entries);
  if (!entries.some((each) => each.device === entry.device || equal(each.keyHash, entry.keyHash))) return;
  throw new TrustError('ERR_DEVICE_UNTRUSTED', 'a device of the account has this number or key');
}

/** What a directory without a drop box answers to linking. */
export function noDropBox(): UsageError {
  return new UsageError('ERR_ARGUMENT', 'this directory has no drop box: it lacks leave and pickUp', { field: 'directory' });
}

function expired(): TransportError {
  return new TransportError('ERR_TIMEOUT', 'the code is no longer good: show another one', { max: linkLimits.codeMs });
}

function malformed(field: string): DecodeError {
  return new DecodeError('ERR_DECODE', 'control content does not follow its schema', { field });
}
