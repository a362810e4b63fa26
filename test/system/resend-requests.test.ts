import { beforeEach, describe, expect, test } from 'vitest';
import { encodeHello } from '../../src/client/content.js';
import { encodeControl } from '../../src/client/control.js';
import { signDeviceList } from '../../src/identity/account.js';
import { entryOf, generateDevice } from '../../src/identity/device.js';
import { sessionLimits } from '../../src/limits.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { MessageName } from '../../src/step.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';
import { rowCount, sessionsWith } from '../helpers/broken-session.js';
import { type EvilPeer, evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const clock: Clock = { ms: START };
let network: HostileNetwork;
let alice: Person;
let mallory: EvilPeer;
let text: string;

/** What alice sent to mallory's account, in order. */
const toMallory = (): Uint8Array[] => network.sent.flatMap(({ to, bytes }) => (to.account === 'mallory' ? [bytes] : []));
const aliceBundle = async () => (await network.bundles('alice'))[0]!;
const request = (session: Uint8Array, missing: readonly unknown[]): Uint8Array => encodeControl({ t: 'retry', session, missing } as never);
/** A new session of mallory's whose hello carries `control`. */
const flight = async (control: Uint8Array, peer = mallory): Promise<void> => {
  const hello = encodeHello({ incarnation: new Uint8Array(16).fill(3), replaces: [], control });
  await network.inject(alice.address, peer.flight(await aliceBundle(), peer.raw(hello, 'control')));
};
/** Waits until alice has done what she does: a message of hers to somebody else comes after. */
async function quiet(): Promise<void> {
  await network.settled();
  while (rowCount(alice.store, 'pending') + rowCount(alice.store, 'outbox') > 0) await new Promise((resolve) => setImmediate(resolve));
}
const nameOf = (frame: Uint8Array, n: number): MessageName => ({ tag: frame.slice(4, 20), n });

/** Mallory has a pinned account, a session with alice, and two messages of hers on it. */
beforeEach(async () => {
  clock.ms = START;
  network = hostileNetwork();
  network.route = (envelope) => (envelope.to.account === 'mallory' ? [] : [envelope]);
  mallory = evilPeer('mallory', 'mallory', START);
  network.answer = async (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
  alice = await person('alice', network, clock);
  const hello = encodeHello({ incarnation: new Uint8Array(16).fill(3), replaces: [], app: undefined });
  await network.inject(alice.address, mallory.flight(await aliceBundle(), mallory.raw(hello, 'control')));
  text = 'for mallory alone';
  await alice.client.contact('mallory').identity();
  for (let i = 0; i < 2; i++) await (await alice.client.send('mallory', text)).until('accepted');
  return async () => alice.client.close();
});

describe('T28: requests to send again', () => {
  test('what was sent is sent again on the new session, under its id', async () => {
    const [first] = toMallory();
    const { id } = sessionsWith(alice.store, 'mallory')[0]!;
    await flight(request(id, [nameOf(first!, 0), nameOf(first!, 1)]));
    await quiet();
    expect(toMallory()).toHaveLength(4);
    expect(new Set(toMallory().map((frame) => Buffer.from(frame.subarray(4, 20)).toString('hex'))).size).toBe(2);
  });

  test('a flood of them costs three transmissions of each message', async () => {
    for (let round = 0; round < 6; round++) {
      // Each names every answer so far, on whatever session, and is said fifty times.
      const tags = [...new Set(toMallory().map((frame) => Buffer.from(frame.subarray(4, 20)).toString('hex')))];
      const missing = tags.flatMap((tag) => [0, 1, 2, 3].map((n) => ({ tag: new Uint8Array(Buffer.from(tag, 'hex')), n }))).slice(-64);
      const active = sessionsWith(alice.store, 'mallory').find(({ status }) => status === 'active')!;
      await flight(request(active.id, missing));
      await quiet();
      for (const { id } of sessionsWith(alice.store, 'mallory')) {
        for (let i = 0; i < 10; i++) await network.inject(alice.address, mallory.next(mallory.raw(request(id, missing), 'control')));
      }
      await quiet();
    }
    expect(toMallory()).toHaveLength(2 + 2 * sessionLimits.resendCount);
  });

  test('nothing for messages to somebody else, nor for what was never sent', async () => {
    const bob = await person('bob', network, clock);
    await (await alice.client.send('bob', 'for bob alone')).until('accepted');
    await bob.read();
    await bob.client.send('alice', 'x');
    await alice.read();
    await (await alice.client.send('bob', 'for bob alone, again')).until('accepted');
    await bob.read();
    const frame = network.sent.filter(({ to }) => to.account === 'bob').at(-1)!.bytes;
    const [session] = sessionsWith(alice.store, 'bob');
    await flight(request(session!.id, [nameOf(frame, 0), nameOf(frame, 1)]));
    await flight(request(sessionsWith(alice.store, 'mallory')[0]!.id, [nameOf(frame, 0)]));
    await quiet();
    expect(toMallory()).toHaveLength(2);
    expect(sessionsWith(alice.store, 'bob')).toEqual([{ ...session, dead: false, suspect: false }]);
    await bob.client.close();
  });

  test('malformed ones are void: more than 64 names, names of other lengths, no session', async () => {
    const [first] = toMallory();
    const { id } = sessionsWith(alice.store, 'mallory')[0]!;
    const name = nameOf(first!, 0);
    const all = Array.from({ length: sessionLimits.requestedMessages + 1 }, (_, n) => nameOf(first!, n));
    const wrong: [Uint8Array, unknown[]][] = [
      [id, all],
      [id.slice(1), [name]],
      [id, [{ ...name, tag: name.tag.slice(1) }]],
      [id, [{ ...name, n: -1 }]],
      [id, [{ ...name, n: 2 ** 32 }]],
      [id, [{ ...name, n: 'x' }]],
      [id, [7]],
    ];
    for (const [session, missing] of wrong) {
      await flight(request(session, missing));
      expect(sessionsWith(alice.store, 'mallory').some(({ dead }) => dead)).toBe(false);
    }
    // One about the session in which it comes itself, too.
    const own = sessionsWith(alice.store, 'mallory').find(({ status }) => status === 'active')!;
    await network.inject(alice.address, mallory.next(mallory.raw(request(own.id, [name]), 'control')));
    await quiet();
    expect(alice.observations.filter((record) => record.kind === 'log' && record.event === 'control-void')).toHaveLength(wrong.length + 1);
    expect(toMallory()).toHaveLength(2);
    expect(sessionsWith(alice.store, 'mallory').some(({ dead }) => dead)).toBe(false);
  });

  test('nothing for somebody whom no pin confirms', async () => {
    const [first] = toMallory();
    const session = sessionsWith(alice.store, 'mallory')[0]!.id;
    network.answer = () => Promise.reject(new TypeError('fetch failed'));
    await flight(request(session, [nameOf(first!, 0)]), evilPeer('carol', 'carol', START));
    await quiet();
    expect(toMallory()).toHaveLength(2);
    expect(network.sent.some(({ to }) => to.account === 'carol')).toBe(false);
    expect(rowCount(alice.store, 'log')).toBe(2);
  });

  test('nothing for a device that was replaced', async () => {
    const [first] = toMallory();
    const { id } = sessionsWith(alice.store, 'mallory')[0]!;
    const { device } = mallory;
    const drawn = generateDevice('mallory', testRng('other device'), START);
    const list = signDeviceList(device.accountKey as never, 'mallory', [entryOf(drawn)], START + 5, START, testRng('list'));
    const other = { ...drawn, accountKey: device.accountKey, deviceList: list };
    const { address, identity, signedSet } = generatePrekeys(other, testRng('other prekeys'), START).out;
    network.answer = async (account, honest) => (account === 'mallory' ? [{ address, identity, signedSet }] : honest);
    // It speaks of a newer list, so that alice asks for it.
    const said = {
      messageId: new Uint8Array(16).fill(1),
      ownListVersion: START + 5,
      peerListVersion: START,
      ownListHash: new Uint8Array(8),
    };
    const payload = encodeControl({ t: 'retry', session: id, missing: [] });
    await network.inject(alice.address, mallory.next(encodePlaintext({ ...said, kind: 'control', payload })));
    await alice.seen('devicesChanged');
    expect((await alice.client.contact('mallory').identity()).devices).toEqual([other.device]);
    const before = alice.dropped().length;
    for (let i = 0; i < 3; i++) await network.inject(alice.address, mallory.next(mallory.raw(request(id, [nameOf(first!, 0)]), 'control')));
    await quiet();
    expect(toMallory()).toHaveLength(2);
    expect(alice.dropped().slice(before)).toEqual(Array(3).fill('ERR_DEVICE_UNTRUSTED'));
    expect(alice.count('undecryptable')).toBe(1);
  });
});
