/** How a message that came gets into the inbox: with its place in the conversation and the receipts that are due, in the commit of its session. */

import type { Write } from '../store/port.js';
import type { Context } from './context.js';
import type { Inbox } from './inbox.js';
import type { Receipts } from './receipts.js';
import type { InboxRecord } from './records.js';
import type { Arrival, Talk } from './talk.js';

/** The way into one client's inbox. Callers hold the lock of the account that the message came from. */
export interface Arrivals {
  /**
   * Commits a message by `commit`, which adds the rows of its session; nothing of it where it is a duplicate or says what its author may
   * not say. Resolves after the commit with what is to be called once the session is installed. `isClaimed`: nothing is pinned.
   */
  take(arrival: Arrival, isClaimed: boolean, commit: (rows: readonly Write[]) => Promise<void>): Promise<() => void>;
  /** Of what waits for messages that have not come: see talk.ts. */
  readonly without: Talk['without'];
  /** The same for what was not to follow from messages before their sender was confirmed, and now is. */
  confirm(account: string, commit: (rows: readonly Write[]) => Promise<void>): Promise<void>;
}

/** The way into `inbox`. */
export function arrivals(ctx: Context, talk: Talk, receipts: Receipts, inbox: Inbox): Arrivals {
  return {
    take: (arrival, isClaimed, commit) =>
      ctx.lock(`talk ${arrival.to ?? arrival.account}`, async () => {
        const { messages, writes, committed } = await talk.incoming(arrival, isClaimed);
        const entries = messages.map((message): [seq: number, message: InboxRecord] => [ctx.nextSeq(), message]);
        const due = isClaimed ? [] : receipts.due(messages);
        await commit([...writes, ...entries.map(([seq, message]) => inbox.write(seq, message)), ...due]);
        committed();
        return () => {
          for (const [seq, message] of entries) inbox.added(seq, message, isClaimed);
          if (!isClaimed) receipts.scheduled(messages);
        };
      }),
    without: talk.without,
    async confirm(account, commit) {
      const records = await inbox.claimedOf(account);
      await ctx.lock(`talk ${account}`, async () => commit([...(await talk.confirmed(account, records)), ...receipts.due(records)]));
      receipts.scheduled(records);
    },
  };
}
