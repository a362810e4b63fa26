import { expect, test } from 'vitest';
import { checkBundle } from '../../src/client/bundles.js';
import { keyHash, signDeviceList } from '../../src/identity/account.js';
import { generateDevice, identityBytes } from '../../src/identity/device.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { flip, testRng } from '../helpers/rng.js';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 1);

/** A bundle whose list and set were signed then. */
function signed(listAtMs: number, setAtMs: number): BundleBytes {
  const rng = testRng('bundles');
  const device = generateDevice('bob', rng, NOW);
  const entry = { device: device.device, keyHash: keyHash(device.deviceKey.publicKey), dhKey: device.dhKey.publicKey };
  const deviceList = signDeviceList(device.accountKey, 'bob', [entry], listAtMs, listAtMs, rng);
  const { signedSet } = generatePrekeys({ ...device, deviceList }, rng, setAtMs).out;
  return { address: { account: 'bob', device: device.device }, identity: identityBytes({ ...device, deviceList }), signedSet };
}

const check = (bundle: BundleBytes) =>
  checkBundle({ now: () => NOW, observer: { log() {} } as never }, bundle, 'bob', undefined, undefined);

test.each([
  ['a set past its date', NOW - DAY, NOW - 400 * DAY],
  ['a list that a clock years behind has signed', NOW - 3_652 * DAY, NOW - DAY],
  ['both', NOW - 3_652 * DAY, NOW - 3_651 * DAY],
])('%s: not sound, and past its date alone', (_, listAtMs, setAtMs) => {
  expect(check(signed(listAtMs, setAtMs))).toMatchObject({ past: { address: { account: 'bob' } } });
});

test('what is damaged as well is past nothing', () => {
  const bundle = signed(NOW - 3_652 * DAY, NOW - DAY);
  expect(check({ ...bundle, signedSet: flip(bundle.signedSet) })).toMatchObject({ past: undefined });
  expect(check(signed(NOW, NOW))).toHaveProperty('bundle');
});
