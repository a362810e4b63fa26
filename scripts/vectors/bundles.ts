/** Vectors of what a directory hands out: one-time prekeys in their tree, and whole bundles. */

import { concat, fromHex } from '../../src/bytes.js';
import type { ErrorCode } from '../../src/errors.js';
import { keyHash } from '../../src/identity/account.js';
import { entryOf } from '../../src/identity/device.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { encodeOneTimeEntry, parseOneTimeEntry, parseSignedSet } from '../../src/wire/objects.js';
import { book, flipped, patched } from './book.js';
import { LOW_ORDER, NOT_CANONICAL } from './crypto.js';
import { keyOf, NOW, stranger, world } from './world.js';

export function prekeyBatchVectors(): VectorFile {
  const seed = 'vectors/prekey-batch';
  const rng = seededRng(seed);
  const { valid, invalid, file } = book({
    kind: 'prekey-batch',
    section: '1.4',
    description:
      'The Merkle tree over the units of a batch: leaves, roots and paths, and whether a path leads from a leaf to a root. Leaves of trees are random bytes.',
    seed,
  });
  for (let i = 0; i < 2; i++) {
    const unit = { index: i * 127, otId: rng(8), oneTimePrekey: rng(32), oneTimeKemPrekey: rng(1568) };
    valid(`leaf-${i}`, 'leaf', { batchId: rng(8), ...unit });
  }
  const pathsOf = new Map<number, { leaves: Uint8Array[]; root: Uint8Array; paths: string[][] }>();
  for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 13, 100]) {
    const leaves = Array.from({ length: count }, () => rng(32));
    const out = valid(`tree-${count}`, 'tree', { leaves });
    pathsOf.set(count, { leaves, root: out.bytes('root'), paths: out.json['paths'] as unknown as string[][] });
  }
  const place = (count: number, index: number) => {
    const { leaves, root, paths } = pathsOf.get(count)!;
    return { leaf: leaves[index]!, index, count, path: paths[index]!.map((hex): Uint8Array => fromHex(hex)!), root };
  };
  for (const [count, index] of [
    [1, 0],
    [2, 1],
    [7, 6],
    [13, 0],
    [13, 12],
    [100, 99],
  ] as const) {
    valid(`verify-${count}-${index}`, 'verify', place(count, index));
  }
  const genuine = place(13, 5);
  const refuse = (id: string, threats: string, description: string, changed: Partial<typeof genuine>): void =>
    invalid(id, 'verify', 'ERR_BUNDLE', threats, description, { ...genuine, ...changed });
  refuse('other-leaf', 'T02', 'another leaf', { leaf: place(13, 4).leaf });
  refuse('other-index', 'T02', 'another index', { index: 4 });
  refuse('other-root', 'T02', 'another root', { root: place(100, 0).root });
  refuse('index-count', 'T40', 'an index that is no place', { index: 13 });
  refuse('index-count-1', 'T40', 'an index that is no place in a tree of one leaf', { ...place(1, 0), index: 1 });
  refuse('other-count', 'T02', 'another count, for which the path is too long', { count: 6 });
  refuse('path-short', 'T02', 'a node less', { path: genuine.path.slice(0, -1) });
  refuse('path-long', 'T02', 'a node more', { path: [...genuine.path, rng(32)] });
  refuse('path-empty', 'T02', 'no path', { path: [] });
  refuse('path-order', 'T02', 'two nodes in each other’s place', { path: [genuine.path[1]!, genuine.path[0]!, ...genuine.path.slice(2)] });
  refuse('path-changed', 'T02', 'a bit of a node changed', { path: [flipped(genuine.path[0]!), ...genuine.path.slice(1)] });
  refuse('root-as-leaf', 'T02', 'the root as its own leaf', { leaf: genuine.root, index: 0, path: [] });
  const odd = place(3, 2);
  refuse('odd-doubled', 'T02', 'an odd leaf doubled, as other trees do', { ...odd, path: [odd.leaf, odd.path[0]!] });
  return file();
}

export function bundleVectors(): VectorFile {
  const { bob, published, identity, list, signedSet, batch } = world();
  const { give, valid, invalid, file } = book({
    kind: 'bundle',
    section: '2.3',
    description:
      'What the initiator checks in a bundle: `identity`, `signedSet`, and `head` and `entry` of the one-time part, as a directory hands them out for `account` and `device`; `pinnedIdentity`, `knownList`, `knownSeq` and `knownSetHash` are what it knows already.',
    seed: 'vectors/world',
  });
  give({ account: bob.account, device: bob.device, ...published(42), nowMs: NOW });
  const good = published(42);
  const pin = keyHash(bob.accountKey.publicKey);
  const set = parseSignedSet(good.signedSet);
  valid('whole', 'verify', {});
  valid('last-resort', 'verify', { head: null, entry: null }, 'without a one-time part: the last-resort prekey is used');
  valid('pinned', 'verify', { pinnedIdentity: pin });
  valid('list-stale', 'verify', { nowMs: NOW + 8 * 86_400_000 }, 'the list is past its seven days, which is said');
  valid('list-90-days', 'verify', { identity: identity({ issuedAt: NOW - 90 * 86_400_000 }) }, 'the last moment of 90 days');
  valid('set-last-moment', 'verify', { nowMs: set.notAfter, identity: identity({ issuedAt: set.notAfter }) }, 'the last moment of the set');
  valid(
    'later-speaker',
    'verify',
    { signedSet: signedSet({ verMax: 9, suites: [1, 2] }) },
    'a device that also speaks what is unknown here',
  );
  valid('known-list-newer', 'verify', { knownList: list({ version: NOW + 1 }) }, 'a newer list is known: it counts');
  valid('known-set', 'verify', { knownSeq: set.seq }, 'the set is known');

  const refuse = (id: string, threats: string, description: string, changed: Record<string, Uint8Array | string | number | null>): void =>
    invalid(id, 'verify', 'ERR_BUNDLE', threats, description, changed);
  const refuseAs = (
    id: string,
    code: ErrorCode,
    threats: string,
    description: string,
    changed: Record<string, Uint8Array | number>,
  ): void => invalid(id, 'verify', code, threats, description, changed);
  // Addresses.
  refuse('other-account', 'T11', 'asked for another account', { account: 'rob' });
  refuse('list-of-other-account', 'T11', 'a list for another account than the set', {
    account: 'rob',
    signedSet: signedSet({ account: 'rob' }),
    head: null,
    entry: null,
  });
  refuse('other-device', 'T11', 'asked for another device', { device: bob.device - 1 });
  const other = stranger('bob');
  refuse('unlisted-device-key', 'T30', 'a DIK that the list does not name', { identity: identity({}, other.deviceKey.publicKey) });
  refuse('known-list-without', 'T30', 'a newer list is known that does not name the device', {
    knownList: list({ version: NOW + 1, entries: [entryOf(other)] }),
  });
  refuse('known-list-twin', 'T30', 'another list of the same version is known', { knownList: list({ freshUntil: NOW + 1 }) });
  refuse('list-forged', 'T30', 'a list that the AIK has not signed', { identity: flipped(good.identity, 1986 + 73) });
  // The set.
  refuse('set-of-other-key', 'T12', 'a set that the DIK has not signed', {
    signedSet: signedSet({}, keyOf('vectors/world, another').secretKey),
  });
  refuse('set-mldsa-changed', 'T07', 'a bit of the ML-DSA half under the set changed', { signedSet: flipped(good.signedSet, -3373) });
  refuse('set-ed25519-changed', 'T07', 'a bit of the Ed25519 half under the set changed', { signedSet: flipped(good.signedSet) });
  refuse('set-of-other-account', 'T11', 'a set for another account', { signedSet: signedSet({ account: 'rob' }) });
  refuse('set-of-other-device', 'T11', 'a set for another device', { signedSet: signedSet({ device: bob.device - 1 }) });
  refuse('set-of-other-dik', 'T11', 'a set that names another DIK', { signedSet: signedSet({ deviceKeyHash: new Uint8Array(64) }) });
  refuse('set-expired', 'T41', 'a set past its date', { nowMs: set.notAfter + 1 });
  refuse('set-version-2', 'T08', 'a set for versions from 2', { signedSet: signedSet({ verMin: 2, verMax: 2 }) });
  refuse('set-no-profile', 'T08', 'a set without profiles', { signedSet: signedSet({ profiles: 0 }) });
  refuse('set-no-suite', 'T08', 'a set without suite 1', { signedSet: signedSet({ suites: [2] }) });
  refuse('set-older', 'T24', 'a newer set is known', { knownSeq: set.seq + 1 });
  refuse('set-twin', 'T24', 'another set of the same seq is known', { knownSeq: set.seq, knownSetHash: new Uint8Array(64) });
  refuse('spk-not-canonical', 'T01', 'an SPK that is not canonical', { signedSet: signedSet({ signedPrekey: NOT_CANONICAL[0]! }) });
  refuse('spk-bit-255', 'T01', 'an SPK with bit 255 set', { signedSet: signedSet({ signedPrekey: NOT_CANONICAL[1]! }) });
  const unreduced = [0xff, 0xff, 0xff];
  refuse('pqlr-unreduced', 'T04', 'a coefficient of PQLR that is out of range', {
    signedSet: signedSet({ lastResortKemPrekey: patched(set.lastResortKemPrekey, 0, unreduced) }),
  });
  refuse('seal-unreduced', 'T04', 'a coefficient of SEAL that is out of range', {
    signedSet: signedSet({ sealKey: patched(set.sealKey, 0, unreduced) }),
  });
  refuse('seal-not-canonical', 'T01', 'an X25519 half of SEAL that is not canonical', {
    signedSet: signedSet({ sealKey: patched(set.sealKey, 1184, NOT_CANONICAL[0]!) }),
  });
  refuse('set-cut', 'T50', 'a set of a byte too few', { signedSet: good.signedSet.slice(0, -1) });
  refuse('batch-for-set', 'T13', 'a batch in the place of the set', { signedSet: good.head });
  // The one-time part.
  const unit = parseOneTimeEntry(good.entry);
  refuse('unit-forged', 'T02', 'a unit that is not in the tree', { entry: flipped(good.entry, 10) });
  refuse('unit-kem-forged', 'T02', 'another KEM key in a unit', {
    entry: encodeOneTimeEntry({ ...unit, oneTimeKemPrekey: set.lastResortKemPrekey }),
  });
  refuse('unit-swapped-kem', 'T02', 'the KEM key of another unit', {
    entry: encodeOneTimeEntry({ ...unit, oneTimeKemPrekey: parseOneTimeEntry(published(43).entry).oneTimeKemPrekey }),
  });
  refuse('unit-other-index', 'T02', 'the place of another unit', { entry: encodeOneTimeEntry({ ...unit, index: 43 }) });
  refuse('unit-of-other-batch', 'T02', 'a unit of another batch', { entry: batch({ batchId: new Uint8Array(8) }).entry });
  refuse('unit-none', 'T09', 'otId zero', { entry: patched(good.entry, 0, new Uint8Array(8)) });
  const odd = (id: string, threats: string, description: string, made: { head: Uint8Array; entry: Uint8Array }): void =>
    refuse(id, threats, description, { head: made.head, entry: made.entry });
  odd('opk-not-canonical', 'T01', 'an OPK that is not canonical', batch({}, { oneTimePrekey: NOT_CANONICAL[0]! }));
  odd(
    'pqopk-unreduced',
    'T04',
    'a coefficient of PQOPK that is out of range',
    batch({}, { oneTimeKemPrekey: patched(unit.oneTimeKemPrekey, 0, unreduced) }),
  );
  odd('batch-expired', 'T41', 'a batch past its date', batch({ notAfter: NOW - 1 }));
  odd('batch-of-other-account', 'T11', 'a batch for another account', batch({ account: 'rob' }));
  odd('batch-of-other-device', 'T11', 'a batch for another device', batch({ device: bob.device - 1 }));
  const { head } = batch({});
  refuse('batch-of-one-other', 'T02', 'the head of another batch', { head });
  refuse('batch-forged', 'T07', 'a bit of the signature under the batch changed', { head: flipped(good.head) });
  refuse('batch-count', 'T02', 'another count under the same signature', { head: flipped(good.head, good.head.length - 3373 - 41) });
  // IKx, order of the checks, bounds.
  refuse('ikx-not-canonical', 'T01', 'an IKx that is not canonical', {
    identity: identity({ entries: [{ ...entryOf(bob), dhKey: NOT_CANONICAL[0]! }] }),
  });
  valid(
    'ikx-low-order',
    'verify',
    { identity: identity({ entries: [{ ...entryOf(bob), dhKey: LOW_ORDER[1]! }] }) },
    'an IKx of small order: the agreement refuses it',
  );
  refuse('large', 'T16 T40', 'more than 32 KiB', { identity: concat(good.identity, new Uint8Array(32_768)) });
  refuseAs('list-91-days', 'ERR_LIST_STALE', 'T41 T30', 'a list of more than 90 days', {
    identity: identity({ issuedAt: NOW - 90 * 86_400_000 - 1 }),
  });
  refuseAs('other-pin', 'ERR_IDENTITY_CHANGED', 'T11 T32', 'sound, under another AIK than the pinned one', {
    pinnedIdentity: flipped(pin),
  });
  refuseAs('forged-other-pin', 'ERR_BUNDLE', 'T32', 'not sound, and under another AIK than the pinned one: no news of an identity', {
    pinnedIdentity: flipped(pin),
    signedSet: flipped(good.signedSet),
  });
  return file();
}
