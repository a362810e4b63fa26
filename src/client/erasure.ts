/** Destroys what a store holds, keys before what they protect. */

import type { ErasureReport, Store } from '../store/port.js';

/** Erases `store` and closes it; needs no key. Safe to repeat after a crash. */
export async function eraseStore(store: Store): Promise<ErasureReport> {
  const report = (await store.erase?.()) ?? { recordCount: 0, keyCount: 0 };
  await store.close();
  return report;
}
