import { concat, toHex, u32 } from '../../src/bytes.js';
import { CyphrError } from '../../src/errors.js';
import { generateDevice } from '../../src/identity/device.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { accept, initiate, openFrame, sealFrame } from '../../src/pqxdh/handshake.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes, Profile, SessionSecrets } from '../../src/step.js';
import { flip, testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;

/** One handshake, or one that must fail with `error`. Everything is hex but numbers and accounts. */
export interface HandshakeVector {
  readonly description: string;
  readonly inputs: {
    readonly unit: number | null;
    readonly profile: Profile;
    /** What the directory hands out beside the responder's identity and set. */
    readonly oneTime: { readonly head: string; readonly entry: string } | null;
    /** The frame that the responder gets: a sealed Init with a ratchet message of 5 bytes. */
    readonly frame: string;
  };
  readonly outputs:
    | {
        readonly init: string;
        readonly sessionId: string;
        readonly secrets: Readonly<Record<string, string>>;
        readonly replayable: boolean;
      }
    | { readonly error: string };
}

/** The file: how to make the inputs is in `description` and `seed`. */
export interface HandshakeVectors {
  readonly description: string;
  readonly seed: string;
  readonly nowMs: number;
  readonly initiator: { readonly account: string };
  readonly responder: { readonly account: string; readonly identity: string; readonly signedSet: string };
  readonly cases: readonly HandshakeVector[];
}

const hexSecrets = ({ transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret, signedPrekey }: SessionSecrets) => ({
  transcriptHash: toHex(transcriptHash),
  rootKey: toHex(rootKey),
  headerKeyA: toHex(headerKeyA),
  nextHeaderKeyB: toHex(nextHeaderKeyB),
  sckaSecret: toHex(sckaSecret),
  signedPrekey: toHex(signedPrekey.publicKey),
});

/** Computes all vectors anew; the same bytes every time. */
export function handshakeVectors(): HandshakeVectors {
  const party = (account: string) => {
    const rng = testRng(account);
    const device = generateDevice(account, rng, NOW);
    const { next, out } = generatePrekeys(device, rng, NOW);
    return { device, prekeys: next, keys: out };
  };
  const alice = party('vector/alice');
  const bob = party('vector/bob');

  const make = (
    description: string,
    unit: number | null,
    profile: Profile,
    damage?: (frame: Uint8Array) => Uint8Array,
  ): HandshakeVector => {
    const { address, identity, signedSet, batch } = bob.keys;
    const oneTime = unit === null ? undefined : { head: batch!.head, entry: batch!.entries[unit]! };
    const bundle: BundleBytes = { address, identity, signedSet, oneTime };
    const rng = testRng(`vector/${description}`);
    const started = initiate(alice.device, verifyBundle(bundle, undefined, NOW), profile, rng, NOW);
    const init = concat(started.prefix, new Uint8Array([0x20, 1, 0, 1, 42]));
    const sealed = sealFrame(address, started.setId, started.sealKey, init, rng);
    const frame = damage === undefined ? sealed : damage(sealed);
    const inputs = {
      unit,
      profile,
      oneTime: oneTime === undefined ? null : { head: toHex(oneTime.head), entry: toHex(oneTime.entry) },
      frame: toHex(frame),
    };
    try {
      const { out } = accept(bob.prekeys, bob.device, openFrame(bob.prekeys, address, frame), NOW);
      const secrets = hexSecrets(out.secrets);
      const { secrets: own, sessionId } = started;
      if (JSON.stringify(hexSecrets(own)) !== JSON.stringify(secrets)) throw new Error('the two sides disagree');
      return { description, inputs, outputs: { init: toHex(init), sessionId: toHex(sessionId), secrets, replayable: out.replayable } };
    } catch (error) {
      if (!(error instanceof CyphrError)) throw error;
      return { description, inputs, outputs: { error: error.code } };
    }
  };
  /** The sealed frame of an Init in which one byte at `offset` differs. */
  const resealed = (offset: number) => (frame: Uint8Array) => {
    const inner = openFrame(bob.prekeys, bob.keys.address, frame);
    const set = bob.prekeys.sets[0]!;
    const bundle = verifyBundle({ ...bob.keys, oneTime: undefined }, undefined, NOW);
    return sealFrame(bob.keys.address, set.setId, bundle.signedSet.sealKey, flip(inner, offset), testRng(`reseal ${offset}`));
  };
  // Offsets in an Init of `vector/alice`, whose accountId takes 2 + 12 bytes: setId 26, otId 34, EKA 42, ciphertext 74.
  const cases = [
    make('one-time unit 0, profile 1', 0, 1),
    make('one-time unit 99, profile 2', 99, 2),
    make('last resort, profile 3', null, 3),
    make('a byte of the seal changed', 1, 1, (frame) => flip(frame)),
    make('unknown set', 1, 1, (frame) => flip(frame, 4)),
    make('unknown unit', 1, 1, resealed(34)),
    make('another ephemeral key', 1, 1, resealed(42)),
    make('tampered KEM ciphertext', 1, 1, resealed(74)),
    make('mode 3', 1, 1, resealed(4)),
    make('a byte of the signature changed', 1, 1, (frame) => {
      const inner = openFrame(bob.prekeys, bob.keys.address, frame);
      return resealed(inner.length - 6)(frame);
    }),
    make('a trailing byte behind the seal', 1, 1, (frame) => concat(frame, u32(0).subarray(3))),
  ];
  return {
    description:
      'PQXDH of protocol version 1, suite 0x0001. Randomness of a party or case: SHA-256(UTF-8(seed ‖ "/" ‖ decimal counter)), counter from 0, concatenated and consumed in order, nothing discarded. ' +
      'A party: AIK seeds 64, DIK seeds 64, IKx 32, incarnation 16, device id 1 + (u64 mod (2^31-1)) from 8, list signature 32; set: SPK 32, PQLR seed 64, SEAL seed 32, setId 8, signature 32; ' +
      'batch: batchId 8, then 100 times otId 8, OPK 32, PQOPK seed 64, then signature 32. A case: EKA 32, encapsulation 32, signature 32, seal 64.',
    seed: 'the account for a party, vector/<description> for a case',
    nowMs: NOW,
    initiator: { account: 'vector/alice' },
    responder: { account: 'vector/bob', identity: toHex(bob.keys.identity), signedSet: toHex(bob.keys.signedSet) },
    cases,
  };
}
