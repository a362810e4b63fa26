/** This SDK at the level of sessions, as a subject to measure: `./pqxdh` and `./ratchet` of the package, and what their docs ask of a caller. */

import {
  accept,
  type BundleBytes,
  type DeviceKeys,
  type DeviceSecrets,
  generateDevice,
  generatePrekeys,
  initiate,
  type PrekeyState,
  type Rng,
  type Step,
  verifyBundle,
} from '@cyphr/e2ee/pqxdh';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '@cyphr/e2ee/ratchet';
import { concat } from '../bytes.js';
import type { Profile } from '../step.js';
import { MESSAGE_BYTES, type Side, type Subject } from './scenarios.js';

/**
 * Sessions of one chunk size (`profile`). States stay decoded between messages, as the client keeps them. Each session uses a one-time
 * prekey. The flight is not sealed to its recipient, which the client does on top.
 */
export function sessionSubject(profile: Profile, rng: Rng, nowMs: number): Subject<Uint8Array, Uint8Array> {
  const message = rng(MESSAGE_BYTES);
  const alice = generateDevice('alice', rng, nowMs);
  let bob = publish(rng, nowMs);

  return {
    meet() {
      if (bob.units.length === 0) bob = publish(rng, nowMs);
      const recipient = bob;
      const { device, published, units } = recipient;
      const bundle: BundleBytes = { ...published, oneTime: { head: published.batch!.head, entry: units.pop()! } };
      return () => {
        const { secrets, prefix } = initiate(alice, verifyBundle(bundle, undefined, nowMs), profile, rng, nowMs);
        const sent = encrypt(initiateRatchet(secrets, rng), message, rng);
        const first = concat(prefix, sent.out);
        const accepted = accept(recipient.prekeys, device, first, nowMs);
        const received = decrypt(acceptRatchet(accepted.out.secrets), accepted.out.ratchetMessage);
        recipient.prekeys = accepted.next;
        for (const { wipe } of [sent, accepted, received]) clear(wipe);
        return { initiator: sideOf(sent.next, message, rng), responder: sideOf(received.next, message, rng), first };
      };
    },
    wireBytes: (bytes) => bytes.length,
    storedBytes: (bytes) => bytes.length,
    bundleBytes: bundleBytes(bob.published),
  };
}

interface Published {
  readonly device: DeviceSecrets;
  readonly published: DeviceKeys;
  /** One-time entries that nobody has fetched. */
  readonly units: Uint8Array[];
  prekeys: PrekeyState;
}

function publish(rng: Rng, nowMs: number): Published {
  const device = generateDevice('bob', rng, nowMs);
  const { next: prekeys, out: published } = generatePrekeys(device, rng, nowMs);
  return { device, published, units: [...published.batch!.entries], prekeys };
}

function bundleBytes({ identity, signedSet, batch }: DeviceKeys): number {
  return [identity, signedSet, batch!.head, batch!.entries[0]!].reduce((sum, { length }) => sum + length, 0);
}

function sideOf(start: RatchetState, message: Uint8Array, rng: Rng): Side<Uint8Array, Uint8Array> {
  let state = start;
  const take = ({ next, out, wipe }: Step<RatchetState, Uint8Array>): Uint8Array => {
    state = next;
    clear(wipe);
    return out;
  };
  return {
    seal: () => take(encrypt(state, message, rng)),
    open: (bytes) => take(decrypt(state, bytes)),
    save: () => encodeState(state),
    load(bytes) {
      state = decodeState(bytes);
    },
  };
}

function clear(buffers: readonly Uint8Array[]): void {
  for (const buffer of buffers) buffer.fill(0);
}
