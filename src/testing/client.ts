/** A client whose randomness and clock are the test's own. */

import { openClient } from '../client/client.js';
import type { Client, ClientOptions } from '../client/types.js';
import { UsageError } from '../errors.js';
import type { Now, Rng } from '../step.js';

/**
 * `createClient` with `rng` used unmixed, so that a run can be repeated from its seed. The only place where it is: never use this
 * outside tests. Throws what `createClient` throws.
 */
export function createTestClient(options: ClientOptions & { readonly rng: Rng; readonly now: Now }): Promise<Client> {
  return openClient(options, (rng) => {
    if (rng === undefined) throw new UsageError('ERR_ARGUMENT', 'a test client needs its own generator', { field: 'rng' });
    return rng;
  });
}
