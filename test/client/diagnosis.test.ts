import { beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/client/database.js';
import { type Troubles, troubles } from '../../src/client/diagnosis.js';
import { keys, troubleRecord } from '../../src/client/records.js';
import type { Diagnosis } from '../../src/client/types.js';
import { StoreError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store } from '../../src/store/port.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { rowCount, sessionsWith } from '../helpers/broken-session.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Clock, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const HOUR = 3_600_000;
const ALICE = 'alice-of-the-long-name';
const BOB = 'bob-of-the-long-name';
const SECRET = 'burn this after reading it';
const clock: Clock = { ms: START };
let network: HostileNetwork;
beforeEach(() => {
  clock.ms = START;
  network = hostileNetwork();
});

async function talking(): Promise<{ alice: Person; bob: Person }> {
  const alice = await person(ALICE, network, clock);
  const bob = await person(BOB, network, clock);
  await alice.client.send(BOB, SECRET);
  await bob.read();
  await bob.client.send(ALICE, SECRET);
  await alice.read();
  await network.settled();
  return { alice, bob };
}
/** The relay changes a byte of the next three frames for bob, which alice sends. */
async function breakOnce(alice: Person): Promise<void> {
  let left = 3;
  network.route = ({ to, bytes }) => {
    const copy = bytes.slice();
    if (to.account === BOB && left-- > 0) copy[copy.length - 1]! ^= 1;
    return [{ to, bytes: copy }];
  };
  for (let i = 0; i < 3; i++) await (await alice.client.send(BOB, SECRET)).until('accepted');
}
const references = ({ events }: Person): string[] => events.flatMap((event) => (event.type === 'undecryptable' ? [event.reference] : []));

/** Nothing in a diagnosis says who, what or with which keys. */
function expectRedacted(diagnosis: Diagnosis, ...people: readonly Person[]): void {
  const json = JSON.stringify(diagnosis);
  for (const word of [ALICE, BOB, SECRET, 'long-name', 'burn']) expect(json).not.toContain(word);
  expect(json).not.toMatch(/[0-9a-f]{17}/i);
  expect(json).not.toMatch(/[A-Za-z0-9+/=_-]{40}/);
  for (const { address, store, account } of people) {
    expect(json).not.toContain(String(address.device));
    const other = account === ALICE ? BOB : ALICE;
    for (const { id } of sessionsWith(store, other)) {
      const hex = Buffer.from(id).toString('hex');
      for (let at = 0; at + 8 <= hex.length; at += 2) expect(json).not.toContain(hex.slice(at, at + 8));
    }
    for (const name of store.rows().keys()) {
      // A row of an event is named by its reference, which is random and known to the application.
      if (name.startsWith('["trouble"')) continue;
      for (const part of JSON.parse(name) as string[]) if (part.length >= 16) expect(json).not.toContain(part.slice(0, 16));
    }
  }
}

describe('what became of messages that could not be read', () => {
  test('broken, then mended: told by the reference of the event, without a word of whom', async () => {
    const { alice, bob } = await talking();
    network.answer = () => Promise.reject(new TypeError('fetch failed'));
    await breakOnce(alice);
    await bob.seen('undecryptable');
    const [reference] = references(bob);
    const before = await bob.client.diagnose(reference);
    expect(before).toMatchObject({ cause: 'ERR_DECRYPT', heals: 'by-itself', facts: { healed: 'no', failedMessages: 3, askedFor: 3 } });
    network.answer = (_account, honest) => honest;
    network.cut(bob.address);
    for (let i = 0; i < 3; i++) expect((await bob.read()).text).toBe(SECRET);
    const after = await bob.client.diagnose(reference);
    expect(after).toMatchObject({ cause: 'ERR_DECRYPT', heals: 'by-itself', facts: { healed: 'yes', sessionsWithDevice: 2 } });
    expect(after.advice).not.toBe(before.advice);
    expect(bob.count('undecryptable')).toBe(1);
    for (const each of [before, after]) expectRedacted(each, alice, bob);
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('reports of one device can be told to be about one contact, also after a restart; those of others can’t', async () => {
    const { alice, bob } = await talking();
    await breakOnce(alice);
    for (let i = 0; i < 3; i++) await bob.read();
    clock.ms += HOUR;
    await breakOnce(alice);
    for (let i = 0; i < 3; i++) await bob.read();
    const [first, second] = references(bob);
    const one = await bob.client.diagnose(first);
    await bob.client.close();
    const again = await person(BOB, network, clock, { store: bob.store, seed: 'again' });
    const two = await again.client.diagnose(second);
    expect(one.facts['account']).toMatch(/^[0-9a-f]{16}$/);
    expect([two.facts['account'], two.facts['device']]).toEqual([one.facts['account'], one.facts['device']]);
    expect(two.facts['session']).not.toBe(one.facts['session']);
    expect([one.facts['minutesAgo'], two.facts['minutesAgo']]).toEqual([60, 0]);
    // The same contact, seen by another store.
    const carol = await person('carol', network, clock);
    await alice.client.send('carol', 'x');
    await carol.read();
    await carol.store.commit([
      { key: keys.trouble('r'), value: troubleRecord.encode({ account: ALICE, code: 'ERR_VERSION', heals: 'needs-person', atMs: START }) },
    ]);
    const other = await carol.client.diagnose('r');
    expect(other).toMatchObject({ cause: 'ERR_VERSION', heals: 'needs-person', facts: { healed: 'no' } });
    expect(other.facts['account']).not.toBe(one.facts['account']);
    await Promise.all([alice, again, carol].map(({ client }) => client.close()));
  });

  test('a process that dies before it has said the event: the next one’s diagnosis names it', async () => {
    const { alice, bob } = await talking();
    await bob.client.close();
    const disk = bob.store;
    let die = (): void => {};
    let isDead = false;
    const died = new Promise<void>((resolve) => (die = resolve));
    const alive = <T>(call: () => Promise<T>): Promise<T> => (isDead ? Promise.reject(new StoreError('ERR_STORE_IO', 'dead')) : call());
    const store: Store = {
      read: (wanted) => alive(() => disk.read(wanted)),
      list: (...range) => alive(() => disk.list(...range)),
      commit: (writes) => {
        const done = alive(() => disk.commit(writes));
        if (!writes.some(({ key }) => key[0] === 'trouble')) return done;
        isDead = true;
        die();
        return done.then(() => alive(() => done));
      },
      close: async () => {},
    };
    const dying = await person(BOB, network, clock, { store: store as never, seed: 'dying' });
    await breakOnce(alice);
    await died;
    await dying.client.close().catch(() => {});
    expect(dying.count('undecryptable')).toBe(0);
    const again = await person(BOB, network, clock, { store: disk, seed: 'again' });
    const { references: named } = await again.client.diagnose();
    expect(named).toHaveLength(1);
    expect(await again.client.diagnose(named[0])).toMatchObject({ cause: 'ERR_DECRYPT', references: named });
    await Promise.all([alice.client.close(), again.client.close()]);
  });

  test('an unknown reference, and what is none', async () => {
    const alice = await person(ALICE, network, clock);
    await expect(alice.client.diagnose('nothing')).rejects.toThrow(coded('ERR_ARGUMENT'));
    await expect(alice.client.diagnose(7 as never)).rejects.toThrow(coded('ERR_ARGUMENT'));
    await alice.client.close();
    await expect(alice.client.diagnose()).rejects.toThrow(coded('ERR_CLOSED'));
  });

  describe('what is remembered', () => {
    const setUp = async () => {
      const store = glassStore();
      const db = await openDatabase(store, { rng: testRng('db'), now: () => clock.ms, onCommit: () => {}, onLost: () => {} });
      const events: string[] = [];
      const emit = (event: { reference?: string }): void => void events.push(event.reference!);
      const ctx = { db, rng: testRng('troubles'), now: () => clock.ms, events: { emit } } as never;
      const say = async (report: ReturnType<Troubles['unreadable']>): Promise<void> => {
        clock.ms += 1;
        await db.commit(report?.writes ?? []);
        report?.committed();
      };
      const isKept = (reference: string): boolean => store.rows().has(JSON.stringify(keys.trouble(reference)));
      return { store, events, say, isKept, open: () => troubles(ctx) };
    };

    test('the last 100, also after a restart', async () => {
      const { store, events, say, isKept, open } = await setUp();
      for (let run = 0; run < 3; run++) {
        const all = await open();
        for (let i = 0; i < 60; i++) await say(all.report({ account: `contact ${i % 30}`, code: 'ERR_VERSION', heals: 'needs-person' }));
      }
      expect(rowCount(store, 'trouble')).toBe(sessionLimits.troubleCount);
      expect(events.slice(-sessionLimits.troubleCount).every(isKept)).toBe(true);
      expect((await open()).references()).toEqual(events.slice(-sessionLimits.troubleCount));
    });

    test('T28: of one account the last 20: it pushes out no other', async () => {
      const { store, events, say, isKept, open } = await setUp();
      for (let run = 0; run < 3; run++) {
        const all = await open();
        if (run === 0) await say(all.report({ account: 'bob', code: 'ERR_DECRYPT', heals: 'never' }));
        for (let i = 0; i < 60; i++) await say(all.report({ account: 'mallory', code: 'ERR_VERSION', heals: 'needs-person' }));
      }
      expect(rowCount(store, 'trouble')).toBe(1 + sessionLimits.troublePerAccount);
      expect([events[0]!, ...events.slice(-sessionLimits.troublePerAccount)].every(isKept)).toBe(true);
    });

    test('T28: five accounts that make many push out no other', async () => {
      const { store, events, say, isKept, open } = await setUp();
      const all = await open();
      await say(all.report({ account: 'bob', code: 'ERR_DECRYPT', heals: 'never' }));
      for (let i = 0; i < 150; i++) await say(all.report({ account: `mallory ${i % 5}`, code: 'ERR_DECRYPT', heals: 'never' }));
      expect([rowCount(store, 'trouble'), isKept(events[0]!)]).toEqual([sessionLimits.troubleCount, true]);
    });

    test('T28: two of an account go into one commit, also where old ones make room', async () => {
      const { store, events, say, open } = await setUp();
      const all = await open();
      const one = () => all.report({ account: 'mallory', code: 'ERR_DECRYPT', heals: 'never' });
      for (let i = 0; i < sessionLimits.troublePerAccount; i++) await say(one());
      const [first, second] = [one(), one()];
      await say({ writes: [...first.writes, ...second.writes], committed: () => [first, second].forEach((each) => void each.committed()) });
      expect(events).toHaveLength(sessionLimits.troublePerAccount + 2);
      await say(one());
      expect(rowCount(store, 'trouble')).toBe(sessionLimits.troublePerAccount);
    });

    test('a diagnosis names the last 100 in their order, those of strangers among them', async () => {
      const { events, say, open } = await setUp();
      const all = await open();
      for (let i = 0; i < 70; i++) {
        await say(all.unreadable(`stranger ${i}`, 'ERR_DECODE', true));
        clock.ms += 1;
        await say(all.report({ account: `contact ${i % 30}`, code: 'ERR_DECRYPT', heals: 'never' }));
      }
      expect(all.references()).toEqual(events.slice(-sessionLimits.troubleCount));
    });

    test('content that can’t be read is said once an hour for each reason and account, of strangers without a row', async () => {
      const { store, events, say, open } = await setUp();
      let all = await open();
      for (let i = 0; i < 5; i++)
        for (const code of ['ERR_DECODE', 'ERR_VERSION'] as const) await say(all.unreadable('mallory', code, false));
      expect(events).toHaveLength(2);
      all = await open();
      await say(all.unreadable('mallory', 'ERR_DECODE', false));
      expect(events).toHaveLength(2);
      clock.ms += HOUR;
      await say(all.unreadable('mallory', 'ERR_DECODE', false));
      expect([events.length, rowCount(store, 'trouble')]).toEqual([3, 3]);
      for (let i = 0; i < 5; i++) await say(all.unreadable('stranger', 'ERR_DECODE', true));
      expect([events.length, rowCount(store, 'trouble')]).toEqual([4, 3]);
      expect(await all.load(events[3]!)).toMatchObject({ account: 'stranger', code: 'ERR_DECODE' });
    });
  });
});

describe('how the client stands', () => {
  test('healthy, in numbers and words', async () => {
    const { alice, bob } = await talking();
    await alice.seen('status', ({ status }) => status.state === 'online');
    clock.ms += 2 * HOUR;
    const diagnosis = await alice.client.diagnose();
    expect(diagnosis).toMatchObject({ cause: 'healthy', heals: 'by-itself' });
    expect(diagnosis.facts).toMatchObject({
      connection: 'online',
      queued: 0,
      unacknowledged: 0,
      sessionsActive: 1,
      sessionsSuspect: 0,
      sessionsDead: 0,
      listAgeHours: 2,
      store: 'as it was given',
      clock: 'no doubt',
    });
    expect(diagnosis.facts['oneTimePrekeysHeld']).toBeGreaterThan(0);
    expectRedacted(diagnosis, alice, bob);
    clock.ms -= 5 * HOUR;
    expect((await alice.client.diagnose()).facts['clock']).not.toBe('no doubt');
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('why messages are held, and how many', async () => {
    const alice = await person(ALICE, network, clock, { store: sealedStore(memoryStore(), rawKeySlot(testRng('key')(32))) as never });
    for (let i = 0; i < 2; i++)
      await expect((await alice.client.send('nobody', SECRET)).until('accepted')).rejects.toThrow(coded('ERR_NO_SESSION'));
    await alice.seen('status', ({ status }) => status.state === 'online');
    const diagnosis = await alice.client.diagnose();
    expect(diagnosis).toMatchObject({
      cause: 'ERR_NO_SESSION',
      heals: 'by-itself',
      facts: { 'held ERR_NO_SESSION': 2, queued: 2, store: 'sealed' },
    });
    expect(JSON.stringify(diagnosis)).not.toContain('nobody');
    await alice.client.close();
  });

  test('messages that wait for a person say which', async () => {
    const bob = await person(BOB, network, clock);
    const alice = await person(ALICE, network, clock, { trust: 'pinned-only' });
    await expect((await alice.client.send(BOB, SECRET)).until('accepted')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    const diagnosis = await alice.client.diagnose();
    expect(diagnosis).toMatchObject({ cause: 'ERR_DEVICE_UNTRUSTED', heals: 'needs-person', facts: { 'held ERR_DEVICE_UNTRUSTED': 1 } });
    expect(diagnosis.advice).toMatch(/verif/);
    expectRedacted(diagnosis, alice, bob);
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('a broken session that may not be replaced yet', async () => {
    const { alice, bob } = await talking();
    await breakOnce(alice);
    for (let i = 0; i < 3; i++) await bob.read();
    await network.settled();
    await breakOnce(alice);
    await bob.seen('undecryptable', () => bob.count('undecryptable') === 2);
    expect(await bob.client.diagnose()).toMatchObject({
      cause: 'ERR_SESSION_DEAD',
      heals: 'by-itself',
      facts: { sessionsSuspect: 2, sessionsActive: 0 },
    });
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('a client that has halted says why', async () => {
    const { alice, bob } = await talking();
    await bob.client.close();
    const [row] = await bob.store.list(['session'], 1);
    await bob.store.commit([{ key: row!.key, value: row!.value.slice(0, -1) }]);
    const again = await person(BOB, network, clock, { store: bob.store, seed: 'again' });
    await (await alice.client.send(BOB, SECRET)).until('accepted');
    await again.seen('status', ({ status }) => status.state === 'halted');
    expect(await again.client.diagnose()).toMatchObject({
      cause: 'ERR_STORE_CORRUPT',
      heals: 'needs-person',
      facts: { connection: 'halted' },
    });
    await Promise.all([alice.client.close(), again.client.close()]);
  });
});
