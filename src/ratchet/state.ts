/** The state of one session's ratchet, immutable, and its encoding. */

import { isZero } from '../bytes.js';
import { StoreError } from '../errors.js';
import type { KeyPair, Profile } from '../step.js';
import { type Reader, reader, type Writer, writer } from '../wire/codec.js';
import type { HeaderKey } from './keys.js';
import type { PqChain, PqChains } from './scka.js';
import type { SkippedChain, SkippedKeys } from './skipped.js';

/** The receiving chain in use: HKr, CKr, Nr. */
export interface ReceivingChain {
  readonly headerKey: HeaderKey;
  readonly chainKey: Uint8Array;
  readonly n: number;
}

/**
 * The classical part (section 4.1).
 *
 * ```
 *  initiator ──────────────▶ sending ◀──── first send ──── awaitingSend
 *                               │                              ▲   ▲
 *                               └────── DH receive step ───────┘   │
 *  responder ──▶ awaitingFirst ──────── DH receive step ───────────┘
 * ```
 */
export type EcState =
  | {
      readonly kind: 'awaitingFirst';
      readonly rootKey: Uint8Array;
      /** DHs = the signed prekey pair. Its secret half is shared with the prekey store: it is copied here. */
      readonly ratchetKeyPair: KeyPair;
      readonly nextSendingHeaderKey: HeaderKey;
      readonly nextReceivingHeaderKey: HeaderKey;
    }
  | {
      readonly kind: 'awaitingSend';
      readonly rootKey: Uint8Array;
      /** DHr. */
      readonly remoteRatchetKey: Uint8Array;
      /** HKs, of the chain that the next send starts. */
      readonly sendingHeaderKey: HeaderKey;
      readonly nextReceivingHeaderKey: HeaderKey;
      readonly receiving: ReceivingChain;
      /** PN. */
      readonly previousChainLength: number;
    }
  | {
      readonly kind: 'sending';
      readonly rootKey: Uint8Array;
      readonly remoteRatchetKey: Uint8Array;
      /** DHs. */
      readonly ratchetKeyPair: KeyPair;
      readonly sendingHeaderKey: HeaderKey;
      readonly nextSendingHeaderKey: HeaderKey;
      readonly nextReceivingHeaderKey: HeaderKey;
      /** CKs. */
      readonly sendingChainKey: Uint8Array;
      /** Ns. */
      readonly sendIndex: number;
      readonly previousChainLength: number;
      /** `null` only at the initiator before the first reply (HKr = CKr = ∅). */
      readonly receiving: ReceivingChain | null;
    };

declare const brand: unique symbol;

/** The whole state of one session's ratchet. Secret. Opaque to callers; immutable; shares buffers with later states until they are wiped. */
export interface RatchetState<S = unknown> {
  readonly [brand]?: 'RatchetState';
  readonly role: 'initiator' | 'responder';
  readonly profile: Profile;
  /** TH, 64 bytes. */
  readonly transcriptHash: Uint8Array;
  readonly ec: EcState;
  readonly pq: PqChains;
  readonly scka: S;
  /** Messages received in this session. */
  readonly receivedCount: number;
  readonly skipped: SkippedKeys;
}

/** The receiving chain in use, if there is one. */
export function receivingOf(ec: EcState): ReceivingChain | null {
  return ec.kind === 'awaitingFirst' ? null : ec.receiving;
}

/** The secret buffers of `state` that `next` does not hold: what is to be wiped once `next` is committed. The SCKA names its own. */
export function released(state: RatchetState, next: RatchetState): Uint8Array[] {
  const isSame = state.skipped === next.skipped;
  const changed = isSame ? [] : state.skipped.filter((chain) => !next.skipped.includes(chain));
  const added = isSame ? [] : next.skipped.filter((chain) => !state.skipped.includes(chain));
  const kept = new Set([...chainSecrets(next), ...next.skipped.map(({ headerKey }) => headerKey.key), ...added.flatMap(messageSecrets)]);
  const held = [...chainSecrets(state), ...changed.flatMap((chain) => [chain.headerKey.key, ...messageSecrets(chain)])];
  return held.filter((secret) => !kept.has(secret));
}

function messageSecrets({ keys }: SkippedChain): Uint8Array[] {
  return keys.map(({ prk }) => prk);
}

function chainSecrets({ ec, pq }: RatchetState): Uint8Array[] {
  const receiving = receivingOf(ec);
  const secrets = [ec.rootKey, ec.nextReceivingHeaderKey.key, pq.root, pq.sending.chainKey, pq.receiving.chainKey];
  if (ec.kind !== 'awaitingSend') secrets.push(ec.ratchetKeyPair.secretKey, ec.nextSendingHeaderKey.key);
  if (ec.kind !== 'awaitingFirst') secrets.push(ec.sendingHeaderKey.key);
  if (ec.kind === 'sending') secrets.push(ec.sendingChainKey);
  if (receiving !== null) secrets.push(receiving.headerKey.key, receiving.chainKey);
  for (const { nextChainKey } of [pq.sending, pq.receiving]) if (nextChainKey !== null) secrets.push(nextChainKey);
  return secrets;
}

const VERSION = 1;
const KINDS = ['awaitingFirst', 'awaitingSend', 'sending'] as const;

/** The one error for a stored state that is none. */
export function corrupt(): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'ratchet state does not follow its layout');
}

function writeHeaderKey(w: Writer, { key, tag }: HeaderKey): void {
  w.bytes(key, 32).bytes(tag, 16);
}

function readHeaderKey(r: Reader): HeaderKey {
  return { key: readKey(r), tag: r.bytes(16) };
}

/** A key of 32 bytes that was never zero: a zero one is a damaged or a wiped state, and is refused. */
function readKey(r: Reader): Uint8Array {
  const key = r.bytes(32);
  if (isZero(key)) throw corrupt();
  return key;
}

function writeKeyPair(w: Writer, { publicKey, secretKey }: KeyPair): void {
  w.bytes(publicKey, 32).bytes(secretKey, 32);
}

function readKeyPair(r: Reader): KeyPair {
  return { publicKey: readKey(r), secretKey: readKey(r) };
}

function writeReceiving(w: Writer, receiving: ReceivingChain): void {
  writeHeaderKey(w, receiving.headerKey);
  w.bytes(receiving.chainKey, 32).u32(receiving.n);
}

function readReceiving(r: Reader): ReceivingChain {
  return { headerKey: readHeaderKey(r), chainKey: readKey(r), n: r.u32() };
}

function writeEc(w: Writer, ec: EcState): void {
  w.u8(KINDS.indexOf(ec.kind)).bytes(ec.rootKey, 32);
  writeHeaderKey(w, ec.nextReceivingHeaderKey);
  if (ec.kind !== 'awaitingSend') {
    writeKeyPair(w, ec.ratchetKeyPair);
    writeHeaderKey(w, ec.nextSendingHeaderKey);
  }
  if (ec.kind === 'awaitingFirst') return;
  w.bytes(ec.remoteRatchetKey, 32);
  writeHeaderKey(w, ec.sendingHeaderKey);
  w.u32(ec.previousChainLength);
  if (ec.kind === 'awaitingSend') {
    writeReceiving(w, ec.receiving);
  } else {
    w.bytes(ec.sendingChainKey, 32)
      .u32(ec.sendIndex)
      .u8(ec.receiving === null ? 0 : 1);
    if (ec.receiving !== null) writeReceiving(w, ec.receiving);
  }
}

function readEc(r: Reader): EcState {
  const kind = KINDS[r.u8()];
  const rootKey = readKey(r);
  const nextReceivingHeaderKey = readHeaderKey(r);
  if (kind === undefined) throw corrupt();
  if (kind === 'awaitingFirst') {
    return { kind, rootKey, ratchetKeyPair: readKeyPair(r), nextSendingHeaderKey: readHeaderKey(r), nextReceivingHeaderKey };
  }
  if (kind === 'awaitingSend') {
    const remoteRatchetKey = readKey(r);
    const sendingHeaderKey = readHeaderKey(r);
    const previousChainLength = r.u32();
    return { kind, rootKey, remoteRatchetKey, sendingHeaderKey, nextReceivingHeaderKey, receiving: readReceiving(r), previousChainLength };
  }
  const ratchetKeyPair = readKeyPair(r);
  const nextSendingHeaderKey = readHeaderKey(r);
  const remoteRatchetKey = readKey(r);
  const sendingHeaderKey = readHeaderKey(r);
  const previousChainLength = r.u32();
  const sendingChainKey = readKey(r);
  const sendIndex = r.u32();
  const hasReceiving = r.u8();
  if (hasReceiving > 1) throw corrupt();
  const receiving = hasReceiving === 1 ? readReceiving(r) : null;
  return {
    kind,
    rootKey,
    remoteRatchetKey,
    ratchetKeyPair,
    sendingHeaderKey,
    nextSendingHeaderKey,
    nextReceivingHeaderKey,
    sendingChainKey,
    sendIndex,
    previousChainLength,
    receiving,
  };
}

function writeChain(w: Writer, chain: PqChain): void {
  w.u32(chain.epoch).bytes(chain.chainKey, 32).u32(chain.counter);
  w.u8(chain.nextChainKey === null ? 0 : 1);
  if (chain.nextChainKey !== null) w.bytes(chain.nextChainKey, 32);
}

function readChain(r: Reader): PqChain {
  const epoch = r.u32();
  const chainKey = readKey(r);
  const counter = r.u32();
  const hasNext = r.u8();
  if (hasNext > 1) throw corrupt();
  return { epoch, chainKey, counter, nextChainKey: hasNext === 1 ? readKey(r) : null };
}

/** The newest epoch agreed on, which both directions know. */
export function newestEpoch({ epoch, nextChainKey }: PqChain): number {
  return nextChainKey === null ? epoch : epoch + 1;
}

/** Encodes one chain of skipped keys: the record that a client keeps beside the state. Secret. */
export function encodeSkippedChain({ headerKey, keys }: SkippedChain): Uint8Array {
  const w = writer();
  writeHeaderKey(w, headerKey);
  w.u16(keys.length);
  for (const { n, prk, receivedCount } of keys) w.u32(n).bytes(prk, 32).u64(receivedCount);
  return w.finish();
}

function readSkippedChain(r: Reader): SkippedChain {
  const headerKey = readHeaderKey(r);
  const count = r.u16();
  if (count === 0) throw corrupt();
  const keys = Array.from({ length: count }, () => ({ n: r.u32(), prk: readKey(r), receivedCount: r.u64() }));
  if (keys.some((key, i) => i > 0 && key.n <= keys[i - 1]!.n)) throw corrupt();
  return { headerKey, keys };
}

/** Reads `encodeSkippedChain`. Throws `ERR_STORE_CORRUPT`. */
export function decodeSkippedChain(bytes: Uint8Array): SkippedChain {
  return parse(bytes, readSkippedChain);
}

function parse<T>(bytes: Uint8Array, read: (r: Reader) => T): T {
  try {
    const r = reader(bytes);
    const value = read(r);
    r.end();
    return value;
  } catch (cause) {
    throw cause instanceof StoreError ? cause : corrupt();
  }
}

/** Encodes all but the skipped keys: version u8 ‖ role u8 ‖ profile u8 ‖ TH 64 ‖ …. Secret. */
export function encodeCore(state: RatchetState, scka: Uint8Array): Uint8Array {
  const w = writer();
  w.u8(VERSION)
    .u8(state.role === 'initiator' ? 0 : 1)
    .u8(state.profile);
  w.bytes(state.transcriptHash, 64).u64(state.receivedCount);
  writeEc(w, state.ec);
  w.bytes(state.pq.root, 32);
  writeChain(w, state.pq.sending);
  writeChain(w, state.pq.receiving);
  return w.u32(state.pq.previousCounter).lp16(scka).finish();
}

/** Reads `encodeCore`. Throws `ERR_STORE_VERSION` for a newer layout, else `ERR_STORE_CORRUPT`. */
export function decodeCore<S>(bytes: Uint8Array, skipped: SkippedKeys, decodeScka: (bytes: Uint8Array) => S): RatchetState<S> {
  return parse(bytes, (r) => {
    checkVersion(r.u8());
    const role = r.u8();
    const profile = r.u8();
    if (role > 1 || profile < 1 || profile > 3) throw corrupt();
    const transcriptHash = r.bytes(64);
    const receivedCount = r.u64();
    const ec = readEc(r);
    const root = readKey(r);
    const pq = { root, sending: readChain(r), receiving: readChain(r), previousCounter: r.u32() };
    if (newestEpoch(pq.sending) !== newestEpoch(pq.receiving)) throw corrupt();
    const scka = decodeScka(r.lp16());
    return {
      role: role === 0 ? 'initiator' : 'responder',
      profile: profile as Profile,
      transcriptHash,
      ec,
      pq,
      scka,
      receivedCount,
      skipped,
    };
  });
}

/** Encodes the whole state: version u8 ‖ u32 length ‖ core ‖ u16 count ‖ for each chain of skipped keys u32 length ‖ chain. Secret. */
export function encodeWhole(state: RatchetState, scka: Uint8Array): Uint8Array {
  const core = encodeCore(state, scka);
  const w = writer().u8(VERSION).u32(core.length).bytes(core).u16(state.skipped.length);
  for (const chain of state.skipped.map(encodeSkippedChain)) w.u32(chain.length).bytes(chain);
  return w.finish();
}

/** Reads `encodeWhole`. Throws `ERR_STORE_VERSION` or `ERR_STORE_CORRUPT`. */
export function decodeWhole<S>(bytes: Uint8Array, decodeScka: (bytes: Uint8Array) => S): RatchetState<S> {
  return parse(bytes, (r) => {
    checkVersion(r.u8());
    const core = r.bytes(r.u32());
    const skipped = Array.from({ length: r.u16() }, () => decodeSkippedChain(r.bytes(r.u32())));
    return decodeCore(core, skipped, decodeScka);
  });
}

function checkVersion(version: number): void {
  if (version > VERSION)
    throw new StoreError('ERR_STORE_VERSION', 'ratchet state was written by a newer version', { got: version, max: VERSION });
  if (version !== VERSION) throw corrupt();
}
