import { concat, fromHex } from '../../src/bytes.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { type DeviceSecrets, generateDevice } from '../../src/identity/device.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate, sealFrame } from '../../src/pqxdh/handshake.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { startInitiator } from '../../src/ratchet/double.js';
import type { RatchetState } from '../../src/ratchet/state.js';
import { encrypt, start } from '../../src/ratchet/triple.js';
import type { BundleBytes, Rng } from '../../src/step.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';
import { testRng } from './rng.js';

/** Somebody who speaks the protocol with the library's own functions and says what they like: real keys, any account name, any plaintext. */
export interface EvilPeer {
  readonly device: DeviceSecrets;
  /** Initiates with `bundle`: prefix, ratchet message and how to seal. Later messages go on this session. */
  initiate(
    bundle: BundleBytes,
    plaintext: Uint8Array,
  ): { readonly prefix: Uint8Array; readonly ratchetMessage: Uint8Array; seal(inner: Uint8Array): Uint8Array };
  /** The same as one sealed envelope. */
  flight(bundle: BundleBytes, plaintext: Uint8Array): Uint8Array;
  /** The next message on the session, bare. */
  next(plaintext: Uint8Array): Uint8Array;
  /** The sending side of the session, for `forge`. */
  state(): RatchetState<BraidState>;
  /** A text as plaintext, under a fresh message id. */
  text(text: string): Uint8Array;
  /** What a directory would hold of this peer. */
  published(): BundleBytes;
  /** Any payload bytes as plaintext of a kind, under message id `id` of 32 hex digits. */
  raw(payload: Uint8Array, kind?: 'app' | 'control', id?: string): Uint8Array;
}

/** `deviceId` claims a number, such as that of somebody's real device. */
export function evilPeer(account: string, seed: string, nowMs: number, deviceId?: number): EvilPeer {
  const rng = testRng(seed);
  const device = numbered(generateDevice(account, rng, nowMs), deviceId, nowMs, rng);
  let state: RatchetState<BraidState> | undefined;
  const step = (plaintext: Uint8Array): Uint8Array => {
    const { next, out } = encrypt(braid, state!, plaintext, rng);
    state = next;
    return out;
  };
  const raw = (payload: Uint8Array, kind: 'app' | 'control' = 'app', id?: string): Uint8Array =>
    encodePlaintext({
      kind,
      messageId: id === undefined ? rng(16) : fromHex(id)!,
      ownListVersion: nowMs,
      peerListVersion: nowMs,
      ownListHash: rng(8),
      payload,
    });
  const self: EvilPeer = {
    device,
    initiate(bundle, plaintext) {
      const verified = verifyBundle(bundle, undefined, nowMs);
      const { secrets, prefix, setId, sealKey } = initiate(device, verified, 1, rng, nowMs);
      state = start(braid, secrets, startInitiator(secrets, rng));
      const seal = (inner: Uint8Array): Uint8Array => sealFrame(verified.address, setId, sealKey, inner, rng);
      return { prefix, ratchetMessage: step(plaintext), seal };
    },
    flight(bundle, plaintext) {
      const { prefix, ratchetMessage, seal } = self.initiate(bundle, plaintext);
      return seal(concat(prefix, ratchetMessage));
    },
    next: step,
    state: () => state!,
    text: (text) => raw(encodeMsgpack({ t: 'text', at: nowMs, text })),
    published() {
      const { address, identity, signedSet } = generatePrekeys(device, testRng(`${seed} prekeys`), nowMs).out;
      return { address, identity, signedSet };
    },
    raw,
  };
  return self;
}

function numbered(drawn: DeviceSecrets, deviceId: number | undefined, nowMs: number, rng: Rng): DeviceSecrets {
  const { account, accountKey, deviceKey, dhKey } = drawn;
  const device = deviceId ?? drawn.device;
  const entry = { device, keyHash: keyHash(deviceKey.publicKey), dhKey: dhKey.publicKey };
  return { ...drawn, device, deviceList: signDeviceList(accountKey, account, [entry], nowMs, nowMs, rng) };
}
