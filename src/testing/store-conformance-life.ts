/** The store conformance cases about bad arguments, names, closing and opening again. */

import type { ErrorCode } from '../errors.js';
import type { StoreKey } from '../store/port.js';
import { assert, assertBytes, assertRejects, assertSame } from './assert.js';
import { bytesOf, KEY, numbered, put, readOne, remove, revOf, type StoreCase } from './store-case.js';

/** Cases about bad arguments, names, closing and opening again. */
export const LIFE_CASES: readonly StoreCase[] = [
  {
    name: 'refuses bad arguments with ERR_ARGUMENT and changes nothing',
    async run({ store }) {
      await store.commit([put(KEY, 'kept')]);
      const good = put(['s', 'good'], 'x');
      const none = [] as unknown as StoreKey;
      const calls: readonly [string, () => Promise<unknown>][] = [
        ['reading a key without components', () => store.read([none])],
        ['reading a key with an unpaired surrogate', () => store.read([['s', '\ud800']])],
        ['listing without a prefix', () => store.list(none, 1)],
        ['listing with limit 0', () => store.list(['s'], 0)],
        ['listing with limit 1.5', () => store.list(['s'], 1.5)],
        ['listing after a key without components', () => store.list(['s'], 1, none)],
        ['writing a key without components', () => store.commit([good, put(none, 'x')])],
        ['writing a key with an unpaired surrogate', () => store.commit([good, put(['s', 'a\udc00'], 'x')])],
        ['writing a value that is no Uint8Array', () => store.commit([good, { key: KEY, value: 'text' as unknown as Uint8Array }])],
        ['a negative ifRev', () => store.commit([good, put(KEY, 'x', -1)])],
        ['one key twice in a commit', () => store.commit([good, put(KEY, 'x'), remove(KEY)])],
      ];
      for (const [what, call] of calls) await assertRejects(call, 'ERR_ARGUMENT', what);
      assert((await readOne(store, good.key)) === undefined, 'a refused commit wrote');
      assertBytes((await readOne(store, KEY))?.value, bytesOf('kept'), 'the record after refused commits');
    },
  },
  {
    name: 'closes once, twice, and rejects every later call with ERR_CLOSED',
    async run({ store }) {
      await store.commit([put(KEY, 'x')]);
      await store.close();
      await store.close();
      const code: ErrorCode = 'ERR_CLOSED';
      await assertRejects(() => store.read([KEY]), code, 'read after close');
      await assertRejects(() => store.list(['space'], 1), code, 'list after close');
      await assertRejects(() => store.commit([put(KEY, 'y')]), code, 'commit after close');
    },
  },
  {
    name: 'closes a store that was never used',
    async run({ store }) {
      await store.close();
    },
  },
  {
    name: 'keeps different names apart',
    async run({ store, openOther }) {
      const other = await openOther();
      await store.commit([put(KEY, 'mine')]);
      assert((await readOne(other, KEY)) === undefined, 'a record of another store');
      await other.commit([put(KEY, 'theirs', 0)]);
      assertBytes((await readOne(store, KEY))?.value, bytesOf('mine'), 'the record of this store');
    },
  },
  {
    name: 'finds records and revs again after it was opened anew',
    durable: true,
    async run({ store, reopen }) {
      await store.commit([put(KEY, 'kept'), put(['space', 'gone'], 'x')]);
      await store.commit([remove(['space', 'gone'])]);
      const rev = await revOf(store, KEY);
      const again = await reopen();
      assertBytes((await readOne(again, KEY))?.value, bytesOf('kept'), 'a record after opening anew');
      assertSame(await revOf(again, KEY), rev, 'its rev after opening anew');
      assert((await readOne(again, ['space', 'gone'])) === undefined, 'a deleted record came back');
      assertSame((await again.list(['space'], 10)).length, 1, 'records in a listing after opening anew');
    },
  },
  {
    name: 'never reuses a rev for a key that was deleted before it was opened anew',
    durable: true,
    async run({ store, reopen }) {
      await store.commit([put(KEY, 'first life')]);
      const rev = await revOf(store, KEY);
      await store.commit([remove(KEY)]);
      const again = await reopen();
      await again.commit([put(KEY, 'second life')]);
      assert((await revOf(again, KEY)) > rev, `a rev was reused: ${await revOf(again, KEY)} after ${rev}`);
    },
  },
  {
    name: 'finishes the commits that were running when it was closed',
    durable: true,
    async run({ store, reopen }) {
      const commits = Array.from({ length: 20 }, (_, i) => store.commit([put(numbered(i), 'x')]));
      const [again] = await Promise.all([reopen(), ...commits]);
      assertSame((await again.list(['many'], 100)).length, 20, 'records of the running commits');
    },
  },
];
