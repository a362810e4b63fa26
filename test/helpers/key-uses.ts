/**
 * Records every PRK, header nonce and K ‖ N ‖ COMMIT of an encryption. A test file replaces the ratchet's key derivations with these:
 *
 * ```
 * vi.mock('…/src/ratchet/keys.js', async (original) => recordKeyUses(await original()));
 * ```
 */

import { toHex } from '../../src/bytes.js';
import type * as keysModule from '../../src/ratchet/keys.js';

type Keys = typeof keysModule;

/** What was used since the last `forgetKeyUses`. `counted` is the number of encryptions: each of the sets should be as large. */
export const keyUses = { counted: 0, prks: new Set<string>(), nonces: new Set<string>(), keys: new Set<string>() };

export function forgetKeyUses(): void {
  keyUses.counted = 0;
  for (const values of [keyUses.prks, keyUses.nonces, keyUses.keys]) values.clear();
}

/** The derivations, recording. Only an encryption makes a header nonce; the body keys derived from that very buffer are its own. */
export function recordKeyUses(keys: Keys): Keys {
  let made: Uint8Array | null = null;
  return {
    ...keys,
    deriveHeaderNonce(prk, random, contentHash) {
      made = keys.deriveHeaderNonce(prk, random, contentHash);
      keyUses.counted++;
      keyUses.prks.add(toHex(prk));
      keyUses.nonces.add(toHex(made));
      return made;
    },
    deriveBodyKeys(prk, transcriptHash, headerNonce) {
      const derived = keys.deriveBodyKeys(prk, transcriptHash, headerNonce);
      if (headerNonce === made) keyUses.keys.add(toHex(derived.okm));
      return derived;
    },
  };
}
