/**
 * COMPSIG-MLDSA65-Ed25519-SHA512 (draft-ietf-lamps-pq-composite-sigs, OID 1.3.6.1.5.5.7.6.48): ML-DSA-65 and Ed25519, both.
 *
 * A signature holds only if both halves hold, so a forger must break both. It is EUF-CMA, not SUF-CMA: signature bytes must
 * never enter a hash, an id or a dedupe key. Component keys are used nowhere else.
 */

import { backend } from '#backend';
import { concat, encodeUtf8 } from '../bytes.js';
import type { Rng } from '../step.js';
import { requireLength } from './guard.js';
import { type Label, labelBytes } from './labels.js';
import { sha512 } from './suite.js';

const PREFIX = /* @__PURE__ */ encodeUtf8('CompositeAlgorithmSignatures2025')!;
const ALGORITHM = /* @__PURE__ */ encodeUtf8('COMPSIG-MLDSA65-Ed25519-SHA512')!;

const SEED_BYTES = 32;
const MLDSA_PUBLIC_KEY_BYTES = 1952;
const MLDSA_SIGNATURE_BYTES = 3309;

/** Length of a composite public key: ML-DSA-65 1,952 ‖ Ed25519 32. */
export const COMPOSITE_PUBLIC_KEY_BYTES = MLDSA_PUBLIC_KEY_BYTES + 32;
/** Length of a composite secret key: ML-DSA-65 seed 32 ‖ Ed25519 seed 32. */
export const COMPOSITE_SEEDS_BYTES = 2 * SEED_BYTES;
/** Length of a composite signature: ML-DSA-65 3,309 ‖ Ed25519 64. */
export const COMPOSITE_SIGNATURE_BYTES = MLDSA_SIGNATURE_BYTES + 64;

/** The public key, 1,984 bytes, of a composite secret key of 64 bytes (else `ERR_BUG`). */
export function compositePublicKey(seeds: Uint8Array): Uint8Array {
  const { mldsa, ed } = splitSeeds(seeds);
  return concat(backend.mlDsa65PublicKey(mldsa), backend.ed25519PublicKey(ed));
}

/**
 * Composite.Sign (section 3) of `message` under ctx = PX‖label: 3,373 bytes.
 * `seeds` is the 64-byte secret key (else `ERR_BUG`); `rng` gives 32 bytes that hedge the ML-DSA half.
 */
export function compositeSign(seeds: Uint8Array, message: Uint8Array, label: Label, rng: Rng): Uint8Array {
  return signWithContext(seeds, message, labelBytes(label), rng);
}

/** Composite.Verify (section 3) under ctx = PX‖label: false for any wrong length or content. Always evaluates both halves; never throws. */
export function compositeVerify(publicKey: Uint8Array, message: Uint8Array, label: Label, signature: Uint8Array): boolean {
  return verifyWithContext(publicKey, message, labelBytes(label), signature);
}

/** `compositeSign` with the context as bytes, at most 255. Only for the specification's vectors; the protocol has labels. */
export function signWithContext(seeds: Uint8Array, message: Uint8Array, context: Uint8Array, rng: Rng): Uint8Array {
  const { mldsa, ed } = splitSeeds(seeds);
  const rnd = rng(32);
  requireLength(rnd, 32, 'rng');
  const signed = representative(message, context);
  return concat(backend.mlDsa65Sign(mldsa, signed, ALGORITHM, rnd), backend.ed25519Sign(ed, signed));
}

/** `compositeVerify` with the context as bytes, at most 255. Only for the specification's vectors; the protocol has labels. */
export function verifyWithContext(publicKey: Uint8Array, message: Uint8Array, context: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== COMPOSITE_PUBLIC_KEY_BYTES || signature.length !== COMPOSITE_SIGNATURE_BYTES) return false;
  const signed = representative(message, context);
  const mldsaHolds = backend.mlDsa65Verify(
    publicKey.subarray(0, MLDSA_PUBLIC_KEY_BYTES),
    signed,
    ALGORITHM,
    signature.subarray(0, MLDSA_SIGNATURE_BYTES),
  );
  const edHolds = backend.ed25519Verify(publicKey.subarray(MLDSA_PUBLIC_KEY_BYTES), signed, signature.subarray(MLDSA_SIGNATURE_BYTES));
  return mldsaHolds && edHolds;
}

/** M' = prefix ‖ algorithm ‖ u8 len(ctx) ‖ ctx ‖ SHA-512(M). */
function representative(message: Uint8Array, context: Uint8Array): Uint8Array {
  return concat(PREFIX, ALGORITHM, new Uint8Array([context.length]), context, sha512(message));
}

function splitSeeds(seeds: Uint8Array): { readonly mldsa: Uint8Array; readonly ed: Uint8Array } {
  requireLength(seeds, COMPOSITE_SEEDS_BYTES, 'seeds');
  return { mldsa: seeds.subarray(0, SEED_BYTES), ed: seeds.subarray(SEED_BYTES) };
}
