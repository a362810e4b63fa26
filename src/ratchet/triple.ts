/**
 * The Triple Ratchet: one message is encrypted under keys of the Double Ratchet and of the SCKA at once (sections 4.2 and 4.8).
 *
 * Order of every decryption: bounds → header key by tag → header → field rules → gap bounds → SCKA → candidate chains → commitment →
 * body → padding → next state, in one expression. A throw has changed nothing.
 */

import { compare, concat, copy, equal, wipe } from '../bytes.js';
import { info } from '../crypto/labels.js';
import { chachaOpen, chachaSeal, sha256, xchachaOpen, xchachaSeal } from '../crypto/suite.js';
import { decryptFailed, InternalError, ReplayError, UsageError } from '../errors.js';
import { wireLimits } from '../limits.js';
import { draw, type MessageName, type Rng, type SessionSecrets, type Step } from '../step.js';
import { padBody, unpadBody } from '../wire/padding.js';
import {
  decodeHeader,
  encodeHeader,
  encodePrefix,
  type Header,
  headerIndex,
  parseRatchetFrame,
  type RatchetFrame,
} from '../wire/ratchet-message.js';
import { checkRatchetKey, sendingStep } from './double.js';
import { crossGap, gapLength } from './gap.js';
import { combineMessageKeys, deriveBodyKeys, deriveEcMessageKey, deriveHeaderNonce, deriveNextChainKey, type HeaderKey } from './keys.js';
import { addEpoch, enterEpoch, type PqChain, type Scka, startChains, stepChain } from './scka.js';
import { addSkippedKeys, findSkippedChain, findSkippedKey, pruneSkippedKeys, removeSkippedKey, type SkippedKeys } from './skipped.js';
import { type EcState, type RatchetState, receivingOf, released } from './state.js';

/** Starts a session on one side, from the start of its classical part. Copies what it keeps of `secrets`, which stay the caller's to wipe. */
export function start<S>(scka: Scka<S>, secrets: SessionSecrets, ec: EcState): RatchetState<S> {
  return {
    role: secrets.role,
    profile: secrets.profile,
    transcriptHash: copy(secrets.transcriptHash),
    ec,
    pq: startChains(secrets.role, secrets.sckaSecret),
    scka: scka.start(secrets.role, secrets.profile, secrets.sckaSecret),
    receivedCount: 0,
    skipped: [],
  };
}

/** Encrypts one plaintext of at most 65,535 bytes into a ratchet message. Throws `ERR_SESSION_DEAD`, `ERR_NO_SESSION`, `ERR_LENGTH`, `ERR_ARGUMENT` (rng). */
export function encrypt<S>(scka: Scka<S>, state: RatchetState<S>, plaintext: Uint8Array, rng: Rng): Step<RatchetState<S>, Uint8Array> {
  const padded = padBody(plaintext);
  const random = draw(rng, 32);
  const ec = sendingStep(state.ec, rng);
  const agreement = scka.send(state.scka, state.profile, rng);
  const { epoch, type, index, chunk } = agreement.message;
  const chain = enterEpoch(state.pq.sending, epoch - 1);
  if (chain === undefined) throw new InternalError('ERR_BUG', 'message of an epoch without a chain', { got: epoch });
  if (Math.max(ec.sendIndex, chain.counter + 1, epoch) >= wireLimits.counterMax) {
    throw new UsageError('ERR_SESSION_DEAD', 'session has used up its counters', { max: wireLimits.counterMax });
  }

  const { next: sending, messageKey: mkPq } = stepChain(chain);
  const previousCounter = chain === state.pq.sending ? state.pq.previousCounter : state.pq.sending.counter;
  const pq = addEpoch({ root: state.pq.root, sending, receiving: state.pq.receiving, previousCounter }, state.role, agreement.emitted);
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
  const out = seal(state.transcriptHash, ec.sendingHeaderKey, prk, header, padded, random);
  wipe(mkPq, mkEc, prk, padded);
  agreement.emitted?.secret.fill(0);

  const next: RatchetState<S> = {
    role: state.role,
    profile: state.profile,
    transcriptHash: state.transcriptHash,
    ec: { ...ec, sendingChainKey: deriveNextChainKey(ec.sendingChainKey), sendIndex: ec.sendIndex + 1 },
    pq,
    scka: agreement.next,
    receivedCount: state.receivedCount,
    skipped: state.skipped,
  };
  return { next, out, wipe: [...released(state, next), ec.sendingChainKey, ...agreement.wipe] };
}

/** Whether the counters are so far used up that the next `encrypt` may throw `ERR_SESSION_DEAD`: time for another session. */
export function isUsedUp({ ec, pq: { sending } }: RatchetState): boolean {
  const index = ec.kind === 'sending' ? ec.sendIndex : 0;
  return Math.max(index, sending.counter + 1, sending.epoch + 2) >= wireLimits.counterMax;
}

/** Builds the frame. The header nonce is synthetic: it binds the message keys to the content, whatever the generator gave (section 4.2). */
function seal(
  transcriptHash: Uint8Array,
  headerKey: HeaderKey,
  prk: Uint8Array,
  header: Uint8Array,
  padded: Uint8Array,
  random: Uint8Array,
): Uint8Array {
  const headerNonce = deriveHeaderNonce(prk, random, sha256(concat(header, padded)));
  const { okm, key, nonce, commitment } = deriveBodyKeys(prk, transcriptHash, headerNonce);
  const prefix = encodePrefix(headerKey.tag);
  const sealedHeader = xchachaSeal(headerKey.key, headerNonce, info('hdr', transcriptHash, prefix), header);
  const beforeBody = concat(prefix, headerNonce, sealedHeader, commitment);
  const out = concat(beforeBody, chachaSeal(key, nonce, info('body', transcriptHash, beforeBody), padded));
  okm.fill(0);
  return out;
}

/** Which header key a tag belongs to now. */
interface Match {
  readonly kind: 'current' | 'next' | 'old';
  readonly headerKey: HeaderKey;
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

/** The bytes of the header, authenticated under its key. Throws `ERR_DECRYPT`. */
function openHeader(state: RatchetState, frame: RatchetFrame, { key }: HeaderKey): Uint8Array {
  return xchachaOpen(key, frame.headerNonce, info('hdr', state.transcriptHash, frame.prefix), frame.headerCiphertext);
}

/**
 * Which message `decrypt` has refused: its name, if the header opens under this state, so that the peer made it; else `undefined`. For
 * this side's own count of failures alone: nothing that the other side can see may depend on it.
 */
export function refusedMessage(state: RatchetState, message: Uint8Array): MessageName | undefined {
  try {
    const frame = parseRatchetFrame(message, state.profile);
    return { tag: copy(frame.tag), n: headerIndex(openHeader(state, frame, matchTag(state, frame.tag).headerKey)) };
  } catch {
    return undefined;
  }
}

/** The name of the message that was encrypted last; `state` is what that encryption has left. */
export function lastMessage({ ec }: RatchetState): MessageName {
  if (ec.kind !== 'sending' || ec.sendIndex === 0) throw new InternalError('ERR_BUG', 'nothing was encrypted');
  return { tag: copy(ec.sendingHeaderKey.tag), n: ec.sendIndex - 1 };
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
  const header = decodeHeader(openHeader(state, frame, match.headerKey));
  const underNext = match.kind === 'next';
  if (match.kind !== 'old') checkRatchetKey(state.ec, header.ratchetKey, underNext);
  const isLate = match.kind === 'old' || (match.kind === 'current' && header.n < receivingOf(state.ec)!.n);
  const late = isLate ? lateOpening(state, frame.tag, header) : null;
  const gap = late === null ? gapLength(state, header, underNext) : 0;

  const { pqEpoch: epoch, type, index, chunk } = header;
  const agreement = scka.receive(state.scka, { epoch, type, index, chunk }, state.profile);
  try {
    const opening = late ?? newOpening(state, header, underNext, gap);
    const out = openBody(state, frame, opening);
    const { root, sending, previousCounter } = state.pq;
    const pq = addEpoch({ root, sending, receiving: opening.pqReceiving, previousCounter }, state.role, agreement.emitted);
    const receivedCount = state.receivedCount + 1;
    const next: RatchetState<S> = {
      role: state.role,
      profile: state.profile,
      transcriptHash: state.transcriptHash,
      ec: opening.ec,
      pq,
      scka: agreement.next,
      receivedCount,
      skipped: pruneSkippedKeys(opening.skipped, receivedCount, receivingOf(opening.ec)!.headerKey.tag),
    };
    return { next, out, wipe: [...released(state, next), ...agreement.wipe] };
  } catch (error) {
    wipe(...agreement.fresh);
    throw error;
  } finally {
    agreement.emitted?.secret.fill(0);
  }
}

/** A key for the body, and what the state becomes once it has opened. */
interface Opening {
  /** A buffer of its own, used up by `openBody`. */
  readonly prk: Uint8Array;
  readonly ec: EcState;
  readonly pqReceiving: PqChain;
  readonly skipped: SkippedKeys;
  /** New secrets in the three above, to be wiped if the body does not open. */
  readonly fresh: readonly Uint8Array[];
}

/**
 * A message of an old chain, or an earlier one of the chain in use: its key is in SKIP, or was used or has expired. It was sent before
 * one that was received, so that its epoch is not newer: else the SCKA could be brought ahead of the chains.
 */
function lateOpening(state: RatchetState, tag: Uint8Array, header: Header): Opening {
  const key = findSkippedKey(state.skipped, tag, header.n);
  if (key === undefined) throw new ReplayError('ERR_DUPLICATE', 'message key was used or has expired');
  if (header.pqEpoch - 1 > state.pq.receiving.epoch) throw decryptFailed();
  const skipped = removeSkippedKey(state.skipped, key);
  return { prk: copy(key.prk), ec: state.ec, pqReceiving: state.pq.receiving, skipped, fresh: [] };
}

/** The next message of a chain, or one beyond a gap. */
function newOpening(state: RatchetState, header: Header, underNext: boolean, gap: number): Opening {
  const { ec, pqReceiving, missing, prk, fresh } = crossGap(state, header, underNext, gap);
  return { prk, ec, pqReceiving, skipped: addSkippedKeys(state.skipped, missing), fresh };
}

/** COMMIT in constant time, then the AEAD, then the padding. The plaintext is a view of a new buffer. Throws `ERR_DECRYPT`. */
function openBody(state: RatchetState, frame: RatchetFrame, { prk, fresh }: Opening): Uint8Array {
  const { okm, key, nonce, commitment } = deriveBodyKeys(prk, state.transcriptHash, frame.headerNonce);
  try {
    if (!equal(commitment, frame.commitment)) throw decryptFailed();
    return unpadBody(chachaOpen(key, nonce, info('body', state.transcriptHash, frame.beforeBody), frame.bodyCiphertext));
  } catch (error) {
    wipe(...fresh);
    throw error;
  } finally {
    wipe(okm, prk);
  }
}
