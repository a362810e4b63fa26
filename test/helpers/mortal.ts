import type { Client, ClientOptions, Message } from '../../src/client/types.js';
import type { Store } from '../../src/store/port.js';
import { createTestClient } from '../../src/testing/client.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import type { Network } from '../../src/transport/port.js';
import { type Clock, type GlassStore, glassStore } from './people.js';
import { testRng } from './rng.js';

type Plan = Parameters<typeof crashingStore>[1];

/** A device whose process may die at a commit, and the application on it, which has a database of its own. */
export interface Mortal {
  readonly account: string;
  readonly store: GlassStore;
  /** Texts by message id: what the application stored before it acknowledged. */
  readonly shown: Map<string, string>;
  /** In the order in which they were first shown. */
  readonly order: { readonly from: string; readonly text: string }[];
  /** Ids that were shown although their acknowledgement had resolved. */
  readonly shownAfterAck: string[];
  crashes: number;
  /** Runs an idempotent step; after a crash in a new process, as often as it takes. */
  run<T>(step: (client: Client) => Promise<T>): Promise<T>;
  /** Waits until every text was shown, acknowledging as it goes. */
  receive(texts: readonly string[]): Promise<void>;
  /** Shows what there is, and acknowledges it unless told not to. */
  drain(options?: { ack: boolean }): Promise<void>;
  /** The process ends and begins again. */
  restart(): Promise<void>;
  /** The process will die at its n-th commit from now. */
  arm(plan: Plan): void;
  close(): Promise<void>;
}

interface Life {
  readonly client: Promise<Client>;
  /** Rejects when the process dies. */
  readonly death: Promise<never>;
  readonly reborn: Promise<void>;
  isDead(): boolean;
}

/** Tells when the store's process has died. */
function deathwatch(store: Store, onDeath: () => void): Store {
  const watched = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('simulated crash')) onDeath();
      throw error;
    }
  };
  return {
    read: (keys) => watched(() => store.read(keys)),
    list: (prefix, limit, after) => watched(() => store.list(prefix, limit, after)),
    commit: (writes) => watched(() => store.commit(writes)),
    close: () => store.close(),
  };
}

export function mortal(
  account: string,
  network: Network,
  clock: Clock,
  options: Partial<ClientOptions> = {},
  plan?: Plan,
  seed = '',
): Mortal {
  const store = glassStore();
  const acked = new Set<string>();
  let armed = plan;
  let life: Life | undefined;
  let lives = 0;

  const begin = (): Life => {
    let die = (): void => {};
    let isDead = false;
    const death = new Promise<never>((_, reject) => {
      die = () => {
        isDead = true;
        reject(new Error('the process died'));
      };
    });
    // The plan may come while the process runs: commits are counted from then on.
    let current: Store = store;
    const switching = (): Store => {
      if (armed === undefined || isDead) return current;
      current = crashingStore(store, armed);
      armed = undefined;
      return current;
    };
    const changing: Store = {
      read: (keys) => switching().read(keys),
      list: (prefix, limit, after) => switching().list(prefix, limit, after),
      commit: (writes) => switching().commit(writes),
      close: async () => {},
    };
    const client = createTestClient({
      account,
      transport: network.transport,
      directory: network.directory,
      ...options,
      store: deathwatch(changing, () => die()),
      rng: testRng(`${seed} ${account} ${lives++}`),
      now: () => clock.ms,
    });
    client.catch(() => {});
    const begun: Life = {
      client,
      death,
      // A supervisor begins it again at once.
      reborn: death.catch(async () => {
        self.crashes += 1;
        if (life === begun) await end();
        if (life === undefined) begin();
      }),
      isDead: () => isDead,
    };
    life = begun;
    return begun;
  };
  const end = async (): Promise<void> => {
    const ended = life;
    life = undefined;
    await ended?.client.then((client) => client.close()).catch(() => {});
  };

  const self: Mortal = {
    account,
    store,
    shown: new Map(),
    order: [],
    shownAfterAck: [],
    crashes: 0,
    async run(step) {
      for (;;) {
        const { client, death, reborn, isDead } = life ?? begin();
        try {
          return await Promise.race([client.then(step), death]);
        } catch (error) {
          if (!isDead()) throw error;
          await reborn;
        }
      }
    },
    receive: (texts) =>
      self.run(async (client) => {
        const has = (): boolean => texts.every((text) => self.order.some((shown) => shown.text === text));
        if (has()) return;
        for await (const message of client.messages()) {
          show(message);
          await acknowledge(message);
          if (has()) return;
        }
      }),
    drain: ({ ack } = { ack: true }) =>
      self.run(async (client) => {
        for await (const message of client.messages({ end: 'when-drained' })) {
          show(message);
          if (ack) await acknowledge(message);
        }
      }),
    restart: end,
    arm(next) {
      armed = next;
    },
    close: end,
  };
  const show = (message: Message): void => {
    if (acked.has(message.id)) self.shownAfterAck.push(message.id);
    if (!self.shown.has(message.id)) self.order.push({ from: message.from.account, text: message.text });
    self.shown.set(message.id, message.text);
  };
  const acknowledge = async (message: Message): Promise<void> => {
    await message.ack();
    acked.add(message.id);
  };
  return self;
}
