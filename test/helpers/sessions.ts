import { generateX25519 } from '../../src/crypto/suite.js';
import * as double from '../../src/ratchet/double.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { decodeWhole, encodeWhole, type RatchetState } from '../../src/ratchet/state.js';
import * as triple from '../../src/ratchet/triple.js';
import type { Profile, Rng, SessionSecrets, Step } from '../../src/step.js';

/** What a handshake would hand to both ratchets: equal secrets, and the responder's signed prekey. */
export function handshakeSecrets(rng: Rng, profile: Profile = 1): { initiator: SessionSecrets; responder: SessionSecrets } {
  const signedPrekey = generateX25519(rng);
  const common = {
    profile,
    transcriptHash: rng(64),
    rootKey: rng(32),
    headerKeyA: rng(32),
    nextHeaderKeyB: rng(32),
    sckaSecret: rng(32),
  };
  return {
    initiator: { ...common, role: 'initiator', signedPrekey: { publicKey: signedPrekey.publicKey, secretKey: new Uint8Array(0) } },
    responder: { ...common, role: 'responder', signedPrekey },
  };
}

/** The ratchet over one SCKA, as plain functions on its states. */
export interface Ratchet<S> {
  start(secrets: SessionSecrets, rng: Rng): RatchetState<S>;
  encrypt(state: RatchetState<S>, plaintext: Uint8Array, rng: Rng): Step<RatchetState<S>, Uint8Array>;
  decrypt(state: RatchetState<S>, message: Uint8Array): Step<RatchetState<S>, Uint8Array>;
  encode(state: RatchetState<S>): Uint8Array;
  decode(bytes: Uint8Array): RatchetState<S>;
}

export function ratchetOver<S>(scka: Scka<S>): Ratchet<S> {
  return {
    start: (secrets, rng) =>
      triple.start(scka, secrets, secrets.role === 'initiator' ? double.startInitiator(secrets, rng) : double.startResponder(secrets)),
    encrypt: (state, plaintext, rng) => triple.encrypt(scka, state, plaintext, rng),
    decrypt: (state, message) => triple.decrypt(scka, state, message),
    encode: (state) => encodeWhole(state, scka.encode(state.scka)),
    decode: (bytes) => decodeWhole(bytes, scka.decode),
  };
}

/**
 * One side of a session, which keeps the contract of every step: nothing mutated, and what is to be wiped is wiped at once, so that
 * whatever still needed it breaks.
 */
export class Party<S> {
  state: RatchetState<S>;
  readonly ratchet: Ratchet<S>;
  readonly rng: Rng;

  constructor(ratchet: Ratchet<S>, state: RatchetState<S>, rng: Rng) {
    this.ratchet = ratchet;
    this.state = state;
    this.rng = rng;
  }

  send(plaintext: Uint8Array, rng = this.rng): Uint8Array {
    return this.commit(this.ratchet.encrypt(this.state, plaintext, rng));
  }

  receive(message: Uint8Array): Uint8Array {
    return this.commit(this.ratchet.decrypt(this.state, message));
  }

  snapshot(): Uint8Array {
    return this.ratchet.encode(this.state);
  }

  restore(bytes: Uint8Array): void {
    this.state = this.ratchet.decode(bytes);
  }

  private commit({ next, out, wipe }: Step<RatchetState<S>, Uint8Array>): Uint8Array {
    for (const buffer of wipe) buffer.fill(0);
    this.state = next;
    return out;
  }
}

/** Both sides of a fresh session. */
export function session<S>(scka: Scka<S>, rng: Rng, profile: Profile = 1): { alice: Party<S>; bob: Party<S> } {
  const ratchet = ratchetOver(scka);
  const { initiator, responder } = handshakeSecrets(rng, profile);
  return {
    alice: new Party(ratchet, ratchet.start(initiator, rng), rng),
    bob: new Party(ratchet, ratchet.start(responder, rng), rng),
  };
}

export function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value));
}
