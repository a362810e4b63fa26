import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { expect, test, vi } from 'vitest';
import { keys, metaRecord, pendingRecord, sentRecord } from '../../src/client/records.js';
import { isCyphrError, TransportError } from '../../src/errors.js';
import type { Store } from '../../src/store/port.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { encodeRecord } from '../../src/wire/record.js';
import { glassNetwork, portsOf } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

test('a store that holds this account resumes the same device, without network', async () => {
  const network = glassNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  const { device } = alice.client;
  await alice.client.close();
  network.directoryDown = true;
  const fetched = network.fetched.length;
  const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
  expect([again.client.account, again.client.device]).toEqual(['alice', device]);
  expect(network.fetched.length).toBe(fetched);
  await again.client.close();
});

test('an empty store and no directory: offline, and nothing is written', async () => {
  const network = glassNetwork();
  network.directoryDown = true;
  const store = glassStore();
  await expect(createClient({ account: 'alice', store, ...portsOf(network) })).rejects.toThrow(coded('ERR_OFFLINE'));
  expect(store.dump()).toBe('');
  expect(network.closedCount).toBe(1);
  network.directoryDown = false;
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
});

test('an empty store and a known account: not overwritten', async () => {
  const network = memoryNetwork();
  const first = await createClient({ account: 'alice', store: memoryStore(), ...portsOf(network) });
  const store = glassStore();
  await expect(createClient({ account: 'alice', store, ...portsOf(network) })).rejects.toThrow(coded('ERR_ACCOUNT_EXISTS'));
  expect(store.dump()).toBe('');
  await first.close();
});

test('two devices that register one account at the same time: one has it, the other’s store is empty again', async () => {
  const network = memoryNetwork();
  const stores = [glassStore(), glassStore()];
  const opened = await Promise.allSettled(stores.map((store) => createClient({ account: 'alice', store, ...portsOf(network) })));
  expect(opened.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const loser = opened.findIndex(({ status }) => status === 'rejected');
  expect(opened[loser]).toMatchObject({ reason: { code: 'ERR_ACCOUNT_EXISTS' } });
  expect([...stores[loser]!.rows().keys()]).toEqual(['["generation"]']);
  for (const each of opened) if (each.status === 'fulfilled') await each.value.close();
});

test('a directory that asks for a login, and gives the name to another: the store is empty again', async () => {
  const network = memoryNetwork();
  const strict = {
    ...network,
    directory: (login: Parameters<typeof network.directory>[0]) => ({
      ...network.directory(login),
      async publish() {
        await login.prove({ audience: 'directory', nonce: new Uint8Array(32) });
        throw new TransportError('ERR_REJECTED', 'taken');
      },
    }),
  };
  const store = glassStore();
  await expect(createClient({ account: 'alice', store, ...strict })).rejects.toThrow(coded('ERR_ACCOUNT_EXISTS'));
  expect([...store.rows().keys()]).toEqual(['["generation"]']);
});

test('a directory that refuses what follows the first publication takes no identity away', async () => {
  const network = memoryNetwork();
  const refusing = {
    ...network,
    directory: (login: Parameters<typeof network.directory>[0]) => ({
      ...network.directory(login),
      remaining: () => Promise.reject(new TransportError('ERR_REJECTED', 'not found')),
    }),
  };
  const store = glassStore();
  const first = await createClient({ account: 'alice', store, ...refusing });
  const { device } = first;
  await first.close();
  const again = await createClient({ account: 'alice', store, ...portsOf(network) });
  expect(again.device).toBe(device);
  await again.close();
});

test('another account’s store is refused and untouched', async () => {
  const network = memoryNetwork();
  const store = glassStore();
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
  const before = store.dump();
  await expect(createClient({ account: 'bob', store, ...portsOf(network) })).rejects.toThrow(usage('ERR_ARGUMENT', 'account'));
  expect(store.dump()).toBe(before);
});

test('T46: a store of a newer version is refused and untouched', async () => {
  const network = memoryNetwork();
  const store = glassStore();
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
  for (const [key, kind, value] of [
    [keys.meta, 'meta', { account: 'alice', device: 1, loginsSince: 1 }],
    [keys.device, 'device', {}],
    [keys.prekeys, 'prekeys', {}],
  ] as const) {
    const [row] = await store.read([key]);
    await store.commit([{ key, value: encodeRecord(kind, 4, value) }]);
    const before = store.dump();
    await expect(createClient({ account: 'alice', store, ...portsOf(network) })).rejects.toThrow(coded('ERR_STORE_VERSION'));
    expect(store.dump()).toBe(before);
    await store.commit([{ key, value: row!.value }]);
  }
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
});

test('damaged or missing rows are corrupt, and nothing is repaired by guessing', async () => {
  const network = memoryNetwork();
  const store = glassStore();
  const alice = await createClient({ account: 'alice', store, ...portsOf(network) });
  const bob = await createClient({ account: 'bob', store: memoryStore(), ...portsOf(network) });
  await (await alice.send('bob', 'x')).until('accepted');
  await bob.send('alice', 'y');
  for await (const _ of alice.messages()) break;
  await Promise.all([alice.close(), bob.close()]);
  const own = [keys.meta, keys.device, keys.prekeys, ['generation'] as const];
  const all = [...store.rows().keys()].map((key) => JSON.parse(key) as [string, ...string[]]);
  const atOpening = all.filter(([space]) => ['contact', 'inbox', 'seen'].includes(space));
  expect(atOpening.length).toBeGreaterThan(1);
  for (const key of [...own, ...atOpening]) {
    const [row] = await store.read([key]);
    const broken = [new Uint8Array(0), row!.value.slice(0, -1), new Uint8Array([0xc1])];
    for (const value of own.includes(key as never) ? [null, ...broken] : broken) {
      await store.commit([{ key, value }]);
      const before = store.dump();
      await expect(createClient({ account: 'alice', store, ...portsOf(network) }), JSON.stringify(key)).rejects.toThrow(
        coded('ERR_STORE_CORRUPT'),
      );
      expect(store.dump()).toBe(before);
      await store.commit([{ key, value: row!.value }]);
    }
  }
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
});

test('one port object in two clients is refused, and free again after close', async () => {
  const network = memoryNetwork();
  const store = { ...memoryStore(), close: async () => {} };
  const alice = await createClient({ account: 'alice', store, ...portsOf(network) });
  await expect(createClient({ account: 'alice', store, ...portsOf(network) })).rejects.toThrow(usage('ERR_ARGUMENT', 'store'));
  const login = { address: { account: 'bob', device: 1 }, prove: async () => new Uint8Array(1) };
  const transport = network.transport(login);
  const bob = await createClient({ account: 'bob', store: memoryStore(), transport, directory: network.directory });
  await expect(createClient({ account: 'carol', store: memoryStore(), transport, directory: network.directory })).rejects.toThrow(
    usage('ERR_ARGUMENT', 'transport'),
  );
  await Promise.all([alice.close(), bob.close()]);
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
});

test('T26: after a crash between commit and publication the same bytes are published', async () => {
  const network = glassNetwork();
  const store = glassStore();
  const crashing = crashingStore(store, { atCommit: 1, side: 'after' });
  await expect(createClient({ account: 'alice', store: crashing, ...portsOf(network) })).rejects.toThrow(coded('ERR_STORE_IO'));
  expect(network.published).toEqual([]);
  const row = Buffer.from(store.rows().get('["publish"]')!).toString('hex');
  const again = await createClient({ account: 'alice', store, ...portsOf(network) });
  await new Promise<void>((resolve) => {
    again.on('status', ({ status }) => status.state === 'online' && resolve());
  });
  await again.close();
  expect(network.published.length).toBe(1);
  const { identity, signedSet, batch } = JSON.parse(network.published[0]!) as {
    identity: string;
    signedSet: string;
    batch: { head: string };
  };
  for (const part of [identity, signedSet, batch.head]) expect(row).toContain(part);
});

test('aborted while it opens: rejects with the reason at once, writes nothing, and leaves the ports free', async () => {
  const network = glassNetwork();
  const store = glassStore();
  const abort = new AbortController();
  const reason = new Error('changed my mind');
  let fetched = (): void => {};
  const asked = new Promise<void>((resolve) => {
    fetched = resolve;
  });
  const hanging = (login: Parameters<typeof network.directory>[0]) => ({
    ...network.directory(login),
    fetch: () => {
      fetched();
      return new Promise<never>(() => {});
    },
  });
  const opening = createClient({ account: 'alice', store, transport: network.transport, directory: hanging, signal: abort.signal });
  await asked;
  abort.abort(reason);
  await expect(opening).rejects.toBe(reason);
  await expect(createClient({ account: 'alice', store, ...portsOf(network), signal: abort.signal })).rejects.toBe(reason);
  expect(store.dump()).toBe('');
  await (await createClient({ account: 'alice', store, ...portsOf(network) })).close();
});

test('aborted while what it has published is being noted: the next client on its store meets no late commit', async () => {
  const network = glassNetwork();
  const store = glassStore();
  const { commit } = store;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const isNoting = new Promise<void>((noting) => {
    store.commit = async (writes) => {
      if (writes.some(({ key, value }) => key[0] === 'publish' && value === null)) {
        noting();
        await released;
      }
      return commit(writes);
    };
  });
  const abort = new AbortController();
  const opening = createClient({ account: 'alice', store, ...portsOf(network), signal: abort.signal });
  await isNoting;
  abort.abort(new Error('given up'));
  await expect(opening).rejects.toThrow('given up');
  // The store is taken until that commit is over.
  const next = async (): Promise<Person> => {
    try {
      return await person('alice', network, { ms: START }, { store, seed: 'again' });
    } catch (error) {
      if (!isCyphrError(error) || error.code !== 'ERR_ARGUMENT') throw error;
      await new Promise((turn) => setImmediate(turn));
      return next();
    }
  };
  const opened = next();
  for (let turn = 0; turn < 50; turn++) await new Promise((over) => setImmediate(over));
  release();
  const again = await opened;
  await again.seen('status', ({ status }) => status.state === 'online' || status.state === 'halted');
  expect(again.client.status.state).toBe('online');
  await again.client.close();
});

test('T34: names that could be mistaken for others stay apart', async () => {
  const network = memoryNetwork();
  const clock = { ms: START };
  const names = ['a/b', 'a:b', 'a', 'b', '%2F', 'a%2Fb', '\0', 'a\0b', '__proto__', 'constructor', '["a"]', '👩‍🚀', ' ', '\\', 'peer a'];
  const hub = await person('hub', network, clock);
  const people = await Promise.all(names.map((name) => person(name, network, clock)));
  for (const { client, account } of people) await client.send('hub', `from ${account}`);
  const got = new Map<string, string>();
  for await (const message of hub.client.messages()) {
    got.set(message.from.account, message.text);
    await hub.client.send(message.conversation, `to ${message.from.account}`, { key: `reply ${message.from.account}` });
    await message.ack();
    if (got.size === names.length) break;
  }
  for (const { account } of people) expect(got.get(account)).toBe(`from ${account}`);
  for (const each of people) expect((await each.read()).text).toBe(`to ${each.account}`);
  const spaces = new Set(
    [...hub.store.rows().keys()]
      .map((key) => JSON.parse(key))
      .filter(([space]) => space === 'contact')
      .map(([, name]) => name),
  );
  expect([...spaces].sort()).toEqual([...names].sort());
  await Promise.all([hub, ...people].map(({ client }) => client.close()));
});

test('a store that throws something of its own is an ERR_STORE_IO with its cause', async () => {
  const cause = new RangeError('disk on fire');
  const store: Store = { ...memoryStore(), read: () => Promise.reject(cause) };
  await expect(createClient({ account: 'alice', store, ...memoryNetwork() })).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause });
});

test('records refuse what they did not write', () => {
  const meta = { account: 'alice', device: 5, loginsSince: 1 };
  expect(metaRecord.decode(metaRecord.encode(meta))).toEqual(meta);
  for (const record of [{ account: 'alice' }, { ...meta, account: 5 }, { ...meta, more: 1 }]) {
    expect(() => metaRecord.decode(encodeRecord('meta', 2, record))).toThrow(coded('ERR_STORE_CORRUPT'));
  }
});

test('what an earlier run left waiting of the protocol’s own is nothing that the application hears of', async () => {
  const network = glassNetwork();
  const clock = { ms: START };
  const { client, store } = await person('alice', network, clock);
  await client.close();
  const [id, seq] = ['01'.repeat(16), 7];
  const waits = { to: 'bob', state: 'queued', atMs: START, seq, waitingFor: [], accepted: 0, isControl: true };
  await store.commit([
    { key: keys.sent(id), value: sentRecord.encode(waits) },
    { key: keys.pending('bob', seq), value: pendingRecord.encode({ id, payload: new Uint8Array(1), control: 'any', atMs: START }) },
  ]);
  const again = await person('alice', network, clock, { store, seed: 'again' });
  expect(again.client.status).toMatchObject({ queuedCount: 0 });
  await again.client.close();
});
