/**
 * PQXDH of section 2 in both roles, and the Init inside a first flight. Takes verified bundles and own secrets; gives a session's id, TH and
 * the four secrets that the ratchet starts from.
 */

import { entryOf, newerList, verifyList } from './bundle.mjs';
import { concat, context, equal, head, info, lp16, need, Reader, u8, u16, u32, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { encapsInternal, MLKEM1024 } from './kpke.mjs';
import { compositeSign, compositeVerify, decodeDeviceList, readVersions } from './objects.mjs';
import { open } from './seal.mjs';

const NO_UNIT = zeros(8);
const endpoint = ({ account, device, accountKeyHash, deviceKeyHash, dhKey }) =>
  concat(lp16(account), u32(device), accountKeyHash, deviceKeyHash, dhKey);
/** A party or a bundle, by the hashes of its keys. */
const hashed = (side) => ({ ...side, accountKeyHash: crypto.sha512(side.accountKey), deviceKeyHash: crypto.sha512(side.deviceKey) });

/** T of section 1.4. `set` and `oneTime` are B's, as B signed them. */
export function transcript({ profile, versions, a, b, set, oneTime, ephemeral, ciphertext }) {
  return concat(
    context('handshake'),
    u8(1),
    u16(1),
    u8(1),
    Buffer.from([profile, versions.min, versions.max]),
    endpoint(a),
    endpoint(b),
    set.hash,
    oneTime?.batch.hash ?? zeros(64),
    set.setId,
    oneTime?.unit.otId ?? NO_UNIT,
    set.signedPrekey,
    oneTime?.unit.kemPrekey ?? set.lastResort,
    oneTime?.unit.prekey ?? zeros(32),
    ephemeral,
    ciphertext,
  );
}

/** The agreements of A, drawing nothing: EKA's secret and m are given. A key that cannot be is refused with `code`. */
export function agree({ dhSecret, ephemeralSecret, m }, { dhKey, signedPrekey, oneTimePrekey, kemPrekey }, code = 'ERR_DECRYPT') {
  const dh = [
    crypto.x25519(dhSecret, signedPrekey, code),
    crypto.x25519(ephemeralSecret, dhKey, code),
    crypto.x25519(ephemeralSecret, signedPrekey, code),
    ...(oneTimePrekey === undefined ? [] : [crypto.x25519(ephemeralSecret, oneTimePrekey, code)]),
  ];
  return { ephemeral: crypto.x25519Public(ephemeralSecret), dh, ...encapsInternal(MLKEM1024, kemPrekey, m) };
}
/** The agreements of B. */
export function agreeAsResponder({ dhSecret, signedPrekeySecret, oneTimeSecret, kemSeed }, { dhKey, ephemeral, ciphertext }) {
  const dh = [
    crypto.x25519(signedPrekeySecret, dhKey),
    crypto.x25519(dhSecret, ephemeral),
    crypto.x25519(signedPrekeySecret, ephemeral),
    ...(oneTimeSecret === undefined ? [] : [crypto.x25519(oneTimeSecret, ephemeral)]),
  ];
  return { dh, shared: crypto.mlKem1024.decaps(kemSeed, ciphertext) };
}
/** What both sides derive from T, the agreements and SS. */
export function derive(t, { dh, shared }) {
  const transcriptHash = crypto.sha512(t);
  const keyMaterial = concat(Buffer.alloc(32, 0xff), ...dh, shared);
  const infoBytes = info('hs/kdf', transcriptHash);
  const okm = crypto.hkdf512(zeros(64), keyMaterial, infoBytes, 128);
  const [rootKey, headerKeyA, nextHeaderKeyB, sckaSecret] = crypto.split(okm, 32, 32, 32, 32);
  const sessionId = crypto.sha256(info('sid', transcriptHash)).subarray(0, 16);
  return { keyMaterial, info: infoBytes, transcriptHash, sessionId, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret };
}

/**
 * A's half. `party` is A with its secrets, `bundle` is B's and verified. Draws EKA 32, m 32 and what hedges the signature, 32. `init` is everything
 * before the first ratchet message.
 */
export function initiate(party, bundle, profile, random = crypto.random) {
  const { set, oneTime } = bundle;
  need((set.profiles >> (profile - 1)) & 1, 'ERR_BUNDLE', 'a profile that the set does not offer');
  const own = { dhSecret: party.dhSecret, ephemeralSecret: random(32), m: random(32) };
  const kemPrekey = oneTime?.unit.kemPrekey ?? set.lastResort;
  const remote = { dhKey: bundle.dhKey, signedPrekey: set.signedPrekey, oneTimePrekey: oneTime?.unit.prekey, kemPrekey };
  const agreed = agree(own, remote, 'ERR_BUNDLE');
  const { ephemeral, ciphertext } = agreed;
  const versions = { min: 1, max: 1 };
  const t = transcript({ profile, versions, a: hashed(party), b: hashed(bundle), set, oneTime, ephemeral, ciphertext });
  const unsigned = concat(
    head(0x10),
    Buffer.from([1, profile, versions.min, versions.max]),
    lp16(party.account),
    u32(party.device),
    set.setId,
    oneTime?.unit.otId ?? NO_UNIT,
    ephemeral,
    ciphertext,
    party.accountKey,
    party.deviceKey,
    lp16(party.list),
  );
  return {
    ...derive(t, agreed),
    init: concat(unsigned, compositeSign(party.deviceSecret, t, 'hs/sig', random(32))),
    initId: crypto.sha256(info('hs/init', unsigned)),
    remoteSignedPrekey: set.signedPrekey,
  };
}

export function decodeInit(bytes) {
  const reader = new Reader(bytes);
  reader.head(0x10);
  const [mode, profile] = [reader.u8(), reader.u8()];
  const versions = readVersions(reader);
  const sender = { account: reader.accountId(), device: reader.deviceId() };
  const ids = { setId: reader.take(8), otId: reader.take(8), ephemeral: reader.take(32), ciphertext: reader.take(1568) };
  const keys = { accountKey: reader.take(1984), deviceKey: reader.take(1984), listBytes: reader.lp16() };
  const initId = crypto.sha256(info('hs/init', reader.bytes.subarray(0, reader.at)));
  const signature = reader.take(3373);
  need(reader.at <= 24 * 1024, 'ERR_TOO_LARGE', 'an Init too long');
  return {
    mode,
    profile,
    versions,
    ...sender,
    ...ids,
    ...keys,
    initId,
    signature,
    bytes: reader.bytes.subarray(0, reader.at),
    message: reader.rest(),
  };
}

/** What is in a sealed frame for a device with one set: an Init for it, decoded, or a ratchet message. */
export function openFlight(party, set, frame) {
  const inner = open({ ...party, setId: set.setId, sealSeed: set.secrets.sealSeed }, frame);
  if (inner[0] === 0x20) return { message: inner };
  const init = decodeInit(inner);
  need(equal(init.setId, set.setId), 'ERR_DECRYPT', 'an Init for another set');
  return { init };
}

/**
 * B's half, steps 3 to 8 of section 2.4, for a device with one set and one batch. Gives the session's secrets and the ratchet message behind the
 * Init, which is not opened here. `pin` is H(AIK) of the account and `knownList` its newest list, where there are any; `seen` has accepted flights.
 */
export function accept(party, set, batch, init, { pin, knownList, seen = new Map() } = {}) {
  need(equal(init.setId, set.setId), 'ERR_KEY_GONE', 'another set');
  const flight = concat(init.setId, init.otId, init.ephemeral).toString('hex');
  const before = seen.get(flight);
  if (before !== undefined && equal(before.initId, init.initId)) return { ...before, message: init.message, isRepeated: true };
  const isOffered = init.profile >= 1 && init.profile <= 3 && (set.profiles >> (init.profile - 1)) & 1;
  need(init.mode === 1 && init.versions.min === 1 && isOffered, 'ERR_DECRYPT', 'mode, version or profile');
  need(before === undefined, 'ERR_DUPLICATE', 'another Init of the same flight');
  const unit = equal(init.otId, NO_UNIT) ? undefined : batch.units.find(({ otId }) => equal(otId, init.otId));
  need(unit !== undefined || equal(init.otId, NO_UNIT), 'ERR_KEY_GONE', 'a one-time unit without secrets');
  need(pin === undefined || equal(pin, crypto.sha512(init.accountKey)), 'ERR_IDENTITY_CHANGED', 'another identity than the pin');
  const shown = decodeDeviceList(init.listBytes);
  verifyList(shown, init.accountKey, 'ERR_DECRYPT');
  need(equal(shown.account, init.account), 'ERR_DECRYPT', 'a list of another account');
  const list = newerList(shown, knownList, 'ERR_DECRYPT');
  const entry = entryOf(list, init.device, init.deviceKey);
  need(entry !== undefined, 'ERR_DEVICE_UNTRUSTED', 'the list does not name the device');

  const { dhKey } = entry;
  const t = transcript({ ...init, a: hashed({ ...init, dhKey }), b: hashed(party), set, oneTime: unit && { batch, unit } });
  need(compositeVerify(init.deviceKey, t, 'hs/sig', init.signature), 'ERR_DECRYPT', 'signature of the transcript');
  const own = {
    dhSecret: party.dhSecret,
    signedPrekeySecret: set.secrets.signedPrekey,
    oneTimeSecret: unit?.secret,
    kemSeed: unit?.seed ?? set.secrets.lastResort,
  };
  return { ...derive(t, agreeAsResponder(own, { ...init, dhKey })), isRepeated: false, init, flight, unit, list, message: init.message };
}
