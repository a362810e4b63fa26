import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Client, Message, Sent, SentState } from '../../src/client/types.js';
import { TransportError } from '../../src/errors.js';
import { limits, talkLimits } from '../../src/limits.js';
import { glassNetwork, offline } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

afterEach(() => {
  vi.useRealTimers();
});

const clock = { ms: START };
const two = async (network = glassNetwork()) => {
  const [alice, bob] = await Promise.all([person('alice', network, clock), person('bob', network, clock)]);
  // From here on nothing wakes a lane but what a test does.
  for (const { seen } of [alice, bob]) await seen('status', ({ status }) => status.state === 'online');
  return { network, alice, bob, close: () => Promise.all([alice.client.close(), bob.client.close()]) };
};
const texts = async (who: Person, count: number): Promise<string[]> => {
  const got: string[] = [];
  while (got.length < count) got.push((await who.read()).text);
  return got;
};
const stateOf = async (client: Client, { id }: Sent): Promise<SentState | undefined> => (await client.sent(id))?.state;
const reaches = (who: Person, { id }: Sent, state: SentState) => who.seen('sent', (event) => event.id === id && event.state === state);

describe('order', () => {
  test('of calls, awaited or not, on first contact and later, with keys and without', async () => {
    const { alice, bob, close } = await two();
    const expected = Array.from({ length: 30 }, (_, i) => `${i}`);
    const sending = expected.map((text, i) => alice.client.send('bob', text, i % 3 === 0 ? { key: text } : {}));
    expect(await texts(bob, 30)).toEqual(expected);
    await Promise.all(sending);
    await bob.client.send('alice', 'answer');
    await alice.read();
    for (const text of expected) await alice.client.send('bob', text);
    expect(await texts(bob, 30)).toEqual(expected);
    await close();
  });

  test('conversations don’t wait for each other', async () => {
    const { alice, bob, close } = await two();
    await alice.client.send('nobody', 'never');
    await alice.client.send('bob', 'at once');
    expect((await bob.read()).text).toBe('at once');
    await close();
  });
});

describe('offline', () => {
  test('without directory and transport a message is durable, and goes out by itself', async () => {
    const { network, alice, bob, close } = await two();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    network.directoryDown = true;
    network.sendFails = offline();
    const sent = await alice.client.send('bob', 'later');
    expect([sent.state, sent.to]).toEqual(['queued', { kind: 'person', account: 'bob' }]);
    await vi.advanceTimersByTimeAsync(5_000);
    network.directoryDown = false;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await stateOf(alice.client, sent)).toBe('queued');
    network.sendFails = undefined;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await stateOf(alice.client, sent)).toBe('accepted');
    vi.useRealTimers();
    expect((await bob.read()).text).toBe('later');
    await close();
  });

  test('after a restart it goes out too, and what was sent before stays before what is sent now', async () => {
    const { network, alice, bob } = await two();
    network.directoryDown = true;
    await alice.client.send('bob', 'first');
    const sent = await alice.client.send('bob', 'second');
    await alice.client.close();
    network.directoryDown = false;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    expect(await stateOf(again.client, sent)).toBe('queued');
    await again.client.send('bob', 'third');
    expect(await texts(bob, 3)).toEqual(['first', 'second', 'third']);
    await Promise.all([again.client.close(), bob.client.close()]);
  });

  test('ciphertext goes out with the same bytes until it is accepted', async () => {
    const { network, alice, bob, close } = await two();
    const tried: string[] = [];
    network.beforeSend = async (bytes) => {
      tried.push(Buffer.from(bytes).toString('hex'));
      if (tried.length < 3) throw offline();
    };
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sent = await alice.client.send('bob', 'again and again');
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await stateOf(alice.client, sent)).toBe('accepted');
    expect(new Set(tried).size).toBe(1);
    expect(tried.length).toBe(3);
    vi.useRealTimers();
    await bob.read();
    await close();
  });

  test('an account that appears later gets what was held for it', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sent = await alice.client.send('dave', 'hello?');
    const waiting = sent.until('accepted').catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await waiting).toMatchObject({ code: 'ERR_NO_SESSION', message: expect.stringContaining('is held, and goes out') });
    expect(await stateOf(alice.client, sent)).toBe('held');
    expect(alice.client.status).toMatchObject({ queuedCount: 1 });
    const opening = person('dave', network, clock);
    await vi.advanceTimersByTimeAsync(100);
    const dave = await opening;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await stateOf(alice.client, sent)).toBe('accepted');
    expect(
      alice.events.filter((event) => event.type === 'sent' && event.id === sent.id).map((event) => 'state' in event && event.state),
    ).toEqual(['held', 'queued', 'accepted']);
    vi.useRealTimers();
    expect((await dave.read()).text).toBe('hello?');
    await Promise.all([alice.client.close(), dave.client.close()]);
  });

  test('after 30 days it has failed, whether it waited for a session or for the carrier', async () => {
    const time = { ms: START };
    const network = glassNetwork();
    const alice = await person('alice', network, time);
    const bob = await person('bob', network, time);
    const waiting = await alice.client.send('nobody', 'x');
    await reaches(alice, waiting, 'held');
    network.sendFails = offline();
    const queued = await alice.client.send('bob', 'y');
    await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry');
    await alice.client.close();
    time.ms += limits.queueAgeMs + 1;
    const again = await person('alice', network, time, { store: alice.store, seed: 'again' });
    for (const sent of [waiting, queued]) {
      await reaches(again, sent, 'failed');
      await expect((await again.client.sent(sent.id))!.until('accepted')).rejects.toThrow(coded('ERR_REJECTED'));
    }
    expect(again.client.status).toMatchObject({ queuedCount: 0 });
    expect([...again.store.rows().keys()].filter((key) => /^\["(pending|outbox)"/.test(key))).toEqual([]);
    await Promise.all([again.client.close(), bob.client.close()]);
  });
});

describe('refusals', () => {
  test('for good: failed, with the carrier’s error', async () => {
    const { network, alice, close } = await two();
    network.sendFails = new TransportError('ERR_REJECTED', 'no');
    const sent = await alice.client.send('bob', 'x');
    await expect(sent.until('accepted')).rejects.toBe(network.sendFails);
    expect(await stateOf(alice.client, sent)).toBe('failed');
    expect(await sent.cancel()).toBe('failed');
    await close();
  });

  test('for now: it is tried again', async () => {
    const { network, alice, close } = await two();
    network.sendFails = new TransportError('ERR_REJECTED', 'busy', { retryAfterMs: 5_000 });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sent = await alice.client.send('bob', 'x');
    await vi.advanceTimersByTimeAsync(4_000);
    network.sendFails = undefined;
    await vi.advanceTimersByTimeAsync(900);
    expect(await stateOf(alice.client, sent)).toBe('queued');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await stateOf(alice.client, sent)).toBe('accepted');
    vi.useRealTimers();
    await close();
  });

  test('content that a carrier can’t bear: refused at once where a session is, failed where one is started', async () => {
    const inner = glassNetwork();
    const network = {
      ...inner,
      transport: (login: Parameters<typeof inner.transport>[0]) => ({ ...inner.transport(login), limits: { maxBytes: 24 * 1024 } }),
    };
    const { alice, bob, close } = await two(network as never);
    const first = await alice.client.send('bob', 'x'.repeat(30_000));
    await expect(first.until('accepted')).rejects.toMatchObject({ code: 'ERR_LENGTH', max: 24 * 1024 });
    await (await alice.client.send('bob', 'short')).until('accepted');
    expect((await bob.read()).text).toBe('short');
    const before = alice.store.dump();
    await expect(alice.client.send('bob', 'x'.repeat(30_000))).rejects.toMatchObject({
      code: 'ERR_LENGTH',
      field: 'content',
      max: 24 * 1024,
    });
    expect(alice.store.dump()).toBe(before);
    await close();
  });

  test('T28: beyond 200 unanswered messages the rest is held, and goes out with the answer', async () => {
    const { network, alice, bob, close } = await two();
    const sent: Sent[] = [];
    for (let i = 0; i < 203; i++) sent.push(await alice.client.send('bob', `${i}`));
    await reaches(alice, sent[202]!, 'held');
    expect(await texts(bob, 200)).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`));
    // Each with the whole handshake, sealed; then none.
    expect(network.sent.map(([type]) => type)).toEqual(Array(200).fill(0x01));
    await bob.client.send('alice', 'here I am');
    expect(await texts(bob, 3)).toEqual(['200', '201', '202']);
    expect(network.sent.slice(-3).map(([type]) => type)).toEqual(Array(3).fill(0x20));
    await close();
  });
});

describe('idempotency keys', () => {
  test('the same key is the same message, also at the same time and after a restart; to another account it is refused', async () => {
    const { network, alice, bob } = await two();
    const all = await Promise.all([
      alice.client.send('bob', 'pay 20', { key: 'invoice' }),
      alice.client.send('bob', 'pay 20', { key: 'invoice' }),
    ]);
    await expect(alice.client.send('carol', 'pay 20', { key: 'invoice' })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'key' });
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    await all[0].until('accepted');
    await alice.client.close();
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    const repeated = await again.client.send('bob', 'pay 20', { key: 'invoice' });
    expect([repeated.id, repeated.state]).toEqual([all[0].id, 'accepted']);
    await again.client.send('bob', 'done');
    expect(await texts(bob, 2)).toEqual(['pay 20', 'done']);
    await Promise.all([again.client.close(), bob.client.close()]);
  });

  test('after 30 days the key is free and forgotten, after 150 what became of its message', async () => {
    const time = { ms: START };
    const network = glassNetwork();
    const alice = await person('alice', network, time);
    const bob = await person('bob', network, time);
    const first = await alice.client.send('bob', 'x', { key: 'k' });
    await first.until('accepted');
    const kept = await alice.client.send('bob', 'y', { key: 'kept' });
    await kept.until('accepted');
    time.ms += limits.idempotencyKeyMs + 1;
    const second = await alice.client.send('bob', 'x', { key: 'k' });
    expect(second.id).not.toBe(first.id);
    await second.until('accepted');
    await alice.client.close();
    let again = await person('alice', network, time, { store: alice.store, seed: 'again' });
    await again.seen('status', ({ status }) => status.state === 'online');
    const rows = (): string[] => [...again.store.rows().keys()].filter((key) => /^\["(sent|once)"/.test(key));
    while (rows().length > 4) await new Promise((resolve) => setImmediate(resolve));
    expect(rows().sort()).toEqual(['["once","k"]', ...[first, kept, second].map(({ id }) => `["sent","${id}"]`).sort()]);
    await again.client.close();
    time.ms += talkLimits.knownMs - limits.idempotencyKeyMs;
    again = await person('alice', network, time, { store: alice.store, seed: 'and again' });
    while (rows().length > 1) await new Promise((resolve) => setImmediate(resolve));
    expect(rows().sort()).toEqual([`["sent","${second.id}"]`]);
    expect(await again.client.sent(first.id)).toBeUndefined();
    time.ms -= talkLimits.knownMs - limits.idempotencyKeyMs;
    const third = await again.client.send('bob', 'x', { key: 'k' });
    await third.until('accepted');
    expect((await again.client.send('bob', 'x', { key: 'k' })).id).toBe(third.id);
    await Promise.all([again.client.close(), bob.client.close()]);
  });
});

describe('cancel', () => {
  test('what was cancelled does not leave, whatever the moment', async () => {
    let turns = 0;
    const inner = glassStore();
    const store: GlassStore = {
      ...inner,
      async list(...range) {
        const page = await inner.list(...range);
        for (let i = 0; range[0][0] === 'outbox' && i < turns; i++) await Promise.resolve();
        return page;
      },
    };
    const network = glassNetwork();
    const clock = { ms: START };
    const [alice, bob] = await Promise.all([person('alice', network, clock, { store }), person('bob', network, clock)]);
    await (await alice.client.send('bob', 'hello')).until('accepted');
    const states = new Set<string>();
    for (let run = 0; run < 40; run++) {
      const before = network.sent.length;
      turns = run;
      const state = await (await alice.client.send('bob', 'a second thought')).cancel();
      turns = 0;
      states.add(state);
      // In one lane: whatever was to leave before it has left.
      await (await alice.client.send('bob', 'next')).until('accepted');
      expect([run, network.sent.length - before]).toEqual([run, state === 'cancelled' ? 1 : 2]);
    }
    expect(states.has('cancelled')).toBe(true);
    await Promise.all([alice, bob].map(({ client }) => client.close()));
  });

  test('takes back what has not left, wherever it waits', async () => {
    const { network, alice, bob, close } = await two();
    network.directoryDown = true;
    const pending = await alice.client.send('bob', 'never 1');
    expect(await pending.cancel()).toBe('cancelled');
    network.directoryDown = false;
    await (await alice.client.send('bob', 'first')).until('accepted');
    network.sendFails = offline();
    const before = alice.observations.length;
    const queued = await alice.client.send('bob', 'never 2');
    await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry', before);
    expect(await queued.cancel()).toBe('cancelled');
    expect(await queued.cancel()).toBe('cancelled');
    await expect(queued.until('accepted')).rejects.toThrow(coded('ERR_CLOSED'));
    network.sendFails = undefined;
    await alice.client.send('bob', 'second');
    expect(await texts(bob, 2)).toEqual(['first', 'second']);
    expect(alice.client.status).toMatchObject({ queuedCount: 0 });
    await close();
  });

  test('comes too late for what is with the carrier, or accepted', async () => {
    const { network, alice, bob, close } = await two();
    let pass = (): void => {};
    const gate = new Promise<void>((resolve) => {
      pass = resolve;
    });
    let left = (): void => {};
    const leaving = new Promise<void>((resolve) => {
      left = resolve;
    });
    network.beforeSend = () => {
      left();
      return gate;
    };
    const sent = await alice.client.send('bob', 'gone');
    await leaving;
    expect(await sent.cancel()).toBe('queued');
    pass();
    await sent.until('accepted');
    expect(await sent.cancel()).toBe('accepted');
    expect((await bob.read()).text).toBe('gone');
    await close();
  });

  test('a message that is cancelled while earlier ones fill the carrier never leaves', async () => {
    const { network, alice, bob, close } = await two();
    await (await alice.client.send('bob', 'contact')).until('accepted');
    await bob.read();
    let pass = (): void => {};
    const gate = new Promise<void>((resolve) => {
      pass = resolve;
    });
    network.beforeSend = () => gate;
    const sent: Sent[] = [];
    for (let i = 0; i < 20; i++) sent.push(await alice.client.send('bob', `${i}`));
    expect(await sent[19]!.cancel()).toBe('cancelled');
    pass();
    await sent[18]!.until('accepted');
    expect(await texts(bob, 19)).toEqual(Array.from({ length: 19 }, (_, i) => `${i}`));
    expect(network.sent.length).toBe(20);
    await close();
  });
});

describe('until and signals', () => {
  test('until: only accepted, aborts with the reason, ends with the client', async () => {
    const { network, alice, close } = await two();
    network.directoryDown = true;
    const sent = await alice.client.send('bob', 'x');
    await expect(sent.until('read')).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    const abort = new AbortController();
    const aborted = sent.until('accepted', { signal: abort.signal });
    abort.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    await expect(sent.until('accepted', abort)).rejects.toBe('enough');
    const waiting = sent.until('accepted');
    const closing = close();
    await expect(waiting).rejects.toThrow(coded('ERR_CLOSED'));
    await closing;
    await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_CLOSED'));
    await expect(sent.cancel()).rejects.toThrow(coded('ERR_CLOSED'));
  });

  test('an aborted send has done nothing', async () => {
    const { alice, close } = await two();
    const abort = new AbortController();
    abort.abort(new Error('no'));
    const before = alice.store.dump();
    await expect(alice.client.send('bob', 'x', abort)).rejects.toThrow('no');
    const later = new AbortController();
    const sending = alice.client.send('bob', 'x', { signal: later.signal });
    later.abort(new Error('not now'));
    await expect(sending).rejects.toThrow('not now');
    expect(alice.store.dump()).toBe(before);
    await close();
  });
});

describe('bandwidth and metadata', () => {
  test.each(['lean', 'standard', 'wide'] as const)('%s, both ways', async (bandwidth) => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock, { bandwidth });
    const bob = await person('bob', network, clock, { bandwidth });
    await alice.client.send('bob', 'there');
    const there: Message = await bob.read();
    await bob.client.send(there.conversation, 'and back');
    expect((await alice.read()).text).toBe('and back');
    await (await alice.client.send('bob', 'x')).until('accepted');
    // 676 bytes and one chunk.
    expect(network.sent.at(-1)!.length).toBe(676 + { lean: 32, standard: 192, wide: 1152 }[bandwidth]);
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('a carrier of few messages a second makes them short', async () => {
    const inner = glassNetwork();
    const slow = {
      ...inner,
      transport: (login: Parameters<typeof inner.transport>[0]) => ({
        ...inner.transport(login),
        limits: { maxBytes: 64 * 1024, messagesPerSecond: 1 },
      }),
    };
    const { alice, bob, close } = await two(slow as never);
    await alice.client.send('bob', 'x');
    await bob.read();
    await (await bob.client.send('alice', 'y')).until('accepted');
    expect(inner.sent.at(-1)!.length).toBe(676 + 32);
    await close();
  });

  test('sealed: every envelope looks like a first one, both ways; without a set to seal to it waits', async () => {
    const time = { ms: START };
    const network = glassNetwork();
    const alice = await person('alice', network, time, { metadata: 'sealed' });
    const bob = await person('bob', network, time, { metadata: 'sealed' });
    for (let turn = 0; turn < 3; turn++) {
      await alice.client.send('bob', `a${turn}`);
      expect((await bob.read()).text).toBe(`a${turn}`);
      await bob.client.send('alice', `b${turn}`);
      expect((await alice.read()).text).toBe(`b${turn}`);
    }
    expect(new Set(network.sent.map(([type]) => type))).toEqual(new Set([0x01]));
    // Both have been away: nobody knows whether the secrets of the set in hand are still there. It waits, rather than go bare.
    time.ms += 60 * 86_400_000;
    const late = await alice.client.send('bob', 'after 60 days');
    await expect(late.until('accepted')).rejects.toThrow(coded('ERR_NO_SESSION'));
    expect(new Set(network.sent.map(([type]) => type))).toEqual(new Set([0x01]));
    await Promise.all([alice.client.close(), bob.client.close()]);
  });

  test('sealed: where the set goes while a message is being encrypted (another pin is set), the message waits for one', async () => {
    const network = glassNetwork();
    const store = glassStore();
    const alice = await person('alice', network, clock, { metadata: 'sealed', store });
    const bob = await person('bob', network, clock, { metadata: 'sealed' });
    await alice.client.send('bob', 'a');
    await bob.read();
    await bob.client.send('alice', 'b');
    await alice.read();
    const { read } = store;
    for (let gone = 1; gone <= 4; gone++) {
      let looks = 0;
      store.read = (wanted) => read(wanted[0]![0] === 'contact-device' && ++looks === gone ? [['contact-device', 'nobody', '1']] : wanted);
      await alice.client.send('bob', `${gone}`);
      expect((await bob.read()).text).toBe(`${gone}`);
      expect(looks).toBeGreaterThan(1);
    }
    expect(new Set(network.sent.map(([type]) => type))).toEqual(new Set([0x01]));
    await Promise.all([alice.client.close(), bob.client.close()]);
  });
});

test('a failing commit rejects the send, which has done nothing, and the next one works', async () => {
  const network = glassNetwork();
  const store = glassStore();
  let failing = false;
  const flaky = {
    ...store,
    commit: async (writes: Parameters<typeof store.commit>[0]) => {
      if (failing) throw new Error('disk full of cats');
      await store.commit(writes);
    },
  };
  const alice = await person('alice', network, clock, { store: flaky as never });
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'one');
  await bob.read();
  const before = store.dump();
  failing = true;
  await expect(alice.client.send('bob', 'two')).rejects.toThrow(coded('ERR_STORE_IO'));
  expect(store.dump()).toBe(before);
  failing = false;
  await alice.client.send('bob', 'three');
  expect((await bob.read()).text).toBe('three');
  await Promise.all([alice.client.close(), bob.client.close()]);
});
