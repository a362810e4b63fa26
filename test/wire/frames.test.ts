import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { encodeInit, encodeSealedHead, frameType, parseInit, parseSealed } from '../../src/wire/frames.js';
import { init } from './arbitraries.js';
import { expectTotal, SEED } from './fuzz.js';

const error = (code: string, field?: string) => expect.objectContaining({ name: 'DecodeError', code, ...(field && { field }) });
const tooLarge = (got: number, max: number) => expect.objectContaining({ name: 'DecodeError', code: 'ERR_TOO_LARGE', got, max });
const sample = fc.sample(init, { seed: SEED, numRuns: 1 })[0]!;

describe('frameType', () => {
  test.each([0x01, 0x10, 0x20])('accepts 0x%s', (type) => {
    expect(frameType(new Uint8Array([type, 1, 0, 1]))).toBe(type);
  });

  test('the cap comes first', () => {
    for (const read of [frameType, parseSealed, parseInit]) {
      expect(() => read(new Uint8Array(262_145))).toThrow(tooLarge(262_145, 262_144));
    }
    expect(() => frameType(new Uint8Array(256 * 1024))).toThrow(error('ERR_DECODE', 'type'));
  });

  test('T13: no other type is accepted', () => {
    for (let type = 0; type < 256; type++) {
      if ([0x01, 0x10, 0x20].includes(type)) continue;
      expect(() => frameType(new Uint8Array([type, 1, 0, 1]))).toThrow(error('ERR_DECODE', 'type'));
    }
    expect(() => frameType(new Uint8Array())).toThrow(error('ERR_DECODE', 'type'));
  });

  test('T46: version and suite', () => {
    expect(() => frameType(new Uint8Array([0x20, 0, 0, 1]))).toThrow(error('ERR_VERSION'));
    expect(() => frameType(new Uint8Array([0x20, 2, 0, 1]))).toThrow(error('ERR_VERSION'));
    expect(() => frameType(new Uint8Array([0x20, 1, 0, 2]))).toThrow(error('ERR_VERSION'));
    expect(() => frameType(new Uint8Array([0x20, 1, 0]))).toThrow(error('ERR_DECODE'));
  });
});

describe('sealed frame', () => {
  const head = encodeSealedHead(new Uint8Array(8).fill(7));
  const frame = concat(head, new Uint8Array(2160).fill(9));

  test('round trip', () => {
    expect(head).toEqual(new Uint8Array([1, 1, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7]));
    const parsed = parseSealed(frame);
    expect(parsed).toEqual({ setId: new Uint8Array(8).fill(7), head, sealed: frame.slice(12) });
    expect(concat(parsed.head, parsed.sealed)).toEqual(frame);
  });

  test('T50: truncated', () => {
    for (const length of [0, 3, 4, 11, 12, 100, 1132, 2171]) expect(() => parseSealed(frame.slice(0, length))).toThrow(error('ERR_DECODE'));
    expect(() => parseSealed(frame.slice(0, 2171))).toThrow(error('ERR_DECODE', 'sealed'));
  });

  test('another type', () => {
    expect(() => parseSealed(new Uint8Array([0x20, 1, 0, 1]))).toThrow(error('ERR_DECODE', 'type'));
  });

  test('T40: fuzz', () => expectTotal(parseSealed, ({ head, sealed }) => concat(head, sealed), [frame]));
});

describe('Init', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(init, fc.uint8Array({ maxLength: 900 }), (fields, ratchetMessage) => {
        const prefix = encodeInit(fields);
        const parsed = parseInit(concat(prefix, ratchetMessage));
        expect(parsed).toMatchObject({ ...fields, ratchetMessage, prefix, signedPart: prefix.slice(0, prefix.length - 3373) });
        expect(concat(encodeInit(parsed), parsed.ratchetMessage)).toEqual(concat(prefix, ratchetMessage));
      }),
      { seed: SEED, numRuns: 10 },
    );
  });

  test('another type', () => {
    expect(() => parseInit(new Uint8Array([0x01, 1, 0, 1]))).toThrow(error('ERR_DECODE', 'type'));
  });

  test.each([
    [0, 1],
    [3, 2],
    [0, 0],
  ])('T08: version range %i…%i is refused', (verMin, verMax) => {
    expect(() => parseInit(encodeInit({ ...sample, verMin, verMax }))).toThrow(error('ERR_DECODE', 'verMin'));
  });

  test('a range of one version', () => {
    expect(parseInit(encodeInit({ ...sample, verMin: 2, verMax: 2 }))).toMatchObject({ verMin: 2, verMax: 2 });
  });

  test('the cap of 24 KiB excludes the ratchet message', () => {
    const overhead = encodeInit({ ...sample, deviceList: new Uint8Array() }).length;
    const largest = encodeInit({ ...sample, deviceList: new Uint8Array(24 * 1024 - overhead) });
    expect(largest.length).toBe(24 * 1024);
    expect(parseInit(concat(largest, new Uint8Array(70_000))).ratchetMessage.length).toBe(70_000);
    expect(() => parseInit(encodeInit({ ...sample, deviceList: new Uint8Array(24 * 1024 - overhead + 1) }))).toThrow(
      tooLarge(24_577, 24_576),
    );
  });

  test('T50: every truncation before the signature is refused', () => {
    const prefix = encodeInit(sample);
    for (let length = 0; length < prefix.length; length += 97)
      expect(() => parseInit(prefix.slice(0, length))).toThrow(error('ERR_DECODE'));
  });

  test('T40: fuzz', () => {
    expectTotal(parseInit, (frame) => concat(encodeInit(frame), frame.ratchetMessage), [concat(encodeInit(sample), new Uint8Array(40))]);
  });
});

test.each([
  [3, 12_869],
  [64, 18_969],
])('size of Init with %i devices and an account of 64 bytes (section 1.5)', (count, size) => {
  const deviceList = new Uint8Array(4 + 66 + 64 + 24 + 1 + 100 * count + 3373);
  expect(encodeInit({ ...sample, accountId: new Uint8Array(64).fill(97), deviceList }).length).toBe(size);
});
