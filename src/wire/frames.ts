/**
 * Frames: what a transport carries, and what stands inside a seal (section 1.4).
 *
 * Knows where each field stands and how long it is; knows no key and verifies nothing.
 */

import { encodeUtf8 } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { wireLimits } from '../limits.js';
import { malformed, reader, readHead, writeHead } from './codec.js';

export const FRAME_SEALED = 0x01;
export const FRAME_INIT = 0x10;
export const FRAME_RATCHET = 0x20;

/** First byte of a frame: sealed, init, ratchet. */
export type FrameType = typeof FRAME_SEALED | typeof FRAME_INIT | typeof FRAME_RATCHET;

/** Lengths of public objects, in bytes (section 1.1). */
export const COMPOSITE_KEY_BYTES = 1984;
export const COMPOSITE_SIGNATURE_BYTES = 3373;
export const KEM_KEY_BYTES = 1568;
export const KEM_CIPHERTEXT_BYTES = 1568;
export const SEAL_KEY_BYTES = 1216;
/** enc 1120 ‖ the smallest padded inner frame 1024 ‖ tag 16. */
const SEALED_MIN_BYTES = 1120 + 1024 + 16;
const HEAD_BYTES = 12;

/**
 * The type of a frame. Checks the size cap first (`ERR_TOO_LARGE`), then the type (`ERR_DECODE`), then version and suite
 * (`ERR_VERSION`), and reads no further.
 */
export function frameType(bytes: Uint8Array): FrameType {
  if (bytes.length > wireLimits.frameBytes) {
    throw new DecodeError('ERR_TOO_LARGE', 'frame is too large', { got: bytes.length, max: wireLimits.frameBytes });
  }
  const type = bytes[0];
  if (type !== FRAME_SEALED && type !== FRAME_INIT && type !== FRAME_RATCHET) throw malformed('type');
  readHead(reader(bytes), type);
  return type;
}

/** A sealed frame, 0x01. */
export interface SealedFrame {
  readonly setId: Uint8Array;
  /** enc 1120 ‖ ciphertext. */
  readonly sealed: Uint8Array;
  /** The first 12 bytes of the frame: the associated data of the seal. */
  readonly head: Uint8Array;
}

/** Parses 0x01 ver suite16 · setId 8 · enc 1120 · ct. Throws as `frameType` does, and `ERR_DECODE`. */
export function parseSealed(bytes: Uint8Array): SealedFrame {
  if (frameType(bytes) !== FRAME_SEALED) throw malformed('type');
  const from = reader(bytes);
  const head = from.bytes(HEAD_BYTES);
  const sealed = from.rest();
  if (sealed.length < SEALED_MIN_BYTES) throw malformed('sealed');
  return { setId: head.slice(4), sealed, head };
}

/** The first 12 bytes of a sealed frame; `setId` has 8. */
export function encodeSealedHead(setId: Uint8Array): Uint8Array {
  return writeHead(FRAME_SEALED).bytes(setId, 8).finish();
}

/** The fields of an Init frame that its sender chooses (section 1.4), without the ratchet message behind them. */
export interface InitFields {
  readonly mode: number;
  readonly profile: number;
  readonly verMin: number;
  readonly verMax: number;
  /** The initiator's account as bytes, 1–64. */
  readonly accountId: Uint8Array;
  readonly deviceId: number;
  /** 8 bytes each; otId = 0⁸ means the last-resort prekey. */
  readonly setId: Uint8Array;
  readonly otId: Uint8Array;
  /** EKA, 32 bytes. */
  readonly ephemeralKey: Uint8Array;
  /** 1,568 bytes. */
  readonly kemCiphertext: Uint8Array;
  /** AIK and DIK of the initiator, 1,984 bytes each. */
  readonly accountKey: Uint8Array;
  readonly deviceKey: Uint8Array;
  /** DeviceList TBS‖sig of the initiator. */
  readonly deviceList: Uint8Array;
}

/** A parsed Init frame, 0x10. Nothing in it is verified; `account` and `deviceId` are claims. */
export interface InitFrame extends InitFields {
  /** `accountId` as text. */
  readonly account: string;
  /** 3,373 bytes. */
  readonly signature: Uint8Array;
  /** The first message of the session. */
  readonly ratchetMessage: Uint8Array;
  /** From `type` up to and excluding the signature: what initId hashes. */
  readonly signedPart: Uint8Array;
  /** Everything before the ratchet message. */
  readonly prefix: Uint8Array;
}

/** Parses an Init frame. Throws as `frameType` does, and `ERR_DECODE`; `ERR_TOO_LARGE` beyond 24 KiB before the ratchet message. */
export function parseInit(bytes: Uint8Array): InitFrame {
  if (frameType(bytes) !== FRAME_INIT) throw malformed('type');
  const from = reader(bytes);
  readHead(from, FRAME_INIT);
  const mode = from.u8();
  const profile = from.u8();
  const verMin = from.u8();
  const verMax = from.u8();
  if (verMin < 1 || verMin > verMax) throw malformed('verMin');
  const account = from.account();
  const deviceId = from.device();
  const setId = from.bytes(8);
  const otId = from.bytes(8);
  const ephemeralKey = from.bytes(32);
  const kemCiphertext = from.bytes(KEM_CIPHERTEXT_BYTES);
  const accountKey = from.bytes(COMPOSITE_KEY_BYTES);
  const deviceKey = from.bytes(COMPOSITE_KEY_BYTES);
  const deviceList = from.lp16();
  const signedPart = bytes.slice(0, from.offset());
  const signature = from.bytes(COMPOSITE_SIGNATURE_BYTES);
  const prefix = bytes.slice(0, from.offset());
  if (prefix.length > wireLimits.initBytes) {
    throw new DecodeError('ERR_TOO_LARGE', 'init is too large', { got: prefix.length, max: wireLimits.initBytes });
  }
  return {
    mode,
    profile,
    verMin,
    verMax,
    accountId: encodeUtf8(account)!,
    account,
    deviceId,
    setId,
    otId,
    ephemeralKey,
    kemCiphertext,
    accountKey,
    deviceKey,
    deviceList,
    signature,
    ratchetMessage: from.rest(),
    signedPart,
    prefix,
  };
}

/** Init bytes before its ratchet message: `fields` ‖ `signature` (3,373 bytes). Throws `ERR_BUG` on a wrong length. */
export function encodeInit(fields: InitFields & { readonly signature: Uint8Array }): Uint8Array {
  return writeHead(FRAME_INIT)
    .u8(fields.mode)
    .u8(fields.profile)
    .u8(fields.verMin)
    .u8(fields.verMax)
    .lp16(fields.accountId)
    .u32(fields.deviceId)
    .bytes(fields.setId, 8)
    .bytes(fields.otId, 8)
    .bytes(fields.ephemeralKey, 32)
    .bytes(fields.kemCiphertext, KEM_CIPHERTEXT_BYTES)
    .bytes(fields.accountKey, COMPOSITE_KEY_BYTES)
    .bytes(fields.deviceKey, COMPOSITE_KEY_BYTES)
    .lp16(fields.deviceList)
    .bytes(fields.signature, COMPOSITE_SIGNATURE_BYTES)
    .finish();
}
