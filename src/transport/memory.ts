/**
 * A network in memory: a directory and mailboxes in one process, with seeded faults. For tests, demonstrations and simulations.
 *
 * It behaves as a relay does, but for time: acceptance before delivery, delivery on a later macrotask, redelivery until acknowledged, one live
 * connection per device, a login with a fresh nonce. It knows envelopes and published keys as opaque bytes only.
 */

import { copy, u64 } from '../bytes.js';
import { TransportError, UsageError } from '../errors.js';
import type { Address } from '../step.js';
import { onAbort, throwIfAborted } from './abort.js';
import { memoryDirectory } from './memory-directory.js';
import { type FaultPlan, faultPlan, type MemoryFaults } from './memory-faults.js';
import type { Delivery, Directory, Login, Network, Transport } from './port.js';

const MAX_BYTES = 256 * 1024;
/** An envelope that should be overtaken waits this long for the one that overtakes it. */
const OVERTAKE_MS = 25;
const NONCE_BYTES = 32;

type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;

/** What the hub holds for one device. */
interface Mailbox {
  /** Arrived and not acknowledged, in the order of arrival. */
  readonly envelopes: Map<string, Uint8Array>;
  /** Accepted envelopes that wait to be overtaken: each adds itself to `envelopes`. */
  readonly held: (() => void)[];
  /** Accepted and not arrived. */
  travellingCount: number;
  /** The connection that may use the mailbox, the proof of its login, and what it reads with. */
  owner: object | undefined;
  lastProof: Uint8Array | undefined;
  reader: Reader | undefined;
}

/** One running `deliveries()`: the ids still to be yielded, and how to wake or end it. */
interface Reader {
  readonly ids: string[];
  wake(): void;
  end(): void;
}

/** The process-wide state of one network. */
interface Hub {
  readonly faults: FaultPlan;
  mailbox(address: Address): Mailbox;
  /** Whether the device ever published or connected. */
  knows(address: Address): boolean;
  nextNumber(): number;
}

/**
 * Makes a network of its own: every client that is given its two ports can reach the others. `faults` makes it unreliable, in a way
 * that depends on `seed` and on the order of the calls only. Without faults every accepted envelope arrives, in order.
 *
 * A transport takes envelopes of up to 256 KiB (`ERR_LENGTH` above) and logs in at its first use, through `Login.prove` with audience
 * `memory`; what `prove` throws, such as `ERR_STORE_ROLLBACK`, comes through. A newer connection of the same device takes over: the
 * older one's deliveries end with `ERR_REJECTED` and its sends reject with `ERR_OFFLINE`, so that nothing queued fails for good. `ERR_REJECTED` is also the answer to a `send` to a device that never published or connected.
 * The directory keeps an account for whoever published it first (`ERR_REJECTED` for another account key).
 *
 * Unlike a relay's, `send` resolves in a microtask. With `memoryStore` around, too, a loop that awaits one message after the other, or a long
 * `sendHistory()`, keeps timers from running: nothing is delivered meanwhile, and `AbortSignal.timeout` doesn't fire. Where that matters
 * await a timer now and then, in the loop or in the generator of the records.
 *
 * Throws `ERR_ARGUMENT` for a fault that is out of range.
 *
 * @example
 * const network = memoryNetwork({ seed: 'rainy day', loss: 0.1, reorder: 0.3 });
 */
export function memoryNetwork(faults?: MemoryFaults): Network {
  const mailboxes = new Map<string, Mailbox>();
  let numbers = 0;
  const idOf = ({ account, device }: Address): string => `${device} ${account}`;
  const hub: Hub = {
    faults: faultPlan(faults),
    mailbox(address) {
      const id = idOf(address);
      let mailbox = mailboxes.get(id);
      if (mailbox === undefined) {
        mailbox = { envelopes: new Map(), held: [], travellingCount: 0, owner: undefined, lastProof: undefined, reader: undefined };
        mailboxes.set(id, mailbox);
      }
      return mailbox;
    },
    knows: (address) => mailboxes.has(idOf(address)),
    nextNumber: () => ++numbers,
  };
  const directoryOf: (login: Login) => Directory = memoryDirectory((address) => hub.mailbox(address));
  return { transport: (login) => memoryTransport(hub, login), directory: directoryOf };
}

function memoryTransport(hub: Hub, login: Login): Transport {
  const self = {};
  const mailbox = hub.mailbox(login.address);
  let connecting: Promise<void> | undefined;
  let closed = false;

  const assertOpen = (): void => {
    if (closed) throw new UsageError('ERR_CLOSED', 'the transport is closed');
  };

  async function logIn(): Promise<void> {
    const nonce = new Uint8Array(NONCE_BYTES);
    nonce.set(u64(hub.nextNumber()), NONCE_BYTES - 8);
    mailbox.lastProof = copy(await login.prove({ audience: 'memory', nonce, lastProof: mailbox.lastProof && copy(mailbox.lastProof) }));
    mailbox.reader?.end();
    mailbox.owner = self;
  }

  /** Logs in at the first call; rejects once a newer connection took over. */
  async function connect(): Promise<void> {
    connecting ??= logIn().catch((error: unknown) => {
      connecting = undefined;
      throw error;
    });
    await connecting;
    assertOpen();
    if (mailbox.owner !== self) throw new TransportError('ERR_REJECTED', 'a newer connection of this device took over');
  }

  return {
    limits: { maxBytes: MAX_BYTES },

    async send(to, envelope, options) {
      assertOpen();
      const bytes = checkEnvelope(envelope);
      throwIfAborted(options?.signal);
      await connect().catch((cause: unknown) => {
        // A refused login says nothing about this envelope.
        throw cause instanceof TransportError ? new TransportError('ERR_OFFLINE', 'not connected', { cause }) : cause;
      });
      throwIfAborted(options?.signal);
      if (!hub.knows(to)) throw new TransportError('ERR_REJECTED', 'the recipient is unknown');
      accept(hub, hub.mailbox(to), bytes);
    },

    deliveries(options = {}) {
      return { [Symbol.asyncIterator]: () => read(options) };
    },

    async close() {
      closed = true;
      if (mailbox.owner === self) mailbox.reader?.end();
    },
  };

  function read(options: DeliveryOptions): AsyncIterator<Delivery> {
    let reader: Reader | undefined;
    let ended = false;
    let drained = false;
    let wake: () => void = () => {};
    const end = (): void => {
      ended = true;
      if (mailbox.reader === reader) mailbox.reader = undefined;
      wake();
    };
    onAbort(options.signal, end);

    async function start(): Promise<void> {
      assertOpen();
      await connect();
      if (ended) return;
      mailbox.reader?.end();
      reader = { ids: [...mailbox.envelopes.keys()], wake: () => wake(), end };
      mailbox.reader = reader;
      options.onUp?.();
    }

    function delivery(id: string, bytes: Uint8Array): Delivery {
      return {
        id,
        bytes: copy(bytes),
        async ack() {
          assertOpen();
          mailbox.envelopes.delete(id);
        },
      };
    }

    async function pull(): Promise<IteratorResult<Delivery>> {
      if (!ended && reader === undefined) await start();
      while (!ended && reader !== undefined) {
        const id = reader.ids.shift();
        const bytes = id === undefined ? undefined : mailbox.envelopes.get(id);
        if (id !== undefined && bytes !== undefined) return { done: false, value: delivery(id, bytes) };
        if (id !== undefined) continue;
        if (!drained && mailbox.travellingCount === 0) {
          drained = true;
          options.onDrained?.();
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return { done: true, value: undefined };
    }

    let turn: Promise<unknown> = Promise.resolve();
    return {
      next() {
        const result = turn.then(pull);
        turn = result.catch(end);
        return result;
      },
      async return() {
        end();
        return { done: true, value: undefined };
      },
    };
  }
}

function checkEnvelope(envelope: Uint8Array): Uint8Array {
  if (!(envelope instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'envelope must be a Uint8Array', { field: 'envelope' });
  if (envelope.length > MAX_BYTES) {
    throw new UsageError('ERR_LENGTH', 'envelope is too long', { field: 'envelope', got: envelope.length, max: MAX_BYTES });
  }
  return copy(envelope);
}

/** Takes responsibility for an envelope, and lets the faults decide what becomes of it. */
function accept(hub: Hub, mailbox: Mailbox, bytes: Uint8Array): void {
  const { copies, overtaken } = hub.faults.decide();
  for (let i = 0; i < copies; i++) {
    mailbox.travellingCount++;
    setTimeout(() => {
      if (overtaken) hold(hub, mailbox, bytes);
      else arrive(hub, mailbox, bytes);
    }, hub.faults.delayMs);
  }
}

/** Keeps an envelope back until the next one arrives, or for a moment if none does. */
function hold(hub: Hub, mailbox: Mailbox, bytes: Uint8Array): void {
  const release = (): void => {
    clearTimeout(timer);
    put(hub, mailbox, bytes);
  };
  const timer = setTimeout(() => {
    mailbox.held.splice(mailbox.held.indexOf(release), 1);
    release();
  }, OVERTAKE_MS);
  mailbox.held.push(release);
}

function arrive(hub: Hub, mailbox: Mailbox, bytes: Uint8Array): void {
  put(hub, mailbox, bytes);
  for (const release of mailbox.held.splice(0)) release();
}

function put(hub: Hub, mailbox: Mailbox, bytes: Uint8Array): void {
  const id = String(hub.nextNumber());
  mailbox.envelopes.set(id, bytes);
  mailbox.travellingCount--;
  mailbox.reader?.ids.push(id);
  mailbox.reader?.wake();
}
