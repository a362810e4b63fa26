/** What an authentic peer may write: nothing of it stays with the relay, to come again for ever, or changes what is not its to change. */

import { beforeEach, describe, expect, test } from 'vitest';
import { encodeHello } from '../../src/client/content.js';
import { encodeControl } from '../../src/client/control.js';
import { TransportError } from '../../src/errors.js';
import { decrypt } from '../../src/ratchet/ratchet.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { rowCount, sessionsWith } from '../helpers/broken-session.js';
import { type EvilPeer, evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';

const clock: Clock = { ms: START };
let network: HostileNetwork;
let alice: Person;
let mallory: EvilPeer;

const hello = (more: object = {}, incarnation = 3): Uint8Array =>
  encodeHello({ incarnation: new Uint8Array(16).fill(incarnation), replaces: [], ...more });
const flight = async (of: EvilPeer, payload: Uint8Array): Promise<boolean> => {
  const [bundle] = await network.bundles('alice');
  return network.inject(alice.address, of.flight(bundle!, of.raw(payload, 'control')));
};
const next = (payload: Uint8Array, kind: 'app' | 'control'): Promise<boolean> =>
  network.inject(alice.address, mallory.next(mallory.raw(payload, kind)));
const kept = (): number => alice.observations.filter((record) => record.kind === 'log' && record.event === 'envelope-kept').length;

beforeEach(async () => {
  clock.ms = START;
  network = hostileNetwork();
  network.route = (envelope) => (envelope.to.account === 'mallory' ? [] : [envelope]);
  mallory = evilPeer('mallory', 'mallory', START);
  network.answer = (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
  alice = await person('alice', network, clock);
  await flight(mallory, hello());
  await alice.client.contact('mallory').identity();
  await (await alice.client.send('mallory', 'hi')).until('accepted');
  return async () => alice.client.close();
});

const VALUES: readonly unknown[] = [
  ...[null, 7, -1, 1.5, 2n ** 60n, 'x', '', true, [], [null], [[null]], {}, { a: null }],
  ...[0, 3, 16].map((length) => new Uint8Array(length)),
  ...[[new Uint8Array(16)], [{ tag: new Uint8Array(16), n: 1 }], [{ tag: null, n: 1 }], Array(300).fill(new Uint8Array(16))],
];
const FIELDS: Readonly<Record<string, unknown>> = {
  ...{ to: 'x', id: new Uint8Array(16), app: new Uint8Array(3), session: new Uint8Array(16), incarnation: new Uint8Array(16) },
  ...{ missing: [], entries: [], delivered: [], read: [], replaces: [], control: new Uint8Array(1), key: new Uint8Array(1984) },
  ...{ list: new Uint8Array(4000), set: new Uint8Array(6000), text: 'x', bytes: new Uint8Array(1), type: 't', data: 1, fallback: 'x' },
  ...{ target: new Uint8Array(16), emoji: 'x', disappearAfterMs: 60_000 },
};
const pick = (fields: readonly string[]): Record<string, unknown> => Object.fromEntries(fields.map((field) => [field, FIELDS[field]]));

describe('T40: whatever stands in authentic content, its envelope does not come again', () => {
  test.each([
    ['control content', ['control', { copy: ['to', 'id', 'app'], keys: ['list', 'key', 'set'], retry: ['session', 'missing'] }]],
    ['control content', ['control', { contacts: ['entries'], receipts: ['delivered', 'read'], hello: ['incarnation', 'replaces'] }]],
    ['application content', ['app', { text: ['text'], bytes: ['bytes'], app: ['type', 'data', 'fallback'], edit: ['target', 'text'] }]],
    ['application content', ['app', { reaction: ['target', 'emoji'], deletion: ['target'], timer: ['disappearAfterMs'] }]],
  ] as const)(
    '%s: every type in every field',
    async (_name, [kind, kinds]) => {
      const bad: string[] = [];
      const attempt = async (name: string, payload: Uint8Array): Promise<void> => {
        if (!(await next(payload, kind)) || kept() > 0) bad.push(name);
      };
      for (const value of VALUES) await attempt('as a whole', encodeMsgpack(value as never));
      for (const [t, fields] of Object.entries(kinds as Readonly<Record<string, readonly string[]>>)) {
        for (const field of kind === 'app' ? [...fields, 'at', 'o', 'x'] : fields) {
          for (const value of VALUES) await attempt(`${t}.${field}`, encodeMsgpack({ t, at: 1, ...pick(fields), [field]: value } as never));
        }
      }
      expect(bad).toEqual([]);
    },
    120_000,
  );

  test('a hello with control content that is none', async () => {
    expect(await flight(mallory, hello({ control: new Uint8Array([0xc0]) }))).toBe(true);
    expect(kept()).toBe(0);
  });

  test('keys of other lengths', async () => {
    const { signedSet: set } = mallory.published();
    const { deviceList: list } = mallory.device;
    expect(await next(encodeControl({ t: 'keys', list, key: new Uint8Array(3), set }), 'control')).toBe(true);
    expect(kept()).toBe(0);
  });
});

test('a hello whose message is of a newer kind still starts its session, and the message is said to be unreadable', async () => {
  await flight(mallory, hello({ app: encodeMsgpack({ t: 'poll', at: 1 }) }, 9));
  expect(alice.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([{ from: 'mallory', code: 'ERR_VERSION' }]);
  // The peer has lost its state: what is written now goes out on its new session.
  const before = network.sent.length;
  await (await alice.client.send('mallory', 'do you hear me?')).until('accepted');
  expect(() => decrypt(mallory.state(), network.sent.slice(before).at(-1)!.bytes)).not.toThrow();
});

test('what sets a timer is shown, whatever it says of itself; one that nobody could read in time is refused', async () => {
  const payload = (disappearAfterMs: number): Uint8Array =>
    encodeMsgpack({ t: 'timer', at: 1, disappearAfterMs, o: 2_000_000_000, x: disappearAfterMs });
  await next(payload(5_000), 'app');
  clock.ms += 6_000;
  expect((await alice.readAll()).map(({ content }) => content.kind)).toEqual(['timer']);
  await next(payload(1), 'app');
  expect(await alice.readAll()).toEqual([]);
  expect(alice.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([{ code: 'ERR_DECODE' }]);
});

test('T32: an old device says its keys again: what a person has to decide about its account stays so', async () => {
  const other = evilPeer('mallory', 'the new mallory', START + 5, 4);
  network.answer = (account, honest) => (account === 'mallory' ? [other.published()] : honest);
  await flight(other, hello());
  await alice.seen('identityChanged');
  network.answer = () => Promise.reject(new Error('offline'));
  const { signedSet: set } = mallory.published();
  const { deviceList: list, deviceKey } = mallory.device;
  await next(encodeControl({ t: 'keys', list, key: deviceKey.publicKey, set }), 'control');
  expect(await alice.client.contact('mallory').identity()).toMatchObject({ trust: 'changed' });
});

test('a flight of an incarnation that the peer has lost since, kept back by the relay: what is written goes on to the session that it has', async () => {
  const [bundle] = await network.bundles('alice');
  const kept = mallory.flight(bundle!, mallory.raw(hello(), 'control'));
  await flight(mallory, hello({}, 9));
  const current = sessionsWith(alice.store, 'mallory').find(({ status }) => status === 'active');
  clock.ms += 20 * 86_400_000;
  expect(await network.inject(alice.address, kept)).toBe(true);
  expect(sessionsWith(alice.store, 'mallory')).toHaveLength(3);
  await (await alice.client.send('mallory', 'still there?')).until('accepted');
  expect(sessionsWith(alice.store, 'mallory').find(({ status }) => status === 'active')?.id).toEqual(current?.id);
});

describe('content that can’t be read, over and over', () => {
  const poll = encodeMsgpack({ t: 'poll', at: 1 });

  test('of a contact: said once an hour', async () => {
    for (let i = 0; i < 30; i++) await next(poll, 'app');
    expect(alice.count('undecryptable')).toBe(1);
    clock.ms += 3_600_000;
    await next(poll, 'app');
    expect([alice.count('undecryptable'), rowCount(alice.store, 'trouble')]).toEqual([2, 2]);
  });

  test('of senders whom nobody has confirmed: said, and no row is written', async () => {
    network.answer = () => Promise.reject(new TransportError('ERR_OFFLINE', 'no directory'));
    for (const name of ['one', 'two', 'three']) {
      const stranger = evilPeer(name, name, START);
      await flight(stranger, hello({ app: poll }));
      await network.inject(alice.address, stranger.next(stranger.raw(poll)));
    }
    expect([alice.count('undecryptable'), rowCount(alice.store, 'trouble')]).toEqual([3, 0]);
  });
});
