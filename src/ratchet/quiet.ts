/**
 * An SCKA that stays in its first epoch: every message is None, nothing is emitted.
 *
 * Its chains are real: message keys depend on the chains of epoch 0, which start from the hybrid session secret. What it lacks is
 * healing from a compromise of the state by post-quantum means; the braid takes its place behind the same interface.
 */

import { DecodeError, decryptFailed } from '../errors.js';
import { CHUNK_BYTES } from '../wire/ratchet-message.js';
import type { Scka } from './scka.js';

/** The state of the quiet SCKA: there is none. */
export type QuietState = null;

/** Sends None in braid epoch 1, and accepts nothing else. */
export const quietScka: Scka<QuietState> = {
  start: () => null,
  send: (state, profile) => ({
    next: state,
    message: { epoch: 1, type: 0, index: 0, chunk: new Uint8Array(CHUNK_BYTES[profile]) },
    emitted: null,
    wipe: [],
  }),
  receive: (state, message) => {
    if (message.epoch !== 1 || message.type !== 0) throw decryptFailed();
    return { next: state, emitted: null, wipe: [] };
  },
  encode: () => new Uint8Array(0),
  decode: (bytes) => {
    if (bytes.length !== 0) throw new DecodeError('ERR_DECODE', 'SCKA state does not follow its layout');
    return null;
  },
};
