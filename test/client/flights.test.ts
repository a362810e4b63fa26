/** First flights, and seals, that have to wait: for a token, or for what only others can bring about. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { TransportError } from '../../src/errors.js';
import { signDeviceList } from '../../src/identity/account.js';
import { entryOf, generateDeviceKeys } from '../../src/identity/index.js';
import { sessionLimits } from '../../src/limits.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate, sealFrame } from '../../src/pqxdh/handshake.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { startInitiator } from '../../src/ratchet/double.js';
import { encrypt, start } from '../../src/ratchet/triple.js';
import type { BundleBytes } from '../../src/step.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { type EvilPeer, evilPeer } from '../helpers/evil-peer.js';
import { type Person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';
import { type Stepped, stepped } from '../helpers/stepped.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, claimedCount: 6, claimedMessages: 12, unknownFlightsPerMinute: 6 } };
});

const DAY = 86_400_000;
const MINUTE = 60_000;
const KEPT = sessionLimits.claimedCount;
const TOKEN_MS = MINUTE / sessionLimits.unknownFlightsPerMinute;
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
const lookedAt = (): number => alice.observations.filter((record) => record.kind === 'span' && record.name === 'receive').length;
const rng = testRng('flights');
/** What costs a token, and is nothing. */
const junk = (): Uint8Array => {
  const { setId, sealKey } = parseSignedSet(bundle.signedSet);
  return sealFrame(alice.address, setId, sealKey, new Uint8Array(0), rng);
};
const spendTokens = async (): Promise<void> => {
  for (let i = 0; i < sessionLimits.unknownFlightsPerMinute; i++) await inject(junk());
};

/** A contact, and first flights of a second device of its account, which a list of `issuedMs` names. */
async function contact(account: string): Promise<{ peer: EvilPeer; flight(text: string, freshly: boolean): Uint8Array }> {
  const peer = evilPeer(account, account, time.now());
  const { answer } = network;
  network.answer = (asked, honest) => (asked === account ? [peer.published()] : answer(asked, honest));
  await timed(alice.client.contact(account).identity());
  const second = generateDeviceKeys(rng);
  const entries = [entryOf(peer.device), entryOf(second)].sort((a, b) => a.device - b.device);
  const verified = verifyBundle(bundle, undefined, time.now());
  const flight = (text: string, freshly: boolean): Uint8Array => {
    const [version, issuedMs] = freshly ? [6, time.now()] : [5, time.now() - 20 * DAY];
    const deviceList = signDeviceList(peer.device.accountKey, account, entries, START + DAY + version, issuedMs, rng);
    const { secrets, prefix, setId, sealKey } = initiate({ ...peer.device, ...second, deviceList }, verified, 1, rng, time.now());
    const { out } = encrypt(braid, start(braid, secrets, startInitiator(secrets, rng)), peer.text(text), rng);
    return sealFrame(verified.address, setId, sealKey, concat(prefix, out), rng);
  };
  return { peer, flight };
}

beforeEach(async () => {
  world = stepped();
  ({ time, network } = world);
  ({ alice, bob, bundle } = await world.met());
});
afterEach(async () => {
  await timed(Promise.all([alice.client.close(), bob.client.close()]));
  time.end();
});

test('T28: first flights that wait for a fresh list use up no tokens, and keep nothing else from being read', async () => {
  const peers = [await contact('eve 0'), await contact('eve 1'), await contact('eve 2')];
  for (const [i, { flight }] of peers.entries()) {
    for (let n = 0; n < sessionLimits.unlistedFlights; n++) {
      await time.pass(TOKEN_MS);
      expect(await inject(flight(`${i} ${n}`, false))).toBe(false);
    }
  }
  const waiting = peers.length * sessionLimits.unlistedFlights;
  expect([network.unackedCount(alice.address), waiting > KEPT]).toEqual([waiting, true]);
  await time.pass(10 * MINUTE);
  // A new contact is no news of any of them, and neither is a new connection.
  const carol = await open('carol');
  await timed(carol.client.send('alice', 'first'));
  expect(await texts()).toEqual(['first']);
  await time.pass(10 * MINUTE);
  const before = lookedAt();
  network.cut(alice.address);
  await time.pass(10 * MINUTE);
  expect([lookedAt() - before, network.unackedCount(alice.address)]).toEqual([0, waiting]);

  // Where no token is left a seal waits, though so much waits already, and as long as one takes.
  await spendTokens();
  await timed(bob.client.send('alice', 'sealed'));
  expect(await texts()).toEqual([]);
  await time.pass(TOKEN_MS);
  expect(await texts()).toEqual(['sealed']);

  // What waited is read once a fresh list has come, also what was not kept.
  for (const i of [0, 2]) {
    await time.pass(2 * MINUTE);
    await inject(peers[i]!.flight(`${i} fresh`, true));
    await time.pass(2 * MINUTE);
    expect(await texts()).toEqual([`${i} 0`, `${i} 1`, `${i} 2`, `${i} 3`, `${i} fresh`]);
  }
  expect(network.unackedCount(alice.address)).toBe(sessionLimits.unlistedFlights);
  await timed(carol.client.close());
});

test('T28: of what waits for a token a few are kept; the carrier is asked for the others once these were looked at', async () => {
  await spendTokens();
  for (let i = 0; i < 2 * KEPT; i++) await inject(junk());
  await timed(bob.client.send('alice', 'sealed'));
  expect(network.unackedCount(alice.address)).toBe(2 * KEPT + 1);
  // While more come, faster than tokens do: it has its turn behind what came before it.
  for (let i = 0; i < 5 * KEPT; i++) {
    await inject(junk());
    await time.pass(TOKEN_MS / 2);
  }
  expect(await texts()).toEqual(['sealed']);
});

test.each([0, 4])(
  'after %i forged flights under a contact’s name, what the contact says under its true new identity waits for a person',
  async (forged) => {
    const first = evilPeer('eve', 'first', time.now());
    let shown = first;
    const { answer } = network;
    network.answer = (asked, honest) => (asked === 'eve' ? [shown.published()] : answer(asked, honest));
    await timed(alice.client.contact('eve').identity());
    for (let i = 0; i < forged; i++) {
      await time.pass(MINUTE);
      const stranger = evilPeer('eve', `stranger ${i}`, time.now());
      await inject(stranger.flight(bundle, stranger.text('no')));
      await time.settle();
      expect(network.unackedCount(alice.address)).toBe(0);
    }
    await time.pass(60 * MINUTE);
    // Eve begins anew, as with a new phone without a backup: the directory shows it, and she writes.
    shown = evilPeer('eve', 'anew', time.now());
    await inject(shown.flight(bundle, shown.text('it is me')));
    await time.pass(MINUTE);
    const number = await timed(alice.client.contact('eve').safetyNumber());
    await timed(number.accept());
    await time.pass(10 * MINUTE);
    expect(await texts()).toEqual(['it is me']);
  },
);

test('a flight that waited for the directory goes once that knows no such account any more', async () => {
  const first = evilPeer('eve', 'first', time.now());
  let says: 'pin' | 'down' | 'nobody' = 'pin';
  const { answer } = network;
  network.answer = (asked, honest) => {
    if (asked !== 'eve') return answer(asked, honest);
    if (says === 'down') throw new TransportError('ERR_OFFLINE', 'down');
    return says === 'pin' ? [first.published()] : [];
  };
  await timed(alice.client.contact('eve').identity());
  says = 'down';
  const stranger = evilPeer('eve', 'stranger', time.now());
  expect(await inject(stranger.flight(bundle, stranger.text('no')))).toBe(false);
  says = 'nobody';
  for (let i = 0; i < 5; i++) await time.pass(60 * MINUTE);
  expect(network.unackedCount(alice.address)).toBe(0);
});

test('what waits for room is looked at once what took it has disappeared', async () => {
  const mallory = evilPeer('mallory', 'mallory', time.now());
  const published = mallory.published();
  const { answer } = network;
  network.answer = (asked, honest) =>
    asked === 'mallory' ? [{ ...published, signedSet: published.signedSet.slice(1) }] : answer(asked, honest);
  const said = (text: string): Uint8Array => mallory.raw(encodeMsgpack({ t: 'text', at: time.now(), text, x: 5_000, o: 1 }));
  await inject(mallory.flight(bundle, said('0')));
  for (let i = 1; i < sessionLimits.claimedMessages; i++) await inject(mallory.next(said(`${i}`)));
  const carol = await open('carol');
  await timed(carol.client.send('alice', 'first'));
  expect(await texts()).toEqual([]);
  for (let i = 0; i < 6; i++) await time.pass(60 * MINUTE);
  network.cut(alice.address);
  for (let i = 0; i < 3; i++) await time.pass(60 * MINUTE);
  const got = await texts();
  await timed(carol.client.close());
  expect(got).toEqual(['first']);
});
