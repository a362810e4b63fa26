import { describe, expect, test, vi } from 'vitest';
import { TrustError, UsageError } from '../../src/errors.js';
import type { BundleBytes } from '../../src/step.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

type Peer = ReturnType<typeof evilPeer>;

/** Bob, whose first question about alice is not answered until a test says what; later ones are answered by what is shown then. */
async function asked(trust: 'warn' | 'block' = 'block') {
  const clock = { ms: START };
  const network = hostileNetwork();
  const store = glassStore();
  const bob = await person('bob', network, clock, { store, trust });
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  let answerFirst = (_bundles: BundleBytes[]): void => {};
  const first = new Promise<BundleBytes[]>((resolve) => {
    answerFirst = resolve;
  });
  const asked = vi.fn();
  let now: BundleBytes[] = [];
  network.answer = (account, honest) => {
    if (account !== 'alice') return honest;
    asked();
    return asked.mock.calls.length === 1 ? first : now;
  };
  return {
    network,
    bob,
    asked,
    answerFirst: (...peers: Peer[]) => answerFirst(peers.map((peer) => peer.published())),
    shows(...peers: Peer[]) {
      now = peers.map((peer) => peer.published());
    },
    /** Answers whether the flight was taken off the relay. */
    flight(peer: Peer, text: string): Promise<boolean> {
      clock.ms += 2_000;
      return network.inject(bob.address, peer.flight(bundle, peer.text(text)));
    },
    again: () => person('bob', network, clock, { store, trust, seed: 'again' }),
  };
}

const rowCount = ({ store }: Person, space: string): number =>
  [...store.rows().keys()].filter((key) => key.startsWith(`["${space}"`)).length;
const texts = async (who: Person): Promise<string[]> => (await who.readAll()).map(({ text }) => text);

test('T28: first messages that come while the directory says that nobody has their name: asked about anew, once however many came', async () => {
  const { network, bob, asked: questions, answerFirst, shows, flight } = await asked();
  await flight(evilPeer('alice', 'forged', START), 'I am alice');
  await vi.waitFor(() => expect(questions).toHaveBeenCalledTimes(1), { timeout: 20_000 });
  // Now she has registered.
  const alice = evilPeer('alice', 'alice', START);
  shows(alice);
  await flight(alice, 'hello');
  for (const name of ['second', 'third']) await flight(evilPeer('alice', name, START), 'so am I');
  answerFirst();
  expect(await bob.read()).toMatchObject({ text: 'hello', from: { account: 'alice', device: alice.device.device } });
  expect(await texts(bob)).toEqual([]);
  expect(questions).toHaveBeenCalledTimes(2);
  expect([rowCount(bob, 'session'), rowCount(bob, 'claimed'), rowCount(bob, 'peer')]).toEqual([1, 0, 1]);
  await network.inject(bob.address, alice.next(alice.text('are you there?')));
  expect(await texts(bob)).toEqual(['are you there?']);
  expect(bob.dropped()).toEqual([]);
  await bob.client.close();
});

describe('T32: a first message of a new identity that comes while the directory shows the former one', () => {
  /** The former one is pinned by that answer; the new one has written since, and the directory shows it by now. */
  async function changed(trust: 'warn' | 'block') {
    const made = await asked(trust);
    const { bob, asked: questions, answerFirst, shows, flight } = made;
    const [former, alice] = [evilPeer('alice', 'former', START), evilPeer('alice', 'new', START + 5)];
    await flight(former, 'from the former one');
    await vi.waitFor(() => expect(questions).toHaveBeenCalledTimes(1), { timeout: 20_000 });
    shows(alice);
    await flight(alice, 'from the new one');
    answerFirst(former);
    await bob.seen('identityChanged');
    return { ...made, former, alice };
  }

  test('warn: it takes the place of the former one, and both messages are shown', async () => {
    const { bob, asked: questions } = await changed('warn');
    const all = [(await bob.read()).text, (await bob.read()).text];
    expect(all.sort()).toEqual(['from the former one', 'from the new one']);
    expect([questions.mock.calls.length, bob.count('identityChanged'), rowCount(bob, 'claimed')]).toEqual([2, 1, 0]);
    expect(bob.count('undecryptable')).toBe(0);
    await bob.client.close();
  });

  test('block: it waits for a person, with what follows it, also over a restart', async () => {
    const { network, bob, alice, again } = await changed('block');
    expect(await bob.read()).toMatchObject({ text: 'from the former one', trust: 'changed' });
    expect(await network.inject(bob.address, alice.next(alice.text('and on')))).toBe(false);
    expect(await texts(bob)).toEqual([]);
    await bob.client.close();
    const back = await again();
    expect(await texts(back)).toEqual([]);
    await (await back.client.contact('alice').safetyNumber()).accept();
    const [first, second] = [await back.read(), await back.read()];
    expect([first.text, second.text]).toEqual(['from the new one', 'and on']);
    expect(second.order > first.order).toBe(true);
    expect([back.count('identityChanged'), back.count('undecryptable'), rowCount(back, 'claimed')]).toEqual([0, 0, 0]);
    await vi.waitFor(() => expect(network.unackedCount(back.address)).toBe(0), { timeout: 20_000 });
    await back.client.close();
  });

  test('block: it goes, and that is said, once the directory shows the former one again', async () => {
    const { bob, former, shows } = await changed('block');
    shows(former);
    expect(await bob.client.contact('alice').identity()).toMatchObject({ trust: 'unverified' });
    await bob.seen('undecryptable', ({ from, code }) => from === 'alice' && code === 'ERR_DEVICE_UNTRUSTED');
    expect(await texts(bob)).toEqual(['from the former one']);
    expect([rowCount(bob, 'session'), rowCount(bob, 'claimed'), bob.count('identityChanged')]).toEqual([1, 0, 1]);
    await bob.client.close();
  });
});

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((next) => setImmediate(next));
};

test.each([
  ['ERR_NO_SESSION', () => new UsageError('ERR_NO_SESSION', 'unknown')],
  ['ERR_IDENTITY_CHANGED', () => new TrustError('ERR_IDENTITY_CHANGED', 'another')],
] as const)('T28: a directory that throws %s by itself has not answered, and is not asked in a loop', async (_, fault) => {
  const { bob, network, flight } = await asked();
  let count = 0;
  network.answer = (account, honest) => {
    if (account !== 'alice') return honest;
    count += 1;
    if (count > 100) return new Promise(() => {});
    throw fault();
  };
  await flight(evilPeer('alice', 'forged', START), 'I am alice');
  await turns(300);
  expect(count).toBeLessThan(10);
  await bob.client.close();
});

test('T28: a claim that the next answer is to judge is no former device of the one that is pinned by now, however many came with it', async () => {
  const { bob, asked: questions, answerFirst, shows, flight, network } = await asked('warn');
  const [former, alice] = [evilPeer('alice', 'former', START), evilPeer('alice', 'new', START + 5)];
  await flight(former, 'from the former one');
  await vi.waitFor(() => expect(questions).toHaveBeenCalledTimes(1), { timeout: 20_000 });
  // The next answer takes its time, too.
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { answer } = network;
  network.answer = async (account, honest) => {
    const said = answer(account, honest);
    if (account === 'alice' && questions.mock.calls.length > 1) await released;
    return said;
  };
  shows(alice);
  expect(await flight(alice, 'from the new one')).toBe(true);
  for (let i = 0; i < 9; i++) expect(await flight(evilPeer('alice', `forged ${i}`, START + 6), 'so am I')).toBe(true);
  answerFirst(former);
  await vi.waitFor(() => expect(questions).toHaveBeenCalledTimes(2), { timeout: 20_000 });
  await turns(300);
  release();
  expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['from the former one', 'from the new one']);
  await network.inject(bob.address, alice.next(alice.text('and on')));
  expect(await texts(bob)).toEqual(['and on']);
  await bob.client.close();
});
