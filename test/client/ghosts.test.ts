/** Which of the devices that a directory shows are none, and how often that is said. */

import { expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import type { Context } from '../../src/client/context.js';
import { ghosts } from '../../src/client/ghosts.js';
import { type DeviceSecrets, entryOf, generateDevice, generateDeviceKeys, relist } from '../../src/identity/index.js';
import type { BundleBytes } from '../../src/step.js';
import { encodeIdentity, parseDeviceList } from '../../src/wire/objects.js';
import { testRng } from '../helpers/rng.js';

const NOW = 1_767_225_600_000;
const alice = generateDevice('alice', testRng('alice'), NOW);
const eve = generateDevice('eve', testRng('eve'), NOW);
const identity = alice.accountKey.publicKey;
const listed = parseDeviceList(alice.deviceList).entries;

/** A device as a directory shows it, by what stands in its identity part. */
function shown(
  { deviceList }: Pick<DeviceSecrets, 'deviceList'>,
  { deviceKey }: Pick<DeviceSecrets, 'deviceKey'>,
  device: number,
): BundleBytes {
  const bytes = encodeIdentity({ accountKey: identity, deviceList, deviceKey: deviceKey.publicKey });
  return { address: { account: 'alice', device }, identity: bytes, signedSet: new Uint8Array() };
}
const own = shown(alice, alice, alice.device);

/** A client's memory, and what it says of one answer after another. */
function run() {
  const said: (readonly number[])[] = [];
  const refuse = ghosts({ events: { emit: ({ refused }: { refused: number[] }) => said.push(refused) } } as unknown as Context);
  return { said, show: (...bundles: BundleBytes[]) => refuse('alice', bundles, identity, listed) };
}

test('T30: a device is known by number and key: either alone makes none, and each is told once in a run', () => {
  const elsewhere = shown(alice, alice, 77);
  const instead = shown(alice, eve, alice.device);
  const other = shown(alice, generateDevice('mallory', testRng('mallory'), NOW), alice.device);
  const { said, show } = run();
  show(own);
  expect(said).toEqual([]);
  show(own, elsewhere);
  show(own, elsewhere, instead);
  show(instead, own);
  show(elsewhere);
  expect(said).toEqual([[77], [alice.device]]);
  show(other, instead);
  expect(said.slice(2)).toEqual([[alice.device]]);
  // Two under one number are one number, and another run knows nothing of this one.
  const again = run();
  again.show(own, instead, other);
  expect(again.said).toEqual([[alice.device]]);
});

test('a device that its account has replaced is none of the directory’s making, under whatever number; what is no identity is', () => {
  const before = generateDeviceKeys(testRng('before'), []);
  for (const device of [78, alice.device]) {
    const earlier = relist(alice, [entryOf({ ...before, device })], NOW, testRng('list'));
    const { said, show } = run();
    show(own, shown(earlier, before, device));
    expect(said).toEqual([]);
    // Its list says nothing for another key.
    show(own, shown(earlier, eve, device));
    expect(said).toEqual([[device]]);
  }
  for (const bytes of [new Uint8Array(), concat(own.identity, new Uint8Array(1))]) {
    const { said, show } = run();
    show({ ...own, identity: bytes });
    expect(said).toEqual([[alice.device]]);
  }
});
