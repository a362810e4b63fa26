import { ml_kem768_x25519 } from '@noble/post-quantum/hybrid.js';
import { expect, it } from 'vitest';
import { concat, toHex, wipe } from '../../src/bytes.js';
import { shake256 } from '../../src/crypto/suite.js';
import {
  XWING_CIPHERTEXT_BYTES,
  XWING_PUBLIC_KEY_BYTES,
  xwingDecapsulate,
  xwingEncapsulate,
  xwingPublicKey,
} from '../../src/crypto/xwing.js';
import { flip, testRng } from '../helpers/rng.js';
import { filledDuring } from '../helpers/secrets.js';

const DECRYPT = expect.objectContaining({ code: 'ERR_DECRYPT' });
const BUG = expect.objectContaining({ code: 'ERR_BUG' });
const rng = testRng('xwing');
const seed = rng(32);
const publicKey = xwingPublicKey(seed);

it("equals noble's X-Wing in both directions", () => {
  for (let i = 0; i < 8; i++) {
    const [secret, random] = [rng(32), rng(64)];
    const theirs = ml_kem768_x25519.keygen(secret);
    expect(xwingPublicKey(secret)).toEqual(theirs.publicKey);
    const { cipherText, sharedSecret } = ml_kem768_x25519.encapsulate(theirs.publicKey, random);
    expect(xwingEncapsulate(theirs.publicKey, random)).toEqual({ kemCiphertext: cipherText, kemSharedSecret: sharedSecret });
    expect(xwingDecapsulate(secret, cipherText)).toEqual(sharedSecret);
    const tampered = flip(cipherText, 100 * i);
    expect(xwingDecapsulate(secret, tampered)).toEqual(ml_kem768_x25519.decapsulate(tampered, secret));
  }
});

it('leaves its arguments alone', () => {
  const random = rng(64);
  const copies = [seed, publicKey, random].map((bytes) => new Uint8Array(bytes));
  const { kemCiphertext, kemSharedSecret } = xwingEncapsulate(publicKey, random);
  wipe(kemSharedSecret);
  xwingDecapsulate(seed, kemCiphertext);
  expect([seed, publicKey, random]).toEqual(copies);
});

it('wipes the secret keys that a seed expands to, whether it succeeds or not', () => {
  const expanded = shake256(seed, 96);
  const derived = [expanded.subarray(0, 64), expanded.subarray(64)].map(toHex);
  const { kemCiphertext } = xwingEncapsulate(publicKey, rng(64));
  expect(filledDuring(() => xwingPublicKey(seed))).toEqual(expect.arrayContaining(derived));
  expect(filledDuring(() => xwingDecapsulate(seed, kemCiphertext))).toEqual(expect.arrayContaining(derived));
  const bad = concat(kemCiphertext.subarray(0, 1088), new Uint8Array(32));
  expect(filledDuring(() => expect(() => xwingDecapsulate(seed, bad)).toThrow(DECRYPT))).toEqual(expect.arrayContaining(derived));
});

it('T01: refuses X25519 halves of small order and such that are not canonical', () => {
  const { kemCiphertext } = xwingEncapsulate(publicKey, rng(64));
  const bad = [new Uint8Array(32), flip(new Uint8Array(32), 0), new Uint8Array(32).fill(0xff), flip(publicKey.subarray(1184), 31, 0x80)];
  for (const half of bad) {
    expect(() => xwingEncapsulate(concat(publicKey.subarray(0, 1184), half), rng(64))).toThrow(DECRYPT);
    expect(() => xwingDecapsulate(seed, concat(kemCiphertext.subarray(0, 1088), half))).toThrow(DECRYPT);
  }
});

it('T04: refuses an encapsulation key with a coefficient from q, and every wrong length', () => {
  const bad = new Uint8Array(publicKey);
  bad.set([0xff, 0xff, 0xff]);
  expect(() => xwingEncapsulate(bad, rng(64))).toThrow(DECRYPT);
  for (const length of [0, 32, 1184, XWING_PUBLIC_KEY_BYTES - 1]) {
    expect(() => xwingEncapsulate(publicKey.subarray(0, length), rng(64))).toThrow(DECRYPT);
  }
  for (const length of [0, 32, 1088, XWING_CIPHERTEXT_BYTES - 1, XWING_CIPHERTEXT_BYTES + 1]) {
    expect(() => xwingDecapsulate(seed, new Uint8Array(length))).toThrow(DECRYPT);
  }
});

it('seeds and randomness of another length are bugs', () => {
  expect(() => xwingPublicKey(rng(64))).toThrow(BUG);
  expect(() => xwingEncapsulate(publicKey, rng(32))).toThrow(BUG);
  expect(() => xwingDecapsulate(rng(31), new Uint8Array(XWING_CIPHERTEXT_BYTES))).toThrow(BUG);
});
