/**
 * A durable store for browsers on IndexedDB (`idb`). Any number of tabs and workers of one origin may have it open; `shared` is how
 * they agree on one writer, and revisions guard the commits of those that don't.
 *
 * Layout 1, one database for each store, `cyphr:<name>`, version = layout. Object store `meta`, key 'meta': { layout, id, counter }.
 * Object store `records`, key = encoded key (`keys.ts`: IndexedDB compares strings by code units, so by bytes): { rev, value }. The
 * counter is the last rev given out; it is written in the same transaction as the records, so a rev is never given out twice,
 * whatever is deleted. `id` is 16 random bytes, made with the database and compared in every transaction: one that was deleted, or
 * deleted and made again, is never taken for the one that this store opened. Values lie in clear: wrap the store to encrypt it.
 */

import { type DBSchema, deleteDB, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import { encodeUtf8, equal } from '../bytes.js';
import { CyphrError, StoreError, UsageError } from '../errors.js';
import { type CheckedWrite, checkKeys, checkRange, checkWrites, decodeKey, type EncodedKey, holdsKeys } from './keys.js';
import type { ErasureReport, Store, StoreKey, StoreRecord } from './port.js';
import { sharedStore } from './shared.js';

const LAYOUT = 1;
const ID_BYTES = 16;
/** Commits that share one transaction at most: bounds its memory. */
const GROUP_COUNT = 256;
/** How long an erasure waits for the deletion of a database that it has emptied. */
const DELETION_MS = 2_000;
/** The greatest count that `getAll` takes. */
const MAX_COUNT = 0xffff_ffff;

interface Meta {
  readonly layout: number;
  readonly id: Uint8Array;
  readonly counter: number;
}
interface Layout extends DBSchema {
  meta: { key: 'meta'; value: Meta };
  records: { key: EncodedKey; value: StoreRecord };
}
const STORES: readonly ['meta', 'records'] = ['meta', 'records'];
type Mode = 'readonly' | 'readwrite';
type Transaction<M extends Mode> = IDBPTransaction<Layout, typeof STORES, M>;

/** An open database, and the id that it was made with. */
interface Database {
  readonly db: IDBPDatabase<Layout>;
  readonly id: Uint8Array;
}

/** A commit that waits for its group. */
interface Waiting {
  readonly writes: readonly CheckedWrite[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes a store in the IndexedDB database `cyphr:<name>` of this origin. It is opened by the first call; a failed opening is tried
 * again by the next. `commit` resolves once its transaction is complete with strict durability; commits that wait at the same time
 * share one transaction, and each succeeds or conflicts alone. The first commit asks the browser not to evict the origin's storage
 * (`navigator.storage.persist()`, at which some ask the person) and doesn't wait for the answer.
 *
 * Throws `ERR_ARGUMENT` for an empty name. Calls reject with `ERR_ARGUMENT` (an argument, or `field: 'store'`: the runtime has no
 * IndexedDB), `ERR_CLOSED`, `ERR_STORE_CONFLICT`, `ERR_STORE_FULL` (quota), `ERR_STORE_VERSION` (written by a newer layout; no record
 * is touched), `ERR_STORE_CORRUPT` (damaged, or deleted or evicted since this store opened it: it never comes back empty) or
 * `ERR_STORE_IO` with `cause` (also where a browser forbids storage). A connection that the browser or a newer version of the
 * application closed is opened again by the next call. After `ERR_STORE_IO` or `ERR_STORE_FULL` from a commit its outcome is unknown
 * until the next read.
 *
 * `erase` deletes all records in one transaction, then the database; a context that won't let go of it (a frozen tab) delays only
 * the second, and until then opening it again. It works on every layout. If it rejects, the store stays open; repeat it.
 *
 * @example
 * const store = idbStore('alice');
 */
export function idbStore(name: string): Store {
  if (typeof name !== 'string' || name === '' || encodeUtf8(name) === undefined) {
    throw new UsageError('ERR_ARGUMENT', 'name must be a non-empty string', { field: 'name' });
  }
  const databaseName = `cyphr:${name}`;
  const shared = sharedStore(`cyphr/store/${name}`);
  let opened: Promise<Database> | undefined;
  /** Of the database that the first call found or made. */
  let id: Uint8Array | undefined;
  let closing: Promise<void> | undefined;
  let erasing: Promise<ErasureReport> | undefined;
  let committing: Promise<void> | undefined;
  let isPersistenceAsked = false;
  const queue: Waiting[] = [];

  const assertOpen = (): void => {
    if (closing !== undefined || erasing !== undefined) throw new UsageError('ERR_CLOSED', 'the store is closed');
  };

  function open(): Promise<Database> {
    const opening = openDatabase(databaseName, id, () => drop(opening)).then(
      (database) => {
        id = database.id;
        return database;
      },
      (error: unknown) => {
        drop(opening);
        throw error;
      },
    );
    opened = opening;
    return opening;
  }
  function drop(connection: Promise<Database>): void {
    if (opened === connection) opened = undefined;
  }

  /** Runs `work` in one transaction on the database that this store knows; resolves once it is complete. */
  async function transact<M extends Mode, T>(mode: M, work: (tx: Transaction<M>, meta: Meta) => Promise<T>): Promise<T> {
    try {
      const connection = opened ?? open();
      const database = await connection;
      let tx: Transaction<M>;
      try {
        tx = database.db.transaction(STORES, mode, { durability: 'strict' });
      } catch (error) {
        // Closed, and nobody told us.
        drop(connection);
        throw error;
      }
      return await settle(tx, async () => work(tx, checkMeta(await tx.objectStore('meta').get('meta'), database.id)));
    } catch (error) {
      throw storeError(error);
    }
  }

  /** Empties the queue, group by group. Never rejects: each commit gets its own answer. */
  async function commitAll(): Promise<void> {
    while (queue.length > 0) {
      let group: Waiting[] = [];
      try {
        const conflicts = await transact('readwrite', (tx, meta) => {
          group = queue.splice(0, GROUP_COUNT);
          return commitGroup(tx, meta, group);
        });
        for (const waiting of group) {
          if (conflicts.has(waiting)) waiting.reject(new StoreError('ERR_STORE_CONFLICT', 'a record changed since it was read'));
          else waiting.resolve();
        }
      } catch (error) {
        const failed = group.length > 0 ? group : queue.splice(0);
        for (const waiting of failed) waiting.reject(error);
      }
    }
    committing = undefined;
  }

  async function disconnect(): Promise<void> {
    await committing;
    const database = await opened?.catch(() => undefined);
    database?.db.close();
    opened = undefined;
  }

  return {
    shared,

    async read(keys) {
      assertOpen();
      const wanted = checkKeys(keys);
      return transact('readonly', async (tx) => {
        const rows = await Promise.all(wanted.map((key) => tx.objectStore('records').get(key)));
        return rows.map((row) => (row === undefined ? undefined : checkRow(row)));
      });
    },

    async list(prefix, limit, after) {
      assertOpen();
      const { gt, lt } = checkRange(prefix, limit, after);
      return transact('readonly', async (tx) => {
        if (gt >= lt) return [];
        const range = IDBKeyRange.bound(gt, lt, true, true);
        const count = Math.min(limit, MAX_COUNT);
        const records = tx.objectStore('records');
        const [keys, rows] = await Promise.all([records.getAllKeys(range, count), records.getAll(range, count)]);
        return rows.map((row, i) => ({ key: storeKey(keys[i]!), ...checkRow(row) }));
      });
    },

    async commit(writes) {
      assertOpen();
      const checked = checkWrites(writes);
      if (!isPersistenceAsked) askForPersistence();
      isPersistenceAsked = true;
      const done = new Promise<void>((resolve, reject) => {
        queue.push({ writes: checked, resolve, reject });
      });
      committing ??= commitAll();
      return done;
    },

    close() {
      closing ??= Promise.allSettled([erasing])
        .then(disconnect)
        .then(() => shared?.close());
      return closing;
    },

    async erase() {
      assertOpen();
      erasing = disconnect().then(() => eraseDatabase(databaseName));
      try {
        const report = await erasing;
        await shared?.close();
        return report;
      } catch (error) {
        erasing = undefined;
        throw storeError(error);
      }
    },
  };
}

/** The runtime's IndexedDB must be there; some browsers throw where it is forbidden. */
function assertIndexedDb(): void {
  if (globalThis.indexedDB !== undefined) return;
  throw new UsageError('ERR_ARGUMENT', 'idbStore needs a runtime with IndexedDB', { field: 'store' });
}

/** Opens or makes the database; with `id` it must be that one. `onEnd` is called when the connection has ended by itself. */
async function openDatabase(name: string, id: Uint8Array | undefined, onEnd: () => void): Promise<Database> {
  let isGone = false;
  try {
    assertIndexedDb();
    const db = await openDB<Layout>(name, LAYOUT, {
      upgrade(made, _from, _to, tx) {
        isGone = id !== undefined;
        if (isGone) return abort(tx);
        for (const each of STORES) made.createObjectStore(each);
      },
      // Somebody deletes the database, or brings a newer layout: nobody has to wait for us.
      blocking(_from, _to, event) {
        (event.target as IDBDatabase).close();
        onEnd();
      },
      terminated: onEnd,
    });
    try {
      return { db, id: await readId(db, id) };
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw isGone ? gone() : storeError(error);
  }
}

/** The id of the database; an empty one that nobody has used gets one, unless `known` is expected. */
async function readId(db: IDBPDatabase<Layout>, known: Uint8Array | undefined): Promise<Uint8Array> {
  if (!STORES.every((each) => db.objectStoreNames.contains(each))) {
    throw new StoreError('ERR_STORE_CORRUPT', 'the database lacks an object store');
  }
  const tx = db.transaction(STORES, 'readwrite', { durability: 'strict' });
  return settle(tx, async () => {
    const [meta, rowCount] = await Promise.all([tx.objectStore('meta').get('meta'), tx.objectStore('records').count()]);
    if (meta !== undefined || known !== undefined) return checkMeta(meta, known).id;
    if (rowCount > 0) throw new StoreError('ERR_STORE_CORRUPT', 'the database has records but no layout');
    const id = crypto.getRandomValues(new Uint8Array(ID_BYTES));
    await tx.objectStore('meta').put({ layout: LAYOUT, id, counter: 0 }, 'meta');
    return id;
  });
}

/** Runs `work`, then waits until `tx` is complete. Whatever fails aborts it; the reason of that is what is thrown. */
async function settle<M extends Mode, T>(tx: Transaction<M>, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    await tx.done;
    return result;
  } catch (error) {
    abort(tx);
    // Requests that an abort has ended say so and nothing else; the transaction knows why.
    throw error instanceof CyphrError ? error : (tx.error ?? error);
  }
}

/** Aborts a transaction, if it is still running. */
function abort(tx: { readonly done: Promise<void>; abort(): void }): void {
  tx.done.catch(() => {});
  try {
    tx.abort();
  } catch {
    // It has ended.
  }
}

/**
 * Checks each commit against the database and the commits before it in the group, and writes those that hold. Answers which conflict.
 */
async function commitGroup(tx: Transaction<'readwrite'>, meta: Meta, group: readonly Waiting[]): Promise<ReadonlySet<Waiting>> {
  const revs = await currentRevs(tx, group);
  const rows = new Map<EncodedKey, StoreRecord | null>();
  const conflicts = new Set<Waiting>();
  let counter = meta.counter;
  for (const waiting of group) {
    if (waiting.writes.some(({ key, ifRev }) => ifRev !== undefined && ifRev !== (revs.get(key) ?? 0))) {
      conflicts.add(waiting);
      continue;
    }
    counter++;
    for (const { key, value } of waiting.writes) {
      rows.set(key, value === null ? null : { rev: counter, value });
      revs.set(key, value === null ? 0 : counter);
    }
  }
  if (rows.size === 0) return conflicts;
  const records = tx.objectStore('records');
  // `async`: a request that can't even be made must leave no other one without a listener for its failure.
  const writes = [...rows].map(async ([key, row]) => void (await (row === null ? records.delete(key) : records.put(row, key))));
  await Promise.all([...writes, tx.objectStore('meta').put({ ...meta, counter }, 'meta')]);
  return conflicts;
}

/** The revs of all keys that the group's conditions name; absent keys are not in the map. */
async function currentRevs(tx: Transaction<'readwrite'>, group: readonly Waiting[]): Promise<Map<EncodedKey, number>> {
  const conditional = group.flatMap(({ writes }) => writes.filter(({ ifRev }) => ifRev !== undefined).map(({ key }) => key));
  const revs = new Map<EncodedKey, number>();
  const read = async (key: EncodedKey): Promise<void> => {
    const row = await tx.objectStore('records').get(key);
    if (row !== undefined) revs.set(key, checkRow(row).rev);
  };
  await Promise.all([...new Set(conditional)].map(read));
  return revs;
}

/** Deletes the rows, durably, then the database. Neither makes one, nor needs to understand its layout. */
async function eraseDatabase(name: string): Promise<ErasureReport> {
  assertIndexedDb();
  let isAbsent = false;
  const db = await openDB(name, undefined, {
    upgrade(_made, _from, _to, tx) {
      isAbsent = true;
      abort(tx);
    },
  }).catch((error: unknown) => {
    if (!isAbsent) throw error;
  });
  if (db === undefined) return { recordCount: 0, keyCount: 0 };
  let keys: readonly EncodedKey[];
  try {
    keys = await clearAll(db);
  } finally {
    db.close();
  }
  await new Promise<void>((resolve, reject) => {
    // Blocked, or held up without a word by a frozen tab: it goes when the last one lets go, and holds nothing until then.
    const timer = setTimeout(resolve, DELETION_MS);
    deleteDB(name, { blocked: () => resolve() })
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
  return { recordCount: keys.length, keyCount: keys.filter(holdsKeys).length };
}

/** Empties every object store in one transaction; answers the keys of the records that there were. */
async function clearAll(db: IDBPDatabase): Promise<readonly EncodedKey[]> {
  const stores = [...db.objectStoreNames];
  if (stores.length === 0) return [];
  const tx = db.transaction(stores, 'readwrite', { durability: 'strict' });
  const keys = stores.includes('records') ? tx.objectStore('records').getAllKeys() : [];
  const [found] = await Promise.all([keys, ...stores.map((each) => tx.objectStore(each).clear()), tx.done]);
  return found.map(String);
}

/** Asks the browser to keep the origin's storage when space is short. Whatever it answers, we go on. */
function askForPersistence(): void {
  try {
    globalThis.navigator?.storage?.persist?.().catch(() => {});
  } catch {
    // Forbidden here.
  }
}

const gone = (): StoreError => new StoreError('ERR_STORE_CORRUPT', 'the database was deleted or evicted while it was in use');

/** Checks the layout row, and that it is still the one of `known`. */
function checkMeta(meta: Meta | undefined, known: Uint8Array | undefined): Meta {
  if (meta === undefined) throw gone();
  const { layout, id, counter } = meta;
  if (Number.isSafeInteger(layout) && layout > LAYOUT) throw newerLayout({ got: layout });
  if (layout !== LAYOUT || !(id instanceof Uint8Array) || id.length !== ID_BYTES || !Number.isSafeInteger(counter) || counter < 0) {
    throw new StoreError('ERR_STORE_CORRUPT', 'the layout row is damaged');
  }
  if (known !== undefined && !equal(id, known)) throw gone();
  return meta;
}

function checkRow(row: StoreRecord): StoreRecord {
  if (!Number.isSafeInteger(row?.rev) || row.rev < 1 || !(row.value instanceof Uint8Array)) {
    throw new StoreError('ERR_STORE_CORRUPT', 'a record is damaged');
  }
  return { value: row.value, rev: row.rev };
}

function storeKey(key: EncodedKey): StoreKey {
  const decoded = typeof key === 'string' ? decodeKey(key) : undefined;
  if (decoded === undefined) throw new StoreError('ERR_STORE_CORRUPT', 'a key is damaged');
  return decoded;
}

function newerLayout(options: { readonly got?: number; readonly cause?: unknown }): StoreError {
  return new StoreError('ERR_STORE_VERSION', 'the store was written by a newer layout', { field: 'layout', max: LAYOUT, ...options });
}

/** Wraps what IndexedDB throws. Our own errors pass. */
function storeError(cause: unknown): CyphrError {
  if (cause instanceof CyphrError) return cause;
  const kind = typeof cause === 'object' && cause !== null && 'name' in cause ? cause.name : '';
  switch (kind) {
    case 'QuotaExceededError':
      return new StoreError('ERR_STORE_FULL', 'the storage quota is exhausted', { cause });
    case 'VersionError':
      return newerLayout({ cause });
    // An object store, or the file of a value, is missing.
    case 'NotFoundError':
    case 'NotReadableError':
      return new StoreError('ERR_STORE_CORRUPT', 'the database is damaged', { cause });
    default:
      return new StoreError('ERR_STORE_IO', 'the database failed', { cause });
  }
}
