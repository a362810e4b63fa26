import { expand as nobleExpand } from '@noble/hashes/hkdf.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { expect, test } from 'vitest';
import { expand, hmac } from '../../src/crypto/hmac.js';
import { seededRng } from '../../src/testing/rng.js';

const rng = seededRng('hmac');
const bytes = (length: number): Uint8Array => (length === 0 ? new Uint8Array(0) : rng(length));

test('HMAC equals noble’s for every length of key and data around a block', () => {
  for (const keyLength of [0, 1, 20, 31, 32, 33, 55, 56, 63, 64, 65, 100, 128, 200]) {
    const key = bytes(keyLength);
    for (let length = 0; length <= 200; length += keyLength === 32 ? 1 : 13) {
      const data = bytes(length);
      expect(hmac(key, data)).toEqual(nobleHmac(sha256, key, data));
    }
  }
});

test('HKDF-Expand equals noble’s for every length up to four blocks, and for the longest', () => {
  const prk = bytes(32);
  const info = bytes(77);
  for (let length = 0; length <= 128; length++) expect(expand(prk, info, length)).toEqual(nobleExpand(sha256, prk, info, length));
  expect(expand(prk, info, 255 * 32)).toEqual(nobleExpand(sha256, prk, info, 255 * 32));
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
