/**
 * How the tabs and workers of one origin that have a store open agree on one writer and talk to each other: an exclusive Web Lock,
 * and a BroadcastChannel of the same name. Knows nothing of what is stored, or said.
 */

import { StoreError, UsageError } from '../errors.js';
import type { Leadership, SharedChannel, SharedStore } from './port.js';

/** A `SharedStore` that ends with its store. */
export interface ClosableSharedStore extends SharedStore {
  /**
   * Releases what it leads, rejects with `ERR_CLOSED` what waits, and closes its channels; later calls fail with `ERR_CLOSED`.
   * Resolves once others can have what it led.
   */
  close(): Promise<void>;
}

/**
 * What the contexts that use `name` share; `undefined` where the runtime lacks Web Locks (they need a secure context) or
 * BroadcastChannel. `lead` rejects with `signal.reason`, `ERR_CLOSED`, or `ERR_STORE_IO` with `cause` where the platform refuses the
 * lock; `join` throws `ERR_CLOSED`, `post` throws `ERR_ARGUMENT` (`field: 'message'`) for what can't be cloned. After `close` of a
 * channel `post` does nothing.
 */
export function sharedStore(name: string): ClosableSharedStore | undefined {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined || typeof BroadcastChannel === 'undefined') return undefined;
  /** What ends with the store: locks held, requests that wait, channels. */
  const endings = new Set<() => void>();
  const requests = new Set<Promise<void>>();
  let isClosed = false;

  const closedError = (): UsageError => new UsageError('ERR_CLOSED', 'the store is closed');

  /** Asks for the lock; `undefined` if it is taken and `options` ask for no more. */
  function request(options: LockOptions, isUnwanted: () => boolean): Promise<Leadership | undefined> {
    return new Promise((resolve, reject) => {
      let onLost = (): void => {};
      const lost = new Promise<void>((stolen) => {
        onLost = stolen;
      });
      let isHeld = false;
      const onGranted = (lock: Lock | null): Promise<void> | undefined => {
        if (lock === null || isUnwanted()) {
          resolve(undefined);
          return undefined;
        }
        isHeld = true;
        return new Promise((free) => {
          const release = (): void => {
            endings.delete(release);
            free();
          };
          endings.add(release);
          resolve({ lost, release });
        });
      };
      // A lock that is taken away rejects the request that it was given to.
      const settled = locks.request(name, options, onGranted).then(
        () => {},
        (cause: unknown) => {
          if (isHeld) onLost();
          else reject(new StoreError('ERR_STORE_IO', 'the platform refused the lock', { cause }));
        },
      );
      requests.add(settled);
      settled.finally(() => requests.delete(settled));
    });
  }

  /** Waits for the lock until `signal` aborts, or the store closes. */
  function wait(signal: AbortSignal | undefined): Promise<Leadership | undefined> {
    return new Promise((resolve, reject) => {
      const withdrawal = new AbortController();
      const withdraw = (reason: unknown): void => {
        settle();
        reject(reason);
        withdrawal.abort();
      };
      const onAbort = (): void => withdraw(signal?.reason);
      const onClose = (): void => withdraw(closedError());
      const settle = (): void => {
        signal?.removeEventListener('abort', onAbort);
        endings.delete(onClose);
      };
      signal?.addEventListener('abort', onAbort);
      endings.add(onClose);
      request({ signal: withdrawal.signal }, () => withdrawal.signal.aborted)
        .then(resolve, reject)
        .finally(settle);
    });
  }

  return {
    async lead(how, { signal } = {}) {
      if (isClosed) throw closedError();
      if (signal?.aborted === true) throw signal.reason;
      if (how === 'wait') return wait(signal);
      const leadership = await request(how === 'steal' ? { steal: true } : { ifAvailable: true }, () => isClosed);
      if (isClosed) throw closedError();
      return leadership;
    },

    join(onMessage): SharedChannel {
      if (isClosed) throw closedError();
      const channel = new BroadcastChannel(name);
      // Chromium hands messages to a frozen tab, which gets nothing from its timers or its store: they wait for it to thaw, lest it
      // begins what it can't end and locks the others out.
      let held: unknown[] | undefined;
      const freeze = (): void => {
        held ??= [];
      };
      const thaw = (): void => {
        const late = held ?? [];
        held = undefined;
        for (const message of late) onMessage(message);
      };
      globalThis.document?.addEventListener('freeze', freeze);
      globalThis.document?.addEventListener('resume', thaw);
      channel.onmessage = ({ data }) => {
        if (held === undefined) onMessage(data);
        else held.push(data);
      };
      const close = (): void => {
        endings.delete(close);
        globalThis.document?.removeEventListener('freeze', freeze);
        globalThis.document?.removeEventListener('resume', thaw);
        channel.close();
      };
      endings.add(close);
      return {
        post(message) {
          if (!endings.has(close)) return;
          try {
            channel.postMessage(message);
          } catch (cause) {
            throw new UsageError('ERR_ARGUMENT', 'message must be what a structured clone can hold', { field: 'message', cause });
          }
        },
        close,
      };
    },

    async close() {
      isClosed = true;
      for (const end of endings) end();
      await Promise.all(requests);
    },
  };
}
