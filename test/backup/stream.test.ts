import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  chunkCount,
  HEADER_START_BYTES,
  headerRestLength,
  makeHeader,
  openChunk,
  parseHeader,
  SEALED_CHUNK_BYTES,
  sealChunk,
  slotBinding,
} from '../../src/backup/stream.js';
import { coded } from '../helpers/matchers.js';
import { flip, testRng } from '../helpers/rng.js';

const rng = testRng('export stream');
const fileKey = rng(32);
const made = makeHeader({ kind: 'raw', sealedKey: rng(100), prefix: rng(19) }, fileKey);
const rest = made.header.slice(HEADER_START_BYTES);
const corrupt = coded('ERR_STORE_CORRUPT');

describe('header', () => {
  test('says what it was made of, and gives the same key', () => {
    expect(headerRestLength(made.header.slice(0, HEADER_START_BYTES))).toBe(rest.length);
    const header = parseHeader(rest);
    expect(header.kind).toBe('raw');
    expect(header.sealedKey.length).toBe(100);
    expect(header.open(fileKey)).toEqual({ key: made.key, prefix: made.prefix });
  });

  test('T48: a newer version is told from damage', () => {
    const start = made.header.slice(0, HEADER_START_BYTES);
    expect(() => headerRestLength(Object.assign(start.slice(), { 8: 2 }))).toThrow(coded('ERR_STORE_VERSION'));
    expect(() => headerRestLength(Object.assign(start.slice(), { 8: 0 }))).toThrow(corrupt);
    for (let i = 0; i < 8; i++) expect(() => headerRestLength(flip(start, i))).toThrow(corrupt);
  });

  test('T37: every bit of it is bound to the key of the chunks', () => {
    for (let i = 0; i < rest.length; i++) {
      expect(() => parseHeader(flip(rest, i, 1 << (i % 8))).open(fileKey), `${i}`).toThrow(corrupt);
    }
    expect(() => parseHeader(rest).open(flip(fileKey))).toThrow(corrupt);
  });

  test('every truncation, and bytes behind it', () => {
    for (let i = 0; i < rest.length; i++) expect(() => parseHeader(rest.slice(0, i)).open(fileKey), `${i}`).toThrow(corrupt);
    expect(() => parseHeader(new Uint8Array([...rest, 0])).open(fileKey)).toThrow(corrupt);
  });

  test('what a slot binds differs by its kind', () => {
    expect(slotBinding('raw')).not.toEqual(slotBinding('passphrase'));
  });
});

describe('T37: chunks', () => {
  const plain = rng(CHUNK_BYTES);
  const sealed = sealChunk(made, 5, false, plain);

  test('open in their place only', () => {
    expect(sealed.length).toBe(SEALED_CHUNK_BYTES);
    expect(openChunk(made, 5, false, sealed)).toEqual(plain);
    expect(() => openChunk(made, 5, true, sealed)).toThrow(corrupt);
    for (const index of [0, 4, 6, 0x0500_0000, 2 ** 32 - 1]) expect(() => openChunk(made, index, false, sealed)).toThrow(corrupt);
    const other = makeHeader({ kind: 'raw', sealedKey: rng(100), prefix: made.prefix }, fileKey);
    expect(() => openChunk(other, 5, false, sealed)).toThrow(corrupt);
  });

  test('whatever is changed or cut is noticed', () => {
    for (const at of [0, 1, 31_000, CHUNK_BYTES, sealed.length - 1]) {
      expect(() => openChunk(made, 5, false, flip(sealed, at))).toThrow(corrupt);
      expect(() => openChunk(made, 5, false, sealed.slice(0, at))).toThrow(corrupt);
    }
  });
});

test('T35: the number of chunks hides the length, for at most 12 % more', () => {
  expect([0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES].map(chunkCount)).toEqual([1, 1, 1, 2, 2, 3]);
  const seen = new Set<number>();
  for (let needed = 2; needed < 5_000; needed++) {
    const count = chunkCount(needed * CHUNK_BYTES);
    expect(count).toBeGreaterThanOrEqual(needed);
    expect(count).toBeLessThanOrEqual(needed * 1.12);
    seen.add(count);
  }
  expect(seen.size).toBeLessThan(120);
  expect(chunkCount(2 ** 40)).toBe(2 ** 24);
});
