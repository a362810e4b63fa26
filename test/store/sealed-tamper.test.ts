import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/crypto/suite.js';
import type { Store, StoreKey, Write } from '../../src/store/port.js';
import { sealedStore } from '../../src/store/sealed.js';
import { baseOf, codeOf, isHead, isRecord, isSlot, lastingBase, type Row, rawSlot, rowsOf, text, utf8, withRows } from './sealed-base.js';

const KEYS: readonly StoreKey[] = [['contact', 'bob'], ['meta'], ['session', 'x', 'y']];
const A = 1;
const B = 2;

/** Three records, two slots. Also the rows as they were before the last commit, which changed the first record. */
async function small(): Promise<{ before: Row[]; rows: Row[] }> {
  const base = lastingBase();
  const store = sealedStore(base, rawSlot(A));
  await store.commit(KEYS.map((key) => ({ key, value: utf8(`old ${key.join()}`) })));
  await store.addSlot(rawSlot(B));
  const before = await rowsOf(base);
  await store.commit([{ key: KEYS[0]!, value: utf8('new') }]);
  await store.close();
  return { before, rows: await rowsOf(base) };
}

/** All that can be read: keys and values. */
async function contentOf(base: Store, slot = rawSlot(A)): Promise<string> {
  const store = sealedStore(base, slot);
  const read = await store.read(KEYS);
  const listed = await Promise.all(['contact', 'meta', 'session', 'planted'].map((space) => store.list([space], 10)));
  await store.close();
  return JSON.stringify([read.map((record) => text(record?.value)), listed.flat().map(({ key, value, rev }) => [key, text(value), rev])]);
}

const flipped = ({ key, value }: Row, at: number): Row => {
  const copy = new Uint8Array(value);
  copy[at]! ^= 1 << (at % 8);
  return { key, value: copy };
};

/** The row with its checksum made good: what somebody writes who knows the layout and no key. */
function rechecked({ key, value }: Row): Row {
  const body = value.subarray(0, -16);
  const copy = new Uint8Array(value);
  copy.set(sha256(body).subarray(0, 16), body.length);
  return { key, value: copy };
}

describe('tampering with the base', () => {
  test('every flipped byte of a record, of the head and of the slot is a typed error, and never wrong data', async () => {
    const { rows } = await small();
    const whole = await contentOf(await baseOf(rows));
    const slotOfA = await slotThatOpens(rows);
    let damaged = 0;
    let othersKind = 0;
    for (const row of rows) {
      for (let at = 0; at < row.value.length; at++) {
        const base = await baseOf(withRows(rows, flipped(row, at)));
        if (isSlot(row) && row !== slotOfA) {
          expect(await contentOf(base)).toBe(whole);
          const store = sealedStore(base, rawSlot(A));
          await store.read([['meta']]);
          await expect(store.slots()).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', field: `slot ${row.key[2]}` });
        } else {
          const code = await codeOf(() => contentOf(base));
          // Where the kind itself is damaged, the slot of B is what the key can have been meant for.
          if (row === slotOfA && at > 0 && at < 6 && code === 'ERR_STORE_KEY') othersKind += 1;
          else expect(code, `byte ${at} of ${row.key.join()}`).toBe('ERR_STORE_CORRUPT');
        }
        damaged += 1;
      }
    }
    expect(damaged).toBeGreaterThan(1_000);
    expect(othersKind).toBeLessThanOrEqual(5);
  });

  test('a checksum that was made good does not help', async () => {
    const { rows } = await small();
    const slotOfA = await slotThatOpens(rows);
    for (const row of [rows.find(isHead)!, slotOfA]) {
      for (let at = 0; at < row.value.length - 16; at++) {
        const base = await baseOf(withRows(rows, rechecked(flipped(row, at))));
        const code = await codeOf(() => contentOf(base));
        expect(['ERR_STORE_CORRUPT', 'ERR_STORE_KEY', 'ERR_STORE_VERSION'], `byte ${at} of ${row.key.join()}`).toContain(code);
      }
    }
  });

  test('T37: truncated and lengthened rows are refused', async () => {
    const { rows } = await small();
    const slotOfA = await slotThatOpens(rows);
    for (const { key, value } of rows.filter((row) => !isSlot(row) || row === slotOfA)) {
      for (const length of [0, 1, 4, 20, 36, value.length - 16, value.length - 1, value.length + 1]) {
        const cut = new Uint8Array(length);
        cut.set(value.subarray(0, length));
        const base = await baseOf(withRows(rows, { key, value: cut }));
        expect(await codeOf(() => contentOf(base)), `${length} bytes of ${key.join()}`).toBe('ERR_STORE_CORRUPT');
      }
    }
  });

  test('T37: swapped, deleted, doubled and planted records are refused', async () => {
    const { rows } = await small();
    const [one, two] = rows.filter(isRecord) as [Row, Row];
    const foreign = (await small()).rows.find(isRecord)!;
    const at = (...path: string[]): StoreKey => ['sealed', ...path];
    const cases: Record<string, Row[]> = {
      swapped: withRows(rows, { key: one.key, value: two.value }, { key: two.key, value: one.value }),
      deleted: rows.filter((row) => row !== one),
      doubled: [...rows, { key: at('r', 'f'.repeat(32)), value: one.value }],
      'of another store': [...rows, foreign],
      'below a record': [...rows, { key: at('r', one.key[2]!, 'x'), value: one.value }],
      'without any': rows.filter((row) => !isRecord(row)),
    };
    for (const [name, changed] of Object.entries(cases)) {
      const base = await baseOf(changed);
      expect(await codeOf(() => contentOf(base)), name).toBe('ERR_STORE_CORRUPT');
      expect((await rowsOf(base)).length, 'nothing was written').toBe(changed.length);
    }
  });

  test('an older write of one record, or of the head, is refused', async () => {
    const { before, rows } = await small();
    const changed = rows.filter((row) => before.some((old) => old.key.join() === row.key.join() && !same(old, row)));
    expect(changed.map((row) => row.key[1]).sort()).toEqual(['head', 'r']);
    for (const row of changed) {
      const old = before.find(({ key }) => key.join() === row.key.join())!;
      expect(await codeOf(async () => contentOf(await baseOf(withRows(rows, old)))), row.key[1]).toBe('ERR_STORE_CORRUPT');
    }
    // All of it together is a copy of the whole store, which only the login can tell.
    expect(await contentOf(await baseOf(before))).toContain('old contact,bob');
  });

  test('without its head, or without its slots, a store is damaged, not new', async () => {
    const { rows } = await small();
    for (const without of [isHead, isSlot]) {
      const base = await baseOf(rows.filter((row) => !without(row)));
      for (let i = 0; i < 2; i++) expect(await codeOf(() => contentOf(base))).toBe('ERR_STORE_CORRUPT');
      expect((await rowsOf(base)).length).toBe(rows.filter((row) => !without(row)).length);
    }
  });

  test('a slot that was removed does not open again when its row is put back', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    const id = await store.addSlot(rawSlot(B));
    const row = (await rowsOf(base)).find(({ key }) => key[2] === id)!;
    await store.removeSlot(id);
    await store.commit([{ key: ['meta'], value: utf8('x') }]);
    await base.commit([row]);
    await expect(sealedStore(base, rawSlot(B)).read([['meta']])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'slot' });
    await expect(store.slots()).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', field: `slot ${id}` });
    await store.removeSlot(id);
    expect(await store.slots()).toHaveLength(1);
  });

  test('damage under an open store is found by the read that meets it', async () => {
    const { rows } = await small();
    const changes: readonly ((row: Row) => Write)[] = [
      (row: Row) => ({ key: row.key, value: flipped(row, row.value.length - 1).value }),
      (row: Row) => ({ key: row.key, value: null }),
      (row: Row) => ({ key: row.key, value: rows.find((other) => isRecord(other) && other !== row)!.value }),
    ];
    for (const change of changes) {
      const base = await baseOf(rows);
      const store = sealedStore(base, rawSlot(A));
      await store.read(KEYS);
      await base.commit(rows.filter(isRecord).map(change));
      for (const key of KEYS) await expect(store.read([key])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
      await expect(store.list(['contact'], 9)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
      await expect(store.list(['nothing'], 9)).resolves.toEqual([]);
    }
  });

  test('an older write that is put back under an open store is found by the read that meets it', async () => {
    const { before, rows } = await small();
    const base = await baseOf(rows);
    const store = sealedStore(base, rawSlot(A));
    expect(text((await store.read([KEYS[0]!]))[0]?.value)).toBe('new');
    await base.commit(before.filter(isRecord));
    await expect(store.read([KEYS[0]!])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(text((await store.read([KEYS[1]!]))[0]?.value)).toBe('old meta');
  });

  test('a head that vanishes under an open store ends it, whatever is called', async () => {
    const { rows } = await small();
    const base = await baseOf(rows);
    const store = sealedStore(base, rawSlot(A));
    await store.read(KEYS);
    await base.commit([{ key: ['sealed', 'head'], value: null }]);
    for (let i = 0; i < 2; i++) {
      await expect(store.read(KEYS)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
      await expect(store.commit([{ key: ['meta'], value: utf8('x') }])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    }
    expect((await rowsOf(base)).some(isHead)).toBe(false);
  });

  test('a scan that failed is repeated, never taken for an empty store', async () => {
    const { rows } = await small();
    const base = await baseOf(rows);
    const [one, two] = [sealedStore(base, rawSlot(A)), sealedStore(base, rawSlot(A))];
    await Promise.all([one.read(KEYS), two.read(KEYS)]);
    await two.commit([{ key: ['meta'], value: utf8('moved') }]);
    const gone = rows.find((row) => isRecord(row))!;
    await base.commit([{ key: gone.key, value: null }]);
    for (let i = 0; i < 3; i++) {
      expect(await codeOf(() => one.list(['contact'], 9))).toBe('ERR_STORE_CORRUPT');
      expect(await codeOf(() => one.commit([{ key: ['meta'], value: utf8('over') }]))).toBe('ERR_STORE_CORRUPT');
    }
    await base.commit([{ key: ['sealed', 'head'], value: null }]);
    expect(await codeOf(() => one.commit([{ key: ['meta'], value: utf8('over') }]))).toBe('ERR_STORE_CORRUPT');
  });
});

/** The slot row that the store opens with when A's key is given: without it there is no way in. */
async function slotThatOpens(rows: readonly Row[]): Promise<Row> {
  for (const row of rows.filter(isSlot)) {
    const base = await baseOf(rows.filter((other) => other !== row));
    if ((await codeOf(() => sealedStore(base, rawSlot(A)).read(KEYS))) === 'ERR_STORE_KEY') return row;
  }
  throw new Error('no slot opens with A');
}

const same = (a: Row, b: Row): boolean => Buffer.from(a.value).equals(Buffer.from(b.value));

test('the helpers see what they should', async () => {
  const { rows } = await small();
  expect([rows.filter(isHead), rows.filter(isSlot), rows.filter(isRecord)].map((each) => each.length)).toEqual([1, 2, 3]);
  expect(await contentOf(await baseOf(rows))).toContain('new');
});
