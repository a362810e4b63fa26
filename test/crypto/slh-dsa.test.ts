import { expect, it } from 'vitest';
import { SLH_PUBLIC_KEY_BYTES, SLH_SECRET_KEY_BYTES, slhGenerate, slhVerifyWithContext } from '../../src/crypto/slh-dsa.js';
import { testRng } from '../helpers/rng.js';

// Signatures and verdicts: test/identity/root.test.ts, and the vectors of the standard.

it('a key pair comes of 72 bytes, which are wiped', () => {
  const given = testRng('slh-dsa')(72);
  const seed = given.slice();
  const { publicKey, secretKey } = slhGenerate((lengthBytes) => {
    expect(lengthBytes).toBe(72);
    return given;
  });
  expect([publicKey.length, secretKey.length]).toEqual([SLH_PUBLIC_KEY_BYTES, SLH_SECRET_KEY_BYTES]);
  // SK.seed ‖ SK.prf ‖ PK.seed ‖ PK.root (FIPS 205 figure 15)
  expect(secretKey.subarray(0, 72)).toEqual(seed);
  expect(secretKey.subarray(48)).toEqual(publicKey);
  expect(given).toEqual(new Uint8Array(72));
});

it('a context of more than 255 bytes verifies nothing, and is no error', () => {
  expect(slhVerifyWithContext(new Uint8Array(48), new Uint8Array(1), new Uint8Array(256), new Uint8Array(16_224))).toBe(false);
});
