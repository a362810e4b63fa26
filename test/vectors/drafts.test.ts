import { describe, expect, it } from 'vitest';
import { encodeUtf8, equal, toHex } from '../../src/bytes.js';
import { compositePublicKey, signWithContext, verifyWithContext } from '../../src/crypto/composite.js';
import { xwingDecapsulate, xwingEncapsulate, xwingPublicKey } from '../../src/crypto/xwing.js';
import { BACKENDS } from '../crypto/backends.js';
import { flip, testRng } from '../helpers/rng.js';
import { describeVectors, hex, readJson } from './folder.js';

type Case = Readonly<Record<string, string>>;

describeVectors('xwing/test-vectors.json', (name) => {
  it('X-Wing', () => checkXwing(name, 'eseed'));
});

describeVectors('hybrid-kem/test-vectors-MLKEM768X25519.json', (name) => {
  it('MLKEM768-X25519, the same KEM', () => checkXwing(name, 'randomness'));
});

function checkXwing(name: string, randomField: string): void {
  for (const test of readJson<readonly Case[]>(name)) {
    const [seed, publicKey, ciphertext] = [hex(test['seed']!), hex(test['pk']!), hex(test['ct']!)];
    expect(equal(xwingPublicKey(seed), publicKey)).toBe(true);
    const { kemCiphertext, kemSharedSecret } = xwingEncapsulate(publicKey, hex(test[randomField]!));
    expect(equal(kemCiphertext, ciphertext)).toBe(true);
    expect(toHex(kemSharedSecret)).toBe(test['ss']);
    expect(toHex(xwingDecapsulate(seed, ciphertext))).toBe(test['ss']);
  }
}

describeVectors('composite-sigs/testvectors-ed25519.json', (name) => {
  const EMPTY = new Uint8Array(0);
  function read(tcId: string): Readonly<Record<'message' | 'context' | 'publicKey' | 'secretKey' | 'plain' | 'withContext', Uint8Array>> {
    const file = readJson<{ m: string; ctx: string; tests: readonly Case[] }>(name);
    const test = file.tests.find((candidate) => candidate['tcId'] === tcId)!;
    const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
    return {
      message: base64(file.m),
      context: base64(file.ctx),
      publicKey: base64(test['pk']!),
      secretKey: base64(test['sk']!),
      plain: base64(test['s']!),
      withContext: base64(test['sWithContext']!),
    };
  }

  it('T07: COMPSIG-MLDSA65-Ed25519-SHA512, without and with a context', () => {
    const { message, context, publicKey, secretKey, plain, withContext } = read('id-MLDSA65-Ed25519-SHA512');
    expect(equal(compositePublicKey(secretKey), publicKey)).toBe(true);
    expect(verifyWithContext(publicKey, message, EMPTY, plain)).toBe(true);
    expect(verifyWithContext(publicKey, message, context, withContext)).toBe(true);
    expect(verifyWithContext(publicKey, message, context, plain)).toBe(false);
    expect(verifyWithContext(publicKey, message, EMPTY, withContext)).toBe(false);
    // Either half broken: the first byte is ML-DSA's, the last Ed25519's.
    expect(verifyWithContext(publicKey, message, EMPTY, flip(plain, 0))).toBe(false);
    expect(verifyWithContext(publicKey, message, EMPTY, flip(plain))).toBe(false);
    // The Ed25519 half is deterministic, so ours must be theirs.
    const ours = signWithContext(secretKey, message, context, testRng('composite'));
    expect(toHex(ours.subarray(3309))).toBe(toHex(withContext.subarray(3309)));
    expect(verifyWithContext(publicKey, message, context, ours)).toBe(true);
  });

  describe.each(BACKENDS)('%s', (_, backend) => {
    it('plain ML-DSA-65, without and with a context', () => {
      const { message, context, publicKey, secretKey, plain, withContext } = read('id-ML-DSA-65');
      expect(equal(backend.mlDsa65PublicKey(secretKey), publicKey)).toBe(true);
      expect(backend.mlDsa65Verify(publicKey, message, EMPTY, plain)).toBe(true);
      expect(backend.mlDsa65Verify(publicKey, message, context, withContext)).toBe(true);
      expect(backend.mlDsa65Verify(publicKey, message, EMPTY, withContext)).toBe(false);
      expect(backend.mlDsa65Verify(publicKey, message, encodeUtf8('other')!, withContext)).toBe(false);
    });
  });
});
