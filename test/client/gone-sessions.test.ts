/** First flights whose session was accepted here, and is no more. */

import { beforeEach, expect, test, vi } from 'vitest';
import { TransportError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import type { BundleBytes } from '../../src/step.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, claimedCount: 2 } };
});

const HOUR = 3_600_000;
const clock: Clock = { ms: START };
let network: HostileNetwork;
let bob: Person;
let bundle: BundleBytes;
/** Accounts of which the directory says nothing. */
let unsaid: Set<string>;
beforeEach(async () => {
  clock.ms = START;
  network = hostileNetwork();
  unsaid = new Set();
  network.answer = (account, honest) => {
    if (unsaid.has(account)) throw new TransportError('ERR_OFFLINE', 'down');
    return honest;
  };
  bob = await person('bob', network, clock);
  [bundle] = (await network.bundles('bob')) as [BundleBytes];
});
const gone = () => bob.events.filter((event) => event.type === 'undecryptable' && event.code === 'ERR_KEY_GONE');
/** So many strangers that what came before them from senders whom nobody has confirmed is dropped. */
const crowd = async (): Promise<void> => {
  for (let i = 0; i < sessionLimits.claimedCount; i++) {
    const stranger = evilPeer(`stranger ${i}`, `stranger ${i}`, START);
    unsaid.add(`stranger ${i}`);
    expect(await network.inject(bob.address, stranger.flight(bundle, stranger.text('x')))).toBe(true);
  }
};

test('what a contact goes on to write on a session that was dropped before it was one is reported; once written to, all of it comes', async () => {
  const alice = await person('alice', network, clock);
  unsaid.add('alice');
  await (await alice.client.send('bob', 'one')).until('accepted');
  await network.settled();
  await crowd();
  // A stranger’s is not reported.
  await (await alice.client.send('bob', 'two')).until('accepted');
  await network.settled();
  expect(gone()).toEqual([]);

  unsaid.delete('alice');
  await bob.client.contact('alice').identity();
  for (const text of ['three', 'four']) await (await alice.client.send('bob', text)).until('accepted');
  await network.settled();
  expect([gone(), network.unackedCount(bob.address)]).toMatchObject([[{ from: 'alice', heals: 'needs-person' }], 0]);
  expect((await bob.client.diagnose((gone()[0] as { reference: string }).reference)).advice).toContain('write there');

  for (const text of ['1', '2']) {
    clock.ms += HOUR + 1;
    await bob.client.send('alice', text);
    expect((await alice.read()).text).toBe(text);
  }
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await bob.read()).text);
  expect(got.sort()).toEqual(['four', 'one', 'three', 'two']);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a flight that the relay repeats after other sessions have taken the place of its own is not', async () => {
  const eve = evilPeer('eve', 'eve', START);
  const { answer } = network;
  network.answer = (account, honest) => (account === 'eve' ? [eve.published()] : answer(account, honest));
  await bob.client.contact('eve').identity();
  const first = eve.flight(bundle, eve.text('0'));
  await network.inject(bob.address, first);
  const second = eve.next(eve.text('1'));
  await network.inject(bob.address, second);
  for (let i = 0; i < sessionLimits.archivedCount + 1; i++) {
    clock.ms += 2_000;
    await network.inject(bob.address, eve.flight(bundle, eve.text('again')));
  }
  expect(bob.observations.filter((record) => record.kind === 'log' && record.event === 'envelope-dropped')).toEqual([]);
  expect(await bob.store.list(['session'], 100)).toHaveLength(sessionLimits.archivedCount + 1);
  expect(await network.inject(bob.address, first)).toBe(true);
  expect(bob.observations.filter((record) => record.kind === 'log' && record.event === 'envelope-dropped')).toMatchObject([
    { code: 'ERR_DUPLICATE' },
  ]);
  expect(bob.events.filter((event) => event.type === 'undecryptable')).toEqual([]);
  await bob.client.close();
});
