import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { fromHex, toHex } from '../../src/bytes.js';
import { openDatabase } from '../../src/client/database.js';
import { FORMAT, keys, metaRecord, record } from '../../src/client/records.js';
import { recoverStore } from '../../src/client/recovery.js';
import { loadIdentity } from '../../src/client/registration.js';
import type { MessageId } from '../../src/client/types.js';
import type { Store } from '../../src/store/port.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { encodeRecord } from '../../src/wire/record.js';
import type { StoreVectors } from '../helpers/client-store-vectors.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const FOLDER = fileURLToPath(new URL('../../test-vectors/', import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => /^client-store-v\d+\.json$/.test(name));

interface World {
  readonly vectors: StoreVectors;
  readonly network: HostileNetwork;
  storeOf(account: string): Promise<GlassStore>;
  open(account: string, seed?: string, store?: GlassStore): Promise<Person>;
  deliver(name: 'first' | 'late'): Promise<boolean>;
}

/** The world of a golden file, as it stood still: its directory, and its stores to be opened. */
async function world(file: string): Promise<World> {
  const vectors = JSON.parse(readFileSync(FOLDER + file, 'utf8')) as StoreVectors;
  const network = hostileNetwork();
  const clock = { ms: vectors.nowMs };
  for (const { account, device, identity, signedSet } of vectors.directory) {
    const address = { account, device };
    const directory = network.directory as (login: unknown) => { publish(keys: unknown): Promise<void> };
    await directory({ address }).publish({ address, identity: fromHex(identity)!, signedSet: fromHex(signedSet)! });
  }
  const storeOf = async (account: string): Promise<GlassStore> => {
    const store = glassStore();
    const rows = Object.entries(vectors.stores[account] ?? {});
    if (rows.length > 0) await store.commit(rows.map(([key, value]) => ({ key: JSON.parse(key), value: fromHex(value)! })));
    return store;
  };
  return {
    vectors,
    network,
    storeOf,
    open: async (account, seed = account, store) =>
      person(account, network, clock, { store: store ?? (await storeOf(account)), seed: `${file} ${seed}` }),
    deliver(name) {
      const { bytes, ...to } = vectors.envelopes[name];
      return network.inject(to, fromHex(bytes)!);
    },
  };
}

test('there is a golden store of every format', () => {
  expect(FILES).toEqual(Array.from({ length: FORMAT }, (_, i) => `client-store-v${i + 1}.json`));
});

describe.each(FILES)('T46: %s opens, and everything in it goes on', (file) => {
  test('the conversation, what was queued, what was not acknowledged, what was under way', async () => {
    const { vectors, network, open, deliver } = await world(file);
    const published = network.published.length;
    const bob = await open('bob');
    const alice = await open('alice');
    const { sent } = vectors;

    expect((await alice.read()).text).toBe('unread');
    expect(await deliver('first')).toBe(true);
    expect((await alice.read()).text).toBe('on its way');
    expect((await bob.read()).text).toBe('queued');
    expect((await bob.read()).text).toBe('queued too');
    expect(await deliver('late')).toBe(true);
    expect((await bob.read()).text).toBe('late');
    // The same key is the same message, and nothing goes out again.
    expect((await alice.client.send('bob', 'queued', { key: 'the key' })).id).toBe(sent['queued']);
    for (let i = 0; i < 4; i++) {
      await alice.client.send('bob', `to bob ${i}`);
      expect((await bob.read()).text).toBe(`to bob ${i}`);
      await bob.client.send('alice', `to alice ${i}`);
      expect((await alice.read()).text).toBe(`to alice ${i}`);
    }
    expect(await alice.client.contact('bob').identity()).toMatchObject({ trust: 'verified' });
    expect(network.published.slice(published).map(({ address }) => address.account)).toContain('alice');
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('a first flight that nobody has answered, somebody unknown who registers, an identity that has changed', async () => {
    const { vectors, open } = await world(file);
    const dave = await open('dave');
    const carol = await open('carol');
    const alice = await open('alice');
    const { sent } = vectors;
    expect((await dave.read()).text).toBe('to dave');
    expect((await alice.client.sent(sent['to dave']!))?.state).toBe('accepted');
    // The next message of an unanswered session carries its Init again.
    await alice.client.send('carol', 'once more');
    expect((await carol.read()).text).toBe('once more');
    await carol.client.send('alice', 'here I am');
    const texts = [(await alice.read()).text, (await alice.read()).text];
    expect(texts.sort()).toEqual(['here I am', 'unread']);
    await expect(alice.client.send('erin', 'x')).rejects.toMatchObject({ code: 'ERR_IDENTITY_CHANGED' });
    await Promise.all([alice, carol, dave].map(({ client }) => client.close()));
  });

  test('a store that is behind its device is recovered: what has its plaintext goes out under its id, what has none has failed', async () => {
    const { vectors, network, open, storeOf } = await world(file);
    const { sent } = vectors;
    const bob = await open('bob');
    const dave = await open('dave');
    const store = await storeOf('alice');
    await (await openMigrated(store)).close();
    const rng = testRng(`${file} recovery`);
    await recoverStore(store, { directory: network.directory, rng, now: () => vectors.nowMs });
    const alice = await open('alice', 'recovered', store);
    expect((await dave.read()).text).toBe('to dave');
    if (file === 'client-store-v1.json') {
      for (const text of ['queued', 'queued too']) expect((await alice.client.sent(sent[text]!))?.state).toBe('failed');
    } else {
      expect([await bob.read(), await bob.read()].map(({ text, id }) => [text, id])).toEqual(
        ['queued', 'queued too'].map((text) => [text, sent[text]]),
      );
    }
    await alice.client.send('bob', 'I am back');
    expect((await bob.read()).text).toBe('I am back');
    await bob.client.send('alice', 'so I see');
    const texts = [(await alice.read()).text, (await alice.read()).text];
    expect(texts).toEqual(['unread', 'so I see']);
    expect(await alice.client.contact('bob').identity()).toMatchObject({ trust: 'verified' });
    await Promise.all([alice, bob, dave].map(({ client }) => client.close()));
  });
});

test('from format 2 on: a recovered device that nobody has heard of greets its contact', async () => {
  const { open } = await world('client-store-v2.json');
  const bob = await open('bob');
  const frank = await open('frank');
  await bob.seen('sessionEstablished', ({ address, reason }) => reason === 'recovered' && address.device === frank.client.device);
  await bob.client.send('frank', 'welcome back');
  expect((await frank.read()).text).toBe('welcome back');
  await frank.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await Promise.all([bob, frank].map(({ client }) => client.close()));
});

test('from format 3 on: two devices of an account, one of which has something to send', async () => {
  const { open, storeOf, vectors } = await world('client-store-v3.json');
  const bob = await open('bob');
  const grace = await open('grace');
  const laptop = await open('grace', 'laptop', await storeOf('laptop'));
  expect(await bob.read()).toMatchObject({ text: 'from grace', from: grace.address, disappearAfterMs: 366 * 86_400_000 });
  // The copy of a message that had left, and of the one that leaves now.
  expect((await laptop.read()).content).toEqual({ kind: 'timer', disappearAfterMs: 366 * 86_400_000 });
  expect(await laptop.read()).toMatchObject({ id: vectors.sent['from grace'], text: 'from grace', conversation: { account: 'bob' } });
  expect((await laptop.client.devices.list()).map(({ device }) => device).sort()).toEqual(
    [grace.client.device, laptop.client.device].sort(),
  );
  await bob.client.send('grace', 'to both');
  expect([(await grace.read()).text, (await laptop.read()).text]).toEqual(['to both', 'to both']);
  await grace.client.send('bob', { kind: 'edit', target: vectors.sent['to be edited'] as MessageId, text: 'again' });
  expect(await bob.read()).toMatchObject({ content: { kind: 'edit', target: vectors.sent['to be edited'] } });
  await Promise.all([bob, grace, laptop].map(({ client }) => client.close()));
});

test('format 2 to 3 writes the number of the format, and forgets no login', async () => {
  const { storeOf } = await world('client-store-v2.json');
  const store = await storeOf('alice');
  const { loginsSince } = record('meta', { account: 'string', device: 'number', loginsSince: 'number' }, 2).decode(
    store.rows().get('["meta"]')!,
  );
  store.written.length = 0;
  const db = await openMigrated(store);
  expect(store.written.map(({ key }) => key)).toEqual([['generation'], ['meta']]);
  expect(metaRecord.decode((await db.read(keys.meta))!)).toMatchObject({ account: 'alice', loginsSince });
  await db.close();
});

describe('format 1 to the newest', () => {
  const V1 = 'client-store-v1.json';

  test('writes the number of the format, in one commit with nothing else, once', async () => {
    const { storeOf, vectors } = await world(V1);
    const store = await storeOf('alice');
    store.written.length = 0;
    const db = await openMigrated(store);
    expect(store.written.map(({ key }) => key)).toEqual([['generation'], ['meta']]);
    const meta = metaRecord.decode((await db.read(keys.meta))!);
    expect(meta).toMatchObject({ account: 'alice' });
    expect(meta.loginsSince).toBe(db.generation());
    await db.close();
    for (const [key, value] of Object.entries(vectors.stores['alice']!)) {
      if (key !== '["meta"]' && key !== '["generation"]') expect(toHex(store.rows().get(key)!)).toBe(value);
    }
    await openMigrated(store);
    expect(store.written.length).toBe(2);
  });

  test.each(['before', 'after'] as const)('a process that dies %s its commit leaves a store that opens', async (side) => {
    const { storeOf } = await world(V1);
    const store = await storeOf('alice');
    await expect(openMigrated(crashingStore(store, { atCommit: 1, side }))).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    const db = await openMigrated(store);
    expect(metaRecord.decode((await db.read(keys.meta))!)).toMatchObject({ account: 'alice' });
    await db.close();
  });

  test('another account’s store, a damaged one, and a format that never was stay as they are', async () => {
    const { open, storeOf } = await world(V1);
    for (const [account, change, code] of [
      ['bob', undefined, 'ERR_ARGUMENT'],
      ['alice', { key: keys.prekeys, value: null }, 'ERR_STORE_CORRUPT'],
      ['alice', { key: keys.device, value: new Uint8Array(3) }, 'ERR_STORE_CORRUPT'],
      ['alice', { key: keys.meta, value: encodeRecord('meta', 0, { account: 'alice', device: 1 }) }, 'ERR_STORE_CORRUPT'],
      ['alice', { key: keys.meta, value: encodeRecord('meta', FORMAT + 1, { account: 'alice' }) }, 'ERR_STORE_VERSION'],
    ] as const) {
      const store = await storeOf('alice');
      if (change !== undefined) await store.commit([change]);
      const before = store.dump();
      await expect(open(account, 'refused', store)).rejects.toMatchObject({ code });
      expect(store.dump()).toBe(before);
    }
  });
});

/** The store of alice, opened as a client opens it and brought up to date, but not used. */
async function openMigrated(store: Store) {
  const db = await openDatabase(store, { rng: testRng('migration'), now: () => START, onCommit: () => {}, onLost: () => {} });
  await loadIdentity(db, 'alice');
  return db;
}
