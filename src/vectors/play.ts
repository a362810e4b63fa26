/**
 * Plays files of test vectors (`test-vectors/`) with this library.
 *
 * Knows which player is whose kind's; knows no files and no clock.
 */

import { UsageError } from '../errors.js';
import { type Player, playCase } from './player.js';
import { composite, incrementalKem, sealing } from './players/crypto.js';
import { bundle, handshake, prekeyBatch } from './players/handshake.js';
import { deviceList, linking, login, rootStatement, safety } from './players/identity.js';
import { braidSteps, conversations, erasure, ratchet } from './players/ratchet.js';
import { header, ratchetKeys } from './players/ratchet-keys.js';
import { layouts, msgpack, padding } from './players/wire.js';
import { VECTOR_SCHEMA, type VectorFile } from './schema.js';

/** Players by `kind`. */
export const PLAYERS: Readonly<Record<string, Player>> = {
  braid: braidSteps,
  bundle,
  composite,
  conversation: conversations,
  'device-list': deviceList,
  erasure,
  handshake,
  header,
  'incremental-kem': incrementalKem,
  layout: layouts,
  linking,
  login,
  msgpack,
  padding,
  'prekey-batch': prekeyBatch,
  ratchet,
  'ratchet-keys': ratchetKeys,
  'root-statement': rootStatement,
  'safety-number': safety,
  seal: sealing,
};

/** What came of one case; `why` says in one line what did not come out as the case says. */
export interface CaseResult {
  readonly id: string;
  readonly ok: boolean;
  readonly why?: string;
}

/** Plays the cases of a file one by one. Throws `ERR_ARGUMENT` for another schema (`field: 'schema'`) and an unknown kind (`field: 'kind'`). */
export function* playFile(file: VectorFile): Generator<CaseResult> {
  if (file.schema !== VECTOR_SCHEMA) throw new UsageError('ERR_ARGUMENT', 'not a file of test vectors', { field: 'schema' });
  const player = Object.hasOwn(PLAYERS, file.kind) ? PLAYERS[file.kind] : undefined;
  if (player === undefined) throw new UsageError('ERR_ARGUMENT', 'no player for this kind of test vectors', { field: 'kind' });
  for (const vector of file.cases) {
    const why = playCase(player, file.given ?? {}, vector);
    yield why === undefined ? { id: vector.id, ok: true } : { id: vector.id, ok: false, why };
  }
}
