import { beforeEach, expect, test, vi } from 'vitest';
import type { Client, Sent } from '../../src/client/types.js';
import { TransportError } from '../../src/errors.js';
import { linked } from '../helpers/devices.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Clock, daily, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const MINUTE = 60_000;
const DAY = 86_400_000;
const clock: Clock = { ms: START };
let network: HostileNetwork;
beforeEach(() => {
  clock.ms = START;
  network = hostileNetwork();
});

/** A device begins again, and has published what is due. */
async function again(before: Person, seed: string): Promise<Person> {
  const count = network.published.filter(({ address }) => address.account === before.account).length;
  const now = await person(before.account, network, clock, { seed, store: before.store });
  await network.publication(before.account, count + 1);
  await vi.waitFor(() => expect(now.store.rows().has('["publish"]')).toBe(false), { timeout: 20_000 });
  return now;
}
const rows = ({ store }: Person, space: string): number => [...store.rows().keys()].filter((key) => key.startsWith(`["${space}"`)).length;
/** The spaces of the store in which a text stands. */
const spacesWith = ({ store }: Person, text: string): string[] =>
  [...store.rows()].flatMap(([key, value]) => (Buffer.from(value).includes(text) ? [(JSON.parse(key) as string[])[0]!] : []));

/** Bob knows alice’s phone; her laptop, whose keys are past their date, he has never written to. Both his and the phone’s clock are right. */
async function away(): Promise<{ phone: Person; bob: Person; laptop: Person }> {
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const bob = await person('bob', network, clock);
  const laptop = await linked(phone, network, clock, { seed: 'laptop' });
  await Promise.all([phone, bob, laptop].map(({ client }) => client.close()));
  clock.ms += 50 * DAY;
  return { phone: await again(phone, 'phone again'), bob: await again(bob, 'bob again'), laptop };
}

test('a device that was away for so long that its keys are past their date keeps nobody waiting, and gets everything once it is back', async () => {
  const { phone, bob, laptop } = await away();
  const fetches: number[] = [];
  for (const text of ['1', '2', '3']) {
    await (await bob.client.send('alice', text)).until('accepted');
    expect((await phone.read()).text).toBe(text);
    await vi.waitFor(() => expect(rows(bob, 'late')).toBe(Number(text)), { timeout: 20_000 });
    fetches.push(bob.observations.filter((record) => record.kind === 'span' && record.name === 'directory.fetch').length);
  }
  expect(bob.client.status).toMatchObject({ queuedCount: 0 });
  // The directory is asked once, not for each of them.
  expect(fetches).toEqual([fetches[0], fetches[0], fetches[0]]);

  const back = await again(laptop, 'laptop again');
  clock.ms += 11 * MINUTE;
  await (await bob.client.send('alice', '4')).until('accepted');
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await back.read()).text);
  expect(got.sort()).toEqual(['1', '2', '3', '4']);
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(0), { timeout: 20_000 });
  expect((await phone.read()).text).toBe('4');
  await Promise.all([phone, bob, back].map(({ client }) => client.close()));
});

test('what was deleted meanwhile does not come to it', async () => {
  const { phone, bob, laptop } = await away();
  const sent = await bob.client.send('alice', 'not meant');
  await sent.until('accepted');
  await phone.read();
  await bob.client.send('alice', { kind: 'deletion', target: sent.id });
  const back = await again(laptop, 'laptop again');
  clock.ms += 11 * MINUTE;
  await bob.client.send('alice', 'meant');
  expect((await back.read()).text).toBe('meant');
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(0), { timeout: 20_000 });
  expect((await back.readAll()).map(({ text }) => text)).not.toContain('not meant');
  await Promise.all([phone, bob, back].map(({ client }) => client.close()));
});

test.each([
  ['cancelled', 'ERR_OFFLINE', 'ERR_CLOSED'],
  ['failed', 'ERR_REJECTED', 'ERR_REJECTED'],
] as const)('what has %s before any device had it does not come to it', async (state, code, why) => {
  const { phone, bob, laptop } = await away();
  await (await bob.client.send('alice', 'first')).until('accepted');
  network.route = () => {
    throw new TransportError(code, 'not now');
  };
  const sent = await bob.client.send('alice', 'not meant');
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(2), { timeout: 20_000 });
  if (state === 'cancelled') await sent.cancel();
  await expect(sent.until('accepted')).rejects.toThrow(coded(why));
  expect((await bob.client.sent(sent.id))?.state).toBe(state);
  network.route = (envelope) => [envelope];
  const back = await again(laptop, 'laptop again');
  clock.ms += 11 * MINUTE;
  await bob.client.send('alice', 'meant');
  expect([(await back.read()).text, (await back.read()).text].sort()).toEqual(['first', 'meant']);
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(0), { timeout: 20_000 });
  await network.settled();
  expect((await back.readAll()).map(({ text }) => text)).toEqual([]);
  await Promise.all([phone, bob, back].map(({ client }) => client.close()));
});

test('what waits for such a device goes once it was deleted or has disappeared, whether or not the device comes back', async () => {
  const { phone, bob } = await away();
  const say = async (content: Parameters<Client['send']>[1]): Promise<Sent> => {
    const sent = await bob.client.send('alice', content);
    await sent.until('accepted');
    await phone.read();
    return sent;
  };
  await say('stays');
  const gone = await say('deleted');
  await say({ kind: 'deletion', target: gone.id });
  await say({ kind: 'timer', disappearAfterMs: MINUTE });
  await say('disappears');
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(5), { timeout: 20_000 });
  await Promise.all([phone, bob].map(({ client }) => client.close()));
  clock.ms += 3 * DAY;
  const now = await person('bob', network, clock, { seed: 'bob later', store: bob.store });
  await vi.waitFor(() => expect([...spacesWith(now, 'deleted'), ...spacesWith(now, 'disappears')]).toEqual([]), { timeout: 20_000 });
  expect(spacesWith(now, 'stays')).toEqual(['late']);
  await now.client.close();
});

test('a message costs no more for those that wait for such a device', async () => {
  const { phone, bob } = await away();
  const { store } = bob;
  const list = store.list.bind(store);
  let listed = 0;
  store.list = async (prefix, ...rest) => {
    const found = await list(prefix, ...rest);
    if (['pending', 'late'].includes(prefix[0])) listed += found.length;
    return found;
  };
  const costs: number[] = [];
  for (let i = 1; i <= 16; i++) {
    listed = 0;
    await (await bob.client.send('alice', `${i}`)).until('accepted');
    await phone.read();
    await vi.waitFor(() => expect(rows(bob, 'late') + rows(bob, 'pending')).toBe(i), { timeout: 20_000 });
    costs.push(listed);
  }
  expect(Math.max(...costs.slice(8))).toBeLessThanOrEqual(8);
  await Promise.all([phone, bob].map(({ client }) => client.close()));
});

test.each([
  ['a device that did not run for 50 days', 50, true],
  ['a device that did not run for 36 days', 36, true],
  ['a clock that was ten years behind', 3_650, true],
  ['a device that has looked at it on 30 days', 0, true, 30],
  ['a device that has looked at it on 31 days', 0, false, 31],
])('T41: what waits for such a device, by %s', async (_, days, arrives, looks = 0) => {
  const { phone, bob, laptop } = await away();
  await (await bob.client.send('alice', 'old')).until('accepted');
  await vi.waitFor(() => expect(rows(bob, 'late')).toBe(1), { timeout: 20_000 });
  await Promise.all([phone, bob].map(({ client }) => client.close()));
  const said = await daily(bob, network, clock, looks);
  clock.ms += days * DAY;
  const bobs = looks === 0 ? again(bob, 'bob later') : person('bob', network, clock, { store: bob.store, seed: 'bob later' });
  const now = [await again(phone, 'phone later'), await again(laptop, 'laptop later'), await bobs] as const;
  await now[2].client.send('alice', 'new');
  const got = [(await now[1].read()).text, ...(arrives ? [(await now[1].read()).text] : [])];
  expect(got.sort()).toEqual(arrives ? ['new', 'old'] : ['new']);
  await vi.waitFor(() => expect(rows(now[2], 'late')).toBe(0), { timeout: 20_000 });
  const isTold = [...said, ...now[2].observations].some((record) => record.kind === 'log' && record.event === 'device-not-reached');
  expect(isTold).toBe(!arrives);
  await Promise.all(now.map(({ client }) => client.close()));
});

test.each([
  ['too', true],
  ['not either', false],
])(
  'a contact all of whose devices have keys past their date is written to on the sessions there are: its phone is back %s',
  async (_, isBack) => {
    const phone = await person('alice', network, clock, { seed: 'phone' });
    const bob = await person('bob', network, clock);
    await (await bob.client.send('alice', 'hi')).until('accepted');
    await phone.read();
    await phone.client.send('bob', 'ho');
    await bob.read();
    const laptop = await linked(phone, network, clock, { seed: 'laptop' });
    await phone.client.send('bob', 'two of us');
    await bob.read();
    await vi.waitFor(async () => expect((await bob.client.contact('alice').identity()).devices).toHaveLength(2), { timeout: 20_000 });
    await Promise.all([phone, bob, laptop].map(({ client }) => client.close()));
    clock.ms += 50 * DAY;
    // Where the phone has published, the directory shows what it had before.
    const stale = await network.bundles('alice');
    const back = isBack ? await again(phone, 'phone again') : undefined;
    network.answer = (account, honest) => (account === 'alice' ? stale : honest);
    const now = await again(bob, 'bob again');
    for (const text of ['1', '2']) {
      await (await now.client.send('alice', text)).until('accepted');
      if (back !== undefined) expect((await back.read()).text).toBe(text);
    }
    expect(now.client.status).toMatchObject({ queuedCount: 0 });
    await Promise.all([now, back].map((each) => each?.client.close()));
  },
);

test('keys past their date of another identity are none of the contact’s: what it writes is not refused for them', async () => {
  const alice = await person('alice', network, clock);
  const old = await person('bob', network, clock);
  await (await alice.client.send('bob', 'to the old one')).until('accepted');
  await old.read();
  const others = hostileNetwork();
  others.answer = (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
  const elsewhere = { transport: network.transport, directory: others.directory };
  const before = await person('bob', elsewhere, clock, { seed: 'new bob' });
  const stale = await others.bundles('bob');
  await Promise.all([alice, old, before].map(({ client }) => client.close()));
  clock.ms += 50 * DAY;
  network.answer = (account, honest) => (account === 'bob' ? stale : honest);
  const now = await again(alice, 'alice again');
  const bob = await person('bob', elsewhere, clock, { seed: 'new bob again', store: before.store });
  await (await bob.client.send('alice', 'from the new one')).until('accepted');
  await now.observed((record) => record.kind === 'log' && record.event === 'bundle-rejected');
  await network.settled();
  expect(now.dropped()).toEqual([]);
  await Promise.all([now, bob].map(({ client }) => client.close()));
});
