/** A login for suites: an address that no service can verify. */

import { copy } from '../bytes.js';
import type { Login } from '../transport/port.js';

/** A `Login` of that address whose proof is the nonce itself. A service that verifies proofs needs a real one for the same address. */
export function testLogin(account: string, device: number): Login {
  return {
    address: { account, device },
    prove: async ({ nonce }) => copy(nonce),
  };
}
