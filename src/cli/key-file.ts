/**
 * The file of an organisation's root key, encrypted under a passphrase.
 *
 * ```
 * CYPHR/1 ␠ 8 · format u8 = 1 · public key 48 · lp16 slot · XChaCha20-Poly1305 of the secret key 96
 * ```
 * The slot is a store's passphrase slot (Argon2id, 64 MiB), around a key that encrypts this one secret and nothing else, so its nonce is zero.
 * Both are bound to the public key.
 */

import { passphraseSlot } from '@cyphr/e2ee/store/sealed';
import { encodeUtf8, equal, wipe } from '../bytes.js';
import { info, PX } from '../crypto/labels.js';
import { SLH_PUBLIC_KEY_BYTES, SLH_SECRET_KEY_BYTES } from '../crypto/slh-dsa.js';
import { xchachaOpen, xchachaSeal } from '../crypto/suite.js';
import { isCyphrError, StoreError } from '../errors.js';
import type { KeyPair, Rng } from '../step.js';
import { reader, writer } from '../wire/codec.js';
import { readFields, writeFields } from '../wire/layout.js';

const MAGIC = encodeUtf8(PX)!;
const FORMAT = 1;
/** What stands behind the magic, and behind the format. */
export const KEY_FILE = { publicKey: SLH_PUBLIC_KEY_BYTES, slot: 'lp16', box: 'rest' } as const;
const NONCE = new Uint8Array(24);

/** Encrypts a root key. Rejects with `ERR_ARGUMENT` for an empty passphrase. */
export async function sealRootKey({ publicKey, secretKey }: KeyPair, passphrase: string, rng: Rng): Promise<Uint8Array> {
  const ad = info('id/root', publicKey);
  const key = rng(32);
  try {
    const slot = await passphraseSlot(() => passphrase).seal(key, ad);
    const box = xchachaSeal(key, NONCE, ad, secretKey);
    return writeFields(writer().bytes(MAGIC).u8(FORMAT), KEY_FILE, { publicKey, slot, box }).finish();
  } finally {
    wipe(key);
  }
}

/**
 * Opens what `sealRootKey` made; the caller wipes the secret key. Rejects with `ERR_STORE_KEY` for a wrong passphrase, `ERR_STORE_CORRUPT`
 * for another file or a damaged one, `ERR_STORE_VERSION` for a later format.
 */
export async function openRootKey(file: Uint8Array, passphrase: string): Promise<KeyPair> {
  const { publicKey, slot, box } = parse(file);
  const ad = info('id/root', publicKey);
  const key = await openSlot(slot, ad, passphrase);
  try {
    const secretKey = xchachaOpen(key, NONCE, ad, box);
    // The second half of an SLH-DSA secret key is the public one.
    if (secretKey.length === SLH_SECRET_KEY_BYTES && equal(secretKey.subarray(SLH_PUBLIC_KEY_BYTES), publicKey)) {
      return { publicKey, secretKey };
    }
    throw damaged();
  } catch (error) {
    throw isCyphrError(error) && error.code === 'ERR_DECRYPT' ? damaged(error) : error;
  } finally {
    wipe(key);
  }
}

async function openSlot(slot: Uint8Array, ad: Uint8Array, passphrase: string): Promise<Uint8Array> {
  try {
    return await passphraseSlot(() => passphrase).open(slot, ad);
  } catch (cause) {
    if (!isCyphrError(cause) || cause.code !== 'ERR_STORE_KEY') throw cause;
    throw new StoreError('ERR_STORE_KEY', 'the passphrase does not open this key', { field: 'key', cause });
  }
}

function parse(file: Uint8Array): { readonly publicKey: Uint8Array; readonly slot: Uint8Array; readonly box: Uint8Array } {
  const from = reader(file);
  try {
    if (!equal(from.bytes(MAGIC.length), MAGIC)) throw damaged();
    const format = from.u8();
    if (format !== FORMAT) {
      throw new StoreError('ERR_STORE_VERSION', 'the key file was made by a newer version', { field: 'key', got: format, max: FORMAT });
    }
    return readFields(from, KEY_FILE);
  } catch (error) {
    throw isCyphrError(error) && error.code === 'ERR_DECODE' ? damaged(error) : error;
  }
}

function damaged(cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'this is no root key, or a damaged one', { field: 'key', cause });
}
