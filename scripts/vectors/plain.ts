/** Vectors of bytes without keys: MessagePack, padding, the erasure code. */

import { concat, encodeUtf8 } from '../../src/bytes.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { book, flipped, patched } from './book.js';

const bytesOf = (...values: readonly number[]): Uint8Array => new Uint8Array(values);

export function msgpackVectors(): VectorFile {
  const { valid, invalid, file } = book({
    kind: 'msgpack',
    section: '10',
    description:
      'MessagePack as it stands inside authenticated plaintext. Decoding `bytes` gives `value`, and encoding that gives `bytes` again. In `value`, bytes are { "$bytes": hexadecimal }, integers beyond 2⁵³ { "$integer": decimal }; no key of a map can begin with a dollar.',
    seed: 'none',
  });
  const values: readonly [id: string, value: unknown][] = [
    ['nil', null],
    ['true', true],
    ['false', false],
    ['zero', 0],
    ['fixint', 127],
    ['u8', 128],
    ['u8-most', 255],
    ['u16', 256],
    ['u16-most', 65_535],
    ['u32', 65_536],
    ['u32-most', 2 ** 32 - 1],
    ['u64', 2 ** 32],
    ['u64-number', 2 ** 53],
    ['u64-bigint', 2n ** 53n + 1n],
    ['u64-most', 2n ** 64n - 1n],
    ['negative', -1],
    ['negative-fixint', -32],
    ['i8', -33],
    ['i8-least', -128],
    ['i16', -129],
    ['i16-least', -32_768],
    ['i32', -32_769],
    ['i32-least', -(2 ** 31)],
    ['i64', -(2 ** 31) - 1],
    ['i64-least', -(2n ** 63n)],
    ['float', 1.5],
    ['float-large', 1e300],
    ['float-tiny', 5e-324],
    ['text-empty', ''],
    ['text', 'ä€😀'],
    ['text-31', 'x'.repeat(31)],
    ['text-32', 'x'.repeat(32)],
    ['text-256', 'x'.repeat(256)],
    ['bytes-empty', new Uint8Array(0)],
    ['bytes', bytesOf(1, 2, 3)],
    ['bytes-256', new Uint8Array(256)],
    ['array-empty', []],
    ['array', [1, 'two', [bytesOf(3)]]],
    ['array-16', Array.from({ length: 16 }, (_, i) => i)],
    ['map-empty', {}],
    ['map', { t: 'text', at: 1_767_225_600_000, text: 'Hello' }],
    ['map-longest-key', { ['k'.repeat(32)]: null }],
    ['map-16', Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i]))],
    ['depth-8', [[[[[[[[]]]]]]]]],
  ];
  for (const [id, value] of values) valid(id, 'decode', { bytes: encodeMsgpack(value) });
  const refuse = (id: string, description: string, bytes: Uint8Array): void =>
    invalid(id, 'decode', 'ERR_DECODE', 'T40', description, { bytes });
  refuse('nothing', 'nothing', bytesOf());
  refuse('trailing', 'a byte behind the value', bytesOf(0xc0, 0xc0));
  refuse('never-used', 'type c1', bytesOf(0xc1));
  refuse('fixint-as-u8', '127 as u8', bytesOf(0xcc, 127));
  refuse('u8-as-u16', '255 as u16', bytesOf(0xcd, 0, 255));
  refuse('u16-as-u32', '65,535 as u32', bytesOf(0xce, 0, 0, 255, 255));
  refuse('u32-as-u64', '2³²−1 as u64', bytesOf(0xcf, 0, 0, 0, 0, 255, 255, 255, 255));
  refuse('positive-as-i8', '1 as i8', bytesOf(0xd0, 1));
  refuse('positive-as-i16', '128 as i16', bytesOf(0xd1, 0, 128));
  refuse('negative-as-i8', '−1 as i8', bytesOf(0xd0, 0xff));
  refuse('i8-as-i16', '−128 as i16', bytesOf(0xd1, 0xff, 0x80));
  refuse('i16-as-i32', '−32,768 as i32', bytesOf(0xd2, 0xff, 0xff, 0x80, 0));
  refuse('i32-as-i64', '−2³¹ as i64', bytesOf(0xd3, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0));
  refuse('float32', '1.5 as float32', bytesOf(0xca, 0x3f, 0xc0, 0, 0));
  refuse('float-integer', '1 as float64', bytesOf(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0));
  refuse('float-negative-zero', '−0', bytesOf(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0));
  refuse('float-nan', 'not a number', bytesOf(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0));
  refuse('float-infinity', 'infinity', bytesOf(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0));
  refuse('extension-1', 'an extension of one byte', bytesOf(0xd4, 1, 0));
  refuse('extension-time', 'the timestamp extension', bytesOf(0xd6, 0xff, 0, 0, 0, 0));
  refuse('extension-8', 'an extension with a length', bytesOf(0xc7, 1, 1, 0));
  refuse('text-long-form', 'a text of 31 bytes with a length of its own', concat(bytesOf(0xd9, 31), new Uint8Array(31).fill(0x78)));
  refuse('text-cut', 'a text longer than what is there', bytesOf(0xa2, 0x78));
  refuse('text-not-utf8', 'a text that is not UTF-8', bytesOf(0xa1, 0xff));
  refuse('text-overlong', 'a text in overlong UTF-8', bytesOf(0xa2, 0xc1, 0xa1));
  refuse('text-surrogate', 'a text with a surrogate', bytesOf(0xa3, 0xed, 0xa0, 0x80));
  refuse('bytes-long-form', 'three bytes with a length of 16 bits', bytesOf(0xc5, 0, 3, 1, 2, 3));
  refuse('bytes-cut', 'bytes longer than what is there', bytesOf(0xc6, 0xff, 0xff, 0xff, 0xff));
  refuse('array-long-form', 'an empty array with a length of 16 bits', bytesOf(0xdc, 0, 0));
  refuse('array-cut', 'an array of more values than there are bytes', bytesOf(0xdd, 0xff, 0xff, 0xff, 0xff));
  refuse('map-cut', 'a map of more values than there are bytes', bytesOf(0xdf, 0xff, 0xff, 0xff, 0xff));
  refuse('map-key-twice', 'a key twice', bytesOf(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2));
  refuse('map-key-number', 'a key that is a number', bytesOf(0x81, 1, 1));
  refuse('map-key-empty', 'an empty key', bytesOf(0x81, 0xa0, 1));
  refuse('map-key-33', 'a key of 33 characters', concat(bytesOf(0x81, 0xd9, 33), new Uint8Array(33).fill(0x61), bytesOf(1)));
  refuse('map-key-character', 'a key with a hyphen', bytesOf(0x81, 0xa1, 0x2d, 1));
  for (const key of ['__proto__', 'constructor', 'prototype']) {
    const name = encodeUtf8(key)!;
    refuse(`map-key-${key.replaceAll('_', '')}`, `the key ${key}`, concat(bytesOf(0x81, 0xa0 | name.length), name, bytesOf(0x80)));
  }
  refuse('depth-9', 'containers nine deep', bytesOf(...Array.from({ length: 8 }, () => 0x91), 0x90));
  refuse('values-4097', '4,097 values', concat(bytesOf(0xdc, 0x10, 0), new Uint8Array(4096).fill(0xc0)));
  return file();
}

export function paddingVectors(): VectorFile {
  const seed = 'vectors/padding';
  const rng = seededRng(seed);
  const { valid, invalid, file } = book({
    kind: 'padding',
    section: '6',
    description: 'Padding of bodies and of what is sealed: content ‖ 80 ‖ 00* to a length that follows from the content’s.',
    seed,
  });
  for (const length of [2, 512, 513, 1000, 1024, 1025, 2049, 3000, 4097, 10_000, 65_535, 65_536, 87_164]) {
    valid(`padme-${length}`, 'padme', { length });
  }
  for (const [what, lengths] of [
    ['Body', [0, 511, 512, 1023, 1024, 2048]],
    ['Seal', [0, 1023, 1024, 1056]],
  ] as const) {
    for (const length of lengths) {
      const content = rng(length);
      const padded = valid(`pad-${what.toLowerCase()}-${length}`, `pad${what}`, { content }).bytes('padded');
      valid(`unpad-${what.toLowerCase()}-${length}`, `unpad${what}`, { padded });
    }
  }
  const zeros = valid('pad-body-like-padding', 'padBody', { content: bytesOf(1, 0, 0x80, 0, 0) }, 'content that ends like padding').bytes(
    'padded',
  );
  valid('unpad-body-like-padding', 'unpadBody', { padded: zeros });
  const refuse = (id: string, op: string, description: string, padded: Uint8Array): void =>
    invalid(id, op, 'ERR_DECRYPT', 'T43', description, { padded });
  for (const [op, least] of [
    ['unpadBody', 512],
    ['unpadSeal', 1024],
  ] as const) {
    const good = patched(new Uint8Array(least), 0, [7, 0x80]);
    refuse(`${op}-zeros`, op, 'zeros only', new Uint8Array(least));
    refuse(`${op}-nothing`, op, 'nothing', new Uint8Array(0));
    refuse(`${op}-marker`, op, '81 for the marker', patched(good, 1, [0x81]));
    refuse(`${op}-no-marker`, op, 'no marker', new Uint8Array(least).fill(7));
    refuse(`${op}-after-marker`, op, 'a 1 among the zeros', flipped(good));
    refuse(`${op}-short`, op, 'a zero less', good.slice(0, -1));
    refuse(`${op}-long`, op, 'a zero more', concat(good, new Uint8Array(1)));
    refuse(`${op}-next`, op, 'the next greater length that there is', concat(good, new Uint8Array(op === 'unpadBody' ? 512 : 32)));
  }
  return file();
}

/** Lengths of the pieces (section 4.6) and chunk sizes of the profiles. */
const PIECES = { header: 96, ct1: 960, vector: 1152, ct2: 160 } as const;
const CHUNKS = { 1: 192, 2: 32, 3: 1152 } as const;

export function erasureVectors(): VectorFile {
  const seed = 'vectors/erasure';
  const rng = seededRng(seed);
  const { give, valid, file } = book({
    kind: 'erasure',
    section: '4.6',
    description:
      'The erasure code: `chunk` cuts or computes the chunk `index` of a piece, `decode` is given chunks in the order of arrival; `kept` are the indices that count. Without enough of them `piece` is absent. The code detects no error, so nothing is refused here: a false chunk gives another piece, which hdrMac, hek or ctMac shows.',
    seed,
  });
  const pieces = Object.fromEntries(Object.entries(PIECES).map(([name, length]) => [name, rng(length)]));
  give(pieces);
  for (const [profile, chunkBytes] of Object.entries(CHUNKS)) {
    for (const [name, piece] of Object.entries(pieces)) {
      const n = Math.ceil(piece.length / chunkBytes);
      const indices = [...new Set([0, n - 1, n, n + 1, 40_000, 65_535])];
      const chunks = new Map(
        indices.map((index) => [index, valid(`chunk-${profile}-${name}-${index}`, 'chunk', { piece, chunkBytes, index }).bytes('chunk')]),
      );
      const all = (from: number): { index: number; chunk: Uint8Array }[] => {
        const known = [...chunks].map(([index, chunk]) => ({ index, chunk }));
        return known.slice(from).concat(known.slice(0, from));
      };
      if (n > indices.length) continue;
      valid(`decode-${profile}-${name}`, 'decode', { lengthBytes: piece.length, chunkBytes, chunks: all(0) });
      if (profile === '3') continue;
      valid(`decode-${profile}-${name}-parity`, 'decode', { lengthBytes: piece.length, chunkBytes, chunks: all(2) }, 'in another order');
    }
  }
  const piece = pieces['ct2']!;
  const part = (index: number): { index: number; chunk: Uint8Array } => ({
    index,
    chunk: valid(`part-${index}`, 'chunk', { piece, chunkBytes: 32, index }).bytes('chunk'),
  });
  const parts = [7, 2, 900, 4, 65_000].map(part);
  const decode = (id: string, description: string, chunks: readonly { index: number; chunk: Uint8Array }[]): void => {
    valid(id, 'decode', { lengthBytes: 160, chunkBytes: 32, chunks }, description);
  };
  decode('decode-whole', 'the fifth makes it whole', parts);
  decode('decode-not-whole', 'one is missing', parts.slice(1));
  decode('decode-twice', 'one came twice', [...parts.slice(0, 4), parts[0]!]);
  const lie = { index: 2, chunk: flipped(parts[1]!.chunk) };
  decode('decode-twice-lie', 'the second of one index is ignored, whatever it says', [...parts.slice(0, 4), lie, parts[4]!]);
  decode('decode-lie', 'a false chunk gives another piece', [parts[0]!, lie, ...parts.slice(2)]);
  decode('decode-more', 'what comes after the piece is whole is ignored', [...parts, { index: 0, chunk: lie.chunk }]);
  return file();
}
