/** The plaintext inside a ratchet message (section 1.4): a fixed head of 41 bytes, then a msgpack payload. */

import { reader, writer } from './codec.js';

/** Length of everything before the payload. */
export const PLAINTEXT_HEAD_BYTES = 41;

/** What a ratchet message says. */
export interface Plaintext {
  readonly kind: 'app' | 'control';
  /** 16 random bytes. */
  readonly messageId: Uint8Array;
  readonly ownListVersion: number;
  readonly peerListVersion: number;
  /** SHA-256(own DeviceList TBS)[0:8]. */
  readonly ownListHash: Uint8Array;
  readonly payload: Uint8Array;
}

/** Encodes a plaintext, without padding. */
export function encodePlaintext(plaintext: Plaintext): Uint8Array {
  return writer()
    .u8(plaintext.kind === 'app' ? 0 : 1)
    .bytes(plaintext.messageId, 16)
    .u64(plaintext.ownListVersion)
    .u64(plaintext.peerListVersion)
    .bytes(plaintext.ownListHash, 8)
    .bytes(plaintext.payload)
    .finish();
}

/** Whether a plaintext says that it is control content, be it well-formed or not. */
export function saysControl(bytes: Uint8Array): boolean {
  return bytes[0] === 1;
}

/** Decodes a plaintext; `undefined` if it is none, or of a kind that this version doesn't know. */
export function parsePlaintext(bytes: Uint8Array): Plaintext | undefined {
  if (bytes.length < PLAINTEXT_HEAD_BYTES || bytes[0]! > 1) return undefined;
  const r = reader(bytes);
  return {
    kind: r.u8() === 0 ? 'app' : 'control',
    messageId: r.bytes(16),
    ownListVersion: r.u64(),
    peerListVersion: r.u64(),
    ownListHash: r.bytes(8),
    payload: r.rest(),
  };
}
