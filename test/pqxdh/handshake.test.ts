import { describe, expect, test, vi } from 'vitest';
import { concat, equal, isZero, toHex, wipe } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { mlKem1024, x25519 } from '../../src/crypto/suite.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { type DeviceSecrets, encodeDevice, generateDevice } from '../../src/identity/device.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { type AcceptContext, accept, acceptInit, findSeen, initiate, openFrame, sealFrame } from '../../src/pqxdh/handshake.js';
import * as lowLevel from '../../src/pqxdh/index.js';
import { encodePrekeys, findUnit, generatePrekeys, type PrekeyState } from '../../src/pqxdh/prekeys.js';
import { encodeTranscript } from '../../src/pqxdh/transcript.js';
import type { Profile, SessionSecrets } from '../../src/step.js';
import { encodeInit, type InitFields, type InitFrame, parseInit } from '../../src/wire/frames.js';
import { flip, testRng } from '../helpers/rng.js';
import { bundleOf, DAY, handshake, makeParty, NOW, type Party, RATCHET_MESSAGE } from './world.js';

const alice = makeParty('alice');
const bob = makeParty('bob');
const mallory = makeParty('mallory');
const rng = testRng('handshake test');
const address = { account: 'bob', device: bob.device.device };

const decryptError = expect.objectContaining({ name: 'AuthError', code: 'ERR_DECRYPT', message: 'message could not be authenticated' });
const replay = (code: string, field?: string) => expect.objectContaining({ name: 'ReplayError', code, ...(field && { field }) });
const trust = (code: string) => expect.objectContaining({ name: 'TrustError', code });

/** Everything that a state holds, as text: equal before and after whatever must not change it. */
const fingerprint = (state: PrekeyState): string =>
  `${toHex(encodePrekeys(state))} ${JSON.stringify([...state.seen].map(([key, row]) => [key, toHex(row.initId)]))}`;
const before = [fingerprint(bob.prekeys), toHex(encodeDevice(bob.device)), toHex(encodeDevice(alice.device))];
const expectUnchanged = () =>
  expect([fingerprint(bob.prekeys), toHex(encodeDevice(bob.device)), toHex(encodeDevice(alice.device))]).toEqual(before);

const acceptAt = (init: Uint8Array, context: AcceptContext = {}, to: Party = bob, prekeys = to.prekeys, nowMs = NOW) =>
  acceptInit(prekeys, to.device, parseInit(init), context, nowMs);
const shared = (secrets: SessionSecrets) =>
  [secrets.rootKey, secrets.headerKeyA, secrets.nextHeaderKeyB, secrets.sckaSecret, secrets.transcriptHash].map(toHex);

/** The Init with some fields changed; its signature stays what it was. */
const altered = (init: Uint8Array, change: Partial<InitFields & { signature: Uint8Array }>): Uint8Array => {
  const frame = parseInit(init);
  return concat(encodeInit({ ...frame, ...change }), frame.ratchetMessage);
};

describe('agreement', () => {
  const cases = [undefined, 0, 99].flatMap((unit) => ([1, 2, 3] as const).map((profile) => [unit, profile] as const));
  test.each<readonly [number | undefined, Profile]>(cases)('unit %s, profile %i: both sides have the same secrets', (unit, profile) => {
    const started = handshake(alice, bob, unit, profile);
    const { next, out, wipe: used } = acceptAt(started.init);
    expect(shared(out.secrets)).toEqual(shared(started.secrets));
    expect(new Set(shared(out.secrets)).size).toBe(5);
    expect(started.secrets).toMatchObject({ role: 'initiator', profile });
    expect(out.secrets).toMatchObject({ role: 'responder', profile });
    expect(out.secrets.signedPrekey.publicKey).toEqual(started.secrets.signedPrekey.publicKey);
    expect(started.secrets.signedPrekey.secretKey.length).toBe(0);
    expect(out).toMatchObject({
      ratchetMessage: RATCHET_MESSAGE,
      replayable: unit === undefined,
      sessionId: started.sessionId,
      listIsStale: false,
      peer: {
        address: { account: 'alice', device: alice.device.device },
        accountKey: alice.device.accountKey.publicKey,
        accountKeyHash: keyHash(alice.device.accountKey.publicKey),
        deviceKeyHash: keyHash(alice.device.deviceKey.publicKey),
        dhKey: alice.device.dhKey.publicKey,
      },
    });
    expect(out.sessionId.length).toBe(16);
    expect(used.length).toBe(unit === undefined ? 0 : 2);
    expect(next.batches[0]!.units.length).toBe(unit === undefined ? 100 : 99);
    expect([...next.seen.values()]).toEqual([
      { setId: started.setId, otId: started.bundle.oneTime?.otId ?? new Uint8Array(8), initId: out.initId, sessionId: out.sessionId },
    ]);
    expectUnchanged();
  });

  test('two handshakes on one bundle share nothing', () => {
    const [one, two] = [handshake(alice, bob, undefined, 1, 'one'), handshake(alice, bob, undefined, 1, 'two')];
    expect(new Set([...shared(one.secrets), ...shared(two.secrets)]).size).toBe(10);
    expect(equal(one.sessionId, two.sessionId)).toBe(false);
  });

  test('accept is acceptInit without a pin; the subpath exports it', () => {
    const { init } = handshake(alice, bob, 4);
    const [short, full] = [accept(bob.prekeys, bob.device, init, NOW), acceptAt(init)];
    const { secrets, ratchetMessage, replayable } = full.out;
    expect(short).toEqual({ next: full.next, out: { secrets, ratchetMessage, replayable }, wipe: full.wipe });
    expect(lowLevel.accept).toBe(accept);
  });

  test('a wiped step leaves the state and the other outputs whole', () => {
    const own = makeParty('wiped');
    const { init } = handshake(alice, own, 7);
    const { next, out, wipe: used } = acceptAt(init, {}, own);
    const kept = [fingerprint(next), ...shared(out.secrets), toHex(out.secrets.signedPrekey.secretKey)];
    wipe(...used);
    expect([fingerprint(next), ...shared(out.secrets), toHex(out.secrets.signedPrekey.secretKey)]).toEqual(kept);
    // The ratchet wipes its secrets; the prekeys stay.
    wipe(out.secrets.signedPrekey.secretKey, out.secrets.rootKey);
    expect(fingerprint(next)).toBe(kept[0]);
    expect(isZero(findUnit(own.prekeys, parseInit(init).otId)!.unit.dhSecret)).toBe(true);
  });

  test('initiate wipes its ephemeral key and the randomness of the encapsulation, also when it fails', () => {
    const lent: Uint8Array[] = [];
    const lending = (lengthBytes: number) => {
      lent.push(rng(lengthBytes));
      return lent.at(-1)!;
    };
    initiate(alice.device, verifyBundle(bundleOf(bob, 1), undefined, NOW), 1, lending, NOW);
    expect(lent.slice(0, 2).map(isZero)).toEqual([true, true]);
    lent.length = 0;
    const broken: DeviceSecrets = { ...alice.device, dhKey: { ...alice.device.dhKey, secretKey: new Uint8Array(31) } };
    expect(() => initiate(broken, verifyBundle(bundleOf(bob), undefined, NOW), 1, lending, NOW)).toThrow(
      expect.objectContaining({ code: 'ERR_BUG' }),
    );
    expect(lent.slice(0, 2).map(isZero)).toEqual([true, true]);
  });

  test.each([undefined, 18])('unit %s: both sides wipe what they agreed on, and what the keys were cut from', (index) => {
    const wipedBy = <T>(run: () => T): [Set<string>, T] => {
      const wiped = new Set<string>();
      const { fill } = Uint8Array.prototype;
      const watch = vi.spyOn(Uint8Array.prototype, 'fill').mockImplementation(function (this: Uint8Array, ...args) {
        wiped.add(toHex(this));
        return fill.apply(this, args);
      });
      try {
        return [wiped, run()];
      } finally {
        watch.mockRestore();
      }
    };
    const [byInitiator, { init }] = wipedBy(() => handshake(alice, bob, index));
    const [byResponder, { out }] = wipedBy(() => acceptAt(init));
    const { ephemeralKey, kemCiphertext, otId } = parseInit(init);
    const { signedPrekeySecret, lastResortSeed } = bob.prekeys.sets[0]!;
    const unit = findUnit(bob.prekeys, otId)?.unit;
    const dh = [
      x25519(signedPrekeySecret, alice.device.dhKey.publicKey),
      x25519(bob.device.dhKey.secretKey, ephemeralKey),
      x25519(signedPrekeySecret, ephemeralKey),
      ...(unit === undefined ? [] : [x25519(unit.dhSecret, ephemeralKey)]),
    ];
    const kemSharedSecret = mlKem1024.decapsulate(unit?.kemSeed ?? lastResortSeed, kemCiphertext);
    const { rootKey, headerKeyA, nextHeaderKeyB, sckaSecret } = out.secrets;
    const keyMaterial = concat(new Uint8Array(32).fill(0xff), ...dh, kemSharedSecret);
    const agreed = [...dh, kemSharedSecret, keyMaterial, concat(rootKey, headerKeyA, nextHeaderKeyB, sckaSecret)].map(toHex);
    for (const wiped of [byInitiator, byResponder]) expect(agreed.filter((secret) => !wiped.has(secret))).toEqual([]);
  });

  test('T08: a profile that the set does not allow, or a set that expired since', () => {
    const fault = expect.objectContaining({ name: 'AuthError', code: 'ERR_BUNDLE' });
    const bundle = verifyBundle(bundleOf(bob), undefined, NOW);
    for (const profile of [0, 4, 9, 33]) expect(() => initiate(alice.device, bundle, profile as Profile, rng, NOW)).toThrow(fault);
    initiate(alice.device, bundle, 1, rng, NOW + 45 * DAY);
    expect(() => initiate(alice.device, bundle, 1, rng, NOW + 45 * DAY + 1)).toThrow(fault);
  });
});

describe('replay', () => {
  test('T10: the same Init twice', () => {
    for (const unit of [undefined, 3]) {
      const { init } = handshake(alice, bob, unit);
      const { next, out } = acceptAt(init);
      expect(findSeen(bob.prekeys, parseInit(init))).toBeUndefined();
      expect(findSeen(next, parseInit(init))).toMatchObject({ initId: out.initId, sessionId: out.sessionId });
      const state = fingerprint(next);
      expect(() => acceptAt(init, {}, bob, next)).toThrow(replay('ERR_DUPLICATE'));
      expect(fingerprint(next)).toBe(state);
    }
  });

  test('T09: a last-resort flight is flagged, and its replay refused', () => {
    const { init } = handshake(alice, bob);
    const { next, out } = acceptAt(init);
    expect(out.replayable).toBe(true);
    expect(() => acceptAt(init, {}, bob, next)).toThrow(replay('ERR_DUPLICATE'));
  });

  test('T10: the same (setId, otId, EKA) in another Init', () => {
    const { init } = handshake(alice, bob);
    const { next } = acceptAt(init);
    const other = altered(init, { kemCiphertext: flip(parseInit(init).kemCiphertext) });
    expect(findSeen(next, parseInit(other))).toBeUndefined();
    expect(() => acceptAt(other, {}, bob, next)).toThrow(replay('ERR_DUPLICATE'));
  });

  test('T10: other signature bytes are the same Init', () => {
    const { init } = handshake(alice, bob, 8);
    const { next } = acceptAt(init);
    const resigned = altered(init, { signature: flip(parseInit(init).signature) });
    expect(findSeen(next, parseInit(resigned))).toBeDefined();
  });

  test('a unit that was used, an unknown unit, an unknown set', () => {
    const { next } = acceptAt(handshake(alice, bob, 6).init);
    expect(() => acceptAt(handshake(mallory, bob, 6, 1, 'other').init, {}, bob, next)).toThrow(replay('ERR_KEY_GONE', 'otId'));
    const { init } = handshake(alice, bob, 6);
    expect(() => acceptAt(altered(init, { otId: new Uint8Array(8).fill(1) }))).toThrow(replay('ERR_KEY_GONE', 'otId'));
    expect(() => acceptAt(altered(init, { setId: new Uint8Array(8).fill(1) }))).toThrow(replay('ERR_KEY_GONE', 'setId'));
  });

  test('the older of two batches still serves', () => {
    const batches = [generatePrekeys(bob.device, testRng('more'), NOW).next.batches[0]!, bob.prekeys.batches[0]!];
    const { next } = acceptAt(handshake(alice, bob, 6).init, {}, bob, { ...bob.prekeys, batches });
    expect(next.batches.map(({ units }) => units.length)).toEqual([100, 99]);
    expect(next.batches[0]).toBe(batches[0]);
  });
});

describe('trust', () => {
  const { init } = handshake(alice, bob, 10);
  const entry = { device: alice.device.device, keyHash: keyHash(alice.device.deviceKey.publicKey), dhKey: alice.device.dhKey.publicKey };
  const list = (entries: readonly (typeof entry)[], version: number, account = 'alice') =>
    signDeviceList(alice.device.accountKey, account, entries, version, NOW, rng);

  test('T11: another identity than the pinned one touches nothing', () => {
    acceptAt(init, { pinnedIdentity: keyHash(alice.device.accountKey.publicKey) });
    expect(() => acceptAt(init, { pinnedIdentity: keyHash(mallory.device.accountKey.publicKey) })).toThrow(trust('ERR_IDENTITY_CHANGED'));
    expectUnchanged();
  });

  test('a stored list counts if it is newer', () => {
    const other = { ...entry, device: entry.device + 1, keyHash: new Uint8Array(64) };
    expect(acceptAt(init, { storedList: list([other], NOW - 1) }).out.peer.list.version).toBe(NOW);
    expect(acceptAt(init, { storedList: alice.device.deviceList }).out.peer.list.version).toBe(NOW);
    expect(acceptAt(init, { storedList: list([entry, other], NOW + 1) }).out.peer.list.version).toBe(NOW + 1);
    expect(acceptAt(init, { storedList: mallory.device.deviceList }).out.peer.list.version).toBe(NOW);
    expect(() => acceptAt(init, { storedList: list([other], NOW) })).toThrow(decryptError);
    expect(() => acceptAt(init, { storedList: new Uint8Array(3) })).toThrow(decryptError);
  });

  test('T30: a device that was removed, or never listed', () => {
    const other = { ...entry, device: entry.device + 1, keyHash: new Uint8Array(64) };
    expect(() => acceptAt(init, { storedList: list([other], NOW + 1) })).toThrow(trust('ERR_DEVICE_UNTRUSTED'));
    expect(() => acceptAt(altered(init, { deviceList: list([other], NOW) }))).toThrow(trust('ERR_DEVICE_UNTRUSTED'));
    expect(() => acceptAt(altered(init, { deviceKey: mallory.device.deviceKey.publicKey }))).toThrow(trust('ERR_DEVICE_UNTRUSTED'));
    expect(() => acceptAt(altered(init, { deviceId: entry.device + 1 }))).toThrow(trust('ERR_DEVICE_UNTRUSTED'));
    expectUnchanged();
  });

  test('a list past its freshness is shown', () => {
    expect(acceptAt(init, {}, bob, bob.prekeys, NOW + 7 * DAY).out.listIsStale).toBe(false);
    expect(acceptAt(init, {}, bob, bob.prekeys, NOW + 7 * DAY + 1).out.listIsStale).toBe(true);
  });

  test('T41: an Init is accepted whatever the clock says', () => {
    for (const nowMs of [NOW - 3650 * DAY, NOW + 3650 * DAY])
      expect(acceptAt(init, {}, bob, bob.prekeys, nowMs).out.replayable).toBe(false);
  });
});

describe('tampering: one error, one text, nothing changes', () => {
  const { init } = handshake(alice, bob, 12);
  const frame = parseInit(init);
  const aliceList = (entry: object, account = 'alice') =>
    signDeviceList(
      alice.device.accountKey,
      account,
      [{ device: alice.device.device, keyHash: keyHash(alice.device.deviceKey.publicKey), dhKey: alice.device.dhKey.publicKey, ...entry }],
      NOW,
      NOW,
      rng,
    );

  test.each<[string, Partial<InitFrame>]>([
    ['T08: mode 0', { mode: 0 }],
    ['T08: mode 2', { mode: 2 }],
    ['T08: profile 0', { profile: 0 }],
    ['T08: profile 4', { profile: 4 }],
    ['T08: another profile', { profile: 2 }],
    ['T08: a range above ours', { verMin: 2, verMax: 2 }],
    ['T08: a wider range', { verMax: 2 }],
    ['T05: kemCiphertext, first byte', { kemCiphertext: flip(frame.kemCiphertext, 0) }],
    ['T05: kemCiphertext, last byte', { kemCiphertext: flip(frame.kemCiphertext) }],
    ['T09: the one-time prekey stripped', { otId: new Uint8Array(8) }],
    ['T02: the id of another unit', { otId: parseInit(handshake(alice, bob, 13).init).otId }],
    ['T01: EKA low-order', { ephemeralKey: new Uint8Array(32) }],
    ['T01: EKA not canonical', { ephemeralKey: new Uint8Array(32).fill(0xff) }],
    ['another EKA', { ephemeralKey: mallory.device.dhKey.publicKey }],
    ['T07: the Ed25519 half broken', { signature: flip(frame.signature) }],
    ['T07: the ML-DSA half broken', { signature: flip(frame.signature, 5) }],
    ['T07: the Ed25519 half stripped', { signature: concat(frame.signature.slice(0, 3309), new Uint8Array(64)) }],
    ['T07: the ML-DSA half stripped', { signature: concat(new Uint8Array(3309), frame.signature.slice(3309)) }],
    ['T11: another account', { accountId: new Uint8Array([97]) }],
    ['T11: another account key', { accountKey: mallory.device.accountKey.publicKey }],
    ['T12: the list of another account', { deviceList: mallory.device.deviceList }],
    [
      'T12: account, key and list of another',
      {
        accountId: new TextEncoder().encode('alice'),
        accountKey: mallory.device.accountKey.publicKey,
        deviceList: mallory.device.deviceList,
      },
    ],
    ['a list with a broken signature', { deviceList: flip(alice.device.deviceList) }],
    ['a list that does not parse', { deviceList: new Uint8Array(50) }],
    ['T12: a list that names another account', { deviceList: aliceList({}, 'alicf') }],
    ['T11: a list with another IKx', { deviceList: aliceList({ dhKey: mallory.device.dhKey.publicKey }) }],
    ['T01: a list with a low-order IKx', { deviceList: aliceList({ dhKey: new Uint8Array(32) }) }],
  ])('%s', (_name, change) => {
    expect(() => acceptAt(altered(init, change))).toThrow(decryptError);
    expectUnchanged();
  });

  test('T12: mallory cannot speak as alice', () => {
    const claimed: DeviceSecrets = { ...mallory.device, account: 'alice' };
    const started = initiate(claimed, verifyBundle(bundleOf(bob, 14), undefined, NOW), 1, rng, NOW);
    expect(() => acceptAt(concat(started.prefix, RATCHET_MESSAGE))).toThrow(decryptError);
    // With a list of her own for that account she is another identity: that is the pin's question.
    const other: Party = { ...mallory, device: generateDevice('alice', rng, NOW) };
    expect(() => acceptAt(handshake(other, bob, 14).init, { pinnedIdentity: keyHash(alice.device.accountKey.publicKey) })).toThrow(
      trust('ERR_IDENTITY_CHANGED'),
    );
    // And with alice's keys, but without her device's secret.
    const stolen: DeviceSecrets = {
      ...alice.device,
      deviceKey: { ...alice.device.deviceKey, secretKey: mallory.device.deviceKey.secretKey },
    };
    const forged = initiate(stolen, verifyBundle(bundleOf(bob, 14), undefined, NOW), 1, rng, NOW);
    expect(() => acceptAt(forged.prefix)).toThrow(decryptError);
  });

  test('T11: an Init for another responder', () => {
    const carol: Party = { ...makeParty('carol'), prekeys: bob.prekeys };
    expect(() => acceptAt(init, {}, carol)).toThrow(decryptError);
    const sibling: Party = { ...bob, device: { ...bob.device, device: bob.device.device + 1 } };
    expect(() => acceptAt(init, {}, sibling)).toThrow(decryptError);
  });

  test('T06: a signature over the same transcript in another context', () => {
    const { signature } = parseInit(init);
    const wrong = compositeSign(alice.device.deviceKey.secretKey, frame.signedPart, 'hs/sig', rng);
    expect(wrong.length).toBe(signature.length);
    expect(() => acceptAt(altered(init, { signature: wrong }))).toThrow(decryptError);
  });

  test('T01: a low-order IKx under valid signatures', () => {
    const dhKey = { ...alice.device.dhKey, publicKey: new Uint8Array(32) };
    const low: DeviceSecrets = { ...alice.device, dhKey, deviceList: aliceList({ dhKey: dhKey.publicKey }) };
    const started = initiate(low, verifyBundle(bundleOf(bob, 15), undefined, NOW), 1, rng, NOW);
    expect(() => acceptAt(started.prefix)).toThrow(decryptError);
    expectUnchanged();
  });

  /** Alice's last-resort Init with some fields changed, and her signature over what it then says. */
  const resigned = (change: Partial<InitFrame>): InitFrame => {
    const { device } = alice;
    const { bundle, init } = handshake(alice, bob);
    const changed = { ...parseInit(init), ...change };
    const transcript = encodeTranscript({
      ...changed,
      initiator: {
        account: 'alice',
        device: device.device,
        accountKeyHash: keyHash(device.accountKey.publicKey),
        deviceKeyHash: keyHash(device.deviceKey.publicKey),
        dhKey: device.dhKey.publicKey,
      },
      responder: {
        ...bundle.address,
        accountKeyHash: bundle.accountKeyHash,
        deviceKeyHash: keyHash(bundle.deviceKey),
        dhKey: bundle.dhKey,
      },
      setHash: bundle.signedSet.hash,
      signedPrekey: bundle.signedSet.signedPrekey,
      kemPrekey: bundle.signedSet.lastResortKemPrekey,
      oneTime: undefined,
    });
    return { ...changed, signature: compositeSign(device.deviceKey.secretKey, transcript, 'hs/sig', rng) };
  };

  test.each<[string, Partial<InitFrame>]>([
    ['T01: EKA of bytes 0x00', { ephemeralKey: new Uint8Array(32) }],
    ['T01: EKA of bytes 0xff', { ephemeralKey: new Uint8Array(32).fill(0xff) }],
    ['T08: a profile whose bit is that of another', { profile: 33 }],
    ['T08: versions above ours', { verMin: 2, verMax: 2 }],
    ['T08: versions below ours', { verMin: 0, verMax: 0 }],
  ])('%s, under a valid signature', (_name, change) => {
    const accepted = (init: InitFrame) => acceptInit(bob.prekeys, bob.device, init, {}, NOW);
    expect(accepted(resigned({})).out.replayable).toBe(true);
    expect(() => accepted(resigned(change))).toThrow(decryptError);
    expectUnchanged();
  });

  test('a set with fewer profiles', () => {
    const prekeys = { ...bob.prekeys, sets: bob.prekeys.sets.map((set) => ({ ...set, profiles: 0b010 })) };
    expect(() => acceptAt(init, {}, bob, prekeys)).toThrow(decryptError);
  });

  test('T50: every truncation of the prefix is a DecodeError', () => {
    for (let i = 0; i < frame.prefix.length; i += 331) {
      expect(() => accept(bob.prekeys, bob.device, init.slice(0, i), NOW)).toThrow(expect.objectContaining({ name: 'DecodeError' }));
    }
  });

  test('an error that is none of ours is not hidden', () => {
    const odd = {
      ...frame,
      get deviceList(): Uint8Array {
        throw new RangeError('x');
      },
    };
    expect(() => acceptInit(bob.prekeys, bob.device, odd, {}, NOW)).toThrow(RangeError);
  });

  test('T03: another PQ prekey gives another session, though all else is equal', () => {
    const prekeys = { ...bob.prekeys, sets: bob.prekeys.sets.map((set) => ({ ...set, lastResortSeed: new Uint8Array(64).fill(3) })) };
    const last = handshake(alice, bob);
    expect(() => acceptAt(last.init, {}, bob, prekeys)).toThrow(decryptError);
    const [one, two] = [handshake(alice, bob, 16), handshake(alice, bob, 17)];
    expect(new Set([...shared(one.secrets), ...shared(two.secrets)]).size).toBe(10);
  });
});

describe('sealed frames', () => {
  const { init, setId, sealKey } = handshake(alice, bob, 20);
  const frame = sealFrame(address, setId, sealKey, init, rng);

  test('open to what was sealed', () => {
    const opened = openFrame(bob.prekeys, address, frame);
    expect(opened).toEqual(init);
    expect(opened.buffer.byteLength).toBe(init.length);
    const ratchet = concat(RATCHET_MESSAGE, new Uint8Array(10));
    const short = sealFrame(address, setId, sealKey, ratchet, rng);
    expect(short.length).toBe(12 + 1120 + 1024 + 16);
    expect(openFrame(bob.prekeys, address, short)).toEqual(ratchet);
    expect(() => acceptAt(openFrame(bob.prekeys, address, frame))).not.toThrow();
  });

  test('T33: nothing of the sender or the recipient stands in clear', () => {
    const text = Buffer.from(frame).toString('latin1');
    for (const word of ['alice', 'bob']) expect(text).not.toContain(word);
    for (const key of [alice.device.accountKey.publicKey, alice.device.dhKey.publicKey])
      expect(Buffer.from(frame).includes(Buffer.from(key.slice(0, 16)))).toBe(false);
  });

  test('an unknown set', () => {
    expect(() => openFrame(bob.prekeys, address, flip(frame, 11))).toThrow(replay('ERR_KEY_GONE', 'setId'));
  });

  test('T40: any changed byte, another recipient', () => {
    for (let i = 12; i < frame.length; i += 701) expect(() => openFrame(bob.prekeys, address, flip(frame, i))).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, address, flip(frame))).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, { ...address, device: address.device + 1 }, frame)).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, { ...address, account: 'bobby' }, frame)).toThrow(decryptError);
  });

  test('T50: truncated', () => {
    for (const cut of [1, 15, 16, 17, 2000]) expect(() => openFrame(bob.prekeys, address, frame.slice(0, -cut))).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, address, frame.slice(0, 100))).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }));
  });

  test('T13: only an Init of the same set or a ratchet message may stand inside', () => {
    const sealed = (inner: Uint8Array) => sealFrame(address, setId, sealKey, inner, rng);
    expect(() => openFrame(bob.prekeys, address, sealed(frame))).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, address, sealed(altered(init, { setId: new Uint8Array(8) })))).toThrow(decryptError);
    expect(() => openFrame(bob.prekeys, address, sealed(new Uint8Array([0x30, 1, 0, 1])))).toThrow(
      expect.objectContaining({ code: 'ERR_DECODE' }),
    );
    expect(() => openFrame(bob.prekeys, address, sealed(new Uint8Array()))).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }));
    expect(() => openFrame(bob.prekeys, address, sealed(new Uint8Array([0x20, 2, 0, 1])))).toThrow(
      expect.objectContaining({ code: 'ERR_VERSION' }),
    );
  });

  test('T04: sealing to a key that is none', () => {
    expect(() => sealFrame(address, setId, new Uint8Array(1216).fill(0xff), init, rng)).toThrow(decryptError);
  });
});

test('sizes: a first flight of a list of one device, profile 1', () => {
  const account = 'b'.repeat(64);
  const from = { ...alice, device: generateDevice('a'.repeat(64), rng, NOW) };
  const to = makeParty(account);
  const { prefix, setId, sealKey } = handshake(from, to, 0);
  expect(prefix.length).toBe(12_869 - 200);
  const flight = sealFrame({ account, device: to.device.device }, setId, sealKey, concat(prefix, new Uint8Array(868)), rng);
  expect(flight.length).toBe(12 + 1120 + 13_824 + 16);
});
