/** The braid's authenticator (section 4.4): a MAC key that every epoch moves on, so that an epoch stands only on the one before. Pure. */

import { concat, u32 } from '../../bytes.js';
import { info } from '../../crypto/labels.js';
import { hkdfSha256, hmacSha256 } from '../../crypto/suite.js';

/** root and mac key, 32 bytes each. */
export interface Authenticator {
  readonly root: Uint8Array;
  readonly mac: Uint8Array;
}

/** Length of both MACs, in bytes. */
export const MAC_BYTES = 32;

const ZERO_32 = new Uint8Array(32);

/** update(e, k): root ‖ mac = HKDF-SHA-256(salt = 0³², ikm = root ‖ k, INFO("scka/auth", u32 e), 64). Both buffers are new. */
export function updateAuthenticator({ root }: Pick<Authenticator, 'root'>, epoch: number, secret: Uint8Array): Authenticator {
  const ikm = concat(root, secret);
  const okm = hkdfSha256(ZERO_32, ikm, info('scka/auth', u32(epoch)), 64);
  ikm.fill(0);
  const next = { root: okm.slice(0, 32), mac: okm.slice(32) };
  okm.fill(0);
  return next;
}

/** The authenticator of a new session: update(1, SCKA_SK) from zeros. */
export function startAuthenticator(sckaSecret: Uint8Array): Authenticator {
  return updateAuthenticator({ root: ZERO_32 }, 1, sckaSecret);
}

/** hdrMac = HMAC(mac, INFO("scka/hdr-mac", u32 e, hdr 64)). */
export function headerMac({ mac }: Authenticator, epoch: number, header: Uint8Array): Uint8Array {
  return hmacSha256(mac, info('scka/hdr-mac', u32(epoch), header));
}

/** ctMac = HMAC(mac, INFO("scka/ct-mac", u32 e, ct1 ‖ ct2)), after update(e, k_e): it confirms k_e too. */
export function ciphertextMac({ mac }: Authenticator, epoch: number, ct1: Uint8Array, ct2: Uint8Array): Uint8Array {
  return hmacSha256(mac, info('scka/ct-mac', u32(epoch), concat(ct1, ct2)));
}

/** k_e = HKDF-SHA-256(salt = 0³², ikm = ss, INFO("scka/key", u32 e), 32). */
export function epochSecret(sharedSecret: Uint8Array, epoch: number): Uint8Array {
  return hkdfSha256(ZERO_32, sharedSecret, info('scka/key', u32(epoch)), 32);
}
