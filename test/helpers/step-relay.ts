/**
 * A relay and directory in memory whose every move is the test's: what was accepted travels until it is released, in any order, and each
 * machine has a link of its own that can be cut or made to forget. What is accepted is never lost, unless a test loses it.
 */

import { TransportError } from '../../src/errors.js';
import type { Address, BundleBytes, DeviceKeys } from '../../src/step.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Delivery, Directory, Login, Network, Transport } from '../../src/transport/port.js';

/** How one machine reaches the relay. */
export interface Link {
  isUp: boolean;
  /** The relay gets no acknowledgements: what was delivered comes again. */
  losesAcks: boolean;
  /** The sender doesn't hear that the relay has accepted: it sends again. */
  losesReplies: boolean;
  /** Hears of every envelope that the client is done with, whether or not the relay hears it. */
  readonly onAck?: ((parcel: Parcel) => void) | undefined;
}

/** An envelope that was accepted. */
export interface Parcel {
  readonly id: string;
  readonly from: Address;
  readonly to: Address;
  readonly bytes: Uint8Array;
}

/** Everything that changed the directory, in order: played again, it makes the same one. */
export type DirectoryChange =
  | { readonly publish: DeviceKeys }
  | { readonly by: Address; readonly fetch: string; readonly take: 'all' | readonly number[] };

interface Mailbox {
  readonly address: Address;
  /** Accepted, and not there yet. */
  travelling: Parcel[];
  /** There, and not acknowledged. */
  readonly arrived: Map<string, Parcel>;
  /** The connection that may use it. */
  owner: object | undefined;
  lastProof: Uint8Array | undefined;
  reader: { readonly ids: string[]; wake(): void; end(): void } | undefined;
}

export interface StepRelay {
  /** Every envelope that was accepted, in order. */
  readonly accepted: readonly Parcel[];
  readonly changes: readonly DirectoryChange[];
  /** Everything that is accepted arrives at once. */
  isSwift: boolean;
  /** The ports of a machine behind `link`. */
  network(link: Link): Network;
  /** What is under way to a device. */
  travelling(to: Address): readonly Parcel[];
  /** Lets one or all of them arrive. */
  release(to: Address, which: 'first' | 'last' | 'all'): void;
  releaseAll(): void;
  /** The oldest one under way vanishes. */
  lose(to: Address): Parcel | undefined;
  /** An envelope that was accepted arrives once more. */
  repeat(parcel: Parcel): void;
  /** Ends every connection; mailboxes, the directory and the proofs of logins are on disk. */
  restart(): void;
  /** Ends the connection of one device. */
  cut(address: Address): void;
  play(changes: readonly DirectoryChange[]): Promise<void>;
  /** What the directory shows of an account. */
  bundles(account: string): Promise<BundleBytes[]>;
}

const nameOf = ({ account, device }: Address): string => `${device} ${account}`;
const offline = (): TransportError => new TransportError('ERR_OFFLINE', 'the link is down');

export function stepRelay(): StepRelay {
  const mailboxes = new Map<string, Mailbox>();
  const inner = memoryNetwork();
  const accepted: Parcel[] = [];
  const changes: DirectoryChange[] = [];
  let numbers = 0;
  const mailboxOf = (address: Address): Mailbox => {
    const known = mailboxes.get(nameOf(address));
    if (known !== undefined) return known;
    const made: Mailbox = { address, travelling: [], arrived: new Map(), owner: undefined, lastProof: undefined, reader: undefined };
    mailboxes.set(nameOf(address), made);
    return made;
  };
  const arrive = (mailbox: Mailbox, parcel: Parcel): void => {
    const id = String(++numbers);
    mailbox.arrived.set(id, parcel);
    mailbox.reader?.ids.push(id);
    mailbox.reader?.wake();
  };
  const disconnect = (mailbox: Mailbox): void => {
    mailbox.owner = undefined;
    mailbox.reader?.end();
  };

  function directory(link: Link, login: Login): Directory {
    const port = inner.directory(login);
    const guarded = Object.entries(port).map(([name, call]: [string, (...args: never[]) => Promise<unknown>]) => [
      name,
      async (...args: never[]) => {
        if (!link.isUp) throw offline();
        return call(...args);
      },
    ]);
    const guardedPort = Object.fromEntries(guarded) as Directory;
    return {
      ...guardedPort,
      async publish(keys, options) {
        await guardedPort.publish(keys, options);
        mailboxOf(keys.address);
        changes.push({ publish: keys });
      },
      async fetch(account, options) {
        const bundles = await guardedPort.fetch(account, options);
        changes.push({ by: login.address, fetch: account, take: options?.take ?? 'all' });
        return bundles;
      },
    };
  }

  function transport(link: Link, login: Login): Transport {
    const mailbox = mailboxOf(login.address);
    const self = {};
    let isClosed = false;
    let connecting: Promise<void> | undefined;
    const assertUp = (): void => {
      if (!link.isUp || isClosed) throw offline();
    };
    const logIn = async (): Promise<void> => {
      const nonce = new Uint8Array(32);
      new DataView(nonce.buffer).setUint32(28, ++numbers);
      mailbox.lastProof = await login.prove({ audience: 'steps', nonce, ...(mailbox.lastProof && { lastProof: mailbox.lastProof }) });
      disconnect(mailbox);
      mailbox.owner = self;
    };
    const connect = async (): Promise<void> => {
      assertUp();
      if (mailbox.owner === self) return;
      connecting ??= logIn().finally(() => {
        connecting = undefined;
      });
      await connecting;
      assertUp();
    };
    return {
      limits: { maxBytes: 256 * 1024 },
      async send(to, envelope) {
        await connect();
        if (!mailboxes.has(nameOf(to))) throw new TransportError('ERR_REJECTED', 'the recipient is unknown');
        const parcel: Parcel = { id: String(++numbers), from: login.address, to, bytes: new Uint8Array(envelope) };
        accepted.push(parcel);
        const target = mailboxOf(to);
        if (relay.isSwift) arrive(target, parcel);
        else target.travelling.push(parcel);
        if (link.losesReplies) throw offline();
      },
      deliveries: ({ signal, onUp, onDrained } = {}) => ({
        [Symbol.asyncIterator]() {
          let hasEnded = false;
          let isDrained = false;
          let wake = (): void => {};
          const end = (): void => {
            hasEnded = true;
            if (mailbox.reader === reader) mailbox.reader = undefined;
            wake();
          };
          const reader = { ids: [] as string[], wake: () => wake(), end };
          signal?.addEventListener('abort', end, { once: true });
          let isStarted = false;
          const delivery = (id: string, parcel: Parcel): Delivery => ({
            id,
            bytes: new Uint8Array(parcel.bytes),
            async ack() {
              link.onAck?.(parcel);
              if (!link.isUp || link.losesAcks || mailbox.owner !== self) throw offline();
              mailbox.arrived.delete(id);
            },
          });
          return {
            async next() {
              if (!isStarted) {
                isStarted = true;
                await connect();
                mailbox.reader?.end();
                mailbox.reader = reader;
                reader.ids.push(...mailbox.arrived.keys());
                onUp?.();
              }
              while (!hasEnded) {
                const id = reader.ids.shift();
                const parcel = id === undefined ? undefined : mailbox.arrived.get(id);
                if (parcel !== undefined) return { done: false, value: delivery(id!, parcel) };
                if (id !== undefined) continue;
                if (!isDrained) {
                  isDrained = true;
                  onDrained?.();
                  continue;
                }
                await new Promise<void>((resolve) => {
                  wake = resolve;
                });
              }
              return { done: true, value: undefined };
            },
            async return() {
              end();
              return { done: true, value: undefined };
            },
          };
        },
      }),
      async close() {
        isClosed = true;
        if (mailbox.owner === self) disconnect(mailbox);
      },
    };
  }

  const prove = async (): Promise<never> => Promise.reject(offline());
  const relay: StepRelay = {
    accepted,
    changes,
    isSwift: false,
    network: (link) => ({ transport: (login) => transport(link, login), directory: (login) => directory(link, login) }),
    travelling: (to) => mailboxOf(to).travelling,
    release(to, which) {
      const mailbox = mailboxOf(to);
      const { travelling } = mailbox;
      const released = which === 'all' ? travelling : which === 'first' ? travelling.slice(0, 1) : travelling.slice(-1);
      mailbox.travelling = travelling.filter((parcel) => !released.includes(parcel));
      for (const parcel of released) arrive(mailbox, parcel);
    },
    releaseAll() {
      for (const { address } of mailboxes.values()) relay.release(address, 'all');
    },
    lose: (to) => mailboxOf(to).travelling.shift(),
    repeat: (parcel) => arrive(mailboxOf(parcel.to), parcel),
    restart() {
      for (const mailbox of mailboxes.values()) disconnect(mailbox);
    },
    cut: (address) => disconnect(mailboxOf(address)),
    bundles: (account) => inner.directory({ address: { account, device: 1 }, prove }).fetch(account, { take: [] }),
    async play(played) {
      for (const change of played) {
        const address = 'publish' in change ? change.publish.address : change.by;
        const port = inner.directory({ address, prove });
        if ('publish' in change) {
          await port.publish(change.publish);
          mailboxOf(address);
        } else {
          await port.fetch(change.fetch, { take: change.take });
        }
        changes.push(change);
      }
    },
  };
  return relay;
}
