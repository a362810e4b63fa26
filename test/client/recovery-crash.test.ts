import { describe, expect, test, vi } from 'vitest';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { glassNetwork, offline } from '../helpers/glass-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

interface Plan {
  readonly atCommit: number;
  readonly side: 'before' | 'after';
}

const TEXTS = ['queued', 'queued too', 'for somebody new'];

/** Recovers a restored store with two messages in it that were encrypted and one that was not; dies by plan, and begins again. */
async function scenario(plan?: Plan): Promise<number> {
  const network = glassNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const carol = await person('carol', network, clock);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'hello');
  await bob.read();
  await bob.client.send('alice', 'hello');
  await alice.read();
  network.sendFails = offline();
  for (const text of TEXTS.slice(0, 2)) await alice.client.send('bob', text, { key: text });
  await alice.client.close();
  network.sendFails = undefined;
  const copy = glassStore();
  await copy.commit([...alice.store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  const original = await person('alice', network, clock, { store: alice.store, seed: 'original' });
  for (const text of TEXTS.slice(0, 2)) expect((await bob.read()).text).toBe(text);
  await original.client.close();
  const commits = copy.commits;

  // Each process does what is left to do.
  let restored: Person | undefined;
  let lives = 0;
  const live = async (store: GlassStore): Promise<Person> => {
    restored = await person('alice', network, clock, { store, seed: `restored ${++lives}` });
    await restored.seen('status', ({ status }) => status.state === 'online' || status.state === 'halted');
    if (restored.client.status.state === 'halted') await restored.client.recover();
    await restored.client.send('carol', TEXTS[2]!, { key: TEXTS[2]! });
    await bob.seen('sessionEstablished', ({ address }) => address.device === restored?.client.device);
    return restored;
  };
  if (plan === undefined) {
    await live(copy);
  } else {
    const dying = crashingStore(copy, plan) as GlassStore;
    let die = (): void => {};
    const death = new Promise<void>((resolve) => {
      die = resolve;
    });
    const watched = {
      ...dying,
      commit: (writes: Parameters<typeof dying.commit>[0]) =>
        dying.commit(writes).catch((error: unknown) => {
          die();
          throw error;
        }),
    };
    await Promise.race([death, live(watched as GlassStore).catch(() => death)]);
    await restored?.client.close().catch(() => {});
    await live(copy);
  }
  expect((await carol.read()).text).toBe(TEXTS[2]);
  await restored!.client.send('bob', 'after');
  // What was queued has come before, and is not shown again.
  expect((await bob.read()).text).toBe('after');
  await bob.client.send('alice', 'so you are');
  expect((await restored!.read()).text).toBe('so you are');
  expect(bob.count('identityChanged')).toBe(0);
  expect(keysUsedTwice(network.sent)).toEqual([]);
  await Promise.all([restored!, bob, carol].map(({ client }) => client.close()));
  const left = [...copy.rows().keys()].map((key) => JSON.parse(key)[0] as string);
  for (const space of ['outbox', 'pending', 'unsent', 'greet']) expect(left).not.toContain(space);
  return copy.commits - commits;
}

const count = await scenario();

describe('T26, T24: a process that dies while it recovers', () => {
  test('there is something to interrupt', () => expect(count).toBeGreaterThan(8));
  const plans = Array.from({ length: count }, (_, i) => (['before', 'after'] as const).map((side): Plan => ({ atCommit: i + 1, side })));
  test.each(plans.flat())('$side commit $atCommit', async (plan) => void (await scenario(plan)), 15_000);
});
