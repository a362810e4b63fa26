import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { fromHex } from '../../src/bytes.js';
import type { StoreVectors } from '../helpers/client-store-vectors.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { glassStore, type Person, person } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const FOLDER = fileURLToPath(new URL('../../test-vectors/', import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => /^client-store-v\d+\.json$/.test(name));

interface World {
  readonly vectors: StoreVectors;
  readonly network: HostileNetwork;
  open(account: string, seed?: string): Promise<Person>;
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
  return {
    vectors,
    network,
    async open(account, seed = account) {
      const store = glassStore();
      const rows = Object.entries(vectors.stores[account] ?? {});
      if (rows.length > 0) await store.commit(rows.map(([key, value]) => ({ key: JSON.parse(key), value: fromHex(value)! })));
      return person(account, network, clock, { store, seed: `${file} ${seed}` });
    },
    deliver(name) {
      const { bytes, ...to } = vectors.envelopes[name];
      return network.inject(to, fromHex(bytes)!);
    },
  };
}

test('there is a golden store of every layout version', () => {
  expect(FILES.length).toBeGreaterThan(0);
  expect(FILES).toEqual(FILES.map((_, i) => `client-store-v${i + 1}.json`));
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
});
