import { createHash } from 'node:crypto';
import type * as composite from '../../src/crypto/composite.js';

/**
 * Signatures that are verified once, and public keys that are made once: many devices in one process look at the same ones, and begin
 * often. Both are pure functions.
 *
 *     vi.mock('../../src/crypto/composite.js', async (original) =>
 *       (await import('../helpers/remembered-signatures.js')).rememberSignatures(await original()));
 */
export function rememberSignatures(original: typeof composite): typeof composite {
  const known = new Map<string, boolean>();
  const publicKeys = new Map<string, Uint8Array>();
  return {
    ...original,
    compositePublicKey(secretKey) {
      const name = Buffer.from(secretKey).toString('base64');
      const made = publicKeys.get(name) ?? original.compositePublicKey(secretKey);
      if (publicKeys.size >= MOST) publicKeys.clear();
      publicKeys.set(name, made);
      return made.slice();
    },
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
