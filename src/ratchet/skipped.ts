/**
 * Keys of messages that have not arrived yet: one store for both ratchets, SKIP{(tag, n) → PRK, r} (section 4.8).
 *
 * Immutable: a change shares what it did not touch, so that a client sees by reference which chains to write again.
 */

import { compare } from '../bytes.js';
import { ratchetLimits } from '../limits.js';
import type { HeaderKey } from './keys.js';

/** The key of one message that is missing. */
export interface SkippedKey {
  readonly n: number;
  /** PRK, 32 bytes. */
  readonly prk: Uint8Array;
  /** r: messages received in the session when it was stored. */
  readonly receivedCount: number;
}

/** The missing messages of one receiving chain, in ascending order of `n`; never empty. */
export interface SkippedChain {
  readonly headerKey: HeaderKey;
  readonly keys: readonly SkippedKey[];
}

/** All chains of which a message is missing, oldest first. */
export type SkippedKeys = readonly SkippedChain[];

/** The chain with this tag, if a message of it is missing. */
export function findSkippedChain(skipped: SkippedKeys, tag: Uint8Array): SkippedChain | undefined {
  return skipped.find((chain) => compare(chain.headerKey.tag, tag) === 0);
}

/** The store without the key of (chain, n): it was used. */
export function removeSkippedKey(skipped: SkippedKeys, used: SkippedChain, n: number): SkippedKeys {
  const keys = used.keys.filter((key) => key.n !== n);
  return skipped.flatMap((chain) => (chain !== used ? [chain] : keys.length === 0 ? [] : [{ headerKey: chain.headerKey, keys }]));
}

/** The store with the keys of a gap added, which may lie in two chains; each list ascending and after what its chain holds. */
export function addSkippedKeys(skipped: SkippedKeys, added: SkippedKeys): SkippedKeys {
  let next = skipped;
  for (const { headerKey, keys } of added) {
    if (keys.length === 0) continue;
    const present = findSkippedChain(next, headerKey.tag);
    next =
      present === undefined
        ? [...next, { headerKey, keys }]
        : next.map((chain) => (chain === present ? { headerKey: chain.headerKey, keys: [...chain.keys, ...keys] } : chain));
  }
  return next;
}

/**
 * Applies the three bounds: lifetime in received messages, number of old chains, number of keys; oldest dropped first.
 * `currentTag` is the tag of the chain in use, which is no old one. Returns the dropped keys to be wiped.
 */
export function pruneSkippedKeys(
  skipped: SkippedKeys,
  receivedCount: number,
  currentTag: Uint8Array,
): { next: SkippedKeys; dropped: Uint8Array[] } {
  const oldest = receivedCount - ratchetLimits.skippedLifetimeMessages;
  let surplusKeys = skipped.reduce((sum, chain) => sum + chain.keys.length, 0) - ratchetLimits.skippedKeys;
  const expired = (chain: SkippedChain): boolean => chain.keys[0]!.receivedCount < oldest;
  const oldChains = skipped.filter((chain) => compare(chain.headerKey.tag, currentTag) !== 0);
  const surplusChains = oldChains.slice(0, Math.max(0, oldChains.length - ratchetLimits.oldChains));
  if (surplusKeys <= 0 && surplusChains.length === 0 && !skipped.some(expired)) return { next: skipped, dropped: [] };

  const dropped: Uint8Array[] = [];
  const next = skipped.flatMap((chain) => {
    const wholeChain = surplusChains.includes(chain);
    const keys = chain.keys.filter((key) => {
      const drop = wholeChain || key.receivedCount < oldest || surplusKeys > 0;
      if (drop) {
        surplusKeys--;
        dropped.push(key.prk);
      }
      return !drop;
    });
    if (keys.length === chain.keys.length) return [chain];
    return keys.length === 0 ? [] : [{ headerKey: chain.headerKey, keys }];
  });
  return { next, dropped };
}
