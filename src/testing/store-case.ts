/** What the store conformance cases share. */

import { isCyphrError } from '../errors.js';
import type { Store, StoreKey, StoreRecord, Write } from '../store/port.js';
import { assert } from './assert.js';

/** What a case works with. */
export interface StoreContext {
  /** The store under test, freshly opened and empty. */
  readonly store: Store;
  /** Closes the current store and opens the same name again. */
  reopen(): Promise<Store>;
  /** Opens a second, different store. */
  openOther(): Promise<Store>;
}

/** One case: its name, what it does, and whether it needs a store that survives `close`. */
export interface StoreCase {
  readonly name: string;
  readonly durable?: true;
  run(context: StoreContext): Promise<void>;
}

/** The bytes of a short ASCII text. */
export const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** The record of one key, if it is there. */
export const readOne = async (store: Store, key: StoreKey): Promise<StoreRecord | undefined> => (await store.read([key]))[0];

/** The short ASCII text of some bytes; '' for none. */
export const textOf = (bytes: Uint8Array | undefined): string => String.fromCharCode(...(bytes ?? []));

/** The rev of a key that must be there. */
export async function revOf(store: Store, key: StoreKey): Promise<number> {
  const record = await readOne(store, key);
  assert(record !== undefined, 'a committed record is absent');
  assert(Number.isSafeInteger(record.rev) && record.rev > 0, `rev must be a positive integer, got ${record.rev}`);
  return record.rev;
}

/** The key of most cases. */
export const KEY: StoreKey = ['space', 'key'];
/** A write of a short text. */
export const put = (key: StoreKey, text: string, ifRev?: number): Write => ({ key, value: bytesOf(text), ifRev });
/** A deletion. */
export const remove = (key: StoreKey, ifRev?: number): Write => ({ key, value: null, ifRev });
/** One key of many. */
export const numbered = (i: number): StoreKey => ['many', String(i)];

/** Whether the commit held (`true`) or conflicted (`false`); anything else is a failure. */
export async function tryCommit(store: Store, writes: readonly Write[]): Promise<boolean> {
  try {
    await store.commit(writes);
    return true;
  } catch (error) {
    if (isCyphrError(error) && error.code === 'ERR_STORE_CONFLICT') return false;
    throw error;
  }
}
