import { expect, test, vi } from 'vitest';
import { verdict } from '../../src/client/ages.js';
import { keys, pendingRecord, sentRecord } from '../../src/client/records.js';
import { talkLimits } from '../../src/limits.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const DAY = 86_400_000;
const { knownMs, unseenMs } = talkLimits;

test.each([
  [0, 'keep'],
  [knownMs, 'keep'],
  [knownMs + 1, 'forget'],
  [knownMs + unseenMs, 'forget'],
  [knownMs + unseenMs + 1, 'anew'],
  [-unseenMs, 'keep'],
  [-unseenMs - 1, 'anew'],
])('T41: a row of 150 days that seems to be %i ms old: %s', (age, what) => {
  expect(verdict(START, START - age, knownMs)).toBe(what);
});

const known = ({ store }: Person): string[] => [...store.rows().keys()].filter((key) => /^\["(sent|got)"/.test(key)).sort();
const online = ({ seen }: Person) => seen('status', ({ status }) => status.state === 'online');

/** Runs until a day’s forgetting is over. */
async function looksAround(network: ReturnType<typeof hostileNetwork>, before: Person, clock: Clock, seed: string): Promise<Person> {
  const now = await person(before.account, network, clock, { store: before.store, seed });
  await online(now);
  // A claimed id of nobody is the last that goes.
  await vi.waitFor(() => expect(known(now).some((key) => key.includes('an old one'))).toBe(false), { timeout: 20_000 });
  return now;
}

test.each([
  ['a clock that is ten years ahead for a while', 3_650],
  ['one that was ten years behind when they came', -3_650],
])('T41: what is known of messages outlives %s: a copy is one, a deletion finds its message', async (_, days) => {
  const network = hostileNetwork();
  const clock: Clock = { ms: START };
  const bobs: Clock = { ms: START };
  const alice = await person('alice', network, clock);
  let bob = await person('bob', network, bobs);
  await alice.client.send('bob', 'hello');
  await bob.read();
  bobs.ms += Math.min(0, days) * DAY;
  const sent = await alice.client.send('bob', 'x');
  await bob.read();
  const rows = known(bob);
  expect(rows).toHaveLength(2);
  await bob.client.close();
  for (const [i, ms] of [START + Math.max(0, days) * DAY, START].entries()) {
    bobs.ms = ms;
    await bob.store.commit([{ key: ['got', 'zoe', 'an old one'], value: old(ms) }]);
    bob = await looksAround(network, bob, bobs, `bob ${i}`);
    expect(known(bob)).toEqual(rows);
    if (i === 0) await bob.client.close();
  }
  await alice.client.send('bob', { kind: 'deletion', target: sent.id });
  expect((await bob.read()).content).toMatchObject({ kind: 'deletion', target: sent.id });
  await Promise.all([alice.client.close(), bob.client.close()]);
});

/** A `got` row that is just past its time at `nowMs`. */
function old(nowMs: number): Uint8Array {
  const value = new Uint8Array(8);
  new DataView(value.buffer).setBigUint64(0, BigInt(nowMs - knownMs - DAY));
  return value;
}

test('a copy that can’t be encrypted goes once its message was deleted; another one stays', async () => {
  const network = hostileNetwork();
  const clock: Clock = { ms: START };
  const before = await person('bob', network, clock);
  await before.client.close();
  const ids = ['aa'.repeat(16), 'bb'.repeat(16)] as const;
  for (const [i, as] of ids.entries()) {
    const [id, seq] = [`c${i}`.repeat(16), 1_000 + i];
    const sent = { to: 'zoe', state: 'queued', atMs: START, seq, waitingFor: [], accepted: 0, isControl: true };
    const pending = { id, payload: new Uint8Array([i]), atMs: START, control: 'any', as: `${as} copy` };
    await before.store.commit([
      { key: keys.sent(id), value: sentRecord.encode(sent) },
      { key: keys.pending('zoe', seq), value: pendingRecord.encode(pending) },
    ]);
  }
  await before.store.commit([{ key: keys.deleted(ids[0]), value: new Uint8Array(16).fill(0xaa) }]);
  const now = await person('bob', network, clock, { store: before.store, seed: 'bob later' });
  const left = (): string[] => [...now.store.rows().keys()].filter((key) => key.startsWith('["pending"'));
  await vi.waitFor(() => expect(left()).toEqual([JSON.stringify(keys.pending('zoe', 1_001))]), { timeout: 20_000 });
  await now.client.close();
});
