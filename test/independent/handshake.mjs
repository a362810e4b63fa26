/**
 * PQXDH of section 2 in both roles, and the Init inside a first flight. Takes verified bundles and own secrets; gives a session's id, TH and
 * the four secrets that the ratchet starts from.
 */

import { entryOf, newerList, verifyList } from './bundle.mjs';
import { concat, context, equal, head, info, lp16, need, orElse, Reader, u8, u16, u32, zeros } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { encapsInternal, MLKEM1024 } from './kpke.mjs';
import { compositeSign, compositeVerify, decodeDeviceList, readVersions } from './objects.mjs';
import { decodeSealed, open } from './seal.mjs';

const NO_UNIT = zeros(8);
const endpoint = ({ account, device, accountKey, deviceKey, dhKey }) =>
  concat(lp16(account), u32(device), crypto.sha512(accountKey), crypto.sha512(deviceKey), dhKey);

/** T of section 1.4. `set` and `oneTime` are B's, as B signed them. */
function transcript({ profile, versions, a, b, set, oneTime, ephemeral, ciphertext }) {
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

/** What both sides derive from TH, the agreements and SS. */
function derive(th, agreements, shared) {
  const ikm = concat(Buffer.alloc(32, 0xff), ...agreements, shared);
  const okm = crypto.hkdf512(zeros(64), ikm, info('hs/kdf', th), 128);
  const [rootKey, headerKeyA, nextHeaderKeyB, sckaSecret] = crypto.split(okm, 32, 32, 32, 32);
  return { sessionId: crypto.sha256(info('sid', th)).subarray(0, 16), transcriptHash: th, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret };
}

/**
 * A's half. `party` is A with its secrets, `bundle` is B's and verified. Draws EKA 32 and m 32. `init` is everything before the first ratchet
 * message; `unsigned` is what `signature` does not cover by itself, so that a given signature can be put in its place.
 */
export function initiate(party, bundle, profile, random = crypto.random) {
  const { set, oneTime } = bundle;
  need((set.profiles >> (profile - 1)) & 1, 'ERR_BUNDLE', 'a profile that the set does not offer');
  const ephemeralSecret = random(32);
  const ephemeral = crypto.x25519Public(ephemeralSecret);
  const { shared, ciphertext } = encapsInternal(MLKEM1024, oneTime?.unit.kemPrekey ?? set.lastResort, random(32));
  const versions = { min: 1, max: 1 };
  const t = transcript({ profile, versions, a: party, b: bundle, set, oneTime, ephemeral, ciphertext });
  const agree = (secret, remote) => crypto.x25519(secret, remote, 'ERR_BUNDLE');
  const agreements = [
    agree(party.dhSecret, set.signedPrekey),
    agree(ephemeralSecret, bundle.dhKey),
    agree(ephemeralSecret, set.signedPrekey),
    ...(oneTime === undefined ? [] : [agree(ephemeralSecret, oneTime.unit.prekey)]),
  ];
  const unsigned = concat(
    head(0x10),
    Buffer.from([1, profile, 1, 1]),
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
  const init = concat(unsigned, compositeSign(party.deviceSecret, t, 'hs/sig'));
  return {
    ...derive(crypto.sha512(t), agreements, shared),
    init,
    transcript: t,
    initId: crypto.sha256(info('hs/init', unsigned)),
    remoteSignedPrekey: set.signedPrekey,
    profile,
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
  need(reader.at <= 24 * 1024, 'ERR_DECODE', 'an Init too long');
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

/**
 * B's half, steps 1 to 8 of section 2.4, for a device with one set and one batch. Gives the session's secrets and the ratchet message behind the
 * Init, which is not opened here. `pins` maps an accountId (hex) to H(AIK) and `lists` to the newest list; `seen` remembers accepted flights.
 */
export function accept(party, set, batch, frame, { pins = new Map(), lists = new Map(), seen = new Map() } = {}) {
  need(frame.length <= 256 * 1024, 'ERR_TOO_LARGE', 'a frame too long');
  need(equal(decodeSealed(frame).setId, set.setId), 'ERR_KEY_GONE', 'another set');
  const inner = open({ ...party, setId: set.setId, sealSeed: set.secrets.sealSeed }, frame);
  if (inner[0] === 0x20) return { message: inner };
  const init = decodeInit(inner);
  need(equal(init.setId, set.setId), 'ERR_DECRYPT', 'an Init for another set');
  const flight = concat(init.setId, init.otId, init.ephemeral).toString('hex');
  const before = seen.get(flight);
  if (before !== undefined && equal(before.initId, init.initId)) return { ...before, message: init.message, repeated: true };
  const offered = init.profile >= 1 && init.profile <= 3 && (set.profiles >> (init.profile - 1)) & 1;
  need(init.mode === 1 && init.versions.min === 1 && offered, 'ERR_DECRYPT', 'mode, version or profile');
  need(before === undefined, 'ERR_DUPLICATE', 'another Init of the same flight');
  const unit = equal(init.otId, NO_UNIT) ? undefined : batch.units.find(({ otId }) => equal(otId, init.otId));
  need(unit !== undefined || equal(init.otId, NO_UNIT), 'ERR_KEY_GONE', 'a one-time unit without secrets');
  const pin = pins.get(init.account.toString('hex'));
  need(pin === undefined || equal(pin, crypto.sha512(init.accountKey)), 'ERR_IDENTITY_CHANGED', 'another identity than the pin');
  const shown = decodeDeviceList(init.listBytes);
  verifyList(shown, init.accountKey, 'ERR_DECRYPT');
  need(equal(shown.account, init.account), 'ERR_DECRYPT', 'a list of another account');
  const list = newerList(shown, lists.get(init.account.toString('hex')), 'ERR_DECRYPT');
  const entry = entryOf(list, init.device, init.deviceKey);
  need(entry !== undefined, 'ERR_DEVICE_UNTRUSTED', 'the list does not name the device');

  const a = { ...init, dhKey: entry.dhKey };
  const oneTime = unit && { batch, unit };
  const t = transcript({ ...init, a, b: party, set, oneTime });
  need(compositeVerify(init.deviceKey, t, 'hs/sig', init.signature), 'ERR_DECRYPT', 'signature of the transcript');
  const agreements = [
    crypto.x25519(set.secrets.signedPrekey, entry.dhKey),
    crypto.x25519(party.dhSecret, init.ephemeral),
    crypto.x25519(set.secrets.signedPrekey, init.ephemeral),
    ...(unit === undefined ? [] : [crypto.x25519(unit.secret, init.ephemeral)]),
  ];
  const shared = orElse('ERR_DECRYPT', () => crypto.mlKem1024.decaps(unit?.seed ?? set.secrets.lastResort, init.ciphertext));
  const derived = derive(crypto.sha512(t), agreements, shared);
  return {
    ...derived,
    init,
    initId: init.initId,
    flight,
    unit,
    replayable: unit === undefined,
    message: init.message,
    profile: init.profile,
  };
}
