import { describe, expect, test } from 'vitest';
import { equal } from '../../src/bytes.js';
import { keyHash, verifyDeviceList } from '../../src/identity/account.js';
import {
  decodeDevice,
  encodeDevice,
  entryOf,
  generateDevice,
  generateDeviceKeys,
  identityBytes,
  relist,
  renewDeviceList,
  replaceDevice,
  underList,
} from '../../src/identity/device.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import { parseIdentity } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const DAY = 86_400_000;
const device = generateDevice('alice', testRng('device'), NOW);
/** As a linked one has it: without the secret half of the account key. */
const linked = { ...device, accountKey: { publicKey: device.accountKey.publicKey, secretKey: undefined } };
const store = (code: string) => expect.objectContaining({ name: 'StoreError', code });

describe('generateDevice', () => {
  test('makes a device that its account lists', () => {
    const list = verifyDeviceList(device.deviceList, device.accountKey.publicKey);
    expect(list).toMatchObject({ account: 'alice', version: NOW, issuedAt: NOW });
    expect(list.entries).toEqual([{ device: device.device, keyHash: keyHash(device.deviceKey.publicKey), dhKey: device.dhKey.publicKey }]);
    expect(device.incarnation.length).toBe(16);
  });

  test('device ids are in range, whatever the randomness', () => {
    for (const fill of [0, 0xff, 0x7f, 0x80]) {
      const { device: id } = generateDevice('a', (length) => new Uint8Array(length).fill(fill), NOW);
      expect(id).toBeGreaterThanOrEqual(1);
      expect(id).toBeLessThanOrEqual(0x7fff_ffff);
    }
  });

  test.each(['', 'x'.repeat(65), '\udc00'])('account %j is refused', (account) => {
    expect(() => generateDevice(account, testRng('x'), NOW)).toThrow(
      expect.objectContaining({ name: 'UsageError', code: 'ERR_ARGUMENT', field: 'account' }),
    );
  });

  test('identityBytes', () => {
    expect(parseIdentity(identityBytes(device))).toEqual({
      accountKey: device.accountKey.publicKey,
      deviceList: device.deviceList,
      deviceKey: device.deviceKey.publicKey,
    });
  });
});

describe('generateDeviceKeys', () => {
  test('draws ids until one is free, and the keys once', () => {
    const taken = [entryOf(generateDeviceKeys(testRng('keys'))), { ...entryOf(device), device: 5 }];
    const { device: free, ...keys } = generateDeviceKeys(testRng('keys'), taken);
    expect(taken.map(({ device }) => device)).not.toContain(free);
    expect(generateDeviceKeys(testRng('keys'))).toEqual({ ...keys, device: taken[0]!.device });
  });
});

test('underList: the device as it was, under that list', () => {
  const list = verifyDeviceList(relist(device, [entryOf(device)], NOW + 1, testRng('u')).deviceList, device.accountKey.publicKey);
  expect(underList(linked, list)).toEqual({ ...linked, deviceList: list.bytes });
});

describe('renewDeviceList', () => {
  test('nothing while more than 3 days are left', () => {
    expect(renewDeviceList(device, NOW, testRng('r'))).toBe(device);
    expect(renewDeviceList(device, NOW + 4 * DAY - 1, testRng('r'))).toBe(device);
  });

  test('nothing on a linked device: only a primary one can sign', () => {
    expect(renewDeviceList(linked, NOW + 100 * DAY, testRng('r'))).toBe(linked);
  });

  test.each([NOW + 4 * DAY, NOW + 100 * DAY])('a new list when 3 days or less are left', (now) => {
    const renewed = renewDeviceList(device, now, testRng('r'));
    const list = verifyDeviceList(renewed.deviceList, device.accountKey.publicKey);
    expect(list).toMatchObject({ version: now, issuedAt: now, freshUntil: now + 7 * DAY });
    expect({ ...renewed, deviceList: device.deviceList }).toEqual(device);
  });

  test('T41: a clock that went back still gives a greater version', () => {
    const renewed = renewDeviceList(device, NOW - 3650 * DAY, testRng('r'));
    expect(verifyDeviceList(renewed.deviceList, device.accountKey.publicKey)).toMatchObject({
      version: NOW + 1,
      issuedAt: NOW - 3650 * DAY,
    });
  });
});

describe('replaceDevice', () => {
  const replaced = replaceDevice(device, [], 0, testRng('replaced'), NOW + DAY);

  test('keeps the account and its key, and nothing else', () => {
    expect([replaced.account, replaced.accountKey]).toEqual([device.account, device.accountKey]);
    for (const field of ['device', 'incarnation', 'deviceKey', 'dhKey', 'deviceList'] as const) {
      expect(replaced[field], field).not.toEqual(device[field]);
    }
  });

  test('the list is sound and holds the new device alone', () => {
    const list = verifyDeviceList(replaced.deviceList, device.accountKey.publicKey);
    expect(list).toMatchObject({ account: device.account, version: NOW + DAY, issuedAt: NOW + DAY });
    expect(list.entries).toEqual([
      { device: replaced.device, keyHash: keyHash(replaced.deviceKey.publicKey), dhKey: replaced.dhKey.publicKey },
    ]);
  });

  test('beside others it stands in its place: ids ascend', () => {
    const others = [1, 0x7fff_ffff].map((id) => ({ device: id, keyHash: new Uint8Array(64).fill(id), dhKey: new Uint8Array(32).fill(9) }));
    const beside = replaceDevice(device, others, 0, testRng('beside'), NOW);
    const { entries } = verifyDeviceList(beside.deviceList, device.accountKey.publicKey);
    expect(entries).toEqual([others[0], entryOf(beside), others[1]]);
  });

  test('T41: the list is newer than every one that is known, whatever the clock says', () => {
    const versionOf = (next: typeof device): number => verifyDeviceList(next.deviceList, device.accountKey.publicKey).version;
    expect(versionOf(replaceDevice(device, [], NOW, testRng('r'), NOW - 3650 * DAY))).toBe(NOW + 1);
    expect(versionOf(replaceDevice(device, [], 5, testRng('r'), NOW))).toBe(NOW);
  });
});

describe('record', () => {
  const bytes = encodeDevice(device);
  const fields = decodeMsgpack(bytes) as Record<string, unknown>;

  test('round trip', () => {
    expect(Object.entries(fields).slice(0, 2)).toEqual([
      ['v', 1],
      ['kind', 'device'],
    ]);
    const back = decodeDevice(bytes);
    expect(back).toEqual(device);
    expect(equal(back.deviceKey.publicKey, device.deviceKey.publicKey)).toBe(true);
  });

  test('a linked device has the public half of the account key alone', () => {
    expect(decodeDevice(encodeDevice(linked))).toEqual(linked);
  });

  test('T46: a newer version', () => {
    expect(() => decodeDevice(encodeMsgpack({ ...fields, v: 2, kind: 'what ever' }))).toThrow(store('ERR_STORE_VERSION'));
  });

  test.each<[string, Record<string, unknown>]>([
    ['version 0', { v: 0 }],
    ['a version that is text', { v: '1' }],
    ['another kind', { kind: 'prekeys' }],
    ['a kind that is a number', { kind: 1 }],
    ['an account that is a number', { account: 5 }],
    ['a negative device', { device: -1 }],
    ['a fractional device', { device: 1.5 }],
    ['a short key', { aik: new Uint8Array(63) }],
    ['a short public key', { aik: device.accountKey.publicKey.slice(1) }],
    ['a key that is text', { dik: 'x'.repeat(64) }],
    ['no list', { list: null }],
  ])('%s is corrupt', (_name, change) => {
    expect(() => decodeDevice(encodeMsgpack({ ...fields, ...change }))).toThrow(store('ERR_STORE_CORRUPT'));
  });

  test.each([null, 5, [], new Uint8Array(3), {}])('%j is corrupt', (value) => {
    expect(() => decodeDevice(encodeMsgpack(value))).toThrow(store('ERR_STORE_CORRUPT'));
  });

  test('every truncation is corrupt', () => {
    for (let i = 0; i < bytes.length; i += 37) expect(() => decodeDevice(bytes.slice(0, i))).toThrow(store('ERR_STORE_CORRUPT'));
  });
});
