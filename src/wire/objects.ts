/**
 * Directory objects and the login proof (section 1.4): what is signed, byte for byte.
 *
 * A parser returns the fields together with `tbs`, the received bytes that the signature covers; nothing is verified here, and
 * nothing that was received is ever encoded again to be verified. Accounts are text here and lp16 UTF-8 on the wire.
 */

import { compare, encodeUtf8, isZero } from '../bytes.js';
import { InternalError } from '../errors.js';
import { wireLimits } from '../limits.js';
import { malformed, type Reader, reader, readHead, SUITE, type Writer, writeHead, writer } from './codec.js';
import { COMPOSITE_KEY_BYTES, COMPOSITE_SIGNATURE_BYTES, KEM_KEY_BYTES, SEAL_KEY_BYTES } from './frames.js';

const TYPE_DEVICE_LIST = 0x40;
const TYPE_SIGNED_SET = 0x41;
const TYPE_BATCH = 0x42;
const TYPE_ROOT = 0x43;
const TYPE_LOGIN = 0x45;
const ALL_PROFILES = 0b111;
/** SLH-DSA-SHA2-192s. */
const ROOT_KEY_BYTES = 48;
const ROOT_SIGNATURE_BYTES = 16_224;

/** What every signed object is: the bytes under the signature, and the signature (3,373 bytes, composite; of a RootStatement 16,224, SLH-DSA). */
export interface Signed {
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
}

/** One device in a list. */
export interface DeviceEntry {
  readonly device: number;
  /** H(DIK), 64 bytes. */
  readonly keyHash: Uint8Array;
  /** IKx, 32 bytes. */
  readonly dhKey: Uint8Array;
}

/** Fields of a DeviceList, 0x40; times in Unix milliseconds. */
export interface DeviceListFields {
  readonly account: string;
  /** H(AIK), 64 bytes. */
  readonly accountKeyHash: Uint8Array;
  readonly version: number;
  readonly issuedAt: number;
  readonly freshUntil: number;
  /** 1–64 entries, strictly ascending device ids, distinct key hashes. */
  readonly entries: readonly DeviceEntry[];
}

/** Fields of a SignedSet, 0x41. */
export interface SignedSetFields {
  readonly account: string;
  readonly device: number;
  /** H(DIK), 64 bytes. */
  readonly deviceKeyHash: Uint8Array;
  /** 16 random bytes of the store that made the set. */
  readonly incarnation: Uint8Array;
  readonly seq: number;
  readonly notAfter: number;
  readonly verMin: number;
  readonly verMax: number;
  /** Strictly ascending; 0x0001 is among them. */
  readonly suites: readonly number[];
  /** Bit 0 = profile 1, bit 1 = profile 2, bit 2 = profile 3. */
  readonly profiles: number;
  readonly setId: Uint8Array;
  /** SPK 32, PQLR 1,568, SEAL 1,216 bytes. */
  readonly signedPrekey: Uint8Array;
  readonly lastResortKemPrekey: Uint8Array;
  readonly sealKey: Uint8Array;
}

/** Fields of a OneTimeBatch, 0x42. */
export interface BatchFields {
  readonly account: string;
  readonly device: number;
  readonly deviceKeyHash: Uint8Array;
  readonly batchId: Uint8Array;
  /** Units in the batch, 1–128. */
  readonly count: number;
  readonly notAfter: number;
  /** Merkle root, 32 bytes. */
  readonly root: Uint8Array;
}

/** One unit of a batch with its Merkle path: OPK 32 bytes, PQOPK 1,568 bytes. */
export interface OneTimeEntry {
  readonly otId: Uint8Array;
  readonly index: number;
  readonly oneTimePrekey: Uint8Array;
  readonly oneTimeKemPrekey: Uint8Array;
  /** At most 7 nodes of 32 bytes, from the leaf upwards. */
  readonly path: readonly Uint8Array[];
}

/** AIK 1984 ‖ lp16(DeviceList TBS‖sig) ‖ DIK 1984. */
export interface IdentityPart {
  readonly accountKey: Uint8Array;
  readonly deviceList: Uint8Array;
  readonly deviceKey: Uint8Array;
}

/** Fields of a RootStatement, 0x43: an organisation's word on whose account key is whose; times in Unix milliseconds. */
export interface RootStatementFields {
  readonly account: string;
  /** H(AIK), 64 bytes. */
  readonly accountKeyHash: Uint8Array;
  readonly version: number;
  readonly issuedAt: number;
  /** The organisation's SLH-DSA-SHA2-192s public key, 48 bytes: part of what is signed. */
  readonly rootKey: Uint8Array;
}

/** Fields of a login proof, 0x45. */
export interface LoginFields {
  readonly audience: Uint8Array;
  readonly nonce: Uint8Array;
  readonly account: string;
  readonly device: number;
  readonly storeId: Uint8Array;
  readonly generation: number;
}

/** DeviceList TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeDeviceList(list: DeviceListFields): Uint8Array {
  const out = writeHead(TYPE_DEVICE_LIST)
    .lp16(accountBytes(list.account))
    .bytes(list.accountKeyHash, 64)
    .u64(list.version)
    .u64(list.issuedAt)
    .u64(list.freshUntil)
    .u8(list.entries.length);
  for (const entry of list.entries) out.u32(entry.device).bytes(entry.keyHash, 64).bytes(entry.dhKey, 32);
  return out.finish();
}

/** Parses DeviceList TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseDeviceList(bytes: Uint8Array): DeviceListFields & Signed {
  return signed(bytes, TYPE_DEVICE_LIST, (from) => ({
    account: from.account(),
    accountKeyHash: from.bytes(64),
    version: from.u64(),
    issuedAt: from.u64(),
    freshUntil: from.u64(),
    entries: readEntries(from),
  }));
}

function readEntries(from: Reader): DeviceEntry[] {
  const count = from.u8();
  if (count < 1 || count > wireLimits.devicesPerList) throw malformed('entries');
  const entries: DeviceEntry[] = [];
  let last = 0;
  for (let i = 0; i < count; i++) {
    const entry = { device: from.device(), keyHash: from.bytes(64), dhKey: from.bytes(32) };
    if (entry.device <= last || entries.some((other) => compare(other.keyHash, entry.keyHash) === 0)) throw malformed('entries');
    entries.push(entry);
    last = entry.device;
  }
  return entries;
}

/** SignedSet TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeSignedSet(set: SignedSetFields): Uint8Array {
  const out = owned(writeHead(TYPE_SIGNED_SET), set)
    .bytes(set.incarnation, 16)
    .u64(set.seq)
    .u64(set.notAfter)
    .u8(set.verMin)
    .u8(set.verMax)
    .u8(set.suites.length);
  for (const suite of set.suites) out.u16(suite);
  return out
    .u8(set.profiles)
    .bytes(set.setId, 8)
    .bytes(set.signedPrekey, 32)
    .bytes(set.lastResortKemPrekey, KEM_KEY_BYTES)
    .bytes(set.sealKey, SEAL_KEY_BYTES)
    .finish();
}

/** Parses SignedSet TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseSignedSet(bytes: Uint8Array): SignedSetFields & Signed {
  return signed(bytes, TYPE_SIGNED_SET, (from) => {
    const set = {
      ...readOwner(from),
      incarnation: from.bytes(16),
      seq: from.u64(),
      notAfter: from.u64(),
      verMin: from.u8(),
      verMax: from.u8(),
      suites: readSuites(from),
      profiles: from.u8(),
      setId: from.bytes(8),
      signedPrekey: from.bytes(32),
      lastResortKemPrekey: from.bytes(KEM_KEY_BYTES),
      sealKey: from.bytes(SEAL_KEY_BYTES),
    };
    if (set.verMin < 1 || set.verMin > set.verMax) throw malformed('verMin');
    if (set.profiles < 1 || set.profiles > ALL_PROFILES) throw malformed('profiles');
    return set;
  });
}

function readSuites(from: Reader): number[] {
  const suites: number[] = [];
  for (let left = from.u8(); left > 0; left--) {
    const suite = from.u16();
    if (suites.length > 0 && suite <= suites.at(-1)!) throw malformed('suites');
    suites.push(suite);
  }
  if (!suites.includes(SUITE)) throw malformed('suites');
  return suites;
}

/** OneTimeBatch TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeBatch(batch: BatchFields): Uint8Array {
  return owned(writeHead(TYPE_BATCH), batch).bytes(batch.batchId, 8).u16(batch.count).u64(batch.notAfter).bytes(batch.root, 32).finish();
}

/** Parses OneTimeBatch TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseBatch(bytes: Uint8Array): BatchFields & Signed {
  return signed(bytes, TYPE_BATCH, (from) => {
    const batch = { ...readOwner(from), batchId: from.bytes(8), count: from.u16(), notAfter: from.u64(), root: from.bytes(32) };
    if (batch.count < 1 || batch.count > wireLimits.batchUnitCount) throw malformed('count');
    return batch;
  });
}

/** RootStatement TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeRootStatement(statement: RootStatementFields): Uint8Array {
  return writeHead(TYPE_ROOT)
    .lp16(accountBytes(statement.account))
    .bytes(statement.accountKeyHash, 64)
    .u64(statement.version)
    .u64(statement.issuedAt)
    .bytes(statement.rootKey, ROOT_KEY_BYTES)
    .finish();
}

/** Parses RootStatement TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseRootStatement(bytes: Uint8Array): RootStatementFields & Signed {
  return signed(bytes, TYPE_ROOT, readRootStatement, ROOT_SIGNATURE_BYTES);
}

/** Parses RootStatement TBS, kept without its signature once that was verified. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseRootStatementTbs(tbs: Uint8Array): RootStatementFields {
  const from = reader(tbs);
  readHead(from, TYPE_ROOT);
  const statement = readRootStatement(from);
  from.end();
  return statement;
}

function readRootStatement(from: Reader): RootStatementFields {
  return {
    account: from.account(),
    accountKeyHash: from.bytes(64),
    version: from.u64(),
    issuedAt: from.u64(),
    rootKey: from.bytes(ROOT_KEY_BYTES),
  };
}

/** otId 8 ‖ index u16 ‖ OPK 32 ‖ PQOPK 1568 ‖ k u8 ‖ k×32. Throws `ERR_BUG` on a field that does not fit. */
export function encodeOneTimeEntry(entry: OneTimeEntry): Uint8Array {
  const out = writer()
    .bytes(entry.otId, 8)
    .u16(entry.index)
    .bytes(entry.oneTimePrekey, 32)
    .bytes(entry.oneTimeKemPrekey, KEM_KEY_BYTES)
    .u8(entry.path.length);
  for (const node of entry.path) out.bytes(node, 32);
  return out.finish();
}

/** Parses a one-time entry. Throws `ERR_DECODE`, also for otId = 0⁸, which means "none". */
export function parseOneTimeEntry(bytes: Uint8Array): OneTimeEntry {
  const from = reader(bytes);
  const entry = { otId: from.bytes(8), index: from.u16(), oneTimePrekey: from.bytes(32), oneTimeKemPrekey: from.bytes(KEM_KEY_BYTES) };
  if (isZero(entry.otId)) throw malformed('otId');
  const count = from.u8();
  if (count > wireLimits.merklePathCount) throw malformed('path');
  const path = Array.from({ length: count }, () => from.bytes(32));
  from.end();
  return { ...entry, path };
}

/** The identity part of a bundle. Throws `ERR_BUG` on a wrong length. */
export function encodeIdentity(part: IdentityPart): Uint8Array {
  return writer().bytes(part.accountKey, COMPOSITE_KEY_BYTES).lp16(part.deviceList).bytes(part.deviceKey, COMPOSITE_KEY_BYTES).finish();
}

/** Parses AIK ‖ lp16(DeviceList TBS‖sig) ‖ DIK. Throws `ERR_DECODE`. */
export function parseIdentity(bytes: Uint8Array): IdentityPart {
  const from = reader(bytes);
  const part = { accountKey: from.bytes(COMPOSITE_KEY_BYTES), deviceList: from.lp16(), deviceKey: from.bytes(COMPOSITE_KEY_BYTES) };
  from.end();
  return part;
}

/** Login proof TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeLogin(login: LoginFields): Uint8Array {
  return writeHead(TYPE_LOGIN)
    .lp16(login.audience)
    .lp16(login.nonce)
    .lp16(accountBytes(login.account))
    .u32(login.device)
    .bytes(login.storeId, 16)
    .u64(login.generation)
    .finish();
}

/** Parses login proof TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseLogin(bytes: Uint8Array): LoginFields & Signed {
  return signed(bytes, TYPE_LOGIN, (from) => ({
    audience: from.lp16(),
    nonce: from.lp16(),
    account: from.account(),
    device: from.device(),
    storeId: from.bytes(16),
    generation: from.u64(),
  }));
}

function signed<T>(
  bytes: Uint8Array,
  type: number,
  fields: (from: Reader) => T,
  signatureBytes: number = COMPOSITE_SIGNATURE_BYTES,
): T & Signed {
  const from = reader(bytes);
  readHead(from, type);
  const parsed = fields(from);
  const tbs = bytes.slice(0, from.offset());
  const signature = from.bytes(signatureBytes);
  from.end();
  return { ...parsed, tbs, signature };
}

interface Owner {
  readonly account: string;
  readonly device: number;
  readonly deviceKeyHash: Uint8Array;
}

function owned(out: Writer, owner: Owner): Writer {
  return out.lp16(accountBytes(owner.account)).u32(owner.device).bytes(owner.deviceKeyHash, 64);
}

function readOwner(from: Reader): Owner {
  return { account: from.account(), device: from.device(), deviceKeyHash: from.bytes(64) };
}

/** accountId of an account: 1–64 bytes of UTF-8; `undefined` if the text has no such form. */
export function encodeAccount(account: string): Uint8Array | undefined {
  const bytes = encodeUtf8(account);
  return bytes !== undefined && bytes.length >= 1 && bytes.length <= wireLimits.accountIdBytes ? bytes : undefined;
}

/** accountId of an account that was checked before; `ERR_BUG` if it has none. */
export function accountBytes(account: string): Uint8Array {
  const bytes = encodeAccount(account);
  if (bytes === undefined) throw new InternalError('ERR_BUG', 'account has no wire form');
  return bytes;
}
