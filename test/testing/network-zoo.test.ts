import { describe, expect, test } from 'vitest';
import { directoryConformance } from '../../src/testing/directory-conformance.js';
import { transportConformance } from '../../src/testing/transport-conformance.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Delivery, Directory, Login, Transport } from '../../src/transport/port.js';
import { severable } from '../support/severable.js';

type Deliveries = ReturnType<Transport['deliveries']>;
type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;

/** Deliveries whose every delivery is changed. */
const mapped = (inner: Deliveries, change: (delivery: Delivery) => Delivery | undefined): Deliveries => ({
  async *[Symbol.asyncIterator]() {
    for await (const delivery of inner) {
      const changed = change(delivery);
      if (changed) yield changed;
    }
  },
});

type BreakTransport = (inner: Transport, login: Login) => Partial<Transport>;

/** Each broken transport, and a case that must catch it. */
const TRANSPORTS: readonly [animal: string, defect: BreakTransport, caughtBy: string][] = [
  ['bears 16 KiB', () => ({ limits: { maxBytes: 16_384 } }), 'bears envelopes of at least 24 KiB'],
  [
    'delivers nothing',
    (inner) => ({ deliveries: (options) => mapped(inner.deliveries(options), () => undefined) }),
    'delivers to a device that listens',
  ],
  [
    'drops what a device is not there for',
    (inner, { address }) => ({
      send: async (to, bytes, options) => {
        if (address.account.includes('alice') && bytes[3] === 3) return;
        await inner.send(to, bytes, options);
      },
    }),
    'keeps accepted envelopes for a device that is away',
  ],
  [
    'swallows refusals',
    (inner) => ({ send: (...args) => inner.send(...args).catch(() => {}) }),
    'never drops an envelope silently for a device that it does not know',
  ],
  [
    'refuses with errors of its own',
    (inner) => ({ send: () => Promise.reject(new TypeError('fetch failed')), close: () => inner.close() }),
    'never drops an envelope silently for a device that it does not know',
  ],
  [
    'drops every 50th envelope of a burst',
    (inner) => {
      let count = 0;
      return { send: async (...args) => (++count % 50 === 0 ? undefined : inner.send(...args)) };
    },
    'delivers all of many concurrent sends, both ways',
  ],
  [
    'names all deliveries alike',
    (inner) => ({ deliveries: (options) => mapped(inner.deliveries(options), (delivery) => ({ ...delivery, id: 'id' })) }),
    'gives every waiting envelope an id of its own',
  ],
  [
    'ignores acknowledgements',
    (inner) => ({ deliveries: (options) => mapped(inner.deliveries(options), (delivery) => ({ ...delivery, ack: async () => {} })) }),
    'delivers again what was not acknowledged, and not what was',
  ],
  [
    'acknowledges by itself',
    (inner) => ({
      deliveries: (options) =>
        mapped(inner.deliveries(options), (delivery) => {
          void delivery.ack();
          return delivery;
        }),
    }),
    'delivers again to a new connection, under the same id',
  ],
  [
    'numbers deliveries by connection',
    (inner, { address }) => {
      const number = connections.set(address.account, (connections.get(address.account) ?? 0) + 1).get(address.account);
      return {
        deliveries: (options) => mapped(inner.deliveries(options), (delivery) => ({ ...delivery, id: `${number} ${delivery.id}` })),
      };
    },
    'delivers again to a new connection, under the same id',
  ],
  [
    'throws at a second acknowledgement',
    (inner) => ({
      deliveries: (options) =>
        mapped(inner.deliveries(options), (delivery) => {
          let acked = false;
          return {
            ...delivery,
            async ack() {
              if (acked) throw new Error('unknown delivery');
              acked = true;
              await delivery.ack();
            },
          };
        }),
    }),
    'takes an acknowledgement twice',
  ],
  [
    'refuses the same bytes twice',
    (inner) => {
      const seen = new Set<string>();
      return {
        async send(to, bytes, options) {
          if (seen.has(String(bytes))) throw new Error('duplicate');
          seen.add(String(bytes));
          await inner.send(to, bytes, options);
        },
      };
    },
    'takes the same bytes twice',
  ],
  [
    'ignores the device of an address',
    (inner) => ({ send: (to, bytes, options) => inner.send({ account: to.account, device: 1 }, bytes, options) }),
    'delivers to the addressed device only',
  ],
  [
    'cuts long envelopes',
    (inner) => ({ send: (to, bytes, options) => inner.send(to, bytes.slice(0, 100_000), options) }),
    'carries an envelope of maxBytes and refuses a longer one',
  ],
  [
    'sends a buffer that may change',
    (inner) => ({ send: async (to, bytes, options) => Promise.resolve().then(() => inner.send(to, bytes, options)) }),
    'copies the envelope as send is called',
  ],
  [
    'delivers its own buffers',
    (inner) => {
      const kept = new Map<string, Uint8Array>();
      return {
        deliveries: (options) =>
          mapped(inner.deliveries(options), (delivery) => {
            const bytes = kept.get(delivery.id) ?? delivery.bytes;
            kept.set(delivery.id, bytes);
            return { ...delivery, bytes };
          }),
      };
    },
    'copies the bytes that it delivers',
  ],
  [
    'is drained as soon as it is up',
    (inner) => ({ deliveries: (options: DeliveryOptions = {}) => inner.deliveries({ ...options, onUp: () => options.onDrained?.() }) }),
    'says that it is drained only after everything that waited',
  ],
  [
    'ignores abort in deliveries',
    (inner) => ({ deliveries: (options) => inner.deliveries({ ...options, signal: undefined }) }),
    'ends deliveries that are aborted while they wait, and can begin again',
  ],
  [
    'delivers only once',
    (inner) => {
      let used = false;
      return {
        deliveries(options) {
          if (used) throw new Error('already consumed');
          used = true;
          return inner.deliveries(options);
        },
      };
    },
    'ends deliveries that are aborted while they wait, and can begin again',
  ],
  [
    'ignores abort in send',
    (inner) => ({ send: (to, bytes) => inner.send(to, bytes) }),
    'rejects a send that was aborted before it began, with the reason',
  ],
  [
    'does not end its deliveries',
    () => ({ close: async () => {} }),
    'closes once, twice, ends its deliveries, and rejects later calls with ERR_CLOSED',
  ],
  [
    'loses what was unacknowledged when the network fails',
    (inner) => {
      let severed = false;
      return {
        deliveries: (options) => ({
          async *[Symbol.asyncIterator]() {
            try {
              yield* mapped(inner.deliveries(options), (delivery) => (severed && delivery.bytes[3] === 1 ? undefined : delivery));
            } finally {
              severed = true;
            }
          },
        }),
      };
    },
    'loses nothing that was accepted when the network fails, and works again after it',
  ],
];

const connections = new Map<string, number>();

async function failingTransport(defect: BreakTransport): Promise<string[]> {
  const network = severable(memoryNetwork());
  const connect = (login: Login): Transport => {
    const inner = network.transport(login);
    return { ...inner, ...defect(inner, login) };
  };
  const failures: string[] = [];
  for (const { name, run } of transportConformance({ connect, sever: network.sever, patienceMs: 40 })) {
    await run().catch(() => failures.push(name));
  }
  return failures;
}

describe('the transport suite', () => {
  test('passes a transport without a defect', async () => {
    expect(await failingTransport(() => ({}))).toEqual([]);
  });

  test.each(TRANSPORTS)('catches a transport that %s', async (_animal, defect, caughtBy) => {
    expect(await failingTransport(defect)).toContain(caughtBy);
  });

  test('has an animal for every case', () => {
    const caught = new Set(TRANSPORTS.map(([, , caughtBy]) => caughtBy));
    for (const { name } of transportConformance({ connect: memoryNetwork().transport, sever: async () => {} }))
      expect(caught).toContain(name);
  });
});

type BreakDirectory = (inner: Directory, login: Login) => Partial<Directory>;

/** Each broken directory, and a case that must catch it. */
const DIRECTORIES: readonly [animal: string, defect: BreakDirectory, caughtBy: string][] = [
  [
    'throws for unknown accounts',
    (inner) => ({
      async fetch(...args) {
        const bundles = await inner.fetch(...args);
        if (bundles.length === 0) throw new Error('404');
        return bundles;
      },
    }),
    'knows no devices of an unknown account',
  ],
  [
    'shows accounts to their own devices only',
    (inner, { address }) => ({ fetch: async (account, options) => (account === address.account ? inner.fetch(account, options) : []) }),
    'hands out the bytes that a device published, to every device',
  ],
  [
    'shows one device',
    (inner) => ({ fetch: async (...args) => (await inner.fetch(...args)).slice(0, 1) }),
    'hands out all devices of an account and none of another',
  ],
  [
    'keeps the first keys',
    (inner, { address }) => ({
      publish: async (keys, options) =>
        (await inner.fetch(address.account, { take: [] })).length > 0 ? undefined : inner.publish(keys, options),
    }),
    'replaces what a device published before',
  ],
  [
    'hands out a last one-time prekey for ever',
    (inner) => {
      return {
        async fetch(...args) {
          const bundles = await inner.fetch(...args);
          return bundles.map((bundle) => {
            if (bundle.oneTime) lastOneTime.set(bundle.address.account, bundle.oneTime);
            const oneTime = bundle.oneTime ?? lastOneTime.get(bundle.address.account);
            return { ...bundle, oneTime };
          });
        },
      };
    },
    'T09: hands each one-time prekey out once, with its head, and then none',
  ],
  [
    'reads, waits, then removes',
    (inner) => ({
      async fetch(account, options) {
        inFlight ??= inner.fetch(account, options).finally(() => {
          inFlight = undefined;
        });
        return inFlight;
      },
    }),
    'hands concurrent readers different one-time prekeys',
  ],
  [
    'adds every batch again',
    (inner) => ({
      publish: (keys, options) =>
        inner.publish({ ...keys, batch: keys.batch && { ...keys.batch, id: `${keys.batch.id} ${++batches}` } }, options),
    }),
    'adds nothing for a batch id that it knows, not even after its prekeys were handed out',
  ],
  [
    'takes one batch only',
    (inner) => ({ publish: (keys, options) => inner.publish({ ...keys, batch: keys.batch && { ...keys.batch, id: 'the one' } }, options) }),
    'adds a new batch to what is left, and keeps it when keys are published without one',
  ],
  ['ignores take', (inner) => ({ fetch: (account) => inner.fetch(account) }), 'takes one-time prekeys of the named devices only'],
  [
    'skips the devices that take does not name',
    (inner) => ({
      async fetch(account, options) {
        const bundles = await inner.fetch(account, options);
        const take = options?.take ?? 'all';
        return take === 'all' ? bundles : bundles.filter(({ address }) => take.includes(address.device));
      },
    }),
    'takes one-time prekeys of the named devices only',
  ],
  [
    'counts what it ever had',
    (inner) => ({ remaining: async () => ((await inner.remaining!()) > 0 ? 5 : 0) }),
    'counts the one-time prekeys that are left, where it counts',
  ],
  [
    'cuts account names at a slash',
    (inner) => ({ fetch: (account, options) => inner.fetch(account.split('/')[0]!, options) }),
    'T34: keeps odd account names apart',
  ],
  [
    'hands out its own buffers',
    (inner) => ({
      async fetch(account, options) {
        const bundles = await inner.fetch(account, options);
        const known = handedOut.get(account) ?? bundles;
        if (bundles.length > 0) handedOut.set(account, known);
        return bundles.map((bundle, i) => ({ ...bundle, identity: known[i]?.identity ?? bundle.identity }));
      },
    }),
    'copies what is published and what it hands out',
  ],
  [
    'copies what is published too late',
    (inner) => ({ publish: async (keys, options) => Promise.resolve().then(() => inner.publish(keys, options)) }),
    'copies what is published and what it hands out',
  ],
  [
    'ignores abort',
    (inner) => ({ publish: (keys) => inner.publish(keys), fetch: (account, options) => inner.fetch(account, { take: options?.take }) }),
    'rejects calls that were aborted before they began, with the reason',
  ],
  [
    'has one statement about everybody',
    () => ({ statement: async () => new Uint8Array(9) }),
    'T34: hands out the statement about an account, and no other, where it has statements',
  ],
  [
    'cuts what lies in a slot',
    (inner) => ({ pickUp: async (slot, options) => (await inner.pickUp!(slot, options))?.slice(0, 60_000) }),
    'T31: keeps what is left in a slot for whoever asks, where it has a drop box',
  ],
  [
    'takes a second write without a word',
    (inner) => ({ leave: (slot, bytes, options) => inner.leave!(slot, bytes, options).catch(() => {}) }),
    'T31: lets the first writer of a slot win, and take its time again',
  ],
  [
    'answers the first who asks for a slot only',
    (inner) => ({
      async pickUp(slot, options) {
        if (asked.has(slot)) return undefined;
        asked.add(slot);
        return inner.pickUp!(slot, options);
      },
    }),
    'answers who waits for a slot once it is filled, all of them',
  ],
  [
    'looks into slots of any name',
    (inner) => ({ pickUp: async (slot, options) => (/^\w{32}$/.test(slot) ? inner.pickUp!(slot, options) : undefined) }),
    'refuses slots of other names and lengths',
  ],
  [
    'takes an abort for an empty slot',
    (inner) => ({ pickUp: (slot, options) => inner.pickUp!(slot, options).catch(() => undefined) }),
    'stops waiting for a slot when it is aborted, with the reason',
  ],
];

const lastOneTime = new Map<string, { head: Uint8Array; entry: Uint8Array }>();
const handedOut = new Map<string, Awaited<ReturnType<Directory['fetch']>>>();
let inFlight: ReturnType<Directory['fetch']> | undefined;
let batches = 0;
const asked = new Set<string>();

async function failingDirectory(defect: BreakDirectory): Promise<string[]> {
  const network = memoryNetwork();
  lastOneTime.clear();
  handedOut.clear();
  asked.clear();
  const open = (login: Login): Directory => {
    const inner = network.directory(login);
    return { ...inner, ...defect(inner, login) };
  };
  const failures: string[] = [];
  for (const { name, run } of directoryConformance({ open })) await run().catch(() => failures.push(name));
  return failures;
}

describe('the directory suite', () => {
  test('passes a directory without a defect, counting or not, with a drop box or without', async () => {
    expect(await failingDirectory(() => ({ leave: undefined as never, pickUp: undefined as never }))).toEqual([]);
    expect(await failingDirectory(() => ({}))).toEqual([]);
    expect(await failingDirectory(() => ({ remaining: undefined as never }))).toEqual([]);
  });

  test.each(DIRECTORIES)('catches a directory that %s', async (_animal, defect, caughtBy) => {
    expect(await failingDirectory(defect)).toContain(caughtBy);
  });

  test('has an animal for every case', () => {
    const caught = new Set(DIRECTORIES.map(([, , caughtBy]) => caughtBy));
    for (const { name } of directoryConformance({ open: memoryNetwork().directory })) expect(caught).toContain(name);
  });
});
