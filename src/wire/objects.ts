/**
 * Directory objects and the login proof (section 1.4): what is signed, byte for byte.
 *
 * A parser returns the fields together with `tbs`, the received bytes that the signature covers; nothing is verified here, and
 * nothing that was received is ever encoded again to be verified. Accounts are text here and lp16 UTF-8 on the wire.
 */

import { compare, isZero } from '../bytes.js';
import { wireLimits } from '../limits.js';
import { malformed, reader, readHead, SUITE, writeHead, writer } from './codec.js';
import { COMPOSITE_KEY_BYTES, COMPOSITE_SIGNATURE_BYTES, KEM_KEY_BYTES, SEAL_KEY_BYTES } from './frames.js';
import { type Fields, type Layout, readFields, writeFields } from './layout.js';

const TYPE_DEVICE_LIST = 0x40;
const TYPE_SIGNED_SET = 0x41;
const TYPE_BATCH = 0x42;
const TYPE_ROOT = 0x43;
const TYPE_LOGIN = 0x45;
const ALL_PROFILES = 0b111;
/** SLH-DSA-SHA2-192s. */
const ROOT_KEY_BYTES = 48;
const ROOT_SIGNATURE_BYTES = 16_224;

const OWNER = { account: 'account', device: 'device', deviceKeyHash: 64 } as const;

/** What stands behind type, version and suite of each signed object, and the length of the signature behind that. */
export const OBJECTS = {
  deviceList: {
    type: TYPE_DEVICE_LIST,
    fields: {
      account: 'account',
      accountKeyHash: 64,
      version: 'u64',
      issuedAt: 'u64',
      freshUntil: 'u64',
      entries: { count: 'u8', each: { device: 'device', keyHash: 64, dhKey: 32 } },
    },
    signatureBytes: COMPOSITE_SIGNATURE_BYTES,
  },
  signedSet: {
    type: TYPE_SIGNED_SET,
    fields: {
      ...OWNER,
      incarnation: 16,
      seq: 'u64',
      notAfter: 'u64',
      verMin: 'u8',
      verMax: 'u8',
      suites: { count: 'u8', each: 'u16' },
      profiles: 'u8',
      setId: 8,
      signedPrekey: 32,
      lastResortKemPrekey: KEM_KEY_BYTES,
      sealKey: SEAL_KEY_BYTES,
    },
    signatureBytes: COMPOSITE_SIGNATURE_BYTES,
  },
  batch: {
    type: TYPE_BATCH,
    fields: { ...OWNER, batchId: 8, count: 'u16', notAfter: 'u64', root: 32 },
    signatureBytes: COMPOSITE_SIGNATURE_BYTES,
  },
  rootStatement: {
    type: TYPE_ROOT,
    fields: { account: 'account', accountKeyHash: 64, version: 'u64', issuedAt: 'u64', rootKey: ROOT_KEY_BYTES },
    signatureBytes: ROOT_SIGNATURE_BYTES,
  },
  login: {
    type: TYPE_LOGIN,
    fields: { audience: 'lp16', nonce: 'lp16', account: 'account', device: 'device', storeId: 16, generation: 'u64' },
    signatureBytes: COMPOSITE_SIGNATURE_BYTES,
  },
} as const;

/** A one-time entry, which has no type. */
export const ONE_TIME_ENTRY = {
  otId: 8,
  index: 'u16',
  oneTimePrekey: 32,
  oneTimeKemPrekey: KEM_KEY_BYTES,
  path: { count: 'u8', each: 32 },
} as const;

/** The identity part of a bundle, which has no type. */
export const IDENTITY = { accountKey: COMPOSITE_KEY_BYTES, deviceList: 'lp16', deviceKey: COMPOSITE_KEY_BYTES } as const;

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
  return encoded(OBJECTS.deviceList, list);
}

/** Parses DeviceList TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseDeviceList(bytes: Uint8Array): DeviceListFields & Signed {
  const list = signed(bytes, OBJECTS.deviceList);
  const { entries } = list;
  if (entries.length < 1 || entries.length > wireLimits.devicesPerList) throw malformed('entries');
  entries.forEach(({ device, keyHash }, i) => {
    const before = entries.slice(0, i);
    if (device <= (before.at(-1)?.device ?? 0) || before.some((other) => compare(other.keyHash, keyHash) === 0)) throw malformed('entries');
  });
  return list;
}

/** SignedSet TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeSignedSet(set: SignedSetFields): Uint8Array {
  return encoded(OBJECTS.signedSet, set);
}

/** Parses SignedSet TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseSignedSet(bytes: Uint8Array): SignedSetFields & Signed {
  const set = signed(bytes, OBJECTS.signedSet);
  const { suites } = set;
  if (set.verMin < 1 || set.verMin > set.verMax) throw malformed('verMin');
  if (!suites.includes(SUITE) || suites.some((suite, i) => suite <= (suites[i - 1] ?? -1))) throw malformed('suites');
  if (set.profiles < 1 || set.profiles > ALL_PROFILES) throw malformed('profiles');
  return set;
}

/** OneTimeBatch TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeBatch(batch: BatchFields): Uint8Array {
  return encoded(OBJECTS.batch, batch);
}

/** Parses OneTimeBatch TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseBatch(bytes: Uint8Array): BatchFields & Signed {
  const batch = signed(bytes, OBJECTS.batch);
  if (batch.count < 1 || batch.count > wireLimits.batchUnitCount) throw malformed('count');
  return batch;
}

/** RootStatement TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeRootStatement(statement: RootStatementFields): Uint8Array {
  return encoded(OBJECTS.rootStatement, statement);
}

/** Parses RootStatement TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseRootStatement(bytes: Uint8Array): RootStatementFields & Signed {
  return signed(bytes, OBJECTS.rootStatement);
}

/** Parses RootStatement TBS, kept without its signature once that was verified. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseRootStatementTbs(tbs: Uint8Array): RootStatementFields {
  const from = reader(tbs);
  readHead(from, TYPE_ROOT);
  const statement = readFields(from, OBJECTS.rootStatement.fields);
  from.end();
  return statement;
}

/** otId 8 ‖ index u16 ‖ OPK 32 ‖ PQOPK 1568 ‖ k u8 ‖ k×32. Throws `ERR_BUG` on a field that does not fit. */
export function encodeOneTimeEntry(entry: OneTimeEntry): Uint8Array {
  return writeFields(writer(), ONE_TIME_ENTRY, entry).finish();
}

/** Parses a one-time entry. Throws `ERR_DECODE`, also for otId = 0⁸, which means "none". */
export function parseOneTimeEntry(bytes: Uint8Array): OneTimeEntry {
  const from = reader(bytes);
  const entry = readFields(from, ONE_TIME_ENTRY);
  from.end();
  if (isZero(entry.otId)) throw malformed('otId');
  if (entry.path.length > wireLimits.merklePathCount) throw malformed('path');
  return entry;
}

/** The identity part of a bundle. Throws `ERR_BUG` on a wrong length. */
export function encodeIdentity(part: IdentityPart): Uint8Array {
  return writeFields(writer(), IDENTITY, part).finish();
}

/** Parses AIK ‖ lp16(DeviceList TBS‖sig) ‖ DIK. Throws `ERR_DECODE`. */
export function parseIdentity(bytes: Uint8Array): IdentityPart {
  const from = reader(bytes);
  const part = readFields(from, IDENTITY);
  from.end();
  return part;
}

/** Login proof TBS. Throws `ERR_BUG` on a field that does not fit. */
export function encodeLogin(login: LoginFields): Uint8Array {
  return encoded(OBJECTS.login, login);
}

/** Parses login proof TBS‖sig. Throws `ERR_DECODE` and `ERR_VERSION`. */
export function parseLogin(bytes: Uint8Array): LoginFields & Signed {
  return signed(bytes, OBJECTS.login);
}

interface SignedObject<L extends Layout> {
  readonly type: number;
  readonly fields: L;
  readonly signatureBytes: number;
}

function encoded<L extends Layout>({ type, fields }: SignedObject<L>, values: Fields<L>): Uint8Array {
  return writeFields(writeHead(type), fields, values).finish();
}

function signed<L extends Layout>(bytes: Uint8Array, { type, fields, signatureBytes }: SignedObject<L>): Fields<L> & Signed {
  const from = reader(bytes);
  readHead(from, type);
  const parsed = readFields(from, fields);
  const tbs = bytes.slice(0, from.offset());
  const signature = from.bytes(signatureBytes);
  from.end();
  return { ...parsed, tbs, signature };
}
