/**
 * Fixed layouts as tables: the fields of an object in their order, each with its length or its form. What reads, writes and explains
 * an object does so by one table.
 *
 * Knows how a field looks; what its value must be beyond that is the codec's, which checks what it has read.
 */

import type { Reader, Writer } from './codec.js';

/**
 * So many bytes; an integer; bytes behind their length (`lp16`); text behind its length (`account`, see `Reader.account`); a device id;
 * whatever is left (`rest`); or a counted list.
 */
export type Field = number | 'u8' | 'u16' | 'u32' | 'u64' | 'lp16' | 'account' | 'device' | 'rest' | Repeated;

/** A count, then that many fields or groups of fields. */
export interface Repeated {
  readonly count: 'u8' | 'u16';
  readonly each: Exclude<Field, Repeated> | Layout;
}

/** Fields by name, in the order in which they stand. */
export interface Layout {
  readonly [name: string]: Field;
}

type ValueOf<F> = F extends { readonly each: infer E }
  ? readonly (E extends Layout ? Fields<E> : ValueOf<E>)[]
  : F extends number | 'lp16' | 'rest'
    ? Uint8Array
    : F extends 'account'
      ? string
      : number;

/** What a layout holds. */
export type Fields<L> = { readonly [N in keyof L]: ValueOf<L[N]> };

/** One field as it was met: `value` is absent where the bytes stopped following the layout. */
export interface Met {
  readonly name: string;
  readonly offset: number;
  lengthBytes: number;
  value?: number | string | Uint8Array;
}

/** Reads the fields of `layout` from left to right, and notes each in `met`. Throws what the reader does; owns what it returns. */
export function readFields<L extends Layout>(from: Reader, layout: L, met?: Met[], path = ''): Fields<L> {
  const out: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(layout)) out[name] = readField(from, field, met, path + name);
  return out as Fields<L>;
}

function readField(from: Reader, field: Field, met: Met[] | undefined, name: string): unknown {
  if (typeof field !== 'object') {
    const seen: Met = { name, offset: from.offset(), lengthBytes: 0 };
    met?.push(seen);
    seen.value = typeof field === 'number' ? from.bytes(field) : from[field]();
    seen.lengthBytes = from.offset() - seen.offset;
    return seen.value;
  }
  const { count, each } = field;
  const left = readField(from, count, met, `${name} count`) as number;
  return Array.from({ length: left }, (_, i) =>
    typeof each === 'object' ? readFields(from, each, met, `${name}[${i}].`) : readField(from, each, met, `${name}[${i}]`),
  );
}

/** Writes the fields of `layout`. A value that does not fit its field is `ERR_BUG`. */
export function writeFields<L extends Layout>(out: Writer, layout: L, values: Fields<L>): Writer {
  for (const [name, field] of Object.entries(layout)) writeField(out, field, values[name]);
  return out;
}

function writeField(out: Writer, field: Field, value: unknown): void {
  if (typeof field === 'number') out.bytes(value as Uint8Array, field);
  else if (field === 'device') out.u32(value as number);
  else if (field === 'rest') out.bytes(value as Uint8Array);
  else if (typeof field === 'string') out[field](value as never);
  else {
    const items = value as readonly unknown[];
    out[field.count](items.length);
    for (const item of items) {
      if (typeof field.each === 'object') writeFields(out, field.each, item as Fields<Layout>);
      else writeField(out, field.each, item);
    }
  }
}
