/** Two devices, what one of them has published, and what its keys can be made to sign besides: for vectors of bundles and handshakes. */

import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { compositeKeyPair, keyHash } from '../../src/identity/account.js';
import { type DeviceSecrets, entryOf, generateDevice } from '../../src/identity/device.js';
import { leafHash, merkleRoot } from '../../src/pqxdh/merkle.js';
import { generatePrekeys, type PrekeyState } from '../../src/pqxdh/prekeys.js';
import { seededRng } from '../../src/testing/rng.js';
import {
  type BatchFields,
  type DeviceListFields,
  encodeBatch,
  encodeDeviceList,
  encodeIdentity,
  encodeOneTimeEntry,
  encodeSignedSet,
  type OneTimeEntry,
  parseBatch,
  parseOneTimeEntry,
  parseSignedSet,
  type SignedSetFields,
} from '../../src/wire/objects.js';

/** Thursday, 1 January 2026. */
export const NOW = 1_767_225_600_000;

export interface World {
  readonly alice: DeviceSecrets;
  readonly bob: DeviceSecrets;
  readonly prekeys: PrekeyState;
  /** What bob has published, with the unit of the given place in his batch. */
  published(unit: number): Readonly<Record<'identity' | 'signedSet' | 'head' | 'entry', Uint8Array>>;
  /** Bob's objects with other contents, signed by his keys. */
  identity(changed: Partial<DeviceListFields>, deviceKey?: Uint8Array): Uint8Array;
  list(changed: Partial<DeviceListFields>): Uint8Array;
  signedSet(changed: Partial<SignedSetFields>, secretKey?: Uint8Array): Uint8Array;
  /** A batch of one unit. */
  batch(changed: Partial<BatchFields>, unit?: Partial<OneTimeEntry>): { readonly head: Uint8Array; readonly entry: Uint8Array };
}

let made: World | undefined;

/** The world, made once: a hundred ML-KEM keys take a while. */
export function world(): World {
  made ??= makeWorld('vectors/world');
  return made;
}

function makeWorld(seed: string): World {
  const alice = generateDevice('alice', seededRng(`${seed}, alice`), NOW);
  const bobRng = seededRng(`${seed}, bob`);
  const bob = generateDevice('bob', bobRng, NOW);
  const { next: prekeys, out: keys } = generatePrekeys(bob, bobRng, NOW);
  const { head, entries } = keys.batch!;
  const sign = (tbs: Uint8Array, label: 'id/list' | 'pk/set' | 'pk/batch', secretKey: Uint8Array): Uint8Array =>
    concat(tbs, compositeSign(secretKey, tbs, label, seededRng(`${seed}, ${label}`)));
  const list = (changed: Partial<DeviceListFields>): Uint8Array => {
    const fields = { account: 'bob', accountKeyHash: keyHash(bob.accountKey.publicKey), version: NOW, issuedAt: NOW, freshUntil: NOW };
    const tbs = encodeDeviceList({ ...fields, entries: [entryOf(bob)], ...changed });
    return sign(tbs, 'id/list', bob.accountKey.secretKey!);
  };
  const { tbs: _set, signature: _setSignature, ...setFields } = parseSignedSet(keys.signedSet);
  const { tbs: _head, signature: _headSignature, ...batchFields } = parseBatch(head);
  const first = parseOneTimeEntry(entries[0]!);
  return {
    alice,
    bob,
    prekeys,
    published: (unit) => ({ identity: keys.identity, signedSet: keys.signedSet, head, entry: entries[unit]! }),
    identity: (changed, deviceKey = bob.deviceKey.publicKey) =>
      encodeIdentity({ accountKey: bob.accountKey.publicKey, deviceList: list(changed), deviceKey }),
    list,
    signedSet: (changed, secretKey = bob.deviceKey.secretKey) => sign(encodeSignedSet({ ...setFields, ...changed }), 'pk/set', secretKey),
    batch(changed, unit = {}) {
      const only = { ...first, index: 0, path: [], ...unit };
      const leaves = [leafHash(batchFields.batchId, only)];
      const fields = { ...batchFields, count: 1, root: merkleRoot(leaves), ...changed };
      const entry = encodeOneTimeEntry(only);
      return { head: sign(encodeBatch(fields), 'pk/batch', bob.deviceKey.secretKey), entry };
    },
  };
}

/** A device as it stands in the inputs of a handshake. */
export function deviceInputs(device: DeviceSecrets): Record<string, string | number | Uint8Array> {
  return {
    account: device.account,
    device: device.device,
    accountKey: device.accountKey.publicKey,
    deviceSecretKey: device.deviceKey.secretKey,
    dhSecretKey: device.dhKey.secretKey,
    deviceList: device.deviceList,
  };
}

/** Another account’s keys, that nobody listed. */
export function stranger(name: string): DeviceSecrets {
  return generateDevice(name, seededRng(`vectors/world, ${name}, a stranger`), NOW);
}

/** A composite key pair of a seed. */
export function keyOf(seed: string): ReturnType<typeof compositeKeyPair> {
  return compositeKeyPair(seededRng(seed)(64));
}
