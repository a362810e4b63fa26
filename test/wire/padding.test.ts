import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBodyBucket, padBody, padme, padSeal, unpadBody, unpadSeal } from '../../src/wire/padding.js';
import { codeOf } from '../helpers/expect-code.js';

const SEED = 43;

describe('PADMÉ', () => {
  it('gives the lengths of its definition', () => {
    const table = [
      [2, 2],
      [3, 3],
      [9, 10],
      [100, 104],
      [1000, 1024],
      [1025, 1088],
      [2049, 2176],
      [65_535, 65_536],
      [65_536, 65_536],
      [65_537, 67_584],
      [262_144, 262_144],
    ];
    for (const [length, padded] of table as [number, number][]) expect(padme(length)).toBe(padded);
  });

  it('adds at most 12 %, and no bit below the significant ones', () => {
    for (let length = 2; length < 70_000; length++) {
      const padded = padme(length);
      const exponent = Math.floor(Math.log2(length));
      const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
      if (padded < length || padded - length >= step || padded % step !== 0 || padded > 1.12 * length) expect.fail(`${length} → ${padded}`);
    }
  });
});

describe('body padding', () => {
  it.each([
    [0, 512],
    [511, 512],
    [512, 1024],
    [1023, 1024],
    [1024, 2048],
    [2047, 2048],
    [2048, 2176],
    [65_535, 65_536],
  ])('%i bytes become %i', (length, padded) => {
    expect(padBody(new Uint8Array(length)).length).toBe(padded);
  });

  it('isBodyBucket holds for exactly the lengths that padding makes', () => {
    const made = new Set<number>();
    for (let length = 0; length <= 65_535; length++)
      made.add(padme(length + 1 > 2048 ? length + 1 : length < 512 ? 512 : length < 1024 ? 1024 : 2048));
    for (let length = -20; length < 70_000; length++) if (isBodyBucket(length) !== made.has(length)) expect.fail(`${length}`);
  });

  it('refuses 65,536 bytes', () => {
    const error = { code: 'ERR_LENGTH', field: 'plaintext', got: 65_536, max: 65_535 };
    expect(() => padBody(new Uint8Array(65_536))).toThrow(expect.objectContaining(error));
  });

  it('is removed exactly, also where the content ends in zeros or markers', () => {
    const contents = fc.tuple(fc.uint8Array({ maxLength: 5000 }), fc.constantFrom([], [0], [0, 0, 0], [0x80], [0x80, 0, 0x80, 0]));
    fc.assert(
      fc.property(contents, ([head, tail]) => {
        const content = new Uint8Array([...head, ...tail]);
        expect(Buffer.from(unpadBody(padBody(content))).equals(content)).toBe(true);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});

describe('T43: malformed padding is one ERR_DECRYPT', () => {
  const cases: [string, Uint8Array][] = [
    ['empty', new Uint8Array(0)],
    ['no marker', new Uint8Array(512)],
    ['another marker', new Uint8Array(512).fill(1, 10, 11)],
    ['a byte after the marker', new Uint8Array(512).fill(0x80, 10, 11).fill(1, 511)],
    ['a bucket that the content does not need', new Uint8Array(1024).fill(0x80, 10, 11)],
    ['no bucket', new Uint8Array(513).fill(0x80)],
  ];
  it.each(cases)('body: %s', (_, padded) => {
    expect(codeOf(() => unpadBody(padded))).toBe('ERR_DECRYPT');
  });

  it.each([
    ...cases.slice(0, 3),
    ['too short', new Uint8Array(512).fill(0x80, 10, 11)],
    ['too long', new Uint8Array(1088).fill(0x80, 10, 11)],
  ] as typeof cases)('seal: %s', (_, padded) => {
    expect(codeOf(() => unpadSeal(padded))).toBe('ERR_DECRYPT');
  });
});

describe('seal padding', () => {
  it.each([
    [0, 1024],
    [1023, 1024],
    [1024, 1088],
    [12_900, 13_312],
  ])('%i bytes become %i, and come back', (length, padded) => {
    const content = new Uint8Array(length).fill(0x80);
    expect(padSeal(content).length).toBe(padded);
    expect(Buffer.from(unpadSeal(padSeal(content))).equals(content)).toBe(true);
  });
});
