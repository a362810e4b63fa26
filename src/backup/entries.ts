/**
 * The inside of an export (protocol.md section 9.2): entries one after another, the end, and zeros to the end of the last chunk.
 *
 * An entry is type u8 ‖ length u32 ‖ bytes. Knows types and their order; knows not what the bytes say.
 */

import { concat, isZero, u32 } from '../bytes.js';
import { limits } from '../limits.js';
import { reader } from '../wire/codec.js';
import { damaged } from './stream.js';

/** In this order, the account once: later types never come before earlier ones. */
export const ENTRY = { account: 1, contact: 2, history: 3 } as const;
export type EntryType = keyof typeof ENTRY;

export interface Entry {
  readonly type: EntryType;
  readonly bytes: Uint8Array;
}

const HEAD_BYTES = 5;
const TYPES = Object.entries(ENTRY) as [EntryType, number][];

/** One entry; a new buffer. */
export function encodeEntry(type: EntryType, bytes: Uint8Array): Uint8Array {
  return concat(new Uint8Array([ENTRY[type]]), u32(bytes.length), bytes);
}

/** What stands behind the last entry. */
export function encodeEnd(): Uint8Array {
  return new Uint8Array(HEAD_BYTES);
}

/** Takes an export's chunks in order, and gives the entries. Throws `ERR_STORE_CORRUPT`. */
export interface EntryReader {
  /** The entries that end in this chunk; copies. */
  push(chunk: Uint8Array): Entry[];
  /** After the last chunk. */
  finish(): void;
}

/** A reader of entries. */
export function entryReader(): EntryReader {
  let rest: Uint8Array = new Uint8Array(0);
  let last = 0;
  let hasEnded = false;

  const take = (): Entry | undefined => {
    if (rest.length < HEAD_BYTES) return undefined;
    const r = reader(rest);
    const [code, length] = [r.u8(), r.u32()];
    if (code === 0 && length === 0) {
      hasEnded = true;
      return undefined;
    }
    const type = TYPES.find(([, value]) => value === code)?.[0];
    const isInOrder = last === 0 ? type === 'account' : code >= last && type !== 'account';
    if (type === undefined || !isInOrder || length > limits.historyRecordBytes) throw damaged();
    if (rest.length < HEAD_BYTES + length) return undefined;
    const bytes = rest.slice(HEAD_BYTES, HEAD_BYTES + length);
    rest = rest.subarray(HEAD_BYTES + length);
    last = code;
    return { type, bytes };
  };

  return {
    push(chunk) {
      const entries: Entry[] = [];
      rest = concat(rest, chunk);
      for (let entry = hasEnded ? undefined : take(); entry !== undefined; entry = take()) entries.push(entry);
      if (!hasEnded) return entries;
      if (!isZero(rest)) throw damaged();
      rest = new Uint8Array(0);
      return entries;
    },
    finish() {
      if (!hasEnded || last === 0) throw damaged();
    },
  };
}
