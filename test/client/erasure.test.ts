import { createClient, eraseStore } from '@cyphr/e2ee';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import 'fake-indexeddb/auto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { keys } from '../../src/client/records.js';
import type { Store, Write } from '../../src/store/port.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import type { Network } from '../../src/transport/port.js';
import { glassNetwork, offline, portsOf } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { type GlassStore, glassStore, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const folder = mkdtempSync(join(tmpdir(), 'cyphr-erasure-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const clock = { ms: START };

/** Rows of every sort: a conversation, queued and pending messages, an unread one. */
async function full(network: Network & { sendFails: Error | undefined }, store: Store): Promise<void> {
  const alice = await person('alice', network, clock, { store: store as GlassStore });
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'one');
  await bob.read();
  await bob.client.send('alice', 'two');
  await alice.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === 1);
  network.sendFails = offline();
  await alice.client.send('bob', 'queued');
  await alice.client.send('nobody', 'pending');
  await alice.client.close();
  await bob.client.close();
  network.sendFails = undefined;
}

let names = 0;
const SECRET = new Uint8Array(32).fill(7);
const ADAPTERS: Readonly<Record<string, () => () => Store>> = {
  memory: () => {
    const store = memoryStore();
    return () => ({ ...store, close: async () => {} });
  },
  node: () => {
    const path = join(folder, `${++names}`);
    return () => nodeStore(path);
  },
  idb: () => {
    const name = `erasure ${++names}`;
    return () => idbStore(name);
  },
  'sealed node': () => {
    const path = join(folder, `${++names}`);
    return () => sealedStore(nodeStore(path), rawKeySlot(SECRET));
  },
};

describe.each(Object.keys(ADAPTERS))('erasing a %s store', (adapter) => {
  test('eraseStore: nothing is left, the account is known, and a second time there is nothing to do', async () => {
    const open = ADAPTERS[adapter]!();
    const network = glassNetwork();
    await full(network, open());
    const report = await eraseStore(open());
    expect(report.recordCount).toBeGreaterThan(report.keyCount);
    expect(report.keyCount).toBeGreaterThan(0);
    expect(await eraseStore(open())).toEqual({ recordCount: 0, keyCount: 0 });
    const store = open();
    await expect(createClient({ account: 'alice', store, ...portsOf(network) })).rejects.toThrow(coded('ERR_ACCOUNT_EXISTS'));
    await store.close();
  });

  test('client.erase: the client is closed, and its store empty', async () => {
    const open = ADAPTERS[adapter]!();
    const network = memoryNetwork();
    const client = await createClient({ account: 'alice', store: open(), ...portsOf(network) });
    const report = await client.erase();
    expect(report.keyCount).toBeGreaterThan(0);
    expect(client.status).toEqual({ state: 'closed' });
    await expect(client.send('bob', 'x')).rejects.toThrow(coded('ERR_CLOSED'));
    await client.close();
    expect(await eraseStore(open())).toEqual({ recordCount: 0, keyCount: 0 });
  });
});

describe('row by row', () => {
  test('keys go first, what makes it an account’s store goes last', async () => {
    const network = glassNetwork();
    const store = glassStore();
    await full(network, store);
    const before = [...store.rows().keys()].map((key) => JSON.parse(key)[0] as string);
    expect(new Set(before).size).toBeGreaterThan(12);
    store.written.length = 0;
    const report = await eraseStore(store);
    expect([...store.rows()]).toEqual([]);
    expect(report.recordCount).toBe(before.length);
    const order = store.written.map(({ key }) => key[0]);
    const isKey = (space: string): boolean => ['device', 'prekeys', 'session', 'skipped', 'init'].includes(space);
    expect(order.slice(0, report.keyCount).every(isKey)).toBe(true);
    expect(order.slice(report.keyCount).some(isKey)).toBe(false);
    expect(order[0]).toBe('device');
    expect(order.slice(-2)).toEqual(['meta', 'generation']);
  });

  test('T26: whenever it dies, what is left is no store that opens, holds no device key, and can be erased again', async () => {
    const network = glassNetwork();
    const whole = glassStore();
    await full(network, whole);
    const rows = [...whole.rows()].map(([key, value]): Write => ({ key: JSON.parse(key), value }));
    let count = 1;
    for (let finished = false; !finished; count++) {
      for (const side of ['before', 'after'] as const) {
        const store = glassStore();
        await store.commit(rows);
        const commits = store.commits;
        const outcome = await eraseStore(crashingStore(store, { atCommit: count, side })).then(
          () => 'done',
          (error: unknown) => error,
        );
        finished = outcome === 'done';
        if (finished) break;
        expect(outcome).toMatchObject({ code: 'ERR_STORE_IO' });
        if (store.commits > commits) {
          expect([...store.rows().keys()]).not.toContain('["device"]');
          const opening = createClient({ account: 'alice', store, ...portsOf(network) });
          const isEmpty = ![...store.rows().keys()].includes('["meta"]');
          await expect(opening).rejects.toThrow(coded(isEmpty ? 'ERR_ACCOUNT_EXISTS' : 'ERR_STORE_CORRUPT'));
        }
        await eraseStore(store);
        expect([...store.rows()]).toEqual([]);
      }
    }
    expect(count).toBeGreaterThan(10);
  });

  test('knows every space that a client writes to', async () => {
    const store = memoryStore();
    const all = Object.values(keys).map(
      (key) => (typeof key === 'function' ? (key as (...args: unknown[]) => readonly string[])('1', new Uint8Array(64), 1)[0] : key[0])!,
    );
    const spaces = [...new Set(all)];
    await store.commit([...spaces, 'generation'].map((space) => ({ key: [space, 'x'], value: new Uint8Array(1) })));
    expect((await eraseStore({ ...store, close: async () => {} })).recordCount).toBe(spaces.length + 1);
  });
});

describe('client.erase', () => {
  test('works on a client that its store has halted', async () => {
    const network = glassNetwork();
    const inner = memoryStore();
    const store = glassStore(inner);
    const alice = await person('alice', network, clock, { store });
    await inner.commit([{ key: ['generation'], value: new Uint8Array(40) }]);
    await alice.client.send('bob', 'x').catch(() => {});
    expect(alice.client.status.state).toBe('halted');
    expect((await alice.client.erase()).keyCount).toBeGreaterThan(0);
    expect([...store.rows()]).toEqual([]);
    expect(alice.client.status.state).toBe('closed');
  });
});

test('a store that a client has open is the client’s to erase', async () => {
  const base = memoryStore();
  const store = { ...base, close: async () => {} };
  const client = await createClient({ account: 'alice', store, ...memoryNetwork() });
  await expect(eraseStore(store)).rejects.toThrow(usage('ERR_ARGUMENT', 'store'));
  expect(await base.read([keys.device])).not.toEqual([undefined]);
  await client.close();
  expect((await eraseStore(store)).keyCount).toBeGreaterThan(0);
});

test('what is no store is named; what a store throws is wrapped', async () => {
  await expect(eraseStore({} as Store)).rejects.toThrow(usage('ERR_ARGUMENT', 'store'));
  const cause = new RangeError('disk on fire');
  const broken = { ...memoryStore(), erase: () => Promise.reject(cause) };
  await expect(eraseStore(broken)).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause });
});

test('the base of a sealed store, which no adapter erases: slots first, and nothing stays', async () => {
  const base = memoryStore();
  const network = glassNetwork();
  await full(network, sealedStore({ ...base, close: async () => {} }, rawKeySlot(SECRET)));
  const slots = (await base.list(['sealed', 'slot'], 10)).length;
  const rows = (await base.list(['sealed'], 1_000)).length;
  expect(slots).toBe(1);
  const commits: string[][] = [];
  const { erase: _, ...plain } = base;
  const watched: Store = {
    ...plain,
    commit(writes) {
      commits.push(writes.map(({ key }) => key.slice(0, 2).join(' ')));
      return base.commit(writes);
    },
    close: async () => {},
  };
  expect(await eraseStore(watched)).toEqual({ recordCount: rows, keyCount: slots + 1 });
  expect(commits[0]).toEqual(['sealed slot']);
  expect(await base.list(['sealed'], 1)).toEqual([]);
});
