import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { isZero } from '../../../src/bytes.js';
import { backend as noble } from '../../../src/crypto/backend/noble.js';
import type { PlatformCrypto } from '../../../src/crypto/backend/node.js';

type Kind = 'X25519' | 'Ed25519' | 'ML-KEM-768' | 'ML-KEM-1024' | 'ML-DSA-65';
interface Key {
  readonly kind: Kind;
  readonly secret?: Uint8Array;
  readonly public: Uint8Array;
}

interface JwkInput {
  readonly format: string;
  readonly key: { readonly kty: string; readonly crv?: Kind; readonly alg?: Kind; readonly x?: string; readonly pub?: string };
}

/** How often each function was called. */
export type Calls = Record<'createPrivateKey' | 'createPublicKey' | 'diffieHellman' | 'sign' | 'verify' | 'decapsulate', number>;

/** node:crypto as Node 24 has it, played by noble: for runtimes that lack parts of it, and to count what is asked of it. */
export function fakePlatform(): { readonly platform: PlatformCrypto; readonly calls: Calls } {
  const calls: Calls = { createPrivateKey: 0, createPublicKey: 0, diffieHellman: 0, sign: 0, verify: 0, decapsulate: 0 };
  const functions = {
    createHash,
    createPrivateKey(input: { format: string; key: Buffer | { crv: Kind; d: string } }): Key {
      calls.createPrivateKey++;
      if (!Buffer.isBuffer(input.key)) return privateKey(input.key.crv, bytes(Buffer.from(input.key.d, 'base64url')));
      const secretBytes = input.key.length === 86 ? 64 : 32;
      const kinds: Record<string, Kind> = { '6e': 'X25519', '70': 'Ed25519', '02': 'ML-KEM-768', '03': 'ML-KEM-1024' };
      const oidEnd = input.key[secretBytes === 64 ? 17 : 11]!.toString(16).padStart(2, '0');
      return privateKey(kinds[oidEnd]!, bytes(input.key.subarray(-secretBytes)));
    },
    createPublicKey(input: Key | JwkInput): Key & { export(): object } {
      calls.createPublicKey++;
      const key: Key = 'kind' in input ? input : ofJwk(input);
      const text = Buffer.from(key.public).toString('base64url');
      return { ...key, export: () => (key.kind.startsWith('ML') ? { pub: text } : { x: text }) };
    },
    diffieHellman(keys: { privateKey: Key; publicKey: Key }): Buffer {
      calls.diffieHellman++;
      const shared = noble.x25519(keys.privateKey.secret!, keys.publicKey.public);
      if (isZero(shared)) throw new Error('failed during derivation');
      return Buffer.from(shared);
    },
    sign(_: null, message: Uint8Array, key: Key): Buffer {
      calls.sign++;
      return Buffer.from(noble.ed25519Sign(key.secret!, message));
    },
    verify(_: null, message: Uint8Array, key: Key | { key: Key; context: Uint8Array }, signature: Uint8Array): boolean {
      calls.verify++;
      return 'context' in key
        ? noble.mlDsa65Verify(key.key.public, message, key.context, signature)
        : noble.ed25519Verify(key.public, message, signature);
    },
    decapsulate(key: Key, ciphertext: Uint8Array): Buffer {
      calls.decapsulate++;
      return Buffer.from(kem(key.kind).decapsulate(key.secret!, ciphertext));
    },
  };
  return { platform: functions as unknown as PlatformCrypto, calls };
}

function ofJwk({ format, key: { kty, crv, alg, x, pub } }: JwkInput): Key {
  const kind = { OKP: crv, AKP: alg }[kty];
  if (format !== 'jwk' || !['X25519', 'Ed25519', 'ML-DSA-65'].includes(kind!)) throw new TypeError('Invalid JWK data');
  return { kind: kind!, public: bytes(Buffer.from((x ?? pub)!, 'base64url')) };
}

function privateKey(kind: Kind, secret: Uint8Array): Key {
  if (kind === 'X25519') return { kind, secret, public: noble.x25519PublicKey(secret) };
  if (kind === 'Ed25519') return { kind, secret, public: noble.ed25519PublicKey(secret) };
  return { kind, secret, public: kem(kind).publicKey(secret) };
}

function kem(kind: Kind): typeof noble.mlKem768 {
  return kind === 'ML-KEM-768' ? noble.mlKem768 : noble.mlKem1024;
}

function bytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer);
}
