/**
 * The MessagePack of section 10 and the plaintext of section 1.4 that carries it. One value has one encoding; all else is refused.
 * Values: null, booleans, numbers (bigint beyond 2^53), strings, Buffers, arrays, plain objects.
 */
import { ascii, concat, need, orElse, Reader, u8, u16, u32, u64 } from './bytes.mjs';

const MAX_DEPTH = 8;
const MAX_VALUES = 4096;
const SAFE = 2 ** 53;
const FORBIDDEN_KEYS = ['__proto__', 'constructor', 'prototype'];
const fault = (holds, why) => need(holds, 'ERR_DECODE', why);

/** Integer forms: first byte, bytes, smallest and greatest value that is in its shortest form there. */
const INTEGERS = {
  204: [1, 128n, 2n ** 8n - 1n],
  205: [2, 2n ** 8n, 2n ** 16n - 1n],
  206: [4, 2n ** 16n, 2n ** 32n - 1n],
  207: [8, 2n ** 32n, 2n ** 64n - 1n],
  208: [1, -(2n ** 7n), -33n],
  209: [2, -(2n ** 15n), -(2n ** 7n) - 1n],
  210: [4, -(2n ** 31n), -(2n ** 15n) - 1n],
  211: [8, -(2n ** 63n), -(2n ** 31n) - 1n],
};
const toNumber = (value) => (value >= -BigInt(SAFE) && value <= BigInt(SAFE) ? Number(value) : value);

function readInteger(reader, form) {
  const [length, min, max] = INTEGERS[form];
  const unsigned = BigInt(`0x${reader.take(length).toString('hex')}`);
  const value = form >= 208 ? BigInt.asIntN(8 * length, unsigned) : unsigned;
  fault(value >= min && value <= max, 'an integer that is not in its shortest form');
  return toNumber(value);
}
function readFloat(reader) {
  const value = reader.take(8).readDoubleBE();
  fault(Number.isFinite(value) && !(Number.isInteger(value) && Math.abs(value) <= SAFE), 'a float that should be an integer, or is none');
  return value;
}
/** A length of 1, 2 or 4 bytes, in its shortest form: `least` is what the next shorter form cannot hold. */
function readLength(reader, bytes, least) {
  const length = { 1: () => reader.u8(), 2: () => reader.u16(), 4: () => reader.u32() }[bytes]();
  fault(length >= least, 'a length that is not in its shortest form');
  return length;
}
const readText = (bytes) => orElse('ERR_DECODE', () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));

/** The one value that `bytes` are. */
export function decodeMsgpack(bytes) {
  const reader = new Reader(bytes);
  let values = 0;
  const left = () => reader.bytes.length - reader.at;
  const list = (count, depth) => {
    fault(depth <= MAX_DEPTH && count <= left(), 'an array too deep or too long');
    return Array.from({ length: count }, () => read(depth));
  };
  const map = (count, depth) => {
    fault(depth <= MAX_DEPTH && 2 * count <= left(), 'a map too deep or too long');
    const out = {};
    for (let i = 0; i < count; i += 1) {
      const key = read(depth, true);
      fault(typeof key === 'string' && /^[a-zA-Z0-9_]{1,32}$/.test(key) && !FORBIDDEN_KEYS.includes(key), 'a key of a map');
      fault(!Object.hasOwn(out, key), 'a key twice');
      out[key] = read(depth);
    }
    return out;
  };
  /** One value inside of `depth` containers. */
  const read = (depth, isKey = false) => {
    if (!isKey) values += 1;
    fault(values <= MAX_VALUES, 'too many values');
    const form = reader.u8();
    if (form < 0x80) return form;
    if (form < 0x90) return map(form & 15, depth + 1);
    if (form < 0xa0) return list(form & 15, depth + 1);
    if (form < 0xc0) return readText(reader.take(form & 31));
    if (form >= 0xe0) return form - 256;
    if (INTEGERS[form] !== undefined) return readInteger(reader, form);
    const forms = {
      192: () => null,
      194: () => false,
      195: () => true,
      196: () => reader.take(readLength(reader, 1, 0)),
      197: () => reader.take(readLength(reader, 2, 256)),
      198: () => reader.take(readLength(reader, 4, 65536)),
      203: () => readFloat(reader),
      217: () => readText(reader.take(readLength(reader, 1, 32))),
      218: () => readText(reader.take(readLength(reader, 2, 256))),
      219: () => readText(reader.take(readLength(reader, 4, 65536))),
      220: () => list(readLength(reader, 2, 16), depth + 1),
      221: () => list(readLength(reader, 4, 65536), depth + 1),
      222: () => map(readLength(reader, 2, 16), depth + 1),
      223: () => map(readLength(reader, 4, 65536), depth + 1),
    };
    fault(forms[form] !== undefined, 'a type that there is not');
    return forms[form]();
  };
  const value = read(0);
  reader.end();
  return value;
}

function encodeInteger(value) {
  if (value >= -32n && value < 128n) return u8(Number(BigInt.asUintN(8, value)));
  const form = Object.keys(INTEGERS).find((each) => value >= INTEGERS[each][1] && value <= INTEGERS[each][2]);
  const [length] = INTEGERS[form];
  const digits = BigInt.asUintN(8 * length, value).toString(16);
  return concat(u8(Number(form)), Buffer.from(digits.padStart(2 * length, '0'), 'hex'));
}
/** First bytes of something of `length`: `small` and its limit, then the forms with 1 (if there is one), 2 and 4 bytes of length. */
function start(length, [small, limit], form8, form16) {
  if (length < limit) return u8(small | length);
  if (form8 !== undefined && length < 256) return concat(u8(form8), u8(length));
  return length < 65536 ? concat(u8(form16), u16(length)) : concat(u8(form16 + 1), u32(length));
}
/** A value in its one encoding; keys stay in their order. */
export function encodeMsgpack(value) {
  if (value === null) return u8(192);
  if (typeof value === 'boolean') return u8(value ? 195 : 194);
  if (typeof value === 'bigint') return encodeInteger(value);
  if (typeof value === 'number') {
    if (Number.isInteger(value) && Math.abs(value) <= SAFE) return encodeInteger(BigInt(value));
    const float = Buffer.alloc(8);
    float.writeDoubleBE(value);
    return concat(u8(203), float);
  }
  if (typeof value === 'string') return concat(start(ascii(value).length, [0xa0, 32], 217, 218), ascii(value));
  if (value instanceof Uint8Array) return concat(start(value.length, [0, 0], 196, 197), value);
  if (Array.isArray(value)) return concat(start(value.length, [0x90, 16], undefined, 220), ...value.map(encodeMsgpack));
  const members = Object.entries(value);
  return concat(start(members.length, [0x80, 16], undefined, 222), ...members.flat().map(encodeMsgpack));
}

/** The plaintext of a ratchet message, before padding. */
export const encodePlaintext = ({ kind, msgId, ownListVersion, peerListVersion, ownListHash, payload }) =>
  concat(u8(kind), msgId, u64(ownListVersion), u64(peerListVersion), ownListHash, payload);
export function decodePlaintext(bytes) {
  need(bytes.length <= 65535, 'ERR_DECODE', 'a plaintext too long');
  const reader = new Reader(bytes);
  const kind = reader.u8();
  need(kind <= 1, 'ERR_DECODE', 'a kind of plaintext');
  const head = { kind, msgId: reader.take(16), ownListVersion: reader.u64(), peerListVersion: reader.u64(), ownListHash: reader.take(8) };
  return { ...head, payload: reader.rest() };
}
