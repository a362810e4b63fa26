/** How a client comes by its identity: from its store, or by registering in an empty one. */

import { StoreError, TrustError, UsageError } from '../errors.js';
import { type DeviceSecrets, decodeDevice, encodeDevice } from '../identity/index.js';
import { encodePrekeys, generatePrekeys, type PrekeyState } from '../pqxdh/prekeys.js';
import type { Rng } from '../step.js';
import type { Store, StoreKey } from '../store/port.js';
import type { Directory } from '../transport/port.js';
import type { Database } from './database.js';
import { loadPrekeys, publishWrite } from './keyring.js';
import { migrate, ownerOf } from './migrations.js';
import { abortable, abortReason } from './platform.js';
import { isRefusedForGood } from './ports.js';
import { keys, metaRecord } from './records.js';

/** Below which everything of a sealed store stands in its base; a client has no such space. */
const SEALED: StoreKey = ['sealed'];

/** A device that is stored. */
export interface Identity {
  readonly device: DeviceSecrets;
  readonly prekeys: PrekeyState;
}

/**
 * Throws `ERR_STORE_KEY` (`field: 'store'`) for the base of a sealed store. It looks empty to a client, and with a client's plain records
 * beside the sealed ones it would never open again.
 */
export async function assertUnsealed(store: Pick<Store, 'list'>): Promise<void> {
  if ((await store.list(SEALED, 1)).length === 0) return;
  throw new StoreError('ERR_STORE_KEY', 'this store is sealed: open it with sealedStore', { field: 'store' });
}

/**
 * The identity in the store; `undefined` if the store is empty. Throws `ERR_ARGUMENT` for another account's store, `ERR_STORE_KEY` for
 * the base of a sealed one, `ERR_STORE_VERSION` for a newer one, `ERR_STORE_CORRUPT`.
 */
export async function loadIdentity(db: Database, account: string): Promise<Identity | undefined> {
  const [meta, device] = [await db.read(keys.meta), await db.read(keys.device)];
  const corrupt = (): StoreError => new StoreError('ERR_STORE_CORRUPT', 'the store holds an account without all of its rows');
  if (meta === undefined) {
    if (device !== undefined) throw corrupt();
    await assertUnsealed(db);
    return undefined;
  }
  const owner = ownerOf(meta);
  if (owner.account !== account) {
    throw new UsageError('ERR_ARGUMENT', 'this store belongs to another account', { field: 'account' });
  }
  const prekeys = await loadPrekeys(db);
  if (device === undefined || prekeys === undefined || db.generation() === 0) throw corrupt();
  const identity = { device: decodeDevice(device), prekeys };
  // Last: whatever can't be opened stays as it was.
  await migrate(db, owner);
  return identity;
}

/**
 * Makes the first rows of an empty store, once the directory has said that the account is free. Throws `ERR_ACCOUNT_EXISTS`,
 * `ERR_OFFLINE`, or `signal.reason`; then nothing is written.
 */
export async function register(
  device: DeviceSecrets,
  db: Database,
  directory: Directory,
  rng: Rng,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<Identity> {
  const known = await abortable(directory.fetch(device.account, { take: [], signal }), signal);
  if (known.length > 0) {
    throw new TrustError(
      'ERR_ACCOUNT_EXISTS',
      'the account exists: link this device (joinAccount), or importAccount where its store was lost, or choose another name',
    );
  }
  const { next, out } = generatePrekeys(device, rng, nowMs);
  if (signal?.aborted === true) throw abortReason(signal);
  await db.commit([
    { key: keys.meta, value: metaRecord.encode({ account: device.account, device: device.device, loginsSince: 1 }), ifRev: 0 },
    { key: keys.device, value: encodeDevice(device) },
    { key: keys.prekeys, value: encodePrekeys(next) },
    publishWrite(out),
  ]);
  return { device, prekeys: next };
}

/** The first publication claims the account's name. Offline, it goes out later; refused, somebody else was faster, and the store is empty again. */
export async function publishFirst(publish: () => Promise<void>, db: Database): Promise<void> {
  try {
    await publish();
  } catch (error) {
    if (!isRefusedForGood(error)) return;
    // To publish it has logged in.
    const logins = (await db.list(['login'])).map(({ key }) => key);
    await db.commit([keys.meta, keys.device, keys.prekeys, keys.publish, ...logins].map((key) => ({ key, value: null })));
    throw new TrustError('ERR_ACCOUNT_EXISTS', 'the account was registered by another device at the same time', { cause: error });
  }
}
