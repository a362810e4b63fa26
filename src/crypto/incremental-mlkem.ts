/**
 * Incremental ML-KEM-768 (section 4.5): encapsulation in two steps, so that most of a ciphertext exists before most of the key does.
 *
 * An encapsulation key ek = vector 1,152 ‖ ρ 32 travels as a header, ρ ‖ hek with hek = H(ek), and its vector. The header alone gives
 * ct1 and the shared secret; ct2 needs the vector. ct1 ‖ ct2 is the ciphertext of FIPS 203, so decapsulation is `mlKem768.decapsulate`.
 *
 * Between the steps the caller keeps m, where FIPS 203 would destroy what encapsulation leaves behind; that cannot be helped here.
 * The second step runs the whole of FIPS 203's encapsulation and compares, so that a fault in the first never leaves the device.
 * Knows FIPS 203 only; polynomials, NTT and SHAKE128 are noble's. Arguments of a wrong length throw `ERR_BUG`; none is kept.
 */

import { genCrystals, XOF128 } from '@noble/post-quantum/_crystals.js';
import { concat, copy, equal, wipe } from '../bytes.js';
import { decryptFailed } from '../errors.js';
import { requireLength } from './guard.js';
import { mlKem768, sha3_256, sha3_512, shake256 } from './suite.js';

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
  const noise = noiseOf(r);
  const rHat = [0, 1, 2].map((nonce) => ring.NTT.encode(noise(nonce)));
  const matrix = XOF128(rho);
  const ct1 = new Uint8Array(KEM_CT1_BYTES);
  for (let i = 0; i < 3; i++) {
    const u = new Uint16Array(N);
    for (let j = 0; j < 3; j++) addProduct(u, sampleNtt(matrix.get(i, j)), rHat[j]!);
    ring.NTT.decode(u);
    const e = noise(3 + i);
    add(u, e);
    compress10(u, ct1.subarray(320 * i));
    u.fill(0);
    e.fill(0);
  }
  for (const polynomial of rHat) polynomial.fill(0);
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

// --- The ring of FIPS 203, section 2.4. Coefficients are always in [0, q). ---

const N = 256;
const Q = 3329;

const ring = /* @__PURE__ */ genCrystals({
  N,
  Q,
  F: 3303, // 128⁻¹ mod q
  ROOT_OF_UNITY: 17,
  newPoly: (length) => new Uint16Array(length),
  brvBits: 7,
  isKyber: true,
});

/** PRF₂ and SamplePolyCBD₂ (algorithm 8): the small polynomial of a nonce. Four bits, a pair minus a pair, make a coefficient. */
function noiseOf(r: Uint8Array): (nonce: number) => Uint16Array {
  return (nonce) => {
    const input = concat(r, new Uint8Array([nonce]));
    const bits = shake256(input, 128);
    const out = new Uint16Array(N);
    for (let i = 0; i < bits.length; i++) {
      const pairSums = (bits[i]! & 0x55) + ((bits[i]! >>> 1) & 0x55);
      out[2 * i] = reduceSmall((pairSums & 3) - ((pairSums >>> 2) & 3));
      out[2 * i + 1] = reduceSmall(((pairSums >>> 4) & 3) - (pairSums >>> 6));
    }
    wipe(input, bits);
    return out;
  };
}

/** Adds q to a negative number, without a branch. */
function reduceSmall(value: number): number {
  return value + (Q & (value >> 31));
}

/** SampleNTT (algorithm 7) of a SHAKE128 reader: a polynomial of the public matrix, by rejection. A block holds 56 pairs of candidates. */
function sampleNtt(nextBlock: () => Uint8Array): Uint16Array {
  const out = new Uint16Array(N);
  let count = 0;
  while (count < N) {
    const block = nextBlock();
    for (let i = 0; i < block.length; i += 3) {
      const first = block[i]! | ((block[i + 1]! & 15) << 8);
      const second = (block[i + 1]! >>> 4) | (block[i + 2]! << 4);
      if (first < Q) out[count++] = first; // writes past the end are ignored
      if (second < Q) out[count++] = second;
    }
  }
  return out;
}

/** sum += a ∘ b in the NTT domain (algorithms 11 and 12): products modulo X² − ζ and X² + ζ in turn. Below 2²⁵, so exact. */
function addProduct(sum: Uint16Array, a: Uint16Array, b: Uint16Array): void {
  for (let i = 0; i < N; i += 4) {
    const zeta = ring.nttZetas[64 + i / 4]!;
    addBaseCase(sum, a, b, i, zeta);
    addBaseCase(sum, a, b, i + 2, Q - zeta);
  }
}

function addBaseCase(sum: Uint16Array, a: Uint16Array, b: Uint16Array, i: number, gamma: number): void {
  const [a0, a1, b0, b1] = [a[i]!, a[i + 1]!, b[i]!, b[i + 1]!];
  sum[i] = (sum[i]! + a0 * b0 + ((a1 * b1) % Q) * gamma) % Q;
  sum[i + 1] = (sum[i + 1]! + a0 * b1 + a1 * b0) % Q;
}

function add(sum: Uint16Array, other: Uint16Array): void {
  for (let i = 0; i < N; i++) sum[i] = (sum[i]! + other[i]!) % Q;
}

/** ByteEncode₁₀(Compress₁₀(u)) (algorithm 5, section 4.2.1): four coefficients in five bytes, low bits first. */
function compress10(u: Uint16Array, out: Uint8Array): void {
  for (let i = 0, at = 0; i < N; i += 4) {
    const [a, b, c, d] = [round10(u[i]!), round10(u[i + 1]!), round10(u[i + 2]!), round10(u[i + 3]!)];
    out[at++] = a;
    out[at++] = (a >>> 8) | (b << 2);
    out[at++] = (b >>> 6) | (c << 4);
    out[at++] = (c >>> 4) | (d << 6);
    out[at++] = d >>> 2;
  }
}

/** ⌈2¹⁰·x/q⌋ mod 2¹⁰. A tie can't occur, since q is odd. */
function round10(x: number): number {
  return (((x << 10) + 1664) / Q) & 1023;
}
