/**
 * The network by way of a relay: HTTP for keys, a WebSocket for envelopes, one address for both.
 *
 * Knows nothing of cryptography and nothing of sessions: it carries bytes. It never retries. A connection is opened when it is
 * needed, by `send` or `deliveries`, shared by both, and gone when it is gone; the client's `withRetry` decides what happens then.
 * The wire is described in `socket/frames.ts` and `socket/http.ts`.
 */

import { copy, encodeUtf8 } from '../bytes.js';
import { TransportError, UsageError } from '../errors.js';
import type { Delivery, Directory, Login, Network, Transport } from './port.js';
import { toBase64Url } from './socket/base64url.js';
import { type Connection, type Consumer, connect } from './socket/connection.js';
import { abortReason, type Place, relayHttp } from './socket/http.js';

const MAX_ENVELOPE_BYTES = 256 * 1024;
/** The protocol's name, and behind it the form in which a bearer token can pass where browsers set no headers. */
const SUBPROTOCOL = 'cyphr.1';
const BEARER_SUBPROTOCOL = 'bearer.';
/** RFC 6750 has fewer characters still. */
const BEARER = /^[\x21-\x7e]+$/;
const ADDRESS = /^(?:ws|http)(s?):\/\/([^/?#@\s]+)((?:\/[^/?#\s]+)*)\/?$/i;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** Options of {@link relay}. */
export interface RelayOptions {
  /**
   * A token for what stands in front of the relay, for example single sign-on. It is asked for at each request and travels as
   * `Authorization: Bearer` and, on the WebSocket, as the subprotocol `bearer.` + base64url(token). The relay itself doesn't need it.
   */
  readonly token?: (() => string | Promise<string>) | undefined;
}

/**
 * The network of one relay, for `createClient`.
 *
 * Transport: `send` resolves once the relay has the envelope on disk; it throws `ERR_OFFLINE`, `ERR_TIMEOUT`, `ERR_REJECTED` (for now
 * if `retryAfterMs` is set, else for good), `ERR_LENGTH` above 256 KiB, `ERR_CLOSED`. `deliveries` ends by throwing `ERR_OFFLINE`
 * when the connection goes, `ERR_REJECTED` if the relay doesn't know this device, and whatever `login.prove` throws.
 *
 * A connection on which envelopes are sent or acknowledged logs in again 5 s after the first of them, then at most once a minute, so
 * that the relay's last proof is never far behind the store. If the network fails at that, nothing changes. What `login.prove` throws
 * ends the connection. `close()` gives no last proof: a client that closes proves nothing any more, and closing waits for no network.
 *
 * @param url `wss://host[:port][/path]` (or `https:`); without TLS only on this machine. Throws `ERR_ARGUMENT` for anything else.
 * @example
 * const client = await createClient({ account: 'alice', store, ...relay('wss://relay.example') });
 */
export function relay(url: string, options: RelayOptions = {}): Network {
  const place = placeOf(url, options);
  const links = new WeakMap<Login, Link>();
  const link = (login: Login): Link => {
    const known = links.get(login);
    if (known !== undefined) return known;
    const made = createLink(place, login, () => links.delete(login));
    links.set(login, made);
    return made;
  };
  return { transport: (login) => link(login).transport, directory: (login) => link(login).directory };
}

/** Both ports of one device, over one connection and one session token. */
interface Link {
  readonly transport: Transport;
  readonly directory: Directory;
}

interface SocketPlace extends Place {
  readonly socketUrl: string;
}

/** Splits the address by hand: React Native's `URL` lacks most of its getters. */
function placeOf(url: string, { token }: RelayOptions): SocketPlace {
  if (typeof url !== 'string') throw new UsageError('ERR_ARGUMENT', 'relay address must be a string', { field: 'url' });
  const [, secure, given, path] = ADDRESS.exec(url) ?? [];
  if (given === undefined) throw new UsageError('ERR_ARGUMENT', 'relay address must be wss://host[:port][/path]', { field: 'url' });
  const audience = given.toLowerCase().replace(secure ? /:443$/ : /:80$/, '');
  if (!secure && !LOOPBACK.test(audience)) {
    throw new UsageError('ERR_ARGUMENT', 'relay address must be wss: or https:, unless it is on this machine', { field: 'url' });
  }
  return {
    base: `http${secure}://${audience}${path}`,
    socketUrl: `ws${secure}://${audience}${path}/v1/socket`,
    audience,
    async bearer() {
      const bearer = await token?.();
      if (bearer === undefined || BEARER.test(bearer)) return bearer;
      throw new UsageError('ERR_ARGUMENT', 'token must be printable ASCII', { field: 'token' });
    },
  };
}

function createLink(place: SocketPlace, login: Login, forget: () => void): Link {
  let current: Promise<Connection> | undefined;
  let closed = false;
  const http = relayHttp(place, {
    address: login.address,
    async prove(challenge) {
      try {
        return await login.prove(challenge);
      } catch (error) {
        // This device may not go on as it is, whichever request showed that. One that is being opened finds out by itself.
        current?.then(
          (connection) => connection.fail(error),
          () => {},
        );
        throw error;
      }
    },
  });

  /** The open connection, or the one that is being opened, or a new one. */
  function open(): Promise<Connection> {
    if (closed) return Promise.reject(closedError());
    if (current !== undefined) return current;
    const gone = () => {
      if (current === dialled) current = undefined;
    };
    const dialled = dialRelay(gone);
    dialled.catch(gone);
    current = dialled;
    return dialled;
  }

  async function dialRelay(onEnd: () => void): Promise<Connection> {
    const token = await http.login();
    const bearer = await place.bearer();
    const protocols = bearer === undefined ? [] : [BEARER_SUBPROTOCOL + toBase64Url(encodeUtf8(bearer)!)];
    const over = new AbortController();
    const connection = await connect(place.socketUrl, [SUBPROTOCOL, ...protocols], token, {
      renew: () => http.refresh(over.signal),
      onEnd() {
        over.abort();
        onEnd();
      },
    });
    if (!closed) return connection;
    connection.close();
    throw closedError();
  }

  const transport: Transport = {
    limits: { maxBytes: MAX_ENVELOPE_BYTES },
    async send(to, envelope, { signal } = {}) {
      if (signal?.aborted) throw abortReason(signal);
      if (envelope.length === 0 || envelope.length > MAX_ENVELOPE_BYTES) {
        throw new UsageError('ERR_LENGTH', 'envelope has an unsupported length', { got: envelope.length, max: MAX_ENVELOPE_BYTES });
      }
      const bytes = copy(envelope);
      const connection = await open().catch((cause) => {
        // A refused login says nothing about this envelope: it must not look refused for good.
        throw cause instanceof TransportError ? new TransportError('ERR_OFFLINE', 'not connected to the relay', { cause }) : cause;
      });
      return connection.send(to, bytes, signal);
    },
    deliveries: (options = {}) => ({ [Symbol.asyncIterator]: () => deliveryIterator(open, options) }),
    async close() {
      if (closed) return;
      closed = true;
      forget();
      // Not awaited: one that is still being opened closes itself.
      current?.then(
        (connection) => connection.close(),
        () => {},
      );
    },
  };
  const directory: Directory = {
    publish: (keys, { signal } = {}) => http.publish(keys, signal),
    fetch: (account, { take = 'all', signal } = {}) => http.fetch(account, take, signal),
    remaining: () => http.remaining(),
    statement: (account, { signal } = {}) => http.statement(account, signal),
    leave: (slot, bytes, { signal } = {}) => http.leave(slot, bytes, signal),
    pickUp: (slot, { signal } = {}) => http.pickUp(slot, signal),
  };
  return { transport, directory };
}

function closedError(): UsageError {
  return new UsageError('ERR_CLOSED', 'transport is closed');
}

type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;
type Waiter = { resolve(result: IteratorResult<Delivery>): void; reject(error: unknown): void };

/** One loop over the deliveries, written by hand for engines without async generators. Connects at the first `next`. */
function deliveryIterator(open: () => Promise<Connection>, { signal, onUp, onDrained }: DeliveryOptions): AsyncIterator<Delivery> {
  const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
  const queue: Delivery[] = [];
  const waiters: Waiter[] = [];
  let unreadBytes = 0;
  let connection: Connection | undefined;
  let started = false;
  let drainedNext = false;
  let over = false;
  let failure: unknown;

  const consumer: Consumer = {
    deliver(id, bytes) {
      const delivery: Delivery = { id, bytes: copy(bytes), ack: () => connection!.ack(id) };
      const waiter = waiters.shift();
      if (waiter !== undefined) {
        waiter.resolve({ done: false, value: delivery });
      } else {
        queue.push(delivery);
        unreadBytes += bytes.length;
      }
      return unreadBytes;
    },
    drained() {
      // Drained is what the loop has been through, not what the relay has sent.
      if (waiters.length > 0) onDrained?.();
      else drainedNext = true;
    },
    end: finish,
  };

  /** Ends the loop: with an error once, or normally. */
  function finish(error?: unknown): void {
    if (over) return;
    over = true;
    queue.length = 0;
    connection?.leave(consumer);
    signal?.removeEventListener?.('abort', stop);
    const [first, ...others] = waiters.splice(0);
    if (error === undefined) first?.resolve(DONE);
    else if (first !== undefined) first.reject(error);
    else failure = error;
    for (const waiter of others) waiter.resolve(DONE);
  }

  function stop(): void {
    finish();
  }

  function start(): void {
    started = true;
    if (signal?.aborted) {
      finish();
      return;
    }
    signal?.addEventListener('abort', stop);
    open().then((opened) => {
      if (over) return;
      connection = opened;
      opened.receive(consumer);
      if (!over) onUp?.();
    }, finish);
  }

  return {
    next() {
      if (!started) start();
      const delivery = queue.shift();
      if (delivery !== undefined) {
        unreadBytes -= delivery.bytes.length;
        return Promise.resolve({ done: false, value: delivery });
      }
      if (drainedNext) {
        drainedNext = false;
        onDrained?.();
      }
      if (failure !== undefined) {
        const error = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (over) return Promise.resolve(DONE);
      return new Promise((resolve, reject) => waiters.push({ resolve, reject }));
    },
    return() {
      started = true;
      finish();
      return Promise.resolve(DONE);
    },
  };
}
