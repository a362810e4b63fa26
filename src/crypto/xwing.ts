/**
 * X-Wing, the KEM MLKEM768-X25519 (draft-connolly-cfrg-xwing-kem; HPKE kem 0x647a).
 *
 * Composed from the suite's parts, so that it has their speed and their checks: X25519 keys of a peer must be canonical and the
 * agreement must not be all zeros (section 1.2). On everything that those rules accept it equals the draft byte for byte.
 */

import { concat, wipe } from '../bytes.js';
import { decryptFailed } from '../errors.js';
import type { Encapsulation } from './backend/backend.js';
import { requireLength } from './guard.js';
import { mlKem768, sha3_256, shake256, x25519, x25519KeyPair } from './suite.js';

const KEM_PUBLIC_KEY_BYTES = 1184;
const KEM_CIPHERTEXT_BYTES = 1088;

/** Length of an X-Wing public key: ML-KEM-768 1,184 ‖ X25519 32. */
export const XWING_PUBLIC_KEY_BYTES = KEM_PUBLIC_KEY_BYTES + 32;
/** Length of an X-Wing ciphertext: ML-KEM-768 1,088 ‖ X25519 32. */
export const XWING_CIPHERTEXT_BYTES = KEM_CIPHERTEXT_BYTES + 32;

/** `\.//^\`, 6 bytes. */
const LABEL = new Uint8Array([0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c]);

/** The X-Wing public key, 1,216 bytes, of a 32-byte seed (else `ERR_BUG`). */
export function xwingPublicKey(seed: Uint8Array): Uint8Array {
  const { kemSeed, secretKey } = expandSeed(seed);
  const publicKey = concat(mlKem768.publicKey(kemSeed), x25519KeyPair(secretKey).publicKey);
  wipe(kemSeed, secretKey);
  return publicKey;
}

/** EncapsulateDerand: ciphertext 1,120 bytes and shared secret 32, from 64 random bytes; throws `ERR_DECRYPT` for a bad public key. */
export function xwingEncapsulate(publicKey: Uint8Array, random: Uint8Array): Encapsulation {
  requireLength(random, 64, 'random');
  if (publicKey.length !== XWING_PUBLIC_KEY_BYTES) throw decryptFailed();
  const remote = publicKey.subarray(KEM_PUBLIC_KEY_BYTES);
  const ephemeral = x25519KeyPair(random.subarray(32));
  const dh = x25519(ephemeral.secretKey, remote);
  const { kemCiphertext, kemSharedSecret } = mlKem768.encapsulate(publicKey.subarray(0, KEM_PUBLIC_KEY_BYTES), random.subarray(0, 32));
  return {
    kemCiphertext: concat(kemCiphertext, ephemeral.publicKey),
    kemSharedSecret: combine(kemSharedSecret, dh, ephemeral.publicKey, remote),
  };
}

/** Decapsulate: 32 bytes; a tampered ciphertext gives another secret. Throws `ERR_DECRYPT` for a wrong length or a bad X25519 half. */
export function xwingDecapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  if (ciphertext.length !== XWING_CIPHERTEXT_BYTES) throw decryptFailed();
  const remote = ciphertext.subarray(KEM_CIPHERTEXT_BYTES);
  const { kemSeed, secretKey } = expandSeed(seed);
  try {
    const dh = x25519(secretKey, remote);
    const kemSharedSecret = mlKem768.decapsulate(kemSeed, ciphertext.subarray(0, KEM_CIPHERTEXT_BYTES));
    return combine(kemSharedSecret, dh, remote, x25519KeyPair(secretKey).publicKey);
  } finally {
    wipe(kemSeed, secretKey);
  }
}

/** SHA3-256(ssM ‖ ssX ‖ ctX ‖ pkX ‖ label); wipes both component secrets. */
function combine(kemSharedSecret: Uint8Array, dh: Uint8Array, ciphertextX: Uint8Array, publicKeyX: Uint8Array): Uint8Array {
  const input = concat(kemSharedSecret, dh, ciphertextX, publicKeyX, LABEL);
  const combined = sha3_256(input);
  wipe(input, kemSharedSecret, dh);
  return combined;
}

/** SHAKE256(seed, 96) = ML-KEM seed d ‖ z 64 ‖ X25519 secret key 32. */
function expandSeed(seed: Uint8Array): { readonly kemSeed: Uint8Array; readonly secretKey: Uint8Array } {
  requireLength(seed, 32, 'seed');
  const expanded = shake256(seed, 96);
  return { kemSeed: expanded.subarray(0, 64), secretKey: expanded.subarray(64) };
}
