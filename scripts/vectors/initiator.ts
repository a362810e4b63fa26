/** What an initiator says to bob: what an honest one says, and whatever its keys can be made to sign. For vectors of handshakes. */

import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { mlKem1024, sha512, x25519KeyPair } from '../../src/crypto/suite.js';
import { keyHash } from '../../src/identity/account.js';
import type { DeviceSecrets } from '../../src/identity/device.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { type Initiation, initiate } from '../../src/pqxdh/handshake.js';
import type { UnitSecrets } from '../../src/pqxdh/prekeys.js';
import { encodeTranscript, type TranscriptFields } from '../../src/pqxdh/transcript.js';
import type { Profile, Rng } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { encodeInit, type InitFields, parseInit } from '../../src/wire/frames.js';
import { parseBatch, parseSignedSet } from '../../src/wire/objects.js';
import { NOW, world } from './world.js';

/** A ratchet message that nobody decrypts. */
export const REST = new Uint8Array([0x20, 1, 0, 1, 42]);

/** A side of the transcript. */
export function party(device: DeviceSecrets) {
  return {
    account: device.account,
    device: device.device,
    accountKeyHash: keyHash(device.accountKey.publicKey),
    deviceKeyHash: keyHash(device.deviceKey.publicKey),
    dhKey: device.dhKey.publicKey,
  };
}

/** The one-time part of the transcript for a unit of bob's batch. */
export function oneTimeOf({ otId, dhSecret }: UnitSecrets) {
  const batchHash = sha512(parseBatch(world().published(0).head).tbs);
  return { batchHash, otId, oneTimePrekey: x25519KeyPair(dhSecret).publicKey };
}

/** The transcript of alice and bob, with a unit of his or none. */
export function transcriptOf(
  unit: UnitSecrets | undefined,
  ephemeralKey: Uint8Array,
  kemCiphertext: Uint8Array,
  profile: Profile = 1,
): TranscriptFields {
  const { alice, bob, published } = world();
  const set = parseSignedSet(published(0).signedSet);
  return {
    profile,
    verMin: 1,
    verMax: 1,
    initiator: party(alice),
    responder: party(bob),
    setHash: sha512(set.tbs),
    setId: set.setId,
    signedPrekey: set.signedPrekey,
    kemPrekey: unit === undefined ? set.lastResortKemPrekey : mlKem1024.publicKey(unit.kemSeed),
    oneTime: unit && oneTimeOf(unit),
    ephemeralKey,
    kemCiphertext,
  };
}

/** What alice makes of bob's bundle with the unit of a place in his batch, or none. */
export function begin(unit: number | undefined, profile: Profile, draws: Rng): Initiation {
  const { alice, bob, published } = world();
  const { head, entry, ...rest } = published(unit ?? 0);
  const oneTime = unit === undefined ? undefined : { head, entry };
  return initiate(alice, verifyBundle({ address: bob, ...rest, oneTime }, undefined, NOW), profile, draws, NOW);
}

/** What an initiator says in an Init and signs in its transcript, where it is not what `honest` says. */
export interface Said {
  readonly init: Partial<InitFields>;
  readonly transcript: Partial<TranscriptFields>;
  readonly from: DeviceSecrets;
}

/** A maker of Inits that differ from an honest one with the first unit, each signed by whoever says it. */
export function crafting(honest: Uint8Array, seed: string): (said: Partial<Said>) => Uint8Array {
  const { alice, prekeys } = world();
  const unit = prekeys.batches[0]!.units[0]!;
  const fields: InitFields = parseInit(honest);
  let count = 0;
  return ({ init = {}, transcript = {}, from = alice }) => {
    const said = { ...fields, ...init };
    const T = encodeTranscript({ ...transcriptOf(unit, said.ephemeralKey, said.kemCiphertext), ...transcript });
    const signature = compositeSign(from.deviceKey.secretKey, T, 'hs/sig', seededRng(`${seed}, crafted ${count++}`));
    return concat(encodeInit({ ...said, signature }), REST);
  };
}
