import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { accountBytes, encodeAccount } from '../../src/wire/codec.js';
import * as objects from '../../src/wire/objects.js';
import * as arbitrary from './arbitraries.js';
import { expectTotal, SEED } from './fuzz.js';

const composite = new Uint8Array(3373).fill(5);
const error = (code: string, field?: string) => expect.objectContaining({ name: 'DecodeError', code, ...(field && { field }) });
const one = <T>(from: fc.Arbitrary<T>): T => fc.sample(from, { seed: SEED, numRuns: 1 })[0]!;

/** Round trip, truncation, trailing bytes, other heads, fuzz: what holds for every signed object. */
function signedObject<T extends object>(
  name: string,
  type: number,
  from: fc.Arbitrary<T>,
  encode: (fields: T) => Uint8Array,
  parse: (bytes: Uint8Array) => T & objects.Signed,
  signature = composite,
): void {
  describe(name, () => {
    const sample = concat(encode(one(from)), signature);

    test('round trip', () => {
      fc.assert(
        fc.property(from, (fields) => {
          const tbs = encode(fields);
          expect(parse(concat(tbs, signature))).toEqual({ ...fields, tbs, signature });
        }),
        { seed: SEED, numRuns: 50 },
      );
    });

    test('head', () => {
      expect(sample.slice(0, 4)).toEqual(new Uint8Array([type, 1, 0, 1]));
      expect(() => parse(concat(new Uint8Array([type + 1]), sample.slice(1)))).toThrow(error('ERR_DECODE', 'type'));
      expect(() => parse(concat(new Uint8Array([type, 2]), sample.slice(2)))).toThrow(error('ERR_VERSION', 'ver'));
      expect(() => parse(concat(new Uint8Array([type, 1, 9]), sample.slice(3)))).toThrow(error('ERR_VERSION', 'suite'));
    });

    test('T50: every truncation, and one byte more', () => {
      for (let i = 0; i < sample.length; i += i < 400 || i > sample.length - 100 ? 1 : 61) {
        expect(() => parse(sample.slice(0, i))).toThrow(error('ERR_DECODE'));
      }
      expect(() => parse(concat(sample, new Uint8Array(1)))).toThrow(error('ERR_DECODE', 'trailing bytes'));
    });

    test('T40: fuzz', () => expectTotal(parse, (value) => concat(encode(value), value.signature), [sample]));
  });
}

signedObject('DeviceList', 0x40, arbitrary.deviceList, objects.encodeDeviceList, objects.parseDeviceList);
signedObject('SignedSet', 0x41, arbitrary.signedSet, objects.encodeSignedSet, objects.parseSignedSet);
signedObject('OneTimeBatch', 0x42, arbitrary.batch, objects.encodeBatch, objects.parseBatch);
signedObject(
  'RootStatement',
  0x43,
  arbitrary.rootStatement,
  objects.encodeRootStatement,
  objects.parseRootStatement,
  new Uint8Array(16_224).fill(5),
);
signedObject('login proof', 0x45, arbitrary.login, objects.encodeLogin, objects.parseLogin);

describe('DeviceList rules', () => {
  const list = one(arbitrary.deviceList);
  const entry = (device: number, fill = device) => ({ device, keyHash: new Uint8Array(64).fill(fill), dhKey: new Uint8Array(32) });
  const parse = (entries: readonly objects.DeviceEntry[]) =>
    objects.parseDeviceList(concat(objects.encodeDeviceList({ ...list, entries }), composite));

  test('1–64 entries', () => {
    expect(() => parse([])).toThrow(error('ERR_DECODE', 'entries'));
    expect(parse(Array.from({ length: 64 }, (_, i) => entry(i + 1))).entries.length).toBe(64);
    expect(() => parse(Array.from({ length: 65 }, (_, i) => entry(i + 1)))).toThrow(error('ERR_DECODE', 'entries'));
  });

  test('strictly ascending ids, distinct keys', () => {
    expect(() => parse([entry(2), entry(1)])).toThrow(error('ERR_DECODE', 'entries'));
    expect(() => parse([entry(2), entry(2, 9)])).toThrow(error('ERR_DECODE', 'entries'));
    expect(() => parse([entry(1, 7), entry(2, 7)])).toThrow(error('ERR_DECODE', 'entries'));
    expect(() => parse([entry(0)])).toThrow(error('ERR_DECODE', 'deviceId'));
  });
});

describe('SignedSet rules', () => {
  const set = one(arbitrary.signedSet);
  const parse = (change: Partial<objects.SignedSetFields>) =>
    objects.parseSignedSet(concat(objects.encodeSignedSet({ ...set, ...change }), composite));

  test('T08: versions', () => {
    expect(() => parse({ verMin: 0 })).toThrow(error('ERR_DECODE', 'verMin'));
    expect(() => parse({ verMin: 2, verMax: 1 })).toThrow(error('ERR_DECODE', 'verMin'));
    expect(parse({ verMin: 1, verMax: 1 })).toMatchObject({ verMin: 1, verMax: 1 });
  });

  test('T08: suites ascend and hold 0x0001', () => {
    expect(parse({ suites: [1, 2, 0xffff] }).suites).toEqual([1, 2, 0xffff]);
    for (const suites of [[], [2], [2, 1], [1, 1]]) expect(() => parse({ suites })).toThrow(error('ERR_DECODE', 'suites'));
  });

  test('T08: profiles', () => {
    for (const profiles of [0, 8, 0x81, 255]) expect(() => parse({ profiles })).toThrow(error('ERR_DECODE', 'profiles'));
  });
});

describe('OneTimeBatch rules', () => {
  const parse = (count: number) => objects.parseBatch(concat(objects.encodeBatch({ ...one(arbitrary.batch), count }), composite));

  test.each([0, 129, 65_535])('count %i is refused', (count) => {
    expect(() => parse(count)).toThrow(error('ERR_DECODE', 'count'));
  });

  test.each([1, 128])('count %i is read', (count) => {
    expect(parse(count).count).toBe(count);
  });
});

describe('one-time entry', () => {
  const entry = one(arbitrary.oneTimeEntry);

  test('round trip', () => {
    fc.assert(
      fc.property(arbitrary.oneTimeEntry, (unit) => {
        expect(objects.parseOneTimeEntry(objects.encodeOneTimeEntry(unit))).toEqual(unit);
      }),
      { seed: SEED, numRuns: 50 },
    );
  });

  test('otId 0 and long paths are refused', () => {
    expect(() => objects.parseOneTimeEntry(objects.encodeOneTimeEntry({ ...entry, otId: new Uint8Array(8) }))).toThrow(
      error('ERR_DECODE', 'otId'),
    );
    const path = new Array<Uint8Array>(8).fill(new Uint8Array(32));
    expect(() => objects.parseOneTimeEntry(objects.encodeOneTimeEntry({ ...entry, path }))).toThrow(error('ERR_DECODE', 'path'));
  });

  test('trailing bytes are refused', () => {
    expect(() => objects.parseOneTimeEntry(concat(objects.encodeOneTimeEntry(entry), new Uint8Array(1)))).toThrow(
      error('ERR_DECODE', 'trailing bytes'),
    );
  });

  test('T40: fuzz', () => expectTotal(objects.parseOneTimeEntry, objects.encodeOneTimeEntry, [objects.encodeOneTimeEntry(entry)]));
});

describe('identity part', () => {
  const part = one(arbitrary.identity);

  test('round trip and trailing bytes', () => {
    const bytes = objects.encodeIdentity(part);
    expect(objects.parseIdentity(bytes)).toEqual(part);
    expect(() => objects.parseIdentity(concat(bytes, new Uint8Array(1)))).toThrow(error('ERR_DECODE', 'trailing bytes'));
  });

  test('T40: fuzz', () => expectTotal(objects.parseIdentity, objects.encodeIdentity, [objects.encodeIdentity(part)]));
});

describe('accounts', () => {
  test('1–64 bytes of well-formed text', () => {
    expect(encodeAccount('é')).toEqual(new Uint8Array([0xc3, 0xa9]));
    for (const account of ['', 'x'.repeat(65), '\ud800']) {
      expect(encodeAccount(account)).toBeUndefined();
      expect(() => accountBytes(account)).toThrow(expect.objectContaining({ code: 'ERR_BUG' }));
    }
  });
});

describe('sizes for an account of 64 bytes (section 1.5)', () => {
  const account = 'a'.repeat(64);
  const list = (count: number) =>
    concat(
      objects.encodeDeviceList({
        ...one(arbitrary.deviceList),
        account,
        entries: Array.from({ length: count }, (_, i) => ({
          device: i + 1,
          keyHash: new Uint8Array(64).fill(i),
          dhKey: new Uint8Array(32),
        })),
      }),
      composite,
    );
  const set = concat(objects.encodeSignedSet({ ...one(arbitrary.signedSet), account, suites: [1] }), composite);
  const batch = concat(objects.encodeBatch({ ...one(arbitrary.batch), account }), composite);
  const entry = objects.encodeOneTimeEntry({ ...one(arbitrary.oneTimeEntry), path: new Array<Uint8Array>(7).fill(new Uint8Array(32)) });
  const identity = (count: number) => objects.encodeIdentity({ ...one(arbitrary.identity), deviceList: list(count) });

  test.each([
    [3, 3_832],
    [64, 9_932],
  ])('DeviceList with %i devices', (count, size) => expect(list(count).length).toBe(size));

  test('SignedSet and OneTimeBatch', () => {
    expect(set.length).toBe(6_373);
    expect(batch.length).toBe(3_561);
  });

  test.each([
    [3, 19_579],
    [64, 25_679],
  ])('bundle with %i devices: the same parts behind a head and two length prefixes', (count, size) => {
    expect(4 + identity(count).length + 2 + set.length + 2 + batch.length + entry.length).toBe(size);
  });
});

describe('RootStatement', () => {
  const fields = { ...one(arbitrary.rootStatement), account: 'a'.repeat(64) };
  const tbs = objects.encodeRootStatement(fields);

  test('16,422 bytes for a 64-byte account', () => {
    expect(tbs.length + 16_224).toBe(16_422);
    expect(objects.parseRootStatement(concat(tbs, new Uint8Array(16_224))).rootKey).toEqual(fields.rootKey);
  });

  test('without its signature', () => {
    expect(objects.parseRootStatementTbs(tbs)).toEqual(fields);
    expect(() => objects.parseRootStatementTbs(concat(tbs, new Uint8Array(1)))).toThrow(error('ERR_DECODE', 'trailing bytes'));
    expect(() => objects.parseRootStatementTbs(tbs.slice(0, -1))).toThrow(error('ERR_DECODE', 'length'));
    expect(() => objects.parseRootStatementTbs(concat(new Uint8Array([0x42]), tbs.slice(1)))).toThrow(error('ERR_DECODE', 'type'));
  });
});
