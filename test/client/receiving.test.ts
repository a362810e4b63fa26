import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { describe, expect, test, vi } from 'vitest';
import { inboxRecord, keys } from '../../src/client/records.js';
import type { Message } from '../../src/client/types.js';
import { limits } from '../../src/limits.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const clock = { ms: START };
const two = async () => {
  const network = glassNetwork();
  const [alice, bob] = await Promise.all([person('alice', network, clock), person('bob', network, clock)]);
  return { network, alice, bob, close: () => Promise.all([alice.client.close(), bob.client.close()]) };
};
/** Texts of the next messages, not acknowledged. */
const peek = async ({ client }: Person, count: number): Promise<Message[]> => {
  const got: Message[] = [];
  for await (const message of client.messages()) if (got.push(message) === count) break;
  return got;
};

test('a message carries who, what, where and when', async () => {
  const { alice, bob, close } = await two();
  clock.ms += 5;
  const sent = await alice.client.send('bob', { kind: 'app', type: 'com.example.poll', data: { q: [1, 'two'] }, fallback: 'A poll' });
  const sentAtMs = clock.ms;
  const [message] = await peek(bob, 1);
  expect(message).toMatchObject({
    id: sent.id,
    conversation: { kind: 'person', account: 'alice' },
    from: alice.address,
    content: { kind: 'app', type: 'com.example.poll', data: { q: [1, 'two'] }, fallback: 'A poll' },
    text: 'A poll',
    sentAtMs,
    trust: 'unverified',
    replayable: false,
  });
  expect(message!.receivedAtMs).toBeGreaterThanOrEqual(sentAtMs);
  expect(sent.id).toMatch(/^[0-9a-f]{32}$/);
  await close();
});

describe('exactly once', () => {
  test('what was not acknowledged comes again after a restart, same ids, oldest first; what was never does', async () => {
    const { network, alice, bob } = await two();
    for (let i = 0; i < 5; i++) await alice.client.send('bob', `${i}`);
    const before = await peek(bob, 5);
    await before[1]!.ack();
    await before[1]!.ack();
    await bob.client.close();
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
    expect(again.client.status).toMatchObject({ unackedCount: 4 });
    await alice.client.send('bob', '5');
    const after = await peek(again, 5);
    expect(after.map(({ text }) => text)).toEqual(['0', '2', '3', '4', '5']);
    expect(after.slice(0, 4).map(({ id }) => id)).toEqual([0, 2, 3, 4].map((i) => before[i]!.id));
    await expect(before[0]!.ack()).rejects.toThrow(coded('ERR_CLOSED'));
    await Promise.all([again.client.close(), alice.client.close()]);
  });

  test('a handler that throws stops the subscription, and its message comes first next time', async () => {
    const { alice, bob, close } = await two();
    for (const text of ['one', 'two', 'three']) await alice.client.send('bob', text);
    const seen: string[] = [];
    const fault = new Error('database is away');
    await expect(
      bob.client.subscribe(async ({ text }) => {
        seen.push(text);
        if (text === 'two') throw fault;
      }),
    ).rejects.toBe(fault);
    const stop = new AbortController();
    await bob.client.subscribe(({ text }) => {
      if (seen.push(text) === 4) stop.abort();
    }, stop);
    expect(seen).toEqual(['one', 'two', 'two', 'three']);
    expect(bob.client.status).toMatchObject({ unackedCount: 0 });
    await close();
  });

  test('an acknowledgement that the store refuses can be given again', async () => {
    const network = glassNetwork();
    const store = glassStore();
    let failing = false;
    const flaky = {
      ...store,
      commit: async (writes: Parameters<typeof store.commit>[0]) => {
        if (failing) throw new Error('no');
        await store.commit(writes);
      },
    };
    const alice = await person('alice', network, clock);
    const bob = await person('bob', network, clock, { store: flaky as never });
    await alice.client.send('bob', 'x');
    const [message] = await peek(bob, 1);
    failing = true;
    await expect(message!.ack()).rejects.toThrow(coded('ERR_STORE_IO'));
    failing = false;
    await message!.ack();
    expect(bob.client.status).toMatchObject({ unackedCount: 0 });
    await Promise.all([alice.client.close(), bob.client.close()]);
  });
});

describe('loops', () => {
  test('one at a time; abort, break and an error free the place synchronously', async () => {
    const { alice, bob, close } = await two();
    const stop = new AbortController();
    const first = bob.client.messages({ signal: stop.signal })[Symbol.asyncIterator]();
    const pending = first.next();
    expect(() => bob.client.messages()[Symbol.asyncIterator]()).toThrow(usage('ERR_ARGUMENT', 'messages'));
    await expect(bob.client.subscribe(() => {})).rejects.toThrow(usage('ERR_ARGUMENT', 'messages'));
    stop.abort();
    const second = bob.client.messages()[Symbol.asyncIterator]();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await first.next()).toEqual({ done: true, value: undefined });
    const waiting = second.next();
    void second.return!();
    const third = bob.client.messages()[Symbol.asyncIterator]();
    expect((await waiting).done).toBe(true);
    await alice.client.send('bob', 'x');
    expect((await third.next()).value.text).toBe('x');
    await third.return!();
    expect((await bob.read()).text).toBe('x');
    for await (const _ of bob.client.messages({ signal: stop.signal })) throw new Error('aborted before it began');
    await close();
  });

  test('concurrent next() calls get different messages, in order', async () => {
    const { alice, bob, close } = await two();
    const loop = bob.client.messages()[Symbol.asyncIterator]();
    const all = [loop.next(), loop.next(), loop.next()];
    for (const text of ['a', 'b', 'c']) await alice.client.send('bob', text);
    expect((await Promise.all(all)).map(({ value }) => value.text)).toEqual(['a', 'b', 'c']);
    await loop.return!();
    await close();
  });

  test('when-drained finds what the carrier had taken before the loop began, also long after the connection', async () => {
    const network = memoryNetwork();
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((account) => createClient({ account, store: memoryStore(), ...network })));
    for (let i = 0; i < 4; i++) {
      await (await alice!.send('bob', `${i}`)).until('accepted');
      const texts: string[] = [];
      for await (const message of bob!.messages({ end: 'when-drained' })) {
        texts.push(message.text);
        await message.ack();
      }
      expect(texts).toEqual([`${i}`]);
    }
    await Promise.all([alice!.close(), bob!.close()]);
  });

  test('when-drained ends once mailbox and inbox are empty, after a first contact too', async () => {
    const { network, alice, bob, close } = await two();
    expect(await bob.readAll()).toEqual([]);
    for (const text of ['a', 'b']) await alice.client.send('bob', text);
    await bob.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === 2);
    expect((await bob.readAll()).map(({ text }) => text)).toEqual(['a', 'b']);
    // What came before a process started is not missed.
    await bob.client.close();
    for (const text of ['c', 'd']) await (await alice.client.send('bob', text)).until('accepted');
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
    expect((await again.readAll()).map(({ text }) => text)).toEqual(['c', 'd']);
    await again.client.close();
    await close();
  });

  test('a loop over a damaged row rejects, and leaves the place free', async () => {
    const { alice, bob, close } = await two();
    await alice.client.send('bob', 'x');
    const [message] = await peek(bob, 1);
    const [row] = await bob.store.list(['inbox'], 1);
    await bob.store.commit([{ key: row!.key, value: new Uint8Array([0xc1]) }]);
    await expect(peek(bob, 1)).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
    await expect(peek(bob, 1)).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
    await message!.ack();
    await close();
  });
});

describe('back-pressure', () => {
  test(`${limits.unackedYieldedCount} messages without an acknowledgement are a bug of the application`, async () => {
    const { network, alice, bob } = await two();
    await alice.client.send('bob', 'x');
    const [message] = await peek(bob, 1);
    await bob.client.close();
    const [row] = await bob.store.list(['inbox'], 1);
    const record = inboxRecord.decode(row!.value);
    const more = Array.from({ length: limits.unackedYieldedCount }, (_, i) => ({
      key: keys.inbox(1_000 + i),
      value: inboxRecord.encode({ ...record, id: i.toString(16).padStart(32, '0') }),
    }));
    await bob.store.commit(more);
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
    const got: string[] = [];
    const all = async (): Promise<void> => {
      for await (const { id } of again.client.messages()) got.push(id);
    };
    await expect(all()).rejects.toMatchObject({ code: 'ERR_LENGTH', field: 'ack', max: limits.unackedYieldedCount });
    expect(got.length).toBe(limits.unackedYieldedCount);
    expect(got[0]).toBe(message!.id);
    // The place is free, and everything is still there.
    expect((await peek(again, 1))[0]!.id).toBe(message!.id);
    await Promise.all([alice.client.close(), again.client.close()]);
  });

  test(`with ${limits.inboxCount} messages in the inbox the relay keeps the rest, until one is acknowledged`, async () => {
    const { network, alice, bob } = await two();
    await alice.client.send('bob', 'x');
    await peek(bob, 1);
    await bob.client.close();
    const [row] = await bob.store.list(['inbox'], 1);
    const record = inboxRecord.decode(row!.value);
    const more = Array.from({ length: limits.inboxCount - 1 }, (_, i) => ({
      key: keys.inbox(1_000 + i),
      value: inboxRecord.encode({ ...record, id: i.toString(16).padStart(32, '0') }),
    }));
    await bob.store.commit(more);
    await (await alice.client.send('bob', 'one too many')).until('accepted');
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
    expect(again.client.status).toMatchObject({ unackedCount: limits.inboxCount });
    const [first, second] = await peek(again, 2);
    expect(again.client.status).toMatchObject({ unackedCount: limits.inboxCount });
    expect(again.observations.some((record) => record.kind === 'span' && record.name === 'receive')).toBe(false);
    await first!.ack();
    await again.observed((record) => record.kind === 'span' && record.name === 'receive');
    await again.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === limits.inboxCount);
    await second!.ack();
    await Promise.all([alice.client.close(), again.client.close()]);
  });
});

test('T27: both write first at the same time: everything arrives, and both go on', async () => {
  const { alice, bob, close } = await two();
  await Promise.all([
    ...['a1', 'a2', 'a3'].map((text) => alice.client.send('bob', text)),
    ...['b1', 'b2', 'b3'].map((text) => bob.client.send('alice', text)),
  ]);
  const read = async (who: Person, count: number): Promise<string[]> => {
    const got: string[] = [];
    while (got.length < count) got.push((await who.read()).text);
    return got;
  };
  expect(await read(bob, 3)).toEqual(['a1', 'a2', 'a3']);
  expect(await read(alice, 3)).toEqual(['b1', 'b2', 'b3']);
  for (let turn = 0; turn < 4; turn++) {
    await alice.client.send('bob', `a ${turn}`);
    await bob.client.send('alice', `b ${turn}`);
    expect(await read(bob, 1)).toEqual([`a ${turn}`]);
    expect(await read(alice, 1)).toEqual([`b ${turn}`]);
  }
  await close();
});
