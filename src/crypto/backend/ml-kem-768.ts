/**
 * ML-KEM-768 keys and decapsulation (FIPS 203 algorithms 16 and 18) over a given Keccak: for platforms that hash natively and have
 * no ML-KEM. With SHA-3 in JavaScript most of the time is Keccak's, and noble has no way in for another.
 *
 * What is public of a key, its matrix and vector, is kept beside the caller's seed array (see `backend.ts`), so that decapsulation
 * needs no second key generation; what is secret is derived anew from the seed, and wiped.
 */

import { concat, copy, wipe } from '../../bytes.js';
import { clear, decrypt, encodeVector, encryptFirst, encryptSecond, generateKeyPair, type KeyPair, secretVector } from '../kpke.js';
import type { Keccak, KemBackend } from './backend.js';

/** What of a key is public, with the 1,184 bytes of its encapsulation key. */
export type PublicKey = Pick<KeyPair, 'matrix' | 'tHat'> & { readonly encoded: Uint8Array };

/** The two operations over `keccak`. */
export function mlKem768Over(keccak: Keccak): Omit<KemBackend, 'encapsulate'> {
  const known = new WeakMap<Uint8Array, PublicKey>();

  function publicKeyOf(seed: Uint8Array): PublicKey {
    let key = known.get(seed);
    if (key === undefined) {
      const { rho, matrix, tHat, sHat } = generateKeyPair(keccak, seed.subarray(0, 32));
      clear(...sHat);
      key = { matrix, tHat, encoded: concat(encodeVector(tHat), rho) };
      known.set(seed, key);
    }
    return key;
  }

  return {
    publicKey: (seed) => copy(publicKeyOf(seed).encoded),
    decapsulate(seed, kemCiphertext) {
      const sHat = secretVector(keccak, seed.subarray(0, 32));
      const secret = decapsulate(keccak, publicKeyOf(seed), sHat, seed.subarray(32), kemCiphertext);
      clear(...sHat);
      return secret;
    },
  };
}

/** Algorithm 18 with the expanded key: the 32-byte secret, or that of implicit rejection, by the 32-byte z. */
export function decapsulate(
  keccak: Keccak,
  { matrix, tHat, encoded }: PublicKey,
  sHat: KeyPair['sHat'],
  z: Uint8Array,
  kemCiphertext: Uint8Array,
): Uint8Array {
  const message = decrypt(sHat, kemCiphertext);
  const input = concat(message, keccak.sha3_256(encoded));
  const digest = keccak.sha3_512(input); // K ‖ r
  const r = digest.subarray(32);
  const { ct1, rHat } = encryptFirst(keccak, matrix, r);
  const again = concat(ct1, encryptSecond(keccak, tHat, rHat, r, message));
  const rejectedInput = concat(z, kemCiphertext);
  const rejected = keccak.shake256(rejectedInput, 32); // J(z ‖ c)
  const secret = select(again, kemCiphertext, digest.subarray(0, 32), rejected);
  clear(...rHat);
  wipe(message, input, digest, ct1, again, rejectedInput, rejected);
  return secret;
}

/** A copy of `same` if a and b are equal, else of `other`; no branch tells which. */
function select(a: Uint8Array, b: Uint8Array, same: Uint8Array, other: Uint8Array): Uint8Array {
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  const mask = (difference - 1) >> 31;
  return same.map((byte, i) => (byte & mask) | (other[i]! & ~mask));
}
