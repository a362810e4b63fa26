/** A store in memory: for tests, demonstrations, and devices that forget on purpose. Durable only as long as the object lives. */

import { copy } from '../bytes.js';
import { StoreError, UsageError } from '../errors.js';
import { checkKeys, checkRange, checkWrites, decodeKey, type EncodedKey } from './keys.js';
import type { Store, StoreRecord } from './port.js';

/**
 * Makes an empty store that lives in memory. Values are copied in both directions; nothing is wiped on `close`, the garbage
 * collector takes it.
 *
 * Every call rejects with `ERR_ARGUMENT` (`field` names the argument) or, after `close`, `ERR_CLOSED`; `commit` also with
 * `ERR_STORE_CONFLICT`.
 *
 * @example
 * const store = memoryStore();
 * await store.commit([{ key: ['note', '1'], value: new Uint8Array([1, 2, 3]), ifRev: 0 }]);
 * const [note] = await store.read([['note', '1']]);
 */
export function memoryStore(): Store {
  const records = new Map<EncodedKey, StoreRecord>();
  /** The keys of all records, space by space and in order: a listing looks at those of its range alone, a write moves those of its space. */
  const spaces = new Map<string, EncodedKey[]>();
  let lastRev = 0;
  let closed = false;

  const assertOpen = (): void => {
    if (closed) throw new UsageError('ERR_CLOSED', 'the store is closed');
  };
  const nameOf = (key: EncodedKey): string => key.slice(0, key.indexOf('\0'));
  const spaceOf = (key: EncodedKey): EncodedKey[] => spaces.get(nameOf(key)) ?? [];
  /** Where a key stands in the order, or would. */
  const placeOf = (order: readonly EncodedKey[], key: EncodedKey): number => {
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const handOut = ({ value, rev }: StoreRecord): StoreRecord => ({ value: copy(value), rev });

  return {
    async read(keys) {
      assertOpen();
      return checkKeys(keys).map((key) => {
        const record = records.get(key);
        return record && handOut(record);
      });
    },

    async list(prefix, limit, after) {
      assertOpen();
      const { gt, lt } = checkRange(prefix, limit, after);
      const order = spaceOf(`${lt.slice(0, -1)}\0`);
      const place = placeOf(order, gt);
      const first = order[place] === gt ? place + 1 : place;
      const keys = order.slice(first, Math.min(first + limit, placeOf(order, lt)));
      return keys.map((key) => ({ key: decodeKey(key)!, ...handOut(records.get(key)!) }));
    },

    async commit(writes) {
      assertOpen();
      const checked = checkWrites(writes);
      for (const { key, ifRev } of checked) {
        if (ifRev !== undefined && ifRev !== (records.get(key)?.rev ?? 0)) {
          throw new StoreError('ERR_STORE_CONFLICT', 'a record changed since it was read');
        }
      }
      lastRev++;
      for (const { key, value } of checked) {
        if (value === null) {
          const order = spaceOf(key);
          if (records.delete(key)) order.splice(placeOf(order, key), 1);
          continue;
        }
        if (!records.has(key)) {
          const order = spaceOf(key);
          order.splice(placeOf(order, key), 0, key);
          spaces.set(nameOf(key), order);
        }
        records.set(key, { value, rev: lastRev });
      }
    },

    async close() {
      closed = true;
      records.clear();
      spaces.clear();
    },
  };
}
