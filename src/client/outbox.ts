/**
 * Everything that goes out: commit first, then transmit the same bytes until they are accepted.
 *
 * One lane for each account (lanes.ts) keeps the order of its calls; lanes don't wait for each other. A lane turns plaintext that waits
 * for a session into ciphertext (waiting.ts), then transmits (transmission.ts). It is started by a send, by the connection coming up, or by a new pin. The plaintext
 * stays until the ciphertext was accepted for every device: a device that was replaced meanwhile can't read what was made for it. A
 * device with which there can be no session yet keeps nobody else waiting: what is left to encrypt stays for it alone.
 *
 * Control messages take the same way, without a word to the application. Once a person's message was accepted for a first device, a copy
 * of it is queued for one's own other devices.
 */

import { fromHex, toHex } from '../bytes.js';
import { type AnyCyphrError, isCyphrError, UsageError } from '../errors.js';
import { limits } from '../limits.js';
import type { StoreKey, Write } from '../store/port.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import { type Control, type ControlHandlers, encodeControl } from './control.js';
import type { Encryption } from './encryption.js';
import type { Calls, Input, SentFacts } from './engine.js';
import type { Greetings } from './greetings.js';
import { lanes } from './lanes.js';
import { abortReason } from './platform.js';
import { keys, outboxRecord, pendingRecord, type SentRecord } from './records.js';
import { copyName, forget, type Resend, type SendLog } from './sendlog.js';
import { queued, requeued, sentMessages, withoutRows } from './sent.js';
import type { Talk } from './talk.js';
import { transmission as openTransmission } from './transmission.js';
import type { SentState } from './types.js';
import { waiting as openWaiting, outboxRows, type WaitingHost } from './waiting.js';

const NONE: ReadonlySet<string> = new Set();

/** The outgoing side of one client. */
export interface Outbox {
  /** Commits a message that the caller has checked and encoded. */
  readonly send: Calls['send'];
  readonly sent: Calls['sent'];
  readonly until: Calls['until'];
  /** What a device says of messages that were sent to it. */
  readonly receipts: ControlHandlers['receipts'];
  readonly cancel: Calls['cancel'];
  /** Prepares a control message for an account: nothing happens before its rows are committed. */
  post(account: string, control: Control, options?: PostOptions): Posted;
  /** Prepares a message to be sent again to one device, H(DIK), under its id; without a word to the application. */
  postAgain(account: string, message: Omit<Resend, 'write'>, deviceKeyHash: Uint8Array): Posted;
  /** Cancels what still waits to be sent to devices later than to others, or to one's own, and is there no more for its author. */
  expire(): Promise<void>;
  wake(account: string): void;
  wakeAll(): void;
  queuedCount(): number;
  /** Waits for what is in flight. */
  close(): Promise<void>;
}

/** Whom a control message is for. */
export interface PostOptions {
  /** H(DIK) of the devices; all that are listed when it is encrypted, if absent. */
  readonly only?: readonly Uint8Array[] | undefined;
  /** Not worth a new session: devices without one are left out. */
  readonly sessionsOnly?: boolean | undefined;
  /** The message's id, 32 hex digits, to wait for it by `until`; a fresh one if absent. */
  readonly id?: string | undefined;
}

/** A control message to be committed: `committed` is called after. */
export interface Posted {
  readonly writes: readonly Write[];
  committed(): void;
}

/** The outbox of `ctx`, with everything that an earlier run left waiting. */
export async function outbox(
  ctx: Context,
  contacts: Contacts,
  encryption: Encryption,
  greetings: Greetings,
  talk: Talk,
  log: SendLog,
  onCount: () => void,
): Promise<Outbox> {
  const { db } = ctx;
  /** Messages that wait, by account. A message that is cancelled leaves at once, before its rows do. */
  const waiting = new Map<string, Set<string>>();

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
    controls.delete(id);
    ids?.delete(id);
    if (ids?.size === 0) waiting.delete(account);
    counted();
  };
  /** Messages of the protocol among those that wait: the application is not told of them. */
  const controls = new Set<string>();
  const queuedCount = (): number => {
    let count = 0;
    for (const ids of waiting.values()) for (const id of ids) if (!controls.has(id)) count += 1;
    return count;
  };

  const isLeaving = (record: SentRecord): boolean => record.state === 'queued' || record.state === 'held';
  /** Ends a message that was not accepted everywhere, whatever became of it meanwhile; returns its state. One that some device has has not failed. */
  const finish: WaitingHost['finish'] = (id, end, error, at) =>
    ctx.lock(`sent ${id}`, async () => {
      const record = await messages.load(id);
      if (record === undefined) return end;
      const isTaken = end === 'cancelled' && at === undefined && record.accepted > 0;
      if (!isLeaving(record) || isTaken) return record.state as SentState;
      const isThere = end === 'failed' && record.accepted > 0;
      const state = isThere ? 'accepted' : end;
      const verdict = isThere ? { acceptedAtMs: ctx.now(), code: undefined } : { code: error?.code };
      const ended = messages.write(id, { ...record, state, waitingFor: [], ...verdict });
      await db.commit([...withoutRows(record, at), ended, ...(record.isControl === true || isThere ? [] : forget(id))]);
      if (isThere || (end === 'failed' && record.isControl === true)) ctx.observer.log('warn', 'device-not-reached', error?.code);
      dequeue(record.to, id);
      messages.announce(id, record, state, isThere ? undefined : error);
      return state;
    });

  const messages = sentMessages(ctx);
  for (const space of ['pending', 'late', 'outbox'] as const) {
    for (const { key, value } of await db.list([space])) {
      const { id } = (space === 'outbox' ? outboxRecord : pendingRecord).decode(value);
      note(key[1]!, id);
      if ((await messages.load(id))?.isControl === true) controls.add(id);
      else await messages.resumed(id);
    }
  }
  const cancel: Outbox['cancel'] = ({ id, account: to }) =>
    ctx.lock(`peer ${to}`, async () => {
      ctx.life.assertOpen();
      const record = await messages.load(id);
      if (record === undefined || !isLeaving(record)) return (record?.state ?? 'failed') as SentState;
      if (record.accepted > 0 || isUnderWay(id)) return record.state as SentState;
      waiting.get(to)?.delete(id);
      let isOver = false;
      try {
        const state = await finish(id, 'cancelled');
        isOver = state !== 'queued' && state !== 'held';
        return state;
      } finally {
        if (!isOver) {
          enqueue(to, id);
          self.wake(to);
        }
      }
    });

  /** The message that `key` stands for, if it was sent in the last 30 days. Throws `ERR_ARGUMENT` if it went to another account. */
  const earlier = async (account: string, key: string): Promise<SentFacts | undefined> => {
    const row = await db.read(keys.once(key));
    const id = row === undefined ? '' : toHex(row);
    const record = row === undefined ? undefined : await messages.load(id);
    if (record === undefined || ctx.now() - record.atMs >= limits.idempotencyKeyMs) return undefined;
    if (record.to !== account) throw new UsageError('ERR_ARGUMENT', 'this key stands for a message to another account', { field: 'key' });
    return messages.facts(id, record);
  };

  const send = async ({ account, payload: content, id, key }: Input<'send'>, signal: AbortSignal | undefined): Promise<SentFacts> => {
    ctx.life.assertOpen();
    // Sent before, through an engine that was gone before it could say so.
    const repeated = await messages.load(id);
    if (repeated !== undefined) return messages.facts(id, repeated);
    const known = key === undefined ? undefined : await earlier(account, key);
    if (known !== undefined) return known;
    const contact = await contacts.load(account);
    if (contact !== undefined) contacts.assertSendable(contact);
    const { payload, writes, ...said } = await talk.outgoing(account, id, content);
    const fresh = queued(ctx, account);
    const { seq, atMs } = fresh;
    // Behind plaintext that still waits, a message must wait too: the order of calls is the order of encryption.
    const mustWait = contact === undefined || (await unencrypted.isLeft(account));
    const round =
      mustWait || !(await unencrypted.isReady(contact, account))
        ? undefined
        : await unencrypted.encryptAll(contact, account, { id, payload, atMs }, []);
    const encrypted = round?.left.length === 0 ? round.encrypted : undefined;
    const waitingFor = encrypted?.map(({ device }) => device) ?? [];
    const record: SentRecord = { ...fresh, waitingFor, key, ...said };
    const rows: Write[] = [messages.write(id, record), ...writes];
    if (key !== undefined) rows.push({ key: keys.once(key), value: fromHex(id)! });
    const place = encrypted === undefined ? keys.pending(account, seq) : keys.unsent(account, seq);
    rows.push({ key: place, value: pendingRecord.encode({ id, payload, atMs }) });
    if (encrypted !== undefined) rows.push(...outboxRows(account, record, id, encrypted));
    const logged = encrypted && (await unencrypted.log(contact!, account, { id, payload, atMs }, encrypted));
    rows.push(...(logged?.writes ?? []));
    ctx.life.assertOpen();
    if (signal?.aborted === true) throw abortReason(signal);
    await db.commit(rows);
    for (const each of encrypted ?? []) each.install();
    logged?.committed();
    if (encrypted === undefined) unencrypted.noted(account);
    enqueue(account, id);
    self.wake(account);
    return messages.facts(id, record);
  };

  /** Marks everything that waits for a session as held, with the reason. */
  const hold = (account: string, error: AnyCyphrError): Promise<void> =>
    ctx.lock(`peer ${account}`, async () => {
      for (const { value } of await db.list(['pending', account])) {
        const { id } = pendingRecord.decode(value);
        const record = await messages.load(id);
        if (record === undefined) continue;
        const isNews = record.state !== 'held' || record.code !== error.code;
        if (record.isControl === true) continue;
        if (isNews) await db.commit([messages.write(id, { ...record, state: 'held', code: error.code })]);
        messages.announce(id, record, 'held', error, isNews);
      }
    });

  /** One device has it: forget the bytes, and say so when it was the last. */
  const accepted = (account: string, id: string, device: number): Promise<void> =>
    ctx.lock(`sent ${id}`, async () => {
      const record = await messages.load(id);
      if (record === undefined || !isLeaving(record)) return;
      await settle(account, id, { ...record, waitingFor: record.waitingFor.filter((other) => other !== device) }, [device]);
    });

  /** One device will not get it: forget the bytes. The last one says what has become of the message. */
  const refused = async (account: string, id: string, device: number, error: AnyCyphrError): Promise<void> => {
    const isOver = await ctx.lock(`sent ${id}`, async () => {
      const record = await messages.load(id);
      if (record === undefined || !isLeaving(record)) return false;
      const waitingFor = record.waitingFor.filter((other) => other !== device);
      if (waitingFor.length === 0 && !(await unencrypted.isLeft(account, record.seq))) return true;
      await db.commit([{ key: keys.outbox(account, record.seq, device), value: null }, messages.write(id, { ...record, waitingFor })]);
      ctx.observer.log('warn', 'device-not-reached', error.code);
      return false;
    });
    if (isOver) await finish(id, 'failed', error);
  };

  /** Notes for which devices a message was accepted by now, and that it was for all when none is left. */
  const settle = async (account: string, id: string, record: SentRecord, devices: readonly number[]): Promise<void> => {
    const { seq, waitingFor } = record;
    const isDone = waitingFor.length === 0 && (devices.length === 0 || !(await unencrypted.isLeft(account, seq)));
    const end = isDone ? { state: 'accepted', acceptedAtMs: ctx.now() } : {};
    const next: SentRecord = { ...record, ...end, accepted: record.accepted + devices.length };
    const rows: Write[] = devices.map((device) => ({ key: keys.outbox(account, seq, device), value: null }));
    const copy = record.accepted === 0 && record.isControl !== true ? await copyOf(account, id, record) : undefined;
    if (copy !== undefined) rows.push(...copy.writes);
    rows.push(messages.write(id, next));
    if (isDone) rows.push({ key: keys.unsent(account, seq), value: null }, { key: keys.pending(account, seq), value: null });
    await db.commit(rows);
    copy?.committed();
    if (!isDone) return;
    dequeue(account, id);
    messages.announce(id, record, 'accepted');
  };

  /** What one's own other devices are told of a message that has left; `undefined` without any. */
  const copyOf = async (to: string, id: string, { seq }: SentRecord): Promise<Posted | undefined> => {
    const own = ctx.device().account;
    if ((await contacts.load(own))?.devices.length === 0) return undefined;
    // Where it is being encrypted anew it waits.
    const plaintext = (await db.read(keys.unsent(to, seq))) ?? (await db.read(keys.pending(to, seq)));
    if (plaintext === undefined) return undefined;
    const app = pendingRecord.decode(plaintext).payload;
    return stage(own, { payload: encodeControl({ t: 'copy', to, id: fromHex(id)!, app }), control: 'any', as: copyName(id) });
  };

  /** Puts a message back where it waits for sessions, unless another device's refusal has; `false` if its plaintext is not here, as before format 2. */
  const encryptAgain = (account: string, id: string, device: number): Promise<boolean> =>
    ctx.lock(`peer ${account}`, () =>
      ctx.lock(`sent ${id}`, async () => {
        const record = await messages.load(id);
        if (record === undefined || !isLeaving(record) || !record.waitingFor.includes(device)) return true;
        if (record.isControl === true) {
          // Nobody else needs what that device was to be told; the others are.
          await settle(account, id, { ...record, waitingFor: record.waitingFor.filter((other) => other !== device) }, [device]);
          return true;
        }
        const writes = requeued(id, record, await db.read(keys.unsent(account, record.seq)));
        if (writes === undefined) return false;
        await db.commit(writes);
        unencrypted.noted(account);
        lane.wake(account);
        return true;
      }),
    );

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

  const later: WaitingHost['later'] = (account, { id: as, payload, control }, only) =>
    stage(account, { payload, control, as, only: [only] }, undefined, (seq) => keys.late(account, only, seq));
  const { transmit, isUnderWay } = openTransmission(ctx, contacts, {
    load: messages.load,
    finish,
    accepted,
    refused,
    encryptAgain,
    waitingFor: (account) => waiting.get(account) ?? NONE,
    isControl: (id) => controls.has(id),
  });
  const unencrypted = openWaiting(ctx, contacts, encryption, log, { messages, finish, settle, later });

  const lane = lanes(ctx, {
    isDue: (account) => waiting.has(account) || greetings.isDue(account),
    async run(account) {
      if (await greetings.mustWait(account)) return undefined;
      let late: unknown;
      const held = await orHeld(account, () => unencrypted.encryptPending(account)).catch((error: unknown) => {
        late = error;
        return undefined;
      });
      // What is encrypted waits for no directory.
      const full = await transmit(account);
      if (late !== undefined) throw late;
      // Last: whatever a greeting waits for keeps no message.
      const greeted = await orHeld(account, () => greetings.start(account));
      await greetings.transmit(account);
      // Nobody is to wait for as long as one mailbox is full.
      if (full !== undefined) throw full;
      return held ?? greeted;
    },
  });

  /** Rows of a message of which the application hears nothing. */
  const stage = (
    account: string,
    what: Pick<ReturnType<typeof pendingRecord.decode>, 'payload' | 'only' | 'control' | 'as'>,
    id = toHex(ctx.rng(16)),
    place = (seq: number): StoreKey => keys.pending(account, seq),
  ): Posted => {
    const record: SentRecord = { ...queued(ctx, account), isControl: true };
    const { seq, atMs } = record;
    return {
      writes: [messages.write(id, record), { key: place(seq), value: pendingRecord.encode({ ...what, id, atMs }) }],
      committed() {
        controls.add(id);
        unencrypted.noted(account);
        enqueue(account, id);
        self.wake(account);
      },
    };
  };

  const self: Outbox = {
    send: (input, signal) =>
      ctx.lock(`peer ${input.account}`, () => {
        const task = (): Promise<SentFacts> => ctx.lock(`talk ${input.account}`, () => send(input, signal));
        return input.key === undefined ? task() : ctx.lock(`key ${input.key}`, task);
      }),
    async sent({ id }) {
      ctx.life.assertOpen();
      const record = await messages.load(id);
      return record && messages.facts(id, record);
    },
    until: messages.until,
    receipts: messages.receipts,
    cancel,
    post: (account, message, { only, sessionsOnly = false, id } = {}) =>
      stage(account, { payload: encodeControl(message), only, control: sessionsOnly ? 'on-sessions' : 'any' }, id),
    postAgain: (account, { id, payload, control }, deviceKeyHash) => stage(account, { payload, control, as: id, only: [deviceKeyHash] }),
    expire: unencrypted.expire,
    wake: lane.wake,
    wakeAll() {
      for (const account of new Set([...waiting.keys(), ...greetings.accounts()])) lane.wake(account);
    },
    queuedCount,
    close: lane.close,
  };
  return self;
}
