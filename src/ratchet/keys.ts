/** Key derivations of the ratchet (sections 4.1–4.3), one function for each symbol. Pure; every result is a new buffer. */

import { u32 } from '../bytes.js';
import { info } from '../crypto/labels.js';
import { hkdfExpandSha256, hkdfExtractSha256, hkdfSha256, hmacSha256 } from '../crypto/suite.js';

/** HK in the only form that is used: hdrKey 32 ‖ tag 16 of `hk(HK)`. The tag is public, the key is not. */
export interface HeaderKey {
  readonly key: Uint8Array;
  readonly tag: Uint8Array;
}

const ZERO_32 = new Uint8Array(32);
const INFO_RK = info('rk');
const INFO_HK = info('hk');
const INFO_SCKA_START = info('scka/start');
const MESSAGE_KEY_INPUT = new Uint8Array([1]);
const CHAIN_KEY_INPUT = new Uint8Array([2]);

/** hk(HK) = HKDF-Expand-SHA-256(HK, INFO("hk"), 48). */
export function deriveHeaderKey(headerKey: Uint8Array): HeaderKey {
  const okm = hkdfExpandSha256(headerKey, INFO_HK, 48);
  const out = { key: okm.slice(0, 32), tag: okm.slice(32) };
  okm.fill(0);
  return out;
}

/** What a root step gives: RK and CK, 32 bytes each, and NHK. */
export interface RootStep {
  readonly rootKey: Uint8Array;
  readonly chainKey: Uint8Array;
  readonly nextHeaderKey: HeaderKey;
}

/** KDF_RK(rk, dh) = HKDF-SHA-256(rk, dh, INFO("rk"), 96) → RK ‖ CK ‖ NHK. */
export function deriveRoot(rootKey: Uint8Array, dh: Uint8Array): RootStep {
  const okm = hkdfSha256(rootKey, dh, INFO_RK, 96);
  const out = { rootKey: okm.slice(0, 32), chainKey: okm.slice(32, 64), nextHeaderKey: deriveHeaderKey(okm.subarray(64)) };
  okm.fill(0);
  return out;
}

/** First half of KDF_CK: mk_ec = HMAC(ck, 0x01), 32 bytes. */
export function deriveEcMessageKey(chainKey: Uint8Array): Uint8Array {
  return hmacSha256(chainKey, MESSAGE_KEY_INPUT);
}

/** Second half of KDF_CK: ck' = HMAC(ck, 0x02), 32 bytes. */
export function deriveNextChainKey(chainKey: Uint8Array): Uint8Array {
  return hmacSha256(chainKey, CHAIN_KEY_INPUT);
}

/** Chains of one SCKA chain epoch: the root that the next one starts from, and one chain for each direction, 32 bytes each. */
export interface EpochChains {
  readonly root: Uint8Array;
  readonly a2b: Uint8Array;
  readonly b2a: Uint8Array;
}

function splitEpoch(okm: Uint8Array): EpochChains {
  const out = { root: okm.slice(0, 32), a2b: okm.slice(32, 64), b2a: okm.slice(64) };
  okm.fill(0);
  return out;
}

/** Chain epoch 0, from SCKA_SK. */
export function startEpochChains(sckaSecret: Uint8Array): EpochChains {
  return splitEpoch(hkdfSha256(ZERO_32, sckaSecret, INFO_SCKA_START, 96));
}

/** Chain epoch e, from the root of e−1 and the epoch secret k_e. */
export function nextEpochChains(root: Uint8Array, epochSecret: Uint8Array, epoch: number): EpochChains {
  return splitEpoch(hkdfSha256(root, epochSecret, info('scka/epoch', u32(epoch)), 96));
}

/** One step of an SCKA chain: ck ↦ ck' ‖ mk_pq, for the message with counter `counter` (from 1). */
export function stepPqChain(chainKey: Uint8Array, counter: number): { chainKey: Uint8Array; messageKey: Uint8Array } {
  const okm = hkdfSha256(ZERO_32, chainKey, info('scka/next', u32(counter)), 64);
  const out = { chainKey: okm.slice(0, 32), messageKey: okm.slice(32) };
  okm.fill(0);
  return out;
}

/** KDF_HYBRID: PRK = HKDF-Extract-SHA-256(salt = mk_pq, ikm = mk_ec), the only value kept for a skipped message. */
export function combineMessageKeys(pqMessageKey: Uint8Array, ecMessageKey: Uint8Array): Uint8Array {
  return hkdfExtractSha256(pqMessageKey, ecMessageKey);
}

/** K 32 ‖ N 12 ‖ COMMIT 32 of one message, bound to the session and to its synthetic nonce; views of `okm`, which is the caller's to wipe. */
export function deriveBodyKeys(
  prk: Uint8Array,
  transcriptHash: Uint8Array,
  headerNonce: Uint8Array,
): { okm: Uint8Array; key: Uint8Array; nonce: Uint8Array; commitment: Uint8Array } {
  const okm = hkdfExpandSha256(prk, info('msg', transcriptHash, headerNonce), 76);
  return { okm, key: okm.subarray(0, 32), nonce: okm.subarray(32, 44), commitment: okm.subarray(44) };
}

/** hdrNonce = HMAC-SHA-256(PRK, INFO("nonce", rnd 32, SHA-256(header ‖ padded plaintext)))[0:24]. */
export function deriveHeaderNonce(prk: Uint8Array, random: Uint8Array, contentHash: Uint8Array): Uint8Array {
  return hmacSha256(prk, info('nonce', random, contentHash)).slice(0, 24);
}
