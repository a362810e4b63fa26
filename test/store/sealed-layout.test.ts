import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { concat, toHex, u32, u64 } from '../../src/bytes.js';
import { encodeKey } from '../../src/store/keys.js';
import type { Store } from '../../src/store/port.js';
import {
  commitTo,
  decodeHeadClear,
  decodeRecordHead,
  decodeSlot,
  encodeSlot,
  type Head,
  kindOf,
  masterKeys,
  slotAd,
} from '../../src/store/sealed/layout.js';
import { openBox, sealBox } from '../../src/store/sealed/raw-key.js';
import { sealedStore } from '../../src/store/sealed.js';
import { isHead, isSlot, lastingBase, rawSlot, text, utf8 } from './sealed-base.js';

const KEY = encodeKey(['contact', 'bob'], 'key');
const VALUE = utf8('what was written');
const STORE_ID = new Uint8Array(16).fill(4);
const keysOf = (byte: number, version = 1) => masterKeys(new Uint8Array(32).fill(byte), version);
const damaged = { code: 'ERR_STORE_CORRUPT', action: 'recover' };

describe('a record', () => {
  test('opens to key and value under its id', () => {
    const { row, ...record } = keysOf(1).sealRecord(KEY, 5, VALUE);
    expect(keysOf(1).openRecord(record.id, row)).toEqual({ key: KEY, value: VALUE });
    expect(decodeRecordHead(record.id, row)).toEqual(record);
    expect([record.version, record.generation, record.id]).toEqual([1, 5, keysOf(1).recordId(KEY)]);
  });

  test('is bound to its id, its generation, the version and the master key', () => {
    const keys = keysOf(1);
    const { id, row } = keys.sealRecord(KEY, 5, VALUE);
    const other = keys.recordId(encodeKey(['contact', 'carol'], 'key'));
    expect(() => keys.openRecord(other, row)).toThrow(expect.objectContaining(damaged));
    expect(() => keys.openRecord(id, concat(u32(1), u64(6), row.subarray(12)))).toThrow(expect.objectContaining(damaged));
    expect(() => keysOf(1, 2).openRecord(id, row)).toThrow(expect.objectContaining(damaged));
    expect(() => keysOf(2).openRecord(id, row)).toThrow(expect.objectContaining(damaged));
  });

  test('has a mark that depends on id, generation and nonce', () => {
    const keys = keysOf(1);
    const { row: _, ...record } = keys.sealRecord(KEY, 5, VALUE);
    const marks = [
      keys.mark(record),
      keys.mark({ ...record, id: 'f'.repeat(32) }),
      keys.mark({ ...record, stamp: concat(u64(6), record.stamp.subarray(8)) }),
      keys.mark({ ...record, stamp: concat(u64(5), new Uint8Array(24)) }),
      keysOf(2).mark(record),
    ];
    expect(new Set(marks.map((mark) => mark.join())).size).toBe(marks.length);
  });

  test('takes empty and long keys and values', () => {
    const keys = keysOf(1);
    for (const key of [encodeKey([''], 'key'), encodeKey(['s', 'x'.repeat(200_000)], 'key')]) {
      for (const value of [new Uint8Array(0), new Uint8Array(300_000).fill(7)]) {
        const { id, row } = keys.sealRecord(key, 1, value);
        const opened = keys.openRecord(id, row);
        expect(opened.key === key && Buffer.from(opened.value).equals(Buffer.from(value))).toBe(true);
      }
    }
  });
});

describe('a head', () => {
  const head: Head = {
    counter: 2 ** 40,
    set: new Uint8Array(32).fill(8),
    slots: new Map([['a'.repeat(32), new Uint8Array(32).fill(9)]]),
    retired: [{ version: 1, masterKey: new Uint8Array(32).fill(3) }],
    sealing: true,
  };

  test('opens to what was sealed, and says store and version in clear', () => {
    const row = keysOf(1, 2).sealHead(STORE_ID, head);
    expect(keysOf(1, 2).openHead(row)).toEqual(head);
    expect(decodeHeadClear(row)).toEqual({ storeId: STORE_ID, version: 2 });
    expect(Buffer.from(row).includes(Buffer.alloc(32, 3)), 'a master key in clear').toBe(false);
  });

  test('is bound to its store and its version', () => {
    const row = keysOf(1, 2).sealHead(STORE_ID, head);
    expect(() => keysOf(2, 2).openHead(row)).toThrow(expect.objectContaining(damaged));
    expect(() => keysOf(1, 3).openHead(row)).toThrow(expect.objectContaining(damaged));
    for (const at of [1, 16, 20]) {
      const changed = new Uint8Array(row);
      changed[at]! ^= 1;
      expect(() => keysOf(1, 2).openHead(changed)).toThrow(expect.objectContaining(damaged));
    }
  });
});

describe('a slot', () => {
  const slot = { kind: 'käse', commitment: new Uint8Array(32).fill(1), sealed: utf8('sealed') };

  test('keeps kind, commitment and bytes', () => {
    expect(decodeSlot(encodeSlot(slot))).toEqual(slot);
    expect(kindOf(encodeSlot(slot))).toBe('käse');
    expect(kindOf(new Uint8Array(2))).toBeUndefined();
  });

  test('T36: binds store, slot and kind, and commits to one master key', () => {
    const ads = [
      slotAd(STORE_ID, 'a', 'raw'),
      slotAd(new Uint8Array(16), 'a', 'raw'),
      slotAd(STORE_ID, 'b', 'raw'),
      slotAd(STORE_ID, 'a', 'passkey'),
    ];
    const commitments = [...ads.map((ad) => commitTo(new Uint8Array(32), ad)), commitTo(new Uint8Array(32).fill(1), ads[0]!)];
    expect(new Set([...ads, ...commitments].map((bytes) => bytes.join())).size).toBe(9);
  });
});

describe('with a generator that always gives the same', () => {
  beforeEach(() => {
    vi.stubGlobal('crypto', { getRandomValues: (target: Uint8Array) => target.fill(5) });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  /** How many of these nonces differ. */
  const count = (nonces: readonly Uint8Array[]): number => new Set(nonces.map(toHex)).size;

  test('T18: no two records, generations or values share key and nonce', () => {
    const keys = keysOf(1);
    const carol = encodeKey(['contact', 'carol'], 'key');
    const sealed = [
      keys.sealRecord(KEY, 5, VALUE),
      keys.sealRecord(KEY, 5, utf8('what was writteN')),
      keys.sealRecord(KEY, 5, concat(VALUE, new Uint8Array(1))),
      keys.sealRecord(KEY, 6, VALUE),
      keys.sealRecord(carol, 5, VALUE),
    ];
    expect(count(sealed.map(({ stamp }) => stamp.subarray(8)))).toBe(sealed.length);
    for (const { id, row } of sealed) expect(() => keys.openRecord(id, row)).not.toThrow();
  });

  test('T18: no two heads share key and nonce, and none has that of a record', () => {
    const keys = keysOf(1);
    const head: Head = { counter: 2, set: new Uint8Array(32), slots: new Map(), retired: [], sealing: false };
    const rows = [
      keys.sealHead(STORE_ID, head),
      keys.sealHead(STORE_ID, { ...head, counter: 3 }),
      keys.sealHead(STORE_ID, { ...head, sealing: true }),
      keys.sealHead(new Uint8Array(16), head),
    ];
    const nonces = rows.map((row) => row.subarray(21, 45));
    expect(count([...nonces, keys.sealRecord(KEY, 2, new Uint8Array(0)).stamp.subarray(8)])).toBe(rows.length + 1);
  });

  test('T18: no two boxes of a slot share key and nonce', () => {
    const kek = new Uint8Array(32).fill(9);
    const [one, two] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    const boxes = [
      sealBox(kek, one, utf8('ad')),
      sealBox(kek, two, utf8('ad')),
      sealBox(kek, one, utf8('other')),
      sealBox(kek, one, utf8('ad'), utf8('h')),
    ];
    expect(count(boxes.map((box) => box.subarray(0, 24)))).toBe(boxes.length);
    expect(openBox(kek, boxes[1]!, utf8('ad'))).toEqual(two);
  });

  test('T18: nor does any row of a store that is written again and again, with one key after the other', async () => {
    const base = lastingBase();
    const seen = new Map<string, string>();
    const watched: Store = {
      ...base,
      async commit(writes) {
        for (const { key, value } of writes) {
          if (value === null || isSlot({ key, value })) continue;
          // The version of the master key, and the nonce under it.
          const used = isHead({ key, value })
            ? (['head', value.subarray(17, 45)] as const)
            : (['record', concat(value.subarray(0, 4), value.subarray(12, 36))] as const);
          const name = `${used[0]} ${toHex(used[1])}`;
          expect(seen.get(name) ?? toHex(value)).toBe(toHex(value));
          seen.set(name, toHex(value));
        }
        await base.commit(writes);
      },
    };
    const store = sealedStore(watched, rawSlot(1));
    for (const value of ['a', 'b', 'a', 'c']) {
      await store.commit([
        { key: ['meta'], value: utf8(value) },
        { key: ['contact', value], value: utf8(value) },
      ]);
      if (value === 'b') await store.rotateKey();
    }
    expect(seen.size).toBeGreaterThan(15);
    expect(text((await sealedStore(base, rawSlot(1)).read([['meta']]))[0]?.value)).toBe('c');
  });

  test('and with a good one the nonce of one value is another each time', () => {
    vi.unstubAllGlobals();
    expect(count(Array.from({ length: 4 }, () => keysOf(1).sealRecord(KEY, 5, VALUE).stamp))).toBe(4);
  });
});
