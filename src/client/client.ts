/**
 * The client that an application holds: checks what it is given, owns the ports and the listeners, and passes every call to the engine
 * that serves now. Listeners, loops and handles outlive an engine.
 */

import { toHex } from '../bytes.js';
import { UsageError } from '../errors.js';
import type { Rng } from '../step.js';
import type { ErasureReport } from '../store/port.js';
import { encodeContent, toContent } from './content.js';
import type { Settings } from './context.js';
import { type CoreHost, openCore } from './core.js';
import { GENERATION, storeCall } from './database.js';
import { destroyStore } from './erasure.js';
import { contactView, devicesView, messageLoops, sentHandle } from './handles.js';
import {
  checkAccount,
  checkEventType,
  checkFunction,
  checkId,
  checkOptions,
  checkReceiveOptions,
  checkRecipient,
  checkSendOptions,
  checkWaitOptions,
} from './options.js';
import { abortable, abortReason, clientClock, clientRng, emitter, mutex } from './platform.js';
import { owned } from './ports.js';
import { recoverStore } from './recovery.js';
import { seat as emptySeat } from './seat.js';
import { joinTabs } from './tabs/tabs.js';
import type { Client, ClientEvent, ClientOptions, Message } from './types.js';

/**
 * Opens this device's client, and registers it if the store is empty; safe to repeat. Resolves once the store is open: a store that
 * holds a device needs no network. On rejection the store is left open, and as it was, except that an empty sealed store may have been
 * founded, with its slot and head: from then on it opens with that key.
 *
 * Tabs and workers of one origin may have one store open (`idbStore`, where the browser has Web Locks): one of them leads, the others
 * work through it and take over when it closes, dies or freezes. All are one device, hear the same events, and share one loop over the
 * messages: in other tabs it waits its turn. The options of the leading tab count, and its `observe` is told. What tabs say to each
 * other stays within the browser and the origin; it is not encrypted, and other scripts of the origin can listen, as they can read what
 * the pages show.
 *
 * Throws `ERR_ARGUMENT` (`field`), `ERR_OFFLINE` (an empty store and no directory), `ERR_ACCOUNT_EXISTS` (an empty store and an
 * account that the directory knows), `ERR_STORE_*` (`ERR_STORE_LOCKED`: another process, or a tab with another version of this
 * library, has the store open; `ERR_STORE_KEY` with `field: 'store'`: the base of a sealed store), or `signal.reason`.
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
    if (owned.has(options[field]))
      throw new UsageError('ERR_ARGUMENT', `this ${field} belongs to another client, which is open`, { field });
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
    if (options.signal?.aborted === true) client.close().catch(() => {});
  }, release);
  return abortable(opening, options.signal);
}

async function open(options: ClientOptions, settings: Settings, rng: Rng, release: () => void): Promise<Client> {
  const now = clientClock(options.now);
  const events = emitter<ClientEvent>();
  const seat = emptySeat();
  const newId = (): string => toHex(rng(16));
  const loops = messageLoops(seat, newId);
  /** Engines change one after another. */
  const changing = mutex();
  const change = <T>(task: () => Promise<T>): Promise<T> => changing('engine', task);
  const emitStatus = (): void => events.emit({ type: 'status', status: seat.status() });

  const recover = (): Promise<void> =>
    change(async () => {
      if (seat.status().state !== 'halted') throw new UsageError('ERR_ARGUMENT', 'the client is not halted', { field: 'status' });
      const halted = seat.vacate()!;
      let next = halted;
      emitStatus();
      try {
        await halted.stop(false);
        await recoverStore(options.store, { directory: options.directory, rng, now });
        next = await openCore(host);
      } finally {
        if (seat.isClosed() || tabs?.leads() === false) {
          await next.stop(seat.isClosed());
        } else {
          seat.take(next);
          emitStatus();
          tabs?.announce();
        }
      }
    });
  let isOpen = false;
  const host: CoreHost = {
    options,
    settings,
    rng,
    now,
    emit(found) {
      // An engine that gives way says how it stands, too: what counts is who serves. That the client is closed is said once, at the end.
      if (found.type === 'status' && seat.isClosed()) return;
      const event: ClientEvent = found.type === 'status' ? { type: 'status', status: seat.status() } : found;
      events.emit(event);
      tabs?.publish(event);
    },
    onHalted: (error) => tabs?.onHalted(error),
    recover,
  };
  const { store } = options;
  const { shared } = store;
  const pulse = async (): Promise<number> => (await storeCall(() => store.read([GENERATION])))[0]?.rev ?? 0;
  const tabs =
    shared &&
    joinTabs({
      shared,
      account: options.account,
      seat,
      newId,
      change,
      openCore: () => openCore(host, isOpen ? undefined : options.signal),
      pulse,
      emit: events.emit,
      onStatus: emitStatus,
      onErased: () => void client.close().catch(() => {}),
    });
  try {
    // In each tab: what is locked is unlocked here, not only when this tab takes over.
    if (tabs !== undefined) await pulse();
    if (tabs === undefined) seat.take(await openCore(host, options.signal));
    else await tabs.start(options.signal);
    isOpen = true;
  } catch (error) {
    tabs?.retire();
    await seat.close()?.stop(true);
    tabs?.leave();
    throw error;
  }

  let closing: Promise<void> | undefined;
  let erasing: Promise<ErasureReport> | undefined;
  /** Ends everything; `last` is what is done to the store. */
  const end = async <T>(last: () => Promise<T>): Promise<T> => {
    tabs?.retire();
    const engine = seat.close();
    try {
      await engine?.stop(true);
      // An engine that was being opened is stopped where it is.
      await change(async () => {});
      return await storeCall(last);
    } finally {
      tabs?.leave();
      release();
      events.emit({ type: 'status', status: { state: 'closed' } });
    }
  };
  const client: Omit<Client, typeof Symbol.asyncDispose> = {
    account: options.account,
    devices: devicesView(seat, newId),
    get device() {
      return seat.device();
    },
    get status() {
      return seat.status();
    },
    async send(to, content, sendOptions = {}) {
      seat.assertOpen();
      const account = checkRecipient(to);
      if (account === options.account)
        throw new UsageError('ERR_ARGUMENT', 'to is this account itself: other devices of it get what goes to other people', {
          field: 'to',
        });
      const { key, signal } = checkSendOptions(sendOptions);
      const payload = encodeContent(toContent(content), now());
      if (signal?.aborted === true) throw abortReason(signal);
      return sentHandle(seat, await seat.call('send', { account, payload, id: newId(), key }, signal));
    },
    async sent(id) {
      seat.assertOpen();
      const facts = await seat.call('sent', { id: checkId(id) });
      return facts && sentHandle(seat, facts);
    },
    messages(receiveOptions = {}) {
      seat.assertOpen();
      return loops(checkReceiveOptions(receiveOptions));
    },
    async subscribe(handler, receiveOptions = {}) {
      seat.assertOpen();
      checkFunction(handler, 'handler');
      const iterator = loops(checkReceiveOptions(receiveOptions))[Symbol.asyncIterator]();
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
      seat.assertOpen();
      if (account === options.account) throw new UsageError('ERR_ARGUMENT', 'one’s own account is no contact', { field: 'account' });
      return contactView(seat, checkAccount(account, 'account'));
    },
    on(type, listener, listenOptions = {}) {
      // A halted client still says that it is halted.
      if (seat.isClosed()) seat.assertOpen();
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
    recover: () => seat.call('recover', {}),
    async diagnose(reference) {
      // A halted client says why.
      if (seat.isClosed()) seat.assertOpen();
      return seat.call('diagnose', { reference: reference === undefined ? undefined : checkId(reference, 'reference') });
    },
    erase() {
      if (erasing === undefined) {
        if (seat.isClosed()) return Promise.reject(new UsageError('ERR_CLOSED', 'the client is closed'));
        erasing = end(async () => {
          await tabs?.evict();
          return destroyStore(store);
        });
        closing = erasing.then(
          () => {},
          () => store.close(),
        );
        // `erase` says what failed; whoever closes hears of it too.
        closing.catch(() => {});
      }
      return erasing;
    },
    close() {
      closing ??= end(() => {
        tabs?.leave();
        return store.close();
      });
      return closing;
    },
  };
  // Attached only where the platform has the symbol; nothing is polyfilled.
  if (typeof Symbol.asyncDispose === 'symbol') Object.defineProperty(client, Symbol.asyncDispose, { value: () => client.close() });
  return client as Client;
}
