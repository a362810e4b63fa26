import { expect, test, vi } from 'vitest';
import { greetings } from '../../src/client/greetings.js';
import { greetRecord } from '../../src/client/records.js';
import { recoverStore } from '../../src/client/recovery.js';
import { TransportError } from '../../src/errors.js';
import { keyHash } from '../../src/identity/index.js';
import type { Write } from '../../src/store/port.js';
import { glassNetwork, offline } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, newPerHour: 6 } };
});

const HOUR = 3_600_000;

test('greetings leave a third of the sessions of an hour to what is written; the others are greeted later', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const contacts = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => person(name, network, clock)));
  const alice = await person('alice', network, clock);
  for (const each of contacts) {
    await each.client.send('alice', 'hello');
    await alice.read();
    await alice.client.send(each.account, 'hello');
    await each.read();
  }
  await alice.client.close();
  const { store } = alice;
  await recoverStore(store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });

  const restored = await person('alice', network, clock, { store, seed: 'restored' });
  const isHello = ({ reason }: { reason: string }): boolean => reason === 'recovered';
  const isGreeted = (each: Person): boolean => each.events.some((event) => event.type === 'sessionEstablished' && isHello(event));
  await new Promise<void>((resolve) => {
    let count = 0;
    for (const each of contacts) {
      void each.seen('sessionEstablished', isHello).then(() => {
        count += 1;
        if (count === 4) resolve();
      });
    }
  });
  // Two of the six sessions are left for what somebody waits for: a stranger, and a contact that was not greeted.
  const stranger = await person('stranger', network, clock);
  await restored.client.send('stranger', 'hello');
  expect((await stranger.read()).text).toBe('hello');
  const rest = contacts.filter((each) => !isGreeted(each));
  expect(rest.length).toBe(2);
  await restored.client.send(rest[0]!.account, 'hello again');
  expect((await rest[0]!.read()).text).toBe('hello again');
  await restored.client.close();

  clock.ms += HOUR;
  const later = await person('alice', network, clock, { store, seed: 'an hour later' });
  await Promise.all(contacts.map((each) => each.seen('sessionEstablished', isHello)));
  await Promise.all([later, stranger, ...contacts].map(({ client }) => client.close()));
});

test('a greeting that the relay can’t take now goes out later, and is forgotten once it was answered', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'hello');
  await bob.read();
  await bob.client.send('alice', 'hello');
  await alice.read();
  await alice.client.close();
  await recoverStore(alice.store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });
  network.sendFails = offline();
  const down = await person('alice', network, clock, { store: alice.store, seed: 'down' });
  await down.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  expect([...alice.store.rows().keys()]).toContain('["greet","bob"]');
  network.sendFails = undefined;
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await bob.client.send('alice', 'there you are');
  expect((await down.read()).text).toBe('there you are');
  expect([...alice.store.rows().keys()]).not.toContain('["greet","bob"]');
  await Promise.all([down, bob].map(({ client }) => client.close()));
});

test('an account with more devices than the hour has sessions to spare is greeted later: no keys are taken for it', async () => {
  let spareCount = 1;
  const taken: unknown[] = [];
  const contact = { devices: [{ device: 1 }, { device: 2 }] };
  const contacts = {
    load: async () => contact,
    assertSendable() {},
    refresh: async (...asked: unknown[]) => {
      taken.push(asked);
      return [];
    },
  };
  const value = greetRecord.encode({ isStarted: false, hellos: [] });
  const db = { list: async () => [{ key: ['greet', 'bob'], value }], read: async () => value, commit: async () => {} };
  const encryption = { usable: async () => undefined, assertMayStart: async () => {}, spareCount: () => spareCount };
  const { start } = await greetings({ db, lock } as never, contacts as never, encryption as never, () => {});
  await start('bob');
  expect(taken).toEqual([]);
  spareCount = 2;
  await start('bob');
  expect(taken).toEqual([['bob', [1, 2]]]);
});

const filled = (lengthBytes: number, value: number): Uint8Array => new Uint8Array(lengthBytes).fill(value);
const lock = (_: string, task: () => unknown): unknown => task();

test('a greeting is forgotten device by device, as the relay takes it; an answer meanwhile leaves nothing to note', async () => {
  const hello = (device: number) => ({ device, bytes: filled(1, device) });
  const rows = new Map([['bob', greetRecord.encode({ isStarted: true, hellos: [hello(1), hello(2)] })]]);
  const db = {
    list: async () => [...rows].map(([account, value]) => ({ key: ['greet', account], value })),
    read: async ([, account]: readonly string[]) => rows.get(account!),
    async commit([write]: readonly Write[]) {
      rows.set(write!.key[1]!, write!.value!.slice());
    },
  };
  const sent: number[] = [];
  let onSend = (device: number): void => {
    if (device === 2) throw new TransportError('ERR_OFFLINE', 'down');
  };
  const transport = {
    async send({ device }: { device: number }) {
      onSend(device);
      sent.push(device);
    },
  };
  const open = () =>
    greetings({ db, lock, transport, life: { race: (task: unknown) => task } } as never, {} as never, {} as never, () => {});
  const first = await open();
  await expect(first.transmit('bob')).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
  const second = await open();
  expect([first.isDue('bob'), second.isDue('bob')]).toEqual([true, true]);
  onSend = () => {};
  await second.transmit('bob');
  expect([sent, second.isDue('bob'), (await open()).isDue('bob')]).toEqual([[1, 2], false, false]);

  rows.set('carol', greetRecord.encode({ isStarted: true, hellos: [hello(3)] }));
  onSend = () => void rows.delete('carol');
  await (await open()).transmit('carol');
  expect([...rows.keys()]).toEqual(['bob']);
});

test('nobody is greeted with keys of another identity or another device than are listed by now', async () => {
  const [pin, key] = [filled(64, 1), filled(1_984, 2)];
  const address = { account: 'bob', device: 1 };
  const bundles = [
    { address, accountKeyHash: filled(64, 9), deviceKey: key },
    { address, accountKeyHash: pin, deviceKey: filled(1_984, 9) },
    { address: { ...address, device: 2 }, accountKeyHash: pin, deviceKey: key },
  ];
  const contact = { pin, devices: [{ device: 1, keyHash: keyHash(key) }] };
  const contacts = { load: async () => contact, assertSendable() {}, refresh: async () => bundles };
  const value = greetRecord.encode({ isStarted: false, hellos: [] });
  const started: unknown[] = [];
  const db = { list: async () => [{ key: ['greet', 'bob'], value }], read: async () => value, commit: async () => {} };
  const encryption = {
    usable: async () => undefined,
    assertMayStart: async () => {},
    spareCount: () => 9,
    async onNewSession(_contact: unknown, bundle: unknown) {
      started.push(bundle);
      return { frame: new Uint8Array(), writes: [], install() {} };
    },
  };
  const { start } = await greetings({ db, lock } as never, contacts as never, encryption as never, () => {});
  await start('bob');
  expect(started).toEqual([]);
  bundles.push({ address, accountKeyHash: pin, deviceKey: key });
  await start('bob');
  expect(started).toEqual([bundles.at(-1)]);
});

test('an answer that comes while the keys of a contact are being fetched is not forgotten', async () => {
  const rows = new Map([['bob', greetRecord.encode({ isStarted: false, hellos: [] })]]);
  const db = {
    list: async () => [...rows].map(([account, value]) => ({ key: ['greet', account], value })),
    read: async ([, account]: readonly string[]) => rows.get(account!),
    async commit(writes: readonly Write[]) {
      for (const { key, value } of writes) {
        if (value === null) rows.delete(key[1]!);
        else rows.set(key[1]!, value);
      }
    },
  };
  let hasSession = false;
  const contacts = {
    load: async () => ({ pin: new Uint8Array(64), devices: [{ device: 1, keyHash: new Uint8Array(64) }] }),
    assertSendable() {},
    async refresh() {
      // Bob's first message on a new session comes.
      hasSession = true;
      await db.commit((await self.answered('bob'))!);
      return [];
    },
  };
  const encryption = { usable: async () => (hasSession ? {} : undefined), assertMayStart: async () => {}, spareCount: () => 9 };
  const lock = (_: string, task: () => unknown): unknown => task();
  const self = await greetings({ db, lock } as never, contacts as never, encryption as never, () => {});
  await self.start('bob');
  expect([...rows.keys()]).toEqual([]);
});

test('a contact for whom the directory does not answer keeps nothing from the others', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const before = await person('alice', network, clock);
  const [bob, carol] = [await person('bob', network, clock), await person('carol', network, clock)];
  for (const who of [bob, carol]) {
    await before.client.send(who.account, 'hello');
    await who.read();
    await who.client.send('alice', 'hello');
    await before.read();
  }
  await before.client.close();
  const { store } = before;
  await recoverStore(store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isAsked = false;
  network.answer = async (account, honest) => {
    isAsked ||= account === 'bob';
    if (account === 'bob') await held;
    return honest;
  };
  const alice = await person('alice', network, clock, { store, seed: 'recovered' });
  while (!isAsked) await new Promise((turn) => setImmediate(turn));
  for (let turn = 0; turn < 50; turn++) await new Promise((next) => setImmediate(next));
  await (await alice.client.send('carol', 'back again')).until('accepted');
  expect((await carol.read()).text).toBe('back again');
  release();
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await Promise.all([alice, bob, carol].map(({ client }) => client.close()));
});

test('contacts whose accounts are gone do not keep the others from being greeted', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const before = await person('alice', network, clock);
  const names = ['a', 'b', 'c', 'd', 'e', 'zoe'];
  const people: Person[] = [];
  for (const name of names) {
    const each = await person(name, network, clock);
    people.push(each);
    await each.client.send('alice', 'hello');
    await before.read();
    await before.client.send(name, 'hello');
    await each.read();
    clock.ms += HOUR + 1;
  }
  await before.client.close();
  const { store } = before;
  await recoverStore(store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });
  // The directory knows them no more, and all are asked about before it answers.
  network.answer = async (account, honest) => {
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
    return account === 'zoe' || account === 'alice' ? honest : [];
  };
  const alice = await person('alice', network, clock, { store, seed: 'recovered' });
  await people.at(-1)!.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await Promise.all([alice, ...people].map(({ client }) => client.close()));
});
