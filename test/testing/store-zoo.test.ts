import { describe, expect, test } from 'vitest';
import { storeConformance } from '../../src/testing/store-conformance.js';
import { apply, brokenStores, check, type Defect, tick } from './broken-stores.js';

async function failing(defect: Defect): Promise<string[]> {
  const failures: string[] = [];
  for (const { name, run } of storeConformance(brokenStores(defect))) {
    await run().catch((error: unknown) => {
      expect(error).toBeInstanceOf(Error);
      failures.push(name);
    });
  }
  return failures;
}

/** Each broken store, and a case that must catch it. */
const ZOO: readonly [animal: string, defect: Defect, caughtBy: string][] = [
  [
    'reuses revs after delete and create',
    { nextRev: ({ records }, key) => (records.get(key)?.rev ?? 0) + 1 },
    'never reuses a rev for a key after delete and create',
  ],
  [
    'accepts an ifRev from an earlier life',
    { nextRev: ({ records }, key) => (records.get(key)?.rev ?? 0) + 1 },
    'refuses an ifRev from before delete and create',
  ],
  ['gives the same rev again', { nextRev: () => 7 }, 'gives a record a greater rev with every write'],
  ['ignores ifRev', { holds: () => true }, 'writes and deletes with ifRev only at that rev'],
  [
    'takes ifRev 0 for no condition',
    { holds: (ifRev, rev) => ifRev === 0 || ifRev === rev },
    'writes with ifRev 0 only where the key is absent',
  ],
  ['accepts any newer ifRev', { holds: (ifRev, rev) => rev >= ifRev }, 'refuses an ifRev from before delete and create'],
  [
    'writes what stands before a conflict',
    {
      async commit(state, writes, defect) {
        for (const write of writes) {
          check(state, [write], defect);
          apply(state, [write], defect);
        }
      },
    },
    'makes no write of a commit that conflicts, wherever the conflict stands',
  ],
  [
    'writes what has no condition, whatever conflicts',
    {
      async commit(state, writes, defect) {
        apply(
          state,
          writes.filter(({ write }) => write.ifRev === undefined),
          defect,
        );
        check(state, writes, defect);
        apply(
          state,
          writes.filter(({ write }) => write.ifRev !== undefined),
          defect,
        );
      },
    },
    'makes no write of a commit that conflicts, wherever the conflict stands',
  ],
  [
    'writes one record after the other',
    {
      async commit(state, writes, defect) {
        check(state, writes, defect);
        for (const write of writes) {
          apply(state, [write], defect);
          await tick();
        }
      },
    },
    'never shows a reader half of a commit',
  ],
  [
    'checks, waits, then writes',
    {
      async commit(state, writes, defect) {
        check(state, writes, defect);
        await tick();
        apply(state, writes, defect);
      },
    },
    'lets exactly one of many concurrent commits with the same ifRev win',
  ],
  [
    'loses updates of concurrent writers',
    {
      async commit(state, writes, defect) {
        check(state, writes, defect);
        await tick();
        apply(state, writes, defect);
      },
    },
    'loses no update of a counter that many writers increment with ifRev',
  ],
  [
    'acknowledges before it wrote',
    {
      async commit(state, writes, defect) {
        check(state, writes, defect);
        void tick().then(() => apply(state, writes, defect));
      },
    },
    'overwrites and deletes',
  ],
  ['drops every write of a busy moment', { async commit() {} }, 'makes all of many concurrent commits'],
  ['keeps the buffers that it was given', { copyIn: (value) => value }, 'copies values as commit is called'],
  [
    'copies values a moment too late',
    {
      async commit(state, writes, defect) {
        check(state, writes, defect);
        await Promise.resolve();
        apply(state, writes, defect);
      },
    },
    'copies values as commit is called',
  ],
  ['hands out its own buffers', { copyOut: (value) => value }, 'copies values that it hands out'],
  [
    'keeps the whole buffer of a view',
    { copyIn: (value) => new Uint8Array(value.buffer.slice(0)) },
    'keeps every byte value, and only the view that it was given',
  ],
  [
    'keeps bytes as text',
    { copyIn: (value) => new Uint8Array(Buffer.from(Buffer.from(value).toString('utf8'))) },
    'keeps every byte value, and only the view that it was given',
  ],
  ['cuts values at 64 KiB', { copyIn: (value) => value.slice(0, 65_536) }, 'keeps a value of 1 MiB'],
  [
    'shows an absent record as empty',
    { absent: { value: new Uint8Array(0), rev: 0 } },
    'reads records in the order of the keys, and absent ones as undefined',
  ],
  ['joins components with /', { encode: (key) => key.join('/') }, 'T34: keeps keys apart whose joined components look alike'],
  ['joins components with :', { encode: (key) => key.join(':') }, 'T34: keeps odd components apart, whatever they contain'],
  ['joins components with NUL', { encode: (key) => key.join('\0') }, 'T34: keeps keys apart whose joined components look alike'],
  [
    'normalises components',
    { encode: (key) => JSON.stringify(key.map((part) => part.normalize())) },
    'T34: keeps odd components apart, whatever they contain',
  ],
  ['ignores case', { encode: (key) => JSON.stringify(key).toLowerCase() }, 'T34: keeps odd components apart, whatever they contain'],
  [
    'matches prefixes as text',
    { matches: (prefix, key) => key.join('/') !== prefix.join('/') && key.join('/').startsWith(prefix.join('/')) },
    'lists whole components only, strictly below the prefix',
  ],
  [
    'lists the prefix itself',
    { matches: (prefix, key) => prefix.every((part, i) => key[i] === part) },
    'lists whole components only, strictly below the prefix',
  ],
  [
    'lists direct children only',
    { matches: (prefix, key) => key.length === prefix.length + 1 && prefix.every((part, i) => key[i] === part) },
    'lists whole components only, strictly below the prefix',
  ],
  [
    'lists in the order of UTF-16',
    { encode: (key) => key.map((part) => `${part}\0`).join('') },
    'lists in the UTF-8 byte order of the components',
  ],
  ['lists in the order of a locale', { order: (a, b) => a.localeCompare(b) }, 'lists in the UTF-8 byte order of the components'],
  ['lists in the order of writing', { order: () => 0 }, 'lists at most limit records, the first ones'],
  ['lists backwards', { order: (a, b) => (a < b ? 1 : -1) }, 'lists in the UTF-8 byte order of the components'],
  ['ignores limit', { page: () => 10_000 }, 'lists at most limit records, the first ones'],
  ['lists one too few', { page: (limit) => limit - 1 }, 'lists at most limit records, the first ones'],
  ['caps a page at 500', { page: (limit) => Math.min(500, limit) }, 'pages through 1,000 records without loss or repetition'],
  ['ignores after', { isAfter: () => true }, 'lists after a key, which need not exist nor lie below the prefix'],
  ['repeats the record of after', { isAfter: (key, after) => key >= after }, 'pages through 1,000 records without loss or repetition'],
  [
    'skips what lies below after',
    { isAfter: (key, after) => key > after && !key.startsWith(after) },
    'lists after a key, which need not exist nor lie below the prefix',
  ],
  ['checks no arguments', { skipsChecks: true }, 'refuses bad arguments with ERR_ARGUMENT and changes nothing'],
  ['goes on after close', { staysOpen: true }, 'closes once, twice, and rejects every later call with ERR_CLOSED'],
  ['shares records between names', { sharesNames: true }, 'keeps different names apart'],
  [
    'takes an empty value for a deletion',
    {
      wrap: (store) => ({
        ...store,
        commit: (writes) => store.commit(writes.map((write) => (write.value?.length === 0 ? { ...write, value: null } : write))),
      }),
    },
    'keeps an empty value apart from an absent record',
  ],
  [
    'lists trimmed keys',
    {
      wrap: (store) => ({
        ...store,
        list: async (...args) =>
          (await store.list(...args)).map((record) => ({ ...record, key: record.key.map((part) => part.trim()) as [string, ...string[]] })),
      }),
    },
    'lists keys as they were written, with value and rev',
  ],
  [
    'lists revs of its own',
    {
      wrap: (store) => ({
        ...store,
        list: async (...args) => (await store.list(...args)).map((record) => ({ ...record, rev: record.rev + 1 })),
      }),
    },
    'reports the same rev in read and list',
  ],
  [
    'lists what was deleted',
    {
      wrap: (store) => ({
        ...store,
        commit: (writes) => store.commit(writes.map((write) => ({ ...write, value: write.value ?? new Uint8Array(0) }))),
        read: async (keys) => (await store.read(keys)).map((record) => (record?.value.length === 0 ? undefined : record)),
      }),
    },
    'lists what the latest commit left',
  ],
  [
    'cannot close what it never opened',
    {
      wrap(store) {
        let used = false;
        return {
          ...store,
          commit(writes) {
            used = true;
            return store.commit(writes);
          },
          close: async () => (used ? store.close() : Promise.reject(new TypeError('undefined is not a database'))),
        };
      },
    },
    'closes a store that was never used',
  ],
  [
    'drops running commits when it closes',
    {
      wrap(store) {
        let closed = false;
        return {
          ...store,
          async commit(writes) {
            if (writes.length === 1 && writes[0]?.key[0] === 'many') await tick();
            if (!closed) await store.commit(writes);
          },
          close() {
            closed = true;
            return store.close();
          },
        };
      },
    },
    'finishes the commits that were running when it was closed',
  ],
  ['forgets when it closes', { forgets: 'records' }, 'finds records and revs again after it was opened anew'],
  ['counts revs anew when it opens', { forgets: 'counter' }, 'never reuses a rev for a key that was deleted before it was opened anew'],
];

describe('the store suite', () => {
  test('passes a store without a defect', async () => {
    expect(await failing({})).toEqual([]);
  });

  test.each(ZOO)('catches a store that %s', async (_animal, defect, caughtBy) => {
    expect(await failing(defect)).toContain(caughtBy);
  });

  test('has an animal for every case', () => {
    const caught = new Set(ZOO.map(([, , caughtBy]) => caughtBy));
    for (const { name } of storeConformance(brokenStores({}))) expect(caught).toContain(name);
  });
});
