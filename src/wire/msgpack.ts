/**
 * Strict MessagePack, for what stands inside authenticated plaintext and in local records (section 10, rule 3). The only importer
 * of msgpackr.
 *
 * Knows values, not schemas. One value has one encoding (map order is the sender's) and no byte is accepted that the encoder would
 * not write, so a scanner reads every byte string before msgpackr does. Nothing is changed on the way: what would come back as
 * something else is refused.
 */

import { Packr } from 'msgpackr/pack';
import { copy, decodeUtf8, encodeUtf8 } from '../bytes.js';
import { type DecodeError, UsageError } from '../errors.js';
import { malformed } from './codec.js';

/** Containers may be nested this deep. */
const MAX_DEPTH = 8;
/** Values, map keys not counted. */
const MAX_NODES = 4_096;
/** Integers up to 2⁵³ are numbers, larger ones bigints. */
const NUMBER_MAX = 2 ** 53;
const U64_MAX = 2n ** 64n - 1n;
const I64_MIN = -(2n ** 63n);
const KEY = /^[a-zA-Z0-9_]{1,32}$/;
const FORBIDDEN_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  structuredClone: false,
  moreTypes: false,
  // 'auto' makes numbers up to 2⁵³; msgpackr's types don't know it.
  int64AsType: 'auto' as 'bigint',
  copyBuffers: true,
  variableMapSize: true,
});

/** Bounds of one encoding or decoding. */
export interface MsgpackOptions {
  /** Values, map keys not counted: 4,096 for anything from the network, more only for local records. */
  readonly maxNodes?: number | undefined;
}

/** A value that survives: integers beyond 2⁵³ are bigints, binary is Uint8Array, maps are plain objects. */
export type MsgpackValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly MsgpackValue[]
  | { readonly [key: string]: MsgpackValue };

/**
 * Encodes a value into a buffer of its own. Accepts null, booleans, finite numbers (not −0), bigints beyond ±2⁵³ within i64 and u64,
 * well-formed strings, Uint8Arrays, arrays and plain objects with keys [a-zA-Z0-9_]{1,32}, nested at most 8 deep.
 * Throws `ERR_ARGUMENT` for everything else; `field` is the path, such as `data.options[2]`, or `value` for the whole.
 */
export function encodeMsgpack(value: unknown, options: MsgpackOptions = {}): Uint8Array {
  let nodes = options.maxNodes ?? MAX_NODES;
  const plain = (at: unknown, path: string, depth: number): unknown => {
    if (--nodes < 0) throw refused(path);
    if (at === null || typeof at === 'boolean') return at;
    if (typeof at === 'number') return plainNumber(at, path);
    if (typeof at === 'bigint') return plainBigint(at, path);
    if (typeof at === 'string') {
      if (encodeUtf8(at) === undefined) throw refused(path);
      return at;
    }
    if (at instanceof Uint8Array) return copy(at);
    if (depth === MAX_DEPTH || typeof at !== 'object') throw refused(path);
    return Array.isArray(at)
      ? dataProperties(at, path).map(([key, item]) => plain(item, `${path}[${key}]`, depth + 1))
      : Object.fromEntries(
          dataProperties(at, path).map(([key, item]) => {
            const inner = path === '' ? key : `${path}.${key}`;
            if (!KEY.test(key) || FORBIDDEN_KEYS.includes(key)) throw refused(inner);
            return [key, plain(item, inner, depth + 1)];
          }),
        );
  };
  // msgpackr returns a view into a pool that holds earlier messages.
  const bytes = copy(packr.pack(plain(value, '', 0)));
  scan(bytes, Number.MAX_SAFE_INTEGER, true);
  return bytes;
}

/**
 * Decodes what `encodeMsgpack` writes, and nothing else; the value shares no buffer with `bytes`.
 * Throws `ERR_DECODE`, before anything is allocated for a value.
 */
export function decodeMsgpack(bytes: Uint8Array, options: MsgpackOptions = {}): unknown {
  scan(bytes, options.maxNodes ?? MAX_NODES, false);
  // A view of its own: msgpackr leaves a property on what it reads, and answers a Buffer with Buffers.
  return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
}

function refused(path: string): UsageError {
  const field = path === '' ? 'value' : path;
  return new UsageError('ERR_ARGUMENT', `not a value that can be encoded: ${field}`, { field });
}

function plainNumber(value: number, path: string): number | bigint {
  if (!Number.isFinite(value) || Object.is(value, -0)) throw refused(path);
  // msgpackr writes integers of more than 32 bits as floats, unless they are bigints.
  const wide = value > 0xffff_ffff || value < -0x8000_0000;
  return wide && Number.isInteger(value) && Math.abs(value) <= NUMBER_MAX ? BigInt(value) : value;
}

function plainBigint(value: bigint, path: string): bigint {
  const isNumber = value >= -NUMBER_MAX && value <= NUMBER_MAX;
  if (isNumber || value < I64_MIN || value > U64_MAX) throw refused(path);
  return value;
}

/** Keys and values of a plain object or array: no accessors, no symbols, no hidden properties, no holes, no other prototype. */
function dataProperties(at: object, path: string): [key: string, value: unknown][] {
  const prototype: unknown = Object.getPrototypeOf(at);
  const isArray = Array.isArray(at);
  if (!isArray && prototype !== null && prototype !== Object.prototype) throw refused(path);
  const keys = Reflect.ownKeys(at).filter((key) => !(isArray && key === 'length'));
  if (isArray && keys.length !== at.length) throw refused(path);
  return keys.map((key, index) => {
    const property = Object.getOwnPropertyDescriptor(at, key)!;
    if (typeof key === 'symbol' || !property.enumerable || !('value' in property)) throw refused(path);
    if (isArray && key !== String(index)) throw refused(path);
    return [key, property.value];
  });
}

/**
 * Reads every byte and throws `ERR_DECODE` unless there is one value in the one form of each part. With `own`, the bytes come
 * from msgpackr, which writes positive bigints as int64: that byte is corrected in place to uint64.
 */
function scan(bytes: Uint8Array, maxNodes: number, own: boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let nodes = 0;

  const skip = (lengthBytes: number): number => {
    if (lengthBytes > bytes.length - at) throw bad();
    at += lengthBytes;
    return at - lengthBytes;
  };
  /** An unsigned integer of 1, 2 or 4 bytes that does not fit a shorter form. */
  const minimal = (lengthBytes: 1 | 2 | 4, least: number): number => {
    const start = skip(lengthBytes);
    const value = lengthBytes === 1 ? view.getUint8(start) : lengthBytes === 2 ? view.getUint16(start) : view.getUint32(start);
    if (value < least) throw bad();
    return value;
  };
  const text = (lengthBytes: number): string => {
    const start = skip(lengthBytes);
    const value = decodeUtf8(bytes.subarray(start, at));
    if (value === undefined) throw bad();
    return value;
  };
  const textLength = (type: number): number | undefined => {
    if (type >= 0xa0 && type <= 0xbf) return type & 0x1f;
    if (type === 0xd9) return minimal(1, 32);
    if (type === 0xda) return minimal(2, 0x100);
    return type === 0xdb ? minimal(4, 0x1_0000) : undefined;
  };
  const items = (count: number, depth: number): void => {
    if (depth === MAX_DEPTH || count > bytes.length - at) throw bad();
    for (let i = 0; i < count; i++) value(depth + 1);
  };
  const pairs = (count: number, depth: number): void => {
    if (depth === MAX_DEPTH || 2 * count > bytes.length - at) throw bad();
    const keys = new Set<string>();
    for (let i = 0; i < count; i++) {
      const length = textLength(bytes[skip(1)]!);
      const key = length === undefined || length > 32 ? '' : text(length);
      if (!KEY.test(key) || FORBIDDEN_KEYS.includes(key) || keys.has(key)) throw bad();
      keys.add(key);
      value(depth + 1);
    }
  };
  const signed = (lengthBytes: 1 | 2 | 4, below: number): void => {
    const start = skip(lengthBytes);
    const value = lengthBytes === 1 ? view.getInt8(start) : lengthBytes === 2 ? view.getInt16(start) : view.getInt32(start);
    if (value >= below) throw bad();
  };
  const float = (): void => {
    const value = view.getFloat64(skip(8));
    if (!Number.isFinite(value) || (Number.isInteger(value) && Math.abs(value) <= NUMBER_MAX)) throw bad();
  };
  const wide = (type: number): void => {
    const start = skip(8);
    const high = view.getInt32(start);
    if (type === 0xd3 && own && high >= 0) bytes[start - 1] = 0xcf;
    else if (type === 0xd3 ? view.getBigInt64(start) >= -0x8000_0000n : high === 0) throw bad();
  };
  const value = (depth: number): void => {
    if (++nodes > maxNodes) throw bad();
    const type = bytes[skip(1)]!;
    const length = textLength(type);
    if (length !== undefined) text(length);
    else if (type >= 0x80 && type <= 0x8f) pairs(type & 15, depth);
    else if (type >= 0x90 && type <= 0x9f) items(type & 15, depth);
    else if (type >= 0x80 && type <= 0xdf) typed(type, depth);
  };
  const typed = (type: number, depth: number): void => {
    switch (type) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        break;
      case 0xc4:
        skip(minimal(1, 0));
        break;
      case 0xc5:
        skip(minimal(2, 0x100));
        break;
      case 0xc6:
        skip(minimal(4, 0x1_0000));
        break;
      case 0xcb:
        float();
        break;
      case 0xcc:
        minimal(1, 0x80);
        break;
      case 0xcd:
        minimal(2, 0x100);
        break;
      case 0xce:
        minimal(4, 0x1_0000);
        break;
      case 0xcf:
      case 0xd3:
        wide(type);
        break;
      case 0xd0:
        signed(1, -0x20);
        break;
      case 0xd1:
        signed(2, -0x80);
        break;
      case 0xd2:
        signed(4, -0x8000);
        break;
      case 0xdc:
        items(minimal(2, 16), depth);
        break;
      case 0xdd:
        items(minimal(4, 0x1_0000), depth);
        break;
      case 0xde:
        pairs(minimal(2, 16), depth);
        break;
      case 0xdf:
        pairs(minimal(4, 0x1_0000), depth);
        break;
      default:
        // float32, extensions, 0xc1
        throw bad();
    }
  };

  value(0);
  if (at !== bytes.length) throw bad();
}

function bad(): DecodeError {
  return malformed('msgpack');
}
