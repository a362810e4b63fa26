/**
 * Primitives that an attacker has broken, in place of the real ones: X25519 and ML-KEM whose secret keys follow from their public ones,
 * Ed25519 and ML-DSA whose verification takes anything. Honest parties notice nothing, every byte on the wire is what it always is.
 *
 *     vi.mock('../../src/crypto/backend/node.js', async (original) => (await import('./broken.js')).withBreaks(await original()));
 *     vi.mock('../../src/crypto/incremental-mlkem.js', async (original) => (await import('./broken.js')).withOpenEncaps(await original()));
 */

import { toHex } from '../../src/bytes.js';
import type { Backend, KemBackend } from '../../src/crypto/backend/backend.js';
import type * as incremental from '../../src/crypto/incremental-mlkem.js';

/** What may be broken. */
export interface Breaks {
  readonly x25519: boolean;
  readonly mlKem: boolean;
  readonly ed25519: boolean;
  readonly mlDsa: boolean;
}

export const NOTHING: Breaks = { x25519: false, mlKem: false, ed25519: false, mlDsa: false };

let breaks: Breaks = NOTHING;
/** Secret keys by primitive and public key. Who is not told of a break does not look here. */
const secrets = new Map<string, Uint8Array>();

/** Breaks exactly these primitives from now on. */
export function breakOnly(broken: Partial<Breaks>): void {
  breaks = { ...NOTHING, ...broken };
}

/**
 * What the attacker's mathematics gives him: the secret of a public value, or `undefined` while the primitive holds. X25519: the scalar of a
 * key. ML-KEM: the seed of a key; `m` of a ct1.
 */
export function solve(primitive: 'x25519' | 'mlKem', publicValue: Uint8Array): Uint8Array | undefined {
  if (!breaks[primitive]) return undefined;
  const secret = secrets.get(`${primitive} ${toHex(publicValue)}`);
  if (secret === undefined) throw new Error(`nobody has made this ${primitive} value`);
  return secret;
}

function remember(primitive: 'x25519' | 'mlKem', publicValue: Uint8Array, secret: Uint8Array): void {
  secrets.set(`${primitive} ${toHex(publicValue)}`, secret.slice());
}

/** The backend, with the breaks. */
export function withBreaks<M extends { readonly backend: Backend }>(module: M): M {
  const { backend } = module;
  const kem = (real: KemBackend): KemBackend => ({
    ...real,
    publicKey(seed) {
      const publicKey = real.publicKey(seed);
      remember('mlKem', publicKey, seed);
      return publicKey;
    },
  });
  return {
    ...module,
    backend: {
      ...backend,
      x25519PublicKey(secretKey) {
        const publicKey = backend.x25519PublicKey(secretKey);
        remember('x25519', publicKey, secretKey);
        return publicKey;
      },
      mlKem768: kem(backend.mlKem768),
      mlKem1024: kem(backend.mlKem1024),
      ed25519Verify: (...signed) => breaks.ed25519 || backend.ed25519Verify(...signed),
      mlDsa65Verify: (...signed) => breaks.mlDsa || backend.mlDsa65Verify(...signed),
    },
  };
}

/** The two-step encapsulation, whose `m` follows from ct1 where ML-KEM is broken. */
export function withOpenEncaps(module: typeof incremental): typeof incremental {
  return {
    ...module,
    encaps1(header, m) {
      const first = module.encaps1(header, m);
      remember('mlKem', first.ct1, m);
      return first;
    },
  };
}
