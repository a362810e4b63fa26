import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { describe, expect, test, vi } from 'vitest';
import { concat, fromHex, isZero, toHex } from '../../src/bytes.js';
import { DecodeError, UsageError } from '../../src/errors.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import { expectTotal, SEED } from './fuzz.js';

const hex = (text: string) => fromHex(text.replaceAll(' ', ''))!;
const encoded = (value: unknown) => toHex(encodeMsgpack(value));
const decodeError = expect.objectContaining({ name: 'DecodeError', code: 'ERR_DECODE', field: 'msgpack' });
const key = fc.string({ unit: fc.constantFrom(...'abcXYZ019_'), minLength: 1, maxLength: 32 });
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 6, depthSize: 'small' },
    fc.constantFrom(
      null,
      true,
      false,
      2 ** 53,
      -(2 ** 53),
      2 ** 53 + 2,
      2 ** 32,
      2 ** 32 - 1,
      -(2 ** 31),
      -(2 ** 31) - 1,
      1e300,
      0.1,
      5e-324,
    ),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
    fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) - 1n }),
    fc.string({ unit: 'binary' }),
    fc.uint8Array(),
    fc.array(tie('any')),
    fc.dictionary(key, tie('any'), { noNullPrototype: true }),
  ),
})).any;

describe('encoding', () => {
  test('round trip: nothing changes', () => {
    fc.assert(
      fc.property(value, (x) => {
        const bytes = encodeMsgpack(x);
        expect(bytes.buffer.byteLength).toBe(bytes.length);
        expect(decodeMsgpack(bytes)).toStrictEqual(x);
        expect(encodeMsgpack(decodeMsgpack(bytes))).toEqual(bytes);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test.each([
    [0, '00'],
    [127, '7f'],
    [128, 'cc80'],
    [255, 'ccff'],
    [256, 'cd0100'],
    [65_535, 'cdffff'],
    [65_536, 'ce00010000'],
    [2 ** 32 - 1, 'ceffffffff'],
    [2 ** 32, 'cf0000000100000000'],
    [2 ** 53, 'cf0020000000000000'],
    [2 ** 53 + 2, 'cb4340000000000001'],
    [-1, 'ff'],
    [-32, 'e0'],
    [-33, 'd0df'],
    [-128, 'd080'],
    [-129, 'd1ff7f'],
    [-32_768, 'd18000'],
    [-32_769, 'd2ffff7fff'],
    [-(2 ** 31), 'd280000000'],
    [-(2 ** 31) - 1, 'd3ffffffff7fffffff'],
    [1.5, 'cb3ff8000000000000'],
    [2n ** 53n + 1n, 'cf0020000000000001'],
    [2n ** 63n - 1n, 'cf7fffffffffffffff'],
    [2n ** 64n - 1n, 'cfffffffffffffffff'],
    [-(2n ** 63n), 'd38000000000000000'],
    ['x'.repeat(31), `bf${'78'.repeat(31)}`],
    ['x'.repeat(32), `d920${'78'.repeat(32)}`],
    ['\x7f', 'a17f'],
    ['\x80', 'a2c280'],
    ['é'.repeat(128), `da0100${'c3a9'.repeat(128)}`],
    [{}, '80'],
    [{ ['k'.repeat(32)]: 1 }, `81d920${'6b'.repeat(32)}01`],
    [{ b: [], a: new Uint8Array([7]) }, '82a16290a161c40107'],
  ])('the bytes of %s', (x, bytes) => {
    expect(encoded(x)).toBe(bytes);
    expect(decodeMsgpack(hex(bytes))).toStrictEqual(x);
  });

  test('an object without prototype is a plain object', () => {
    expect(decodeMsgpack(encodeMsgpack(Object.assign(Object.create(null), { a: 1 })))).toEqual({ a: 1 });
  });

  test('a Buffer is bytes', () => {
    const back = decodeMsgpack(Buffer.from(encodeMsgpack(Buffer.from('ab')))) as Uint8Array;
    expect(back.constructor).toBe(Uint8Array);
    expect(back).toEqual(new Uint8Array([97, 98]));
  });

  test('buffers that were outgrown, and the last one, are wiped', () => {
    const fill = vi.spyOn(Uint8Array.prototype, 'fill');
    const bytes = encodeMsgpack({ secret: new Uint8Array(1000).map((_, i) => i | 1), more: 'x'.repeat(3000) });
    const wiped = fill.mock.contexts as Uint8Array[];
    fill.mockRestore();
    expect(wiped.map(({ length }) => length > 1000)).toContain(true);
    expect(wiped.length).toBeGreaterThan(2);
    for (const buffer of wiped) expect(isZero(buffer)).toBe(true);
    expect(decodeMsgpack(bytes)).toMatchObject({ more: 'x'.repeat(3000) });
  });

  test('what is decoded shares no buffer with its source, and leaves nothing on it', () => {
    const source = encodeMsgpack({ a: new Uint8Array([1, 2]) });
    const { a } = decodeMsgpack(source) as { a: Uint8Array };
    expect(Object.keys(source).length).toBe(source.length);
    source.fill(0);
    expect(a).toEqual(new Uint8Array([1, 2]));
  });
});

describe('encoding refuses and names the path', () => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const sparse = [1, 2, 3];
  delete sparse[1];
  const shifted = [1, 2];
  delete shifted[0];
  Object.assign(shifted, { extra: 1 });
  const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)]);

  test.each<[string, unknown, string]>([
    ['undefined', undefined, 'value'],
    ['undefined inside', { data: { options: [1, 2, undefined] } }, 'data.options[2]'],
    ['a function', { f: () => 1 }, 'f'],
    ['a symbol', [Symbol('s')], '[0]'],
    ['NaN', { n: Number.NaN }, 'n'],
    ['infinity', [Number.POSITIVE_INFINITY], '[0]'],
    ['negative zero', [-0], '[0]'],
    ['a small bigint', [5n], '[0]'],
    ['2^53 as a bigint', [2n ** 53n], '[0]'],
    ['-2^53 as a bigint', [-(2n ** 53n)], '[0]'],
    ['u64 overflow', [2n ** 64n], '[0]'],
    ['i64 underflow', [-(2n ** 63n) - 1n], '[0]'],
    ['a lone surrogate', { s: 'a\ud800' }, 's'],
    ['a Map', { m: new Map() }, 'm'],
    ['a Set', { m: new Set() }, 'm'],
    ['a Date', { d: new Date(0) }, 'd'],
    ['a RegExp', { d: /x/ }, 'd'],
    ['another typed array', { d: new Uint16Array(1) }, 'd'],
    ['an ArrayBuffer', { d: new ArrayBuffer(1) }, 'd'],
    ['a class', [new (class A {})()], '[0]'],
    ['a boxed number', [Object(1)], '[0]'],
    ['an inheriting object', Object.create({ a: 1 }), 'value'],
    ['a cycle', cycle, 'self.self.self.self.self.self.self.self'],
    ['9 containers', nested(8), '[0][0][0][0][0][0][0][0]'],
    ['__proto__', JSON.parse('{"a":{"__proto__":1}}'), 'a.__proto__'],
    ['constructor', { constructor: 1 }, 'constructor'],
    ['prototype', { prototype: 1 }, 'prototype'],
    ['an empty key', { '': 1 }, 'value'],
    ['a long key', { ['k'.repeat(33)]: 1 }, 'k'.repeat(33)],
    ['another key', { a: { 'b-c': 1 } }, 'a.b-c'],
    ['a symbol key', { a: { [Symbol('s')]: 1 } }, 'a'],
    ['an accessor', { a: Object.defineProperty({}, 'b', { get: () => 1, enumerable: true }) }, 'a'],
    ['a hidden property', { a: Object.defineProperty({}, 'b', { value: 1 }) }, 'a'],
    ['a hole', { a: sparse }, 'a'],
    ['a hole behind a property', { a: shifted }, 'a'],
    ['an array with a property', { a: Object.assign([1], { b: 2 }) }, 'a'],
    ['too many nodes', new Array(4096).fill(0), '[4095]'],
  ])('%s', (_name, x, field) => {
    expect(() => encodeMsgpack(x)).toThrow(expect.objectContaining({ name: 'UsageError', code: 'ERR_ARGUMENT', field }));
  });

  test('8 containers and 4,096 nodes are fine', () => {
    expect(decodeMsgpack(encodeMsgpack(nested(7)))).toEqual(nested(7));
    expect((decodeMsgpack(encodeMsgpack(new Array(4095).fill(0))) as unknown[]).length).toBe(4095);
  });

  test('anything gives bytes that come back equal, or a UsageError', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withSparseArray: true,
          withNullPrototype: true,
        }),
        (x) => {
          let bytes: Uint8Array;
          try {
            bytes = encodeMsgpack(x);
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
            return;
          }
          expect(decodeMsgpack(bytes)).toEqual(x);
        },
      ),
      { seed: SEED, numRuns: 2_000 },
    );
  });
});

describe('decoding', () => {
  test.each([
    ['nothing', ''],
    ['trailing bytes', 'c0 c0'],
    ['a duplicate key', '82 a161 01 a161 02'],
    ['a non-string key', '81 01 01'],
    ['a nil key', '81 c0 01'],
    ['a binary key', '81 c401 61 01'],
    ['__proto__', '81 a9 5f5f70726f746f5f5f 80'],
    ['constructor', '81 ab 636f6e7374727563746f72 80'],
    ['prototype', '81 a9 70726f746f74797065 80'],
    ['an empty key', '81 a0 01'],
    ['a key of 33 bytes', `81 d921 ${'61'.repeat(33)} 01`],
    ['a key with other characters', '81 a3 612d62 01'],
    ['a non-minimal key', '81 d901 61 01'],
    ['0xc1', 'c1'],
    ['float32', 'ca 3fc00000'],
    ['NaN', 'cb 7ff8000000000000'],
    ['infinity', 'cb 7ff0000000000000'],
    ['an integer as a float', 'cb 3ff0000000000000'],
    ['zero as a float', 'cb 0000000000000000'],
    ['minus zero', 'cb 8000000000000000'],
    ['2^53 as a float', 'cb 4340000000000000'],
    ['fixext undefined', 'd4 00 00'],
    ['a timestamp', 'd6 ff 00000000'],
    ['a record', 'd4 72 40 91 a161 01'],
    ['a RegExp', 'c7 02 78 92 a161 a0'],
    ['ext8', 'c7 00 01'],
    ['ext16', 'c8 0000 01'],
    ['ext32', 'c9 00000000 01'],
    ['u8 that fits 7 bits', 'cc 7f'],
    ['u16 that fits u8', 'cd 00ff'],
    ['u32 that fits u16', 'ce 0000ffff'],
    ['u64 that fits u32', 'cf 00000000ffffffff'],
    ['i8 that fits 5 bits', 'd0 e0'],
    ['positive i8', 'd0 01'],
    ['i16 that fits i8', 'd1 ff80'],
    ['i32 that fits i16', 'd2 ffff8000'],
    ['i64 that fits i32', 'd3 ffffffff80000000'],
    ['positive i64', 'd3 7fffffffffffffff'],
    ['str8 that fits fixstr', 'd9 01 61'],
    ['str16 that fits str8', `da 00ff ${'61'.repeat(255)}`],
    ['str32 that fits str16', 'db 00000001 61'],
    ['bin16 that fits bin8', 'c5 0001 61'],
    ['bin32 that fits bin16', 'c6 00000001 61'],
    ['array16 that fits fixarray', 'dc 0001 00'],
    ['array32 that fits array16', 'dd 00000001 00'],
    ['map16 that fits fixmap', 'de 0001 a161 00'],
    ['map32 that fits map16', 'df 00000001 a161 00'],
    ['bad UTF-8', 'a1 ff'],
    ['a surrogate', 'a3 eda080'],
    ['overlong UTF-8', 'a2 c080'],
    ['a huge string', 'db ffffffff'],
    ['huge bytes', 'c6 ffffffff'],
    ['a huge array', 'dd ffffffff'],
    ['a huge map', 'df ffffffff'],
    ['a short array', '92 c0'],
    ['a short map', '81 a161'],
    ['a map without its last value', '82 a161 00 a162'],
    ['a short u64', 'cf 000000'],
    ['a short float', 'cb 3ff8'],
  ])('refuses %s', (_name, bytes) => {
    expect(() => decodeMsgpack(hex(bytes))).toThrow(decodeError);
  });

  test('refuses every truncation', () => {
    const bytes = encodeMsgpack({ a: [1, -70_000, 2 ** 40, 1.5, 'text', new Uint8Array(40)], b: { c: null } });
    for (let i = 0; i < bytes.length; i++) expect(() => decodeMsgpack(bytes.slice(0, i))).toThrow(decodeError);
  });

  test('T40: deep nesting and a flood of empty arrays fail fast', () => {
    const before = process.cpuUsage();
    for (const bytes of [
      new Uint8Array(200_000).fill(0x91),
      Uint8Array.from({ length: 600_000 }, (_, i) => [0x81, 0xa1, 0x61][i % 3]!),
      concat(hex('dd 000f 4240'), new Uint8Array(1_000_000).fill(0x90)),
      concat(hex('dd 000f 4240'), new Uint8Array(1_000_000).fill(0xc0)),
    ]) {
      expect(() => decodeMsgpack(bytes)).toThrow(decodeError);
    }
    // Processor time, since others may use the machine, and generous: alone it takes about 50 ms.
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1_000);
  });

  test('the depth and node bounds are exact', () => {
    expect(decodeMsgpack(hex('91 91 91 91 91 91 91 90'))).toEqual([[[[[[[[]]]]]]]]);
    expect(() => decodeMsgpack(hex('91 91 91 91 91 91 91 91 90'))).toThrow(decodeError);
    expect(() => decodeMsgpack(hex('91 91 91 91 91 91 91 91 80'))).toThrow(decodeError);
    expect(decodeMsgpack(hex(`${'81 a161 '.repeat(7)} 80`))).toEqual({ a: { a: { a: { a: { a: { a: { a: {} } } } } } } });
    expect(() => decodeMsgpack(hex(`${'81 a161 '.repeat(8)} 80`))).toThrow(decodeError);
    const list = (count: number) => concat(hex('dc'), new Uint8Array([count >>> 8, count]), new Uint8Array(count));
    expect((decodeMsgpack(list(4095)) as unknown[]).length).toBe(4095);
    expect(() => decodeMsgpack(list(4096))).toThrow(decodeError);
    expect((decodeMsgpack(list(4096), { maxNodes: 4097 }) as unknown[]).length).toBe(4096);
  });

  test('T40: prototypes stay clean', () => {
    for (const bytes of [
      '81 a9 5f5f70726f746f5f5f 81 a8 706f6c6c75746564 c3',
      '81 ab 636f6e7374727563746f72 81 a9 70726f746f74797065 81 a8 706f6c6c75746564 c3',
    ]) {
      expect(() => decodeMsgpack(hex(bytes))).toThrow(decodeError);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    }
    expect(Object.getPrototypeOf(decodeMsgpack(encodeMsgpack({ toString: 1 })))).toBe(Object.prototype);
  });

  test('T40: fuzz', () => {
    const loose = new Packr({ useRecords: false, variableMapSize: true });
    const samples = fc.sample(value, { seed: SEED, numRuns: 40 }).map((x) => encodeMsgpack(x));
    const foreign = [new Map([[1, 2]]), new Date(0), [undefined], { a: 1n }].map((x) => new Uint8Array(loose.pack(x)));
    expectTotal(decodeMsgpack, encodeMsgpack, [...samples, ...foreign], 3_000);
    for (const bytes of foreign) expect(() => decodeMsgpack(bytes)).toThrow(DecodeError);
  });
});

describe('msgpackr', () => {
  const options = { useRecords: false, structuredClone: false, moreTypes: false, variableMapSize: true };
  // 'auto' makes numbers up to 2⁵³; msgpackr's types don't know it.
  const msgpackr = new Packr({ ...options, mapsAsObjects: true, int64AsType: 'auto' as 'bigint', copyBuffers: true });

  /** What msgpackr must be given: it writes integers of more than 32 bits as floats, unless they are bigints. */
  function given(x: unknown): unknown {
    if (typeof x === 'number') return isWide(x) ? BigInt(x) : x;
    if (typeof x !== 'object' || x === null || x instanceof Uint8Array) return x;
    return Array.isArray(x) ? x.map(given) : Object.fromEntries(Object.entries(x).map(([name, inner]) => [name, given(inner)]));
  }
  const isWide = (x: number): boolean => Number.isInteger(x) && Math.abs(x) <= 2 ** 53 && (x > 0xffff_ffff || x < -0x8000_0000);
  /** It writes those above zero as int64, which is not the shortest form: uint64 is as long, and the type says more. */
  const hasWide = (x: unknown): boolean =>
    typeof x === 'bigint' ? x > 0n : typeof x === 'object' && x !== null && !(x instanceof Uint8Array) && Object.values(x).some(hasWide);

  test('writes the same bytes, and reads the same values', () => {
    let compared = 0;
    fc.assert(
      fc.property(value, (x) => {
        const bytes = encodeMsgpack(x);
        expect(msgpackr.unpack(new Uint8Array(bytes))).toStrictEqual(x);
        const forIt = given(x);
        if (hasWide(forIt)) return;
        expect(toHex(new Uint8Array(msgpackr.pack(forIt)))).toBe(toHex(bytes));
        compared++;
      }),
      { seed: SEED, numRuns: 2_000 },
    );
    expect(compared).toBeGreaterThan(1_000);
  });
});

describe('every form of a length', () => {
  test.each([15, 16, 255, 256, 65_535, 65_536, 70_000])('lengths around %i', (length) => {
    const options = { maxNodes: 200_000 };
    const map = Object.fromEntries(Array.from({ length }, (_, i) => [`k${i}`, 0]));
    for (const x of ['s'.repeat(length), '€'.repeat(length), new Uint8Array(length).fill(1), new Array(length).fill(null), map]) {
      const bytes = encodeMsgpack(x, options);
      expect(toHex(encodeMsgpack(decodeMsgpack(bytes, options), options))).toBe(toHex(bytes));
    }
  });
});
