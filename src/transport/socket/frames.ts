/**
 * The frames between this adapter and a relay, one per binary WebSocket message. Integers are big-endian.
 *
 * ```
 * to the relay    0x01 hello     session token (rest, ASCII): first, once
 *                 0x02 receive   deliver everything that is not acknowledged, from the oldest on; again = from the start again
 *                 0x03 send      request u32 · device u32 · n u8 · account UTF-8 (n) · envelope (rest)
 *                 0x04 ack       delivery 8
 *                 0x05 ping
 * from the relay  0x11 welcome   the token is good
 *                 0x12 accepted  request u32: the envelope is on disk
 *                 0x13 refused   request u32 · retryAfterMs u32: 0 = for good
 *                 0x14 deliver   delivery 8 · envelope (rest)
 *                 0x15 acked     delivery 8: the envelope is deleted from the disk
 *                 0x16 drained   everything in the mailbox has been delivered, though perhaps not acknowledged
 *                 0x17 notice    oneTimeCount u32 · lastResortUsed u8: this device's prekeys need attention
 *                 0x18 pong
 * ```
 * Types that a side doesn't know are skipped, so that later ones can be added; a known type with a wrong length ends the connection.
 */

import { concat, encodeUtf8, toHex, u32 } from '../../bytes.js';
import { UsageError } from '../../errors.js';
import type { Address } from '../../step.js';

const ACCOUNT_MAX_BYTES = 64;

/** What a relay says. `id` is the delivery's 8 bytes in hex. */
export type RelayFrame =
  | { readonly kind: 'welcome' | 'drained' | 'other' }
  | { readonly kind: 'accepted'; readonly request: number }
  | { readonly kind: 'refused'; readonly request: number; readonly retryAfterMs: number }
  | { readonly kind: 'deliver'; readonly id: string; readonly bytes: Uint8Array }
  | { readonly kind: 'acked'; readonly id: string };

/** Frames without content. */
export const RECEIVE: Uint8Array = new Uint8Array([0x02]);
export const PING: Uint8Array = new Uint8Array([0x05]);

/** The first frame. `token` is ASCII, as the relay gave it. */
export function helloFrame(token: string): Uint8Array {
  return concat(new Uint8Array([0x01]), encodeUtf8(token) ?? new Uint8Array());
}

/** An envelope for a device. Throws `ERR_ARGUMENT` unless the account has 1 to 64 bytes and the device is a u32. */
export function sendFrame(request: number, to: Address, envelope: Uint8Array): Uint8Array {
  const account = encodeUtf8(to.account);
  if (account === undefined || account.length === 0 || account.length > ACCOUNT_MAX_BYTES) {
    throw new UsageError('ERR_ARGUMENT', 'account must have 1 to 64 bytes of UTF-8', { field: 'to.account' });
  }
  if (to.device >>> 0 !== to.device) throw new UsageError('ERR_ARGUMENT', 'device must be a u32', { field: 'to.device' });
  return concat(new Uint8Array([0x03]), u32(request), u32(to.device), new Uint8Array([account.length]), account, envelope);
}

/** Acknowledges one delivery by its 8 bytes. */
export function ackFrame(id: Uint8Array): Uint8Array {
  return concat(new Uint8Array([0x04]), id);
}

/** Parses a frame of the relay; `undefined` if a known type has a wrong length. `bytes` of a delivery is a view. */
export function parseRelayFrame(frame: Uint8Array): RelayFrame | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  switch (frame[0]) {
    case 0x11:
      return frame.length === 1 ? { kind: 'welcome' } : undefined;
    case 0x12:
      return frame.length === 5 ? { kind: 'accepted', request: view.getUint32(1) } : undefined;
    case 0x13:
      return frame.length === 9 ? { kind: 'refused', request: view.getUint32(1), retryAfterMs: view.getUint32(5) } : undefined;
    case 0x14:
      return frame.length > 9 ? { kind: 'deliver', id: toHex(frame.subarray(1, 9)), bytes: frame.subarray(9) } : undefined;
    case 0x15:
      return frame.length === 9 ? { kind: 'acked', id: toHex(frame.subarray(1)) } : undefined;
    case 0x16:
      return frame.length === 1 ? { kind: 'drained' } : undefined;
    default:
      return frame.length > 0 ? { kind: 'other' } : undefined;
  }
}
