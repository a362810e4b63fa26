/** The directory of a network in memory. It stores what devices publish as opaque bytes and verifies nothing but ownership. */

import { copy, equal } from '../bytes.js';
import { TransportError, UsageError } from '../errors.js';
import type { Address, BundleBytes, DeviceKeys } from '../step.js';
import { throwIfAborted } from './abort.js';
import { memoryDropBox } from './drop-box.js';
import type { Directory, Login } from './port.js';

/** The account's identity key stands first in what a device publishes as `identity`. */
const ACCOUNT_KEY_BYTES = 1984;

/** A one-time prekey that was not handed out yet, with the head of its batch. */
type OneTime = NonNullable<BundleBytes['oneTime']>;

interface Device {
  identity: Uint8Array;
  signedSet: Uint8Array;
  readonly batchIds: Set<string>;
  readonly oneTimes: OneTime[];
}

/**
 * Makes one directory with a port for every device. `onPublished` is called with each address that published.
 *
 * `publish` rejects with `ERR_REJECTED` for an address that isn't the login's, and for an account that another account key owns; the
 * first to publish an account owns it. Calls reject with `ERR_ARGUMENT` for an account that is no string.
 */
export function memoryDirectory(onPublished: (address: Address) => void): (login: Login) => Directory {
  const dropBox = memoryDropBox();
  const accounts = new Map<string, { readonly accountKey: Uint8Array; readonly devices: Map<number, Device> }>();

  function publish({ account, device: id }: Address, { identity, signedSet, batch }: DeviceKeys): void {
    const accountKey = copy(identity.subarray(0, ACCOUNT_KEY_BYTES));
    const owned = accounts.get(account) ?? { accountKey, devices: new Map<number, Device>() };
    if (!equal(owned.accountKey, accountKey)) throw new TransportError('ERR_REJECTED', 'the account belongs to another account key');
    accounts.set(account, owned);
    const device = owned.devices.get(id) ?? { identity, signedSet, batchIds: new Set(), oneTimes: [] };
    owned.devices.set(id, device);
    device.identity = copy(identity);
    device.signedSet = copy(signedSet);
    if (batch !== undefined && !device.batchIds.has(batch.id)) {
      device.batchIds.add(batch.id);
      const head = copy(batch.head);
      device.oneTimes.push(...batch.entries.map((entry) => ({ head, entry: copy(entry) })));
    }
    onPublished({ account, device: id });
  }

  function bundle(address: Address, device: Device, take: boolean): BundleBytes {
    const oneTime = take ? device.oneTimes.shift() : undefined;
    return {
      address,
      identity: copy(device.identity),
      signedSet: copy(device.signedSet),
      ...(oneTime && { oneTime: { head: copy(oneTime.head), entry: oneTime.entry } }),
    };
  }

  return ({ address: own }) => ({
    ...dropBox,

    async publish(keys, options) {
      throwIfAborted(options?.signal);
      if (keys.address.account !== own.account || keys.address.device !== own.device) {
        throw new TransportError('ERR_REJECTED', 'a device publishes its own keys only');
      }
      publish(own, keys);
    },

    async fetch(account, options) {
      throwIfAborted(options?.signal);
      if (typeof account !== 'string') throw new UsageError('ERR_ARGUMENT', 'account must be a string', { field: 'account' });
      const take = options?.take ?? 'all';
      const devices = accounts.get(account)?.devices ?? new Map<number, Device>();
      return [...devices].map(([id, device]) => bundle({ account, device: id }, device, take === 'all' || take.includes(id)));
    },

    async remaining() {
      return accounts.get(own.account)?.devices.get(own.device)?.oneTimes.length ?? 0;
    },
  });
}
