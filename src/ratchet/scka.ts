/**
 * The sparse continuous key agreement: the interface of its state machine, and the key chains that its epochs start (section 4.3).
 *
 * A message of braid epoch e uses chain epoch e−1 on both sides, also when it carries no chunk. Knows nothing of X25519 or AEADs.
 */

import { decryptFailed } from '../errors.js';
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

/** One step of the state machine; `emitted` starts a chain epoch. A throw (`ERR_DECRYPT`) has changed nothing. */
export interface SckaStep<S> {
  readonly next: S;
  readonly emitted: EpochSecret | null;
  readonly wipe: readonly Uint8Array[];
}

/** The state machine of section 4.7. Pure: state in, state out; state is immutable. */
export interface Scka<S> {
  start(role: 'initiator' | 'responder', sckaSecret: Uint8Array): S;
  send(state: S, profile: Profile, rng: Rng): SckaStep<S> & { readonly message: SckaMessage };
  receive(state: S, message: SckaMessage, profile: Profile): SckaStep<S>;
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

/** Adds the chains of an emitted epoch, which is exactly one after the one in use in both directions. Throws `ERR_DECRYPT` otherwise. */
export function addEpoch(
  chains: PqChains,
  role: 'initiator' | 'responder',
  emitted: EpochSecret,
): { next: PqChains; wipe: readonly Uint8Array[] } {
  const { sending, receiving } = chains;
  const follows = ({ epoch, nextChainKey }: PqChain): boolean => nextChainKey === null && emitted.epoch === epoch + 1;
  if (!follows(sending) || !follows(receiving)) throw decryptFailed();
  const { root, a2b, b2a } = nextEpochChains(chains.root, emitted.secret, emitted.epoch);
  const [nextSending, nextReceiving] = role === 'initiator' ? [a2b, b2a] : [b2a, a2b];
  return {
    next: {
      root,
      sending: { epoch: sending.epoch, chainKey: sending.chainKey, counter: sending.counter, nextChainKey: nextSending },
      receiving: { epoch: receiving.epoch, chainKey: receiving.chainKey, counter: receiving.counter, nextChainKey: nextReceiving },
      previousCounter: chains.previousCounter,
    },
    wipe: [chains.root, emitted.secret],
  };
}

/** The chain of one direction moved to `epoch`: the same, or the next one once agreed. Throws `ERR_DECRYPT` otherwise. */
export function enterEpoch(chain: PqChain, epoch: number): PqChain {
  if (epoch === chain.epoch) return chain;
  if (epoch !== chain.epoch + 1 || chain.nextChainKey === null) throw decryptFailed();
  return { epoch, chainKey: chain.nextChainKey, counter: 0, nextChainKey: null };
}

/** The next message key of a chain. The chain's old key is the caller's to wipe. */
export function stepChain(chain: PqChain): { next: PqChain; messageKey: Uint8Array } {
  const counter = chain.counter + 1;
  const { chainKey, messageKey } = stepPqChain(chain.chainKey, counter);
  return { next: { epoch: chain.epoch, chainKey, counter, nextChainKey: chain.nextChainKey }, messageKey };
}
