/**
 * The conversations on their way to a device that was just linked: one record for each person and each line, as the page keeps them. The
 * SDK carries bytes; this is what they say here.
 */

import type { Line, Person } from './history.js';
import type { Talk } from './session.js';

/** What one record holds. */
export type Moved = { readonly person: Person } | { readonly line: Line };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** All that is shown and stays: what has not left yet comes to the other device by itself, once it has. */
export function* recordsOf(talks: readonly Talk[]): Iterable<Uint8Array> {
  for (const { person, lines } of talks) {
    // The SDK of the other device knows of no timer before somebody sets one.
    yield encode({ person: { ...person, timer: undefined } });
    for (const line of lines) if (!['unsent', 'queued', 'held'].includes(line.state ?? '')) yield encode({ line: moved(line) });
  }
}

/** A line as the other device has it: under the id of its message, as if that had come there, but its SDK knows nothing of it. */
function moved({ id, reference: _, ...line }: Line): Line {
  return { ...line, key: id ?? line.key, ...(line.own && { elsewhere: true }) };
}

const encode = (moved: Moved): Uint8Array => encoder.encode(JSON.stringify(moved));

/** Reverse of `recordsOf`. The sender is one's own other device, and the page its own. */
export function readRecord(record: Uint8Array): Moved {
  return JSON.parse(decoder.decode(record));
}
