/**
 * Sealed frames, 0x01 (section 6): what hides the sender of a first flight, and of later frames where the sender wants it.
 *
 * Knows the recipient's SEAL key and the padding; learns nothing of the sender and authenticates nobody.
 */

import { concat, equal, u32 } from '../bytes.js';
import { info } from '../crypto/labels.js';
import { openSeal, seal } from '../crypto/seal.js';
import { decryptFailed, ReplayError } from '../errors.js';
import type { Address, Rng } from '../step.js';
import { accountBytes } from '../wire/codec.js';
import { encodeSealedHead, FRAME_INIT, FRAME_SEALED, frameType, parseInit, parseSealed } from '../wire/frames.js';
import { padSeal, unpadSeal } from '../wire/padding.js';
import { findSet, type PrekeyState } from './prekeys.js';

/**
 * Seals an inner frame (0x10 or 0x20) to the SEAL key (1,216 bytes) of `recipient`'s set `setId` (8 bytes): 0x01 frame, padded.
 * Draws 64 bytes from `rng`. Throws `ERR_DECRYPT` for a key that is none.
 */
export function sealFrame(recipient: Address, setId: Uint8Array, sealKey: Uint8Array, innerFrame: Uint8Array, rng: Rng): Uint8Array {
  const head = encodeSealedHead(setId);
  return concat(head, seal(sealKey, sealInfo(recipient, setId), head, padSeal(innerFrame), rng));
}

/**
 * Opens a sealed frame for `own`: the inner frame in a new buffer, an Init for the same set or a ratchet message.
 * Throws a `DecodeError` for the layout of either frame, `ERR_KEY_GONE` for an unknown set, `ERR_DECRYPT` for all else.
 */
export function openFrame(prekeys: PrekeyState, own: Address, frame: Uint8Array): Uint8Array {
  const { setId, sealed, head } = parseSealed(frame);
  const set = findSet(prekeys, setId);
  if (set === undefined) throw new ReplayError('ERR_KEY_GONE', 'no secrets for this set', { field: 'setId' });
  const inner = unpadSeal(openSeal(set.sealSeed, sealInfo(own, setId), head, sealed)).slice();
  const type = frameType(inner);
  if (type === FRAME_SEALED || (type === FRAME_INIT && !equal(parseInit(inner).setId, setId))) throw decryptFailed();
  return inner;
}

/** INFO("seal", accountId, deviceId, setId) of the recipient. */
function sealInfo({ account, device }: Address, setId: Uint8Array): Uint8Array {
  return info('seal', accountBytes(account), u32(device), setId);
}
