/**
 * A durable store for Node on LevelDB (`classic-level`, an optional peer dependency). One process at a time owns a directory.
 *
 * `node/rows.ts` has the layout: a counter that is written in the same batch as the records, so that a rev is never given out twice,
 * a check in each row, and a tally of all rows. An opening checks LevelDB's files (`node/check.ts`), then every row, then the witness
 * (`node/witness.ts`): what is damaged or missing is an error, never a record less. Values lie in clear: wrap the store to encrypt it.
 */

import { StoreError, UsageError } from '../errors.js';
import { checkKeys, checkRange, checkWrites } from './keys.js';
import { commitGroup, type Database, eraseDatabase, holdsDatabase, openDatabase, storeError, type Waiting } from './node/database.js';
import { decodeRow, recordKey, storeKey } from './node/rows.js';
import type { ErasureReport, Store } from './port.js';

/** Commits that share one synchronous batch at most: bounds its memory. */
const GROUP_COUNT = 256;

/**
 * Makes a store in the directory `path`, which is created for this user only (mode 0700); one that exists keeps its rights, and whoever may
 * enter it can read the files. It is opened by the first call, which reads and checks all that there is; a failed opening is tried again by the
 * next. `commit` resolves once its batch is synced to disk; commits
 * that wait at the same time share one batch, and each succeeds or conflicts alone.
 *
 * Throws `ERR_ARGUMENT` for an empty path. Calls reject with `ERR_ARGUMENT` (an argument, or `classic-level` is not installed),
 * `ERR_CLOSED`, `ERR_STORE_CONFLICT`, `ERR_STORE_LOCKED` (open elsewhere, or twice here), `ERR_STORE_CORRUPT` (a file is damaged,
 * truncated or missing, a record is not the one that was written, or synced commits are gone; `field` names the file where it is
 * known), `ERR_STORE_FULL`, `ERR_STORE_VERSION` (written by a newer layout; no record is touched) or `ERR_STORE_IO` with `cause`
 * (`field: 'path'`: the directory can't be written). After `ERR_STORE_IO` or `ERR_STORE_FULL` from a commit its outcome is unknown
 * until the next read: the disk may hold it.
 *
 * `erase` also destroys a store that is damaged or of a newer layout, whose records then can't be counted, but not one that is open
 * elsewhere. A directory without a database stays as it is. If it rejects, the store stays open, and it can be repeated. It deletes and
 * rewrites files; what a disk or a file system keeps of them elsewhere is beyond it.
 *
 * @example
 * const store = nodeStore('./alice-data');
 */
export function nodeStore(path: string): Store {
  if (typeof path !== 'string' || path === '') throw new UsageError('ERR_ARGUMENT', 'path must be a non-empty string', { field: 'path' });
  let opened: Promise<Database> | undefined;
  let closing: Promise<void> | undefined;
  let erasing: Promise<ErasureReport> | undefined;
  let committing: Promise<void> | undefined;
  const queue: Waiting[] = [];

  const assertOpen = (): void => {
    if (closing !== undefined || erasing !== undefined) throw new UsageError('ERR_CLOSED', 'the store is closed');
  };

  function open(previous?: Database): Promise<Database> {
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
    return db.torn ? open(db) : db;
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
        return rows.map((row, i) => (row === undefined ? undefined : decodeRow(wanted[i]!, row)));
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
        return rows.map(([key, row]) => ({ key: storeKey(key), ...decodeRow(key, row) }));
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
        await erasing?.catch(() => {});
        const db = await opened?.catch(() => undefined);
        await db?.close();
      })().catch((error: unknown) => {
        throw storeError(error);
      });
      return closing;
    },

    async erase() {
      assertOpen();
      erasing = (async () => {
        await committing;
        // LevelDB would take files for its own that others made.
        if (!(await holdsDatabase(path))) return { recordCount: 0, keyCount: 0 };
        // What can't be opened can be destroyed, unless somebody else has it open.
        const db = await writableDatabase().catch((error: unknown) => {
          if (error instanceof UsageError || storeError(error).code === 'ERR_STORE_LOCKED') throw error;
          return undefined;
        });
        opened = undefined;
        return eraseDatabase(path, db);
      })();
      try {
        return await erasing;
      } catch (error) {
        erasing = undefined;
        throw storeError(error);
      }
    },
  };
}
