import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, copy, equal, toHex } from '../../../src/bytes.js';
import { addChunk, CHUNK_INDEX_MAX, chunkAt, decoded, type ErasureDecoder, startDecoder } from '../../../src/ratchet/braid/erasure.js';
import { flip, testRng } from '../../helpers/rng.js';

const SEED = 46;
const BUG = expect.objectContaining({ code: 'ERR_BUG' });

/** Every piece of the braid (hdr‖mac, ct1, ek vector, ct2‖mac) in the chunks of every profile, and n of section 4.6. */
const TABLE = [
  { lengthBytes: 96, chunkBytes: 192, n: 1 },
  { lengthBytes: 96, chunkBytes: 32, n: 3 },
  { lengthBytes: 96, chunkBytes: 1152, n: 1 },
  { lengthBytes: 960, chunkBytes: 192, n: 5 },
  { lengthBytes: 960, chunkBytes: 32, n: 30 },
  { lengthBytes: 960, chunkBytes: 1152, n: 1 },
  { lengthBytes: 1152, chunkBytes: 192, n: 6 },
  { lengthBytes: 1152, chunkBytes: 32, n: 36 },
  { lengthBytes: 1152, chunkBytes: 1152, n: 1 },
  { lengthBytes: 160, chunkBytes: 192, n: 1 },
  { lengthBytes: 160, chunkBytes: 32, n: 5 },
  { lengthBytes: 160, chunkBytes: 1152, n: 1 },
] as const;

// --- The reference: polynomials in coefficient form, without tables ---

function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 15; bit >= 0; bit--) {
    product <<= 1;
    if (product > 0xffff) product ^= 0x1100b;
    if ((b >>> bit) & 1) product ^= a;
  }
  return product;
}

function power(base: number, exponent: number): number {
  let result = 1;
  for (let bit = 15; bit >= 0; bit--) {
    result = multiply(result, result);
    if ((exponent >>> bit) & 1) result = multiply(result, base);
  }
  return result;
}

const toWords = (bytes: Uint8Array): number[] =>
  Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i]! * 256 + bytes[2 * i + 1]!);
const fromWords = (words: readonly number[]): Uint8Array => Uint8Array.from(words.flatMap((word) => [word >>> 8, word & 0xff]));

/** The coefficients of every word's polynomial, by Gauss–Jordan elimination of the Vandermonde system; row j holds those of xʲ. */
function solve(points: readonly (readonly [x: number, chunk: Uint8Array])[]): number[][] {
  const n = points.length;
  const rows = points.map(([x, chunk]) => [...Array.from({ length: n }, (_, j) => power(x, j)), ...toWords(chunk)]);
  for (let column = 0; column < n; column++) {
    const pivot = rows.findIndex((row, i) => i >= column && row[column] !== 0);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const inverse = power(rows[column]![column]!, 0xfffe);
    const pivotRow = rows[column]!.map((value) => multiply(value, inverse));
    rows[column] = pivotRow;
    for (let i = 0; i < n; i++) {
      const factor = rows[i]![column]!;
      if (i !== column && factor !== 0) rows[i] = rows[i]!.map((value, k) => value ^ multiply(factor, pivotRow[k]!));
    }
  }
  return rows.map((row) => row.slice(n));
}

/** The chunk at `x`, by Horner's rule. */
function evaluate(coefficients: readonly (readonly number[])[], x: number): Uint8Array {
  return fromWords(
    coefficients.reduceRight((sum, row) => row.map((value, k) => value ^ multiply(sum[k] ?? 0, x)), [] as readonly number[]),
  );
}

function dataChunks(piece: Uint8Array, chunkBytes: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(piece.length / chunkBytes) }, (_, i) => {
    const chunk = new Uint8Array(chunkBytes);
    chunk.set(piece.subarray(i * chunkBytes, (i + 1) * chunkBytes));
    return chunk;
  });
}

// --- What is tested ---

/** Feeds chunks in order; nothing may be decoded before `n` distinct ones. */
function feed(piece: Uint8Array, chunkBytes: number, indices: readonly number[]): Uint8Array | undefined {
  const n = Math.ceil(piece.length / chunkBytes);
  let decoder = startDecoder(piece.length, chunkBytes);
  expect(decoded(decoder)).toBeUndefined();
  indices.forEach((index, count) => {
    decoder = addChunk(decoder, index, chunkAt(piece, chunkBytes, index));
    const distinct = new Set(indices.slice(0, count + 1)).size;
    expect(decoder.chunks.length).toBe(Math.min(distinct, n));
    expect(decoded(decoder) === undefined).toBe(distinct < n);
  });
  return decoded(decoder);
}

/** `count` distinct indices, any of `from` … 65535. */
function drawIndices(random: (lengthBytes: number) => Uint8Array, count: number, from: number): number[] {
  const indices = new Set<number>();
  while (indices.size < count) {
    const [high, low] = random(2);
    const index = high! * 256 + low!;
    if (index >= from) indices.add(index);
  }
  return [...indices];
}

it('2 generates the multiplicative group of the field', () => {
  expect(power(2, 0xffff)).toBe(1);
  for (const prime of [3, 5, 17, 257]) expect(power(2, 0xffff / prime)).not.toBe(1);
});

describe('known answers, made by another program', () => {
  const piece = (lengthBytes: number): Uint8Array => testRng('piece')(lengthBytes);

  it.each([
    [96, 2, 'be2d7448de015cfc1ee0f34ba45f11baad3b0bd4a316dc31cdabcf904e460f68'],
    [96, 3, '4ecfff446c7821a61e686f533030abb8513d5b271081c4f53bbdd5f3285f47fc'],
    [96, 4, '5f675436d9910ced40fe9c4f57dd43470591d90dfebc03b1afa591f2847c1aed'],
    [96, 65_535, 'b986476d6ef46ea4db50a76c323358a105dc87bb00e0151e829daa97ac6e08d8'],
    [90, 2, 'be2d7448de015cfc1ee0f34ba45f11baad3b0bd4a316dc31cdab000000000000'],
    [90, 3, '4ecfff446c7821a61e686f533030abb8513d5b271081c4f53bbd1a6366194894'],
  ])('%i bytes in chunks of 32, chunk %i', (lengthBytes, index, expected) => {
    expect(toHex(chunkAt(piece(lengthBytes), 32, index))).toBe(expected);
  });

  it.each([
    [1152, 32, '78ec06f5a3460a62e1d0a9f49a573a5c786e4f7e017ffe6e8362105ace8a2eea'],
    [1152, 192, '41e1a433103ff971557192d07643ff3395fc7859506093512dcf2cab5845dd71'],
    [960, 32, '965b85508a843e5d47c2a7086bfa711aa3b2ae4f1a98520cd4044e198eba786a'],
    [960, 192, '2e628eac3adcdbd693a62d1d4fb075c63dabd56e2ae68123856065771610ddf3'],
  ])('%i bytes in chunks of %i, the hash of four chunks', (lengthBytes, chunkBytes, expected) => {
    const chunks = [40, 300, 40_000, 65_535].map((index) => chunkAt(piece(lengthBytes), chunkBytes, index));
    expect(
      createHash('sha256')
        .update(concat(...chunks))
        .digest('hex'),
    ).toBe(expected);
  });
});

describe.each(TABLE)('$lengthBytes bytes in chunks of $chunkBytes', ({ lengthBytes, chunkBytes, n }) => {
  const random = testRng(`erasure ${lengthBytes}/${chunkBytes}`);
  const piece = random(lengthBytes);
  const data = dataChunks(piece, chunkBytes);
  const coefficients = solve(data.map((chunk, i) => [i, chunk]));

  it('chunks equal the reference: the data, then values of the polynomial', () => {
    expect(data.length).toBe(n);
    data.forEach((chunk, i) => {
      expect(chunkAt(piece, chunkBytes, i)).toEqual(chunk);
    });
    for (const index of [n, n + 1, 2 * n, 255, 256, CHUNK_INDEX_MAX - 1, CHUNK_INDEX_MAX, ...drawIndices(random, 8, n)]) {
      const chunk = chunkAt(piece, chunkBytes, index);
      expect(equal(chunk, evaluate(coefficients, index)), `index ${index}`).toBe(true);
      if (n === 1) expect(equal(chunk, data[0]!)).toBe(true);
    }
  });

  it('decodes from data only, in any order', () => {
    const indices = data.map((_, i) => i);
    expect(feed(piece, chunkBytes, indices)).toEqual(piece);
    expect(feed(piece, chunkBytes, indices.reverse())).toEqual(piece);
  });

  it('decodes from parity only, as the reference does', () => {
    for (let round = 0; round < 3; round++) {
      const indices = drawIndices(random, n, n);
      expect(feed(piece, chunkBytes, indices)).toEqual(piece);
      expect(solve(indices.map((index) => [index, chunkAt(piece, chunkBytes, index)]))).toEqual(coefficients);
    }
  });

  it('decodes arbitrary chunks to the data of the reference, whatever they were', () => {
    const indices = [...drawIndices(random, n, 0)];
    const chunks = indices.map((index) => [index, random(chunkBytes)] as const);
    const decoder = chunks.reduce((held, [index, chunk]) => addChunk(held, index, chunk), startDecoder(lengthBytes, chunkBytes));
    const theirs = solve(chunks);
    const expected = concat(...data.map((_, i) => evaluate(theirs, i))).subarray(0, lengthBytes);
    expect(equal(decoded(decoder)!, expected)).toBe(true);
  });

  it('decodes across the wrap from 65535 to 0', () => {
    const start = CHUNK_INDEX_MAX + 1 - Math.ceil(n / 2);
    const indices = Array.from({ length: n + 2 }, (_, i) => (start + i) & CHUNK_INDEX_MAX);
    expect(feed(piece, chunkBytes, indices)).toEqual(piece);
  });
});

it('any n distinct indices decode, in any order, with repetitions', () => {
  const chunking = fc
    .record({ chunkBytes: fc.constantFrom(2, 4, 32, 34, 192), n: fc.integer({ min: 1, max: 40 }) })
    .chain(({ chunkBytes, n }) =>
      fc.record({
        chunkBytes: fc.constant(chunkBytes),
        piece: fc.uint8Array({ minLength: (n - 1) * chunkBytes + 1, maxLength: n * chunkBytes }),
        indices: fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: 2 * n }), fc.integer({ min: 0, max: CHUNK_INDEX_MAX })), {
          minLength: n,
          maxLength: n + 3,
        }),
        repeated: fc.array(fc.nat({ max: n - 1 }), { maxLength: 4 }),
      }),
    );
  fc.assert(
    fc.property(chunking, ({ chunkBytes, piece, indices, repeated }) => {
      const arrivals = [...repeated.map((at) => indices[at]!), ...indices];
      return equal(feed(piece, chunkBytes, arrivals)!, piece);
    }),
    { numRuns: 150, seed: SEED },
  );
});

describe('the decoder', () => {
  const piece = testRng('decoder')(160);
  const chunk = (index: number): Uint8Array => chunkAt(piece, 32, index);
  const start = startDecoder(160, 32);

  it('keeps the first chunk of an index', () => {
    const first = addChunk(start, 7, chunk(7));
    expect(addChunk(first, 7, flip(chunk(7)))).toBe(first);
    const rest = [8, 9, 10, 11].reduce((decoder, index) => addChunk(decoder, index, chunk(index)), first);
    expect(decoded(rest)).toEqual(piece);
  });

  it('keeps the first n chunks, in the order of arrival', () => {
    const full = [9, 0, 65_535, 3, 4].reduce((decoder, index) => addChunk(decoder, index, chunk(index)), start);
    expect(full.chunks.map(({ index }) => index)).toEqual([9, 0, 65_535, 3, 4]);
    expect(addChunk(full, 1, flip(chunk(1)))).toBe(full);
    expect(decoded(full)).toEqual(piece);
  });

  it('is immutable, plain data that survives a copy, and shares no buffer with what it was given', () => {
    const given = chunk(5);
    const one = addChunk(Object.freeze(start), 5, given);
    given.fill(0);
    expect(start).toEqual({ lengthBytes: 160, chunkBytes: 32, chunks: [] });
    expect(one.chunks).toEqual([{ index: 5, chunk: chunk(5) }]);
    const restored: ErasureDecoder = structuredClone(one);
    const full = [0, 1, 2, 3].reduce((decoder, index) => addChunk(decoder, index, chunk(index)), restored);
    decoded(full)!.fill(0);
    expect(decoded(full)).toEqual(piece);
    expect(one.chunks.length).toBe(1);
  });

  it('gives another piece where a chunk is wrong: whoever uses it authenticates it', () => {
    const full = [6, 1, 2, 3, 4].reduce((decoder, index) => addChunk(decoder, index, index === 6 ? flip(chunk(6)) : chunk(index)), start);
    expect(decoded(full)).not.toEqual(piece);
  });

  it('leaves the piece alone and hands out buffers of their own', () => {
    const before = copy(piece);
    for (const index of [0, 4, 5]) expect(chunk(index).fill(0).buffer.byteLength).toBe(32);
    expect(piece).toEqual(before);
    const short = addChunk(startDecoder(160, 192), 3, chunkAt(piece, 192, 3));
    expect(decoded(short)!.buffer.byteLength).toBe(160);
    expect(chunkAt(piece, 192, 0).subarray(160)).toEqual(new Uint8Array(32));
  });
});

describe('arguments out of range are bugs of the caller', () => {
  const piece = new Uint8Array(64);

  it.each([-1, 65_536, 0.5, Number.NaN])('index %d', (index) => {
    expect(() => chunkAt(piece, 32, index)).toThrow(BUG);
    expect(() => addChunk(startDecoder(64, 32), index, new Uint8Array(32))).toThrow(BUG);
  });

  it.each([0, -32, 31, 0.5, Number.NaN])('chunks of %d bytes', (chunkBytes) => {
    expect(() => chunkAt(piece, chunkBytes, 0)).toThrow(BUG);
    expect(() => startDecoder(64, chunkBytes)).toThrow(BUG);
  });

  it('an empty piece, more chunks than indices, and a chunk of another length', () => {
    expect(() => startDecoder(0, 32)).toThrow(BUG);
    expect(() => startDecoder(2 * 65_536, 2)).not.toThrow();
    expect(() => startDecoder(2 * 65_536 + 1, 2)).toThrow(BUG);
    for (const lengthBytes of [0, 31, 33]) expect(() => addChunk(startDecoder(64, 32), 0, new Uint8Array(lengthBytes))).toThrow(BUG);
  });
});
