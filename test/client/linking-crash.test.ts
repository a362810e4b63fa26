import { describe, expect, test, vi } from 'vitest';
import { joinWith } from '../../src/client/join.js';
import type { Client, Joining } from '../../src/client/types.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import { type Mortal, mortal } from '../helpers/mortal.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

// Fewer one-time prekeys: most of a run's time is spent on making them.
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

interface Plan {
  readonly who: 'old' | 'new';
  readonly atCommit: number;
  readonly side: 'before' | 'after';
}
const PATIENCE = { timeout: 30_000 };
const spacesOf = (store: GlassStore): string[] => [...store.rows().keys()].map((key) => JSON.parse(key)[0] as string);

/** A store whose process dies by plan, and when it has. */
function dying(store: GlassStore, plan: Plan): { store: GlassStore; death: Promise<void> } {
  const inner = crashingStore(store, plan);
  let die = (): void => {};
  const death = new Promise<void>((resolve) => {
    die = resolve;
  });
  const commit: typeof inner.commit = (writes) =>
    inner.commit(writes).catch((error: unknown) => {
      die();
      throw error;
    });
  return { store: { ...inner, commit } as GlassStore, death };
}

/** One account gets a second device; either device may die at a commit, and begins again with what its store holds. */
async function scenario(plan?: Plan): Promise<{ old: Mortal; oldCommits: number; phone: Person; store: GlassStore; deviceCount: number }> {
  const network = memoryNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  const old = mortal('alice', network, clock);
  await old.run(async (client) => (await client.send('bob', 'hello', { key: 'hello' })).until('accepted'));
  await bob.read();
  await vi.waitFor(() => expect(spacesOf(old.store)).not.toContain('publish'), PATIENCE);
  const before = old.store.commits;
  if (plan?.who === 'old') old.arm(plan);

  const store = glassStore();
  let attempts = 0;
  /** Does what is left to do, as an application would: it shows a code, unless the new device is in the list by now. */
  const link = async (through: GlassStore): Promise<Joining> => {
    let joining: Joining | undefined;
    const known = await old.run(async (client) => (await client.devices.list()).length);
    await old.run(async (client) => {
      if ((await client.devices.list()).length > known) return;
      const shown = await client.devices.link();
      const rng = testRng(`phone ${attempts++}`);
      const options = { account: 'alice', ...network, store: through, rng, now: () => clock.ms, code: shown.qr };
      const [joined, asked] = await Promise.all([joinWith(options, () => rng), shown.request()]);
      joining = joined;
      expect(asked.confirmation).toBe(joining.confirmation);
      await asked.confirm();
    });
    return joining!;
  };
  let client: Client | undefined;
  if (plan?.who === 'new') {
    const { store: through, death } = dying(store, plan);
    const opened = (await link(through)).client().then((found) => {
      client = found;
    });
    await Promise.race([death, opened.then(() => death)]);
    await opened.catch(() => {});
  } else {
    client = await (await link(store)).client();
    await vi.waitFor(() => expect(spacesOf(store)).toContain('contact'), PATIENCE);
    await vi.waitFor(() => expect(spacesOf(store)).not.toContain('greet'), PATIENCE);
  }
  await client?.close().catch(() => {});
  // All of the device, or nothing of it.
  if (!spacesOf(store).includes('device')) {
    expect(spacesOf(store)).toEqual([]);
    await (await (await link(store)).client()).close();
  }
  const phone = await person('alice', network, clock, { store, seed: 'phone again' });
  await vi.waitFor(() => expect(spacesOf(store)).toContain('contact'), PATIENCE);
  await vi.waitFor(() => expect(spacesOf(store)).not.toContain('publish'), PATIENCE);
  await vi.waitFor(() => expect(spacesOf(old.store)).not.toContain('grant'), PATIENCE);
  const listed = await old.run((client) => client.devices.list());
  expect(listed.map(({ device }) => device)).toContain(phone.client.device);
  expect((await phone.client.devices.list()).map(({ device }) => device)).toContain(phone.client.device);

  // Who was not told before the old device died hears of it with its next message.
  await old.run(async (client) => (await client.send('bob', 'news', { key: 'news' })).until('accepted'));
  expect((await bob.read()).text).toBe('news');
  expect((await phone.read()).text).toBe('news');
  await vi.waitFor(async () => {
    expect((await bob.client.contact('alice').identity()).devices).toContain(phone.client.device);
  }, PATIENCE);
  await bob.client.send('alice', 'to both');
  await old.receive(['to both']);
  expect((await phone.read()).text).toBe('to both');
  await phone.client.send('bob', 'from the phone');
  expect((await bob.read()).text).toBe('from the phone');
  await old.receive(['from the phone']);
  expect(bob.count('identityChanged')).toBe(0);
  const oldCommits = old.store.commits - before;
  await Promise.all([old.close(), phone.client.close(), bob.client.close()]);
  return { old, oldCommits, phone, store, deviceCount: listed.length };
}

// Once without a crash, to count the commits: of the new device, those until it has everything.
const whole = await scenario();
const firstOf = (plan: Plan['who'], count: number): Plan[] =>
  Array.from({ length: count }, (_, i) =>
    (['before', 'after'] as const).map((side): Plan => ({ who: plan, atCommit: i + 1, side })),
  ).flat();
const plans = [...firstOf('old', Math.min(10, whole.oldCommits)), ...firstOf('new', 5)];

describe('T26, T31: a device that dies while it links or is linked', () => {
  test('without a crash there are two devices', () => {
    expect([whole.deviceCount, whole.old.crashes]).toEqual([2, 0]);
    expect(whole.oldCommits).toBeGreaterThan(5);
    expect(whole.store.commits).toBeGreaterThan(5);
  });

  test.each(plans)('$who, $side commit $atCommit: it is linked, or nothing is left but a number in the list', async (plan) => {
    const { old, deviceCount } = await scenario(plan);
    expect(old.crashes).toBe(plan.who === 'old' ? 1 : 0);
    // A new device that has died before it wrote anything stays in the list: nobody has its keys.
    expect(deviceCount).toBe(plan.who === 'new' && plan.atCommit === 1 && plan.side === 'before' ? 3 : 2);
  });
});
