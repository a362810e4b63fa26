/**
 * SLH-DSA-SHA2-192s (FIPS 205 table 2): the signature of a key that stays offline. Small and slow: a signature takes seconds, a
 * verification milliseconds, and nothing but SHA-2 has to hold.
 */

import { slh_dsa_sha2_192s } from '@noble/post-quantum/slh-dsa.js';
import { wipe } from '../bytes.js';
import type { KeyPair, Rng } from '../step.js';
import { requireLength } from './guard.js';
import { type Label, labelBytes } from './labels.js';

/** Length of an SLH-DSA-SHA2-192s public key. */
export const SLH_PUBLIC_KEY_BYTES = 48;
/** Length of its secret key: SK.seed 24 ‖ SK.prf 24 ‖ public key 48. */
export const SLH_SECRET_KEY_BYTES = 96;

const SEED_BYTES = 72;
const ENTROPY_BYTES = 24;
const CONTEXT_MAX_BYTES = 255;

/** A key pair, public 48 and secret 96 bytes, from 72 bytes of `rng`: about half a second. The caller owns and wipes `secretKey`. */
export function slhGenerate(rng: Rng): KeyPair {
  const seed = rng(SEED_BYTES);
  requireLength(seed, SEED_BYTES, 'rng');
  const { publicKey, secretKey } = slh_dsa_sha2_192s.keygen(seed);
  wipe(seed);
  return { publicKey, secretKey };
}

/**
 * Signs `message` under ctx = PX‖label: 16,224 bytes, after 2 to 8 s in which nothing else runs. `secretKey` has 96 bytes (else `ERR_BUG`);
 * `rng` gives 24 bytes that hedge.
 */
export function slhSign(secretKey: Uint8Array, message: Uint8Array, label: Label, rng: Rng): Uint8Array {
  requireLength(secretKey, SLH_SECRET_KEY_BYTES, 'secretKey');
  const extraEntropy = rng(ENTROPY_BYTES);
  requireLength(extraEntropy, ENTROPY_BYTES, 'rng');
  return slh_dsa_sha2_192s.sign(message, secretKey, { context: labelBytes(label), extraEntropy });
}

/** Verifies under ctx = PX‖label: false for any wrong length or content; never throws. */
export function slhVerify(publicKey: Uint8Array, message: Uint8Array, label: Label, signature: Uint8Array): boolean {
  return slhVerifyWithContext(publicKey, message, labelBytes(label), signature);
}

/** The primitive under a context of any content, at most 255 bytes: false also for a longer one. */
export function slhVerifyWithContext(publicKey: Uint8Array, message: Uint8Array, context: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== SLH_PUBLIC_KEY_BYTES || context.length > CONTEXT_MAX_BYTES) return false;
  return slh_dsa_sha2_192s.verify(signature, message, publicKey, { context });
}
