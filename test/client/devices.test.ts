import { describe, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { openDatabase } from '../../src/client/database.js';
import { publishWrite } from '../../src/client/keyring.js';
import { keys } from '../../src/client/records.js';
import { deviceRows } from '../../src/client/recovery.js';
import { TransportError } from '../../src/errors.js';
import { type DeviceSecrets, decodeDevice, encodeDevice, entryOf, generateDeviceKeys, relist } from '../../src/identity/index.js';
import { linkLimits, sessionLimits } from '../../src/limits.js';
import { decodePrekeys, deviceKeys } from '../../src/pqxdh/prekeys.js';
import type { Write } from '../../src/store/port.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Network, Transport } from '../../src/transport/port.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

/** A store with a device that its primary one has just listed: as linking leaves it. */
async function joined(primary: Person, clock: Clock, seed: string): Promise<{ store: GlassStore; list: () => Promise<void> }> {
  const rng = testRng(seed);
  const first = decodeDevice(primary.store.rows().get('["device"]')!);
  const { entries } = parseDeviceList(first.deviceList);
  const own = generateDeviceKeys(rng, entries);
  const next = relist(
    first,
    [...entries, entryOf(own)].sort((a, b) => a.device - b.device),
    clock.ms,
    rng,
  );
  const accountKey = { publicKey: first.accountKey.publicKey, secretKey: undefined };
  const device: DeviceSecrets = { account: first.account, accountKey, ...own, deviceList: next.deviceList };
  const store = glassStore();
  await write(store, deviceRows(device, rng, clock.ms));
  return { store, list: () => write(primary.store, [{ key: keys.device, value: encodeDevice(next) }]) };
}

async function write(store: GlassStore, rows: readonly Write[]): Promise<void> {
  const db = await openDatabase(store, { rng: testRng('write'), now: () => START, onCommit: () => {}, onLost: () => {} });
  await db.commit(rows);
  await db.close();
}

/** Alice with two devices, Bob with one. */
async function people(clock: Clock, network: Network = memoryNetwork()): Promise<{ phone: Person; laptop: Person; bob: Person }> {
  const before = await person('alice', network, clock, { seed: 'phone' });
  await before.client.close();
  const { store, list } = await joined(before, clock, 'laptop');
  await list();
  const phone = await person('alice', network, clock, { seed: 'phone again', store: before.store });
  const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
  await published(laptop);
  const bob = await person('bob', network, clock);
  return { phone, laptop, bob };
}
/** Alice's phone, whose published list names a device that has not published anything; `store` is that device's. */
async function listing(network: Network, clock: Clock): Promise<{ phone: Person; store: GlassStore }> {
  const first = await person('alice', network, clock, { seed: 'phone' });
  await first.client.close();
  const { store, list } = await joined(first, clock, 'laptop');
  await list();
  const prekeys = decodePrekeys(first.store.rows().get('["prekeys"]')!, []);
  const device = decodeDevice(first.store.rows().get('["device"]')!);
  await write(first.store, [publishWrite(deviceKeys(prekeys, device))]);
  return { phone: await person('alice', network, clock, { seed: 'phone again', store: first.store }), store };
}

/** Once its first keys are with the directory. */
async function published({ store }: Person): Promise<void> {
  while (store.rows().has('["publish"]')) await new Promise((resolve) => setImmediate(resolve));
}
const closeAll = (people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));

describe('an account with two devices', () => {
  test('what is sent to it reaches both; what one sends, the other sees in the conversation', async () => {
    const clock = { ms: START };
    const { phone, laptop, bob } = await people(clock);
    const sent = await bob.client.send('alice', 'to both');
    expect((await phone.read()).text).toBe('to both');
    expect((await laptop.read()).text).toBe('to both');
    await sent.until('accepted');

    const answer = await laptop.client.send('bob', 'from the laptop');
    expect(await bob.read()).toMatchObject({ text: 'from the laptop', from: { account: 'alice', device: laptop.client.device } });
    expect(await phone.read()).toMatchObject({
      id: answer.id,
      text: 'from the laptop',
      from: { account: 'alice', device: laptop.client.device },
      conversation: { kind: 'person', account: 'bob' },
      trust: 'verified',
    });
    await phone.client.send('bob', 'from the phone');
    expect((await bob.read()).text).toBe('from the phone');
    expect(await laptop.read()).toMatchObject({ text: 'from the phone', conversation: { account: 'bob' } });
    // Nothing is said twice in a row, whatever goes on that no application hears of.
    for (const { events } of [phone, laptop, bob]) {
      const said = events.flatMap((event) => (event.type === 'status' ? JSON.stringify(event.status) : []));
      expect(said.filter((each, n) => each === said[n - 1])).toEqual([]);
    }
    await closeAll([phone, laptop, bob]);
  });

  test('a device that is added later is written to once anybody in a session speaks of the new list; verification stays', async () => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const first = await person('alice', network, clock, { seed: 'phone' });
    const bob = await person('bob', network, clock);
    await bob.client.send('alice', 'hello');
    await first.read();
    await (await bob.client.contact('alice').safetyNumber()).confirmDigits();
    await first.client.close();
    const { store, list } = await joined(first, clock, 'laptop');
    await list();
    const phone = await person('alice', network, clock, { seed: 'phone again', store: first.store });
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    await published(laptop);
    // Bob's own list has not changed, and he is not asked anything: one message tells him.
    await phone.client.send('bob', 'from the phone');
    expect((await bob.read()).trust).toBe('verified');
    expect(await bob.seen('devicesChanged')).toEqual({
      type: 'devicesChanged',
      account: 'alice',
      added: [laptop.client.device],
      removed: [],
      refused: [],
    });
    expect((await laptop.read()).text).toBe('from the phone');
    await bob.client.send('alice', 'to both');
    expect([(await phone.read()).text, (await laptop.read()).text]).toEqual(['to both', 'to both']);
    expect(await bob.client.contact('alice').identity()).toMatchObject({ trust: 'verified' });
    expect(bob.count('identityChanged')).toBe(0);
    expect(bob.count('devicesChanged')).toBe(1);
    await closeAll([phone, laptop, bob]);
  });

  test.each([
    ['a number of its own', 77],
    ['a number that the list names', undefined],
  ])('T30: a device that the directory adds under %s is told once in a run, and nothing is encrypted for it', async (_, number) => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const alice = await person('alice', network, clock);
    const bob = await person('bob', network, clock);
    // Eve's device, under Alice's name, account key and list: all that a directory can put together.
    await person('eve', network, clock);
    const [eve] = await network.bundles('eve');
    const ghost = number ?? alice.client.device;
    network.answer = (account, bundles) => {
      const [own] = bundles;
      if (account !== 'alice' || own === undefined || eve === undefined) return bundles;
      const identity = concat(own.identity.subarray(0, -1984), eve.identity.subarray(-1984));
      return [...bundles, { ...eve, address: { account, device: ghost }, identity }];
    };
    for (let i = 0; i < 3; i++) {
      await bob.client.send('alice', `number ${i}`);
      expect((await alice.read()).text).toBe(`number ${i}`);
    }
    clock.ms += 11 * 60_000;
    await bob.client.contact('alice').safetyNumber();
    expect(await bob.seen('devicesChanged')).toMatchObject({ account: 'alice', added: [], removed: [], refused: [ghost] });
    expect(bob.count('devicesChanged')).toBe(1);
    // Nobody has answered for more than a week: the directory is asked.
    const asked = async (who: Person, text: string): Promise<void> => {
      const before = network.fetches.length;
      clock.ms += 8 * 86_400_000;
      await who.client.send('alice', text);
      expect((await alice.read()).text).toBe(text);
      await vi.waitFor(() => expect(network.fetches.slice(before)).toContain('alice'), { timeout: 20_000 });
      await network.settled();
    };
    await asked(bob, 'a week later');
    expect(bob.count('devicesChanged')).toBe(1);
    expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [alice.client.device] });
    await bob.client.close();
    const again = await person('bob', network, clock, { seed: 'again', store: bob.store });
    await asked(again, 'another week later');
    expect(await again.seen('devicesChanged')).toMatchObject({ refused: [ghost] });
    expect(network.sent.filter(({ to }) => to.device === ghost)).toHaveLength(number === undefined ? 5 : 0);
    await closeAll([alice, again]);
  });

  test('a device that its account has removed stops, for good, and nobody reads what it says', async () => {
    const clock = { ms: START };
    const network = memoryNetwork();
    const { phone, laptop, bob } = await people(clock, network);
    await bob.client.send('alice', 'to both');
    await Promise.all([phone.read(), laptop.read()]);
    await phone.client.close();
    const device = decodeDevice(phone.store.rows().get('["device"]')!);
    const { entries } = parseDeviceList(device.deviceList);
    const alone = relist(
      device,
      entries.filter((entry) => entry.device === phone.client.device),
      clock.ms,
      testRng('alone'),
    );
    const prekeys = decodePrekeys(phone.store.rows().get('["prekeys"]')!, []);
    await write(phone.store, [{ key: keys.device, value: encodeDevice(alone) }, publishWrite(deviceKeys(prekeys, alone))]);
    const again = await person('alice', network, clock, { seed: 'alone', store: phone.store });
    await published(again);
    await again.client.send('bob', 'the laptop is lost');
    await bob.read();
    expect(await bob.seen('devicesChanged')).toMatchObject({ added: [], removed: [laptop.client.device] });
    // It hears of it from whoever writes to its account.
    await again.client.send('bob', 'second');
    await bob.read();
    await laptop.client.send('bob', 'I am still here').catch(() => {});
    expect((await laptop.seen('status', ({ status }) => status.state === 'halted')).type).toBe('status');
    await expect(laptop.client.recover()).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    expect(await bob.readAll()).toEqual([]);
    await closeAll([again, laptop, bob]);
  });

  test('what was to reach two own devices still reaches one after the other has left', async () => {
    const clock = { ms: START };
    const memory = memoryNetwork();
    const unreachable = new Set<number>();
    const network: Network = {
      ...memory,
      transport(login) {
        const port = memory.transport(login);
        const send: Transport['send'] = async (to, bytes, options) => {
          if (unreachable.has(to.device)) throw new TransportError('ERR_OFFLINE', 'no way there');
          await port.send(to, bytes, options);
        };
        return { ...port, send };
      },
    };
    const { phone, laptop, bob } = await people(clock, network);
    await phone.client.close();
    const { store, list } = await joined(phone, clock, 'tablet');
    await list();
    const tablet = await person('alice', network, clock, { seed: 'tablet', store });
    await published(tablet);
    const before = await person('alice', network, clock, { seed: 'three', store: phone.store });
    // Sessions with both, so that copies are encrypted at once.
    await before.client.send('bob', 'first');
    await Promise.all([bob.read(), laptop.read(), tablet.read()]);
    for (const { client } of [laptop, tablet]) unreachable.add(client.device);
    await before.client.send('bob', 'second');
    await bob.read();
    while ([...phone.store.rows().keys()].filter((key) => key.startsWith('["outbox","alice"')).length < 2) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await before.client.close();
    const device = decodeDevice(phone.store.rows().get('["device"]')!);
    const { entries } = parseDeviceList(device.deviceList);
    // The one whose envelope would leave first.
    const [lost, kept] = [laptop, tablet].sort((a, b) => (String(a.client.device) < String(b.client.device) ? -1 : 1)) as [Person, Person];
    const left = entries.filter((entry) => entry.device !== lost.client.device);
    await write(phone.store, [{ key: keys.device, value: encodeDevice(relist(device, left, clock.ms, testRng('left'))) }]);
    unreachable.clear();
    const again = await person('alice', network, clock, { seed: 'again', store: phone.store });
    expect((await kept.read()).text).toBe('second');
    await closeAll([again, laptop, tablet, bob]);
  });

  test('T30: a list past its freshness brings no device that was not known; a fresh one does, and what had waited comes', async () => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const first = await person('alice', network, clock, { seed: 'phone' });
    const bob = await person('bob', network, clock);
    await bob.client.send('alice', 'hello');
    await first.read();
    await first.client.close();
    const { store, list } = await joined(first, clock, 'laptop');
    await list();
    // A week later the phone, which could sign a fresh list, is off.
    clock.ms += 8 * 86_400_000;
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    await published(laptop);
    await laptop.client.send('bob', 'who am I?');
    await bob.observed((record) => record.kind === 'span' && record.name === 'receive');
    expect(bob.count('devicesChanged')).toBe(0);
    await bob.client.send('alice', 'to the phone alone');
    expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [first.client.device] });
    const phone = await person('alice', network, clock, { seed: 'phone again', store: first.store });
    expect([(await phone.read()).text, (await phone.read()).text].sort()).toEqual(['to the phone alone', 'who am I?']);
    await phone.client.send('bob', 'here I am');
    expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['here I am', 'who am I?']);
    expect(await bob.seen('devicesChanged')).toMatchObject({ added: [laptop.client.device] });
    await closeAll([phone, laptop, bob]);
  });

  test.each([
    ['when it writes', false],
    ['with the next connection', true],
  ])('of a device that only a list past its freshness names its account may have told the directory alone: asked %s', async (_, waits) => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const first = await person('alice', network, clock, { seed: 'phone' });
    const bob = await person('bob', network, clock);
    await bob.client.send('alice', 'hello');
    await first.read();
    await Promise.all([first, bob].map(({ client }) => client.close()));
    const { store, list } = await joined(first, clock, 'laptop');
    await list();
    clock.ms += 8 * 86_400_000;
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    await published(laptop);
    await (await laptop.client.send('bob', 'who am I?')).until('accepted');
    const open = (): Promise<Person> => person('bob', network, clock, { seed: 'bob again', store: bob.store });
    const early = waits ? await open() : undefined;
    await early?.observed((record) => record.kind === 'span' && record.name === 'directory.fetch');
    const count = network.published.filter(({ address }) => address.account === 'alice').length;
    const phone = await person('alice', network, clock, { seed: 'phone again', store: first.store });
    await network.publication('alice', count + 1);
    await phone.client.close();
    clock.ms += sessionLimits.listRefetchMs;
    const again = early ?? (await open());
    if (waits) network.cut(again.address);
    expect((await again.read()).text).toBe('who am I?');
    await closeAll([laptop, again]);
  });

  test('a device that only a list past its freshness names, of an account that is pinned while its message is looked at: it waits, too', async () => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const first = await person('alice', network, clock, { seed: 'phone' });
    const [early] = await network.bundles('alice');
    const before = await person('bob', network, clock);
    await before.client.close();
    await (await first.client.send('bob', 'from the phone')).until('accepted');
    await first.client.close();
    const { store, list } = await joined(first, clock, 'laptop');
    await list();
    clock.ms += 8 * 86_400_000;
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    await published(laptop);
    await (await laptop.client.send('bob', 'who am I?')).until('accepted');
    // The directory withholds the list that names the laptop, and the pin is on its way to the disk while its message comes.
    network.answer = (account, honest) => (account === 'alice' ? [early!] : honest);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { commit } = before.store;
    before.store.commit = async (writes) => {
      if (writes.some(({ key }) => key[0] === 'contact')) await held;
      return commit(writes);
    };
    const bob = await person('bob', network, clock, { seed: 'bob again', store: before.store });
    await bob.observed((record) => record.kind === 'span' && record.name === 'directory.fetch');
    for (let turn = 0; turn < 100; turn++) await new Promise((next) => setImmediate(next));
    release();
    expect((await bob.read()).text).toBe('from the phone');
    expect(bob.dropped()).toEqual([]);
    network.answer = (_account, honest) => honest;
    const phone = await person('alice', network, clock, { seed: 'phone again', store: first.store });
    await phone.seen('status', ({ status }) => status.state === 'online');
    await phone.client.send('bob', 'here I am');
    expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['here I am', 'who am I?']);
    await closeAll([phone, laptop, bob]);
  });

  test('a device that was listed and never published keys keeps no message from the others', async () => {
    const clock = { ms: START };
    const network = memoryNetwork();
    const { phone } = await listing(network, clock);
    await published(phone);
    clock.ms += linkLimits.slotMs;
    const bob = await person('bob', network, clock);
    const sent = await bob.client.send('alice', 'one');
    expect((await phone.read()).text).toBe('one');
    await sent.until('accepted');
    await (await phone.client.send('bob', 'two')).until('accepted');
    expect((await bob.read()).text).toBe('two');
    await (await bob.client.send('alice', 'three')).until('accepted');
    for (const { store } of [phone, bob])
      expect([...store.rows().keys()].filter((key) => /^\["(pending|unsent|outbox)"/.test(key))).toEqual([]);
    await closeAll([phone, bob]);
  });

  test('a message that is accepted while it is encrypted anew for a shorter list is copied to the sender’s others', async () => {
    const clock = { ms: START };
    const memory = memoryNetwork();
    const gone = new Set<number>();
    const slow = new Map<number, Promise<void>>();
    const network: Network = {
      ...memory,
      transport(login) {
        const port = memory.transport(login);
        const send: Transport['send'] = async (to, bytes, options) => {
          await slow.get(to.device);
          if (gone.has(to.device)) throw new TransportError('ERR_REJECTED', 'nobody there');
          await port.send(to, bytes, options);
        };
        return { ...port, send };
      },
    };
    const { phone, laptop, bob: first } = await people(clock, network);
    await first.client.send('alice', 'hello');
    expect([(await phone.read()).text, (await laptop.read()).text]).toEqual(['hello', 'hello']);
    await first.client.close();
    const { store, list } = await joined(first, clock, 'tablet');
    await list();
    const bob = await person('bob', network, clock, { seed: 'bob again', store: first.store });
    const tablet = await person('bob', network, clock, { seed: 'tablet again', store });
    await published(tablet);

    let accept = (): void => {};
    slow.set(phone.client.device, new Promise((resolve) => (accept = resolve)));
    // The relay knows of the new list; bob does not, and is not told before he has written.
    let tell = (): void => {};
    slow.set(bob.client.device, new Promise((resolve) => (tell = resolve)));
    gone.add(laptop.client.device);
    await phone.client.devices.revoke(laptop.client.device);
    while (phone.store.rows().has('["publish"]')) await new Promise((resolve) => setImmediate(resolve));
    await bob.client.send('alice', 'to whoever is there');
    while (![...bob.store.rows().keys()].some((key) => key.startsWith('["pending","alice"'))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    accept();
    tell();
    expect((await phone.read()).text).toBe('to whoever is there');
    expect(await tablet.read()).toMatchObject({ text: 'to whoever is there', conversation: { account: 'alice' } });
    await closeAll([phone, laptop, bob, tablet]);
  });

  test('what of a revoked device could not be read, too little for a repair, is told to be lost', async () => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const { phone, laptop, bob } = await people(clock, network);
    await laptop.client.send('bob', 'one');
    expect((await phone.read()).text).toBe('one');
    await phone.client.send('bob', 'its answer');
    expect((await laptop.read()).text).toBe('its answer');
    await network.settled();
    let left = 1;
    network.route = (envelope) => {
      if (envelope.to.device !== phone.client.device || left-- <= 0) return [envelope];
      return [{ ...envelope, bytes: envelope.bytes.map((byte, i) => (i === envelope.bytes.length - 1 ? byte ^ 1 : byte)) }];
    };
    await laptop.client.send('bob', 'two');
    await phone.observed(() => phone.dropped().length === 1);
    expect(phone.dropped()).toEqual(['ERR_DECRYPT']);
    expect(phone.count('undecryptable')).toBe(0);
    await phone.client.devices.revoke(laptop.client.device);
    expect(await phone.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_DECRYPT', heals: 'never' });
    expect(phone.count('undecryptable')).toBe(1);
    await closeAll([phone, laptop, bob]);
  });

  test('a device whose keys in the directory are unsound keeps no message from the others, nor fails one that they have', async () => {
    const clock = { ms: START };
    const network = hostileNetwork();
    const { phone, store } = await listing(network, clock);
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    await Promise.all([phone, laptop].map(published));
    network.answer = (account, bundles) =>
      bundles.map((bundle) =>
        account === 'alice' && bundle.address.device === laptop.client.device
          ? { ...bundle, signedSet: bundle.signedSet.map((byte, i) => (i === 3_000 ? byte ^ 1 : byte)) }
          : bundle,
      );
    clock.ms += linkLimits.slotMs;
    const bob = await person('bob', network, clock);
    const sent = await bob.client.send('alice', 'one');
    expect((await phone.read()).text).toBe('one');
    await sent.until('accepted');
    expect([...bob.store.rows().keys()].filter((key) => /^\["(pending|unsent|outbox)"/.test(key))).toEqual([]);
    await closeAll([phone, laptop, bob]);
  });

  test('what is written to a device that was just linked waits for its keys, and for nobody else’s', async () => {
    const clock = { ms: START };
    const network = memoryNetwork();
    const { phone, store } = await listing(network, clock);
    await published(phone);
    const bob = await person('bob', network, clock);
    const sent = await bob.client.send('alice', 'in between');
    expect((await phone.read()).text).toBe('in between');
    expect(bob.events.filter(({ type }) => type === 'sent')).toEqual([]);
    const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
    expect((await laptop.read()).text).toBe('in between');
    await sent.until('accepted');
    await closeAll([phone, laptop, bob]);
  });
});
