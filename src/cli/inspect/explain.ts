/**
 * Bytes, field by field: what they are, where each field stands, what it means; and what is wrong with them, and where.
 *
 * Pure, and without a key: nothing is decrypted or verified. No value of a member that may be secret leaves this file.
 */

import { decodeUtf8, isZero, toHex } from '../../bytes.js';
import { type CyphrError, isCyphrError } from '../../errors.js';
import { reader } from '../../wire/codec.js';
import { type Layout, type Met, readFields } from '../../wire/layout.js';
import { BY_LENGTH, KINDS, type Kind, profilesOf } from './kinds.js';
import { readRecord } from './records.js';

/** One field. */
export interface Part {
  readonly name: string;
  /** From the first byte of what was explained. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** Bytes as hexadecimal. Absent where it is not shown. */
  readonly value?: string | number | boolean | null;
  /** In words. */
  readonly meaning?: string;
  /** What it is itself. */
  readonly inside?: Explanation;
}

/** What some bytes are. */
export interface Explanation {
  readonly kind: string;
  /** Of docs/protocol.md. */
  readonly section: string;
  readonly lengthBytes: number;
  readonly parts: readonly Part[];
  /** What is wrong, and where the first byte is that does not fit. */
  readonly fault?: { readonly code: string; readonly message: string; readonly offset: number };
}

/** So far down are fields within fields explained: nothing of ours is nested deeper, and each level repeats the bytes of those below it. */
const MAX_DEPTH = 4;

/** Explains `bytes`; `undefined` for what is nothing of ours. `exact`: only what its content tells for sure. `depth`: fields around it. */
export function explain(bytes: Uint8Array, exact = false, depth = 0): Explanation | undefined {
  const record = readRecord(bytes);
  const kind = KINDS.find(({ is }) => is(bytes)) ?? (exact || record ? undefined : damagedOf(bytes));
  if (kind !== undefined) {
    const { name, section, shows } = kind;
    const met: Met[] = [];
    const fault = faultOf(bytes, kind.layout(bytes), met, () => kind.check(bytes));
    const parts = met.map((field) => partOf(field, shows === undefined || shows.includes(field.name), depth));
    return { kind: name, section, lengthBytes: bytes.length, parts: withNotes(name, bytes, parts), ...(fault && { fault }) };
  }
  if (record !== undefined) {
    const parts = record.members.map(({ type, shown, ...place }): Part => {
      if (shown instanceof Uint8Array) return bytesPart(place, shown, true, depth);
      if (shown !== undefined) return { ...place, value: shown, ...dated(place.name, shown) };
      return { ...place, meaning: /^(?:list|map) /.test(type) ? type : `${type}, not shown` };
    });
    return { kind: `record of a client's store: ${record.kind}`, section: '9', lengthBytes: bytes.length, parts };
  }
  const byLength = exact ? undefined : BY_LENGTH.find(([, least, most]) => bytes.length >= least && bytes.length <= most);
  if (byLength === undefined) return undefined;
  const part = { name: 'ciphertext', offset: 0, lengthBytes: bytes.length, meaning: `${bytes.length} bytes, not shown` };
  return { kind: `maybe: ${byLength[0]}, by its length alone`, section: '5.1', lengthBytes: bytes.length, parts: [part] };
}

/** A key begins with any byte. What only its first one tells is likely no key if it is longer than they are; and no more than its head is shown. */
const KEY_MAX_BYTES = 96;

/** What would begin so, but for its version or its suite. */
function damagedOf(bytes: Uint8Array): Kind | undefined {
  const kind = bytes.length > KEY_MAX_BYTES ? KINDS.find(({ type }) => type !== undefined && type === bytes[0]) : undefined;
  return kind && { ...kind, shows: ['type', 'ver', 'suite'] };
}

/** Reads the fields into `met`, then asks the codec. */
function faultOf(bytes: Uint8Array, layout: Layout, met: Met[], check: () => unknown): Explanation['fault'] {
  const from = reader(bytes);
  try {
    readFields(from, layout, met);
  } catch (error) {
    const { name, offset } = met.at(-1)!;
    return { code: codeOf(error), message: `${name} does not follow its layout, or is cut off`, offset };
  }
  try {
    check();
    if (from.offset() === bytes.length) return undefined;
  } catch (error) {
    const { field = '', message } = error as CyphrError;
    const at = met.find(({ name }) => name === field || name.startsWith(`${field} `) || name.startsWith(`${field}[`));
    return { code: codeOf(error), message, offset: at?.offset ?? from.offset() };
  }
  return { code: 'ERR_DECODE', message: `${bytes.length - from.offset()} bytes more than its layout has`, offset: from.offset() };
}

function codeOf(error: unknown): string {
  if (!isCyphrError(error)) throw error;
  return error.code;
}

function partOf({ name, offset, lengthBytes, value }: Met, isShown: boolean, depth: number): Part {
  const place = { name, offset, lengthBytes };
  if (value === undefined) return { ...place, meaning: 'damaged' };
  if (value instanceof Uint8Array) return bytesPart(place, value, isShown, depth);
  return isShown ? { ...place, value, ...dated(name, value) } : { ...place, meaning: 'not shown' };
}

type Place = Pick<Part, 'name' | 'offset' | 'lengthBytes'>;

function bytesPart(place: Place, bytes: Uint8Array, isShown: boolean, depth: number): Part {
  if (!isShown) return { ...place, meaning: `${bytes.length} bytes, not shown` };
  const isClear = depth < MAX_DEPTH && bytes.length > 64 && !KINDS.find(({ is }) => is(bytes))?.isVague;
  const inside = isClear ? explain(bytes, true, depth + 1) : undefined;
  return { ...place, value: toHex(bytes), ...(inside && inside.fault === undefined && { inside }) };
}

const IS_TIME = /(?:At|AtMs|sinceMs|Until|untilMs|notAfter|issued|superseded|floor|[sS]inceMs)$/;
/** 2001 to 2286: what else is in such a field is no date. */
const isDate = (value: number): boolean => value > 1e12 && value < 1e13;

function dated(name: string, value: unknown): Pick<Part, 'meaning'> {
  return typeof value === 'number' && IS_TIME.test(name) && isDate(value) ? { meaning: new Date(value).toISOString() } : {};
}

const TEXTS = ['kind', 'magic', 'audience'];

/** What values mean that their names don't say. */
function withNotes(kind: string, bytes: Uint8Array, parts: readonly Part[]): Part[] {
  const note: Readonly<Record<string, (part: Part) => string | undefined>> = {
    type: () => kind,
    ver: () => 'protocol version',
    suite: ({ value }) => (value === 1 ? 'suite 0x0001' : 'unknown suite'),
    otId: ({ value }) => (/^0+$/.test(String(value)) ? 'no one-time prekey: the last resort' : undefined),
    profiles: ({ value }) => `profile ${[1, 2, 3].filter((profile) => Number(value) & (1 << (profile - 1))).join(', ')}`,
    headerCiphertext: () => `of a session of profile ${profilesOf(bytes).join(' or ') || '?'}`,
    bodyCiphertext: ({ lengthBytes }) => (lengthBytes > 16 ? `body padded to ${lengthBytes - 16} bytes, tag 16` : undefined),
    ciphertext: ({ lengthBytes }) => (lengthBytes > 16 ? `padded to ${lengthBytes - 16} bytes, tag 16` : undefined),
    role: ({ value }) => (value === 0 ? 'initiator' : 'responder'),
  };
  return parts.map((part) => {
    if (part.value === undefined) return part;
    const raw = bytes.subarray(part.offset + 2, part.offset + part.lengthBytes);
    if (TEXTS.includes(part.name) && typeof part.value === 'string') {
      const text = decodeUtf8(part.name === 'magic' ? bytes.subarray(part.offset, part.offset + part.lengthBytes) : raw);
      return text === undefined || isZero(raw) ? part : { ...part, meaning: JSON.stringify(text) };
    }
    const meaning = note[part.name]?.(part) ?? part.meaning;
    return meaning === undefined ? part : { ...part, meaning };
  });
}
