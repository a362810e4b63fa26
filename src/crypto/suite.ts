/**
 * Suite 0x0001 as plain functions on bytes: X25519, ML-KEM, SHA-2, SHA-3, HMAC, HKDF and the two AEADs.
 *
 * Knows algorithms and the checks on their inputs (section 1.2); knows no labels, no protocol, no state. Deterministic: where
 * randomness is needed it is a parameter. Results are fresh buffers that the caller owns; arguments are not kept, but see
 * `backend/backend.ts` about secret keys. Arguments of a wrong length throw `ERR_BUG` unless a function says otherwise.
 */

import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import * as sha2 from '@noble/hashes/sha2.js';
import { backend } from '#backend';
import { isZero } from '../bytes.js';
import { decryptFailed, InternalError } from '../errors.js';
import type { KeyPair, Rng } from '../step.js';
import type { Encapsulation } from './backend/backend.js';
import { FIELD_PRIME, isBelow, requireLength } from './guard.js';
import { type Hmac, hmacOver } from './hmac.js';

/** SHA-256 (FIPS 180-4), 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  return sha2.sha256(data);
}

/** SHA-512 (FIPS 180-4), 64 bytes. */
export function sha512(data: Uint8Array): Uint8Array {
  return sha2.sha512(data);
}

/** SHA-512/256 (FIPS 180-4), 32 bytes. */
export function sha512_256(data: Uint8Array): Uint8Array {
  return sha2.sha512_256(data);
}

/** SHA3-256 (FIPS 202), 32 bytes. */
export function sha3_256(data: Uint8Array): Uint8Array {
  return backend.keccak.sha3_256(data);
}

/** SHA3-512 (FIPS 202), 64 bytes. */
export function sha3_512(data: Uint8Array): Uint8Array {
  return backend.keccak.sha3_512(data);
}

/** SHAKE256 (FIPS 202), `lengthBytes` bytes. */
export function shake256(data: Uint8Array, lengthBytes: number): Uint8Array {
  return backend.keccak.shake256(data, lengthBytes);
}

const withSha256 = /* @__PURE__ */ hmacOver(sha2.sha256);
const withSha512 = /* @__PURE__ */ hmacOver(sha2.sha512);

/** HMAC-SHA-256 (RFC 2104), 32 bytes; a key of any length. */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  return withSha256.hmac(key, data);
}

/** HKDF-Extract with SHA-256 (RFC 5869 section 2.2), 32 bytes. */
export function hkdfExtractSha256(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return withSha256.hmac(salt, ikm);
}

/** HKDF-Expand with SHA-256 (RFC 5869 section 2.3) of a 32-byte `prk`; `lengthBytes` is at most 8,160. */
export function hkdfExpandSha256(prk: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  requireLength(prk, 32, 'prk');
  requireHkdfLength(lengthBytes, 32);
  return withSha256.expand(prk, info, lengthBytes);
}

/** HKDF with SHA-256 (RFC 5869); `lengthBytes` is at most 8,160. */
export function hkdfSha256(salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  requireHkdfLength(lengthBytes, 32);
  return hkdf(withSha256, salt, ikm, info, lengthBytes);
}

/** HKDF with SHA-512 (RFC 5869); `lengthBytes` is at most 16,320. */
export function hkdfSha512(salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  requireHkdfLength(lengthBytes, 64);
  return hkdf(withSha512, salt, ikm, info, lengthBytes);
}

function hkdf({ hmac, expand }: Hmac, salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  const prk = hmac(salt, ikm);
  const out = expand(prk, info, lengthBytes);
  prk.fill(0);
  return out;
}

function requireHkdfLength(lengthBytes: number, hashBytes: number): void {
  const max = 255 * hashBytes;
  if (lengthBytes > max) throw new InternalError('ERR_BUG', 'HKDF output is too long', { field: 'lengthBytes', got: lengthBytes, max });
}

/** ChaCha20-Poly1305 (RFC 8439) under a 32-byte key and a 12-byte nonce: ciphertext ‖ tag, 16 bytes longer than `plaintext`. */
export function chachaSeal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return cipher(chacha20poly1305, key, nonce, ad).encrypt(plaintext);
}

/** Opens what `chachaSeal` made; throws `ERR_DECRYPT` for any other bytes of any length. */
export function chachaOpen(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array {
  return open(cipher(chacha20poly1305, key, nonce, ad), sealed);
}

/** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under a 32-byte key and a 24-byte nonce: ciphertext ‖ tag, 16 bytes longer. */
export function xchachaSeal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return cipher(xchacha20poly1305, key, nonce, ad).encrypt(plaintext);
}

/** Opens what `xchachaSeal` made; throws `ERR_DECRYPT` for any other bytes of any length. */
export function xchachaOpen(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array {
  return open(cipher(xchacha20poly1305, key, nonce, ad), sealed);
}

type Aead = typeof chacha20poly1305 | typeof xchacha20poly1305;

function cipher(aead: Aead, key: Uint8Array, nonce: Uint8Array, ad: Uint8Array): ReturnType<Aead> {
  requireLength(key, 32, 'key');
  requireLength(nonce, aead.nonceLength, 'nonce');
  return aead(key, nonce, ad);
}

function open(aead: ReturnType<Aead>, sealed: Uint8Array): Uint8Array {
  try {
    return aead.decrypt(sealed);
  } catch {
    throw decryptFailed();
  }
}

/** Whether `bytes` is a canonical X25519 public key (section 1.2): 32 bytes, bit 255 clear, u < p. Says nothing of its order. */
export function isX25519PublicKey(bytes: Uint8Array): boolean {
  return bytes.length === 32 && isBelow(bytes, FIELD_PRIME);
}

/** A fresh X25519 key pair of 32 bytes from `rng`; the caller owns and wipes `secretKey`. */
export function generateX25519(rng: Rng): KeyPair {
  return x25519KeyPair(rng(32));
}

/** The X25519 key pair of a 32-byte secret key, which is kept in the result, not copied. */
export function x25519KeyPair(secretKey: Uint8Array): KeyPair {
  requireLength(secretKey, 32, 'secretKey');
  return { publicKey: backend.x25519PublicKey(secretKey), secretKey };
}

/**
 * DH(sk, pk) = X25519 (RFC 7748), 32 bytes.
 * Throws `ERR_DECRYPT` for a public key that is not canonical and for an all-zero result, like any other failed authentication.
 */
export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  requireLength(secretKey, 32, 'secretKey');
  if (!isX25519PublicKey(publicKey)) throw decryptFailed();
  const shared = backend.x25519(secretKey, publicKey);
  if (isZero(shared)) throw decryptFailed();
  return shared;
}

/** ML-KEM (FIPS 203) with 64-byte seeds d ‖ z as secret keys. */
export interface Kem {
  /** The encapsulation key of a 64-byte seed. */
  publicKey(seed: Uint8Array): Uint8Array;
  /** Whether `publicKey` has the right length and only coefficients below q (section 7.2). */
  isPublicKey(publicKey: Uint8Array): boolean;
  /** Encapsulates with the 32 random bytes `m`; throws `ERR_DECRYPT` for a bad encapsulation key. */
  encapsulate(publicKey: Uint8Array, m: Uint8Array): Encapsulation;
  /** The 32-byte shared secret; a tampered ciphertext gives another one (implicit rejection), a wrong length throws `ERR_DECRYPT`. */
  decapsulate(seed: Uint8Array, kemCiphertext: Uint8Array): Uint8Array;
}

function kem(name: 'mlKem768' | 'mlKem1024', rank: number, ciphertextBytes: number): Kem {
  const vectorBytes = 384 * rank;
  const isPublicKey = (publicKey: Uint8Array): boolean =>
    publicKey.length === vectorBytes + 32 && coefficientsAreReduced(publicKey.subarray(0, vectorBytes));
  return {
    isPublicKey,
    publicKey(seed) {
      requireLength(seed, 64, 'seed');
      return backend[name].publicKey(seed);
    },
    encapsulate(publicKey, m) {
      requireLength(m, 32, 'm');
      if (!isPublicKey(publicKey)) throw decryptFailed();
      return backend[name].encapsulate(publicKey, m);
    },
    decapsulate(seed, kemCiphertext) {
      requireLength(seed, 64, 'seed');
      if (kemCiphertext.length !== ciphertextBytes) throw decryptFailed();
      return backend[name].decapsulate(seed, kemCiphertext);
    },
  };
}

const KEM_MODULUS = 3329;

/** Two 12-bit coefficients stand in three bytes, low bits first (ByteEncode₁₂). */
function coefficientsAreReduced(vector: Uint8Array): boolean {
  for (let i = 0; i < vector.length; i += 3) {
    const low = vector[i]! | ((vector[i + 1]! & 15) << 8);
    const high = (vector[i + 1]! >>> 4) | (vector[i + 2]! << 4);
    if (low >= KEM_MODULUS || high >= KEM_MODULUS) return false;
  }
  return true;
}

/** ML-KEM-768, the ratchet's KEM: encapsulation key 1,184 bytes, ciphertext 1,088. */
export const mlKem768: Kem = /* @__PURE__ */ kem('mlKem768', 3, 1088);

/** ML-KEM-1024, the handshake's KEM: encapsulation key 1,568 bytes, ciphertext 1,568. */
export const mlKem1024: Kem = /* @__PURE__ */ kem('mlKem1024', 4, 1568);
