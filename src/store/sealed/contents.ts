/**
 * What is in an unlocked store: its keys in order, and which write each record must be. The base store can't say either: names are
 * hashed there, and it may have been tampered with.
 */

import type { EncodedKey, KeyRange } from '../keys.js';
import type { SealedRecord } from './layout.js';

/** The records of a store, by key. */
export interface Contents {
  get(key: EncodedKey): SealedRecord | undefined;
  set(key: EncodedKey, record: SealedRecord): void;
  delete(key: EncodedKey): void;
  /** At most `limit` keys of a range, in order. */
  keys(range: KeyRange, limit: number): EncodedKey[];
  entries(): IterableIterator<[EncodedKey, SealedRecord]>;
}

/** An empty one. */
export function contents(): Contents {
  const records = new Map<EncodedKey, SealedRecord>();
  /** Made by the first listing, then kept in order. */
  let sorted: EncodedKey[] | undefined;

  /** How many keys are below `key`, or equal to it where `through`. */
  const rank = (keys: readonly EncodedKey[], key: EncodedKey, through: boolean): number => {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle]! < key || (through && keys[middle] === key)) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    get: (key) => records.get(key),
    set(key, record) {
      if (sorted !== undefined && !records.has(key)) sorted.splice(rank(sorted, key, false), 0, key);
      records.set(key, record);
    },
    delete(key) {
      if (records.delete(key)) sorted?.splice(rank(sorted, key, false), 1);
    },
    keys({ gt, lt }, limit) {
      sorted ??= [...records.keys()].sort((a, b) => (a < b ? -1 : 1));
      const from = rank(sorted, gt, true);
      return sorted.slice(from, Math.max(from, Math.min(rank(sorted, lt, false), from + limit)));
    },
    entries: () => records.entries(),
  };
}
