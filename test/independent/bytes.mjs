/**
 * Bytes: fields written and read in order, and the INFO strings of section 1.3 of docs/protocol.md. Knows no object and no key.
 *
 * Everything here and beside it works on Node's Buffer. Nothing is wiped, nothing runs in constant time: this is a check, not a library.
 */

/** What is refused, with the code that the document names for it. */
export class Refused extends Error {
  constructor(code, why) {
    super(`${code}: ${why}`);
    this.code = code;
  }
}

/** Throws the document's code unless `holds`. */
export function need(holds, code, why) {
  if (!holds) throw new Refused(code, why);
}

/** The result of `body`; whatever else than a named refusal it throws becomes `code`. */
export function orElse(code, body) {
  try {
    return body();
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(code, String(error));
  }
}

export const hex = (bytes) => Buffer.from(bytes).toString('hex');
export const unhex = (text) => Buffer.from(text, 'hex');
export const ascii = (text) => Buffer.from(text, 'utf8');
export const concat = (...parts) => Buffer.concat(parts);
export const zeros = (count) => Buffer.alloc(count);
export const equal = (a, b) => Buffer.compare(a, b) === 0;

export const u8 = (value) => Buffer.from([value]);
export const u16 = (value) => Buffer.from([value >> 8, value & 255]);
export function u32(value) {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}
export function u64(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}
/** A field with its length before it. */
export const lp16 = (bytes) => concat(u16(bytes.length), bytes);

const PX = 'CYPHR/1 ';
/** `PX‖label`: a signature context, or the beginning of the transcript. */
export const context = (label) => ascii(PX + label);
/** INFO(label, f1, f2, …) of section 1.3. */
export function info(label, ...fields) {
  const name = context(label);
  return concat(u8(name.length), name, ...fields.map(lp16));
}

/** The four bytes that every object and frame begins with. */
export const head = (type) => Buffer.from([type, 1, 0, 1]);

/** Reads fields from left to right; what is missing or left over is ERR_DECODE. */
export class Reader {
  constructor(bytes) {
    this.bytes = Buffer.from(bytes);
    this.at = 0;
  }
  take(count) {
    need(this.at + count <= this.bytes.length, 'ERR_DECODE', 'too short');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  u8() {
    return this.take(1)[0];
  }
  u16() {
    return this.take(2).readUInt16BE();
  }
  u32() {
    return this.take(4).readUInt32BE();
  }
  u64() {
    const value = this.take(8).readBigUInt64BE();
    need(value <= BigInt(Number.MAX_SAFE_INTEGER), 'ERR_DECODE', 'a u64 above 2^53 - 1');
    return Number(value);
  }
  lp16() {
    return this.take(this.u16());
  }
  head(type) {
    need(this.u8() === type, 'ERR_DECODE', 'another type');
    need(this.u8() === 1 && this.u16() === 1, 'ERR_VERSION', 'another version or suite');
  }
  accountId() {
    const name = this.lp16();
    need(name.length >= 1 && name.length <= 64, 'ERR_DECODE', 'length of an accountId');
    orElse('ERR_DECODE', () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name));
    return name;
  }
  deviceId() {
    const id = this.u32();
    need(id >= 1 && id < 2 ** 31, 'ERR_DECODE', 'a deviceId out of range');
    return id;
  }
  rest() {
    return this.take(this.bytes.length - this.at);
  }
  end() {
    need(this.at === this.bytes.length, 'ERR_DECODE', 'bytes left over');
  }
}
