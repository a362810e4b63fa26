/**
 * Incremental ML-KEM-768 (section 4.5): encapsulation in two steps, so that most of a ciphertext exists before most of the key does.
 *
 * An encapsulation key ek = vector 1,152 ‖ ρ 32 travels as a header, ρ ‖ hek with hek = H(ek), and its vector. The header alone gives
 * ct1 and the shared secret; ct2 needs the vector. ct1 ‖ ct2 is the ciphertext of FIPS 203, so decapsulation is `mlKem768.decapsulate`.
 *
 * Between the steps the caller keeps m, where FIPS 203 would destroy what encapsulation leaves behind; that cannot be helped here.
 * The second step runs the whole of FIPS 203's encapsulation and compares, so that a fault in the first never leaves the device.
 * It is noble's, not the first step's code once more. Arguments of a wrong length throw `ERR_BUG`; none is kept.
 */

import { backend } from '#backend';
import { concat, copy, equal, wipe } from '../bytes.js';
import { decryptFailed } from '../errors.js';
import { requireLength } from './guard.js';
import { clear, encryptFirst, expandMatrix } from './kpke.js';
import { mlKem768, sha3_256, sha3_512 } from './suite.js';

/** Length of a header: ρ 32 ‖ hek 32. */
export const KEM_HEADER_BYTES = 64;
/** Length of a vector: ByteEncode₁₂(t̂). */
export const KEM_VECTOR_BYTES = 1152;
/** Length of ct1, ByteEncode₁₀(Compress₁₀(u)). */
export const KEM_CT1_BYTES = 960;
/** Length of ct2, ByteEncode₄(Compress₄(v)). */
export const KEM_CT2_BYTES = 128;

/** What the first step gives: ct1, 960 bytes, and the shared secret, 32 bytes, which the caller wipes. */
export interface FirstPart {
  readonly ct1: Uint8Array;
  readonly sharedSecret: Uint8Array;
}

/** What the second step gives: ct2, 128 bytes, and the same shared secret once more, which the caller wipes. */
export interface SecondPart {
  readonly ct2: Uint8Array;
  readonly sharedSecret: Uint8Array;
}

/** The header ρ ‖ hek, 64 bytes, of an encapsulation key of 1,184 bytes. */
export function mlKem768Header(encapsulationKey: Uint8Array): Uint8Array {
  requireLength(encapsulationKey, KEM_VECTOR_BYTES + 32, 'encapsulationKey');
  return concat(encapsulationKey.subarray(KEM_VECTOR_BYTES), sha3_256(encapsulationKey));
}

/** The vector, 1,152 bytes, of an encapsulation key of 1,184 bytes. */
export function mlKem768Vector(encapsulationKey: Uint8Array): Uint8Array {
  requireLength(encapsulationKey, KEM_VECTOR_BYTES + 32, 'encapsulationKey');
  return copy(encapsulationKey.subarray(0, KEM_VECTOR_BYTES));
}

/** Whether `vector`, 1,152 bytes, is the one that the 64-byte header commits to: SHA3-256(vector ‖ ρ) = hek. */
export function isVectorOf(header: Uint8Array, vector: Uint8Array): boolean {
  const { rho, hek } = split(header);
  return equal(sha3_256(joinKey(vector, rho)), hek);
}

/** The first step, from a 64-byte header and 32 random bytes `m`: any header gives a ct1, and only `encaps2` can tell a false one. */
export function encaps1(header: Uint8Array, m: Uint8Array): FirstPart {
  const { rho, hek } = split(header);
  const { sharedSecret, r } = derive(m, hek);
  const { ct1, rHat } = encryptFirst(backend.keccak, expandMatrix(backend.keccak, rho), r);
  clear(...rHat);
  wipe(r);
  return { ct1, sharedSecret };
}

/**
 * The second step, with the vector (1,152 bytes), and the `m` (32) and ct1 (960) of the first; the caller wipes `m` afterwards.
 * Throws `ERR_DECRYPT` unless the vector is the header's, every coefficient is below q, and ciphertext and secret begin as in step one.
 */
export function encaps2(header: Uint8Array, vector: Uint8Array, m: Uint8Array, ct1: Uint8Array): SecondPart {
  requireLength(ct1, KEM_CT1_BYTES, 'ct1');
  const { rho, hek } = split(header);
  const encapsulationKey = joinKey(vector, rho);
  if (!equal(sha3_256(encapsulationKey), hek)) throw decryptFailed();
  const { kemCiphertext, kemSharedSecret } = mlKem768.encapsulate(encapsulationKey, m);
  const { sharedSecret, r } = derive(m, hek);
  const isSame = equal(kemCiphertext.subarray(0, KEM_CT1_BYTES), ct1) && equal(kemSharedSecret, sharedSecret);
  wipe(kemSharedSecret, r);
  if (!isSame) {
    wipe(sharedSecret);
    throw decryptFailed();
  }
  return { ct2: copy(kemCiphertext.subarray(KEM_CT1_BYTES)), sharedSecret };
}

function split(header: Uint8Array): { rho: Uint8Array; hek: Uint8Array } {
  requireLength(header, KEM_HEADER_BYTES, 'header');
  return { rho: header.subarray(0, 32), hek: header.subarray(32) };
}

function joinKey(vector: Uint8Array, rho: Uint8Array): Uint8Array {
  requireLength(vector, KEM_VECTOR_BYTES, 'vector');
  return concat(vector, rho);
}

/** (K, r) = G(m ‖ H(ek)) of algorithm 17, each in a buffer of its own. */
function derive(m: Uint8Array, hek: Uint8Array): { sharedSecret: Uint8Array; r: Uint8Array } {
  requireLength(m, 32, 'm');
  const input = concat(m, hek);
  const digest = sha3_512(input);
  const parts = { sharedSecret: digest.slice(0, 32), r: digest.slice(32) };
  wipe(input, digest);
  return parts;
}
