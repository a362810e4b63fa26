/** What waits for room or for a person makes a client neither connect nor look at it again and again. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { timer } from '../../src/client/platform.js';
import { sessionLimits } from '../../src/limits.js';
import type { BundleBytes } from '../../src/step.js';
import type { Directory, Login, Network, Transport } from '../../src/transport/port.js';
import { evilPeer } from '../helpers/evil-peer.js';
import type { Person } from '../helpers/people.js';
import { type Stepped, stepped } from '../helpers/stepped.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return {
    ...limits,
    sessionLimits: { ...limits.sessionLimits, claimedCount: 6, claimedMessages: 40, claimedPerAccount: 4, unknownFlightsPerMinute: 6 },
  };
});

const MINUTE = 60_000;
const KEPT = sessionLimits.claimedCount;
let opened = 0;
let slowMs = 0;
let world: Stepped;
let time: Stepped['time'];
let network: Stepped['network'];
let alice: Person;
let bob: Person;
let bundle: BundleBytes;

const timed = <T>(work: Promise<T>, ms?: number): Promise<T> => world.timed(work, ms);
const open = (...who: Parameters<Stepped['open']>): Promise<Person> => world.open(...who);
const inject = (bytes: Uint8Array): Promise<boolean> => world.inject(alice, bytes);
const texts = (): Promise<string[]> => world.texts(alice);
beforeEach(async () => {
  world = stepped();
  ({ time, network } = world);
  opened = 0;
  slowMs = 0;
  const { directory, transport } = network;
  // A directory that takes its time, and a count of the connections.
  const watched: Pick<Network, 'directory' | 'transport'> = {
    directory(login) {
      const port = (directory as (login: Login) => Directory)(login);
      return {
        ...port,
        async remaining() {
          if (slowMs > 0) await new Promise<void>((resolve) => void timer(resolve, slowMs));
          return port.remaining!();
        },
      };
    },
    transport(login) {
      const port = (transport as (login: Login) => Transport)(login);
      return {
        ...port,
        deliveries(options) {
          if (login.address.account === 'alice') opened += 1;
          if (opened > 400) throw new Error('a loop');
          return port.deliveries(options);
        },
      };
    },
  };
  Object.assign(network, watched);
  ({ alice, bob, bundle } = await world.met());
});
afterEach(async () => {
  await timed(Promise.all([alice.client.close(), bob.client.close()]));
  time.end();
});

test('T28: of a stranger whom nobody can confirm more waits than there is room for, and than is kept: one cut is one connection', async () => {
  const mallory = evilPeer('mallory', 'mallory', time.now());
  const published = mallory.published();
  const { answer } = network;
  network.answer = (asked, honest) =>
    asked === 'mallory' ? [{ ...published, signedSet: published.signedSet.slice(1) }] : answer(asked, honest);
  await inject(mallory.flight(bundle, mallory.text('0')));
  for (let i = 1; i < 4 + KEPT + 4; i++) await inject(mallory.next(mallory.text(`${i}`)));
  slowMs = 500;
  const before = opened;
  network.cut(alice.address);
  await time.pass(2 * MINUTE);
  expect(opened - before).toBeLessThan(6);
});

test('first flights under a changed identity wait for a person, and keep no new contact waiting', async () => {
  const first = evilPeer('eve', 'first', time.now());
  let shown = first;
  const { answer } = network;
  network.answer = (asked, honest) => (asked === 'eve' ? [shown.published()] : answer(asked, honest));
  await timed(alice.client.contact('eve').identity());
  shown = evilPeer('eve', 'anew', time.now());
  for (let i = 0; i < KEPT + 3; i++) {
    await time.pass(MINUTE);
    await inject(shown.flight(bundle, shown.text(`${i}`)));
  }
  const before = opened;
  network.cut(alice.address);
  await time.pass(60 * MINUTE);
  const carol = await open('carol');
  await timed(carol.client.send('alice', 'hello'));
  await time.pass(MINUTE);
  expect(await texts()).toEqual(['hello']);
  await timed(carol.client.close());
  expect(opened - before).toBeLessThan(5);
});
