/** Vectors of linking a device: each side's part, and what each step must refuse. */

import { concat, encodeUtf8 } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { chachaSeal, hkdfSha512 } from '../../src/crypto/suite.js';
import { signDeviceList } from '../../src/identity/account.js';
import { entryOf, generateDevice, generateDeviceKeys, relist } from '../../src/identity/device.js';
import { encodeLinkQr } from '../../src/identity/link-code.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  parseLinkCode,
  requestLink,
  sealLinkGrant,
  sealLinkRefusal,
} from '../../src/identity/linking.js';
import { seededRng } from '../../src/testing/rng.js';
import { drawing } from '../../src/vectors/player.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { writer } from '../../src/wire/codec.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { book, flipped } from './book.js';
import { NOT_CANONICAL } from './crypto.js';
import { NOW } from './world.js';

const ACCOUNT = 'alice';

export function linkingVectors(): VectorFile {
  const seed = 'vectors/linking';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'linking',
    section: '5.1',
    description:
      'Linking a device. The old device: `offer` (from `offerRandom`, the X-Wing seed 32 ‖ r 32), `challenge` (to `request`), then `grant` or `refuse`. The new device: `code` (from `qr` or `typed`), `request` (to `offer`, from `requestRandom`), `confirm` (opens `challenge`), `answer` (opens `answer`). Each operation does its device’s part from the start. `drawn` is r and `commitment` c, `secret` is that of the encapsulation, `answerKeys` are key 32 ‖ nonce 12 ‖ nonce′ 12; slots are hexadecimal.',
    seed,
  });
  const old = generateDevice(ACCOUNT, rng, NOW);
  const keys = generateDeviceKeys(rng);
  const device = { device: keys.device, deviceKey: keys.deviceKey.publicKey, dhKey: keys.dhKey.publicKey };
  const random = { offerRandom: rng(64), requestRandom: rng(64) };
  give({ account: ACCOUNT, ...device, ...random, oldDevice: old.device, accountKey: old.accountKey.publicKey });

  const offered = valid('offer', 'offer', {});
  const offer = offered.bytes('offer');
  const qr = offered.bytes('qr');
  const typed = offered.json['typed'] as string;
  give({ offer, qr });
  valid('code-qr', 'code', {});
  valid('code-typed', 'code', { typed });
  valid(
    'code-typed-loosely',
    'code',
    { typed: ` ${typed.toLowerCase().replaceAll('-', '').replaceAll('0', 'o').replaceAll('1', 'l')} ` },
    'in lower case, without hyphens, with o for 0 and l for 1',
  );
  const asked = valid('request', 'request', {});
  valid('request-typed', 'request', { typed }, 'the same by the typed code');
  const request = asked.bytes('request');
  give({ request });
  const challenged = valid('challenge', 'challenge', {});
  const challenge = challenged.bytes('challenge');
  give({ challenge });
  const confirmed = valid('confirm', 'confirm', {});
  if (confirmed.json['confirmation'] !== challenged.json['confirmation']) throw new Error('the two sides disagree');
  const entries = [...parseDeviceList(old.deviceList).entries, entryOf(keys)].sort((a, b) => a.device - b.device);
  const { deviceList } = relist(old, entries, NOW, rng);
  give({ deviceList });
  const answer = valid('grant', 'grant', {}).bytes('answer');
  const refusal = valid('refuse', 'refuse', {}).bytes('answer');
  give({ answer });
  valid('answer', 'answer', {});

  const code = (id: string, threats: string, description: string, changed: Record<string, Uint8Array | string>): void =>
    invalid(id, 'code', 'ERR_ARGUMENT', threats, description, changed);
  code('code-wrong-character', 'T31', 'one character wrong', { typed: typed.replace(/^./, (char) => (char === '0' ? '1' : '0')) });
  code('code-swapped', 'T31', 'two neighbours in each other’s place', { typed: swapped(typed) });
  code('code-short', 'T31', 'two characters short', { typed: typed.slice(0, -2) });
  code('code-version', 'T31 T46', 'another version', { qr: flipped(qr, 0, 2) });
  code('code-long', 'T31', 'a trailing byte', { qr: concat(qr, new Uint8Array(1)) });
  code('code-other-account', 'T31', 'of another account', { qr: encodeLinkQr('bob', qr.slice(-32)) });

  // Other linkings, whose parts are put into this one.
  const another = generateLinkOffer(ACCOUNT, seededRng(`${seed}, another offer`));
  const others = requestLink(parseLinkCode(another.qr, ACCOUNT), another.offer, ACCOUNT, device, seededRng(`${seed}, request`));
  const elsewhere = acceptLinkRequest(another, others.request);
  const own = generateLinkOffer(ACCOUNT, drawing(random.offerRandom).rng);
  const read = parseLinkCode(qr, ACCOUNT);
  const rival = requestLink(read, offer, ACCOUNT, device, seededRng(`${seed}, rival`));
  const toRival = acceptLinkRequest(own, rival.request);
  const anew = acceptLinkRequest({ ...own, drawn: seededRng(`${seed}, another r`)(32) }, request);
  const accepted = acceptLinkRequest(own, request);
  const refuse = (
    op: 'request' | 'challenge' | 'confirm',
    name: 'offer' | 'request' | 'challenge',
    id: string,
    description: string,
    part: Uint8Array,
  ): void =>
    invalid(`${op}-${id}`, op, 'ERR_DECRYPT', part.length < 1000 && name === 'request' ? 'T31 T50' : 'T31', description, { [name]: part });
  refuse('request', 'offer', 'other-offer', 'the offer of another code', another.offer);
  const ofCode = hkdfSha512(new Uint8Array(64), qr.slice(-32).slice(0, 14), info('link/offer'), 44);
  const sealedOver = (publicKey: Uint8Array, commitment: Uint8Array): Uint8Array => {
    const forged = writer().u8(1).lp16(encodeUtf8(ACCOUNT)!).bytes(publicKey).bytes(commitment).finish();
    return chachaSeal(ofCode.slice(0, 32), ofCode.slice(32), new Uint8Array(0), forged);
  };
  const { commitment } = requestLink(read, offer, ACCOUNT, device, seededRng(`${seed}, request`));
  const otherKey = sealedOver(another.publicKey, commitment);
  refuse('request', 'offer', 'other-key', 'another key, offered by somebody who knows the code', otherKey);
  const otherCommitment = sealedOver(own.publicKey, flipped(commitment));
  refuse('request', 'offer', 'other-commitment', 'another commitment, offered by somebody who knows the code', otherCommitment);
  const bobs = generateLinkOffer('bob', seededRng(`${seed}, bob’s offer`));
  invalid('request-other-account', 'request', 'ERR_ARGUMENT', 'T31', 'the typed code and the offer of another account', {
    typed: bobs.typed,
    offer: bobs.offer,
  });
  refuse('request', 'offer', 'offer-changed', 'a bit of the offer changed', flipped(offer));
  refuse('challenge', 'request', 'other-request', 'a request that was made for another offer', others.request);
  const odd = { ...device, dhKey: NOT_CANONICAL[0]! };
  const requested = requestLink(read, offer, ACCOUNT, odd, seededRng(`${seed}, not canonical`)).request;
  invalid('challenge-dh-not-canonical', 'challenge', 'ERR_DECRYPT', 'T01', 'a request that names an IKx which is not canonical', {
    request: requested,
  });
  refuse('challenge', 'request', 'enc-changed', 'a bit of enc changed', flipped(request, 0));
  refuse('challenge', 'request', 'request-changed', 'a bit of the ciphertext changed', flipped(request));
  refuse('challenge', 'request', 'request-cut', 'a request of 999 bytes', request.slice(0, 999));
  refuse('confirm', 'challenge', 'other-challenge', 'the challenge of another linking', elsewhere.challenge);
  refuse('confirm', 'challenge', 'rival', 'a challenge to another request with this code', toRival.challenge);
  refuse('confirm', 'challenge', 'ciphertext-changed', 'a bit of the ciphertext changed', flipped(challenge, 0));
  refuse('confirm', 'challenge', 'tag-changed', 'a bit of the tag changed', flipped(challenge));
  refuse('confirm', 'challenge', 'cut', 'cut by a byte', challenge.slice(0, -1));
  refuse('confirm', 'challenge', 'refusal', 'a refusal', refusal);
  refuse('confirm', 'challenge', 'other-r', 'r does not fit the commitment', anew.challenge);

  const grants = (id: string, description: string, part: Uint8Array, code: 'ERR_DECRYPT' | 'ERR_DEVICE_UNTRUSTED' = 'ERR_DECRYPT'): void =>
    invalid(`answer-${id}`, 'answer', code, 'T31', description, { answer: part });
  const accountKey = old.accountKey.publicKey;
  grants('refusal', 'a refusal', refusal, 'ERR_DEVICE_UNTRUSTED');
  grants('anew', 'after a challenge with another r', sealLinkGrant(anew, accountKey, old.device, deviceList));
  grants('refusal-anew', 'a refusal after a challenge with another r', sealLinkRefusal(anew));
  grants('changed', 'a bit changed', flipped(answer));
  grants('elsewhere', 'of another linking', sealLinkGrant(elsewhere, accountKey, old.device, deviceList));
  grants('without', 'a list without the new device', sealLinkGrant(accepted, accountKey, old.device, old.deviceList));
  grants('unlisted', 'from a device that the list does not name', sealLinkGrant(accepted, accountKey, 1, deviceList));
  grants('itself', 'from the new device itself', sealLinkGrant(accepted, accountKey, keys.device, deviceList));
  const bobsList = signDeviceList(old.accountKey, 'bob', entries, NOW + 1, NOW, rng);
  grants('other-account', 'a list of another account under this account’s key', sealLinkGrant(accepted, accountKey, old.device, bobsList));
  grants('other-account-key', 'another account key', sealLinkGrant(accepted, keys.deviceKey.publicKey, old.device, deviceList));
  return file();
}

/** A typed code in which the first two neighbours that differ have changed places. */
function swapped(typed: string): string {
  const at = [...typed].findIndex((char, i) => char !== '-' && typed[i + 1] !== '-' && typed[i + 1] !== char);
  return typed.slice(0, at) + typed[at + 1] + typed[at] + typed.slice(at + 2);
}
