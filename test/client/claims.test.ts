import { expect, test, vi } from 'vitest';
import { claims } from '../../src/client/claims.js';
import { encodeHello } from '../../src/client/content.js';
import { mutex } from '../../src/client/platform.js';
import { TransportError, TrustError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import type { BundleBytes } from '../../src/step.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Write } from '../../src/store/port.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { spoilSessions } from '../helpers/broken-session.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type Envelope, type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { counted, glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const HOUR = 3_600_000;
const FLOOD = 150;
const BOUND = sessionLimits.claimedCount;

/** How many rows there are of each kind. */
function rowCounts({ store }: Pick<Person, 'store'>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const key of store.rows().keys()) {
    const [space] = JSON.parse(key) as [string];
    counts[space] = (counts[space] ?? 0) + 1;
  }
  return counts;
}

/** A store that remembers each commit, and refuses those that `refuses`. */
function watchedStore() {
  const inner = memoryStore();
  const commits: (readonly Write[])[] = [];
  const watch = { commits, refuses: (_writes: readonly Write[]): boolean => false, store: glassStore(inner) };
  const base = watch.store.commit;
  watch.store.commit = async (writes) => {
    if (watch.refuses(writes)) throw new Error('no');
    commits.push(writes.map((write) => ({ ...write })));
    await base(writes);
  };
  return watch;
}

const flight = (bundle: BundleBytes, account: string, seed = account): { bytes: Uint8Array; peer: ReturnType<typeof evilPeer> } => {
  const peer = evilPeer(account, seed, START);
  return { peer, bytes: peer.flight(bundle, peer.text(`I am ${account}`)) };
};
const unreachable: HostileNetwork['answer'] = () => Promise.reject(new TransportError('ERR_OFFLINE', 'no directory'));
const asks = (who: Person, count: number): Promise<unknown> =>
  who.observed(
    (record) =>
      record.kind === 'log' &&
      record.event === 'claim-unconfirmed' &&
      who.observations.filter((other) => other.kind === 'log' && other.event === 'claim-unconfirmed').length >= count,
  );

test('T28: a flood of names that nobody has leaves nothing but the marks of its flights, and a first contact gets through', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  await network.publication('bob', 1);
  await counted(bob, clock.ms);
  const { generation: _generation, publish: _publish, ...before } = rowCounts(bob);
  for (let i = 0; i < FLOOD; i++) {
    clock.ms += 2_000; // a token for a flight
    expect(await network.inject(bob.address, flight(bundle, `nobody ${i}`).bytes)).toBe(true);
    if (i !== FLOOD / 2) continue;
    clock.ms += 2_000;
    await alice.client.send('bob', 'it is really me');
    expect(await bob.read()).toMatchObject({ text: 'it is really me', from: alice.address });
  }
  await asks(bob, FLOOD);
  expect(await bob.readAll()).toEqual([]);
  const { generation: _after, publish: _published, seen, ...left } = rowCounts(bob);
  expect(seen).toBe(FLOOD + 1);
  // Alice’s: a session with its two tags, a peer, a contact with its device, and the id of her message.
  expect(left).toEqual({
    ...before,
    session: 1,
    tag: left['tag'],
    peer: 1,
    contact: 1,
    'contact-device': 1,
    got: 1,
    talk: 1,
  });
  expect(left['tag']).toBeLessThanOrEqual(2);
  expect(bob.client.status).toMatchObject({ unackedCount: 0 });
  expect(bob.count('undecryptable')).toBe(FLOOD);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test(`while the directory can’t be reached ${BOUND} claimed sessions are kept, the newest, also over a restart`, async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const watch = watchedStore();
  const bob = await person('bob', network, clock, { store: watch.store });
  const alice = await person('alice', network, clock);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  network.answer = (account, honest) => (account === 'bob' ? honest : unreachable(account, honest));
  const bounded = (who: Person): void => {
    const { session, claimed, peer, inbox, got, tag } = rowCounts(who);
    expect({ session, claimed, peer, inbox, got }).toEqual({ session: BOUND, claimed: BOUND, peer: BOUND, inbox: BOUND, got: BOUND });
    expect(tag).toBeLessThanOrEqual(BOUND * 2);
  };
  const early = flight(bundle, 'early');
  await network.inject(bob.address, early.bytes);
  for (let i = 0; i < BOUND + 20; i++) {
    clock.ms += 2_000;
    expect(await network.inject(bob.address, flight(bundle, `somebody ${i}`).bytes)).toBe(true);
  }
  bounded(bob);
  expect(bob.client.status).toMatchObject({ unackedCount: BOUND });
  // The first one's session is gone, whole and at once, and what it says now is dropped.
  const dropping = watch.commits.find((writes) => writes.some(({ key, value }) => key[0] === 'session' && value === null))!;
  const gone = dropping.filter(({ value }) => value === null).map(({ key }) => key[0]!);
  expect(new Set(gone)).toEqual(new Set(['session', 'claimed', 'tag', 'peer', 'inbox', 'got']));
  expect(await network.inject(bob.address, early.peer.next(early.peer.text('still there')))).toBe(true);
  expect(bob.dropped()).toEqual(['ERR_NO_SESSION']);
  expect(await network.inject(bob.address, early.bytes)).toBe(true);
  expect(bob.dropped().at(-1)).toBe('ERR_DUPLICATE');
  expect(bob.events.find(({ type }) => type === 'undecryptable')).toMatchObject({ from: 'early', code: 'ERR_DEVICE_UNTRUSTED' });
  await bob.client.close();

  const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
  clock.ms += 2_000;
  const last = flight(bundle, 'last');
  expect(await network.inject(again.address, last.bytes)).toBe(true);
  bounded(again);
  expect(again.events.find(({ type }) => type === 'undecryptable')).toMatchObject({ from: 'somebody 20' });
  // The directory answers again: it knows one of them, and alice, who writes now.
  network.answer = (account, honest) => (account === 'last' ? [last.peer.published()] : honest);
  clock.ms += 2_000;
  await alice.client.send('bob', 'hello');
  expect(await again.read()).toMatchObject({ text: 'hello' });
  network.cut(again.address);
  expect(await again.read()).toMatchObject({ text: 'I am last', from: { account: 'last' } });
  expect(await again.readAll()).toEqual([]);
  const { session, claimed, peer, inbox, got } = rowCounts(again);
  expect({ session, claimed, peer, inbox, got }).toEqual({ session: 2, claimed: undefined, peer: 2, inbox: undefined, got: 2 });
  await network.inject(again.address, last.peer.next(last.peer.text('and on')));
  expect((await again.read()).text).toBe('and on');
  await Promise.all([alice.client.close(), again.client.close()]);
});

test('several flights of one device: bounded, and gone together', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  let tell = (): void => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  network.answer = async (account, honest) => {
    if (account !== 'bob') await told;
    return honest;
  };
  const mallory = evilPeer('mallory', 'many', START);
  await network.inject(bob.address, flight(bundle, 'patient').bytes);
  for (let i = 0; i < BOUND; i++) {
    clock.ms += 2_000;
    expect(await network.inject(bob.address, mallory.flight(bundle, mallory.text(`${i}`)))).toBe(true);
  }
  // Only the sessions that are kept of a device count: the other's is not the one too many.
  const { session, claimed, peer, inbox } = rowCounts(bob);
  expect({ session, claimed, peer, inbox }).toEqual({ session: 6, claimed: 6, peer: 2, inbox: BOUND + 1 });
  tell();
  expect(await bob.readAll()).toEqual([]);
  const after = rowCounts(bob);
  for (const space of ['session', 'claimed', 'peer', 'inbox', 'tag', 'got', 'skipped']) expect(after[space], space).toBeUndefined();
  await bob.client.close();
});

test('a process that ends between a pin and what follows from it drops the false claim when it is back', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const watch = watchedStore();
  const bob = await person('bob', network, clock, { store: watch.store });
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  await network.inject(bob.address, flight(bundle, 'alice', 'mallory').bytes);
  await asks(bob, 1);
  // The directory refused the claim, and what it had made is gone. Now she has an account, and the claim comes again.
  const alice = await person('alice', network, clock);
  watch.refuses = (writes) => writes.some(({ key, value }) => key[0] === 'claimed' && value === null);
  clock.ms += 2_000;
  await network.inject(bob.address, flight(bundle, 'alice', 'mallory again').bytes);
  await bob.observed((record) => record.kind === 'log' && record.event === 'settling-failed');
  await bob.client.close();
  expect(rowCounts(bob)).toMatchObject({ contact: 1, session: 1, claimed: 1, inbox: 1 });
  watch.refuses = () => false;
  // The pin stands: nobody need be asked.
  network.answer = (account, honest) => (account === 'alice' ? unreachable(account, honest) : honest);
  const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
  await again.seen('undecryptable', ({ from }) => from === 'alice');
  const { session, claimed, peer, inbox } = rowCounts(again);
  expect({ session, claimed, peer, inbox }).toEqual({ session: undefined, claimed: undefined, peer: undefined, inbox: undefined });
  await alice.client.send('bob', 'first');
  expect(await again.read()).toMatchObject({ text: 'first' });
  await Promise.all([alice.client.close(), again.client.close()]);
});

test('a process that ends between a pin and what follows from it has shown nothing, and all of it follows when it is back', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const watch = watchedStore();
  const bob = await person('bob', network, clock, { store: watch.store, receipts: 'delivered' });
  const alice = await person('alice', network, clock);
  watch.refuses = (writes) => writes.some(({ key, value }) => key[0] === 'claimed' && value === null);
  await (await alice.client.send('bob', { kind: 'timer', disappearAfterMs: 60_000 })).until('accepted');
  const sent = await alice.client.send('bob', 'first');
  await bob.observed((record) => record.kind === 'log' && record.event === 'settling-failed');
  await sent.until('accepted');
  await network.settled();
  expect(rowCounts(bob)).toMatchObject({ contact: 1, claimed: 1, inbox: 2 });
  expect(await bob.readAll()).toEqual([]);
  await bob.client.close();
  watch.refuses = () => false;

  const again = await person('bob', network, clock, { store: bob.store, seed: 'again', receipts: 'delivered' });
  expect((await again.read()).content).toMatchObject({ kind: 'timer' });
  expect(await again.read()).toMatchObject({ text: 'first', order: sent.order });
  expect(rowCounts(again)).toMatchObject({ receipt: 1, talk: 1 });
  const answer = await again.client.send('alice', 'second');
  expect(answer.order > sent.order).toBe(true);
  expect((await alice.read()).disappearAfterMs).toBe(60_000);
  await Promise.all([alice.client.close(), again.client.close()]);
});

test.each([
  ['at once', false],
  ['after a restart', true],
])('an edit that comes before its message, both before their sender is confirmed, follows it; confirmed %s', async (_, restarts) => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  const held: Envelope[] = [];
  network.route = (envelope) => {
    if (envelope.to.account === 'bob') held.push(envelope);
    return [];
  };
  const first = await alice.client.send('bob', 'wrong');
  await first.until('accepted');
  const edit = await alice.client.send('bob', { kind: 'edit', target: first.id, text: 'right' });
  await edit.until('accepted');
  network.answer = (account, honest) => (account === 'alice' ? unreachable(account, honest) : honest);
  for (const { to, bytes } of [...held].reverse()) {
    clock.ms += 2_000;
    expect(await network.inject(to, bytes)).toBe(true);
    if (bytes === held[1]!.bytes) expect(rowCounts(bob)).toMatchObject({ early: 1 });
  }
  expect(rowCounts(bob)['early']).toBeUndefined();
  if (restarts) await bob.client.close();
  network.answer = (_account, honest) => honest;
  const now = restarts ? await person('bob', network, clock, { store: bob.store, seed: 'again' }) : bob;
  if (!restarts) network.cut(bob.address);
  expect(await now.read()).toMatchObject({ text: 'wrong', order: first.order });
  expect(await now.read()).toMatchObject({ content: { kind: 'edit', target: first.id }, order: edit.order });
  const answer = await now.client.send('alice', 'seen');
  expect(answer.order > edit.order).toBe(true);
  await Promise.all([alice.client.close(), now.client.close()]);
});

test('T28: what strangers say of messages that never come goes with their claims', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  network.answer = (account, honest) => (account === 'bob' ? honest : unreachable(account, honest));
  const edits = async (seed: string): Promise<void> => {
    clock.ms += 2_000;
    const mallory = evilPeer('alice', seed, START);
    const payload = encodeMsgpack({ t: 'edit', at: START, target: new Uint8Array(16).fill(7), text: seed });
    expect(await network.inject(bob.address, mallory.flight(bundle, mallory.raw(payload)))).toBe(true);
  };
  await edits('mallory');
  expect(rowCounts(bob)).toMatchObject({ early: 1, claimed: 1, got: 1 });
  for (let i = 0; i < BOUND; i++) {
    clock.ms += 2_000;
    await network.inject(bob.address, flight(bundle, `somebody ${i}`).bytes);
  }
  // The oldest one has made room.
  expect(rowCounts(bob)).toMatchObject({ claimed: BOUND, got: BOUND });
  expect(rowCounts(bob)['early']).toBeUndefined();
  await edits('mallory again');
  expect(rowCounts(bob)).toMatchObject({ early: 1, claimed: BOUND });
  network.answer = (_account, honest) => honest;
  await alice.client.send('bob', 'hello');
  expect(await bob.read()).toMatchObject({ text: 'hello' });
  const hers = (): number => [...bob.store.rows().keys()].filter((key) => key.startsWith('["got","alice"')).length;
  await vi.waitFor(() => expect(hers()).toBe(1), { timeout: 20_000 });
  expect(rowCounts(bob)['early']).toBeUndefined();
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('T28: what strangers’ sessions fail at stands in no store, and is told once an hour of each', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const friend = evilPeer('friend', 'friend', START);
  const [bundle] = (await network.bundles('bob')) as [BundleBytes];
  network.answer = (account, honest) =>
    account === 'friend' ? [friend.published()] : account === 'bob' ? honest : unreachable(account, honest);
  const arrives = async (peer: ReturnType<typeof evilPeer>): Promise<void> => {
    clock.ms += 2_000;
    const hello = encodeHello({ incarnation: new Uint8Array(16), replaces: [] });
    await network.inject(bob.address, peer.flight(bundle, peer.raw(hello, 'control')));
  };
  /** Damages `count` messages, and sends one that is sound. */
  const fails = async (peer: ReturnType<typeof evilPeer>, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const frame = peer.next(peer.text('damaged'));
      frame[frame.length - 1]! ^= 1;
      await network.inject(bob.address, frame);
    }
    await network.inject(bob.address, peer.next(peer.text('sound')));
  };
  const told = (who: string): unknown[] => bob.events.filter((event) => event.type === 'undecryptable' && event.from === who);
  await arrives(friend);
  await bob.client.contact('friend').identity();
  await fails(friend, 1);
  expect(told('friend')).toMatchObject([{ code: 'ERR_DECRYPT', heals: 'never' }]);
  const strangers = Array.from({ length: 5 }, (_, i) => evilPeer(`stranger ${i}`, `stranger ${i}`, START));
  for (const stranger of strangers) {
    await arrives(stranger);
    for (let i = 0; i < 20; i++) await fails(stranger, 1);
    await fails(stranger, 3);
  }
  expect(rowCounts(bob)).toMatchObject({ trouble: 1, claimed: 5 });
  expect(strangers.map(({ device: { account } }) => told(account))).toMatchObject(strangers.map(() => [{ heals: 'never' }]));
  clock.ms += HOUR;
  const late = Array.from({ length: 10 }, (_, i) => evilPeer(`late ${i}`, `late ${i}`, START));
  for (const stranger of late) {
    await arrives(stranger);
    await fails(stranger, 3);
  }
  // A session that is broken is told of, too, and of all of them a few.
  const broken = bob.events.filter((event) => event.type === 'undecryptable' && event.heals === 'needs-person');
  expect(broken).toHaveLength(sessionLimits.goneReports);
  expect((await bob.client.diagnose((broken[0] as { reference: string }).reference)).advice).toContain('not confirmed');
  expect(rowCounts(bob)).toMatchObject({ trouble: 1 });
  await bob.client.close();
});

test('what failed of a first contact before it was confirmed is asked for once it is, without a word from here', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const before = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  network.answer = (account, honest) => (account === 'alice' ? unreachable(account, honest) : honest);
  await (await alice.client.send('bob', '0')).until('accepted');
  await network.settled();
  await before.client.close();
  await spoilSessions(before.store);
  const bob = await person('bob', network, clock, { store: before.store, seed: 'again' });
  for (const text of ['1', '2', '3']) await (await alice.client.send('bob', text)).until('accepted');
  expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_DECRYPT', heals: 'needs-person' });
  network.answer = (_account, honest) => honest;
  network.cut(bob.address);
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await bob.read()).text);
  expect(got.sort()).toEqual(['0', '1', '2', '3']);
  expect(bob.count('undecryptable')).toBe(1);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

/** Claims without a client: what is asked and dropped is noted. */
async function alone(unconfirmed: readonly string[] = []) {
  const pinned = new Set<string>();
  const asked: string[] = [];
  const dropped: [account: string, device: number | undefined][] = [];
  const looked: unknown[] = [];
  /** Of alice's device 2: whether her list names it, and whether its message, 7, is there. */
  const second = { isListed: false, hasMessage: false };
  const gone: number[] = [];
  const port = {
    confirms: Promise.resolve(),
    wasAsked: true,
    answer(): void {
      throw new TransportError('ERR_OFFLINE', 'no directory');
    },
  };
  const none = (): void => {};
  const contacts = {
    load: async (account: string) => (pinned.has(account) ? {} : undefined),
    questions: { count: () => asked.length, wasAskedSince: () => port.wasAsked },
    mayShow: (account: string, [isTrue]: Uint8Array, device: number) =>
      pinned.has(account) && (isTrue === 1 || (device === 2 && second.isListed)),
    async refresh(account: string) {
      asked.push(account);
      port.answer();
    },
  };
  const sessions = {
    async removal({ account, deviceKeyHash }: { account: string; deviceKeyHash: Uint8Array }) {
      dropped.push([account, deviceKeyHash[0]]);
      return { writes: [], install: none };
    },
  };
  const unconfirmedOf = (...of: readonly unknown[]): number[] => {
    looked.push(of);
    return second.hasMessage && !(pinned.has('alice') && second.isListed) ? [7] : [];
  };
  const removed = (seqs: readonly number[]): void => void gone.push(...seqs);
  const inbox = { removal: () => [], removed, settled: none, stir: none, unconfirmed: () => new Set(unconfirmed), unconfirmedOf };
  const arrivals = {
    async confirm(_: string, commit: (rows: readonly Write[]) => Promise<void>) {
      await port.confirms;
      await commit([]);
    },
    without: async () => ({ writes: [], committed: none }),
  };
  const ctx = { lock: mutex(), db: { list: async () => [], commit: async () => {} }, observer: { log: none } };
  const self = await claims(ctx as never, contacts as never, sessions as never, inbox as never, arrivals as never, none, async () => {});
  let count = 0;
  const add = (account: string, device: number, isTrue = false) => {
    count += 1;
    const facts = { account, device, accountKeyHash: filled(isTrue ? 1 : 0), deviceKeyHash: filled(device), createdAtMs: count };
    self.added({ id: count.toString(16).padStart(32, '0'), facts } as never);
    return facts;
  };
  return { self, add, pinned, asked, dropped, looked, second, gone, port, lock: ctx.lock };
}
const ticks = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
const filled = (value: number): Uint8Array => new Uint8Array(64).fill(value);

test('of too many claims the oldest goes, with its own messages; one whose account was pinned meanwhile is settled', async () => {
  const { self, add, pinned, dropped, looked } = await alone();
  add('true one', 1, true);
  const oldest = add('nobody 0', 2);
  for (let i = 1; i < BOUND; i++) add(`nobody ${i}`, 2);
  pinned.add('true one');
  await self.trim();
  expect(dropped).toEqual([]);
  looked.length = 0;
  add('one more', 2);
  await self.trim();
  expect(dropped).toEqual([['nobody 0', 2]]);
  expect(looked).toMatchObject([['nobody 0', oldest]]);
});

test('of too many claims to a pinned account the oldest goes, whether it was asked about or not', async () => {
  const { self, add, pinned, dropped, port } = await alone();
  pinned.add('alice');
  port.wasAsked = false;
  for (let device = 1; device <= BOUND + 1; device++) add('alice', device);
  await self.trim();
  expect(dropped).toEqual([['alice', 1]]);
});

test('whoever pins an account: what came since the directory was asked is asked about, and another identity than the pin is an answer', async () => {
  const { self, add, pinned, asked, dropped, port } = await alone();
  port.wasAsked = false;
  add('alice', 1);
  pinned.add('alice');
  await self.settle('alice');
  await vi.waitFor(() => expect(self.isAsking()).toBe(false), { timeout: 20_000 });
  expect([asked, dropped]).toEqual([['alice'], []]);
  port.answer = () => {
    port.wasAsked = true;
    throw new TrustError('ERR_IDENTITY_CHANGED', 'another one');
  };
  self.confirm('alice');
  await vi.waitFor(() => expect(self.isAsking()).toBe(false), { timeout: 20_000 });
  expect([asked, dropped]).toEqual([['alice', 'alice'], [['alice', 1]]]);
});

test('every false device that claims a pinned account goes, and the true one stays', async () => {
  const { self, add, pinned, dropped } = await alone();
  add('alice', 1, true);
  for (const device of [2, 3, 3]) add('alice', device);
  pinned.add('alice');
  await self.settle('alice');
  expect(dropped).toEqual([
    ['alice', 2],
    ['alice', 3],
  ]);
});

test('a list that comes while claims are settled: a message and its session go together', async () => {
  const { self, add, pinned, dropped, second, gone, port, lock } = await alone();
  second.hasMessage = true;
  add('alice', 2);
  pinned.add('alice');
  let goOn = (): void => {};
  port.confirms = new Promise((resolve) => (goOn = resolve));
  const settled = self.settle('alice');
  await ticks();
  const listed = lock('contact alice', async () => {
    second.isListed = true;
  });
  await ticks();
  goOn();
  await Promise.all([settled, listed]);
  expect([dropped, gone]).toEqual([[['alice', 2]], [7]]);
});

test('a pin that comes while the oldest claim makes room: a message and its session go together', async () => {
  const { self, add, pinned, dropped, second, gone, lock } = await alone();
  Object.assign(second, { hasMessage: true, isListed: true });
  add('alice', 2);
  for (let i = 0; i < BOUND; i++) add(`nobody ${i}`, 3);
  let goOn = (): void => {};
  const talking = lock('talk alice', () => new Promise<void>((resolve) => (goOn = resolve)));
  const trimmed = self.trim();
  await ticks();
  const pins = lock('contact alice', async () => void pinned.add('alice'));
  await ticks();
  goOn();
  await Promise.all([talking, trimmed, pins]);
  expect([dropped, gone]).toEqual([[['alice', 2]], [7]]);
});

test('everybody who is not confirmed is asked about, once at a time', async () => {
  const { self, add, asked } = await alone(['of messages', 'of both']);
  add('of a session', 1);
  add('of both', 1);
  for (let i = 0; i < 3; i++) self.confirmAll();
  expect(self.isAsking()).toBe(true);
  await vi.waitFor(() => expect(self.isAsking()).toBe(false), { timeout: 20_000 });
  expect(asked.sort()).toEqual(['of a session', 'of both', 'of messages']);
});
