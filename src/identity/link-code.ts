/**
 * The code of a linking (section 5.1): what one device of an account shows and a new one reads, as a QR payload or to be typed.
 *
 * Knows a fingerprint and its two spellings; what it is the fingerprint of, is `linking.ts`'s.
 */

import { concat, copy } from '../bytes.js';
import { DecodeError, UsageError } from '../errors.js';
import { reader, writer } from '../wire/codec.js';
import { readFields, writeFields } from '../wire/layout.js';

/** Length of a fingerprint. */
export const FINGERPRINT_BYTES = 32;
/** As much of a fingerprint as is typed: 112 bits, far beyond what can be searched through in the minutes that a code is good for. */
export const TYPED_BYTES = 14;

const QR_VERSION = 1;
/** A code as a QR payload. */
export const LINK_QR = { version: 'u8', account: 'account', fingerprint: FINGERPRINT_BYTES } as const;
/** Crockford's alphabet: no I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TYPED_CHARS = 24;

/** A code that was read. */
export interface LinkCode {
  /** Whose code it is, where it says so: a QR does. */
  readonly account: string | undefined;
  /** The fingerprint, or its first 14 bytes where the code was typed. */
  readonly fingerprint: Uint8Array;
}

/** The QR payload of a fingerprint of 32 bytes: version u8 = 1 ‖ lp16 account ‖ fingerprint 32. */
export function encodeLinkQr(account: string, fingerprint: Uint8Array): Uint8Array<ArrayBuffer> {
  return copy(writeFields(writer(), LINK_QR, { version: QR_VERSION, account, fingerprint }).finish());
}

/** The typed code of a fingerprint: its first 14 bytes and a check byte in Crockford's base32, 24 characters in 6 groups of 4. */
export function encodeLinkTyped(fingerprint: Uint8Array): string {
  const short = fingerprint.subarray(0, TYPED_BYTES);
  const bytes = concat(short, new Uint8Array([crc8(short)]));
  let text = '';
  for (let at = 0; at < bytes.length; at += 5) {
    let number = bytes.subarray(at, at + 5).reduce((value, byte) => value * 256 + byte, 0);
    let group = '';
    for (let i = 0; i < 8; i++, number = Math.floor(number / 32)) group = ALPHABET[number % 32] + group;
    text += group;
  }
  return text.match(/.{4}/g)!.join('-');
}

/**
 * Reads a code, as it was scanned or typed: case, spaces and hyphens don't matter, I and L are read as 1, O as 0.
 * Throws `ERR_ARGUMENT` (`field: 'code'`) for what is no code; every single wrong character, and two that changed places, are found.
 */
export function readLinkCode(code: Uint8Array | string): LinkCode {
  if (typeof code === 'string') return { account: undefined, fingerprint: readTyped(code) };
  if (!(code instanceof Uint8Array)) throw notCode();
  try {
    const from = reader(code);
    const { version, account, fingerprint } = readFields(from, LINK_QR);
    from.end();
    if (version !== QR_VERSION) throw notCode();
    return { account, fingerprint };
  } catch (error) {
    throw error instanceof DecodeError ? notCode() : error;
  }
}

function readTyped(typed: string): Uint8Array {
  const text = typed.toUpperCase().replace(/[\s-]/g, '').replace(/[IL]/g, '1').replace(/O/g, '0');
  if (text.length !== TYPED_CHARS) throw notCode();
  const bytes = new Uint8Array(TYPED_BYTES + 1);
  for (let group = 0; group < 3; group++) {
    let number = 0;
    for (let i = 8 * group; i < 8 * group + 8; i++) {
      const value = ALPHABET.indexOf(text[i]!);
      if (value < 0) throw notCode();
      number = number * 32 + value;
    }
    for (let i = 4; i >= 0; i--, number = Math.floor(number / 256)) bytes[5 * group + i] = number % 256;
  }
  const short = bytes.slice(0, TYPED_BYTES);
  if (crc8(short) !== bytes[TYPED_BYTES]) throw notCode();
  return short;
}

/** CRC-8 (polynomial 0x07): finds every error within 8 bits, so each wrong character, and each swap of neighbours. */
function crc8(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x107 : 0)) & 0xff;
  }
  return crc;
}

function notCode(): UsageError {
  return new UsageError('ERR_ARGUMENT', 'this is no code of a linking, or it has a typing error', { field: 'code' });
}
