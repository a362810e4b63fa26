/** The conformance cases about keys and listings: components, prefixes, order, paging. */

import { compare, encodeUtf8 } from '../bytes.js';
import type { Store, StoreKey } from '../store/port.js';
import { assert, assertBytes, assertSame } from './assert.js';
import { bytesOf, readOne, type StoreCase } from './store-case.js';

const MARK = bytesOf('x');

/** Components that careless adapters confuse: separators, escapes, prototype names, other normal forms, all planes of Unicode. */
// biome-ignore format: a table
const ODD_COMPONENTS: readonly string[] = [
  '', ' ', '/', ':', '%', '%2F', '%00', '\\', '\\0', '\0', '\0\0', '\x01', '\x7f', '.', '..', '*', '~', '"', "'", ',', '[]', 'null',
  'undefined', '0', '00', '-1', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a', 'A', 'a/b', 'a:b', 'a%2Fb', 'a\0b', 'a\0',
  '\0a', 'aa', 'é', 'e\u0301', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\ufeff', '\uffff', '\u{10000}', '\u{10ffff}', 'ÿ', 'x'.repeat(300),
];

/** The order that the port promises: component by component on UTF-8 bytes, shorter keys first. */
function compareKeys(a: StoreKey, b: StoreKey): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compare(encodeUtf8(a[i]!)!, encodeUtf8(b[i]!)!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Writes all keys in one commit; the value of each is its JSON in UTF-8. */
const putAll = (store: Store, keys: readonly StoreKey[]): Promise<void> =>
  store.commit(keys.map((key) => ({ key, value: encodeUtf8(JSON.stringify(key))! })));

const listKeys = async (store: Store, prefix: StoreKey, limit = 10_000, after?: StoreKey): Promise<StoreKey[]> =>
  (await store.list(prefix, limit, after)).map(({ key }) => key);

/** Cases about components, prefixes, order and paging. */
export const KEY_CASES: readonly StoreCase[] = [
  {
    name: 'T34: keeps odd components apart, whatever they contain',
    async run({ store }) {
      const keys: StoreKey[] = ODD_COMPONENTS.flatMap((odd): StoreKey[] => [
        [odd],
        ['odd', odd],
        ['odd', odd, 'leaf'],
        [`odd${odd}`, 'leaf'],
      ]);
      const distinct = [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()];
      await putAll(store, distinct);
      const records = await store.read(distinct);
      distinct.forEach((key, i) => {
        assertBytes(records[i]?.value, encodeUtf8(JSON.stringify(key))!, `the record of ${JSON.stringify(key)}`);
      });
      for (const key of distinct) await store.commit([{ key, value: null, ifRev: (await readOne(store, key))?.rev }]);
      const left = await store.read(distinct);
      assert(
        left.every((record) => record === undefined),
        'every record can be deleted by its own key',
      );
    },
  },
  {
    name: 'T34: keeps keys apart whose joined components look alike',
    async run({ store }) {
      const alike: StoreKey[] = ['', '/', ':', '%', '\0', ',', '\\', '|', '.', '-', '_'].flatMap((joint): StoreKey[] => [
        ['s', `a${joint}b`, 'c'],
        ['s', 'a', `b${joint}c`],
        ['s', `a${joint}`, 'b', 'c'],
        ['s', 'a', `${joint}b`, 'c'],
        ['s', `a${joint}b${joint}c`],
      ]);
      const keys = [...new Map([['s', 'a', 'b', 'c'] as StoreKey, ...alike].map((key) => [JSON.stringify(key), key])).values()];
      await putAll(store, keys);
      for (const [i, record] of (await store.read(keys)).entries()) {
        assertBytes(record?.value, encodeUtf8(JSON.stringify(keys[i]))!, `the record of ${JSON.stringify(keys[i])}`);
      }
      assertSame((await listKeys(store, ['s'])).length, keys.length, 'keys in the listing');
    },
  },
  {
    name: 'lists keys as they were written, with value and rev',
    async run({ store }) {
      const keys: StoreKey[] = ODD_COMPONENTS.map((odd) => ['s', odd]);
      await putAll(store, keys);
      for (const { key, value, rev } of await store.list(['s'], 1_000)) {
        assertBytes(value, encodeUtf8(JSON.stringify(key))!, `the listed record of ${JSON.stringify(key)}`);
        assertSame(rev, (await readOne(store, key))?.rev, `the listed rev of ${JSON.stringify(key)}`);
      }
    },
  },
  {
    name: 'lists in the UTF-8 byte order of the components',
    async run({ store }) {
      const keys: StoreKey[] = ODD_COMPONENTS.flatMap((odd): StoreKey[] => [
        ['s', odd],
        ['s', odd, 'z'],
        ['s', odd, '\0'],
        ['s', `${odd}!`, 'a'],
      ]);
      const distinct = [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()];
      await putAll(store, distinct);
      assertSame(await listKeys(store, ['s']), distinct.sort(compareKeys), 'the order of a listing');
    },
  },
  {
    name: 'lists whole components only, strictly below the prefix',
    async run({ store }) {
      const below: StoreKey[] = [
        ['s', 'ab', ''],
        ['s', 'ab', '1'],
        ['s', 'ab', '1', '2'],
      ];
      const outside: StoreKey[] = [
        ['s'],
        ['s', 'a'],
        ['s', 'ab'],
        ['s', 'abc'],
        ['s', 'abc', '1'],
        ['s', 'ab/1'],
        ['s', 'ab\0'],
        ['s', 'ab\0', '1'],
        ['sab', '1'],
      ];
      await putAll(store, [...outside, ...below]);
      assertSame(await listKeys(store, ['s', 'ab']), below, 'keys below ["s","ab"]');
      assertSame(await listKeys(store, ['s', 'ab', '1']), [['s', 'ab', '1', '2']], 'keys below ["s","ab","1"]');
      assertSame(await listKeys(store, ['sa']), [], 'keys below a prefix that only looks like one');
      assertSame((await listKeys(store, ['s'])).length, below.length + outside.length - 2, 'keys below ["s"]');
      for (const odd of ODD_COMPONENTS) {
        await store.commit([{ key: ['odd', odd, 'leaf'], value: MARK }]);
      }
      for (const odd of ODD_COMPONENTS) {
        assertSame(await listKeys(store, ['odd', odd]), [['odd', odd, 'leaf']], `keys below ${JSON.stringify(['odd', odd])}`);
      }
    },
  },
  {
    name: 'lists at most limit records, the first ones',
    async run({ store }) {
      await putAll(store, [
        ['s', 'c'],
        ['s', 'a'],
        ['s', 'b'],
      ]);
      assertSame(
        await listKeys(store, ['s'], 2),
        [
          ['s', 'a'],
          ['s', 'b'],
        ],
        'two of three',
      );
      assertSame(
        await listKeys(store, ['s'], 3),
        [
          ['s', 'a'],
          ['s', 'b'],
          ['s', 'c'],
        ],
        'three of three',
      );
      assertSame(await listKeys(store, ['empty'], 3), [], 'none');
    },
  },
  {
    name: 'lists after a key, which need not exist nor lie below the prefix',
    async run({ store }) {
      await putAll(store, [
        ['s', 'a'],
        ['s', 'b'],
        ['s', 'b', '1'],
        ['s', 'c'],
        ['t', 'a'],
      ]);
      assertSame(
        await listKeys(store, ['s'], 9, ['s', 'a']),
        [
          ['s', 'b'],
          ['s', 'b', '1'],
          ['s', 'c'],
        ],
        'after an existing key',
      );
      assertSame(
        await listKeys(store, ['s'], 9, ['s', 'b']),
        [
          ['s', 'b', '1'],
          ['s', 'c'],
        ],
        'after a key with keys below it',
      );
      assertSame(await listKeys(store, ['s'], 9, ['s', 'bb']), [['s', 'c']], 'after a key that never existed');
      await store.commit([{ key: ['s', 'b'], value: null }]);
      assertSame(await listKeys(store, ['s'], 1, ['s', 'b']), [['s', 'b', '1']], 'after a deleted key');
      assertSame(await listKeys(store, ['s'], 1, ['r']), [['s', 'a']], 'after a key before the prefix');
      assertSame(await listKeys(store, ['s'], 9, ['s', 'c']), [], 'after the last key');
      assertSame(await listKeys(store, ['s'], 9, ['t']), [], 'after a key behind the prefix');
    },
  },
  {
    name: 'pages through 1,000 records without loss or repetition',
    async run({ store }) {
      const keys: StoreKey[] = Array.from({ length: 1_000 }, (_, i) => ['page', String((i * 7_919) % 1_000)]);
      await putAll(store, [...keys, ['pag', 'x'], ['page2', 'x']]);
      const sorted = [...keys].sort(compareKeys);
      assertSame(await listKeys(store, ['page'], 1_000), sorted, 'one page of 1,000');
      const paged: StoreKey[] = [];
      for (;;) {
        const page = await listKeys(store, ['page'], 77, paged.at(-1));
        if (page.length === 0) break;
        paged.push(...page);
        assert(paged.length <= sorted.length, 'paging does not end');
      }
      assertSame(paged, sorted, 'pages of 77');
    },
  },
  {
    name: 'lists what the latest commit left',
    async run({ store }) {
      await putAll(store, [
        ['s', 'a'],
        ['s', 'b'],
      ]);
      await store.commit([
        { key: ['s', 'a'], value: null },
        { key: ['s', 'b'], value: MARK },
        { key: ['s', 'c'], value: MARK },
      ]);
      const records = await store.list(['s'], 10);
      assertSame(
        records.map(({ key }) => key),
        [
          ['s', 'b'],
          ['s', 'c'],
        ],
        'keys',
      );
      for (const { value } of records) assertBytes(value, MARK, 'value');
    },
  },
];
