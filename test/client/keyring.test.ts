import { expect, onTestFinished, test, vi } from 'vitest';
import { timer } from '../../src/client/platform.js';
import { TransportError } from '../../src/errors.js';
import type { DeviceKeys } from '../../src/step.js';
import type { Directory, Login, Network, Transport } from '../../src/transport/port.js';
import { linked } from '../helpers/devices.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { person, START } from '../helpers/people.js';
import { stepped } from '../helpers/stepped.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const DAYS = 86_400_000;

test('a set that the directory refuses for good keeps no later one from being made and published', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const refused: Uint8Array[] = [];
  let refuses = false;
  const picky: Network = {
    transport: network.transport,
    directory(login: Login) {
      const directory = (network.directory as (login: Login) => { publish(keys: DeviceKeys): Promise<void> })(login);
      return {
        ...(directory as unknown as ReturnType<Extract<Network['directory'], (login: Login) => unknown>>),
        async publish(keys: DeviceKeys) {
          // Once refused it stays refused, however often the same bytes come.
          if (refuses || refused.some((set) => Buffer.compare(set, keys.signedSet) === 0)) {
            refused.push(new Uint8Array(keys.signedSet));
            throw new TransportError('ERR_REJECTED', 'not these');
          }
          await directory.publish(keys);
        },
      };
    },
  };
  const bob = await person('bob', picky, clock);
  await network.publication('bob', 1);
  const failed = (count: number) =>
    bob.observed(
      (record) =>
        record.kind === 'log' && record.event === 'maintenance-failed' && record.code === 'ERR_REJECTED' && refused.length >= count,
    );

  // A week later a new set is due. The directory takes it not, now nor when it comes again.
  clock.ms += 8 * DAYS;
  refuses = true;
  network.cut(bob.address);
  await failed(1);
  refuses = false;
  network.cut(bob.address);
  await failed(2);
  expect(network.published).toHaveLength(1);
  expect(refused[1]).toEqual(refused[0]);

  // Another week later the next one is due, which takes its place.
  clock.ms += 8 * DAYS;
  network.cut(bob.address);
  await network.publication('bob', 2);
  const [first, second] = network.published;
  expect(second!.signedSet).not.toEqual(first!.signedSet);
  expect(refused).not.toContainEqual(second!.signedSet);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'sealed to the new set');
  expect((await bob.read()).text).toBe('sealed to the new set');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a set that the directory refuses for good is made anew also where the carrier lets the device in no more', async () => {
  const { time, network, open, timed } = stepped();
  onTestFinished(() => time.end());
  const first = await open('bob');
  let isDown = false;
  const refused: Uint8Array[] = [];
  const directory = (login: Login) => {
    const port = (network.directory as (login: Login) => Directory)(login);
    const publish: Directory['publish'] = async (keys) => {
      if (!isDown || refused.some((set) => Buffer.compare(set, keys.signedSet) === 0)) {
        refused.push(new Uint8Array(keys.signedSet));
        throw new TransportError('ERR_REJECTED', 'not these');
      }
      await port.publish(keys);
    };
    return { ...port, publish };
  };
  const transport = (login: Login): Transport => {
    const port = (network.transport as (login: Login) => Transport)(login);
    const deliveries: Transport['deliveries'] = (options) => {
      if (isDown) throw new TransportError('ERR_OFFLINE', 'no carrier');
      return port.deliveries(options);
    };
    return { ...port, deliveries };
  };
  await timed(first.client.close());
  time.jump(8 * DAYS);
  const second = await open('bob', { store: first.store, seed: 'second', directory, transport });
  expect(refused).toHaveLength(1);
  await timed(second.client.close());
  isDown = true;
  time.jump(8 * DAYS);
  const third = await open('bob', { store: first.store, seed: 'third', directory, transport });
  await time.pass(2 * 60_000);
  expect(network.published.map(({ signedSet }) => refused.some((set) => Buffer.compare(set, signedSet) === 0))).toEqual([false, false]);
  await timed(third.client.close());
});

test('a device that is opened now and then on a carrier that does not say that it is up renews its keys all the same', async () => {
  const { time, network, open, timed } = stepped();
  onTestFinished(() => time.end());
  const transport = (login: Login): Transport => {
    const port = (network.transport as (login: Login) => Transport)(login);
    return { ...port, deliveries: ({ onUp: _, ...options } = {}) => port.deliveries(options) };
  };
  const { client, store } = await open('alice');
  await timed(client.close());
  for (let run = 2; run <= 6; run++) {
    time.jump(8 * DAYS);
    const again = await open('alice', { store, seed: `${run}`, transport });
    await time.pass(3_000);
    await timed(again.client.close());
    expect(network.published.length).toBeGreaterThanOrEqual(run);
  }
});

test('maintenance that failed is tried again in a minute, whatever else of it has not', async () => {
  const { time, network, open, timed } = stepped();
  onTestFinished(() => time.end());
  const { client, store } = await open('alice');
  await timed(client.close());
  time.jump(8 * DAYS);
  let isDown = true;
  const directory = (login: Login) => {
    const port = (network.directory as (login: Login) => Directory)(login);
    const publish: Directory['publish'] = async (keys) => {
      if (isDown) throw new TransportError('ERR_OFFLINE', 'no directory');
      await port.publish(keys);
    };
    const fetch: Directory['fetch'] = async (...call) => {
      if (isDown) throw new TransportError('ERR_OFFLINE', 'no directory');
      return port.fetch(...call);
    };
    return { ...port, publish, fetch };
  };
  // The first look begins before the carrier is there.
  const transport = (login: Login): Transport => {
    const port = (network.transport as (login: Login) => Transport)(login);
    const deliveries: Transport['deliveries'] = async function* (options) {
      for (let turn = 0; turn < 5; turn++) await new Promise((next) => setImmediate(next));
      yield* port.deliveries(options);
    };
    return { ...port, deliveries };
  };
  // A first look at many rows, which takes a while.
  const { list } = store;
  let isSlow = true;
  store.list = async (prefix, ...rest) => {
    if (prefix[0] === 'got' && isSlow) {
      isSlow = false;
      await new Promise<void>((resolve) => void timer(resolve, 5_000));
    }
    return list(prefix, ...rest);
  };
  const again = await open('alice', { store, seed: 'again', directory, transport });
  await time.pass(10_000);
  isDown = false;
  const before = network.published.length;
  await time.pass(61_000);
  expect([isSlow, network.published.length - before]).toEqual([false, 1]);
  await timed(again.client.close());
});

test('T41: a device that was away for longer than its keys last publishes new ones', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const bob = await person('bob', network, clock);
  await network.publication('bob', 1);
  clock.ms += 200 * DAYS;
  network.cut(bob.address);
  await network.publication('bob', 2);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'welcome back');
  expect((await bob.read()).text).toBe('welcome back');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('what is to be published while the last look for that is under way is published, too', async () => {
  const network = hostileNetwork();
  const clock = { ms: START };
  const phone = await person('alice', network, clock);
  const tablet = await linked(phone, network, clock, { seed: 'tablet' });
  const { store } = phone;
  await vi.waitFor(() => expect(store.rows().has('["publish"]')).toBe(false), { timeout: 20_000 });
  const { read } = store;
  let looks = 0;
  let goOn = (): void => {};
  const isLast = new Promise<void>((last) => {
    store.read = async (wanted) => {
      const found = await read(wanted);
      if (wanted[0]![0] === 'publish' && ++looks === 2) {
        last();
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
      }
      return found;
    };
  });
  network.cut(phone.address);
  await isLast;
  await phone.client.devices.revoke(tablet.client.device);
  goOn();
  await vi.waitFor(() => expect(store.rows().has('["publish"]')).toBe(false), { timeout: 20_000 });
  await Promise.all([phone, tablet].map(({ client }) => client.close()));
});
