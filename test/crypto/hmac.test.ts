import { expand as nobleExpand } from '@noble/hashes/hkdf.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { concat, toHex } from '../../src/bytes.js';
import { hmacOver } from '../../src/crypto/hmac.js';
import { hkdfSha256, hmacSha256 } from '../../src/crypto/suite.js';
import { seededRng } from '../../src/testing/rng.js';
import { filledDuring } from '../helpers/secrets.js';

const rng = seededRng('hmac');
const bytes = (length: number): Uint8Array => (length === 0 ? new Uint8Array(0) : rng(length));

describe.each([
  ['SHA-256', sha256, hmacOver(sha256)],
  ['SHA-512', sha512, hmacOver(sha512)],
] as const)('%s', (_, hash, { hmac, expand }) => {
  test('HMAC equals noble’s for every length of key and data around a block', () => {
    for (const keyLength of [0, 1, 20, 31, 32, 33, 55, 56, 63, 64, 65, 100, 111, 112, 127, 128, 129, 200]) {
      const key = bytes(keyLength);
      for (let length = 0; length <= 200; length += keyLength === 32 ? 1 : 13) {
        const data = bytes(length);
        expect(hmac(key, data)).toEqual(nobleHmac(hash, key, data));
      }
    }
  });

  test('HKDF-Expand equals noble’s for every length up to four blocks, and for the longest', () => {
    const prk = bytes(hash.outputLen);
    const info = bytes(77);
    for (let length = 0; length <= 4 * hash.outputLen; length++)
      expect(expand(prk, info, length)).toEqual(nobleExpand(hash, prk, info, length));
    expect(expand(prk, info, 255 * hash.outputLen)).toEqual(nobleExpand(hash, prk, info, 255 * hash.outputLen));
  });

  test('arguments stay as they are, results are buffers of their own', () => {
    const key = bytes(32);
    const data = bytes(50);
    const before = [key.slice(), data.slice()];
    const first = hmac(key, data);
    const copy = first.slice();
    const second = hmac(bytes(32), data);
    expand(key, data, 96);
    expect(first).toEqual(copy);
    expect(second.buffer).not.toBe(first.buffer);
    expect([key, data]).toEqual(before);
  });
});

test('nothing of a call is left: the hash objects, the padded key, the inner digest and the blocks are wiped', () => {
  const made: ReturnType<typeof sha256.create>[] = [];
  const create = () => {
    made.push(sha256.create());
    return made.at(-1)!;
  };
  const { hmac, expand } = hmacOver(Object.assign((data: Uint8Array) => sha256(data), { blockLen: 64, outputLen: 32, create }));
  const [key, data] = [new Uint8Array(32).fill(7), new Uint8Array([1, 2, 3])];
  const padded = (byte: number) => new Uint8Array(64).map((_, i) => (key[i] ?? 0) ^ byte);
  const filled = filledDuring(() => hmac(key, data));
  expect(filled).toEqual(expect.arrayContaining([toHex(padded(0x5c)), toHex(sha256(concat(padded(0x36), data)))]));
  let okm = new Uint8Array() as Uint8Array;
  const blocks = filledDuring(() => {
    okm = expand(key, data, 96);
  });
  expect(blocks).toEqual(expect.arrayContaining([0, 32, 64].map((at) => toHex(okm.subarray(at, at + 32)))));
  // The first is the pristine one, which every call starts from.
  for (const state of made.slice(1)) expect((state as unknown as { destroyed: boolean }).destroyed).toBe(true);
});

test('HKDF wipes its PRK', () => {
  const [salt, ikm] = [rng(32), rng(40)];
  expect(filledDuring(() => hkdfSha256(salt, ikm, rng(4), 32))).toContain(toHex(hmacSha256(salt, ikm)));
});
