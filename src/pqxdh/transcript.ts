/**
 * The transcript T and what is derived from it (section 2.3, steps 3 to 6).
 *
 * Knows which bytes both sides must agree on, and the key schedule; holds no secret longer than one call.
 */

import { concat, wipe } from '../bytes.js';
import { info, labelBytes } from '../crypto/labels.js';
import { hkdfSha512, sha256, sha512 } from '../crypto/suite.js';
import { SUITE, VERSION, writer } from '../wire/codec.js';
import { KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES } from '../wire/frames.js';

/** Mode 1: a composite signature over T authenticates the initiator. The only one built. */
export const MODE = 1;

/** One side of a handshake. */
export interface Party {
  readonly account: string;
  readonly device: number;
  /** H(AIK) and H(DIK), 64 bytes each; IKx, 32 bytes. */
  readonly accountKeyHash: Uint8Array;
  readonly deviceKeyHash: Uint8Array;
  readonly dhKey: Uint8Array;
}

/** Everything that T holds besides version, suite and mode. */
export interface TranscriptFields {
  readonly profile: number;
  /** The initiator's version range. */
  readonly verMin: number;
  readonly verMax: number;
  readonly initiator: Party;
  readonly responder: Party;
  /** H(SignedSet), 64 bytes. */
  readonly setHash: Uint8Array;
  readonly setId: Uint8Array;
  /** SPK, 32 bytes. */
  readonly signedPrekey: Uint8Array;
  /** PQek: PQOPK, or PQLR where no one-time unit is used; 1,568 bytes. */
  readonly kemPrekey: Uint8Array;
  readonly oneTime: { readonly batchHash: Uint8Array; readonly otId: Uint8Array; readonly oneTimePrekey: Uint8Array } | undefined;
  /** EKA, 32 bytes. */
  readonly ephemeralKey: Uint8Array;
  readonly kemCiphertext: Uint8Array;
}

/** otId = 0⁸: no one-time unit. */
export const NO_ONE_TIME = new Uint8Array(8);

/** T (section 1.4), in a new buffer. */
export function encodeTranscript(fields: TranscriptFields): Uint8Array {
  const { initiator, responder, oneTime } = fields;
  return writer()
    .bytes(labelBytes('handshake'))
    .u8(VERSION)
    .u16(SUITE)
    .u8(MODE)
    .u8(fields.profile)
    .u8(fields.verMin)
    .u8(fields.verMax)
    .bytes(encodeParty(initiator))
    .bytes(encodeParty(responder))
    .bytes(fields.setHash, 64)
    .bytes(oneTime?.batchHash ?? new Uint8Array(64), 64)
    .bytes(fields.setId, 8)
    .bytes(oneTime?.otId ?? NO_ONE_TIME, 8)
    .bytes(fields.signedPrekey, 32)
    .bytes(fields.kemPrekey, KEM_KEY_BYTES)
    .bytes(oneTime?.oneTimePrekey ?? new Uint8Array(32), 32)
    .bytes(fields.ephemeralKey, 32)
    .bytes(fields.kemCiphertext, KEM_CIPHERTEXT_BYTES)
    .finish();
}

function encodeParty(party: Party): Uint8Array {
  return writer()
    .account(party.account)
    .u32(party.device)
    .bytes(party.accountKeyHash, 64)
    .bytes(party.deviceKeyHash, 64)
    .bytes(party.dhKey, 32)
    .finish();
}

/** RK0, HKa, NHKb, SCKA_SK (32 bytes each, secret), with TH (64 bytes) and the session's id (16 bytes). */
export interface HandshakeKeys {
  readonly transcriptHash: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly rootKey: Uint8Array;
  readonly headerKeyA: Uint8Array;
  readonly nextHeaderKeyB: Uint8Array;
  readonly sckaSecret: Uint8Array;
}

/** F = 32×0xFF, ahead of the DH outputs. */
const F = new Uint8Array(32).fill(0xff);

/**
 * OKM = HKDF-SHA-512(0⁶⁴, F ‖ DH1 ‖ DH2 ‖ DH3 ‖ [DH4] ‖ SS, INFO("hs/kdf", TH), 128), split.
 * `dhOutputs` are 3 or 4 times 32 bytes, and stay the caller's to wipe, like `kemSharedSecret`.
 */
export function deriveKeys(transcript: Uint8Array, dhOutputs: readonly Uint8Array[], kemSharedSecret: Uint8Array): HandshakeKeys {
  const transcriptHash = sha512(transcript);
  const keyMaterial = concat(F, ...dhOutputs, kemSharedSecret);
  const okm = hkdfSha512(new Uint8Array(64), keyMaterial, info('hs/kdf', transcriptHash), 128);
  const keys = {
    transcriptHash,
    sessionId: sha256(info('sid', transcriptHash)).slice(0, 16),
    rootKey: okm.slice(0, 32),
    headerKeyA: okm.slice(32, 64),
    nextHeaderKeyB: okm.slice(64, 96),
    sckaSecret: okm.slice(96),
  };
  wipe(keyMaterial, okm);
  return keys;
}

/** initId = SHA-256(INFO("hs/init", Init bytes from `type` up to the signature)), 32 bytes. */
export function initIdOf(signedPart: Uint8Array): Uint8Array {
  return sha256(info('hs/init', signedPart));
}
