/** What becomes of a contact as the device has it that linked this one: pure. */

import { equal } from '../bytes.js';
import { keyHash } from '../identity/index.js';
import { parseDeviceList } from '../wire/objects.js';
import type { KnownContact } from './contacts.js';
import type { ContactRecord } from './records.js';

/**
 * The record that follows; `undefined` if nothing changes. Where nothing is pinned here it is taken over; where the same identity is, what
 * is newer or verified of the two. Another identity is a change to be decided here, which no directory takes back: this device may have been
 * shown a false one before the word of the other came. Unless a person has decided already: the pin is verified, or it took the place of
 * the identity that is brought. Without a person that one gave way only as one that nobody had verified.
 */
export function merged(contact: KnownContact | undefined, brought: ContactRecord): ContactRecord | 'conflict' | undefined {
  if (contact === undefined) return brought;
  const { identity, verified, list } = brought;
  const pin = keyHash(identity);
  if (!equal(contact.pin, pin)) {
    if (contact.verified) return 'conflict';
    const isFormer = (contact.former as Uint8Array[]).some((former) => equal(former, pin));
    if (isFormer && !(contact.unasked === true && verified)) return undefined;
    const isKnown = contact.changedTo !== undefined && equal(contact.changedTo, identity);
    if (isKnown && contact.changedByOwn === true) return undefined;
    return { ...contact, ...(isKnown ? {} : { changedTo: identity, changedList: list }), changedByOwn: true };
  }
  const isNewer = parseDeviceList(list).version > contact.listVersion;
  if (!isNewer && (contact.verified || !verified)) return undefined;
  return { ...contact, list: isNewer ? list : contact.list, verified: contact.verified || verified };
}
