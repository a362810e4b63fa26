/** The bundles of one account as a directory shows them, looked at one by one. Knows what they must be; what becomes of them, contacts.ts says. */

import { equal } from '../bytes.js';
import { isCyphrError, TransportError } from '../errors.js';
import { type KnownPeer, type VerifiedBundle, verifyBundle } from '../pqxdh/bundle.js';
import type { BundleBytes } from '../step.js';
import type { Write } from '../store/port.js';
import { VERSION } from '../wire/codec.js';
import { parseSignedSet } from '../wire/objects.js';
import type { ContactDevice } from './contacts.js';
import type { Context } from './context.js';
import { type ContactRecord, deviceRecord, keys } from './records.js';

/** A bundle that was looked at: sound, or not, and then why. */
export type Checked =
  | { readonly bundle: VerifiedBundle }
  /** `past`: nothing is wrong with it but that it is past its date, by this device's clock; as it was until then. */
  | { readonly fault: unknown; readonly past: VerifiedBundle | undefined };

/** Looks at one bundle of `account`. Whose identity it is, is compared with the pin afterwards; what is `stored` holds for the pinned one. */
export function checkBundle(
  { now, observer }: Pick<Context, 'now' | 'observer'>,
  bundle: BundleBytes,
  account: string,
  contact: Pick<ContactRecord, 'identity' | 'list'> | undefined,
  stored: ContactDevice | undefined,
): Checked {
  const nowMs = now();
  // Another identity starts from nothing.
  const isSame = contact !== undefined && equal(bundle.identity.subarray(0, contact.identity.length), contact.identity);
  const known: KnownPeer = isSame ? { list: contact.list, ...stored } : {};
  const without = { ...bundle, oneTime: undefined };
  try {
    if (bundle.address.account !== account) throw new TransportError('ERR_REJECTED', 'the directory answered for another account');
    try {
      return { bundle: verifyBundle(bundle, undefined, nowMs, known) };
    } catch (error) {
      // A directory may hold one-time prekeys past their date. Without one the last-resort prekey serves, as when it has none left.
      if (bundle.oneTime === undefined || !isCyphrError(error) || error.code !== 'ERR_BUNDLE') throw error;
      const verified = verifyBundle(without, undefined, nowMs, known);
      observer.log('warn', 'one-time-prekey-rejected', error.code);
      return { bundle: verified };
    }
  } catch (fault) {
    observer.log('warn', 'bundle-rejected', isCyphrError(fault) ? fault.code : 'ERR_BUG');
    const mayBePast = isCyphrError(fault) && (fault.code === 'ERR_BUNDLE' || fault.code === 'ERR_LIST_STALE');
    return { fault, past: mayBePast ? untilItsDate(without, nowMs, known) : undefined };
  }
}

/** A bundle that is not sound, if only the dates of its set and list are past. */
function untilItsDate(bundle: BundleBytes, nowMs: number, known: KnownPeer): VerifiedBundle | undefined {
  try {
    const { notAfter } = parseSignedSet(bundle.signedSet);
    return verifyBundle(bundle, undefined, Math.min(nowMs, notAfter), { ...known, staleOverride: true });
  } catch {
    return undefined;
  }
}

/** The row of what sealing to the device of a sound bundle needs. */
export function deviceWrite({ address, signedSet }: VerifiedBundle): Write {
  const value = deviceRecord.encode({
    setSeq: signedSet.seq,
    setHash: signedSet.hash,
    setId: signedSet.setId,
    sealKey: signedSet.sealKey,
    setNotAfterMs: signedSet.notAfter,
    // What both speak; a peer that speaks more than this version is no downgrade.
    verFloor: Math.min(VERSION, signedSet.verMax),
  });
  return { key: keys.contactDevice(address.account, address.device), value };
}
