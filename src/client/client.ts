/** The one orchestrator: opens a store, binds the ports, and joins what sends with what receives. */

import { isCyphrError, UsageError } from '../errors.js';
import { generateDevice, verifyDeviceList } from '../identity/index.js';
import type { Rng } from '../step.js';
import { withRetry } from '../transport/retry.js';
import { contacts as openContacts } from './contacts.js';
import { encodeContent, toContent } from './content.js';
import { type Context, observer } from './context.js';
import { openDatabase } from './database.js';
import { encryption as openEncryption } from './encryption.js';
import { inbox as openInbox } from './inbox.js';
import { takeDeliveries } from './incoming.js';
import { keyring as openKeyring } from './keyring.js';
import { life as beginLife } from './life.js';
import {
  checkAccount,
  checkEventType,
  checkFunction,
  checkId,
  checkOptions,
  checkReceiveOptions,
  checkSendOptions,
  checkWaitOptions,
} from './options.js';
import { outbox as openOutbox } from './outbox.js';
import { abortable, abortReason, clientClock, clientRng, emitter, mutex, nextTask, timer } from './platform.js';
import { bindDirectory, bindTransport, deviceLogin } from './ports.js';
import { prune } from './prune.js';
import { receiver as openReceiver } from './receiver.js';
import { loadIdentity, publishFirst, register } from './registration.js';
import { sessions as openSessions } from './sessions.js';
import type { Client, ClientEvent, ClientOptions, ClientStatus, Message } from './types.js';

/** How often keys are looked after, and how soon again if the directory could not be reached. */
const MAINTENANCE_MS = 3_600_000;
const MAINTENANCE_RETRY_MS = 60_000;
const PRUNE_MS = 86_400_000;

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
  const fields = (['store', 'transport', 'directory'] as const).filter((field) => typeof options[field] === 'object');
  for (const field of fields) {
    if (owned.has(options[field])) throw new UsageError('ERR_ARGUMENT', 'this port belongs to another client', { field });
  }
  const ports = fields.map((field) => options[field]);
  const rng = makeRng(options.rng);
  for (const port of ports) owned.add(port);
  const release = (): void => {
    for (const port of ports) owned.delete(port);
  };
  const opening = open(options, settings, rng, release);
  // Aborted while it was opening: it stops at its next check, and then the ports are free again.
  opening.then((client) => {
    if (options.signal?.aborted === true) void client.close();
  }, release);
  return abortable(opening, options.signal);
}

async function open(options: ClientOptions, settings: Context['settings'], rng: Rng, release: () => void): Promise<Client> {
  const now = clientClock(options.now);
  const watch = observer(options.observe, rng, now);
  const startMs = now();
  const life = beginLife();
  const db = await openDatabase(options.store, {
    rng,
    now,
    onCommit: (durationMs) => watch.done('commit', durationMs),
    onLost: (error) => life.halt(error),
  });
  life.onEnd((error) => db.fail(error));
  const stored = await loadIdentity(db, options.account);
  let device = stored?.device ?? generateDevice(options.account, rng, now());
  const login = deviceLogin(() => device, db, life, rng);
  const transport = bindTransport(options.transport, login);
  try {
    const directory = bindDirectory(options.directory, login);
    const identity = stored ?? (await register(device, db, directory, rng, now(), options.signal));
    const events = emitter<ClientEvent>();
    let ownList = verifyDeviceList(device.deviceList, device.accountKey.publicKey);
    let seq = 0;
    let connection: 'connecting' | 'online' | 'offline' = 'connecting';
    let drained = false;
    let busyDeliveries = 0;
    let statusIsDue = false;
    /** False until every part is there: what they load is no news. */
    let isReady = false;

    const ctx: Context = {
      settings,
      db,
      transport: withRetry(transport, {
        rng,
        onUp() {
          setConnection('online');
          outbox.wakeAll();
          receiver.confirmAll();
          maintain();
        },
        onDown(error) {
          drained = false;
          if (error !== undefined) watch.log('info', 'connection-down', isCyphrError(error) ? error.code : 'ERR_OFFLINE');
          setConnection('offline');
        },
      }),
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
      life,
    };
    // Rows of an earlier run stay before those of this one.
    for (const space of ['inbox', 'pending', 'outbox'] as const) {
      for (const { key } of await db.list([space])) seq = Math.max(seq, Number.parseInt(key[space === 'inbox' ? 1 : 2]!, 16));
    }

    const contacts = await openContacts(ctx);
    const sessions = openSessions(db);
    const encryption = openEncryption(ctx, contacts, sessions);
    const outbox = await openOutbox(ctx, contacts, encryption, statusChanged);
    const inbox = await openInbox(ctx, contacts, () => drained && busyDeliveries === 0 && !receiver.isAsking(), statusChanged);
    const keyring = openKeyring(ctx, identity.prekeys);
    const receiver = openReceiver(ctx, contacts, sessions, inbox, keyring, (account) => outbox.wake(account));
    contacts.onPinned((account) => {
      outbox.wake(account);
      inbox.stir();
    });
    life.onEnd((error) => {
      if (!life.isClosed()) watch.log('error', 'halted', error.code);
      stopTimers();
      receiver.close();
      statusChanged();
      inbox.stir();
    });

    function status(): ClientStatus {
      const error = life.halted();
      if (life.isClosed()) return { state: 'closed' };
      if (error !== undefined) return { state: 'halted', error };
      return { state: connection, queuedCount: outbox.queuedCount(), unackedCount: inbox.count() };
    }
    /** Many changes in a row make one event. */
    function statusChanged(): void {
      if (!isReady || statusIsDue) return;
      statusIsDue = true;
      queueMicrotask(() => {
        statusIsDue = false;
        // That it is closed is said once, when it is.
        if (!life.isClosed()) events.emit({ type: 'status', status: status() });
      });
    }
    function setConnection(next: typeof connection): void {
      if (connection === next) return;
      connection = next;
      statusChanged();
      inbox.stir();
    }

    let prunedAtMs = Number.NEGATIVE_INFINITY;
    let stopTimers = (): void => {};
    /** Looks after the keys, and forgets what is past its time; again in an hour, or soon if it failed. */
    function maintain(): void {
      const work = async (): Promise<void> => {
        await keyring.maintain();
        receiver.confirmAll();
        if (Math.abs(now() - prunedAtMs) < PRUNE_MS) return;
        await prune(ctx);
        prunedAtMs = now();
      };
      const again = (ms: number): void => {
        stopTimers();
        if (!ctx.life.hasEnded()) stopTimers = timer(maintain, ms);
      };
      work().then(
        () => again(MAINTENANCE_MS),
        (error: unknown) => {
          watch.log('info', 'maintenance-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
          again(MAINTENANCE_RETRY_MS);
        },
      );
    }

    let receiving: Promise<void> = Promise.resolve();
    const start = (): void => {
      receiving = takeDeliveries(
        ctx,
        inbox,
        async (delivery) => {
          busyDeliveries += 1;
          try {
            await receiver.receive(delivery);
          } finally {
            busyDeliveries -= 1;
            inbox.stir();
          }
        },
        {
          onStranded: receiver.onStranded,
          onDrained() {
            drained = true;
            inbox.stir();
          },
          onInterrupted() {
            drained = false;
            setConnection('offline');
          },
          onFatal: life.halt,
        },
      );
      outbox.wakeAll();
      maintain();
    };

    isReady = true;
    if (stored === undefined) await publishFirst(() => abortable(keyring.publish(), options.signal), db);
    if (options.signal?.aborted === true) throw abortReason(options.signal);
    watch.done('open', now() - startMs);
    // Not before the next macrotask: listeners that are added at once miss nothing.
    stopTimers = nextTask(start);

    let closing: Promise<void> | undefined;
    const shut = async (): Promise<void> => {
      life.close();
      try {
        await ctx.transport.close().catch(() => {});
        await outbox.close();
        await receiving;
        await db.close();
      } finally {
        release();
        events.emit({ type: 'status', status: { state: 'closed' } });
      }
    };
    const client: Omit<Client, typeof Symbol.asyncDispose> = {
      account: options.account,
      device: device.device,
      get status() {
        return status();
      },
      async send(to, content, sendOptions = {}) {
        life.assertOpen();
        const account = checkAccount(typeof to === 'object' && to !== null && to.kind === 'person' ? to.account : to, 'to');
        if (account === options.account)
          throw new UsageError('ERR_ARGUMENT', 'a message to oneself needs a second device', { field: 'to' });
        const { key, signal } = checkSendOptions(sendOptions);
        const payload = encodeContent(toContent(content), now());
        if (signal?.aborted === true) throw abortReason(signal);
        const paddedBytes = payload.length - (payload.length % 512) + 512;
        return watch.span('send', () => outbox.send(account, payload, { key, signal }), { paddedBytes });
      },
      async sent(id) {
        life.assertOpen();
        return outbox.sent(checkId(id));
      },
      messages(receiveOptions = {}) {
        life.assertOpen();
        return inbox.messages(checkReceiveOptions(receiveOptions));
      },
      async subscribe(handler, receiveOptions = {}) {
        life.assertOpen();
        checkFunction(handler, 'handler');
        const iterator = inbox.messages(checkReceiveOptions(receiveOptions))[Symbol.asyncIterator]();
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
        life.assertOpen();
        if (account === options.account) throw new UsageError('ERR_ARGUMENT', 'one’s own account is no contact', { field: 'account' });
        return contacts.view(checkAccount(account, 'account'));
      },
      on(type, listener, listenOptions = {}) {
        // A halted client still says that it is halted.
        if (life.isClosed()) life.assertOpen();
        checkEventType(type);
        const { signal } = checkWaitOptions(listenOptions);
        checkFunction(listener, 'listener');
        if (signal?.aborted === true) return () => {};
        const unlisten = events.listen((event) => {
          if (event.type === type) listener(event as Parameters<typeof listener>[0]);
        });
        const stop = (): void => {
          signal?.removeEventListener('abort', stop);
          unlisten();
        };
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
  } catch (error) {
    life.close();
    if (typeof options.transport === 'function') await transport.close().catch(() => {});
    throw error;
  }
}
