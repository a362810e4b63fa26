import { concat } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { chachaSeal, xchachaSeal } from '../../src/crypto/suite.js';
import { combineMessageKeys, deriveBodyKeys, deriveEcMessageKey, deriveNextChainKey, type HeaderKey } from '../../src/ratchet/keys.js';
import { stepChain } from '../../src/ratchet/scka.js';
import type { RatchetState } from '../../src/ratchet/state.js';
import { padBody } from '../../src/wire/padding.js';
import { encodeHeader, encodePrefix, type Header } from '../../src/wire/ratchet-message.js';

/** What a peer who breaks the rules may choose. */
export interface Forgery {
  readonly header?: Partial<Header>;
  /** Last byte of the fixed part of the header. */
  readonly flags?: number;
  readonly headerKey?: HeaderKey;
  /** The body as it is sealed, padding included. */
  readonly padded?: Uint8Array;
  readonly prk?: Uint8Array;
  /** COMMIT as it stands in the frame; the body is sealed over it. */
  readonly commitment?: Uint8Array;
}

/** The next message of a side that is sending, made with its own keys; `change` breaks what it names. */
export function forge(state: RatchetState, change: Forgery = {}): Uint8Array {
  const { ec, pq, transcriptHash } = state;
  if (ec.kind !== 'sending') throw new Error('this side cannot send');
  const { next, messageKey } = stepChain(pq.sending);
  const prk = change.prk ?? combineMessageKeys(messageKey, deriveEcMessageKey(ec.sendingChainKey));
  const header = encodeHeader({
    ratchetKey: ec.ratchetKeyPair.publicKey,
    previousChainLength: ec.previousChainLength,
    n: ec.sendIndex,
    pqEpoch: next.epoch + 1,
    pqCounter: next.counter,
    pqPrevious: pq.previousCounter,
    type: 0,
    index: 0,
    chunk: new Uint8Array({ 1: 192, 2: 32, 3: 1152 }[state.profile]),
    ...change.header,
  });
  header[55] = change.flags ?? 0;
  const headerKey = change.headerKey ?? ec.sendingHeaderKey;
  const nonce = new Uint8Array(24).fill(7);
  const keys = deriveBodyKeys(prk, transcriptHash, nonce);
  const prefix = encodePrefix(headerKey.tag);
  const sealed = xchachaSeal(headerKey.key, nonce, info('hdr', transcriptHash, prefix), header);
  const beforeBody = concat(prefix, nonce, sealed, change.commitment ?? keys.commitment);
  const padded = change.padded ?? padBody(new Uint8Array([1, 2, 3]));
  return concat(beforeBody, chachaSeal(keys.key, keys.nonce, info('body', transcriptHash, beforeBody), padded));
}

/** A sending side `count` messages on, which were never encrypted: only its chains are stepped. */
export function skipAhead<S>(state: RatchetState<S>, count: number): RatchetState<S> {
  const { ec } = state;
  if (ec.kind !== 'sending') throw new Error('this side cannot send');
  let { sendingChainKey } = ec;
  let { sending } = state.pq;
  for (let i = 0; i < count; i++) {
    sendingChainKey = deriveNextChainKey(sendingChainKey);
    sending = stepChain(sending).next;
  }
  return { ...state, ec: { ...ec, sendingChainKey, sendIndex: ec.sendIndex + count }, pq: { ...state.pq, sending } };
}
