/** Erasing a sealed store, without its key. */

import type { ErasureReport, Store, StoreKey } from '../port.js';
import { HEAD, SLOTS } from './layout.js';
import { listPlain } from './plain.js';

/** Rows removed in one commit. */
const BATCH = 256;

/**
 * Removes slots and head in one commit, then everything else, then closes the base. Without the slots nothing can open what is left, so
 * a crash after the first commit leaves nothing readable; calling again goes on. `keyCount` counts slots and head.
 */
export async function eraseRows(base: Store): Promise<ErasureReport> {
  const remove = async (keys: readonly StoreKey[]): Promise<number> => {
    if (keys.length > 0) await base.commit(keys.map((key) => ({ key, value: null })));
    return keys.length;
  };
  const removeKeys = async (): Promise<number> => {
    const [head] = await base.read([HEAD]);
    const slots = await base.list(SLOTS, BATCH);
    return remove([...slots.map(({ key }) => key), ...(head === undefined ? [] : [HEAD])]);
  };
  const keyCount = await removeKeys().catch((error: unknown) => {
    // What is too damaged to be read may still be destroyed.
    if (base.erase === undefined) throw error;
    return 0;
  });
  if (base.erase !== undefined) {
    const rest = await base.erase();
    return { recordCount: keyCount + rest.recordCount, keyCount: keyCount + rest.keyCount };
  }
  let recordCount = keyCount;
  for (const list of [() => base.list(['sealed'], BATCH), () => listPlain(base, BATCH)]) {
    for (let rows = await list(); rows.length > 0; rows = await list()) recordCount += await remove(rows.map(({ key }) => key));
  }
  await base.close();
  return { recordCount, keyCount };
}
