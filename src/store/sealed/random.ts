/** Where a sealed store's randomness comes from, and its nonces, which don't rest on that alone. */

import { info } from '../../crypto/labels.js';
import { hmacSha256, sha256 } from '../../crypto/suite.js';
import { UsageError } from '../../errors.js';

export const NONCE_BYTES = 24;

/** Fresh random bytes of the platform's; the caller owns them. Throws `ERR_ARGUMENT` (`field: 'rng'`) where there is no generator. */
export function random(lengthBytes: number): Uint8Array<ArrayBuffer> {
  const source = (globalThis as { crypto?: { getRandomValues?(target: Uint8Array): unknown } }).crypto;
  if (typeof source?.getRandomValues !== 'function') {
    throw new UsageError('ERR_ARGUMENT', 'this platform has no random generator', { field: 'rng' });
  }
  const bytes = new Uint8Array(lengthBytes);
  source.getRandomValues(bytes);
  return bytes;
}

/**
 * A nonce of 24 bytes for `content`: random, and where the generator repeats itself (it is stuck, a virtual machine was resumed twice)
 * still another one for other content or other associated data. `key` is 32 bytes, for this use alone.
 */
export function syntheticNonce(key: Uint8Array, ad: Uint8Array, content: Uint8Array): Uint8Array {
  return hmacSha256(key, info('store/nonce', random(NONCE_BYTES), ad, sha256(content))).slice(0, NONCE_BYTES);
}
