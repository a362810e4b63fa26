/** A key slot for a key that something else keeps: the system's keychain, a key management service, an environment's secret. */

import { concat, copy, wipe } from '../../bytes.js';
import { info } from '../../crypto/labels.js';
import { hkdfSha256, xchachaOpen, xchachaSeal } from '../../crypto/suite.js';
import { UsageError } from '../../errors.js';
import type { KeySlot } from '../port.js';
import { corrupt, MASTER_KEY_BYTES } from './layout.js';
import { NONCE_BYTES, syntheticNonce } from './random.js';
import { wrongKey } from './slots.js';

const KEY_BYTES = 32;
export const BOX_BYTES = NONCE_BYTES + MASTER_KEY_BYTES + 16;

/**
 * A slot that opens with `key`: 32 uniformly random bytes, not a password. They are copied; the copy lives as long as the slot.
 *
 * Throws `ERR_ARGUMENT` unless `key` is a Uint8Array, `ERR_LENGTH` unless it has 32 bytes.
 */
export function rawKeySlot(key: Uint8Array): KeySlot {
  if (!(key instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'key must be a Uint8Array', { field: 'key' });
  if (key.length !== KEY_BYTES)
    throw new UsageError('ERR_LENGTH', 'key must have 32 bytes', { field: 'key', got: key.length, max: KEY_BYTES });
  const own = copy(key);
  return {
    kind: 'raw',
    async seal(masterKey, ad) {
      return withKek(own, (kek) => sealBox(kek, masterKey, ad));
    },
    async open(sealed, ad) {
      if (sealed.length !== BOX_BYTES) throw corrupt('slot');
      return withKek(own, (kek) => openBox(kek, sealed, ad));
    },
  };
}

/** Runs `body` with the key-encryption key of a uniformly random `key`, and wipes it. */
export function withKek<T>(key: Uint8Array, body: (kek: Uint8Array) => T): T {
  const kek = hkdfSha256(new Uint8Array(32), key, info('store/kek'), 32);
  try {
    return body(kek);
  } finally {
    wipe(kek);
  }
}

/** nonce 24 ‖ XChaCha20-Poly1305 of the master key: 72 bytes. `header` is what else stands in the slot's bytes. */
export function sealBox(kek: Uint8Array, masterKey: Uint8Array, ad: Uint8Array, header: Uint8Array = new Uint8Array(0)): Uint8Array {
  const boxAd = info('store/box', ad, header);
  const nonceKey = hkdfSha256(new Uint8Array(32), kek, info('store/nonce'), 32);
  const nonce = syntheticNonce(nonceKey, boxAd, masterKey);
  wipe(nonceKey);
  return concat(nonce, xchachaSeal(kek, nonce, boxAd, masterKey));
}

/** Opens `sealBox`; throws `ERR_STORE_KEY`. */
export function openBox(kek: Uint8Array, box: Uint8Array, ad: Uint8Array, header: Uint8Array = new Uint8Array(0)): Uint8Array {
  try {
    return xchachaOpen(kek, box.subarray(0, NONCE_BYTES), info('store/box', ad, header), box.subarray(NONCE_BYTES));
  } catch (error) {
    throw wrongKey(error);
  }
}
