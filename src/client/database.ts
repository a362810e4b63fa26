/**
 * The client's view of its store: one writer, one guard, one commit for all that waits.
 *
 * Every commit carries the row `['generation']` (storeId ‖ generation) under its revision, so that a second writer on the same store
 * makes the commit conflict instead of losing an update, and a copy can be told by its generation. What waits while a commit
 * runs goes into the next one together (group commit); nothing resolves before the commit that covers it.
 */

import { compare, concat, u64 } from '../bytes.js';
import { isCyphrError, StoreError } from '../errors.js';
import type { Store, StoreKey, StoreRecord, Write } from '../store/port.js';
import { reader } from '../wire/codec.js';

/** Records asked for at once. */
const PAGE = 256;
/** Where the generation stands. */
const GENERATION: StoreKey = ['generation'];

/** Reads and commits of one client. */
export interface Database {
  /** 16 random bytes, made with the store. */
  readonly storeId: Uint8Array;
  /** Number of the last commit. */
  generation(): number;
  read(key: StoreKey): Promise<Uint8Array | undefined>;
  /** The records below `prefix`, in order: all, or at most `limit` after `after`. */
  list(prefix: StoreKey, limit?: number, after?: StoreKey): Promise<(StoreRecord & { readonly key: StoreKey })[]>;
  /** Durable when it resolves, together with whatever else waited. Keys of one call are distinct. */
  commit(writes: readonly Write[]): Promise<void>;
  close(): Promise<void>;
}

/** Runs a store call; what is not an error of ours becomes `ERR_STORE_IO` with its cause. */
export async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (isCyphrError(cause)) throw cause;
    throw new StoreError('ERR_STORE_IO', 'the store failed', { cause });
  }
}

/** Opens the database; `storeId` is written with the first commit of an empty store. Throws what the store throws, `ERR_STORE_CORRUPT`. */
export async function openDatabase(
  store: Store,
  freshStoreId: () => Uint8Array,
  onCommit: (durationMs: number) => void,
  now: () => number,
): Promise<Database> {
  const [found] = await storeCall(() => store.read([GENERATION]));
  if (found !== undefined && found.value.length !== 24) throw new StoreError('ERR_STORE_CORRUPT', 'the generation row is damaged');
  const storeId = found === undefined ? freshStoreId() : found.value.slice(0, 16);
  let generation = found === undefined ? 0 : reader(found.value.subarray(16)).u64();
  let rev = found === undefined ? 0 : found.rev;

  interface Waiting {
    readonly writes: readonly Write[];
    readonly resolve: () => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let running = false;
  /** Set once another writer was met: nothing in memory is known to match the store any more. */
  let lost: StoreError | undefined;

  /** Takes what can go into one commit: no key twice, in call order. */
  const takeGroup = (): Waiting[] => {
    const keys = new Set<string>();
    const group: Waiting[] = [];
    for (const entry of waiting) {
      const names = entry.writes.map(({ key }) => JSON.stringify(key));
      if (names.some((name) => keys.has(name))) break;
      for (const name of names) keys.add(name);
      group.push(entry);
    }
    waiting = waiting.slice(group.length);
    return group;
  };

  const commitGroup = async (group: readonly Waiting[]): Promise<void> => {
    const startMs = now();
    const value = concat(storeId, u64(generation + 1));
    try {
      await storeCall(() => store.commit([{ key: GENERATION, value, ifRev: rev }, ...group.flatMap((entry) => entry.writes)]));
    } catch (error) {
      // A commit that failed may have happened all the same: the generation tells.
      const [row] = await storeCall(() => store.read([GENERATION]));
      if ((row?.rev ?? 0) === rev) throw error;
    }
    const [row] = await storeCall(() => store.read([GENERATION]));
    if (row === undefined || compare(row.value, value) !== 0) {
      lost = new StoreError('ERR_STORE_CONFLICT', 'another writer uses this store');
      throw lost;
    }
    generation += 1;
    rev = row.rev;
    onCommit(now() - startMs);
  };

  const run = async (): Promise<void> => {
    running = true;
    while (waiting.length > 0) {
      const group = takeGroup();
      try {
        if (lost !== undefined) throw lost;
        await commitGroup(group);
        for (const entry of group) entry.resolve();
      } catch (error) {
        for (const entry of group) entry.reject(error);
      }
    }
    running = false;
  };

  return {
    storeId,
    generation: () => generation,
    async read(key) {
      const [record] = await storeCall(() => store.read([key]));
      return record?.value;
    },
    async list(prefix, limit = Number.POSITIVE_INFINITY, after) {
      const all: (StoreRecord & { readonly key: StoreKey })[] = [];
      for (;;) {
        const last = all.at(-1)?.key ?? after;
        const count = Math.min(PAGE, limit - all.length);
        const page = await storeCall(() => (last === undefined ? store.list(prefix, count) : store.list(prefix, count, last)));
        all.push(...page);
        if (page.length < count || all.length >= limit) return all;
      }
    },
    commit: (writes) =>
      new Promise((resolve, reject) => {
        waiting.push({ writes, resolve, reject });
        if (!running) void run();
      }),
    close: () => storeCall(() => store.close()),
  };
}
