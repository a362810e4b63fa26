/**
 * The fixed layouts of a ratchet message (0x20), its header and the plaintext inside (section 1.4).
 *
 * Knows offsets and bounds; knows no key. Views returned by the parsers alias their input.
 */

import { copy, isZero } from '../bytes.js';
import { DecodeError, decryptFailed } from '../errors.js';
import { wireLimits } from '../limits.js';
import type { Profile } from '../step.js';
import { isBodyBucket } from './padding.js';

/** Chunk size c of each SCKA profile, in bytes. */
export const CHUNK_BYTES: Readonly<Record<Profile, number>> = { 1: 192, 2: 32, 3: 1152 };

/** Type, version, suite and tag: what the header's associated data covers, in bytes. */
export const PREFIX_BYTES = 20;
const NONCE_END = 44;
const HEADER_FIXED_BYTES = 56;
const AEAD_TAG_BYTES = 16;
const COMMIT_BYTES = 32;

/** The parts of a ratchet message, as views into the frame. */
export interface RatchetFrame {
  /** type ‖ ver ‖ suite ‖ tag, 20 bytes. */
  readonly prefix: Uint8Array;
  readonly tag: Uint8Array;
  readonly headerNonce: Uint8Array;
  readonly headerCiphertext: Uint8Array;
  /** All bytes from `type` to `commit`: what the body's associated data covers. */
  readonly beforeBody: Uint8Array;
  readonly commitment: Uint8Array;
  readonly bodyCiphertext: Uint8Array;
}

/** Header plaintext of a ratchet message, 56 + c bytes. */
export interface Header {
  readonly ratchetKey: Uint8Array;
  readonly previousChainLength: number;
  readonly n: number;
  readonly pqEpoch: number;
  readonly pqCounter: number;
  readonly pqPrevious: number;
  readonly type: number;
  readonly index: number;
  readonly chunk: Uint8Array;
}

/** type 0x20 ‖ ver 1 ‖ suite 0x0001 ‖ tag; 20 bytes in a new buffer. */
export function encodePrefix(tag: Uint8Array): Uint8Array {
  const out = new Uint8Array(PREFIX_BYTES);
  out.set([0x20, 1, 0, 1]);
  out.set(tag, 4);
  return out;
}

/** The session tag of a ratchet message, 16 bytes, a view. Checks the cap, type, version and suite; throws a `DecodeError`. */
export function ratchetTag(frame: Uint8Array): Uint8Array {
  if (frame.length > wireLimits.frameBytes) {
    throw new DecodeError('ERR_TOO_LARGE', 'frame is too large', { got: frame.length, max: wireLimits.frameBytes });
  }
  if (frame.length < PREFIX_BYTES || frame[0] !== 0x20) throw new DecodeError('ERR_DECODE', 'not a ratchet message');
  if (frame[1] !== 1 || frame[2] !== 0 || frame[3] !== 1) throw new DecodeError('ERR_VERSION', 'unknown version or suite');
  return frame.subarray(4, PREFIX_BYTES);
}

/** Splits a ratchet message of a session with `profile`; throws `ERR_DECODE` if a length can't be right. */
export function parseRatchetFrame(frame: Uint8Array, profile: Profile): RatchetFrame {
  const tag = ratchetTag(frame);
  const headerEnd = NONCE_END + HEADER_FIXED_BYTES + CHUNK_BYTES[profile] + AEAD_TAG_BYTES;
  const bodyStart = headerEnd + COMMIT_BYTES;
  if (!isBodyBucket(frame.length - bodyStart - AEAD_TAG_BYTES)) {
    throw new DecodeError('ERR_DECODE', 'not a length that a ratchet message can have', { got: frame.length });
  }
  return {
    prefix: frame.subarray(0, PREFIX_BYTES),
    tag,
    headerNonce: frame.subarray(PREFIX_BYTES, NONCE_END),
    headerCiphertext: frame.subarray(NONCE_END, headerEnd),
    beforeBody: frame.subarray(0, bodyStart),
    commitment: frame.subarray(headerEnd, bodyStart),
    bodyCiphertext: frame.subarray(bodyStart),
  };
}

/** Encodes a header; `header.chunk` has the profile's length. */
export function encodeHeader(header: Header): Uint8Array {
  const out = new Uint8Array(HEADER_FIXED_BYTES + header.chunk.length);
  const view = new DataView(out.buffer);
  out.set(header.ratchetKey);
  view.setUint32(32, header.previousChainLength);
  view.setUint32(36, header.n);
  view.setUint32(40, header.pqEpoch);
  view.setUint32(44, header.pqCounter);
  view.setUint32(48, header.pqPrevious);
  view.setUint8(52, header.type);
  view.setUint16(53, header.index);
  out.set(header.chunk, HEADER_FIXED_BYTES);
  return out;
}

/** n of an authenticated header, whatever else is wrong with it. */
export function headerIndex(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(36);
}

/** Decodes an authenticated header and applies the field rules that need no state. Throws `ERR_DECRYPT`. */
export function decodeHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const header: Header = {
    ratchetKey: copy(bytes.subarray(0, 32)),
    previousChainLength: view.getUint32(32),
    n: view.getUint32(36),
    pqEpoch: view.getUint32(40),
    pqCounter: view.getUint32(44),
    pqPrevious: view.getUint32(48),
    type: view.getUint8(52),
    index: view.getUint16(53),
    chunk: copy(bytes.subarray(HEADER_FIXED_BYTES)),
  };
  const { previousChainLength, n, pqEpoch, pqCounter, pqPrevious, type, index, chunk } = header;
  const max = wireLimits.counterMax;
  const empty = type === 0 || type === 4;
  const wellFormed =
    previousChainLength <= max && // a length, one more than the last index
    n < max &&
    pqEpoch >= 1 &&
    pqEpoch < max &&
    pqCounter >= 1 &&
    pqCounter < max &&
    pqPrevious < max &&
    (pqEpoch > 1 || pqPrevious === 0) &&
    type <= 6 &&
    view.getUint8(55) === 0 &&
    (!empty || (index === 0 && isZero(chunk)));
  if (!wellFormed) throw decryptFailed();
  return header;
}
