/**
 * What the relay sees of this browser: a decorator of both network ports that writes down what passes through them. It changes nothing,
 * and knows no more than the relay does: by this point everything is encrypted.
 */

import type { Delivery, Directory, Network, Transport } from '@cyphr/e2ee';

/** How many bytes of an envelope are kept for display. */
const HEAD_BYTES = 24;
/** Older entries are forgotten. */
const ENTRY_COUNT = 200;

export interface RelayEntry {
  readonly atMs: number;
  readonly direction: 'out' | 'in';
  readonly kind: 'envelope' | 'keys-published' | 'keys-asked-for' | 'drop-box';
  readonly sizeBytes: number;
  /** Whose mailbox or keys: `undefined` is one's own mailbox. */
  readonly to?: { readonly account: string; readonly device?: number | undefined } | undefined;
  readonly head: Uint8Array;
  /** What has become of it. */
  outcome: 'under way' | 'at the relay' | 'failed' | 'deleted at the relay' | 'waiting for you' | 'answered';
}

export interface RelayLog {
  readonly entries: readonly RelayEntry[];
  /** Calls back when an entry is new or has changed. */
  onEntry(listener: (entry: RelayEntry) => void): void;
  /** The same network, looked on. */
  watch(network: Network): Network;
}

export function relayLog(): RelayLog {
  const entries: RelayEntry[] = [];
  const listeners: ((entry: RelayEntry) => void)[] = [];

  function add(entry: Omit<RelayEntry, 'atMs' | 'head'>, bytes: Uint8Array = new Uint8Array()): (outcome: RelayEntry['outcome']) => void {
    const added: RelayEntry = { ...entry, atMs: Date.now(), head: bytes.slice(0, HEAD_BYTES) };
    const tell = (): void => {
      for (const listener of listeners) listener(added);
    };
    entries.push(added);
    if (entries.length > ENTRY_COUNT) entries.shift();
    tell();
    return (outcome) => {
      added.outcome = outcome;
      tell();
    };
  }

  async function settle<T>(call: Promise<T>, end: (outcome: RelayEntry['outcome']) => void, good: RelayEntry['outcome']): Promise<T> {
    try {
      const result = await call;
      end(good);
      return result;
    } catch (error) {
      end('failed');
      throw error;
    }
  }

  function received(delivery: Delivery): Delivery {
    const end = add({ direction: 'in', kind: 'envelope', sizeBytes: delivery.bytes.length, outcome: 'waiting for you' }, delivery.bytes);
    return {
      ...delivery,
      async ack() {
        await delivery.ack();
        end('deleted at the relay');
      },
    };
  }

  const transport = (inner: Transport): Transport => ({
    limits: inner.limits,
    send(to, envelope, options) {
      const entry = { direction: 'out', kind: 'envelope', sizeBytes: envelope.length, to, outcome: 'under way' } as const;
      return settle(inner.send(to, envelope, options), add(entry, envelope), 'at the relay');
    },
    deliveries: (options) => ({
      [Symbol.asyncIterator]() {
        const iterator = inner.deliveries(options)[Symbol.asyncIterator]();
        return {
          async next() {
            const result = await iterator.next();
            return result.done === true ? result : { done: false, value: received(result.value) };
          },
          return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
        };
      },
    }),
    close: () => inner.close(),
  });

  /** Through which a device is linked that has no session yet. */
  const dropBox = (inner: Pick<Required<Directory>, 'leave' | 'pickUp'>): typeof inner => ({
    leave(slot, bytes, options) {
      const entry = { direction: 'out', kind: 'drop-box', sizeBytes: bytes.length, outcome: 'under way' } as const;
      return settle(inner.leave(slot, bytes, options), add(entry, bytes), 'at the relay');
    },
    async pickUp(slot, options) {
      const found = await inner.pickUp(slot, options);
      if (found !== undefined) add({ direction: 'in', kind: 'drop-box', sizeBytes: found.length, outcome: 'answered' }, found);
      return found;
    },
  });

  const directory = (inner: Directory): Directory => ({
    ...inner,
    publish(keys, options) {
      const parts = [keys.identity, keys.signedSet, ...(keys.batch === undefined ? [] : [keys.batch.head, ...keys.batch.entries])];
      const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
      const entry = { direction: 'out', kind: 'keys-published', sizeBytes, to: keys.address, outcome: 'under way' } as const;
      return settle(inner.publish(keys, options), add(entry, keys.identity), 'at the relay');
    },
    fetch(account, options) {
      const entry = { direction: 'out', kind: 'keys-asked-for', sizeBytes: 0, to: { account }, outcome: 'under way' } as const;
      return settle(inner.fetch(account, options), add(entry), 'answered');
    },
    ...(inner.leave !== undefined && inner.pickUp !== undefined && dropBox(inner as Required<Directory>)),
  });

  return {
    entries,
    onEntry: (listener) => listeners.push(listener),
    watch: (network) => ({
      transport: (login) => transport(network.transport(login)),
      directory: (login) => directory(network.directory(login)),
    }),
  };
}
