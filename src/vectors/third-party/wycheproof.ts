/**
 * Plays files of Wycheproof (`testvectors_v1`) for the primitives that this library has, by what its suite and a backend answer.
 *
 * Where this library refuses what a standard lets pass, and says so (public keys that are not canonical or of small order), it must refuse.
 */

import { concat, equal, isZero, toHex } from '../../bytes.js';
import type { Backend } from '../../crypto/backend/backend.js';
import {
  chachaOpen,
  chachaSeal,
  hkdfSha256,
  hkdfSha512,
  hmacSha256,
  isX25519PublicKey,
  mlKem768,
  mlKem1024,
  x25519,
  xchachaOpen,
  xchachaSeal,
} from '../../crypto/suite.js';
import { hasGroups, hex, is, isMembers, type Members, type Outcome, type Play, playGroups, refuses, throws } from './outcome.js';

/** Plays a parsed file with `backend`; `undefined` if it is none of Wycheproof's. */
export function playWycheproof(json: unknown, backend: Backend): Iterable<Outcome> | undefined {
  if (!hasGroups(json) || !/_schema(?:_v[0-9]+)?\.json$/.test(String(json['schema'])) || !('numberOfTests' in json)) return undefined;
  const kind = `${String(json['schema']).replace(/_(?:v1|schema|test).*$/, '')} ${String(json['algorithm'])}`;
  const players = playersOver(backend);
  return playGroups(json, Object.hasOwn(players, kind) ? players[kind] : undefined);
}

const KEMS = { 'ML-KEM-768': { kem: mlKem768, member: 'mlKem768' }, 'ML-KEM-1024': { kem: mlKem1024, member: 'mlKem1024' } } as const;
const kemOf = ({ parameterSet }: Members) => KEMS[parameterSet as keyof typeof KEMS];
const isValid = ({ result }: Members): boolean => result === 'valid';

/** By the family of the schema and the algorithm. */
const playersOver = (backend: Backend): Readonly<Record<string, Play>> => ({
  'xdh_comp XDH': (test, { curve }) => (curve === 'curve25519' ? agreement(test, backend) : undefined),
  'eddsa_verify EDDSA': (test, { publicKey }) => {
    if (!isMembers(publicKey) || publicKey['curve'] !== 'edwards25519') return undefined;
    return backend.ed25519Verify(hex(publicKey['pk']), hex(test['msg']), hex(test['sig'])) === isValid(test);
  },
  'mlkem ML-KEM': (test, group) => {
    const found = kemOf(group);
    if (found === undefined) return undefined;
    const { kem, member } = found;
    const [seed, ciphertext] = [hex(test['seed']), hex(test['c'])];
    if (!isValid(test)) return refuses(() => kem.decapsulate(seed, ciphertext));
    const both = [kem, backend[member]];
    return both.every((each) => is(each.publicKey(seed), test['ek']) && is(each.decapsulate(seed, ciphertext), test['K']));
  },
  'mlkem_encaps ML-KEM': (test, group) => {
    const kem = kemOf(group)?.kem;
    if (kem === undefined) return undefined;
    const encapsulate = () => kem.encapsulate(hex(test['ek']), hex(test['m']));
    if (!isValid(test)) return refuses(encapsulate);
    const { kemCiphertext, kemSharedSecret } = encapsulate();
    return is(kemCiphertext, test['c']) && is(kemSharedSecret, test['K']);
  },
  'mlkem_keygen_seed ML-KEM': (test, group) => {
    const found = kemOf(group);
    return found && is(backend[found.member].publicKey(hex(test['seed'])), test['ek']);
  },
  'mldsa_verify ML-DSA-65': (test, { publicKey }) =>
    backend.mlDsa65Verify(hex(publicKey), hex(test['msg']), hex(test['ctx']), hex(test['sig'])) === isValid(test),
  'mldsa_sign_seed ML-DSA-65': (test, { privateSeed, publicKey }) => {
    if (test['msg'] === undefined) return undefined; // signs a hash that was made outside
    const seed = hex(privateSeed);
    const sign = () => backend.mlDsa65Sign(seed, hex(test['msg']), hex(test['ctx']), hex(test['rnd'] ?? '00'.repeat(32)));
    return isValid(test) ? is(backend.mlDsa65PublicKey(seed), publicKey) && is(sign(), test['sig']) : throws(sign);
  },
  'aead CHACHA20-POLY1305': (test) => aead(test, chachaSeal, chachaOpen),
  'aead XCHACHA20-POLY1305': (test) => aead(test, xchachaSeal, xchachaOpen),
  'hkdf HKDF-SHA-256': (test) => derived(test, hkdfSha256),
  'hkdf HKDF-SHA-512': (test) => derived(test, hkdfSha512),
  'mac HMACSHA256': (test) => {
    const tag = hex(test['tag']);
    return equal(hmacSha256(hex(test['key']), hex(test['msg'])).subarray(0, tag.length), tag) === isValid(test);
  },
});

/** The backend computes RFC 7748 for every input; the suite refuses keys that are not canonical or of small order. */
function agreement(test: Members, backend: Backend): boolean {
  const [secretKey, publicKey, shared] = [hex(test['private']), hex(test['public']), hex(test['shared'])];
  const isCanonical = BigInt(`0x${toHex(publicKey.slice().reverse())}`) < 2n ** 255n - 19n;
  const agree = () => x25519(secretKey, publicKey);
  return (
    equal(backend.x25519(secretKey, publicKey), shared) &&
    isX25519PublicKey(publicKey) === isCanonical &&
    (isCanonical && !isZero(shared) ? equal(agree(), shared) : refuses(agree))
  );
}

/** Seals and opens what is valid, and refuses the rest and every truncation of a tag. */
function aead(test: Members, seal: typeof chachaSeal, open: typeof chachaOpen): boolean {
  const [key, nonce, ad, plaintext] = [hex(test['key']), hex(test['iv']), hex(test['aad']), hex(test['msg'])];
  const sealed = concat(hex(test['ct']), hex(test['tag']));
  if (!isValid(test)) return refuses(() => open(key, nonce, ad, sealed));
  const cuts = Array.from({ length: 16 }, (_, i) => sealed.subarray(0, sealed.length - 1 - i));
  return (
    equal(seal(key, nonce, ad, plaintext), sealed) &&
    equal(open(key, nonce, ad, sealed), plaintext) &&
    cuts.every((cut) => refuses(() => open(key, nonce, ad, cut)))
  );
}

function derived(test: Members, hkdf: typeof hkdfSha256): boolean {
  const derive = () => hkdf(hex(test['salt']), hex(test['ikm']), hex(test['info']), Number(test['size']));
  return isValid(test) ? is(derive(), test['okm']) : refuses(derive);
}
