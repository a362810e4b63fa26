import { describe, expect, test } from 'vitest';
import { concat, u64 } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { sha256, sha512 } from '../../src/crypto/suite.js';
import { bundlePart, generateAccountKey, keyHash, listsUnder, signDeviceList, verifyDeviceList } from '../../src/identity/account.js';
import { encodeDeviceList, encodeIdentity, parseDeviceList } from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const rng = testRng('account');
const account = generateAccountKey(rng);
const entry = { device: 7, keyHash: new Uint8Array(64).fill(3), dhKey: new Uint8Array(32).fill(9) };
const list = signDeviceList(account, 'alice', [entry], 5, NOW, rng);
const fault = expect.objectContaining({ name: 'AuthError', code: 'ERR_BUNDLE' });
const malformed = expect.objectContaining({ code: 'ERR_BUNDLE', cause: expect.objectContaining({ code: 'ERR_DECODE' }) });

describe('device list', () => {
  test('verifies and gives its fields', () => {
    const { tbs } = parseDeviceList(list);
    expect(verifyDeviceList(list, account.publicKey)).toEqual({
      account: 'alice',
      accountId: new Uint8Array([97, 108, 105, 99, 101]),
      accountKeyHash: sha512(account.publicKey),
      version: 5,
      issuedAt: NOW,
      freshUntil: NOW + 7 * 86_400_000,
      entries: [entry],
      bytes: list,
      shortHash: sha256(tbs).slice(0, 8),
    });
    expect(keyHash(account.publicKey)).toEqual(sha512(account.publicKey));
  });

  test('T11: another account key', () => {
    expect(() => verifyDeviceList(list, generateAccountKey(rng).publicKey)).toThrow(fault);
    // The list names the other key, but is signed by ours.
    const other = generateAccountKey(rng);
    const tbs = encodeDeviceList({ ...parseDeviceList(list), accountKeyHash: keyHash(other.publicKey) });
    expect(() => verifyDeviceList(concat(tbs, compositeSign(account.secretKey, tbs, 'id/list', rng)), other.publicKey)).toThrow(fault);
  });

  test('every byte counts, the signature included', () => {
    for (let i = 0; i < list.length; i += i < 200 ? 11 : 401)
      expect(() => verifyDeviceList(flip(list, i), account.publicKey)).toThrow(fault);
  });

  test('T06: a signature of another context', () => {
    const { tbs } = parseDeviceList(list);
    expect(() => verifyDeviceList(concat(tbs, compositeSign(account.secretKey, tbs, 'pk/set', rng)), account.publicKey)).toThrow(fault);
  });

  test('T01: an X25519 key that is not canonical, of whichever device', () => {
    const other = { ...entry, device: 8, keyHash: new Uint8Array(64).fill(4) };
    for (const dhKey of [new Uint8Array(32).fill(0xff), concat(u64(0), u64(0), u64(0), u64(0)).fill(0x80, 31)]) {
      for (const entries of [[{ ...entry, dhKey }], [{ ...entry, dhKey }, other], [entry, { ...other, dhKey }]]) {
        const bad = signDeviceList(account, 'alice', entries, 5, NOW, rng);
        expect(() => verifyDeviceList(bad, account.publicKey)).toThrow(fault);
      }
    }
  });

  test('is signed by a device that has the account key, and by no other', () => {
    const linked = { publicKey: account.publicKey, secretKey: undefined };
    expect(() => signDeviceList(linked, 'alice', [entry], 5, NOW, rng)).toThrow(
      expect.objectContaining({ name: 'TrustError', code: 'ERR_DEVICE_UNTRUSTED' }),
    );
  });

  test('the cause says locally what its bytes got wrong', () => {
    expect(() => verifyDeviceList(list.slice(1), account.publicKey)).toThrow(malformed);
    expect(() => verifyDeviceList(flip(list), account.publicKey)).not.toThrow(malformed);
  });

  test('only a DecodeError becomes ERR_BUNDLE', () => {
    expect(() =>
      bundlePart(() => {
        throw new RangeError('x');
      }),
    ).toThrow(RangeError);
  });
});

describe('the lists in what a directory shows', () => {
  const other = generateAccountKey(rng);
  const deviceKey = account.publicKey;
  const shown = (deviceList: Uint8Array, accountKey = account.publicKey) => encodeIdentity({ accountKey, deviceList, deviceKey });
  const newer = signDeviceList(account, 'alice', [entry], 6, NOW, rng);
  const bytesOf = (...identities: readonly Uint8Array[]) => listsUnder(account.publicKey, identities).map(({ bytes }) => bytes);

  test('are those under this account key, in their order; of another account nothing is looked at but the key', () => {
    const theirs = shown(signDeviceList(other, 'alice', [entry], 7, NOW, rng), other.publicKey);
    expect(bytesOf(shown(list), theirs, shown(newer))).toEqual([list, newer]);
    expect(bytesOf(shown(flip(list), other.publicKey), shown(newer))).toEqual([newer]);
    expect(bytesOf(theirs)).toEqual([]);
    expect(bytesOf()).toEqual([]);
  });

  test('one that does not verify is a fault of all, and so is what does not parse, whosever it is', () => {
    expect(() => bytesOf(shown(list), shown(flip(newer)))).toThrow(fault);
    expect(() => bytesOf(shown(signDeviceList(other, 'alice', [entry], 6, NOW, rng)))).toThrow(fault);
    expect(() => bytesOf(shown(list), shown(list, other.publicKey).slice(1))).toThrow(malformed);
  });
});
