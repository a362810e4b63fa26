/**
 * Account keys and device lists (section 2.2): the AIK signs the list, and the list is the only certificate of a device.
 *
 * Knows who is a device of an account; knows no prekeys, no sessions, no pins.
 */

import { concat, encodeUtf8, equal } from '../bytes.js';
import { compositePublicKey, compositeSign, compositeVerify } from '../crypto/composite.js';
import { isX25519PublicKey, sha256, sha512 } from '../crypto/suite.js';
import { AuthError, DecodeError, TrustError } from '../errors.js';
import { keyLimits } from '../limits.js';
import type { KeyPair, Rng } from '../step.js';
import { type DeviceEntry, encodeDeviceList, parseDeviceList, parseIdentity } from '../wire/objects.js';

/** AIK as a device has it: `publicKey`, 1,984 bytes; `secretKey`, the two seeds, 64 bytes, only on a primary device. */
export interface AccountKey {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array | undefined;
}

declare const verified: unique symbol;

/** A device list whose signature, account key and X25519 keys were checked. Only `verifyDeviceList` makes one. */
export interface VerifiedDeviceList {
  readonly [verified]: 'VerifiedDeviceList';
  readonly account: string;
  /** `account` as it stands on the wire, 1–64 bytes. */
  readonly accountId: Uint8Array;
  /** H(AIK), 64 bytes. */
  readonly accountKeyHash: Uint8Array;
  readonly version: number;
  readonly issuedAt: number;
  readonly freshUntil: number;
  readonly entries: readonly DeviceEntry[];
  /** TBS‖sig as received. */
  readonly bytes: Uint8Array;
  /** SHA-256(TBS)[0:8]: what each plaintext says of the sender's own list. */
  readonly shortHash: Uint8Array;
}

/** Makes an AIK from 64 bytes of `rng`; the caller owns and wipes `secretKey`. */
export function generateAccountKey(rng: Rng): KeyPair {
  return compositeKeyPair(rng(64));
}

/** The key pair of two seeds, 64 bytes, kept in the result. */
export function compositeKeyPair(secretKey: Uint8Array): KeyPair {
  return { publicKey: compositePublicKey(secretKey), secretKey };
}

/** H(AIK) or H(DIK): SHA-512 of the 1,984-byte public key. */
export function keyHash(publicKey: Uint8Array): Uint8Array {
  return sha512(publicKey);
}

/**
 * Signs a DeviceList (0x40, ctx `id/list`): TBS‖sig. `freshUntil` is `nowMs` + 7 d. Entries must ascend by device id.
 * Throws `ERR_DEVICE_UNTRUSTED` without the secret half of the AIK.
 */
export function signDeviceList(
  { publicKey, secretKey }: AccountKey,
  account: string,
  entries: readonly DeviceEntry[],
  version: number,
  nowMs: number,
  rng: Rng,
): Uint8Array {
  if (secretKey === undefined) {
    throw new TrustError('ERR_DEVICE_UNTRUSTED', 'this device does not have the account key: only a primary device can do that');
  }
  const tbs = encodeDeviceList({
    account,
    accountKeyHash: keyHash(publicKey),
    version,
    issuedAt: nowMs,
    freshUntil: nowMs + keyLimits.listFreshMs,
    entries,
  });
  return concat(tbs, compositeSign(secretKey, tbs, 'id/list', rng));
}

/**
 * Verifies DeviceList TBS‖sig under the AIK `accountKey` (1,984 bytes). Says nothing of dates: they are the caller's question.
 * Throws `ERR_BUNDLE` for every fault.
 */
export function verifyDeviceList(bytes: Uint8Array, accountKey: Uint8Array): VerifiedDeviceList {
  const { tbs, signature, ...list } = bundlePart(() => parseDeviceList(bytes));
  const holds =
    equal(list.accountKeyHash, keyHash(accountKey)) &&
    list.entries.every((entry) => isX25519PublicKey(entry.dhKey)) &&
    compositeVerify(accountKey, tbs, 'id/list', signature);
  if (!holds) throw bundleFault();
  return {
    ...list,
    accountId: encodeUtf8(list.account)!,
    bytes,
    shortHash: sha256(tbs).slice(0, 8),
  } as Omit<VerifiedDeviceList, typeof verified> as VerifiedDeviceList;
}

/**
 * The lists under the AIK `accountKey` (1,984 bytes) in identity parts, as a directory shows them; parts of other accounts are left out.
 * Throws `ERR_BUNDLE` for a part that does not parse, and a list of this AIK that does not verify.
 */
export function listsUnder(accountKey: Uint8Array, identities: readonly Uint8Array[]): VerifiedDeviceList[] {
  const parts = identities.map((bytes) => bundlePart(() => parseIdentity(bytes)));
  return parts.filter((part) => equal(part.accountKey, accountKey)).map((part) => verifyDeviceList(part.deviceList, accountKey));
}

/** The one answer to a bundle or list that does not verify; `cause` says locally what its bytes got wrong. */
export function bundleFault(cause?: unknown): AuthError {
  return new AuthError('ERR_BUNDLE', 'keys of the peer did not verify', { cause });
}

/** Runs a parser of bytes that a directory or a peer supplied: its `DecodeError` becomes `ERR_BUNDLE`. */
export function bundlePart<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof DecodeError ? bundleFault(error) : error;
  }
}
