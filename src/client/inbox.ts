/** Messages that were committed and wait for the application: yielded until acknowledged, one loop at a time. */

import { UsageError } from '../errors.js';
import { limits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { Contacts } from './contacts.js';
import { decodeContent } from './content.js';
import type { Context } from './context.js';
import { type InboxRecord, inboxRecord, keys, seqKey } from './records.js';
import type { Message, MessageId, ReceiveOptions } from './types.js';

/** The inbox of one client. */
export interface Inbox {
  /** The row of a new message; `added` is called once it is committed. */
  write(seq: number, record: InboxRecord): Write;
  added(seq: number, record: InboxRecord): void;
  /** Messages that wait, shown or not. */
  count(): number;
  /** How many of them wait for a pin. */
  unconfirmedCount(): number;
  /** Resolves when it is not full any more. */
  room(): Promise<void>;
  messages(options?: ReceiveOptions): AsyncIterable<Message>;
  /** Accounts of which messages wait for a pin. */
  unconfirmed(): Set<string>;
  /** Deletes what came under this account's name from identities that never were its pin. Returns how many messages. */
  discardStrangers(account: string): Promise<number>;
  /** Something changed that may let a loop go on: a pin, the connection, the end. */
  stir(): void;
}

interface Entry {
  readonly account: string;
  readonly accountKeyHash: Uint8Array;
  yielded: boolean;
}

/** The inbox of `ctx`, with everything that an earlier run left unacknowledged. `isDrained` tells whether the mailbox is empty. */
export async function inbox(ctx: Context, contacts: Contacts, isDrained: () => boolean, onCount: () => void): Promise<Inbox> {
  /** In order of arrival: a Map keeps it. */
  const entries = new Map<number, Entry>();
  let yieldedCount = 0;
  let wakeLoop = (): void => {};
  let makeRoom: (() => void)[] = [];
  let busy = false;

  const add = (seq: number, { account, accountKeyHash }: InboxRecord): void => {
    entries.set(seq, { account, accountKeyHash, yielded: false });
  };
  for (const { key, value } of await ctx.db.list(['inbox'])) add(Number.parseInt(key[1]!, 16), inboxRecord.decode(value));

  const remove = (seq: number): void => {
    if (entries.get(seq)?.yielded === true) yieldedCount -= 1;
    entries.delete(seq);
    ctx.observer.gauge('unacked', entries.size);
    onCount();
    if (entries.size < limits.inboxCount) {
      for (const resolve of makeRoom) resolve();
      makeRoom = [];
    }
  };

  const toMessage = async (seq: number): Promise<Message | undefined> => {
    const row = await ctx.db.read(keys.inbox(seq));
    if (row === undefined) return undefined;
    const record = inboxRecord.decode(row);
    const { content, text, sentAtMs } = decodeContent(record.payload);
    let acknowledged: Promise<void> | undefined;
    return {
      id: record.id as MessageId,
      conversation: { kind: 'person', account: record.account },
      from: { account: record.account, device: record.device },
      content,
      text,
      sentAtMs,
      receivedAtMs: record.receivedAtMs,
      trust: contacts.trustIn(record.account, record.accountKeyHash),
      replayable: record.replayable,
      async ack() {
        ctx.life.assertOpen();
        acknowledged ??= ctx.db.commit([{ key: ['inbox', seqKey(seq)], value: null }]).then(
          () => remove(seq),
          (error: unknown) => {
            acknowledged = undefined;
            throw error;
          },
        );
        return acknowledged;
      },
    };
  };

  const isUnconfirmed = ({ account, accountKeyHash }: Entry): boolean => !contacts.mayShow(account, accountKeyHash);

  /** The oldest message that may be shown and is not with the application. */
  const nextSeq = (): number | undefined => {
    for (const [seq, entry] of entries) if (!entry.yielded && contacts.mayShow(entry.account, entry.accountKeyHash)) return seq;
    return undefined;
  };

  const loop = ({ signal, end = 'never' }: ReceiveOptions): AsyncIterator<Message> => {
    let over = false;
    const finish = (): IteratorResult<Message> => {
      if (!over) {
        over = true;
        busy = false;
        signal?.removeEventListener('abort', onAbort);
        // What was not acknowledged comes first in the next loop.
        for (const entry of entries.values()) entry.yielded = false;
        yieldedCount = 0;
        wakeLoop();
      }
      return { done: true, value: undefined };
    };
    /** A client that is closed ends the loop; one that its store has halted says so. */
    const ended = (): IteratorResult<Message> => {
      const result = finish();
      const error = ctx.life.isClosed() ? undefined : ctx.life.halted();
      if (error !== undefined) throw error;
      return result;
    };
    const onAbort = (): void => void finish();
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted === true) finish();

    const next = async (): Promise<IteratorResult<Message>> => {
      try {
        return await nextMessage();
      } catch (error) {
        finish();
        throw error;
      }
    };
    const nextMessage = async (): Promise<IteratorResult<Message>> => {
      for (;;) {
        if (over) return finish();
        if (ctx.life.hasEnded()) return ended();
        const seq = nextSeq();
        if (seq === undefined) {
          if (end === 'when-drained' && isDrained()) return finish();
          await new Promise<void>((resolve) => {
            wakeLoop = resolve;
          });
          continue;
        }
        if (yieldedCount >= limits.unackedYieldedCount) {
          throw new UsageError('ERR_LENGTH', 'too many messages are not acknowledged', {
            field: 'ack',
            got: yieldedCount,
            max: limits.unackedYieldedCount,
          });
        }
        const entry = entries.get(seq)!;
        entry.yielded = true;
        yieldedCount += 1;
        const message = await toMessage(seq);
        if (over) return finish();
        if (message !== undefined) return { done: false, value: message };
        remove(seq);
      }
    };
    let last: Promise<unknown> = Promise.resolve();
    return {
      next() {
        const result = last.then(next);
        last = result.catch(() => {});
        return result;
      },
      return: () => Promise.resolve(finish()),
    };
  };

  return {
    write: (seq, record) => ({ key: keys.inbox(seq), value: inboxRecord.encode(record), ifRev: 0 }),
    added(seq, record) {
      add(seq, record);
      ctx.observer.gauge('unacked', entries.size);
      onCount();
      wakeLoop();
    },
    count: () => entries.size,
    unconfirmedCount: () => [...entries.values()].filter(isUnconfirmed).length,
    room: () =>
      entries.size < limits.inboxCount || ctx.life.hasEnded() ? Promise.resolve() : new Promise((resolve) => makeRoom.push(resolve)),
    messages: (options = {}) => ({
      [Symbol.asyncIterator]() {
        if (busy) throw new UsageError('ERR_ARGUMENT', 'a loop over the messages is running already: one at a time', { field: 'messages' });
        busy = true;
        return loop(options);
      },
    }),
    unconfirmed: () => new Set([...entries.values()].filter(isUnconfirmed).map(({ account }) => account)),
    async discardStrangers(account) {
      const seqs = [...entries].filter(([, entry]) => entry.account === account && isUnconfirmed(entry)).map(([seq]) => seq);
      if (seqs.length > 0) await ctx.db.commit(seqs.map((seq) => ({ key: keys.inbox(seq), value: null })));
      for (const seq of seqs) remove(seq);
      return seqs.length;
    },
    stir() {
      wakeLoop();
      if (!ctx.life.hasEnded()) return;
      for (const resolve of makeRoom) resolve();
      makeRoom = [];
    },
  };
}
