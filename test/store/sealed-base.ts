/** What tests of the sealed store do to its base: look into it, copy it, damage it. */

import { toHex } from '../../src/bytes.js';
import { type ErrorCode, isCyphrError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import type { KeySlot, Store, StoreKey } from '../../src/store/port.js';
import { rawKeySlot } from '../../src/store/sealed.js';

/** One row of a base store. */
export interface Row {
  readonly key: StoreKey;
  readonly value: Uint8Array;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

/** A slot whose key is `byte` thirty-two times. */
export const rawSlot = (byte: number): KeySlot => rawKeySlot(new Uint8Array(32).fill(byte));

/** A base that stays when a sealed store over it is closed: what the next process finds. */
export function lastingBase(inner: Store = memoryStore()): Store {
  return { ...inner, close: async () => {} };
}

/** Every row below ['sealed'], in order. */
export async function rowsOf(base: Store): Promise<Row[]> {
  return (await base.list(['sealed'], 10_000)).map(({ key, value }) => ({ key, value }));
}

/** A base with these rows. */
export async function baseOf(rows: readonly Row[]): Promise<Store> {
  const base = lastingBase();
  if (rows.length > 0) await base.commit(rows);
  return base;
}

/** The rows with those of `changed` in place of theirs. */
export function withRows(rows: readonly Row[], ...changed: readonly Row[]): Row[] {
  const isChanged = ({ key }: Row): boolean => changed.some((other) => other.key.join() === key.join());
  return [...rows.filter((row) => !isChanged(row)), ...changed];
}

export const isRecord = ({ key }: Row): boolean => key[1] === 'r';
export const isSlot = ({ key }: Row): boolean => key[1] === 'slot';
export const isHead = ({ key }: Row): boolean => key[1] === 'head';

/** Whether the base is byte for byte what it was. */
export const dump = async (base: Store): Promise<string> =>
  (await rowsOf(base)).map(({ key, value }) => `${key.join('/')} ${toHex(value)}`).join('\n');

/** The code that `call` rejects with; 'none' if it resolves. Errors that aren't ours fail the test. */
export async function codeOf(call: () => Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await call();
  } catch (error) {
    if (isCyphrError(error)) return error.code;
    throw error;
  }
  return 'none';
}
