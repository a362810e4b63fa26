/** A device with order, timers and authors alone, and messages for it. */

import { openDays } from '../../src/client/ages.js';
import { encodeContent, stampContent } from '../../src/client/content.js';
import { type Database, openDatabase } from '../../src/client/database.js';
import { mutex } from '../../src/client/platform.js';
import { type InboxRecord, keys, sentRecord } from '../../src/client/records.js';
import { type Arrival, type Talk, talk } from '../../src/client/talk.js';
import type { Content, MessageId } from '../../src/client/types.js';
import { memoryStore } from '../../src/store/memory.js';
import { START } from './people.js';
import { testRng } from './rng.js';

export const text = (body: string): Content => ({ kind: 'text', text: body });
export const idOf = (n: number): MessageId => n.toString(16).padStart(32, '0') as MessageId;

/** What one message is on its way: the payload with its author's stamp. */
export interface Posted {
  readonly id: MessageId;
  readonly payload: Uint8Array;
  readonly order: number;
}

/** One device of `account`, with order, timers and authors alone. */
export async function device(account: string, time = { ms: START }) {
  const store = memoryStore();
  const logs: string[] = [];
  const db: Database = await openDatabase(store, { rng: testRng(account), now: () => 0, onCommit: () => {}, onLost: () => {} });
  const days = await openDays(db, () => time.ms);
  await days.note();
  const open = (): Promise<Talk> =>
    talk({
      days,
      db,
      device: () => ({ account }) as never,
      lock: mutex(),
      now: () => time.ms,
      observer: { log: (_level: string, event: string) => void logs.push(event) } as never,
    });
  let self = await open();
  return {
    logs,
    db,
    async restart() {
      self = await open();
    },
    async send(to: string, id: MessageId, content: Content): Promise<Posted> {
      const { payload, order, disappearAfterMs, writes } = await self.outgoing(to, id, encodeContent(content, time.ms));
      const record = { to, state: 'accepted', atMs: time.ms, seq: 1, waitingFor: [], accepted: 1, order, disappearAfterMs };
      await db.commit([...writes, { key: keys.sent(id), value: sentRecord.encode(record) }]);
      return { id, payload, order };
    },
    /** The messages that the application gets. */
    async receive(from: string, { id, payload }: Pick<Posted, 'id' | 'payload'>, more: Partial<Arrival> & { isClaimed?: boolean } = {}) {
      const { isClaimed = false, ...rest } = more;
      const common = { device: 1, accountKeyHash: new Uint8Array(64), receivedAtMs: time.ms, replayable: false };
      const { messages, writes, committed } = await self.incoming({ id, account: from, payload, ...common, ...rest }, isClaimed);
      await db.commit([...writes]);
      committed();
      return messages;
    },
    /** What is refused as a stranger's: all that waits, of that device. */
    async drop(from: string, gone: number) {
      const { writes, committed } = await self.without(from, (record) => record.device === gone);
      await db.commit([...writes]);
      committed();
    },
    confirm: async (from: string, messages: readonly InboxRecord[]) => db.commit(await self.confirmed(from, messages)),
    brought: (account: string, bytes: Uint8Array) => self.brought(account, bytes),
    async prune() {
      await days.note();
      await self.prune();
    },
  };
}
export type Device = Awaited<ReturnType<typeof device>>;

/** A payload as its author's device stamps it. */
export const stamped = (id: MessageId, content: Content, order: number, disappearAfterMs?: number) => ({
  id,
  payload: stampContent(encodeContent(content, START), { order, disappearAfterMs }),
});
export const ids = (messages: readonly InboxRecord[]): string[] => messages.map(({ id }) => id);

export const target = idOf(0xaa);
/** What may be said of `target`. */
export const saying: Record<'edit' | 'reaction' | 'deletion', Content> = {
  edit: { kind: 'edit', target, text: 'better' },
  reaction: { kind: 'reaction', target, emoji: '👍' },
  deletion: { kind: 'deletion', target },
};
