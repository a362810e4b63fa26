/** The one orchestrator: opens a store, binds the ports, and joins what sends with what receives. */

import { copy, toHex } from '../bytes.js';
import { type AnyCyphrError, InternalError, isCyphrError, StoreError, TransportError, TrustError, UsageError } from '../errors.js';
import {
  type DeviceSecrets,
  decodeDevice,
  encodeDevice,
  generateDevice,
  proveLogin,
  readOwnLogin,
  verifyDeviceList,
} from '../identity/index.js';
import { encodePrekeys, generatePrekeys, type PrekeyState } from '../pqxdh/prekeys.js';
import type { Rng } from '../step.js';
import type { Bound, Delivery, Directory, Login, Transport } from '../transport/port.js';
import { withRetry } from '../transport/retry.js';
import { contacts as openContacts } from './contacts.js';
import { encodeContent, toContent } from './content.js';
import { type Context, observer } from './context.js';
import { type Database, openDatabase } from './database.js';
import { encryption as openEncryption } from './encryption.js';
import { inbox as openInbox } from './inbox.js';
import { loadPrekeys, keyring as openKeyring, publishWrite } from './keyring.js';
import { checkAccount, checkKey, checkOptions } from './options.js';
import { outbox as openOutbox } from './outbox.js';
import { abortable, abortReason, clientRng, emitter, mutex, timer } from './platform.js';
import { prune } from './prune.js';
import { receiver as openReceiver } from './receiver.js';
import { keys, metaRecord } from './records.js';
import { sessions as openSessions } from './sessions.js';
import type { Client, ClientEvent, ClientOptions, ClientStatus, Message } from './types.js';

const MAINTENANCE_MS = 3_600_000;
const STORE_PAUSE_MS = 1_000;

/** Ports that a living client owns. */
const owned = new WeakSet<object>();

/**
 * Opens this device's client, and registers it if the store is empty; safe to repeat. Resolves once the store is open: a store that
 * holds a device needs no network. On rejection the store is left open, and as it was.
 *
 * Throws `ERR_ARGUMENT` (`field`), `ERR_OFFLINE` (an empty store and no directory), `ERR_ACCOUNT_EXISTS` (an empty store and an
 * account that the directory knows), `ERR_STORE_*`, or `signal.reason`.
 *
 * @example
 * const alice = await createClient({ account: 'alice', store: memoryStore(), ...memoryNetwork() });
 */
export function createClient(options: ClientOptions): Promise<Client> {
  return openClient(options, clientRng);
}

/** `createClient` with the way its generator is made: `./testing` passes one that mixes nothing in. */
export async function openClient(options: ClientOptions, makeRng: (given: Rng | undefined) => Rng): Promise<Client> {
  const settings = checkOptions(options);
  if (options.signal?.aborted === true) throw abortReason(options.signal);
  const ports = [options.store, options.transport, options.directory].filter((port) => typeof port === 'object');
  if (ports.some((port) => owned.has(port)))
    throw new UsageError('ERR_ARGUMENT', 'this port belongs to another client', { field: 'store' });
  const rng = makeRng(options.rng);
  for (const port of ports) owned.add(port);
  const release = (): void => {
    for (const port of ports) owned.delete(port);
  };
  const opening = open(options, settings, rng, release);
  try {
    return await abortable(opening, options.signal);
  } catch (error) {
    opening.then(
      (client) => client.close(),
      () => {},
    );
    release();
    throw error;
  }
}

/** What registration or a stored device gives. */
interface Identity {
  readonly device: DeviceSecrets;
  readonly prekeys: PrekeyState;
  readonly isNew: boolean;
}

async function open(options: ClientOptions, settings: Context['settings'], rng: Rng, release: () => void): Promise<Client> {
  const now = options.now ?? Date.now;
  const watch = observer(options.observe, rng, now);
  const startMs = now();
  const db = await openDatabase(
    options.store,
    () => rng(16),
    (durationMs) => watch.done('commit', durationMs),
    now,
  );
  const stored = await loadIdentity(db, options.account);
  let device = stored?.device ?? generateDevice(options.account, rng, now());
  let halted: StoreError | undefined;
  let closed = false;

  const login: Login = {
    address: { account: options.account, device: device.device },
    async prove({ audience, nonce, lastProof }) {
      const last = lastProof === undefined ? undefined : readOwnLogin(device, lastProof);
      if (last !== undefined && toHex(last.storeId) === toHex(db.storeId) && last.generation > db.generation()) {
        halt(
          new StoreError('ERR_STORE_ROLLBACK', 'this store is older than what this device has shown before', {
            got: db.generation(),
            max: last.generation,
          }),
        );
      }
      if (halted !== undefined) throw halted;
      return copy(proveLogin(device, { audience, nonce, storeId: db.storeId, generation: db.generation() }, rng));
    },
  };
  const bind = <P>(port: Bound<P>): P => (typeof port === 'function' ? (port as (login: Login) => P)(login) : port);
  const transport = bind<Transport>(options.transport);
  const directory = wrapDirectory(bind<Directory>(options.directory));

  let identity: Identity;
  try {
    identity = stored ?? (await register(device, db, directory, rng, now()));
  } catch (error) {
    if (typeof options.transport === 'function') await transport.close().catch(() => {});
    throw error;
  }

  const events = emitter<ClientEvent>();
  let ownList = verifyDeviceList(device.deviceList, device.accountKey.publicKey);
  let seq = now() * 0x100;
  let connection: 'connecting' | 'online' | 'offline' = 'connecting';
  let drained = false;
  let busyDeliveries = 0;
  /** False until every part is there: what they load is no news. */
  let isReady = false;
  let statusIsDue = false;

  const retrying = withRetry(wrapTransport(transport), {
    rng,
    onUp: () => {
      setConnection('online');
      outbox.wakeAll();
      receiver.confirmAll();
      maintain();
    },
    onDown: (error) => {
      drained = false;
      if (error !== undefined) watch.log('info', 'connection-down', isCyphrError(error) ? error.code : 'ERR_OFFLINE');
      setConnection('offline');
    },
  });
  const ctx: Context = {
    settings,
    db,
    transport: retrying,
    directory,
    rng,
    now,
    lock: mutex(),
    events,
    observer: watch,
    device: () => device,
    ownList: () => ownList,
    setDevice(next) {
      device = next;
      ownList = verifyDeviceList(next.deviceList, next.accountKey.publicKey);
    },
    nextSeq: () => ++seq,
    closed: () => closed || halted !== undefined,
  };
  // Rows of an earlier run stay before those of this one, whatever the clock says.
  for (const space of ['inbox', 'pending', 'outbox'] as const) {
    for (const { key } of await db.list([space])) seq = Math.max(seq, Number.parseInt(key[space === 'inbox' ? 1 : 2]!, 16));
  }

  const contacts = await openContacts(ctx);
  const sessions = openSessions(db);
  const encryption = openEncryption(ctx, contacts, sessions);
  const outbox = await openOutbox(ctx, contacts, encryption, statusChanged);
  const inbox = await openInbox(ctx, contacts, () => drained && busyDeliveries === 0, statusChanged);
  const keyring = openKeyring(ctx, identity.prekeys);
  const receiver = openReceiver(ctx, contacts, sessions, inbox, keyring, (account) => outbox.wake(account));
  contacts.onPinned((account) => {
    outbox.wake(account);
    inbox.stir();
    receiver.retry().catch(() => watch.log('warn', 'retry-failed'));
  });

  function status(): ClientStatus {
    if (closed) return { state: 'closed' };
    if (halted !== undefined) return { state: 'halted', error: halted };
    return { state: connection, queuedCount: outbox.queuedCount(), unackedCount: inbox.count() };
  }
  /** Many changes in a row make one event. */
  function statusChanged(): void {
    if (!isReady || statusIsDue) return;
    statusIsDue = true;
    queueMicrotask(() => {
      statusIsDue = false;
      events.emit({ type: 'status', status: status() });
    });
  }
  function setConnection(next: typeof connection): void {
    if (connection === next) return;
    connection = next;
    statusChanged();
    inbox.stir();
  }
  function halt(error: StoreError): void {
    if (halted !== undefined) return;
    halted = error;
    watch.log('error', 'halted', error.code);
    statusChanged();
    inbox.stir();
  }
  function maintain(): void {
    keyring.maintain().catch((error: unknown) => watch.log('info', 'maintenance-failed', isCyphrError(error) ? error.code : 'ERR_BUG'));
  }
  function assertOpen(): void {
    if (closed) throw new UsageError('ERR_CLOSED', 'the client is closed');
    if (halted !== undefined) throw halted;
  }

  const onDrained = (): void => {
    drained = true;
    inbox.stir();
  };
  /** Takes envelopes one after another; a store that fails makes the carrier deliver again, after a pause. */
  const receiveAll = async (): Promise<void> => {
    while (!ctx.closed()) {
      const iterator = retrying.deliveries({ onDrained })[Symbol.asyncIterator]();
      try {
        for (;;) {
          await inbox.room();
          const result = await iterator.next();
          if (result.done === true || ctx.closed()) return;
          await receiveOne(result.value);
        }
      } catch (error) {
        await iterator.return?.();
        if (ctx.closed()) return;
        drained = false;
        setConnection('offline');
        if (!(error instanceof StoreError)) watch.log('error', 'receiving-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
        if (error instanceof StoreError && error.code !== 'ERR_STORE_IO' && error.code !== 'ERR_STORE_FULL') return halt(error);
        await new Promise<void>((resolve) => {
          timer(resolve, STORE_PAUSE_MS);
        });
      }
    }
  };
  const receiveOne = async (delivery: Delivery): Promise<void> => {
    busyDeliveries += 1;
    try {
      await receiver.receive(delivery);
    } finally {
      busyDeliveries -= 1;
      inbox.stir();
    }
  };

  isReady = true;
  if (identity.isNew) await publishFirst(keyring.maintain, db);
  watch.done('open', now() - startMs);
  let receiving: Promise<void> = Promise.resolve();
  let stopMaintenance = (): void => {};
  const schedule = (): void => {
    stopMaintenance = timer(() => {
      maintain();
      schedule();
    }, MAINTENANCE_MS);
  };
  // Not before the next macrotask: listeners that are added at once miss nothing.
  const stopStart = timer(() => {
    receiving = receiveAll();
    outbox.wakeAll();
    schedule();
    prune(ctx).catch(() => watch.log('info', 'prune-failed'));
  }, 0);

  let closing: Promise<void> | undefined;
  const shut = async (): Promise<void> => {
    closed = true;
    stopStart();
    stopMaintenance();
    receiver.close();
    inbox.stir();
    await retrying.close().catch(() => {});
    await outbox.close();
    await receiving;
    await db.close();
    release();
    events.emit({ type: 'status', status: { state: 'closed' } });
  };
  const client: Omit<Client, typeof Symbol.asyncDispose> = {
    account: options.account,
    device: device.device,
    get status() {
      return status();
    },
    async send(to, content, sendOptions = {}) {
      assertOpen();
      const account = checkAccount(typeof to === 'object' && to !== null && to.kind === 'person' ? to.account : to, 'to');
      if (account === options.account) throw new UsageError('ERR_ARGUMENT', 'a message to oneself needs a second device', { field: 'to' });
      const key = sendOptions.key === undefined ? undefined : checkKey(sendOptions.key);
      const payload = encodeContent(toContent(content), now());
      if (sendOptions.signal?.aborted === true) throw abortReason(sendOptions.signal);
      return watch.span('send', () => outbox.send(account, payload, key), { paddedBytes: payload.length - (payload.length % 512) + 512 });
    },
    async sent(id) {
      assertOpen();
      return outbox.sent(id);
    },
    messages(receiveOptions = {}) {
      assertOpen();
      return inbox.messages(receiveOptions);
    },
    async subscribe(handler, receiveOptions = {}) {
      assertOpen();
      const iterator = inbox.messages(receiveOptions)[Symbol.asyncIterator]();
      try {
        for (let result = await iterator.next(); result.done !== true; result = await iterator.next()) {
          const message: Message = result.value;
          await handler(message);
          await message.ack();
        }
      } finally {
        await iterator.return?.();
      }
    },
    contact(account) {
      assertOpen();
      return contacts.view(checkAccount(account, 'account'));
    },
    on(type, listener, { signal } = {}) {
      assertOpen();
      if (signal?.aborted === true) return () => {};
      const stop = events.listen((event) => {
        if (event.type === type) listener(event as Parameters<typeof listener>[0]);
      });
      signal?.addEventListener('abort', stop, { once: true });
      return stop;
    },
    close() {
      closing ??= shut();
      return closing;
    },
  };
  // Attached only where the platform has the symbol; nothing is polyfilled.
  if (typeof Symbol.asyncDispose === 'symbol') Object.defineProperty(client, Symbol.asyncDispose, { value: () => client.close() });
  return client as Client;
}

async function loadIdentity(db: Database, account: string): Promise<Identity | undefined> {
  const row = await db.read(keys.meta);
  if (row === undefined) return undefined;
  const meta = metaRecord.decode(row);
  if (meta.account !== account) throw new UsageError('ERR_ARGUMENT', 'this store belongs to another account', { field: 'account' });
  const device = await db.read(keys.device);
  const prekeys = await loadPrekeys(db);
  if (device === undefined || prekeys === undefined)
    throw new StoreError('ERR_STORE_CORRUPT', 'the store holds an account without its keys');
  return { device: decodeDevice(device), prekeys, isNew: false };
}

/** Makes the first rows of an empty store, once the directory has said that the account is free. */
async function register(device: DeviceSecrets, db: Database, directory: Directory, rng: Rng, nowMs: number): Promise<Identity> {
  const known = await directory.fetch(device.account, { take: [] });
  if (known.length > 0)
    throw new TrustError('ERR_ACCOUNT_EXISTS', 'the directory knows this account, and this store is empty: link this device instead');
  const { next, out } = generatePrekeys(device, rng, nowMs);
  await db.commit([
    { key: keys.meta, value: metaRecord.encode({ account: device.account, device: device.device }), ifRev: 0 },
    { key: keys.device, value: encodeDevice(device) },
    { key: keys.prekeys, value: encodePrekeys(next) },
    publishWrite(out),
  ]);
  return { device, prekeys: next, isNew: true };
}

/** The first publication claims the account's name. Offline, it goes out later; refused, somebody else was faster, and the store is empty again. */
async function publishFirst(maintain: () => Promise<void>, db: Database): Promise<void> {
  try {
    await maintain();
  } catch (error) {
    if (!(error instanceof TransportError) || error.code !== 'ERR_REJECTED' || error.retryAfterMs !== undefined) return;
    await db.commit([keys.meta, keys.device, keys.prekeys, keys.publish].map((key) => ({ key, value: null })));
    throw new TrustError('ERR_ACCOUNT_EXISTS', 'the account was registered by another device at the same time', { cause: error });
  }
}

/** Our error, or what an adapter threw wrapped as `ERR_OFFLINE`; an abort stays what it is. */
function networkError(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (isCyphrError(cause) || signal?.aborted === true) return cause;
  if (cause instanceof TypeError && !/fetch/i.test(cause.message)) return new InternalError('ERR_BUG', 'an adapter failed', { cause });
  return new TransportError('ERR_OFFLINE', 'the network failed', { cause }) satisfies AnyCyphrError;
}

function wrapTransport(transport: Transport): Transport {
  return {
    limits: transport.limits,
    async send(to, envelope, options) {
      try {
        await transport.send(to, envelope, options);
      } catch (error) {
        throw networkError(error, options?.signal);
      }
    },
    deliveries: (options) => transport.deliveries(options),
    close: () => transport.close(),
  };
}

function wrapDirectory(directory: Directory): Directory {
  const guarded = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw networkError(error, undefined);
    }
  };
  const { remaining } = directory;
  return {
    publish: (published, options) => guarded(() => directory.publish(published, options)),
    fetch: (account, options) => guarded(() => directory.fetch(account, options)),
    ...(remaining === undefined ? {} : { remaining: () => guarded(() => remaining.call(directory)) }),
  };
}
