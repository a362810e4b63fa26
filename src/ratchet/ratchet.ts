/**
 * The Triple Ratchet as one thing: the double ratchet and the braid, bound together. Synchronous and pure; a throw leaves `state` valid.
 *
 * The caller owes two things: commit `next` before `out` leaves the process, then fill every buffer of `wipe` with zeros.
 * There is one path: no session runs without the braid.
 */

import { UsageError } from '../errors.js';
import type { Rng, SessionSecrets, Step } from '../step.js';
import { braid } from './braid/machine.js';
import { type BraidState, fitsSession } from './braid/state.js';
import { startInitiator, startResponder } from './double.js';
import type { SkippedKeys } from './skipped.js';
import type { RatchetState } from './state.js';
import * as layout from './state.js';
import * as triple from './triple.js';

export { decodeSkippedChain, encodeSkippedChain } from './state.js';
export { isUsedUp, lastMessage, receivingTags, refusedMessage } from './triple.js';
export type { RatchetState };

type State = RatchetState<BraidState>;

/** Starts the initiator's side. Copies what it keeps of `secrets`, which stay the caller's to wipe. Throws `ERR_ARGUMENT` for a responder's secrets. */
export function initiateRatchet(secrets: SessionSecrets, rng: Rng): RatchetState {
  if (secrets.role !== 'initiator') throw new UsageError('ERR_ARGUMENT', 'secrets are not an initiator’s', { field: 'secrets' });
  return triple.start(braid, secrets, startInitiator(secrets, rng));
}

/** Starts the responder's side, which can send once a first message was decrypted. Throws `ERR_ARGUMENT` for an initiator's secrets. */
export function acceptRatchet(secrets: SessionSecrets): RatchetState {
  if (secrets.role !== 'responder') throw new UsageError('ERR_ARGUMENT', 'secrets are not a responder’s', { field: 'secrets' });
  return triple.start(braid, secrets, startResponder(secrets));
}

/** Encrypts a plaintext of at most 65,535 bytes (section 4.2). Throws `ERR_SESSION_DEAD`, `ERR_NO_SESSION`, `ERR_LENGTH`, `ERR_ARGUMENT` (rng). */
export function encrypt(state: RatchetState, plaintext: Uint8Array, rng: Rng): Step<RatchetState, Uint8Array> {
  return triple.encrypt(braid, state as State, plaintext, rng);
}

/**
 * Decrypts a ratchet message; draws no randomness: new ratchet keys come with the next send.
 *
 * Throws `ERR_DECODE`, `ERR_VERSION`, `ERR_TOO_LARGE` for what can't be a message, `ERR_NO_SESSION` for another session's tag,
 * `ERR_DUPLICATE` for a key that was used or has expired, `ERR_SKIP_LIMIT` when more than 25,000 messages are missing, and one
 * `ERR_DECRYPT` for everything else.
 */
export function decrypt(state: RatchetState, message: Uint8Array): Step<RatchetState, Uint8Array> {
  return triple.decrypt(braid, state as State, message);
}

/** Encodes the whole state, versioned. Secret. */
export function encodeState(state: RatchetState): Uint8Array {
  return layout.encodeWhole(state, braid.encode((state as State).scka));
}

/** Reads `encodeState`. Throws `ERR_STORE_VERSION` for a newer layout, `ERR_STORE_CORRUPT` for anything malformed or zeroed. */
export function decodeState(bytes: Uint8Array): RatchetState {
  return checked(layout.decodeWhole(bytes, braid.decode));
}

/** Encodes all but the skipped keys, which a client keeps in records of their own. Versioned; secret. */
export function encodeCore(state: RatchetState): Uint8Array {
  return layout.encodeCore(state, braid.encode((state as State).scka));
}

/** Reads `encodeCore`. Throws `ERR_STORE_VERSION` for a newer layout, `ERR_STORE_CORRUPT` for anything malformed or zeroed. */
export function decodeCore(bytes: Uint8Array, skipped: SkippedKeys): RatchetState {
  return checked(layout.decodeCore(bytes, skipped, braid.decode));
}

/** A decoded state whose parts belong together; throws `ERR_STORE_CORRUPT` for one that no session was ever in. */
function checked(state: State): RatchetState {
  if (!fitsSession(state.scka, state.profile, layout.newestEpoch(state.pq.sending))) throw layout.corrupt();
  return state;
}
