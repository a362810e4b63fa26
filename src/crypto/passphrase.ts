/**
 * Argon2id (RFC 9106) with version 0x13 and 32-byte tags: keys from passphrases.
 *
 * Knows no policy: `store/sealed/passphrase.ts` says what costs are accepted. A file of its own so that only who asks for passphrases loads
 * it.
 */

import { argon2id, argon2idAsync } from '@noble/hashes/argon2.js';

/** What one derivation costs. */
export interface Argon2Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Called with fractions from 0 to 1 while a derivation runs; what it throws ends the derivation. */
export type OnProgress = (fraction: number) => void;

const optionsOf = ({ memoryKiB, passes, lanes }: Argon2Cost, onProgress: OnProgress) => ({
  m: memoryKiB,
  t: passes,
  p: lanes,
  dkLen: 32,
  onProgress,
});

/** The 32-byte key of a passphrase and a salt of at least 8 bytes; blocks for as long as it takes. */
export function argon2(passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, onProgress: OnProgress): Uint8Array {
  return argon2id(passphrase, salt, optionsOf(cost, onProgress));
}

/** `argon2` in slices of about 10 ms, with room for other tasks in between: slower, for where no worker can be started. */
export const argon2InSlices = (passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, onProgress: OnProgress) =>
  argon2idAsync(passphrase, salt, optionsOf(cost, onProgress));
