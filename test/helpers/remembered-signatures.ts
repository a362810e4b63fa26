import { createHash } from 'node:crypto';
import type * as composite from '../../src/crypto/composite.js';

/**
 * Signatures that are verified once: many devices in one process look at the same ones. Verification is a pure function.
 *
 *     vi.mock('../../src/crypto/composite.js', async (original) =>
 *       (await import('../helpers/remembered-signatures.js')).rememberSignatures(await original()));
 */
export function rememberSignatures(original: typeof composite): typeof composite {
  const known = new Map<string, boolean>();
  return {
    ...original,
    compositeVerify(publicKey, message, label, signature) {
      const hash = createHash('sha256').update(`${label} ${publicKey.length} ${message.length} `);
      const name = hash.update(publicKey).update(message).update(signature).digest('base64');
      const holds = known.get(name) ?? original.compositeVerify(publicKey, message, label, signature);
      if (known.size >= MOST) known.clear();
      known.set(name, holds);
      return holds;
    },
  };
}

const MOST = 20_000;
