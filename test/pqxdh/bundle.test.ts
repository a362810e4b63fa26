import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { sha512 } from '../../src/crypto/suite.js';
import { type AuthError, DecodeError } from '../../src/errors.js';
import { keyHash, signDeviceList, verifyDeviceList } from '../../src/identity/account.js';
import { generateDevice } from '../../src/identity/device.js';
import { type KnownPeer, type VerifiedBundle, verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate } from '../../src/pqxdh/handshake.js';
import { leafHash } from '../../src/pqxdh/merkle.js';
import type { BundleBytes } from '../../src/step.js';
import {
  type BatchFields,
  encodeBatch,
  encodeIdentity,
  encodeOneTimeEntry,
  encodeSignedSet,
  type OneTimeEntry,
  parseBatch,
  parseOneTimeEntry,
  parseSignedSet,
  type SignedSetFields,
} from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';
import { bundleOf, DAY, makeParty, NOW } from './world.js';

const bob = makeParty('bob');
const { device } = bob;
const mallory = makeParty('mallory');
const rng = testRng('bundle');
const pin = keyHash(device.accountKey.publicKey);
const fault = expect.objectContaining({ name: 'AuthError', code: 'ERR_BUNDLE' });
const trust = (code: string) => expect.objectContaining({ name: 'TrustError', code });
const sound = bundleOf(bob, 5);
const set = parseSignedSet(sound.signedSet);
const batch = parseBatch(sound.oneTime!.head);
const unit = parseOneTimeEntry(sound.oneTime!.entry);
const entry = { device: device.device, keyHash: keyHash(device.deviceKey.publicKey), dhKey: device.dhKey.publicKey };

/** A set, batch, or list with some fields changed and a valid signature. */
const signedSet = (change: Partial<SignedSetFields>, secretKey = device.deviceKey.secretKey) => {
  const tbs = encodeSignedSet({ ...set, ...change });
  return concat(tbs, compositeSign(secretKey, tbs, 'pk/set', rng));
};
const head = (change: Partial<BatchFields>) => {
  const tbs = encodeBatch({ ...batch, ...change });
  return concat(tbs, compositeSign(device.deviceKey.secretKey, tbs, 'pk/batch', rng));
};
/** A batch of one unit: no path to check, so only the unit itself can be wrong. */
const single = (change: Partial<OneTimeEntry>): NonNullable<BundleBytes['oneTime']> => {
  const only = { ...unit, index: 0, path: [], ...change };
  return { head: head({ count: 1, root: leafHash(batch.batchId, only) }), entry: encodeOneTimeEntry(only) };
};
const identity = (change: Partial<Parameters<typeof encodeIdentity>[0]>) =>
  encodeIdentity({
    accountKey: device.accountKey.publicKey,
    deviceList: device.deviceList,
    deviceKey: device.deviceKey.publicKey,
    ...change,
  });
const list = (entries = [entry], account = 'bob', version = NOW, issuedAt = NOW) =>
  signDeviceList(device.accountKey, account, entries, version, issuedAt, rng);
const verify = (change: Partial<BundleBytes>, nowMs = NOW, known: KnownPeer = {}, pinned: Uint8Array | undefined = pin) =>
  verifyBundle({ ...sound, ...change }, pinned, nowMs, known);

/** Low-order points that are canonical: 0, 1, and two of order 8. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')));
const NOT_CANONICAL = [
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  `09${'00'.repeat(30)}80`,
].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')));

describe('verifyBundle', () => {
  test('gives every field', () => {
    expect(verifyBundle(sound, undefined, NOW)).toEqual({
      address: { account: 'bob', device: device.device },
      accountKeyHash: pin,
      accountKey: device.accountKey.publicKey,
      deviceKey: device.deviceKey.publicKey,
      dhKey: device.dhKey.publicKey,
      list: verifyDeviceList(device.deviceList, device.accountKey.publicKey),
      listIsStale: false,
      signedSet: expect.objectContaining({ seq: NOW, incarnation: device.incarnation, hash: sha512(set.tbs), bytes: sound.signedSet }),
      oneTime: {
        otId: unit.otId,
        oneTimePrekey: unit.oneTimePrekey,
        oneTimeKemPrekey: unit.oneTimeKemPrekey,
        batchHash: sha512(batch.tbs),
      },
    });
    expect(verifyBundle(bundleOf(bob), pin, NOW).oneTime).toBeUndefined();
  });

  test('what the helpers re-sign is sound', () => {
    verify({
      signedSet: signedSet({}),
      oneTime: { head: head({}), entry: sound.oneTime!.entry },
      identity: identity({ deviceList: list() }),
    });
    verify({ oneTime: single({}) });
  });

  test('a set and a batch hold on the day of their date', () => {
    verify({ signedSet: signedSet({ notAfter: NOW }), oneTime: { head: head({ notAfter: NOW }), entry: sound.oneTime!.entry } });
  });

  test('initiate takes no other object', () => {
    const copy = { ...verify({}) } as VerifiedBundle;
    expect(() => initiate(mallory.device, copy, 1, rng, NOW)).toThrow(
      expect.objectContaining({ name: 'UsageError', code: 'ERR_ARGUMENT', field: 'bundle' }),
    );
  });

  test('keeps no reference to what it was given', () => {
    const mine = { ...sound, identity: sound.identity.slice(), signedSet: sound.signedSet.slice() };
    const verified = verifyBundle(mine, undefined, NOW);
    mine.identity.fill(0);
    mine.signedSet.fill(0);
    expect(verified).toEqual(verifyBundle(sound, undefined, NOW));
  });

  test('larger than 32 KiB: refused before a byte is read, so that no decoding error is its cause', () => {
    for (const bundle of [sound, bundleOf(bob)]) {
      const { identity, signedSet, oneTime } = bundle;
      const size = identity.length + signedSet.length + (oneTime === undefined ? 0 : oneTime.head.length + oneTime.entry.length);
      const grown = (total: number) => ({ ...bundle, signedSet: concat(signedSet, new Uint8Array(total - size)) });
      const refused = (isRead: boolean) =>
        expect.toSatisfy((error: AuthError) => error.code === 'ERR_BUNDLE' && error.cause instanceof DecodeError === isRead);
      expect(() => verifyBundle(grown(32 * 1024), pin, NOW)).toThrow(refused(true));
      expect(() => verifyBundle(grown(32 * 1024 + 1), pin, NOW)).toThrow(refused(false));
    }
  });

  test('T50: every part truncated', () => {
    const cut = (bytes: Uint8Array, n: number) => bytes.slice(0, bytes.length - n);
    for (const n of [1, 31, 32, 64, 1000]) {
      expect(() => verify({ identity: cut(sound.identity, n) })).toThrow(fault);
      expect(() => verify({ signedSet: cut(sound.signedSet, n) })).toThrow(fault);
      expect(() => verify({ oneTime: { ...sound.oneTime!, head: cut(sound.oneTime!.head, n) } })).toThrow(fault);
      expect(() => verify({ oneTime: { ...sound.oneTime!, entry: cut(sound.oneTime!.entry, n) } })).toThrow(fault);
    }
  });

  test('T40: any changed byte', () => {
    for (let i = 0; i < sound.identity.length; i += 389) expect(() => verify({ identity: flip(sound.identity, i) })).toThrow(fault);
    for (let i = 0; i < sound.signedSet.length; i += 317) expect(() => verify({ signedSet: flip(sound.signedSet, i) })).toThrow(fault);
    for (let i = 0; i < sound.oneTime!.head.length; i += 211)
      expect(() => verify({ oneTime: { ...sound.oneTime!, head: flip(sound.oneTime!.head, i) } })).toThrow(fault);
    for (let i = 0; i < sound.oneTime!.entry.length; i += 101)
      expect(() => verify({ oneTime: { ...sound.oneTime!, entry: flip(sound.oneTime!.entry, i) } })).toThrow(fault);
  });

  test('T07: either half of each signature broken', () => {
    const halves = (bytes: Uint8Array) => [flip(bytes, bytes.length - 3373 + 40), flip(bytes, bytes.length - 64 + 3)];
    for (const deviceList of halves(device.deviceList)) expect(() => verify({ identity: identity({ deviceList }) })).toThrow(fault);
    for (const bytes of halves(sound.signedSet)) expect(() => verify({ signedSet: bytes })).toThrow(fault);
    for (const bytes of halves(sound.oneTime!.head)) expect(() => verify({ oneTime: { ...sound.oneTime!, head: bytes } })).toThrow(fault);
  });

  describe('identity and list', () => {
    test('T11: another pin is an identity change only if all else is sound', () => {
      const other = keyHash(mallory.device.accountKey.publicKey);
      expect(() => verify({}, NOW, {}, other)).toThrow(trust('ERR_IDENTITY_CHANGED'));
      expect(() => verify({ signedSet: flip(sound.signedSet) }, NOW, {}, other)).toThrow(fault);
      expect(() => verify({}, NOW, {}, new Uint8Array(5))).toThrow(trust('ERR_IDENTITY_CHANGED'));
    });

    test('T11: an account key that did not sign the list', () => {
      expect(() => verify({ identity: identity({ accountKey: mallory.device.accountKey.publicKey }) })).toThrow(fault);
    });

    test('T12: another account or device than was asked for', () => {
      expect(() => verify({ address: { ...sound.address, account: 'mallory' } })).toThrow(fault);
      expect(() => verify({ address: { ...sound.address, device: device.device + 1 } })).toThrow(fault);
      expect(() => verify({ identity: identity({ deviceList: list([entry], 'mallory') }) })).toThrow(fault);
    });

    test('T30: a device that the list does not hold', () => {
      const { deviceKey } = generateDevice('bob', rng, NOW);
      expect(() => verify({ identity: identity({ deviceKey: deviceKey.publicKey }) })).toThrow(fault);
      expect(() => verify({ identity: identity({ deviceList: list([{ ...entry, device: device.device + 1 }]) }) })).toThrow(fault);
      expect(() => verify({ identity: identity({ deviceList: list([{ ...entry, keyHash: flip(entry.keyHash) }]) }) })).toThrow(fault);
    });

    test('freshness is shown, staleness needs an override', () => {
      const lasting = { ...sound, signedSet: signedSet({ notAfter: NOW + 400 * DAY }), oneTime: undefined };
      const at = (nowMs: number, known: KnownPeer = {}) => verifyBundle(lasting, pin, nowMs, known);
      expect(at(NOW + 7 * DAY).listIsStale).toBe(false);
      expect(at(NOW + 7 * DAY + 1).listIsStale).toBe(true);
      expect(at(NOW + 90 * DAY).listIsStale).toBe(true);
      expect(() => at(NOW + 90 * DAY + 1)).toThrow(trust('ERR_LIST_STALE'));
      expect(() => at(NOW + 90 * DAY + 1, { staleOverride: false })).toThrow(trust('ERR_LIST_STALE'));
      expect(at(NOW + 90 * DAY + 1, { staleOverride: true }).listIsStale).toBe(true);
    });

    test('a known list: lower, equal, greater, of another account key, damaged', () => {
      expect(verify({}, NOW, { list: list([entry], 'bob', NOW - 1) }).list.version).toBe(NOW);
      expect(verify({}, NOW, { list: device.deviceList }).list.version).toBe(NOW);
      expect(verify({}, NOW, { list: list() }).list.version).toBe(NOW);
      expect(() => verify({}, NOW, { list: list([entry], 'bob', NOW, NOW - 1) })).toThrow(fault);
      expect(verify({}, NOW, { list: list([entry], 'bob', NOW + 1) }).list.version).toBe(NOW + 1);
      expect(() => verify({}, NOW, { list: list([{ ...entry, device: 1 }], 'bob', NOW + 1) })).toThrow(fault);
      expect(() => verify({}, NOW, { list: flip(list([entry], 'bob', NOW + 1)) })).toThrow(fault);
      expect(verify({}, NOW, { list: mallory.device.deviceList }).list.version).toBe(NOW);
      expect(() => verify({}, NOW, { list: new Uint8Array(9) })).toThrow(fault);
    });
  });

  describe('signed set', () => {
    test.each<[string, Partial<SignedSetFields>]>([
      ['T12: another account', { account: 'mallory' }],
      ['T12: another device', { device: device.device + 1 }],
      ['T11: another device key', { deviceKeyHash: keyHash(mallory.device.deviceKey.publicKey) }],
      ['past its date', { notAfter: NOW - 1 }],
      ['T08: versions that are not ours', { verMin: 2, verMax: 3 }],
      ['T08: suites without ours', { suites: [2] }],
      ['T08: no profile', { profiles: 0 }],
      ['T01: SPK with bit 255', { signedPrekey: NOT_CANONICAL[2]! }],
      ['T01: SPK = p', { signedPrekey: NOT_CANONICAL[0]! }],
      ['T01: SPK = p + 1', { signedPrekey: NOT_CANONICAL[1]! }],
      ['T04: PQLR not reduced', { lastResortKemPrekey: new Uint8Array(1568).fill(0xff) }],
      ['T04: SEAL not reduced', { sealKey: concat(new Uint8Array(1184).fill(0xff), set.sealKey.slice(1184)) }],
      ['T01: SEAL with a bad X25519 half', { sealKey: concat(set.sealKey.slice(0, 1184), NOT_CANONICAL[0]!) }],
    ])('%s', (_name, change) => {
      expect(() => verify({ signedSet: signedSet(change) })).toThrow(fault);
    });

    test('T12: signed by another key', () => {
      expect(() => verify({ signedSet: signedSet({}, mallory.device.deviceKey.secretKey) })).toThrow(fault);
      expect(() => verify({ signedSet: mallory.keys.signedSet })).toThrow(fault);
    });

    test('T08: no PQ prekey', () => {
      expect(() => verify({ signedSet: concat(set.tbs.slice(0, -1568 - 1216), set.sealKey, set.signature) })).toThrow(fault);
    });

    test('T02: SPK and KEM prekey in each other’s place under a valid signature', () => {
      const swapped = concat(set.tbs.slice(0, -32 - 1568 - 1216), set.lastResortKemPrekey, set.signedPrekey, set.sealKey);
      const bytes = concat(swapped, compositeSign(device.deviceKey.secretKey, swapped, 'pk/set', rng));
      expect(() => verify({ signedSet: bytes })).toThrow(fault);
    });

    test('T02: a batch in the place of a set, and a set in that of a batch', () => {
      expect(() => verify({ signedSet: sound.oneTime!.head })).toThrow(fault);
      expect(() => verify({ oneTime: { ...sound.oneTime!, head: sound.signedSet } })).toThrow(fault);
      const asSet = concat(set.tbs, compositeSign(device.deviceKey.secretKey, set.tbs, 'pk/batch', rng));
      expect(() => verify({ signedSet: asSet })).toThrow(fault);
    });

    test('T08: seq goes forward only', () => {
      const hash = sha512(set.tbs);
      verify({}, NOW, { setSeq: NOW - 1, setHash: flip(hash) });
      verify({}, NOW, { setSeq: NOW, setHash: hash });
      verify({}, NOW, { setSeq: NOW });
      expect(() => verify({}, NOW, { setSeq: NOW, setHash: flip(hash) })).toThrow(fault);
      expect(() => verify({}, NOW, { setSeq: NOW + 1 })).toThrow(fault);
    });

    test('T08: never below the version floor', () => {
      verify({}, NOW, { verFloor: 1 });
      verify({ signedSet: signedSet({ verMax: 9 }) });
      expect(() => verify({}, NOW, { verFloor: 2 })).toThrow(fault);
    });
  });

  describe('one-time unit', () => {
    test.each<[string, Partial<BatchFields>]>([
      ['T12: another account', { account: 'mallory' }],
      ['T12: another device', { device: device.device + 1 }],
      ['T11: another device key', { deviceKeyHash: keyHash(mallory.device.deviceKey.publicKey) }],
      ['past its date', { notAfter: NOW - 1 }],
      ['another batch id', { batchId: flip(batch.batchId) }],
      ['another root', { root: flip(batch.root) }],
      ['another count', { count: 64 }],
      ['a count below the index', { count: 5 }],
    ])('%s', (_name, change) => {
      expect(() => verify({ oneTime: { head: head(change), entry: sound.oneTime!.entry } })).toThrow(fault);
    });

    test.each<[string, Partial<OneTimeEntry>]>([
      ['T02: the id of another unit', { otId: parseOneTimeEntry(bundleOf(bob, 6).oneTime!.entry).otId }],
      ['the index of another unit', { index: 6 }],
      ['the key of another unit', { oneTimePrekey: parseOneTimeEntry(bundleOf(bob, 6).oneTime!.entry).oneTimePrekey }],
      ['T03: the KEM key of another unit', { oneTimeKemPrekey: parseOneTimeEntry(bundleOf(bob, 6).oneTime!.entry).oneTimeKemPrekey }],
      ['no id', { otId: new Uint8Array(8) }],
      ['a short path', { path: unit.path.slice(1) }],
      ['a long path', { path: [...unit.path, unit.path[0]!] }],
      ['a changed path', { path: [...unit.path.slice(0, -1), flip(unit.path.at(-1)!)] }],
    ])('%s', (_name, change) => {
      expect(() => verify({ oneTime: { ...sound.oneTime!, entry: encodeOneTimeEntry({ ...unit, ...change }) } })).toThrow(fault);
    });

    test.each<[string, Partial<OneTimeEntry>]>([
      ['T01: OPK that is not canonical', { oneTimePrekey: NOT_CANONICAL[0]! }],
      ['T04: PQOPK not reduced', { oneTimeKemPrekey: new Uint8Array(1568).fill(0xff) }],
    ])('%s', (_name, change) => {
      expect(() => verify({ oneTime: single(change) })).toThrow(fault);
    });

    test('T12: of another device', () => {
      expect(() => verify({ oneTime: bundleOf(mallory, 5).oneTime })).toThrow(fault);
    });
  });
});

describe('T01: low-order points', () => {
  const failed = expect.objectContaining({ name: 'AuthError', code: 'ERR_BUNDLE' });

  test.each(LOW_ORDER.map((point, i) => [i, point] as const))('point %i in SPK, OPK or IKx starts nothing', (_i, point) => {
    for (const change of [
      { signedSet: signedSet({ signedPrekey: point }) },
      { oneTime: single({ oneTimePrekey: point }) },
      { identity: identity({ deviceList: list([{ ...entry, dhKey: point }]) }) },
    ]) {
      const bundle = verify(change);
      expect(() => initiate(mallory.device, bundle, 1, rng, NOW)).toThrow(failed);
    }
  });
});
