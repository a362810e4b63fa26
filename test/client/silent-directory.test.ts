/** First flights under identities that are not the pin, while the directory takes its time: nothing else waits for it. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TransportError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import type { BundleBytes } from '../../src/step.js';
import { type EvilPeer, evilPeer } from '../helpers/evil-peer.js';
import { type GlassStore, glassStore, type Person } from '../helpers/people.js';
import { type Stepped, stepped } from '../helpers/stepped.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, unknownFlightsPerMinute: 8 } };
});

const MINUTE = 60_000;
const DAY = 86_400_000;
let world: Stepped;
let time: Stepped['time'];
let network: Stepped['network'];
let alice: Person;
let bundle: BundleBytes;
/** Whose keys the directory shows for eve, and what an answer about her waits for. */
let shown: EvilPeer;
let held: Promise<void> | undefined;
let release = (): void => {};

const timed = <T>(work: Promise<T>, ms?: number): Promise<T> => world.timed(work, ms);
const inject = (bytes: Uint8Array): Promise<boolean> => world.inject(alice, bytes);
const said = async (who: Person): Promise<string[]> => (await timed(who.readAll())).map(({ text }) => text);
const fetches = (): number => network.fetches.filter((account) => account === 'eve').length;
const silence = (): void => {
  held = new Promise((resolve) => {
    release = () => {
      held = undefined;
      resolve();
    };
  });
};
const forged = (i: number): Uint8Array => {
  const stranger = evilPeer('eve', `stranger ${i}`, time.now());
  return stranger.flight(bundle, stranger.text('no'));
};
/** Alice, who knows eve and nobody else. */
const begin = async (options: Parameters<Stepped['open']>[1] = {}): Promise<void> => {
  alice = await world.open('alice', options);
  [bundle] = (await network.bundles('alice')) as [BundleBytes];
  await timed(alice.client.contact('eve').identity());
  await time.pass(10 * MINUTE);
};

beforeEach(() => {
  world = stepped();
  ({ time, network } = world);
  shown = evilPeer('eve', 'first', time.now());
  held = undefined;
  network.answer = async (account, honest) => {
    if (account !== 'eve') return honest;
    // What the directory reads when it is asked, whenever its answer comes.
    const answer = [shown.published()];
    await held;
    return answer;
  };
});
afterEach(async () => {
  release();
  await timed(alice.client.close());
  time.end();
});

test('while the directory is asked about a forged first message of a contact, others are heard', async () => {
  await begin();
  const carol = await world.open('carol');
  silence();
  expect(await inject(forged(0))).toBe(false);
  await timed(carol.client.send('alice', 'can you hear me?'));
  await time.pass(MINUTE);
  expect([alice.client.status, network.unackedCount(alice.address)]).toMatchObject([{ unackedCount: 1 }, 1]);
  release();
  expect(await said(alice)).toEqual(['can you hear me?']);
  expect(network.unackedCount(alice.address)).toBe(0);
  await timed(carol.client.close());
});

test('a flood of them has one question under way, and pays each token once', async () => {
  await begin();
  const carol = await world.open('carol', { metadata: 'sealed' });
  silence();
  const before = fetches();
  for (let i = 0; i < 2 * sessionLimits.unknownFlightsPerMinute; i++) {
    expect(await inject(forged(i))).toBe(false);
    await time.pass(MINUTE / sessionLimits.unknownFlightsPerMinute);
  }
  await time.pass(MINUTE / sessionLimits.unknownFlightsPerMinute);
  expect([fetches() - before, network.unackedCount(alice.address)]).toEqual([1, 2 * sessionLimits.unknownFlightsPerMinute]);
  // The tokens that are left are for others.
  for (let i = 0; i < sessionLimits.unknownFlightsPerMinute - 2; i++) await inject(forged(100 + i));
  release();
  await time.settle();
  expect([fetches() - before, network.unackedCount(alice.address)]).toEqual([2, 0]);
  await timed(carol.client.send('alice', 'first'), 0);
  expect((await alice.read()).text).toBe('first');
  await timed(carol.client.close());
});

test('what the true new identity says waits for a person, in its order, and is not acknowledged', async () => {
  await begin();
  silence();
  shown = evilPeer('eve', 'anew', time.now());
  expect(await inject(shown.flight(bundle, shown.text('1')))).toBe(false);
  expect(await inject(shown.flight(bundle, shown.text('2')))).toBe(false);
  release();
  await time.pass(MINUTE);
  expect(network.unackedCount(alice.address)).toBe(2);
  await timed((await timed(alice.client.contact('eve').safetyNumber())).accept());
  await time.pass(MINUTE);
  expect(await said(alice)).toEqual(['1', '2']);
  expect(network.unackedCount(alice.address)).toBe(0);
});

test('where a changed identity is only told, what comes as it is pinned does not overtake what came before', async () => {
  // The pin is made by one commit, and what waits is looked at after it: what comes meanwhile comes in between.
  let atPin: (() => void) | undefined;
  const inBetween = new Promise<void>((resolve) => (atPin = resolve));
  await begin({ trust: 'warn' });
  silence();
  shown = evilPeer('eve', 'anew', time.now());
  expect(await inject(shown.flight(bundle, shown.text('1')))).toBe(false);
  expect(await inject(shown.flight(bundle, shown.text('2')))).toBe(false);
  const third = shown.flight(bundle, shown.text('3'));
  alice.client.on('identityChanged', () => {
    void network.inject(alice.address, third);
    atPin!();
  });
  release();
  await timed(inBetween);
  await time.pass(MINUTE);
  expect(await said(alice)).toEqual(['1', '2', '3']);
  expect(network.unackedCount(alice.address)).toBe(0);
});

test('a reader who ends when all is drained waits for what is asked, and for what waited for it', async () => {
  // A store that takes its time over what came.
  const store = glassStore();
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const slow: GlassStore = {
    ...store,
    async commit(writes) {
      if (writes.some(({ key }) => key[0] === 'inbox')) await opened;
      await store.commit(writes);
    },
  };
  await begin({ trust: 'warn', store: slow });
  silence();
  shown = evilPeer('eve', 'anew', time.now());
  await inject(shown.flight(bundle, shown.text('1')));
  const texts: string[] = [];
  let hasEnded = false;
  const reading = (async () => {
    for await (const { text } of alice.client.messages({ end: 'when-drained' })) texts.push(text);
    hasEnded = true;
  })();
  await time.pass(MINUTE);
  expect([texts, hasEnded]).toEqual([[], false]);
  release();
  await time.pass(MINUTE);
  expect([texts, hasEnded]).toEqual([[], false]);
  open();
  await timed(reading);
  expect(texts).toEqual(['1']);
  // The same where the answer is that it is nobody's.
  silence();
  await inject(forged(0));
  const more = alice.client.messages({ end: 'when-drained' })[Symbol.asyncIterator]();
  const last = more.next();
  await time.pass(MINUTE);
  release();
  expect((await timed(last)).value.text).toBe('1');
  expect((await timed(more.next())).done).toBe(true);
});

test('a directory that fails keeps no reader, and what waits for it stays with the carrier until it answers', async () => {
  await begin();
  silence();
  const { answer } = network;
  let isDown = true;
  network.answer = async (account, honest) => {
    const answered = await answer(account, honest);
    if (account === 'eve' && isDown) throw new TransportError('ERR_OFFLINE', 'down');
    return answered;
  };
  await inject(forged(0));
  const reading = alice.readAll();
  release();
  expect(await timed(reading)).toEqual([]);
  expect(network.unackedCount(alice.address)).toBe(1);
  isDown = false;
  const before = fetches();
  network.cut(alice.address);
  await time.pass(MINUTE);
  expect([network.unackedCount(alice.address), fetches() > before]).toEqual([0, true]);
});

test('a client that closes while the directory is asked has lost nothing', async () => {
  await begin();
  silence();
  shown = evilPeer('eve', 'anew', time.now());
  await inject(shown.flight(bundle, shown.text('it is me')));
  await inject(forged(0));
  await timed(alice.client.close());
  expect(network.unackedCount(alice.address)).toBe(2);
  alice = await world.open('alice', { store: alice.store, seed: 'again' });
  await time.pass(MINUTE);
  expect(network.unackedCount(alice.address)).toBe(2);
  release();
  await time.pass(MINUTE);
  expect(network.unackedCount(alice.address)).toBe(1);
  await timed((await timed(alice.client.contact('eve').safetyNumber())).accept());
  await time.pass(MINUTE);
  expect(await said(alice)).toEqual(['it is me']);
});

/** The directory can't be reached from now on, as far as eve goes. */
function isDown(): void {
  const { answer } = network;
  network.answer = async (account, honest) => {
    if (account === 'eve') throw new TransportError('ERR_OFFLINE', 'down');
    return answer(account, honest);
  };
}

test('what waited for a person is not put behind what came later, once she has accepted', async () => {
  await begin();
  shown = evilPeer('eve', 'anew', time.now());
  const first = shown.flight(bundle, shown.text('1'));
  const second = shown.flight(bundle, shown.text('2'));
  expect(await inject(first)).toBe(false);
  await time.pass(MINUTE);
  await time.pass(DAY + 15 * MINUTE);
  isDown();
  expect(await inject(second)).toBe(false);
  await time.pass(MINUTE);
  const number = await timed(alice.client.contact('eve').safetyNumber());
  await timed(number.accept());
  await time.pass(3 * 60 * MINUTE);
  expect(await said(alice)).toEqual(['1', '2']);
});

test('what comes while what waited is tried again after a decision is shown, too', async () => {
  const store = glassStore();
  let gate: Promise<void> | undefined;
  let open = (): void => {};
  const slow: GlassStore = {
    ...store,
    async commit(writes) {
      if (gate !== undefined && writes.some(({ key }) => key[0] === 'inbox')) await gate;
      await store.commit(writes);
    },
  };
  await begin({ store: slow });
  shown = evilPeer('eve', 'anew', time.now());
  const [f1, f2, f3] = ['1', '2', '3'].map((text) => shown.flight(bundle, shown.text(text))) as [Uint8Array, Uint8Array, Uint8Array];
  expect(await inject(f1)).toBe(false);
  await time.pass(MINUTE);
  await time.pass(DAY + 15 * MINUTE);
  isDown();
  expect(await inject(f2)).toBe(false);
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const number = await timed(alice.client.contact('eve').safetyNumber());
  await timed(number.accept());
  await time.settle();
  void network.inject(alice.address, f3);
  await time.settle();
  gate = undefined;
  open();
  await time.pass(3 * 60 * MINUTE);
  expect((await said(alice)).sort()).toEqual(['1', '2', '3']);
});
