/**
 * Verification of what a directory hands out (section 2.3, step 1). The only door to a `VerifiedBundle`, without which there is no
 * handshake.
 *
 * Knows signatures, dates and consistency; the pin, the stored list and the override are the caller's knowledge, given as values.
 */

import { compare, equal } from '../bytes.js';
import { compositeVerify } from '../crypto/composite.js';
import { isX25519PublicKey, mlKem768, mlKem1024, sha512 } from '../crypto/suite.js';
import { TrustError, UsageError } from '../errors.js';
import { bundleFault, bundlePart, keyHash, type VerifiedDeviceList, verifyDeviceList } from '../identity/account.js';
import { keyLimits, wireLimits } from '../limits.js';
import type { Address, BundleBytes } from '../step.js';
import { VERSION } from '../wire/codec.js';
import { parseBatch, parseDeviceList, parseIdentity, parseOneTimeEntry, parseSignedSet, type SignedSetFields } from '../wire/objects.js';
import { leafHash, verifyMerklePath } from './merkle.js';

declare const brand: unique symbol;

/** A device's keys after every check. Only `verifyBundle` makes one, and `initiate` takes no other. All of it is public. */
export interface VerifiedBundle {
  readonly [brand]: 'VerifiedBundle';
  readonly address: Address;
  /** H(AIK), 64 bytes: what a pin holds. */
  readonly accountKeyHash: Uint8Array;
  /** AIK and DIK, 1,984 bytes each; IKx, 32 bytes. */
  readonly accountKey: Uint8Array;
  readonly deviceKey: Uint8Array;
  readonly dhKey: Uint8Array;
  /** The newer of the fetched and the known list. */
  readonly list: VerifiedDeviceList;
  /** Past `freshUntil`: new sessions to devices that are known only. */
  readonly listIsStale: boolean;
  readonly signedSet: VerifiedSet;
  readonly oneTime: VerifiedOneTime | undefined;
}

/** A verified SignedSet. */
export interface VerifiedSet extends SignedSetFields {
  /** H(SignedSet), 64 bytes. */
  readonly hash: Uint8Array;
  /** TBS‖sig as received. */
  readonly bytes: Uint8Array;
}

/** A verified one-time unit: otId 8, OPK 32, PQOPK 1,568 bytes, H(OneTimeBatch) 64. */
export interface VerifiedOneTime {
  readonly otId: Uint8Array;
  readonly oneTimePrekey: Uint8Array;
  readonly oneTimeKemPrekey: Uint8Array;
  readonly batchHash: Uint8Array;
}

/** What the caller remembers of this peer. */
export interface KnownPeer {
  /** The newest DeviceList TBS‖sig that verified before. */
  readonly list?: Uint8Array | undefined;
  /** seq and H(SignedSet) of the device's newest set that verified before. */
  readonly setSeq?: number | undefined;
  readonly setHash?: Uint8Array | undefined;
  /** The greatest protocol version that was ever common with this device. */
  readonly verFloor?: number | undefined;
  /** The application goes on with a list that is older than 90 days. */
  readonly staleOverride?: boolean | undefined;
}

const genuine = new WeakSet<object>();

/**
 * Verifies a bundle for use within 24 hours. `pinnedIdentity` is the pinned H(AIK), 64 bytes, or `undefined` on first contact.
 * Throws `ERR_BUNDLE` for every fault of the bytes; `ERR_LIST_STALE` if they are sound but the list is older than 90 days;
 * `ERR_IDENTITY_CHANGED` if they are sound but not under the pinned identity. Keeps no reference to `bundle`.
 */
export function verifyBundle(
  bundle: BundleBytes,
  pinnedIdentity: Uint8Array | undefined,
  nowMs: number,
  known: KnownPeer = {},
): VerifiedBundle {
  const { address, oneTime } = bundle;
  const size = bundle.identity.length + bundle.signedSet.length + (oneTime === undefined ? 0 : oneTime.head.length + oneTime.entry.length);
  if (size > wireLimits.bundleBytes) throw bundleFault();

  const { accountKey, deviceList, deviceKey } = bundlePart(() => parseIdentity(bundle.identity));
  const list = newerList(verifyDeviceList(deviceList, accountKey), known.list, accountKey);
  const deviceKeyHash = keyHash(deviceKey);
  const entry = list.entries.find((listed) => listed.device === address.device && equal(listed.keyHash, deviceKeyHash));
  if (list.account !== address.account || entry === undefined) throw bundleFault();

  const owner: Owner = { address, deviceKey, deviceKeyHash, nowMs };
  const signedSet = verifySet(bundle.signedSet, owner, known);
  const unit = oneTime === undefined ? undefined : verifyOneTime(oneTime, owner);
  if (nowMs > list.issuedAt + keyLimits.listStaleMs && known.staleOverride !== true) {
    throw new TrustError('ERR_LIST_STALE', 'device list is older than 90 days');
  }
  if (pinnedIdentity !== undefined && !equal(pinnedIdentity, list.accountKeyHash)) {
    throw new TrustError('ERR_IDENTITY_CHANGED', 'the identity is not the pinned one');
  }
  const verified = {
    address: { account: address.account, device: address.device },
    accountKeyHash: list.accountKeyHash,
    accountKey,
    deviceKey,
    dhKey: entry.dhKey,
    list,
    listIsStale: nowMs > list.freshUntil,
    signedSet,
    oneTime: unit,
  } as Omit<VerifiedBundle, typeof brand> as VerifiedBundle;
  genuine.add(verified);
  return verified;
}

/** Throws `ERR_ARGUMENT` unless `verifyBundle` made this object. */
export function requireVerified(bundle: VerifiedBundle): void {
  if (!genuine.has(bundle)) throw new UsageError('ERR_ARGUMENT', 'not a bundle that verifyBundle returned', { field: 'bundle' });
}

/**
 * The newer of a list that has just verified and a stored one of the same account key; a stored one of another is of no account.
 * Throws `ERR_BUNDLE` for two lists with one version.
 */
export function newerList(list: VerifiedDeviceList, storedBytes: Uint8Array | undefined, accountKey: Uint8Array): VerifiedDeviceList {
  if (storedBytes === undefined) return list;
  const stored = bundlePart(() => parseDeviceList(storedBytes));
  if (!equal(stored.accountKeyHash, list.accountKeyHash) || stored.version < list.version) return list;
  if (stored.version > list.version) return verifyDeviceList(storedBytes, accountKey);
  if (compare(stored.tbs, parseDeviceList(list.bytes).tbs) !== 0) throw bundleFault();
  return list;
}

interface Owner {
  readonly address: Address;
  readonly deviceKey: Uint8Array;
  readonly deviceKeyHash: Uint8Array;
  readonly nowMs: number;
}

interface Owned {
  readonly account: string;
  readonly device: number;
  readonly deviceKeyHash: Uint8Array;
  readonly notAfter: number;
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whether an object belongs to the owner, is not past its date, and carries the owner's signature. */
function holds(object: Owned, label: 'pk/set' | 'pk/batch', { address, deviceKey, deviceKeyHash, nowMs }: Owner): boolean {
  return (
    object.account === address.account &&
    object.device === address.device &&
    equal(object.deviceKeyHash, deviceKeyHash) &&
    nowMs <= object.notAfter &&
    compositeVerify(deviceKey, object.tbs, label, object.signature)
  );
}

function verifySet(bytes: Uint8Array, owner: Owner, known: KnownPeer): VerifiedSet {
  const { signature, tbs, ...set } = bundlePart(() => parseSignedSet(bytes));
  const hash = sha512(tbs);
  const isSound =
    isX25519PublicKey(set.signedPrekey) &&
    mlKem1024.isPublicKey(set.lastResortKemPrekey) &&
    isSealKey(set.sealKey) &&
    // This library speaks version 1 only; below a version that was ever common nobody goes back.
    set.verMin <= VERSION &&
    VERSION >= (known.verFloor ?? VERSION) &&
    isNewer(set.seq, hash, known);
  if (!isSound || !holds({ ...set, tbs, signature }, 'pk/set', owner)) throw bundleFault();
  return { ...set, hash, bytes: bytes.slice() };
}

function isNewer(seq: number, hash: Uint8Array, { setSeq, setHash }: KnownPeer): boolean {
  if (setSeq === undefined || seq > setSeq) return true;
  return seq === setSeq && (setHash === undefined || equal(hash, setHash));
}

/** SEAL key: an ML-KEM-768 key 1,184 ‖ an X25519 key 32. */
function isSealKey(sealKey: Uint8Array): boolean {
  return mlKem768.isPublicKey(sealKey.subarray(0, 1184)) && isX25519PublicKey(sealKey.subarray(1184));
}

function verifyOneTime({ head, entry }: NonNullable<BundleBytes['oneTime']>, owner: Owner): VerifiedOneTime {
  const batch = bundlePart(() => parseBatch(head));
  const unit = bundlePart(() => parseOneTimeEntry(entry));
  const isSound =
    isX25519PublicKey(unit.oneTimePrekey) &&
    mlKem1024.isPublicKey(unit.oneTimeKemPrekey) &&
    verifyMerklePath(leafHash(batch.batchId, unit), unit.index, batch.count, unit.path, batch.root) &&
    holds(batch, 'pk/batch', owner);
  if (!isSound) throw bundleFault();
  return { otId: unit.otId, oneTimePrekey: unit.oneTimePrekey, oneTimeKemPrekey: unit.oneTimeKemPrekey, batchHash: sha512(batch.tbs) };
}
