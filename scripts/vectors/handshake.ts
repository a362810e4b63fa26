/** Vectors of PQXDH: every value on the way, first flights, and what a responder must refuse. */

import { concat, toHex } from '../../src/bytes.js';
import { mlKem1024, sha256, x25519KeyPair } from '../../src/crypto/suite.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { entryOf } from '../../src/identity/device.js';
import { openFrame, sealFrame } from '../../src/pqxdh/handshake.js';
import { encodeTranscript } from '../../src/pqxdh/transcript.js';
import { encrypt, initiateRatchet } from '../../src/ratchet/index.js';
import type { Profile } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { drawing } from '../../src/vectors/player.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { parseInit } from '../../src/wire/frames.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';
import { book, flipped, patched } from './book.js';
import { LOW_ORDER, NOT_CANONICAL } from './crypto.js';
import { begin, crafting, oneTimeOf, party, REST, transcriptOf } from './initiator.js';
import { deviceInputs, NOW, stranger, world } from './world.js';

/** Units of bob's batch whose secrets stand in the file. */
const UNITS = [0, 1, 2] as const;

export function handshakeVectors(): VectorFile {
  const { alice, bob, prekeys, published, list } = world();
  const seed = 'vectors/handshake';
  const rng = seededRng(seed);
  const { give, valid, invalid, scenario, file } = book({
    kind: 'handshake',
    section: '2.3, 2.4, 6',
    description:
      'PQXDH. `agree`, `agreeAsResponder` and `derive` are the steps of the key agreement with every value on the way; `initiate` is the whole of the initiator’s part, `accept` the responder’s, from an Init with what stands behind it. `initiate` draws `random`: EKA 32, encapsulation 32, signature 32; the Inits that it makes stand whole in `init`, `secondInit` and `thirdInit`, with a ratchet message of five bytes behind them. `firstFlight` draws these, then the first ratchet key 32, the header nonce 32, the seed of the braid’s first key 64, and the seal 64, and gives the SHA-256 of the sealed frame that `openFirstFlight` opens, accepts and decrypts. A responder with steps keeps what it has accepted: `isRepeated` says that an Init came before. `account`, `device`, `identity`, `signedSet`, `head` and `entry` are the bundle; `initiator` and `responder` are the two devices with their secrets, `units` those of the batch’s units that are left.',
    seed: `vectors/world, ${seed}`,
  });
  const set = parseSignedSet(published(0).signedSet);
  const held = prekeys.sets[0]!;
  const units = UNITS.map((i) => prekeys.batches[0]!.units[i]!);
  const responder = {
    ...deviceInputs(bob),
    signedSet: published(0).signedSet,
    signedPrekeySecretKey: held.signedPrekeySecret,
    lastResortSeed: held.lastResortSeed,
    sealSeed: held.sealSeed,
    head: published(0).head,
    units: units.map(({ otId, dhSecret, kemSeed }) => ({ otId, oneTimePrekeySecretKey: dhSecret, oneTimeKemPrekeySeed: kemSeed })),
  };
  give({ nowMs: NOW, initiator: deviceInputs(alice), responder, account: bob.account, device: bob.device, ...published(0) });

  // The steps of the agreement, and the whole of it.
  const honest: Record<string, Uint8Array> = {};
  for (const [name, i, profile, given] of [
    ['one-time', 0, 1, 'init'],
    ['one-time-2', 2, 2, 'secondInit'],
    ['last-resort', undefined, 3, 'thirdInit'],
  ] as const) {
    const unit = i === undefined ? undefined : units[i];
    const random = rng(96);
    const agreed = valid(`agree-${name}`, 'agree', {
      dhSecretKey: alice.dhKey.secretKey,
      ephemeralSecretKey: random.slice(0, 32),
      kemRandom: random.slice(32, 64),
      dhKey: bob.dhKey.publicKey,
      signedPrekey: set.signedPrekey,
      oneTimePrekey: unit && oneTimeOf(unit).oneTimePrekey,
      kemPrekey: unit === undefined ? set.lastResortKemPrekey : mlKem1024.publicKey(unit.kemSeed),
    });
    const [ephemeralKey, kemCiphertext] = [agreed.bytes('ephemeralKey'), agreed.bytes('kemCiphertext')];
    valid(`agree-as-responder-${name}`, 'agreeAsResponder', {
      dhSecretKey: bob.dhKey.secretKey,
      signedPrekeySecretKey: held.signedPrekeySecret,
      oneTimePrekeySecretKey: unit?.dhSecret,
      kemSeed: unit?.kemSeed ?? held.lastResortSeed,
      dhKey: alice.dhKey.publicKey,
      ephemeralKey,
      kemCiphertext,
    });
    const { ephemeralKey: _key, kemCiphertext: _ciphertext, ...secrets } = agreed.json;
    const shared = Object.fromEntries(Object.keys(secrets).map((each) => [each, agreed.bytes(each)]));
    const transcript = encodeTranscript(transcriptOf(unit, ephemeralKey, kemCiphertext, profile));
    const derived = valid(`derive-${name}`, 'derive', { transcript, ...shared });
    const bundle = unit === undefined ? { head: null, entry: null } : { entry: published(i!).entry };
    const started = valid(`initiate-${name}`, 'initiate', { ...bundle, profile, random });
    const init = concat(begin(i, profile, drawing(random).rng).prefix, REST);
    give({ [given]: init });
    const accepted = valid(`accept-${name}`, 'accept', { init });
    for (const each of ['sessionId', 'transcriptHash', 'rootKey', 'headerKeyA', 'nextHeaderKeyB', 'sckaSecret']) {
      if (started.json[each] !== derived.json[each] || accepted.json[each] !== derived.json[each])
        throw new Error(`${name}: ${each} differs`);
    }
    honest[name] = init;
  }
  const init = honest['one-time']!;

  // Keys that an agreement refuses.
  give({ kemPrekey: set.lastResortKemPrekey });
  const agreement = {
    dhSecretKey: alice.dhKey.secretKey,
    ephemeralSecretKey: rng(32),
    kemRandom: rng(32),
    dhKey: bob.dhKey.publicKey,
    signedPrekey: set.signedPrekey,
    oneTimePrekey: oneTimeOf(units[0]!).oneTimePrekey,
    kemPrekey: set.lastResortKemPrekey,
  };
  for (const name of ['dhKey', 'signedPrekey', 'oneTimePrekey'] as const) {
    for (const [i, point] of [...LOW_ORDER, ...NOT_CANONICAL].entries()) {
      const what = i < LOW_ORDER.length ? 'of small order' : 'that is not canonical';
      invalid(`agree-${name.toLowerCase()}-${i}`, 'agree', 'ERR_DECRYPT', 'T01', `${name} ${what}`, { ...agreement, [name]: point });
    }
  }
  invalid('agree-kem-unreduced', 'agree', 'ERR_DECRYPT', 'T04', 'a coefficient of the KEM prekey that is out of range', {
    ...agreement,
    kemPrekey: patched(set.lastResortKemPrekey, 0, [0xff, 0xff, 0xff]),
  });
  const { signedSet, identity } = world();
  const initiating = (id: string, threats: string, description: string, changed: Record<string, Uint8Array | number>): void =>
    invalid(id, 'initiate', 'ERR_BUNDLE', threats, description, { profile: 1, random: rng(96), ...changed });
  initiating('initiate-spk-low-order', 'T01', 'an SPK of small order', { signedSet: signedSet({ signedPrekey: LOW_ORDER[2]! }) });
  initiating('initiate-ikx-low-order', 'T01', 'an IKx of small order', {
    identity: identity({ entries: [{ ...entryOf(bob), dhKey: LOW_ORDER[3]! }] }),
  });
  initiating('initiate-profile', 'T08', 'a profile that the set does not allow', { signedSet: signedSet({ profiles: 6 }) });
  initiating('initiate-no-pqlr', 'T08', 'a set that ends before PQLR', { signedSet: published(0).signedSet.slice(0, 120) });

  // What a responder refuses: first what anybody can change, then what a peer can sign.
  const parsed = parseInit(init);
  const refuse = (
    id: string,
    code: 'ERR_DECRYPT' | 'ERR_KEY_GONE' | 'ERR_DEVICE_UNTRUSTED' | 'ERR_IDENTITY_CHANGED' | 'ERR_VERSION' | 'ERR_DECODE',
    threats: string,
    description: string,
    changed: Uint8Array,
    more: Record<string, Uint8Array> = {},
  ): void => invalid(id, 'accept', code, threats, description, { init: changed, ...more });
  const a = alice.account.length;
  refuse('accept-mode', 'ERR_DECRYPT', 'T08', 'another mode', patched(init, 4, [2]));
  refuse('accept-profile', 'ERR_DECRYPT', 'T08', 'another profile than was signed', patched(init, 5, [2]));
  refuse('accept-profile-4', 'ERR_DECRYPT', 'T08', 'a profile that there is not', patched(init, 5, [4]));
  refuse('accept-ver-max', 'ERR_DECRYPT', 'T08', 'another version range than was signed', patched(init, 7, [2]));
  refuse('accept-ver-2', 'ERR_DECRYPT', 'T08', 'versions from 2', patched(init, 6, [2, 2]));
  refuse('accept-version', 'ERR_VERSION', 'T08 T46', 'another protocol version', patched(init, 1, [2]));
  refuse('accept-type', 'ERR_DECODE', 'T13', 'another type', patched(init, 0, [0x20]));
  refuse('accept-account', 'ERR_DECRYPT', 'T11 T12', 'another account than the list’s', patched(init, 10, [0x62]));
  refuse('accept-device', 'ERR_DEVICE_UNTRUSTED', 'T12 T30', 'another device number', flipped(init, 10 + a + 3));
  refuse('accept-set', 'ERR_KEY_GONE', 'T02', 'a set that there is not', flipped(init, 14 + a));
  refuse('accept-unit', 'ERR_KEY_GONE', 'T09', 'a unit that there is not', flipped(init, 22 + a));
  refuse('accept-unit-swapped', 'ERR_DECRYPT', 'T02', 'another unit than was signed', patched(init, 22 + a, units[1]!.otId));
  refuse('accept-unit-stripped', 'ERR_DECRYPT', 'T08 T09', 'no unit where one was signed', patched(init, 22 + a, new Uint8Array(8)));
  refuse('accept-ephemeral', 'ERR_DECRYPT', 'T11', 'another EKA', flipped(init, 30 + a));
  refuse('accept-kem', 'ERR_DECRYPT', 'T05', 'another KEM ciphertext', flipped(init, 62 + a));
  refuse('accept-aik', 'ERR_DECRYPT', 'T11', 'another AIK', flipped(init, 1630 + a));
  refuse('accept-dik', 'ERR_DEVICE_UNTRUSTED', 'T12 T30', 'another DIK', flipped(init, 3614 + a));
  refuse('accept-list', 'ERR_DECRYPT', 'T30', 'a bit of the list changed', flipped(init, 5600 + a + 100));
  refuse('accept-mldsa', 'ERR_DECRYPT', 'T07', 'a bit of the ML-DSA half changed', flipped(init, parsed.signedPart.length));
  refuse('accept-ed25519', 'ERR_DECRYPT', 'T07', 'a bit of the Ed25519 half changed', flipped(init, parsed.prefix.length - 1));
  refuse('accept-cut', 'ERR_DECODE', 'T50', 'cut off within the signature', init.slice(0, parsed.prefix.length - 1));
  const otherSignature = parseInit(honest['one-time-2']!).signature;
  refuse(
    'accept-other-signature',
    'ERR_DECRYPT',
    'T10',
    'the signature of another Init',
    patched(init, parsed.signedPart.length, otherSignature),
  );
  refuse('accept-pinned', 'ERR_IDENTITY_CHANGED', 'T11 T32', 'sound, under another AIK than the pinned one', init, {
    pinnedIdentity: new Uint8Array(64).fill(1),
  });

  const craft = crafting(init, seed);
  for (const [i, point] of [LOW_ORDER[0]!, LOW_ORDER[2]!, ...NOT_CANONICAL].entries()) {
    refuse(
      `signed-ephemeral-${i}`,
      'ERR_DECRYPT',
      'T01',
      `signed, with an EKA ${i < 2 ? 'of small order' : 'that is not canonical'}`,
      craft({ init: { ephemeralKey: point } }),
    );
  }
  refuse(
    'signed-other-responder',
    'ERR_DECRYPT',
    'T11',
    'signed for another responder',
    craft({ transcript: { responder: { ...party(bob), account: 'rob' } } }),
  );
  refuse(
    'signed-other-responder-key',
    'ERR_DECRYPT',
    'T11',
    'signed for another identity of the responder',
    craft({
      transcript: { responder: { ...party(bob), accountKeyHash: keyHash(alice.accountKey.publicKey) } },
    }),
  );
  refuse(
    'signed-other-kem-prekey',
    'ERR_DECRYPT',
    'T02 T03',
    'signed over another KEM prekey: a re-encapsulation',
    craft({ transcript: { kemPrekey: set.lastResortKemPrekey } }),
  );
  refuse(
    'signed-other-prekey',
    'ERR_DECRYPT',
    'T02',
    'signed over SPK and OPK in each other’s place',
    craft({
      transcript: {
        signedPrekey: oneTimeOf(units[0]!).oneTimePrekey,
        oneTime: { ...oneTimeOf(units[0]!), oneTimePrekey: set.signedPrekey },
      },
    }),
  );
  refuse(
    'signed-other-set',
    'ERR_DECRYPT',
    'T08',
    'signed over another set',
    craft({ transcript: { setHash: new Uint8Array(64).fill(1) } }),
  );
  refuse(
    'signed-no-batch',
    'ERR_DECRYPT',
    'T09',
    'signed without a one-time unit, and names one',
    craft({ transcript: { oneTime: undefined } }),
  );
  refuse('signed-other-profile', 'ERR_DECRYPT', 'T08', 'signed for another profile', craft({ transcript: { profile: 3 } }));
  const mallory = stranger('mallory');
  refuse(
    'signed-by-unlisted',
    'ERR_DEVICE_UNTRUSTED',
    'T12 T30',
    'signed by a DIK that the list does not name',
    craft({
      from: mallory,
      init: { deviceKey: mallory.deviceKey.publicKey },
      transcript: { initiator: { ...party(alice), deviceKeyHash: keyHash(mallory.deviceKey.publicKey) } },
    }),
  );
  refuse(
    'signed-as-other-account',
    'ERR_DECRYPT',
    'T12',
    'a stranger’s list and keys under another account’s name',
    craft({
      from: mallory,
      init: {
        accountKey: mallory.accountKey.publicKey,
        deviceKey: mallory.deviceKey.publicKey,
        deviceList: mallory.deviceList,
        deviceId: mallory.device,
      },
      transcript: { initiator: { ...party(mallory), account: alice.account } },
    }),
  );
  const impostor = stranger('alice');
  const posing = craft({
    from: impostor,
    init: {
      accountKey: impostor.accountKey.publicKey,
      deviceKey: impostor.deviceKey.publicKey,
      deviceList: impostor.deviceList,
      deviceId: impostor.device,
    },
    transcript: { initiator: party(impostor) },
  });
  valid(
    'signed-by-impostor',
    'accept',
    { init: posing },
    'an identity of its own under another’s name: a claim, which only a pin or the directory judges',
  );
  refuse('signed-by-impostor-pinned', 'ERR_IDENTITY_CHANGED', 'T11 T12', 'the same where the true identity is pinned', posing, {
    pinnedIdentity: keyHash(alice.accountKey.publicKey),
  });
  const newer = (entries: ReturnType<typeof entryOf>[]): Uint8Array =>
    signDeviceList(alice.accountKey, alice.account, entries, NOW + 1, NOW, seededRng(`${seed}, newer list`));
  refuse('known-list-without', 'ERR_DEVICE_UNTRUSTED', 'T30', 'a newer list is known that does not name the device', init, {
    knownList: newer([entryOf(mallory)]),
  });
  valid(
    'known-list-of-other',
    'accept',
    { init, knownList: list({ version: NOW + 1 }) },
    'a list of another account is known: it is of no account',
  );

  // Replays.
  const once = scenario('replay', 'responder', {}, 'an Init comes twice, then others that use what it has used');
  once.valid('accept', { init }, 'first');
  once.valid('accept', { init }, 'again: the session that there is');
  once.invalid('accept', 'ERR_DUPLICATE', 'T10', 'the same set, unit and EKA in another Init', { init: patched(init, 7, [9]) });
  once.invalid('accept', 'ERR_KEY_GONE', 'T09 T10', 'the same unit under another EKA', {
    init: craft({ init: { ephemeralKey: x25519KeyPair(rng(32)).publicKey } }),
  });
  once.valid('accept', { init: honest['one-time-2']! }, 'another unit');
  once.valid('accept', { init: honest['last-resort']! }, 'no unit: the last-resort prekey');
  once.valid('accept', { init: honest['last-resort']! }, 'again: the session that there is');
  once.end();

  // Whole first flights.
  const hello = encodeMsgpack({ t: 'hello', incarnation: bob.incarnation, replaces: [] });
  const plaintext = encodePlaintext({
    kind: 'control',
    messageId: rng(16),
    ownListVersion: NOW,
    peerListVersion: NOW,
    ownListHash: rng(8),
    payload: hello,
  });
  const flightRandom = rng(96 + 32 + 32 + 64 + 64);
  const flown = (id: string, unit: 0 | undefined, profile: Profile, random: Uint8Array): Uint8Array => {
    const { rng: draws } = drawing(random);
    const { prefix, secrets, setId: to, sealKey } = begin(unit, profile, draws);
    const made = sealFrame(bob, to, sealKey, concat(prefix, encrypt(initiateRatchet(secrets, draws), plaintext, draws).out), draws);
    const { json } = valid(id, 'firstFlight', { ...(unit === undefined ? { head: null, entry: null } : {}), profile, plaintext, random });
    if (json['frameHash'] !== toHex(sha256(made))) throw new Error(`${id}: another frame`);
    return made;
  };
  const frame = flown('first-flight', 0, 1, flightRandom);
  give({ frame });
  valid('open-first-flight', 'openFirstFlight', {});
  for (const profile of [2, 3] as const) {
    const made = flown(`first-flight-${profile}`, undefined, profile, rng(288));
    give({ [profile === 2 ? 'secondFrame' : 'thirdFrame']: made });
    valid(`open-first-flight-${profile}`, 'openFirstFlight', { frame: made }, 'without a one-time unit');
  }
  const inner = openFrame(prekeys, bob, frame);
  const resealed = (changed: Uint8Array): Uint8Array => sealFrame(bob, set.setId, set.sealKey, changed, rng);
  const flight = (
    id: string,
    code: 'ERR_DECRYPT' | 'ERR_KEY_GONE' | 'ERR_DECODE' | 'ERR_NO_SESSION',
    threats: string,
    description: string,
    changed: Uint8Array,
  ): void => invalid(id, 'openFirstFlight', code, threats, description, { frame: changed });
  flight('flight-changed', 'ERR_DECRYPT', 'T17', 'a bit of the seal changed', flipped(frame));
  flight('flight-long', 'ERR_DECRYPT', 'T50', 'a byte behind the seal', concat(frame, new Uint8Array(1)));
  flight('flight-other-set', 'ERR_KEY_GONE', 'T02', 'another set', flipped(frame, 4));
  const messageAt = parseInit(inner).prefix.length;
  flight('flight-init-of-other-set', 'ERR_DECRYPT', 'T11 T13', 'an Init for another set than the seal’s', resealed(flipped(inner, 14 + a)));
  flight('flight-message-changed', 'ERR_DECRYPT', 'T17', 'a bit of the first message changed', resealed(flipped(inner)));
  flight(
    'flight-other-message',
    'ERR_NO_SESSION',
    'T10',
    'the first message of another session',
    resealed(patched(inner, messageAt + 4, new Uint8Array(16))),
  );
  const tampered = flipped(parsed.kemCiphertext, 0);
  const liar = craft({ init: { kemCiphertext: tampered } });
  flight(
    'flight-kem',
    'ERR_NO_SESSION',
    'T05',
    'a KEM ciphertext of nothing, signed: implicit rejection gives other keys, of which no tag comes',
    resealed(concat(liar.slice(0, messageAt), inner.slice(messageAt))),
  );
  return file();
}
