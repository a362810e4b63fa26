/**
 * Everything that goes out: commit first, then transmit the same bytes until they are accepted.
 *
 * One lane for each account keeps the order of its calls; lanes don't wait for each other. A lane turns plaintext that waits for a
 * session into ciphertext, then transmits. It ends when there is nothing left to do, and is started by a send, by the connection
 * coming up, by a new pin, or by its own back-off.
 */

import { equal, fromHex, toHex } from '../bytes.js';
import { type AnyCyphrError, InternalError, isCyphrError, TransportError, UsageError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { limits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import type { Write } from '../store/port.js';
import type { Contacts, KnownContact } from './contacts.js';
import type { Context } from './context.js';
import type { Encrypted, Encryption } from './encryption.js';
import { abortable, emitter, timer } from './platform.js';
import { keys, outboxRecord, pendingRecord, type SentRecord, sentRecord } from './records.js';
import type { ClientEvent, MessageId, Sent, SentState } from './types.js';

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 60_000;
/** Envelopes of one lane that may wait for acceptance at the same time; they leave in order. */
const IN_FLIGHT = 16;

/** The outgoing side of one client. */
export interface Outbox {
  /** Commits a message that the caller has checked and encoded. Throws what policy or store say; then nothing happened. */
  send(account: string, payload: Uint8Array, key: string | undefined): Promise<Sent>;
  sent(id: string): Promise<Sent | undefined>;
  wake(account: string): void;
  wakeAll(): void;
  queuedCount(): number;
  /** Waits for what is in flight. */
  close(): Promise<void>;
}

interface Lane {
  running: Promise<void> | undefined;
  /** Woken while running: look again before ending. */
  again: boolean;
  attempts: number;
  cancelTimer: () => void;
}

/** The outbox of `ctx`, with everything that an earlier run left waiting. */
export async function outbox(ctx: Context, contacts: Contacts, encryption: Encryption, onCount: () => void): Promise<Outbox> {
  const { db, transport } = ctx;
  const changes = emitter<Extract<ClientEvent, { type: 'sent' }>>();
  /** Messages that wait, by account. */
  const waiting = new Map<string, Set<string>>();
  /** Why a message is held or has failed. */
  const verdicts = new Map<string, AnyCyphrError>();
  const lanes = new Map<string, Lane>();
  const inFlight = new Set<string>();

  const enqueue = (account: string, id: string): void => {
    waiting.set(account, (waiting.get(account) ?? new Set<string>()).add(id));
    ctx.observer.gauge('queued', queuedCount());
    onCount();
  };
  const dequeue = (account: string, id: string): void => {
    const ids = waiting.get(account);
    ids?.delete(id);
    if (ids?.size === 0) waiting.delete(account);
    ctx.observer.gauge('queued', queuedCount());
    onCount();
  };
  const queuedCount = (): number => [...waiting.values()].reduce((sum, ids) => sum + ids.size, 0);
  for (const { key, value } of await db.list(['pending'])) enqueue(key[1]!, pendingRecord.decode(value).id);
  for (const { key, value } of await db.list(['outbox'])) enqueue(key[1]!, outboxRecord.decode(value).id);

  const announce = (id: string, state: SentState, error?: AnyCyphrError): void => {
    if (error === undefined) verdicts.delete(id);
    else verdicts.set(id, error);
    const event = { type: 'sent', id: id as MessageId, state, ...(error === undefined ? {} : { error }) } as const;
    changes.emit(event);
    ctx.events.emit(event);
  };
  const load = async (id: string): Promise<SentRecord | undefined> => {
    const row = await db.read(keys.sent(id));
    return row === undefined ? undefined : sentRecord.decode(row);
  };
  const setState = (id: string, record: SentRecord): Write => ({ key: keys.sent(id), value: sentRecord.encode(record) });
  const isLeaving = (record: SentRecord): boolean => record.state === 'queued' || record.state === 'held';
  /** Every row of a message that has not been accepted everywhere. */
  const rowsOf = ({ to, seq, waitingFor }: SentRecord): Write[] => [
    { key: keys.pending(to, seq), value: null },
    ...waitingFor.map((device): Write => ({ key: keys.outbox(to, seq, device as number), value: null })),
  ];
  /** Ends a message before it was accepted. The caller holds the lock of its account. */
  const finish = async (id: string, record: SentRecord, state: 'cancelled' | 'failed', error?: AnyCyphrError): Promise<void> => {
    await db.commit([...rowsOf(record), setState(id, { ...record, state, waitingFor: [] })]);
    dequeue(record.to, id);
    announce(id, state, error);
  };

  const handle = (id: string, record: SentRecord): Sent => ({
    id: id as MessageId,
    to: { kind: 'person', account: record.to },
    state: record.state as SentState,
    until(state, { signal } = {}) {
      if (state !== 'accepted') return Promise.reject(new UsageError('ERR_ARGUMENT', 'receipts are off', { field: 'state' }));
      let stop = (): void => {};
      const settled = new Promise<void>((resolve, reject) => {
        const judge = (now: SentState): void => {
          if (now === 'accepted') resolve();
          else if (now === 'cancelled') reject(new UsageError('ERR_CLOSED', 'the message was cancelled'));
          else if (now === 'failed') reject(verdicts.get(id) ?? new TransportError('ERR_REJECTED', 'the message was refused for good'));
          else if (now === 'held' && verdicts.has(id)) reject(verdicts.get(id));
        };
        stop = changes.listen((event) => event.id === id && judge(event.state));
        load(id).then((current) => judge((current ?? record).state as SentState), reject);
      });
      return abortable(settled, signal).finally(() => stop());
    },
    cancel: () =>
      ctx.lock(`peer ${record.to}`, async () => {
        const current = (await load(id)) ?? record;
        if (!isLeaving(current) || inFlight.has(id)) return current.state as SentState;
        await finish(id, current, 'cancelled');
        return 'cancelled';
      }),
  });

  /** Encrypts one payload for every device of the contact that has a session or a bundle; `undefined` if one has neither. */
  const encryptAll = async (
    contact: KnownContact,
    account: string,
    id: string,
    payload: Uint8Array,
    bundles: readonly VerifiedBundle[],
  ): Promise<(Encrypted & { device: number })[] | undefined> => {
    const messageId = fromHex(id)!;
    const all: (Encrypted & { device: number })[] = [];
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
      if (live === undefined && bundle === undefined) return undefined;
      const encrypted =
        live !== undefined
          ? await encryption.onSession(contact, address, live, messageId, payload)
          : await encryption.onNewSession(contact, bundle!, messageId, payload);
      all.push({ ...encrypted, device });
    }
    return all;
  };
  const outboxRows = (account: string, seq: number, id: string, encrypted: readonly (Encrypted & { device: number })[]): Write[] =>
    encrypted.flatMap(({ device, frame, writes }) => [
      ...writes,
      { key: keys.outbox(account, seq, device), value: outboxRecord.encode({ id, bytes: frame }) },
    ]);

  const send = async (account: string, payload: Uint8Array, key: string | undefined): Promise<Sent> => {
    const contact = await contacts.load(account);
    if (key !== undefined) {
      const row = await db.read(keys.once(key));
      const earlier = row === undefined ? undefined : toHex(row);
      const record = earlier === undefined ? undefined : await load(earlier);
      if (earlier !== undefined && record !== undefined && ctx.now() - record.atMs < limits.idempotencyKeyMs)
        return handle(earlier, record);
    }
    if (contact !== undefined) contacts.assertSendable(contact);
    const id = toHex(ctx.rng(16));
    const seq = ctx.nextSeq();
    const atMs = ctx.now();
    // Behind plaintext that still waits, a message must wait too: the order of calls is the order of encryption.
    const mustWait = contact === undefined || (await db.list(['pending', account], 1)).length > 0;
    const encrypted = mustWait ? undefined : await encryptAll(contact, account, id, payload, []);
    const waitingFor = encrypted?.map(({ device }) => device) ?? [];
    const record: SentRecord = { to: account, state: 'queued', atMs, seq, waitingFor, key };
    const rows: Write[] = [setState(id, record)];
    if (key !== undefined) rows.push({ key: keys.once(key), value: fromHex(id)! });
    if (encrypted === undefined) rows.push({ key: keys.pending(account, seq), value: pendingRecord.encode({ id, payload, atMs }) });
    else rows.push(...outboxRows(account, seq, id, encrypted));
    await db.commit(rows);
    for (const each of encrypted ?? []) each.install();
    enqueue(account, id);
    self.wake(account);
    return handle(id, record);
  };

  /** Encrypts what waits for a session, in order. Asks the directory only if a device has no session. Throws what holds the messages. */
  const encryptPending = async (account: string): Promise<void> => {
    let bundles: readonly VerifiedBundle[] = [];
    let asked = false;
    // Perhaps the directory shows the pinned identity again; if not, this throws what holds the messages.
    if ((await contacts.load(account))?.changedTo !== undefined) await contacts.refresh(account, []);
    for (;;) {
      const outcome = await ctx.lock(`peer ${account}`, async () => {
        const [row] = await db.list(['pending', account], 1);
        if (row === undefined) return 'done';
        const contact = await contacts.load(account);
        if (contact === undefined) return 'ask';
        contacts.assertSendable(contact);
        const { id, payload } = pendingRecord.decode(row.value);
        const record = (await load(id))!;
        if (ctx.now() - record.atMs > limits.queueAgeMs) {
          await finish(id, record, 'failed', new TransportError('ERR_REJECTED', 'the message waited for 30 days'));
          return 'next';
        }
        const encrypted = await encryptAll(contact, account, id, payload, bundles);
        if (encrypted === undefined) return 'ask';
        const waitingFor = encrypted.map(({ device }) => device);
        await db.commit([
          { key: row.key, value: null },
          setState(id, { ...record, state: 'queued', code: undefined, waitingFor }),
          ...outboxRows(account, record.seq, id, encrypted),
        ]);
        for (const each of encrypted) each.install();
        if (record.state === 'held') announce(id, 'queued');
        return 'next';
      });
      if (outcome === 'done') return;
      if (outcome === 'ask') {
        if (asked) throw new UsageError('ERR_NO_SESSION', 'a device of this account has published no keys', { field: 'to' });
        asked = true;
        const contact = await contacts.load(account);
        const missing = contact === undefined ? 'all' : await missingDevices(account, contact);
        bundles = await ctx.observer.span('handshake', () => contacts.refresh(account, missing));
      }
    }
  };
  const missingDevices = async (account: string, contact: KnownContact): Promise<number[]> => {
    const missing: number[] = [];
    for (const entry of contact.devices) if ((await encryption.usable(contact, account, entry)) === undefined) missing.push(entry.device);
    return missing;
  };

  /** Marks everything that waits for a session as held, with the reason. */
  const hold = (account: string, error: AnyCyphrError): Promise<void> =>
    ctx.lock(`peer ${account}`, async () => {
      for (const { value } of await db.list(['pending', account])) {
        const { id } = pendingRecord.decode(value);
        const record = await load(id);
        if (record === undefined) continue;
        if (record.state !== 'held') await db.commit([setState(id, { ...record, state: 'held', code: error.code })]);
        announce(id, 'held', error);
      }
    });

  /** One device has it: forget the bytes, and say so when it was the last. */
  const accepted = (account: string, id: string, device: number): Promise<void> =>
    ctx.lock(`sent ${id}`, async () => {
      const record = await load(id);
      if (record === undefined || !isLeaving(record)) return;
      const waitingFor = record.waitingFor.filter((other) => other !== device);
      const state = waitingFor.length === 0 ? 'accepted' : record.state;
      await db.commit([{ key: keys.outbox(account, record.seq, device), value: null }, setState(id, { ...record, state, waitingFor })]);
      if (state !== 'accepted') return;
      dequeue(account, id);
      announce(id, 'accepted');
    });

  const isForGood = (error: unknown): error is TransportError =>
    error instanceof TransportError && error.code === 'ERR_REJECTED' && error.retryAfterMs === undefined;

  /** Transmits what is encrypted, oldest first, a few at a time. Throws the first failure that a later attempt may mend. */
  const transmit = async (account: string): Promise<void> => {
    let after: Parameters<typeof db.list>[2];
    let failure: unknown;
    const flying = new Set<Promise<void>>();
    while (failure === undefined && !ctx.closed()) {
      const page = await db.list(['outbox', account], IN_FLIGHT, after);
      if (page.length === 0) break;
      for (const { key, value } of page) {
        if (flying.size >= IN_FLIGHT) await Promise.race(flying);
        if (failure !== undefined || ctx.closed()) break;
        after = key;
        const { id, bytes } = outboxRecord.decode(value);
        const device = Number(key[3]);
        inFlight.add(id);
        const flight = ctx.observer
          .span('transport.send', () => transport.send({ account, device }, bytes), { paddedBytes: bytes.length })
          .then(
            () => accepted(account, id, device),
            async (error: unknown) => {
              if (!isForGood(error)) throw error;
              const record = await load(id);
              if (record !== undefined && isLeaving(record)) await finish(id, record, 'failed', error);
            },
          )
          .catch((error: unknown) => {
            failure ??= error;
          })
          .finally(() => {
            inFlight.delete(id);
            flying.delete(flight);
          });
        flying.add(flight);
      }
    }
    await Promise.all(flying);
    if (failure !== undefined) throw failure;
  };

  const runLane = async (account: string, lane: Lane): Promise<void> => {
    do {
      lane.again = false;
      try {
        let held: AnyCyphrError | undefined;
        try {
          await encryptPending(account);
        } catch (error) {
          if (!isCyphrError(error) || error.action === 'retry') throw error;
          held = error;
        }
        if (held !== undefined) await hold(account, held);
        await transmit(account);
        lane.attempts = 0;
      } catch (error) {
        if (ctx.closed()) return;
        retryLater(account, lane, error);
        return;
      }
    } while (lane.again && !ctx.closed());
  };

  const retryLater = (account: string, lane: Lane, error: unknown): void => {
    const known = isCyphrError(error) ? error : new InternalError('ERR_BUG', 'unexpected failure while sending', { cause: error });
    ctx.observer.log('info', 'send-retry', known.code);
    const ceiling = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** lane.attempts);
    const [byte] = ctx.rng(1);
    const delayMs = known.retryAfterMs ?? (ceiling * (byte! + 1)) / 256;
    lane.attempts += 1;
    lane.again = false;
    lane.cancelTimer = timer(() => self.wake(account), delayMs);
  };

  const self: Outbox = {
    send: (account, payload, key) => ctx.lock(`peer ${account}`, () => send(account, payload, key)),
    async sent(id) {
      const record = await load(id);
      return record === undefined ? undefined : handle(id, record);
    },
    wake(account) {
      if (ctx.closed() || !waiting.has(account)) return;
      const lane = lanes.get(account) ?? { running: undefined, again: false, attempts: 0, cancelTimer: () => {} };
      lanes.set(account, lane);
      lane.cancelTimer();
      if (lane.running !== undefined) {
        lane.again = true;
        return;
      }
      lane.running = runLane(account, lane).finally(() => {
        lane.running = undefined;
        if (!waiting.has(account)) lanes.delete(account);
        else if (lane.again) self.wake(account);
      });
    },
    wakeAll() {
      for (const account of waiting.keys()) self.wake(account);
    },
    queuedCount,
    async close() {
      for (const lane of lanes.values()) lane.cancelTimer();
      await Promise.all([...lanes.values()].map((lane) => lane.running));
    },
  };
  return self;
}
