import { createHash } from 'node:crypto';
import { toHex } from '../../src/bytes.js';
import type * as messages from '../../src/wire/ratchet-message.js';

/**
 * Knows the place in its chain of every ratchet message that somebody here could open the header of, whoever made it: a sender in
 * another process too. One place is one message key. A test file mocks a module with it:
 *
 *     vi.mock('../../src/wire/ratchet-message.js', async (original) => (await import('../helpers/header-watch.js')).watchHeaders(await original()));
 */
const messagesAt = new Map<string, Set<string>>();

export function watchHeaders(original: typeof messages): typeof messages {
  let tag = '';
  let hash = '';
  return {
    ...original,
    parseRatchetFrame(frame, profile) {
      const parsed = original.parseRatchetFrame(frame, profile);
      tag = toHex(parsed.tag);
      hash = createHash('sha256').update(frame).digest('base64');
      return parsed;
    },
    // Called only once the header has opened under the key that the tag names.
    decodeHeader(bytes) {
      const header = original.decodeHeader(bytes);
      const place = `${tag} ${header.n}`;
      messagesAt.set(place, (messagesAt.get(place) ?? new Set()).add(hash));
      return header;
    },
  };
}

/** How many places were seen, and those at which two different messages stood: there must be none. */
export function headersSeen(): { readonly count: number; readonly twice: readonly string[] } {
  return { count: messagesAt.size, twice: [...messagesAt].filter(([, hashes]) => hashes.size > 1).map(([place]) => place) };
}

export function forgetHeaders(): void {
  messagesAt.clear();
}
