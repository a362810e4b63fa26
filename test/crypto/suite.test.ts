import { describe, expect, it } from 'vitest';
import { concat, toHex } from '../../src/bytes.js';
import * as suite from '../../src/crypto/suite.js';
import { flip, testRng } from '../helpers/rng.js';

const DECRYPT = expect.objectContaining({ code: 'ERR_DECRYPT', message: 'message could not be authenticated' });
const BUG = expect.objectContaining({ code: 'ERR_BUG' });
const ABC = new Uint8Array([0x61, 0x62, 0x63]);
const ZEROS = new Uint8Array(32);

describe('hashes and key derivation', () => {
  // FIPS 180-4 and FIPS 202 examples for "abc".
  it('hash "abc"', () => {
    expect(toHex(suite.sha256(ABC))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(toHex(suite.sha512(ABC))).toBe(
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    );
    expect(toHex(suite.sha512_256(ABC))).toBe('53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23');
    expect(toHex(suite.sha3_256(ABC))).toBe('3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532');
    expect(toHex(suite.sha3_512(ABC))).toBe(
      'b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0',
    );
    expect(toHex(suite.shake256(new Uint8Array(0), 32))).toBe('46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f');
  });

  it('HKDF is extract, then expand', () => {
    const rng = testRng('hkdf');
    const [salt, ikm, info] = [rng(32), rng(40), rng(20)];
    expect(suite.hkdfExpandSha256(suite.hkdfExtractSha256(salt, ikm), info, 96)).toEqual(suite.hkdfSha256(salt, ikm, info, 96));
    expect(suite.hkdfExtractSha256(salt, ikm)).toEqual(suite.hmacSha256(salt, ikm));
  });

  it('outputs end at 255 hashes', () => {
    expect(suite.hkdfExpandSha256(ZEROS, ABC, 255 * 32)).toHaveLength(255 * 32);
    expect(() => suite.hkdfExpandSha256(ZEROS, ABC, 255 * 32 + 1)).toThrow(
      expect.objectContaining({ code: 'ERR_BUG', field: 'lengthBytes', got: 255 * 32 + 1, max: 255 * 32 }),
    );
    expect(() => suite.hkdfSha256(ZEROS, ABC, ABC, 255 * 32 + 1)).toThrow(BUG);
    expect(() => suite.hkdfSha512(ZEROS, ABC, ABC, 255 * 64 + 1)).toThrow(BUG);
    expect(() => suite.hkdfExpandSha256(ZEROS.subarray(1), ABC, 32)).toThrow(BUG);
  });
});

describe.each([
  { name: 'ChaCha20-Poly1305', seal: suite.chachaSeal, open: suite.chachaOpen, nonceBytes: 12 },
  { name: 'XChaCha20-Poly1305', seal: suite.xchachaSeal, open: suite.xchachaOpen, nonceBytes: 24 },
])('$name', ({ seal, open, nonceBytes }) => {
  const rng = testRng('aead');
  const [key, nonce, ad, plaintext] = [rng(32), rng(nonceBytes), rng(20), rng(100)];
  const sealed = seal(key, nonce, ad, plaintext);

  it('opens what it sealed and only that', () => {
    expect(sealed).toHaveLength(116);
    expect(open(key, nonce, ad, sealed)).toEqual(plaintext);
    for (let i = 0; i < sealed.length; i++) expect(() => open(key, nonce, ad, flip(sealed, i))).toThrow(DECRYPT);
    expect(() => open(key, nonce, flip(ad), sealed)).toThrow(DECRYPT);
    expect(() => open(key, flip(nonce), ad, sealed)).toThrow(DECRYPT);
    expect(() => open(flip(key), nonce, ad, sealed)).toThrow(DECRYPT);
  });

  it('T50: refuses truncations to every length, below a tag too, and tails', () => {
    for (let length = 0; length < sealed.length; length++) expect(() => open(key, nonce, ad, sealed.subarray(0, length))).toThrow(DECRYPT);
    expect(() => open(key, nonce, ad, concat(sealed, new Uint8Array(1)))).toThrow(DECRYPT);
  });

  it('keys and nonces of another length are bugs', () => {
    for (const length of [0, 16, 31, 33]) expect(() => seal(rng(length), nonce, ad, plaintext)).toThrow(BUG);
    for (const length of [0, 8, nonceBytes - 1, nonceBytes + 1]) expect(() => open(key, rng(length), ad, sealed)).toThrow(BUG);
  });

  it('leaves its arguments alone', () => {
    const copies = [key, nonce, ad, plaintext].map((bytes) => new Uint8Array(bytes));
    seal(key, nonce, ad, plaintext);
    expect([key, nonce, ad, plaintext]).toEqual(copies);
  });
});

describe('X25519', () => {
  const prime = new Uint8Array(32).fill(0xff);
  prime[0] = 0xed;
  prime[31] = 0x7f;

  it('agrees', () => {
    const rng = testRng('x25519');
    const [a, b] = [suite.generateX25519(rng), suite.generateX25519(rng)];
    expect(suite.x25519(a.secretKey, b.publicKey)).toEqual(suite.x25519(b.secretKey, a.publicKey));
    expect(suite.x25519KeyPair(a.secretKey)).toEqual(a);
    expect(suite.x25519KeyPair(a.secretKey).secretKey).toBe(a.secretKey);
  });

  it('T01: refuses zero, small order, and what is not canonical', () => {
    const { secretKey } = suite.generateX25519(testRng('T01'));
    const one = flip(ZEROS, 0);
    const minusOne = flip(prime, 0);
    for (const smallOrder of [ZEROS, one, minusOne]) {
      expect(suite.isX25519PublicKey(smallOrder)).toBe(smallOrder[0] !== prime[0]);
      expect(() => suite.x25519(secretKey, smallOrder)).toThrow(DECRYPT);
    }
    const { publicKey } = suite.x25519KeyPair(secretKey);
    for (const notCanonical of [
      prime,
      new Uint8Array(32).fill(0xff),
      flip(publicKey, 31, 0x80),
      publicKey.subarray(1),
      concat(publicKey, one),
    ]) {
      expect(suite.isX25519PublicKey(notCanonical)).toBe(false);
      expect(() => suite.x25519(secretKey, notCanonical)).toThrow(DECRYPT);
    }
  });

  it('T42: a secret of another length, as from a short read of randomness, is a bug', () => {
    expect(() => suite.generateX25519(() => new Uint8Array(31))).toThrow(BUG);
    expect(() => suite.x25519KeyPair(new Uint8Array(64))).toThrow(BUG);
    expect(() => suite.x25519(new Uint8Array(0), suite.generateX25519(testRng('T42')).publicKey)).toThrow(BUG);
  });
});

describe.each([
  { name: 'ML-KEM-768', kem: suite.mlKem768, keyBytes: 1184, ciphertextBytes: 1088 },
  { name: 'ML-KEM-1024', kem: suite.mlKem1024, keyBytes: 1568, ciphertextBytes: 1568 },
])('$name', ({ name, kem, keyBytes, ciphertextBytes }) => {
  const rng = testRng(name);
  const seed = rng(64);
  const publicKey = kem.publicKey(seed);
  const m = rng(32);

  it('encapsulates to a seed, the same each time', () => {
    const { kemCiphertext, kemSharedSecret } = kem.encapsulate(publicKey, m);
    expect([publicKey.length, kemCiphertext.length, kemSharedSecret.length]).toEqual([keyBytes, ciphertextBytes, 32]);
    expect(kem.decapsulate(seed, kemCiphertext)).toEqual(kemSharedSecret);
    expect(kem.encapsulate(publicKey, m)).toEqual({ kemCiphertext, kemSharedSecret });
  });

  it('T04: refuses encapsulation keys of another length or with a coefficient from q, at each of both places', () => {
    expect(kem.isPublicKey(publicKey)).toBe(true);
    const bad = [publicKey.subarray(1), concat(publicKey, new Uint8Array(1)), new Uint8Array(0)];
    for (const at of [0, 384, keyBytes - 32 - 3]) {
      // q = 0xd01: low coefficient in bytes 0 and 1, high one in bytes 1 and 2.
      for (const three of [
        [0x01, 0x0d, 0x00],
        [0x00, 0x10, 0xd0],
        [0xff, 0xff, 0xff],
      ]) {
        const key = new Uint8Array(publicKey);
        key.set(three, at);
        bad.push(key);
      }
    }
    for (const key of bad) {
      expect(kem.isPublicKey(key)).toBe(false);
      expect(() => kem.encapsulate(key, m)).toThrow(DECRYPT);
    }
    const greatest = new Uint8Array(publicKey);
    greatest.set([0x00, 0x0d, 0xd0]); // q − 1, q − 256
    expect(kem.isPublicKey(greatest)).toBe(true);
  });

  it('T05: a tampered ciphertext gives another secret, the same each time; only a wrong length throws', () => {
    const { kemCiphertext, kemSharedSecret } = kem.encapsulate(publicKey, m);
    for (const at of [0, 500, ciphertextBytes - 1]) {
      const tampered = flip(kemCiphertext, at);
      const rejected = kem.decapsulate(seed, tampered);
      expect(rejected).not.toEqual(kemSharedSecret);
      expect(kem.decapsulate(seed, tampered)).toEqual(rejected);
    }
    for (const length of [0, 32, ciphertextBytes - 1]) {
      expect(() => kem.decapsulate(seed, kemCiphertext.subarray(0, length))).toThrow(DECRYPT);
    }
    expect(() => kem.decapsulate(seed, concat(kemCiphertext, new Uint8Array(1)))).toThrow(DECRYPT);
  });

  it('seeds and randomness of another length are bugs', () => {
    expect(() => kem.publicKey(rng(32))).toThrow(BUG);
    expect(() => kem.decapsulate(rng(63), new Uint8Array(ciphertextBytes))).toThrow(BUG);
    expect(() => kem.encapsulate(publicKey, rng(31))).toThrow(BUG);
  });
});
