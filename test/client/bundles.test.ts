import { expect, test } from 'vitest';
import { checkBundle } from '../../src/client/bundles.js';
import { claimedLists } from '../../src/client/claimed-lists.js';
import { ghosts } from '../../src/client/ghosts.js';
import { keyHash, signDeviceList, type VerifiedDeviceList } from '../../src/identity/account.js';
import { generateDevice, identityBytes } from '../../src/identity/device.js';
import { sessionLimits } from '../../src/limits.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { parseIdentity } from '../../src/wire/objects.js';
import { flip, testRng } from '../helpers/rng.js';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 1);

/** A bundle whose list and set were signed then. */
function signed(listAtMs: number, setAtMs: number, seed = 'bundles'): BundleBytes {
  const rng = testRng(seed);
  const device = generateDevice('bob', rng, NOW);
  const entry = { device: device.device, keyHash: keyHash(device.deviceKey.publicKey), dhKey: device.dhKey.publicKey };
  const deviceList = signDeviceList(device.accountKey, 'bob', [entry], listAtMs, listAtMs, rng);
  const { signedSet } = generatePrekeys({ ...device, deviceList }, rng, setAtMs).out;
  return { address: { account: 'bob', device: device.device }, identity: identityBytes({ ...device, deviceList }), signedSet };
}

const check = (bundle: BundleBytes) =>
  checkBundle({ now: () => NOW, observer: { log() {} } as never }, bundle, 'bob', undefined, undefined);

test('T08: beside an older list or set the known one holds; another identity starts from nothing', () => {
  const [older, newer, other] = [signed(NOW - DAY, NOW), signed(NOW, NOW), signed(NOW - DAY, NOW, 'another bob')];
  const { accountKey: identity, deviceList: list } = parseIdentity(newer.identity);
  const set = { setHash: new Uint8Array(), setId: new Uint8Array(), sealKey: new Uint8Array(), verFloor: 1 };
  const version = (bundle: BundleBytes, setSeq: number): number | undefined => {
    const port = { now: () => NOW, observer: { log() {} } as never };
    const checked = checkBundle(port, bundle, 'bob', { identity, list }, { ...set, setSeq });
    return 'bundle' in checked ? checked.bundle.list.version : undefined;
  };
  expect(version(older, NOW - 1)).toBe(NOW);
  expect(version(newer, NOW + 1)).toBeUndefined();
  expect(version(other, NOW + 1)).toBe(NOW - DAY);
});

test('of lists of identities that nobody has confirmed the newest is remembered, of the last 64', () => {
  const lists = claimedLists();
  const list = (version: number, of = 0) => ({ version, accountKeyHash: new Uint8Array(64).fill(of) }) as VerifiedDeviceList;
  for (const version of [1, 3, 2]) lists.remember('bob', list(version));
  expect(lists.of('bob', new Uint8Array(64))).toMatchObject({ version: 3 });
  for (let of = 1; of < sessionLimits.claimedCount; of++) lists.remember('bob', list(1, of));
  expect(lists.of('bob', new Uint8Array(64))).toBeDefined();
  lists.remember('carol', list(1));
  expect(lists.of('bob', new Uint8Array(64))).toBeUndefined();
});

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

test('T30: of a thousand devices that are none it is remembered that it was said; a flood of numbers is not', () => {
  const said: unknown[] = [];
  const refuse = ghosts({ events: { emit: (event: unknown) => said.push(event) } } as never);
  const shown = (device: number): BundleBytes => ({
    ...{ address: { account: 'bob', device }, identity: new Uint8Array(4_000), signedSet: new Uint8Array() },
  });
  for (let device = 1; device <= 1_001; device++) refuse('bob', [shown(device)], new Uint8Array(1_984), []);
  refuse('bob', [shown(1), shown(1_000), shown(1_001)], new Uint8Array(1_984), []);
  expect(said).toHaveLength(1_002);
  expect(said.at(-1)).toEqual({ type: 'devicesChanged', account: 'bob', added: [], removed: [], refused: [1_001] });
});
