/**
 * K-PKE of FIPS 203, the encrypting half, for what OpenSSL has no function for: encapsulation with given randomness, and in the two steps of
 * section 4.5. Small and slow. Names are those of FIPS 203; numbers of algorithms are in brackets.
 */
import { concat, equal, need, u8 } from './bytes.mjs';
import { sha3t256, sha3t512, shake128, shake256, split } from './crypto.mjs';

const Q = 3329;
const N = 256;
export const MLKEM768 = { k: 3, du: 10, dv: 4 };
export const MLKEM1024 = { k: 4, du: 11, dv: 5 };
const ETA = 2;

const bitReverse7 = (i) => Number.parseInt(i.toString(2).padStart(7, '0').split('').reverse().join(''), 2);
function powerOf17(exponent) {
  let out = 1;
  for (let i = 0; i < exponent; i += 1) out = (out * 17) % Q;
  return out;
}
const ZETAS = Array.from({ length: 128 }, (_, i) => powerOf17(bitReverse7(i)));
const GAMMAS = Array.from({ length: 128 }, (_, i) => powerOf17(2 * bitReverse7(i) + 1));
const mod = (x) => ((x % Q) + Q) % Q;

/** ByteEncode_d [5] and ByteDecode_d [6]: little-endian bits. */
function byteEncode(d, values) {
  const out = Buffer.alloc(32 * d);
  for (let bit = 0; bit < N * d; bit += 1) out[bit >> 3] |= ((values[Math.floor(bit / d)] >> (bit % d)) & 1) << (bit & 7);
  return out;
}
function byteDecode(d, bytes) {
  const out = new Array(N).fill(0);
  for (let bit = 0; bit < N * d; bit += 1) out[Math.floor(bit / d)] |= ((bytes[bit >> 3] >> (bit & 7)) & 1) << (bit % d);
  return out;
}
/** Compress_d, rounding half up, and Decompress_d (4.7, 4.8). */
const compress = (d, values) => values.map((x) => Math.floor((x * 2 ** d + (Q - 1) / 2) / Q) % 2 ** d);
const decompress = (d, values) => values.map((y) => Math.floor((y * Q + 2 ** (d - 1)) / 2 ** d));

/** SampleNTT [7]. */
function sampleNtt(seed, j, i) {
  for (let length = 840; ; length *= 2) {
    const stream = shake128(concat(seed, u8(j), u8(i)), length);
    const out = [];
    for (let at = 0; at + 3 <= length && out.length < N; at += 3) {
      const [a, b, c] = stream.subarray(at, at + 3);
      for (const candidate of [a + 256 * (b % 16), (b >> 4) + 16 * c]) if (candidate < Q && out.length < N) out.push(candidate);
    }
    if (out.length === N) return out;
  }
}
/** SamplePolyCBD_2 [8] of PRF_2(seed, n). */
function sampleNoise(seed, n) {
  const bytes = shake256(concat(seed, u8(n)), 64 * ETA);
  const bit = (at) => (bytes[at >> 3] >> (at & 7)) & 1;
  return Array.from({ length: N }, (_, i) => mod(bit(4 * i) + bit(4 * i + 1) - bit(4 * i + 2) - bit(4 * i + 3)));
}
/** NTT [9]. */
function ntt(f) {
  const out = [...f];
  let i = 1;
  for (let len = 128; len >= 2; len /= 2) {
    for (let start = 0; start < N; start += 2 * len, i += 1) {
      for (let j = start; j < start + len; j += 1) {
        const t = (ZETAS[i] * out[j + len]) % Q;
        out[j + len] = mod(out[j] - t);
        out[j] = mod(out[j] + t);
      }
    }
  }
  return out;
}
/** NTT^-1 [10]. */
function inverseNtt(f) {
  const out = [...f];
  let i = 127;
  for (let len = 2; len <= 128; len *= 2) {
    for (let start = 0; start < N; start += 2 * len, i -= 1) {
      for (let j = start; j < start + len; j += 1) {
        const t = out[j];
        out[j] = mod(t + out[j + len]);
        out[j + len] = mod(ZETAS[i] * mod(out[j + len] - t));
      }
    }
  }
  return out.map((x) => (x * 3303) % Q);
}
/** MultiplyNTTs [11]. */
function multiplyNtts(f, g) {
  return Array.from({ length: N }, (_, at) => {
    const i = at & ~1;
    return at === i ? mod(f[i] * g[i] + ((f[i + 1] * g[i + 1]) % Q) * GAMMAS[i / 2]) : mod(f[i] * g[i + 1] + f[i + 1] * g[i]);
  });
}
const add = (...polynomials) => polynomials[0].map((_, i) => mod(polynomials.reduce((sum, each) => sum + each[i], 0)));
const range = (count) => Array.from({ length: count }, (_, i) => i);

/** The part of a ciphertext that needs no vector: c1 of K-PKE.Encrypt [14], from ρ and r. */
function encryptC1({ k, du }, rho, r) {
  const y = range(k).map((n) => ntt(sampleNoise(r, n)));
  const u = range(k).map((i) =>
    add(inverseNtt(add(...range(k).map((j) => multiplyNtts(sampleNtt(rho, i, j), y[j])))), sampleNoise(r, k + i)),
  );
  return concat(...u.map((each) => byteEncode(du, compress(du, each))));
}
/** The rest: c2, from the vector, m and r. */
function encryptC2({ k, dv }, vector, m, r) {
  const y = range(k).map((n) => ntt(sampleNoise(r, n)));
  const t = range(k).map((i) => byteDecode(12, vector.subarray(384 * i, 384 * (i + 1))));
  const mu = decompress(1, byteDecode(1, m));
  const v = add(inverseNtt(add(...range(k).map((i) => multiplyNtts(t[i], y[i])))), sampleNoise(r, 2 * k), mu);
  return byteEncode(dv, compress(dv, v));
}

/** Whether every coefficient of a vector is below q: the modulus check of FIPS 203, section 7.2. */
export const isVector = ({ k }, vector) =>
  vector.length === 384 * k && range(k).every((i) => byteDecode(12, vector.subarray(384 * i, 384 * (i + 1))).every((x) => x < Q));

/** ML-KEM.Encaps_internal [17]. */
export function encapsInternal(parameters, key, m) {
  const vector = key.subarray(0, 384 * parameters.k);
  need(key.length === vector.length + 32 && isVector(parameters, vector), 'ERR_DECRYPT', 'no encapsulation key');
  const [shared, r] = split(sha3t512(concat(m, sha3t256(key))), 32, 32);
  const ciphertext = concat(encryptC1(parameters, key.subarray(vector.length), r), encryptC2(parameters, vector, m, r));
  return { shared, ciphertext };
}

/** encaps1 of section 4.5: hdr = ρ ‖ hek. */
export function encaps1(hdr, m) {
  const [rho, hek] = split(hdr, 32, 32);
  const [shared, r] = split(sha3t512(concat(m, hek)), 32, 32);
  return { shared, ct1: encryptC1(MLKEM768, rho, r) };
}
/** encaps2 of section 4.5, with all that it checks. */
export function encaps2(hdr, vector, m, ct1) {
  const key = concat(vector, hdr.subarray(0, 32));
  need(equal(sha3t256(key), hdr.subarray(32)), 'ERR_DECRYPT', 'the vector is not the header’s');
  const { ciphertext } = encapsInternal(MLKEM768, key, m);
  need(equal(ciphertext.subarray(0, 960), ct1), 'ERR_DECRYPT', 'ct1 is not what the first step gave');
  return ciphertext.subarray(960);
}
