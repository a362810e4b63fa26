/** Messages that were committed and wait for the application: yielded until acknowledged, one loop at a time. */

import { UsageError } from '../errors.js';
import { limits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { Contacts } from './contacts.js';
import { isExpired } from './content.js';
import type { Context } from './context.js';
import type { Calls, InboxMessage } from './engine.js';
import { abortReason, nextTask } from './platform.js';
import { type InboxRecord, inboxRecord, keys } from './records.js';
import { claimedSessions, isFrom } from './sessions.js';
import { orderKey } from './talk.js';

/** The inbox of one client. */
export interface Inbox {
  /** The row of a new message; `added` is called once it is committed. */
  write(seq: number, record: InboxRecord): Write;
  /** `isClaimed`: nothing was pinned when it came. */
  added(seq: number, record: InboxRecord, isClaimed: boolean): void;
  /** Messages that wait, shown or not. */
  count(): number;
  /** How many of them wait for a pin, of one account or of all. */
  unconfirmedCount(account?: string): number;
  /** Resolves when it is not full any more. */
  room(): Promise<void>;
  readonly next: Calls['next'];
  readonly ack: Calls['ack'];
  leave(consumer: string): void;
  /** Accounts of which messages wait for a pin. */
  unconfirmed(): Set<string>;
  /**
   * What came under this account's name from identities that never were its pin, and what came before the pin from devices that its list
   * doesn't name; or what of that is from one device.
   */
  unconfirmedOf(account: string, from?: { readonly device: number; readonly accountKeyHash: Uint8Array }): number[];
  /** The rows that delete messages which nobody was shown; `removed` is called once they are committed. */
  removal(seqs: readonly number[]): Write[];
  removed(seqs: readonly number[]): void;
  /** Messages of a pinned identity that came before it was pinned, with their rows. */
  claimedOf(account: string): Promise<InboxRecord[]>;
  /** Deletes the messages whose time is over, shown or not. */
  expire(): Promise<void>;
  /** What may be shown under this account's name is confirmed. */
  settled(account: string): void;
  /** Something changed that may let a loop go on: a pin, the connection, the end. */
  stir(): void;
}

interface Entry {
  readonly id: string;
  readonly account: string;
  readonly device: number;
  readonly accountKeyHash: Uint8Array;
  /** Until the account's list has confirmed its device. */
  isClaimed: boolean;
  yielded: boolean;
  readonly receivedAtMs: number;
  readonly disappearAfterMs: number | undefined;
}

/** The inbox of `ctx`, with everything that an earlier run left unacknowledged. `isDrained` tells whether the mailbox is empty. */
export async function inbox(ctx: Context, contacts: Contacts, isDrained: () => boolean, onCount: () => void): Promise<Inbox> {
  /** In order of arrival: a Map keeps it. */
  const entries = new Map<number, Entry>();
  let yieldedCount = 0;
  /** The loops that wait, in the order in which they came: for a message, or for the place. */
  let waiting: (() => void)[] = [];
  /** The loop that has the place. */
  let holder: string | undefined;
  let makeRoom: (() => void)[] = [];

  const wakeLoops = (): void => {
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  const add = (seq: number, record: InboxRecord, isClaimed: boolean): void => {
    const { id, account, device, accountKeyHash, receivedAtMs, disappearAfterMs } = record;
    entries.set(seq, { id, account, device, accountKeyHash, receivedAtMs, disappearAfterMs, isClaimed, yielded: false });
  };
  const claims = await claimedSessions(ctx.db);
  for (const { key, value } of await ctx.db.list(['inbox'])) {
    const record = inboxRecord.decode(value);
    // Also where an earlier run has made the pin, and ended before the claims were settled.
    const isClaimed = claims.some(([, claim]) => claim.account === record.account && isFrom(claim, record));
    add(Number.parseInt(key[1]!, 16), record, isClaimed);
  }

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

  const toMessage = async (seq: number): Promise<InboxMessage | undefined> => {
    const row = await ctx.db.read(keys.inbox(seq));
    if (row === undefined) return undefined;
    const { accountKeyHash, order = 0, ...record } = inboxRecord.decode(row);
    return { ...record, seq, order: orderKey(order, record.id), trust: contacts.trustIn(record.account, accountKeyHash) };
  };

  const isUnconfirmed = ({ account, accountKeyHash, device, isClaimed }: Entry): boolean =>
    !contacts.mayShow(account, accountKeyHash, isClaimed ? device : undefined);

  /** The oldest message that may be shown and is not with the application. A claimed one not before it has its place in the conversation. */
  const nextSeq = (): number | undefined => {
    for (const [seq, entry] of entries) if (!entry.yielded && !entry.isClaimed && !isUnconfirmed(entry)) return seq;
    return undefined;
  };

  const expire = async (): Promise<void> => {
    const due = [...entries].filter(([, entry]) => isExpired(entry, ctx.now())).map(([seq]) => seq);
    if (due.length === 0) return;
    await ctx.db.commit(due.map((seq) => ({ key: keys.inbox(seq), value: null })));
    for (const seq of due) remove(seq);
  };

  const next: Inbox['next'] = async ({ consumer, end }, signal) => {
    let wake = (): void => {};
    const onAbort = (): void => wake();
    const assertWanted = (): void => {
      if (signal?.aborted === true) throw abortReason(signal);
    };
    signal?.addEventListener('abort', onAbort);
    let wasDrained = false;
    try {
      for (;;) {
        assertWanted();
        ctx.life.assertOpen();
        holder ??= consumer;
        const seq = holder === consumer ? nextSeq() : undefined;
        if (seq === undefined) {
          const drained = holder === consumer && end === 'when-drained' && isDrained();
          if (drained && wasDrained) return undefined;
          wasDrained = drained;
          if (drained) {
            // What a carrier has at hand comes first.
            await new Promise<void>((resolve) => nextTask(resolve));
            continue;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
            waiting.push(resolve);
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
        if (isExpired(entry, ctx.now())) {
          await expire();
          continue;
        }
        entry.yielded = true;
        yieldedCount += 1;
        const message = await toMessage(seq);
        assertWanted();
        if (message !== undefined) return message;
        remove(seq);
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  };

  return {
    write: (seq, record) => ({ key: keys.inbox(seq), value: inboxRecord.encode(record), ifRev: 0 }),
    added(seq, record, isClaimed) {
      add(seq, record, isClaimed);
      ctx.observer.gauge('unacked', entries.size);
      onCount();
      wakeLoops();
    },
    count: () => entries.size,
    unconfirmedCount: (account) =>
      [...entries.values()].filter((entry) => isUnconfirmed(entry) && (account === undefined || entry.account === account)).length,
    room: () =>
      entries.size < limits.inboxCount || ctx.life.hasEnded() ? Promise.resolve() : new Promise((resolve) => makeRoom.push(resolve)),
    next,
    async ack({ seq, id }) {
      ctx.life.assertOpen();
      // A number may come again once its row is gone; the pair does not.
      if (entries.get(seq)?.id !== id) return;
      await ctx.db.commit([{ key: keys.inbox(seq), value: null }]);
      remove(seq);
    },
    leave(consumer) {
      if (holder !== consumer) return;
      holder = undefined;
      for (const entry of entries.values()) entry.yielded = false;
      yieldedCount = 0;
      wakeLoops();
    },
    unconfirmed: () => new Set([...entries.values()].filter(isUnconfirmed).map(({ account }) => account)),
    unconfirmedOf(account, from) {
      const isDue = (entry: Entry): boolean =>
        entry.account === account && isUnconfirmed(entry) && (from === undefined || isFrom(from, entry));
      return [...entries].filter(([, entry]) => isDue(entry)).map(([seq]) => seq);
    },
    // The id of a message that was never shown must not stand in the way of another one.
    removal: (seqs) =>
      seqs.flatMap((seq): Write[] => {
        const { account, id } = entries.get(seq)!;
        return [keys.inbox(seq), keys.got(account, id)].map((key) => ({ key, value: null }));
      }),
    removed(seqs) {
      for (const seq of seqs) remove(seq);
    },
    async claimedOf(account) {
      const seqs = [...entries]
        .filter(([, entry]) => entry.account === account && entry.isClaimed && !isUnconfirmed(entry))
        .map(([seq]) => seq);
      const rows = await Promise.all(seqs.map((seq) => ctx.db.read(keys.inbox(seq))));
      return rows.flatMap((row) => (row === undefined ? [] : [inboxRecord.decode(row)]));
    },
    expire,
    settled(account) {
      for (const entry of entries.values()) if (entry.account === account && !isUnconfirmed(entry)) entry.isClaimed = false;
      wakeLoops();
    },
    stir() {
      wakeLoops();
      if (!ctx.life.hasEnded()) return;
      for (const resolve of makeRoom) resolve();
      makeRoom = [];
    },
  };
}
