/**
 * One device of an account (section 2.2): its DIK and IKx, and the local record that holds them.
 *
 * A primary device, as one that made its own account, holds the secret half of the AIK too; a linked one does not. Knows no prekeys and
 * no sessions; everything in `DeviceSecrets` but `deviceList` and the public halves is secret.
 */

import { generateX25519, x25519KeyPair } from '../crypto/suite.js';
import { UsageError } from '../errors.js';
import { keyLimits, wireLimits } from '../limits.js';
import type { KeyPair, Rng } from '../step.js';
import { encodeAccount } from '../wire/codec.js';
import { COMPOSITE_KEY_BYTES } from '../wire/frames.js';
import { type DeviceEntry, encodeIdentity, parseDeviceList } from '../wire/objects.js';
import { decodeRecord, encodeRecord } from '../wire/record.js';
import { type AccountKey, compositeKeyPair, generateAccountKey, keyHash, signDeviceList, type VerifiedDeviceList } from './account.js';

/** All secrets of one device. Immutable; whoever holds it owns its buffers. */
export interface DeviceSecrets {
  readonly account: string;
  readonly device: number;
  /** 16 random bytes made with each store. */
  readonly incarnation: Uint8Array;
  /** AIK; with its secret half on a primary device only. */
  readonly accountKey: AccountKey;
  /** DIK: composite, public 1,984 bytes, secret 64 bytes of seeds. */
  readonly deviceKey: KeyPair;
  /** IKx: X25519, 32 bytes each. */
  readonly dhKey: KeyPair;
  /** DeviceList TBS‖sig in which this device stands. */
  readonly deviceList: Uint8Array;
}

/**
 * Makes an account with one device: AIK, DIK, IKx, incarnation, a device id from 1 to 2³¹−1, and the first list.
 * Throws `ERR_ARGUMENT` with `field: 'account'` unless `account` is 1–64 bytes of well-formed text. Draws 276 bytes from `rng`.
 */
export function generateDevice(account: string, rng: Rng, nowMs: number): DeviceSecrets {
  if (encodeAccount(account) === undefined) {
    throw new UsageError('ERR_ARGUMENT', 'account must be 1-64 bytes of well-formed text', { field: 'account' });
  }
  return listedAmong([], { account, accountKey: generateAccountKey(rng), ...generateDeviceKeys(rng) }, nowMs, nowMs, rng);
}

/**
 * A new device beside `others` of its account, and in the place of every other one: it shares the account key and nothing else. DIK,
 * IKx, incarnation and device id are drawn, and its list is newer than version `listVersion`.
 * Throws `ERR_DEVICE_UNTRUSTED` without the secret half of the account key.
 */
export function replaceDevice(
  { account, accountKey }: Pick<DeviceSecrets, 'account' | 'accountKey'>,
  others: readonly DeviceEntry[],
  listVersion: number,
  rng: Rng,
  nowMs: number,
): DeviceSecrets {
  return listedAmong(others, { account, accountKey, ...generateDeviceKeys(rng, others) }, Math.max(listVersion + 1, nowMs), nowMs, rng);
}

/** Everything of a new device that is its own: DIK, IKx, incarnation, and an id that none of `others` has. Draws 128 bytes of `rng` or more. */
export function generateDeviceKeys(
  rng: Rng,
  others: readonly DeviceEntry[] = [],
): Pick<DeviceSecrets, 'device' | 'incarnation' | 'deviceKey' | 'dhKey'> {
  const deviceKey = compositeKeyPair(rng(64));
  const dhKey = generateX25519(rng);
  const incarnation = rng(16);
  for (;;) {
    const device = drawDevice(rng);
    if (others.every((entry) => entry.device !== device)) return { device, incarnation, deviceKey, dhKey };
  }
}

/** The line of a device list that stands for this device. */
export function entryOf({ device, deviceKey, dhKey }: Pick<DeviceSecrets, 'device' | 'deviceKey' | 'dhKey'>): DeviceEntry {
  return { device, keyHash: keyHash(deviceKey.publicKey), dhKey: dhKey.publicKey };
}

function listedAmong(
  others: readonly DeviceEntry[],
  keys: Omit<DeviceSecrets, 'deviceList'>,
  version: number,
  nowMs: number,
  rng: Rng,
): DeviceSecrets {
  const entries = [...others, entryOf(keys)].sort((a, b) => a.device - b.device);
  return { ...keys, deviceList: signDeviceList(keys.accountKey, keys.account, entries, version, nowMs, rng) };
}

/**
 * Signs a list of `entries`, ascending by device id, which is newer than the one that this device has.
 * Throws `ERR_DEVICE_UNTRUSTED` without the secret half of the account key.
 */
export function relist(device: DeviceSecrets, entries: readonly DeviceEntry[], nowMs: number, rng: Rng): DeviceSecrets {
  const version = Math.max(parseDeviceList(device.deviceList).version + 1, nowMs);
  return { ...device, deviceList: signDeviceList(device.accountKey, device.account, entries, version, nowMs, rng) };
}

/** The device under another list of its account, in which it must stand. */
export function underList(device: DeviceSecrets, { bytes }: VerifiedDeviceList): DeviceSecrets {
  return { ...device, deviceList: bytes };
}

/** 1…2³¹−1 from 8 bytes: the remainder's bias is below 2⁻³². */
function drawDevice(rng: Rng): number {
  const random = new DataView(new Uint8Array(rng(8)).buffer).getBigUint64(0);
  return 1 + Number(random % BigInt(wireLimits.deviceIdMax));
}

/** AIK 1984 ‖ lp16(DeviceList TBS‖sig) ‖ DIK 1984: the identity part of what the device publishes. */
export function identityBytes(device: DeviceSecrets): Uint8Array {
  return encodeIdentity({
    accountKey: device.accountKey.publicKey,
    deviceList: device.deviceList,
    deviceKey: device.deviceKey.publicKey,
  });
}

/** Whether the list is to be renewed: 3 days or less are left of its freshness, or its date lies in the future (a clock was wrong). */
export function isListDue({ deviceList }: DeviceSecrets, nowMs: number): boolean {
  const { issuedAt, freshUntil } = parseDeviceList(deviceList);
  return nowMs < issuedAt || nowMs >= freshUntil - keyLimits.listReissueLeftMs;
}

/**
 * Signs the device list anew when it is due and this device has the account key; else returns the same object. The version becomes
 * max(stored + 1, `nowMs`).
 */
export function renewDeviceList(device: DeviceSecrets, nowMs: number, rng: Rng): DeviceSecrets {
  if (device.accountKey.secretKey === undefined || !isListDue(device, nowMs)) return device;
  return relist(device, parseDeviceList(device.deviceList).entries, nowMs, rng);
}

const VERSION = 1;
const KIND = 'device';

/** The local record of a device, with secret keys as seeds. Secret; the caller owns and wipes it. */
export function encodeDevice(device: DeviceSecrets): Uint8Array {
  return encodeRecord(KIND, VERSION, {
    account: device.account,
    device: device.device,
    incarnation: device.incarnation,
    // 64 bytes are the seeds, 1,984 the public key of an account whose secret is elsewhere.
    aik: device.accountKey.secretKey ?? device.accountKey.publicKey,
    dik: device.deviceKey.secretKey,
    ikx: device.dhKey.secretKey,
    list: device.deviceList,
  });
}

/** Reads a device's record; public keys are computed from the seeds. Throws `ERR_STORE_VERSION` and `ERR_STORE_CORRUPT`. */
export function decodeDevice(bytes: Uint8Array): DeviceSecrets {
  const record = decodeRecord(bytes, KIND, VERSION);
  const isPrimary = record.bytes('aik').length === 64;
  return {
    account: record.text('account'),
    device: record.count('device'),
    incarnation: record.bytes('incarnation', 16),
    accountKey: isPrimary
      ? compositeKeyPair(record.bytes('aik', 64))
      : { publicKey: record.bytes('aik', COMPOSITE_KEY_BYTES), secretKey: undefined },
    deviceKey: compositeKeyPair(record.bytes('dik', 64)),
    dhKey: x25519KeyPair(record.bytes('ikx', 32)),
    deviceList: record.bytes('list'),
  };
}
