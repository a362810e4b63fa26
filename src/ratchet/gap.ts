/**
 * The messages that are missing before one that arrived: how many, and their keys (section 4.8). Pure.
 *
 * Each message takes one step of both ratchets, so that the two lists of missing steps have one length and are walked together.
 */

import { copy, wipe } from '../bytes.js';
import { decryptFailed, ReplayError } from '../errors.js';
import { ratchetLimits } from '../limits.js';
import type { Header } from '../wire/ratchet-message.js';
import { receivingStep, type Steppable, stepReceiving, withReceiving } from './double.js';
import { combineMessageKeys, deriveEcMessageKey } from './keys.js';
import { enterEpoch, type PqChain, stepChain } from './scka.js';
import type { SkippedChain, SkippedKey } from './skipped.js';
import { type EcState, type RatchetState, type ReceivingChain, receivingOf } from './state.js';

/**
 * The number of messages missing before one that is not late. Checks every bound on its counters; nothing is derived before.
 * Throws `ERR_DECRYPT`, or `ERR_SKIP_LIMIT` above 25,000.
 */
export function gapLength(state: RatchetState, header: Header, underNext: boolean): number {
  const inUse = receivingOf(state.ec);
  const received = inUse === null ? 0 : inUse.n;
  const { epoch, counter } = state.pq.receiving;
  const chainEpoch = header.pqEpoch - 1;
  const oldEc = underNext ? header.previousChainLength - received : 0;
  const newEc = underNext ? header.n : header.n - received;
  const oldPq = chainEpoch === epoch ? 0 : header.pqPrevious - counter;
  const newPq = header.pqCounter - 1 - (chainEpoch === epoch ? counter : 0);
  const gap = oldEc + newEc;
  // No range runs backwards: newEc can't, as the message is not late, and newPq can't where the lists have one length and pqCtr ≥ 1.
  const valid =
    enterEpoch(state.pq.receiving, chainEpoch) !== undefined &&
    oldEc >= 0 &&
    oldPq >= 0 &&
    gap === oldPq + newPq &&
    (inUse !== null || header.previousChainLength === 0);
  if (!valid) throw decryptFailed();
  if (gap > ratchetLimits.maxJump) {
    throw new ReplayError('ERR_SKIP_LIMIT', 'too many messages are missing', { got: gap, max: ratchetLimits.maxJump });
  }
  return gap;
}

/** Both ratchets after a message that is not late. Every secret in it that the state does not hold stands in `fresh`. */
export interface Crossing {
  readonly ec: EcState;
  readonly pqReceiving: PqChain;
  /** Keys of the missing messages: the last 1,000 of them. */
  readonly missing: readonly SkippedChain[];
  /** PRK of the message itself, 32 bytes. */
  readonly prk: Uint8Array;
  readonly fresh: readonly Uint8Array[];
}

/**
 * Steps both ratchets over `gap` missing messages and the one that arrived; the bounds of `gapLength` hold. The walk is done on copies
 * and wipes each key as it leaves it: the state's own keys stay as they are. Throws `ERR_DECRYPT` for a low-order ratchet key.
 */
export function crossGap(state: RatchetState, header: Header, underNext: boolean, gap: number): Crossing {
  const inUse = receivingOf(state.ec);
  const stepped = underNext ? receivingStep(state.ec as Steppable, header.ratchetKey) : null;
  const epoch = header.pqEpoch - 1;
  const receivedCount = state.receivedCount + 1;
  let pq = ownPq(state.pq.receiving);
  let left = gap;

  const nextPqKey = (): Uint8Array => {
    const last = pq;
    if (pq.epoch !== epoch && pq.counter === header.pqPrevious) pq = enterEpoch(pq, epoch)!;
    const { next, messageKey } = stepChain(pq);
    wipe(last.chainKey, pq.chainKey);
    pq = next;
    return messageKey;
  };
  const prkOf = (chain: ReceivingChain, mkPq: Uint8Array): Uint8Array => {
    const mkEc = deriveEcMessageKey(chain.chainKey);
    const prk = combineMessageKeys(mkPq, mkEc);
    mkEc.fill(0);
    return prk;
  };
  const advance = (chain: ReceivingChain): ReceivingChain => {
    const next = stepReceiving(chain);
    chain.chainKey.fill(0);
    return next;
  };
  const skip = (from: ReceivingChain, until: number): { chain: ReceivingChain; keys: SkippedKey[] } => {
    const keys: SkippedKey[] = [];
    let chain = from;
    while (chain.n < until) {
      const mkPq = nextPqKey();
      if (left-- <= ratchetLimits.storedPerGap) keys.push({ n: chain.n, prk: prkOf(chain, mkPq), receivedCount });
      mkPq.fill(0);
      chain = advance(chain);
    }
    return { chain, keys };
  };

  const old = stepped === null || inUse === null ? null : skip(ownEc(inUse), header.previousChainLength);
  old?.chain.chainKey.fill(0);
  const current = skip(stepped === null ? ownEc(inUse!) : stepped.receiving, header.n);
  const mkPq = nextPqKey();
  const prk = prkOf(current.chain, mkPq);
  mkPq.fill(0);
  const receiving = advance(current.chain);

  const walked = old === null ? [current] : [old, current];
  const missing = walked.filter(({ keys }) => keys.length > 0).map(({ chain, keys }) => ({ headerKey: chain.headerKey, keys }));
  return {
    ec: withReceiving(stepped ?? state.ec, receiving),
    pqReceiving: pq,
    missing,
    prk,
    fresh: [
      receiving.chainKey,
      pq.chainKey,
      ...(pq.nextChainKey === null ? [] : [pq.nextChainKey]),
      ...(stepped === null ? [] : [stepped.rootKey, stepped.nextReceivingHeaderKey.key]),
      ...missing.flatMap((each) => each.keys.map((key) => key.prk)),
    ],
  };
}

function ownEc({ headerKey, chainKey, n }: ReceivingChain): ReceivingChain {
  return { headerKey, chainKey: copy(chainKey), n };
}

function ownPq({ epoch, chainKey, counter, nextChainKey }: PqChain): PqChain {
  return { epoch, chainKey: copy(chainKey), counter, nextChainKey: nextChainKey === null ? null : copy(nextChainKey) };
}
