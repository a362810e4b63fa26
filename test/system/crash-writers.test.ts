import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { createClient } from '../../src/index.js';
import { memoryStore } from '../../src/store/memory.js';
import { nodeStore } from '../../src/store/node.js';
import { checkCrashRun, crashRun } from '../helpers/crash-run.js';
import { portsOf } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/wire/ratchet-message.js', async (original) =>
  (await import('../helpers/header-watch.js')).watchHeaders(await original()),
);
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const SENDS = 500;
const folder = mkdtempSync(join(tmpdir(), 'cyphr-writers-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Reads until all ids were shown; each must be shown once. */
async function readAll(reader: Person, ids: readonly string[]): Promise<void> {
  const got: string[] = [];
  while (got.length < ids.length) got.push((await reader.read()).id);
  expect(got.sort()).toEqual([...ids].sort());
}

test('T25: two clients in one process on one directory: the second is refused, the first goes on unharmed', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const path = join(folder, 'one-process');
  const store = nodeStore(path);
  const alice = await person('alice', network, clock, { store: glassStore(store) });
  const bob = await person('bob', network, clock);
  const ids: string[] = [];
  const twin = () => createClient({ account: 'alice', store: nodeStore(path), ...portsOf(network) });
  for (let n = 0; n < SENDS; n++) {
    const sending = alice.client.send('bob', `a${n}`);
    if (n % 50 === 0) await expect(twin()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', action: 'retry' });
    ids.push((await sending).id);
    if (n === SENDS / 2) await bob.client.send('alice', 'answer');
  }
  expect((await alice.read()).text).toBe('answer');
  await readAll(bob, ids);
  expect(alice.client.status.state).toBe('online');
  expect(keysUsedTwice(network.sent.map(({ bytes }) => bytes))).toEqual([]);
  await Promise.all([alice, bob].map(({ client }) => client.close()));
  await store.close();
});

test('T25: two processes on one directory: the second is refused, the first goes on unharmed', { timeout: 120_000 }, async () => {
  const run = await crashRun();
  try {
    // The one process ends, another one takes over: each has its turn.
    for (let turn = 0; turn < 2; turn++) {
      const said = await run.rivals(SENDS, 2);
      expect(said).toHaveLength(2);
      for (const each of said) expect(each).toContain("code: 'ERR_STORE_LOCKED'");
    }
    await run.settle();
    expect(run.report.bobGot.size).toBeGreaterThanOrEqual(2 * SENDS);
    expect(run.report.kills).toBe(0);
    checkCrashRun(run);
  } finally {
    await run.close();
  }
});

test('T25: two clients over one store in memory: one is told and stops, no key is used twice, all that was promised arrives', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const inner = memoryStore();
  const alice = await person('alice', network, clock, { store: glassStore(inner) });
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'first');
  expect((await bob.read()).text).toBe('first');
  await bob.client.send('alice', 'answer');
  expect((await alice.read()).text).toBe('answer');
  const twin = await person('alice', network, clock, { store: glassStore(inner), seed: 'twin' });
  const outcomes = await Promise.allSettled(
    Array.from({ length: SENDS }, (_, n) => [alice, twin].map(({ client }) => client.send('bob', `${n}`))).flat(),
  );
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['ERR_STORE_CONFLICT']));
  const halted = [alice, twin].filter(({ client }) => client.status.state === 'halted');
  expect(halted).toHaveLength(1);
  const survivor = halted[0] === alice ? twin : alice;
  const ids = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.id] : []));
  expect(ids.length).toBeGreaterThanOrEqual(SENDS);
  for (let n = 0; n < 10; n++) ids.push((await survivor.client.send('bob', `after ${n}`)).id);
  await readAll(bob, ids);
  expect(keysUsedTwice(network.sent.map(({ bytes }) => bytes))).toEqual([]);
  await Promise.all([alice, twin, bob].map(({ client }) => client.close()));
});
