/** Destroys what a store holds, keys before what they protect. */

import { UsageError } from '../errors.js';
import type { ErasureReport, Store, StoreKey } from '../store/port.js';
import { storeCall } from './database.js';
import { checkPort } from './options.js';
import { owned } from './ports.js';

/** Records removed in one commit. */
const BATCH = 256;
/**
 * In this order, each a key or what lies below it; `sealed` is the base of a sealed store, whose slots are keys. What makes a store that of an account goes last: one that is half erased must
 * not pass for empty.
 */
const KEYS = ['sealed slot', 'sealed head', 'device', 'prekeys', 'session', 'skipped', 'init'];
const REST = [
  'sealed',
  'pending',
  'late',
  'unsent',
  'log',
  'grant',
  'share',
  'linked',
  'linked-by',
  'inbox',
  'early',
  'outbox',
  'greet',
  'publish',
  'seen',
  'tag',
  'claimed',
  'talk',
  'days',
  'deleted',
  'receipt',
  'told',
  'trouble',
  'salt',
  'peer',
  'contact',
  'contact-device',
];
const LAST = ['sent', 'once', 'got', 'login', 'meta', 'generation'];

/**
 * Erases `store` and closes it; needs no passphrase and no key. For a store that no client has open: a client erases its own with
 * `client.erase()`. Safe to repeat after a crash, on the store opened anew. What it cannot reach are copies: backups, snapshots, and
 * what a disk keeps of overwritten blocks.
 *
 * Throws `ERR_ARGUMENT` (`field: 'store'`: no store, or a client has it open) and `ERR_STORE_*`.
 */
export async function eraseStore(store: Store): Promise<ErasureReport> {
  checkPort('store', store);
  if (owned.has(store)) throw new UsageError('ERR_ARGUMENT', 'a client has this store open: client.erase()', { field: 'store' });
  return destroyStore(store);
}

/** `eraseStore` for the client that owns the store, and has ended. */
export function destroyStore(store: Store): Promise<ErasureReport> {
  return storeCall(async () => {
    const report = store.erase === undefined ? await eraseRows(store) : await store.erase();
    await store.close();
    return report;
  });
}

async function eraseRows(store: Store): Promise<ErasureReport> {
  const eraseSpace = async (space: string): Promise<number> => {
    const prefix = space.split(' ') as unknown as StoreKey;
    const [single] = await store.read([prefix]);
    let rows: StoreKey[] = single === undefined ? [] : [prefix];
    let count = 0;
    do {
      if (rows.length > 0) await store.commit(rows.map((key) => ({ key, value: null })));
      count += rows.length;
      rows = (await store.list(prefix, BATCH)).map(({ key }) => key);
    } while (rows.length > 0);
    return count;
  };
  let keyCount = 0;
  for (const space of KEYS) keyCount += await eraseSpace(space);
  let recordCount = keyCount;
  for (const space of [...REST, ...LAST]) recordCount += await eraseSpace(space);
  return { recordCount, keyCount };
}
