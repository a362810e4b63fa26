/**
 * Everything that goes out: commit first, then transmit the same bytes until they are accepted.
 *
 * One lane for each account (lanes.ts) keeps the order of its calls; lanes don't wait for each other. A lane turns plaintext that waits
 * for a session into ciphertext, then transmits. It is started by a send, by the connection coming up, or by a new pin. The plaintext
 * stays until the ciphertext was accepted for every device: a device that was replaced meanwhile can't read what was made for it.
 */

import { equal, fromHex, toHex } from '../bytes.js';
import { type AnyCyphrError, isCyphrError, TransportError, UsageError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { limits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import type { StoreKey, Write } from '../store/port.js';
import type { Contacts, KnownContact } from './contacts.js';
import type { Context } from './context.js';
import type { Encrypted, Encryption } from './encryption.js';
import type { Calls, Input, SentFacts } from './engine.js';
import type { Greetings } from './greetings.js';
import { lanes } from './lanes.js';
import { abortReason } from './platform.js';
import { keys, outboxRecord, pendingRecord, type SentRecord } from './records.js';
import { requeued, sentMessages } from './sent.js';
import type { SentState } from './types.js';

/** Envelopes of one lane that may wait for acceptance at the same time; they leave in order. */
const IN_FLIGHT = 16;

/** The outgoing side of one client. */
export interface Outbox {
  /** Commits a message that the caller has checked and encoded. */
  readonly send: Calls['send'];
  readonly sent: Calls['sent'];
  readonly until: Calls['until'];
  readonly cancel: Calls['cancel'];
  wake(account: string): void;
  wakeAll(): void;
  queuedCount(): number;
  /** Waits for what is in flight. */
  close(): Promise<void>;
}

/** An encryption for one device of the recipient. */
type ForDevice = Encrypted & { readonly device: number };

/** The outbox of `ctx`, with everything that an earlier run left waiting. */
export async function outbox(
  ctx: Context,
  contacts: Contacts,
  encryption: Encryption,
  greetings: Greetings,
  onCount: () => void,
): Promise<Outbox> {
  const { db, transport } = ctx;
  /** Messages that wait, by account. A message that is cancelled leaves at once, before its rows do. */
  const waiting = new Map<string, Set<string>>();
  /** How many envelopes of a message are with the carrier. */
  const inFlight = new Map<string, number>();

  const note = (account: string, id: string): void => {
    waiting.set(account, (waiting.get(account) ?? new Set<string>()).add(id));
  };
  const counted = (): void => {
    ctx.observer.gauge('queued', queuedCount());
    onCount();
  };
  const enqueue = (account: string, id: string): void => {
    note(account, id);
    counted();
  };
  const dequeue = (account: string, id: string): void => {
    const ids = waiting.get(account);
    ids?.delete(id);
    if (ids?.size === 0) waiting.delete(account);
    counted();
  };
  const isWaiting = (account: string, id: string): boolean => waiting.get(account)?.has(id) === true;
  const queuedCount = (): number => [...waiting.values()].reduce((sum, ids) => sum + ids.size, 0);
  for (const { key, value } of await db.list(['pending'])) note(key[1]!, pendingRecord.decode(value).id);
  for (const { key, value } of await db.list(['outbox'])) note(key[1]!, outboxRecord.decode(value).id);

  const isLeaving = (record: SentRecord): boolean => record.state === 'queued' || record.state === 'held';
  const isTooOld = (atMs: number): boolean => ctx.now() - atMs > limits.queueAgeMs;
  const tooOld = (): TransportError => new TransportError('ERR_REJECTED', 'the message waited for 30 days');
  /** Every row of a message that has not been accepted everywhere. */
  const rowsOf = ({ to, seq, waitingFor }: SentRecord): Write[] => [
    { key: keys.pending(to, seq), value: null },
    { key: keys.unsent(to, seq), value: null },
    ...waitingFor.map((device): Write => ({ key: keys.outbox(to, seq, device as number), value: null })),
  ];
  /** Ends a message that was not accepted everywhere, whatever became of it meanwhile; returns its state. */
  const finish = (id: string, state: 'cancelled' | 'failed', error?: AnyCyphrError): Promise<SentState> =>
    ctx.lock(`sent ${id}`, async () => {
      const record = (await messages.load(id))!;
      if (!isLeaving(record)) return record.state as SentState;
      await db.commit([...rowsOf(record), messages.write(id, { ...record, state, waitingFor: [], code: error?.code })]);
      dequeue(record.to, id);
      messages.announce(id, state, error);
      return state;
    });

  const messages = sentMessages(ctx);
  const factsOf = (id: string, { to, state }: SentRecord): SentFacts => ({ id, account: to, state: state as SentState });
  const cancel: Outbox['cancel'] = ({ id, account: to }) =>
    ctx.lock(`peer ${to}`, async () => {
      ctx.life.assertOpen();
      const record = await messages.load(id);
      if (record === undefined || !isLeaving(record)) return (record?.state ?? 'failed') as SentState;
      if (record.accepted > 0 || inFlight.has(id)) return record.state as SentState;
      waiting.get(to)?.delete(id);
      try {
        return await finish(id, 'cancelled');
      } catch (error) {
        enqueue(to, id);
        self.wake(to);
        throw error;
      }
    });

  /** Encrypts one payload for every device of the contact; `undefined` if the directory has to be asked for keys of one. */
  const encryptAll = async (
    contact: KnownContact,
    account: string,
    id: string,
    payload: Uint8Array,
    bundles: readonly VerifiedBundle[],
  ): Promise<ForDevice[] | undefined> => {
    const messageId = fromHex(id)!;
    const all: ForDevice[] = [];
    for (const entry of contact.devices) {
      const { device } = entry;
      const address = { account, device };
      const live = await encryption.usable(contact, account, entry);
      // The pin may have changed since the bundles were fetched.
      const bundle = bundles.find(
        (candidate) =>
          candidate.address.device === device &&
          equal(candidate.accountKeyHash, contact.pin) &&
          equal(keyHash(candidate.deviceKey), entry.keyHash),
      );
      if (live === undefined ? bundle === undefined : !(await encryption.canSeal(live))) return undefined;
      const encrypted =
        live !== undefined
          ? await encryption.onSession(contact, address, live, messageId, payload)
          : await encryption.onNewSession(contact, bundle!, messageId, payload);
      const { maxBytes } = transport.limits;
      if (encrypted.frame.length > maxBytes) {
        throw new UsageError('ERR_LENGTH', 'content is too long for this carrier', {
          field: 'content',
          got: encrypted.frame.length,
          max: maxBytes,
        });
      }
      all.push({ ...encrypted, device });
    }
    return all;
  };
  const outboxRows = (account: string, { seq, atMs }: SentRecord, id: string, encrypted: readonly ForDevice[]): Write[] =>
    encrypted.flatMap(({ device, frame, writes }) => [
      ...writes,
      { key: keys.outbox(account, seq, device), value: outboxRecord.encode({ id, bytes: frame, atMs }) },
    ]);

  /** The message that `key` stands for, if it was sent in the last 30 days. Throws `ERR_ARGUMENT` if it went to another account. */
  const earlier = async (account: string, key: string): Promise<SentFacts | undefined> => {
    const row = await db.read(keys.once(key));
    const id = row === undefined ? '' : toHex(row);
    const record = row === undefined ? undefined : await messages.load(id);
    if (record === undefined || ctx.now() - record.atMs >= limits.idempotencyKeyMs) return undefined;
    if (record.to !== account) throw new UsageError('ERR_ARGUMENT', 'this key stands for a message to another account', { field: 'key' });
    return factsOf(id, record);
  };

  const send = async ({ account, payload, id, key }: Input<'send'>, signal: AbortSignal | undefined): Promise<SentFacts> => {
    ctx.life.assertOpen();
    // Sent before, through an engine that was gone before it could say so.
    const repeated = await messages.load(id);
    if (repeated !== undefined) return factsOf(id, repeated);
    const known = key === undefined ? undefined : await earlier(account, key);
    if (known !== undefined) return known;
    const contact = await contacts.load(account);
    if (contact !== undefined) contacts.assertSendable(contact);
    const seq = ctx.nextSeq();
    const atMs = ctx.now();
    // Behind plaintext that still waits, a message must wait too: the order of calls is the order of encryption.
    const mustWait = contact === undefined || (await db.list(['pending', account], 1)).length > 0;
    const encrypted = mustWait ? undefined : await encryptAll(contact, account, id, payload, []);
    const waitingFor = encrypted?.map(({ device }) => device) ?? [];
    const record: SentRecord = { to: account, state: 'queued', atMs, seq, waitingFor, accepted: 0, key };
    const rows: Write[] = [messages.write(id, record)];
    if (key !== undefined) rows.push({ key: keys.once(key), value: fromHex(id)! });
    const place = encrypted === undefined ? keys.pending(account, seq) : keys.unsent(account, seq);
    rows.push({ key: place, value: pendingRecord.encode({ id, payload, atMs }) });
    if (encrypted !== undefined) rows.push(...outboxRows(account, record, id, encrypted));
    ctx.life.assertOpen();
    if (signal?.aborted === true) throw abortReason(signal);
    await db.commit(rows);
    for (const each of encrypted ?? []) each.install();
    enqueue(account, id);
    self.wake(account);
    return factsOf(id, record);
  };

  /** Encrypts the oldest message that waits for a session. `ask` is the answer while a device of the account has neither session nor bundle. */
  const encryptOldest = async (account: string, bundles: readonly VerifiedBundle[]): Promise<'done' | 'next' | 'ask'> => {
    const [row] = await db.list(['pending', account], 1);
    if (row === undefined) return 'done';
    const { id, payload, atMs } = pendingRecord.decode(row.value);
    if (isTooOld(atMs)) {
      await finish(id, 'failed', tooOld());
      return 'next';
    }
    const contact = await contacts.load(account);
    if (contact === undefined) return 'ask';
    contacts.assertSendable(contact);
    let encrypted: ForDevice[] | undefined;
    try {
      encrypted = await encryptAll(contact, account, id, payload, bundles);
    } catch (error) {
      if (!isCyphrError(error) || error.code !== 'ERR_LENGTH') throw error;
      await finish(id, 'failed', error);
      return 'next';
    }
    if (encrypted === undefined) return 'ask';
    const record = (await messages.load(id))!;
    const next: SentRecord = { ...record, state: 'queued', code: undefined, waitingFor: encrypted.map(({ device }) => device) };
    const plaintext: Write = { key: keys.unsent(account, record.seq), value: row.value };
    await db.commit([{ key: row.key, value: null }, plaintext, messages.write(id, next), ...outboxRows(account, next, id, encrypted)]);
    for (const each of encrypted) each.install();
    if (record.state === 'held') messages.announce(id, 'queued');
    return 'next';
  };

  /** Encrypts what waits for a session, in order. Asks the directory only if a device has no session. Throws what holds the messages. */
  const encryptPending = async (account: string): Promise<void> => {
    let bundles: readonly VerifiedBundle[] = [];
    // Perhaps the directory shows the pinned identity again; if not, this throws what holds the messages.
    if ((await contacts.load(account))?.changedTo !== undefined) await contacts.refresh(account, []);
    let asked = 0;
    for (;;) {
      const outcome = await ctx.lock(`peer ${account}`, () => encryptOldest(account, bundles));
      if (outcome === 'done' || ctx.life.hasEnded()) return;
      if (outcome === 'next') continue;
      const missing = await ctx.lock(`peer ${account}`, () => missingDevices(account));
      // The first question may only have been whose account it is.
      asked += missing.length === 0 ? 1 : 2;
      if (asked > 3) {
        const message = 'a device of this account has published no keys: the message is held, and goes out once it has';
        throw new UsageError('ERR_NO_SESSION', message, { field: 'to' });
      }
      bundles = await ctx.observer.span('handshake', () => contacts.refresh(account, missing));
    }
  };
  /** The devices to which a session must be started; none while an unknown account has started one itself. Throws `ERR_SESSION_DEAD`. */
  const missingDevices = async (account: string): Promise<'all' | number[]> => {
    const contact = await contacts.load(account);
    if (contact !== undefined) return encryption.missing(contact, account);
    return (await db.list(['peer', account], 1)).length > 0 ? [] : 'all';
  };

  /** Marks everything that waits for a session as held, with the reason. */
  const hold = (account: string, error: AnyCyphrError): Promise<void> =>
    ctx.lock(`peer ${account}`, async () => {
      for (const { value } of await db.list(['pending', account])) {
        const { id } = pendingRecord.decode(value);
        const record = await messages.load(id);
        if (record === undefined) continue;
        const isNews = record.state !== 'held' || record.code !== error.code;
        if (isNews) await db.commit([messages.write(id, { ...record, state: 'held', code: error.code })]);
        messages.announce(id, 'held', error, isNews);
      }
    });

  /** One device has it: forget the bytes, and say so when it was the last. */
  const accepted = (account: string, id: string, device: number): Promise<void> =>
    ctx.lock(`sent ${id}`, async () => {
      const record = await messages.load(id);
      if (record === undefined || !isLeaving(record)) return;
      const waitingFor = record.waitingFor.filter((other) => other !== device);
      const state = waitingFor.length === 0 ? 'accepted' : record.state;
      const next = { ...record, state, waitingFor, accepted: record.accepted + 1 };
      const rows: Write[] = [{ key: keys.outbox(account, record.seq, device), value: null }, messages.write(id, next)];
      if (state === 'accepted') rows.push({ key: keys.unsent(account, record.seq), value: null });
      await db.commit(rows);
      if (state !== 'accepted') return;
      dequeue(account, id);
      messages.announce(id, 'accepted');
    });

  const isForGood = (error: unknown): error is AnyCyphrError =>
    isCyphrError(error) &&
    (error.code === 'ERR_REJECTED' ? error.retryAfterMs === undefined : error.action === 'fix' && error.code !== 'ERR_CLOSED');

  /** Whether the account's newest list lacks a device that stood in it when a message was encrypted. */
  const isReplaced = async (account: string, device: number): Promise<boolean> => {
    const contact = await contacts.load(account);
    return contact !== undefined && !contact.devices.some((entry) => entry.device === device);
  };
  /** Puts a message back where it waits for sessions, with its id; `false` if its plaintext is not here, as before format 2. */
  const encryptAgain = (account: string, id: string): Promise<boolean> =>
    ctx.lock(`peer ${account}`, () =>
      ctx.lock(`sent ${id}`, async () => {
        const record = await messages.load(id);
        if (record === undefined || !isLeaving(record)) return true;
        const writes = requeued(id, record, await db.read(keys.unsent(account, record.seq)));
        if (writes === undefined) return false;
        await db.commit(writes);
        lane.wake(account);
        return true;
      }),
    );

  /** Hands one envelope to the carrier; settles once it is accepted, or refused for good. */
  const transmitOne = async (account: string, device: number, id: string, bytes: Uint8Array): Promise<void> => {
    inFlight.set(id, (inFlight.get(id) ?? 0) + 1);
    try {
      const task = (): Promise<void> => ctx.life.race(transport.send({ account, device }, bytes));
      await ctx.observer.span('transport.send', task, { paddedBytes: bytes.length });
      await accepted(account, id, device);
    } catch (error) {
      if (!isForGood(error)) throw error;
      await finish(id, 'failed', error);
    } finally {
      const count = inFlight.get(id)! - 1;
      if (count === 0) inFlight.delete(id);
      else inFlight.set(id, count);
    }
  };

  /** Transmits what is encrypted, oldest first, a few at a time. Throws the first failure that a later attempt may mend. */
  const transmit = async (account: string): Promise<void> => {
    let after: StoreKey | undefined;
    let failure: unknown;
    const flying = new Set<Promise<void>>();
    while (failure === undefined && !ctx.life.hasEnded()) {
      const page = await db.list(['outbox', account], IN_FLIGHT, after);
      if (page.length === 0) break;
      for (const { key, value } of page) {
        if (flying.size >= IN_FLIGHT) await Promise.race(flying);
        if (failure !== undefined || ctx.life.hasEnded()) break;
        after = key;
        const { id, bytes, atMs } = outboxRecord.decode(value);
        // Cancelled since the page was read.
        if (!isWaiting(account, id)) continue;
        const device = Number(key[3]);
        if ((await isReplaced(account, device)) && (await encryptAgain(account, id))) continue;
        const task = isTooOld(atMs) ? finish(id, 'failed', tooOld()) : transmitOne(account, device, id, bytes);
        const flight: Promise<void> = task.then(
          () => void flying.delete(flight),
          (error: unknown) => {
            failure ??= error;
            flying.delete(flight);
          },
        );
        flying.add(flight);
      }
    }
    await Promise.all(flying);
    if (failure !== undefined) throw failure;
  };

  /** Runs `task`; what waits for longer than a retry holds the account's messages, and is the result. */
  const orHeld = async (account: string, task: () => Promise<void>): Promise<AnyCyphrError | undefined> => {
    try {
      await task();
      return undefined;
    } catch (error) {
      if (!isCyphrError(error) || error.action === 'retry') throw error;
      await hold(account, error);
      return error;
    }
  };

  const lane = lanes(ctx, {
    isDue: (account) => waiting.has(account) || greetings.isDue(account),
    async run(account) {
      if (await greetings.mustWait(account)) return undefined;
      const held = await orHeld(account, () => encryptPending(account));
      await transmit(account);
      // Last: whatever a greeting waits for keeps no message.
      const greeted = await orHeld(account, () => greetings.start(account));
      await greetings.transmit(account);
      return held ?? greeted;
    },
  });

  const self: Outbox = {
    send: (input, signal) =>
      ctx.lock(`peer ${input.account}`, () => {
        const task = (): Promise<SentFacts> => send(input, signal);
        return input.key === undefined ? task() : ctx.lock(`key ${input.key}`, task);
      }),
    async sent({ id }) {
      ctx.life.assertOpen();
      const record = await messages.load(id);
      return record === undefined ? undefined : factsOf(id, record);
    },
    until: messages.until,
    cancel,
    wake: lane.wake,
    wakeAll() {
      for (const account of new Set([...waiting.keys(), ...greetings.accounts()])) lane.wake(account);
    },
    queuedCount,
    close: lane.close,
  };
  return self;
}
