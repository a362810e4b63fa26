import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { generateDevice, identityBytes } from '../../src/identity/device.js';
import { proveLogin, readOwnLogin, verifyLogin } from '../../src/identity/login.js';
import { encodeIdentity, encodeLogin, type LoginFields, parseLogin } from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const rng = testRng('login');
const alice = generateDevice('alice', rng, NOW);
const mallory = generateDevice('alice', rng, NOW);
const claim = { audience: 'wss://relay.example/ü', nonce: rng(32), storeId: rng(16), generation: 77 };
const proof = proveLogin(alice, claim, rng);
const address = { account: 'alice', device: alice.device };
const expected = { audience: claim.audience, nonce: claim.nonce, address, identity: identityBytes(alice) };
const otherAccount = { account: 'bob' };
const otherDevice = { device: alice.device + 1 };

/** Alice's list with `lines`, of an account, signed by the account key, and her device's key. */
const shown = (lines: readonly { device: number; keyHash: Uint8Array }[], account = 'alice'): Uint8Array => {
  const entries = lines.map((line) => ({ ...line, dhKey: new Uint8Array(32).fill(9) }));
  return identityBytes({ ...alice, deviceList: signDeviceList(alice.accountKey, account, entries, NOW + 5, NOW, rng) });
};
const own = { device: alice.device, keyHash: keyHash(alice.deviceKey.publicKey) };
const stranger = new Uint8Array(64).fill(1);

/** What alice's device would sign if it said something else than it does. */
const saying = (change: Partial<LoginFields>, label: 'login' | 'pk/set' = 'login'): Uint8Array => {
  const { tbs: _, signature: __, ...login } = parseLogin(proof);
  const tbs = encodeLogin({ ...login, ...change });
  return concat(tbs, compositeSign(alice.deviceKey.secretKey, tbs, label, rng));
};

const refused = expect.objectContaining({ name: 'AuthError', code: 'ERR_SIGNATURE', message: 'login did not verify' });

describe('verifyLogin', () => {
  test('says who and how far', () => {
    const { accountKeyHash, listVersion, devices, ...store } = verifyLogin(proof, expected);
    expect(store).toEqual({ storeId: claim.storeId, generation: 77 });
    expect(accountKeyHash).toEqual(keyHash(alice.accountKey.publicKey));
    expect(listVersion).toBe(NOW);
    expect(devices).toEqual([{ device: alice.device, keyHash: keyHash(alice.deviceKey.publicKey) }]);
  });

  test('names every device of the list, and its version', () => {
    const lines = [own, { ...otherDevice, keyHash: stranger }];
    const { listVersion, devices } = verifyLogin(proof, { ...expected, identity: shown(lines) });
    expect(listVersion).toBe(NOW + 5);
    expect(devices).toEqual(lines);
  });

  test.each<[string, Partial<typeof expected>]>([
    ['another audience', { audience: 'wss://evil.example' }],
    ['another nonce', { nonce: rng(32) }],
    ['a nonce of another length', { nonce: new Uint8Array() }],
    ['another account', { address: { ...address, account: 'bob' } }],
    ['another device', { address: { ...address, device: alice.device + 1 } }],
    ['another identity', { identity: identityBytes(mallory) }],
    ['no identity', { identity: new Uint8Array(5) }],
    [
      'the identity of another device key',
      {
        identity: encodeIdentity({
          accountKey: alice.accountKey.publicKey,
          deviceList: alice.deviceList,
          deviceKey: mallory.deviceKey.publicKey,
        }),
      },
    ],
  ])('T12: %s', (_name, change) => {
    expect(() => verifyLogin(proof, { ...expected, ...change })).toThrow(refused);
  });

  test('T12: a listed device speaks for itself only', () => {
    const underOther = { ...own, ...otherDevice };
    for (const lines of [[{ ...own, keyHash: stranger }, underOther], [underOther]]) {
      expect(() => verifyLogin(proof, { ...expected, identity: shown(lines) })).toThrow(refused);
    }
    // Nor does it under the other's number, wherever that stands.
    const addressed = { ...expected, address: { ...address, ...otherDevice } };
    const both = shown([own, { ...otherDevice, keyHash: stranger }]);
    for (const each of [proof, saying(otherDevice)]) expect(() => verifyLogin(each, { ...addressed, identity: both })).toThrow(refused);
  });

  test('T12: proof, list and address are of one account and one device, whoever signed them', () => {
    expect(() => verifyLogin(saying(otherAccount), expected)).toThrow(refused);
    expect(() => verifyLogin(saying(otherDevice), expected)).toThrow(refused);
    expect(() => verifyLogin(saying({ ...otherAccount, ...otherDevice }), expected)).toThrow(refused);
    expect(() => verifyLogin(proof, { ...expected, identity: shown([own], 'bob') })).toThrow(refused);
    expect(() => verifyLogin(saying(otherAccount), { ...expected, identity: shown([own], 'bob') })).toThrow(refused);
    expect(() => verifyLogin(saying({}, 'pk/set'), expected)).toThrow(refused);
    expect(verifyLogin(saying({ generation: 78 }), expected)).toMatchObject({ generation: 78 });
  });

  test('the cause says locally what the bytes got wrong; what is no bytes is the caller’s fault', () => {
    const because = (cause: unknown) => expect.objectContaining({ code: 'ERR_SIGNATURE', cause });
    const withCode = (code: string) => because(expect.objectContaining({ code }));
    expect(() => verifyLogin(proof.slice(1), expected)).toThrow(withCode('ERR_DECODE'));
    expect(() => verifyLogin(proof, { ...expected, identity: expected.identity.slice(1) })).toThrow(withCode('ERR_DECODE'));
    expect(() => verifyLogin(proof, { ...expected, identity: flip(expected.identity, 2500) })).toThrow(withCode('ERR_BUNDLE'));
    expect(() => verifyLogin(flip(proof), expected)).not.toThrow(because(expect.anything()));
    expect(() => verifyLogin(null as unknown as Uint8Array, expected)).toThrow(TypeError);
  });

  test('every byte of the proof counts', () => {
    for (let i = 0; i < proof.length; i += i < 150 ? 7 : 301) expect(() => verifyLogin(flip(proof, i), expected)).toThrow(refused);
  });

  test('T50: truncated proofs', () => {
    for (let i = 0; i < proof.length; i += 173) expect(() => verifyLogin(proof.slice(0, i), expected)).toThrow(refused);
  });

  test('T07: either half of the signature broken', () => {
    const end = proof.length;
    expect(() => verifyLogin(flip(proof, end - 1), expected)).toThrow(refused);
    expect(() => verifyLogin(flip(proof, end - 3373), expected)).toThrow(refused);
  });
});

describe('proveLogin', () => {
  test('an audience and a nonce of 65,535 bytes', () => {
    const longest = { ...claim, audience: 'x'.repeat(65_535), nonce: new Uint8Array(65_535).fill(7) };
    const { storeId, generation } = claim;
    expect(verifyLogin(proveLogin(alice, longest, rng), { ...expected, ...longest })).toMatchObject({ storeId, generation });
  });

  test.each<[string, Partial<typeof claim>]>([
    ['audience', { audience: '\ud800' }],
    ['audience', { audience: 'x'.repeat(65_536) }],
    ['nonce', { nonce: new Uint8Array(65_536) }],
  ])('refuses a bad %s', (field, change) => {
    expect(() => proveLogin(alice, { ...claim, ...change }, rng)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field }));
  });
});

describe('readOwnLogin', () => {
  test('its own proof', () => {
    expect(readOwnLogin(alice, proof)).toEqual({ audience: claim.audience, storeId: claim.storeId, generation: 77 });
  });

  test('anything else is nothing', () => {
    for (const bytes of [
      new Uint8Array(),
      proof.slice(1),
      flip(proof),
      flip(proof, 20),
      proveLogin(mallory, claim, rng),
      saying({ audience: new Uint8Array([0xff]) }),
      saying(otherAccount),
      saying(otherDevice),
      saying({ ...otherAccount, ...otherDevice }),
      saying({}, 'pk/set'),
    ]) {
      expect(readOwnLogin(alice, bytes)).toBeUndefined();
    }
  });

  test('what is no bytes is the caller’s fault', () => {
    expect(() => readOwnLogin(alice, null as unknown as Uint8Array)).toThrow(TypeError);
  });
});
