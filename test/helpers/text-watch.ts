import { toHex } from '../../src/bytes.js';
import type * as ratchet from '../../src/ratchet/ratchet.js';
import { ratchetMessage } from './key-watch.js';

/**
 * Knows what every ratchet message says: which of the texts that a test marks as `<text 1>`, `<text 2>`, … A test file mocks a module with it,
 * and those of `key-watch.ts`:
 *
 *     vi.mock('../../src/ratchet/ratchet.js', async (original) => (await import('../helpers/text-watch.js')).watchTexts(await original()));
 */
const textsOf = new Map<string, readonly string[]>();

/** The ratchet, which notes what it encrypts. */
export function watchTexts(original: typeof ratchet): typeof ratchet {
  return {
    ...original,
    encrypt(state, plaintext, rng) {
      const texts =
        Buffer.from(plaintext)
          .toString('latin1')
          .match(/<text \d+>/g) ?? [];
      const step = original.encrypt(state, plaintext, rng);
      textsOf.set(nameOf(step.out), [...new Set(texts)]);
      return step;
    },
  };
}

/** The header nonce is as good as the frame: no two have the same. */
const nameOf = (message: Uint8Array): string => toHex(message.subarray(20, 44));

/** The marked texts in an envelope. */
export function textsIn(envelope: Uint8Array): readonly string[] {
  const texts = textsOf.get(nameOf(ratchetMessage(envelope)));
  if (texts === undefined) throw new Error('a message that nobody encrypted');
  return texts;
}

export function forgetTexts(): void {
  textsOf.clear();
}
