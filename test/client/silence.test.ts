import { beforeEach, expect, test, vi } from 'vitest';
import { decodeDevice } from '../../src/identity/device.js';
import { sessionLimits } from '../../src/limits.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { sessionsWith } from '../helpers/broken-session.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const counters = vi.hoisted(() => ({ max: 0x8000_0000 }));
vi.mock('../../src/limits.js', async (original) => {
  const limits = (await original()) as { wireLimits: object };
  return {
    ...limits,
    wireLimits: {
      ...limits.wireLimits,
      get counterMax() {
        return counters.max;
      },
    },
  };
});

const DAY = 86_400_000;
const clock: Clock = { ms: START };
let network: HostileNetwork;
let alice: Person;
let bob: Person;
beforeEach(async () => {
  clock.ms = START;
  counters.max = 0x8000_0000;
  network = hostileNetwork();
  alice = await person('alice', network, clock);
  bob = await person('bob', network, clock);
  await alice.client.send('bob', 'a');
  await bob.read();
  await bob.client.send('alice', 'b');
  await alice.read();
  await network.settled();
  return async () => {
    await Promise.all([alice.client.close(), bob.client.close()]);
  };
});

/** The directory shows keys that bob's device made at `nowMs` with another incarnation: it has lost its state. */
function lose(nowMs: number): void {
  const row = bob.store.rows().get('["device"]')!;
  const device = { ...decodeDevice(row), incarnation: new Uint8Array(16).fill(7) };
  const { address, identity, signedSet } = generatePrekeys(device, testRng('lost'), nowMs).out;
  const bundle: BundleBytes = { address, identity, signedSet };
  network.answer = (account, honest) => (account === 'bob' ? [bundle] : honest);
}
const fetches = (): number => network.fetches.filter((account) => account === 'bob').length;
const started = () => sessionsWith(alice.store, 'bob').filter(({ initiatedByUs }) => initiatedByUs);
const send = async (text: string): Promise<void> => (await alice.client.send('bob', text)).until('accepted');
/** Resolves once alice has asked the directory once more. */
const asked = async (from: number): Promise<unknown> =>
  alice.observed((record) => record.kind === 'span' && record.name === 'directory.fetch', from);

test('a week without an answer: the directory is asked, once in ten minutes, and nothing else is done while the keys are the same', async () => {
  await send('1');
  clock.ms += sessionLimits.silenceMs;
  const before = fetches();
  await send('2');
  expect(fetches()).toBe(before);
  clock.ms += 1;
  const from = alice.observations.length;
  for (let i = 0; i < 5; i++) await send(`${i}`);
  await asked(from);
  expect(fetches()).toBe(before + 1);
  expect(started()).toHaveLength(1);
  // An answer ends it.
  for (let i = 0; i < 7; i++) await bob.read();
  await bob.client.send('alice', 'here I am');
  await alice.read();
  clock.ms += DAY;
  await send('3');
  expect(fetches()).toBe(before + 1);
});

test('a week without an answer, and the device has lost its state: a new session starts by itself, with its new keys', async () => {
  await send('1');
  clock.ms += 8 * DAY;
  lose(clock.ms);
  const from = alice.observations.length;
  await send('2');
  const sent = (): number =>
    alice.observations.slice(from).filter((record) => record.kind === 'span' && record.name === 'transport.send').length;
  await alice.observed(() => sent() === 2, from);
  expect(started().map(({ status, dead }) => ({ status, dead }))).toEqual([
    { status: 'active', dead: false },
    { status: 'archived', dead: true },
  ]);
});

test('keys of another incarnation that are older than the session say nothing: a directory can’t undo a session with them', async () => {
  await send('1');
  clock.ms += 8 * DAY;
  lose(START - DAY);
  const from = alice.observations.length;
  await send('2');
  await asked(from);
  expect(started()).toHaveLength(1);
  expect(sessionsWith(alice.store, 'bob').some(({ dead }) => dead)).toBe(false);
});

test('counters that are used up: the next message goes out on a new session, and the old one is never promoted again', async () => {
  counters.max = 4;
  clock.ms += 3_600_000;
  for (let i = 0; i < 4; i++) {
    await send(`${i}`);
    expect((await bob.read()).text).toBe(`${i}`);
  }
  expect(started().map(({ status, dead }) => ({ status, dead }))).toEqual([
    { status: 'active', dead: false },
    { status: 'archived', dead: true },
  ]);
});
