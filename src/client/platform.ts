/** What the client takes from the platform: randomness, timers, locks in this process. Nothing below the client does. */

import { equal, isZero } from '../bytes.js';
import { UsageError } from '../errors.js';
import type { Now, Rng } from '../step.js';

const POOL_BYTES = 4096;
/** Year 5138: lifetimes can be added to any time up to it. */
const MAX_MS = 1e14;

interface PlatformCrypto {
  getRandomValues(target: Uint8Array): Uint8Array;
}

/** The platform's generator behind a pool that is wiped as it is used; `undefined` where there is none. */
function platformRng(): Rng | undefined {
  const source = (globalThis as { crypto?: PlatformCrypto }).crypto;
  if (typeof source?.getRandomValues !== 'function') return undefined;
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return (lengthBytes) => {
    if (lengthBytes > POOL_BYTES) return source.getRandomValues(new Uint8Array(lengthBytes));
    if (used + lengthBytes > POOL_BYTES) {
      source.getRandomValues(pool);
      used = 0;
    }
    const out = pool.slice(used, used + lengthBytes);
    pool.fill(0, used, used + lengthBytes);
    used += lengthBytes;
    return out;
  };
}

/** Calls a function of the application's; what it throws becomes the cause of `ERR_ARGUMENT`. */
function called<T>(field: 'rng' | 'now', call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new UsageError('ERR_ARGUMENT', `${field} failed`, { field, cause });
  }
}

/** Draws shorter than this may repeat by chance. */
const CHECKED_BYTES = 16;

/** Refuses what a broken or forked generator gives: a wrong length, zeros, or the same first 16 bytes twice in a row. */
function checked(rng: Rng): Rng {
  let last: Uint8Array = new Uint8Array(CHECKED_BYTES);
  return (lengthBytes) => {
    const bytes = called('rng', () => rng(lengthBytes));
    const isBytes = bytes instanceof Uint8Array && bytes.length === lengthBytes;
    const start = isBytes && lengthBytes >= CHECKED_BYTES ? bytes.slice(0, CHECKED_BYTES) : undefined;
    if (!isBytes || (start !== undefined && (equal(start, last) || isZero(start)))) {
      throw new UsageError('ERR_ARGUMENT', 'the random generator is broken', { field: 'rng' });
    }
    last = start ?? last;
    return bytes;
  };
}

/**
 * The client's generator: the platform's, with the application's mixed in (xor), so that a bad one can't weaken it.
 * Throws `ERR_ARGUMENT` (`field: 'rng'`) where there is neither.
 */
export function clientRng(given: Rng | undefined): Rng {
  const platform = platformRng();
  if (given === undefined) {
    if (platform === undefined) throw new UsageError('ERR_ARGUMENT', 'this platform has no random generator: pass one', { field: 'rng' });
    return platform;
  }
  const own = checked(given);
  if (platform === undefined) return own;
  return (lengthBytes) => {
    const out = platform(lengthBytes);
    const mixed = own(lengthBytes);
    for (let i = 0; i < lengthBytes; i++) out[i]! ^= mixed[i]!;
    return out;
  };
}

/** The client's clock: whole milliseconds that every record can hold. Throws `ERR_ARGUMENT` (`field: 'now'`) for what is no time. */
export function clientClock(given: Now = Date.now): Now {
  return () => {
    const ms = called('now', given);
    if (!Number.isFinite(ms)) throw new UsageError('ERR_ARGUMENT', 'the clock is broken', { field: 'now' });
    return Math.min(Math.max(0, Math.floor(ms)), MAX_MS);
  };
}

/** Time as the platform has it, in milliseconds, whatever clock the application gave: it goes on while a tab is frozen. */
export function platformMs(): number {
  return Date.now();
}

/** Calls back on the next macrotask; returns how to cancel. Keeps a Node process alive: it must not end before it has begun. */
export function nextTask(callback: () => void): () => void {
  const handle = setTimeout(callback, 0);
  return () => clearTimeout(handle);
}

/** Calls back once after `ms`; returns how to cancel. Does not keep a Node process alive. */
export function timer(callback: () => void, ms: number): () => void {
  const handle = setTimeout(callback, ms) as unknown as { unref?: () => void };
  handle.unref?.();
  return () => clearTimeout(handle as unknown as number);
}

/** Waits for `promise`, whatever comes of it, but no longer than `ms`. */
export function within(ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const handle = setTimeout(resolve, ms);
    promise
      .catch(() => {})
      .then(() => {
        clearTimeout(handle);
        resolve();
      });
  });
}

/** The reason of an abort, or an error of ours where the platform leaves it empty. */
export function abortReason(signal: AbortSignal): unknown {
  if (signal.reason !== undefined) return signal.reason;
  const error = new Error('The operation was aborted');
  error.name = 'AbortError';
  return error;
}

/** Rejects as soon as `signal` aborts, else settles like `promise`. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal));
    if (signal.aborted) {
      onAbort();
      promise.catch(() => {});
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** A call that its signal can end. */
export type Endable<T> = (options: { readonly signal: AbortSignal }) => Promise<T>;

/** Makes a call that ends with the first of `signals` that aborts: its own signal aborts, and this rejects with the reason of that one. */
export async function endingWith<T>(signals: readonly (AbortSignal | undefined)[], call: Endable<T>): Promise<T> {
  const over = new AbortController();
  const end = (): void => over.abort();
  try {
    for (const each of signals) {
      if (each?.aborted === true) throw abortReason(each);
      each?.addEventListener('abort', end, { once: true });
    }
    return await signals.reduce((made, each) => abortable(made, each), call(over));
  } finally {
    for (const each of signals) each?.removeEventListener('abort', end);
  }
}

/** Runs tasks of one name in call order, those of different names side by side. */
export type Mutex = <T>(name: string, task: () => Promise<T>) => Promise<T>;

/** A mutex for this process. */
export function mutex(): Mutex {
  const tails = new Map<string, Promise<unknown>>();
  return (name, task) => {
    const run = (tails.get(name) ?? Promise.resolve()).then(task);
    const tail = run.then(
      () => {},
      () => {},
    );
    tails.set(name, tail);
    tail.then(() => {
      if (tails.get(name) === tail) tails.delete(name);
    });
    return run;
  };
}

/** A list of listeners; one that throws is rethrown on a microtask, and the others still hear. */
export interface Emitter<E> {
  emit(event: E): void;
  listen(listener: (event: E) => void): () => void;
}

/** An emitter. */
export function emitter<E>(): Emitter<E> {
  const listeners = new Set<(event: E) => void>();
  return {
    emit(event) {
      for (const listener of [...listeners]) {
        try {
          listener(event);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
    listen(listener) {
      const own = (event: E): void => listener(event);
      listeners.add(own);
      return () => listeners.delete(own);
    },
  };
}
