import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, type Login, type Message, type Network, type StoreError } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Relay, startRelay } from '../../examples/relay/relay.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

let folder: string;
let service: Relay;
let open: Client[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cyphr-rollback-'));
  service = await startRelay({ data: join(folder, 'relay'), port: 0, logLevel: 'silent' });
  open = [];
});
afterEach(async () => {
  vi.useRealTimers();
  await Promise.allSettled(open.map((client) => client.close()));
  await service.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(account: string, directory = account, network: Network = relay(service.url)): Promise<Client> {
  const client = await createClient({ account, store: nodeStore(join(folder, directory)), ...network });
  open.push(client);
  return client;
}

function copyOf(directory: string, name: string): void {
  cpSync(join(folder, directory), join(folder, name), { recursive: true });
}

async function read(client: Client): Promise<Message> {
  for await (const message of client.messages()) {
    await message.ack();
    return message;
  }
  throw new Error('the client closed');
}

async function exchange(one: Client, other: Client, text: string): Promise<void> {
  await one.send(other.account, `${text} there`);
  await other.send(one.account, `${text} back`);
  expect([(await read(other)).text, (await read(one)).text]).toEqual([`${text} there`, `${text} back`]);
}

function halt(client: Client): Promise<StoreError> {
  return new Promise((resolve) => {
    client.on('status', ({ status }) => {
      if (status.state === 'halted') resolve(status.error);
    });
    if (client.status.state === 'halted') resolve(client.status.error);
  });
}

async function online(client: Client): Promise<void> {
  await new Promise<void>((resolve) => {
    client.on('status', ({ status }) => status.state === 'online' && resolve());
    if (client.status.state === 'online') resolve();
  });
}

/** Alice's folder has a copy, `backup`, from which on she has written to Bob, who stays. */
async function leftBehind(): Promise<Client> {
  const bob = await start('bob');
  const before = await start('alice');
  await exchange(before, bob, 'first');
  await before.close();
  copyOf('alice', 'backup');
  const alice = await start('alice');
  await exchange(alice, bob, 'second');
  await alice.close();
  return bob;
}

describe('T24: a directory that was copied, on the reference relay', () => {
  test.each([0, 1, 4, 20])(
    'restored from a backup, with %i messages written before it is online: halted; recovered, it goes on',
    async (drafts) => {
      const bob = await leftBehind();

      const restored = await start('alice', 'backup');
      const halted = halt(restored);
      const written = Array.from({ length: drafts }, (_, i) => restored.send('bob', `draft ${i}`, { key: `${i}` }).catch(() => undefined));
      const queued = (await Promise.all(written)).filter((sent) => sent !== undefined);
      expect(await halted).toMatchObject({ name: 'StoreError', code: 'ERR_STORE_ROLLBACK' });
      await expect(restored.send('bob', 'x')).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
      const lost = restored.device;
      // What bob sends before he knows is lost with the device.
      const known = new Promise<void>((resolve) => {
        bob.on('sessionEstablished', ({ reason }) => reason === 'recovered' && resolve());
      });
      await restored.recover();
      expect(restored.device).not.toBe(lost);
      for (const _ of queued) await read(bob);
      await known;
      await exchange(restored, bob, 'third');
      await restored.close();
      const again = await start('alice', 'backup');
      await exchange(again, bob, 'fourth');
      expect(await bob.contact('alice').identity()).toMatchObject({ trust: 'unverified', devices: [again.device] });
    },
  );

  test('a copy that is used while the original runs: the copy halts at its login, and sends nothing', async () => {
    const bob = await start('bob');
    const alice = await start('alice');
    await exchange(alice, bob, 'first');
    await alice.close();
    copyOf('alice', 'copy');
    const one = await start('alice');
    await online(one);
    await exchange(one, bob, 'second');
    const two = await start('alice', 'copy');
    await two.send('bob', 'never').catch(() => {});
    expect((await halt(two)).code).toBe('ERR_STORE_ROLLBACK');
    await one.send('bob', 'still here');
    expect((await read(bob)).text).toBe('still here');
    expect(bob.status).toMatchObject({ unackedCount: 0 });
  });

  test('what is sent to a device that was replaced reaches the new one, though the sender has not heard of it', async () => {
    const { transport, directory } = relay(service.url);
    let hears = true;
    const deaf: Network = {
      directory,
      transport(login) {
        const inner = transport(login);
        return { ...inner, deliveries: (options) => (hears ? inner.deliveries(options) : silence) };
      },
    };
    const silence = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    let bob = await start('bob', 'bob', deaf);
    const alice = await start('alice');
    await exchange(alice, bob, 'first');
    await bob.close();
    await alice.close();
    copyOf('alice', 'backup');
    const newest = await start('alice');
    await online(newest);
    await newest.close();
    const restored = await start('alice', 'backup');
    await halt(restored);
    await restored.recover();
    await online(restored);

    hears = false;
    bob = await start('bob', 'bob', deaf);
    const sent = await bob.send('alice', 'to whom it may concern');
    await sent.until('accepted');
    expect((await read(restored)).text).toBe('to whom it may concern');
    expect(await bob.contact('alice').identity()).toMatchObject({ devices: [restored.device] });
  });

  test('a device that was replaced while it is online halts: the relay lets it in no more, and it asks why', async () => {
    const alice = await start('alice');
    await online(alice);
    await alice.close();
    copyOf('alice', 'backup');
    const replaced = await start('alice');
    await online(replaced);
    const restored = await start('alice', 'backup');
    await halt(restored);
    await restored.recover();
    expect(await halt(replaced)).toMatchObject({ code: 'ERR_STORE_ROLLBACK', message: expect.stringContaining('taken the place') });
    await online(restored);
  });

  test('a store that was never copied logs in again and again', async () => {
    const bob = await start('bob');
    for (let i = 0; i < 4; i++) {
      const alice = await start('alice');
      await exchange(alice, bob, `${i}`);
      await alice.close();
    }
  });
});

describe('T24: answers that get lost', () => {
  /** The next `count` logins succeed at the relay, and their answers do not come. */
  function loseAnswers(count: number): { left(): number } {
    let left = count;
    const real = globalThis.fetch;
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const answer = await real(input, init);
      if (left === 0 || !String(input).endsWith('/v1/login') || answer.status !== 200) return answer;
      left -= 1;
      throw new TypeError('connection reset');
    });
    return { left: () => left };
  }
  afterEach(() => vi.restoreAllMocks());

  async function restartRelay(): Promise<void> {
    const { port } = new URL(service.url);
    await service.close();
    service = await startRelay({ data: join(folder, 'relay'), port: Number(port), logLevel: 'silent' });
  }

  test.each([1, 3])(
    'a restored store that wrote on is noticed though %i answers were lost, and the relay was started again',
    async (count) => {
      const bob = await leftBehind();
      await bob.close();

      // Further on than the lost device ever was: what the relay keeps of it is no longer the furthest.
      const offline: Network = {
        directory: () => ({ publish: () => Promise.reject(new Error('offline')), fetch: () => Promise.reject(new Error('offline')) }),
        transport: () => ({
          limits: { maxBytes: 256 * 1024 },
          send: () => Promise.reject(new Error('offline')),
          deliveries: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('offline')) }) }),
          close: async () => {},
        }),
      };
      const written = await start('alice', 'backup', offline);
      for (let i = 0; i < 30; i++) await written.send('bob', `draft ${i}`);
      await written.close();

      const lost = loseAnswers(count);
      for (let left = count - 1; left >= 0; left--) {
        const cut = await start('alice', 'backup');
        // One that is cut off tries again at once, and may lose more than one.
        await vi.waitFor(() => expect(lost.left()).toBeLessThanOrEqual(left), 5_000);
        await cut.close();
        await restartRelay();
      }
      const restored = await start('alice', 'backup');
      expect(await Promise.race([halt(restored), online(restored)])).toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    },
  );

  test('a device is never taken for a copy, however many of its own answers it did not get', async () => {
    const bob = await start('bob');
    let login: Login | undefined;
    const { transport, directory } = relay(service.url);
    const watched: Network = {
      directory,
      transport: (given) => {
        login = given;
        return transport(given);
      },
    };
    const alice = await start('alice', 'alice', watched);
    await exchange(alice, bob, 'first');
    const audience = new URL(service.url).host;
    const post = async (path: string, body: unknown) =>
      (await fetch(`http://${audience}${path}`, { method: 'POST', body: JSON.stringify(body) })).json();
    // More than a store remembers.
    for (let i = 0; i < 70; i++) {
      const { nonce } = await post('/v1/challenge', login!.address);
      const proof = Buffer.from(await login!.prove({ audience, nonce: Buffer.from(nonce, 'base64url') })).toString('base64url');
      expect(await post('/v1/login', { ...login!.address, nonce, proof })).toHaveProperty('token');
    }
    await exchange(alice, bob, 'second');
    await alice.close();
    await restartRelay();
    const again = await start('alice');
    await exchange(again, bob, 'third');
    expect(again.status.state).toBe('online');
  });
});

describe('T24: between two logins', () => {
  /** The relay for one client, and how to have that client prove itself while it does something. Timers run on a clock of the test. */
  function provedNetwork() {
    const { transport, directory } = relay(service.url);
    let answeredCount = 0;
    let login: Login | undefined;
    const counted = ({ address, prove }: Login): Login => {
      login ??= {
        address,
        prove: (challenge) =>
          prove(challenge).finally(() => {
            if (challenge.lastProof !== undefined) answeredCount++;
          }),
      };
      return login;
    };
    const network: Network = { transport: (given) => transport(counted(given)), directory: (given) => directory(counted(given)) };
    return {
      network,
      /** Resolves once the client has logged in again, and has seen its last proof, after `work` or during it. */
      async proved(work: () => Promise<unknown>, laterMs = 65_000): Promise<void> {
        const before = answeredCount;
        await work();
        vi.advanceTimersByTime(laterMs);
        await vi.waitFor(() => expect(answeredCount).toBeGreaterThan(before), 5_000);
      },
    };
  }

  let alice: Client;
  let bob: Client;
  let proved: (work: () => Promise<unknown>) => Promise<void>;
  beforeEach(async () => {
    const { network, ...watch } = provedNetwork();
    proved = watch.proved;
    bob = await start('bob');
    alice = await start('alice', 'alice', network);
    await online(alice);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
  });

  test('a copy of a running store is noticed when it is restored, if something was proved since', async () => {
    await proved(() => exchange(alice, bob, 'before'));
    copyOf('alice', 'snapshot');
    await proved(() => exchange(alice, bob, 'after'));
    await alice.close();
    const restored = await start('alice', 'snapshot');
    expect(await Promise.race([halt(restored), online(restored)])).toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
  });

  test('of two copies that run at once one halts when it next proves itself, on the connection that it has', async () => {
    await exchange(alice, bob, 'before');
    copyOf('alice', 'clone');
    const { network, ...clones } = provedNetwork();
    // It asks for keys and takes no deliveries, so that it doesn't take over the connection.
    const deliveries = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });
    const clone = await start('alice', 'clone', {
      directory: network.directory,
      transport: () => ({
        limits: { maxBytes: 256 * 1024 },
        send: () => Promise.reject(new Error('offline')),
        deliveries,
        close: async () => {},
      }),
    });
    await clones.proved(() => clone.send('nobody', 'x'), 0);

    const states = new Set<string>();
    alice.on('status', ({ status }) => states.add(status.state));
    const halted = halt(alice);
    await proved(() => alice.send('bob', 'after'));
    expect(await halted).toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    expect(states).toEqual(new Set(['online', 'halted']));
  });
});
