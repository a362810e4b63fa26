import { concat, toHex } from '../../src/bytes.js';
import { CyphrError } from '../../src/errors.js';
import { generateDevice, generateDeviceKeys, relist } from '../../src/identity/device.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  openLinkAnswer,
  openLinkChallenge,
  parseLinkCode,
  requestLink,
  sealLinkGrant,
  sealLinkRefusal,
} from '../../src/identity/linking.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const ACCOUNT = 'vector/alice';

/** One step that must end in `code`. `code` is bytes in hex, or what was typed. */
export interface LinkingRefusal {
  readonly why: string;
  readonly step: 'code' | 'offer' | 'request' | 'challenge' | 'answer';
  readonly input: string;
  readonly code: string;
}

export interface LinkingVectors {
  readonly description: string;
  readonly seed: string;
  readonly nowMs: number;
  readonly account: string;
  readonly accountKey: string;
  readonly offer: Readonly<Record<string, string>>;
  readonly request: Readonly<Record<string, string | number>>;
  readonly challenge: { readonly slot: string; readonly challenge: string; readonly confirmation: string };
  readonly answers: { readonly grantSlot: string; readonly deviceList: string; readonly grant: string; readonly refusal: string };
  readonly refused: readonly LinkingRefusal[];
}

/** Computes all vectors anew; the same bytes every time. */
export function linkingVectors(): LinkingVectors {
  const old = generateDevice(ACCOUNT, testRng('vector/linking old'), NOW);
  const keys = generateDeviceKeys(testRng('vector/linking new'));
  const device = { device: keys.device, deviceKey: keys.deviceKey.publicKey, dhKey: keys.dhKey.publicKey };
  const offer = generateLinkOffer(ACCOUNT, testRng('vector/linking offer'));
  const code = parseLinkCode(offer.typed, ACCOUNT);
  const ask = (from: Uint8Array) => requestLink(code, from, ACCOUNT, device, testRng('vector/linking request'));
  const asked = ask(offer.offer);
  const accepted = acceptLinkRequest(offer, asked.request, testRng('vector/linking challenge'));
  const exchange = openLinkChallenge(asked, accepted.challenge);
  const entries = [...parseDeviceList(old.deviceList).entries, accepted.entry].sort((a, b) => a.device - b.device);
  const { deviceList } = relist(old, entries, NOW, testRng('vector/linking list'));
  const grant = sealLinkGrant(accepted, old.accountKey.publicKey, old.device, deviceList);
  const refusal = sealLinkRefusal(accepted);
  const { accountKey } = openLinkAnswer(exchange, grant);

  const refuse = (step: LinkingRefusal['step'], why: string, input: Uint8Array | string): LinkingRefusal => {
    try {
      if (step === 'code') parseLinkCode(input, ACCOUNT);
      else if (step === 'offer') ask(input as Uint8Array);
      else if (step === 'request') acceptLinkRequest(offer, input as Uint8Array, testRng('vector/linking challenge'));
      else if (step === 'challenge') openLinkChallenge(asked, input as Uint8Array);
      else openLinkAnswer(exchange, input as Uint8Array);
    } catch (error) {
      if (!(error instanceof CyphrError)) throw error;
      return { why, step, input: typeof input === 'string' ? input : toHex(input), code: error.code };
    }
    throw new Error(`not refused: ${why}`);
  };
  const another = generateLinkOffer(ACCOUNT, testRng('vector/linking another offer'));
  const others = requestLink(parseLinkCode(another.qr, ACCOUNT), another.offer, ACCOUNT, device, testRng('vector/linking request'));
  const elsewhere = acceptLinkRequest(another, others.request, testRng('vector/linking challenge'));
  const rival = requestLink(code, offer.offer, ACCOUNT, device, testRng('vector/linking rival'));
  const toRival = acceptLinkRequest(offer, rival.request, testRng('vector/linking challenge'));
  const anew = acceptLinkRequest(offer, asked.request, testRng('vector/linking challenged anew'));
  return {
    description:
      'Linking of protocol version 1 (section 5.1). Randomness: SHA-256(UTF-8(seed ‖ "/" ‖ decimal counter)), counter from 0, concatenated and consumed in order, nothing discarded. ' +
      'The account key and the first list are those of a party of handshake.json with the seed "vector/linking old". The new device: DIK seeds 64, IKx 32, incarnation 16, id from 8. ' +
      'The offer draws an X-Wing seed of 32, the request 64 for the encapsulation, the challenge 32, the list 32 for its signature. ' +
      'In `refused`, `step` says what is given `input`: the reader of a code, the new device as offer, the old device as request, the new device as challenge, the new device as answer.',
    seed: 'vector/linking <old | new | offer | request | challenge | list>',
    nowMs: NOW,
    account: ACCOUNT,
    accountKey: toHex(accountKey),
    offer: {
      seed: toHex(offer.seed),
      publicKey: toHex(offer.publicKey),
      qr: toHex(offer.qr),
      typed: offer.typed,
      offerSlot: offer.offerSlot,
      requestSlot: offer.requestSlot,
      offer: toHex(offer.offer),
    },
    request: {
      device: device.device,
      deviceKey: toHex(device.deviceKey),
      dhKey: toHex(device.dhKey),
      request: toHex(asked.request),
    },
    challenge: { slot: asked.challengeSlot, challenge: toHex(accepted.challenge), confirmation: exchange.confirmation },
    answers: { grantSlot: accepted.grantSlot, deviceList: toHex(deviceList), grant: toHex(grant), refusal: toHex(refusal) },
    refused: [
      refuse(
        'code',
        'one character wrong',
        offer.typed.replace(/^./, (char) => (char === '0' ? '1' : '0')),
      ),
      refuse('code', 'two characters short', offer.typed.slice(0, -2)),
      refuse('code', 'another version', flip(offer.qr, 0, 2)),
      refuse('code', 'a trailing byte', concat(offer.qr, new Uint8Array(1))),
      refuse('code', 'of another account', generateLinkOffer('vector/bob', testRng('vector/linking offer')).qr),
      refuse('offer', 'of another code', another.offer),
      refuse('offer', 'one bit changed', flip(offer.offer)),
      refuse('request', 'made for another offer', others.request),
      refuse('request', 'one bit of enc changed', flip(asked.request, 0)),
      refuse('request', 'one bit of the ciphertext changed', flip(asked.request)),
      refuse('request', 'cut off', asked.request.slice(0, 1000)),
      refuse('challenge', 'of another linking', elsewhere.challenge),
      refuse('challenge', 'to another request with this code', toRival.challenge),
      refuse('challenge', 'one bit of the ciphertext changed', flip(accepted.challenge, 0)),
      refuse('challenge', 'one bit of the tag changed', flip(accepted.challenge)),
      refuse('challenge', 'cut off', accepted.challenge.slice(0, -1)),
      refuse('challenge', 'a refusal', refusal),
      refuse('answer', 'a refusal', refusal),
      refuse('answer', 'after another challenge to this request', sealLinkGrant(anew, accountKey, old.device, deviceList)),
      refuse('answer', 'a refusal after another challenge to this request', sealLinkRefusal(anew)),
      refuse('answer', 'one bit changed', flip(grant)),
      refuse('answer', 'of another linking', sealLinkGrant(elsewhere, accountKey, old.device, deviceList)),
      refuse('answer', 'a list without the new device', sealLinkGrant(accepted, accountKey, old.device, old.deviceList)),
      refuse('answer', 'from a device that the list does not name', sealLinkGrant(accepted, accountKey, 1, deviceList)),
      refuse('answer', 'from the new device itself', sealLinkGrant(accepted, accountKey, keys.device, deviceList)),
      refuse('answer', 'another account key', sealLinkGrant(accepted, keys.deviceKey.publicKey, old.device, deviceList)),
    ],
  };
}
