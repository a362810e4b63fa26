/** Reproducible bytes for tests. Never for keys that matter: whoever knows the seed knows every byte. */

import { concat, encodeUtf8, u64 } from '../bytes.js';
import { sha256 } from '../crypto/suite.js';
import { UsageError } from '../errors.js';
import type { Rng } from '../step.js';

/**
 * An `Rng` whose bytes depend on `seed` and on how many were drawn before, and on nothing else: the stream is
 * SHA-256(UTF-8 seed ‖ u64 i) for i = 0, 1, 2, … Each result is a buffer of the caller's own.
 *
 * Throws `ERR_ARGUMENT` if `seed` holds unpaired surrogates; the result throws it for a length that is no count of bytes.
 *
 * @example
 * const rng = seededRng('reorder 17');
 * const bytes = rng(32);
 */
export function seededRng(seed: string): Rng {
  const prefix = encodeUtf8(seed);
  if (prefix === undefined) throw new UsageError('ERR_ARGUMENT', 'seed must hold no unpaired surrogates', { field: 'seed' });
  let blocks = 0;
  let rest: Uint8Array = new Uint8Array(0);
  return (lengthBytes) => {
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) {
      throw new UsageError('ERR_ARGUMENT', 'lengthBytes must be a count of bytes', { field: 'lengthBytes' });
    }
    const out = new Uint8Array(lengthBytes);
    for (let filled = 0; filled < lengthBytes; ) {
      if (rest.length === 0) rest = sha256(concat(prefix, u64(blocks++)));
      const taken = rest.subarray(0, lengthBytes - filled);
      out.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
    }
    return out;
  };
}
