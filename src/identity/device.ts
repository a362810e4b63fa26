/**
 * One device of an account (section 2.2): its DIK and IKx, and the local record that holds them.
 *
 * A device that made its own account holds the AIK too. Knows no prekeys and no sessions; everything in `DeviceSecrets` but
 * `deviceList` and the public halves is secret.
 */

import { generateX25519, x25519KeyPair } from '../crypto/suite.js';
import { UsageError } from '../errors.js';
import { keyLimits, wireLimits } from '../limits.js';
import type { KeyPair, Rng } from '../step.js';
import { encodeAccount, encodeIdentity, parseDeviceList } from '../wire/objects.js';
import { decodeRecord, encodeRecord } from '../wire/record.js';
import { type AccountKey, compositeKeyPair, generateAccountKey, keyHash, signDeviceList } from './account.js';

/** All secrets of one device. Immutable; whoever holds it owns its buffers. */
export interface DeviceSecrets {
  readonly account: string;
  readonly device: number;
  /** 16 random bytes made with each store. */
  readonly incarnation: Uint8Array;
  /** AIK. */
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
  return deviceOf(account, generateAccountKey(rng), nowMs, rng, nowMs);
}

/**
 * A new device in the place of every other one of its account, with which it shares the account key and nothing else: DIK, IKx,
 * incarnation and device id are drawn, and the list, which is newer than version `listVersion`, holds it alone.
 */
export function replaceDevice(
  { account, accountKey }: Pick<DeviceSecrets, 'account' | 'accountKey'>,
  listVersion: number,
  rng: Rng,
  nowMs: number,
): DeviceSecrets {
  return deviceOf(account, accountKey, Math.max(listVersion + 1, nowMs), rng, nowMs);
}

function deviceOf(account: string, accountKey: AccountKey, listVersion: number, rng: Rng, nowMs: number): DeviceSecrets {
  const deviceKey = compositeKeyPair(rng(64));
  const dhKey = generateX25519(rng);
  const incarnation = rng(16);
  const device = drawDevice(rng);
  const entry = { device, keyHash: keyHash(deviceKey.publicKey), dhKey: dhKey.publicKey };
  const deviceList = signDeviceList(accountKey, account, [entry], listVersion, nowMs, rng);
  return { account, device, incarnation, accountKey, deviceKey, dhKey, deviceList };
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

/** Whether `renewDeviceList` would sign a list. */
export function isListDue({ deviceList }: DeviceSecrets, nowMs: number): boolean {
  const { issuedAt, freshUntil } = parseDeviceList(deviceList);
  return nowMs < issuedAt || nowMs >= freshUntil - keyLimits.listReissueLeftMs;
}

/**
 * Signs the device list anew when 3 days or less are left of its freshness, or its date lies in the future (a clock was wrong);
 * else returns the same object. The version becomes max(stored + 1, `nowMs`).
 */
export function renewDeviceList(device: DeviceSecrets, nowMs: number, rng: Rng): DeviceSecrets {
  if (!isListDue(device, nowMs)) return device;
  const { version, entries } = parseDeviceList(device.deviceList);
  const next = Math.max(version + 1, nowMs);
  return { ...device, deviceList: signDeviceList(device.accountKey, device.account, entries, next, nowMs, rng) };
}

const VERSION = 1;
const KIND = 'device';

/** The local record of a device, with secret keys as seeds. Secret; the caller owns and wipes it. */
export function encodeDevice(device: DeviceSecrets): Uint8Array {
  return encodeRecord(KIND, VERSION, {
    account: device.account,
    device: device.device,
    incarnation: device.incarnation,
    aik: device.accountKey.secretKey,
    dik: device.deviceKey.secretKey,
    ikx: device.dhKey.secretKey,
    list: device.deviceList,
  });
}

/** Reads a device's record; public keys are computed from the seeds. Throws `ERR_STORE_VERSION` and `ERR_STORE_CORRUPT`. */
export function decodeDevice(bytes: Uint8Array): DeviceSecrets {
  const record = decodeRecord(bytes, KIND, VERSION);
  return {
    account: record.text('account'),
    device: record.count('device'),
    incarnation: record.bytes('incarnation', 16),
    accountKey: compositeKeyPair(record.bytes('aik', 64)),
    deviceKey: compositeKeyPair(record.bytes('dik', 64)),
    dhKey: x25519KeyPair(record.bytes('ikx', 32)),
    deviceList: record.bytes('list'),
  };
}
