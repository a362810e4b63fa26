import { expect, test } from 'vitest';
import { arrivals } from '../../src/client/arrivals.js';
import { encodeContent, stampContent } from '../../src/client/content.js';
import { openDatabase } from '../../src/client/database.js';
import type { Inbox } from '../../src/client/inbox.js';
import { life } from '../../src/client/life.js';
import { mutex } from '../../src/client/platform.js';
import { receipts } from '../../src/client/receipts.js';
import { type Arrival, talk } from '../../src/client/talk.js';
import type { Content, MessageId } from '../../src/client/types.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Write } from '../../src/store/port.js';
import { START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const target = 'aa'.repeat(16) as MessageId;
const arrival = (id: string, content: Content): Arrival => ({
  id,
  account: 'alice',
  device: 1,
  accountKeyHash: new Uint8Array(64),
  payload: stampContent(encodeContent(content, START), { order: 5 }),
  receivedAtMs: START,
  replayable: false,
});
const edit = arrival('bb'.repeat(16), { kind: 'edit', target, text: 'better' });
const undone = arrival('cc'.repeat(16), { kind: 'deletion', target: edit.id as MessageId });
const message = arrival(target, { kind: 'text', text: 'x' });

/** Bob's way into his inbox; `shown` is what has arrived there. */
async function ways() {
  const rng = testRng('bob');
  const db = await openDatabase(memoryStore(), { rng, now: () => 0, onCommit: () => {}, onLost: () => {} });
  let seq = 0;
  const shown: string[] = [];
  const lock = mutex();
  const ctx = {
    db,
    rng,
    life: life(),
    lock,
    now: () => START,
    days: { today: () => 1, sinceMs: () => 0 },
    nextSeq: () => ++seq,
    settings: { receipts: 'delivered' },
    device: () => ({ account: 'bob' }),
    observer: { log: () => {} },
  } as never;
  const everybody = { load: async () => undefined, isSendable: () => true } as never;
  const inbox = {
    write: (at: number): Write => ({ key: ['inbox', String(at)], value: new Uint8Array(1) }),
    added: (_seq: number, { id }: { id: string }) => void shown.push(id),
    claimedOf: async () => [],
  } as unknown as Inbox;
  const way = arrivals(ctx, await talk(ctx), await receipts(ctx, everybody, (() => {}) as never), inbox);
  const commits: (readonly Write[])[] = [];
  return {
    lock,
    shown,
    commits,
    confirm: () => way.confirm('alice', async (rows) => void commits.push(rows)),
    take: async (what: Arrival, isClaimed = false) =>
      (
        await way.take(what, isClaimed, async (rows) => {
          commits.push(rows);
          await db.commit(rows);
        })
      )(),
    fail: (what: Arrival) => way.take(what, false, () => Promise.reject(new Error('the store is full'))),
  };
}
const spaces = (rows: readonly Write[] | undefined): (string | undefined)[] =>
  (rows ?? []).map(({ key: [space], value }) => (value === null ? `no ${space}` : space)).sort();

test('T26: a message, its place, what waited for it and the receipts that are due are one commit', async () => {
  const bob = await ways();
  await bob.take(edit);
  await bob.take(message);
  expect(bob.commits.map(spaces)).toEqual([
    ['early', 'got', 'talk'],
    ['got', 'inbox', 'inbox', 'no early', 'receipt', 'talk'],
  ]);
  expect(bob.shown).toEqual([target, edit.id]);
});

test('T26: where that commit fails, nothing has happened: it comes again, and arrives whole', async () => {
  const bob = await ways();
  await expect(bob.fail(edit)).rejects.toThrow('the store is full');
  await bob.take(edit);
  await expect(bob.fail(undone)).rejects.toThrow('the store is full');
  await bob.take(undone);
  await expect(bob.fail(message)).rejects.toThrow('the store is full');
  expect(bob.shown).toEqual([]);
  await bob.take(message);
  await bob.take(message);
  expect(bob.shown).toEqual([target, edit.id, undone.id]);
  expect(spaces(bob.commits.at(-1))).toEqual([]);
});

test('before its sender is confirmed, a message leaves nothing but itself', async () => {
  const bob = await ways();
  await bob.take(message, true);
  await bob.take(edit, true);
  expect(bob.commits.map(spaces)).toEqual([
    ['got', 'inbox'],
    ['got', 'inbox'],
  ]);
});

test('no message comes into a conversation while its earlier ones are being confirmed, nor the other way round', async () => {
  const bob = await ways();
  let goOn = (): void => {};
  const held = bob.lock('talk alice', () => new Promise<void>((resolve) => (goOn = resolve)));
  const both = Promise.all([bob.take(message), bob.confirm()]);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(bob.commits).toEqual([]);
  goOn();
  await Promise.all([held, both]);
  expect(bob.commits.map(spaces)).toEqual([['got', 'inbox', 'receipt', 'talk'], []]);
});
