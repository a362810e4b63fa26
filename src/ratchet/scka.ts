/**
 * The sparse continuous key agreement: the interface of its state machine, and the key chains that its epochs start (section 4.3).
 *
 * A message of braid epoch e uses chain epoch e−1 on both sides, also when it carries no chunk. Knows nothing of X25519 or AEADs.
 */

import { InternalError } from '../errors.js';
import type { Profile, Rng } from '../step.js';
import { nextEpochChains, startEpochChains, stepPqChain } from './keys.js';

/** What a message carries for the SCKA. Types: 0 None, 1 Hdr, 2 Ek, 3 EkCt1Ack, 4 Ct1Ack, 5 Ct1, 6 Ct2. */
export interface SckaMessage {
  /** Braid epoch e ≥ 1. */
  readonly epoch: number;
  readonly type: number;
  readonly index: number;
  readonly chunk: Uint8Array;
}

/** k_e, 32 bytes, that an epoch of the state machine has agreed on. */
export interface EpochSecret {
  readonly epoch: number;
  readonly secret: Uint8Array;
}

/** One step of the state machine. A throw (`ERR_DECRYPT`) has changed nothing. */
export interface SckaStep<S> {
  readonly next: S;
  /** Starts chain epoch e, where e is the epoch of the message that was sent or received. The secret is a buffer of its own: the ratchet wipes it. */
  readonly emitted: EpochSecret | null;
  /** Secrets of the state that `next` does not hold, to be wiped once `next` is committed. */
  readonly wipe: readonly Uint8Array[];
}

/**
 * The state machine of section 4.7. Pure: state in, state out; state is immutable.
 *
 * The ratchet promises: `receive` is given what an authenticated header carried, in any order, but no message of a later epoch than the
 * newest chain that was entered allows; `next` is dropped if the body then fails.
 */
export interface Scka<S> {
  /** Copies what it keeps of `sckaSecret`. */
  start(role: 'initiator' | 'responder', profile: Profile, sckaSecret: Uint8Array): S;
  send(state: S, profile: Profile, rng: Rng): SckaStep<S> & { readonly message: SckaMessage };
  /** `fresh` names the secrets of `next` that `state` did not hold, to be wiped if `next` is dropped. */
  receive(state: S, message: SckaMessage, profile: Profile): SckaStep<S> & { readonly fresh: readonly Uint8Array[] };
  encode(state: S): Uint8Array;
  decode(bytes: Uint8Array): S;
}

/** One direction of the SCKA chains: the epoch in use, its key, the last counter used, and the key of the next epoch once agreed. */
export interface PqChain {
  readonly epoch: number;
  readonly chainKey: Uint8Array;
  readonly counter: number;
  readonly nextChainKey: Uint8Array | null;
}

/** Both directions and the root of the newest epoch. `previousCounter` is pqPrev: the sender's last counter in its previous epoch. */
export interface PqChains {
  readonly root: Uint8Array;
  readonly sending: PqChain;
  readonly receiving: PqChain;
  readonly previousCounter: number;
}

/** Chain epoch 0. "A" of A2B is the initiator. */
export function startChains(role: 'initiator' | 'responder', sckaSecret: Uint8Array): PqChains {
  const { root, a2b, b2a } = startEpochChains(sckaSecret);
  const [sending, receiving] = role === 'initiator' ? [a2b, b2a] : [b2a, a2b];
  return {
    root,
    sending: { epoch: 0, chainKey: sending, counter: 0, nextChainKey: null },
    receiving: { epoch: 0, chainKey: receiving, counter: 0, nextChainKey: null },
    previousCounter: 0,
  };
}

/**
 * Adds the chains of an emitted epoch. Both directions have entered the one before, since a state machine emits epoch e in a message of
 * braid epoch e, which uses chain epoch e−1. Throws `ERR_BUG` otherwise. `emitted.secret` stays the caller's to wipe.
 */
export function addEpoch(chains: PqChains, role: 'initiator' | 'responder', emitted: EpochSecret | null): PqChains {
  if (emitted === null) return chains;
  const { sending, receiving, previousCounter } = chains;
  const follows = ({ epoch, nextChainKey }: PqChain): boolean => nextChainKey === null && emitted.epoch === epoch + 1;
  if (!follows(sending) || !follows(receiving)) throw new InternalError('ERR_BUG', 'epoch out of order', { got: emitted.epoch });
  const { root, a2b, b2a } = nextEpochChains(chains.root, emitted.secret, emitted.epoch);
  const [nextSending, nextReceiving] = role === 'initiator' ? [a2b, b2a] : [b2a, a2b];
  return {
    root,
    sending: { ...sending, nextChainKey: nextSending },
    receiving: { ...receiving, nextChainKey: nextReceiving },
    previousCounter,
  };
}

/** The chain of one direction in `epoch`: the same, or the next one once agreed; `undefined` for any other. */
export function enterEpoch(chain: PqChain, epoch: number): PqChain | undefined {
  if (epoch === chain.epoch) return chain;
  if (epoch !== chain.epoch + 1 || chain.nextChainKey === null) return undefined;
  return { epoch, chainKey: chain.nextChainKey, counter: 0, nextChainKey: null };
}

/** The next message key of a chain. The chain's old key is the caller's to wipe. */
export function stepChain(chain: PqChain): { next: PqChain; messageKey: Uint8Array } {
  const counter = chain.counter + 1;
  const { chainKey, messageKey } = stepPqChain(chain.chainKey, counter);
  return { next: { epoch: chain.epoch, chainKey, counter, nextChainKey: chain.nextChainKey }, messageKey };
}
