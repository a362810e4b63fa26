/** Local records of prekeys: one for all secrets, one for each accepted Init, so that accepting does not rewrite thousands. */

import type { MsgpackValue } from '../wire/msgpack.js';
import { decodeRecord, encodeRecord, type RecordFields } from '../wire/record.js';
import type { BatchSecrets, PrekeyState, SeenRow, SetSecrets } from './prekeys.js';

const VERSION = 1;
const KIND = 'prekeys';
const SEEN_KIND = 'seen';

/** The record of the secrets, without the seen rows. Secret; the caller owns and wipes it. */
export function encodePrekeys(state: PrekeyState): Uint8Array {
  return encodeRecord(KIND, VERSION, {
    published: state.signedSet,
    sets: state.sets.map((set) => ({
      id: set.setId,
      spk: set.signedPrekeySecret,
      pqlr: set.lastResortSeed,
      seal: set.sealSeed,
      hash: set.hash,
      seq: set.seq,
      profiles: set.profiles,
      issued: set.issuedAt,
      superseded: set.supersededAt ?? null,
    })),
    batches: state.batches.map((batch) => ({
      id: batch.batchId,
      hash: batch.hash,
      notAfter: batch.notAfter,
      units: batch.units.map((unit): MsgpackValue => ({ id: unit.otId, opk: unit.dhSecret, pqopk: unit.kemSeed })),
    })),
  });
}

/** Reads the record of the secrets; `seen` is every seen row with its key. Throws `ERR_STORE_VERSION` and `ERR_STORE_CORRUPT`. */
export function decodePrekeys(bytes: Uint8Array, seen: Iterable<readonly [key: string, row: SeenRow]>): PrekeyState {
  const record = decodeRecord(bytes, KIND, VERSION);
  return {
    sets: record.records('sets', 1).map(readSet),
    signedSet: record.bytes('published'),
    batches: record.records('batches').map(readBatch),
    seen: new Map(seen),
  };
}

/** The record of one accepted Init; its key is `seenKey`. */
export function encodeSeen(row: SeenRow): Uint8Array {
  return encodeRecord(SEEN_KIND, VERSION, { set: row.setId, ot: row.otId, init: row.initId, session: row.sessionId });
}

/** Reads the record of one accepted Init. Throws `ERR_STORE_VERSION` and `ERR_STORE_CORRUPT`. */
export function decodeSeen(bytes: Uint8Array): SeenRow {
  const record = decodeRecord(bytes, SEEN_KIND, VERSION);
  return {
    setId: record.bytes('set', 8),
    otId: record.bytes('ot', 8),
    initId: record.bytes('init', 32),
    sessionId: record.bytes('session', 16),
  };
}

function readSet(fields: RecordFields): SetSecrets {
  return {
    setId: fields.bytes('id', 8),
    signedPrekeySecret: fields.bytes('spk', 32),
    lastResortSeed: fields.bytes('pqlr', 64),
    sealSeed: fields.bytes('seal', 32),
    hash: fields.bytes('hash', 64),
    seq: fields.count('seq'),
    profiles: fields.count('profiles'),
    issuedAt: fields.count('issued'),
    supersededAt: fields.maybeCount('superseded'),
  };
}

function readBatch(fields: RecordFields): BatchSecrets {
  return {
    batchId: fields.bytes('id', 8),
    hash: fields.bytes('hash', 64),
    notAfter: fields.count('notAfter'),
    units: fields.records('units').map((unit) => ({
      otId: unit.bytes('id', 8),
      dhSecret: unit.bytes('opk', 32),
      kemSeed: unit.bytes('pqopk', 64),
    })),
  };
}
