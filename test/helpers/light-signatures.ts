import { createHash } from 'node:crypto';
import { backend } from '#backend';
import type * as composite from '../../src/crypto/composite.js';

/**
 * Composite signatures whose ML-DSA half is a hash that anybody can make: for models in which nobody forges, and signing would take half
 * the time. The Ed25519 half, the lengths and what is drawn at random are the true ones.
 *
 *     vi.mock('../../src/crypto/composite.js', async (original) =>
 *       (await import('../helpers/light-signatures.js')).lightSignatures(await original()));
 */
export function lightSignatures(original: typeof composite): typeof composite {
  const { COMPOSITE_PUBLIC_KEY_BYTES: keyBytes, COMPOSITE_SIGNATURE_BYTES: signatureBytes } = original;
  const half = (outputLength: number, ...parts: readonly Uint8Array[]): Buffer => {
    const hash = createHash('shake256', { outputLength });
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  const signedPart = (message: Uint8Array, label: string): Uint8Array => Buffer.concat([Buffer.from(`${label} `), message]);
  const bytes = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
  const publicKeyOf = (ed: Uint8Array): Uint8Array => bytes(half(keyBytes - 32, ed), ed);
  const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
  return {
    ...original,
    compositePublicKey: (seeds) => publicKeyOf(backend.ed25519PublicKey(seeds.subarray(32))),
    compositeSign(seeds, message, label, rng) {
      rng(32);
      const ed = seeds.subarray(32);
      const signed = signedPart(message, label);
      return bytes(half(signatureBytes - 64, backend.ed25519PublicKey(ed), signed), backend.ed25519Sign(ed, signed));
    },
    compositeVerify(publicKey, message, label, signature) {
      if (publicKey.length !== keyBytes || signature.length !== signatureBytes) return false;
      const ed = publicKey.subarray(-32);
      const signed = signedPart(message, label);
      const isWhole = same(publicKey, publicKeyOf(ed)) && same(signature.subarray(0, -64), half(signatureBytes - 64, ed, signed));
      return isWhole && backend.ed25519Verify(ed, signed, signature.subarray(-64));
    },
  };
}
