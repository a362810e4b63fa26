/**
 * From plaintext that waits to ciphertext for each device: what can be encrypted now is, in the order of the calls; a device with which
 * there can be no session yet keeps nobody else waiting. Asks the directory only for keys that are missing.
 */

import { equal, fromHex, toHex } from '../bytes.js';
import { type AnyCyphrError, isCyphrError, TransportError, UsageError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { limits, linkLimits, sessionLimits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import type { StoreKey, StoreRecord, Write } from '../store/port.js';
import { type DeviceEntry, parseDeviceList } from '../wire/objects.js';
import type { Contacts, KnownContact } from './contacts.js';
import type { Context } from './context.js';
import type { Encrypted, Encryption, Outgoing } from './encryption.js';
import type { Posted } from './outbox.js';
import { sweep } from './prune.js';
import { keys, outboxRecord, pendingRecord, type SentRecord } from './records.js';
import { isGone, type Resend, type SendLog, wireId } from './sendlog.js';
import type { SentMessages } from './sent.js';
import type { SentState } from './types.js';

/** An encryption for one device of the recipient. */
export type ForDevice = Encrypted & { readonly device: number };

type Pending = ReturnType<typeof pendingRecord.decode>;

/**
 * Devices, by H(DIK) in hex, that a round leaves out: `blocked` keep their turn, `absent` have no sound keys in the directory and are none
 * so far, `late` ones have keys past their date: they were away for long, or a clock is wrong, theirs or this one.
 */
export interface LeftOut {
  readonly blocked: ReadonlyMap<string, Round['left'][number]>;
  readonly absent: ReadonlySet<string>;
  readonly late: ReadonlySet<string>;
}
/** What is known of devices without sound keys, by now. */
interface Known {
  readonly absent: Set<string>;
  readonly late: Set<string>;
}
const NOBODY: LeftOut = { blocked: new Map(), absent: new Set(), late: new Set() };

/** What came of encrypting a message for the devices that it is still for. */
export interface Round {
  readonly encrypted: readonly ForDevice[];
  /** The devices for which it could not be, and whose keys to ask for; `undefined` where nothing can be asked. `takes`: with a one-time prekey. */
  readonly left: readonly {
    readonly keyHash: Uint8Array;
    readonly ask: number | undefined;
    readonly takes: boolean;
    readonly why: AnyCyphrError | undefined;
  }[];
}

/** What waits for a session, in one client. Callers of all but `encryptPending` hold the lock of the account. */
export interface Waiting {
  /** Whether every device of the contact can be written to at once. */
  isReady(contact: KnownContact, account: string): Promise<boolean>;
  encryptAll(contact: KnownContact, account: string, pending: Pending, bundles: readonly VerifiedBundle[]): Promise<Round>;
  /** The rows that keep an encrypted message to be sent again; none for what the protocol says itself. */
  log(contact: KnownContact, account: string, pending: Pending, encrypted: readonly ForDevice[]): Promise<Logged>;
  /** Encrypts what waits for a session. Asks the directory only if a device has none. Throws what holds the messages. */
  encryptPending(account: string): Promise<void>;
  /** Whether a message, or this one, has a `pending` row. */
  isLeft(account: string, seq?: number): Promise<boolean>;
  /** Called after each commit of rows in `pending` and `late`: until then the store is not asked again where it had none. */
  noted(account: string): void;
  /** Cancels what waits and was deleted or has disappeared, as long as it is the protocol's own: a copy, or what is sent to a device once more. */
  expire(): Promise<void>;
}

/** Rows of the log; `committed` is called after their commit. */
type Logged = Awaited<ReturnType<SendLog['add']>>;

/** How messages come to their end: see outbox.ts. */
export interface WaitingHost {
  readonly messages: SentMessages;
  /** `at`: where the message waits, if not in its `pending` row. */
  finish(id: string, state: 'cancelled' | 'failed', error?: AnyCyphrError, at?: StoreKey): Promise<SentState>;
  settle(account: string, id: string, record: SentRecord, devices: readonly number[]): Promise<void>;
  /** Prepares a message that others of the account get, for one device that can't yet: without a word to the application. */
  later(account: string, message: Omit<Resend, 'write'>, deviceKeyHash: Uint8Array): Posted;
}

/** Whether a row is no message of a person's, but a control message, a copy, or a message that is sent again. */
function isProtocols({ as, control }: Pick<Pending, 'as' | 'control'>): boolean {
  return as !== undefined || control !== undefined;
}

/**
 * Whether a message has waited for too long: by the clock, as long as it can fail. Of the protocol's own, and of what some device has,
 * nobody hears that another one does not get it: it must not because nothing ran, or another clock was right.
 */
export function isTooOld({ now, days }: Context, { atMs, onDay = 0, accepted, isControl }: SentRecord): boolean {
  const isUnheard = isControl === true || accepted > 0;
  return (isUnheard ? days.sinceMs(onDay) : now() - atMs) > limits.queueAgeMs;
}

/** Why it fails then. */
export function tooOld(): TransportError {
  return new TransportError('ERR_REJECTED', 'the message waited for 30 days');
}

/** The rows of what was encrypted for each device. */
export function outboxRows(account: string, { seq, atMs, onDay }: SentRecord, id: string, encrypted: readonly ForDevice[]): Write[] {
  return encrypted.flatMap(({ device, frame, writes }) => [
    ...writes,
    { key: keys.outbox(account, seq, device), value: outboxRecord.encode({ id, bytes: frame, atMs, onDay }) },
  ]);
}

/** An error of ours as a value; any other is thrown. */
function ours(error: unknown): AnyCyphrError {
  if (isCyphrError(error)) return error;
  throw error;
}

/** What waits in `ctx.db`. */
export function waiting(
  ctx: Context,
  contacts: Contacts,
  encryption: Encryption,
  sendLog: SendLog,
  { messages, finish, settle, later }: WaitingHost,
): Waiting {
  const { db, transport } = ctx;
  /** Accounts of which nothing waited when that was last looked for, and nothing was noted since. */
  const clear = new Set<string>();
  let notedCount = 0;

  /** Encrypts a message for every device of the contact that it is still for. */
  const encryptAll = async (
    contact: KnownContact,
    account: string,
    pending: Pending,
    bundles: readonly VerifiedBundle[],
    { blocked, absent }: LeftOut = NOBODY,
  ): Promise<Round> => {
    const message: Outgoing = {
      id: fromHex(wireId(pending.as ?? pending.id))!,
      kind: pending.control === undefined ? 'app' : 'control',
      payload: pending.payload,
    };
    const encrypted: ForDevice[] = [];
    const left: Round['left'][number][] = [];
    const isFor = ({ keyHash: hash }: { keyHash: Uint8Array }): boolean =>
      pending.only === undefined || (pending.only as Uint8Array[]).some((each) => equal(each, hash));
    for (const entry of contact.devices.filter(isFor)) {
      const { device } = entry;
      const name = toHex(entry.keyHash);
      const turn = blocked.get(name);
      if (turn !== undefined) {
        left.push(turn);
        continue;
      }
      const address = { account, device };
      const live = await encryption.usable(contact, account, entry);
      if (live === undefined && (pending.control === 'on-sessions' || (pending.control !== undefined && absent.has(name)))) continue;
      // The pin may have changed since the bundles were fetched.
      const bundle = bundles.find(
        (candidate) =>
          candidate.address.device === device &&
          equal(candidate.accountKeyHash, contact.pin) &&
          equal(keyHash(candidate.deviceKey), entry.keyHash),
      );
      const why = live === undefined ? await encryption.assertMayStart(account, entry).then(() => undefined, ours) : undefined;
      let made: Encrypted | undefined;
      if (live !== undefined) made = await encryption.onSession(contact, address, live, message);
      else if (bundle !== undefined && why === undefined) made = await encryption.onNewSession(contact, bundle, message);
      if (made === undefined) {
        const ask = why === undefined && live === undefined ? device : undefined;
        left.push({ keyHash: entry.keyHash, ask, takes: !(await encryption.wasInVain(account, entry)), why });
        continue;
      }
      const { maxBytes } = transport.limits;
      if (made.frame.length > maxBytes) {
        throw new UsageError('ERR_LENGTH', 'content is too long for this carrier', {
          field: 'content',
          got: made.frame.length,
          max: maxBytes,
        });
      }
      encrypted.push({ ...made, device });
    }
    return { encrypted, left };
  };

  const log: Waiting['log'] = async (contact, account, { id, as, payload, control }, encrypted) => {
    if ((control !== undefined && as === undefined) || encrypted.length === 0) return { writes: [], committed() {} };
    const names = encrypted.map(({ name }) => name);
    return sendLog.add(as ?? id, { account, accountKeyHash: contact.pin, payload, control }, names);
  };

  /** Whether every device of the contact can be written to at once. */
  const isReady = async (contact: KnownContact, account: string): Promise<boolean> => {
    for (const entry of contact.devices) {
      const live = await encryption.usable(contact, account, entry);
      if (live === undefined || !(await encryption.canSeal(live))) return false;
    }
    return true;
  };

  /** Encrypts one message that waits. Answers for which devices it could not be; `undefined` if nothing of the kind is left. */
  const encryptOne = async (
    account: string,
    key: StoreKey,
    bundles: readonly VerifiedBundle[],
    out: LeftOut,
  ): Promise<Round['left'] | undefined> => {
    const row = await db.read(key);
    if (row === undefined) return undefined;
    const pending = pendingRecord.decode(row);
    const { id, as } = pending;
    const record = await messages.load(id);
    if (record === undefined) return undefined;
    if (isTooOld(ctx, record)) return void (await finish(id, 'failed', tooOld(), key));
    // To be sent again, or to a device later than to others.
    if (as !== undefined && pending.only !== undefined && (await isGone(ctx, as, pending.atMs)))
      return void (await finish(id, 'cancelled', undefined, key));
    const contact = await contacts.load(account);
    if (contact === undefined) return [];
    contacts.assertSendable(contact);
    let round: Round;
    try {
      round = await encryptAll(contact, account, pending, bundles, out);
    } catch (error) {
      if (!isCyphrError(error) || error.code !== 'ERR_LENGTH') throw error;
      return void (await finish(id, 'failed', error, key));
    }
    const { encrypted } = round;
    const waitingFor = [...record.waitingFor, ...encrypted.map(({ device }) => device)];
    // Where others of the account get it, a device without keys keeps nobody waiting.
    const isElsewhere = waitingFor.length + record.accepted > 0;
    const present = round.left.filter(({ keyHash: hash }) => !isElsewhere || !out.absent.has(toHex(hash)));
    // Nor does one whose keys are past their date; but it gets the message once it has others.
    const isLate = ({ keyHash: hash }: Round['left'][number]): boolean =>
      isElsewhere && record.isControl !== true && out.late.has(toHex(hash));
    const left = present.filter((each) => !isLate(each));
    if (encrypted.length === 0 && left.length > 0) return left;
    const posts = present
      .filter(isLate)
      .map((each) => later(account, { id: as ?? id, payload: pending.payload, control: pending.control }, each.keyHash));
    const posted = posts.flatMap(({ writes }) => writes);
    if (left.length === 0 && waitingFor.length === 0) {
      // Whoever it was for is gone, or has it.
      if (posted.length > 0) await db.commit(posted);
      for (const each of posts) each.committed();
      // Those that it was encrypted for have refused it, and the others are gone: nobody has it.
      const isNobodys = record.accepted === 0 && pending.only !== undefined;
      if (record.isControl !== true && isNobodys)
        await finish(id, 'failed', new TransportError('ERR_REJECTED', 'no device has taken the message'), key);
      else if (record.isControl !== true) await ctx.lock(`sent ${id}`, () => settle(account, id, record, []));
      else await finish(id, 'cancelled', undefined, key);
      return undefined;
    }
    const next: SentRecord = { ...record, waitingFor, ...(left.length === 0 ? { state: 'queued', code: undefined } : {}) };
    const plaintext: Write[] =
      record.isControl === true
        ? []
        : [{ key: keys.unsent(account, record.seq), value: pendingRecord.encode({ id, payload: pending.payload, atMs: pending.atMs }) }];
    const rest: Write = {
      key,
      value: left.length === 0 ? null : pendingRecord.encode({ ...pending, only: left.map(({ keyHash: hash }) => hash) }),
    };
    const logged = await log(contact, account, pending, encrypted);
    await db.commit([
      rest,
      ...plaintext,
      messages.write(id, next),
      ...outboxRows(account, next, id, encrypted),
      ...logged.writes,
      ...posted,
    ]);
    for (const each of encrypted) each.install();
    logged.committed();
    for (const each of posts) each.committed();
    if (left.length === 0 && record.state === 'held') messages.announce(id, record, 'queued');
    return left.length === 0 ? undefined : left;
  };

  /**
   * The rows that wait. First those for devices that are away, as many as go: of what such a device can't be sent, one row is looked at
   * and not all that a month has left.
   */
  const waitingRows = async function* (account: string, blocked: LeftOut['blocked']): AsyncGenerator<StoreRecord & { key: StoreKey }> {
    let after: StoreKey | undefined;
    for (;;) {
      const [row] = await db.list(['late', account], 1, after);
      if (row === undefined) break;
      yield row;
      const name = row.key[2]!;
      // Beyond all its rows: these end in hex digits.
      after = blocked.has(name) ? ['late', account, name, '~'] : row.key;
    }
    yield* await db.list(['pending', account]);
  };

  /**
   * Encrypts what waits for a session, in the order of the calls; what a device can't be sent now keeps its place before what comes later.
   * Answers for whom something is left, and whether a person's message is among it; `undefined` if nothing is.
   */
  const encryptWith = async (
    account: string,
    bundles: readonly VerifiedBundle[],
    out: Omit<LeftOut, 'blocked'>,
  ): Promise<(Pick<Round, 'left'> & { readonly isPersons: boolean }) | undefined> => {
    const blocked = new Map<string, Round['left'][number]>();
    let isUnknown = false;
    let isPersons = false;
    for await (const { key, value } of waitingRows(account, blocked)) {
      if (ctx.life.hasEnded()) return undefined;
      const pending = pendingRecord.decode(value);
      const { only } = pending;
      // Nothing is to be had for these in this round, but that a person's message goes on without who is late.
      const isBlocked = (name: string): boolean => blocked.has(name) && (isProtocols(pending) || !out.late.has(name));
      const isSkipped = only !== undefined && (only as Uint8Array[]).every((hash) => isBlocked(toHex(hash)));
      const left = isSkipped ? undefined : await ctx.lock(`peer ${account}`, () => encryptOne(account, key, bundles, { ...out, blocked }));
      for (const each of left ?? []) blocked.set(toHex(each.keyHash), each);
      isPersons ||= !isProtocols(pending) && (isSkipped || left !== undefined);
      isUnknown = left?.length === 0;
      if (isUnknown) break;
    }
    return isUnknown || blocked.size > 0 ? { left: [...blocked.values()], isPersons } : undefined;
  };

  /** Whether the list of an account is so new that a device in it may not have come to publish its keys. */
  const isJustListed = async (account: string): Promise<boolean> => {
    const contact = await contacts.load(account);
    if (contact === undefined || contact.devices.length < 2) return false;
    return Math.abs(ctx.now() - parseDeviceList(contact.list).issuedAt) < linkLimits.slotMs;
  };

  /** Of devices that the directory was asked about, notes those without sound keys; `false` if there are no new ones. */
  const noted = async (account: string, wanted: Round['left'], { absent, late }: Known): Promise<boolean> => {
    const unsound = wanted.flatMap(({ ask, keyHash: hash }) => {
      const state = ask === undefined ? 'sound' : contacts.keysOf(account, ask);
      const name = toHex(hash);
      return state === 'sound' || absent.has(name) || late.has(name) ? [] : [{ name, among: state === 'past' ? late : absent }];
    });
    if (unsound.some(({ among }) => among === absent) && (await isJustListed(account)))
      throw new TransportError('ERR_TIMEOUT', 'a device that was just linked has no keys yet');
    for (const { name, among } of unsound) among.add(name);
    return unsound.length > 0;
  };

  /** Encrypts what waits for a session. Asks the directory only if a device has none. Throws what holds the messages, or `ERR_TIMEOUT`. */
  const encryptPending = async (account: string): Promise<void> => {
    const notedBefore = notedCount;
    let bundles: readonly VerifiedBundle[] = [];
    const contact = await contacts.load(account);
    // Perhaps the directory shows the pinned identity again; if not, this throws what holds the messages.
    if (contact?.changedTo !== undefined) await contacts.refresh(account, []);
    if (clear.has(account)) return;
    // Keys that were past their date are seldom others a little later.
    const isPast = ({ device }: DeviceEntry): boolean => contacts.keysOf(account, device, sessionLimits.listRefetchMs) === 'past';
    const late = new Set((contact?.devices ?? []).filter(isPast).map((entry) => toHex(entry.keyHash)));
    const known: Known = { absent: new Set(), late };
    let asked = 0;
    for (;;) {
      const rest = await encryptWith(account, bundles, known);
      if (rest === undefined && notedCount === notedBefore) clear.add(account);
      if (rest === undefined || ctx.life.hasEnded()) return;
      const dead = rest.left.find(({ why }) => why !== undefined)?.why;
      const wanted = rest.left.filter(({ why }) => why === undefined);
      if (asked > 0 && (await noted(account, wanted, known))) continue;
      const isOver = wanted.length > 0 && wanted.every(({ keyHash: hash }) => late.has(toHex(hash)));
      if ((wanted.length === 0 || isOver) && dead !== undefined) throw dead;
      // The protocol's own waits for who is late until something happens.
      if (isOver && !rest.isPersons) return;
      // While an unknown account has started a session itself, only whose it is has to be asked.
      const isStranger = wanted.length === 0 && (await db.list(['peer', account], 1)).length > 0;
      const take =
        wanted.length === 0 ? (isStranger ? [] : ('all' as const)) : wanted.flatMap(({ ask, takes }) => (takes ? (ask ?? []) : []));
      // The first question may only have been whose account it is.
      asked += take.length === 0 ? 1 : 2;
      if (asked > 3 || isOver) {
        const message = 'a device of this account has published no keys, or none of late: the message is held, and goes out once it has';
        throw dead ?? new UsageError('ERR_NO_SESSION', message, { field: 'to' });
      }
      bundles = await ctx.observer.span('handshake', () => contacts.refresh(account, take));
    }
  };

  const expire = async (): Promise<void> => {
    for (const space of ['pending', 'late'])
      await sweep(ctx, [space], async ({ key, value }) => {
        const { id, as, atMs } = pendingRecord.decode(value);
        if (as === undefined || !(await isGone(ctx, as, atMs))) return undefined;
        await ctx.lock(`peer ${key[1]}`, async () => {
          // Encrypted meanwhile, it is on its way.
          if ((await db.read(key)) !== undefined) await finish(id, 'cancelled', undefined, key);
        });
        return undefined;
      });
  };

  return {
    isReady,
    encryptAll,
    log,
    encryptPending,
    async isLeft(account, seq) {
      if (clear.has(account)) return false;
      if (seq !== undefined) return (await db.read(keys.pending(account, seq))) !== undefined;
      return (await db.list(['pending', account], 1)).length > 0;
    },
    noted(account) {
      clear.delete(account);
      notedCount += 1;
    },
    expire,
  };
}
