import { StoreError } from '../../src/errors.js';
import type { Leadership, SharedChannel, Store } from '../../src/store/port.js';
import type { Login, Network } from '../../src/transport/port.js';
import { type GlassStore, glassStore } from './people.js';

/** One tab: its view of the origin's store, and of the network. */
export interface Tab {
  readonly store: Store;
  network(network: Network): Network;
  /** The tab is gone, in the middle of whatever it does: nothing that it waits for comes any more. */
  kill(): void;
  /** Dies with its n-th commit from now, which happens with side `after`, and does not with `before`. */
  killAtCommit(count: number, side: 'before' | 'after'): void;
  /** Everything that goes in or out waits, and the tab keeps its lock. */
  freeze(): void;
  /** Freezes as soon as it has asked another tab for this. */
  freezeAtCall(name: string): void;
  thaw(): void;
  isDead(): boolean;
  isFrozen(): boolean;
  leads(): boolean;
}

/** A browser's origin with one store: its lock, its channel, and the tabs. */
export interface Origin {
  readonly inner: GlassStore;
  tab(): Tab;
  /** Puts a message on the channel, as a tab of which nothing is known. */
  post(message: unknown): void;
  /** Every message on the channel, in order. */
  readonly said: unknown[];
  /** How many tabs listen, and wait for the lock. */
  listening(): number;
  waiting(): number;
}

interface Holder {
  readonly tab: object;
  readonly lose: () => void;
}
interface Claim {
  readonly tab: object;
  readonly grant: () => void;
}

export function origin(inner: GlassStore = glassStore()): Origin {
  let holder: Holder | undefined;
  let claims: Claim[] = [];
  const listeners = new Map<object, (message: unknown) => void>();
  const said: unknown[] = [];

  const free = (by: Holder): void => {
    if (holder !== by) return;
    holder = undefined;
    claims.shift()?.grant();
  };
  const post = (from: object | undefined, message: unknown): void => {
    said.push(structuredClone(message));
    for (const [tab, deliver] of listeners) if (tab !== from) deliver(structuredClone(message));
  };

  const makeTab = (): Tab => {
    const self = {};
    let state: 'running' | 'frozen' | 'dead' = 'running';
    let thawed: (() => void)[] = [];
    let plan: { count: number; side: 'before' | 'after' } | undefined;
    let lastCall: string | undefined;
    let isClosed = false;
    /** Resolves when the tab runs: at once, when it thaws, or never. */
    const alive = async (): Promise<void> => {
      while (state === 'frozen') await new Promise<void>((resolve) => thawed.push(resolve));
      if (state === 'dead') await new Promise<never>(() => {});
    };
    const gated = async <T>(call: () => Promise<T>): Promise<T> => {
      await alive();
      try {
        return await call();
      } finally {
        await alive();
      }
    };
    const hold = (): Leadership => {
      let lose = (): void => {};
      const lost = new Promise<void>((resolve) => {
        lose = resolve;
      });
      const mine: Holder = { tab: self, lose };
      holder = mine;
      return {
        lost: lost.then(alive),
        release: () => void alive().then(() => free(mine)),
      };
    };
    const freeze = (): void => {
      lastCall = undefined;
      if (state === 'running') state = 'frozen';
    };
    const kill = (): void => {
      state = 'dead';
      listeners.delete(self);
      claims = claims.filter(({ tab }) => tab !== self);
      if (holder?.tab === self) free(holder);
    };
    const opened = (): GlassStore => {
      if (isClosed) throw new StoreError('ERR_STORE_IO', 'a closed tab uses its store');
      return inner;
    };

    const store: Store = {
      read: (keys) => gated(async () => opened().read(keys)),
      list: (prefix, limit, after) => gated(async () => opened().list(prefix, limit, after)),
      commit: (writes) =>
        gated(async () => {
          const dies = plan !== undefined && --plan.count === 0;
          if (!dies || plan?.side === 'after') await opened().commit(writes);
          if (dies) kill();
        }),
      async close() {
        isClosed = true;
      },
      shared: {
        async lead(how, { signal } = {}) {
          await alive();
          if (how === 'steal') {
            const robbed = holder;
            const leadership = hold();
            robbed?.lose();
            await alive();
            return leadership;
          }
          if (holder === undefined) return hold();
          if (how === 'if-free') return undefined;
          return new Promise((resolve, reject) => {
            const claim = { tab: self, grant: () => resolve(hold()) };
            claims.push(claim);
            signal?.addEventListener('abort', () => {
              if (claims.includes(claim)) reject(signal.reason);
              claims = claims.filter((other) => other !== claim);
            });
          }).then(async (leadership) => {
            await alive();
            return leadership as Leadership;
          });
        },
        join(onMessage): SharedChannel {
          let turn: Promise<unknown> = Promise.resolve();
          const deliver = (message: unknown): void => {
            turn = turn
              .then(() => new Promise((resolve) => setImmediate(resolve)))
              .then(alive)
              .then(() => {
                if (listeners.get(self) === deliver) onMessage(message);
              });
          };
          listeners.set(self, deliver);
          let posting: Promise<unknown> = Promise.resolve();
          return {
            post(message) {
              const clone = structuredClone(message) as { readonly name?: string };
              if (state === 'running') {
                if (lastCall !== undefined && clone.name === lastCall) freeze();
                return post(self, clone);
              }
              posting = posting.then(alive).then(() => post(self, clone));
            },
            close: () => void (listeners.get(self) === deliver && listeners.delete(self)),
          };
        },
      },
    };
    return {
      store,
      network: (network) => ({
        directory(login: Login) {
          const directory = network.directory(login);
          return {
            publish: (keys, options) => gated(() => directory.publish(keys, options)),
            fetch: (account, options) => gated(() => directory.fetch(account, options)),
            remaining: () => gated(() => directory.remaining!()),
            leave: (slot, bytes, options) => gated(() => directory.leave!(slot, bytes, options)),
            pickUp: (slot, options) => gated(() => directory.pickUp!(slot, options)),
          };
        },
        transport(login: Login) {
          const transport = network.transport({
            address: login.address,
            prove: (challenge) => gated(() => login.prove(challenge)),
          });
          return {
            limits: transport.limits,
            send: (to, envelope, options) => gated(() => transport.send(to, envelope, options)),
            deliveries: (options) => ({
              [Symbol.asyncIterator]() {
                const iterator = transport.deliveries(options)[Symbol.asyncIterator]();
                return {
                  next: () =>
                    gated(async () => {
                      const result = await iterator.next();
                      if (result.done === true) return result;
                      const { id, bytes, ack } = result.value;
                      return { done: false as const, value: { id, bytes, ack: () => gated(ack) } };
                    }),
                  return: () => iterator.return!(),
                };
              },
            }),
            close: () => transport.close(),
          };
        },
      }),
      kill,
      killAtCommit(count, side) {
        plan = { count, side };
      },
      freeze,
      freezeAtCall(name) {
        lastCall = name;
      },
      thaw() {
        if (state === 'frozen') state = 'running';
        for (const wake of thawed.splice(0)) wake();
        thawed = [];
      },
      isDead: () => state === 'dead',
      isFrozen: () => state === 'frozen',
      leads: () => holder?.tab === self,
    };
  };
  return {
    inner,
    tab: makeTab,
    post: (message) => post(undefined, message),
    said,
    listening: () => listeners.size,
    waiting: () => claims.length,
  };
}
