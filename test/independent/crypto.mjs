/**
 * Primitives by node:crypto of Node 24, which is OpenSSL 3.5: SHA-2, SHA-3, X25519, Ed25519, ML-KEM, ML-DSA, SLH-DSA, ChaCha20-Poly1305.
 * Of its own it has HKDF's two halves (RFC 5869), HChaCha20 (draft-irtf-cfrg-xchacha-03), and Ed25519's cofactored verdict (section 3).
 */
import * as node from 'node:crypto';
import { concat, equal, need, orElse, u8, zeros } from './bytes.mjs';

const hash = (name, outputLength) => (data) =>
  node
    .createHash(name, outputLength && { outputLength })
    .update(data)
    .digest();
export const sha256 = hash('sha256');
export const sha512 = hash('sha512');
export const sha512t256 = hash('sha512-256');
export const sha3t256 = hash('sha3-256');
export const sha3t512 = hash('sha3-512');
export const shake128 = (data, length) => hash('shake128', length)(data);
export const shake256 = (data, length) => hash('shake256', length)(data);

const hmac = (name, key, data) => node.createHmac(name, key).update(data).digest();
export const hmac256 = (key, data) => hmac('sha256', key, data);
export const random = (length) => node.randomBytes(length);

function expand(name, prk, info, length) {
  let block = zeros(0);
  let out = block;
  for (let i = 1; out.length < length; i += 1) {
    block = hmac(name, prk, concat(block, info, u8(i)));
    out = concat(out, block);
  }
  return out.subarray(0, length);
}
/** HKDF-Extract and HKDF-Expand with SHA-256. */
export const extract256 = (salt, ikm) => hmac256(salt, ikm);
export const expand256 = (prk, info, length) => expand('sha256', prk, info, length);
export const hkdf256 = (salt, ikm, info, length) => expand256(extract256(salt, ikm), info, length);
export const hkdf512 = (salt, ikm, info, length) => expand('sha512', hmac('sha512', salt, ikm), info, length);

/** One output cut into parts from left to right. */
export function split(bytes, ...lengths) {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return bytes.subarray(at - length, at);
  });
}

const secretKey = (type, format, bytes) => node.createPrivateKey({ key: bytes, format, asymmetricKeyType: type });
const publicKey = (type, bytes) => node.createPublicKey({ key: bytes, format: 'raw-public', asymmetricKeyType: type });
const publicOf = (key) => node.createPublicKey(key).export({ format: 'raw-public' });

/** Little-endian bytes as a number. */
const littleEndian = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const P = 2n ** 255n - 19n;

/** Section 1.2: bit 255 clear and u < 2^255 - 19. */
export const isCanonicalX25519 = (key) => littleEndian(key) < P;
export const x25519Public = (secret) => publicOf(secretKey('x25519', 'raw-private', secret));
/** An agreement; a key that is not canonical or agrees on zero is refused with `code`. */
export function x25519(secret, remote, code = 'ERR_DECRYPT') {
  need(remote.length === 32 && isCanonicalX25519(remote), code, 'an X25519 key that is not canonical');
  const shared = orElse(code, () =>
    node.diffieHellman({ privateKey: secretKey('x25519', 'raw-private', secret), publicKey: publicKey('x25519', remote) }),
  );
  need(!equal(shared, zeros(32)), code, 'an agreement on zero');
  return shared;
}

const KEM_SIZES = { 'ml-kem-768': [1184, 1088], 'ml-kem-1024': [1568, 1568] };
/** ML-KEM (FIPS 203) by OpenSSL; secrets are seeds d ‖ z of 64 bytes. OpenSSL checks every coefficient of an encapsulation key. */
const mlKem = (name) => ({
  publicOf: (seed) => publicOf(secretKey(name, 'raw-seed', seed)),
  isKey: (key) => {
    try {
      return key.length === KEM_SIZES[name][0] && publicKey(name, key) !== undefined;
    } catch {
      return false;
    }
  },
  encaps: (key) => {
    const { sharedKey, ciphertext } = node.encapsulate(publicKey(name, key));
    return { ciphertext, shared: sharedKey };
  },
  decaps: (seed, ciphertext) => {
    need(ciphertext.length === KEM_SIZES[name][1], 'ERR_DECRYPT', 'length of a ciphertext');
    return node.decapsulate(secretKey(name, 'raw-seed', seed), ciphertext);
  },
});
export const mlKem768 = mlKem('ml-kem-768');
export const mlKem1024 = mlKem('ml-kem-1024');

export const mlDsaPublic = (seed) => publicOf(secretKey('ml-dsa-65', 'raw-seed', seed));
export const mlDsaSign = (seed, message, context) => node.sign(null, message, { key: secretKey('ml-dsa-65', 'raw-seed', seed), context });
export const mlDsaVerify = (key, message, context, signature) =>
  node.verify(null, message, { key: publicKey('ml-dsa-65', key), context }, signature);
export const slhDsaVerify = (key, message, context, signature) =>
  node.verify(null, message, { key: publicKey('slh-dsa-sha2-192s', key), context }, signature);
export const slhDsaSign = (secret, message, context) =>
  node.sign(null, message, { key: secretKey('slh-dsa-sha2-192s', 'raw-private', secret), context });

export const ed25519Public = (seed) => publicOf(secretKey('ed25519', 'raw-private', seed));
export const ed25519Sign = (seed, message) => node.sign(null, message, secretKey('ed25519', 'raw-private', seed));

/** ChaCha20-Poly1305 (RFC 8439): ciphertext ‖ tag. */
export function chachaSeal(key, nonce, plaintext, aad = zeros(0)) {
  const cipher = node.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(aad);
  return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}
export function chachaOpen(key, nonce, sealed, aad = zeros(0)) {
  need(sealed.length >= 16, 'ERR_DECRYPT', 'shorter than a tag');
  return orElse('ERR_DECRYPT', () => {
    const decipher = node.createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-16));
    return concat(decipher.update(sealed.subarray(0, -16)), decipher.final());
  });
}

const rotate = (word, bits) => (word << bits) | (word >>> (32 - bits));
function quarterRound(x, a, b, c, d) {
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 16);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 12);
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 8);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 7);
}
function hchacha20(key, nonce) {
  const input = concat(Buffer.from('expand 32-byte k', 'ascii'), key, nonce);
  const x = Uint32Array.from({ length: 16 }, (_, i) => input.readUInt32LE(4 * i));
  for (let round = 0; round < 10; round += 1) {
    for (let i = 0; i < 4; i += 1) quarterRound(x, i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i += 1) quarterRound(x, i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const out = zeros(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((from, to) => {
    out.writeUInt32LE(x[from], 4 * to);
  });
  return out;
}
const xchachaParts = (key, nonce) => [hchacha20(key, nonce.subarray(0, 16)), concat(zeros(4), nonce.subarray(16))];
export const xchachaSeal = (key, nonce, plaintext, aad) => chachaSeal(...xchachaParts(key, nonce), plaintext, aad);
export const xchachaOpen = (key, nonce, sealed, aad) => chachaOpen(...xchachaParts(key, nonce), sealed, aad);

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (value, by = P) => ((value % by) + by) % by;
function power(base, exponent) {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
}
const D = mod(-121665n * power(121666n, P - 2n));
/** A point x, y in extended coordinates (RFC 8032 section 5.1.4); undefined if the encoding is not canonical or no point. */
function decodePoint(bytes) {
  const y = littleEndian(bytes) & (2n ** 255n - 1n);
  const sign = BigInt(bytes[31] >> 7);
  if (y >= P) return undefined;
  const square = mod((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x) !== square) x = mod(x * power(2n, (P - 1n) / 4n));
  if (mod(x * x) !== square || (x === 0n && sign === 1n)) return undefined;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}
function addPoints([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * t1 * D * t2);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}
function multiply(point, scalar) {
  let result = [0n, 1n, 1n, 0n];
  for (let p = point, s = scalar; s > 0n; s >>= 1n, p = addPoints(p, p)) if (s & 1n) result = addPoints(result, p);
  return result;
}
const isNeutral = ([x, y, z]) => x === 0n && mod(y - z) === 0n;
const BASE = decodePoint(Buffer.from(`58${'66'.repeat(31)}`, 'hex'));

/** The verdict of section 3: A, R, S canonical, A not of small order, [8][S]B = [8]R + [8][k]A. Slow and plain. */
export function ed25519Verify(key, message, signature) {
  const [r, s] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))];
  const [keyPoint, rPoint] = [decodePoint(key), decodePoint(r)];
  if (signature.length !== 64 || s >= ORDER || keyPoint === undefined || rPoint === undefined) return false;
  if (isNeutral(multiply(keyPoint, 8n))) return false;
  // What OpenSSL accepts of such inputs fulfils the equation without the cofactor, and so with it.
  if (node.verify(null, message, publicKey('ed25519', key), signature)) return true;
  const k = mod(littleEndian(sha512(concat(r, key, message))), ORDER);
  const negated = multiply(keyPoint, ORDER * 8n - k);
  return isNeutral(multiply(addPoints(addPoints(multiply(BASE, s), negated), multiply(rPoint, 8n * ORDER - 1n)), 8n));
}
