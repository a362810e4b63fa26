import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { describe, expect, test } from 'vitest';
import type { ClientOptions } from '../../src/client/types.js';
import { usage } from '../helpers/matchers.js';

const good = (): ClientOptions => ({ account: 'alice', store: memoryStore(), ...memoryNetwork() });
const port = { publish: () => {}, fetch: () => {} };

describe('createClient names the argument that is wrong', () => {
  test.each([
    ['account', { account: undefined }],
    ['account', { account: 5 }],
    ['account', { account: 'e\u0301' }],
    ['account', { account: '\ud800' }],
    ['store', { store: undefined }],
    ['store', { store: {} }],
    ['transport', { transport: undefined }],
    ['transport', { transport: { send: () => {}, deliveries: () => {}, close: () => {} } }],
    ['directory', { directory: null }],
    ['directory', { directory: { publish: () => {} } }],
    ['trust', { trust: 'always' }],
    ['bandwidth', { bandwidth: 'fast' }],
    ['metadata', { metadata: true }],
    ['observe', { observe: {} }],
    ['rng', { rng: 7 }],
    ['now', { now: 1_700_000_000_000 }],
    ['signal', { signal: {} }],
    ['signal', { signal: null }],
    ['bandwith', { bandwith: 'lean' }],
    ['bandwith', { bandwith: undefined }],
  ])('%s', async (field, wrong) => {
    await expect(createClient({ ...good(), ...wrong } as unknown as ClientOptions)).rejects.toThrow(usage('ERR_ARGUMENT', field));
  });

  test('options', async () => {
    await expect(createClient(undefined as never)).rejects.toThrow(usage('ERR_ARGUMENT', 'options'));
    await expect(createClient(null as never)).rejects.toThrow(usage('ERR_ARGUMENT', 'options'));
  });

  test('account: 1 to 64 bytes', async () => {
    for (const [account, got] of [
      ['', 0],
      ['ä'.repeat(33), 66],
    ] as const) {
      await expect(createClient({ ...good(), account })).rejects.toMatchObject({ code: 'ERR_LENGTH', field: 'account', got, max: 64 });
    }
  });

  test('a network that is not spread, and a store that another client has: said in words', async () => {
    const network = memoryNetwork() as never;
    await expect(createClient({ ...good(), transport: network })).rejects.toThrow('transport must be a transport: pass ...relay(url)');
    const store = memoryStore();
    const client = await createClient({ ...good(), store });
    await expect(createClient({ ...good(), store })).rejects.toThrow('this store belongs to another client, which is open');
    await client.close();
  });

  test('ports that a function makes', async () => {
    await expect(createClient({ ...good(), transport: () => ({}) as never })).rejects.toThrow(usage('ERR_ARGUMENT', 'transport'));
    await expect(createClient({ ...good(), directory: () => port as never })).rejects.toMatchObject({ name: expect.any(String) });
    await expect(createClient({ ...good(), directory: () => null as never })).rejects.toThrow(usage('ERR_ARGUMENT', 'directory'));
  });

  test('a clock that gives no time', async () => {
    await expect(createClient({ ...good(), now: () => Number.NaN })).rejects.toThrow(usage('ERR_ARGUMENT', 'now'));
  });

  test('T42: a generator that is short, constant, or starts again', async () => {
    let calls = 0;
    for (const rng of [
      () => new Uint8Array(0),
      (length: number) => new Uint8Array(length - 1).fill(7),
      (length: number) => new Uint8Array(length),
      (length: number) => new Uint8Array(length).fill(7),
      (length: number) => Uint8Array.from({ length }, (_, i) => i + 1),
      (length: number) => Array.from({ length }, () => ++calls) as never,
    ]) {
      const store = memoryStore();
      await expect(createClient({ ...good(), store, rng })).rejects.toThrow(usage('ERR_ARGUMENT', 'rng'));
      expect(await store.list(['meta'], 10)).toEqual([]);
      expect(await store.read([['generation'], ['device'], ['prekeys']])).toEqual([undefined, undefined, undefined]);
    }
  });

  test('T42: a repeated generator is mixed with the platform’s: two devices never share a key', async () => {
    const bytes = async (): Promise<string> => {
      let n = 0;
      const store = memoryStore();
      const client = await createClient({
        ...good(),
        store: { ...store, close: async () => {} },
        rng: (length) => new Uint8Array(length).map(() => ++n),
      });
      const [device] = await store.read([['device']]);
      await client.close();
      return Buffer.from(device!.value).toString('hex');
    };
    expect(await bytes()).not.toBe(await bytes());
  });
});

test('an AbortController serves as options, also one of a subclass', async () => {
  class Stop extends AbortController {
    readonly #why = 'enough';
    stop(): void {
      this.abort(this.#why);
    }
  }
  const client = await createClient(good());
  for (const stop of [new AbortController(), new Stop()]) {
    client.on('status', () => {}, stop);
    const loop = client.subscribe(() => {}, stop);
    stop.abort();
    await loop;
    await expect(client.send('bob', 'x', stop)).rejects.toBe(stop.signal.reason);
  }
  await client.close();
});

describe('calls name the argument that is wrong', () => {
  test('send, sent, messages, subscribe, contact, on', async () => {
    const client = await createClient(good());
    const wrong = async (call: () => unknown, field: string, code = 'ERR_ARGUMENT'): Promise<void> => {
      await expect((async () => call())()).rejects.toThrow(usage(code, field));
    };
    await wrong(() => client.send(undefined as never, 'x'), 'to');
    await wrong(() => client.send({ kind: 'group', id: 'g' } as never, 'x'), 'to');
    await expect(client.send(new String('bob') as never, 'x')).rejects.toThrow('to must be an account name or a conversation');
    await wrong(() => client.send('', 'x'), 'to', 'ERR_LENGTH');
    await wrong(() => client.send('alice', 'x'), 'to');
    await wrong(() => client.send('bob', 'x', null as never), 'options');
    await wrong(() => client.send('bob', 'x', { key: 5 as never }), 'key');
    await wrong(() => client.send('bob', 'x', { key: '' }), 'key', 'ERR_LENGTH');
    await wrong(() => client.send('bob', 'x', { key: 'k'.repeat(65) }), 'key', 'ERR_LENGTH');
    await wrong(() => client.send('bob', 'x', { key: '\udc00' }), 'key');
    await wrong(() => client.send('bob', 'x', { signal: 1 as never }), 'signal');
    await wrong(() => client.send('bob', 'x', { idempotencyKey: 'k' } as never), 'idempotencyKey');
    await wrong(() => client.messages({ until: 'when-drained' } as never), 'until');
    await wrong(() => client.subscribe(() => {}, { sginal: undefined } as never), 'sginal');
    await wrong(() => client.on('status', () => {}, { once: true } as never), 'once');
    await wrong(() => client.contact('bob').identity({ fresh: true } as never), 'fresh');
    await wrong(() => client.sent(5 as never), 'id');
    await wrong(() => client.messages(null as never), 'options');
    await wrong(() => client.messages({ end: 'soon' as never }), 'end');
    await wrong(() => client.subscribe(undefined as never), 'handler');
    await wrong(() => client.contact(''), 'account', 'ERR_LENGTH');
    await wrong(() => client.on('status', undefined as never), 'listener');
    await client.close();
  });
});
