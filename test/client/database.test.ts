import { expect, test } from 'vitest';
import { openDatabase } from '../../src/client/database.js';
import type { StoreError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store, Write } from '../../src/store/port.js';
import { coded } from '../helpers/matchers.js';
import { testRng } from '../helpers/rng.js';

const bytes = (n: number): Uint8Array => new Uint8Array([n]);

/** A database over a store whose calls a test can make fail. */
async function opened(inner: Store = memoryStore(), seed = 'db') {
  const lost: StoreError[] = [];
  const commits: number[] = [];
  const faults: { commit?: 'before' | 'after' | undefined; read?: boolean | undefined } = {};
  const store: Store = {
    ...inner,
    async read(keys) {
      if (faults.read) throw new Error('read failed');
      return inner.read(keys);
    },
    async commit(writes) {
      if (faults.commit === 'before') throw new Error('commit failed');
      await inner.commit(writes);
      commits.push(writes.length - 1);
      if (faults.commit === 'after') throw new Error('commit failed');
    },
    close: async () => {},
  };
  const db = await openDatabase(store, { rng: testRng(seed), now: () => 0, onCommit: () => {}, onLost: (error) => lost.push(error) });
  return { db, inner, faults, lost, commits };
}

test('commits that wait go together, except where a key stands twice; values are wiped', async () => {
  const { db, commits } = await opened();
  const value = bytes(9);
  await Promise.all([1, 2, 3, 4].map((n) => db.commit([{ key: ['k', String(n % 2)], value: n === 4 ? value : bytes(n) }])));
  expect(commits).toEqual([1, 2, 1]);
  expect([value, db.generation(), await db.read(['k', '0'])]).toEqual([bytes(0), 3, bytes(9)]);
  await db.commit(Array.from({ length: 300 }, (_, i): Write => ({ key: ['many', String(i).padStart(3, '0')], value: bytes(i) })));
  expect((await db.list(['many'])).length).toBe(300);
  expect((await db.list(['many'], 5, ['many', '290'])).map(({ key }) => key[1])).toEqual(['291', '292', '293', '294', '295']);
});

test('of commits that went together only the one at fault fails', async () => {
  const { db } = await opened();
  await db.commit([{ key: ['taken'], value: bytes(1) }]);
  const results = await Promise.allSettled([
    db.commit([{ key: ['first'], value: bytes(1) }]),
    db.commit([{ key: ['a'], value: bytes(1) }]),
    db.commit([{ key: ['taken'], value: bytes(2), ifRev: 0 }]),
    db.commit([{ key: ['b'], value: bytes(1) }]),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(results[2]).toMatchObject({ reason: { code: 'ERR_STORE_CONFLICT' } });
  expect([await db.read(['a']), await db.read(['taken']), await db.read(['b'])]).toEqual([bytes(1), bytes(1), bytes(1)]);
});

test('a commit that failed has happened or not: the store is asked', async () => {
  const { db, faults } = await opened();
  faults.commit = 'before';
  await expect(db.commit([{ key: ['a'], value: bytes(1) }])).rejects.toThrow(coded('ERR_STORE_IO'));
  faults.commit = 'after';
  await db.commit([{ key: ['b'], value: bytes(1) }]);
  faults.commit = undefined;
  await db.commit([{ key: ['c'], value: bytes(1) }]);
  expect([await db.read(['a']), await db.read(['b']), db.generation()]).toEqual([undefined, bytes(1), 2]);
});

test('where the store can’t say, the next commit finds out: not happened', async () => {
  const { db, faults, lost } = await opened();
  await db.commit([{ key: ['a'], value: bytes(1) }]);
  Object.assign(faults, { commit: 'before', read: true });
  await expect(db.commit([{ key: ['a'], value: bytes(2) }])).rejects.toThrow(coded('ERR_STORE_IO'));
  await expect(db.commit([{ key: ['a'], value: bytes(3) }])).rejects.toThrow(coded('ERR_STORE_IO'));
  Object.assign(faults, { commit: undefined, read: false });
  await db.commit([{ key: ['a'], value: bytes(4) }]);
  expect([await db.read(['a']), lost]).toEqual([bytes(4), []]);
});

test('T26: where the store can’t say, the next commit finds out: happened, and nothing in memory holds any more', async () => {
  const { db, inner, faults, lost } = await opened();
  await db.commit([{ key: ['a'], value: bytes(1) }]);
  Object.assign(faults, { commit: 'after', read: false });
  const failing = db.commit([{ key: ['a'], value: bytes(2) }]);
  faults.read = true;
  await expect(failing).rejects.toThrow(coded('ERR_STORE_IO'));
  Object.assign(faults, { commit: undefined, read: false });
  for (const n of [3, 4]) await expect(db.commit([{ key: ['a'], value: bytes(n) }])).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  expect(lost).toEqual([expect.objectContaining({ code: 'ERR_STORE_CONFLICT' })]);
  expect((await inner.read([['a']]))[0]!.value).toEqual(bytes(2));
});

test('T25: of two writers at one generation the second is told, and has written nothing', async () => {
  const { db: first, inner } = await opened();
  await first.commit([{ key: ['a'], value: bytes(1) }]);
  const second = await opened(inner, 'twin');
  expect(second.db.storeId).toEqual(first.storeId);
  await first.commit([{ key: ['a'], value: bytes(2) }]);
  await expect(second.db.commit([{ key: ['a'], value: bytes(3) }])).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  await expect(second.db.commit([{ key: ['b'], value: bytes(3) }])).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  expect(second.lost.length).toBe(1);
  expect(await first.read(['a'])).toEqual(bytes(2));
  await first.commit([{ key: ['a'], value: bytes(4) }]);
});

test('close lets the running commit end, and refuses those that wait', async () => {
  const { db, inner } = await opened();
  const results = Promise.allSettled([db.commit([{ key: ['a'], value: bytes(1) }]), db.commit([{ key: ['b'], value: bytes(1) }])]);
  await db.close();
  expect((await results).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  await expect(db.commit([])).rejects.toThrow(coded('ERR_CLOSED'));
  expect((await inner.read([['a'], ['b']])).map((row) => row?.value)).toEqual([bytes(1), undefined]);
});

test('a store that forgets a commit is an ERR_STORE_IO', async () => {
  const store: Store = { ...memoryStore(), commit: async () => {} };
  await expect((await opened(store)).db.commit([{ key: ['a'], value: bytes(1) }])).rejects.toThrow(coded('ERR_STORE_IO'));
});

test('what is told of a commit can fail without taking it back', async () => {
  const inner = memoryStore();
  let told = 0;
  const onCommit = (): void => {
    told += 1;
    throw new Error('observer');
  };
  const db = await openDatabase(inner, { rng: testRng('told'), now: () => 0, onCommit, onLost: () => {} });
  await db.commit([{ key: ['a'], value: bytes(1) }]);
  await Promise.all([db.commit([{ key: ['b'], value: bytes(2) }]), db.commit([{ key: ['c'], value: bytes(3) }])]);
  expect([told, db.generation(), await db.read(['c'])]).toEqual([told, told, bytes(3)]);
});
