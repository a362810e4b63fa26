/**
 * K-PKE of ML-KEM-768 (FIPS 203 section 5) in the pieces that its users need, over whatever Keccak the backend has.
 *
 * Knows polynomials, their NTT, sampling and packing. Knows no KEM: nothing here hashes a key or rejects a ciphertext.
 * Works alike for all secrets: no branch and no table index depends on one. (Remainders by q are the engine's: products, once it has
 * optimised them.) Callers check lengths and wipe what they are given.
 */

import { concat, wipe } from '../bytes.js';
import type { Keccak } from './backend/backend.js';

const N = 256;
const Q = 3329;
/** Coefficients in [0, q), of a polynomial or of its NTT (then named …Hat). */
export type Polynomial = Uint16Array;

/** Fills polynomials that were secret with zeros. */
export function clear(...polynomials: readonly Polynomial[]): void {
  for (const polynomial of polynomials) polynomial.fill(0);
}

/** What K-PKE.KeyGen (algorithm 13) gives: the public matrix and vector t̂ with the 32-byte ρ, and the secret vector ŝ. */
export interface KeyPair {
  readonly rho: Uint8Array;
  readonly matrix: readonly Polynomial[];
  readonly tHat: readonly Polynomial[];
  readonly sHat: readonly Polynomial[];
}

/** The whole key pair of the 32-byte seed d. */
export function generateKeyPair(keccak: Keccak, d: Uint8Array): KeyPair {
  const { rho, sigma } = expandSeed(keccak, d);
  const matrix = expandMatrix(keccak, rho);
  const sHat = noiseVector(keccak, sigma);
  const tHat = [0, 1, 2].map((i) => {
    const sum = ntt(noise(keccak, sigma, 3 + i));
    for (let j = 0; j < 3; j++) addProduct(sum, matrix[3 * i + j]!, sHat[j]!);
    return sum;
  });
  wipe(sigma);
  return { rho, matrix, tHat, sHat };
}

/** The secret vector ŝ alone: a tenth of the work. */
export function secretVector(keccak: Keccak, d: Uint8Array): Polynomial[] {
  const { sigma } = expandSeed(keccak, d);
  const sHat = noiseVector(keccak, sigma);
  wipe(sigma);
  return sHat;
}

/** (ρ, σ) = G(d ‖ k), each in a buffer of its own. */
function expandSeed(keccak: Keccak, d: Uint8Array): { rho: Uint8Array; sigma: Uint8Array } {
  const input = concat(d, new Uint8Array([3]));
  const digest = keccak.sha3_512(input);
  const parts = { rho: digest.slice(0, 32), sigma: digest.slice(32) };
  wipe(input, digest);
  return parts;
}

/** The public matrix of ρ, row by row: Â[i, j] = SampleNTT(ρ ‖ j ‖ i) is the polynomial 3i + j. */
export function expandMatrix(keccak: Keccak, rho: Uint8Array): Polynomial[] {
  const seed = concat(rho, new Uint8Array(2));
  return Array.from({ length: 9 }, (_, at) => {
    seed[32] = at % 3;
    seed[33] = Math.floor(at / 3);
    return sampleNtt(keccak, seed);
  });
}

/** The first part of K-PKE.Encrypt (algorithm 14): ct1 = 960 bytes of u. It needs no t̂. `rHat` is the caller's to clear. */
export function encryptFirst(keccak: Keccak, matrix: readonly Polynomial[], r: Uint8Array): { ct1: Uint8Array; rHat: Polynomial[] } {
  const rHat = noiseVector(keccak, r);
  const ct1 = new Uint8Array(960);
  for (let i = 0; i < 3; i++) {
    const u = new Uint16Array(N);
    for (let j = 0; j < 3; j++) addProduct(u, matrix[3 * j + i]!, rHat[j]!);
    inverseNtt(u);
    const e = noise(keccak, r, 3 + i);
    add(u, e);
    compress(10, u, ct1.subarray(320 * i));
    clear(u, e);
  }
  return { ct1, rHat };
}

/** The second part: ct2 = 128 bytes of v, for the 32-byte message m and the vector of the first. */
export function encryptSecond(
  keccak: Keccak,
  tHat: readonly Polynomial[],
  rHat: readonly Polynomial[],
  r: Uint8Array,
  m: Uint8Array,
): Uint8Array {
  const v = new Uint16Array(N);
  for (let i = 0; i < 3; i++) addProduct(v, tHat[i]!, rHat[i]!);
  inverseNtt(v);
  const e = noise(keccak, r, 6);
  for (let i = 0; i < N; i++) e[i]! += ((Q + 1) >> 1) & -((m[i >>> 3]! >>> (i & 7)) & 1); // + Decompress₁(m)
  add(v, e);
  const ct2 = new Uint8Array(128);
  compress(4, v, ct2);
  clear(v, e);
  return ct2;
}

/** K-PKE.Decrypt (algorithm 15) of 1,088 bytes: the 32-byte message. */
export function decrypt(sHat: readonly Polynomial[], ciphertext: Uint8Array): Uint8Array {
  const product = new Uint16Array(N);
  for (let i = 0; i < 3; i++) {
    const u = ntt(decompress(10, ciphertext.subarray(320 * i, 320 * (i + 1))));
    addProduct(product, sHat[i]!, u);
  }
  inverseNtt(product);
  const v = decompress(4, ciphertext.subarray(960));
  const m = new Uint8Array(32);
  for (let i = 0; i < N; i++) {
    const w = v[i]! - product[i]! + (Q & ((v[i]! - product[i]!) >> 31));
    m[i >>> 3]! |= (((832 - w) & (w - 2497)) >>> 31) << (i & 7); // Compress₁: 1 from 833 to 2496
  }
  clear(product);
  return m;
}

/** ByteEncode₁₂ (algorithm 5) of the three polynomials of a vector, 1,152 bytes. */
export function encodeVector(vector: readonly Polynomial[]): Uint8Array {
  const out = new Uint8Array(1152);
  vector.forEach((polynomial, at) => {
    pack(12, polynomial, out.subarray(384 * at));
  });
  return out;
}

// --- Sampling (section 4.2.2) ---

/** The NTTs of the small polynomials of the nonces 0, 1 and 2. */
function noiseVector(keccak: Keccak, seed: Uint8Array): Polynomial[] {
  return [0, 1, 2].map((nonce) => ntt(noise(keccak, seed, nonce)));
}

/** PRF₂ and SamplePolyCBD₂ (algorithm 8): the small polynomial of a nonce. Four bits, a pair minus a pair, make a coefficient. */
function noise(keccak: Keccak, seed: Uint8Array, nonce: number): Polynomial {
  const input = concat(seed, new Uint8Array([nonce]));
  const bits = keccak.shake256(input, 128);
  const out = new Uint16Array(N);
  for (let i = 0; i < bits.length; i++) {
    const pairSums = (bits[i]! & 0x55) + ((bits[i]! >>> 1) & 0x55);
    out[2 * i] = reduceSmall((pairSums & 3) - ((pairSums >>> 2) & 3));
    out[2 * i + 1] = reduceSmall(((pairSums >>> 4) & 3) - (pairSums >>> 6));
  }
  wipe(input, bits);
  return out;
}

/** Adds q to a negative number, without a branch. */
function reduceSmall(value: number): number {
  return value + (Q & (value >> 31));
}

/** SampleNTT (algorithm 7) by rejection: three blocks of SHAKE128, 112 candidates each, are enough for 99 of 100 polynomials. */
function sampleNtt(keccak: Keccak, seed: Uint8Array): Polynomial {
  const out = new Uint16Array(N);
  for (let blocks = 3; ; blocks++) {
    const stream = keccak.shake128(seed, 168 * blocks);
    let count = 0;
    for (let i = 0; i < stream.length; i += 3) {
      const first = stream[i]! | ((stream[i + 1]! & 15) << 8);
      const second = (stream[i + 1]! >>> 4) | (stream[i + 2]! << 4);
      if (first < Q) out[count++] = first; // writes past the end are ignored
      if (second < Q) out[count++] = second;
    }
    if (count >= N) return out;
  }
}

// --- Arithmetic ---

/** sum += a ∘ b in the NTT domain (algorithms 11 and 12): products modulo X² − ζ and X² + ζ in turn. Below 2²⁵, so exact. */
function addProduct(sum: Polynomial, a: Polynomial, b: Polynomial): void {
  for (let i = 0; i < N; i += 4) {
    const zeta = ZETAS[64 + i / 4]!;
    addBaseCase(sum, a, b, i, zeta);
    addBaseCase(sum, a, b, i + 2, Q - zeta);
  }
}

function addBaseCase(sum: Polynomial, a: Polynomial, b: Polynomial, i: number, gamma: number): void {
  const [a0, a1, b0, b1] = [a[i]!, a[i + 1]!, b[i]!, b[i + 1]!];
  sum[i] = (sum[i]! + a0 * b0 + ((a1 * b1) % Q) * gamma) % Q;
  sum[i + 1] = (sum[i + 1]! + a0 * b1 + a1 * b0) % Q;
}

function add(sum: Polynomial, other: Polynomial): void {
  for (let i = 0; i < N; i++) sum[i] = (sum[i]! + other[i]!) % Q;
}

/** ζ^BitRev₇(i) for i below 128, where ζ = 17. */
const ZETAS: Polynomial = /* @__PURE__ */ (() => {
  const zetas = new Uint16Array(128);
  for (let i = 0, power = 1; i < 128; i++, power = (power * 17) % Q) {
    let reversed = 0;
    for (let bit = 0; bit < 7; bit++) reversed |= ((i >>> bit) & 1) << (6 - bit);
    zetas[reversed] = power;
  }
  return zetas;
})();

/** NTT (algorithm 9), in place. */
function ntt(f: Polynomial): Polynomial {
  for (let k = 1, length = 128; length >= 2; length >>= 1) {
    for (let start = 0; start < N; start += 2 * length) {
      const zeta = ZETAS[k++]!;
      for (let j = start; j < start + length; j++) {
        const t = (zeta * f[j + length]!) % Q;
        f[j + length] = reduceSmall(f[j]! - t);
        f[j] = reduceSmall(f[j]! + t - Q);
      }
    }
  }
  return f;
}

/** NTT⁻¹ (algorithm 10), in place. */
function inverseNtt(f: Polynomial): void {
  for (let k = 127, length = 2; length <= 128; length <<= 1) {
    for (let start = 0; start < N; start += 2 * length) {
      const zeta = ZETAS[k--]!;
      for (let j = start; j < start + length; j++) {
        const t = f[j]!;
        f[j] = reduceSmall(t + f[j + length]! - Q);
        f[j + length] = (zeta * (f[j + length]! - t + Q)) % Q;
      }
    }
  }
  for (let i = 0; i < N; i++) f[i] = (f[i]! * 3303) % Q; // 128⁻¹ mod q
}

// --- Packing (section 4.2.1): d bits a coefficient, low bits first ---

/** ByteEncode_d(Compress_d(polynomial)), where Compress_d(x) = ⌈2ᵈ·x/q⌋ mod 2ᵈ; a tie can't occur, since q is odd. */
function compress(d: 4 | 10, polynomial: Polynomial, out: Uint8Array): void {
  const mask = (1 << d) - 1;
  // Half of one more keeps the product off the integers, so that the rounding of the reciprocal never counts.
  const values = polynomial.map((x) => (((x << d) + 1664.5) * (1 / Q)) & mask);
  pack(d, values, out);
  clear(values);
}

/** Decompress_d(ByteDecode_d(bytes)), where Decompress_d(y) = ⌈q·y/2ᵈ⌋. */
function decompress(d: 4 | 10, bytes: Uint8Array): Polynomial {
  const out = new Uint16Array(N);
  const mask = (1 << d) - 1;
  for (let i = 0, at = 0, bits = 0, held = 0; i < N; i++) {
    for (; held < d; held += 8) bits |= bytes[at++]! << held;
    out[i] = ((bits & mask) * Q + (1 << (d - 1))) >>> d;
    bits >>>= d;
    held -= d;
  }
  return out;
}

function pack(d: number, values: Polynomial, out: Uint8Array): void {
  for (let i = 0, at = 0, bits = 0, held = 0; i < N; i++) {
    bits |= values[i]! << held;
    for (held += d; held >= 8; held -= 8) {
      out[at++] = bits;
      bits >>>= 8;
    }
  }
}
