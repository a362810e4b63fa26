import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { type DeviceSecrets, generateDevice, identityBytes } from '../../src/identity/device.js';
import { proveLogin, readOwnLogin } from '../../src/identity/login.js';
import type { Address, DeviceKeys } from '../../src/step.js';
import type { Login } from '../../src/transport/port.js';
import { testRng } from './rng.js';

/** A device with real keys whose store is a number, for talking to a relay without a client. */
export interface RelayDevice {
  readonly secrets: DeviceSecrets;
  readonly login: Login;
  /** What `prove` was given, in order. */
  readonly challenges: { readonly audience: string; readonly nonce: Uint8Array; readonly lastProof?: Uint8Array | undefined }[];
  /** The list that `keys` shows; at first one in which the device stands alone. */
  deviceList: Uint8Array;
  /** Signed identity, and prekeys that only look like some. */
  keys(entryCount?: number, batchId?: string): DeviceKeys;
  /** Set it back to see what a restored store sees. */
  generation: number;
}

/** A list of these devices, which `owner`'s account key signs; `version` is what makes it newer. */
export function listOf({ secrets }: RelayDevice, devices: readonly RelayDevice[], version: number): Uint8Array {
  const entries = devices
    .map(({ secrets: { device, deviceKey, dhKey } }) => ({ device, keyHash: keyHash(deviceKey.publicKey), dhKey: dhKey.publicKey }))
    .sort((a, b) => a.device - b.device);
  return signDeviceList(secrets.accountKey, secrets.account, entries, version, Date.now(), testRng(`list ${version}`));
}

/** Makes the device; `deviceId` undefined draws one. It belongs to the account of `primary`, or has one of its own. */
export function relayDevice(account: string, seed: string, deviceId?: number, primary?: RelayDevice): RelayDevice {
  const rng = testRng(seed);
  const nowMs = Date.now();
  const own = generateDevice(account, rng, nowMs);
  const drawn = primary === undefined ? own : { ...own, accountKey: primary.secrets.accountKey };
  const device = deviceId ?? drawn.device;
  const entry = { device, keyHash: keyHash(drawn.deviceKey.publicKey), dhKey: drawn.dhKey.publicKey };
  const secrets = { ...drawn, device, deviceList: signDeviceList(drawn.accountKey, account, [entry], nowMs, nowMs, rng) };
  const address: Address = { account, device };
  const storeId = rng(16);
  const made: RelayDevice = {
    secrets,
    challenges: [],
    generation: 1,
    deviceList: secrets.deviceList,
    login: {
      address,
      async prove(challenge) {
        made.challenges.push(challenge);
        const last = challenge.lastProof && readOwnLogin(secrets, challenge.lastProof);
        if (last !== undefined && last.generation > made.generation) throw new Error('rollback');
        return new Uint8Array(proveLogin(secrets, { ...challenge, storeId, generation: made.generation }, rng));
      },
    },
    keys: (entryCount = 0, batchId = 'batch-1') => ({
      address,
      identity: identityBytes({ ...secrets, deviceList: made.deviceList }),
      signedSet: rng(2_000),
      ...(entryCount > 0 && {
        batch: { id: batchId, head: rng(40), entries: Array.from({ length: entryCount }, (_, i) => new Uint8Array([i, ...rng(50)])) },
      }),
    }),
  };
  return made;
}
