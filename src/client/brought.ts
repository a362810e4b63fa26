/** What becomes of a contact as the device has it that linked this one: pure. */

import { equal } from '../bytes.js';
import { keyHash } from '../identity/index.js';
import { parseDeviceList } from '../wire/objects.js';
import type { KnownContact } from './contacts.js';
import type { ContactRecord } from './records.js';

/**
 * The record that follows; `undefined` if nothing changes. Where nothing is pinned here it is taken over; where the same identity is, what
 * is newer or verified of the two. Another identity is a change to be decided here, unless a person has decided already: this device may
 * have been shown a false one before the word of the other came.
 */
export function merged(contact: KnownContact | undefined, brought: ContactRecord): ContactRecord | 'conflict' | undefined {
  if (contact === undefined) return brought;
  const { identity, verified, list } = brought;
  if (!equal(contact.pin, keyHash(identity))) {
    if (contact.verified) return 'conflict';
    const isKnown = contact.changedTo !== undefined && equal(contact.changedTo, identity);
    return isKnown ? undefined : { ...contact, changedTo: identity, changedList: list };
  }
  const isNewer = parseDeviceList(list).version > contact.listVersion;
  if (!isNewer && (contact.verified || !verified)) return undefined;
  return { ...contact, list: isNewer ? list : contact.list, verified: contact.verified || verified };
}
