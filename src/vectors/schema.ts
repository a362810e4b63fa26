/**
 * The form of a file of test vectors (`test-vectors/schema.json`), and its values as JSON.
 *
 * Knows how bytes, integers and lists stand in a file; knows nothing of what a kind of vectors is about.
 */

import { fromHex, toHex } from '../bytes.js';
import { type ErrorCode, UsageError } from '../errors.js';

/** The `schema` member of every file. */
export const VECTOR_SCHEMA = 'cyphr-vectors-1';

/** A value in a file: bytes are lowercase hexadecimal, integers beyond 2⁵³ decimal strings. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** One operation with what must come of it: `outputs` of a valid one, the `code` of the refusal of an invalid one. */
export interface VectorStep {
  readonly op: string;
  readonly description?: string;
  readonly result: 'valid' | 'invalid';
  /** Classes of attack that are open to whoever accepts an invalid one, as numbered in docs/threat-model.md. */
  readonly threats?: readonly string[];
  readonly code?: ErrorCode;
  readonly inputs: JsonObject;
  readonly outputs?: JsonObject;
}

/** A case: one operation or, with `steps`, a state machine that `op` and `inputs` start and of which `outputs` are the end. */
export interface VectorCase extends VectorStep {
  /** Unique in its file. */
  readonly id: string;
  readonly steps?: readonly VectorStep[];
}

/** A file. */
export interface VectorFile {
  readonly schema: typeof VECTOR_SCHEMA;
  readonly kind: string;
  readonly description: string;
  /** Of docs/protocol.md. */
  readonly section: string;
  readonly generator: { readonly script: string; readonly seed: string };
  /** Inputs of every case that does not name them itself. */
  readonly given?: JsonObject;
  readonly cases: readonly VectorCase[];
}

/** What an operation gives: JSON with bytes and bigints in it; a member that is `undefined` is absent. */
export type Output = null | undefined | boolean | number | bigint | string | Uint8Array | readonly Output[] | object;

/** A value as it stands in a file. */
export function toJson(value: Output): Json {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value as Json;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, toJson(member as Output)]));
}

/**
 * The inputs of an operation: its own, and those given to all. One that is `{ of, splices }` is the given one of the name `of`, in which
 * each splice `[at, cut, put]` replaces the `cut` bytes from `at` on by `put`; places are those in the given one, in ascending order.
 * Throws `ERR_ARGUMENT` where there is none such.
 */
export function merge(given: JsonObject, own: JsonObject): JsonObject {
  const spliced = ({ of, splices = [] }: JsonObject): string => {
    const base = typeof of === 'string' ? given[of] : undefined;
    if (typeof base !== 'string' || !isList(splices)) throw fault(String(of));
    let [out, from] = ['', 0];
    for (const splice of splices) {
      const [at, cut, put] = isList(splice) ? splice : [];
      if (!isNumber(at!) || !isNumber(cut!) || !isText(put!)) throw fault(String(of));
      out += base.slice(from, 2 * at) + put;
      from = 2 * (at + cut);
    }
    return out + base.slice(from);
  };
  const resolved = Object.entries(own).map(([name, value]) => [name, isObject(value) && 'of' in value ? spliced(value) : value] as const);
  return { ...given, ...Object.fromEntries(resolved) };
}

const fault = (field: string): UsageError => new UsageError('ERR_ARGUMENT', `no such input in the vectors: ${field}`, { field });

/** Inputs by name. Each method throws `ERR_ARGUMENT` with `field` where the file has no such value. */
export interface Inputs {
  /** Whether there is such an input: `null` is none. */
  has(name: string): boolean;
  /** Of all inputs there are. */
  names(): string[];
  bytes(name: string): Uint8Array;
  /** Bytes, or `undefined` where there are none. */
  maybeBytes(name: string): Uint8Array | undefined;
  number(name: string): number;
  /** A number, or `undefined` where there is none. */
  maybeNumber(name: string): number | undefined;
  text(name: string): string;
  object(name: string): Inputs;
  objects(name: string): Inputs[];
  /** A list of byte strings. */
  byteLists(name: string): Uint8Array[];
}

/** The inputs of an operation, from a file. */
export function inputsOf(members: JsonObject): Inputs {
  const has = (name: string): boolean => Object.hasOwn(members, name) && members[name] !== null;
  const get = <T extends Json>(name: string, isIt: (value: Json) => value is T): T => {
    const value = has(name) ? members[name]! : null;
    if (!isIt(value)) throw fault(name);
    return value;
  };
  const hex = (value: Json, name: string): Uint8Array => {
    const bytes = typeof value === 'string' ? fromHex(value) : undefined;
    if (bytes === undefined) throw fault(name);
    return bytes;
  };
  const self: Inputs = {
    has,
    names: () => Object.keys(members),
    bytes: (name) => hex(get(name, isText), name),
    maybeBytes: (name) => (has(name) ? self.bytes(name) : undefined),
    number: (name) => get(name, isNumber),
    maybeNumber: (name) => (has(name) ? self.number(name) : undefined),
    text: (name) => get(name, isText),
    object: (name) => inputsOf(get(name, isObject)),
    objects: (name) =>
      get(name, isList).map((each) => {
        if (!isObject(each)) throw fault(name);
        return inputsOf(each);
      }),
    byteLists: (name) => get(name, isList).map((each) => hex(each, name)),
  };
  return self;
}

const isText = (value: Json): value is string => typeof value === 'string';
const isNumber = (value: Json): value is number => typeof value === 'number';
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);
const isObject = (value: Json): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
