import { expect, test, vi } from 'vitest';
import { encodeHello } from '../../src/client/content.js';
import { recoverStore } from '../../src/client/recovery.js';
import type { BundleBytes } from '../../src/step.js';
import type { Network } from '../../src/transport/port.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type GlassNetwork, glassNetwork, offline } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const clock = { ms: START };
const closeAll = (...all: Person[]) => Promise.all(all.map(({ client }) => client.close()));

async function copyOf({ store }: Person): Promise<GlassStore> {
  const copy = glassStore();
  await copy.commit([...store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  return copy;
}

/** A new device of the same account, published; the old one goes on and knows nothing of it. */
async function replacement(network: GlassNetwork, old: Person): Promise<Person> {
  const store = await copyOf(old);
  await recoverStore(store, { directory: network.directory, rng: testRng('replacement'), now: () => clock.ms });
  let published = (): void => {};
  const isPublished = new Promise<void>((resolve) => {
    published = resolve;
  });
  const telling: Network = {
    ...network,
    directory(login) {
      const directory = network.directory(login);
      return {
        ...directory,
        async publish(...args) {
          await directory.publish(...args);
          published();
        },
      };
    },
  };
  const current = await person(old.account, telling, clock, { store, seed: 'current' });
  await isPublished;
  return current;
}

/** Sends what the recipient drops. */
async function refused(from: Person, to: Person, text: string): Promise<void> {
  const seen = to.observations.length;
  await from.client.send(to.account, text);
  await to.observed((record) => record.kind === 'log' && record.event === 'envelope-dropped', seen);
}

test('T30: a replaced device that writes to somebody who knows nothing of its account: not shown, and dropped', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const current = await replacement(network, old);
  const bob = await person('bob', network, clock);

  await (await old.client.send('bob', 'from the old one')).until('accepted');
  await bob.seen('undecryptable', ({ code, heals, from }) => code === 'ERR_DEVICE_UNTRUSTED' && heals === 'never' && from === 'alice');
  await refused(old, bob, 'and again');
  await current.client.send('bob', 'from the new one');
  expect(await bob.read()).toMatchObject({ text: 'from the new one', from: current.address });
  expect(await bob.readAll()).toEqual([]);
  expect(bob.client.status).toMatchObject({ unackedCount: 0 });
  expect(await bob.client.contact('alice').identity()).toMatchObject({ trust: 'unverified', devices: [current.client.device] });
  await closeAll(old, current, bob);
});

test('T30: of what waits for a pin, only what the account’s devices have written is shown', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const current = await replacement(network, old);
  const bob = await person('bob', network, clock);

  await bob.client.close();
  await (await old.client.send('bob', 'from the old one')).until('accepted');
  await (await current.client.send('bob', 'from the new one')).until('accepted');
  // Bob can't ask who they are: both wait.
  network.directoryDown = true;
  const offline = await person('bob', network, clock, { store: bob.store, seed: 'offline' });
  await offline.observed((record) => record.kind === 'gauge' && record.name === 'unacked' && record.value === 2);
  await offline.client.close();
  network.directoryDown = false;
  const online = await person('bob', network, clock, { store: bob.store, seed: 'online' });
  expect((await online.read()).text).toBe('from the new one');
  await online.seen('undecryptable', ({ code }) => code === 'ERR_DEVICE_UNTRUSTED');
  expect(online.count('undecryptable')).toBe(1);
  expect(await online.readAll()).toEqual([]);
  await closeAll(old, current, online);
});

test('T30: a first message of a replaced device, to somebody who knows of the new one: not shown, and told once', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const current = await replacement(network, old);
  const bob = await person('bob', network, clock);
  await current.client.send('bob', 'from the new one');
  expect((await bob.read()).text).toBe('from the new one');
  const content = bob.store.content();
  for (let i = 0; i < 3; i++) await refused(old, bob, `from the old one ${i}`);
  // It may have been on its way when the device was replaced; but anybody can make one.
  expect(bob.dropped()).toEqual(Array.from({ length: 3 }, () => 'ERR_DEVICE_UNTRUSTED'));
  expect(bob.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([
    { from: 'alice', code: 'ERR_DEVICE_UNTRUSTED', heals: 'never' },
  ]);
  expect(bob.store.content()).toBe(content);
  await closeAll(old, current, bob);
});

test('T30: a replaced device in a session that it has: refused once the newer list is known, told once, and its first words stay', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await old.client.send('bob', 'hello');
  await bob.read();
  await bob.client.send('alice', 'hello');
  await old.read();
  const from = bob.observations.length;
  await old.client.send('bob', 'before');
  await bob.observed((record) => record.kind === 'gauge' && record.name === 'unacked' && record.value === 1, from);

  const current = await replacement(network, old);
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await refused(old, bob, 'after');
  expect(bob.dropped()).toEqual(['ERR_DEVICE_UNTRUSTED']);
  const content = bob.store.content();
  for (let i = 0; i < 3; i++) await refused(old, bob, `after ${i}`);
  // Neither decrypted nor told again: whoever holds the old device can't use bob's disk or his attention.
  expect(bob.store.content()).toBe(content);
  expect(bob.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([
    { from: 'alice', code: 'ERR_DEVICE_UNTRUSTED', heals: 'never' },
  ]);
  // What came while it was the account's device is the account's, also after what makes the inbox look again at who is who.
  await (await bob.client.contact('alice').safetyNumber()).confirmDigits();
  await bob.client.close();
  const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
  expect(await again.read()).toMatchObject({ text: 'before', from: old.address, trust: 'verified' });
  // And both go on.
  await again.client.send('alice', 'to the new one');
  expect((await current.read()).text).toBe('to the new one');
  await current.client.send('bob', 'from the new one');
  expect(await again.read()).toMatchObject({ text: 'from the new one', from: current.address });
  expect(await again.readAll()).toEqual([]);
  expect(await old.readAll()).toEqual([]);
  await closeAll(old, current, again);
});

test('what a device sent before it was replaced arrives, if it comes before the news', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await old.client.send('bob', 'hello');
  await bob.read();
  await bob.client.close();
  for (const text of ['one', 'two']) await (await old.client.send('bob', text)).until('accepted');
  const current = await replacement(network, old);
  await (await current.client.send('bob', 'three')).until('accepted');
  const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
  const texts = [await again.read(), await again.read(), await again.read()].map(({ text }) => text);
  expect(texts).toEqual(['one', 'two', 'three']);
  expect(again.count('undecryptable')).toBe(0);
  await closeAll(old, current, again);
});

test('a new device that writes to a stranger before the directory has its list: shown, and the list that it brought is the one that counts', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  const store = await copyOf(old);
  await recoverStore(store, { directory: network.directory, rng: testRng('replacement'), now: () => clock.ms });
  const unpublished: Network = {
    ...network,
    directory: (login) => ({ ...network.directory(login), publish: () => Promise.reject(offline()) }),
  };
  const current = await person('alice', unpublished, clock, { store, seed: 'current' });
  await current.client.send('bob', 'from the new one');
  expect(await bob.read()).toMatchObject({ text: 'from the new one', from: current.address });
  expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [current.client.device] });
  await refused(old, bob, 'from the old one');
  await bob.client.send('alice', 'to the new one');
  expect((await current.read()).text).toBe('to the new one');
  expect(await old.readAll()).toEqual([]);
  await closeAll(old, current, bob);
});

test('a first message that was confirmed stays, whoever takes the place of its device before it is read', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await old.client.send('bob', 'first words');
  await bob.observed((record) => record.kind === 'gauge' && record.name === 'unacked' && record.value === 1);
  // An answer is proof that the pin stands, and that old knows bob.
  await bob.client.send('alice', 'hello');
  expect((await old.read()).text).toBe('hello');
  const current = await replacement(network, old);
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await (await bob.client.contact('alice').safetyNumber()).confirmDigits();
  expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [current.client.device] });
  expect(await bob.read()).toMatchObject({ text: 'first words', from: old.address });
  expect(bob.count('undecryptable')).toBe(0);
  await closeAll(old, current, bob);
});

test('T30: a first flight of a replaced device that comes while the pin is being written', async () => {
  const network = glassNetwork();
  const old = await person('alice', network, clock);
  const current = await replacement(network, old);
  const store = glassStore();
  const { commit } = store;
  let release = (): void => {};
  const isReleased = new Promise<void>((resolve) => {
    release = resolve;
  });
  let pin = (): void => {};
  const isPinning = new Promise<void>((resolve) => {
    pin = resolve;
  });
  store.commit = async (writes) => {
    if (writes.some(({ key }) => key[0] === 'contact')) {
      pin();
      await isReleased;
    }
    await commit(writes);
  };
  const bob = await person('bob', network, clock, { store });
  await current.client.send('bob', 'from the new one');
  await isPinning;
  await (await old.client.send('bob', 'from the old one')).until('accepted');
  // Long enough for the flight to come as far as it can.
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  release();
  await bob.observed((record) => record.kind === 'log' && record.event === 'envelope-dropped');
  expect(bob.dropped()).toEqual(['ERR_DEVICE_UNTRUSTED']);
  expect((await bob.readAll()).map(({ text }) => text)).toEqual(['from the new one']);
  await closeAll(old, current, bob);
});

test('T32: what a contact wrote under the identity that it had before, and comes after the change, is told once and not shown', async () => {
  const network = hostileNetwork();
  const mallory = evilPeer('mallory', 'mallory', START);
  network.answer = (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
  const alice = await person('alice', network, clock, { trust: 'warn' });
  const [bundle] = (await network.bundles('alice')) as [BundleBytes];
  const hello = (incarnation: number): Uint8Array => encodeHello({ incarnation: new Uint8Array(16).fill(incarnation), replaces: [] });
  await network.inject(alice.address, mallory.flight(bundle, mallory.raw(hello(1), 'control')));
  await alice.client.contact('mallory').identity();
  const late = ['1', '2', '3'].map((text) => mallory.next(mallory.text(text)));

  const other = evilPeer('mallory', 'the new mallory', START + 5);
  network.answer = (account, honest) => (account === 'mallory' ? [other.published()] : honest);
  const [fresh] = (await network.bundles('alice')) as [BundleBytes];
  await network.inject(alice.address, other.flight(fresh, other.raw(hello(2), 'control')));
  await alice.seen('identityChanged');
  for (const frame of late) expect(await network.inject(alice.address, frame)).toBe(true);
  expect(await alice.readAll()).toEqual([]);
  expect(alice.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([
    { from: 'mallory', code: 'ERR_DEVICE_UNTRUSTED', heals: 'never' },
  ]);
  await alice.client.close();
});

test('T32: an identity that the directory had swapped for another and shows again is read as before', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const bob = evilPeer('bob', 'bob', START);
  const swapped = evilPeer('bob', 'the relay', START + 5);
  const show = ({ published }: typeof bob): void => {
    network.answer = (account, honest) => (account === 'bob' ? [published()] : honest);
  };
  show(bob);
  const alice = await person('alice', network, clock, { trust: 'warn' });
  const hello = (incarnation: number): Uint8Array => encodeHello({ incarnation: new Uint8Array(16).fill(incarnation), replaces: [] });
  const bundle = async (): Promise<BundleBytes> => ((await network.bundles('alice')) as [BundleBytes])[0];
  const changes = (): number => alice.events.filter(({ type }) => type === 'identityChanged').length;
  await network.inject(alice.address, bob.flight(await bundle(), bob.raw(hello(1), 'control')));
  await alice.client.contact('bob').identity();

  show(swapped);
  await network.inject(alice.address, swapped.flight(await bundle(), swapped.raw(hello(2), 'control')));
  await vi.waitFor(() => expect(changes()).toBe(1), { timeout: 20_000 });
  show(bob);
  clock.ms += 2 * 86_400_000;
  await network.inject(alice.address, bob.flight(await bundle(), bob.raw(hello(3), 'control')));
  await vi.waitFor(() => expect(changes()).toBe(2), { timeout: 20_000 });

  for (const text of ['first', 'second']) await network.inject(alice.address, bob.next(bob.text(text)));
  const texts = [(await alice.read()).text, (await alice.read()).text];
  expect(texts).toEqual(['first', 'second']);
  expect(alice.events.filter(({ type }) => type === 'undecryptable')).toEqual([]);
  await alice.client.close();
});
