/**
 * The rows of a sealed store as bytes, and the keys that make and open them (protocol.md section 9.1).
 *
 * Knows layouts and cryptography; knows no base store and holds no state but keys. All three kinds of row begin with what must be
 * known before they can be opened, in clear and authenticated by what follows.
 */

import { concat, decodeUtf8, encodeUtf8, equal, toHex, u32, u64, wipe } from '../../bytes.js';
import { info } from '../../crypto/labels.js';
import { hkdfSha256, hmacSha256, sha256, xchachaOpen, xchachaSeal } from '../../crypto/suite.js';
import { StoreError } from '../../errors.js';
import { type Reader, reader, type Writer, writer } from '../../wire/codec.js';
import { readFields } from '../../wire/layout.js';
import { pad, padme, unpad } from '../../wire/padding.js';
import type { EncodedKey } from '../keys.js';
import type { StoreKey } from '../port.js';
import { NONCE_BYTES, random, syntheticNonce } from './random.js';

/** Version of all layouts below. */
const FORMAT = 1;
export const MASTER_KEY_BYTES = 32;
export const STORE_ID_BYTES = 16;
const ID_BYTES = 16;
const CHECK_BYTES = 16;
/** generation u64 ‖ nonce. */
const STAMP_BYTES = 8 + NONCE_BYTES;
const RECORD_HEAD_BYTES = 4 + STAMP_BYTES;
/** Name and value of a record are padded together, at least to this: what is shorter looks alike. */
const RECORD_MIN_BYTES = 256;

/** Where the head stands. */
export const HEAD: StoreKey = ['sealed', 'head'];
/** Below which the slots stand. */
export const SLOTS: StoreKey = ['sealed', 'slot'];
/** Below which the records stand. */
export const RECORDS: StoreKey = ['sealed', 'r'];

/** What stands in clear in the three kinds of row: behind the format in slots and heads, at the start of records. */
export const SLOT_ROW = { kind: 'lp16', commitment: 32, sealed: 'lp16', check: CHECK_BYTES } as const;
export const HEAD_CLEAR = { storeId: STORE_ID_BYTES, version: 'u32' } as const;
export const RECORD_CLEAR = { version: 'u32', generation: 'u64', nonce: NONCE_BYTES } as const;

/** The one error for rows that this store did not write. */
export function corrupt(what: string, cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', `the sealed store is damaged: ${what}`, { field: what, cause });
}

/** A record as it lies in the base store. `stamp` names the write that made it: its generation and its nonce. */
export interface SealedRecord {
  readonly id: string;
  readonly version: number;
  readonly generation: number;
  readonly stamp: Uint8Array;
}

/** What a head says. */
export interface Head {
  /** Number of the last commit; generations of records are such numbers. */
  readonly counter: number;
  /** XOR of the marks of all records, 32 bytes. */
  readonly set: Uint8Array;
  /** SHA-256 of each slot's row, by slot id. */
  readonly slots: ReadonlyMap<string, Uint8Array>;
  /** Master keys under which some records still lie, while a rotation runs. */
  readonly retired: readonly { readonly version: number; readonly masterKey: Uint8Array }[];
  /** Plain records are still being sealed. */
  readonly sealing: boolean;
}

/** The keys below one master key, until they are wiped. */
export interface MasterKeys {
  /** Grows by one with each rotation. */
  readonly version: number;
  /** The master key, 32 bytes: lent, to be sealed into slots and heads. */
  readonly masterKey: Uint8Array;
  /** The id under which the record of a key lies: 32 hexadecimal digits. */
  recordId(key: EncodedKey): string;
  sealRecord(key: EncodedKey, generation: number, value: Uint8Array): SealedRecord & { readonly row: Uint8Array };
  /** Key and value of a record; throws `ERR_STORE_CORRUPT`. The caller wipes the value. */
  openRecord(id: string, row: Uint8Array): { readonly key: EncodedKey; readonly value: Uint8Array };
  /** What a record adds to the set hash, 32 bytes. */
  mark(record: SealedRecord): Uint8Array;
  sealHead(storeId: Uint8Array, head: Head): Uint8Array;
  openHead(row: Uint8Array): Head;
  wipe(): void;
}

/** Derives the keys of `masterKey`, which is taken over. */
export function masterKeys(masterKey: Uint8Array, version: number): MasterKeys {
  const derive = (label: 'store/rec' | 'store/name' | 'store/set' | 'store/head' | 'store/nonce'): Uint8Array =>
    hkdfSha256(new Uint8Array(32), masterKey, info(label, u32(version)), 32);
  const recordKey = derive('store/rec');
  const nameKey = derive('store/name');
  const setKey = derive('store/set');
  const headKey = derive('store/head');
  const nonceKey = derive('store/nonce');

  const recordId = (key: EncodedKey): string => toHex(hmacSha256(nameKey, bytesOf(key)).subarray(0, ID_BYTES));
  const recordAd = (id: string, generation: number): Uint8Array => info('store/aad', u32(version), bytesOf(id), u64(generation));

  return {
    version,
    masterKey,
    recordId,

    sealRecord(key, generation, value) {
      const id = recordId(key);
      const ad = recordAd(id, generation);
      const content = concat(u32(key.length), bytesOf(key), value);
      const padded = pad(content, recordBucket(content.length + 1));
      const nonce = syntheticNonce(nonceKey, ad, padded);
      const box = xchachaSeal(recordKey, nonce, ad, padded);
      wipe(content, padded);
      const stamp = concat(u64(generation), nonce);
      return { id, version, generation, stamp, row: concat(u32(version), stamp, box) };
    },

    openRecord(id, row) {
      const { generation, stamp } = decodeRecordHead(id, row);
      const ad = recordAd(id, generation);
      return reading('record', () => {
        const padded = xchachaOpen(recordKey, stamp.subarray(8), ad, row.subarray(RECORD_HEAD_BYTES));
        const from = reader(unpad(padded, recordBucket));
        const key = textOf(from.bytes(from.u32()));
        const value = from.rest();
        wipe(padded);
        return { key, value };
      });
    },

    mark: ({ id, stamp }) => hmacSha256(setKey, concat(bytesOf(id), stamp)),

    sealHead(storeId, head) {
      const clear = concat(new Uint8Array([FORMAT]), storeId, u32(version));
      const ad = info('store/head', clear);
      const content = encodeHead(head);
      const nonce = syntheticNonce(nonceKey, ad, content);
      const box = xchachaSeal(headKey, nonce, ad, content);
      wipe(content);
      return checked(concat(clear, nonce, box));
    },

    openHead: (row) =>
      reading('head', () => {
        const clear = row.subarray(0, HEAD_CLEAR_BYTES);
        const nonce = row.subarray(HEAD_CLEAR_BYTES, HEAD_CLEAR_BYTES + NONCE_BYTES);
        const box = row.subarray(HEAD_CLEAR_BYTES + NONCE_BYTES, row.length - CHECK_BYTES);
        const content = xchachaOpen(headKey, nonce, info('store/head', clear), box);
        const head = decodeHeadContent(reader(content));
        wipe(content);
        return head;
      }),

    wipe: () => wipe(masterKey, recordKey, nameKey, setKey, headKey, nonceKey),
  };
}

/** What name and value of a record are padded to, in bytes. */
export const recordBucket = (length: number): number => padme(Math.max(length, RECORD_MIN_BYTES));

/** The bytes of a binary or ASCII string. */
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const textOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

/** Where a record lies. */
export const recordAt = (id: string): StoreKey => [...RECORDS, id];
/** Where a slot lies. */
export const slotAt = (id: string): StoreKey => [...SLOTS, id];

/** What is in clear before a record: version u32 ‖ generation u64 ‖ nonce 24. Throws `ERR_STORE_CORRUPT`. */
export function decodeRecordHead(id: string, row: Uint8Array): SealedRecord {
  return reading('record', () => {
    const { version, generation } = readFields(reader(row), RECORD_CLEAR);
    return { id, version, generation, stamp: row.slice(4, RECORD_HEAD_BYTES) };
  });
}

const HEAD_CLEAR_BYTES = 1 + STORE_ID_BYTES + 4;

/** What is in clear before a head: format u8 ‖ storeId 16 ‖ version u32. Throws `ERR_STORE_VERSION`, `ERR_STORE_CORRUPT`. */
export function decodeHeadClear(row: Uint8Array): { readonly storeId: Uint8Array; readonly version: number } {
  return reading('head', () => {
    return readFields(readFormat(row, 'head'), HEAD_CLEAR);
  });
}

function encodeHead({ counter, set, slots, retired, sealing }: Head): Uint8Array {
  const to = writer()
    .u64(counter)
    .bytes(set, 32)
    .u8(sealing ? 1 : 0)
    .u8(slots.size);
  for (const [id, digest] of slots) to.bytes(bytesOf(id), 2 * ID_BYTES).bytes(digest, 32);
  to.u8(retired.length);
  for (const { version, masterKey } of retired) to.u32(version).bytes(masterKey, MASTER_KEY_BYTES);
  return to.finish();
}

function decodeHeadContent(from: Reader): Head {
  const counter = from.u64();
  const set = from.bytes(32);
  const sealing = from.u8() === 1;
  const slots = new Map(Array.from({ length: from.u8() }, () => [textOf(from.bytes(2 * ID_BYTES)), from.bytes(32)] as const));
  const retired = Array.from({ length: from.u8() }, () => ({ version: from.u32(), masterKey: from.bytes(MASTER_KEY_BYTES) }));
  from.end();
  return { counter, set, slots, retired, sealing };
}

/** A slot's row: kind, commitment to the master key, and what the slot made of it. */
export interface SlotRow {
  readonly kind: string;
  readonly commitment: Uint8Array;
  readonly sealed: Uint8Array;
}

/** format u8 ‖ lp16(kind) ‖ commitment 32 ‖ lp16(sealed) ‖ check 16. */
export function encodeSlot({ kind, commitment, sealed }: SlotRow): Uint8Array {
  const to: Writer = writer().u8(FORMAT).lp16(encodeUtf8(kind)!).bytes(commitment, 32).lp16(sealed);
  return checked(to.finish());
}

/** Throws `ERR_STORE_VERSION`, `ERR_STORE_CORRUPT` (`field: what`). */
export function decodeSlot(row: Uint8Array, what = 'slot'): SlotRow {
  return reading(what, () => {
    const from = readFormat(row, what);
    const { kind: kindBytes, commitment, sealed } = readFields(from, SLOT_ROW);
    const kind = decodeUtf8(kindBytes);
    if (kind === undefined) throw corrupt(what);
    from.end();
    return { kind, commitment, sealed };
  });
}

/** The kind that a slot's row claims, damaged or not. */
export function kindOf(row: Uint8Array): string | undefined {
  try {
    return decodeUtf8(reader(row.subarray(1)).lp16());
  } catch {
    return undefined;
  }
}

/** What a slot binds its sealed bytes to. */
export const slotAd = (storeId: Uint8Array, id: string, kind: string): Uint8Array =>
  info('store/slot', storeId, bytesOf(id), encodeUtf8(kind)!);

/**
 * Commits to `masterKey`, 32 bytes: whatever AEAD a slot uses, one slot never opens to two keys, and a slot that opens to a wrong key is
 * told from a damaged head.
 */
export const commitTo = (masterKey: Uint8Array, ad: Uint8Array): Uint8Array =>
  hkdfSha256(new Uint8Array(32), masterKey, info('store/commit', ad), 32);

/** A fresh id of a slot: 32 hexadecimal digits. */
export const newSlotId = (): string => toHex(random(ID_BYTES));

/**
 * Appends SHA-256 of `bytes`, 16 bytes of it. It keeps nobody from forging a row: it tells damage from a wrong passphrase, which
 * nothing else could before a key is there.
 */
function checked(bytes: Uint8Array): Uint8Array {
  return concat(bytes, sha256(bytes).subarray(0, CHECK_BYTES));
}

/** Checks format and checksum; the reader stands behind the format. */
function readFormat(row: Uint8Array, what: string): Reader {
  const end = Math.max(0, row.length - CHECK_BYTES);
  const isWhole = equal(sha256(row.subarray(0, end)).subarray(0, CHECK_BYTES), row.subarray(end));
  const from = reader(row);
  const format = from.u8();
  if (isWhole && format > FORMAT) {
    throw new StoreError('ERR_STORE_VERSION', 'the store was sealed by a newer version', { field: what, got: format, max: FORMAT });
  }
  if (!isWhole || format !== FORMAT) throw corrupt(what);
  return from;
}

/** Runs a decoder; whatever it finds wrong is damage, but for `ERR_STORE_VERSION`. */
function reading<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw corrupt(what, error);
  }
}
