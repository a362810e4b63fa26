/** Where a sealed store's randomness comes from. */

import { UsageError } from '../../errors.js';

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
