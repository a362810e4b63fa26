import * as nodeCrypto from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/crypto/backend/backend.js';
import { backend as noble } from '../../../src/crypto/backend/noble.js';
import { makeNodeBackend, type PlatformCrypto } from '../../../src/crypto/backend/node.js';
import { GROUP_ORDER } from '../../../src/crypto/guard.js';
import { flip, testRng } from '../../helpers/rng.js';
import { type Calls, fakePlatform } from './fake-platform.js';

const rng = testRng('node backend');
const KEMS = ['mlKem768', 'mlKem1024'] as const;
const OPERATIONS = ['x25519PublicKey', 'x25519', 'ed25519PublicKey', 'ed25519Sign', 'ed25519Verify', 'mlDsa65Verify'] as const;

/** Names of the operations that are not noble's. */
function nativeOperations(backend: Backend): readonly string[] {
  const names: string[] = OPERATIONS.filter((name) => backend[name] !== noble[name]);
  if (backend.keccak !== noble.keccak) names.push('keccak');
  for (const kem of KEMS) {
    for (const name of ['publicKey', 'decapsulate', 'encapsulate'] as const) {
      if (backend[kem][name] !== noble[kem][name]) names.push(`${kem}.${name}`);
    }
  }
  return names;
}

/** Calls a function of a platform, past its overloads. */
function call(platform: PlatformCrypto, name: keyof PlatformCrypto, args: readonly unknown[]): unknown {
  return (platform[name] as (...args: readonly unknown[]) => unknown)(...args);
}

const KEM_768 = ['mlKem768.publicKey', 'mlKem768.decapsulate'];
const KEM_1024 = ['mlKem1024.publicKey', 'mlKem1024.decapsulate'];
const ALL_NATIVE = [...OPERATIONS, 'keccak', ...KEM_768, ...KEM_1024];
/** Without ML-KEM but with SHA-3, ML-KEM-768 is our own. */
const WITHOUT_KEM = [...OPERATIONS, 'keccak', ...KEM_768];
const lacking = (...members: readonly (keyof PlatformCrypto)[]): PlatformCrypto =>
  Object.fromEntries(
    Object.entries(fakePlatform().platform).filter(([name]) => !members.includes(name as keyof PlatformCrypto)),
  ) as PlatformCrypto;

describe('choice', () => {
  it('takes what the platform answers rightly', () => {
    expect(nativeOperations(makeNodeBackend(fakePlatform().platform))).toEqual(ALL_NATIVE);
  });

  it('leaves to noble what the platform lacks, one by one', () => {
    expect(nativeOperations(makeNodeBackend({} as PlatformCrypto))).toEqual([]);
    expect(nativeOperations(makeNodeBackend(lacking('decapsulate')))).toEqual(WITHOUT_KEM);
    expect(nativeOperations(makeNodeBackend(lacking('createHash')))).toEqual([...OPERATIONS, ...KEM_768, ...KEM_1024]);
    expect(nativeOperations(makeNodeBackend(lacking('createHash', 'decapsulate')))).toEqual(OPERATIONS);
    expect(nativeOperations(makeNodeBackend(lacking('diffieHellman')))).not.toContain('x25519');
    expect(nativeOperations(makeNodeBackend(lacking('sign')))).not.toContain('ed25519Sign');
    expect(nativeOperations(makeNodeBackend(lacking('createPrivateKey')))).toEqual([
      'ed25519Verify',
      'mlDsa65Verify',
      'keccak',
      ...KEM_768,
    ]);
  });

  const { platform } = fakePlatform();
  const wrong = (name: keyof PlatformCrypto, change: (result: unknown) => unknown): PlatformCrypto => ({
    ...platform,
    [name]: (...args: readonly unknown[]) => change(call(platform, name, args)),
  });
  const flipped = (result: unknown): Buffer => Buffer.from(flip(result as Uint8Array));

  it.each([
    { name: 'another agreement', platform: wrong('diffieHellman', flipped), noble: ['x25519PublicKey', 'x25519'] },
    { name: 'another signature', platform: wrong('sign', flipped), noble: ['ed25519PublicKey', 'ed25519Sign'] },
    { name: 'always yes', platform: wrong('verify', () => true), noble: ['ed25519Verify', 'mlDsa65Verify'] },
    { name: 'always no', platform: wrong('verify', () => false), noble: ['ed25519Verify', 'mlDsa65Verify'] },
    {
      name: 'another decapsulation',
      platform: wrong('decapsulate', flipped),
      noble: KEM_1024,
    },
    {
      name: 'another public key',
      platform: wrong('createPublicKey', (key) => ({ ...(key as object), export: () => ({ x: 'AAAA', pub: 'AAAA' }) })),
      noble: ALL_NATIVE.filter((name) => !name.endsWith('Verify') && name !== 'keccak' && !KEM_768.includes(name)),
    },
  ])('leaves to noble what the platform answers otherwise: $name', ({ platform: lying, noble: expected }) => {
    expect(nativeOperations(makeNodeBackend(lying))).toEqual(ALL_NATIVE.filter((name) => !expected.includes(name)));
  });

  it.each(['sha3-256', 'sha3-512', 'shake128', 'shake256'])('leaves SHA-3 to noble where %s differs or fails', (algorithm) => {
    for (const answer of [() => nodeCrypto.createHash('sha256'), () => undefined as never]) {
      const createHash = (...args: Parameters<PlatformCrypto['createHash']>): nodeCrypto.Hash =>
        args[0] === algorithm ? answer() : nodeCrypto.createHash(...args);
      expect(nativeOperations(makeNodeBackend({ ...platform, createHash }))).toEqual(ALL_NATIVE.filter((name) => name !== 'keccak'));
    }
  });

  it('leaves implicit rejection to noble where the platform throws instead', () => {
    const throwing = wrong('decapsulate', (result) => result);
    let count = 0;
    const decapsulate = (...args: readonly unknown[]): Buffer => {
      if (++count % 2 === 0) throw new Error('decapsulation failed');
      return call(platform, 'decapsulate', args) as Buffer;
    };
    const backend = makeNodeBackend({ ...throwing, decapsulate } as PlatformCrypto);
    expect(nativeOperations(backend)).toEqual(WITHOUT_KEM);
    const asked = count;
    backend.mlKem768.decapsulate(rng(64), rng(1088));
    expect(count).toBe(asked);
  });
});

describe('keys', () => {
  let backend: Backend;
  let calls: Calls;
  beforeEach(() => {
    const fake = fakePlatform();
    backend = makeNodeBackend(fake.platform);
    for (const name of Object.keys(fake.calls)) fake.calls[name as keyof Calls] = 0;
    calls = fake.calls;
  });

  it('a private key is imported once for each array', () => {
    const [secretKey, peer] = [rng(32), noble.x25519PublicKey(rng(32))];
    for (let i = 0; i < 3; i++) expect(backend.x25519(secretKey, peer)).toEqual(noble.x25519(secretKey, peer));
    backend.x25519PublicKey(secretKey);
    expect(calls.createPrivateKey).toBe(1);
    backend.x25519(new Uint8Array(secretKey), peer);
    expect(calls.createPrivateKey).toBe(2);
    const seed = rng(64);
    const { kemCiphertext } = backend.mlKem768.encapsulate(backend.mlKem768.publicKey(seed), rng(32));
    backend.mlKem768.decapsulate(seed, kemCiphertext);
    expect(calls.createPrivateKey).toBe(3);
  });

  it("one import of a peer's key serves both agreements of a ratchet step", () => {
    const peer = noble.x25519PublicKey(rng(32));
    backend.x25519(rng(32), peer);
    backend.x25519(rng(32), new Uint8Array(peer));
    expect(calls.createPublicKey).toBe(1);
  });

  it('seven peers are kept, besides the one of the known answers', () => {
    const [secretKey, peers] = [rng(32), Array.from({ length: 7 }, () => noble.x25519PublicKey(rng(32)))];
    for (let i = 0; i < 2; i++) for (const peer of peers) backend.x25519(secretKey, peer);
    expect(calls.createPublicKey).toBe(7);
  });

  it('imported peers are forgotten', () => {
    const [secretKey, peers] = [rng(32), Array.from({ length: 20 }, () => noble.x25519PublicKey(rng(32)))];
    for (const peer of peers) expect(backend.x25519(secretKey, peer)).toEqual(noble.x25519(secretKey, peer));
    expect(calls.createPublicKey).toBe(20);
    backend.x25519(secretKey, peers[0]!);
    expect(calls.createPublicKey).toBe(21);
  });

  it('results are plain arrays of their own', () => {
    const secretKey = rng(32);
    const results = [
      backend.x25519PublicKey(secretKey),
      backend.x25519(secretKey, noble.x25519PublicKey(rng(32))),
      backend.ed25519PublicKey(secretKey),
      backend.ed25519Sign(secretKey, secretKey),
      backend.mlKem768.publicKey(rng(64)),
      backend.mlKem768.decapsulate(rng(64), rng(1088)),
      backend.keccak.sha3_256(secretKey),
      backend.keccak.sha3_512(secretKey),
      backend.keccak.shake128(secretKey, 504),
      backend.keccak.shake256(secretKey, 128),
    ];
    for (const result of results) {
      expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
      expect(result.buffer.byteLength).toBe(result.length);
    }
  });
});

describe('what the platform refuses is asked of noble', () => {
  it('T01: an all-zero agreement', () => {
    const backend = makeNodeBackend(fakePlatform().platform);
    expect(backend.x25519(rng(32), new Uint8Array(32))).toEqual(new Uint8Array(32));
  });

  it('malformed ML-DSA input', () => {
    const { platform } = fakePlatform();
    let refuse = false;
    const createPublicKey = (...args: Parameters<PlatformCrypto['createPublicKey']>): nodeCrypto.KeyObject => {
      if (refuse) throw new Error('invalid key');
      return platform.createPublicKey(...args);
    };
    const backend = makeNodeBackend({ ...platform, createPublicKey } as PlatformCrypto);
    const [seed, message, context] = [rng(32), rng(10), rng(10)];
    const [publicKey, signature] = [noble.mlDsa65PublicKey(seed), noble.mlDsa65Sign(seed, message, context, rng(32))];
    refuse = true;
    expect(backend.mlDsa65Verify(publicKey, message, context, signature)).toBe(true);
    expect(backend.mlDsa65Verify(publicKey.subarray(1), message, context, signature)).toBe(false);
  });

  it('an Ed25519 signature', () => {
    const { platform } = fakePlatform();
    let answer: (() => boolean) | undefined;
    const verify = (...args: readonly unknown[]): unknown => answer?.() ?? call(platform, 'verify', args);
    const backend = makeNodeBackend({ ...platform, verify } as unknown as PlatformCrypto);
    const [seed, message] = [rng(32), rng(10)];
    const [publicKey, signature] = [noble.ed25519PublicKey(seed), noble.ed25519Sign(seed, message)];
    answer = () => false;
    expect(backend.ed25519Verify(publicKey, message, signature)).toBe(true);
    answer = () => {
      throw new Error('refused');
    };
    expect(backend.ed25519Verify(publicKey, message, signature)).toBe(true);
    expect(backend.ed25519Verify(publicKey, message, flip(signature))).toBe(false);
  });
});

it("the platform's yes to an Ed25519 signature counts only for strict input", () => {
  const { platform } = fakePlatform();
  let gullible = false;
  let asked = 0;
  const verify = (...args: readonly unknown[]): unknown => {
    asked++;
    return gullible || call(platform, 'verify', args);
  };
  const backend = makeNodeBackend({ ...platform, verify } as unknown as PlatformCrypto);
  const [seed, message] = [rng(32), rng(10)];
  const [publicKey, signature] = [noble.ed25519PublicKey(seed), noble.ed25519Sign(seed, message)];
  const identity = flip(new Uint8Array(32), 0);
  const notCanonical = new Uint8Array(32).fill(0xff);
  const withR = (r: Uint8Array): Uint8Array => new Uint8Array([...r, ...signature.subarray(32)]);
  gullible = true;
  asked = 0;
  for (const [key, sig] of [
    [identity, signature],
    [flip(identity, 31, 0x80), signature],
    [notCanonical, signature],
    [publicKey, withR(identity)],
    [publicKey, withR(notCanonical)],
    [publicKey, new Uint8Array([...signature.subarray(0, 32), ...GROUP_ORDER])],
    [publicKey, signature.subarray(1)],
    [publicKey, new Uint8Array([...signature, 0])],
    [publicKey.subarray(1), signature],
    [new Uint8Array([...publicKey, 0]), signature],
  ] as const) {
    expect(backend.ed25519Verify(key, message, sig)).toBe(false);
  }
  expect(asked).toBe(0);
  expect(backend.ed25519Verify(publicKey, message, signature)).toBe(true);
  expect(asked).toBe(1);
});

it('PKCS #8 serves where JWK without a public key is refused', () => {
  const createPrivateKey = (input: Parameters<PlatformCrypto['createPrivateKey']>[0]): nodeCrypto.KeyObject => {
    if ((input as nodeCrypto.JsonWebKeyInput).format === 'jwk') throw new TypeError('Invalid JWK OKP key');
    return nodeCrypto.createPrivateKey(input);
  };
  const backend = makeNodeBackend({ ...nodeCrypto, createPrivateKey } as PlatformCrypto);
  expect(nativeOperations(backend)).toEqual(expect.arrayContaining(['x25519PublicKey', 'x25519', 'ed25519PublicKey', 'ed25519Sign']));
  const [secretKey, message] = [rng(32), rng(10)];
  const peer = noble.x25519PublicKey(rng(32));
  expect(backend.x25519PublicKey(secretKey)).toEqual(noble.x25519PublicKey(secretKey));
  expect(backend.x25519(secretKey, peer)).toEqual(noble.x25519(secretKey, peer));
  expect(backend.ed25519PublicKey(secretKey)).toEqual(noble.ed25519PublicKey(secretKey));
  expect(backend.ed25519Sign(secretKey, message)).toEqual(noble.ed25519Sign(secretKey, message));
});
