/**
 * The Triple Ratchet: one message is encrypted under keys of the Double Ratchet and of the SCKA at once (sections 4.2 and 4.8).
 *
 * Order of every decryption: bounds → header key by tag → header → field rules → gap bounds → candidate chains → commitment →
 * body → padding → next state, in one expression. A throw has changed nothing.
 */

import { compare, concat, equal, wipe } from '../bytes.js';
import { info } from '../crypto/labels.js';
import { chachaOpen, chachaSeal, sha256, xchachaOpen, xchachaSeal } from '../crypto/suite.js';
import { decryptFailed, ReplayError, UsageError } from '../errors.js';
import { ratchetLimits, wireLimits } from '../limits.js';
import { draw, type Rng, type SessionSecrets, type Step } from '../step.js';
import { padBody, unpadBody } from '../wire/padding.js';
import { decodeHeader, encodeHeader, encodePrefix, type Header, parseRatchetFrame, type RatchetFrame } from '../wire/ratchet-message.js';
import { checkRatchetKey, receivingStep, sendingStep, stepReceiving, withReceiving } from './double.js';
import { combineMessageKeys, deriveBodyKeys, deriveEcMessageKey, deriveHeaderNonce, deriveNextChainKey, type HeaderKey } from './keys.js';
import { addEpoch, enterEpoch, type PqChain, type PqChains, type Scka, startChains, stepChain } from './scka.js';
import { addSkippedKeys, findSkippedChain, pruneSkippedKeys, removeSkippedKey, type SkippedChain, type SkippedKey } from './skipped.js';
import type { EcState, RatchetState, ReceivingChain } from './state.js';

/** Starts a session on one side, from the start of its classical part. Copies what it keeps of `secrets`, which stay the caller's to wipe. */
export function start<S>(scka: Scka<S>, secrets: SessionSecrets, ec: EcState): RatchetState<S> {
  return {
    role: secrets.role,
    profile: secrets.profile,
    transcriptHash: secrets.transcriptHash.slice(),
    ec,
    pq: startChains(secrets.role, secrets.sckaSecret),
    scka: scka.start(secrets.role, secrets.sckaSecret),
    receivedCount: 0,
    skipped: [],
  };
}

/** Encrypts one plaintext of at most 65,535 bytes into a ratchet message. Throws `ERR_SESSION_DEAD`, `ERR_NO_SESSION`, `ERR_LENGTH`. */
export function encrypt<S>(scka: Scka<S>, state: RatchetState<S>, plaintext: Uint8Array, rng: Rng): Step<RatchetState<S>, Uint8Array> {
  const padded = padBody(plaintext);
  const { next: ec, wipe: ecWipe } = sendingStep(state.ec, rng);
  const agreement = scka.send(state.scka, state.profile, rng);
  const { epoch, type, index, chunk } = agreement.message;

  const entered = enterEpoch(state.pq.sending, epoch - 1);
  const isNewEpoch = entered !== state.pq.sending;
  const { next: sending, messageKey: mkPq } = stepChain(entered);
  const previousCounter = isNewEpoch ? state.pq.sending.counter : state.pq.previousCounter;
  if (ec.sendIndex >= wireLimits.counterMax || sending.counter >= wireLimits.counterMax || epoch >= wireLimits.counterMax) {
    throw new UsageError('ERR_SESSION_DEAD', 'session has used up its counters', { max: wireLimits.counterMax });
  }
  const chains: PqChains = { root: state.pq.root, sending, receiving: state.pq.receiving, previousCounter };
  const added = agreement.emitted === null ? { next: chains, wipe: [] } : addEpoch(chains, state.role, agreement.emitted);

  const mkEc = deriveEcMessageKey(ec.sendingChainKey);
  const prk = combineMessageKeys(mkPq, mkEc);
  const header = encodeHeader({
    ratchetKey: ec.ratchetKeyPair.publicKey,
    previousChainLength: ec.previousChainLength,
    n: ec.sendIndex,
    pqEpoch: epoch,
    pqCounter: sending.counter,
    pqPrevious: previousCounter,
    type,
    index,
    chunk,
  });
  const headerNonce = deriveHeaderNonce(prk, draw(rng, 32), sha256(concat(header, padded)));
  const { okm, key, nonce, commitment } = deriveBodyKeys(prk, state.transcriptHash, headerNonce);
  const prefix = encodePrefix(ec.sendingHeaderKey.tag);
  const sealedHeader = xchachaSeal(ec.sendingHeaderKey.key, headerNonce, info('hdr', state.transcriptHash, prefix), header);
  const beforeBody = concat(prefix, headerNonce, sealedHeader, commitment);
  const out = concat(beforeBody, chachaSeal(key, nonce, info('body', state.transcriptHash, beforeBody), padded));

  return {
    next: {
      role: state.role,
      profile: state.profile,
      transcriptHash: state.transcriptHash,
      ec: {
        kind: 'sending',
        rootKey: ec.rootKey,
        remoteRatchetKey: ec.remoteRatchetKey,
        ratchetKeyPair: ec.ratchetKeyPair,
        sendingHeaderKey: ec.sendingHeaderKey,
        nextSendingHeaderKey: ec.nextSendingHeaderKey,
        nextReceivingHeaderKey: ec.nextReceivingHeaderKey,
        sendingChainKey: deriveNextChainKey(ec.sendingChainKey),
        sendIndex: ec.sendIndex + 1,
        previousChainLength: ec.previousChainLength,
        receiving: ec.receiving,
      },
      pq: added.next,
      scka: agreement.next,
      receivedCount: state.receivedCount,
      skipped: state.skipped,
    },
    out,
    wipe: [
      ...ecWipe,
      ...agreement.wipe,
      ...added.wipe,
      ec.sendingChainKey,
      entered.chainKey,
      ...(isNewEpoch ? [state.pq.sending.chainKey] : []),
      mkPq,
      mkEc,
      prk,
      okm,
      padded,
    ],
  };
}

/** Which header key a tag belongs to now. */
type Match = { readonly kind: 'current' | 'next'; readonly headerKey: HeaderKey } | { readonly kind: 'old'; readonly headerKey: HeaderKey };

function receivingOf(ec: EcState): ReceivingChain | null {
  return ec.kind === 'awaitingFirst' ? null : ec.receiving;
}

function matchTag(state: RatchetState, tag: Uint8Array): Match {
  const { ec } = state;
  const receiving = receivingOf(ec);
  if (receiving !== null && compare(receiving.headerKey.tag, tag) === 0) return { kind: 'current', headerKey: receiving.headerKey };
  if (compare(ec.nextReceivingHeaderKey.tag, tag) === 0) return { kind: 'next', headerKey: ec.nextReceivingHeaderKey };
  const old = findSkippedChain(state.skipped, tag);
  if (old === undefined) throw new UsageError('ERR_NO_SESSION', 'no key of this session has the tag of the message');
  return { kind: 'old', headerKey: old.headerKey };
}

/** The tags that this state accepts: HKr, NHKr and each old HKr of which a message is missing; 16 bytes each, not to be changed. */
export function receivingTags(state: RatchetState): Uint8Array[] {
  const receiving = receivingOf(state.ec);
  const tags = [...(receiving === null ? [] : [receiving.headerKey.tag]), state.ec.nextReceivingHeaderKey.tag];
  for (const { headerKey } of state.skipped) if (!tags.some((tag) => compare(tag, headerKey.tag) === 0)) tags.push(headerKey.tag);
  return tags;
}

function openHeader(state: RatchetState, frame: RatchetFrame, { key }: HeaderKey): Header {
  return decodeHeader(xchachaOpen(key, frame.headerNonce, info('hdr', state.transcriptHash, frame.prefix), frame.headerCiphertext));
}

/** Whether the message's header authenticates: local evidence for healing, never an answer to a peer. Throws what parsing throws. */
export function headerOpens(state: RatchetState, message: Uint8Array): boolean {
  const frame = parseRatchetFrame(message, state.profile);
  const { key } = matchTag(state, frame.tag).headerKey;
  try {
    xchachaOpen(key, frame.headerNonce, info('hdr', state.transcriptHash, frame.prefix), frame.headerCiphertext);
    return true;
  } catch {
    return false;
  }
}

/** COMMIT in constant time, then the AEAD, then the padding. The plaintext is a view of a new buffer. Throws `ERR_DECRYPT`. */
function openBody(state: RatchetState, frame: RatchetFrame, prk: Uint8Array): Uint8Array {
  const { okm, key, nonce, commitment } = deriveBodyKeys(prk, state.transcriptHash, frame.headerNonce);
  try {
    if (!equal(commitment, frame.commitment)) throw decryptFailed();
    return unpadBody(chachaOpen(key, nonce, info('body', state.transcriptHash, frame.beforeBody), frame.bodyCiphertext));
  } finally {
    okm.fill(0);
  }
}

/** Lengths of the two gap lists; equal, since each message takes one step of both ratchets. Throws `ERR_DECRYPT` or `ERR_SKIP_LIMIT`. */
function gapLength(state: RatchetState, header: Header, underNext: boolean): number {
  const receiving = receivingOf(state.ec);
  const received = receiving === null ? 0 : receiving.n;
  const { epoch, counter } = state.pq.receiving;
  const chainEpoch = header.pqEpoch - 1;
  const oldEc = underNext ? header.previousChainLength - received : 0;
  const newEc = underNext ? header.n : header.n - received;
  const oldPq = chainEpoch === epoch + 1 ? header.pqPrevious - counter : 0;
  const newPq = header.pqCounter - 1 - (chainEpoch === epoch ? counter : 0);
  const gap = oldEc + newEc;
  const valid =
    (chainEpoch === epoch || chainEpoch === epoch + 1) &&
    oldEc >= 0 &&
    oldPq >= 0 &&
    newPq >= 0 &&
    gap === oldPq + newPq &&
    !(underNext && receiving === null && header.previousChainLength !== 0);
  if (!valid) throw decryptFailed();
  if (gap > ratchetLimits.maxJump) {
    throw new ReplayError('ERR_SKIP_LIMIT', 'too many messages are missing', { got: gap, max: ratchetLimits.maxJump });
  }
  return gap;
}

/**
 * Decrypts one ratchet message. Draws no randomness: new ratchet keys come with the next send.
 *
 * Throws a `DecodeError` for what can't be a message, `ERR_NO_SESSION` for a tag of another session, `ERR_DUPLICATE` for a key that
 * was used or has expired, `ERR_SKIP_LIMIT`, and `ERR_DECRYPT` for everything else.
 */
export function decrypt<S>(scka: Scka<S>, state: RatchetState<S>, message: Uint8Array): Step<RatchetState<S>, Uint8Array> {
  const frame = parseRatchetFrame(message, state.profile);
  const match = matchTag(state, frame.tag);
  const header = openHeader(state, frame, match.headerKey);
  const underNext = match.kind === 'next';
  if (match.kind !== 'old') checkRatchetKey(state.ec, header, underNext);
  const { pqEpoch: epoch, type, index, chunk } = header;
  const payload = { epoch, type, index, chunk };
  const isLate = match.kind === 'old' || (match.kind === 'current' && header.n < receivingOf(state.ec)!.n);
  return isLate ? decryptLate(scka, state, frame, header, payload) : decryptNew(scka, state, frame, header, payload, underNext);
}

type Payload = Parameters<Scka<unknown>['receive']>[1];

/** A message of an old chain, or an earlier one of the chain in use: its key is in SKIP, or was used or has expired. */
function decryptLate<S>(
  scka: Scka<S>,
  state: RatchetState<S>,
  frame: RatchetFrame,
  header: Header,
  payload: Payload,
): Step<RatchetState<S>, Uint8Array> {
  const chain = findSkippedChain(state.skipped, frame.tag);
  const key = chain?.keys.find(({ n }) => n === header.n);
  if (chain === undefined || key === undefined) throw new ReplayError('ERR_DUPLICATE', 'message key was used or has expired');
  const agreement = scka.receive(state.scka, payload, state.profile);
  const added = agreement.emitted === null ? { next: state.pq, wipe: [] } : addEpoch(state.pq, state.role, agreement.emitted);
  const out = openBody(state, frame, key.prk);
  return {
    next: {
      role: state.role,
      profile: state.profile,
      transcriptHash: state.transcriptHash,
      ec: state.ec,
      pq: added.next,
      scka: agreement.next,
      receivedCount: state.receivedCount + 1,
      skipped: removeSkippedKey(state.skipped, chain, header.n),
    },
    out,
    wipe: [...agreement.wipe, ...added.wipe, key.prk],
  };
}

/** The next message of a chain, or one beyond a gap. */
function decryptNew<S>(
  scka: Scka<S>,
  state: RatchetState<S>,
  frame: RatchetFrame,
  header: Header,
  payload: Payload,
  underNext: boolean,
): Step<RatchetState<S>, Uint8Array> {
  const gap = gapLength(state, header, underNext);
  const agreement = scka.receive(state.scka, payload, state.profile);
  const epoch = header.pqEpoch - 1;
  const target = enterEpoch(state.pq.receiving, epoch);

  // `derived` is used up here and wiped either way; `candidate` goes into the next state, and is wiped if anything fails.
  const derived: Uint8Array[] = [];
  const candidate: Uint8Array[] = [];
  try {
    const stepped = underNext ? receivingStep(state.ec as Exclude<EcState, { kind: 'awaitingSend' }>, header.ratchetKey) : null;
    if (stepped !== null) {
      candidate.push(stepped.next.rootKey, stepped.next.nextReceivingHeaderKey.key);
      derived.push(stepped.next.receiving.chainKey);
    }
    let pq: PqChain = state.pq.receiving;
    const nextPqKey = (): Uint8Array => {
      if (pq.epoch !== epoch && pq.counter >= header.pqPrevious) pq = target;
      const { next, messageKey } = stepChain(pq);
      derived.push(next.chainKey, messageKey);
      pq = next;
      return messageKey;
    };
    const receivedCount = state.receivedCount + 1;
    let remaining = gap;
    const skip = (from: ReceivingChain, until: number): { chain: ReceivingChain; keys: SkippedKey[] } => {
      let chain = from;
      const keys: SkippedKey[] = [];
      while (chain.n < until) {
        const mkPq = nextPqKey();
        if (remaining-- <= ratchetLimits.storedPerGap) {
          const mkEc = deriveEcMessageKey(chain.chainKey);
          const prk = combineMessageKeys(mkPq, mkEc);
          candidate.push(prk);
          keys.push({ n: chain.n, prk, receivedCount });
          mkEc.fill(0);
        }
        chain = stepReceiving(chain);
        derived.push(chain.chainKey);
      }
      return { chain, keys };
    };

    const old = receivingOf(state.ec);
    const oldSkipped: SkippedChain[] = [];
    if (stepped !== null && old !== null) oldSkipped.push({ headerKey: old.headerKey, keys: skip(old, header.previousChainLength).keys });
    const { chain, keys } = skip(stepped === null ? old! : stepped.next.receiving, header.n);
    const mkPq = nextPqKey();
    const mkEc = deriveEcMessageKey(chain.chainKey);
    const prk = combineMessageKeys(mkPq, mkEc);
    derived.push(mkEc, prk);
    const out = openBody(state, frame, prk);

    const receiving = stepReceiving(chain);
    const skipped = addSkippedKeys(state.skipped, [...oldSkipped, { headerKey: chain.headerKey, keys }]);
    const pruned = pruneSkippedKeys(skipped, receivedCount, chain.headerKey.tag);
    const chains: PqChains = { root: state.pq.root, sending: state.pq.sending, receiving: pq, previousCounter: state.pq.previousCounter };
    const added = agreement.emitted === null ? { next: chains, wipe: [] } : addEpoch(chains, state.role, agreement.emitted);
    const oldHeaderKeyIsKept = old === null || stepped === null || pruned.next.some(({ headerKey }) => headerKey === old.headerKey);
    return {
      next: {
        role: state.role,
        profile: state.profile,
        transcriptHash: state.transcriptHash,
        ec: withReceiving(stepped === null ? state.ec : stepped.next, receiving),
        pq: added.next,
        scka: agreement.next,
        receivedCount,
        skipped: pruned.next,
      },
      out,
      wipe: [
        ...derived.filter((buffer) => buffer !== pq.chainKey),
        ...agreement.wipe,
        ...added.wipe,
        ...pruned.dropped,
        ...(stepped === null ? [] : stepped.wipe),
        ...(old === null ? [] : [old.chainKey]),
        ...(oldHeaderKeyIsKept ? [] : [old.headerKey.key]),
        state.pq.receiving.chainKey,
        ...(target === state.pq.receiving ? [] : [target.chainKey]),
      ],
    };
  } catch (error) {
    wipe(...derived, ...candidate);
    throw error;
  }
}
