/** Operations of the vectors of objects: signatures, seals, layouts, identities, bundles, codes that people compare. Names are those of the files. */

import { verifyBundle, verifyList } from './bundle.mjs';
import { ascii, concat, context, equal, hex, need, Refused, unhex } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { decodeInit, transcript } from './handshake.mjs';
import { decodeMsgpack, decodePlaintext, encodeMsgpack } from './msgpack.mjs';
import * as objects from './objects.mjs';
import { decodeHeader, decodeMessage } from './ratchet.mjs';
import { matchesQr, safetyNumber, safetyQr } from './safety.mjs';
import * as seals from './seal.mjs';

const WEEK = 7 * 86_400_000;
const text = (bytes) => bytes.toString('utf8');
const maybe = (value) => (value === undefined ? undefined : unhex(value));
const entriesOf = (list) => list.devices.map(({ device, deviceKeyHash, dhKey }) => ({ device, keyHash: deviceKeyHash, dhKey }));

/** `body`, of which every refusal is `code`. */
export function anyFault(code, body) {
  try {
    return body();
  } catch (error) {
    throw error instanceof Refused ? new Refused(code, error.message) : error;
  }
}

const composite = {
  publicKey: (inputs) => ({ publicKey: objects.compositePublic(unhex(inputs.secretKey)) }),
  sign: ({ secretKey, message, label, random }) => ({
    signature: objects.compositeSign(unhex(secretKey), unhex(message), label, unhex(random)),
  }),
  verify: ({ publicKey, message, label, signature }) => {
    need(objects.compositeVerify(unhex(publicKey), unhex(message), label, unhex(signature)), 'ERR_SIGNATURE', 'the signature');
    return {};
  },
};

const seal = {
  publicKey: ({ seed }) => ({ publicKey: seals.xwingPublic(unhex(seed)) }),
  seal: ({ publicKey, info, ad, plaintext, random }) => {
    const { enc, shared } = seals.xwingEncaps(unhex(publicKey), unhex(random));
    const [key, nonce] = seals.hpkeKeys(shared, unhex(info));
    return { kemSharedSecret: shared, key, nonce, enc, ciphertext: crypto.chachaSeal(key, nonce, unhex(plaintext), unhex(ad)) };
  },
  open: ({ seed, enc, info, ad, ciphertext }) => {
    const keys = seals.hpkeKeys(seals.xwingDecaps(unhex(seed), unhex(enc)), unhex(info));
    return { plaintext: crypto.chachaOpen(...keys, unhex(ciphertext), unhex(ad)) };
  },
  sealFrame: ({ account, device, setId, publicKey, inner, random }) => {
    const recipient = { account: ascii(account), device, setId: unhex(setId), sealKey: unhex(publicKey) };
    return { frame: seals.seal(recipient, unhex(inner), unhex(random)) };
  },
  openFrame: ({ account, device, setId, seed, frame }) => {
    const recipient = { account: ascii(account), device, setId: unhex(setId), sealSeed: unhex(seed) };
    return { inner: seals.open(recipient, unhex(frame)) };
  },
};

const owner = ({ account, device, deviceKeyHash }) => ({ account: text(account), device, deviceKeyHash });
const headerFields = ({ dh, pn, n, pqEpoch, pqCtr, pqPrev, type, idx, chunk }) => ({
  ...{ ratchetKey: dh, previousChainLength: pn, n, pqEpoch, pqCounter: pqCtr, pqPrevious: pqPrev, type, index: idx, chunk },
});

const layout = {
  deviceList: ({ bytes }) => {
    const { account, accountKeyHash, version, issuedAt, freshUntil, tbs, ...list } = objects.decodeDeviceList(unhex(bytes));
    return { account: text(account), accountKeyHash, version, issuedAt, freshUntil, entries: entriesOf(list), tbsBytes: tbs.length };
  },
  signedSet: ({ bytes }) => {
    const { tbs, signature: _, hash: __, versions, lastResort, ...set } = objects.decodeSignedSet(unhex(bytes));
    const range = { verMin: versions.min, verMax: versions.max };
    return { ...set, ...owner(set), ...range, lastResortKemPrekey: lastResort, tbsBytes: tbs.length };
  },
  oneTimeBatch: ({ bytes }) => {
    const { tbs, signature: _, hash: __, ...batch } = objects.decodeBatch(unhex(bytes));
    return { ...batch, ...owner(batch), tbsBytes: tbs.length };
  },
  oneTimeEntry: ({ bytes }) => {
    const { prekey, kemPrekey, ...entry } = objects.decodeEntry(unhex(bytes));
    return { ...entry, oneTimePrekey: prekey, oneTimeKemPrekey: kemPrekey };
  },
  identity: ({ bytes }) => {
    const { listBytes, ...part } = objects.decodeIdentityPart(unhex(bytes));
    return { ...part, deviceList: listBytes };
  },
  login: ({ bytes }) => {
    const { tbs, signature: _, hash: __, account, ...login } = objects.decodeLogin(unhex(bytes));
    return { ...login, account: text(account), tbsBytes: tbs.length };
  },
  rootStatementTbs: ({ bytes }) => {
    const { tbs: _, signature: __, hash: ___, account, ...statement } = objects.decodeRootStatement(unhex(bytes), 0);
    return { ...statement, account: text(account) };
  },
  sealedFrame: ({ bytes }) => seals.decodeSealed(unhex(bytes)),
  init: ({ bytes }) => {
    const {
      versions,
      account,
      device,
      ephemeral,
      ciphertext,
      listBytes,
      initId: _,
      bytes: before,
      message,
      ...init
    } = decodeInit(unhex(bytes));
    return {
      ...init,
      verMin: versions.min,
      verMax: versions.max,
      account: text(account),
      deviceId: device,
      ephemeralKey: ephemeral,
      kemCiphertext: ciphertext,
      deviceList: listBytes,
      ratchetMessage: message,
      signedBytes: before.length - 3373,
    };
  },
  ratchetMessage: ({ profile, bytes }) => {
    const { tag, nonce, header, commit, body } = decodeMessage(unhex(bytes), { 1: 192, 2: 32, 3: 1152 }[profile]);
    return { tag, headerNonce: nonce, headerCiphertext: header, commitment: commit, bodyCiphertext: body };
  },
  header: ({ bytes }) => headerFields(decodeHeader(unhex(bytes))),
  plaintext: ({ bytes }) => {
    const { kind, msgId, ...rest } = decodePlaintext(unhex(bytes));
    return { kind: ['app', 'control'][kind], messageId: msgId, ...rest };
  },
  transcript: ({ profile, verMin, verMax, initiator, responder, setHash, setId, signedPrekey, kemPrekey, oneTime, ...rest }) => {
    const set = { hash: unhex(setHash), setId: unhex(setId), signedPrekey: unhex(signedPrekey), lastResort: unhex(kemPrekey) };
    const unit = oneTime && { otId: unhex(oneTime.otId), prekey: unhex(oneTime.oneTimePrekey), kemPrekey: unhex(kemPrekey) };
    const hashes = ({ account, device, accountKeyHash, deviceKeyHash, dhKey }) => ({
      ...{
        account: ascii(account),
        device,
        accountKeyHash: unhex(accountKeyHash),
        deviceKeyHash: unhex(deviceKeyHash),
        dhKey: unhex(dhKey),
      },
    });
    return {
      transcript: transcript({
        ...{ profile, versions: { min: verMin, max: verMax }, a: hashes(initiator), b: hashes(responder), set },
        oneTime: unit && { batch: { hash: unhex(oneTime.batchHash) }, unit },
        ephemeral: unhex(rest.ephemeralKey),
        ciphertext: unhex(rest.kemCiphertext),
      }),
    };
  },
};

/** A MessagePack value as JSON: bytes { $bytes }, integers beyond 2^53 { $integer }. */
function asJson(value) {
  if (value instanceof Uint8Array) return { $bytes: hex(value) };
  if (typeof value === 'bigint') return { $integer: value.toString() };
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asJson(member)]));
}
const msgpack = {
  decode: ({ bytes }) => {
    const value = decodeMsgpack(unhex(bytes));
    if (!equal(encodeMsgpack(value), unhex(bytes))) throw new Error('encodes to other bytes');
    return { value: asJson(value) };
  },
};

const padding = {
  padme: ({ length }) => ({ padded: seals.padme(length) }),
  padBody: ({ content }) => ({ padded: seals.padBody(unhex(content)) }),
  unpadBody: ({ padded }) => ({ content: seals.unpadBody(unhex(padded)) }),
  padSeal: ({ content }) => ({ padded: seals.padInner(unhex(content)) }),
  unpadSeal: ({ padded }) => ({ content: seals.unpadInner(unhex(padded)) }),
};

const prekeyBatch = {
  leaf: ({ batchId, index, otId, oneTimePrekey, oneTimeKemPrekey }) => {
    const unit = { index, otId: unhex(otId), prekey: unhex(oneTimePrekey), kemPrekey: unhex(oneTimeKemPrekey) };
    return { leaf: objects.merkleLeaf(unhex(batchId), unit) };
  },
  tree: ({ leaves }) => {
    const all = leaves.map(unhex);
    return { root: objects.merkleTree(all, 0).root, paths: all.map((_, i) => objects.merkleTree(all, i).path) };
  },
  verify: ({ leaf, index, count, path, root }) => {
    const found = objects.merkleRoot(unhex(leaf), index, count, path.map(unhex));
    need(found !== undefined && equal(found, unhex(root)), 'ERR_BUNDLE', 'the Merkle path');
    return {};
  },
};

const shortHash = ({ tbs }) => crypto.sha256(tbs).subarray(0, 8);
const deviceList = {
  sign: ({ accountSecretKey, account, entries, version, nowMs, random }) => {
    const secret = unhex(accountSecretKey);
    const times = { version, issuedAt: nowMs, freshUntil: nowMs + WEEK };
    const devices = entries.map(({ device, keyHash, dhKey }) => ({ device, deviceKeyHash: unhex(keyHash), dhKey: unhex(dhKey) }));
    const accountKeyHash = crypto.sha512(objects.compositePublic(secret));
    const tbs = objects.encodeDeviceList({ account: ascii(account), accountKeyHash, ...times, devices });
    return { deviceList: concat(tbs, objects.compositeSign(secret, tbs, 'id/list', unhex(random))) };
  },
  verify: (inputs) =>
    anyFault('ERR_BUNDLE', () => {
      const list = objects.decodeDeviceList(unhex(inputs.deviceList));
      verifyList(list, unhex(inputs.accountKey), 'ERR_BUNDLE');
      const { tbsBytes: _, ...fields } = layout.deviceList({ bytes: inputs.deviceList });
      return { ...fields, shortHash: shortHash(list) };
    }),
};

const login = {
  prove: ({ audience, nonce, account, device, storeId, generation, deviceSecretKey, random }) => {
    const names = { audience: unhex(audience), nonce: unhex(nonce), account: ascii(account) };
    const tbs = objects.encodeLogin({ ...names, device, storeId: unhex(storeId), generation });
    return { proof: concat(tbs, objects.compositeSign(unhex(deviceSecretKey), tbs, 'login', unhex(random))) };
  },
  verify: (inputs) => anyFault('ERR_SIGNATURE', () => verifyLogin(inputs)),
};
/** Section 9: a proof against the identity part that the device has published. */
function verifyLogin({ identity, proof: bytes, audience, nonce, account, device }) {
  const { accountKey, deviceKey, list } = objects.decodeIdentity(unhex(identity));
  const fault = (holds, why) => need(holds, 'ERR_SIGNATURE', why);
  verifyList(list, accountKey, 'ERR_SIGNATURE');
  const listed = list.devices.find((each) => each.device === device && equal(each.deviceKeyHash, crypto.sha512(deviceKey)));
  fault(equal(list.account, ascii(account)) && listed !== undefined, 'the list does not name the device');
  const proof = objects.decodeLogin(unhex(bytes));
  fault(equal(proof.audience, ascii(audience)) && equal(proof.nonce, unhex(nonce)), 'another audience or nonce');
  fault(equal(proof.account, ascii(account)) && proof.device === device, 'another device');
  fault(objects.compositeVerify(deviceKey, proof.tbs, 'login', proof.signature), 'the signature');
  const { storeId, generation } = proof;
  const devices = list.devices.map((each) => ({ device: each.device, keyHash: each.deviceKeyHash }));
  return { storeId, generation, accountKeyHash: crypto.sha512(accountKey), listVersion: list.version, devices };
}

const side = ({ account, accountKeyHash }) => ({ account: ascii(account), accountKeyHash: unhex(accountKeyHash) });
const safety = {
  number: ({ own, peer }) => ({
    digits: safetyNumber(side(own), side(peer)).match(/.{5}/g).join(' '),
    qr: safetyQr(side(own), side(peer)),
  }),
  compare: ({ own, peer, scanned }) => {
    try {
      return { verdict: matchesQr(side(own), side(peer), unhex(scanned)) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { verdict: 'unreadable' };
    }
  },
};

const bundle = {
  verify: ({ account, device, identity, signedSet, head, entry, nowMs, ...rest }) => {
    const { knownList, knownSeq, knownSetHash, pinnedIdentity } = rest;
    const received = {
      ...{ account: ascii(account), device, identity: unhex(identity), signedSet: unhex(signedSet) },
      oneTime: head && { batch: unhex(head), entry: unhex(entry) },
    };
    const known = { list: knownList && objects.decodeDeviceList(unhex(knownList)), seq: knownSeq, setHash: maybe(knownSetHash) };
    const verified = verifyBundle(received, { now: nowMs, pin: maybe(pinnedIdentity), known });
    return {
      accountKeyHash: crypto.sha512(verified.accountKey),
      dhKey: verified.dhKey,
      listVersion: verified.list.version,
      listIsStale: nowMs > verified.list.freshUntil,
      setHash: verified.set.hash,
      setId: verified.set.setId,
      otId: verified.oneTime?.unit.otId,
      batchHash: verified.oneTime?.batch.hash,
    };
  },
};

const rootStatement = {
  verify: ({ rootKey, statement }) =>
    anyFault('ERR_SIGNATURE', () => {
      const root = unhex(rootKey);
      const { tbs, signature, hash: _, rootKey: named, account, ...fields } = objects.decodeRootStatement(unhex(statement));
      need(equal(named, root), 'ERR_SIGNATURE', 'a statement of another root');
      need(crypto.slhDsaVerify(root, tbs, context('id/root'), signature), 'ERR_SIGNATURE', 'the signature');
      return { account: text(account), ...fields, tbsBytes: tbs.length };
    }),
};

export const OBJECT_KINDS = {
  ...{ composite, seal, layout, msgpack, padding, bundle, login },
  'prekey-batch': prekeyBatch,
  'device-list': deviceList,
  'safety-number': safety,
  'root-statement': rootStatement,
};
