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
  /** r: messages received in the session when it was stored, the one that revealed the gap included. */
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

/** The key of (tag, n), if that message is missing. */
export function findSkippedKey(skipped: SkippedKeys, tag: Uint8Array, n: number): SkippedKey | undefined {
  return findSkippedChain(skipped, tag)?.keys.find((key) => key.n === n);
}

/** The store without a key of it: it was used. */
export function removeSkippedKey(skipped: SkippedKeys, used: SkippedKey): SkippedKeys {
  return keepKeys(skipped, (key) => key !== used);
}

/** The store with the keys of a gap added, which may lie in two chains; each list ascending and after what its chain holds. */
export function addSkippedKeys(skipped: SkippedKeys, added: SkippedKeys): SkippedKeys {
  let next = skipped;
  for (const { headerKey, keys } of added) {
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
 * `currentTag` is the tag of the chain in use, which is no old one. The same object if nothing is dropped.
 */
export function pruneSkippedKeys(skipped: SkippedKeys, receivedCount: number, currentTag: Uint8Array): SkippedKeys {
  const oldest = receivedCount - ratchetLimits.skippedLifetimeMessages;
  const hasExpired = skipped.some(({ keys }) => keys[0]!.receivedCount < oldest);
  const alive = hasExpired ? keepKeys(skipped, (key) => key.receivedCount >= oldest) : skipped;

  const oldChains = alive.filter(({ headerKey }) => compare(headerKey.tag, currentTag) !== 0);
  const surplusChains = oldChains.slice(0, Math.max(0, oldChains.length - ratchetLimits.oldChains));
  const fewer = surplusChains.length > 0 ? alive.filter((chain) => !surplusChains.includes(chain)) : alive;

  let surplusKeys = fewer.reduce((sum, { keys }) => sum + keys.length, 0) - ratchetLimits.skippedKeys;
  return surplusKeys > 0 ? keepKeys(fewer, () => surplusKeys-- <= 0) : fewer;
}

/** The keys that `keep` admits, asked oldest first; a chain that loses none stays the same object, and none stays empty. */
function keepKeys(skipped: SkippedKeys, keep: (key: SkippedKey) => boolean): SkippedKeys {
  return skipped.flatMap((chain) => {
    const keys = chain.keys.filter(keep);
    if (keys.length === chain.keys.length) return [chain];
    return keys.length === 0 ? [] : [{ headerKey: chain.headerKey, keys }];
  });
}
