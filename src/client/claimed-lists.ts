/** Device lists of identities that claim an account which is not pinned: a device may write before the directory has its list. */

import { toHex } from '../bytes.js';
import type { VerifiedDeviceList } from '../identity/index.js';
import { sessionLimits } from '../limits.js';

/** The newest list of each such identity. In memory alone: by the time of another start the directory has it. */
export interface ClaimedLists {
  remember(account: string, list: VerifiedDeviceList): void;
  /** The list of an identity, H(AIK). */
  of(account: string, accountKeyHash: Uint8Array): VerifiedDeviceList | undefined;
}

/** The claimed lists of one client. */
export function claimedLists(): ClaimedLists {
  const newest = new Map<string, VerifiedDeviceList>();
  const nameOf = (account: string, accountKeyHash: Uint8Array): string => `${account} ${toHex(accountKeyHash)}`;
  return {
    remember(account, list) {
      const name = nameOf(account, list.accountKeyHash);
      if ((newest.get(name)?.version ?? -1) >= list.version) return;
      newest.delete(name);
      newest.set(name, list);
      if (newest.size > sessionLimits.claimedCount) newest.delete(newest.keys().next().value as string);
    },
    of: (account, accountKeyHash) => newest.get(nameOf(account, accountKeyHash)),
  };
}
