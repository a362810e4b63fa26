import { describe, expect, test } from 'vitest';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { decodeRecord, decodeRecordMap, encodeRecord, recordVersion } from '../../src/wire/record.js';

const corrupt = expect.objectContaining({ name: 'StoreError', code: 'ERR_STORE_CORRUPT' });

describe('local records', () => {
  test('begin with version and kind, and give typed fields', () => {
    const bytes = encodeRecord('thing', 3, { t: 'x', n: 0, none: null, b: new Uint8Array(2), list: [{ a: 1 }] });
    expect(bytes.slice(0, 4)).toEqual(new Uint8Array([0x87, 0xa1, 0x76, 3]));
    const record = decodeRecord(bytes, 'thing', 3);
    expect([record.text('t'), record.count('n'), record.maybeCount('n'), record.maybeCount('none')]).toEqual(['x', 0, 0, undefined]);
    expect([record.bytes('b'), record.bytes('b', 2)]).toEqual([new Uint8Array(2), new Uint8Array(2)]);
    expect(record.records('list', 1).map((item) => item.count('a'))).toEqual([1]);
  });

  test('give their fields as they stand, without version and kind, to a caller with a schema of its own', () => {
    const bytes = encodeRecord('thing', 3, { n: 5, none: null });
    expect(decodeRecordMap(bytes, 'thing', 3)).toEqual({ n: 5, none: null });
    expect(() => decodeRecordMap(bytes, 'other', 3)).toThrow(corrupt);
  });

  test('tell the version that wrote them, whatever their kind, newer ones too', () => {
    expect([1, 3, 1_000].map((version) => recordVersion(encodeRecord('thing', version, { n: 5 })))).toEqual([1, 3, 1_000]);
    for (const bytes of [new Uint8Array(), encodeMsgpack([]), encodeMsgpack({ kind: 'thing' }), encodeMsgpack({ v: '3' })]) {
      expect(() => recordVersion(bytes)).toThrow(corrupt);
    }
  });

  test('hold more than a message may', () => {
    const list = Array.from({ length: 5_000 }, (_, i) => ({ i }));
    expect(decodeRecord(encodeRecord('k', 1, { list }), 'k', 1).records('list').length).toBe(5_000);
  });

  test('T46: a newer version is not corrupt', () => {
    expect(() => decodeRecord(encodeRecord('thing', 4, {}), 'thing', 3)).toThrow(
      expect.objectContaining({ name: 'StoreError', code: 'ERR_STORE_VERSION', got: 4, max: 3 }),
    );
  });

  test('what is no MessagePack is the cause', () => {
    const cause = expect.objectContaining({ name: 'DecodeError', code: 'ERR_DECODE' });
    expect(() => recordVersion(new Uint8Array())).toThrow(expect.objectContaining({ code: 'ERR_STORE_CORRUPT', cause }));
  });

  test('everything else is corrupt', () => {
    for (const bytes of [
      new Uint8Array(),
      encodeMsgpack(null),
      encodeMsgpack([]),
      encodeMsgpack(new Uint8Array(1)),
      encodeMsgpack({}),
      encodeMsgpack({ v: 3 }),
      encodeRecord('thing', 2, {}),
      encodeRecord('other', 3, {}),
    ]) {
      expect(() => decodeRecord(bytes, 'thing', 3)).toThrow(corrupt);
    }
    const record = decodeRecord(encodeRecord('thing', 3, { n: -1, t: 1, f: 0.5, b: new Uint8Array(2), list: [1], none: [] }), 'thing', 3);
    for (const read of [
      () => record.count('n'),
      () => record.count('f'),
      () => record.count('missing'),
      () => record.maybeCount('missing'),
      () => record.text('t'),
      () => record.bytes('t'),
      () => record.bytes('b', 3),
      () => record.records('t'),
      () => record.records('list'),
      () => record.records('none', 1),
    ]) {
      expect(read).toThrow(corrupt);
    }
  });
});
