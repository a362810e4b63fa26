/**
 * The client's view of its store: one writer, one guard, one commit for all that waits.
 *
 * Every commit carries the row `['generation']` (storeId 16 ‖ generation u64 ‖ 16 random bytes that name the commit) under its revision,
 * so that a second writer on the same store makes the commit conflict instead of losing an update, and a copy can be told by its
 * generation. What waits while a commit runs goes into the next one together (group commit); nothing resolves before the commit
 * that covers it. After a commit that failed, that row tells whether it happened all the same.
 */

import { compare, concat, u64, wipe } from '../bytes.js';
import { type AnyCyphrError, isCyphrError, StoreError, UsageError } from '../errors.js';
import type { Now, Rng } from '../step.js';
import type { Store, StoreKey, StoreRecord, Write } from '../store/port.js';
import { reader } from '../wire/codec.js';

/** Records asked for at once. */
const PAGE = 256;
/** Where the generation stands. */
export const GENERATION: StoreKey = ['generation'];
const GUARD_BYTES = 40;

/** Reads and commits of one client. */
export interface Database {
  /** 16 random bytes, made with the store. */
  readonly storeId: Uint8Array;
  /** Number of the last commit. */
  generation(): number;
  read(key: StoreKey): Promise<Uint8Array | undefined>;
  /** The records below `prefix`, in order: all, or at most `limit` after `after`. */
  list(prefix: StoreKey, limit?: number, after?: StoreKey): Promise<(StoreRecord & { readonly key: StoreKey })[]>;
  /**
   * Durable when it resolves, together with whatever else waited. Keys of one call are distinct. Takes the values over, and wipes them.
   * A rejection means that nothing was written, unless the store can't say: then later commits reject too if it was.
   */
  commit(writes: readonly Write[]): Promise<void>;
  /** From now on commits reject with `error`. The first call decides. */
  fail(error: AnyCyphrError): void;
  /** Lets the running commit end; those that wait, and later ones, reject. The store stays open. */
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

/** What an open database needs from its client. */
export interface DatabaseHost {
  rng: Rng;
  now: Now;
  /** The first commit gives the store a new id: what follows is another device's. */
  renew?: boolean;
  onCommit(durationMs: number): void;
  /** Another writer was met, or a commit that was thought to have failed: what is in memory does not match the store any more. */
  onLost(error: StoreError): void;
}

interface Waiting {
  readonly writes: readonly Write[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Opens the database; `storeId` is written with the first commit of an empty store. Throws what the store throws, `ERR_STORE_CORRUPT`. */
export async function openDatabase(store: Store, host: DatabaseHost): Promise<Database> {
  const readGuard = async (): Promise<StoreRecord | undefined> => (await storeCall(() => store.read([GENERATION])))[0];
  const found = await readGuard();
  if (found !== undefined && found.value.length !== GUARD_BYTES) {
    throw new StoreError('ERR_STORE_CORRUPT', 'the generation row is damaged');
  }
  const storeId = found === undefined || host.renew === true ? host.rng(16) : found.value.slice(0, 16);
  let generation = found === undefined ? 0 : reader(found.value.subarray(16, 24)).u64();
  let rev = found === undefined ? 0 : found.rev;

  let waiting: Waiting[] = [];
  let running: Promise<void> | undefined;
  let failed: AnyCyphrError | undefined;
  /** A commit failed, and the store could not say whether it happened. */
  let inDoubt = false;

  const lost = (): StoreError => {
    const error = new StoreError('ERR_STORE_CONFLICT', 'the store holds a commit that this client did not make');
    failed ??= error;
    host.onLost(error);
    return error;
  };

  /** Takes what can go into one commit: no key twice, in call order. */
  const takeGroup = (): Waiting[] => {
    if (waiting.length === 1) return waiting.splice(0);
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

  const commit = async (writes: readonly Write[]): Promise<void> => {
    if (failed !== undefined) throw failed;
    if (inDoubt && ((await readGuard())?.rev ?? 0) !== rev) throw lost();
    inDoubt = false;
    const startMs = host.now();
    const value = concat(storeId, u64(generation + 1), host.rng(16));
    // Made when it is thrown: an error costs more than the rest of a commit.
    let failure = (): unknown => new StoreError('ERR_STORE_IO', 'the store forgot a commit');
    inDoubt = true;
    try {
      await storeCall(() => store.commit([{ key: GENERATION, value, ifRev: rev }, ...writes]));
    } catch (error) {
      failure = () => error;
    }
    let row: StoreRecord | undefined;
    try {
      row = await readGuard();
    } catch (error) {
      const reason = failure();
      throw reason instanceof StoreError ? reason : error;
    }
    inDoubt = false;
    if ((row?.rev ?? 0) === rev) throw failure();
    if (row === undefined || compare(row.value, value) !== 0) throw lost();
    generation += 1;
    rev = row.rev;
    try {
      host.onCommit(host.now() - startMs);
    } catch {
      // It is committed: a clock or an observer that fails is no reason to say that it is not.
    }
  };

  const commitAll = async (entries: readonly Waiting[]): Promise<void> => {
    try {
      await commit(entries.flatMap(({ writes }) => writes));
      for (const { resolve } of entries) resolve();
    } catch (error) {
      // One of them may be at fault: none of the others fails for it.
      if (entries.length > 1) for (const entry of entries) await commitAll([entry]);
      else entries[0]!.reject(error);
    }
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = takeGroup();
      await commitAll(group);
      for (const { writes } of group) for (const { value } of writes) if (value !== null) wipe(value);
    }
    running = undefined;
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
        waiting.push({ writes: deletedOnce(writes), resolve, reject });
        running ??= run();
      }),
    fail(error) {
      failed ??= error;
    },
    async close() {
      failed ??= new UsageError('ERR_CLOSED', 'the client is closed');
      await running;
    },
  };
}

/** `writes` without what is deleted a second time: what goes into one commit comes from several hands, which may clear the same row. */
function deletedOnce(writes: readonly Write[]): readonly Write[] {
  const deleted = new Set<string>();
  return writes.filter(({ key, value }) => {
    if (value !== null) return true;
    const name = JSON.stringify(key);
    const isFirst = !deleted.has(name);
    deleted.add(name);
    return isFirst;
  });
}
