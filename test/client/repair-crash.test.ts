import { describe, expect, test, vi } from 'vitest';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type Mortal, mortal } from '../helpers/mortal.js';
import { START } from '../helpers/people.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

type Plan = { who: 'alice' | 'bob'; atCommit: number; side: 'before' | 'after' };

/** A session that the relay breaks, and that mends; the plan counts commits from the moment at which it is broken. */
async function scenario(plan?: Plan): Promise<{ alice: Mortal; bob: Mortal; wire: Uint8Array[]; commits: Record<Plan['who'], number> }> {
  const network = hostileNetwork();
  const clock = { ms: START };
  const people = { alice: mortal('alice', network, clock, {}), bob: mortal('bob', network, clock, {}) };
  const { alice, bob } = people;
  const say = (from: Mortal, to: Mortal, text: string) =>
    from.run(async (client) => (await client.send(to.account, text, { key: text })).until('accepted'));
  await alice.run(async () => {});
  await bob.run(async () => {});
  await Promise.all([network.publication('alice', 1), network.publication('bob', 1)]);
  await say(alice, bob, 'a0');
  await bob.receive(['a0']);
  await say(bob, alice, 'b0');
  await alice.receive(['b0']);
  await Promise.all([alice.drain(), bob.drain()]);

  // The first three frames for bob are changed, as often as they come.
  const spoilt: string[] = [];
  network.route = ({ to, bytes }) => {
    const name = Buffer.from(bytes).toString('hex');
    if (to.account === 'bob' && spoilt.length < 3 && !spoilt.includes(name)) spoilt.push(name);
    const copy = bytes.slice();
    if (spoilt.includes(name)) copy[copy.length - 1]! ^= 1;
    return [{ to, bytes: copy }];
  };
  const before = { alice: alice.store.commits, bob: bob.store.commits };
  if (plan !== undefined) people[plan.who].arm(plan);
  for (const text of ['a1', 'a2', 'a3', 'a4']) await say(alice, bob, text);
  await bob.receive(['a1', 'a2', 'a3', 'a4']);
  await say(bob, alice, 'b1');
  await alice.receive(['b1']);
  const commits = { alice: alice.store.commits - before.alice, bob: bob.store.commits - before.bob };
  await Promise.all([alice.drain(), bob.drain()]);
  await Promise.all([alice.close(), bob.close()]);
  return { alice, bob, wire: network.sent.map(({ bytes }) => bytes), commits };
}

function check({ alice, bob, wire }: Awaited<ReturnType<typeof scenario>>): void {
  expect([...bob.shown.values()].sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'a4']);
  expect([...alice.shown.values()].sort()).toEqual(['b0', 'b1']);
  expect([...alice.shownAfterAck, ...bob.shownAfterAck]).toEqual([]);
  expect(keysUsedTwice(wire)).toEqual([]);
}

// Once without a crash, to count the commits.
const whole = await scenario();
const plans = (['alice', 'bob'] as const).flatMap((who) =>
  Array.from({ length: whole.commits[who] }, (_, i) =>
    (['before', 'after'] as const).map((side): Plan => ({ who, atCommit: i + 1, side })),
  ).flat(),
);

let crashes = 0;
describe('T26, T28: a process that dies while a session mends', () => {
  test('without a crash', () => {
    check(whole);
    expect(plans.length).toBeGreaterThan(30);
  });

  test.each(plans)(
    '$who, $side commit $atCommit: everything arrives once, and no key is used twice',
    async (plan) => {
      const result = await scenario(plan);
      check(result);
      crashes += result[plan.who].crashes;
    },
    10_000,
  );

  // Not all: commits that waited for each other may have gone together this time.
  test('most of them have died', () => {
    expect(crashes).toBeGreaterThan(plans.length * 0.8);
  });
});
