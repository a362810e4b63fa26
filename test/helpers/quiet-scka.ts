/**
 * An SCKA that stays in its first epoch: every message is None, nothing is emitted. For tests of the classical part alone.
 */

import { DecodeError, decryptFailed } from '../../src/errors.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { CHUNK_BYTES } from '../../src/wire/ratchet-message.js';

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
