import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wireLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import {
  CHUNK_BYTES,
  decodeHeader,
  encodeHeader,
  encodePrefix,
  type Header,
  headerIndex,
  parseRatchetFrame,
  ratchetTag,
} from '../../src/wire/ratchet-message.js';
import { codeOf } from '../helpers/expect-code.js';
import { testRng } from '../helpers/rng.js';
import { session } from '../helpers/sessions.js';

const counter = fc.nat(wireLimits.counterMax - 1);
const headers = fc.record({
  ratchetKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  previousChainLength: fc.nat(wireLimits.counterMax),
  n: counter,
  pqEpoch: fc.integer({ min: 2, max: wireLimits.counterMax - 1 }),
  pqCounter: fc.integer({ min: 1, max: wireLimits.counterMax - 1 }),
  pqPrevious: counter,
  type: fc.constantFrom(1, 2, 3, 5, 6),
  index: fc.nat(0xffff),
  chunk: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});
const plain: Header = {
  ratchetKey: new Uint8Array(32).fill(1),
  previousChainLength: 2,
  n: 3,
  pqEpoch: 4,
  pqCounter: 5,
  pqPrevious: 6,
  type: 1,
  index: 0x0708,
  chunk: new Uint8Array(32).fill(9),
};

describe('header', () => {
  it('has the layout of section 1.4', () => {
    const hex = `${'01'.repeat(32)}00000002000000030000000400000005000000060107080${'0'}${'09'.repeat(32)}`;
    expect(Buffer.from(encodeHeader(plain)).toString('hex')).toBe(hex);
    expect(encodeHeader(plain).length).toBe(56 + 32);
  });

  it('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(headers, (header) => {
        expect(decodeHeader(encodeHeader(header))).toEqual(header);
      }),
      { seed: 14, numRuns: 200 },
    );
  });

  it('tells its index, whatever stands around it', () => {
    const bytes = new Uint8Array(100).fill(0xff);
    bytes.set([1, 2, 3, 4], 46);
    expect(headerIndex(bytes.subarray(10))).toBe(0x0102_0304);
  });

  it('owns what it holds', () => {
    const bytes = encodeHeader(plain);
    const header = decodeHeader(bytes);
    bytes.fill(0);
    expect(header).toEqual(plain);
  });

  const max = wireLimits.counterMax;
  const none = { type: 0, index: 0, chunk: new Uint8Array(32) };
  it.each<[string, Partial<Header>, boolean]>([
    ['the first of all', { ...none, pqEpoch: 1, pqPrevious: 0, pqCounter: 1, n: 0, previousChainLength: 0 }, true],
    ['pn = 2³¹', { previousChainLength: max }, true],
    ['pn > 2³¹', { previousChainLength: max + 1 }, false],
    ['n = 2³¹ − 1', { n: max - 1 }, true],
    ['n = 2³¹', { n: max }, false],
    ['e = 0', { pqEpoch: 0, pqPrevious: 0 }, false],
    ['e = 2³¹', { pqEpoch: max }, false],
    ['pqCtr = 0', { pqCounter: 0 }, false],
    ['pqCtr = 2³¹', { pqCounter: max }, false],
    ['pqPrev = 2³¹', { pqPrevious: max }, false],
    ['pqPrev in epoch 1', { pqEpoch: 1, pqPrevious: 1 }, false],
    ['pqPrev = 0 in epoch 2', { pqEpoch: 2, pqPrevious: 0 }, true],
    ['type 6', { type: 6 }, true],
    ['type 7', { type: 7 }, false],
    ['None', none, true],
    ['Ct1Ack', { ...none, type: 4 }, true],
    ['None with an index', { ...none, index: 1 }, false],
    ['Ct1Ack with an index', { ...none, type: 4, index: 256 }, false],
    ['None with a chunk', { ...none, chunk: new Uint8Array(32).fill(1, 31) }, false],
    ['Ct1Ack with a chunk', { ...none, type: 4, chunk: new Uint8Array(32).fill(1, 0, 1) }, false],
  ])('%s', (_, change, isAllowed) => {
    const bytes = encodeHeader({ ...plain, ...change });
    if (isAllowed) expect(decodeHeader(bytes)).toEqual({ ...plain, ...change });
    else expect(codeOf(() => decodeHeader(bytes))).toBe('ERR_DECRYPT');
  });

  it('flags are 0', () => {
    const bytes = encodeHeader(plain);
    for (let bit = 0; bit < 8; bit++) {
      bytes[55] = 1 << bit;
      expect(codeOf(() => decodeHeader(bytes))).toBe('ERR_DECRYPT');
    }
  });
});

describe('frame', () => {
  const tag = Uint8Array.from({ length: 16 }, (_, i) => i);
  const frame = (length: number): Uint8Array => {
    const out = new Uint8Array(length).map((_, i) => i);
    out.set(encodePrefix(tag));
    return out;
  };

  it.each([1, 2, 3] as const)('is split at the offsets of profile %i', (profile) => {
    const c = CHUNK_BYTES[profile];
    const bytes = frame(676 + c);
    const parts = parseRatchetFrame(bytes, profile);
    expect(parts.tag).toEqual(tag);
    expect(parts.prefix).toEqual(bytes.subarray(0, 20));
    expect(parts.headerNonce).toEqual(bytes.subarray(20, 44));
    expect(parts.headerCiphertext).toEqual(bytes.subarray(44, 116 + c));
    expect(parts.commitment).toEqual(bytes.subarray(116 + c, 148 + c));
    expect(parts.beforeBody).toEqual(bytes.subarray(0, 148 + c));
    expect(parts.bodyCiphertext).toEqual(bytes.subarray(148 + c));
    expect(parts.bodyCiphertext.length).toBe(528);
  });

  it('has one of the lengths that padding makes, in each profile its own', () => {
    const made = new Set([512, 1024, 2048, 2176].map((bucket) => bucket + 164 + 32));
    for (let length = 20; length <= 2176 + 164 + 32; length++) {
      if (made.has(length)) expect(parseRatchetFrame(frame(length), 2)).toBeDefined();
      else expect(() => parseRatchetFrame(frame(length), 2)).toThrow(expect.objectContaining({ code: 'ERR_DECODE', got: length }));
    }
  });

  it.each([
    [1, 868, 65_892],
    [2, 708, 65_732],
    [3, 1828, 66_852],
  ] as const)('of profile %i has %i bytes at least and %i at most', (profile, least, most) => {
    const { alice } = session(braid, testRng('sizes'), profile);
    expect(alice.send(new Uint8Array(0)).length).toBe(least);
    expect(alice.send(new Uint8Array(511)).length).toBe(least);
    expect(alice.send(new Uint8Array(65_535)).length).toBe(most);
  });

  it('its tag is read after cap, type, version and suite', () => {
    const bytes = frame(868);
    expect(ratchetTag(bytes)).toEqual(tag);
    expect(ratchetTag(bytes.subarray(0, 20))).toEqual(tag);
    expect(codeOf(() => ratchetTag(bytes.subarray(0, 19)))).toBe('ERR_DECODE');
    expect(ratchetTag(frame(wireLimits.frameBytes))).toEqual(tag);
    expect(() => ratchetTag(frame(262_145))).toThrow(expect.objectContaining({ code: 'ERR_TOO_LARGE', got: 262_145, max: 262_144 }));
    for (const [at, value, code] of [
      [0, 0x10, 'ERR_DECODE'],
      [1, 0, 'ERR_VERSION'],
      [1, 2, 'ERR_VERSION'],
      [2, 1, 'ERR_VERSION'],
      [3, 2, 'ERR_VERSION'],
    ] as const) {
      const other = bytes.slice();
      other[at] = value;
      expect(codeOf(() => ratchetTag(other))).toBe(code);
    }
  });
});
