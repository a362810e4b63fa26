/** Plain functions on bytes. No cryptography: that is `crypto/`; no layouts: that is `wire/`. */

/** Joins byte strings into one new buffer. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A copy that owns its buffer: never a view into a pool. */
export function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/** Equality whose work depends on the lengths only, for MACs, commitments and hashes. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** Bytewise order: negative, zero or positive, shorter first. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether all bytes are zero; work depends on the length only. */
export function isZero(bytes: Uint8Array): boolean {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum |= bytes[i]!;
  return sum === 0;
}

/** Fills the buffers with zeros. Best effort: JavaScript may have copied them. */
export function wipe(...buffers: readonly Uint8Array[]): void {
  for (const buffer of buffers) buffer.fill(0);
}

/** An unsigned 32-bit integer, big-endian, 4 bytes. */
export function u32(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

/** An unsigned integer up to 2⁵³−1, big-endian, 8 bytes. */
export function u64(value: number): Uint8Array<ArrayBuffer> {
  return concat(u32(Math.floor(value / 0x1_0000_0000)), u32(value % 0x1_0000_0000));
}

const HEX = '0123456789abcdef';
const HEX_BYTES = Array.from({ length: 256 }, (_, byte) => HEX[byte >>> 4]! + HEX[byte & 15]!);

/** Lowercase hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i++) out += HEX_BYTES[bytes[i]!]!;
  return out;
}

/** Parses lowercase hexadecimal; `undefined` if it is anything else. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 2 !== 0) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = HEX.indexOf(text[2 * i]!);
    const low = HEX.indexOf(text[2 * i + 1]!);
    if (high < 0 || low < 0) return undefined;
    out[i] = high * 16 + low;
  }
  return out;
}

/** UTF-8 of a string; `undefined` if it holds an unpaired surrogate. Own codec: Hermes has no TextEncoder. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> | undefined {
  const ascii = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const point = text.charCodeAt(i);
    if (point >= 0x80) return encodeWide(text);
    ascii[i] = point;
  }
  return ascii;
}

function encodeWide(text: string): Uint8Array<ArrayBuffer> | undefined {
  const out = new Uint8Array(text.length * 3);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point < 0x80) {
      out[length++] = point;
      continue;
    }
    if (point >= 0xd800 && point <= 0xdfff) {
      const low = text.charCodeAt(i + 1);
      if (point > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) return undefined;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      i++;
    }
    if (point < 0x800) {
      out[length++] = 0xc0 | (point >>> 6);
    } else {
      if (point < 0x10000) {
        out[length++] = 0xe0 | (point >>> 12);
      } else {
        out[length++] = 0xf0 | (point >>> 18);
        out[length++] = 0x80 | ((point >>> 12) & 0x3f);
      }
      out[length++] = 0x80 | ((point >>> 6) & 0x3f);
    }
    out[length++] = 0x80 | (point & 0x3f);
  }
  return out.slice(0, length);
}

/** A string from strict UTF-8, of all `bytes` or a part; `undefined` for overlong forms, surrogates, truncation and anything above U+10FFFF. */
export function decodeUtf8(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  const units: number[] = [];
  let text = '';
  for (let i = start; i < end; ) {
    const first = bytes[i++]!;
    let point = first;
    if (first >= 0x80) {
      const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
      if (first < 0xc2 || first > 0xf4 || i + more > end) return undefined;
      point = first & (0x3f >> more);
      for (let j = 0; j < more; j++) {
        const next = bytes[i++]!;
        if ((next & 0xc0) !== 0x80) return undefined;
        point = (point << 6) | (next & 0x3f);
      }
      const least = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80;
      if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return undefined;
    }
    if (point < 0x10000) units.push(point);
    else units.push(0xd800 + ((point - 0x10000) >>> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
    if (units.length >= 4096) text += String.fromCharCode(...units.splice(0));
  }
  return text + String.fromCharCode(...units);
}
