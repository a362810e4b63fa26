/** Devices that a directory shows and no account key has signed: they are none, and that is said once. */

import { equal } from '../bytes.js';
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

  /** Whether a list that comes with the bundle names its device. */
  const wasListed = ({ address, identity: bytes }: BundleBytes, identity: Uint8Array): boolean => {
    try {
      const deviceHash = keyHash(bytes.subarray(bytes.length - identity.length));
      return listsUnder(identity, [bytes]).some(({ entries }) =>
        entries.some((entry) => entry.device === address.device && equal(entry.keyHash, deviceHash)),
      );
    } catch (error) {
      if (isCyphrError(error)) return false;
      throw error;
    }
  };

  return (account, bundles, identity, listed) => {
    const found = bundles
      .filter(({ address }) => !listed.some(({ device }) => device === address.device))
      .filter(({ address }) => !refused.has(`${address.device} ${account}`))
      .filter((bundle) => !wasListed(bundle, identity))
      .map(({ address }) => address.device);
    if (found.length === 0) return;
    for (const device of found) if (refused.size < REFUSED_MAX) refused.add(`${device} ${account}`);
    ctx.events.emit({ type: 'devicesChanged', account, added: [], removed: [], refused: found });
  };
}
