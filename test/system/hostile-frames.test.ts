import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import type { ErrorCode } from '../../src/errors.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { identityBytes } from '../../src/identity/device.js';
import { sessionLimits, wireLimits } from '../../src/limits.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import { encodeTranscript } from '../../src/pqxdh/transcript.js';
import type { BundleBytes } from '../../src/step.js';
import { encodeInit, type InitFields, parseInit } from '../../src/wire/frames.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { encodeSignedSet, parseSignedSet, type SignedSetFields } from '../../src/wire/objects.js';
import { saysControl } from '../../src/wire/plaintext.js';
import type { Header } from '../../src/wire/ratchet-message.js';
import { besidesFailures } from '../helpers/broken-session.js';
import { type EvilPeer, evilPeer } from '../helpers/evil-peer.js';
import { forge, skipAhead } from '../helpers/forge.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { counted, type Person, person, START } from '../helpers/people.js';
import { flip, testRng } from '../helpers/rng.js';

const rng = testRng('hostile frames');
const clock = { ms: START };
let network: HostileNetwork;
let bob: Person;
let bundle: BundleBytes;
let set: SignedSetFields;

beforeAll(async () => {
  network = hostileNetwork();
  bob = await person('bob', network, clock);
  // What a client writes when it begins.
  await counted(bob, START);
  [bundle] = (await network.bundles('bob')) as [BundleBytes];
  set = parseSignedSet(bundle.signedSet);
});
afterAll(() => bob.client.close());

/** Delivers one frame, which must be acknowledged, dropped with `code`, and change no byte of the store. */
async function expectDropped(frame: Uint8Array, code: ErrorCode, what: string): Promise<void> {
  clock.ms += 2_000; // a token for a flight
  const before = bob.store.content();
  const dropped = bob.dropped().length;
  const startedAt = performance.now();
  expect(await network.inject(bob.address, frame), what).toBe(true);
  expect(performance.now() - startedAt, what).toBeLessThan(5_000);
  expect(bob.dropped().slice(dropped), what).toEqual([code]);
  expect(bob.store.content(), what).toBe(before);
}

/** A peer of that name whom the directory knows, with a session that bob has accepted. */
async function knownPeer(account: string): Promise<EvilPeer> {
  const peer = evilPeer(account, account, clock.ms);
  const before = network.answer;
  network.answer = (asked, honest) => (asked === account ? [peer.published()] : before(asked, honest));
  clock.ms += 2_000;
  await network.inject(bob.address, peer.flight(bundle, peer.text(`${account} is here`)));
  expect(await bob.read()).toMatchObject({ text: `${account} is here`, from: { account } });
  return peer;
}

/** The peer's next message still arrives. */
async function expectGoesOn(peer: EvilPeer): Promise<void> {
  await network.inject(bob.address, peer.next(peer.text('and on')));
  expect((await bob.read()).text).toBe('and on');
}

const seal = (inner: Uint8Array): Uint8Array => sealFrame(bob.address, set.setId, set.sealKey, inner, rng);

test('T13, T46: unknown types, versions and suites, wrong lengths, one frame in another’s place', async () => {
  const peer = evilPeer('mallory', 'types', clock.ms);
  const { prefix, ratchetMessage } = peer.initiate(bundle, peer.text('x'));
  const init = concat(prefix, ratchetMessage);
  const head = (type: number, ver: number, suite: number): Uint8Array =>
    concat(new Uint8Array([type, ver, suite >> 8, suite & 255]), rng(2_200));
  await expectDropped(new Uint8Array(0), 'ERR_DECODE', 'nothing');
  await expectDropped(init, 'ERR_DECODE', 'an unsealed Init');
  for (const type of [0x00, 0x02, 0x11, 0x30, 0x40, 0x41, 0x42, 0x44, 0x45, 0xff])
    await expectDropped(head(type, 1, 1), 'ERR_DECODE', `type ${type}`);
  for (const type of [0x01, 0x10, 0x20]) {
    for (const [ver, suite] of [
      [0, 1],
      [2, 1],
      [255, 1],
      [1, 0],
      [1, 2],
      [1, 0x0100],
    ] as const) {
      await expectDropped(head(type, ver, suite), 'ERR_VERSION', `type ${type} ver ${ver} suite ${suite}`);
    }
  }
  await expectDropped(new Uint8Array(256 * 1024 + 1).fill(0x20), 'ERR_TOO_LARGE', 'a huge frame');
  await expectDropped(head(0x20, 1, 1), 'ERR_NO_SESSION', 'an unknown tag');
  await expectDropped(seal(seal(init)), 'ERR_DECRYPT', 'a seal in a seal');
  await expectDropped(seal(ratchetMessage), 'ERR_NO_SESSION', 'the message without its Init');
  await expectDropped(seal(new Uint8Array([0x40, 1, 0, 1])), 'ERR_DECODE', 'a list in a seal');
  await expectDropped(seal(new Uint8Array(0)), 'ERR_DECODE', 'an empty seal');
  await expectDropped(seal(prefix), 'ERR_DECODE', 'an Init without a message');
  await expectDropped(seal(concat(prefix, new Uint8Array(30_000))), 'ERR_DECODE', 'an Init with zeros behind it');
  clock.ms += 2_000;
});

test('T28, T40: nothing longer than the longest sealed frame is opened, nor does it use up what first contacts need', async () => {
  const padded = (length: number): Uint8Array => concat(seal(new Uint8Array(0)), new Uint8Array(length)).subarray(0, length);
  await expectDropped(padded(wireLimits.sealedBytes), 'ERR_DECRYPT', 'the longest');
  await expectDropped(padded(wireLimits.sealedBytes + 1), 'ERR_TOO_LARGE', 'one byte more');
  const dropped = bob.dropped().length;
  for (let i = 0; i < 2 * sessionLimits.unknownFlightsPerMinute; i++) await network.inject(bob.address, padded(wireLimits.sealedBytes + 1));
  expect(new Set(bob.dropped().slice(dropped))).toEqual(new Set(['ERR_TOO_LARGE']));
  await expectGoesOn(await knownPeer('after the long ones'));
});

test('T03, T08, T11, T17: every field of an Init changed under its seal: no session, no prekey used, and the genuine one is accepted', async () => {
  const peer = evilPeer('mallory', 'fields', clock.ms);
  network.answer = (account, honest) => (account === 'mallory' ? [peer.published()] : honest);
  const other = evilPeer('mallory', 'other', clock.ms);
  const keys = network.published.find(({ address }) => address.account === 'bob')!;
  const oneTime = { head: keys.batch!.head, entry: keys.batch!.entries[7]! };
  const { prefix, ratchetMessage } = peer.initiate({ ...bundle, oneTime }, peer.text('genuine'));
  const { signature, ...fields } = parseInit(concat(prefix, ratchetMessage));
  const changes: [string, Partial<InitFields & { signature: Uint8Array }>, ErrorCode][] = [
    ['mode', { mode: 2 }, 'ERR_DECRYPT'],
    ['profile of none', { profile: 0 }, 'ERR_DECRYPT'],
    ['unknown profile', { profile: 4 }, 'ERR_DECRYPT'],
    ['other profile', { profile: 2 }, 'ERR_DECRYPT'],
    ['lower version', { verMin: 0 }, 'ERR_DECODE'],
    ['versions in disorder', { verMin: 2 }, 'ERR_DECODE'],
    ['higher version', { verMax: 9 }, 'ERR_DECRYPT'],
    ['only newer versions', { verMin: 2, verMax: 9 }, 'ERR_DECRYPT'],
    ['account', { accountId: new Uint8Array([0x61]) }, 'ERR_DECRYPT'],
    ['no account', { accountId: new Uint8Array(0) }, 'ERR_DECODE'],
    ['account of no text', { accountId: new Uint8Array([0xff]) }, 'ERR_DECODE'],
    ['long account', { accountId: new Uint8Array(65).fill(0x61) }, 'ERR_DECODE'],
    ['device', { deviceId: fields.deviceId ^ 2 }, 'ERR_DEVICE_UNTRUSTED'],
    ['set', { setId: flip(fields.setId) }, 'ERR_DECRYPT'],
    ['unit', { otId: flip(fields.otId) }, 'ERR_KEY_GONE'],
    ['last resort instead of the unit', { otId: new Uint8Array(8) }, 'ERR_DECRYPT'],
    ['ephemeral key', { ephemeralKey: flip(fields.ephemeralKey, 0) }, 'ERR_DECRYPT'],
    ['ciphertext', { kemCiphertext: flip(fields.kemCiphertext) }, 'ERR_DECRYPT'],
    ['account key', { accountKey: other.device.accountKey.publicKey }, 'ERR_DECRYPT'],
    ['device key', { deviceKey: other.device.deviceKey.publicKey }, 'ERR_DEVICE_UNTRUSTED'],
    ['list', { deviceList: other.device.deviceList }, 'ERR_DECRYPT'],
    ['list cut', { deviceList: fields.deviceList.subarray(1) }, 'ERR_DECRYPT'],
    [
      'own identity, another’s signature',
      {
        accountKey: other.device.accountKey.publicKey,
        deviceKey: other.device.deviceKey.publicKey,
        deviceList: other.device.deviceList,
        deviceId: other.device.device,
      },
      'ERR_DECRYPT',
    ],
    ['ML-DSA half', { signature: flip(signature, 5) }, 'ERR_DECRYPT'],
    ['Ed25519 half', { signature: flip(signature) }, 'ERR_DECRYPT'],
  ];
  for (const [what, change, code] of changes) {
    await expectDropped(seal(concat(encodeInit({ ...fields, signature, ...change }), ratchetMessage)), code, what);
  }
  await expectDropped(seal(concat(prefix, flip(ratchetMessage))), 'ERR_DECRYPT', 'body');
  await expectDropped(seal(concat(prefix, flip(ratchetMessage, 30))), 'ERR_DECRYPT', 'header nonce');
  await expectDropped(seal(concat(prefix, flip(ratchetMessage, 4))), 'ERR_NO_SESSION', 'tag');
  clock.ms += 2_000;
  await network.inject(bob.address, seal(concat(prefix, ratchetMessage)));
  expect(await bob.read()).toMatchObject({ text: 'genuine', replayable: false });
  await expectGoesOn(peer);
});

const LOW_ORDER = [
  new Uint8Array(32),
  new Uint8Array(32).fill(1, 0, 1),
  new Uint8Array(Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex')),
  new Uint8Array(Buffer.from('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157', 'hex')),
  new Uint8Array(Buffer.from('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')),
  new Uint8Array(Buffer.from('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')),
  new Uint8Array(Buffer.from('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')),
];

test('T01: low-order points, properly signed: as ephemeral key, as identity key, as prekey', async () => {
  const verified = verifyBundle(bundle, undefined, START);
  const peer = evilPeer('mallory2', 'low order', clock.ms);
  const { prefix, ratchetMessage } = peer.initiate(bundle, peer.text('x'));
  const { signature: _signature, ...fields } = parseInit(concat(prefix, ratchetMessage));
  const signedInit = (ephemeralKey: Uint8Array, dhKey: Uint8Array, deviceList: Uint8Array): Uint8Array => {
    const { accountKey, deviceKey, account, device } = peer.device;
    const transcript = encodeTranscript({
      profile: 1,
      verMin: 1,
      verMax: 1,
      initiator: { account, device, accountKeyHash: keyHash(accountKey.publicKey), deviceKeyHash: keyHash(deviceKey.publicKey), dhKey },
      responder: { ...bob.address, accountKeyHash: verified.accountKeyHash, deviceKeyHash: set.deviceKeyHash, dhKey: verified.dhKey },
      setHash: verified.signedSet.hash,
      setId: set.setId,
      signedPrekey: set.signedPrekey,
      kemPrekey: set.lastResortKemPrekey,
      oneTime: undefined,
      ephemeralKey,
      kemCiphertext: fields.kemCiphertext,
    });
    const signature = compositeSign(deviceKey.secretKey, transcript, 'hs/sig', rng);
    return seal(concat(encodeInit({ ...fields, ephemeralKey, deviceList, signature }), ratchetMessage));
  };
  for (const point of LOW_ORDER) {
    await expectDropped(signedInit(point, peer.device.dhKey.publicKey, peer.device.deviceList), 'ERR_DECRYPT', 'ephemeral key');
    const entry = { device: peer.device.device, keyHash: keyHash(peer.device.deviceKey.publicKey), dhKey: point };
    const list = signDeviceList(peer.device.accountKey, 'mallory2', [entry], clock.ms, clock.ms, rng);
    await expectDropped(signedInit(fields.ephemeralKey, point, list), 'ERR_DECRYPT', 'identity key');
    await expectHeld(peer, { signedPrekey: point });
  }
});

test('T02, T04: prekeys that are none, properly signed: unreduced, in each other’s place, for no version of ours', async () => {
  const peer = evilPeer('mallory3', 'prekeys', clock.ms);
  const own = parseSignedSet(peer.published().signedSet);
  await expectHeld(peer, { lastResortKemPrekey: new Uint8Array(1568).fill(0xff) });
  await expectHeld(peer, { sealKey: new Uint8Array(1216).fill(0xff) });
  await expectHeld(peer, { lastResortKemPrekey: concat(own.sealKey, new Uint8Array(352).fill(0xff)) });
  await expectHeld(peer, { signedPrekey: new Uint8Array(32).fill(0xff) });
  await expectHeld(peer, { notAfter: START - 1 });
  await expectHeld(peer, { verMin: 2, verMax: 2 });
  await expectHeld(peer, { suites: [2] });
  await expectHeld(peer, { profiles: 0 });
  await expectHeld(peer, { deviceKeyHash: rng(64) });
});

/** Bob writes to a peer whose signed set has these fields: nothing leaves, and the message is held as ERR_BUNDLE. */
async function expectHeld(peer: EvilPeer, change: Partial<SignedSetFields>): Promise<void> {
  const { tbs: _tbs, signature: _signature, ...own } = parseSignedSet(peer.published().signedSet);
  const tbs = encodeSignedSet({ ...own, ...change });
  const signedSet = concat(tbs, compositeSign(peer.device.deviceKey.secretKey, tbs, 'pk/set', rng));
  const { account, device } = peer.device;
  const before = network.answer;
  const sentCount = network.sent.length;
  network.answer = (asked, honest) =>
    asked === account ? [{ address: { account, device }, identity: identityBytes(peer.device), signedSet }] : honest;
  const sent = await bob.client.send(account, 'never');
  await expect(sent.until('accepted'), JSON.stringify(Object.keys(change))).rejects.toMatchObject({ code: 'ERR_BUNDLE' });
  expect(await sent.cancel()).toBe('cancelled');
  expect(network.sent.length).toBe(sentCount);
  network.answer = before;
}

describe('with an open session', () => {
  test('T50: a genuine message cut at every length', async () => {
    const peer = await knownPeer('cutter');
    const genuine = peer.next(peer.text('whole'));
    const before = bob.store.dump();
    for (let length = 0; length < genuine.length; length++) {
      if (!(await network.inject(bob.address, genuine.subarray(0, length)))) expect.fail(`length ${length} was kept`);
    }
    expect(bob.store.dump()).toBe(before);
    await network.inject(bob.address, genuine);
    expect((await bob.read()).text).toBe('whole');
    await expectDropped(genuine, 'ERR_DUPLICATE', 'again');
  });

  test('T16, T17: counters forged by the peer: bounded work, nothing changes but the count of failures, and the next message opens', async () => {
    const peer = await knownPeer('counter');
    const forgeries: [Partial<Header>, ErrorCode][] = [
      [{ n: 0x7fff_ffff }, 'ERR_DECRYPT'],
      [{ n: 0xffff_ffff }, 'ERR_DECRYPT'],
      [{ previousChainLength: 0xffff_ffff }, 'ERR_DECRYPT'],
      [{ pqCounter: 0x7fff_ffff }, 'ERR_DECRYPT'],
      [{ pqCounter: 0 }, 'ERR_DECRYPT'],
      [{ pqEpoch: 0 }, 'ERR_DECRYPT'],
      [{ pqEpoch: 2 }, 'ERR_DECRYPT'],
      [{ pqEpoch: 0x7fff_fffe, pqPrevious: 0x7fff_fffe }, 'ERR_DECRYPT'],
      [{ pqPrevious: 7 }, 'ERR_DECRYPT'],
      [{ type: 7 }, 'ERR_DECRYPT'],
      [{ index: 1 }, 'ERR_DECRYPT'],
      [{ ratchetKey: LOW_ORDER[0]! }, 'ERR_DECRYPT'],
      [{ n: 20_000, pqCounter: 20_001 }, 'ERR_DECRYPT'],
    ];
    for (const [header, code] of forgeries) {
      const before = besidesFailures(bob.store);
      const dropped = bob.dropped().length;
      await network.inject(bob.address, forge(peer.state(), { header, prk: new Uint8Array(32).fill(1) }));
      expect(bob.dropped().slice(dropped), JSON.stringify(header)).toEqual([code]);
      expect(besidesFailures(bob.store), JSON.stringify(header)).toBe(before);
      // Three in a row would break the session.
      await expectGoesOn(peer);
    }
  });

  test('T16: a gap beyond the bound ends the session, once, and says so', async () => {
    const peer = await knownPeer('jumper');
    const far = forge(skipAhead(peer.state(), 25_001));
    const events = bob.count('undecryptable');
    for (let i = 0; i < 3; i++) expect(await network.inject(bob.address, far)).toBe(true);
    expect(bob.dropped().slice(-3)).toEqual(['ERR_SKIP_LIMIT', 'ERR_SKIP_LIMIT', 'ERR_SKIP_LIMIT']);
    expect(bob.count('undecryptable')).toBe(events + 1);
    expect(bob.events.filter(({ type }) => type === 'undecryptable').at(-1)).toMatchObject({ from: 'jumper', code: 'ERR_SKIP_LIMIT' });
    await expectGoesOn(peer);
  });

  test('T13, T40: what an authentic peer says and nobody can read: told, not shown, and the next message arrives', async () => {
    const peer = await knownPeer('babbler');
    const text = (value: string): number[] => [0xa0 | value.length, ...Buffer.from(value)];
    const hello = (fields: Record<string, unknown>): Uint8Array =>
      peer.raw(encodeMsgpack({ t: 'hello', incarnation: rng(16), replaces: [], ...fields }), 'control');
    const app = peer.text('x');
    const withKind = (kind: number): Uint8Array => concat(new Uint8Array([kind]), app.subarray(1));
    const bombs: [string, Uint8Array][] = [
      ['arrays nested 60,000 deep', peer.raw(new Uint8Array(60_000).fill(0x91))],
      ['maps nested 20,000 deep', peer.raw(new Uint8Array(Array.from({ length: 20_000 }, () => [0x81, 0xa1, 0x61]).flat()))],
      ['an array that claims four billion items', peer.raw(new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]))],
      ['an array that claims a million items', peer.raw(new Uint8Array([0xdd, 0, 0x10, 0, 0]))],
      ['a map that claims a million keys', peer.raw(new Uint8Array([0xdf, 0, 0x10, 0, 0]))],
      ['a string that claims a megabyte', peer.raw(new Uint8Array([0xdb, 0, 0x10, 0, 0]))],
      ['bytes that claim a megabyte', peer.raw(new Uint8Array([0xc6, 0, 0x10, 0, 0]))],
      ['60,000 items', peer.raw(concat(new Uint8Array([0xdc, 0xea, 0x60]), new Uint8Array(60_000).fill(0xc0)))],
      ...['__proto__', 'constructor', 'prototype'].map((key): [string, Uint8Array] => [
        key,
        peer.raw(new Uint8Array([0x83, ...text('t'), ...text('text'), ...text('at'), 1, ...text(key), 0x81, ...text('polluted'), 0xc3])),
      ]),
      ['one key twice', peer.raw(new Uint8Array([0x82, ...text('t'), ...text('text'), ...text('t'), ...text('text')]))],
      ['an extension', peer.raw(new Uint8Array([0xd4, 0, 0]))],
      ['a record of msgpackr', peer.raw(new Uint8Array([0xd4, 0x72, 0x40]))],
      ['NaN', peer.raw(new Uint8Array([0x81, ...text('at'), 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]))],
      ['nothing', peer.raw(new Uint8Array(0))],
      ['no map', peer.raw(encodeMsgpack([1, 2, 3]))],
      ['no time', peer.raw(encodeMsgpack({ t: 'text', text: 'x' }))],
      ['no text', peer.raw(encodeMsgpack({ t: 'text', at: 1 }))],
      ['text that is a number', peer.raw(encodeMsgpack({ t: 'text', at: 1, text: 1 }))],
      ['unknown content', peer.raw(encodeMsgpack({ t: 'telepathy', at: 1 }))],
      ['hello as content', peer.raw(encodeMsgpack({ t: 'hello', at: 1 }))],
      ['content as control', peer.raw(encodeMsgpack({ t: 'text', at: 1, text: 'x' }), 'control')],
      ['hello without incarnation', peer.raw(encodeMsgpack({ t: 'hello', replaces: [] }), 'control')],
      ['hello with a short incarnation', hello({ incarnation: rng(15) })],
      ['hello that replaces too many', hello({ replaces: Array.from({ length: 6 }, () => rng(16)) })],
      ['hello that replaces something else', hello({ replaces: ['x'] })],
      ['hello with an unknown field', hello({ extra: 1 })],
      ['hello with broken content', hello({ app: new Uint8Array([0xc1]) })],
      ...[2, 3, 0x7f, 0xff].map((kind): [string, Uint8Array] => [`kind ${kind}`, withKind(kind)]),
      ['no head', app.subarray(0, 40)],
      ['nothing at all', new Uint8Array(0)],
      ['a list version beyond 2^53', concat(app.subarray(0, 17), new Uint8Array(8).fill(0xff), app.subarray(25))],
    ];
    const startedAt = performance.now();
    for (const [what, plaintext] of bombs) {
      clock.ms += 3_600_000; // what is no news is not said
      const events = bob.count('undecryptable');
      expect(await network.inject(bob.address, peer.next(plaintext)), what).toBe(true);
      // What devices say to each other is no person's, but for what a hello carries.
      const isSilent = saysControl(plaintext) && what !== 'hello with broken content';
      expect(bob.count('undecryptable'), what).toBe(events + (isSilent ? 0 : 1));
      if (isSilent) continue;
      const event = bob.events.filter(({ type }) => type === 'undecryptable').at(-1);
      expect(event, what).toMatchObject({ from: 'babbler', code: expect.stringMatching(/^ERR_(DECODE|VERSION)$/), heals: 'needs-person' });
    }
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(await bob.readAll()).toEqual([]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    await expectGoesOn(peer);
  });
});
