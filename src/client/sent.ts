/** What became of each message that was sent: its row, its events, and who waits for it. */

import { type AnyCyphrError, TransportError, UsageError } from '../errors.js';
import type { Write } from '../store/port.js';
import type { Context } from './context.js';
import type { Calls } from './engine.js';
import { abortable, emitter } from './platform.js';
import { keys, type SentRecord, sentRecord } from './records.js';
import type { ClientEvent, MessageId, SentState } from './types.js';

/** Verdicts that are kept; of an older failure its state tells, and one that is held gets another when it is tried again. */
const VERDICTS_MAX = 1_000;

/** The sent messages of one client. */
export interface SentMessages {
  load(id: string): Promise<SentRecord | undefined>;
  /** The row of a message; that of a control message goes when it has come to its end. */
  write(id: string, record: SentRecord): Write;
  /** After the commit: tells who waits for the message, and unless `isNews` is false everybody; nobody of a control message. */
  announce(id: string, record: Pick<SentRecord, 'isControl'>, state: SentState, error?: AnyCyphrError, isNews?: boolean): void;
  readonly until: Calls['until'];
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

  /** Settles as soon as the message has left, or can't for now. */
  const acceptance = (id: string, known: string): { settled: Promise<void>; stop: () => void } => {
    let stop = (): void => {};
    const settled = new Promise<void>((resolve, reject) => {
      const judge = (now: string): void => {
        const verdict = verdicts.get(id);
        if (now === 'accepted') resolve();
        else if (now === 'cancelled') reject(new UsageError('ERR_CLOSED', 'the message was cancelled'));
        else if (now === 'failed') reject(verdict ?? new TransportError('ERR_REJECTED', 'the message was refused for good'));
        else if (now === 'held' && verdict !== undefined) reject(verdict);
      };
      stop = changes.listen((event) => {
        if (event.id === id) judge(event.state);
      });
      load(id).then((current) => judge(current?.state ?? known), reject);
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
      if (isControl === true) return;
      verdicts.delete(id);
      if (error !== undefined) verdicts.set(id, error);
      if (verdicts.size > VERDICTS_MAX) verdicts.delete(verdicts.keys().next().value as string);
      const event = { type: 'sent', id: id as MessageId, state, ...(error === undefined ? {} : { error }) } as const;
      changes.emit(event);
      if (isNews) ctx.events.emit(event);
    },
    async until({ id, state }, signal) {
      ctx.life.assertOpen();
      const { settled, stop } = acceptance(id, state);
      try {
        await abortable(ctx.life.race(settled), signal);
      } finally {
        stop();
      }
    },
  };
}
