import { beforeEach, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { sessionLimits } from '../../src/limits.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import type { BundleBytes } from '../../src/step.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { spoilSessions } from '../helpers/broken-session.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const HOUR = 3_600_000;
const clock: Clock = { ms: START };
let network: HostileNetwork;
beforeEach(() => {
  clock.ms = START;
  network = hostileNetwork();
});

/** The directory hands a prekey of an account out a second time, which a first message of somebody else has used up. */
async function handsOutAgain(to: Person): Promise<BundleBytes> {
  let [bundle] = (await network.bundles(to.account)) as [BundleBytes];
  network.answer = (account, honest) => {
    if (account === to.account && honest.some(({ oneTime }) => oneTime !== undefined)) {
      if (bundle.oneTime === undefined) [bundle] = honest as [BundleBytes];
      return [bundle];
    }
    return honest;
  };
  const carol = await person('carol', network, clock);
  await carol.client.send(to.account, 'the first');
  await to.read();
  await carol.client.close();
  expect(bundle.oneTime).toBeDefined();
  return bundle;
}
const gone = ({ events }: Person) => events.filter((event) => event.type === 'undecryptable' && event.code === 'ERR_KEY_GONE');

test('T09: a first message for a prekey that was used before is reported; once its recipient has written it comes again', async () => {
  const bob = await person('bob', network, clock);
  await handsOutAgain(bob);
  const alice = await person('alice', network, clock);
  await (await alice.client.send('bob', 'lost')).until('accepted');
  expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_KEY_GONE', heals: 'never' });
  expect((await bob.client.diagnose((gone(bob)[0] as { reference: string }).reference)).advice).toContain('write there');
  // Every message has the first one’s handshake with it, until there is an answer.
  await (await alice.client.send('bob', 'this one, too')).until('accepted');
  await network.settled();
  expect(gone(bob)).toHaveLength(1);

  clock.ms += HOUR + 1;
  await bob.client.send('alice', '1');
  expect((await alice.read()).text).toBe('1');
  // The first may have crossed theirs, so that it shows nothing.
  clock.ms += HOUR + 1;
  await bob.client.send('alice', '2');
  expect((await alice.read()).text).toBe('2');
  expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['lost', 'this one, too']);
  // And only then, and once.
  const before = network.sent.length;
  clock.ms += HOUR + 1;
  await bob.client.send('alice', '3');
  await alice.read();
  await network.settled();
  expect(network.sent.length - before).toBe(1);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T09: one-time prekeys that are gone: the second session is made without one', async () => {
  const bob = await person('bob', network, clock);
  await handsOutAgain(bob);
  const alice = await person('alice', network, clock);
  await (await alice.client.send('bob', 'lost')).until('accepted');
  await bob.seen('undecryptable', ({ code }) => code === 'ERR_KEY_GONE');
  clock.ms += sessionLimits.unansweredMs + 1;
  await alice.client.send('bob', 'found');
  expect(await bob.read()).toMatchObject({ text: 'found', replayable: true });
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test.each([
  ['an hour later', HOUR + 1],
  ['also after a clock that was three hours ahead', -3 * HOUR],
])('T09: a request that goes out on a session for a prekey that is gone is made on another, %s', async (_, laterMs) => {
  const alice = await person('alice', network, clock);
  const before = await person('bob', network, clock);
  await alice.client.send('bob', 'hello');
  await before.read();
  await before.client.send('alice', 'hello');
  await alice.read();
  await before.client.close();
  await spoilSessions(before.store);
  await handsOutAgain(alice);
  const bob = await person('bob', network, clock, { store: before.store, seed: 'bob again' });
  for (const text of ['1', '2', '3']) await (await alice.client.send('bob', text)).until('accepted');
  await alice.seen('undecryptable', ({ code, heals }) => code === 'ERR_KEY_GONE' && heals === 'needs-person');
  clock.ms += laterMs;
  await (await alice.client.send('bob', '4')).until('accepted');
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await bob.read()).text);
  expect(got.sort()).toEqual(['1', '2', '3', '4']);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T09: the same where what the other side goes on to write there opens again', async () => {
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'hello');
  await bob.read();
  await bob.client.send('alice', 'hello');
  await alice.read();
  await handsOutAgain(alice);
  // The relay changes three of alice's messages. Bob asks for them on a session that she can't read, and writes there from now on.
  let left = 3;
  network.route = ({ to, bytes }) => {
    const changed = new Uint8Array(bytes);
    if (to.account === 'bob' && left-- > 0) changed[changed.length - 1]! ^= 1;
    return [{ to, bytes: changed }];
  };
  for (const text of ['1', '2', '3']) await (await alice.client.send('bob', text)).until('accepted');
  await alice.seen('undecryptable', ({ code }) => code === 'ERR_KEY_GONE');
  await (await bob.client.send('alice', 'unheard')).until('accepted');
  clock.ms += HOUR + 1;
  await alice.client.send('bob', '4');
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await bob.read()).text);
  expect(got.sort()).toEqual(['1', '2', '3', '4']);
  await bob.client.send('alice', 'heard');
  expect([(await alice.read()).text, (await alice.read()).text].sort()).toEqual(['heard', 'unheard']);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T28: forged first messages for keys that are gone: a few events an hour, and nothing else', async () => {
  const bob = await person('bob', network, clock);
  const bundle = await handsOutAgain(bob);
  const alice = await person('alice', network, clock);
  await bob.client.send('alice', 'hello');
  await alice.read();
  const { bytes: forgedSet, seal } = unknownSet(bundle, bob);
  await network.settled();
  const rows = bob.store.content();
  const sent = network.sent.length;
  const asked = network.fetches.length;
  for (let i = 0; i < 24; i++) {
    clock.ms += 2_000; // a token for a flight
    const peer = evilPeer(i % 2 === 0 ? `nobody ${i}` : 'alice', `forger ${i}`, START);
    expect(await network.inject(bob.address, peer.flight(bundle, peer.text('x')))).toBe(true);
    expect(await network.inject(bob.address, i % 2 === 0 ? forgedSet : seal(testRng(`junk ${i}`)))).toBe(true);
  }
  // Of a set that nobody knows, of an `alice` who isn’t the contact, and of names that nobody has.
  expect(gone(bob)).toHaveLength(sessionLimits.goneReports);
  expect(gone(bob).filter((event) => event.type === 'undecryptable' && event.from === undefined)).toHaveLength(1);
  expect(gone(bob).every((event) => event.type === 'undecryptable' && event.heals === 'never')).toBe(true);
  expect(bob.store.content()).toBe(rows);
  expect([network.sent.length, network.fetches.length]).toEqual([sent, asked]);
  clock.ms += HOUR;
  await network.inject(bob.address, forgedSet);
  expect(gone(bob)).toHaveLength(sessionLimits.goneReports + 1);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T28: what claims to be a contact is told apart from strangers, each contact told once an hour, and the directory asked once', async () => {
  const bob = await person('bob', network, clock);
  const bundle = await handsOutAgain(bob);
  network.answer = (_account, honest) => honest;
  const alice = await person('alice', network, clock);
  await bob.client.send('alice', 'hello');
  await alice.read();
  // Her keys are public: anybody can put them into a first message, and sign what they like.
  const [{ identity }] = (await network.bundles('alice')) as [BundleBytes];
  const forged = (i: number): Uint8Array => withIdentity(evilPeer('alice', `forger ${i}`, START, alice.address.device), bundle, identity);
  const asked = network.fetches.length;
  for (let i = 0; i < 5; i++) {
    clock.ms += 2_000;
    expect(await network.inject(bob.address, forged(i))).toBe(true);
  }
  expect(gone(bob)).toMatchObject([{ from: 'alice', heals: 'needs-person' }]);
  // Who is to write there has to know the device.
  expect(network.fetches.slice(asked)).toEqual(['alice']);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

/** Frames sealed to a set that their recipient does not have. */
function unknownSet({ signedSet }: BundleBytes, { address }: Person) {
  const { sealKey } = parseSignedSet(signedSet);
  const seal = (rng: ReturnType<typeof testRng>): Uint8Array => sealFrame(address, rng(8), sealKey, new Uint8Array(700).fill(0x20), rng);
  return { bytes: seal(testRng('unknown set')), seal };
}

/** A first message of `peer` that carries somebody else's public keys. */
function withIdentity(peer: ReturnType<typeof evilPeer>, bundle: BundleBytes, identity: Uint8Array): Uint8Array {
  const { prefix, ratchetMessage, seal } = peer.initiate(bundle, peer.text('x'));
  const own = peer.device.accountKey.publicKey;
  const at = Buffer.from(prefix).indexOf(own);
  const forged = prefix.slice();
  forged.set(identity.subarray(0, own.length), at);
  return seal(concat(forged, ratchetMessage));
}
