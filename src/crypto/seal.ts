/**
 * Sealing to a recipient's SEAL key: single-shot HPKE (RFC 9180 section 6.1) in base mode, kem 0x647a (X-Wing), kdf 0x0001
 * (HKDF-SHA-256), aead 0x0003 (ChaCha20-Poly1305).
 *
 * Anonymous: it says nothing about the sender. Knows no frames and no padding.
 */

import { concat, wipe } from '../bytes.js';
import type { Rng } from '../step.js';
import { hpkeKeySchedule } from './hpke.js';
import { chachaOpen, chachaSeal } from './suite.js';
import { XWING_CIPHERTEXT_BYTES, XWING_PUBLIC_KEY_BYTES, xwingDecapsulate, xwingEncapsulate, xwingPublicKey } from './xwing.js';

const SUITE = { kemId: 0x647a, aeadId: 0x0003 } as const;

/** Length of a SEAL public key. */
export const SEAL_PUBLIC_KEY_BYTES = XWING_PUBLIC_KEY_BYTES;
/** Length of `enc`, with which sealed bytes begin. */
export const SEAL_ENC_BYTES = XWING_CIPHERTEXT_BYTES;

/** The SEAL public key, 1,216 bytes, of a 32-byte seed (else `ERR_BUG`). */
export function sealPublicKey(seed: Uint8Array): Uint8Array {
  return xwingPublicKey(seed);
}

/**
 * Seals `plaintext`: enc 1,120 ‖ ciphertext ‖ tag, 1,136 bytes longer than `plaintext`.
 * `rng` gives the 64 bytes of the encapsulation. Throws `ERR_DECRYPT` for a public key of a wrong length or content.
 */
export function seal(publicKey: Uint8Array, info: Uint8Array, ad: Uint8Array, plaintext: Uint8Array, rng: Rng): Uint8Array {
  const random = rng(64);
  const { kemCiphertext, kemSharedSecret } = xwingEncapsulate(publicKey, random);
  const { key, nonce } = hpkeKeySchedule(SUITE, kemSharedSecret, info);
  const sealed = chachaSeal(key, nonce, ad, plaintext);
  wipe(random, kemSharedSecret, key, nonce);
  return concat(kemCiphertext, sealed);
}

/** Opens what `seal` made for the public key of the 32-byte `seed`; throws `ERR_DECRYPT` for any other bytes of any length. */
export function openSeal(seed: Uint8Array, info: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array {
  const kemSharedSecret = xwingDecapsulate(seed, sealed.subarray(0, SEAL_ENC_BYTES));
  const { key, nonce } = hpkeKeySchedule(SUITE, kemSharedSecret, info);
  try {
    return chachaOpen(key, nonce, ad, sealed.subarray(SEAL_ENC_BYTES));
  } finally {
    wipe(kemSharedSecret, key, nonce);
  }
}
