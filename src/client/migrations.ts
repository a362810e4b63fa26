/**
 * Stores of earlier formats, brought up to date when they are opened: one step for each format, each in one commit together with
 * the number of the new one. Golden stores of every format stand in `test-vectors/`.
 */

import { StoreError } from '../errors.js';
import type { Write } from '../store/port.js';
import { recordVersion } from '../wire/record.js';
import type { Database } from './database.js';
import { FORMAT, keys, metaRecord, record } from './records.js';

/** Whose store it is. */
interface Owner {
  readonly account: string;
  readonly device: number;
}

const metaRecord1 = record('meta', { account: 'string', device: 'number' });

const metaRecord2 = record('meta', { account: 'string', device: 'number', loginsSince: 'number' }, 2);

/**
 * 1 → 2: login proofs are remembered from here on, and the plaintext of what is sent from here on stays until it is accepted.
 * 2 → 3: an account has several devices, and messages for the protocol itself are queued as others are. Nothing that stands in a store
 * of an earlier format changes its place or its layout.
 */
const update = (owner: Owner, loginsSince: number): Write[] => [
  { key: keys.meta, value: metaRecord.encode({ account: owner.account, device: owner.device, loginsSince }) },
];

/** The owner of a store, from its `meta` row. Throws `ERR_STORE_VERSION` for a newer store, `ERR_STORE_CORRUPT`. */
export function ownerOf(meta: Uint8Array): Owner & { readonly format: number } {
  const format = recordVersion(meta);
  const { account, device } = (format === 1 ? metaRecord1 : format === 2 ? metaRecord2 : metaRecord).decode(meta);
  return { account, device, format };
}

/** Brings the store of `owner` to the format of today. Throws what the store throws; then it is as it was. */
export async function migrate(db: Database, { format, ...owner }: ReturnType<typeof ownerOf>): Promise<void> {
  if (format === FORMAT) return;
  if (format < 1) throw new StoreError('ERR_STORE_CORRUPT', 'a format that never was');
  const meta = await db.read(keys.meta);
  await db.commit(update(owner, format === 1 || meta === undefined ? db.generation() + 1 : metaRecord2.decode(meta).loginsSince));
}
