import { expect, test, vi } from 'vitest';
import { daysRecord } from '../../src/client/records.js';
import { TransportError } from '../../src/errors.js';
import type { Directory, Login, Network } from '../../src/transport/port.js';
import { linked } from '../helpers/devices.js';
import { type GlassNetwork, glassNetwork, offline } from '../helpers/glass-network.js';
import { daily, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const DAY = 86_400_000;
/** What waits to be encrypted or taken. */
const left = ({ store }: Person): string[] => [...store.rows().keys()].filter((key) => /^\["(pending|late|outbox|unsent)"/.test(key));
const online = ({ seen }: Person) => seen('status', ({ status }) => status.state === 'online');

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((turn) => setImmediate(turn));
};

/** Bob with three devices, who have read alice's first message. */
async function met() {
  const time = { ms: START };
  const network = glassNetwork();
  const phone = await person('bob', network, time, { seed: 'phone' });
  const laptop = await linked(phone, network, time, { seed: 'laptop' });
  const tablet = await linked(phone, network, time, { seed: 'tablet' });
  const alice = await person('alice', network, time);
  await (await alice.client.send('bob', 'first')).until('accepted');
  for (const each of [phone, laptop, tablet]) expect((await each.read()).text).toBe('first');
  return { time, network, phone, laptop, tablet, alice };
}

/** The carrier answers this for a device; `undefined`: it takes everything. */
function refuses(network: GlassNetwork, device: number, error: Error | undefined): void {
  network.beforeSend = async (_bytes, to) => {
    if (to.device === device && error !== undefined) throw error;
  };
}

test('a device whose mailbox is full keeps no message from the others of its account, and gets all of them once there is room', async () => {
  const time = { ms: START };
  const network = glassNetwork();
  const phone = await person('bob', network, time, { seed: 'phone' });
  const laptop = await linked(phone, network, time, { seed: 'laptop' });
  const alice = await person('alice', network, time);
  refuses(network, laptop.client.device, new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 300 }));
  const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
  for (const text of texts) {
    await alice.client.send('bob', text);
    expect((await phone.read()).text).toBe(text);
  }
  expect(left(alice).filter((key) => key.startsWith('["outbox"'))).toHaveLength(texts.length);
  network.beforeSend = async () => {};
  const last = await alice.client.send('bob', 'last');
  const got: string[] = [];
  while (got.length <= texts.length) got.push((await laptop.read()).text);
  expect(got).toEqual([...texts, 'last']);
  await last.until('accepted');
  await Promise.all([phone, laptop, alice].map(({ client }) => client.close()));
});

test.each([
  ['goes after 30 days', 30, true],
  ['is dropped after 31', 31, false],
])(
  'a copy that the carrier does not take for one’s own other device waits while its sender is in use, and %s',
  async (_, days, arrives) => {
    const time = { ms: START };
    const network = glassNetwork();
    const phone = await person('alice', network, time, { seed: 'phone' });
    const laptop = await linked(phone, network, time, { seed: 'laptop' });
    const bob = await person('bob', network, time);
    await (await phone.client.send('bob', 'first')).until('accepted');
    expect((await laptop.read()).text).toBe('first');
    await laptop.client.close();
    refuses(network, laptop.client.device, offline());
    await (await phone.client.send('bob', 'x')).until('accepted');
    await phone.observed((record) => record.kind === 'log' && record.event === 'send-retry');
    expect(left(phone)).toHaveLength(1);
    await phone.client.close();
    const said = await daily(phone, network, time, days);
    refuses(network, laptop.client.device, undefined);
    const again = await person('alice', network, time, { store: phone.store, seed: 'again' });
    await vi.waitFor(() => expect(left(again)).toEqual([]), 20_000);
    const there = await person('alice', network, time, { store: laptop.store, seed: 'there' });
    if (arrives) expect((await there.read()).text).toBe('x');
    const isTold = [...said, ...again.observations].some((record) => record.kind === 'log' && record.event === 'device-not-reached');
    expect(isTold).toBe(!arrives);
    await Promise.all([again, there, bob].map(({ client }) => client.close()));
  },
);

test('T41: a clock that goes to and fro counts no day twice', async () => {
  const time = { ms: START };
  const network = glassNetwork();
  const alice = await person('alice', network, time);
  await online(alice);
  await alice.client.close();
  for (let i = 0; i < 4; i++) {
    for (const days of [3_650, -3_650]) {
      await daily(alice, network, time, 1);
      time.ms += (days - 1) * DAY;
    }
  }
  const row = alice.store.rows().get('["days"]')!;
  expect(daysRecord.decode(row)).toMatchObject({ count: 3 });
  const last = await person('alice', network, time, { store: alice.store, seed: 'last' });
  await last.client.close();
});

test.each([
  ['a sender that did not run for 50 days', 50, true],
  ['one that has tried on 30 days', 30, true],
  ['one that has tried on 31 days', 31, false],
])('what one device has and the carrier does not take for the other, by %s', async (_, days, arrives) => {
  const time = { ms: START };
  const network = glassNetwork();
  const phone = await person('bob', network, time, { seed: 'phone' });
  const laptop = await linked(phone, network, time, { seed: 'laptop' });
  const alice = await person('alice', network, time);
  network.beforeSend = async (_bytes, to) => {
    if (to.device === laptop.client.device) throw offline();
  };
  const sent = await alice.client.send('bob', 'x');
  await phone.read();
  await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  await alice.client.close();
  await laptop.client.close();
  await phone.client.close();
  const said = days < 50 ? await daily(alice, network, time, days) : [];
  if (days === 50) time.ms += days * 86_400_000;
  if (arrives) network.beforeSend = async () => {};
  const again = await person('alice', network, time, { store: alice.store, seed: 'again' });
  await (await again.client.sent(sent.id))!.until('accepted');
  const there = await person('bob', network, time, { seed: 'there', store: laptop.store });
  if (arrives) expect((await there.read()).text).toBe('x');
  await vi.waitFor(
    () => expect([...again.store.rows().keys()].filter((key) => /^\["(pending|outbox|unsent)"/.test(key))).toEqual([]),
    20_000,
  );
  expect([...said, ...again.observations].some((record) => record.kind === 'log' && record.event === 'device-not-reached')).toBe(!arrives);
  await Promise.all([again, there].map(({ client }) => client.close()));
});

test.each([1, 2])('what is refused for %i devices that were removed meanwhile goes to those that are left', async (count) => {
  const time = { ms: START };
  const network = glassNetwork();
  const laptop = await person('bob', network, time, { seed: 'laptop' });
  const phones: Person[] = [];
  for (let i = 0; i < count; i++) phones.push(await linked(laptop, network, time, { seed: `phone ${i}` }));
  const alice = await person('alice', network, time);
  await (await alice.client.send('bob', 'before')).until('accepted');
  await alice.client.close();
  const gone = phones.map(({ client }) => client.device);
  // Alice hears nothing of it, and the relay takes nothing for who is gone. All but the first answer comes when that has been dealt with.
  const back = (): Promise<void> => vi.waitFor(() => expect(left(alice).join()).toContain('["pending"'), 20_000);
  let isFirst = true;
  let dealtWith: Promise<void> | undefined;
  network.beforeSend = async (_bytes, to) => {
    if (to.account === 'alice') throw offline();
    const isGone = gone.includes(to.device);
    const isSecond = isGone && !isFirst;
    isFirst &&= !isGone;
    if (!isGone || isSecond) {
      dealtWith ??= back();
      await dealtWith;
    }
    // Who is left has a slow line.
    if (!isGone) await turns(50);
    if (isGone) throw new TransportError('ERR_REJECTED', 'no such device');
  };
  for (const device of gone) await laptop.client.devices.revoke(device);
  const again = await person('alice', network, time, { store: alice.store, seed: 'again' });
  const sent = await again.client.send('bob', 'after');
  await sent.until('accepted');
  expect((await laptop.read()).text).toBe('before');
  expect((await laptop.read()).text).toBe('after');
  expect(await laptop.readAll()).toEqual([]);
  expect([...again.store.rows().keys()].filter((key) => /^\["(pending|outbox|unsent)"/.test(key))).toEqual([]);
  await Promise.all([again, laptop, ...phones].map(({ client }) => client.close()));
});

test('a device whose mailbox is full gets what waits, though the relay refuses it for a third one for good', async () => {
  const { network, phone, laptop, tablet, alice } = await met();
  network.beforeSend = async (_bytes, to) => {
    if (to.account !== 'bob') return;
    if (to.device === laptop.client.device) throw new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 300 });
    if (to.device === tablet.client.device) throw new TransportError('ERR_REJECTED', 'no');
  };
  await alice.client.send('bob', 'second');
  expect((await phone.read()).text).toBe('second');
  await turns(300);
  network.beforeSend = async () => {};
  await alice.client.send('bob', 'third');
  const got = [(await laptop.read()).text];
  if (got[0] === 'second') got.push((await laptop.read()).text);
  expect(got).toEqual(['second', 'third']);
  await Promise.all([phone, laptop, tablet, alice].map(({ client }) => client.close()));
});

test('what no device has yet, as one is full and one refuses, has not failed', async () => {
  const { network, phone, laptop, tablet, alice } = await met();
  network.beforeSend = async (_bytes, to) => {
    if (to.account !== 'bob') return;
    if (to.device === laptop.client.device) throw new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 3_600_000 });
    throw new TransportError('ERR_REJECTED', 'no');
  };
  const sent = await alice.client.send('bob', 'second');
  await turns(300);
  expect((await alice.client.sent(sent.id))!.state).toBe('queued');
  await Promise.all([phone, laptop, tablet, alice].map(({ client }) => client.close()));
});

test('a refusal does not end a message whose other envelopes are still to be read from the store', async () => {
  const { time, network, phone, laptop, tablet, alice } = await met();
  // The relay is away: six messages of three envelopes each wait, 18 rows; a page has 16.
  network.sendFails = new TransportError('ERR_OFFLINE', 'down');
  const sent = [];
  for (let i = 0; i < 6; i++) sent.push(await alice.client.send('bob', `${i}`));
  await turns(20);
  await alice.client.close();
  network.sendFails = undefined;
  const rows = left(alice)
    .filter((key) => key.startsWith('["outbox"'))
    .sort();
  expect(rows).toHaveLength(18);
  const sixteenth = Number((JSON.parse(rows[15]!) as string[])[3]);
  network.beforeSend = async (_bytes, to) => {
    if (to.account === 'bob' && to.device === sixteenth) throw new TransportError('ERR_REJECTED', 'no');
  };
  // A store that takes its time for a page, as those of browsers do.
  const slow = {
    ...alice.store,
    list: async (...args: Parameters<typeof alice.store.list>) => {
      if (args[0][0] === 'outbox' && args[2] !== undefined) await turns(400);
      return alice.store.list(...args);
    },
  };
  const again = await person('alice', network, time, { store: slow, seed: 'again' });
  for (const { id } of sent) await (await again.client.sent(id))!.until('accepted');
  await Promise.all([phone, laptop, tablet, again].map(({ client }) => client.close()));
});

test('a store that fails for a moment while envelopes are with the carrier: none goes twice, and all of them are accepted', async () => {
  const time = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, time);
  const alice = await person('alice', network, time);
  await (await alice.client.send('bob', 'first')).until('accepted');
  await bob.read();
  network.sendFails = new TransportError('ERR_OFFLINE', 'down');
  // More than a page of them.
  const sent = [];
  for (let i = 0; i < 17; i++) sent.push(await alice.client.send('bob', `${i}`));
  await turns(20);
  await alice.client.close();
  network.sendFails = undefined;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const tries: Uint8Array[] = [];
  network.beforeSend = async (bytes, { account }) => {
    if (account !== 'bob') return;
    tries.push(bytes);
    await released;
  };
  let fails = true;
  const hiccup = {
    ...alice.store,
    async list(...args: Parameters<typeof alice.store.list>) {
      const hasFailed = fails && args[0][0] === 'outbox' && args[2] !== undefined;
      if (hasFailed) fails = false;
      if (hasFailed) throw new Error('the disk is busy');
      return alice.store.list(...args);
    },
  };
  const again = await person('alice', network, time, { store: hiccup, seed: 'again' });
  while (tries.length < 16) await turns(1);
  await turns(100);
  const isOver = (): boolean => again.observations.some((record) => record.kind === 'log' && record.event === 'send-retry');
  expect([fails, isOver()]).toEqual([false, false]);
  release();
  for (const { id } of sent) await (await again.client.sent(id))!.until('accepted');
  expect([tries.length, new Set(tries.map((bytes) => Buffer.from(bytes).toString('hex'))).size]).toEqual([17, 17]);
  await Promise.all([again, bob].map(({ client }) => client.close()));
});

test('a relay that says of a full mailbox when to come again is not asked sixteen times for each message', async () => {
  const { network, phone, laptop, tablet, alice } = await met();
  let tried = 0;
  network.beforeSend = async (_bytes, to) => {
    if (to.device !== laptop.client.device) return;
    tried += 1;
    await turns(20);
    throw new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 3_600_000 });
  };
  const counts: number[] = [];
  for (let i = 0; i < 24; i++) {
    tried = 0;
    await alice.client.send('bob', `${i}`);
    await phone.read();
    await turns(60);
    counts.push(tried);
  }
  expect(Math.max(...counts)).toBeLessThanOrEqual(2);
  await Promise.all([phone, laptop, tablet, alice].map(({ client }) => client.close()));
});

test('a device that can’t be written to for a moment waits no longer for it because another one’s mailbox is full', async () => {
  const time = { ms: START };
  const network = glassNetwork();
  const phone = await person('bob', network, time, { seed: 'phone' });
  const alice = await person('alice', network, time);
  await (await alice.client.send('bob', 'first')).until('accepted');
  await phone.read();
  await phone.client.send('alice', 'hello');
  await alice.read();
  const laptop = await linked(phone, network, time, { seed: 'laptop' });
  await alice.seen('devicesChanged');
  network.directoryDown = true;
  refuses(network, phone.client.device, new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 3_600_000 }));
  const from = alice.observations.length;
  await alice.client.send('bob', 'second');
  await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry', from);
  network.directoryDown = false;
  expect((await laptop.read()).text).toBe('second');
  await Promise.all([phone, laptop, alice].map(({ client }) => client.close()));
});

test('what the only device with keys was refused, and the other was removed before it had any, has failed', async () => {
  const time = { ms: START };
  const glass = glassNetwork();
  let hidden = -1;
  const network: Network = {
    transport: glass.transport,
    directory(login) {
      const port = (glass.directory as (login: Login) => Directory)(login);
      const fetch: Directory['fetch'] = async (...call) => (await port.fetch(...call)).filter(({ address }) => address.device !== hidden);
      return { ...port, fetch };
    },
  };
  const phone = await person('bob', network, time, { seed: 'phone' });
  const alice = await person('alice', network, time);
  await (await alice.client.send('bob', 'first')).until('accepted');
  expect((await phone.read()).text).toBe('first');
  await phone.client.send('alice', 'hello');
  await alice.read();
  const laptop = await linked(phone, network, time, { seed: 'laptop' });
  hidden = laptop.client.device;
  await vi.waitFor(async () => expect((await alice.client.contact('bob').identity()).devices).toHaveLength(2), 10_000);
  // The relay refuses it for the phone for good, and the laptop has no keys yet.
  glass.beforeSend = async (_bytes, to) => {
    if (to.account === 'bob') throw new TransportError('ERR_REJECTED', 'no');
  };
  const sent = await alice.client.send('bob', 'second');
  await turns(400);
  await phone.client.devices.revoke(laptop.client.device);
  alice.client
    .contact('bob')
    .safetyNumber()
    .catch(() => {});
  await alice.seen('sent', ({ id, state }) => id === sent.id && state === 'failed');
  await Promise.all([alice, phone, laptop].map(({ client }) => client.close()));
});
