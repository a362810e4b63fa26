/**
 * What every store adapter owes its port before it touches storage: checked arguments, and keys as ordered bytes.
 *
 * Knows nothing of any storage. A key is encoded component by component: each UTF-8 byte plus one, then a zero. UTF-8 never
 * holds 0xff, so nothing overflows; the zero can't occur inside a component, so components never run together (whatever they
 * contain, U+0000 too), bytewise order is the port's component order, and a prefix of whole components is a prefix of bytes.
 */

import { decodeUtf8, encodeUtf8 } from '../bytes.js';
import { UsageError } from '../errors.js';
import type { StoreKey, Write } from './port.js';

/**
 * An encoded key: a binary string, one character (U+0000–U+00FF) per byte, so that `<` compares bytes and it can index a `Map`.
 */
export type EncodedKey = string;

/** A `Write` whose key is encoded and whose value is a copy that belongs to the store. */
export interface CheckedWrite {
  readonly key: EncodedKey;
  readonly value: Uint8Array<ArrayBuffer> | null;
  readonly ifRev: number | undefined;
}

/** The spaces whose rows hold keys (`client/records.ts`): what an erasure removes first, and counts as keys. */
const KEY_SPACES: ReadonlySet<string> = new Set(['device', 'prekeys', 'session', 'init', 'skipped']);

/** Whether an encoded key names a row that holds keys: a client's, or a slot that opens a sealed store (`sealed/layout.ts`). */
export function holdsKeys(encoded: EncodedKey): boolean {
  const [space = '', what] = decodeKey(encoded) ?? [];
  return KEY_SPACES.has(space) || (space === 'sealed' && what === 'slot');
}

/** Where the listing of a prefix begins (exclusive) and ends (exclusive), as encoded keys. */
export interface KeyRange {
  readonly gt: EncodedKey;
  readonly lt: EncodedKey;
}

function refuse(field: string, expected: string): UsageError {
  return new UsageError('ERR_ARGUMENT', `${field} must be ${expected}`, { field });
}

/**
 * Encodes a key of at least one component; components may be empty. `field` names the argument in errors.
 *
 * Throws `ERR_ARGUMENT` for no components, a component that is no string, and unpaired surrogates.
 */
export function encodeKey(key: StoreKey, field: string): EncodedKey {
  if (!Array.isArray(key) || key.length === 0) throw refuse(field, 'a key of at least one component');
  let encoded = '';
  for (const component of key) {
    const part = typeof component === 'string' ? encodeComponent(component) : undefined;
    if (part === undefined) throw refuse(field, 'made of strings without unpaired surrogates');
    encoded += `${part}\0`;
  }
  return encoded;
}

function encodeComponent(component: string): string | undefined {
  let encoded = '';
  for (let i = 0; i < component.length; i++) {
    const code = component.charCodeAt(i);
    // Nearly all are ASCII, and need no bytes: one message takes some forty keys.
    if (code >= 0x80) return encodeUtf8(component)?.reduce((text, byte) => text + String.fromCharCode(byte + 1), '');
    encoded += String.fromCharCode(code + 1);
  }
  return encoded;
}

/** The key that `encodeKey` encoded; `undefined` for anything that it can't have made. */
export function decodeKey(encoded: EncodedKey): StoreKey | undefined {
  const parts = encoded.split('\0');
  if (parts.pop() !== '') return undefined;
  const components: string[] = [];
  for (const part of parts) {
    const bytes = new Uint8Array(part.length);
    for (let i = 0; i < part.length; i++) bytes[i] = part.charCodeAt(i) - 1;
    const component = decodeUtf8(bytes);
    if (component === undefined) return undefined;
    components.push(component);
  }
  const [space, ...path] = components;
  return space === undefined ? undefined : [space, ...path];
}

/** Checks and encodes the arguments of `Store.read`. Throws `ERR_ARGUMENT`. */
export function checkKeys(keys: readonly StoreKey[]): EncodedKey[] {
  if (!Array.isArray(keys)) throw refuse('keys', 'an array');
  return keys.map((key, i) => encodeKey(key, `keys[${i}]`));
}

/**
 * Checks the arguments of `Store.list` and gives the range to scan. `after` need not exist, nor lie below the prefix.
 * Throws `ERR_ARGUMENT`; `limit` is a positive integer.
 */
export function checkRange(prefix: StoreKey, limit: number, after: StoreKey | undefined): KeyRange {
  if (!Number.isSafeInteger(limit) || limit < 1) throw refuse('limit', 'a positive integer');
  const start = encodeKey(prefix, 'prefix');
  const from = after === undefined ? start : encodeKey(after, 'after');
  return { gt: from > start ? from : start, lt: `${start.slice(0, -1)}\x01` };
}

/**
 * Checks the arguments of `Store.commit` and copies every value, at once: the caller may reuse its buffers as soon as it has called.
 * Empty values are values. Throws `ERR_ARGUMENT`, also for a key that stands twice in one commit.
 */
export function checkWrites(writes: readonly Write[]): CheckedWrite[] {
  if (!Array.isArray(writes)) throw refuse('writes', 'an array');
  const seen = new Set<EncodedKey>();
  return writes.map(({ key, value, ifRev }: Write, i) => {
    const encoded = encodeKey(key, `writes[${i}].key`);
    if (seen.has(encoded)) throw refuse(`writes[${i}].key`, 'different from the other keys of the commit');
    seen.add(encoded);
    if (value !== null && !(value instanceof Uint8Array)) throw refuse(`writes[${i}].value`, 'a Uint8Array or null');
    if (ifRev !== undefined && (!Number.isSafeInteger(ifRev) || ifRev < 0)) throw refuse(`writes[${i}].ifRev`, 'a rev or 0');
    return { key: encoded, value: value === null ? null : new Uint8Array(value), ifRev };
  });
}
