import { expect, test } from 'vitest';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { besidesFailures } from '../helpers/broken-session.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type Envelope, hostileNetwork } from '../helpers/hostile-network.js';
import { counted, type Person, person, START } from '../helpers/people.js';
import { flip, testRng } from '../helpers/rng.js';

/** Alice and bob, who have written to each other, on a relay that the test controls. */
async function conversation() {
  const network = hostileNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'hello');
  expect((await bob.read()).text).toBe('hello');
  await bob.client.send('alice', 'hi');
  expect((await alice.read()).text).toBe('hi');
  await network.settled();
  const close = () => Promise.all([alice.client.close(), bob.client.close()]);
  return { network, clock, alice, bob, close };
}

/** Both still understand each other. */
async function expectGoesOn(alice: Person, bob: Person): Promise<void> {
  await alice.client.send('bob', 'still there?');
  expect((await bob.read()).text).toBe('still there?');
  await bob.client.send('alice', 'yes');
  expect((await alice.read()).text).toBe('yes');
}

test('T10, T15: every envelope again, twice, backwards, and after a restart: nothing is shown, no byte changes', async () => {
  const { network, clock, alice, bob, close } = await conversation();
  for (const text of ['one', 'two', 'three']) {
    await alice.client.send('bob', text);
    await bob.client.send('alice', text);
    await bob.read();
    await alice.read();
  }
  await network.settled();
  const envelopes = [...network.sent];
  const replay = async (to: Person): Promise<void> => {
    const before = to.store.dump();
    for (const { bytes } of [...envelopes, ...envelopes].reverse()) expect(await network.inject(to.address, bytes)).toBe(true);
    expect(to.store.dump()).toBe(before);
    for (const code of to.dropped()) expect(code).toMatch(/^ERR_(DUPLICATE|NO_SESSION|KEY_GONE)$/);
    expect(await to.readAll()).toEqual([]);
  };
  await replay(alice);
  await replay(bob);

  await bob.client.close();
  const restarted = await person('bob', network, clock, { store: bob.store, seed: 'restarted' });
  await restarted.client.send('alice', 'back');
  expect((await alice.read()).text).toBe('back');
  await network.settled();
  await replay(restarted);
  await expectGoesOn(alice, restarted);
  await restarted.client.close();
  await close();
});

test('T15: reordered, doubled and withheld: every message is shown once, whenever it comes', async () => {
  const { network, alice, bob, close } = await conversation();
  const kept: Envelope[] = [];
  network.route = (envelope) => {
    kept.push(envelope);
    return [];
  };
  const texts = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  for (const text of texts) await (await alice.client.send('bob', text)).until('accepted');
  network.route = (envelope) => [envelope];
  const withheld = kept.splice(3, 5);
  for (const { to, bytes } of [...kept].reverse()) {
    await network.inject(to, bytes);
    await network.inject(to, bytes);
  }
  const early = (await bob.readAll()).map(({ text }) => text);
  expect(early.sort()).toEqual(texts.filter((_, i) => i < 3 || i >= 8).sort());
  await expectGoesOn(alice, bob);
  for (const { to, bytes } of withheld) await network.inject(to, bytes);
  expect((await bob.readAll()).map(({ text }) => text)).toEqual(texts.slice(3, 8));
  await close();
});

test('T17, T50: bits flipped, ends cut off: one error for all, nothing changes but the count of failures, and the genuine one still opens', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  const kept: Envelope[] = [];
  network.route = (envelope) => {
    kept.push(envelope);
    return [];
  };
  await counted(bob, clock.ms);
  const attack = async (): Promise<void> => {
    const { bytes } = kept.at(-1)!;
    const before = besidesFailures(bob.store);
    const step = Math.ceil(bytes.length / 40);
    for (let at = 0; at < bytes.length; at += at < 24 ? 1 : step) {
      expect(await network.inject(bob.address, flip(bytes, at, 1 << (at % 8)))).toBe(true);
      expect(await network.inject(bob.address, bytes.subarray(0, at))).toBe(true);
      clock.ms += 5_000; // a token for each flight
    }
    expect(await network.inject(bob.address, new Uint8Array([...bytes, 0]))).toBe(true);
    expect(besidesFailures(bob.store)).toBe(before);
    await network.inject(bob.address, bytes);
  };
  await (await alice.client.send('bob', 'flight')).until('accepted');
  await attack();
  expect((await bob.read()).text).toBe('flight');
  await (await bob.client.send('alice', 'answer')).until('accepted');
  await network.inject(alice.address, kept.at(-1)!.bytes);
  expect((await alice.read()).text).toBe('answer');
  await (await alice.client.send('bob', 'message')).until('accepted');
  await attack();
  expect((await bob.read()).text).toBe('message');
  expect(new Set(bob.dropped())).toEqual(new Set(['ERR_DECODE', 'ERR_VERSION', 'ERR_DECRYPT', 'ERR_KEY_GONE', 'ERR_NO_SESSION']));
  network.route = (envelope) => [envelope];
  await expectGoesOn(alice, bob);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T12: what was meant for bob says nothing to carol', async () => {
  const { network, clock, alice, bob, close } = await conversation();
  const carol = await person('carol', network, clock);
  await counted(carol, clock.ms);
  const before = carol.store.dump();
  for (const { bytes } of network.sent) expect(await network.inject(carol.address, bytes)).toBe(true);
  expect(carol.store.dump()).toBe(before);
  expect(new Set(carol.dropped())).toEqual(new Set(['ERR_KEY_GONE', 'ERR_NO_SESSION']));
  await expectGoesOn(alice, bob);
  await carol.client.close();
  await close();
});

test('T11, T12: mallory says that she is alice, whom the directory knows: never shown, told once, and alice is not disturbed', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  const [bundle] = await network.bundles('bob');
  const mallory = evilPeer('alice', 'mallory', clock.ms, alice.client.device);
  expect(await network.inject(bob.address, mallory.flight(bundle!, mallory.text('I am alice')))).toBe(true);
  await bob.seen('undecryptable');
  expect(bob.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([
    { from: 'alice', code: 'ERR_DEVICE_UNTRUSTED', heals: 'never' },
  ]);
  // Her session leads nowhere, and nothing piles up.
  for (let i = 0; i < 20; i++) await network.inject(bob.address, mallory.next(mallory.text(`believe me ${i}`)));
  expect(bob.client.status).toMatchObject({ unackedCount: 0 });
  // The true alice, with the same account and device number, is another peer.
  await alice.client.send('bob', 'really alice');
  expect(await bob.read()).toMatchObject({ text: 'really alice', from: alice.address });
  const late = evilPeer('alice', 'second mallory', clock.ms, alice.client.device);
  const before = bob.store.content();
  await network.inject(bob.address, late.flight(bundle!, late.text('now me')));
  // Once the directory has answered.
  await bob.observed((record) => record.kind === 'log' && record.event === 'envelope-dropped' && record.code === 'ERR_IDENTITY_CHANGED');
  expect(bob.store.content()).toBe(before);
  expect(bob.count('identityChanged')).toBe(0);
  const { digits } = await bob.client.contact('alice').safetyNumber();
  expect(digits).toBe((await alice.client.contact('bob').safetyNumber()).digits);
  await expectGoesOn(alice, bob);
  expect(await bob.readAll()).toEqual([]);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T11, T12: mallory says that she is somebody whom the directory does not know: not shown, and gone when the true one comes', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const [bundle] = await network.bundles('bob');
  const mallory = evilPeer('alice', 'mallory', clock.ms);
  await network.inject(bob.address, mallory.flight(bundle!, mallory.text('I am alice')));
  await network.inject(bob.address, mallory.next(mallory.text('surely')));
  await bob.observed((record) => record.kind === 'log' && record.event === 'claim-unconfirmed');
  expect(await bob.readAll()).toEqual([]);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'first');
  expect(await bob.read()).toMatchObject({ text: 'first', from: alice.address });
  await bob.seen('undecryptable', ({ code }) => code === 'ERR_DEVICE_UNTRUSTED');
  await expectGoesOn(alice, bob);
  expect(bob.client.status).toMatchObject({ unackedCount: 0 });
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T12: mallory under her own name is mallory, whatever her message says', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const mallory = await person('mallory', network, clock);
  await mallory.client.send('bob', { kind: 'app', type: 'x', data: { from: 'alice', account: 'alice', device: 1 } });
  const message = await bob.read();
  expect(message).toMatchObject({ from: mallory.address, conversation: { kind: 'person', account: 'mallory' } });
  await Promise.all([mallory.client.close(), bob.client.close()]);
});

test('T16, T28: 10,000 junk frames: no session, no commit, one event for all of them, bounded time, and the next message arrives', async () => {
  const { network, alice, bob, close } = await conversation();
  const rng = testRng('junk');
  const before = bob.store.dump();
  const { commits } = bob.store;
  const events = bob.events.length;
  const startedAt = process.cpuUsage();
  for (let i = 0; i < 10_000; i++) {
    const head = [[0x20, 1, 0, 1], [0x01, 1, 0, 1], [0x10, 1, 0, 1], [], [0x20, 2, 0, 1], [0x01, 1, 0, 2]][i % 6]!;
    const body = rng([868, 2_200, 14_000, 40, 868, 2_200][i % 6]! / (i % 6 === 2 ? 10 : 1));
    const acked = await network.inject(bob.address, new Uint8Array([...head, ...body]));
    if (!acked) expect.fail(`frame ${i} was kept`);
  }
  expect(process.cpuUsage(startedAt).user / 1000).toBeLessThan(20_000);
  expect(bob.store.dump()).toBe(before);
  expect(bob.store.commits).toBe(commits);
  // A sealed frame for no set of ours may be an honest first message that came too late: told once an hour.
  expect(bob.events.slice(events)).toMatchObject([{ type: 'undecryptable', code: 'ERR_KEY_GONE', heals: 'never' }]);
  expect(network.unackedCount(bob.address)).toBe(0);
  await expectGoesOn(alice, bob);
  await close();
}, 40_000);

test('T28: first flights beyond 30 a minute wait with the relay, cost nothing, and an honest one is not lost', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  const [bundle] = await network.bundles('bob');
  const { setId, sealKey } = parseSignedSet(bundle!.signedSet);
  const rng = testRng('flood');
  await counted(bob, clock.ms);
  const before = bob.store.dump();
  const answers: boolean[] = [];
  for (let i = 0; i < 40; i++) {
    answers.push(
      await network.inject(bob.address, sealFrame(bob.address, setId, sealKey, new Uint8Array([0x10, 1, 0, 1, ...rng(60)]), rng)),
    );
  }
  expect(answers.filter(Boolean).length).toBe(30);
  expect(bob.store.dump()).toBe(before);
  await (await alice.client.send('bob', 'in the crowd')).until('accepted');
  await network.settled();
  expect(await bob.readAll()).toEqual([]);
  clock.ms += 60_000;
  expect((await bob.read()).text).toBe('in the crowd');
  expect(network.unackedCount(bob.address)).toBe(0);
  await expectGoesOn(alice, bob);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T28: a flood beyond what a client keeps in memory strands no honest first message', async () => {
  const network = hostileNetwork();
  /** Runs by itself once the flood is over: every look at it is two seconds later. */
  const clock = {
    at: START,
    stepMs: 0,
    get ms() {
      this.at += this.stepMs;
      return this.at;
    },
  };
  const alice = await person('alice', network, { ms: START });
  const bob = await person('bob', network, clock);
  const [bundle] = await network.bundles('bob');
  const { setId, sealKey } = parseSignedSet(bundle!.signedSet);
  const rng = testRng('stranded');
  for (let i = 0; i < 110; i++) {
    await network.inject(bob.address, sealFrame(bob.address, setId, sealKey, new Uint8Array([0x10, 1, 0, 1, ...rng(60)]), rng));
  }
  await (await alice.client.send('bob', 'behind the crowd')).until('accepted');
  await network.settled();
  expect(await bob.readAll()).toEqual([]);
  clock.stepMs = 2_000;
  expect((await bob.read()).text).toBe('behind the crowd');
  expect(network.unackedCount(bob.address)).toBe(0);
  await Promise.all([alice.client.close(), bob.client.close()]);
}, 40_000);

test('T10: acknowledgements get lost, connections break: every message is shown once', async () => {
  const { network, alice, bob, close } = await conversation();
  network.loseAcks = true;
  for (const text of ['a', 'b', 'c']) await (await alice.client.send('bob', text)).until('accepted');
  await network.settled();
  expect((await bob.readAll()).map(({ text }) => text)).toEqual(['a', 'b', 'c']);
  const before = bob.store.dump();
  for (let i = 0; i < 3; i++) {
    const from = bob.dropped().length;
    network.cut(bob.address);
    await bob.observed(() => bob.dropped().length >= from + 3);
  }
  expect(bob.store.dump()).toBe(before);
  expect(new Set(bob.dropped())).toEqual(new Set(['ERR_DUPLICATE']));
  network.loseAcks = false;
  await expectGoesOn(alice, bob);
  await close();
});
