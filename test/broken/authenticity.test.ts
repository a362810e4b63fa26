/** With one of Ed25519 and ML-DSA broken, nothing that is signed can be forged. With both it can: the forger is a real one. */

import { describe, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import type { Label } from '../../src/crypto/labels.js';
import { keyHash, verifyDeviceList } from '../../src/identity/account.js';
import { generateDevice, identityBytes } from '../../src/identity/device.js';
import { openLinkAnswer, sealLinkGrant } from '../../src/identity/linking.js';
import { proveLogin, verifyLogin } from '../../src/identity/login.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { acceptInit, initiate } from '../../src/pqxdh/handshake.js';
import { encodeInit, parseInit } from '../../src/wire/frames.js';
import * as objects from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';
import { bundleOf, handshake, makeParty, NOW } from '../pqxdh/world.js';
import { attempt, forgeries } from './attacker.js';
import { type Breaks, breakOnly } from './broken.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
vi.mock('../../src/crypto/backend/node.js', async (original) => (await import('./broken.js')).withBreaks(await original()));

const CASES: readonly (readonly [what: string, outcome: 'in vain' | 'with success', breaks: Partial<Breaks>])[] = [
  ['nothing', 'in vain', {}],
  ['Ed25519', 'in vain', { ed25519: true }],
  ['ML-DSA', 'in vain', { mlDsa: true }],
  ['X25519 and ML-KEM', 'in vain', { x25519: true, mlKem: true }],
  ['Ed25519 and ML-DSA', 'with success', { ed25519: true, mlDsa: true }],
];

const [alice, bob, mallory] = [makeParty('alice'), makeParty('bob'), makeParty('mallory')];
const account = bob.device.accountKey.publicKey;
const pin = keyHash(account);
const honest = bundleOf(bob, 1);
const list = objects.parseDeviceList(bob.device.deviceList);
const set = objects.parseSignedSet(honest.signedSet);
const batch = objects.parseBatch(honest.oneTime!.head);

/** Every signed object that can be made of `tbs` without the key, given one that its owner has signed. */
const signedBy = (tbs: Uint8Array, label: Label, genuine: Uint8Array): Uint8Array[] =>
  forgeries(tbs, label, genuine).map((signature) => concat(tbs, signature));

/** Bob's list with a device of Mallory's in it, newer than any that bob has signed. */
const malloryEntry = {
  device: mallory.device.device,
  keyHash: keyHash(mallory.device.deviceKey.publicKey),
  dhKey: mallory.device.dhKey.publicKey,
};
const entries = [...list.entries, malloryEntry].sort((a, b) => a.device - b.device);
const forgedLists = (): Uint8Array[] =>
  signedBy(objects.encodeDeviceList({ ...list, version: list.version + 1, entries }), 'id/list', list.signature);

describe.each(CASES)('with %s broken, %s:', (_what, outcome, breaks) => {
  const succeeds = outcome === 'with success';
  /** How many of the forgeries were taken: all, or none. */
  function expectTaken(all: readonly Uint8Array[], take: (forged: Uint8Array) => unknown): void {
    breakOnly(breaks);
    const taken = all.filter((forged) => attempt(() => take(forged)) !== undefined);
    expect(all.length).toBe(9);
    expect(taken.length).toBe(succeeds ? all.length : 0);
  }

  test('a bundle is forged: prekeys of the attacker’s under a pinned identity', () => {
    const own = objects.parseSignedSet(mallory.keys.signedSet);
    const tbs = objects.encodeSignedSet({
      ...own,
      account: 'bob',
      device: bob.device.device,
      deviceKeyHash: set.deviceKeyHash,
      seq: set.seq + 1,
    });
    expectTaken(signedBy(tbs, 'pk/set', set.signature), (signedSet) => verifyBundle({ ...bundleOf(bob), signedSet }, pin, NOW));
  });

  test('a one-time batch is forged', () => {
    const own = objects.parseBatch(mallory.keys.batch!.head);
    const tbs = objects.encodeBatch({ ...own, account: 'bob', device: bob.device.device, deviceKeyHash: batch.deviceKeyHash });
    const entry = mallory.keys.batch!.entries[1]!;
    expectTaken(signedBy(tbs, 'pk/batch', batch.signature), (head) => verifyBundle({ ...honest, oneTime: { head, entry } }, pin, NOW));
  });

  test('a device list is forged: a device of the attacker’s in it', () => {
    expectTaken(forgedLists(), (forged) => verifyDeviceList(forged, account));
  });

  test('an identity is taken over: a device of the attacker’s, under the pin, with prekeys of its own', () => {
    const { deviceKey, device } = mallory.device;
    const own = objects.parseSignedSet(mallory.keys.signedSet);
    const tbs = objects.encodeSignedSet({ ...own, account: 'bob' });
    // The attacker has this device's key: only the list is forged.
    const signedSet = concat(tbs, compositeSign(deviceKey.secretKey, tbs, 'pk/set', testRng('set')));
    expectTaken(forgedLists(), (deviceList) => {
      const identity = objects.encodeIdentity({ accountKey: account, deviceList, deviceKey: deviceKey.publicKey });
      return verifyBundle({ address: { account: 'bob', device }, identity, signedSet }, pin, NOW);
    });
  });

  test('a login is forged', () => {
    const genuine = { audience: 'relay.example', nonce: new Uint8Array(32).fill(1), storeId: new Uint8Array(16), generation: 4 };
    const proof = objects.parseLogin(proveLogin(bob.device, genuine, testRng('proof')));
    const nonce = new Uint8Array(32).fill(2);
    const tbs = objects.encodeLogin({ ...proof, nonce });
    const expected = { audience: genuine.audience, nonce, address: bob.keys.address, identity: identityBytes(bob.device) };
    expectTaken(signedBy(tbs, 'login', proof.signature), (forged) => verifyLogin(forged, expected));
  });

  test('somebody else starts a session as bob, with keys for the agreement of their own', () => {
    // Mallory's handshake, said to be of bob's device; the list gives bob's device her key for the agreement.
    const { device } = bob.device;
    const entry = { ...list.entries.find((each) => each.device === device)!, dhKey: mallory.device.dhKey.publicKey };
    const [forgedList] = signedBy(
      objects.encodeDeviceList({ ...list, version: list.version + 1, entries: [entry] }),
      'id/list',
      list.signature,
    );
    const impostor = {
      ...bob.device,
      dhKey: mallory.device.dhKey,
      deviceKey: { ...bob.device.deviceKey, secretKey: mallory.device.deviceKey.secretKey },
    };
    const bundle = verifyBundle(bundleOf(alice), undefined, NOW);
    const { prefix } = initiate({ ...impostor, deviceList: forgedList! }, bundle, 1, testRng('impostor'), NOW);
    const { signature: own, ...fields } = parseInit(prefix);
    const genuine = parseInit(handshake(bob, alice).init).signature;
    const inits = [own, genuine, new Uint8Array(3373)].flatMap((mlDsa, _, all) =>
      all.map((ed25519) => encodeInit({ ...fields, signature: concat(mlDsa.subarray(0, 3309), ed25519.subarray(3309)) })),
    );
    const accepting = (init: Uint8Array) => acceptInit(alice.prekeys, alice.device, parseInit(init), { pinnedIdentity: pin }, NOW);
    expectTaken(inits, accepting);
    // Also where the list were genuine, and only the handshake is to be forged.
    const genuineList = inits.map((init) => encodeInit({ ...parseInit(init), deviceList: bob.device.deviceList }));
    expectTaken(genuineList, accepting);
  });

  test('a linked device is given a list that its account has not signed', () => {
    const fresh = generateDevice('bob', testRng('fresh'), NOW);
    const own = { device: fresh.device, keyHash: keyHash(fresh.deviceKey.publicKey), dhKey: fresh.dhKey.publicKey };
    const all = [...list.entries, own].sort((a, b) => a.device - b.device);
    const forged = signedBy(objects.encodeDeviceList({ ...list, version: list.version + 1, entries: all }), 'id/list', list.signature);
    // Worse than it can be: the attacker has the keys of the exchange.
    const exchange = { account: 'bob', entry: own, confirmation: '', grantSlot: '', answerKeys: testRng('answer')(56) };
    expectTaken(forged, (deviceList) => openLinkAnswer(exchange, sealLinkGrant(exchange, account, bob.device.device, deviceList)));
  });

  test('whatever is forged, a pin is not moved', () => {
    breakOnly(breaks);
    expect(() => verifyBundle(bundleOf(mallory), pin, NOW)).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_CHANGED' }));
  });
});
