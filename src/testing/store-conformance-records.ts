/** The store conformance cases about records, revs and atomic commits. */

import type { StoreKey } from '../store/port.js';
import { assert, assertBytes, assertSame } from './assert.js';
import { bytesOf, KEY, numbered, put, readOne, remove, revOf, type StoreCase, textOf, tryCommit } from './store-case.js';

/** Cases about records, revs and atomic commits. */
export const RECORD_CASES: readonly StoreCase[] = [
  {
    name: 'reads records in the order of the keys, and absent ones as undefined',
    async run({ store }) {
      assertSame(await store.read([]), [], 'reading no keys');
      await store.commit([put(['s', 'a'], 'first'), put(['s', 'b'], 'second')]);
      const records = await store.read([
        ['s', 'b'],
        ['s', 'none'],
        ['s', 'a'],
        ['s', 'b'],
      ]);
      assertSame(records.length, 4, 'count of records');
      assertBytes(records[0]?.value, bytesOf('second'), 'record 0');
      assert(records[1] === undefined, 'an absent record must be undefined');
      assertBytes(records[2]?.value, bytesOf('first'), 'record 2');
      assertBytes(records[3]?.value, bytesOf('second'), 'a key asked for twice');
    },
  },
  {
    name: 'keeps every byte value, and only the view that it was given',
    async run({ store }) {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const view = new Uint8Array(all.buffer, 100, 7);
      await store.commit([
        { key: ['s', 'all'], value: all },
        { key: ['s', 'view'], value: view },
      ]);
      const [whole, part] = await store.read([
        ['s', 'all'],
        ['s', 'view'],
      ]);
      assertBytes(whole?.value, all, 'all byte values');
      assertBytes(part?.value, view, 'a view into a larger buffer');
    },
  },
  {
    name: 'keeps an empty value apart from an absent record',
    async run({ store }) {
      await store.commit([{ key: KEY, value: new Uint8Array(0) }]);
      assertBytes((await readOne(store, KEY))?.value, new Uint8Array(0), 'an empty value');
      assert(!(await tryCommit(store, [put(KEY, 'x', 0)])), 'ifRev 0 must conflict with an empty value');
    },
  },
  {
    name: 'keeps a value of 1 MiB',
    async run({ store }) {
      const large = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 31) ^ (i >>> 8));
      await store.commit([{ key: KEY, value: large }]);
      assertBytes((await readOne(store, KEY))?.value, large, 'a large value');
    },
  },
  {
    name: 'overwrites and deletes',
    async run({ store }) {
      await store.commit([put(KEY, 'old')]);
      await store.commit([put(KEY, 'new')]);
      assertBytes((await readOne(store, KEY))?.value, bytesOf('new'), 'an overwritten record');
      await store.commit([remove(KEY)]);
      assert((await readOne(store, KEY)) === undefined, 'a deleted record must be undefined');
      await store.commit([remove(KEY), remove(['s', 'never'])]);
      await store.commit([]);
    },
  },
  {
    name: 'copies values as commit is called',
    async run({ store }) {
      const value = bytesOf('before');
      const committed = store.commit([{ key: KEY, value }]);
      value.fill(0);
      await committed;
      assertBytes((await readOne(store, KEY))?.value, bytesOf('before'), 'a value whose buffer was reused');
    },
  },
  {
    name: 'copies values that it hands out',
    async run({ store }) {
      await store.commit([put(KEY, 'intact')]);
      (await readOne(store, KEY))?.value.fill(0);
      assertBytes((await readOne(store, KEY))?.value, bytesOf('intact'), 'a value that a reader overwrote');
      for (const { value } of await store.list(['space'], 10)) value.fill(0);
      assertBytes((await readOne(store, KEY))?.value, bytesOf('intact'), 'a value that a lister overwrote');
    },
  },

  {
    name: 'gives a record a greater rev with every write',
    async run({ store }) {
      let last = 0;
      for (let i = 0; i < 5; i++) {
        await store.commit([put(KEY, 'same bytes')]);
        const rev = await revOf(store, KEY);
        assert(rev > last, `rev ${rev} after rev ${last}`);
        last = rev;
      }
      await store.commit([put(['space', 'other'], 'x')]);
      assertSame(await revOf(store, KEY), last, 'the rev of a record that was not written');
    },
  },
  {
    name: 'reports the same rev in read and list',
    async run({ store }) {
      await store.commit([put(KEY, 'x')]);
      const [listed] = await store.list(['space'], 1);
      assertSame(listed?.rev, await revOf(store, KEY), 'the rev in a listing');
    },
  },
  {
    name: 'never reuses a rev for a key after delete and create',
    async run({ store }) {
      const seen = new Set<number>();
      for (let i = 0; i < 5; i++) {
        await store.commit([put(KEY, 'x')]);
        const rev = await revOf(store, KEY);
        assert(!seen.has(rev), `rev ${rev} was reused after a deletion`);
        seen.add(rev);
        await store.commit([remove(KEY, rev)]);
      }
    },
  },
  {
    name: 'refuses an ifRev from before delete and create',
    async run({ store }) {
      await store.commit([put(KEY, 'first life')]);
      const stale = await revOf(store, KEY);
      await store.commit([remove(KEY)]);
      await store.commit([put(KEY, 'second life')]);
      assert(!(await tryCommit(store, [put(KEY, 'overwritten', stale)])), 'a stale ifRev must conflict');
      assertBytes((await readOne(store, KEY))?.value, bytesOf('second life'), 'the record after the conflict');
    },
  },
  {
    name: 'writes with ifRev 0 only where the key is absent',
    async run({ store }) {
      assert(await tryCommit(store, [put(KEY, 'first', 0)]), 'ifRev 0 must hold for an absent key');
      assert(!(await tryCommit(store, [put(KEY, 'second', 0)])), 'ifRev 0 must conflict with a present key');
      assertBytes((await readOne(store, KEY))?.value, bytesOf('first'), 'the record after the conflict');
      await store.commit([remove(KEY)]);
      assert(await tryCommit(store, [put(KEY, 'third', 0)]), 'ifRev 0 must hold for a deleted key');
    },
  },
  {
    name: 'writes and deletes with ifRev only at that rev',
    async run({ store }) {
      assert(!(await tryCommit(store, [put(KEY, 'x', 1)])), 'ifRev 1 must conflict with an absent key');
      await store.commit([put(KEY, 'one')]);
      const rev = await revOf(store, KEY);
      assert(await tryCommit(store, [put(KEY, 'two', rev)]), 'the current rev must hold');
      assert(!(await tryCommit(store, [put(KEY, 'three', rev)])), 'an old rev must conflict');
      assert(!(await tryCommit(store, [remove(KEY, rev)])), 'an old rev must conflict for a deletion');
      assertBytes((await readOne(store, KEY))?.value, bytesOf('two'), 'the record after the conflicts');
      assert(await tryCommit(store, [remove(KEY, await revOf(store, KEY))]), 'the current rev must hold for a deletion');
      assert((await readOne(store, KEY)) === undefined, 'a deleted record must be undefined');
    },
  },

  {
    name: 'makes no write of a commit that conflicts, wherever the conflict stands',
    async run({ store }) {
      await store.commit([put(['s', 'kept'], 'kept'), put(['s', 'guard'], 'guard')]);
      const others = [put(['s', 'new'], 'new'), put(['s', 'kept'], 'changed'), remove(['s', 'guard'])];
      for (let at = 0; at <= others.length; at++) {
        const writes = [...others.slice(0, at), put(['s', 'condition'], 'x', 7), ...others.slice(at)];
        assert(!(await tryCommit(store, writes)), `the condition at ${at} must conflict`);
        const [fresh, kept, guard] = await store.read([
          ['s', 'new'],
          ['s', 'kept'],
          ['s', 'guard'],
        ]);
        assert(fresh === undefined, `condition at ${at}: a write before or after it was made`);
        assertBytes(kept?.value, bytesOf('kept'), `condition at ${at}: an overwritten record`);
        assertBytes(guard?.value, bytesOf('guard'), `condition at ${at}: a deleted record`);
      }
    },
  },
  {
    name: 'never shows a reader half of a commit',
    async run({ store }) {
      const pair: StoreKey[] = [
        ['s', 'left'],
        ['s', 'right'],
      ];
      const commits = Array.from({ length: 50 }, (_, i) => store.commit(pair.map((key) => put(key, String(i)))));
      const reads = commits.map(async (committed) => {
        for (const records of [await store.read(pair), await store.list(['s'], 2), await committed.then(() => store.read(pair))]) {
          assertSame(textOf(records[0]?.value), textOf(records[1]?.value), 'two records of one commit');
        }
      });
      await Promise.all(reads);
    },
  },
  {
    name: 'makes all of many concurrent commits',
    async run({ store }) {
      await Promise.all(Array.from({ length: 200 }, (_, i) => store.commit([put(numbered(i), `value ${i}`, 0)])));
      const records = await store.read(Array.from({ length: 200 }, (_, i) => numbered(i)));
      for (const [i, record] of records.entries()) assertBytes(record?.value, bytesOf(`value ${i}`), `record ${i}`);
    },
  },
  {
    name: 'lets exactly one of many concurrent commits with the same ifRev win',
    async run({ store }) {
      for (let round = 0; round < 5; round++) {
        const rev = (await readOne(store, KEY))?.rev ?? 0;
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            tryCommit(store, [put(KEY, `winner ${i}`, rev), put(['space', `trace ${round} ${i}`], 'x')]),
          ),
        );
        const winners = outcomes.flatMap((won, i) => (won ? [i] : []));
        assertSame(winners.length, 1, `winners of round ${round}`);
        assertBytes((await readOne(store, KEY))?.value, bytesOf(`winner ${winners[0]}`), 'what the winner wrote');
        const traces = await store.list(['space'], 1_000);
        assertSame(traces.length, 1 + round + 1, 'records after the round: a loser wrote');
      }
    },
  },
  {
    name: 'loses no update of a counter that many writers increment with ifRev',
    async run({ store }) {
      const increment = async (): Promise<void> => {
        for (;;) {
          const record = await readOne(store, KEY);
          if (await tryCommit(store, [put(KEY, String(Number(textOf(record?.value)) + 1), record?.rev ?? 0)])) return;
        }
      };
      await Promise.all(Array.from({ length: 25 }, increment));
      assertBytes((await readOne(store, KEY))?.value, bytesOf('25'), 'a counter after 25 increments');
    },
  },
];
