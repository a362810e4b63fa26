/**
 * Frames: what a transport carries, and what stands inside a seal (section 1.4).
 *
 * Knows where each field stands and how long it is; knows no key and verifies nothing.
 */

import { encodeUtf8 } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { wireLimits } from '../limits.js';
import { malformed, reader, readHead, writeHead } from './codec.js';
import { type Fields, readFields, writeFields } from './layout.js';

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
/** The smallest padded inner frame 1024 ‖ tag 16. */
const CIPHERTEXT_MIN_BYTES = 1024 + 16;
const HEAD_BYTES = 12;

/** What stands behind type, version and suite of a sealed frame. */
export const SEALED = { setId: 8, enc: 1120, ciphertext: 'rest' } as const;

/** What stands behind type, version and suite of an Init, before its signature and its ratchet message. */
export const INIT = {
  mode: 'u8',
  profile: 'u8',
  verMin: 'u8',
  verMax: 'u8',
  account: 'account',
  deviceId: 'device',
  setId: 8,
  otId: 8,
  ephemeralKey: 32,
  kemCiphertext: KEM_CIPHERTEXT_BYTES,
  accountKey: COMPOSITE_KEY_BYTES,
  deviceKey: COMPOSITE_KEY_BYTES,
  deviceList: 'lp16',
} as const;

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
  readHead(from, FRAME_SEALED);
  const { setId, ciphertext } = readFields(from, SEALED);
  if (ciphertext.length < CIPHERTEXT_MIN_BYTES) throw malformed('sealed');
  return { setId, sealed: bytes.slice(HEAD_BYTES), head: bytes.slice(0, HEAD_BYTES) };
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
  const fields = readFields(from, INIT);
  if (fields.verMin < 1 || fields.verMin > fields.verMax) throw malformed('verMin');
  const signedPart = bytes.slice(0, from.offset());
  const signature = from.bytes(COMPOSITE_SIGNATURE_BYTES);
  const prefix = bytes.slice(0, from.offset());
  if (prefix.length > wireLimits.initBytes) {
    throw new DecodeError('ERR_TOO_LARGE', 'init is too large', { got: prefix.length, max: wireLimits.initBytes });
  }
  return { ...fields, accountId: encodeUtf8(fields.account)!, signature, ratchetMessage: from.rest(), signedPart, prefix };
}

/** Init bytes before its ratchet message: `fields` ‖ `signature` (3,373 bytes). Throws `ERR_BUG` on a wrong length. */
export function encodeInit(fields: InitFields & { readonly signature: Uint8Array }): Uint8Array {
  const asBytes: Fields<typeof INIT_BYTES> = { ...fields, account: fields.accountId };
  return writeFields(writeHead(FRAME_INIT), INIT_BYTES, asBytes).bytes(fields.signature, COMPOSITE_SIGNATURE_BYTES).finish();
}

/** `INIT` with the account as it stands there. */
const INIT_BYTES = { ...INIT, account: 'lp16' } as const;
