import { toHex } from '../../src/bytes.js';
import { daysRecord } from '../../src/client/records.js';
import type { Client, ClientEvent, ClientOptions, Message, Observation } from '../../src/client/types.js';
import { sha256 } from '../../src/crypto/suite.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store, Write } from '../../src/store/port.js';
import { createTestClient } from '../../src/testing/client.js';
import type { Network } from '../../src/transport/port.js';
import { testRng } from './rng.js';

/** 2026-01-01, in milliseconds. */
export const START = 1_767_225_600_000;

/** A clock that moves only when a test moves it. */
export interface Clock {
  ms: number;
}

/** A memory store that a test can look into. */
export interface GlassStore extends Store {
  /** Every row, sorted, as key and hash of its value: equal exactly if every byte is. */
  dump(): string;
  /** The same without the number of the last commit. */
  content(): string;
  rows(): ReadonlyMap<string, Uint8Array>;
  /** Every value that was ever written. */
  readonly written: Write[];
  commits: number;
}

const digest = (rows: readonly (readonly [string, Uint8Array])[]): string =>
  rows
    .map(([key, value]) => `${key} ${toHex(sha256(value))}`)
    .sort()
    .join('\n');

export function glassStore(inner: Store = memoryStore()): GlassStore {
  const rows = new Map<string, Uint8Array>();
  const self: GlassStore = {
    written: [],
    commits: 0,
    rows: () => rows,
    dump: () => digest([...rows]),
    content: () => digest([...rows].filter(([key]) => key !== '["generation"]')),
    read: (keys) => inner.read(keys),
    list: (prefix, limit, after) => inner.list(prefix, limit, after),
    async commit(writes) {
      await inner.commit(writes);
      self.commits += 1;
      for (const { key, value } of writes) {
        if (value === null) rows.delete(JSON.stringify(key));
        else rows.set(JSON.stringify(key), new Uint8Array(value));
        self.written.push({ key, value: value && new Uint8Array(value) });
      }
    },
    close: async () => {},
  };
  return self;
}

/** One client with everything that a test may ask of it. */
export interface Person {
  readonly account: string;
  readonly client: Client;
  readonly address: { readonly account: string; readonly device: number };
  readonly store: GlassStore;
  readonly events: ClientEvent[];
  readonly observations: Observation[];
  /** Codes of the envelopes that were dropped, in order. */
  dropped(): (string | undefined)[];
  /** Waits for the next message, and acknowledges it. */
  read(): Promise<Message>;
  /** Every message that may be shown now, acknowledged. */
  readAll(): Promise<Message[]>;
  /** Resolves with the first event that matches, past or coming. */
  seen<T extends ClientEvent['type']>(type: T, matches?: (event: Extract<ClientEvent, { type: T }>) => boolean): Promise<ClientEvent>;
  count(type: ClientEvent['type']): number;
  /** Resolves with the first observation from index `from` on that matches, past or coming. */
  observed(matches: (record: Observation) => boolean, from?: number): Promise<Observation>;
}

const EVENTS = [
  'status',
  'sent',
  'devicesChanged',
  'identityChanged',
  'sessionEstablished',
  'prekeysLow',
  'lastResortUsed',
  'undecryptable',
] as const;

export async function person(
  account: string,
  network: Network,
  clock: Clock,
  options: Partial<ClientOptions> & { readonly seed?: string; readonly open?: typeof createTestClient } = {},
): Promise<Person> {
  const { seed = account, open = createTestClient, ...given } = options;
  const store = (given.store as GlassStore | undefined) ?? glassStore();
  const observations: Observation[] = [];
  const events: ClientEvent[] = [];
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  const found = async <T>(search: () => T | undefined): Promise<T> => {
    for (;;) {
      const result = search();
      if (result !== undefined) return result;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const client = await open({
    account,
    transport: network.transport,
    directory: network.directory,
    ...given,
    store,
    rng: given.rng ?? testRng(seed),
    now: () => clock.ms,
    observe(record) {
      observations.push(record);
      wake();
    },
  });
  for (const type of EVENTS) {
    client.on(type, (event) => {
      events.push(event);
      wake();
    });
  }
  return {
    account,
    client,
    address: { account, device: client.device },
    store,
    events,
    observations,
    dropped: () => observations.flatMap((record) => (record.kind === 'log' && record.event === 'envelope-dropped' ? [record.code] : [])),
    async read() {
      for await (const message of client.messages()) {
        await message.ack();
        return message;
      }
      throw new Error('the client closed');
    },
    async readAll() {
      const all: Message[] = [];
      for await (const message of client.messages({ end: 'when-drained' })) {
        await message.ack();
        all.push(message);
      }
      return all;
    },
    seen: (type, matches = () => true) => found(() => events.find((event) => event.type === type && matches(event as never))),
    observed: (matches, from = 0) => found(() => observations.slice(from).find(matches)),
    count: (type) => events.filter((event) => event.type === type).length,
  };
}

/** Once today is counted a device that is left alone writes nothing more. */
export async function counted({ store }: Pick<Person, 'store'>, nowMs: number): Promise<void> {
  const today = Math.floor(nowMs / 86_400_000);
  for (;;) {
    const row = store.rows().get('["days"]');
    if (row !== undefined && daysRecord.decode(row).lately.includes(today)) return;
    await new Promise((turn) => setImmediate(turn));
  }
}

/** Opens a device on each of the next days, and closes it once that is counted. Answers all that it said to its observer. */
export async function daily(before: Person, network: Network, clock: Clock, days: number): Promise<Observation[]> {
  const said: Observation[] = [];
  for (let day = 1; day <= days; day++) {
    clock.ms += 86_400_000;
    const { client, store, observations } = await person(before.account, network, clock, {
      store: before.store,
      seed: `${before.account} on day ${day}`,
    });
    await counted({ store }, clock.ms);
    await client.close();
    said.push(...observations);
  }
  return said;
}
