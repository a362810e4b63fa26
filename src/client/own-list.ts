/**
 * This account's own device list: every device has the newest that it knows of, a primary one signs those that follow.
 *
 * The other devices of the account are written to as a contact's are: this is where they become one.
 */

import { equal } from '../bytes.js';
import { type DeviceSecrets, encodeDevice, keyHash, listsUnder, relist, underList, type VerifiedDeviceList } from '../identity/index.js';
import type { Write } from '../store/port.js';
import type { DeviceEntry } from '../wire/objects.js';
import type { KnownContact } from './contacts.js';
import type { Context } from './context.js';
import { haltForGood } from './login.js';
import { keys } from './records.js';

/** The own list of one client. */
export interface OwnList {
  /** One's own account, with its other devices. */
  contact(): KnownContact;
  /** Takes a newer list of this account. One that names this device no longer halts the client for good: it rejects with the reason. */
  adopt(list: VerifiedDeviceList): Promise<void>;
  /** Asks the directory for the newest list of this account, and takes it. Throws what `adopt` throws, `ERR_BUNDLE`, and what the directory throws. */
  refresh(): Promise<void>;
  /**
   * Signs, commits and queues for publication a list with these entries, in one commit with what `also` gives for the device under it.
   * Throws `ERR_DEVICE_UNTRUSTED` on a device without the account key, and what the two functions throw: then nothing has happened.
   */
  sign(
    change: (entries: readonly DeviceEntry[]) => readonly DeviceEntry[],
    also?: (next: DeviceSecrets) => readonly Write[],
  ): Promise<void>;
  /** Calls back after another list was committed; `isNews` if devices came or went. */
  onChanged(listener: (isNews: boolean) => void): void;
}

/** The own list of `ctx`. `publication` is the row that publishes this device under a list. */
export function ownList(ctx: Context, publication: (device: DeviceSecrets) => Promise<Write>): OwnList {
  const listeners: ((isNews: boolean) => void)[] = [];

  /** Holds the lock of the device. */
  const install = async (next: DeviceSecrets, others: readonly Write[] = []): Promise<void> => {
    const before = ctx.ownList().entries;
    await ctx.db.commit([{ key: keys.device, value: encodeDevice(next) }, await publication(next), ...others]);
    ctx.setDevice(next);
    const changes = deviceChanges(before, ctx.ownList().entries);
    if (changes !== undefined) ctx.events.emit({ type: 'devicesChanged', account: next.account, ...changes, refused: [] });
    for (const listener of listeners) listener(changes !== undefined);
  };

  const self: OwnList = {
    contact() {
      const { account, accountKey, device } = ctx.device();
      const { entries, version, bytes, accountKeyHash, shortHash } = ctx.ownList();
      return {
        account,
        identity: accountKey.publicKey,
        sinceMs: 0,
        verified: true,
        vouched: false,
        list: bytes,
        former: [],
        pin: accountKeyHash,
        devices: entries.filter((entry) => entry.device !== device),
        listVersion: version,
        listHash: shortHash,
      };
    },
    adopt: (list) =>
      ctx.lock('device', async () => {
        const device = ctx.device();
        const { version, accountKeyHash } = ctx.ownList();
        if (list.account !== device.account || !equal(list.accountKeyHash, accountKeyHash) || list.version <= version) return;
        const own = keyHash(device.deviceKey.publicKey);
        if (!list.entries.some((entry) => entry.device === device.device && equal(entry.keyHash, own))) {
          const reason = device.accountKey.secretKey === undefined ? 'removed' : 'replaced';
          await haltForGood(ctx.db, ctx.life, reason, version, list.version);
          ctx.life.assertOpen();
        }
        if (!mayTake(ctx.ownList().entries, list, ctx.now())) return;
        await install(underList(device, list));
      }),
    sign: (change, also) =>
      ctx.lock('device', async () => {
        ctx.life.assertOpen();
        const next = relist(ctx.device(), change(ctx.ownList().entries), ctx.now(), ctx.rng);
        await install(next, also?.(next));
      }),
    async refresh() {
      const { account, accountKey } = ctx.device();
      const bundles = await ctx.life.race(ctx.directory.fetch(account, { take: [] }));
      // Lists alone: this device's own set there may be past its date, and is about to be replaced.
      const published = bundles.map(({ identity }) => identity);
      for (const list of listsUnder(accountKey.publicKey, published)) await self.adopt(list);
    },
    onChanged: (listener) => listeners.push(listener),
  };
  return self;
}

/**
 * Whether a list may be gone by, given the devices that are known: past its freshness it adds nobody. Whoever withholds a newer one must
 * not bring a device back that it removes.
 */
export function mayTake(
  known: readonly DeviceEntry[] | undefined,
  { freshUntil, entries }: Pick<VerifiedDeviceList, 'freshUntil' | 'entries'>,
  nowMs: number,
): boolean {
  const isKnown = (entry: DeviceEntry): boolean => known === undefined || known.some(({ keyHash: hash }) => equal(hash, entry.keyHash));
  return nowMs <= freshUntil || entries.every(isKnown);
}

/** Which devices came and went between two lists, by key: a number under another key is another device. `undefined` if none did. */
export function deviceChanges(
  before: readonly DeviceEntry[],
  after: readonly DeviceEntry[],
): { readonly added: readonly number[]; readonly removed: readonly number[] } | undefined {
  const without = (list: readonly DeviceEntry[], other: readonly DeviceEntry[]): number[] =>
    list.filter((entry) => !other.some(({ keyHash: hash }) => equal(hash, entry.keyHash))).map(({ device }) => device);
  const added = without(after, before);
  const removed = without(before, after);
  return added.length + removed.length === 0 ? undefined : { added, removed };
}
