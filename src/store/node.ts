/**
 * A durable store for Node on LevelDB (`classic-level`, an optional peer dependency). One process at a time owns a directory.
 *
 * Layout 1, all keys and values binary. Meta row: key 0x00, value layout u32 ‖ counter u64. Records: key 0x01 ‖ encoded key
 * (`keys.ts`), value rev u64 ‖ the caller's bytes. The counter is the last rev given out; it is written in the same batch as the
 * records, so a rev is never given out twice, whatever is deleted. Values lie in clear: wrap the store to encrypt it.
 */

import { mkdir } from 'node:fs/promises';
import type { ClassicLevel } from 'classic-level';
import { concat, copy, u32, u64 } from '../bytes.js';
import { CyphrError, StoreError, UsageError } from '../errors.js';
import { type CheckedWrite, checkKeys, checkRange, checkWrites, decodeKey, type EncodedKey } from './keys.js';
import type { Store, StoreKey, StoreRecord } from './port.js';

type Level = ClassicLevel<Buffer, Uint8Array>;

const LAYOUT = 1;
const META = Buffer.from([0]);
const META_BYTES = 12;
const REV_BYTES = 8;
/** Commits that share one synchronous batch at most: bounds its memory. */
const GROUP_COUNT = 256;

/** An open database, the last rev that it gave out, and whether a batch failed on it. */
interface Database {
  readonly level: Level;
  counter: number;
  torn: boolean;
}

/** A commit that waits for its group. */
interface Waiting {
  readonly writes: readonly CheckedWrite[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes a store in the directory `path`, which is created for this user only (mode 0700). It is opened by the first call; a failed
 * opening is tried again by the next. `commit` resolves once its batch is synced to disk; commits that wait at the same time share
 * one batch, and each succeeds or conflicts alone.
 *
 * Throws `ERR_ARGUMENT` for an empty path. Calls reject with `ERR_ARGUMENT` (an argument, or `classic-level` is not installed),
 * `ERR_CLOSED`, `ERR_STORE_CONFLICT`, `ERR_STORE_LOCKED` (open elsewhere, or twice here), `ERR_STORE_CORRUPT`, `ERR_STORE_FULL`,
 * `ERR_STORE_VERSION` (written by a newer layout; no record is touched) or `ERR_STORE_IO` with `cause`. After `ERR_STORE_IO` or
 * `ERR_STORE_FULL` from a commit its outcome is unknown until the next read: the disk may hold it.
 *
 * @example
 * const store = nodeStore('./alice-data');
 */
export function nodeStore(path: string): Store {
  if (typeof path !== 'string' || path === '') throw new UsageError('ERR_ARGUMENT', 'path must be a non-empty string', { field: 'path' });
  let opened: Promise<Database> | undefined;
  let closing: Promise<void> | undefined;
  let committing: Promise<void> | undefined;
  const queue: Waiting[] = [];

  const assertOpen = (): void => {
    if (closing !== undefined) throw new UsageError('ERR_CLOSED', 'the store is closed');
  };

  function open(previous?: Level): Promise<Database> {
    opened = (previous?.close() ?? Promise.resolve())
      .then(() => openDatabase(path))
      .catch((error: unknown) => {
        opened = undefined;
        throw storeError(error);
      });
    return opened;
  }
  const database = (): Promise<Database> => opened ?? open();

  /** After a failed batch LevelDB's log may end in half a record, and what follows it would be lost: only a fresh log is safe. */
  async function writableDatabase(): Promise<Database> {
    const db = await database();
    return db.torn ? open(db.level) : db;
  }

  /** Empties the queue, group by group. Never rejects: each commit gets its own answer. */
  async function commitAll(): Promise<void> {
    while (queue.length > 0) {
      let group: Waiting[] = [];
      try {
        const db = await writableDatabase();
        group = queue.splice(0, GROUP_COUNT);
        const conflicts = await commitGroup(db, group);
        for (const waiting of group) {
          if (conflicts.has(waiting)) waiting.reject(new StoreError('ERR_STORE_CONFLICT', 'a record changed since it was read'));
          else waiting.resolve();
        }
      } catch (error) {
        const failed = group.length > 0 ? group : queue.splice(0);
        for (const waiting of failed) waiting.reject(storeError(error));
      }
    }
    committing = undefined;
  }

  return {
    async read(keys) {
      assertOpen();
      const wanted = checkKeys(keys).map(recordKey);
      const { level } = await database();
      try {
        const rows = await level.getMany(wanted);
        return rows.map((row) => (row === undefined ? undefined : decodeRecord(row)));
      } catch (error) {
        throw storeError(error);
      }
    },

    async list(prefix, limit, after) {
      assertOpen();
      const { gt, lt } = checkRange(prefix, limit, after);
      const { level } = await database();
      try {
        const rows = await level.iterator({ gt: recordKey(gt), lt: recordKey(lt), limit }).all();
        return rows.map(([key, row]) => ({ key: storeKey(key), ...decodeRecord(row) }));
      } catch (error) {
        throw storeError(error);
      }
    },

    async commit(writes) {
      assertOpen();
      const checked = checkWrites(writes);
      const done = new Promise<void>((resolve, reject) => {
        queue.push({ writes: checked, resolve, reject });
      });
      committing ??= commitAll();
      return done;
    },

    close() {
      closing ??= (async () => {
        await committing;
        const db = await opened?.catch(() => undefined);
        await db?.level.close();
      })().catch((error: unknown) => {
        throw storeError(error);
      });
      return closing;
    },
  };
}

/** Opens or creates the database and checks its layout before anything is written. */
async function openDatabase(path: string): Promise<Database> {
  const { ClassicLevel } = await import('classic-level').catch((cause: unknown) => {
    throw new UsageError('ERR_ARGUMENT', 'nodeStore needs the package classic-level: npm install classic-level', { field: 'store', cause });
  });
  await mkdir(path, { recursive: true, mode: 0o700 });
  // No compression: lengths on disk must not depend on what secrets stand beside.
  const level: Level = new ClassicLevel(path, { keyEncoding: 'buffer', valueEncoding: 'view', compression: false });
  await level.open();
  try {
    return { level, counter: await readCounter(level), torn: false };
  } catch (error) {
    await level.close();
    throw error;
  }
}

/** The last rev given out; 0 for an empty database. Throws `ERR_STORE_VERSION` or `ERR_STORE_CORRUPT`. */
async function readCounter(level: Level): Promise<number> {
  const meta = await level.get(META);
  if (meta === undefined) {
    const [foreign] = await level.keys({ limit: 1 }).all();
    if (foreign !== undefined) throw new StoreError('ERR_STORE_CORRUPT', 'the database has records but no layout');
    return 0;
  }
  const layout = meta.length < 4 ? 0 : view(meta).getUint32(0);
  if (layout > LAYOUT) {
    throw new StoreError('ERR_STORE_VERSION', 'the store was written by a newer layout', { field: 'layout', got: layout, max: LAYOUT });
  }
  if (layout !== LAYOUT || meta.length !== META_BYTES) throw new StoreError('ERR_STORE_CORRUPT', 'the layout row is damaged');
  return readRev(meta, 4);
}

/**
 * Checks each commit against the database and the commits before it in the group, and writes those that hold as one synced batch.
 * Answers which conflict.
 */
async function commitGroup(db: Database, group: readonly Waiting[]): Promise<ReadonlySet<Waiting>> {
  const revs = await currentRevs(db.level, group);
  const rows = new Map<EncodedKey, Uint8Array | null>();
  const conflicts = new Set<Waiting>();
  let counter = db.counter;
  for (const waiting of group) {
    if (waiting.writes.some(({ key, ifRev }) => ifRev !== undefined && ifRev !== (revs.get(key) ?? 0))) {
      conflicts.add(waiting);
      continue;
    }
    counter++;
    for (const { key, value } of waiting.writes) {
      rows.set(key, value === null ? null : concat(u64(counter), value));
      revs.set(key, value === null ? 0 : counter);
    }
  }
  if (rows.size === 0) return conflicts;
  const batch = [...rows].map(([key, value]) =>
    value === null ? { type: 'del' as const, key: recordKey(key) } : { type: 'put' as const, key: recordKey(key), value },
  );
  try {
    await db.level.batch([...batch, { type: 'put', key: META, value: concat(u32(LAYOUT), u64(counter)) }], { sync: true });
  } catch (error) {
    db.torn = true;
    throw error;
  }
  db.counter = counter;
  return conflicts;
}

/** The revs of all keys that the group's conditions name; absent keys are not in the map. */
async function currentRevs(level: Level, group: readonly Waiting[]): Promise<Map<EncodedKey, number>> {
  const conditional = group.flatMap(({ writes }) => writes.filter(({ ifRev }) => ifRev !== undefined).map(({ key }) => key));
  const keys = [...new Set(conditional)];
  const values = keys.length === 0 ? [] : await level.getMany(keys.map(recordKey));
  const revs = new Map<EncodedKey, number>();
  keys.forEach((key, i) => {
    const value = values[i];
    if (value !== undefined) revs.set(key, decodeRecord(value).rev);
  });
  return revs;
}

const recordKey = (key: EncodedKey): Buffer => Buffer.from(`\x01${key}`, 'latin1');

function storeKey(key: Buffer): StoreKey {
  const decoded = decodeKey(key.toString('latin1', 1));
  if (decoded === undefined) throw new StoreError('ERR_STORE_CORRUPT', 'a key is damaged');
  return decoded;
}

function decodeRecord(row: Uint8Array): StoreRecord {
  return { value: copy(row.subarray(REV_BYTES)), rev: readRev(row, 0) };
}

function readRev(bytes: Uint8Array, offset: number): number {
  const rev = bytes.length < offset + REV_BYTES ? 0n : view(bytes).getBigUint64(offset);
  if (rev < 1n || rev > BigInt(Number.MAX_SAFE_INTEGER)) throw new StoreError('ERR_STORE_CORRUPT', 'a rev is damaged');
  return Number(rev);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Wraps what LevelDB and the file system throw, by the first cause that names a meaning. Our own errors pass. */
function storeError(error: unknown): CyphrError {
  if (error instanceof CyphrError) return error;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'LEVEL_LOCKED') return new StoreError('ERR_STORE_LOCKED', 'the store is open elsewhere', { cause: error });
    if (code === 'LEVEL_CORRUPTION') return new StoreError('ERR_STORE_CORRUPT', 'the database is damaged', { cause: error });
    // LevelDB hands on the system's text only.
    if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left|quota exceeded/i.test(cause.message)) {
      return new StoreError('ERR_STORE_FULL', 'the disk is full', { cause: error });
    }
  }
  return new StoreError('ERR_STORE_IO', 'the database failed', { cause: error });
}
