/**
 * Strict MessagePack, for what stands inside authenticated plaintext and in local records (section 10, rule 3).
 *
 * Knows values, not schemas. One value has one encoding (map order is the sender's) and no byte is accepted that the encoder would
 * not write. Nothing is changed on the way: what would come back as something else is refused. A codec of our own, for what others
 * accept beside that: extensions, longer forms, duplicate keys, any depth; a scanner before one of them would be the larger half.
 */

import { copy, decodeUtf8, encodeUtf8 } from '../bytes.js';
import { UsageError } from '../errors.js';
import { malformed } from './codec.js';

/** Containers may be nested this deep. */
const MAX_DEPTH = 8;
/** Values, map keys not counted. */
const MAX_NODES = 4_096;
/** Integers up to 2⁵³ are numbers, larger ones bigints. */
const NUMBER_MAX = 2 ** 53;
const U64_MAX = 2n ** 64n - 1n;
const I64_MIN = -(2n ** 63n);
const FORBIDDEN_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];
const KEY = new RegExp(`^(?!(?:${FORBIDDEN_KEYS.join('|')})$)[a-zA-Z0-9_]{1,32}$`);
const ARRAY_RULE = 'must have no holes and no properties beside its items';

/** Type bytes of one kind: the base of a length within the type, how many fit there, and what stands before 1, 2 and 4 bytes of length. */
interface Lengths {
  readonly fixed: number;
  readonly fixedCount: number;
  readonly one: number | null;
  readonly two: number;
  readonly four: number;
}
const TEXT: Lengths = { fixed: 0xa0, fixedCount: 32, one: 0xd9, two: 0xda, four: 0xdb };
const BINARY: Lengths = { fixed: 0, fixedCount: 0, one: 0xc4, two: 0xc5, four: 0xc6 };
const ARRAY: Lengths = { fixed: 0x90, fixedCount: 16, one: null, two: 0xdc, four: 0xdd };
const MAP: Lengths = { fixed: 0x80, fixedCount: 16, one: null, two: 0xde, four: 0xdf };

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
 * Throws `ERR_ARGUMENT` for everything else; `field` is the path, such as `data.options[2]`, or `value` for the whole, and the message
 * is the path and the rule that it breaks.
 */
export function encodeMsgpack(value: unknown, options: MsgpackOptions = {}): Uint8Array {
  const maxNodes = options.maxNodes ?? MAX_NODES;
  let nodes = maxNodes;
  const { u8, sized, integer, float, ascii, bytes, finish } = output();

  const text = (at: string, path: string): void => {
    if (ascii(at)) return;
    const encoded = encodeUtf8(at);
    if (encoded === undefined) throw refused(path, 'holds an unpaired surrogate');
    sized(TEXT, encoded.length);
    bytes(encoded);
  };
  const binary = (at: Uint8Array): void => {
    sized(BINARY, at.length);
    bytes(at);
  };
  const number = (at: number, path: string): void => {
    if (!Number.isFinite(at) || Object.is(at, -0)) throw refused(path, 'must be a finite number and not −0');
    if (Number.isInteger(at) && Math.abs(at) <= NUMBER_MAX) integer(at);
    else float(at);
  };
  const bigint = (at: bigint, path: string): void => {
    const isNumber = at >= -NUMBER_MAX && at <= NUMBER_MAX;
    if (isNumber || at < I64_MIN || at > U64_MAX) throw refused(path, 'may be a bigint only beyond ±2⁵³ and within 64 bits');
    integer(at);
  };
  const write = (at: unknown, path: string, depth: number): void => {
    if (--nodes < 0) throw refused(path, `is one value more than the ${maxNodes} that are encoded`);
    if (at === null) u8(0xc0);
    else if (typeof at === 'boolean') u8(at ? 0xc3 : 0xc2);
    else if (typeof at === 'number') number(at, path);
    else if (typeof at === 'bigint') bigint(at, path);
    else if (typeof at === 'string') text(at, path);
    else if (at instanceof Uint8Array) binary(at);
    else if (typeof at !== 'object')
      throw refused(path, 'must be null, a boolean, a number, a bigint, a string, a Uint8Array, an array or a plain object');
    else if (depth >= MAX_DEPTH) throw refused(path, `is nested more than ${MAX_DEPTH} deep`);
    else container(at, path, depth);
  };
  const container = (at: object, path: string, depth: number): void => {
    const isArray = Array.isArray(at);
    const keys = dataKeys(at, path);
    sized(isArray ? ARRAY : MAP, keys.length);
    for (const key of keys) {
      const inner = isArray ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
      if (!isArray) {
        if (!KEY.test(key)) throw refused(inner, `has a key that is not [a-zA-Z0-9_]{1,32}, or is one of ${FORBIDDEN_KEYS.join(', ')}`);
        text(key, inner);
      }
      write((at as Record<string, unknown>)[key], inner, depth + 1);
    }
  };

  write(value, '', 0);
  return finish();
}

/** `rule` goes on after the path, which stands at the start of the message. */
function refused(path: string, rule: string): UsageError {
  const field = path === '' ? 'value' : path;
  return new UsageError('ERR_ARGUMENT', `${field} ${rule}`, { field });
}

/** Keys of a plain object or array: no accessors, no symbols, no hidden properties, no holes, no other prototype. */
function dataKeys(at: object, path: string): string[] {
  const prototype: unknown = Object.getPrototypeOf(at);
  const isArray = Array.isArray(at);
  if (!isArray && prototype !== null && prototype !== Object.prototype) throw refused(path, 'must be a plain object, not of a class');
  const own = Reflect.ownKeys(at);
  const keys = isArray ? own.filter((key) => key !== 'length') : own;
  if (isArray && keys.length !== at.length) throw refused(path, ARRAY_RULE);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]!;
    const property = Object.getOwnPropertyDescriptor(at, key)!;
    if (typeof key === 'symbol' || !property.enumerable || !('value' in property))
      throw refused(path, 'must have no symbols, accessors or hidden properties');
    if (isArray && key !== String(index)) throw refused(path, ARRAY_RULE);
  }
  return keys as string[];
}

/** A buffer that grows and is wiped when it is given up: records hold secret keys. */
function output() {
  let buffer = new Uint8Array(256);
  let end = 0;
  /** Makes room; where it begins. */
  const room = (lengthBytes: number): number => {
    if (end + lengthBytes > buffer.length) {
      const larger = new Uint8Array(2 * (end + lengthBytes));
      larger.set(buffer);
      buffer.fill(0);
      buffer = larger;
    }
    end += lengthBytes;
    return end - lengthBytes;
  };
  /** A type byte and an integer of 1, 2 or 4 bytes behind it. */
  const typed = (type: number, lengthBytes: 1 | 2 | 4, value: number): void => {
    let at = room(1 + lengthBytes);
    buffer[at++] = type;
    for (let shift = 8 * lengthBytes - 8; shift >= 0; shift -= 8) buffer[at++] = value >>> shift;
  };
  /** A type byte, and a view of the 8 bytes behind it. */
  const wide = (type: number): DataView => {
    const start = room(9);
    buffer[start] = type;
    return new DataView(buffer.buffer, start + 1, 8);
  };
  const u8 = (value: number): void => {
    const start = room(1);
    buffer[start] = value;
  };
  const sized = ({ fixed, fixedCount, one, two, four }: Lengths, length: number): void => {
    if (length < fixedCount) u8(fixed | length);
    else if (length < 0x100 && one !== null) typed(one, 1, length);
    else if (length < 0x1_0000) typed(two, 2, length);
    else typed(four, 4, length);
  };
  return {
    u8,
    sized,
    /** The shortest form that holds it. */
    integer(value: number | bigint): void {
      if (value < -0x8000_0000) wide(0xd3).setBigUint64(0, BigInt(value));
      else if (value > 0xffff_ffff) wide(0xcf).setBigUint64(0, BigInt(value));
      else if (value < -0x8000) typed(0xd2, 4, Number(value));
      else if (value < -0x80) typed(0xd1, 2, Number(value));
      else if (value < -0x20) typed(0xd0, 1, Number(value));
      else if (value < 0x80) u8(Number(value));
      else if (value < 0x100) typed(0xcc, 1, Number(value));
      else if (value < 0x1_0000) typed(0xcd, 2, Number(value));
      else typed(0xce, 4, Number(value));
    },
    float(value: number): void {
      wide(0xcb).setFloat64(0, value);
    },
    /** Writes text as keys and ids are, without bytes of their own; `false`, and nothing is written, for other text. */
    ascii(value: string): boolean {
      for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) >= 0x80) return false;
      sized(TEXT, value.length);
      const start = room(value.length);
      for (let i = 0; i < value.length; i++) buffer[start + i] = value.charCodeAt(i);
      return true;
    },
    bytes(value: Uint8Array): void {
      const start = room(value.length);
      buffer.set(value, start);
    },
    finish(): Uint8Array {
      const out = buffer.slice(0, end);
      buffer.fill(0);
      return out;
    },
  };
}

/**
 * Decodes what `encodeMsgpack` writes, and nothing else; the value shares no buffer with `bytes`. Throws `ERR_DECODE`. Lengths and
 * counts are held against the bytes that are left before anything is made of them, so that work and memory follow from the input's length.
 */
export function decodeMsgpack(bytes: Uint8Array, options: MsgpackOptions = {}): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const bad = (): Error => malformed('msgpack');
  let at = 0;
  let nodes = options.maxNodes ?? MAX_NODES;

  const skip = (lengthBytes: number): number => {
    if (lengthBytes > bytes.length - at) throw bad();
    at += lengthBytes;
    return at - lengthBytes;
  };
  const u8 = (): number => view.getUint8(skip(1));
  const atLeast = (least: number, value: number): number => {
    if (value < least) throw bad();
    return value;
  };
  const below = (bound: number, value: number): number => {
    if (value >= bound) throw bad();
    return value;
  };
  /** The length that a type says, if the type is of this kind and no shorter one would do. */
  const lengthOf = ({ fixed, fixedCount, one, two, four }: Lengths, type: number): number | undefined => {
    if (type >= fixed && type < fixed + fixedCount) return type - fixed;
    if (type === one) return atLeast(fixedCount, u8());
    if (type === two) return atLeast(one === null ? fixedCount : 0x100, view.getUint16(skip(2)));
    return type === four ? atLeast(0x1_0000, view.getUint32(skip(4))) : undefined;
  };
  const text = (lengthBytes: number): string => {
    const start = skip(lengthBytes);
    const value = decodeUtf8(bytes, start, at);
    if (value === undefined) throw bad();
    return value;
  };
  const items = (count: number, depth: number): unknown[] => {
    if (depth === MAX_DEPTH || count > bytes.length - at) throw bad();
    const out: unknown[] = [];
    for (let i = 0; i < count; i++) out.push(read(depth + 1));
    return out;
  };
  const pairs = (count: number, depth: number): Record<string, unknown> => {
    if (depth === MAX_DEPTH || 2 * count > bytes.length - at) throw bad();
    const out: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const length = lengthOf(TEXT, u8());
      const key = length === undefined || length > 32 ? '' : text(length);
      if (!KEY.test(key) || Object.hasOwn(out, key)) throw bad();
      out[key] = read(depth + 1);
    }
    return out;
  };
  const float = (): number => {
    const value = view.getFloat64(skip(8));
    if (!Number.isFinite(value) || (Number.isInteger(value) && Math.abs(value) <= NUMBER_MAX)) throw bad();
    return value;
  };
  const wide = (value: bigint, needsIt: (value: bigint) => boolean): number | bigint => {
    if (!needsIt(value)) throw bad();
    return value >= -NUMBER_MAX && value <= NUMBER_MAX ? Number(value) : value;
  };
  const read = (depth: number): unknown => {
    if (--nodes < 0) throw bad();
    const type = u8();
    if (type < 0x80) return type;
    if (type >= 0xe0) return type - 0x100;
    const textBytes = lengthOf(TEXT, type);
    if (textBytes !== undefined) return text(textBytes);
    const mapCount = lengthOf(MAP, type);
    if (mapCount !== undefined) return pairs(mapCount, depth);
    const arrayCount = lengthOf(ARRAY, type);
    if (arrayCount !== undefined) return items(arrayCount, depth);
    const binaryBytes = lengthOf(BINARY, type);
    if (binaryBytes !== undefined) return copy(bytes.subarray(skip(binaryBytes), at));
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return type === 0xc3;
      case 0xcb:
        return float();
      case 0xcc:
        return atLeast(0x80, u8());
      case 0xcd:
        return atLeast(0x100, view.getUint16(skip(2)));
      case 0xce:
        return atLeast(0x1_0000, view.getUint32(skip(4)));
      case 0xcf:
        return wide(view.getBigUint64(skip(8)), (value) => value > 0xffff_ffffn);
      case 0xd0:
        return below(-0x20, view.getInt8(skip(1)));
      case 0xd1:
        return below(-0x80, view.getInt16(skip(2)));
      case 0xd2:
        return below(-0x8000, view.getInt32(skip(4)));
      case 0xd3:
        return wide(view.getBigInt64(skip(8)), (value) => value < -0x8000_0000n);
      default:
        // float32, extensions, 0xc1
        throw bad();
    }
  };

  const value = read(0);
  if (at !== bytes.length) throw bad();
  return value;
}
