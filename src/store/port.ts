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
  /**
   * Destroys everything, keys before what they protect, without having to unlock it; then the store is closed. Safe to repeat after
   * a crash. Stores without it are emptied row by row, secrets first.
   */
  erase?(): Promise<ErasureReport>;
  /** Only where other tabs or workers can open the same store at the same time: how they agree on one writer. Decorators pass it on. */
  readonly shared?: SharedStore | undefined;
}

/** What an erasure removed: records in all, and how many of them were keys. */
export interface ErasureReport {
  readonly recordCount: number;
  readonly keyCount: number;
}

/** How the contexts (tabs, workers) that have one store open agree on one writer, and talk to each other. */
export interface SharedStore {
  /**
   * Asks to be the only writer. `if-free` answers at once, `undefined` if another context is; `wait` answers when the others are gone
   * (rejects with `signal.reason`); `steal` takes it from whoever has it, whose `lost` then resolves.
   */
  lead(how: 'if-free' | 'wait' | 'steal', options?: { readonly signal?: AbortSignal | undefined }): Promise<Leadership | undefined>;
  /** Talks to the other contexts: messages are structured clones, go to all others, and may be lost when one dies. */
  join(onMessage: (message: unknown) => void): SharedChannel;
}

/** The right to write, until it is released, stolen, or its context dies. */
export interface Leadership {
  /** Resolves when another context has stolen it. Commits that still run are guarded by their revisions. */
  readonly lost: Promise<void>;
  release(): void;
}

/** A way to the other contexts. */
export interface SharedChannel {
  post(message: unknown): void;
  close(): void;
}

/**
 * One way to unlock a sealed store's 32-byte master key: a passphrase, a key of the platform, a hardware token. It seals the master
 * key so that only it can open it again; what it needs for that (salt, parameters, key id) travels inside the sealed bytes.
 */
export interface KeySlot {
  /** The sort of slot, for people and for choosing: `passphrase`, `raw`, `pkcs11`. Not secret. */
  readonly kind: string;
  /** Seals the 32-byte `masterKey`, which stays the caller's to wipe, bound to `ad`. Rejects with `signal.reason` on abort. */
  seal(masterKey: Uint8Array, ad: Uint8Array, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
  /**
   * The 32-byte master key, which the caller wipes. Rejects with `ERR_STORE_KEY` if this key, or this `ad`, doesn't open it. A store
   * with several slots of the kind tries one after the other; calls of one attempt, and no others, have the same `signal`, so that a
   * person is asked once.
   */
  open(sealed: Uint8Array, ad: Uint8Array, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
}
