import { expect, test, vi } from 'vitest';
import { concat, toHex } from '../../src/bytes.js';
import { encodeHello } from '../../src/client/content.js';
import { decodeFacts, encodeFacts, logRecord, peerRecord } from '../../src/client/records.js';
import { keyHash, replaceDevice } from '../../src/identity/index.js';
import { sessionLimits } from '../../src/limits.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate, sealFrame } from '../../src/pqxdh/handshake.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { startInitiator } from '../../src/ratchet/double.js';
import { encrypt, start } from '../../src/ratchet/triple.js';
import type { BundleBytes } from '../../src/step.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Write } from '../../src/store/port.js';
import { rowCount } from '../helpers/broken-session.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const MAX_JUMP = 5;
vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, ratchetLimits: { ...limits.ratchetLimits, maxJump: 5 } };
});

const clock = { ms: START };
const DAY = 86_400_000;

/** Ids of the sessions whose rows are there, and whether every index row names one of them. */
function sessionsOf(store: GlassStore): { count: number; indexIsSound: boolean } {
  const rows = [...store.rows()].map(([key, value]) => ({ key: JSON.parse(key) as string[], value }));
  const ids = rows.filter(({ key }) => key[0] === 'session').map(({ key }) => key[1]);
  const named = rows.flatMap(({ key, value }) =>
    key[0] === 'tag' ? [Buffer.from(value).toString('hex')] : key[0] === 'init' || key[0] === 'skipped' ? [key[1]] : [],
  );
  return { count: ids.length, indexIsSound: named.every((id) => ids.includes(id)) };
}

test('a gap beyond the limit: told once, the session is dead, and another one takes its place by itself', async () => {
  const network = hostileNetwork();
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'a');
  await bob.read();
  await bob.client.send('alice', 'b');
  await alice.read();
  network.route = () => [];
  for (let i = 0; i <= MAX_JUMP; i++) await (await alice.client.send('bob', 'lost')).until('accepted');
  network.route = (envelope) => [envelope];
  for (let i = 0; i < 3; i++) await (await alice.client.send('bob', 'too far')).until('accepted');
  await network.settled();
  expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_SKIP_LIMIT', heals: 'by-itself' });
  expect(bob.dropped()).toEqual(['ERR_SKIP_LIMIT', 'ERR_SKIP_LIMIT', 'ERR_SKIP_LIMIT']);
  expect(bob.count('undecryptable')).toBe(1);
  // Asked for unasked: the three are sent again, and what was lost before them stays lost.
  for (let i = 0; i < 3; i++) expect((await bob.read()).text).toBe('too far');
  await bob.client.send('alice', 'are you there?');
  expect((await alice.read()).text).toBe('are you there?');
  await alice.client.send('bob', 'I am');
  expect((await bob.read()).text).toBe('I am');
  expect(alice.events.filter((event) => event.type === 'sessionEstablished').at(-1)).toMatchObject({ reason: 'healed' });
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('sessions that are never answered are given up after 14 days, and only the last few are kept on either side', async () => {
  const time = { ms: START };
  const network = glassNetwork();
  let alice = await person('alice', network, time);
  let bob = await person('bob', network, time);
  for (let round = 0; round < 8; round++) {
    await alice.client.send('bob', `${round}`);
    expect((await bob.read()).text).toBe(`${round}`);
    time.ms += 15 * DAY;
    // In a new process, each looks after its keys.
    await Promise.all([alice.client.close(), bob.client.close()]);
    alice = await person('alice', network, time, { store: alice.store, seed: `alice ${round}` });
    bob = await person('bob', network, time, { store: bob.store, seed: `bob ${round}` });
    for (const each of [alice, bob]) await each.observed((record) => record.kind === 'gauge' && record.name === 'oneTimePrekeys');
  }
  await bob.client.send('alice', 'at last');
  expect((await alice.read()).text).toBe('at last');
  for (const { store } of [alice, bob]) {
    const { count, indexIsSound } = sessionsOf(store);
    expect(count).toBeGreaterThan(1);
    expect(count).toBeLessThanOrEqual(5);
    expect(indexIsSound).toBe(true);
  }
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a store that fails while a message is received: it comes again, and is shown once', async () => {
  const network = glassNetwork();
  const store = glassStore();
  let failing = false;
  const flaky = {
    ...store,
    async commit(writes: readonly Write[]) {
      if (failing) throw new Error('no space');
      await store.commit(writes);
    },
  };
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock, { store: flaky as never });
  await bob.seen('status', ({ status }) => status.state === 'online');
  failing = true;
  await (await alice.client.send('bob', 'x')).until('accepted');
  await bob.observed((record) => record.kind === 'log' && record.event === 'receiving-failed' && record.code === 'ERR_STORE_IO');
  failing = false;
  expect((await bob.read()).text).toBe('x');
  expect(bob.client.status).toMatchObject({ unackedCount: 0 });
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a damaged session row halts the client: nothing is repaired by guessing, nothing is acknowledged', async () => {
  const network = hostileNetwork();
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'x');
  await bob.read();
  await bob.client.send('alice', 'y');
  await alice.read();
  await bob.client.close();
  const [row] = await bob.store.list(['session'], 1);
  await bob.store.commit([{ key: row!.key, value: row!.value.slice(0, -1) }]);
  const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
  await (await alice.client.send('bob', 'z')).until('accepted');
  expect(await again.seen('status', ({ status }) => status.state === 'halted')).toMatchObject({
    status: { error: { code: 'ERR_STORE_CORRUPT' } },
  });
  await expect(again.client.send('alice', 'x')).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
  expect(network.unackedCount(bob.address)).toBe(1);
  await again.client.close();
  // The row back in place, everything is still there.
  await bob.store.commit([{ key: row!.key, value: row!.value }]);
  const repaired = await person('bob', network, clock, { store: bob.store, seed: 'repaired' });
  expect((await repaired.read()).text).toBe('z');
  await Promise.all([alice.client.close(), repaired.client.close()]);
});

test('a changed identity while the directory can’t be reached: the message waits with the relay', async () => {
  const network = hostileNetwork();
  const alice = await person('alice', network, clock);
  const old = await person('bob', network, clock);
  await alice.client.send('bob', 'x');
  await old.read();
  const others = hostileNetwork();
  const bob = await person('bob', { transport: network.transport, directory: others.directory }, clock, { seed: 'new bob' });
  others.answer = async (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
  network.answer = () => Promise.reject(new TypeError('fetch failed'));
  await (await bob.client.send('alice', 'it is me')).until('accepted');
  await network.settled();
  expect(network.unackedCount(alice.address)).toBe(1);
  expect(alice.count('identityChanged')).toBe(0);
  network.answer = async (account, honest) => (account === 'bob' ? others.bundles('bob') : honest);
  network.cut(alice.address);
  await alice.seen('identityChanged');
  await (await alice.client.contact('bob').safetyNumber()).accept();
  expect((await alice.read()).text).toBe('it is me');
  await Promise.all([alice, old, bob].map(({ client }) => client.close()));
});

test('more than 64 messages that a device seems not to have: 64 go again with each message of it, none of them twice', {
  timeout: 60_000,
}, async () => {
  const time = { ms: START };
  const network = hostileNetwork();
  network.route = (envelope) => (envelope.to.account === 'mallory' ? [] : [envelope]);
  const mallory = evilPeer('mallory', 'mallory', START);
  network.answer = (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
  const again: number[] = [];
  const inner = memoryStore();
  const store = glassStore({
    ...inner,
    commit(writes) {
      const count = writes.filter(({ key, value }) => key[0] === 'pending' && value !== null).length;
      if (count > 0) again.push(count);
      return inner.commit(writes);
    },
  });
  const alice = await person('alice', network, time, { store });
  await alice.client.contact('mallory').identity();
  for (let i = 0; i < 150; i++) await (await alice.client.send('mallory', `${i}`)).until('accepted');
  time.ms += 3_600_001;
  again.length = 0;
  const before = network.sent.length;
  const [bundle] = await network.bundles('alice');
  const hello = encodeHello({ incarnation: new Uint8Array(16).fill(3), replaces: [] });
  await network.inject(alice.address, mallory.flight(bundle!, mallory.raw(hello, 'control')));
  // Before what goes again is encrypted, and after.
  for (let i = 0; i < 3; i++) await network.inject(alice.address, mallory.next(mallory.text(`${i}`)));
  while (rowCount(store, 'pending') + rowCount(store, 'outbox') > 0) await new Promise((turn) => setImmediate(turn));
  await network.inject(alice.address, mallory.next(mallory.text('on')));
  expect(again).toEqual([64, 64, 22]);
  expect(network.sent.length - before).toBe(150);
  const names = (await store.list(['log'], 200)).flatMap(({ value }) => logRecord.decode(value).devices as { tries: number }[]);
  expect(names.map(({ tries }) => tries)).toEqual(Array(150).fill(1));
  await alice.client.close();
});

test('sessions with devices that their account has no more: those of the last eight stay, the others go, and what failed there is told', async () => {
  const time = { ms: START };
  const network = hostileNetwork();
  const before = await person('alice', network, time);
  const mallory = evilPeer('mallory', 'mallory', START);
  network.answer = (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
  await before.client.contact('mallory').identity();
  const [bundle] = (await network.bundles('alice')) as [BundleBytes];
  const rng = testRng('devices');
  const hello = mallory.raw(encodeHello({ incarnation: rng(16), replaces: [] }), 'control');
  const names: string[] = [];
  /** A first flight of a device that takes the place of the one before. Answers its next message. */
  const nextDevice = async (to: Person): Promise<Uint8Array> => {
    time.ms += 2_100;
    const device = replaceDevice(mallory.device, [], time.ms, rng, time.ms);
    names.push(toHex(keyHash(device.deviceKey.publicKey)));
    const verified = verifyBundle({ address: bundle.address, identity: bundle.identity, signedSet: bundle.signedSet }, undefined, time.ms);
    const { secrets, prefix, setId, sealKey } = initiate(device, verified, 1, rng, time.ms);
    const first = encrypt(braid, start(braid, secrets, startInitiator(secrets, rng)), hello, rng);
    await network.inject(to.address, sealFrame(verified.address, setId, sealKey, concat(prefix, first.out), rng));
    return encrypt(braid, first.next, mallory.text('late'), rng).out;
  };
  const late: Uint8Array[] = [];
  for (let i = 0; i <= sessionLimits.formerDevices; i++) {
    const message = await nextDevice(before);
    const spoilt = message.slice();
    spoilt[spoilt.length - 1]! ^= 1;
    if (i === 1) await network.inject(before.address, spoilt);
    late.push(message);
  }
  await before.client.close();
  expect(rowCount(before.store, 'peer')).toBe(names.length);
  // The session with the first one was in use until now.
  const key = ['peer', 'mallory', names[0]!] as const;
  const { sessions, ...peer } = peerRecord.decode(before.store.rows().get(JSON.stringify(key))!);
  const used = sessions.map((each) => encodeFacts({ ...decodeFacts(each), status: 'archived', retiredAtMs: time.ms }));
  await before.store.commit([{ key, value: peerRecord.encode({ ...peer, sessions: used }) }]);

  const alice = await person('alice', network, time, { store: before.store, seed: 'again' });
  for (let i = 0; i < 3; i++) late.push(await nextDevice(alice));
  const isThere = (i: number): boolean => alice.store.rows().has(JSON.stringify(['peer', 'mallory', names[i]!]));
  while (isThere(3)) await new Promise((turn) => setImmediate(turn));
  expect(names.map((_, i) => i).filter(isThere)).toEqual([0, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(sessionsOf(alice.store)).toEqual({ count: sessionLimits.formerDevices + 1, indexIsSound: true });
  for (const i of [0, 1, 10]) expect(await network.inject(alice.address, late[i]!)).toBe(true);
  expect(alice.dropped()).toEqual(['ERR_DEVICE_UNTRUSTED', 'ERR_NO_SESSION', 'ERR_DEVICE_UNTRUSTED']);
  const told = [...before.events, ...alice.events].flatMap((event) => (event.type === 'undecryptable' ? [event.code] : []));
  expect(told).toEqual(['ERR_DECRYPT', 'ERR_DEVICE_UNTRUSTED', 'ERR_DEVICE_UNTRUSTED']);
  await alice.client.close();
});
