import { describe, expect, test, vi } from 'vitest';
import { StoreError } from '../../src/errors.js';
import type { Address, DeviceKeys } from '../../src/step.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Delivery, Login, Network, Transport } from '../../src/transport/port.js';

const login = (account: string, device = 1, prove: Login['prove'] = async ({ nonce }) => new Uint8Array(nonce)): Login => ({
  address: { account, device },
  prove,
});
const envelope = (number: number): Uint8Array => new Uint8Array([number, 1, 2, 3]);
const reading = (transport: Transport): AsyncIterator<Delivery> => transport.deliveries()[Symbol.asyncIterator]();

async function take(iterator: AsyncIterator<Delivery>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const { value } = (await iterator.next()) as { value: Delivery };
    numbers.push(value.bytes[0]!);
    await value.ack();
  }
  return numbers;
}

/** Sends envelopes 0 … count−1 and answers the numbers that arrive until the mailbox is drained. */
async function experiment(network: Network, count: number): Promise<number[]> {
  const [from, to] = [network.transport(login('alice')), network.transport(login('bob'))];
  for (let i = 0; i < count; i++) await from.send({ account: 'bob', device: 1 }, envelope(i));
  const numbers: number[] = [];
  const stop = new AbortController();
  for await (const { bytes, ack } of to.deliveries({ signal: stop.signal, onDrained: () => stop.abort() })) {
    numbers.push(bytes[0]!);
    await ack();
  }
  return numbers;
}

const sequence = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('faults', () => {
  test('there are none without a plan', async () => {
    expect(await experiment(memoryNetwork(), 50)).toEqual(sequence(50));
  });

  test('repeat with the seed, and differ with another', async () => {
    const faults = { loss: 0.2, duplicate: 0.2, reorder: 0.3 };
    const [first, again, other] = await Promise.all(['s1', 's1', 's2'].map((seed) => experiment(memoryNetwork({ seed, ...faults }), 100)));
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  test('lose what was accepted', async () => {
    const numbers = await experiment(memoryNetwork({ seed: 'loss', loss: 0.3 }), 200);
    expect(numbers.length).toBeGreaterThan(100);
    expect(numbers.length).toBeLessThan(180);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  });

  test('lose everything with probability 1', async () => {
    expect(await experiment(memoryNetwork({ seed: 'x', loss: 1 }), 10)).toEqual([]);
  });

  test('duplicate under an id of its own', async () => {
    expect(await experiment(memoryNetwork({ seed: 'x', duplicate: 1 }), 3)).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('reorder, and lose nothing by it', async () => {
    const numbers = await experiment(memoryNetwork({ seed: 'reorder', reorder: 0.5 }), 100);
    expect(numbers).not.toEqual(sequence(100));
    expect([...numbers].sort((a, b) => a - b)).toEqual(sequence(100));
  });

  test('release an envelope that nothing overtakes', async () => {
    expect(await experiment(memoryNetwork({ seed: 'x', reorder: 1 }), 3)).toHaveLength(3);
  });

  test('delay by delayMs, and always to a later macrotask', async () => {
    vi.useFakeTimers();
    try {
      const network = memoryNetwork({ seed: 'x', delayMs: 1_000 });
      const [from, to] = [network.transport(login('alice')), network.transport(login('bob'))];
      let arrived = 0;
      const delivery = reading(to)
        .next()
        .then((result) => {
          arrived++;
          return result;
        });
      await from.send({ account: 'bob', device: 1 }, envelope(1));
      await vi.advanceTimersByTimeAsync(999);
      expect(arrived).toBe(0);
      await vi.advanceTimersByTimeAsync(1);
      expect((await delivery).value.bytes).toEqual(envelope(1));
    } finally {
      vi.useRealTimers();
    }
  });

  test.each([
    ['seed', { seed: 7 as never }],
    ['loss', { seed: 'x', loss: 1.5 }],
    ['duplicate', { seed: 'x', duplicate: -0.1 }],
    ['reorder', { seed: 'x', reorder: Number.NaN }],
    ['delayMs', { seed: 'x', delayMs: -1 }],
  ])('are refused when %s is out of range', (field, faults) => {
    expect(() => memoryNetwork(faults)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field }));
  });
});

describe('login', () => {
  test('happens once per transport, with fresh nonces and the proof of last time', async () => {
    const network = memoryNetwork();
    const challenges: Parameters<Login['prove']>[0][] = [];
    const prove: Login['prove'] = async (challenge) => {
      challenges.push(challenge);
      return new Uint8Array([challenges.length]);
    };
    for (let i = 0; i < 3; i++) {
      const transport = network.transport(login('alice', 1, prove));
      for (let j = 0; j < 2; j++) await transport.send({ account: 'alice', device: 1 }, envelope(j));
      await take(reading(transport), 2);
      await transport.close();
    }
    expect(challenges.map(({ audience, lastProof }) => [audience, lastProof])).toEqual([
      ['memory', undefined],
      ['memory', new Uint8Array([1])],
      ['memory', new Uint8Array([2])],
    ]);
    expect(new Set(challenges.map(({ nonce }) => String(nonce))).size).toBe(3);
    for (const { nonce } of challenges) expect(nonce).toHaveLength(32);
  });

  test('T24: what it throws comes through, keeps the last proof, and is tried again', async () => {
    const network = memoryNetwork();
    const proofs: (Uint8Array | undefined)[] = [];
    let rolledBack = false;
    const prove: Login['prove'] = async ({ lastProof }) => {
      proofs.push(lastProof);
      if (rolledBack) throw new StoreError('ERR_STORE_ROLLBACK', 'the store is older than its last proof');
      return new Uint8Array([9]);
    };
    await network.transport(login('alice', 1, prove)).send({ account: 'alice', device: 1 }, envelope(1));
    rolledBack = true;
    const restored = network.transport(login('alice', 1, prove));
    const to = { account: 'alice', device: 1 };
    await expect(restored.send(to, envelope(2))).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    await expect(reading(restored).next()).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    rolledBack = false;
    await restored.send(to, envelope(3));
    expect(proofs).toEqual([undefined, ...Array.from({ length: 3 }, () => new Uint8Array([9]))]);
  });
});

describe('one device', () => {
  test('has one live transport: a newer one takes over, and gets what was not acknowledged', async () => {
    const network = memoryNetwork();
    const [sender, older, newer] = [login('alice'), login('bob'), login('bob')].map(network.transport) as [Transport, Transport, Transport];
    const first = reading(older);
    await sender.send({ account: 'bob', device: 1 }, envelope(1));
    expect((await first.next()).value.bytes).toEqual(envelope(1));
    const waiting = first.next();
    const taken = take(reading(newer), 2);
    await sender.send({ account: 'bob', device: 1 }, envelope(2));
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await taken).toEqual([1, 2]);
    await expect(reading(older).next()).rejects.toMatchObject({ code: 'ERR_REJECTED', action: 'retry' });
    await expect(older.send({ account: 'alice', device: 1 }, envelope(3))).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
    await older.close();
    await newer.send({ account: 'alice', device: 1 }, envelope(4));
  });

  test('has one running deliveries(): the newer ends the older', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    const [first, second] = [reading(transport), reading(transport)];
    const waiting = first.next();
    await transport.send({ account: 'alice', device: 1 }, envelope(1));
    await waiting;
    const ending = first.next();
    expect((await second.next()).value.bytes).toEqual(envelope(1));
    expect((await ending).done).toBe(true);
  });

  test('does not deliver again what was acknowledged while it waited for its turn', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    for (const number of [1, 2]) await transport.send({ account: 'alice', device: 1 }, envelope(number));
    const first = reading(transport);
    await first.next();
    const second = (await first.next()).value as Delivery;
    const later = reading(transport);
    const again = (await later.next()).value as Delivery;
    expect(again.bytes).toEqual(envelope(1));
    await second.ack();
    const next = later.next();
    await transport.send({ account: 'alice', device: 1 }, envelope(3));
    expect((await next).value.bytes).toEqual(envelope(3));
  });

  test('answers concurrent next() calls in their order', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    const iterator = reading(transport);
    const results = [iterator.next(), iterator.next(), iterator.next()];
    for (const number of [1, 2]) await transport.send({ account: 'alice', device: 1 }, envelope(number));
    expect((await results[0]!).value.bytes).toEqual(envelope(1));
    expect((await results[1]!).value.bytes).toEqual(envelope(2));
    await iterator.return!();
    expect((await results[2]!).done).toBe(true);
    expect((await iterator.next()).done).toBe(true);
  });

  test('is not drained while an accepted envelope travels', async () => {
    const network = memoryNetwork({ seed: 'x', delayMs: 5 });
    expect(await experiment(network, 3)).toEqual([0, 1, 2]);
  });

  test('is up before the first delivery, once', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    await transport.send({ account: 'alice', device: 1 }, envelope(1));
    const onUp = vi.fn();
    const iterator = transport.deliveries({ onUp })[Symbol.asyncIterator]();
    expect(onUp).not.toHaveBeenCalled();
    await iterator.next();
    expect(onUp).toHaveBeenCalledTimes(1);
  });
});

describe('send', () => {
  test('refuses unknown devices, and long or wrong envelopes', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    await expect(transport.send({ account: 'nobody', device: 1 }, envelope(1))).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    await expect(transport.send({ account: 'alice', device: 2 }, envelope(1))).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    const self = { account: 'alice', device: 1 };
    const error = { code: 'ERR_LENGTH', field: 'envelope', got: 262_145, max: 262_144 };
    await expect(transport.send(self, new Uint8Array(262_145))).rejects.toMatchObject(error);
    await expect(transport.send(self, 'text' as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'envelope' });
  });

  test('reaches a device that has published and never connected', async () => {
    const network = memoryNetwork();
    await network.directory(login('bob')).publish(keysOf({ account: 'bob', device: 1 }, 1));
    await network.transport(login('alice')).send({ account: 'bob', device: 1 }, envelope(7));
    expect(await take(reading(network.transport(login('bob'))), 1)).toEqual([7]);
  });

  test('rejects with an AbortError where the platform leaves the reason empty', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    const signal = { aborted: true, reason: undefined, addEventListener() {} } as unknown as AbortSignal;
    await expect(transport.send({ account: 'alice', device: 1 }, envelope(1), { signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('rejects when it is aborted during the login', async () => {
    const stop = new AbortController();
    const prove: Login['prove'] = async () => {
      stop.abort('enough');
      return new Uint8Array(1);
    };
    const transport = memoryNetwork().transport(login('alice', 1, prove));
    await expect(transport.send({ account: 'alice', device: 1 }, envelope(1), stop)).rejects.toBe('enough');
  });

  test('ends deliveries that are aborted during the login', async () => {
    const stop = new AbortController();
    const prove: Login['prove'] = async () => {
      stop.abort();
      return new Uint8Array(1);
    };
    const transport = memoryNetwork().transport(login('alice', 1, prove));
    expect((await transport.deliveries(stop)[Symbol.asyncIterator]().next()).done).toBe(true);
  });

  test('rejects an acknowledgement after close', async () => {
    const transport = memoryNetwork().transport(login('alice'));
    await transport.send({ account: 'alice', device: 1 }, envelope(1));
    const { value } = await reading(transport).next();
    await transport.close();
    await expect(value.ack()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

/** Keys whose account key is filled with `accountKey`. */
function keysOf(address: Address, accountKey: number): DeviceKeys {
  const identity = new Uint8Array(4_000).fill(accountKey, 0, 1984).fill(address.device, 1984);
  return { address, identity, signedSet: new Uint8Array(10) };
}

describe('directory', () => {
  test('keeps an account for the account key that published it first', async () => {
    const network = memoryNetwork();
    const [first, second] = [network.directory(login('bob', 1)), network.directory(login('bob', 2))];
    await first.publish(keysOf({ account: 'bob', device: 1 }, 1));
    await expect(second.publish(keysOf({ account: 'bob', device: 2 }, 9))).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    await expect(first.publish(keysOf({ account: 'bob', device: 1 }, 9))).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    expect(await second.fetch('bob')).toHaveLength(1);
    await second.publish(keysOf({ account: 'bob', device: 2 }, 1));
    expect((await second.fetch('bob')).map(({ identity }) => identity[0])).toEqual([1, 1]);
  });

  test('lets a device publish its own keys only', async () => {
    const directory = memoryNetwork().directory(login('alice', 1));
    for (const address of [
      { account: 'bob', device: 1 },
      { account: 'alice', device: 2 },
    ]) {
      await expect(directory.publish(keysOf(address, 1))).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    }
  });

  test('refuses an account that is no string', async () => {
    await expect(
      memoryNetwork()
        .directory(login('alice'))
        .fetch(7 as never),
    ).rejects.toMatchObject({ field: 'account' });
  });
});
