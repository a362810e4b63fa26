/** A way out of a halt: what a store that was restored or copied still holds, under a new device. */

import { StoreError } from '../errors.js';
import type { Now, Rng } from '../step.js';
import type { Store } from '../store/port.js';

/** What a recovery needs of its client. */
export interface RecoveryHost {
  readonly account: string;
  readonly rng: Rng;
  readonly now: Now;
}

/**
 * Makes a store that has halted its client usable again; no engine runs on it meanwhile, and one is opened on it afterwards. Safe to
 * repeat. On rejection the store is as it was.
 */
export async function recoverStore(_store: Store, _host: RecoveryHost): Promise<void> {
  throw new StoreError('ERR_STORE_ROLLBACK', 'this store can not be recovered');
}
