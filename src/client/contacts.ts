/** Whose keys are whose: pins, trust, verified bundles, safety numbers. The only place that writes a pin. */

import { copy, equal } from '../bytes.js';
import { sha256 } from '../crypto/suite.js';
import { isCyphrError, TransportError, TrustError } from '../errors.js';
import { compareSafetyQr, keyHash, safetyNumber, type VerifiedDeviceList, verifyDeviceList } from '../identity/index.js';
import type { VerifiedRootStatement } from '../identity/root.js';
import { keyLimits, sessionLimits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import type { Address, BundleBytes } from '../step.js';
import type { Write } from '../store/port.js';
import { type DeviceEntry, parseDeviceList } from '../wire/objects.js';
import { merged } from './brought.js';
import { checkBundle, deviceWrite } from './bundles.js';
import { claimedLists } from './claimed-lists.js';
import type { Context } from './context.js';
import type { Calls } from './engine.js';
import { ghosts } from './ghosts.js';
import { deviceChanges, mayTake, type OwnList } from './own-list.js';
import { abortable } from './platform.js';
import { questions as openQuestions, type Questions } from './questions.js';
import { type ContactRecord, contactRecord, deviceRecord, keys } from './records.js';
import { standing as openStanding, type Standing } from './standing.js';
import type { Trust } from './types.js';
import { vouching } from './vouching.js';

/** A contact with what is derived from its record. */
export interface KnownContact extends ContactRecord {
  readonly account: string;
  /** H(AIK), 64 bytes: the pin. */
  readonly pin: Uint8Array;
  /** Whether the organisation vouches for the pin. */
  readonly vouched: boolean;
  /** The entries of the newest list, which was verified before it was stored. */
  readonly devices: readonly DeviceEntry[];
  readonly listVersion: number;
  /** SHA-256(TBS of that list)[0:8]. */
  readonly listHash: Uint8Array;
}

/** What sealing to a contact's device needs. */
export type ContactDevice = ReturnType<typeof deviceRecord.decode>;

/** The contacts of one client. */
export interface Contacts {
  /** A contact; one's own account, too, with its other devices. */
  load(account: string): Promise<KnownContact | undefined>;
  /** The newest known set of a contact's device, to seal a frame to; `undefined` once its secrets may be gone. */
  sealingSet(address: Address): Promise<ContactDevice | undefined>;
  /** How a message of this identity is to be shown. */
  trustIn(account: string, accountKeyHash: Uint8Array): Trust;
  /** Throws what stops sending to this contact by policy: `ERR_IDENTITY_CHANGED`, `ERR_DEVICE_UNTRUSTED`. */
  assertSendable(contact: KnownContact | undefined): void;
  /** Whether there is such a contact, and policy lets it be written to. */
  isSendable(contact: KnownContact | undefined): contact is KnownContact;
  /**
   * Whether a message that came from this identity may be shown now: it is the pin, or was when the message came. With `device`, for
   * what came before there was a pin: only if the pinned account's list names that device, by its number, which is drawn at random.
   */
  mayShow(account: string, accountKeyHash: Uint8Array, device?: number): boolean;
  /**
   * Asks the directory, verifies, pins at first use. `take`: whose one-time prekeys to hand out. An answer that was asked for before the
   * identity was decided that it speaks against is asked for once more. Throws `ERR_NO_SESSION` for an unknown account, `ERR_TIMEOUT` where
   * both answers are too old.
   */
  refresh(account: string, take: 'all' | readonly number[]): Promise<readonly VerifiedBundle[]>;
  /**
   * Whether keys of this device were sound when the account was last refreshed, or nothing but past their date, by this device's clock;
   * `undefined` for none of use, and if that is longer ago than `withinMs`.
   */
  keysOf(account: string, device: number, withinMs?: number): 'sound' | 'past' | undefined;
  /**
   * A list of the account, verified. A newer one under the pin is kept: who stands in it no longer is no device of the account any more.
   * Where nothing is pinned it is remembered for the pin to come: a device may write before the directory has its list.
   */
  learn(account: string, list: VerifiedDeviceList): Promise<void>;
  /**
   * What a device says of its own keys in a session with it, verified as if the directory had said so. Throws `ERR_BUNDLE`, and
   * `ERR_IDENTITY_CHANGED` where its identity is the pinned one no more.
   */
  told(bundle: BundleBytes): Promise<unknown>;
  /**
   * A contact as the device has it that linked this one, its list verified. What becomes of it, brought.ts says; another identity than
   * the pinned one is an `identityChanged`.
   */
  brought(account: string, record: ContactRecord): Promise<void>;
  /** Asks the directory in the background for the newest list and sets, once in ten minutes for each account; `newest` is what it should show. */
  askFor(account: string, newest?: number): void;
  /** What the directory says of identities that are not the pin. */
  readonly standing: Standing;
  /** Which questions there were about whom. */
  readonly questions: Pick<Questions, 'count' | 'wasAskedSince'>;
  readonly calls: Pick<Calls, 'identity' | 'number' | 'settle' | 'scan' | 'unverify'>;
  /** Calls back with keys that were verified for an account under its pin. */
  onVerified(listener: (account: string, bundles: readonly VerifiedBundle[]) => void): void;
  /** Calls back after a pin was made, changed, verified or put in doubt, or its devices have changed; not after a mere refresh. */
  onPinned(listener: (account: string) => void): void;
}

/** What the directory has said to a question, beside the bundles: what the organisation says. */
interface Answer {
  readonly question: number;
  readonly offered: VerifiedRootStatement | undefined;
}

/** Identities of one contact that are remembered, so that what they wrote can still be shown. */
const FORMER_PINS = 8;

/** The identity that is shown for a contact, AIK: the one that waits for a decision, or the pinned one. */
function shownIn({ changedTo, identity }: ContactRecord): Uint8Array {
  return changedTo ?? identity;
}

function changedError(): TrustError {
  return new TrustError('ERR_IDENTITY_CHANGED', 'the identity of this contact has changed');
}

/** The contacts in `ctx.db`, all pins loaded, so that what may be shown is known without I/O. */
export async function contacts(ctx: Context, own: OwnList): Promise<Contacts> {
  const known = new Map<string, KnownContact>();
  const shown = new Map<string, { readonly sound: ReadonlySet<number>; readonly past: ReadonlySet<number>; readonly atMs: number }>();
  const isOwn = (account: string): boolean => account === ctx.device().account;
  const find = (account: string): KnownContact | undefined => (isOwn(account) ? own.contact() : known.get(account));
  const refuseGhosts = ghosts(ctx);
  const questions = openQuestions(ctx);
  const listeners: ((account: string) => void)[] = [];
  const verifiedListeners: ((account: string, bundles: readonly VerifiedBundle[]) => void)[] = [];
  const organisation = vouching(ctx);
  const withPin = (record: ContactRecord): KnownContact => {
    const { account, entries: devices, version: listVersion, tbs } = parseDeviceList(record.list);
    const pin = keyHash(record.identity);
    const vouched = organisation.vouches(record.statement, pin);
    return { ...record, account, pin, vouched, devices, listVersion, listHash: sha256(tbs).slice(0, 8) };
  };
  for (const { key, value } of await ctx.db.list(['contact'])) known.set(key[1]!, withPin(contactRecord.decode(value)));

  const save = async (account: string, record: ContactRecord, others: readonly Write[] = []): Promise<KnownContact> => {
    const { identity, sinceMs, verified, list, changedTo, changedList, changedByOwn, former, unasked, statement } = record;
    const stored = { identity, sinceMs, verified, list, changedTo, changedList, changedByOwn, former, unasked, statement };
    // Read before it is stored: what can't be must never stand in the store.
    const contact = withPin(stored);
    await ctx.db.commit([{ key: keys.contact(account), value: contactRecord.encode(stored) }, ...others]);
    const before = known.get(account);
    known.set(account, contact);
    if (before === undefined || !equal(before.pin, contact.pin) || !equal(shownIn(before), shownIn(contact))) questions.decided(account);
    const isNews =
      before === undefined ||
      before.verified !== verified ||
      before.vouched !== contact.vouched ||
      (before.changedTo === undefined) !== (changedTo === undefined) ||
      !equal(before.pin, contact.pin);
    const changes = before !== undefined && equal(before.pin, contact.pin) ? deviceChanges(before.devices, contact.devices) : undefined;
    if (isNews || changes !== undefined) for (const listener of listeners) listener(account);
    if (changes !== undefined) ctx.events.emit({ type: 'devicesChanged', account, ...changes, refused: [] });
    return contact;
  };
  /** Replaces the pin. What is known of the devices belongs to the old one. */
  const savePin = async (
    account: string,
    { pin, former = [] }: KnownContact,
    next: Pick<ContactRecord, 'identity' | 'list' | 'verified' | 'statement' | 'unasked'>,
  ): Promise<KnownContact> => {
    const devices = await ctx.db.list(['contact-device', account]);
    return save(
      account,
      { ...next, sinceMs: ctx.now(), former: [...former, pin].slice(-FORMER_PINS) },
      devices.map(({ key }): Write => ({ key, value: null })),
    );
  };
  const trustInPin = ({ verified, vouched }: KnownContact) => (verified ? 'verified' : vouched ? 'vouched' : 'unverified');
  const trustOf = (contact: KnownContact): Trust => (contact.changedTo !== undefined ? 'changed' : trustInPin(contact));
  const device = async (account: string, id: number): Promise<ContactDevice | undefined> => {
    const row = await ctx.db.read(keys.contactDevice(account, id));
    return row === undefined ? undefined : deviceRecord.decode(row);
  };

  const claimed = claimedLists();
  /** The directory shows another identity than the pinned one, and it is properly signed: remember it, say so once. */
  const identityChanged = async (
    account: string,
    contact: KnownContact,
    { accountKey: identity, accountKeyHash, list: { bytes: list } }: VerifiedBundle,
    offered: VerifiedRootStatement | undefined,
  ): Promise<KnownContact> => {
    const was = trustInPin(contact);
    const isNews = contact.changedTo === undefined || !equal(contact.changedTo, identity);
    // What a person has verified, only a person gives up.
    const mayGoOn = !contact.verified && (ctx.settings.trust === 'warn' || organisation.confirms(contact, offered, accountKeyHash));
    const statement = organisation.kept(contact.statement, offered, accountKeyHash);
    const next = mayGoOn
      ? await savePin(account, contact, { identity, list, verified: false, statement, unasked: true })
      : isNews
        ? await save(account, { ...contact, changedTo: identity, changedList: list })
        : contact;
    if (isNews) ctx.events.emit({ type: 'identityChanged', account, was });
    if (!mayGoOn) throw changedError();
    return next;
  };

  /** Takes an answer of the directory, or what a device says. `undefined` for an answer that is too old. */
  const accept = async (
    account: string,
    bundles: readonly BundleBytes[],
    answer?: Answer,
  ): Promise<readonly VerifiedBundle[] | undefined> => {
    const isTold = answer === undefined;
    const offered = answer?.offered;
    const before = find(account);
    const verified: VerifiedBundle[] = [];
    const late: VerifiedBundle[] = [];
    let fault: unknown;
    for (const bundle of bundles) {
      const { device: id } = bundle.address;
      const checked = checkBundle(ctx, bundle, account, before, await device(account, id));
      if ('bundle' in checked) verified.push(checked.bundle);
      else {
        fault ??= checked.fault;
        if (checked.past !== undefined) late.push(checked.past);
      }
    }
    // All devices of one account stand under one account key and on one list. Beside the pinned identity another one counts for nothing.
    const isPinned = ({ accountKeyHash }: VerifiedBundle): boolean => before !== undefined && equal(accountKeyHash, before.pin);
    const first = verified.find(isPinned) ?? verified[0];
    const show = (sound: readonly VerifiedBundle[]): void => {
      const devices = (of: readonly VerifiedBundle[]): ReadonlySet<number> => new Set(of.map(({ address }) => address.device));
      if (!isTold) shown.set(account, { sound: devices(sound), past: devices(late), atMs: ctx.now() });
    };
    if (first === undefined) {
      // That every device was away for long, or that a clock is wrong, says nothing against the pin, and sessions go on.
      const isStale = isCyphrError(fault) && fault.code === 'ERR_LIST_STALE';
      if (isTold || isStale || !late.some(isPinned)) throw fault;
      questions.answered(account, answer.question);
      show([]);
      return [];
    }
    const agreed = verified.filter(({ accountKeyHash }) => equal(accountKeyHash, first.accountKeyHash));
    if (agreed.length !== verified.length) ctx.observer.log('warn', 'directory-conflict');
    if (!isTold) {
      const speaksAgainst = before !== undefined && !equal(shownIn(before), first.accountKey);
      if (speaksAgainst && questions.isOutdated(account, answer.question)) return undefined;
      questions.answered(account, answer.question);
      // Of one's own nobody has anything to decide.
      if (!isOwn(account)) standing.shown(account, first.accountKeyHash);
    }
    const isChanged = before !== undefined && !isPinned(first);
    // One's own account has one identity, and it is not the directory's to change; nor is what the device that linked this one has said.
    // And no identity is a device's to change: one that was pinned when it spoke may have had to give way since.
    if (isChanged && (isTold || isOwn(account) || before.changedByOwn === true)) throw changedError();
    const contact = isChanged ? await identityChanged(account, before, first, offered) : before;
    const lists = agreed.map(({ list }) => list);
    const told = before === undefined ? claimed.of(account, first.accountKeyHash) : undefined;
    if (told !== undefined) lists.push(told);
    const fitting = lists.filter((list) => mayTake(contact?.devices, list, ctx.now()));
    const newest =
      fitting.length === 0 ? verifyDeviceList(contact!.list, contact!.identity) : fitting.reduce((a, b) => (b.version > a.version ? b : a));
    refuseGhosts(account, bundles, first.accountKey, newest.entries);
    const sound = newest.entries.flatMap(
      ({ device: id, keyHash: hash }) =>
        agreed.find((bundle) => bundle.address.device === id && equal(hash, keyHash(bundle.deviceKey))) ?? [],
    );
    if (first.listIsStale) ctx.observer.log('warn', 'device-list-stale');
    show(sound);
    const deviceWrites = sound.map(deviceWrite);
    if (isOwn(account)) {
      await ctx.db.commit(deviceWrites);
      await own.adopt(newest);
      return sound.filter(({ address }) => address.device !== ctx.device().device);
    }
    // Where the directory shows the pinned identity (again) there is nothing left to decide of what it had shown; a device can't say that of itself.
    const isDecided = !isTold && contact?.changedByOwn !== true;
    const statement = organisation.kept(contact?.statement, offered, first.accountKeyHash);
    const record: ContactRecord =
      contact === undefined
        ? { identity: first.accountKey, sinceMs: ctx.now(), verified: false, list: newest.bytes, former: [], statement }
        : { ...contact, list: newest.bytes, ...(isDecided ? { changedTo: undefined, changedList: undefined } : {}), statement };
    await save(account, record, deviceWrites);
    for (const listener of verifiedListeners) listener(account, sound);
    return sound;
  };

  /** Asks the directory once. `undefined` where its answer is too old. */
  const asked = async (account: string, take: 'all' | readonly number[]): Promise<readonly VerifiedBundle[] | undefined> => {
    const said = await questions.ask(account, take);
    if (said === undefined) return undefined;
    const offered = isOwn(account) ? undefined : await organisation.ask(account, known.get(account), said.bundles);
    return ctx.lock(`contact ${account}`, () => accept(account, said.bundles, { question: said.question, offered }));
  };

  const standing = openStanding(ctx, find, (account) => self.refresh(account, []));
  const askedAtMs = new Map<string, number>();
  const askFor = (account: string, newest = 0): void => {
    const nowMs = ctx.now();
    if (Math.abs(nowMs - (askedAtMs.get(account) ?? Number.NEGATIVE_INFINITY)) < sessionLimits.listRefetchMs) return;
    askedAtMs.set(account, nowMs);
    self
      .refresh(account, [])
      .then(() => {
        // Known devices go on; the directory's word was never needed for them.
        if ((find(account)?.listVersion ?? newest) < newest) ctx.observer.log('warn', 'device-list-withheld');
      })
      .catch((error: unknown) => ctx.observer.log('info', 'list-refresh-failed', isCyphrError(error) ? error.code : 'ERR_BUG'));
  };

  /** What can be shown of a contact; asks the directory where nothing is pinned yet. */
  const current = async (account: string, signal: AbortSignal | undefined): Promise<KnownContact> => {
    ctx.life.assertOpen();
    const contact = known.get(account);
    // A changed one is asked for again: perhaps the directory has taken it back. And one for which nobody has spoken: perhaps somebody has.
    const isOpen =
      contact?.changedTo !== undefined || (organisation.isPossible && contact !== undefined && trustInPin(contact) === 'unverified');
    if (contact === undefined) await abortable(self.refresh(account, []), signal);
    else if (isOpen)
      await abortable(
        self.refresh(account, []).catch(() => {}),
        signal,
      );
    return known.get(account)!;
  };
  const ownIdentity = (): { account: string; accountKeyHash: Uint8Array } => {
    const { account, accountKey } = ctx.device();
    return { account, accountKeyHash: keyHash(accountKey.publicKey) };
  };

  const self: Contacts = {
    load: async (account) => find(account),
    async sealingSet(address) {
      const known = await device(address.account, address.device);
      // Not by its number: after a clock that was ahead numbers go on from there.
      const madeMs = known?.setNotAfterMs === undefined ? known?.setSeq : known.setNotAfterMs - keyLimits.setLifetimeMs;
      const ageMs = madeMs === undefined ? 0 : Math.abs(ctx.now() - madeMs);
      if (ageMs > keyLimits.setRotationMs) askFor(address.account);
      return ageMs > keyLimits.setLifetimeMs ? undefined : known;
    },
    trustIn(account, accountKeyHash) {
      const contact = find(account);
      if (contact === undefined) return 'unverified';
      return equal(contact.pin, accountKeyHash) ? trustOf(contact) : 'changed';
    },
    assertSendable(contact) {
      if (contact?.changedTo !== undefined) throw changedError();
      if (contact === undefined ? ctx.settings.trust !== 'pinned-only' : self.isSendable(contact)) return;
      if (contact !== undefined && organisation.isPossible) askFor(contact.account);
      const message = 'this contact is neither verified nor vouched for, and only such contacts are written to';
      throw new TrustError('ERR_DEVICE_UNTRUSTED', message);
    },
    isSendable: (contact): contact is KnownContact =>
      contact !== undefined &&
      contact.changedTo === undefined &&
      (ctx.settings.trust !== 'pinned-only' || contact.verified || contact.vouched),
    mayShow(account, accountKeyHash, device) {
      const contact = find(account);
      if (contact === undefined) return false;
      if (!equal(contact.pin, accountKeyHash)) return (contact.former as Uint8Array[]).some((pin) => equal(pin, accountKeyHash));
      return device === undefined || contact.devices.some((entry) => entry.device === device);
    },
    async refresh(account, take) {
      const found = (await asked(account, take)) ?? (await asked(account, take));
      if (found === undefined) throw new TransportError('ERR_TIMEOUT', 'what the directory says is older than what was decided meanwhile');
      return found;
    },
    keysOf(account, device, withinMs = Number.POSITIVE_INFINITY) {
      const known = shown.get(account);
      if (known === undefined || Math.abs(ctx.now() - known.atMs) > withinMs) return undefined;
      return known.sound.has(device) ? 'sound' : known.past.has(device) ? 'past' : undefined;
    },
    learn: (account, list) =>
      ctx.lock(`contact ${account}`, async () => {
        if (isOwn(account)) return own.adopt(list);
        const contact = known.get(account);
        if (contact === undefined) return claimed.remember(account, list);
        if (!equal(contact.pin, list.accountKeyHash) || list.version <= contact.listVersion || !mayTake(contact.devices, list, ctx.now()))
          return;
        await save(account, { ...contact, list: list.bytes });
      }),
    told: (bundle) => ctx.lock(`contact ${bundle.address.account}`, () => accept(bundle.address.account, [bundle])),
    brought: (account, record) =>
      ctx.lock(`contact ${account}`, async () => {
        const before = known.get(account);
        const next = isOwn(account) ? undefined : merged(before, record);
        if (next === 'conflict') return ctx.observer.log('warn', 'contact-conflict');
        if (next === undefined) return;
        await save(account, next);
        const was = before?.vouched === true ? 'vouched' : 'unverified';
        if (next.changedTo !== before?.changedTo) ctx.events.emit({ type: 'identityChanged', account, was });
      }),
    askFor,
    standing,
    questions,
    onPinned: (listener) => listeners.push(listener),
    onVerified: (listener) => verifiedListeners.push(listener),
    calls: {
      async identity({ account }, signal) {
        const contact = await current(account, signal);
        return { trust: trustOf(contact), sinceMs: contact.sinceMs, devices: contact.devices.map(({ device: id }) => id) };
      },
      async number({ account }, signal) {
        const contact = await current(account, signal);
        const identity = shownIn(contact);
        const { digits, qr } = safetyNumber(ownIdentity(), { account, accountKeyHash: keyHash(identity) });
        return { digits, qr: copy(qr), identity: copy(identity) };
      },
      settle: ({ account, identity, verified }) =>
        ctx.lock(`contact ${account}`, async () => {
          ctx.life.assertOpen();
          const contact = known.get(account);
          if (contact === undefined || !equal(shownIn(contact), identity)) throw changedError();
          const { changedTo, changedList, statement } = contact;
          if (changedTo !== undefined)
            await savePin(account, contact, { identity, list: changedList ?? contact.list, verified, statement });
          else if (verified || contact.unasked === true)
            await save(account, { ...contact, verified: contact.verified || verified, unasked: undefined });
        }),
      async scan({ account, identity, payload }) {
        const result = compareSafetyQr(ownIdentity(), { account, accountKeyHash: keyHash(identity) }, payload);
        if (result === 'match') await self.calls.settle({ account, identity, verified: true });
        return result;
      },
      unverify: ({ account }) =>
        ctx.lock(`contact ${account}`, async () => {
          ctx.life.assertOpen();
          const contact = known.get(account);
          if (contact?.verified === true) await save(account, { ...contact, verified: false });
        }),
    },
  };
  return self;
}
