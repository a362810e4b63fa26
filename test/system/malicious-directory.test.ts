import { expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { encodeSignedSet, parseSignedSet } from '../../src/wire/objects.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const DAY = 86_400_000;

/** A world of clients on one network that the test controls. */
async function world(...accounts: string[]) {
  const network = hostileNetwork();
  const clock = { ms: START };
  const people: Person[] = [];
  for (const account of accounts) people.push(await person(account, network, clock));
  return { network, clock, people, close: () => Promise.all(people.map(({ client }) => client.close())) };
}

/** What an attacker publishes under any account's name: signed all the way down, by keys of the attacker's own. */
function ownKeysAs(account: string, seed: string, deviceId?: number): BundleBytes {
  const { device } = evilPeer(account, seed, START, deviceId);
  const { out } = generatePrekeys(device, testRng(`${seed} prekeys`), START);
  return {
    address: out.address,
    identity: out.identity,
    signedSet: out.signedSet,
    oneTime: { head: out.batch!.head, entry: out.batch!.entries[0]! },
  };
}

/** A message that the directory's answer holds back: nothing leaves, and it goes out once the answer is honest. */
async function expectHeld({ network, people }: Awaited<ReturnType<typeof world>>, code: string): Promise<void> {
  const [alice, bob] = people as [Person, Person];
  const before = network.sent.length;
  const sent = await alice.client.send('bob', 'first');
  await expect(sent.until('accepted')).rejects.toMatchObject({ code });
  expect(network.sent.length).toBe(before);
  expect(await alice.client.sent(sent.id)).toMatchObject({ state: 'held' });

  network.answer = (_account, honest) => honest;
  await alice.client.send('bob', 'second');
  await alice.seen('sent', ({ id, state }) => id === sent.id && state === 'accepted');
  expect([(await bob.read()).text, (await bob.read()).text]).toEqual(['first', 'second']);
}

test('T11: own keys under the victim’s name at first contact: trust on first use believes them, and the safety numbers tell', async () => {
  const { network, people, close } = await world('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  network.answer = (account, honest) => (account === 'bob' ? [ownKeysAs('bob', 'mallory')] : honest);
  const sent = await alice.client.send('bob', 'for bob');
  await expect(sent.until('accepted')).rejects.toMatchObject({ code: 'ERR_REJECTED' });
  expect(network.sent.every(({ to }) => to.device !== bob.client.device)).toBe(true);

  const shown = await alice.client.contact('bob').safetyNumber();
  const genuine = await bob.client.contact('alice').safetyNumber();
  expect(shown.digits).not.toBe(genuine.digits);
  expect(await shown.scan(genuine.qr)).toBe('mismatch');
  expect(await alice.client.contact('bob').identity()).toMatchObject({ trust: 'unverified' });
  await close();
});

test('T32: a swapped identity after the pin holds every message, is reported exactly once, and gets nothing', async () => {
  const { network, people, clock, close } = await world('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  await alice.client.contact('bob').identity();
  const evil = [ownKeysAs('bob', 'mallory')];
  network.answer = (account, honest) => (account === 'bob' ? evil : honest);
  const sent = await alice.client.send('bob', 'held');
  await expect(sent.until('accepted')).rejects.toMatchObject({ code: 'ERR_IDENTITY_CHANGED' });
  await expect(alice.client.send('bob', 'refused')).rejects.toMatchObject({ code: 'ERR_IDENTITY_CHANGED' });
  // The impostor calls as well, twice, days apart: no news.
  const impostor = evilPeer('bob', 'mallory', clock.ms);
  const [own] = await network.bundles('alice');
  for (const text of ['one', 'two']) {
    expect(await network.inject(alice.address, impostor.flight(own!, impostor.text(text)))).toBe(false);
    clock.ms += 2 * DAY;
  }
  expect(alice.count('identityChanged')).toBe(1);
  expect(network.sent).toEqual([]);
  expect(await alice.readAll()).toEqual([]);
  expect(await alice.client.contact('bob').identity()).toMatchObject({ trust: 'changed' });

  // The lie ends: nobody has to accept the impostor to get bob back.
  network.answer = (_account, honest) => honest;
  const number = await alice.client.contact('bob').safetyNumber();
  expect(await number.scan((await bob.client.contact('alice').safetyNumber()).qr)).toBe('match');
  expect(await alice.client.contact('bob').identity()).toMatchObject({ trust: 'verified' });
  await alice.seen('sent', ({ id, state }) => id === sent.id && state === 'accepted');
  expect((await bob.read()).text).toBe('held');
  expect(alice.count('identityChanged')).toBe(1);
  await close();
});

test('T32: a verified contact blocks under trust: warn too', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock, { trust: 'warn' });
  const bob = await person('bob', network, clock);
  await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
  network.answer = () => [ownKeysAs('bob', 'mallory')];
  const sent = await alice.client.send('bob', 'held');
  await expect(sent.until('accepted')).rejects.toMatchObject({ code: 'ERR_IDENTITY_CHANGED' });
  expect(network.sent).toEqual([]);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test.each(['impostor first', 'impostor last'])(
  'T30: two identities in one answer, %s: what is sent goes to the identity that is shown',
  async (order) => {
    const network = hostileNetwork();
    const clock = { ms: START };
    const alice = await person('alice', network, clock, { trust: 'warn' });
    const bob = await person('bob', network, clock);
    await alice.client.contact('bob').identity();
    const evil = ownKeysAs('bob', 'mallory');
    network.answer = (account, honest) => (account !== 'bob' ? honest : order === 'impostor first' ? [evil, ...honest] : [...honest, evil]);
    await alice.client.send('bob', 'whose?');
    await alice.seen('sent', ({ state }) => state !== 'queued');
    const { digits } = await alice.client.contact('bob').safetyNumber();
    const isBob = digits === (await bob.client.contact('alice').safetyNumber()).digits;
    const { devices } = await alice.client.contact('bob').identity();
    expect(devices).toEqual([isBob ? bob.client.device : evil.address.device]);
    for (const { to } of network.sent) expect(to.device === bob.client.device).toBe(isBob);
    await Promise.all([alice.client.close(), bob.client.close()]);
  },
);

test('T11: parts of bundles of two accounts never make one', async () => {
  const mixes: [string, (bob: BundleBytes, carol: BundleBytes, ghost: BundleBytes) => BundleBytes[]][] = [
    ['another account’s bundle', (_bob, carol) => [carol]],
    ['another account’s bundle under this address', (bob, carol) => [{ ...carol, address: bob.address }]],
    ['another device’s number', (bob) => [{ ...bob, address: { account: 'bob', device: bob.address.device ^ 1 } }]],
    ['another account’s set', (bob, carol) => [{ ...bob, signedSet: carol.signedSet }]],
    ['own set under bob’s identity', (bob, _carol, ghost) => [{ ...bob, signedSet: ghost.signedSet }]],
    ['own identity over bob’s set', (bob, _carol, ghost) => [{ ...ghost, address: bob.address, signedSet: bob.signedSet }]],
    ['bob’s account key over own list', (bob, _carol, ghost) => [{ ...bob, identity: splice(bob.identity, ghost.identity, 1984) }]],
    ['own account key over bob’s list', (bob, _carol, ghost) => [{ ...bob, identity: splice(ghost.identity, bob.identity, 1984) }]],
    ['no devices', () => []],
  ];
  const setup = await world('alice', 'bob', 'carol');
  const { network, people, close } = setup;
  const [alice, bob] = people as [Person, Person];
  const [honestCarol] = await network.bundles('carol');
  const carolKeys = network.published.find(({ address }) => address.account === 'carol')!;
  const carol = { ...honestCarol!, oneTime: { head: carolKeys.batch!.head, entry: carolKeys.batch!.entries[1]! } };
  const bobKeys = network.published.find(({ address }) => address.account === 'bob')!;
  const [honestBob] = await network.bundles('bob');
  const whole = { ...honestBob!, oneTime: { head: bobKeys.batch!.head, entry: bobKeys.batch!.entries[1]! } };
  const ghost = ownKeysAs('bob', 'mallory', whole.address.device);
  for (const [name, mix] of mixes) {
    network.answer = (account, honest) => (account === 'bob' ? mix(whole, carol, ghost) : honest);
    const observed = alice.observations.length;
    const sent = await alice.client.send('bob', name);
    await Promise.race([
      alice.observed((record) => record.kind === 'log' && record.event === 'send-retry', observed),
      alice.seen('sent', ({ id, state }) => id === sent.id && state === 'held'),
    ]);
    expect(network.sent, name).toEqual([]);
  }
  expect(alice.count('identityChanged')).toBe(0);

  network.answer = (_account, honest) => honest;
  await alice.client.send('bob', 'honest again');
  const texts: string[] = [];
  while (texts.at(-1) !== 'honest again') texts.push((await bob.read()).text);
  expect(texts).toEqual([...mixes.map(([name]) => name), 'honest again']);
  await close();
});

test.each([
  ['another account’s one-time unit', (_bob: BundleBytes, carol: BundleBytes) => carol.oneTime],
  ['own one-time unit', (bob: BundleBytes) => ownKeysAs('bob', 'mallory', bob.address.device).oneTime],
  ['head and entry of two batches', (bob: BundleBytes, carol: BundleBytes) => ({ head: bob.oneTime!.head, entry: carol.oneTime!.entry })],
])('T02: %s is as good as none', async (_name, unit) => {
  const { network, people, close } = await world('alice', 'bob', 'carol');
  const [alice, bob] = people as [Person, Person];
  const carol = network.published.find(({ address }) => address.account === 'carol')!;
  const carolBundle = { ...carol, oneTime: { head: carol.batch!.head, entry: carol.batch!.entries[1]! } };
  network.answer = (account, honest) =>
    account === 'bob' ? honest.map((bundle) => ({ ...bundle, oneTime: unit(bundle, carolBundle) })) : honest;
  await alice.client.send('bob', 'for bob alone');
  expect(await bob.read()).toMatchObject({ text: 'for bob alone', replayable: true });
  await close();
});

test('T40: the same device twice in one answer is one device', async () => {
  const { network, people, close } = await world('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  network.answer = (_account, honest) => [...honest, ...honest];
  await (await alice.client.send('bob', 'once')).until('accepted');
  expect((await bob.read()).text).toBe('once');
  await bob.client.send('alice', 'too');
  expect((await alice.read()).text).toBe('too');
  await close();
});

test('T46: a peer that speaks a newer version as well stays reachable', async () => {
  const { network, people, close } = await world('alice');
  const [alice] = people as [Person];
  const { device } = evilPeer('bob', 'from the future', START);
  const { out } = generatePrekeys(device, testRng('future'), START);
  const { signature: _signature, tbs: _tbs, ...set } = parseSignedSet(out.signedSet);
  const tbs = encodeSignedSet({ ...set, verMax: 2 });
  const signedSet = concat(tbs, compositeSign(device.deviceKey.secretKey, tbs, 'pk/set', testRng('sign')));
  network.answer = (account, honest) => (account === 'bob' ? [{ address: out.address, identity: out.identity, signedSet }] : honest);
  expect(await alice.client.contact('bob').identity()).toMatchObject({ devices: [device.device] });
  await alice.client.send('bob', 'hello');
  await alice.observed((record) => record.kind === 'span' && record.name === 'transport.send');
  await close();
});

function splice(head: Uint8Array, tail: Uint8Array, at: number): Uint8Array {
  const out = new Uint8Array(tail);
  out.set(head.subarray(0, at));
  return out;
}

test('T08: an old set and an old list don’t come back', async () => {
  const setup = await world('alice', 'bob');
  const { network, clock, people, close } = setup;
  const [alice, bob] = people as [Person, Person];
  const [old] = await network.bundles('bob');
  clock.ms += 8 * DAY;
  network.cut(bob.address);
  await network.publication('bob', 2);
  await alice.client.contact('bob').identity();
  const [fresh] = await network.bundles('bob');
  expect(fresh!.signedSet).not.toEqual(old!.signedSet);
  const row = alice.store.dump();
  network.answer = (account, honest) => (account === 'bob' ? [{ ...fresh!, signedSet: old!.signedSet }] : honest);
  await expectHeld(setup, 'ERR_BUNDLE');

  // An old list with a new set is read with the newer list that is stored.
  expect(row).toContain('contact');
  const listBefore = alice.store.rows().get(JSON.stringify(['contact', 'bob']))!;
  network.answer = (account, honest) => (account === 'bob' ? [{ ...fresh!, identity: old!.identity }] : honest);
  await alice.client.contact('bob').safetyNumber();
  expect(alice.store.rows().get(JSON.stringify(['contact', 'bob']))).toEqual(listBefore);
  await close();
});

test('T09: one one-time prekey for two senders: the second flight is dropped and changes nothing', async () => {
  const { network, people, close } = await world('alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  let first: BundleBytes[] | undefined;
  network.answer = (account, honest) => {
    if (account !== 'bob') return honest;
    first ??= honest;
    return first;
  };
  await alice.client.send('bob', 'mine');
  expect((await bob.read()).text).toBe('mine');
  await network.settled();
  const before = bob.store.dump();
  await (await carol.client.send('bob', 'lost')).until('accepted');
  await network.settled();
  expect(bob.dropped()).toEqual(['ERR_KEY_GONE']);
  expect(bob.store.dump()).toBe(before);
  await bob.client.send('alice', 'go on');
  expect((await alice.read()).text).toBe('go on');
  expect(await bob.readAll()).toEqual([]);
  await close();
});

test('T09: a directory without one-time prekeys: the flight is told to be replayable, and its replay is dropped', async () => {
  const { network, people, close } = await world('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  network.answer = (_account, honest) => honest.map(({ oneTime: _taken, ...bundle }) => bundle);
  await alice.client.send('bob', 'pay once');
  const message = await bob.read();
  expect(message).toMatchObject({ text: 'pay once', replayable: true, from: alice.address });
  expect(bob.events.filter(({ type }) => type === 'lastResortUsed')).toEqual([{ type: 'lastResortUsed', address: alice.address }]);
  await network.settled();
  const before = bob.store.dump();
  for (const { bytes } of [...network.sent]) await network.inject(bob.address, bytes);
  expect(bob.store.dump()).toBe(before);
  expect(bob.dropped()).toEqual(['ERR_DUPLICATE']);
  expect(bob.count('lastResortUsed')).toBe(1);
  await alice.client.send('bob', 'again');
  expect(await bob.read()).toMatchObject({ text: 'again', replayable: false });
  await close();
});

test('T09: nor is its replay accepted after a restart, once its session is gone', async () => {
  const { network, people, close } = await world('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  network.answer = (_account, honest) => honest.map(({ oneTime: _taken, ...bundle }) => bundle);
  await alice.client.send('bob', 'pay once');
  await bob.read();
  await network.settled();
  await bob.client.close();
  // As sessions go that newer ones have pushed out.
  for (const space of ['session', 'tag', 'peer'] as const) {
    const rows = await bob.store.list([space], 10);
    await bob.store.commit(rows.map(({ key }) => ({ key, value: null })));
  }
  const again = await person('bob', network, { ms: START }, { store: bob.store, seed: 'again' });
  for (const { bytes } of [...network.sent]) await network.inject(again.address, bytes);
  expect(again.dropped()).toEqual(['ERR_DUPLICATE']);
  expect(again.count('sessionEstablished')).toBe(0);
  await Promise.all([again.client.close(), close()]);
});

test('T09: a relay that denies all one-time prekeys can’t make the device keep more and more of them', async () => {
  const { network, people, close } = await world('bob');
  const [bob] = people as [Person];
  network.remaining = 0;
  for (let round = 0; round < 14; round++) {
    const asked = bob.observations.length;
    network.cut(bob.address);
    await bob.observed((record) => record.kind === 'gauge' && record.name === 'oneTimePrekeys', asked);
  }
  const batches = new Set(network.published.flatMap(({ batch }) => (batch === undefined ? [] : [batch.id])));
  expect(batches.size).toBe(8);
  await close();
});
