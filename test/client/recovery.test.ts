import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { describe, expect, test, vi } from 'vitest';
import { keys, verdictRecord } from '../../src/client/records.js';
import { recoverStore } from '../../src/client/recovery.js';
import type { ClientOptions } from '../../src/client/types.js';
import type { Login, Network } from '../../src/transport/port.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { type GlassNetwork, glassNetwork, offline } from '../helpers/glass-network.js';
import { forgetKeyUses, keyUses } from '../helpers/key-uses.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { coded, usage } from '../helpers/matchers.js';
import { type Clock, type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
vi.mock('../../src/ratchet/keys.js', async (original) => {
  const { watchKeys } = await import('../helpers/key-watch.js');
  const { recordKeyUses } = await import('../helpers/key-uses.js');
  return recordKeyUses(watchKeys(await original()));
});
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));

/** What a backup of the disk holds: every row, as it stands now. */
async function snapshot(store: GlassStore): Promise<GlassStore> {
  const copy = glassStore();
  await copy.commit([...store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  copy.written.length = 0;
  return copy;
}

const isHalted = ({ status }: { status: { state: string } }): boolean => status.state === 'halted';
const isOnline = ({ status }: { status: { state: string } }): boolean => status.state === 'online';

async function haltedWith(each: Person, code: string): Promise<void> {
  await each.seen('status', isHalted);
  expect(each.client.status).toMatchObject({ state: 'halted', error: { name: 'StoreError', code } });
}

/** Alice and bob in mid-conversation, over a network that tells what it carries. */
async function conversation(clock: Clock, rounds = 2): Promise<{ network: GlassNetwork; alice: Person; bob: Person }> {
  const network = glassNetwork();
  const alice = await person('alice', network, clock);
  const bob = await person('bob', network, clock);
  for (let i = 0; i < rounds; i++) {
    await alice.client.send('bob', `a${i}`);
    await bob.read();
    await bob.client.send('alice', `b${i}`);
    await alice.read();
  }
  return { network, alice, bob };
}

/** Both write, both read. */
async function exchange(one: Person, other: Person, text: string): Promise<void> {
  await one.client.send(other.account, `${text} there`);
  await other.client.send(one.account, `${text} back`);
  const texts = [await one.read(), await other.read()].map((message) => message.text);
  expect(texts).toEqual([`${text} back`, `${text} there`]);
}

describe('T24: a store that was restored or copied', () => {
  const clock = { ms: START };

  test('halts wherever it stands: behind, level with, or ahead of what the device has shown', async () => {
    for (const drafts of [0, 1, 2, 3, 4, 5, 6, 12]) {
      const { network, alice, bob } = await conversation(clock);
      const copy = await snapshot(alice.store);
      // The original goes on and shows itself; the network is down while the copy writes ahead.
      await alice.client.send('bob', 'from the original');
      await alice.client.close();
      const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
      await again.seen('status', isOnline);
      await again.client.close();
      const sentBefore = network.sent.length;
      const radio = severable(network);
      radio.down = true;
      const restored = await person('alice', radio, clock, { store: copy, seed: 'restored' });
      for (let i = 0; i < drafts; i++) await restored.client.send('bob', `draft ${i}`);
      radio.down = false;
      await haltedWith(restored, 'ERR_STORE_ROLLBACK');
      expect(network.sent.length).toBe(sentBefore);
      await Promise.all([restored, bob].map(({ client }) => client.close()));
    }
  });

  test('stays halted when it is opened again, also without a network: the proof may not be shown twice; recovering ends it', async () => {
    const { network, alice, bob } = await conversation(clock);
    const copy = await snapshot(alice.store);
    await exchange(alice, bob, 'after the copy');
    await alice.client.close();
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    await again.seen('status', isOnline);
    await again.client.close();
    const restored = await person('alice', network, clock, { store: copy, seed: 'restored' });
    await haltedWith(restored, 'ERR_STORE_ROLLBACK');
    await restored.client.close();
    const radio = severable(network);
    radio.down = true;
    const later = await person('alice', radio, clock, { store: copy, seed: 'later' });
    expect(later.client.status).toMatchObject({ state: 'halted', error: { code: 'ERR_STORE_ROLLBACK' } });
    await haltedWith(later, 'ERR_STORE_ROLLBACK');
    await expect(later.client.send('bob', 'x')).rejects.toThrow(coded('ERR_STORE_ROLLBACK'));
    radio.down = false;
    await later.client.recover();
    await later.seen('status', isOnline);
    await later.client.close();
    const last = await person('alice', network, clock, { store: copy, seed: 'last' });
    await last.seen('status', isOnline);
    expect(last.client.status.state).toBe('online');
    await Promise.all([last, bob].map(({ client }) => client.close()));
  });

  test('publishes no keys of its own, however long it lay', async () => {
    const { network, alice, bob } = await conversation({ ms: START });
    const copy = await snapshot(alice.store);
    await exchange(alice, bob, 'after the copy');
    await alice.client.close();
    const again = await person('alice', network, { ms: START }, { store: alice.store, seed: 'again' });
    await again.seen('status', isOnline);
    await again.client.close();
    const { published } = network;
    const before = published.length;
    // Its set is due by now, and its list; the directory answers at once, the carrier later.
    let connect = (): void => {};
    const connected = new Promise<void>((resolve) => {
      connect = resolve;
    });
    const transport = (login: Login) => {
      const port = network.transport(login);
      const deliveries: typeof port.deliveries = async function* (options) {
        await connected;
        yield* port.deliveries(options);
      };
      return { ...port, deliveries };
    };
    const restored = await person('alice', network, { ms: START + 30 * 86_400_000 }, { store: copy, seed: 'restored', transport });
    for (let turn = 0; turn < 300; turn++) await new Promise((next) => setImmediate(next));
    connect();
    await haltedWith(restored, 'ERR_STORE_ROLLBACK');
    expect(published.slice(before)).toEqual([]);
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('a device that its account has replaced does not take the account back when its list is due', async () => {
    const { network, alice, bob } = await conversation({ ms: START });
    const later = { ms: START };
    await alice.client.close();
    const copy = await snapshot(alice.store);
    await alice.store.commit([{ key: ['login', '', 'halted'], value: verdictRecord.encode({ reason: 'copied', got: 1, max: 2 }) }]);
    const recovered = await person('alice', network, later, { store: alice.store, seed: 'recovered' });
    await recovered.client.recover();
    await recovered.seen('status', isOnline);
    const device = recovered.client.device;
    await recovered.client.send('bob', 'from the new one');
    expect((await bob.read()).from.device).toBe(device);
    // Five days on, when every holder of the account key signs a new list for itself.
    later.ms += 5 * 86_400_000;
    const old = await person('alice', network, later, { store: copy, seed: 'old' });
    await haltedWith(old, 'ERR_STORE_ROLLBACK');
    expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [device] });
    await old.client.close();
    const again = await person('alice', network, later, { store: copy, seed: 'again' });
    expect(again.client.status.state).toBe('halted');
    await Promise.all([recovered, again, bob].map(({ client }) => client.close()));
  });

  test('of two copies that run at once, the second to log in halts', async () => {
    const { network, alice, bob } = await conversation(clock);
    await alice.client.close();
    const copy = await snapshot(alice.store);
    const one = await person('alice', network, clock, { store: alice.store, seed: 'one' });
    await one.seen('status', isOnline);
    await exchange(one, bob, 'before the copy');
    const two = await person('alice', network, clock, { store: copy, seed: 'two' });
    await haltedWith(two, 'ERR_STORE_ROLLBACK');
    await one.client.close();
    const three = await person('alice', network, clock, { store: one.store, seed: 'three' });
    await three.seen('status', isOnline);
    await exchange(three, bob, 'after the copy');
    await Promise.all([two, three, bob].map(({ client }) => client.close()));
  });

  test('logins that were interrupted, repeated or answered late halt nothing', async () => {
    const { network, alice, bob } = await conversation(clock);
    let { store } = alice;
    await alice.client.close();
    let answered = 0;
    for (let i = 0; i < 6; i++) {
      const flaky = {
        ...network,
        transport: (login: Parameters<typeof network.transport>[0]) => {
          const inner = network.transport({
            ...login,
            async prove(challenge) {
              // The proof is made, and may get lost.
              const proof = await login.prove(challenge);
              if (i % 2 === 0 && answered++ % 3 !== 2) throw offline();
              return proof;
            },
          });
          return inner;
        },
      };
      const again = await person('alice', flaky, clock, { store, seed: `again ${i}` });
      await again.seen('status', isOnline);
      await exchange(again, bob, `${i}`);
      await again.client.close();
      store = again.store;
    }
    await bob.client.close();
  });
});

describe('recover', () => {
  test('a restored device goes on as a new one: nothing queued is lost, nobody is alarmed, no key is used twice', async () => {
    const clock = { ms: START };
    forgetKeyUses();
    const { network, alice, bob } = await conversation(clock);
    const carol = await person('carol', network, clock);
    await exchange(alice, carol, 'first');
    await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
    await (await bob.client.contact('alice').safetyNumber()).confirmDigits();
    const done = await alice.client.send('bob', 'done', { key: 'done' });
    await done.until('accepted');
    await bob.read();
    await unread(alice, bob, 'not read yet');
    // Two messages wait in the backup; the original sends them, and more.
    network.sendFails = offline();
    const queued = await alice.client.send('bob', 'queued', { key: 'queued' });
    await alice.client.send('carol', 'queued for carol');
    await alice.client.send('dave', 'for somebody new');
    const copy = await snapshot(alice.store);
    network.sendFails = undefined;
    await alice.client.close();
    const original = await person('alice', network, clock, { store: alice.store, seed: 'original' });
    expect((await original.read()).text).toBe('not read yet');
    expect((await bob.read()).text).toBe('queued');
    expect((await carol.read()).text).toBe('queued for carol');
    await exchange(original, bob, 'more');
    await exchange(original, carol, 'more');
    await original.client.close();

    clock.ms += 60_000;
    const restored = await person('alice', network, clock, { store: copy, seed: 'restored' });
    await haltedWith(restored, 'ERR_STORE_ROLLBACK');
    const lost = restored.client.device;
    const events = { bob: bob.events.length, carol: carol.events.length };
    await restored.client.recover();
    expect(restored.client.device).not.toBe(lost);
    await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    await carol.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    expect((await restored.read()).text).toBe('not read yet');
    // Sent twice under one id, so that it is shown once: what comes next is the next.
    await exchange(restored, bob, 'after');
    await exchange(restored, carol, 'after');
    const dave = await person('dave', network, clock);
    await restored.client.send('dave', 'and again');
    expect([(await dave.read()).text, (await dave.read()).text]).toEqual(['for somebody new', 'and again']);
    for (const each of [bob, carol]) {
      const since = each.events.slice(events[each.account as 'bob' | 'carol']);
      expect(since.map(({ type }) => type)).not.toContain('identityChanged');
      expect(since).toContainEqual({
        type: 'sessionEstablished',
        address: { account: 'alice', device: restored.client.device },
        reason: 'recovered',
      });
    }
    const recovered = restored.events.filter(({ type }) => type === 'sessionEstablished');
    expect(recovered).toContainEqual({ type: 'sessionEstablished', address: bob.address, reason: 'recovered' });
    expect(recovered).toContainEqual({ type: 'sessionEstablished', address: carol.address, reason: 'recovered' });

    // What was kept: pins, trust, ids, idempotency, the inbox.
    expect(await restored.client.contact('bob').identity()).toMatchObject({ trust: 'verified' });
    expect(await bob.client.contact('alice').identity()).toMatchObject({ trust: 'verified', devices: [restored.client.device] });
    expect((await restored.client.sent(done.id))?.state).toBe('accepted');
    expect((await restored.client.send('bob', 'queued', { key: 'queued' })).id).toBe(queued.id);
    await (await restored.client.sent(queued.id))!.until('accepted');
    expect(keysUsedTwice(network.sent)).toEqual([]);
    expect([keyUses.prks, keyUses.nonces, keyUses.keys].map(({ size }) => size)).toEqual(Array(3).fill(keyUses.counted));
    const spaces = [...copy.rows().keys()].map((key) => JSON.parse(key)[0] as string);
    for (const gone of ['unsent', 'pending', 'outbox', 'greet']) expect(spaces).not.toContain(gone);
    await Promise.all([restored, bob, carol, dave].map(({ client }) => client.close()));
  });

  test('what is in the inbox stays, and is shown once', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    await unread(alice, bob, 'unread');
    const restored = await rolledBack(network, alice, clock);
    await restored.client.recover();
    expect((await restored.read()).text).toBe('unread');
    expect(await restored.readAll()).toEqual([]);
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('contacts learn of it without a message, and what they had queued for the lost device is encrypted anew', async () => {
    const clock = { ms: START };
    const network = glassNetwork();
    const radio = severable(network);
    const alice = await person('alice', network, clock);
    const bob = await person('bob', radio, clock);
    await exchange(alice, bob, 'first');
    const restored = await rolledBack(network, alice, clock);
    radio.down = true;
    const sent = await bob.client.send('alice', 'for whom?');
    await bob.observed((record) => record.kind === 'log' && record.event === 'send-retry');
    radio.deaf = false;
    await restored.client.recover();
    await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    radio.down = false;
    expect(await restored.read()).toMatchObject({ text: 'for whom?', id: sent.id });
    await sent.until('accepted');
    expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [restored.client.device] });
    expect([...bob.store.rows().keys()].some((key) => /"(unsent|outbox|pending)"/.test(key))).toBe(false);
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('drops every secret of the lost device, and publishes a list with the new one alone', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const restored = await rolledBack(network, alice, clock);
    const before = restored.store.rows();
    const of = (rows: ReadonlyMap<string, Uint8Array>, space: string) => [...rows.keys()].filter((key) => JSON.parse(key)[0] === space);
    const gone = ['session', 'tag', 'peer', 'seen'].flatMap((space) => of(before, space));
    expect(gone.length).toBeGreaterThan(3);
    network.sendFails = offline();
    await restored.client.recover();
    await restored.seen('status', isOnline);
    expect(gone.filter((key) => restored.store.rows().has(key) && !key.includes('peer'))).toEqual([]);
    const { deviceList } = publishedOf(network, restored.client.device);
    expect(parseDeviceList(deviceList).entries.map(({ device }) => device)).toEqual([restored.client.device]);
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('of what belongs to one device no row is left: sessions, skipped keys, accepted flights, logins', async () => {
    const clock = { ms: START };
    const network = glassNetwork();
    let isLossy = false;
    const lossy: Network = {
      ...network,
      transport(login) {
        const transport = network.transport(login);
        return { ...transport, send: (...args) => (isLossy ? Promise.resolve() : transport.send(...args)) };
      },
    };
    const alice = await person('alice', network, clock);
    const bob = await person('bob', lossy, clock);
    const carol = await person('carol', network, clock);
    await exchange(bob, alice, 'first');
    await (await alice.client.send('carol', 'unanswered')).until('accepted');
    isLossy = true;
    await (await bob.client.send('alice', 'lost')).until('accepted');
    isLossy = false;
    await bob.client.send('alice', 'after a gap');
    expect((await alice.read()).text).toBe('after a gap');
    await Promise.all([alice, bob, carol].map(({ client }) => client.close()));

    // A sender whom nothing confirms, and a device that this one has linked: conversations of their own, tested elsewhere.
    await alice.store.commit(
      [keys.claimed('00'.repeat(32)), keys.linked(new Uint8Array(64))].map((key) => ({ key, value: new Uint8Array(1) })),
    );
    const spaces = new Set(['session', 'init', 'skipped', 'tag', 'claimed', 'peer', 'linked', 'seen', 'login']);
    const there = () => [...alice.store.rows().keys()].map((key) => JSON.parse(key)[0] as string).filter((space) => spaces.has(space));
    expect(new Set(there())).toEqual(spaces);
    await recoverStore(alice.store, { directory: network.directory, rng: testRng('recovered'), now: () => clock.ms });
    expect(there()).toEqual([]);
  });

  test('both sides lost their state: both recover, and go on', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const [a, b] = [await rolledBack(network, alice, clock), await rolledBack(network, bob, clock)];
    await Promise.all([a.client.recover(), b.client.recover()]);
    // One of the greetings may have gone to the lost device; the other has not.
    await Promise.race([a.seen('sessionEstablished'), b.seen('sessionEstablished')]);
    for (let i = 0; i < 3; i++) await exchange(a, b, `${i}`);
    await Promise.all([a, b].map(({ client }) => client.close()));
  });

  test('nothing is encrypted for a contact before the new device is published: of two that recover at once, one finds the other', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const order: string[] = [];
    const slow: typeof network = {
      ...network,
      directory(login) {
        const directory = network.directory(login);
        return {
          ...directory,
          async publish(keys) {
            // Long enough for whatever does not wait for it.
            for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
            await directory.publish(keys);
            order.push(`published ${login.address.device}`);
          },
        };
      },
      transport(login) {
        const transport = network.transport(login);
        return {
          ...transport,
          async send(...args) {
            order.push(`sent ${login.address.device}`);
            await transport.send(...args);
          },
        };
      },
    };
    const [a, b] = [await rolledBack(slow, alice, clock), await rolledBack(slow, bob, clock)];
    order.length = 0;
    await Promise.all([a.client.recover(), b.client.recover()]);
    await a.client.send('bob', 'written at once');
    await Promise.race([a.seen('sessionEstablished'), b.seen('sessionEstablished')]);
    for (const { client } of [a, b]) {
      const first = order.findIndex((each) => each.endsWith(` ${client.device}`));
      expect(order[first]).toBe(`published ${client.device}`);
    }
    await Promise.all([a, b].map(({ client }) => client.close()));
  });

  test('a contact that heard nothing of one recovery hears of the next', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const first = await rolledBack(network, alice, clock);
    network.directoryDown = true;
    await first.client.recover();
    await first.seen('status', isOnline);
    const second = await rolledBack(network, first, clock);
    network.directoryDown = false;
    await second.client.recover();
    await bob.seen('sessionEstablished', ({ address }) => address.device === second.client.device);
    await exchange(second, bob, 'at last');
    await Promise.all([second, bob].map(({ client }) => client.close()));
  });

  test('again and again, and a clock that went back: the newest device is the one that is written to', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    let current = alice;
    for (let i = 0; i < 3; i++) {
      current = await rolledBack(network, current, clock);
      clock.ms -= 10 * 86_400_000;
      await current.client.recover();
      await bob.seen('sessionEstablished', ({ address }) => address.device === current.client.device);
      await exchange(current, bob, `${i}`);
      expect(await bob.client.contact('alice').identity()).toMatchObject({ devices: [current.client.device] });
    }
    await Promise.all([current, bob].map(({ client }) => client.close()));
  });

  test('offline: the new device is made, and published once the directory can be reached', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const restored = await rolledBack(network, alice, clock);
    network.directoryDown = true;
    await restored.client.recover();
    await restored.client.send('bob', 'later');
    await restored.client.close();
    network.directoryDown = false;
    const again = await person('alice', network, clock, { store: restored.store, seed: 'later' });
    expect(again.client.device).toBe(restored.client.device);
    expect((await bob.read()).text).toBe('later');
    await Promise.all([again, bob].map(({ client }) => client.close()));
  });

  test('with sealed metadata: the set of the new device is fetched where only its session is known', async () => {
    const clock = { ms: START };
    const network = glassNetwork();
    const sealed = { metadata: 'sealed' } as const;
    const alice = await person('alice', network, clock, sealed);
    const bob = await person('bob', network, clock, sealed);
    await exchange(alice, bob, 'first');
    const restored = await rolledBack(network, alice, clock, sealed);
    await restored.client.recover();
    await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    for (let i = 0; i < 3; i++) await exchange(restored, bob, `${i}`);
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('also mends what no new device needs: a damaged session', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    await unread(alice, bob, 'kept');
    await alice.client.close();
    const [session] = await alice.store.list(['session'], 1);
    await alice.store.commit([{ key: session!.key, value: session!.value.slice(0, -1) }]);
    const damaged = await person('alice', network, clock, { store: alice.store, seed: 'damaged' });
    await (await bob.client.send('alice', 'lost with the session')).until('accepted');
    await haltedWith(damaged, 'ERR_STORE_CORRUPT');
    await damaged.client.recover();
    await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
    expect((await damaged.read()).text).toBe('kept');
    await exchange(damaged, bob, 'mended');
    await Promise.all([damaged, bob].map(({ client }) => client.close()));
  });

  test('a store without its device row can’t be recovered, and stays as it is', async () => {
    const clock = { ms: START };
    const { network, alice, bob } = await conversation(clock);
    const restored = await rolledBack(network, alice, clock);
    const [device] = await restored.store.read([keys.device]);
    await restored.store.commit([{ key: keys.device, value: null }]);
    const before = restored.store.dump();
    await expect(restored.client.recover()).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
    expect(restored.store.dump()).toBe(before);
    await haltedWith(restored, 'ERR_STORE_ROLLBACK');
    await restored.store.commit([{ key: keys.device, value: device!.value }]);
    await restored.client.recover();
    await Promise.all([restored, bob].map(({ client }) => client.close()));
  });

  test('is refused unless the client is halted', async () => {
    const alice = await person('alice', memoryNetwork(), { ms: START });
    await expect(alice.client.recover()).rejects.toThrow(usage('ERR_ARGUMENT', 'status'));
    await alice.client.close();
    await expect(alice.client.recover()).rejects.toThrow(coded('ERR_CLOSED'));
  });
});

/** The network of one person, who may lose it: nothing goes out while it is `down`, nothing comes in while it is `deaf` too. */
function severable(network: GlassNetwork): Network & { down: boolean; deaf: boolean } {
  const self = {
    down: false,
    deaf: true,
    directory: network.directory,
    transport(login: Login) {
      const transport = network.transport(login);
      return {
        ...transport,
        send: (...args: Parameters<typeof transport.send>) => (self.down ? Promise.reject(offline()) : transport.send(...args)),
        deliveries: (options: Parameters<typeof transport.deliveries>[0]) => {
          if (self.down && self.deaf) throw offline();
          return transport.deliveries(options);
        },
      };
    },
  };
  return self;
}

/** Bob's message lies in alice's inbox. */
async function unread(alice: Person, bob: Person, text: string): Promise<void> {
  const from = alice.observations.length;
  await bob.client.send('alice', text);
  await alice.observed((record) => record.kind === 'gauge' && record.name === 'unacked' && record.value === 1, from);
}

let restores = 0;
/** The person's store as it was some messages ago, opened, and halted. */
async function rolledBack(network: GlassNetwork, whose: Person, clock: Clock, options: Partial<ClientOptions> = {}): Promise<Person> {
  const copy = await snapshot(whose.store);
  await whose.client.close();
  const later = await person(whose.account, network, clock, { ...options, store: whose.store, seed: `later ${++restores}` });
  await later.seen('status', isOnline);
  await later.client.close();
  const restored = await person(whose.account, network, clock, { ...options, store: copy, seed: `restored ${restores}` });
  await haltedWith(restored, 'ERR_STORE_ROLLBACK');
  return restored;
}

function publishedOf(network: GlassNetwork, device: number): { deviceList: Uint8Array } {
  const last = network.published
    .map((text) => JSON.parse(text) as { address: { device: number }; identity: string })
    .filter(({ address }) => address.device === device)
    .at(-1)!;
  const identity = Buffer.from(last.identity, 'hex');
  return { deviceList: new Uint8Array(identity.subarray(1984 + 2, 1984 + 2 + identity.readUInt16BE(1984))) };
}
