/**
 * A toy key agreement with the braid's shape and none of its cryptography: both sides derive every epoch secret from the session's.
 *
 * The sides take turns. In epoch e one side sends Hdr; the other answers with Ct1 and emits k_e with its first; the first emits k_e
 * once it has received `chunks` Ct1 with distinct indices, and is then the one that answers in epoch e+1; a message of epoch e+1
 * moves the other on. Epochs change with every few messages, so that the chains of section 4.3 are exercised as hard as can be.
 */

import { createHmac } from 'node:crypto';
import { concat, copy, equal, u32 } from '../../src/bytes.js';
import { DecodeError, decryptFailed } from '../../src/errors.js';
import type { EpochSecret, Scka } from '../../src/ratchet/scka.js';
import { CHUNK_BYTES } from '../../src/wire/ratchet-message.js';

const PHASES = ['unsampled', 'offering', 'waiting', 'offered', 'answering'] as const;

export interface ToyState {
  readonly phase: (typeof PHASES)[number];
  readonly epoch: number;
  readonly secret: Uint8Array;
  /** Sent so far in `answering`; received so far in `offering`, one bit for each index. */
  readonly progress: number;
}

const NONE = 0;
const HDR = 1;
const CT1 = 5;

export function toyScka(chunks = 1): Scka<ToyState> {
  const emit = ({ epoch, secret }: ToyState): EpochSecret => ({
    epoch,
    secret: new Uint8Array(createHmac('sha256', secret).update(u32(epoch)).digest()),
  });
  return {
    start: (role, _profile, sckaSecret) => ({
      phase: role === 'initiator' ? 'unsampled' : 'waiting',
      epoch: 1,
      secret: copy(sckaSecret),
      progress: 0,
    }),
    send(state, profile) {
      const { epoch, phase } = state;
      const message = (type: number, index = 0) => ({
        epoch,
        type,
        index,
        chunk: new Uint8Array(CHUNK_BYTES[profile]).fill(type === NONE ? 0 : 0xa0 + type),
      });
      if (phase === 'waiting') return { next: state, message: message(NONE), emitted: null, wipe: [] };
      if (phase === 'unsampled' || phase === 'offering') {
        return { next: { ...state, phase: 'offering' }, message: message(HDR), emitted: null, wipe: [] };
      }
      const index = phase === 'offered' ? 0 : state.progress;
      return {
        next: { ...state, phase: 'answering', progress: (index + 1) % chunks },
        message: message(CT1, index),
        emitted: phase === 'offered' ? emit(state) : null,
        wipe: [],
      };
    },
    receive(state, { epoch, type, index, chunk }) {
      const { phase } = state;
      const stay = { next: state, emitted: null, fresh: [], wipe: [] };
      if (epoch < state.epoch) return stay;
      if (epoch > state.epoch) {
        if (phase !== 'answering' || epoch !== state.epoch + 1) throw decryptFailed();
        return { ...stay, next: { ...state, phase: 'unsampled', epoch, progress: 0 } };
      }
      if (!equal(chunk, new Uint8Array(chunk.length).fill(type === NONE ? 0 : 0xa0 + type))) throw decryptFailed();
      if (phase === 'waiting' && type === HDR) return { ...stay, next: { ...state, phase: 'offered' } };
      if (phase !== 'offering' || type !== CT1) return stay;
      const progress = state.progress | (1 << index);
      if (progress !== (1 << chunks) - 1) return { ...stay, next: { ...state, progress } };
      return { next: { ...state, phase: 'waiting', epoch: epoch + 1, progress: 0 }, emitted: emit(state), fresh: [], wipe: [] };
    },
    encode: ({ phase, epoch, secret, progress }) => concat(new Uint8Array([PHASES.indexOf(phase)]), u32(epoch), u32(progress), secret),
    decode(bytes) {
      const phase = PHASES[bytes[0] ?? 255];
      if (phase === undefined || bytes.length !== 41) throw new DecodeError('ERR_DECODE', 'toy state does not follow its layout');
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      return { phase, epoch: view.getUint32(1), progress: view.getUint32(5), secret: copy(bytes.subarray(9)) };
    },
  };
}
