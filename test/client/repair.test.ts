import { beforeEach, describe, expect, test } from 'vitest';
import { decodeFacts, encodeFacts } from '../../src/client/records.js';
import { recoverStore } from '../../src/client/recovery.js';
import { repair } from '../../src/client/repair.js';
import { TransportError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import { NO_SESSIONS, type SessionFacts } from '../../src/session/peer.js';
import type { MessageName } from '../../src/step.js';
import { rowCount, sessionsWith, spoilSessions } from '../helpers/broken-session.js';
import { linked } from '../helpers/devices.js';
import { type Envelope, type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const HOUR = 3_600_000;
const filled = (lengthBytes: number, value: number): Uint8Array => new Uint8Array(lengthBytes).fill(value);
const clock: Clock = { ms: START };
let network: HostileNetwork;
beforeEach(() => {
  clock.ms = START;
  network = hostileNetwork();
});

/** Two people who have answered each other. */
async function talking(options: Parameters<typeof person>[3] = {}): Promise<{ alice: Person; bob: Person }> {
  const alice = await person('alice', network, clock, options);
  const bob = await person('bob', network, clock, options);
  await alice.client.send('bob', 'a');
  await bob.read();
  await bob.client.send('alice', 'b');
  await alice.read();
  await network.settled();
  return { alice, bob };
}
const closed = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));

/** The relay changes a byte of each frame for `account`, `count` times. */
function corrupting(account: string, count: number): void {
  let left = count;
  network.route = (envelope) => [envelope.to.account === account && left-- > 0 ? flipped(envelope) : envelope];
}
function flipped({ to, bytes }: Envelope): Envelope {
  const copy = bytes.slice();
  copy[copy.length - 1]! ^= 1;
  return { to, bytes: copy };
}
async function sendAll(from: Person, to: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) await (await from.client.send(to, text)).until('accepted');
}
/** Texts of the next `count` messages, sorted. */
async function texts(of: Person, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let i = 0; i < count; i++) all.push((await of.read()).text);
  return all.sort();
}

/** Closes a client, spoils its sessions, and opens it again. */
async function spoilt(who: Person, seed: string, options: Parameters<typeof person>[3] = {}): Promise<Person> {
  await who.client.close();
  await spoilSessions(who.store);
  return person(who.account, network, clock, { ...options, store: who.store, seed });
}

describe('a broken session mends by itself', () => {
  test('three genuine messages changed by the relay: told once, and all of them arrive once', async () => {
    const { alice, bob } = await talking();
    corrupting('bob', 3);
    await sendAll(alice, 'bob', ['1', '2', '3', '4']);
    expect(await texts(bob, 4)).toEqual(['1', '2', '3', '4']);
    expect(bob.count('undecryptable')).toBe(1);
    expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_DECRYPT', heals: 'by-itself' });
    await alice.seen('sessionEstablished', ({ reason }) => reason === 'healed');
    await bob.client.send('alice', '5');
    expect((await alice.read()).text).toBe('5');
    await sendAll(alice, 'bob', ['6']);
    expect((await bob.read()).text).toBe('6');
    await network.settled();
    expect([bob.client.status, alice.client.status]).toMatchObject([{ unackedCount: 0 }, { unackedCount: 0, queuedCount: 0 }]);
    await closed(alice, bob);
  });

  test.each(['tag', 'sealed'] as const)('a spoilt session row, %s: everything arrives once, on both sides', async (metadata) => {
    const { alice, bob: before } = await talking({ metadata });
    const bob = await spoilt(before, 'bob again', { metadata });
    await sendAll(alice, 'bob', ['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(await texts(bob, 8)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(bob.count('undecryptable')).toBe(1);
    await sendAll(bob, 'alice', ['x']);
    expect((await alice.read()).text).toBe('x');
    await sendAll(alice, 'bob', ['y']);
    expect((await bob.read()).text).toBe('y');
    await closed(alice, bob);
  });

  test.each([
    ['only one may start another', 0],
    ['both may, and both do', HOUR],
  ])('both sides spoilt at once, both writing, and %s: everything arrives once', async (_, passedMs) => {
    const before = await talking();
    clock.ms += passedMs;
    const alice = await spoilt(before.alice, 'alice again');
    const bob = await spoilt(before.bob, 'bob again');
    await Promise.all([sendAll(alice, 'bob', ['1', '2', '3', '4']), sendAll(bob, 'alice', ['5', '6', '7', '8'])]);
    expect(await Promise.all([texts(bob, 4), texts(alice, 4)])).toEqual([
      ['1', '2', '3', '4'],
      ['5', '6', '7', '8'],
    ]);
    await sendAll(bob, 'alice', ['x']);
    expect((await alice.read()).text).toBe('x');
    await sendAll(alice, 'bob', ['y']);
    expect((await bob.read()).text).toBe('y');
    const active = [sessionsWith(alice.store, 'bob'), sessionsWith(bob.store, 'alice')].map((all) =>
      all.flatMap(({ id, status }) => (status === 'active' ? Buffer.from(id).toString('hex') : [])),
    );
    expect(active[0]).toHaveLength(1);
    expect(active[0]).toEqual(active[1]);
    await closed(alice, bob);
  });

  test('a session that was never answered, spoilt an hour after its making: what is asked for is sent again once', async () => {
    const alice = await person('alice', network, clock);
    const before = await person('bob', network, clock);
    await alice.client.send('bob', 'a');
    await before.read();
    clock.ms += HOUR + 1;
    const bob = await spoilt(before, 'bob again');
    await sendAll(alice, 'bob', ['1', '2', '3', '4']);
    expect(await texts(bob, 4)).toEqual(['1', '2', '3', '4']);
    await sendAll(bob, 'alice', ['x']);
    expect((await alice.read()).text).toBe('x');
    await network.settled();
    expect([...alice.dropped(), ...bob.dropped()]).not.toContain('ERR_ARGUMENT');
    await closed(alice, bob);
  });

  test('copies for one’s own other device arrive once, too, and a deleted message leaves none', async () => {
    const { alice: phone, bob } = await talking();
    const before = await linked(phone, network, clock, { seed: 'laptop' });
    await sendAll(phone, 'bob', ['0']);
    expect((await before.read()).text).toBe('0');
    await sendAll(before, 'bob', ['00']);
    expect((await phone.read()).text).toBe('00');
    clock.ms += HOUR;
    const laptop = await spoilt(before, 'laptop again');
    await sendAll(phone, 'bob', ['1', '2', '3', '4']);
    expect(await texts(laptop, 4)).toEqual(['1', '2', '3', '4']);
    expect(laptop.count('undecryptable')).toBe(1);
    await sendAll(phone, 'bob', ['5']);
    expect((await laptop.read()).text).toBe('5');
    const logged = rowCount(phone.store, 'log');
    const sent = await phone.client.send('bob', 'regret');
    await sent.until('accepted');
    expect((await laptop.read()).text).toBe('regret');
    await phone.client.send('bob', { kind: 'deletion', target: sent.id });
    await laptop.read();
    expect(rowCount(phone.store, 'log')).toBe(logged + 2);
    await closed(phone, laptop, bob);
  });

  test('a deletion by one’s own other device that shows that its target may not have come: it is deleted, and not sent again', async () => {
    const { alice: phone, bob } = await talking();
    // The first sessions of the two devices cross each other: one of them wins, and the other is never answered.
    const held: Envelope[] = [];
    network.route = (envelope) => (envelope.to.account === 'alice' ? held.splice(held.length, 0, envelope) : [envelope]);
    const devices = [phone, await linked(phone, network, clock, { seed: 'laptop' })];
    const sent = await Promise.all(devices.map(({ client }) => client.send('bob', `from ${client.device}`)));
    while (devices.some(({ address }) => !held.some(({ to }) => to.device === address.device)))
      await new Promise((turn) => setImmediate(turn));
    network.route = (envelope) => [envelope];
    for (const { to, bytes } of held) await network.inject(to, bytes);
    for (const [i, each] of devices.entries()) expect((await each.read()).id).toBe(sent[1 - i]!.id);
    clock.ms += HOUR + 1;
    for (const [i, { client }] of devices.entries()) {
      const deletion = await client.send('bob', { kind: 'deletion', target: sent[1 - i]!.id });
      expect((await devices[1 - i]!.read()).id).toBe(deletion.id);
    }
    expect(devices.flatMap(({ observations }) => observations.filter((each) => each.kind === 'log' && each.level === 'error'))).toEqual([]);
    await closed(...devices, bob);
  });

  test('what came while the device was away is asked for when it is back', async () => {
    const { alice, bob: before } = await talking();
    await before.client.close();
    await spoilSessions(before.store);
    await sendAll(alice, 'bob', ['1', '2', '3', '4', '5']);
    await alice.client.close();
    const bob = await person('bob', network, clock, { store: before.store, seed: 'bob again' });
    await bob.seen('undecryptable');
    const again = await person('alice', network, clock, { store: alice.store, seed: 'alice again' });
    expect(await texts(bob, 5)).toEqual(['1', '2', '3', '4', '5']);
    await closed(again, bob);
  });

  test('one that failed in a session which goes on is said to be lost, once', async () => {
    const { alice, bob } = await talking();
    corrupting('bob', 1);
    await sendAll(alice, 'bob', ['lost', 'next', 'and next']);
    expect([(await bob.read()).text, (await bob.read()).text]).toEqual(['next', 'and next']);
    const { reference } = (await bob.seen('undecryptable')) as { reference: string };
    expect(bob.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([
      { from: 'alice', code: 'ERR_DECRYPT', heals: 'never' },
    ]);
    expect(await bob.client.diagnose(reference)).toMatchObject({ cause: 'ERR_DECRYPT', heals: 'never' });
    await closed(alice, bob);
  });

  test('whoever may not be written to is asked for nothing: a person is needed', async () => {
    const { alice, bob: before } = await talking();
    await before.client.close();
    const bob = await person('bob', network, clock, { store: before.store, seed: 'bob again', trust: 'pinned-only' });
    corrupting('bob', 3);
    await sendAll(alice, 'bob', ['1', '2', '3']);
    expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_DECRYPT', heals: 'needs-person' });
    expect(rowCount(bob.store, 'pending')).toBe(0);
    await closed(alice, bob);
  });

  test('a device that restarts between the failures counts on', async () => {
    const { alice, bob: before } = await talking();
    corrupting('bob', 3);
    await sendAll(alice, 'bob', ['1', '2']);
    await network.settled();
    await before.client.close();
    const bob = await person('bob', network, clock, { store: before.store, seed: 'bob again' });
    await sendAll(alice, 'bob', ['3']);
    expect(await texts(bob, 3)).toEqual(['1', '2', '3']);
    await closed(alice, bob);
  });

  test('beyond the limits nothing is on the wire, what is written is held, and both go by themselves once there may be a session', async () => {
    const { alice, bob } = await talking();
    corrupting('bob', 3);
    await sendAll(alice, 'bob', ['1', '2', '3']);
    expect(await texts(bob, 3)).toEqual(['1', '2', '3']);
    await network.settled();
    // The same once more within the hour.
    corrupting('bob', 3);
    const sentBefore = network.sent.length;
    await sendAll(alice, 'bob', ['4', '5', '6']);
    await bob.seen('undecryptable', () => bob.count('undecryptable') === 2);
    const held = await bob.client.send('alice', '7');
    await expect(held.until('accepted')).rejects.toMatchObject({ code: 'ERR_SESSION_DEAD' });
    await network.settled();
    expect(network.sent.slice(sentBefore).filter(({ to }) => to.account === 'alice')).toEqual([]);
    clock.ms += HOUR;
    network.cut(bob.address);
    expect((await alice.read()).text).toBe('7');
    expect(await texts(bob, 3)).toEqual(['4', '5', '6']);
    await closed(alice, bob);
  });
});

describe('what was asked for and did not come', () => {
  test('a request that was lost is made again after an hour, when the other side still writes on the broken session', async () => {
    const { alice, bob } = await talking();
    network.route = (envelope) => (envelope.to.account === 'bob' ? [flipped(envelope)] : []);
    await sendAll(alice, 'bob', ['1', '2', '3', '4', '5']);
    await bob.seen('undecryptable');
    await network.settled();
    clock.ms += HOUR - 1;
    await sendAll(alice, 'bob', ['6']);
    await network.settled();
    const requests = (): number => network.sent.filter(({ to }) => to.account === 'alice').length;
    const before = requests();
    clock.ms += 1;
    corrupting('bob', 1);
    await sendAll(alice, 'bob', ['7']);
    expect(await texts(bob, 7)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    expect(requests()).toBe(before + 1);
    expect(bob.count('undecryptable')).toBe(1);
    await closed(alice, bob);
  });

  test('more than 64 that failed: the first 64 come again, the rest is lost, and the conversation goes on', {
    timeout: 60_000,
  }, async () => {
    const { alice, bob: before } = await talking();
    await before.client.close();
    await spoilSessions(before.store);
    for (let i = 0; i < 70; i++) await (await alice.client.send('bob', `${100 + i}`)).until('accepted');
    await alice.client.close();
    const bob = await person('bob', network, clock, { store: before.store, seed: 'bob again' });
    await bob.observed(() => bob.dropped().length === 70);
    const again = await person('alice', network, clock, { store: alice.store, seed: 'alice again' });
    expect(await texts(bob, 64)).toEqual(Array.from({ length: 64 }, (_, i) => `${100 + i}`));
    await sendAll(again, 'bob', ['on']);
    expect((await bob.read()).text).toBe('on');
    await closed(again, bob);
  });

  test('one or two that failed on a session which was replaced for another reason are asked for, too', async () => {
    const { alice, bob } = await talking();
    corrupting('bob', 2);
    await sendAll(alice, 'bob', ['1', '2']);
    await network.settled();
    expect(bob.count('undecryptable')).toBe(0);
    // The other side has a reason of its own, and may start a session again.
    clock.ms += HOUR;
    await alice.client.close();
    await spoilSessions(alice.store);
    const again = await person('alice', network, clock, { store: alice.store, seed: 'alice again' });
    await sendAll(bob, 'alice', ['3', '4', '5']);
    expect(await texts(again, 3)).toEqual(['3', '4', '5']);
    expect(await texts(bob, 2)).toEqual(['1', '2']);
    expect(bob.events.filter(({ type }) => type === 'undecryptable')).toMatchObject([{ from: 'alice', heals: 'by-itself' }]);
    await closed(again, bob);
  });
});

test('what failed once on a session with a device that its account has no more is told to be lost, once', async () => {
  const { alice, bob } = await talking();
  corrupting('bob', 1);
  await sendAll(alice, 'bob', ['1']);
  await network.settled();
  await alice.client.close();
  clock.ms += 60_000;
  await recoverStore(alice.store, { directory: network.directory, rng: testRng('recovered'), now: () => clock.ms });
  const recovered = await person('alice', network, clock, { store: alice.store, seed: 'alice recovered' });
  await sendAll(recovered, 'bob', ['2']);
  expect((await bob.read()).text).toBe('2');
  expect(bob.count('undecryptable')).toBe(0);
  await bob.client.close();

  const later = await person('bob', network, clock, { store: bob.store, seed: 'bob later' });
  await later.seen('undecryptable');
  await later.client.close();
  const last = await person('bob', network, clock, { store: bob.store, seed: 'bob last' });
  await sendAll(recovered, 'bob', ['3']);
  expect((await last.read()).text).toBe('3');
  expect([...later.events, ...last.events].filter(({ type }) => type === 'undecryptable')).toMatchObject([
    { from: 'alice', code: 'ERR_DECRYPT', heals: 'never' },
  ]);
  await closed(recovered, last);
});

describe('of what failed in a session that is over', () => {
  const name = (n: number): MessageName => ({ tag: new Uint8Array(16), n });
  const facts = { initiatedByUs: false, createdAtMs: 1, answeredAtMs: 1, retiredAtMs: 0, suspect: false, askedAtMs: 1 } as const;
  const idle = { ...facts, dead: false, failed: [name(9)], askedCount: 0 };
  const broken: SessionFacts = {
    ...idle,
    id: filled(16, 1),
    status: 'archived',
    dead: true,
    failed: [name(1), name(2), name(3)],
    askedCount: 2,
  };
  const active: SessionFacts = { ...idle, id: filled(16, 2), status: 'active' };
  const peer = { ...NO_SESSIONS, sessions: [active, broken] };
  const owner = { account: 'alice', accountKeyHash: filled(64, 3), deviceKeyHash: filled(64, 4) };
  const alone = (isSendable = true, log = {}) => {
    const contact = { pin: owner.accountKeyHash, devices: [{ keyHash: owner.deviceKeyHash }] };
    const contacts = { load: async () => contact, isSendable: () => isSendable, onVerified() {} };
    const what = (said: unknown) => ({ writes: [], committed() {}, said });
    const outbox = { post: (_: string, control: unknown) => what(control) };
    return repair({ now: () => START } as never, contacts as never, {} as never, { report: what } as never, log as never, outbox as never);
  };

  test('only that is asked for which was not asked for', async () => {
    const { requests, peer: after } = await alone().heard(owner as never, peer, peer, active.id);
    expect(requests).toMatchObject([{ said: { t: 'retry', session: broken.id, missing: [name(3)] } }]);
    expect(after.sessions).toMatchObject([{ askedCount: 0 }, { askedCount: 3, askedAtMs: START }]);
  });

  test('nothing is asked for where nothing may be written', async () => {
    const { requests, peer: after } = await alone(false).heard(owner as never, peer, peer, active.id);
    expect([requests, after]).toEqual([[], peer]);
  });

  test('with a request for 60 messages come four of what the device seems not to have, then what is left, and no more', async () => {
    const taken: number[][] = [];
    const log = {
      namesIn: () => [9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map(name),
      async take(_reader: unknown, _session: unknown, names: readonly MessageName[]) {
        taken.push(names.map(({ n }) => n));
        return [];
      },
    };
    const lost: SessionFacts = { ...broken, id: filled(16, 5), initiatedByUs: true, answeredAtMs: null, failed: [], askedCount: 0 };
    const all = { ...NO_SESSIONS, sessions: [{ ...active, failed: [] }, lost] };
    const missing = Array.from({ length: 60 }, (_, n) => name(n));
    const self = alone(true, log);
    const told = { t: 'retry', session: filled(16, 6), missing } as const;
    for (const said of [told, undefined, undefined])
      for (const { committed } of (await self.heard(owner as never, all, all, active.id, said)).requests) committed();
    expect(taken).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7, 8, 9],
    ]);
  });

  test('what was told when the session broke is not told again once the device is gone', () => {
    const { requests, peer: after } = alone().losses(owner, peer);
    expect(requests).toMatchObject([{ said: { session: active.id, code: 'ERR_DECRYPT', heals: 'never' } }]);
    expect(alone().losses(owner, after).requests).toEqual([]);
  });
});

test('facts of sessions as stores of before hold them: nothing failed, nothing was asked for', () => {
  const before = { id: new Uint8Array(16), initiatedByUs: true, createdAtMs: 1, status: 'active', retiredAtMs: 0, dead: false };
  const facts = decodeFacts(before);
  expect(facts).toEqual({ ...before, answeredAtMs: null, suspect: false, failed: [], askedCount: 0, askedAtMs: 0 });
  expect(encodeFacts(facts)).toEqual(before);
  const name = { tag: new Uint8Array(16).fill(9), n: 0xffff_ffff };
  const broken = { ...facts, answeredAtMs: 5, suspect: true, failed: [name, { ...name, n: 0 }], askedCount: 1, askedAtMs: 7 };
  expect(decodeFacts(encodeFacts(broken))).toEqual(broken);
  expect(() => decodeFacts({ ...before, failed: [new Uint8Array(19)] })).toThrow(coded('ERR_STORE_CORRUPT'));
});

test('a message that is cancelled is not kept to be sent again', async () => {
  const { alice, bob } = await talking();
  network.route = () => {
    throw new TransportError('ERR_OFFLINE', 'down');
  };
  const before = rowCount(alice.store, 'log');
  const sent = await alice.client.send('bob', 'not meant so');
  expect(rowCount(alice.store, 'log')).toBe(before + 1);
  await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  expect(await sent.cancel()).toBe('cancelled');
  expect(rowCount(alice.store, 'log')).toBe(before);
  await closed(alice, bob);
});

describe('T28: a storm of bad messages', () => {
  test('10,000 of them: one event, one session, a constant number of commits and of rows', { timeout: 120_000 }, async () => {
    const { alice, bob } = await talking();
    const genuine: Uint8Array[] = [];
    network.route = ({ to, bytes }) => {
      if (to.account !== 'bob') return [];
      genuine.push(bytes);
      return [];
    };
    for (let i = 0; i < 100; i++) await (await alice.client.send('bob', `${i}`)).until('accepted');
    expect(genuine).toHaveLength(100);
    const before = { commits: bob.store.commits, rows: bob.store.rows().size, sent: network.sent.length };
    const bytesBefore = [...bob.store.rows().values()].reduce((sum, { length }) => sum + length, 0);
    for (let i = 0; i < 10_000; i++) {
      const frame = genuine[i % 100]!.slice();
      // A tag of no session; a known tag with a header that does not open; a genuine message with another body.
      frame[[4, 60, frame.length - 1 - Math.floor(i / 300)][i % 3]!]! ^= 1 + (i % 255);
      await network.inject(bob.address, frame);
    }
    await network.settled();
    expect(bob.dropped().length).toBeGreaterThanOrEqual(10_000);
    expect(bob.count('undecryptable')).toBe(1);
    expect(sessionsWith(bob.store, 'alice').filter(({ initiatedByUs }) => initiatedByUs)).toHaveLength(1);
    expect(network.sent.slice(before.sent).filter(({ to }) => to.account === 'alice')).toHaveLength(1);
    expect(bob.store.commits - before.commits).toBeLessThan(sessionLimits.requestedMessages + 20);
    expect(bob.store.rows().size - before.rows).toBeLessThan(10);
    const bytes = [...bob.store.rows().values()].reduce((sum, { length }) => sum + length, 0);
    expect(bytes - bytesBefore).toBeLessThan(32_768);
    expect(rowCount(bob.store, 'trouble')).toBe(1);
    // Not one of them kept a genuine message from being read.
    network.route = (envelope) => [envelope];
    for (const frame of genuine) await network.inject(bob.address, frame);
    expect((await texts(bob, 100)).length).toBe(100);
    await closed(alice, bob);
  });
});
