/**
 * Padding of bodies and of sealed frames (section 6): content ‖ 0x80 ‖ 00*, to a bucket that depends on the length only.
 *
 * The padded length is a function of the content's length, checked on removal: there is one padding for each content.
 */

import { decryptFailed, UsageError } from '../errors.js';
import { wireLimits } from '../limits.js';

/** Smallest padded length of a sealed inner frame, in bytes: the lengths of account ids must not show through. */
const SEAL_MIN_BYTES = 1024;

/** PADMÉ(L): L rounded up so that only O(log log L) bits of it remain visible; at most 12 % more. `length` ≥ 2. */
export function padme(length: number): number {
  const exponent = 31 - Math.clz32(length);
  const significant = 32 - Math.clz32(exponent);
  const step = 2 ** (exponent - significant);
  return Math.ceil(length / step) * step;
}

/** The bucket of a body with `length` bytes, marker included: 512, 1024, 2048, then PADMÉ. */
function bodyBucket(length: number): number {
  if (length <= 512) return 512;
  if (length <= 1024) return 1024;
  return length <= 2048 ? 2048 : padme(length);
}

/** Whether a padded body can have this length. */
export function isBodyBucket(length: number): boolean {
  return length <= wireLimits.plaintextBytes + 1 && bodyBucket(length) === length;
}

/** Pads a plaintext of at most 65,535 bytes, head included; a new buffer. Throws `ERR_LENGTH` above. */
export function padBody(plaintext: Uint8Array): Uint8Array {
  if (plaintext.length > wireLimits.plaintextBytes) {
    throw new UsageError('ERR_LENGTH', 'plaintext is too long', {
      field: 'plaintext',
      got: plaintext.length,
      max: wireLimits.plaintextBytes,
    });
  }
  return pad(plaintext, bodyBucket(plaintext.length + 1));
}

/** Removes `padBody`; a view of `padded`. Throws `ERR_DECRYPT`. */
export function unpadBody(padded: Uint8Array): Uint8Array {
  return unpad(padded, bodyBucket);
}

/** Pads an inner frame before it is sealed, to exactly PADMÉ(max(length + 1, 1024)); a new buffer. */
export function padSeal(inner: Uint8Array): Uint8Array {
  return pad(inner, sealBucket(inner.length + 1));
}

/** Removes `padSeal`; a view of `padded`. Throws `ERR_DECRYPT`. */
export function unpadSeal(padded: Uint8Array): Uint8Array {
  return unpad(padded, sealBucket);
}

function sealBucket(length: number): number {
  return padme(Math.max(length, SEAL_MIN_BYTES));
}

/** content ‖ 0x80 ‖ 00*, `length` bytes in a new buffer. */
export function pad(content: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(content);
  out[content.length] = 0x80;
  return out;
}

/** Removes `pad`; a view of `padded`. Throws `ERR_DECRYPT` unless its length is the `bucket` of content and marker. */
export function unpad(padded: Uint8Array, bucket: (length: number) => number): Uint8Array {
  let end = padded.length - 1;
  while (padded[end] === 0) end--;
  if (padded[end] !== 0x80 || bucket(end + 1) !== padded.length) throw decryptFailed();
  return padded.subarray(0, end);
}
