import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { describe, expect, test, vi } from 'vitest';
import { emitter, mutex } from '../../src/client/platform.js';
import type { ClientStatus, Observation } from '../../src/client/types.js';
import { StoreError } from '../../src/errors.js';
import type { Login } from '../../src/transport/port.js';
import { glassNetwork, portsOf } from '../helpers/glass-network.js';
import { coded } from '../helpers/matchers.js';
import { glassStore, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const clock = { ms: START };

describe('close', () => {
  test('ends loops normally, closes the ports, says so once, and every later call is ERR_CLOSED', async () => {
    const network = glassNetwork();
    const { client } = await person('alice', network, clock);
    const states: string[] = [];
    client.on('status', ({ status }) => states.push(status.state));
    const contact = client.contact('bob');
    const sent = await client.send('bob', 'x');
    const loop = client.messages()[Symbol.asyncIterator]();
    const pending = loop.next();
    const subscription = client.subscribe(() => {}).catch((error: unknown) => error);
    const closing = client.close();
    expect(client.close()).toBe(closing);
    expect(client.status).toEqual({ state: 'closed' });
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await subscription).toMatchObject({ code: 'ERR_ARGUMENT' });
    await closing;
    expect(client.close()).toBe(closing);
    expect(network.closedCount).toBe(1);
    expect(states.filter((state) => state === 'closed')).toEqual(['closed']);
    for (const call of [
      () => client.send('bob', 'x'),
      () => client.sent(sent.id),
      async () => client.messages(),
      () => client.subscribe(() => {}),
      async () => client.contact('bob'),
      async () => client.on('status', () => {}),
      () => contact.identity(),
      () => contact.safetyNumber(),
      () => contact.unverify(),
    ]) {
      await expect(call()).rejects.toThrow(coded('ERR_CLOSED'));
    }
  });

  test('a send that runs is committed or rejected, never half', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const sends = Array.from({ length: 20 }, (_, i) => alice.client.send('bob', `${i}`));
    await alice.client.close();
    const results = await Promise.allSettled(sends);
    const done = results.filter(({ status }) => status === 'fulfilled').length;
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ERR_CLOSED' });
    expect([...alice.store.rows().keys()].filter((key) => key.startsWith('["sent"')).length).toBe(done);
  });

  test('a network that hangs keeps no client from closing', async () => {
    const network = glassNetwork();
    const never = new Promise<never>(() => {});
    let hangs = false;
    const hanging = {
      directory: (login: Login) => {
        const directory = network.directory(login);
        return { ...directory, fetch: (account: string) => (hangs ? never : directory.fetch(account)), remaining: () => never };
      },
      transport: (login: Login) => ({
        ...network.transport(login),
        send: () => never,
        deliveries: () => ({ [Symbol.asyncIterator]: () => ({ next: () => never, return: () => never }) }),
      }),
    };
    const bob = await person('bob', network, clock);
    const alice = await person('alice', { ...hanging, directory: network.directory }, clock);
    await alice.client.send('bob', 'with the carrier for ever');
    await alice.observed((record) => record.kind === 'span' && record.name === 'handshake');
    await alice.client.close();
    const again = await person('alice', hanging, clock, { store: alice.store, seed: 'again' });
    hangs = true;
    await again.client.send('nobody', 'asked for for ever');
    await again.client.close();
    await bob.client.close();
  });

  test('by await using, where the platform has it', async () => {
    const network = memoryNetwork();
    const client = await createClient({ account: 'alice', store: memoryStore(), ...portsOf(network) });
    if (typeof Symbol.asyncDispose === 'symbol') expect(client[Symbol.asyncDispose]()).toBe(client.close());
    await client.close();
    expect(client.status).toEqual({ state: 'closed' });
  });
});

describe('T24: a store that is behind what the device has shown', () => {
  test('halts: every call rejects, loops too, nothing is sent, and it can still be closed', async () => {
    const network = glassNetwork();
    let alice = await person('alice', network, clock);
    const bob = await person('bob', network, clock);
    await (await alice.client.send('bob', 'one')).until('accepted');
    await bob.read();
    await alice.client.close();
    const backup = memoryStore();
    for (const [key, value] of alice.store.rows()) await backup.commit([{ key: JSON.parse(key), value }]);
    alice = await person('alice', network, clock, { store: alice.store, seed: 'second life' });
    await (await alice.client.send('bob', 'two')).until('accepted');
    await alice.client.close();
    alice = await person('alice', network, clock, { store: alice.store, seed: 'third life' });
    await alice.seen('status', ({ status }) => status.state === 'online');
    await alice.client.close();

    const sentBefore = network.sent.length;
    const restored = await person('alice', network, clock, { store: glassStore(backup), seed: 'restored' });
    const loop = restored.client.messages()[Symbol.asyncIterator]();
    const pending = loop.next();
    pending.catch(() => {});
    const halted = (await restored.seen('status', ({ status }) => status.state === 'halted')) as { status: ClientStatus };
    expect(halted.status).toMatchObject({ error: { name: 'StoreError', code: 'ERR_STORE_ROLLBACK', action: 'recover' } });
    await expect(pending).rejects.toThrow(coded('ERR_STORE_ROLLBACK'));
    const { client } = restored;
    for (const call of [
      () => client.send('bob', 'x'),
      () => client.sent('x'),
      async () => client.messages(),
      async () => client.contact('bob'),
    ]) {
      await expect(call()).rejects.toThrow(coded('ERR_STORE_ROLLBACK'));
    }
    expect(network.sent.length).toBe(sentBefore);
    await client.close();
    await expect(client.send('bob', 'x')).rejects.toThrow(coded('ERR_CLOSED'));
    await bob.client.close();
  });

  test('a proof of another store, another device or nobody halts nothing', async () => {
    const network = glassNetwork();
    const logins: Login[] = [];
    const watched = {
      ...network,
      transport(login: Login) {
        logins.push(login);
        return network.transport(login);
      },
    };
    const alice = await person('alice', watched, clock);
    const bob = await person('bob', watched, clock);
    const challenge = { audience: 'a', nonce: new Uint8Array(8) };
    const [atAlice, atBob] = logins;
    await atBob!.prove({ ...challenge, lastProof: await atAlice!.prove(challenge) });
    await atBob!.prove({ ...challenge, lastProof: new Uint8Array(5) });
    await atBob!.prove({ ...challenge, audience: 'b', lastProof: await atBob!.prove(challenge) });
    expect(bob.client.status.state).not.toBe('halted');
    await Promise.all([alice.client.close(), bob.client.close()]);
  });
});

describe('events', () => {
  test('come after the commit; a listener that throws is rethrown on a microtask, and the others still hear', async () => {
    const network = glassNetwork();
    const alice = await person('alice', network, clock);
    const bob = await person('bob', network, clock);
    const states: (string | undefined)[] = [];
    alice.client.on('sent', ({ id, state }) => {
      const row = alice.store.rows().get(JSON.stringify(['sent', id]));
      states.push(Buffer.from(row ?? []).includes(state) ? state : undefined);
    });
    await (await alice.client.send('bob', 'x')).until('accepted');
    expect(states).toEqual(['accepted']);
    await Promise.all([alice.client.close(), bob.client.close()]);

    const thrown: unknown[] = [];
    const queue = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
      try {
        task();
      } catch (error) {
        thrown.push(error);
      }
    });
    const heard: number[] = [];
    const events = emitter<number>();
    const stop = events.listen((event) => {
      heard.push(event);
      throw new Error('listener');
    });
    events.listen((event) => heard.push(event * 10));
    events.emit(1);
    stop();
    events.emit(2);
    queue.mockRestore();
    expect(heard).toEqual([1, 10, 20]);
    expect(thrown).toEqual([new Error('listener')]);
  });

  test('a signal or the returned function ends listening', async () => {
    const { client } = await person('alice', glassNetwork(), clock);
    const heard: string[] = [];
    const abort = new AbortController();
    client.on('sent', () => heard.push('signal'), abort);
    const stop = client.on('sent', () => heard.push('function'));
    client.on('sent', () => heard.push('both'));
    abort.abort();
    stop();
    client.on('sent', () => heard.push('too late'), abort);
    const sent = await client.send('nobody', 'x');
    await sent.until('accepted').catch(() => {});
    expect(heard).toEqual(['both']);
    await client.close();
  });

  test('tell of first contact, and of prekeys that run low', async () => {
    const network = glassNetwork();
    const bob = await person('bob', network, clock);
    const people = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => person(name, network, clock)));
    for (const { client, account } of people) await client.send('bob', account);
    for (const _ of people) await bob.read();
    await bob.client.send('a', 'hi');
    await people[0]!.read();
    expect(await people[0]!.seen('sessionEstablished')).toMatchObject({ address: bob.address, reason: 'first-contact' });
    expect(bob.count('sessionEstablished')).toBe(6);
    expect(await bob.seen('prekeysLow')).toMatchObject({ oneTimeCount: expect.any(Number) });
    await Promise.all([bob, ...people].map(({ client }) => client.close()));
  });
});

test('observations: spans and gauges of a conversation, and never an id, a name, a key or a text', async () => {
  const network = glassNetwork();
  const alice = await person('alice-account', network, clock);
  const bob = await person('bob-account', network, clock);
  const sent = await alice.client.send('bob-account', 'a very secret text', { key: 'my-key' });
  const message = await bob.read();
  await bob.client.send(message.conversation, 'another secret');
  await alice.read();
  await alice.client.send('nobody-account', 'x').then((held) => held.until('accepted').catch(() => {}));
  const number = await alice.client.contact('bob-account').safetyNumber();
  await Promise.all([alice.client.close(), bob.client.close()]);

  const all = [...alice.observations, ...bob.observations];
  const names = new Set(all.map((record) => (record.kind === 'log' ? record.event : record.name)));
  for (const name of [
    'open',
    'send',
    'receive',
    'handshake',
    'commit',
    'transport.send',
    'directory.fetch',
    'queued',
    'unacked',
    'oneTimePrekeys',
  ]) {
    expect(names, name).toContain(name);
  }
  const failed = all.find((record) => record.kind === 'span' && record.name === 'directory.fetch' && record.outcome !== 'ok');
  expect(
    failed ?? all.find((record) => record.kind === 'span' && record.name === 'handshake' && record.outcome === 'ERR_NO_SESSION'),
  ).toBeDefined();
  const text = JSON.stringify(all);
  const secrets = [
    'alice-account',
    'bob-account',
    'nobody-account',
    'secret',
    'my-key',
    sent.id,
    String(alice.client.device),
    String(bob.client.device),
    number.digits,
  ];
  for (const secret of secrets) expect(text).not.toContain(secret);
  for (const { store } of [alice, bob]) {
    for (const [key, value] of store.rows()) {
      for (const part of (JSON.parse(key) as string[]).slice(1).filter((name) => /^[0-9a-f]{16,}$/.test(name)))
        expect(text).not.toContain(part);
      if (value.length >= 32) expect(text).not.toContain(Buffer.from(value.subarray(0, 16)).toString('hex'));
    }
  }
});

test('what the observer throws never reaches the protocol', async () => {
  const network = memoryNetwork();
  const observe = (_: Observation): void => {
    throw new Error('observer');
  };
  const alice = await createClient({ account: 'alice', store: memoryStore(), ...portsOf(network), observe });
  const bob = await createClient({ account: 'bob', store: memoryStore(), ...portsOf(network), observe });
  await alice.send('bob', 'x');
  for await (const message of bob.messages()) {
    expect(message.text).toBe('x');
    break;
  }
  await Promise.all([alice.close(), bob.close()]);
});

test('T25: two clients over one store: no message key is used twice, and one of them is told', async () => {
  const network = glassNetwork();
  const inner = memoryStore();
  const shared = () => glassStore(inner);
  const alice = await person('alice', network, clock, { store: shared() });
  const bob = await person('bob', network, clock);
  await alice.client.send('bob', 'first contact');
  await bob.read();
  await bob.client.send('alice', 'answer');
  await alice.read();
  const twin = await person('alice', network, clock, { store: shared(), seed: 'twin' });
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, (_, i) => [alice.client.send('bob', `alice ${i}`), twin.client.send('bob', `twin ${i}`)]).flat(),
  );
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  expect(refused.length).toBeGreaterThan(0);
  for (const error of refused) {
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ code: 'ERR_STORE_CONFLICT' });
  }
  const statuses = [alice.client.status, twin.client.status];
  expect(statuses.filter(({ state }) => state === 'halted').length).toBe(1);
  // Everything that was promised arrives: a message key that was used twice would lose one of two.
  const promised = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []));
  const got: string[] = [];
  while (got.length < promised.length) got.push((await bob.read()).id);
  expect(got.sort()).toEqual([...promised].sort());
  await Promise.all([alice, twin, bob].map(({ client }) => client.close()));
});

test('T41: clocks ten years off, both ways and backwards, during a conversation: nothing becomes undecryptable', async () => {
  const YEARS = 10 * 365 * 86_400_000;
  const network = glassNetwork();
  const times = { alice: { ms: START }, bob: { ms: START } };
  const alice = await person('alice', network, times.alice);
  const bob = await person('bob', network, times.bob);
  let turn = 0;
  const talk = async (): Promise<void> => {
    await alice.client.send('bob', `a${++turn}`);
    expect((await bob.read()).text).toBe(`a${turn}`);
    await bob.client.send('alice', `b${turn}`);
    expect((await alice.read()).text).toBe(`b${turn}`);
  };
  await talk();
  for (const [atAlice, atBob] of [
    [YEARS, 0],
    [0, YEARS],
    [-YEARS, YEARS],
    [YEARS, -YEARS],
    [-YEARS, -YEARS],
    [0, 0],
  ] as const) {
    times.alice.ms = START + atAlice;
    times.bob.ms = START + atBob;
    await talk();
    await talk();
  }
  expect([...alice.events, ...bob.events].filter(({ type }) => type === 'undecryptable')).toEqual([]);
  expect([...alice.dropped(), ...bob.dropped()]).toEqual([]);
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test('a mutex runs tasks of one name in call order, of others side by side, and survives a failure', async () => {
  const lock = mutex();
  const log: string[] = [];
  const task = (name: string) => async () => {
    log.push(`${name} begins`);
    await Promise.resolve();
    log.push(`${name} ends`);
  };
  const failing = lock('a', async () => {
    throw new Error('no');
  });
  await Promise.allSettled([failing, lock('a', task('a1')), lock('a', task('a2')), lock('b', task('b'))]);
  expect(log.filter((line) => line.startsWith('a'))).toEqual(['a1 begins', 'a1 ends', 'a2 begins', 'a2 ends']);
  expect(log.indexOf('b begins')).toBeLessThan(log.indexOf('a2 begins'));
});
