/** Linking a device, section 5.1: what both devices compute and put into the slots of the drop box. Knows no directory and no store. */

import { entryOf, verifyList } from './bundle.mjs';
import { concat, equal, info, lp16, need, Reader, u8, u32, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { decodeDeviceList } from './objects.mjs';
import { isXwingKey, xwingDecaps, xwingEncaps, xwingPublic } from './seal.mjs';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TYPED = 14;
const VERSION = u8(1);

function crc8(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  }
  return crc;
}

/** 24 characters in groups of 4: five bits each, the first ones first. */
function typedCode(fingerprint) {
  const bytes = fingerprint.subarray(0, TYPED);
  const bits = [...bytes, crc8(bytes)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits
    .match(/.{5}/g)
    .map((five) => ALPHABET[Number.parseInt(five, 2)])
    .join('')
    .match(/.{4}/g)
    .join('-');
}

/** Reads a typed code, as people type: any case, with or without hyphens and spaces, O for 0, I and L for 1. Gives F[0:14]. */
export function readTyped(text) {
  const plain = text.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1');
  need(plain.length === 24 && [...plain].every((each) => ALPHABET.includes(each)), 'ERR_ARGUMENT', 'no code');
  const bits = [...plain].map((each) => ALPHABET.indexOf(each).toString(2).padStart(5, '0')).join('');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((eight) => Number.parseInt(eight, 2)));
  need(crc8(bytes.subarray(0, TYPED)) === bytes[TYPED], 'ERR_ARGUMENT', 'a typing error');
  return { fingerprint: bytes.subarray(0, TYPED) };
}
/** Reads the bytes of a QR code. */
export function readQr(bytes) {
  const reader = new Reader(bytes);
  need(reader.u8() === 1, 'ERR_VERSION', 'version of a code');
  const code = { account: reader.accountId(), fingerprint: reader.take(32) };
  reader.end();
  return code;
}

const derive = (secret, label, fields, ...lengths) =>
  crypto.split(
    crypto.hkdf512(
      zeros(64),
      secret,
      info(label, ...fields),
      lengths.reduce((sum, each) => sum + each, 0),
    ),
    ...lengths,
  );

const commitmentTo = (r) => crypto.sha512t256(info('link/commit', r));
const fingerprintOf = (account, key, commitment) => crypto.sha512t256(info('link/key', account, key, commitment));
/** Slots, and key and nonce of the offer, that a code leads to. */
export function codeKeys(fingerprint) {
  const secret = fingerprint.subarray(0, TYPED);
  const [offerSlot, requestSlot] = derive(secret, 'link/slot', [], 16, 16);
  const [key, nonce] = derive(secret, 'link/offer', [], 32, 12);
  return { offerSlot, requestSlot, key, nonce };
}

/** Old device: code and offer of an X-Wing seed, and of the r that it will tell. */
export function makeOffer(account, seed, r) {
  const publicKey = xwingPublic(seed);
  const commitment = commitmentTo(r);
  const fingerprint = fingerprintOf(account, publicKey, commitment);
  const { key, nonce, offerSlot, requestSlot } = codeKeys(fingerprint);
  const offer = crypto.chachaSeal(key, nonce, concat(VERSION, lp16(account), publicKey, commitment));
  return { publicKey, qr: concat(VERSION, lp16(account), fingerprint), typed: typedCode(fingerprint), offerSlot, requestSlot, offer };
}

/** Reads what was sealed with version 1 before it. */
function openVersioned(key, nonce, sealed) {
  const reader = new Reader(crypto.chachaOpen(key, nonce, sealed));
  need(reader.u8() === 1, 'ERR_VERSION', 'version of a linking');
  return reader;
}

/** New device: whose code it is, to which key the request goes, and to which r the old device is bound. */
export function openOffer(code, offer) {
  const { key, nonce } = codeKeys(code.fingerprint);
  const reader = openVersioned(key, nonce, offer);
  const [account, publicKey, commitment] = [reader.accountId(), reader.take(1216), reader.take(32)];
  reader.end();
  const { length } = code.fingerprint;
  const named = fingerprintOf(account, publicKey, commitment).subarray(0, length);
  need(equal(named, code.fingerprint), 'ERR_DECRYPT', 'not the offer of this code');
  need(code.account === undefined || equal(code.account, account), 'ERR_ARGUMENT', 'an offer of another account');
  need(isXwingKey(publicKey), 'ERR_DECRYPT', 'no key');
  return { account, publicKey, commitment };
}

/** Keys of everything behind the request. */
function afterRequest(account, publicKey, request, ss) {
  const said = [account, publicKey, request];
  const [key, nonce, slot] = derive(ss, 'link/challenge', said, 32, 12, 16);
  return { said, ss, challengeKeys: [key, nonce], challengeSlot: slot };
}

/** New device: the request of { device, deviceKey, dhKey }, from 64 bytes of randomness. */
export function makeRequest({ account, publicKey, commitment }, { device, deviceKey, dhKey }, randomness) {
  const { enc, shared } = xwingEncaps(publicKey, randomness);
  const [key, nonce] = derive(shared, 'link/request', [account, publicKey, enc], 32, 12);
  const request = concat(enc, crypto.chachaSeal(key, nonce, concat(VERSION, u32(device), deviceKey, dhKey)));
  return { request, commitment, ...afterRequest(account, publicKey, request, shared) };
}
/** Old device: who asks. */
export function openRequest(account, seed, request) {
  const publicKey = xwingPublic(seed);
  need(request.length > 1120, 'ERR_DECODE', 'a request too short');
  const enc = request.subarray(0, 1120);
  const ss = xwingDecaps(seed, enc);
  const [key, nonce] = derive(ss, 'link/request', [account, publicKey, enc], 32, 12);
  const reader = openVersioned(key, nonce, request.subarray(1120));
  const asking = { device: reader.deviceId(), deviceKey: reader.take(1984), dhKey: reader.take(32) };
  reader.end();
  need(crypto.isCanonicalX25519(asking.dhKey), 'ERR_DECODE', 'an IKx that is not canonical');
  return { asking, ...afterRequest(account, publicKey, request, ss) };
}

export const makeChallenge = ({ challengeKeys }, r) => crypto.chachaSeal(...challengeKeys, concat(VERSION, r));
/** New device: r, which must be the one that the old device was bound to. */
export function openChallenge({ challengeKeys, commitment }, challenge) {
  const reader = openVersioned(...challengeKeys, challenge);
  const r = reader.take(32);
  reader.end();
  need(equal(commitmentTo(r), commitment), 'ERR_DECRYPT', 'another r than the old device was bound to');
  return r;
}

/** Both: the twelve digits, and keys and slot of the answer. */
export function confirm({ said, ss }, r) {
  const digits = derive(ss, 'sas', [...said, r], 5, 5).map((five) => String(five.readUIntBE(0, 5) % 1_000_000).padStart(6, '0'));
  const [key, nonce, refusalNonce, slot] = derive(ss, 'link/grant', [...said, r], 32, 12, 12, 16);
  return { digits: digits.join(' '), key, nonce, refusalNonce, slot };
}
export const makeGrant = ({ key, nonce }, { accountKey, device, list }) =>
  crypto.chachaSeal(key, nonce, concat(VERSION, accountKey, u32(device), lp16(list)));
export const makeRefusal = ({ key, refusalNonce }) => crypto.chachaSeal(key, refusalNonce, VERSION);

/** New device: the grant, with the list checked; `undefined` for a refusal. */
export function openAnswer(confirmed, answer, { account, device, deviceKey, dhKey }) {
  const { key, nonce, refusalNonce } = confirmed;
  if (answer.length === 17) {
    openVersioned(key, refusalNonce, answer).end();
    return undefined;
  }
  const reader = openVersioned(key, nonce, answer);
  const [accountKey, from, bytes] = [reader.take(1984), reader.deviceId(), reader.lp16()];
  reader.end();
  const list = decodeDeviceList(bytes);
  const linkedBy = list.devices.find((each) => each.device === from && from !== device);
  verifyList(list, accountKey, 'ERR_DECRYPT');
  const entry = entryOf(list, device, deviceKey);
  need(
    equal(list.account, account) && entry !== undefined && equal(entry.dhKey, dhKey),
    'ERR_DECRYPT',
    'the list does not name this device',
  );
  need(linkedBy !== undefined, 'ERR_DECRYPT', 'the list does not name the device that grants');
  return { accountKey, linkedBy, list };
}
