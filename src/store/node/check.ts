/**
 * Looks a LevelDB directory through for damage, before LevelDB does. Knows LevelDB's file formats (its `doc/log_format.md` and
 * `doc/table_format.md`), and nothing of what is stored. Reads only.
 *
 * Why: `classic-level` can't switch LevelDB's own checks on. Without them it drops what it can't read of a log, answers altered or
 * missing records from a damaged table, and ends the process where a table's sizes are absurd.
 */

import { readdir, readFile } from 'node:fs/promises';
import { crc32c } from './crc32c.js';

const BLOCK_BYTES = 32_768;
const LOG_HEADER_BYTES = 7;
const TRAILER_BYTES = 5;
const FOOTER_BYTES = 48;
/** The last 8 bytes of every table, little-endian. */
const TABLE_MAGIC = 0xdb47_7524_8b80_fb57n;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];

/**
 * The name of a file that is damaged, or missing though the database can't be whole without it; `undefined` if all that can be told from
 * the files alone is well. A log's last record may be torn: a process or a machine that dies leaves it so. `wasUsed`: the directory is
 * known to have held records.
 */
export async function findDamage(path: string, wasUsed: boolean): Promise<string | undefined> {
  const names = new Set(await readdir(path));
  // A file that another process has deleted in the meantime is an empty one.
  const read = (name: string): Promise<Buffer> =>
    readFile(`${path}/${name}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return Buffer.alloc(0);
    });
  if (!names.has('CURRENT')) return wasUsed || [...names].some((name) => /\.(?:log|ldb|sst)$/.test(name)) ? 'CURRENT' : undefined;
  const current = (await read('CURRENT')).toString('latin1');
  const manifest = /^(MANIFEST-\d{6,})\n$/.exec(current)?.[1];
  if (manifest === undefined) return 'CURRENT';
  if (!names.has(manifest)) return [...names].some((name) => name.startsWith('MANIFEST-')) ? 'CURRENT' : manifest;
  const live = liveFiles(await read(manifest));
  if (live === undefined) return manifest;

  const logs = [...names].filter((name) => /^\d{6,}\.log$/.test(name) && Number.parseInt(name, 10) >= live.log).sort();
  if (live.log > 0 && !logs.includes(fileName(live.log, 'log'))) return fileName(live.log, 'log');
  for (const log of logs) if (readLog(await read(log)).isHoled) return log;
  for (const [number, bytes] of live.tables) {
    const table = [fileName(number, 'ldb'), fileName(number, 'sst')].find((name) => names.has(name));
    if (table === undefined || !isTable(await read(table), bytes)) return table ?? fileName(number, 'ldb');
  }
  return undefined;
}

const fileName = (number: number, extension: string): string => `${String(number).padStart(6, '0')}.${extension}`;

/** LevelDB stores a checksum rotated and shifted, so that a checksum of data that holds checksums stays a good one. */
function hasCrc(data: Uint8Array, stored: number): boolean {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0 === stored;
}

/**
 * The whole records of a log file. `isTorn`: something in it is no record, wherever it stands. `isHoled`: a record follows it, so that it is
 * no torn end.
 */
function readLog(bytes: Buffer): { readonly records: readonly Buffer[]; readonly isTorn: boolean; readonly isHoled: boolean } {
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  let isTorn = false;
  let isHoled = false;
  for (let block = 0; block < bytes.length; block += BLOCK_BYTES) {
    const end = Math.min(block + BLOCK_BYTES, bytes.length);
    for (let at = block; at + LOG_HEADER_BYTES <= end; ) {
      const next = at + LOG_HEADER_BYTES + bytes.readUInt16LE(at + 4);
      const type = bytes[at + 6]!;
      const isCut = next > end && end === bytes.length;
      if (isCut) break;
      if (next > end || type < FULL! || type > LAST! || !hasCrc(bytes.subarray(at + 6, next), bytes.readUInt32LE(at))) {
        isTorn = true;
        break;
      }
      isHoled ||= isTorn;
      const data = bytes.subarray(at + LOG_HEADER_BYTES, next);
      if (type === FULL || type === FIRST) parts = [];
      parts.push(data);
      if (type !== FIRST && type !== MIDDLE) records.push(Buffer.concat(parts));
      at = next;
    }
  }
  return { records, isTorn, isHoled };
}

/** No number in these files is longer: 64 bits, seven in a byte. */
const VARINT_MAX_BYTES = 10;

/** Reads numbers and strings as LevelDB writes them; throws `RangeError` beyond the end, and for what is no number. */
function cursor(bytes: Buffer) {
  let at = 0;
  const take = (count: number): Buffer => {
    if (count > bytes.length - at) throw new RangeError('beyond the end');
    at += count;
    return bytes.subarray(at - count, at);
  };
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < VARINT_MAX_BYTES; i++) {
      const byte = take(1)[0]!;
      value += (byte & 127) * 128 ** i;
      if (byte < 128) return value;
    }
    throw new RangeError('no number');
  };
  return { take, varint, string: () => take(varint()), isAtEnd: () => at === bytes.length };
}

/** The log from which the database is to be recovered, and its tables with their lengths; `undefined` if the manifest is damaged. */
function liveFiles(manifest: Buffer): { readonly log: number; readonly tables: ReadonlyMap<number, number> } | undefined {
  const { records, isTorn } = readLog(manifest);
  if (isTorn || records.length === 0) return undefined;
  const tables = new Map<number, number>();
  const seen = new Set<number>();
  let log = 0;
  try {
    for (const record of records) {
      const { varint, string, isAtEnd } = cursor(record);
      while (!isAtEnd()) {
        const tag = varint();
        seen.add(tag);
        if (tag === 1) string();
        else if (tag === 2) log = varint();
        else if (tag === 3 || tag === 4 || tag === 9) varint();
        else if (tag === 5) [varint(), string()];
        else if (tag === 6) [varint(), tables.delete(varint())];
        else if (tag === 7) [varint(), tables.set(varint(), varint()), string(), string()];
        else return undefined;
      }
    }
  } catch {
    return undefined;
  }
  // The comparator, the log, the next number and the newest sequence: LevelDB can't do without.
  return [1, 2, 3, 4].every((tag) => seen.has(tag)) ? { log, tables } : undefined;
}

/** Whether a table has its length, and each of its blocks its checksum. */
function isTable(bytes: Buffer, length: number): boolean {
  if (bytes.length !== length || length < FOOTER_BYTES || bytes.readBigUInt64LE(length - 8) !== TABLE_MAGIC) return false;
  const block = ({ varint }: ReturnType<typeof cursor>): Buffer => {
    const [from, size] = [varint(), varint()];
    const { take } = cursor(bytes.subarray(0, length - FOOTER_BYTES));
    take(from);
    const whole = take(size + TRAILER_BYTES);
    if (!hasCrc(whole.subarray(0, -4), whole.readUInt32LE(size + 1))) throw new RangeError('wrong checksum');
    return whole.subarray(0, size);
  };
  try {
    const footer = cursor(bytes.subarray(length - FOOTER_BYTES, length - 8));
    // The index of the filters, and the one of the data: each entry leads to a block.
    for (const index of [block(footer), block(footer)]) {
      const restarts = index.readUInt32LE(index.length - 4);
      const entries = cursor(index.subarray(0, index.length - 4 - 4 * restarts));
      while (!entries.isAtEnd()) {
        const [, unshared, size] = [entries.varint(), entries.varint(), entries.varint()];
        entries.take(unshared);
        block(cursor(entries.take(size)));
      }
    }
    return true;
  } catch {
    return false;
  }
}
