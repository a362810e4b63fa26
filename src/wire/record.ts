/**
 * Local records: a MessagePack map that begins with version and kind, {v, kind, …}.
 *
 * Knows how a record that this device wrote earlier is told from one that a newer version wrote, and from a damaged one; knows no
 * record's meaning.
 */

import { StoreError } from '../errors.js';
import { decodeMsgpack, encodeMsgpack, type MsgpackValue } from './msgpack.js';

/** Values in one record. A device with 250 one-time units and 12 sets has about 1,000; the rest is room. */
const MAX_NODES = 65_536;

/** Typed access to the fields of a map; each method throws `ERR_STORE_CORRUPT` where the field is missing or of another kind. */
export interface RecordFields {
  text(name: string): string;
  /** An integer from 0 to 2⁵³−1. */
  count(name: string): number;
  /** `undefined` where the record holds null. */
  maybeCount(name: string): number | undefined;
  /** Binary, of exactly `lengthBytes` where given. */
  bytes(name: string, lengthBytes?: number): Uint8Array;
  /** A list of at least `leastCount` maps. */
  records(name: string, leastCount?: number): readonly RecordFields[];
}

/** Encodes {v, kind, …fields} in a buffer of its own. */
export function encodeRecord(kind: string, version: number, fields: Readonly<Record<string, MsgpackValue>>): Uint8Array {
  return encodeMsgpack({ v: version, kind, ...fields }, { maxNodes: MAX_NODES });
}

/**
 * Decodes a record of `kind`. Throws `ERR_STORE_VERSION` if a newer version wrote it, `ERR_STORE_CORRUPT` if it is anything but a
 * record of this kind and version.
 */
export function decodeRecord(bytes: Uint8Array, kind: string, version: number): RecordFields {
  return fieldsOf(decodeRecordMap(bytes, kind, version));
}

/** `decodeRecord` for a caller with a schema of its own: the fields as they stand, without version and kind. */
export function decodeRecordMap(bytes: Uint8Array, kind: string, version: number): Readonly<Record<string, unknown>> {
  const value = decoded(bytes);
  const record = fieldsOf(value);
  const found = record.count('v');
  if (found > version) throw new StoreError('ERR_STORE_VERSION', 'record of a newer version', { field: kind, got: found, max: version });
  if (found !== version || record.text('kind') !== kind) throw corrupt();
  const { v, kind: _, ...fields } = value as Record<string, unknown>;
  return fields;
}

/** The version that a record was written in, whatever its kind. Throws `ERR_STORE_CORRUPT` for what is no record. */
export function recordVersion(bytes: Uint8Array): number {
  return fieldsOf(decoded(bytes)).count('v');
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return decodeMsgpack(bytes, { maxNodes: MAX_NODES });
  } catch (error) {
    throw corrupt(error);
  }
}

function fieldsOf(value: unknown): RecordFields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) throw corrupt();
  const fields = value as Readonly<Record<string, unknown>>;
  const count = (name: string): number => {
    const found = fields[name];
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) throw corrupt();
    return found;
  };
  return {
    count,
    maybeCount: (name) => (fields[name] === null ? undefined : count(name)),
    text(name) {
      const found = fields[name];
      if (typeof found !== 'string') throw corrupt();
      return found;
    },
    bytes(name, lengthBytes) {
      const found = fields[name];
      if (!(found instanceof Uint8Array) || found.length !== (lengthBytes ?? found.length)) throw corrupt();
      return found;
    },
    records(name, leastCount = 0) {
      const found = fields[name];
      if (!Array.isArray(found) || found.length < leastCount) throw corrupt();
      return found.map(fieldsOf);
    },
  };
}

/** The one error for a record that is not what this device wrote. */
function corrupt(cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'record does not follow its layout', { cause });
}
