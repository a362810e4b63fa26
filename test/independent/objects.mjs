/**
 * Signed objects: composite signatures (section 3), the layouts of section 1.4, one-time entries and their Merkle paths. Each decoder takes the
 * received bytes and gives the fields with `tbs` and `signature`; each `encode…` gives TBS bytes. Who is believed is bundle.mjs' business.
 */
import { ascii, concat, context, equal, head, lp16, need, Reader, u8, u16, u32, u64 } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { signWithRandom } from './mldsa.mjs';

const SIGNATURE = 3373;
const ML_DSA_KEY = 1952;
const ML_DSA_SIGNATURE = 3309;
const COMPOSITE = ascii('COMPSIG-MLDSA65-Ed25519-SHA512');

const prehash = (label, message) =>
  concat(ascii('CompositeAlgorithmSignatures2025'), COMPOSITE, u8(context(label).length), context(label), crypto.sha512(message));

/** The public key of a secret ML-DSA-65 seed 32 ‖ Ed25519 seed 32. */
export const compositePublic = (secret) => concat(crypto.mlDsaPublic(secret.subarray(0, 32)), crypto.ed25519Public(secret.subarray(32)));
/** A composite signature: by OpenSSL, or hedged with a given `rnd` of 32 bytes. */
export function compositeSign(secret, message, label, rnd) {
  const text = prehash(label, message);
  const seed = secret.subarray(0, 32);
  const pq = rnd === undefined ? crypto.mlDsaSign(seed, text, COMPOSITE) : signWithRandom(seed, text, COMPOSITE, rnd);
  return concat(pq, crypto.ed25519Sign(secret.subarray(32), text));
}
export function compositeVerify(key, message, label, signature) {
  if (key.length !== ML_DSA_KEY + 32 || signature.length !== SIGNATURE) return false;
  const text = prehash(label, message);
  const pq = crypto.mlDsaVerify(key.subarray(0, ML_DSA_KEY), text, COMPOSITE, signature.subarray(0, ML_DSA_SIGNATURE));
  const classical = crypto.ed25519Verify(key.subarray(ML_DSA_KEY), text, signature.subarray(ML_DSA_SIGNATURE));
  return pq && classical;
}

/** Reads a signed object: `fields` reads what is between HEAD and signature. */
function decodeSigned(bytes, type, fields, signatureLength = SIGNATURE) {
  const reader = new Reader(bytes);
  reader.head(type);
  const object = fields(reader);
  const tbs = reader.bytes.subarray(0, reader.at);
  const signature = reader.take(signatureLength);
  reader.end();
  return { ...object, tbs, signature, hash: crypto.sha512(tbs) };
}

const repeat = (count, read) => Array.from({ length: count }, read);
const ascending = (values) => values.every((value, i) => i === 0 || value > values[i - 1]);
const distinct = (values) => new Set(values.map((value) => value.toString('hex'))).size === values.length;

/** DeviceList, 0x40. */
export const decodeDeviceList = (bytes) =>
  decodeSigned(bytes, 0x40, (reader) => {
    const list = {
      account: reader.accountId(),
      accountKeyHash: reader.take(64),
      version: reader.u64(),
      issuedAt: reader.u64(),
      freshUntil: reader.u64(),
      devices: repeat(reader.u8(), () => ({ device: reader.deviceId(), deviceKeyHash: reader.take(64), dhKey: reader.take(32) })),
    };
    const { devices } = list;
    need(devices.length >= 1 && devices.length <= 64, 'ERR_DECODE', 'number of devices');
    need(ascending(devices.map(({ device }) => device)), 'ERR_DECODE', 'deviceIds not ascending');
    need(distinct(devices.map(({ deviceKeyHash }) => deviceKeyHash)), 'ERR_DECODE', 'a device key twice');
    return list;
  });
export const encodeDeviceList = (list) =>
  concat(
    head(0x40),
    lp16(list.account),
    list.accountKeyHash,
    u64(list.version),
    u64(list.issuedAt),
    u64(list.freshUntil),
    u8(list.devices.length),
    ...list.devices.map(({ device, deviceKeyHash, dhKey }) => concat(u32(device), deviceKeyHash, dhKey)),
  );

/** A version range: two u8 with 1 ≤ min ≤ max. */
export function readVersions(reader) {
  const [min, max] = [reader.u8(), reader.u8()];
  need(min >= 1 && min <= max, 'ERR_DECODE', 'a version range');
  return { min, max };
}

/** SignedSet, 0x41. */
export const decodeSignedSet = (bytes) =>
  decodeSigned(bytes, 0x41, (reader) => {
    const owner = { account: reader.accountId(), device: reader.deviceId(), deviceKeyHash: reader.take(64) };
    const times = { incarnation: reader.take(16), seq: reader.u64(), notAfter: reader.u64() };
    const versions = readVersions(reader);
    const suites = repeat(reader.u8(), () => reader.u16());
    need(ascending(suites) && suites.includes(1), 'ERR_DECODE', 'a suite list');
    const profiles = reader.u8();
    need(profiles >= 1 && profiles <= 7, 'ERR_DECODE', 'profiles');
    const keys = { setId: reader.take(8), signedPrekey: reader.take(32), lastResort: reader.take(1568), sealKey: reader.take(1216) };
    return { ...owner, ...times, versions, suites, profiles, ...keys };
  });
export const encodeSignedSet = (set) =>
  concat(
    head(0x41),
    lp16(set.account),
    u32(set.device),
    set.deviceKeyHash,
    set.incarnation,
    u64(set.seq),
    u64(set.notAfter),
    u8(1),
    u8(1),
    u8(1),
    u16(1),
    u8(set.profiles),
    set.setId,
    set.signedPrekey,
    set.lastResort,
    set.sealKey,
  );

/** OneTimeBatch, 0x42. */
export const decodeBatch = (bytes) =>
  decodeSigned(bytes, 0x42, (reader) => {
    const owner = { account: reader.accountId(), device: reader.deviceId(), deviceKeyHash: reader.take(64) };
    const batch = { batchId: reader.take(8), count: reader.u16(), notAfter: reader.u64(), root: reader.take(32) };
    need(batch.count >= 1 && batch.count <= 128, 'ERR_DECODE', 'count of a batch');
    return { ...owner, ...batch };
  });
export const encodeBatch = (batch) =>
  concat(
    head(0x42),
    lp16(batch.account),
    u32(batch.device),
    batch.deviceKeyHash,
    batch.batchId,
    u16(batch.count),
    u64(batch.notAfter),
    batch.root,
  );

/** RootStatement, 0x43, with its signature of 16,224 bytes or, for whoever signs, without. */
export const decodeRootStatement = (bytes, signatureLength = 16224) =>
  decodeSigned(
    bytes,
    0x43,
    (reader) => ({
      account: reader.accountId(),
      accountKeyHash: reader.take(64),
      version: reader.u64(),
      issuedAt: reader.u64(),
      rootKey: reader.take(48),
    }),
    signatureLength,
  );

/** Login proof, 0x45. */
export const decodeLogin = (bytes) =>
  decodeSigned(bytes, 0x45, (reader) => ({
    audience: reader.lp16(),
    nonce: reader.lp16(),
    account: reader.accountId(),
    device: reader.deviceId(),
    storeId: reader.take(16),
    generation: reader.u64(),
  }));

export const encodeLogin = (login) =>
  concat(head(0x45), lp16(login.audience), lp16(login.nonce), lp16(login.account), u32(login.device), login.storeId, u64(login.generation));

/** What a device publishes of its identity: AIK ‖ lp16(DeviceList) ‖ DIK. */
export function decodeIdentityPart(bytes) {
  const reader = new Reader(bytes);
  const part = { accountKey: reader.take(1984), listBytes: reader.lp16(), deviceKey: reader.take(1984) };
  reader.end();
  return part;
}
export function decodeIdentity(bytes) {
  const part = decodeIdentityPart(bytes);
  return { ...part, list: decodeDeviceList(part.listBytes) };
}
export const encodeIdentity = (accountKey, listBytes, deviceKey) => concat(accountKey, lp16(listBytes), deviceKey);

/** A one-time entry with its path. */
export function decodeEntry(bytes) {
  const reader = new Reader(bytes);
  const unit = { otId: reader.take(8), index: reader.u16(), prekey: reader.take(32), kemPrekey: reader.take(1568) };
  const k = reader.u8();
  need(k <= 7 && unit.otId.some((byte) => byte !== 0), 'ERR_DECODE', 'a one-time entry');
  const path = repeat(k, () => reader.take(32));
  reader.end();
  return { ...unit, path };
}
export const encodeEntry = (unit, path) => concat(unit.otId, u16(unit.index), unit.prekey, unit.kemPrekey, u8(path.length), ...path);

export const merkleLeaf = (batchId, { index, otId, prekey, kemPrekey }) =>
  crypto.sha512t256(concat(u8(0), batchId, u16(index), otId, prekey, kemPrekey));
const merkleNode = (left, right) => crypto.sha512t256(concat(u8(1), left, right));
function largestPowerBelow(count) {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
/** Root and path (leaf upwards) of the leaf at `index`, by RFC 9162 section 2.1. */
export function merkleTree(leaves, index) {
  if (leaves.length === 1) return { root: leaves[0], path: [] };
  const k = largestPowerBelow(leaves.length);
  const left = merkleTree(leaves.slice(0, k), index < k ? index : 0);
  const right = merkleTree(leaves.slice(k), index < k ? 0 : index - k);
  return { root: merkleNode(left.root, right.root), path: index < k ? [...left.path, right.root] : [...right.path, left.root] };
}
/** The root that `leaf` at `index` of `count` has under `path`; undefined where the path is not as long as this place's. */
export function merkleRoot(leaf, index, count, path) {
  if (index >= count) return undefined;
  if (count === 1) return path.length === 0 ? leaf : undefined;
  if (path.length === 0) return undefined;
  const k = largestPowerBelow(count);
  const [rest, sibling] = [path.slice(0, -1), path.at(-1)];
  const below = index < k ? merkleRoot(leaf, index, k, rest) : merkleRoot(leaf, index - k, count - k, rest);
  if (below === undefined) return undefined;
  return index < k ? merkleNode(below, sibling) : merkleNode(sibling, below);
}
/** Whether a batch holds an entry. */
export const isInBatch = (batch, entry) => {
  const root = merkleRoot(merkleLeaf(batch.batchId, entry), entry.index, batch.count, entry.path);
  return root !== undefined && equal(root, batch.root);
};
