/**
 * Reader and writer of fixed layouts (section 1.2): big-endian integers, length-prefixed and fixed-length byte strings.
 *
 * Knows nothing of any object. Every bound is checked before a byte is looked at, and every value that leaves a reader owns its buffer.
 */

import { concat, copy, decodeUtf8, encodeUtf8, u32, u64 } from '../bytes.js';
import { DecodeError, InternalError } from '../errors.js';
import { wireLimits } from '../limits.js';

/** The protocol version that this library speaks: `ver` of every object and frame. */
export const VERSION = 1;
/** The one suite (section 1.1). */
export const SUITE = 0x0001;

/** The one error for bytes that don't follow their layout; `field` names the part, never its content. */
export function malformed(field: string): DecodeError {
  return new DecodeError('ERR_DECODE', `malformed: ${field}`, { field });
}

/** Reads a layout from left to right. Every method throws `ERR_DECODE` where the bytes end too early. */
export interface Reader {
  /** Bytes read so far. */
  offset(): number;
  u8(): number;
  u16(): number;
  u32(): number;
  /** An integer up to 2⁵³−1, else `ERR_DECODE`. */
  u64(): number;
  /** The next `lengthBytes` bytes, copied. */
  bytes(lengthBytes: number): Uint8Array;
  /** A byte string behind its u16 length, copied. */
  lp16(): Uint8Array;
  /** accountId: lp16, 1–64 bytes of strict UTF-8. */
  account(): string;
  /** deviceId: u32 from 1 to 2³¹−1. */
  device(): number;
  /** Whatever is left, copied; maybe nothing. */
  rest(): Uint8Array;
  /** Throws `ERR_DECODE` if bytes are left over. */
  end(): void;
}

/** Opens a reader at the first byte of `source`, which is not copied as a whole and must not change meanwhile. */
export function reader(source: Uint8Array): Reader {
  let at = 0;
  const take = (lengthBytes: number): Uint8Array => {
    if (lengthBytes > source.length - at) throw malformed('length');
    at += lengthBytes;
    return source.subarray(at - lengthBytes, at);
  };
  const unsigned = (lengthBytes: number): number => {
    let value = 0;
    for (const byte of take(lengthBytes)) value = value * 256 + byte;
    return value;
  };
  const self: Reader = {
    offset: () => at,
    u8: () => unsigned(1),
    u16: () => unsigned(2),
    u32: () => unsigned(4),
    u64() {
      // Above 2⁵³ the sum rounds, but never down to a safe integer.
      const value = unsigned(8);
      if (value > wireLimits.u64Max) throw malformed('u64');
      return value;
    },
    bytes: (lengthBytes) => copy(take(lengthBytes)),
    lp16: () => copy(take(unsigned(2))),
    account() {
      const bytes = self.lp16();
      const account = bytes.length >= 1 && bytes.length <= wireLimits.accountIdBytes ? decodeUtf8(bytes) : undefined;
      if (account === undefined) throw malformed('accountId');
      return account;
    },
    device() {
      const device = unsigned(4);
      if (device < 1 || device > wireLimits.deviceIdMax) throw malformed('deviceId');
      return device;
    },
    rest: () => copy(take(source.length - at)),
    end() {
      if (at !== source.length) throw malformed('trailing bytes');
    },
  };
  return self;
}

/** Writes a layout from left to right. A value that does not fit its field is `ERR_BUG`: callers check what users give them. */
export interface Writer {
  u8(value: number): Writer;
  u16(value: number): Writer;
  u32(value: number): Writer;
  u64(value: number): Writer;
  /** Bytes without a prefix; exactly `lengthBytes` of them where the layout fixes the length. */
  bytes(value: Uint8Array, lengthBytes?: number): Writer;
  lp16(value: Uint8Array): Writer;
  /** accountId of an account: lp16, 1–64 bytes of UTF-8. */
  account(value: string): Writer;
  /** All that was written, in a new buffer. */
  finish(): Uint8Array;
}

/** Opens an empty writer. Values are copied by `finish`, not before. */
export function writer(): Writer {
  const parts: Uint8Array[] = [];
  const integer = (value: number, max: number, encoded: (value: number) => Uint8Array): Writer => {
    if (!(Number.isInteger(value) && value >= 0 && value <= max)) {
      throw new InternalError('ERR_BUG', 'integer does not fit its field', { got: value, max });
    }
    parts.push(encoded(value));
    return self;
  };
  const self: Writer = {
    u8: (value) => integer(value, 0xff, (v) => new Uint8Array([v])),
    u16: (value) => integer(value, 0xffff, (v) => new Uint8Array([v >>> 8, v])),
    u32: (value) => integer(value, 0xffff_ffff, u32),
    u64: (value) => integer(value, wireLimits.u64Max, u64),
    bytes(value, lengthBytes = value.length) {
      if (value.length !== lengthBytes) throw new InternalError('ERR_BUG', 'wrong length', { got: value.length, max: lengthBytes });
      parts.push(value);
      return self;
    },
    lp16: (value) => self.u16(value.length).bytes(value),
    account: (value) => self.lp16(accountBytes(value)),
    finish: () => concat(...parts),
  };
  return self;
}

/** Starts an object or frame: type u8 · ver u8 · suite u16. */
export function writeHead(type: number): Writer {
  return writer().u8(type).u8(VERSION).u16(SUITE);
}

/** Reads type · ver · suite. Another type is `ERR_DECODE`, another version or suite `ERR_VERSION`. */
export function readHead(from: Reader, type: number): void {
  if (from.u8() !== type) throw malformed('type');
  if (from.u8() !== VERSION) throw new DecodeError('ERR_VERSION', 'unknown protocol version', { field: 'ver' });
  if (from.u16() !== SUITE) throw new DecodeError('ERR_VERSION', 'unknown suite', { field: 'suite' });
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
