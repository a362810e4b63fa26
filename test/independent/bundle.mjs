/**
 * Bundles: what a directory answers for one device is believed or refused here, in the order of section 2.3. Also the making of a device's own
 * keys and of what it publishes, so that this side can be the responder too.
 */
import { concat, equal, need } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import * as objects from './objects.mjs';
import { isXwingKey, xwingPublic } from './seal.mjs';

const DAY = 86_400_000;

/** The newer of two verified lists under one AIK; two of one version with different bytes are a fault. */
export function newerList(list, known, code) {
  if (known === undefined || list.version > known.version) return list;
  need(list.version < known.version || equal(list.tbs, known.tbs), code, 'two lists of one version');
  return known;
}

/** A list under the AIK beside it: hash, keys, signature. */
export function verifyList(list, accountKey, code) {
  need(equal(list.accountKeyHash, crypto.sha512(accountKey)), code, 'the list is of another AIK');
  need(
    list.devices.every(({ dhKey }) => crypto.isCanonicalX25519(dhKey)),
    code,
    'an IKx that is not canonical',
  );
  need(objects.compositeVerify(accountKey, list.tbs, 'id/list', list.signature), code, 'signature of the list');
}

/** The entry of a device in a list, found by id and key. */
export const entryOf = (list, device, deviceKey) =>
  list.devices.find((each) => each.device === device && equal(each.deviceKeyHash, crypto.sha512(deviceKey)));

const isOf = (object, account, device, deviceKey) =>
  equal(object.account, account) && object.device === device && equal(object.deviceKeyHash, crypto.sha512(deviceKey));

/**
 * A bundle { account, device, identity, signedSet, oneTime?: { batch, entry } } verified at `now`; `pin` is H(AIK) where there is one, and
 * `known` has what is known of the device: the newest list, seq and setHash.
 */
export function verifyBundle(bundle, { now, pin, known = {} }) {
  const { account, device } = bundle;
  const fault = (holds, why) => need(holds, 'ERR_BUNDLE', why);
  const parts = [bundle.identity, bundle.signedSet, bundle.oneTime?.batch, bundle.oneTime?.entry].filter((part) => part !== undefined);
  fault(concat(...parts).length <= 32 * 1024, 'too large');
  const parse = (decode, bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      throw Object.assign(error, { code: 'ERR_BUNDLE' });
    }
  };
  const { accountKey, list: shown, deviceKey } = parse(objects.decodeIdentity, bundle.identity);
  const set = parse(objects.decodeSignedSet, bundle.signedSet);
  verifyList(shown, accountKey, 'ERR_BUNDLE');
  const list = newerList(shown, known.list, 'ERR_BUNDLE');
  const entry = entryOf(list, device, deviceKey);
  fault(equal(list.account, account) && entry !== undefined, 'the list does not name the device');

  fault(isOf(set, account, device, deviceKey), 'the set is of another device');
  fault(crypto.isCanonicalX25519(set.signedPrekey), 'SPK');
  fault(crypto.mlKem1024.isKey(set.lastResort) && isXwingKey(set.sealKey), 'PQLR or SEAL');
  fault(now <= set.notAfter && set.versions.min <= 1 && set.seq >= (known.seq ?? 0), 'the set is over');
  fault(set.seq !== known.seq || known.setHash === undefined || equal(set.hash, known.setHash), 'two sets of one seq');
  fault(objects.compositeVerify(deviceKey, set.tbs, 'pk/set', set.signature), 'signature of the set');

  const oneTime = bundle.oneTime && parse(() => verifyOneTime(bundle, deviceKey, now), undefined);
  need(now <= list.issuedAt + 90 * DAY, 'ERR_LIST_STALE', 'the list is stale');
  need(pin === undefined || equal(pin, crypto.sha512(accountKey)), 'ERR_IDENTITY_CHANGED', 'another identity than the pin');
  return { account, device, accountKey, deviceKey, dhKey: entry.dhKey, list, set, oneTime };
}

function verifyOneTime({ account, device, oneTime }, deviceKey, now) {
  const batch = objects.decodeBatch(oneTime.batch);
  const unit = objects.decodeEntry(oneTime.entry);
  const fault = (holds, why) => need(holds, 'ERR_BUNDLE', why);
  fault(isOf(batch, account, device, deviceKey) && now <= batch.notAfter, 'the batch is of another device, or over');
  fault(crypto.isCanonicalX25519(unit.prekey) && crypto.mlKem1024.isKey(unit.kemPrekey), 'OPK or PQOPK');
  fault(objects.isInBatch(batch, unit), 'the Merkle path');
  fault(objects.compositeVerify(deviceKey, batch.tbs, 'pk/batch', batch.signature), 'signature of the batch');
  return { batch, unit };
}

/** The secrets of an account with one device; all drawn from `random(length)`. */
export function generateParty(account, now, random) {
  const party = { account, accountSecret: random(64), deviceSecret: random(64), dhSecret: random(32), incarnation: random(16) };
  const device = 1 + Number(random(8).readBigUInt64BE() % BigInt(2 ** 31 - 1));
  const [accountKey, deviceKey] = [party.accountSecret, party.deviceSecret].map(objects.compositePublic);
  const dhKey = crypto.x25519Public(party.dhSecret);
  const devices = [{ device, deviceKeyHash: crypto.sha512(deviceKey), dhKey }];
  const times = { version: now, issuedAt: now, freshUntil: now + 7 * DAY };
  const tbs = objects.encodeDeviceList({ account, accountKeyHash: crypto.sha512(accountKey), ...times, devices });
  const list = concat(tbs, objects.compositeSign(party.accountSecret, tbs, 'id/list', random(32)));
  return { ...party, device, accountKey, deviceKey, dhKey, list, identity: objects.encodeIdentity(accountKey, list, deviceKey) };
}

/** A set of a party with its secrets. */
export function generateSet(party, now, random) {
  const secrets = { signedPrekey: random(32), lastResort: random(64), sealSeed: random(32) };
  const tbs = objects.encodeSignedSet({
    ...party,
    deviceKeyHash: crypto.sha512(party.deviceKey),
    seq: now,
    notAfter: now + 45 * DAY,
    profiles: 7,
    setId: random(8),
    signedPrekey: crypto.x25519Public(secrets.signedPrekey),
    lastResort: crypto.mlKem1024.publicOf(secrets.lastResort),
    sealKey: xwingPublic(secrets.sealSeed),
  });
  const bytes = concat(tbs, objects.compositeSign(party.deviceSecret, tbs, 'pk/set', random(32)));
  return { ...objects.decodeSignedSet(bytes), bytes, secrets };
}

/** A batch of `count` units with its secrets; `units` are those that are left, `entry(i)` is what a directory hands out. */
export function generateBatch(party, now, random, count = 100) {
  const batchId = random(8);
  const units = Array.from({ length: count }, (_, index) => {
    const [otId, secret, seed] = [random(8), random(32), random(64)];
    return { otId, index, secret, seed, prekey: crypto.x25519Public(secret), kemPrekey: crypto.mlKem1024.publicOf(seed) };
  });
  const leaves = units.map((unit) => objects.merkleLeaf(batchId, unit));
  const { root } = objects.merkleTree(leaves, 0);
  const fields = { ...party, deviceKeyHash: crypto.sha512(party.deviceKey), batchId, count, notAfter: now + 90 * DAY, root };
  const tbs = objects.encodeBatch(fields);
  const bytes = concat(tbs, objects.compositeSign(party.deviceSecret, tbs, 'pk/batch', random(32)));
  const entries = units.map((unit, index) => objects.encodeEntry(unit, objects.merkleTree(leaves, index).path));
  return { ...objects.decodeBatch(bytes), bytes, units, entry: (index) => entries[index] };
}
