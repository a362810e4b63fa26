/**
 * The attacker of the simulator: a copied state that is carried on by the honest code, with guesses where the owner drew what the
 * attacker is not told. Where honest code would refuse to go on for want of a key, it goes on with a guess.
 */

import { copy, equal } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { xchachaOpen } from '../../src/crypto/suite.js';
import { isCyphrError } from '../../src/errors.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { sendingStep } from '../../src/ratchet/double.js';
import { combineMessageKeys, deriveBodyKeys, deriveEcMessageKey, nextEpochChains } from '../../src/ratchet/keys.js';
import { enterEpoch, type Scka, stepChain } from '../../src/ratchet/scka.js';
import { type RatchetState, receivingOf } from '../../src/ratchet/state.js';
import * as triple from '../../src/ratchet/triple.js';
import type { Rng } from '../../src/step.js';
import { CHUNK_BYTES, decodeHeader, parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { testRng } from '../helpers/rng.js';
import type { Party } from '../helpers/sessions.js';

/** A state of the ratchet over the braid. */
export type State = RatchetState<BraidState>;

/** What the sender's state held after a send, of what it draws itself. */
export interface Leak {
  readonly scalar: Uint8Array;
  readonly seed: Uint8Array | null;
  readonly m: Uint8Array | null;
}

/** What a sender could leak, copied after its send. */
export function leakOf({ state }: Party<BraidState>): Leak {
  const { ec, scka } = state;
  if (ec.kind !== 'sending') throw new Error('a sender is sending');
  return {
    scalar: copy(ec.ratchetKeyPair.secretKey),
    seed: 'key' in scka.phase ? copy(scka.phase.key.seed) : null,
    m: 'kem' in scka.phase ? copy(scka.phase.kem.m) : null,
  };
}

/** What the attacker is told beside the stolen state. */
export interface Broken {
  readonly x25519: boolean;
  readonly mlKem: boolean;
}

/** The braid for who follows with wrong guesses: what does not fit is left out, where an honest party would refuse the message. */
const tolerantBraid: Scka<BraidState> = {
  ...braid,
  receive(state, message, profile) {
    try {
      return braid.receive(state, message, profile);
    } catch (error) {
      if (!isCyphrError(error)) throw error;
      // A message of an earlier epoch changes nothing.
      return braid.receive(state, { ...message, epoch: 0 }, profile);
    }
  },
};

/** The braid of who only guesses: it takes nothing in, and sends nothing in the epoch of the sending chain. */
function silentBraid({ pq, profile }: State): Scka<BraidState> {
  const message = { epoch: pq.sending.epoch + 1, type: 0, index: 0, chunk: new Uint8Array(CHUNK_BYTES[profile]) };
  const stay = (next: BraidState) => ({ next, emitted: null, wipe: [], fresh: [], message });
  return { ...braid, send: stay, receive: stay };
}

/** The attacker: the stolen state, carried on. */
export class Follower {
  private state: State;
  /** Whether an epoch was guessed: then the braid no longer matters. */
  private isGuessing = false;
  private readonly broken: Broken;
  private readonly guess: Rng = testRng('guess');

  constructor(stolen: State, broken: Broken) {
    this.state = stolen;
    this.broken = broken;
  }

  /** Makes the owner's send again. Whether the key is that of the real frame. */
  ownerSends(frame: Uint8Array, leak: Leak): boolean {
    const { broken, guess, state } = this;
    const told = (isBroken: boolean, secret: Uint8Array | null, lengthBytes: number): Uint8Array =>
      isBroken && secret !== null ? copy(secret) : guess(lengthBytes);
    const ec = sendingStep(state.ec, (lengthBytes) => told(broken.x25519, leak.scalar, lengthBytes));
    let draws = 0;
    const rng: Rng = (lengthBytes) => {
      // The first draw only makes the header nonce; what follows is a seed of 64 bytes or an m of 32.
      if (draws++ === 0) return guess(lengthBytes);
      return told(broken.mlKem, lengthBytes === 64 ? leak.seed : leak.m, lengthBytes);
    };
    const { next } = triple.encrypt(this.isGuessing ? silentBraid(state) : tolerantBraid, { ...state, ec }, new Uint8Array(0), rng);
    const chain = enterEpoch(state.pq.sending, next.pq.sending.epoch)!;
    const prk = combineMessageKeys(stepChain(chain).messageKey, deriveEcMessageKey(ec.sendingChainKey));
    this.state = next;
    return isKeyOf(prk, state, frame);
  }

  /** Whether a frame to the owner can be read now; the state stays. */
  reads(frame: Uint8Array): boolean {
    return this.opened(frame) !== null;
  }

  /** Follows the owner, who receives a frame; whether it can be read. */
  ownerReceives(frame: Uint8Array): boolean {
    const opened = this.opened(frame);
    if (opened === null) return false;
    this.state = opened.next;
    this.isGuessing ||= opened.isGuessed;
    return true;
  }

  private opened(frame: Uint8Array): { readonly next: State; readonly isGuessed: boolean } | null {
    const guessed = this.withGuessedEpoch(frame);
    const state = guessed ?? this.state;
    const scka = this.isGuessing || guessed !== null ? silentBraid(state) : tolerantBraid;
    try {
      return { next: triple.decrypt(scka, state, frame).next, isGuessed: guessed !== null };
    } catch (error) {
      if (!isCyphrError(error)) throw error;
      return null;
    }
  }

  /**
   * The state in the epoch of a frame, by a guess at its secret, if the header can be read and the honest code has no chain for it. The owner
   * sends in that epoch too from now on, as the peer has entered it.
   */
  private withGuessedEpoch(frame: Uint8Array): State | null {
    const { role, ec, pq, profile, transcriptHash } = this.state;
    const { tag, prefix, headerNonce, headerCiphertext } = parseRatchetFrame(frame, profile);
    const headerKey = [receivingOf(ec)?.headerKey, ec.nextReceivingHeaderKey].find((each) => each !== undefined && equal(each.tag, tag));
    if (headerKey === undefined) return null;
    const { pqEpoch } = decodeHeader(xchachaOpen(headerKey.key, headerNonce, info('hdr', transcriptHash, prefix), headerCiphertext));
    const epoch = pqEpoch - 1;
    if (epoch !== pq.receiving.epoch + 1 || pq.receiving.nextChainKey !== null) return null;
    const { root, a2b, b2a } = nextEpochChains(pq.root, this.guess(32), epoch);
    const [chainKey, nextChainKey] = role === 'initiator' ? [a2b, b2a] : [b2a, a2b];
    const sending = { epoch, chainKey, counter: 0, nextChainKey: null };
    return { ...this.state, pq: { root, sending, receiving: { ...pq.receiving, nextChainKey }, previousCounter: pq.sending.counter } };
  }
}

/** Whether a PRK is that of a frame: it gives the frame's commitment. */
export function isKeyOf(prk: Uint8Array, { transcriptHash, profile }: State, frame: Uint8Array): boolean {
  const { headerNonce, commitment } = parseRatchetFrame(frame, profile);
  return equal(deriveBodyKeys(prk, transcriptHash, headerNonce).commitment, commitment);
}
