import { concat } from '../../src/bytes.js';
import { type DeviceSecrets, generateDevice } from '../../src/identity/device.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate } from '../../src/pqxdh/handshake.js';
import { generatePrekeys, type PrekeyState } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes, DeviceKeys, Profile, Rng } from '../../src/step.js';
import { testRng } from '../helpers/rng.js';

/** 2026-01-01, in milliseconds. */
export const NOW = 1_767_225_600_000;
export const DAY = 86_400_000;

/** One device with its prekeys, made from the seed alone. */
export interface Party {
  readonly device: DeviceSecrets;
  readonly prekeys: PrekeyState;
  readonly keys: DeviceKeys;
  readonly rng: Rng;
}

export function makeParty(account: string, nowMs = NOW): Party {
  const rng = testRng(account);
  const device = generateDevice(account, rng, nowMs);
  const { next, out } = generatePrekeys(device, rng, nowMs);
  return { device, prekeys: next, keys: out, rng };
}

/** What a directory hands out for the party: with unit `index`, or without any. */
export function bundleOf({ keys }: Party, index?: number): BundleBytes {
  const { address, identity, signedSet, batch } = keys;
  return { address, identity, signedSet, ...(index !== undefined && { oneTime: { head: batch!.head, entry: batch!.entries[index]! } }) };
}

/** The ratchet message that stands behind every Init in these tests. */
export const RATCHET_MESSAGE = new Uint8Array([0x20, 1, 0, 1, 42]);

/** A verified bundle, a handshake on it and the whole Init frame. */
export function handshake(from: Party, to: Party, index?: number, profile: Profile = 1, seed = 'handshake') {
  const bundle = verifyBundle(bundleOf(to, index), undefined, NOW);
  const initiation = initiate(from.device, bundle, profile, testRng(seed), NOW);
  return { bundle, ...initiation, init: concat(initiation.prefix, RATCHET_MESSAGE) };
}
