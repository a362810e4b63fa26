import { describe, expect, test, vi } from 'vitest';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type Mortal, mortal } from '../helpers/mortal.js';
import { START } from '../helpers/people.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
// Fewer one-time prekeys: most of a run's time is spent on making them.
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

type Plan = { who: 'alice' | 'bob'; atCommit: number; side: 'before' | 'after' };

/** Registration, first contact, turns of the ratchet, a message that is overtaken, acknowledgements; every step may be interrupted. */
async function scenario(plan?: Plan): Promise<{ alice: Mortal; bob: Mortal; wire: Uint8Array[] }> {
  const network = hostileNetwork();
  const clock = { ms: START };
  const planOf = (who: string) => (plan?.who === who ? plan : undefined);
  const alice = mortal('alice', network, clock, {}, planOf('alice'));
  const bob = mortal('bob', network, clock, {}, planOf('bob'));
  const say = (from: Mortal, to: Mortal, text: string) => from.run((client) => client.send(to.account, text, { key: text }));
  const accepted = (from: Mortal, to: Mortal, text: string) =>
    from.run(async (client) => (await client.send(to.account, text, { key: text })).until('accepted'));

  await alice.run(async () => {});
  await bob.run(async () => {});
  await Promise.all([network.publication('alice', 1), network.publication('bob', 1)]);
  await say(alice, bob, 'a1');
  await say(alice, bob, 'a2');
  await bob.receive(['a1', 'a2']);
  await say(bob, alice, 'b1');
  await alice.receive(['b1']);

  const held: Parameters<typeof network.route>[0][] = [];
  network.route = (envelope) => {
    if (envelope.to.account !== 'bob' || held.length > 0) return [envelope];
    held.push(envelope);
    return [];
  };
  await say(alice, bob, 'a3');
  await accepted(alice, bob, 'a3');
  await say(alice, bob, 'a4');
  await bob.receive(['a4']);
  network.route = (envelope) => [envelope, ...held.splice(0)];
  await say(alice, bob, 'a5');
  await bob.receive(['a3', 'a5']);

  await say(bob, alice, 'b2');
  await alice.receive(['b2']);
  await say(alice, bob, 'a6');
  await bob.receive(['a6']);
  await alice.drain();
  await bob.drain();
  for (const text of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6']) await accepted(alice, bob, text);
  for (const text of ['b1', 'b2']) await accepted(bob, alice, text);
  await Promise.all([alice.close(), bob.close()]);
  return { alice, bob, wire: network.sent.map(({ bytes }) => bytes) };
}

function check({ alice, bob, wire }: Awaited<ReturnType<typeof scenario>>): void {
  expect([...bob.shown.values()].sort()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
  expect([...alice.shown.values()].sort()).toEqual(['b1', 'b2']);
  expect([...alice.shownAfterAck, ...bob.shownAfterAck]).toEqual([]);
  expect(keysUsedTwice(wire)).toEqual([]);
  for (const { store } of [alice, bob]) {
    const spaces = [...store.rows().keys()].map((key) => JSON.parse(key)[0] as string);
    expect(spaces).not.toContain('inbox');
    expect(spaces).not.toContain('outbox');
    expect(spaces).not.toContain('pending');
  }
}

// Once without a crash, to count the commits.
const whole = await scenario();
const plans = (['alice', 'bob'] as const).flatMap((who) =>
  Array.from({ length: whole[who].store.commits }, (_, i) =>
    (['before', 'after'] as const).map((side): Plan => ({ who, atCommit: i + 1, side })),
  ).flat(),
);

describe('T26: a process that dies at a commit loses nothing, shows nothing twice and uses no key twice', () => {
  test('the whole scenario, without a crash', () => {
    check(whole);
    expect([whole.alice.crashes, whole.bob.crashes]).toEqual([0, 0]);
    expect(plans.length).toBeGreaterThan(40);
  });

  test.each(plans)(
    '$who, $side commit $atCommit',
    async (plan) => {
      const result = await scenario(plan);
      check(result);
      // None, where commits that waited for each other have gone together this time.
      expect(result[plan.who].crashes).toBeLessThanOrEqual(1);
    },
    10_000,
  );
});
