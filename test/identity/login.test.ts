import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { generateDevice, identityBytes } from '../../src/identity/device.js';
import { proveLogin, readOwnLogin, verifyLogin } from '../../src/identity/login.js';
import { encodeIdentity, encodeLogin, parseLogin } from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const rng = testRng('login');
const alice = generateDevice('alice', rng, NOW);
const mallory = generateDevice('alice', rng, NOW);
const claim = { audience: 'wss://relay.example/ü', nonce: rng(32), storeId: rng(16), generation: 77 };
const proof = proveLogin(alice, claim, rng);
const address = { account: 'alice', device: alice.device };
const expected = { audience: claim.audience, nonce: claim.nonce, address, identity: identityBytes(alice) };
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
    const own = { device: alice.device, keyHash: keyHash(alice.deviceKey.publicKey), dhKey: new Uint8Array(32).fill(9) };
    const other = { device: alice.device + 1, keyHash: new Uint8Array(64).fill(1), dhKey: new Uint8Array(32).fill(9) };
    const deviceList = signDeviceList(alice.accountKey, 'alice', [own, other], NOW + 5, NOW, rng);
    const identity = identityBytes({ ...alice, deviceList });
    const { listVersion, devices } = verifyLogin(proof, { ...expected, identity });
    expect(listVersion).toBe(NOW + 5);
    expect(devices).toEqual([own, other].map(({ device, keyHash }) => ({ device, keyHash })));
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
    const other = { device: alice.device + 1, keyHash: new Uint8Array(64).fill(1), dhKey: new Uint8Array(32).fill(9) };
    const own = { device: alice.device, keyHash: new Uint8Array(64).fill(2), dhKey: new Uint8Array(32).fill(9) };
    const deviceList = signDeviceList(alice.accountKey, 'alice', [own, other], 1, NOW, rng);
    const identity = encodeIdentity({ accountKey: alice.accountKey.publicKey, deviceList, deviceKey: alice.deviceKey.publicKey });
    expect(() => verifyLogin(proof, { ...expected, identity })).toThrow(refused);
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
    const { tbs, ...login } = parseLogin(proof);
    const raw = encodeLogin({ ...login, audience: new Uint8Array([0xff]) });
    for (const bytes of [
      new Uint8Array(),
      proof.slice(1),
      flip(proof),
      flip(proof, 20),
      proveLogin(mallory, claim, rng),
      concat(raw, compositeSign(alice.deviceKey.secretKey, raw, 'login', rng)),
      concat(tbs, compositeSign(alice.deviceKey.secretKey, tbs, 'pk/set', rng)),
    ]) {
      expect(readOwnLogin(alice, bytes)).toBeUndefined();
    }
  });
});
