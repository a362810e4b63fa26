/**
 * A way out of a halt: what a store that was restored or copied still holds, under a new device.
 *
 * Sessions, skipped keys, prekeys and accepted flights may have been used elsewhere, or be behind: they go. The account key, contacts
 * with their pins, the inbox, what became of sent messages and the ids of received ones stay. One commit, so that a crash leaves either
 * store whole; publication, greetings and queued messages follow from its rows as after any restart.
 */

import { StoreError, TransportError, TrustError } from '../errors.js';
import {
  type DeviceSecrets,
  decodeDevice,
  encodeDevice,
  listsUnder,
  replaceDevice,
  type VerifiedDeviceList,
  verifyDeviceList,
} from '../identity/index.js';
import { encodePrekeys, generatePrekeys } from '../pqxdh/prekeys.js';
import type { Now, Rng } from '../step.js';
import type { Store, StoreKey, Write } from '../store/port.js';
import type { Bound, Directory } from '../transport/port.js';
import { type Database, openDatabase } from './database.js';
import { publishWrite } from './keyring.js';
import { timer } from './platform.js';
import { bindDirectory } from './ports.js';
import { greetRecord, keys, metaRecord, outboxRecord, pendingRecord, sentRecord } from './records.js';
import { requeued } from './sent.js';

/** What belongs to one device, and to no other. */
const DEVICE_SPACES = ['session', 'init', 'skipped', 'tag', 'claimed', 'peer', 'linked', 'seen', 'login'];
/** How long the directory is waited for. */
const DIRECTORY_MS = 10_000;

/** What a recovery needs of its client. */
export interface RecoveryHost {
  readonly directory: Bound<Directory>;
  readonly rng: Rng;
  readonly now: Now;
}

/**
 * Makes a store that has halted its client usable again; no engine runs on it meanwhile, and one is opened on it afterwards. Safe to
 * repeat. On rejection the store is as it was. Throws what the directory throws where the account has other devices, `ERR_DEVICE_UNTRUSTED` for a device without the account key: another one links it again.
 */
export async function recoverStore(store: Store, host: RecoveryHost): Promise<void> {
  const db = await openDatabase(store, { rng: host.rng, now: host.now, renew: true, onCommit: () => {}, onLost: () => {} });
  try {
    const row = await db.read(keys.device);
    if (row === undefined) throw new StoreError('ERR_STORE_CORRUPT', 'the store holds no device');
    const lost = decodeDevice(row);
    if (lost.accountKey.secretKey === undefined) {
      throw new TrustError('ERR_DEVICE_UNTRUSTED', 'this device does not have the account key: link it again from one that has');
    }
    // A list that the lost device signed after this store was copied must not be newer than the next, even if the clock went back too.
    const stored = verifyDeviceList(lost.deviceList, lost.accountKey.publicKey);
    const published = await publishedList(lost, host.directory).catch((error: unknown) => {
      // A device that was removed since must not come back: with others in the list it is not signed before the directory was asked.
      if (stored.entries.length > 1) throw error;
      return undefined;
    });
    if (published === undefined && stored.entries.length > 1) {
      throw new TransportError('ERR_REJECTED', 'the directory does not know this account, which has other devices');
    }
    const newest = published !== undefined && published.version > stored.version ? published : stored;
    const others = newest.entries.filter((entry) => entry.device !== lost.device);
    const device = replaceDevice(lost, others, newest.version, host.rng, host.now());
    await db.commit([...(await dropDevice(db, lost.account)), ...deviceRows(device, host.rng, host.now())]);
  } finally {
    await db.close();
  }
}

/** The rows that make `device` the store's: registered, and to be published. */
export function deviceRows(device: DeviceSecrets, rng: Rng, nowMs: number): Write[] {
  const { next, out } = generatePrekeys(device, rng, nowMs);
  return [
    { key: keys.meta, value: metaRecord.encode({ account: device.account, device: device.device, loginsSince: 1 }) },
    { key: keys.device, value: encodeDevice(device) },
    { key: keys.prekeys, value: encodePrekeys(next) },
    publishWrite(out),
  ];
}

/**
 * The account's newest device list in the directory; `undefined` if it knows none. Throws what the directory throws, and
 * `ERR_ACCOUNT_EXISTS` if the account is another key's there.
 */
export async function publishedList(
  { account, accountKey }: Pick<DeviceSecrets, 'account' | 'accountKey'>,
  port: Bound<Directory>,
): Promise<VerifiedDeviceList | undefined> {
  // Without a device there is nothing to log in with; asking for public keys needs no login.
  const prove = (): Promise<never> => Promise.reject(new TransportError('ERR_OFFLINE', 'no device to log in with'));
  const directory = bindDirectory(port, { address: { account, device: 1 }, prove });
  let stop = (): void => {};
  const late = new Promise<never>((_, reject) => {
    stop = timer(() => reject(new TransportError('ERR_TIMEOUT', 'the directory did not answer')), DIRECTORY_MS);
  });
  const bundles = await Promise.race([directory.fetch(account, { take: [] }), late]).finally(() => stop());
  const published = bundles.map(({ identity }) => identity);
  const lists = listsUnder(accountKey.publicKey, published).sort((a, b) => b.version - a.version);
  if (bundles.length > 0 && lists.length === 0) {
    throw new TrustError('ERR_ACCOUNT_EXISTS', 'the directory has another identity for this account');
  }
  return lists[0];
}

/** The rows that take the device out of its store, and put what it has queued back to where it waits for sessions. */
async function dropDevice(db: Database, own: string): Promise<Write[]> {
  const rows = new Map<string, Write>();
  const write = (writes: readonly Write[]): void => {
    for (const each of writes) rows.set(JSON.stringify(each.key), each);
  };
  const contacts = new Set([own, ...(await db.list(['contact'])).map(({ key }) => key[1]!)]);
  for (const space of DEVICE_SPACES) write((await db.list([space])).map(({ key }) => ({ key, value: null })));
  // One that was to be greeted by an earlier device, and was not, still is.
  for (const account of new Set((await db.list(['peer'])).map(({ key }) => key[1]!))) {
    if (contacts.has(account)) write([{ key: keys.greet(account), value: greetRecord.encode({ isStarted: false, hellos: [] }) }]);
  }
  const load = async (key: StoreKey): Promise<ReturnType<typeof sentRecord.decode> | undefined> => {
    const row = await db.read(key);
    return row === undefined ? undefined : sentRecord.decode(row);
  };
  for (const { value } of await db.list(['unsent'])) {
    const { id } = pendingRecord.decode(value);
    const record = await load(keys.sent(id));
    if (record !== undefined) write(requeued(id, record, value)!);
  }
  // Encrypted by a version that kept no plaintext: nobody can say it again.
  for (const { key, value } of await db.list(['outbox'])) {
    if (rows.has(JSON.stringify(key))) continue;
    const { id } = outboxRecord.decode(value);
    const record = await load(keys.sent(id));
    write([{ key, value: null }]);
    if (record === undefined) continue;
    const failed = { ...record, state: 'failed', waitingFor: [], code: 'ERR_STORE_ROLLBACK' };
    write([{ key: keys.sent(id), value: sentRecord.encode(failed) }]);
  }
  return [...rows.values()];
}
