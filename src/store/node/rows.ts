/**
 * The rows of `nodeStore` as LevelDB holds them, layout 2. Knows bytes, not files.
 *
 * All keys and values are binary. A record: key 0x01 ‖ encoded key (`keys.ts`), value rev u64 ‖ check 16 ‖ the caller's bytes. The
 * meta row: key 0x00, value layout u32 ‖ counter u64 ‖ tally 16. The counter is the last rev given out. A check is SHA-256(key ‖ rev ‖
 * the caller's bytes), its first 16 bytes; the tally is the XOR of all checks. They show accidents, not attacks: who can write the
 * files can compute them. Layout 1 had neither.
 */

import { createHash } from 'node:crypto';
import { concat, copy, equal, u32, u64 } from '../../bytes.js';
import { StoreError } from '../../errors.js';
import { decodeKey, type EncodedKey } from '../keys.js';
import type { StoreKey, StoreRecord } from '../port.js';

const LAYOUT = 2;
const REV_BYTES = 8;
const CHECK_BYTES = 16;
/** Where a row's own bytes begin, by layout. */
const HEAD_BYTES = { 1: REV_BYTES, 2: REV_BYTES + CHECK_BYTES } as const;
const META_BYTES = { 1: 12, 2: 28 } as const;

/** The key of the meta row: before all others. */
export const META: Buffer = Buffer.from([0]);

/** What the meta row says. */
export interface Meta {
  readonly layout: 1 | 2;
  readonly counter: number;
  /** 16 bytes; absent in layout 1. */
  readonly tally: Uint8Array;
}

/** The meta row of today's layout. */
export function encodeMeta(counter: number, tally: Uint8Array): Uint8Array {
  return concat(u32(LAYOUT), u64(counter), tally);
}

/** Throws `ERR_STORE_VERSION` for a newer layout, `ERR_STORE_CORRUPT` for what is none. */
export function decodeMeta(row: Uint8Array): Meta {
  const layout = row.length < 4 ? 0 : view(row).getUint32(0);
  if (layout > LAYOUT) {
    throw new StoreError('ERR_STORE_VERSION', 'the store was written by a newer layout', { field: 'layout', got: layout, max: LAYOUT });
  }
  if ((layout !== 1 && layout !== 2) || row.length !== META_BYTES[layout]) {
    throw new StoreError('ERR_STORE_CORRUPT', 'the layout row is damaged');
  }
  return { layout, counter: readRev(row, 4), tally: row.slice(12) };
}

/** LevelDB's key of a record. */
export const recordKey = (key: EncodedKey): Buffer => Buffer.from(`\x01${key}`, 'latin1');

/** The caller's key. Throws `ERR_STORE_CORRUPT`. */
export function storeKey(key: Buffer): StoreKey {
  const decoded = decodeKey(key.toString('latin1', 1));
  if (decoded === undefined) throw new StoreError('ERR_STORE_CORRUPT', 'a key is damaged');
  return decoded;
}

/** The row of a record. */
export function encodeRow(key: Buffer, rev: number, value: Uint8Array): Uint8Array {
  const head = u64(rev);
  return concat(head, check(key, head, value), value);
}

/** The record in a row of today's layout; its value is a copy. Throws `ERR_STORE_CORRUPT` unless it is the row that was written. */
export function decodeRow(key: Buffer, row: Uint8Array): StoreRecord {
  const rev = readRev(row, 0);
  const value = row.subarray(HEAD_BYTES[2]);
  if (row.length < HEAD_BYTES[2] || !equal(checkOf(row), check(key, row.subarray(0, REV_BYTES), value))) {
    throw new StoreError('ERR_STORE_CORRUPT', 'a record is damaged');
  }
  return { value: copy(value), rev };
}

/** The row of today's layout with the record of one in layout 1. Throws `ERR_STORE_CORRUPT`. */
export function migrateRow(key: Buffer, row: Uint8Array): Uint8Array {
  return encodeRow(key, readRev(row, 0), row.subarray(HEAD_BYTES[1]));
}

/** The tally of no records. */
export const emptyTally = (): Uint8Array => new Uint8Array(CHECK_BYTES);

/** Counts a row in, or out: changes `tally`. */
export function count(tally: Uint8Array, row: Uint8Array): void {
  for (let i = 0; i < CHECK_BYTES; i++) tally[i]! ^= row[REV_BYTES + i]!;
}

const checkOf = (row: Uint8Array): Uint8Array => row.subarray(REV_BYTES, REV_BYTES + CHECK_BYTES);

function check(key: Buffer, rev: Uint8Array, value: Uint8Array): Uint8Array {
  return createHash('sha256').update(key).update(rev).update(value).digest().subarray(0, CHECK_BYTES);
}

function readRev(bytes: Uint8Array, offset: number): number {
  const rev = bytes.length < offset + REV_BYTES ? 0n : view(bytes).getBigUint64(offset);
  if (rev < 1n || rev > BigInt(Number.MAX_SAFE_INTEGER)) throw new StoreError('ERR_STORE_CORRUPT', 'a rev is damaged');
  return Number(rev);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
