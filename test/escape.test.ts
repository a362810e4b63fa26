/** Whatever comes in, what comes out as an error is ours, or the caller's own abort reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isCyphrError } from '../src/errors.js';
import { type Client, type ClientOptions, createClient, eraseStore, exportAccount, importAccount, verifyLogin } from '../src/index.js';
import { idbStore } from '../src/store/idb.js';
import { memoryStore } from '../src/store/memory.js';
import { nodeStore } from '../src/store/node.js';
import { seededRng } from '../src/testing/rng.js';
import { memoryNetwork } from '../src/transport/memory.js';
import { relay } from '../src/transport/websocket.js';

/** What a caller without a type checker may pass. */
const HOSTILE: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  Number.NaN,
  2n ** 70n,
  '',
  'x',
  '\ud800',
  'é',
  'x'.repeat(70_000),
  '__proto__',
  Symbol('s'),
  [],
  [[]],
  {},
  Object.create(null),
  { kind: 'person' },
  { kind: 'group', id: 'x' },
  { kind: 'text' },
  { kind: 'app', type: 'x', data: { a: Symbol('s') } },
  { aborted: false },
  () => {},
  new Date(0),
  new Map(),
  new Uint8Array(0),
  new Uint8Array(70_000),
  new Uint16Array(4),
  new Proxy({}, {}),
];

/** Runs a call to its end; whatever it throws or rejects with must be ours. */
async function expectOurs(call: () => unknown, what: string): Promise<void> {
  try {
    const result = await call();
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      await (result as AsyncIterable<unknown>)[Symbol.asyncIterator]().return?.();
    }
  } catch (error) {
    if (!isCyphrError(error)) expect.fail(`${what}: ${String(error)} ${(error as Error)?.stack ?? ''}`);
    expect(error.message.length, what).toBeLessThan(300);
  }
}

const nameOf = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 12)) : Object.prototype.toString.call(value);

describe('hostile arguments', () => {
  let alice: Client;
  let bob: Client;
  beforeAll(async () => {
    const network = memoryNetwork();
    alice = await createClient({ account: 'alice', store: memoryStore(), ...network });
    bob = await createClient({ account: 'bob', store: memoryStore(), ...network });
  });
  afterAll(() => Promise.all([alice.close(), bob.close()]));

  it('of createClient', async () => {
    for (const value of HOSTILE) await expectOurs(() => createClient(value as ClientOptions), `options ${nameOf(value)}`);
    for (const field of [
      'account',
      'store',
      'transport',
      'directory',
      'trust',
      'bandwidth',
      'metadata',
      'organisation',
      'observe',
      'rng',
      'now',
      'signal',
    ]) {
      for (const value of HOSTILE) {
        const options = { account: 'carol', store: memoryStore(), ...memoryNetwork(), [field]: value } as ClientOptions;
        await expectOurs(async () => (await createClient(options)).close(), `${field} ${nameOf(value)}`);
      }
    }
  });

  it('of the client’s methods', async () => {
    const number = await alice.contact('bob').safetyNumber();
    const sent = await alice.send('bob', 'x');
    const calls: Record<string, (value: never) => unknown> = {
      to: (value) => alice.send(value, 'x'),
      content: (value) => alice.send('bob', value),
      'send options': (value) => alice.send('bob', 'x', value),
      key: (value) => alice.send('bob', 'x', { key: value }),
      'send signal': (value) => alice.send('bob', 'x', { signal: value }),
      sent: (value) => alice.sent(value),
      'messages options': (value) => alice.messages(value),
      'messages signal': (value) => alice.messages({ signal: value }),
      'messages end': (value) => alice.messages({ end: value }),
      contact: (value) => alice.contact(value).account,
      'identity options': (value) => alice.contact('bob').identity(value),
      'identity signal': (value) => alice.contact('bob').identity({ signal: value }),
      'safetyNumber options': (value) => alice.contact('bob').safetyNumber(value),
      'on type': (value) => alice.on(value, () => {})(),
      'on listener': (value) => alice.on('sent', value)(),
      'on options': (value) => alice.on('sent', () => {}, value)(),
      'on signal': (value) => alice.on('sent', () => {}, { signal: value })(),
      scan: (value) => number.scan(value),
      'until state': (value) => (value === 'accepted' ? undefined : sent.until(value)),
      'until options': (value) => sent.until('accepted', value),
      'until signal': (value) => sent.until('accepted', { signal: value }),
      'verifyLogin proof': (value) =>
        verifyLogin(value, { audience: 'a', nonce: new Uint8Array(8), address: { account: 'a', device: 1 }, identity: new Uint8Array(9) }),
    };
    for (const [what, call] of Object.entries(calls)) {
      for (const value of HOSTILE) await expectOurs(() => call(value as never), `${what} ${nameOf(value)}`);
    }
    for (const value of HOSTILE) {
      const stop = new AbortController();
      stop.abort();
      await expectOurs(() => alice.subscribe(value as never, stop), `subscribe ${nameOf(value)}`);
    }
  });

  it('of stores, networks and generators', async () => {
    const store = memoryStore();
    for (const value of HOSTILE as never[]) {
      const what = nameOf(value);
      await expectOurs(() => store.read(value), `read ${what}`);
      await expectOurs(() => store.read([value]), `read [${what}]`);
      await expectOurs(() => store.list(value, 1), `list ${what}`);
      await expectOurs(() => store.list(['x'], value), `list limit ${what}`);
      await expectOurs(() => store.list(['x'], 1, value), `list after ${what}`);
      await expectOurs(() => store.commit(value), `commit ${what}`);
      await expectOurs(() => store.commit([{ key: value, value: null }]), `commit key ${what}`);
      await expectOurs(() => store.commit([{ key: ['x'], value }]), `commit value ${what}`);
      await expectOurs(() => store.commit([{ key: ['x'], value: null, ifRev: value }]), `commit ifRev ${what}`);
      if (typeof value !== 'string') await expectOurs(() => nodeStore(value), `nodeStore ${what}`);
      // Node has no IndexedDB: a name that is taken gets as far as the first call.
      await expectOurs(() => idbStore(value).read([['x']]), `idbStore ${what}`);
      if (typeof value === 'string') await expectOurs(() => seededRng(value), `seededRng ${what}`);
      await expectOurs(() => relay(value), `relay ${what}`);
      if (typeof value === 'object' && value !== null) await expectOurs(() => memoryNetwork(value), `memoryNetwork ${what}`);
    }
  });

  it('of exports, imports and erasure', async () => {
    const key = { kind: 'x', seal: async (bytes: Uint8Array) => bytes, open: async (bytes: Uint8Array) => bytes };
    const backup = (): ReadableStream<Uint8Array> => new ReadableStream({ start: (controller) => controller.close() });
    const options = { account: 'carol', store: memoryStore(), ...memoryNetwork() };
    const read = (stream: ReadableStream<unknown>): Promise<unknown> => stream.getReader().read();
    for (const value of HOSTILE as never[]) {
      const what = nameOf(value);
      await expectOurs(() => eraseStore(value), `eraseStore ${what}`);
      await expectOurs(() => exportAccount(value, key), `export store ${what}`);
      await expectOurs(() => exportAccount(memoryStore(), value), `export key ${what}`);
      await expectOurs(() => exportAccount(memoryStore(), key, value), `export options ${what}`);
      for (const field of ['history', 'signal', 'progress']) {
        await expectOurs(() => read(exportAccount(memoryStore(), key, { [field]: value })), `export ${field} ${what}`);
        await expectOurs(() => importAccount(options, backup(), key, { [field]: value }), `import ${field} ${what}`);
      }
      await expectOurs(() => read(exportAccount(memoryStore(), { ...key, seal: async () => value })), `seal gives ${what}`);
      await expectOurs(() => read(exportAccount(memoryStore(), { ...key, seal: () => Promise.reject(value) })), `seal fails with ${what}`);
      await expectOurs(() => importAccount(value, backup(), key), `import ${what}`);
      await expectOurs(() => importAccount(options, value, key), `backup ${what}`);
      await expectOurs(() => importAccount(options, backup(), value), `import key ${what}`);
      await expectOurs(() => importAccount(options, backup(), key, value), `import options ${what}`);
    }
  });

  it('an abort rejects with the caller’s own reason', async () => {
    const reason = { my: 'reason' };
    const stop = new AbortController();
    stop.abort(reason);
    const { signal } = stop;
    await expect(createClient({ account: 'dave', store: memoryStore(), ...memoryNetwork(), signal })).rejects.toBe(reason);
    await expect(alice.send('bob', 'x', { signal })).rejects.toBe(reason);
    await expect(alice.contact('nobody').identity({ signal })).rejects.toBe(reason);
    const sent = await alice.send('nobody', 'x');
    await expect(sent.until('accepted', { signal })).rejects.toBe(reason);
  });
});

describe('hostile ports', () => {
  const THROWN: readonly unknown[] = ['a string', undefined, new Error('foreign'), new TypeError('x is not a function')];
  /** The application's own functions and factories are not asynchronous: they throw. Methods of ports reject, or throw at once. */
  const throwing = (thrown: unknown) => (): never => {
    throw thrown;
  };
  const rejecting = (thrown: unknown) => (): Promise<never> => Promise.reject(thrown);
  const FAILING: readonly (() => never | Promise<never>)[] = [...THROWN.map(rejecting), throwing('at once'), throwing(undefined)];

  /** Opens a client on these ports, uses it, closes it. */
  async function use(options: ClientOptions): Promise<void> {
    let client: Client | undefined;
    await expectOurs(async () => {
      client = await createClient(options);
    }, 'createClient');
    if (client === undefined) return;
    const opened = client;
    await expectOurs(() => opened.send('bob', 'x'), 'send');
    await expectOurs(() => opened.contact('bob').identity(), 'identity');
    await expectOurs(() => opened.sent('00'), 'sent');
    await expectOurs(() => opened.messages({ signal: AbortSignal.abort() }), 'messages');
    await expectOurs(() => opened.close(), 'close');
  }

  const network = memoryNetwork();
  let accounts = 0;
  let known: Client;
  beforeAll(async () => {
    known = await createClient({ account: 'bob', store: memoryStore(), ...network });
  });
  afterAll(() => known.close());
  const good = (): ClientOptions => ({
    account: `user ${accounts++}`,
    store: memoryStore(),
    ...network,
    organisation: new Uint8Array(48),
  });

  it.each(['read', 'list', 'commit', 'close'] as const)('a store whose %s fails, at once or later', async (method) => {
    for (const broken of FAILING) {
      for (const after of [0, 6]) {
        const inner = memoryStore();
        let calls = 0;
        const call = (...args: never[]): unknown =>
          calls++ < after ? (inner[method] as (...args: never[]) => unknown)(...args) : broken();
        await use({ ...good(), store: { ...inner, [method]: call } });
      }
    }
  });

  it.each(['publish', 'fetch', 'remaining', 'statement'] as const)('a directory whose %s fails', async (method) => {
    for (const broken of FAILING) await use({ ...good(), directory: (login) => ({ ...network.directory(login), [method]: broken }) });
  });

  it.each(['fetch', 'remaining', 'statement'] as const)('a directory whose %s answers nonsense', async (method) => {
    const nonsense = [
      undefined,
      null,
      7,
      'x',
      {},
      [undefined],
      [null],
      [7],
      [{}],
      [{ address: {} }],
      [{ address: { account: 'bob', device: 1 }, identity: 'x', signedSet: 7 }],
    ];
    for (const answer of method === 'fetch' ? nonsense : [...nonsense.slice(0, 5), new Uint8Array(7), new Uint8Array(70_000)]) {
      await use({ ...good(), directory: (login) => ({ ...network.directory(login), [method]: async () => answer as never }) });
    }
  });

  it.each(['send', 'deliveries', 'close'] as const)('a transport whose %s fails', async (method) => {
    for (const broken of FAILING)
      await use({ ...good(), transport: (login) => ({ ...network.transport(login), [method]: broken as never }) });
  });

  it('a transport whose deliveries are nonsense, or whose acknowledgement fails', async () => {
    const deliveries: unknown[] = [undefined, 7, {}, { bytes: 'x' }, { id: 'x', bytes: new Uint8Array(3) }];
    for (const ack of FAILING) deliveries.push({ id: 'x', bytes: new Uint8Array(3), ack });
    for (const delivery of deliveries) {
      let handed = 0;
      const iterator = {
        next: async () => (handed++ < 3 ? { done: false, value: delivery } : new Promise(() => {})),
        return: () => Promise.reject('return'),
      };
      await use({
        ...good(),
        transport: (login) => ({ ...network.transport(login), deliveries: () => ({ [Symbol.asyncIterator]: () => iterator }) as never }),
      });
    }
  });

  it('a generator, a clock or an observer that fails, at once or later', async () => {
    for (const thrown of THROWN) {
      for (const after of [0, 40, 1_500]) {
        let calls = 0;
        const failing =
          <T>(works: (length: number) => T) =>
          (length: number): T =>
            calls++ < after ? works(length) : throwing(thrown)();
        await use({ ...good(), now: failing(() => Date.now()) as () => number });
        calls = 0;
        await use({
          ...good(),
          observe: failing(() => {}) as never,
          rng: failing((length) => crypto.getRandomValues(new Uint8Array(length))),
        });
      }
    }
  });

  it('a generator that gives too little, nothing or always the same; a clock that gives no time', async () => {
    for (const rng of [
      () => new Uint8Array(0),
      () => undefined,
      (length: number) => new Uint8Array(length),
      (length: number) => new Uint8Array(length).fill(7),
      () => 'x',
    ]) {
      await use({ ...good(), rng: rng as never, observe: () => {} });
    }
    for (const time of [Number.NaN, Number.POSITIVE_INFINITY, -1, 'x', undefined, null, {}, 1.5, 2 ** 60])
      await use({ ...good(), now: () => time as never });
  });

  it('a factory that fails or makes nothing', async () => {
    for (const thrown of THROWN) {
      await use({ ...good(), transport: throwing(thrown) });
      await use({ ...good(), directory: throwing(thrown) });
    }
    for (const made of [undefined, null, {}, 7, { limits: {} }]) {
      await use({ ...good(), transport: () => made as never });
      await use({ ...good(), directory: () => made as never });
    }
  });
});
