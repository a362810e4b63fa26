/** The sessions that may be started in one hour: no account uses them up for the others, and a restart forgets none. */

import { beforeEach, expect, test, vi } from 'vitest';
import { encodeHello } from '../../src/client/content.js';
import { signDeviceList } from '../../src/identity/account.js';
import { entryOf, generateDevice } from '../../src/identity/device.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { sessionsWith } from '../helpers/broken-session.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, newPerHour: 6 } };
});

const HOUR = 3_600_000;
const clock: Clock = { ms: START };
let network: HostileNetwork;
let alice: Person;
let others: Person[];

/** Keys of an account with `count` devices, which nobody reads. */
function manyDevices(account: string, count: number): BundleBytes[] {
  const primary = generateDevice(account, testRng(account), START);
  const devices = Array.from({ length: count }, (_, i) => ({
    ...generateDevice(account, testRng(`${account} ${i}`), START),
    device: i + 1,
  }));
  const deviceList = signDeviceList(primary.accountKey, account, devices.map(entryOf), START, START, testRng('list'));
  return devices.map((device) => {
    const own = { ...device, accountKey: primary.accountKey, deviceList };
    const { address, identity, signedSet } = generatePrekeys(own, testRng(`keys ${device.device}`), START).out;
    return { address, identity, signedSet };
  });
}
const isSent = async (to: string, who = alice): Promise<boolean> => {
  const message = await who.client.send(to, 'hello');
  return message.until('accepted').then(
    () => true,
    () => false,
  );
};

beforeEach(async () => {
  clock.ms = START;
  network = hostileNetwork();
  network.route = (envelope) => (envelope.to.account.startsWith('mallory') ? [] : [envelope]);
  alice = await person('alice', network, clock);
  others = [];
  return async () => {
    await Promise.all([alice, ...others].map(({ client }) => client.close()));
  };
});

test('T28: a message to an account with many devices leaves sessions for others', async () => {
  const bundles = manyDevices('mallory', 6);
  network.answer = (account, honest) => (account === 'mallory' ? bundles : honest);
  others = [await person('bob', network, clock)];
  await expect((await alice.client.send('mallory', 'hi')).until('accepted')).rejects.toThrow(coded('ERR_SESSION_DEAD'));
  await vi.waitFor(() => expect(network.sent.filter(({ to }) => to.account === 'mallory')).toHaveLength(4), { timeout: 20_000 });
  expect(await isSent('bob')).toBe(true);
});

test('T28: what peers ask for starts no session out of the last third, what a person writes does', async () => {
  const peers = Array.from({ length: 6 }, (_, i) => evilPeer(`mallory ${i}`, `mallory ${i}`, START));
  network.answer = async (account, honest) => {
    const peer = peers.find((_, i) => account === `mallory ${i}`);
    return peer === undefined ? honest : [peer.published()];
  };
  others = [await person('bob', network, clock)];
  const [bundle] = await network.bundles('alice');
  for (const [i, peer] of peers.entries()) {
    clock.ms += 2_000;
    const hello = encodeHello({ incarnation: new Uint8Array(16).fill(i), replaces: [] });
    await network.inject(alice.address, peer.flight(bundle!, peer.raw(hello, 'control')));
    await alice.client.contact(`mallory ${i}`).identity();
    expect(await isSent(`mallory ${i}`)).toBe(true);
  }
  const startedFor = (i: number): number => sessionsWith(alice.store, `mallory ${i}`).filter(({ initiatedByUs }) => initiatedByUs).length;
  // Each lets its session fail: alice asks, on a new one.
  for (const [i, peer] of peers.entries()) {
    for (let n = 0; n < 3; n++) {
      const broken = peer.next(peer.text(`${n}`)).slice();
      broken[broken.length - 1]! ^= 1;
      await network.inject(alice.address, broken);
    }
    await vi.waitFor(() => expect(i < 4 ? startedFor(i) : 1).toBe(1), { timeout: 20_000 });
  }
  await network.settled();
  expect(peers.map((_, i) => startedFor(i))).toEqual([1, 1, 1, 1, 0, 0]);
  expect(await isSent('bob')).toBe(true);
  expect(await isSent('mallory 5')).toBe(true);
});

test('a restart forgets no session of the hour', async () => {
  others = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => person(name, network, clock)));
  for (const { account } of others.slice(0, 6)) expect(await isSent(account)).toBe(true);
  await alice.client.close();
  alice = await person('alice', network, clock, { store: alice.store, seed: 'again' });
  expect(await isSent('g')).toBe(false);
  await alice.client.close();
  clock.ms += HOUR;
  alice = await person('alice', network, clock, { store: alice.store, seed: 'later' });
  expect(await isSent('g')).toBe(true);
});
