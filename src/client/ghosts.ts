/** Devices that a directory shows and no account key has signed: they are none, and each is told once in a run, by number and key. */

import { equal, toHex } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { keyHash, listsUnder } from '../identity/index.js';
import type { BundleBytes } from '../step.js';
import type { DeviceEntry } from '../wire/objects.js';
import type { Context } from './context.js';

/** Devices of which it is remembered that it was said. */
const REFUSED_MAX = 1_000;

/** Says which of the devices in `bundles` are none: neither `listed` now, nor under an earlier list of the account key `identity`. */
export type RefuseGhosts = (account: string, bundles: readonly BundleBytes[], identity: Uint8Array, listed: readonly DeviceEntry[]) => void;

/** The ghosts that one client has seen. */
export function ghosts(ctx: Context): RefuseGhosts {
  const refused = new Set<string>();

  return (account, bundles, identity, listed) => {
    const found = new Set<number>();
    for (const { address, identity: bytes } of bundles) {
      // Where a device's key stands; it is as long as the account's.
      const hash = keyHash(bytes.subarray(-identity.length));
      const isNamed = (entries: readonly DeviceEntry[]): boolean =>
        entries.some((entry) => entry.device === address.device && equal(entry.keyHash, hash));
      const name = `${address.device} ${toHex(hash)} ${account}`;
      if (isNamed(listed) || refused.has(name) || listsIn(bytes, identity).some(({ entries }) => isNamed(entries))) continue;
      if (refused.size < REFUSED_MAX) refused.add(name);
      found.add(address.device);
    }
    if (found.size > 0) ctx.events.emit({ type: 'devicesChanged', account, added: [], removed: [], refused: [...found] });
  };
}

/** The list that comes with a device, if the account key has signed it. */
function listsIn(bytes: Uint8Array, identity: Uint8Array): ReturnType<typeof listsUnder> {
  try {
    return listsUnder(identity, [bytes]);
  } catch (error) {
    if (isCyphrError(error)) return [];
    throw error;
  }
}
