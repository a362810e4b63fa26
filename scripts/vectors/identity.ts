/** Vectors of identities: device lists, login proofs, safety numbers. */

import { concat, encodeUtf8 } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import type { Label } from '../../src/crypto/labels.js';
import { compositeKeyPair, keyHash } from '../../src/identity/account.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeDeviceList, encodeIdentity, encodeLogin } from '../../src/wire/objects.js';
import { book, flipped, patched } from './book.js';
import { LOW_ORDER, NOT_CANONICAL } from './crypto.js';

const NOW = 1_767_225_600_000;

export function deviceListVectors(): VectorFile {
  const seed = 'vectors/device-list';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'device-list',
    section: '2.2',
    description:
      'Device lists as the holder of the AIK signs them (`random` hedges) and as everybody verifies them, under the AIK that stands beside them. `freshUntil` is seven days from `nowMs`. `shortHash` is SHA-256(TBS)[0:8]. Dates are not judged here.',
    seed,
  });
  const accountSecretKey = rng(64);
  const { publicKey: accountKey } = compositeKeyPair(accountSecretKey);
  const entries = [5, 9].map((device) => ({ device, keyHash: rng(64), dhKey: patched(rng(32), 31, [0x10]) }));
  const input = { accountSecretKey, account: 'bob', entries, version: NOW, nowMs: NOW };
  const list = valid('sign', 'sign', { ...input, random: rng(32) }).bytes('deviceList');
  const alone = valid('sign-one', 'sign', { ...input, entries: entries.slice(0, 1), version: 1, random: rng(32) }).bytes('deviceList');
  give({ accountKey, deviceList: list });
  valid('verify', 'verify', {});
  valid('verify-one', 'verify', { deviceList: alone });
  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array>): void =>
    invalid(id, 'verify', 'ERR_BUNDLE', threats, description, changed);
  const tbs = list.slice(0, -3373);
  const signed = (bytes: Uint8Array, label: Label = 'id/list'): Uint8Array =>
    concat(bytes, compositeSign(accountSecretKey, bytes, label, seededRng(`${seed}, ${label}`)));
  refuse('mldsa-changed', 'T07', 'a bit of the ML-DSA half changed', { deviceList: flipped(list, tbs.length) });
  refuse('ed25519-changed', 'T07', 'a bit of the Ed25519 half changed', { deviceList: flipped(list) });
  refuse('entry-changed', 'T30', 'another IKx in an entry', { deviceList: flipped(list, 98 + 4 + 64) });
  refuse('device-added', 'T30', 'a device that the AIK has not signed', {
    deviceList: concat(patched(tbs, 97, [3]), patched(new Uint8Array(100), 0, [0, 0, 0, 10]), list.slice(-3373)),
  });
  refuse('device-removed', 'T30', 'a device less than the AIK has signed', {
    deviceList: concat(patched(tbs, 97, [1]).slice(0, -100), list.slice(-3373)),
  });
  refuse('version-changed', 'T24', 'another version', { deviceList: flipped(list, 80) });
  refuse('signature-of-other-list', 'T30', 'the signature of another list', { deviceList: concat(tbs, alone.slice(-3373)) });
  for (const label of ['pk/set', 'pk/batch', 'hs/sig', 'login'] as const) {
    refuse(`label-${label.replace('/', '-')}`, 'T06 T13', `signed under the context of ${label}`, { deviceList: signed(tbs, label) });
  }
  const other = compositeKeyPair(rng(64));
  refuse('other-account-key', 'T11', 'another AIK beside it', { accountKey: other.publicKey });
  const fields = { account: 'bob', accountKeyHash: keyHash(accountKey), version: NOW, issuedAt: NOW, freshUntil: NOW };
  const made = (changed: Partial<typeof fields>, listed = entries): Uint8Array =>
    signed(encodeDeviceList({ ...fields, ...changed, entries: listed }));
  refuse('hash-of-other-key', 'T11', 'a list that names another AIK than the one that signed it', {
    deviceList: made({ accountKeyHash: keyHash(other.publicKey) }),
  });
  refuse('dh-not-canonical', 'T01', 'an IKx that is not canonical', {
    deviceList: made({}, [{ ...entries[0]!, dhKey: NOT_CANONICAL[0]! }]),
  });
  refuse('dh-bit-255', 'T01', 'an IKx with bit 255 set', { deviceList: made({}, [{ ...entries[0]!, dhKey: NOT_CANONICAL[1]! }]) });
  valid(
    'dh-low-order',
    'verify',
    { deviceList: made({}, [{ ...entries[0]!, dhKey: LOW_ORDER[0]! }]) },
    'an IKx of small order: the agreement refuses it',
  );
  refuse('cut', 'T50', 'a byte too few', { deviceList: list.slice(0, -1) });
  refuse('long', 'T50', 'a byte too many', { deviceList: concat(list, new Uint8Array(1)) });
  refuse('not-ascending', 'T40', 'signed, and not ascending', { deviceList: made({}, [entries[1]!, entries[0]!]) });
  refuse('nothing', 'T40', 'nothing', { deviceList: new Uint8Array(0) });
  return file();
}

export function loginVectors(): VectorFile {
  const seed = 'vectors/login';
  const rng = seededRng(seed);
  const { give, valid, invalid, file } = book({
    kind: 'login',
    section: '9',
    description:
      'Login proofs. In `prove`, `audience` is bytes; in `verify` it is text. `identity` is the identity part that the device has published.',
    seed,
  });
  const [accountSecretKey, deviceSecretKey] = [rng(64), rng(64)];
  const [accountKey, deviceKey] = [compositeKeyPair(accountSecretKey).publicKey, compositeKeyPair(deviceSecretKey).publicKey];
  const listed = (account: string, entries: readonly { device: number; keyHash: Uint8Array; dhKey: Uint8Array }[]): Uint8Array => {
    const tbs = encodeDeviceList({ account, accountKeyHash: keyHash(accountKey), version: NOW, issuedAt: NOW, freshUntil: NOW, entries });
    return concat(tbs, compositeSign(accountSecretKey, tbs, 'id/list', seededRng(`${seed}, list`)));
  };
  const own = { device: 3, keyHash: keyHash(deviceKey), dhKey: new Uint8Array(32).fill(9) };
  const identity = encodeIdentity({ accountKey, deviceList: listed('bob', [own]), deviceKey });
  const login = { account: 'bob', device: 3, nonce: rng(32) };
  const claim = { ...login, audience: encodeUtf8('relay.example')!, storeId: rng(16), generation: 41 };
  const proof = valid('prove', 'prove', { ...claim, deviceSecretKey, random: rng(32) }).bytes('proof');
  give({ ...login, identity, proof, audience: 'relay.example' });
  valid('verify', 'verify', {});
  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array | string | number>): void =>
    invalid(id, 'verify', 'ERR_SIGNATURE', threats, description, changed);
  refuse('other-audience', 'T11', 'made for another service', { audience: 'relay.example:8443' });
  refuse('other-nonce', 'T10', 'made for another nonce', { nonce: rng(32) });
  refuse('other-account', 'T12', 'another account', { account: 'rob' });
  refuse('other-device', 'T12', 'another device', { device: 4 });
  refuse('generation-changed', 'T24', 'another generation', { proof: flipped(proof, proof.length - 3374) });
  refuse('store-changed', 'T24', 'another store', { proof: flipped(proof, proof.length - 3373 - 24) });
  refuse('mldsa-changed', 'T07', 'a bit of the ML-DSA half changed', { proof: flipped(proof, proof.length - 3373) });
  refuse('ed25519-changed', 'T07', 'a bit of the Ed25519 half changed', { proof: flipped(proof) });
  refuse('cut', 'T50', 'a byte too few', { proof: proof.slice(0, -1) });
  refuse('long', 'T50', 'a byte too many', { proof: concat(proof, new Uint8Array(1)) });
  refuse('version', 'T08', 'another version', { proof: patched(proof, 1, [2]) });
  const tbs = encodeLogin(claim);
  const signed = (label: Label, key = deviceSecretKey): Uint8Array =>
    concat(tbs, compositeSign(key, tbs, label, seededRng(`${seed}, ${label}`)));
  refuse('other-label', 'T06 T13', 'signed under the context of a list', { proof: signed('id/list') });
  refuse('account-key', 'T13', 'signed with the AIK', { proof: signed('login', accountSecretKey) });
  refuse('other-key', 'T12', 'signed with a key that is not the device’s', { proof: signed('login', rng(64)) });
  const shown = (deviceList: Uint8Array, key = deviceKey): Uint8Array => encodeIdentity({ accountKey, deviceList, deviceKey: key });
  refuse('unlisted', 'T30', 'a list that does not name the device', { identity: shown(listed('bob', [{ ...own, device: 4 }])) });
  refuse('other-device-key', 'T30', 'a list that names the device under another key', {
    identity: shown(listed('bob', [{ ...own, keyHash: rng(64) }])),
  });
  refuse('list-of-other-account', 'T11', 'a list of another account', { identity: shown(listed('rob', [own])) });
  refuse('list-forged', 'T30', 'a list that the AIK has not signed', { identity: flipped(identity, 1984 + 100) });
  refuse('identity-cut', 'T50', 'an identity of a byte too few', { identity: identity.slice(0, -1) });
  return file();
}

export function safetyVectors(): VectorFile {
  const seed = 'vectors/safety-number';
  const rng = seededRng(seed);
  const { give, valid, file } = book({
    kind: 'safety-number',
    section: '10b',
    description:
      'Safety numbers. `number` gives the digits and the own QR payload; `compare` says what a scanned payload of the other person shows: match, mismatch, other-person or unreadable. Nothing is refused with an error: whatever is no match is said to a person.',
    seed,
  });
  const alice = { account: 'alice', accountKeyHash: rng(64) };
  const bob = { account: 'bob', accountKeyHash: rng(64) };
  give({ own: alice, peer: bob });
  const ours = valid('alice', 'number', {});
  const theirs = valid('bob', 'number', { own: bob, peer: alice }, 'the same digits, another payload');
  if (ours.json['digits'] !== theirs.json['digits']) throw new Error('the two sides disagree');
  valid('same-account', 'number', { own: bob, peer: bob }, 'both halves are the same');
  valid('names', 'number', { own: { account: 'é'.repeat(32), accountKeyHash: rng(64) }, peer: bob }, 'a name of 64 bytes');
  const scanned = theirs.bytes('qr');
  const compare = (id: string, verdict: string, description: string, payload: Uint8Array, more = {}): void => {
    const { json } = valid(id, 'compare', { scanned: payload, ...more }, description);
    if (json['verdict'] !== verdict) throw new Error(`${id}: ${String(json['verdict'])}`);
  };
  compare('match', 'match', 'what the other person shows', scanned);
  compare('own', 'other-person', 'the own payload', ours.bytes('qr'));
  compare('peer-key', 'mismatch', 'another identity of the other person', flipped(scanned, 11 + 5));
  compare('own-key', 'mismatch', 'another identity of one’s own', flipped(scanned));
  compare('pinned-other', 'mismatch', 'another identity than the pinned one', scanned, { peer: { ...bob, accountKeyHash: rng(64) } });
  compare('other-account', 'other-person', 'of another account', scanned, { peer: { ...bob, account: 'rob' } });
  compare('magic', 'unreadable', 'another magic', flipped(scanned, 0));
  compare('version', 'unreadable', 'another version', patched(scanned, 8, [2]));
  compare('cut', 'unreadable', 'a byte too few', scanned.slice(0, -1));
  compare('long', 'unreadable', 'a byte too many', concat(scanned, new Uint8Array(1)));
  compare('nothing', 'unreadable', 'nothing', new Uint8Array(0));
  return file();
}
