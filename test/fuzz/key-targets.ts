/** Identities and handshakes: what somebody without the keys may put in the place of what is signed or sealed. */

import { concat, encodeUtf8, toHex } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { chachaSeal, hkdfSha512 } from '../../src/crypto/suite.js';
import { decodeDevice, encodeDevice, generateDevice, generateDeviceKeys, identityBytes } from '../../src/identity/device.js';
import { encodeLinkQr, encodeLinkTyped, readLinkCode } from '../../src/identity/link-code.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  openLinkAnswer,
  openLinkChallenge,
  parseLinkCode,
  requestLink,
} from '../../src/identity/linking.js';
import { proveLogin, readOwnLogin, verifyLogin } from '../../src/identity/login.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { acceptInit, openFrame, sealFrame } from '../../src/pqxdh/handshake.js';
import { decodePrekeys, decodeSeen, encodePrekeys, encodeSeen } from '../../src/pqxdh/records.js';
import { parseInit } from '../../src/wire/frames.js';
import { parseDeviceList, parseIdentity, parseSignedSet } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';
import { bundleOf, handshake, makeParty, NOW } from '../pqxdh/world.js';
import { DECODE, decoder, edited, must, onEdits, refusedAs, STORED, same, type Target } from './target.js';

const EMPTY = new Uint8Array(0);
const lp16 = (bytes: Uint8Array): Uint8Array => concat(new Uint8Array([bytes.length >> 8, bytes.length & 255]), bytes);

/** Several structures in one script: the first byte says which one is edited, the rest how. */
function editOne(parts: readonly Uint8Array[], input: Uint8Array): Uint8Array[] {
  const which = (input[0] ?? 0) % parts.length;
  return parts.map((part, i) => (i === which ? edited(part, input.subarray(1)) : part));
}
const oneOf = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => new Uint8Array([i, 0, 0, 0, 0, 0]));

/** Signatures are checked with noble's or the platform's code: what is ours around them is little. */
const WORK = { fixed: 100_000, perByte: 3_000 };

function bundleTarget(): Target {
  const bob = makeParty('bob');
  const honest = bundleOf(bob, 1);
  const parts = [honest.identity, honest.signedSet, honest.oneTime!.head, honest.oneTime!.entry];
  const signedPart = (bytes: Uint8Array): string => toHex(parseSignedSet(bytes).tbs);
  return {
    seeds: oneOf(4),
    work: WORK,
    isSlow: true,
    play(input) {
      const [identity, signedSet, head, entry] = editOne(parts, input) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
      const given = { ...honest, identity, signedSet, oneTime: { head, entry } };
      const result = refusedAs(['ERR_BUNDLE'], () => verifyBundle(given, undefined, NOW));
      if ('code' in result) return;
      const { accountKey, deviceKey, deviceList } = parseIdentity(parts[0]!);
      const { value } = result;
      const isSame =
        same(value.accountKey, accountKey) &&
        same(value.deviceKey, deviceKey) &&
        same(parseDeviceList(value.list.bytes).tbs, parseDeviceList(deviceList).tbs) &&
        signedPart(value.signedSet.bytes) === signedPart(parts[1]!) &&
        same(entry, parts[3]!);
      must(isSame, 'a bundle verified that nobody signed');
    },
  };
}

function acceptTarget(): Target {
  const [alice, bob] = [makeParty('alice'), makeParty('bob')];
  const { init } = handshake(alice, bob, 1);
  const before = toHex(encodePrekeys(bob.prekeys));
  return {
    seeds: [new Uint8Array(5)],
    work: WORK,
    isSlow: true,
    play(input) {
      const frame = edited(init, input);
      const parsed = refusedAs(DECODE, () => parseInit(frame));
      if ('code' in parsed) return;
      const result = refusedAs(['ERR_KEY_GONE', 'ERR_DECRYPT', 'ERR_DEVICE_UNTRUSTED'], () =>
        acceptInit(bob.prekeys, bob.device, parsed.value, {}, NOW),
      );
      must(toHex(encodePrekeys(bob.prekeys)) === before, 'the prekeys have changed');
      if ('value' in result) must(same(parsed.value.signedPart, parseInit(init).signedPart), 'an Init was accepted that nobody signed');
    },
  };
}

function sealTarget(): Target {
  const [alice, bob] = [makeParty('alice'), makeParty('bob')];
  const { init, setId, sealKey } = handshake(alice, bob, 1);
  const { address } = bob.keys;
  const sealed = sealFrame(address, setId, sealKey, init, testRng('seal'));
  return {
    seeds: [new Uint8Array([0]), new Uint8Array([1]), new Uint8Array([2, 0x20, 1, 0, 1])],
    work: WORK,
    isSlow: true,
    play(input) {
      // From without, or by who seals to the published key: a changed Init, or anything.
      const [kind, script] = [(input[0] ?? 0) % 3, input.subarray(1)];
      const inner = kind === 1 ? edited(init, script) : script;
      const frame = kind === 0 ? edited(sealed, script) : sealFrame(address, setId, sealKey, inner, testRng('seal'));
      const result = refusedAs([...DECODE, 'ERR_KEY_GONE', 'ERR_DECRYPT'], () => openFrame(bob.prekeys, address, frame));
      if ('value' in result) must(same(result.value, kind === 0 ? init : inner), 'opens to what nobody has sealed');
    },
  };
}

function loginTarget(): Target {
  const device = generateDevice('alice', testRng('alice'), NOW);
  const nonce = new Uint8Array(32).fill(3);
  const claim = { audience: 'relay.example', nonce, storeId: new Uint8Array(16).fill(1), generation: 5 };
  const parts = [proveLogin(device, claim, testRng('proof')), identityBytes(device)];
  const expected = { audience: claim.audience, nonce, address: { account: 'alice', device: device.device } };
  return {
    seeds: oneOf(2),
    work: WORK,
    isSlow: true,
    play(input) {
      const [proof, identity] = editOne(parts, input) as [Uint8Array, Uint8Array];
      const result = refusedAs(['ERR_SIGNATURE'], () => verifyLogin(proof, { ...expected, identity }));
      if ('value' in result) must(result.value.generation === 5 && result.value.devices.length === 1, 'a login that nobody proved');
      const own = readOwnLogin(device, proof);
      if (own !== undefined) must(own.generation === 5, 'a proof that this device did not make');
    },
  };
}

/** The parts of a linking: one is edited from without, or anything stands in its place that the other side has sealed. */
function linkTarget(): Target {
  const old = generateDevice('alice', testRng('old'), NOW);
  const fresh = generateDeviceKeys(testRng('new'));
  const keys = { device: fresh.device, deviceKey: fresh.deviceKey.publicKey, dhKey: fresh.dhKey.publicKey };
  const offer = generateLinkOffer('alice', testRng('offer'));
  const code = parseLinkCode(offer.qr, 'alice');
  const asked = requestLink(code, offer.offer, 'alice', keys, testRng('request'));
  const { challenge } = acceptLinkRequest(offer, asked.request);
  const exchange = openLinkChallenge(asked, challenge);
  const once = hkdfSha512(new Uint8Array(64), code.fingerprint.subarray(0, 14), info('link/offer'), 44);
  const grantBody = concat(new Uint8Array([1]), old.accountKey.publicKey, new Uint8Array([0, 0, 0, 1]), lp16(old.deviceList));
  const offerBody = concat(new Uint8Array([1]), lp16(encodeUtf8('alice')!), offer.publicKey, asked.commitment);
  const { answerKeys } = exchange;
  return {
    seeds: oneOf(5),
    work: WORK,
    isSlow: true,
    play(input) {
      const [kind, script] = [(input[0] ?? 0) % 5, input.subarray(1)];
      if (kind === 0) {
        const bytes = edited(offer.offer, script);
        const result = refusedAs(['ERR_DECRYPT', 'ERR_ARGUMENT'], () => requestLink(code, bytes, 'alice', keys, testRng('request')));
        must('code' in result || same(bytes, offer.offer), 'another offer of this code');
      } else if (kind === 1) {
        const sealed = chachaSeal(once.subarray(0, 32), once.subarray(32), EMPTY, edited(offerBody, script));
        const result = refusedAs(['ERR_DECRYPT', 'ERR_ARGUMENT'], () => requestLink(code, sealed, 'alice', keys, testRng('request')));
        must('code' in result || same(sealed, offer.offer), 'an offer with another key or commitment');
      } else if (kind === 2) {
        const bytes = edited(asked.request, script);
        const result = refusedAs(['ERR_DECRYPT'], () => acceptLinkRequest(offer, bytes));
        must('code' in result || same(bytes, asked.request), 'a request of another device');
      } else if (kind === 3) {
        const bytes = edited(challenge, script);
        const result = refusedAs(['ERR_DECRYPT'], () => openLinkChallenge(asked, bytes));
        must('code' in result || same(bytes, challenge), 'another challenge');
      } else {
        // The list in it does not name the new device: nothing may be granted, however it is changed.
        const sealed = chachaSeal(answerKeys.subarray(0, 32), answerKeys.subarray(32, 44), EMPTY, edited(grantBody, script));
        const result = refusedAs(['ERR_DECRYPT'], () => openLinkAnswer(exchange, sealed));
        must('code' in result, 'linked by a list that does not name the device');
      }
    },
  };
}

export const keyTargets: Readonly<Record<string, () => Target>> = {
  bundle: bundleTarget,
  'init-accept': acceptTarget,
  seal: sealTarget,
  login: loginTarget,
  linking: linkTarget,
  'link-qr': () =>
    decoder({
      seeds: [encodeLinkQr('alice', new Uint8Array(32).fill(7))],
      codes: ['ERR_ARGUMENT'],
      decode: (input) => readLinkCode(input),
      encode: ({ account, fingerprint }) => encodeLinkQr(account!, fingerprint),
    }),
  'link-typed': () => ({
    seeds: [encodeLinkTyped(new Uint8Array(32).fill(7)), 'OiL0-1111'].map((text) => encodeUtf8(text)!),
    play(input) {
      const text = Buffer.from(input).toString('utf8');
      const result = refusedAs(['ERR_ARGUMENT'], () => readLinkCode(text));
      if ('code' in result) return;
      const [again] = [encodeLinkTyped(result.value.fingerprint)];
      const plain = (typed: string): string => typed.toUpperCase().replace(/[\s-]/g, '').replace(/[IL]/g, '1').replace(/O/g, '0');
      must(plain(again) === plain(text), 'spelt otherwise');
    },
  }),
  'device-record': () => {
    const device = generateDevice('alice', testRng('alice'), NOW);
    const linked = { ...device, accountKey: { ...device.accountKey, secretKey: undefined } };
    const codec = { seeds: [], codes: STORED, decode: decodeDevice, encode: encodeDevice, isCanonical: false };
    return onEdits([encodeDevice(device), encodeDevice(linked)], decoder(codec, WORK));
  },
  'prekeys-record': () => {
    const { prekeys } = makeParty('bob');
    const few = { ...prekeys, batches: prekeys.batches.map((batch) => ({ ...batch, units: batch.units.slice(0, 2) })) };
    const codec = {
      seeds: [],
      codes: STORED,
      decode: (input: Uint8Array) => decodePrekeys(input, []),
      encode: encodePrekeys,
      isCanonical: false,
    };
    return onEdits([encodePrekeys(few)], decoder(codec, WORK));
  },
  'seen-record': () => {
    const row = { setId: new Uint8Array(8), otId: new Uint8Array(8), initId: new Uint8Array(32), sessionId: new Uint8Array(16) };
    return decoder({ seeds: [encodeSeen(row)], codes: STORED, decode: decodeSeen, encode: encodeSeen, isCanonical: false });
  },
};
