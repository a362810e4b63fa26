/**
 * The ML-KEM Braid (sections 4.4 and 4.7): an ML-KEM-768 agreement cut into chunks that ride on messages, epoch after epoch.
 *
 * `send` and `receive` are the two tables of the specification, row by row. Pure: state in, state out; a throw has changed nothing.
 */

import { concat, equal, wipe } from '../../bytes.js';
import { encaps1, encaps2, isVectorOf, KEM_CT2_BYTES, KEM_HEADER_BYTES } from '../../crypto/incremental-mlkem.js';
import { mlKem768 } from '../../crypto/suite.js';
import { decryptFailed } from '../../errors.js';
import { draw, type Profile, type Rng } from '../../step.js';
import { CHUNK_BYTES } from '../../wire/ratchet-message.js';
import type { Scka, SckaMessage } from '../scka.js';
import { ciphertextMac, epochSecret, headerMac, startAuthenticator, updateAuthenticator } from './authenticator.js';
import { addChunk, CHUNK_INDEX_MAX, chunkAt, decoded, type ErasureDecoder, startDecoder } from './erasure.js';
import {
  type BraidPhase,
  type BraidState,
  decodeBraid,
  type Encapsulating,
  encodeBraid,
  type HeldKey,
  heldKey,
  PIECE_BYTES,
} from './state.js';

/** Message types, in the order of their numbers. */
const TYPE = { none: 0, header: 1, ek: 2, ekCt1Ack: 3, ct1Ack: 4, ct1: 5, ct2: 6 } as const;

type SendStep = ReturnType<Scka<BraidState>['send']>;
type ReceiveStep = ReturnType<Scka<BraidState>['receive']>;

/** The state machine behind the ratchet's interface. */
export const braid: Scka<BraidState> = {
  start: (role, profile, sckaSecret) => ({
    epoch: 1,
    auth: startAuthenticator(sckaSecret),
    phase: role === 'initiator' ? { kind: 'keysUnsampled' } : noHeaderReceived(profile),
  }),
  send,
  receive,
  encode: encodeBraid,
  decode: decodeBraid,
};

function noHeaderReceived(profile: Profile): BraidPhase {
  return { kind: 'noHeaderReceived', header: startDecoder(PIECE_BYTES.header, CHUNK_BYTES[profile]) };
}

/** The same epoch in another phase. */
function enter(state: BraidState, phase: BraidPhase): BraidState {
  return { epoch: state.epoch, auth: state.auth, phase };
}

function quiet(next: BraidState): ReceiveStep {
  return { next, emitted: null, fresh: [], wipe: [] };
}

/** Sends the next message: always one of the current epoch. */
function send(state: BraidState, profile: Profile, rng: Rng): SendStep {
  const { phase } = state;
  const chunkBytes = CHUNK_BYTES[profile];
  const bare = (type: number): SckaMessage => ({ epoch: state.epoch, type, index: 0, chunk: new Uint8Array(chunkBytes) });
  const chunk = (type: number, piece: Uint8Array, index: number): SckaMessage => ({
    epoch: state.epoch,
    type,
    index,
    chunk: chunkAt(piece, chunkBytes, index),
  });
  const next = (index: number): number => (index === CHUNK_INDEX_MAX ? 0 : index + 1);

  switch (phase.kind) {
    case 'keysUnsampled': {
      const key = heldKey(draw(rng, 64));
      return { ...quiet(enter(state, { kind: 'keysSampled', key, index: 1 })), message: chunk(TYPE.header, headerPiece(state, key), 0) };
    }
    case 'keysSampled': {
      const message = chunk(TYPE.header, headerPiece(state, phase.key), phase.index);
      return { ...quiet(enter(state, { ...phase, index: next(phase.index) })), message };
    }
    case 'headerSent':
    case 'ct1Received': {
      const type = phase.kind === 'headerSent' ? TYPE.ek : TYPE.ekCt1Ack;
      const message = chunk(type, phase.key.vector, phase.index);
      return { ...quiet(enter(state, { ...phase, index: next(phase.index) })), message };
    }
    case 'ekSentCt1Received':
      return { ...quiet(state), message: bare(TYPE.ct1Ack) };
    case 'noHeaderReceived':
    case 'ct1Acknowledged':
      return { ...quiet(state), message: bare(TYPE.none) };
    case 'headerReceived':
      return encapsulate(state, phase.header, profile, rng);
    case 'ct1Sampled':
    case 'ekReceivedCt1Sampled':
      return { ...quiet(enter(state, { ...phase, index: next(phase.index) })), message: chunk(TYPE.ct1, phase.kem.ct1, phase.index) };
    case 'ct2Sampled':
      return { ...quiet(enter(state, { ...phase, index: next(phase.index) })), message: chunk(TYPE.ct2, phase.piece, phase.index) };
  }
}

/** hdr ‖ mac of the key that is held. */
function headerPiece({ auth, epoch }: BraidState, { header }: HeldKey): Uint8Array {
  return concat(header, headerMac(auth, epoch, header));
}

/** HeaderReceived → Ct1Sampled: encaps1, and k_e is agreed on this side. */
function encapsulate(state: BraidState, header: Uint8Array, profile: Profile, rng: Rng): SendStep {
  const { epoch, auth } = state;
  const m = draw(rng, 32);
  const { ct1, sharedSecret } = encaps1(header, m);
  const secret = epochSecret(sharedSecret, epoch);
  sharedSecret.fill(0);
  const phase: BraidPhase = {
    kind: 'ct1Sampled',
    kem: { header, m, ct1 },
    index: 1,
    vector: startDecoder(PIECE_BYTES.vector, CHUNK_BYTES[profile]),
  };
  return {
    next: { epoch, auth: updateAuthenticator(auth, epoch, secret), phase },
    message: { epoch, type: TYPE.ct1, index: 0, chunk: chunkAt(ct1, CHUNK_BYTES[profile], 0) },
    emitted: { epoch, secret },
    wipe: [auth.root, auth.mac],
  };
}

/** Takes in what a message carried. Throws `ERR_DECRYPT` for what an honest peer cannot have sent. */
function receive(state: BraidState, message: SckaMessage, profile: Profile): ReceiveStep {
  if (message.epoch < state.epoch) return quiet(state);
  const { phase } = state;
  if (message.epoch > state.epoch) {
    // The peer has ct2, and has begun the next epoch: its turn to receive a header is over, mine to send one begins.
    if (phase.kind !== 'ct2Sampled' || message.epoch !== state.epoch + 1) throw decryptFailed();
    return quiet({ epoch: message.epoch, auth: state.auth, phase: { kind: 'keysUnsampled' } });
  }
  const { type, index, chunk } = message;
  const isEk = type === TYPE.ek || type === TYPE.ekCt1Ack;
  const isAck = type === TYPE.ct1Ack || type === TYPE.ekCt1Ack;

  switch (phase.kind) {
    case 'keysSampled':
    case 'headerSent': {
      if (type !== TYPE.ct1) return quiet(state);
      const isFirst = phase.kind === 'keysSampled';
      const decoder = addChunk(isFirst ? startDecoder(PIECE_BYTES.ct1, CHUNK_BYTES[profile]) : phase.ct1, index, chunk);
      const ct1 = decoded(decoder);
      // The header has arrived, so that chunks of the vector follow it, from the first.
      const at = { key: phase.key, index: isFirst ? 0 : phase.index };
      return quiet(enter(state, ct1 === undefined ? { kind: 'headerSent', ...at, ct1: decoder } : { kind: 'ct1Received', ...at, ct1 }));
    }
    case 'ct1Received':
    case 'ekSentCt1Received': {
      if (type !== TYPE.ct2) return quiet(state);
      const { key, ct1 } = phase;
      const decoder = addChunk(
        phase.kind === 'ct1Received' ? startDecoder(PIECE_BYTES.ct2, CHUNK_BYTES[profile]) : phase.ct2,
        index,
        chunk,
      );
      const piece = decoded(decoder);
      return piece === undefined
        ? quiet(enter(state, { kind: 'ekSentCt1Received', key, ct1, ct2: decoder }))
        : finish(state, key, ct1, piece, profile);
    }
    case 'noHeaderReceived': {
      if (type !== TYPE.header) return quiet(state);
      const decoder = addChunk(phase.header, index, chunk);
      const piece = decoded(decoder);
      if (piece === undefined) return quiet(enter(state, { kind: 'noHeaderReceived', header: decoder }));
      const header = piece.slice(0, KEM_HEADER_BYTES);
      if (!equal(headerMac(state.auth, state.epoch, header), piece.subarray(KEM_HEADER_BYTES))) throw decryptFailed();
      return quiet(enter(state, { kind: 'headerReceived', header }));
    }
    case 'ct1Sampled': {
      if (!isEk) return quiet(state);
      const { vector, decoder } = collect(phase.kem, phase.vector, index, chunk);
      if (vector !== undefined && isAck) return encapsulateRest(state, phase.kem, vector);
      if (vector !== undefined) return quiet(enter(state, { kind: 'ekReceivedCt1Sampled', kem: phase.kem, index: phase.index, vector }));
      return quiet(enter(state, isAck ? { kind: 'ct1Acknowledged', kem: phase.kem, vector: decoder } : { ...phase, vector: decoder }));
    }
    case 'ekReceivedCt1Sampled':
      return isAck ? encapsulateRest(state, phase.kem, phase.vector) : quiet(state);
    case 'ct1Acknowledged': {
      if (!isEk) return quiet(state);
      const { vector, decoder } = collect(phase.kem, phase.vector, index, chunk);
      return vector === undefined ? quiet(enter(state, { ...phase, vector: decoder })) : encapsulateRest(state, phase.kem, vector);
    }
    case 'keysUnsampled':
    case 'headerReceived':
    case 'ct2Sampled':
      return quiet(state);
  }
}

/** Adds a chunk of the vector; once whole it must be the one that the header named. Throws `ERR_DECRYPT`. */
function collect(
  kem: Encapsulating,
  collected: ErasureDecoder,
  index: number,
  chunk: Uint8Array,
): { vector: Uint8Array | undefined; decoder: ErasureDecoder } {
  const decoder = addChunk(collected, index, chunk);
  const vector = decoded(decoder);
  if (vector !== undefined && !isVectorOf(kem.header, vector)) throw decryptFailed();
  return { vector, decoder };
}

/** C2: encaps2 with the whole vector, and the ciphertext's MAC; m is done with. Throws `ERR_DECRYPT` for a coefficient that is not below q. */
function encapsulateRest(state: BraidState, { header, m, ct1 }: Encapsulating, vector: Uint8Array): ReceiveStep {
  const { ct2, sharedSecret } = encaps2(header, vector, m, ct1);
  sharedSecret.fill(0);
  const piece = concat(ct2, ciphertextMac(state.auth, state.epoch, ct1, ct2));
  return { next: enter(state, { kind: 'ct2Sampled', piece, index: 0 }), emitted: null, fresh: [], wipe: [m] };
}

/** FIN: decapsulate, check that the peer has the same k_e, and begin the next epoch as the side that waits for a header. Throws `ERR_DECRYPT`. */
function finish(state: BraidState, { seed }: HeldKey, ct1: Uint8Array, piece: Uint8Array, profile: Profile): ReceiveStep {
  const { epoch } = state;
  const ct2 = piece.subarray(0, KEM_CT2_BYTES);
  const sharedSecret = mlKem768.decapsulate(seed, concat(ct1, ct2));
  const secret = epochSecret(sharedSecret, epoch);
  sharedSecret.fill(0);
  const auth = updateAuthenticator(state.auth, epoch, secret);
  if (!equal(ciphertextMac(auth, epoch, ct1, ct2), piece.subarray(KEM_CT2_BYTES))) {
    wipe(secret, auth.root, auth.mac);
    throw decryptFailed();
  }
  return {
    next: { epoch: epoch + 1, auth, phase: noHeaderReceived(profile) },
    emitted: { epoch, secret },
    fresh: [auth.root, auth.mac],
    wipe: [seed, state.auth.root, state.auth.mac],
  };
}
