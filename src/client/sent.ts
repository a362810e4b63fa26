/** What became of each message that was sent: its row, what its recipient says of it, its events, and who waits for it. */

import { toHex } from '../bytes.js';
import { type AnyCyphrError, DecodeError, isCyphrError, TransportError, UsageError } from '../errors.js';
import { talkLimits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { Context } from './context.js';
import type { ControlHandlers } from './control.js';
import type { Calls, SentFacts } from './engine.js';
import { abortable, emitter } from './platform.js';
import { keys, type SentRecord, sentRecord } from './records.js';
import { orderKey } from './talk.js';
import type { ClientEvent, MessageId, SentState } from './types.js';

/** Verdicts that are kept; of an older failure its state tells, and one that is held gets another when it is tried again. */
const VERDICTS_MAX = 1_000;
/** How far a message is that has left, by what stands in its `told` row. */
const TOLD: readonly SentState[] = ['accepted', 'delivered', 'read'];
const ID_BYTES = 16;

/** The sent messages of one client. */
export interface SentMessages {
  load(id: string): Promise<SentRecord | undefined>;
  /** The row of a message; that of a control message goes when it has come to its end. */
  write(id: string, record: SentRecord): Write;
  /** After the commit: tells who waits for the message, and unless `isNews` is false or it is a control message everybody. */
  announce(id: string, record: Pick<SentRecord, 'isControl'>, state: SentState, error?: AnyCyphrError, isNews?: boolean): void;
  facts(id: string, record: SentRecord): Promise<SentFacts>;
  /** A message waits since an earlier run, which may have been told of it already: that is news once it has left. */
  resumed(id: string): Promise<void>;
  readonly until: Calls['until'];
  /**
   * What a device says of messages that went to its account. It is no matter of the rows of those: these change under their own locks, and
   * a receipt may well come before the relay has said that it took the message.
   */
  readonly receipts: ControlHandlers['receipts'];
}

/** The record of a message that begins to wait, behind all others. */
export function queued(ctx: Context, to: string): SentRecord {
  return { to, state: 'queued', atMs: ctx.now(), onDay: ctx.days.today(), seq: ctx.nextSeq(), waitingFor: [], accepted: 0 };
}

/** Takes away every row of a message that has not been accepted everywhere; `at` is where it waits for sessions. */
export function withoutRows({ to, seq, waitingFor }: SentRecord, at = keys.pending(to, seq)): Write[] {
  return [
    { key: at, value: null },
    { key: keys.unsent(to, seq), value: null },
    ...waitingFor.map((device): Write => ({ key: keys.outbox(to, seq, device as number), value: null })),
  ];
}

/**
 * The rows that put a message back to where it waits for sessions, under its id, with `plaintext` as it stands in `unsent`. `undefined`
 * without it: the message is lost if nobody can read what is in the outbox.
 */
export function requeued(id: string, record: SentRecord, plaintext: Uint8Array | undefined): Write[] | undefined {
  if (plaintext === undefined) return undefined;
  const { to, seq, waitingFor } = record;
  return [
    { key: keys.pending(to, seq), value: plaintext },
    { key: keys.unsent(to, seq), value: null },
    ...waitingFor.map((device): Write => ({ key: keys.outbox(to, seq, device as number), value: null })),
    { key: keys.sent(id), value: sentRecord.encode({ ...record, state: 'queued', waitingFor: [], code: undefined }) },
  ];
}

/** The sent messages of `ctx`. */
export function sentMessages(ctx: Context): SentMessages {
  const changes = emitter<Extract<ClientEvent, { type: 'sent' }>>();
  /** Why a message is held or has failed. */
  const verdicts = new Map<string, AnyCyphrError>();

  const load = async (id: string): Promise<SentRecord | undefined> => {
    const row = await ctx.db.read(keys.sent(id));
    return row === undefined ? undefined : sentRecord.decode(row);
  };

  const mode = ctx.settings.receipts;
  /** What there is to tell of messages once they have left. */
  const early = new Map<string, number>();
  const told = async (id: string): Promise<number> => (await ctx.db.read(keys.told(id)))?.[0] ?? 0;
  const stateOf = async (id: string, { state }: SentRecord): Promise<SentState> =>
    state === 'accepted' ? TOLD[await told(id)]! : (state as SentState);
  const emit = (event: Extract<ClientEvent, { type: 'sent' }>, isNews = true): void => {
    changes.emit(event);
    if (isNews) ctx.events.emit(event);
  };

  /** Settles as soon as the message has come that far, or can't for now. */
  const arrival = (id: string, until: SentState, known: string): { settled: Promise<void>; stop: () => void } => {
    let stop = (): void => {};
    const settled = new Promise<void>((resolve, reject) => {
      const judge = (now: string): void => {
        const verdict = verdicts.get(id);
        if (TOLD.indexOf(now as SentState) >= TOLD.indexOf(until)) resolve();
        else if (now === 'cancelled') reject(new UsageError('ERR_CLOSED', 'the message was cancelled'));
        else if (now === 'failed') reject(verdict ?? new TransportError('ERR_REJECTED', 'the message was refused for good'));
        else if (now === 'held' && verdict !== undefined) reject(verdict);
      };
      stop = changes.listen((event) => {
        if (event.id === id) judge(event.state);
      });
      const current = async (): Promise<string> => {
        const record = await load(id);
        if (until !== 'accepted' && record?.isQuiet === true)
          throw new UsageError('ERR_ARGUMENT', 'there are no receipts for edits, reactions, deletions and timers', { field: 'state' });
        return record === undefined ? known : stateOf(id, record);
      };
      current().then(judge, reject);
    });
    return { settled, stop: () => stop() };
  };

  return {
    load,
    write(id, record) {
      const isOver = record.isControl === true && record.state !== 'queued';
      return { key: keys.sent(id), value: isOver ? null : sentRecord.encode(record) };
    },
    announce(id, { isControl }, state, error, isNews = true) {
      verdicts.delete(id);
      if (error !== undefined) verdicts.set(id, error);
      if (verdicts.size > VERDICTS_MAX) verdicts.delete(verdicts.keys().next().value as string);
      emit({ type: 'sent', id: id as MessageId, state, ...(error === undefined ? {} : { error }) }, isNews && isControl !== true);
      if (state === 'queued' || state === 'held') return;
      const level = early.get(id);
      early.delete(id);
      if (state === 'accepted' && level !== undefined) emit({ type: 'sent', id: id as MessageId, state: TOLD[level]! });
    },
    facts: async (id, record) => ({ id, account: record.to, state: await stateOf(id, record), order: orderKey(record.order ?? 0, id) }),
    async resumed(id) {
      const level = await told(id);
      if (level > 0) early.set(id, level);
    },
    async until({ id, state, until }, signal) {
      ctx.life.assertOpen();
      if (until !== 'accepted' && mode !== 'delivered-and-read' && mode !== until)
        throw new UsageError('ERR_ARGUMENT', `${until} can't be waited for: the option receipts is ${mode}`, { field: 'state' });
      const { settled, stop } = arrival(id, until as SentState, state);
      try {
        await abortable(ctx.life.race(settled), signal);
      } finally {
        stop();
      }
    },
    async receipts({ account }, { delivered, read }) {
      const ids = [...delivered, ...read];
      if (ids.length > talkLimits.receiptsCount || !ids.every((id) => id instanceof Uint8Array && id.length === ID_BYTES))
        throw new DecodeError('ERR_DECODE', 'receipts do not follow their schema', { field: 'receipts' });
      const levels = new Map<string, number>();
      for (const id of delivered) levels.set(toHex(id as Uint8Array), 1);
      // As much is heard as is told.
      for (const id of read) levels.set(toHex(id as Uint8Array), mode === 'delivered-and-read' ? 2 : 1);
      const news: [id: string, level: number][] = [];
      for (const [id, level] of mode === 'off' ? [] : levels) {
        const record = await load(id);
        const isTheirs = record?.to === account && record.isControl !== true && record.isQuiet !== true;
        if (isTheirs && level > (await told(id))) news.push([id, level]);
      }
      const tell = async (id: string, level: number): Promise<void> => {
        const state = (await load(id))?.state;
        if (state === 'accepted') emit({ type: 'sent', id: id as MessageId, state: TOLD[level]! });
        else if (state === 'queued' || state === 'held') early.set(id, level);
      };
      return {
        writes: news.map(([id, level]) => ({ key: keys.told(id), value: new Uint8Array([level]) })),
        committed() {
          for (const [id, level] of news) {
            ctx
              .lock(`sent ${id}`, () => tell(id, level))
              .catch((error: unknown) => ctx.observer.log('info', 'receipt-untold', isCyphrError(error) ? error.code : 'ERR_BUG'));
          }
        },
      };
    },
  };
}
