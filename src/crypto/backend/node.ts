/**
 * node:crypto where it is faster, noble for the rest: chosen operation by operation, when this module loads, by known answers.
 *
 * What a runtime lacks, or answers otherwise than noble, stays with noble, so one file serves Node 20 to 26, Bun and Deno. The
 * platform's refusal of an input never decides: noble is asked. Encapsulation and ML-DSA signing stay with noble everywhere,
 * because node:crypto would draw its own randomness for them.
 *
 * Private platform keys are cached by the identity of the caller's array (see `backend.ts`), since importing one costs as much as
 * an agreement; OpenSSL clears them once the array has been collected.
 */

import { Buffer } from 'node:buffer';
import * as nodeCrypto from 'node:crypto';
import { ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equal, fromHex, wipe } from '../../bytes.js';
import { FIELD_PRIME, GROUP_ORDER, isBelow } from '../guard.js';
import { ED25519, KECCAK, type KemAnswer, ML_DSA_65, ML_KEM_768, ML_KEM_1024, X25519 } from './answers.js';
import type { Backend, Keccak, KemBackend } from './backend.js';
import { mlKem768Over } from './ml-kem-768.js';
import { backend as noble } from './noble.js';

type KeyObject = nodeCrypto.KeyObject;

/** What is used of node:crypto. The types are those of Node 20; any member may be missing or throw. */
export type PlatformCrypto = Pick<
  typeof nodeCrypto,
  'createHash' | 'createPrivateKey' | 'createPublicKey' | 'diffieHellman' | 'sign' | 'verify'
> & {
  readonly decapsulate?: (privateKey: KeyObject, ciphertext: Uint8Array) => Buffer;
};

/** node:crypto as a backend: each operation is the platform's if that gives the known answers, else noble's. */
export function makeNodeBackend(platform: PlatformCrypto): Backend {
  const nativeKeccak = keccak(platform);
  const overKeccak = nativeKeccak && mlKem768Over(nativeKeccak);
  return {
    ...noble,
    keccak: nativeKeccak ?? noble.keccak,
    ...x25519(platform),
    ...ed25519Sign(platform),
    ...ed25519Verify(platform),
    ...mlDsa65Verify(platform),
    mlKem768: { ...noble.mlKem768, ...overKeccak, ...kem(platform, ML_KEM_768_PKCS8, ML_KEM_768) },
    mlKem1024: { ...noble.mlKem1024, ...kem(platform, ML_KEM_1024_PKCS8, ML_KEM_1024) },
  };
}

/** The first candidate that gives the known answers; none if all give others or throw. */
function firstRight<T>(candidates: readonly T[], isRight: (candidate: T) => boolean): T | undefined {
  return candidates.find((candidate) =>
    orElse(
      () => isRight(candidate),
      () => false,
    ),
  );
}

function orElse<T>(attempt: () => T, otherwise: () => T): T {
  try {
    return attempt();
  } catch {
    return otherwise();
  }
}

// --- Keys ---

type ImportKey = (bytes: Uint8Array) => KeyObject;
type Curve = 'X25519' | 'Ed25519';

/** What stands before the secret in PKCS #8: a curve's 32 bytes, or the 64-byte seed of an ML-KEM parameter set. */
const CURVE_PKCS8 = { X25519: '302e020100300506032b656e04220420', Ed25519: '302e020100300506032b657004220420' } as const;
const ML_KEM_768_PKCS8 = '3054020100300b060960864801650304040204428040';
const ML_KEM_1024_PKCS8 = '3054020100300b060960864801650304040304428040';

/** JWK first, a dozen times faster than PKCS #8 on Node 20; Node 26 refuses it without the public key, which isn't known here. */
function curveImports(platform: PlatformCrypto, curve: Curve): readonly ImportKey[] {
  return [
    cached((secret) => platform.createPrivateKey({ key: { kty: 'OKP', crv: curve, d: toBase64url(secret), x: '' }, format: 'jwk' })),
    cached(pkcs8Import(platform, CURVE_PKCS8[curve])),
  ];
}

function pkcs8Import(platform: PlatformCrypto, prefixHex: string): ImportKey {
  const prefix = fromHex(prefixHex)!;
  return (secret) => {
    const der = concat(prefix, secret);
    const handle = platform.createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' });
    wipe(der);
    return handle;
  };
}

function cached(importSecret: ImportKey): ImportKey {
  const handles = new WeakMap<Uint8Array, KeyObject>();
  return (secret) => {
    let handle = handles.get(secret);
    if (handle === undefined) {
      handle = importSecret(secret);
      handles.set(secret, handle);
    }
    return handle;
  };
}

/** Imported peers that are kept, so that both agreements of a ratchet step, and all of a handshake, import theirs once. */
const PEER_COUNT = 8;

function curvePeers(platform: PlatformCrypto, curve: Curve): ImportKey {
  const peers = new Map<string, KeyObject>();
  return (publicKey) => {
    const x = toBase64url(publicKey);
    let handle = peers.get(x);
    if (handle === undefined) {
      handle = platform.createPublicKey({ key: { kty: 'OKP', crv: curve, x }, format: 'jwk' });
      if (peers.size === PEER_COUNT) peers.clear();
      peers.set(x, handle);
    }
    return handle;
  };
}

/** The raw public key of a private one: JWK has it in `x` for curves, in `pub` for ML-KEM. */
function exportPublic(platform: PlatformCrypto, privateKey: KeyObject, member: 'x' | 'pub'): Uint8Array {
  const jwk = platform.createPublicKey(privateKey).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(jwk[member] as string, 'base64url'));
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** Moves a secret into a plain array: a Buffer's `slice` is a view. */
function takeSecret(buffer: Buffer): Uint8Array {
  const secret = new Uint8Array(buffer);
  wipe(buffer);
  return secret;
}

// --- SHA-3 ---

function keccak(platform: PlatformCrypto): Keccak | undefined {
  const hash = (name: string, data: Uint8Array): Uint8Array => takeSecret(platform.createHash(name).update(data).digest());
  const extend = (name: string, data: Uint8Array, outputLength: number): Uint8Array =>
    takeSecret(platform.createHash(name, { outputLength }).update(data).digest());
  const native: Keccak = {
    sha3_256: (data) => hash('sha3-256', data),
    sha3_512: (data) => hash('sha3-512', data),
    shake128: (data, lengthBytes) => extend('shake128', data, lengthBytes),
    shake256: (data, lengthBytes) => extend('shake256', data, lengthBytes),
  };
  return firstRight(
    [native],
    ({ sha3_256, sha3_512, shake128, shake256 }) =>
      equal(sha3_256(KECCAK.message), KECCAK.sha3_256) &&
      equal(sha3_512(KECCAK.message), KECCAK.sha3_512) &&
      equal(sha3_256(shake128(KECCAK.message, 200)), KECCAK.shake128Hash) &&
      equal(sha3_256(shake256(KECCAK.message, 200)), KECCAK.shake256Hash),
  );
}

// --- X25519 ---

type X25519Operations = Pick<Backend, 'x25519PublicKey' | 'x25519'>;

function x25519(platform: PlatformCrypto): Partial<Backend> {
  const peer = curvePeers(platform, 'X25519');
  const candidates = curveImports(platform, 'X25519').map(
    (privateKey): X25519Operations => ({
      x25519PublicKey: (secretKey) => exportPublic(platform, privateKey(secretKey), 'x'),
      x25519: (secretKey, publicKey) =>
        takeSecret(platform.diffieHellman({ privateKey: privateKey(secretKey), publicKey: peer(publicKey) })),
    }),
  );
  const native = firstRight(
    candidates,
    (candidate) =>
      equal(candidate.x25519PublicKey(X25519.secretKey), X25519.publicKey) &&
      equal(candidate.x25519(X25519.secretKey, X25519.remotePublicKey), X25519.shared),
  );
  if (native === undefined) return {};
  return {
    ...native,
    // OpenSSL throws instead of returning the all-zero result.
    x25519: (secretKey, publicKey) =>
      orElse(
        () => native.x25519(secretKey, publicKey),
        () => noble.x25519(secretKey, publicKey),
      ),
  };
}

// --- Ed25519 ---

type Ed25519Operations = Pick<Backend, 'ed25519PublicKey' | 'ed25519Sign'>;

function ed25519Sign(platform: PlatformCrypto): Partial<Backend> {
  const candidates = curveImports(platform, 'Ed25519').map(
    (privateKey): Ed25519Operations => ({
      ed25519PublicKey: (seed) => exportPublic(platform, privateKey(seed), 'x'),
      ed25519Sign: (seed, message) => new Uint8Array(platform.sign(null, message, privateKey(seed))),
    }),
  );
  const native = firstRight(
    candidates,
    (candidate) =>
      equal(candidate.ed25519PublicKey(ED25519.seed), ED25519.publicKey) &&
      equal(candidate.ed25519Sign(ED25519.seed, ED25519.message), ED25519.signature),
  );
  return native ?? {};
}

/**
 * Platforms check [S]B = R + [k]A, which implies noble's [8][S]B = [8]R + [8][k]A for the same points. So where S is canonical and
 * A and R are canonical and not of small order, the platform's yes is noble's yes. All else, and every no, is asked of noble.
 */
function ed25519Verify(platform: PlatformCrypto): Partial<Backend> {
  const peer = curvePeers(platform, 'Ed25519');
  const native = firstRight(
    [
      (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
        platform.verify(null, message, peer(publicKey), signature),
    ],
    (candidate) =>
      candidate(ED25519.publicKey, ED25519.message, ED25519.signature) &&
      !candidate(ED25519.publicKey, concat(ED25519.message, ED25519.message), ED25519.signature),
  );
  if (native === undefined) return {};
  return {
    ed25519Verify: (publicKey, message, signature) =>
      orElse(
        () => isStrict(publicKey, signature) && native(publicKey, message, signature),
        () => false,
      ) || noble.ed25519Verify(publicKey, message, signature),
  };
}

function isStrict(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return (
    publicKey.length === 32 &&
    signature.length === 64 &&
    isPlainPoint(publicKey) &&
    isPlainPoint(signature.subarray(0, 32)) &&
    isBelow(signature.subarray(32), GROUP_ORDER)
  );
}

/** Whether an encoded point is canonical and not of small order. (A sign bit on x = 0 is only possible at small order.) */
function isPlainPoint(point: Uint8Array): boolean {
  const y = withoutSign(point);
  return isBelow(y, FIELD_PRIME) && !SMALL_ORDER.some((small) => equal(small, y));
}

/** The y-coordinates of the eight points of small order. */
const SMALL_ORDER = ED25519_TORSION_SUBGROUP.map((point) => withoutSign(fromHex(point)!));

/** The y-coordinate of an encoded point: its sign bit cleared. */
function withoutSign(point: Uint8Array): Uint8Array {
  const y = new Uint8Array(point);
  y[31]! &= 0x7f;
  return y;
}

// --- ML-DSA-65 ---

function mlDsa65Verify(platform: PlatformCrypto): Partial<Backend> {
  const knownKey = fromBase64(ML_DSA_65.publicKey);
  const knownSignature = fromBase64(ML_DSA_65.signature);
  const native = firstRight<Backend['mlDsa65Verify']>(
    [
      (publicKey, message, context, signature) => {
        const jwk = { kty: 'AKP', alg: 'ML-DSA-65', pub: toBase64url(publicKey) };
        const key = platform.createPublicKey({ key: jwk, format: 'jwk' });
        const withContext: nodeCrypto.VerifyKeyObjectInput & { readonly context: Uint8Array } = { key, context };
        return platform.verify(null, message, withContext, signature);
      },
    ],
    (verify) =>
      verify(knownKey, ML_DSA_65.message, ML_DSA_65.context, knownSignature) &&
      !verify(knownKey, ML_DSA_65.message, ML_DSA_65.message, knownSignature),
  );
  if (native === undefined) return {};
  return {
    mlDsa65Verify: (publicKey, message, context, signature) =>
      orElse(
        () => native(publicKey, message, context, signature),
        () => noble.mlDsa65Verify(publicKey, message, context, signature),
      ),
  };
}

// --- ML-KEM ---

function kem(platform: PlatformCrypto, pkcs8: string, answer: KemAnswer): Partial<KemBackend> {
  const privateKey = cached(pkcs8Import(platform, pkcs8));
  const native: Omit<KemBackend, 'encapsulate'> = {
    publicKey: (seed) => exportPublic(platform, privateKey(seed), 'pub'),
    decapsulate: (seed, kemCiphertext) => takeSecret(platform.decapsulate!(privateKey(seed), kemCiphertext)),
  };
  const kemCiphertext = fromBase64(answer.kemCiphertext);
  const tampered = fromBase64(answer.kemCiphertext);
  tampered[0]! ^= 1;
  const right = firstRight(
    [native],
    ({ publicKey, decapsulate }) =>
      equal(sha256(publicKey(answer.seed)), answer.publicKeyHash) &&
      equal(decapsulate(answer.seed, kemCiphertext), answer.kemSharedSecret) &&
      equal(decapsulate(answer.seed, tampered), answer.rejectedSharedSecret),
  );
  return right ?? {};
}

/** The backend of Node, and of runtimes with a node:crypto. */
export const backend: Backend = makeNodeBackend(nodeCrypto);
