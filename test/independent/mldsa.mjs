/**
 * ML-DSA-65 signing of FIPS 204 with a given rnd, which OpenSSL has no function for: only so can a signature be compared byte for byte. Verifying
 * is OpenSSL's. Small and slow. Names are those of FIPS 204; numbers of algorithms are in brackets.
 */
import { concat, u8 } from './bytes.mjs';
import { shake128, shake256, split } from './crypto.mjs';

const Q = 8380417;
const N = 256;
const [D, TAU, GAMMA1, GAMMA2] = [13, 49, 2 ** 19, (Q - 1) / 32];
const [K, L, ETA, BETA, OMEGA] = [6, 5, 4, 196, 55];

const mod = (x, m = Q) => ((x % m) + m) % m;
/** x mod± m, from -⌈m/2⌉ + 1 to ⌊m/2⌋. */
const centred = (x, m = Q) => {
  const r = mod(x, m);
  return r > m / 2 ? r - m : r;
};
const range = (count) => Array.from({ length: count }, (_, i) => i);
const little16 = (value) => Buffer.from([value & 255, value >> 8]);

function powerOf1753(exponent) {
  let out = 1;
  for (let i = 0; i < exponent; i += 1) out = (out * 1753) % Q;
  return out;
}
const bitReverse8 = (i) => Number.parseInt(i.toString(2).padStart(8, '0').split('').reverse().join(''), 2);
const ZETAS = range(256).map((i) => powerOf1753(bitReverse8(i)));

/** NTT [41]. */
function ntt(w) {
  const out = [...w];
  let m = 0;
  for (let len = 128; len >= 1; len /= 2) {
    for (let start = 0; start < N; start += 2 * len) {
      m += 1;
      for (let j = start; j < start + len; j += 1) {
        const t = (ZETAS[m] * mod(out[j + len])) % Q;
        out[j + len] = mod(out[j] - t);
        out[j] = mod(out[j] + t);
      }
    }
  }
  return out;
}
/** NTT^-1 [42]. */
function inverseNtt(w) {
  const out = [...w];
  let m = 256;
  for (let len = 1; len < N; len *= 2) {
    for (let start = 0; start < N; start += 2 * len) {
      m -= 1;
      for (let j = start; j < start + len; j += 1) {
        const t = out[j];
        out[j] = mod(t + out[j + len]);
        out[j + len] = mod(-ZETAS[m] * mod(t - out[j + len]));
      }
    }
  }
  return out.map((x) => (x * 8347681) % Q);
}
const multiply = (a, b) => a.map((x, i) => (x * b[i]) % Q);
const add = (a, b) => a.map((x, i) => mod(x + b[i]));
const subtract = (a, b) => a.map((x, i) => mod(x - b[i]));
const norm = (vector) => Math.max(...vector.flat().map((x) => Math.abs(centred(x))));

/** Values of `width` bits each, little-endian. */
function pack(values, width) {
  const out = Buffer.alloc((values.length * width) / 8);
  for (let bit = 0; bit < values.length * width; bit += 1) {
    out[bit >> 3] |= ((values[Math.floor(bit / width)] >> (bit % width)) & 1) << (bit & 7);
  }
  return out;
}
function unpack(bytes, width) {
  const out = new Array((bytes.length * 8) / width).fill(0);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) out[Math.floor(bit / width)] |= ((bytes[bit >> 3] >> (bit & 7)) & 1) << (bit % width);
  return out;
}

/** RejNTTPoly [30]. */
function rejectNtt(rho, s, r) {
  const stream = shake128(concat(rho, u8(s), u8(r)), 1344);
  const out = [];
  for (let at = 0; out.length < N; at += 3) {
    const value = stream[at] + 256 * stream[at + 1] + 65536 * (stream[at + 2] & 127);
    if (value < Q) out.push(value);
  }
  return out;
}
/** RejBoundedPoly [31] for η = 4. */
function rejectBounded(rho, r) {
  const halves = [...shake256(concat(rho, little16(r)), 1088)].flatMap((byte) => [byte & 15, byte >> 4]);
  return halves
    .filter((half) => half < 9)
    .slice(0, N)
    .map((half) => ETA - half);
}
/** SampleInBall [29]. */
function sampleInBall(seed) {
  const stream = shake256(seed, 1088);
  const c = new Array(N).fill(0);
  let at = 8;
  for (let i = N - TAU; i < N; i += 1) {
    while (stream[at] > i) at += 1;
    const [j, h] = [stream[at], i + TAU - N];
    at += 1;
    c[i] = c[j];
    c[j] = (stream[h >> 3] >> (h & 7)) & 1 ? -1 : 1;
  }
  return c;
}

/** Decompose [36]. */
function decompose(value) {
  const r = mod(value);
  const r0 = centred(r, 2 * GAMMA2);
  return r - r0 === Q - 1 ? [0, r0 - 1] : [(r - r0) / (2 * GAMMA2), r0];
}
const highBits = (w) => w.map((x) => decompose(x)[0]);
const lowBits = (w) => w.map((x) => decompose(x)[1]);

/** The key of a seed [6], as far as signing needs it: all vectors in NTT form. */
function expandKey(seed) {
  const [rho, rhoPrime, key] = split(shake256(concat(seed, u8(K), u8(L)), 128), 32, 64, 32);
  const a = range(K).map((r) => range(L).map((s) => rejectNtt(rho, s, r)));
  const s1 = range(L).map((r) => ntt(rejectBounded(rhoPrime, r)));
  const s2 = range(K).map((r) => rejectBounded(rhoPrime, L + r));
  const t = a.map((row, i) => add(inverseNtt(row.map((each, j) => multiply(each, s1[j])).reduce(add)), s2[i]));
  const t0 = t.map((each) => each.map((x) => centred(x, 2 ** D)));
  const t1 = t.map((each, i) => each.map((x, j) => (x - t0[i][j]) / 2 ** D));
  const publicKey = concat(rho, ...t1.map((each) => pack(each, 10)));
  return { a, s1, s2: s2.map(ntt), t0: t0.map(ntt), key, tr: shake256(publicKey, 64), publicKey };
}

/** The hint, packed [20]. */
function packHint(h) {
  const out = Buffer.alloc(OMEGA + K);
  let index = 0;
  h.forEach((each, i) => {
    each.forEach((bit, j) => {
      if (bit === 1) {
        out[index] = j;
        index += 1;
      }
    });
    out[OMEGA + i] = index;
  });
  return out;
}

/** ML-DSA.Sign [2], [7] of `message` under a context, hedged with rnd (32 bytes). */
export function signWithRandom(seed, message, context, rnd) {
  const { a, s1, s2, t0, key, tr } = expandKey(seed);
  const mu = shake256(concat(tr, u8(0), u8(context.length), context, message), 64);
  const rhoSecond = shake256(concat(key, rnd, mu), 64);
  for (let kappa = 0; ; kappa += L) {
    const y = range(L).map((r) => unpack(shake256(concat(rhoSecond, little16(kappa + r)), 640), 20).map((x) => GAMMA1 - x));
    const yHat = y.map(ntt);
    const w = a.map((row) => inverseNtt(row.map((each, j) => multiply(each, yHat[j])).reduce(add)));
    const challenge = shake256(concat(mu, ...w.map((each) => pack(highBits(each), 4))), 48);
    const c = ntt(sampleInBall(challenge));
    const times = (vector) => vector.map((each) => inverseNtt(multiply(c, each)));
    const z = times(s1).map((each, i) => add(each, y[i]));
    const rest = times(s2).map((each, i) => subtract(w[i], each));
    if (norm(z) >= GAMMA1 - BETA || norm(rest.map(lowBits)) >= GAMMA2 - BETA) continue;
    const ct0 = times(t0);
    const hint = rest.map((each, i) => {
      const [one, other] = [highBits(add(each, ct0[i])), highBits(each)];
      return one.map((x, j) => (x === other[j] ? 0 : 1));
    });
    if (norm(ct0) >= GAMMA2 || hint.flat().reduce((sum, bit) => sum + bit, 0) > OMEGA) continue;
    const packed = z.map((each) =>
      pack(
        each.map((x) => GAMMA1 - centred(x)),
        20,
      ),
    );
    return concat(challenge, ...packed, packHint(hint));
  }
}
