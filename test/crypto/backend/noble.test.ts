import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { expect, it } from 'vitest';
import { toHex } from '../../../src/bytes.js';
import { backend } from '../../../src/crypto/backend/noble.js';
import { testRng } from '../../helpers/rng.js';
import { filledDuring } from '../../helpers/secrets.js';

const rng = testRng('noble backend');

it('an agreement with a point of small order is all zeros', () => {
  expect(backend.x25519(rng(32), new Uint8Array(32))).toEqual(new Uint8Array(32));
});

it('an Ed25519 key of small order verifies nothing, though the equation holds', () => {
  const identity = new Uint8Array([1, ...new Uint8Array(31)]);
  expect(backend.ed25519Verify(identity, rng(20), new Uint8Array([...identity, ...new Uint8Array(32)]))).toBe(false);
});

it('T50: signatures and keys of a wrong length are not valid', () => {
  const [seed, message, context] = [rng(32), rng(20), rng(8)];
  const ed = { key: backend.ed25519PublicKey(seed), signature: backend.ed25519Sign(seed, message) };
  expect(backend.ed25519Verify(ed.key, message, ed.signature)).toBe(true);
  for (let length = 0; length < 64; length++) expect(backend.ed25519Verify(ed.key, message, ed.signature.subarray(0, length))).toBe(false);
  expect(backend.ed25519Verify(ed.key.subarray(1), message, ed.signature)).toBe(false);
  const mldsa = { key: backend.mlDsa65PublicKey(seed), signature: backend.mlDsa65Sign(seed, message, context, rng(32)) };
  expect(backend.mlDsa65Verify(mldsa.key, message, context, mldsa.signature)).toBe(true);
  expect(backend.mlDsa65Verify(mldsa.key, message, context, mldsa.signature.subarray(1))).toBe(false);
  expect(backend.mlDsa65Verify(mldsa.key.subarray(1), message, context, mldsa.signature)).toBe(false);
});

it('the secret keys that seeds expand to are wiped', () => {
  const [seed, message, context] = [new Uint8Array(64).fill(7), new Uint8Array(1), new Uint8Array(0)];
  for (const [own, kem] of [
    [backend.mlKem768, ml_kem768],
    [backend.mlKem1024, ml_kem1024],
  ] as const) {
    const { publicKey, secretKey } = kem.keygen(seed);
    const { cipherText } = kem.encapsulate(publicKey, seed.subarray(32));
    expect(filledDuring(() => own.publicKey(seed))).toContain(toHex(secretKey));
    expect(filledDuring(() => own.decapsulate(seed, cipherText))).toContain(toHex(secretKey));
  }
  const own = seed.subarray(32);
  const expanded = toHex(ml_dsa65.keygen(own).secretKey);
  expect(filledDuring(() => backend.mlDsa65PublicKey(own))).toContain(expanded);
  expect(filledDuring(() => backend.mlDsa65Sign(own, message, context, own))).toContain(expanded);
});
