/** The port to durable storage. Types only; adapters and the client import it, the core never does. */

/** A key: a space and a path of arbitrary Unicode components. Prefixes match whole components; adapters escape. */
export type StoreKey = readonly [space: string, ...path: string[]];

/** A stored value. `rev` is positive, grows, and is never reused for a key, not even after delete and create. */
export interface StoreRecord {
  readonly value: Uint8Array;
  readonly rev: number;
}

/** One write of a commit. `value: null` deletes. `ifRev` makes the whole commit conditional; 0 = the key must be absent. */
export interface Write {
  readonly key: StoreKey;
  readonly value: Uint8Array | null;
  readonly ifRev?: number | undefined;
}

/**
 * Durable, atomic, revisioned storage for one device.
 *
 * Values are copied in both directions. Adapters throw `StoreError`; anything else that they throw is wrapped as `ERR_STORE_IO`.
 */
export interface Store {
  /** Reads in the order of `keys`; an absent key is `undefined`, never empty bytes. */
  read(keys: readonly StoreKey[]): Promise<(StoreRecord | undefined)[]>;
  /** At most `limit` records strictly below `prefix` (whole components), in UTF-8 byte order of the components, after `after`. */
  list(prefix: StoreKey, limit: number, after?: StoreKey): Promise<(StoreRecord & { readonly key: StoreKey })[]>;
  /** All writes or none, durable once it resolves. Throws `ERR_STORE_CONFLICT` if an `ifRev` does not hold. */
  commit(writes: readonly Write[]): Promise<void>;
  /** Releases the storage. Idempotent; later calls reject with `ERR_CLOSED`. */
  close(): Promise<void>;
}
