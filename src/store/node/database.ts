/**
 * The database of a `nodeStore`: opened only if it is whole, written in batches that carry its counter and tally, erased keys first. Knows
 * LevelDB and the rows; which commits wait together is the store's affair.
 */

import { mkdir, readdir } from 'node:fs/promises';
import type { ClassicLevel } from 'classic-level';
import { equal } from '../../bytes.js';
import { CyphrError, StoreError, UsageError } from '../../errors.js';
import { type CheckedWrite, type EncodedKey, holdsKeys } from '../keys.js';
import type { ErasureReport } from '../port.js';
import { findDamage } from './check.js';
import { count, decodeMeta, decodeRow, emptyTally, encodeMeta, encodeRow, META, migrateRow, recordKey, storeKey } from './rows.js';
import { openWitness, readWitness, removeWitness, WITNESS, type Witness } from './witness.js';

type Level = ClassicLevel<Buffer, Uint8Array>;

/** Rows that a scan reads at once. */
const PAGE_COUNT = 1_000;
const PAGE_BYTES = 1024 * 1024;
/** After every key there is. */
const END = Buffer.from([2]);

/** An open database, the last rev that it gave out, the tally of its rows, and whether a batch failed on it. */
export interface Database {
  readonly level: Level;
  readonly witness: Witness;
  counter: number;
  tally: Uint8Array;
  torn: boolean;
  close(): Promise<void>;
}

/** A commit that waits for its group. */
export interface Waiting {
  readonly writes: readonly CheckedWrite[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

async function loadLevel(): Promise<typeof ClassicLevel> {
  const { ClassicLevel } = await import('classic-level').catch((cause: unknown) => {
    throw new UsageError('ERR_ARGUMENT', 'nodeStore needs the package classic-level: npm install classic-level', { field: 'store', cause });
  });
  return ClassicLevel;
}

/**
 * Opens or creates the database in the directory `path`. Everything in it is checked before anything is written; layout 1 becomes layout 2
 * in one batch. Throws what `storeError` makes, `ERR_STORE_VERSION`, and `ERR_STORE_CORRUPT` (`field` names the file where it is known).
 */
export async function openDatabase(path: string): Promise<Database> {
  const Level = await loadLevel();
  await mkdir(path, { recursive: true, mode: 0o700 });
  await assertWhole(Level, path);
  // No compression: lengths on disk must not depend on what secrets stand beside.
  const level: Level = new Level(path, { keyEncoding: 'buffer', valueEncoding: 'view', compression: false });
  await level.open();
  let witness: Witness | undefined;
  const close = async (): Promise<void> => {
    try {
      await level.close();
    } finally {
      await witness?.close();
    }
  };
  try {
    const row = await level.get(META);
    const meta = row === undefined ? undefined : decodeMeta(row);
    const told = await readWitness(path);
    if (meta?.layout === 2 && told === undefined) throw damaged(WITNESS);
    const counter = meta?.counter ?? 0;
    if (told !== undefined && told > counter) {
      throw new StoreError('ERR_STORE_CORRUPT', 'the newest commits are missing from the log', { field: 'log', got: counter, max: told });
    }
    const { tally, migrated } = await scan(level, meta?.layout);
    if (meta?.layout === 2 && !equal(tally, meta.tally)) throw new StoreError('ERR_STORE_CORRUPT', 'records are missing or changed');
    witness = await openWitness(path, told === undefined);
    if (meta?.layout === 1) {
      await level.batch([...migrated, { type: 'put', key: META, value: encodeMeta(counter, tally) }], { sync: true });
    }
    if (told !== counter) await witness.write(counter);
    return { level, witness, counter, tally, torn: false, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const damaged = (file: string): StoreError =>
  new StoreError('ERR_STORE_CORRUPT', 'a file of the database is damaged or missing', { field: file });

/** Throws `ERR_STORE_CORRUPT`, naming the file, or `ERR_STORE_LOCKED`: while another process writes, its files may look damaged. */
async function assertWhole(Level: typeof ClassicLevel, path: string): Promise<void> {
  const look = async (): Promise<string | undefined> => findDamage(path, ((await readWitness(path)) ?? 0) > 0);
  if ((await look()) === undefined) return;
  // With these options LevelDB takes its lock, sees whether there is a database, and gives up before it touches anything.
  const probe = new Level(path, { createIfMissing: false, errorIfExists: true });
  const refusal = storeError(
    await probe
      .open()
      .then(() => probe.close())
      .catch((error: unknown) => error),
  );
  if (refusal.code === 'ERR_STORE_LOCKED') throw refusal;
  const file = await look();
  if (file !== undefined) throw damaged(file);
}

/** Reads and checks every record. Throws `ERR_STORE_CORRUPT`, also for records without a meta row. */
async function scan(level: Level, layout: 1 | 2 | undefined) {
  const tally = emptyTally();
  const migrated: { type: 'put'; key: Buffer; value: Uint8Array }[] = [];
  const rows = level.iterator({ gt: META, fillCache: false, highWaterMarkBytes: PAGE_BYTES });
  try {
    for (let page = await rows.nextv(PAGE_COUNT); page.length > 0; page = await rows.nextv(PAGE_COUNT)) {
      for (const [key, row] of page) {
        if (layout === undefined) throw new StoreError('ERR_STORE_CORRUPT', 'the database has records but no layout');
        storeKey(key);
        const value = layout === 1 ? migrateRow(key, row) : row;
        if (layout === 1) migrated.push({ type: 'put', key, value });
        else decodeRow(key, row);
        count(tally, value);
      }
    }
  } finally {
    await rows.close();
  }
  return { tally, migrated };
}

/**
 * Checks each commit against the database and the commits before it in the group, and writes those that hold as one synced batch.
 * Answers which conflict.
 */
export async function commitGroup(db: Database, group: readonly Waiting[]): Promise<ReadonlySet<Waiting>> {
  const before = await readRows(db.level, group);
  const after = new Map<EncodedKey, { readonly rev: number; readonly value: Uint8Array | null }>();
  const conflicts = new Set<Waiting>();
  let counter = db.counter;
  for (const waiting of group) {
    const holds = waiting.writes.every(
      ({ key, ifRev }) => ifRev === undefined || ifRev === (after.get(key) ?? before.get(key) ?? { rev: 0 }).rev,
    );
    if (!holds) {
      conflicts.add(waiting);
      continue;
    }
    counter++;
    for (const { key, value } of waiting.writes) after.set(key, { rev: value === null ? 0 : counter, value });
  }
  if (after.size === 0) return conflicts;

  const tally = new Uint8Array(db.tally);
  const batch = [...after].map(([encoded, { rev, value }]) => {
    const key = recordKey(encoded);
    const old = before.get(encoded);
    if (old !== undefined) count(tally, old.row);
    if (value === null) return { type: 'del' as const, key };
    const row = encodeRow(key, rev, value);
    count(tally, row);
    return { type: 'put' as const, key, value: row };
  });
  try {
    await db.level.batch([...batch, { type: 'put', key: META, value: encodeMeta(counter, tally) }], { sync: true });
    await db.witness.write(counter);
  } catch (error) {
    db.torn = true;
    throw error;
  }
  Object.assign(db, { counter, tally });
  return conflicts;
}

/** The rows that the group overwrites, with their revs; absent keys are not in the map. */
async function readRows(level: Level, group: readonly Waiting[]) {
  const keys = [...new Set(group.flatMap(({ writes }) => writes.map(({ key }) => key)))];
  const rows = keys.length === 0 ? [] : await level.getMany(keys.map(recordKey));
  const found = new Map<EncodedKey, { readonly rev: number; readonly row: Uint8Array }>();
  keys.forEach((key, i) => {
    const row = rows[i];
    if (row !== undefined) found.set(key, { rev: decodeRow(recordKey(key), row).rev, row });
  });
  return found;
}

/** Whether anything of a database is in the directory `path`; a damaged one may lack any of its files. */
export async function holdsDatabase(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
  return names.some((name) => name === WITNESS || FILE.exec(name)?.[0] === name);
}

/**
 * Destroys the database in the directory `path`, open as `db` if it could be opened, and closes it. First the rows that hold keys, in
 * one batch with the meta row (what is left is then no store any more), and the files that held them; then the rest.
 */
export async function eraseDatabase(path: string, db: Database | undefined): Promise<ErasureReport> {
  const Level = await loadLevel();
  let keys: Buffer[] = [];
  let secret: Buffer[] = [];
  if (db !== undefined) {
    try {
      keys = await db.level.keys({ gt: META }).all();
      secret = keys.filter((key) => holdsKeys(key.toString('latin1', 1)));
      await db.level.batch(
        [META, ...secret].map((key) => ({ type: 'del', key })),
        { sync: true },
      );
      // Deleted rows stay in the files until these are written anew.
      await db.level.compactRange(META, END);
    } catch {
      // A full disk, say: then everything goes at once.
    }
    await db.close();
  }
  await removeWitness(path);
  await Level.destroy(path);
  return { recordCount: keys.length, keyCount: secret.length };
}

/** The files that a database is made of, as LevelDB names them in a message. */
const FILE = /\b(?:CURRENT|MANIFEST-\d+|\d{6,}\.(?:log|ldb|sst))\b/;

/** Wraps what LevelDB and the file system throw, by the first cause that names a meaning. Our own errors pass. */
export function storeError(error: unknown): CyphrError {
  if (error instanceof CyphrError) return error;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, message, syscall } = cause as NodeJS.ErrnoException;
    if (code === 'LEVEL_LOCKED') {
      const message = 'the store is open here or in another process: close it, or use the store object that has it open';
      return new StoreError('ERR_STORE_LOCKED', message, { cause: error });
    }
    if (code === 'LEVEL_CORRUPTION') {
      return new StoreError('ERR_STORE_CORRUPT', 'the database is damaged', { field: FILE.exec(message)?.[0], cause: error });
    }
    // LevelDB hands on the system's text only.
    if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left|quota exceeded/i.test(message)) {
      return new StoreError('ERR_STORE_FULL', 'the disk is full', { cause: error });
    }
    // On a read-only file system, too, Node says of a directory that it makes with its parents: no such file.
    if (syscall === 'mkdir' || code === 'EROFS' || code === 'EACCES' || /Read-only file system|Permission denied/i.test(message)) {
      return new StoreError('ERR_STORE_IO', 'the directory can’t be written', { field: 'path', cause: error });
    }
  }
  return new StoreError('ERR_STORE_IO', 'the database failed', { cause: error });
}
