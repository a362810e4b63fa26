/** How messages end that were not accepted everywhere. */

import { expect, test } from 'vitest';
import { keys, pendingRecord, sentRecord } from '../../src/client/records.js';
import { TransportError } from '../../src/errors.js';
import { rowCount } from '../helpers/broken-session.js';
import { linked } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { coded } from '../helpers/matchers.js';
import { glassStore, person, START } from '../helpers/people.js';

test('what is cancelled while it is being encrypted is not there after that', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const store = glassStore();
  const { read } = store;
  let goOn = (): void => {};
  const isEncrypted = new Promise<void>((encrypted) => {
    // The last that is looked up before an encrypted message is committed: whether it was deleted.
    store.read = async (keys) => {
      if (keys[0]![0] === 'deleted') {
        encrypted();
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
      }
      return read(keys);
    };
  });
  const alice = await person('alice', network, clock, { store });
  const sent = await alice.client.send('bob', 'not meant so');
  await isEncrypted;
  store.read = read;
  const cancelled = sent.cancel();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  goOn();
  expect(await cancelled).toBe('cancelled');
  await (await alice.client.send('bob', 'meant so')).until('accepted');
  expect([rowCount(store, 'outbox'), rowCount(store, 'unsent'), await sent.cancel()]).toEqual([0, 0, 'cancelled']);
  expect((await bob.read()).text).toBe('meant so');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('what one device has is not cancelled any more', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const { client, store } = await person('alice', network, clock);
  await client.close();
  const [id, seq] = ['01'.repeat(16), 7];
  await store.commit([
    { key: keys.sent(id), value: sentRecord.encode({ to: 'bob', state: 'queued', atMs: START, seq, waitingFor: [], accepted: 1 }) },
    { key: keys.pending('bob', seq), value: pendingRecord.encode({ id, payload: new Uint8Array(1), atMs: START }) },
  ]);
  const again = await person('alice', network, clock, { store, seed: 'again' });
  await again.seen('sent', ({ state }) => state === 'held');
  expect(await (await again.client.sent(id as never))!.cancel()).toBe('held');
  expect(again.client.status).toMatchObject({ queuedCount: 1 });
  await again.client.close();
});

test('what could not be cancelled, because the store failed, goes out', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  network.directoryDown = true;
  const sent = await alice.client.send('bob', 'meant so after all');
  await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  const { commit } = alice.store;
  alice.store.commit = async () => {
    alice.store.commit = commit;
    network.directoryDown = false;
    throw new Error('the disk is full');
  };
  await expect(sent.cancel()).rejects.toThrow(coded('ERR_STORE_IO'));
  expect((await bob.read()).text).toBe('meant so after all');
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test.each(['refused', 'accepted'])('for one device refused for good, for another accepted, %s first: accepted', async (first) => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const tablet = await linked(bob, network, clock, { seed: 'tablet' });
  let goOn = (): void => {};
  const isOver = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const alice = await person('alice', network, clock);
  network.beforeSend = async (_bytes, to) => {
    const isRefused = to.device === tablet.client.device;
    if (isRefused !== (first === 'refused')) await isOver;
    if (isRefused) throw new TransportError('ERR_REJECTED', 'not for this device');
  };
  const sent = await alice.client.send('bob', 'hello');
  await alice.observed((record) => record.kind === 'span' && record.name === 'transport.send');
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  goOn();
  await sent.until('accepted');
  expect((await bob.read()).text).toBe('hello');
  expect(alice.events.flatMap((event) => (event.type === 'sent' ? [event.state] : []))).toEqual(['accepted']);
  await Promise.all([alice, bob, tablet].map(({ client }) => client.close()));
});

test('what a first device takes while the cancelling looks it up is not cancelled', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const tablet = await linked(bob, network, clock, { seed: 'tablet' });
  const store = glassStore();
  const alice = await person('alice', network, clock, { store });
  await (await alice.client.send('bob', 'hello')).until('accepted');
  expect([(await bob.read()).text, (await tablet.read()).text]).toEqual(['hello', 'hello']);
  let isFull = true;
  let take = (): void => {};
  const taken = new Promise<void>((resolve) => {
    take = resolve;
  });
  network.beforeSend = async (_bytes, { device }) => {
    if (device === tablet.client.device && isFull) throw new TransportError('ERR_REJECTED', 'full', { retryAfterMs: 300 });
    if (device === bob.client.device) await taken;
  };
  const { commit, read } = store;
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const sent = await alice.client.send('bob', 'taken');
  let note = (): void => {};
  const noting = new Promise<void>((resolve) => {
    note = resolve;
  });
  const isLookedUp = new Promise<void>((lookedUp) => {
    store.commit = async (writes) => {
      // That the phone has it: the cancelling reads before.
      if (writes.some(({ key, value }) => key[0] === 'outbox' && value === null)) {
        note();
        await isLookedUp;
      }
      return commit(writes);
    };
    take();
    noting.then(() => {
      store.read = async (wanted) => {
        const found = await read(wanted);
        if (wanted[0]![0] === 'sent' && wanted[0]![1] === sent.id) {
          store.read = read;
          lookedUp();
          await answered;
        }
        return found;
      };
      cancelled = sent.cancel();
    });
  });
  let cancelled: Promise<string> | undefined;
  await isLookedUp;
  expect((await bob.read()).text).toBe('taken');
  while ((await alice.client.sent(sent.id)) === undefined || rowCount(store, 'outbox') > 1) await new Promise((turn) => setImmediate(turn));
  answer();
  expect(await cancelled).toBe('queued');
  isFull = false;
  await alice.client.send('bob', 'next');
  expect([(await tablet.read()).text, (await tablet.read()).text]).toEqual(['taken', 'next']);
  await sent.until('accepted');
  await Promise.all([alice, bob, tablet].map(({ client }) => client.close()));
});
