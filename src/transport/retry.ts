/**
 * Keeps deliveries coming over connections that fail: a decorator from `Transport` to `Transport`. It owns the one retry loop of the
 * library, so that no adapter needs one. It resends nothing: whoever queues envelopes owns that.
 */

import { isCyphrError, UsageError } from '../errors.js';
import type { Rng } from '../step.js';
import { onAbort } from './abort.js';
import type { Delivery, Transport } from './port.js';

/** Ceiling of the first pause; it doubles with every failure in a row. */
const BASE_MS = 250;
/** Ceiling of every pause: a device is back half a minute after its relay, at the latest. */
const CAP_MS = 30_000;
/** The longest wait that a service can ask for. Also keeps far away from 2³¹ ms, where timers fire at once. */
const SERVICE_CAP_MS = 3_600_000;

/** What `withRetry` may be told. */
export interface RetryOptions {
  /** Draws the jitter, 4 bytes per pause. Default: the platform's `crypto.getRandomValues`. */
  readonly rng?: Rng | undefined;
  /** Calls `fn` once after `ms` and returns how to cancel that. Default: `setTimeout`. */
  readonly setTimer?: ((fn: () => void, ms: number) => () => void) | undefined;
  /** The connection is up: the first delivery, or the transport said so. Called once per connection. */
  readonly onUp?: (() => void) | undefined;
  /** The connection ended, with `error` or without, and is tried again in `retryInMs`. */
  readonly onDown?: ((error: unknown, retryInMs: number) => void) | undefined;
}

type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;

/**
 * Wraps `transport` so that `deliveries()` begins again whenever it ends or throws, until it is aborted, returned from, or closed;
 * then it ends normally. The pause before attempt n in a row is drawn evenly from 0 to min(30 s, 250 ms · 2ⁿ) (full jitter), after
 * an error's `retryAfterMs` (at most an hour) if it has one, and n starts again with every connection that came up.
 *
 * An error that repeating can't heal comes through and ends the deliveries: one of ours whose `action` is `fix`, `ask`, `recover` or
 * `report`, such as `ERR_STORE_ROLLBACK` from the login. `send`, `limits` and `close` are those of `transport`.
 *
 * Throws `ERR_ARGUMENT` (`field: 'rng'`) where neither `rng` nor the platform has randomness.
 *
 * @example
 * const transport = withRetry(inner, { onDown: (_, retryInMs) => showOffline(retryInMs), onUp: showOnline });
 */
export function withRetry(transport: Transport, options: RetryOptions = {}): Transport {
  const { rng = platformRng(), setTimer = platformTimer, onUp, onDown } = options;
  const running = new Set<() => void>();

  function pauseMs(failures: number, error: unknown): number {
    const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** failures);
    const bytes = rng(4);
    const fraction = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 0x1_0000_0000;
    const asked = isCyphrError(error) ? (error.retryAfterMs ?? 0) : 0;
    return Math.min(SERVICE_CAP_MS, Math.max(0, asked)) + Math.floor(fraction * ceiling);
  }

  function iterate(given: DeliveryOptions): AsyncIterator<Delivery> {
    let inner: AsyncIterator<Delivery> | undefined;
    let failures = 0;
    let up = false;
    let ended = false;
    let skipPause: () => void = () => {};

    const cameUp = (): void => {
      failures = 0;
      if (up) return;
      up = true;
      onUp?.();
      given.onUp?.();
    };
    const end = (): void => {
      ended = true;
      running.delete(end);
      skipPause();
    };
    running.add(end);
    onAbort(given.signal, end);

    const pause = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const cancel = setTimer(resolve, ms);
        skipPause = () => {
          cancel();
          resolve();
        };
      });

    async function pull(): Promise<IteratorResult<Delivery>> {
      while (!ended) {
        let failure: unknown;
        try {
          inner ??= transport.deliveries({ ...given, onUp: cameUp })[Symbol.asyncIterator]();
          const result = await inner.next();
          if (result.done !== true) {
            cameUp();
            return result;
          }
        } catch (error) {
          if (!ended && !isTransient(error)) throw error;
          failure = error;
        }
        inner = undefined;
        up = false;
        if (ended) break;
        const ms = pauseMs(failures++, failure);
        onDown?.(failure, ms);
        if (!ended) await pause(ms);
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
        await inner?.return?.();
        return { done: true, value: undefined };
      },
    };
  }

  return {
    limits: transport.limits,
    send: (to, envelope, sendOptions) => transport.send(to, envelope, sendOptions),
    deliveries: (given = {}) => ({ [Symbol.asyncIterator]: () => iterate(given) }),
    close() {
      for (const end of running) end();
      return transport.close();
    },
  };
}

/** Whether repeating may help. What isn't ours is taken for a failing network. */
function isTransient(error: unknown): boolean {
  return !isCyphrError(error) || error.action === 'retry' || error.action === 'resend' || error.action === 'drop';
}

function platformRng(): Rng {
  const { crypto } = globalThis as { crypto?: Crypto };
  if (crypto?.getRandomValues === undefined) {
    throw new UsageError('ERR_ARGUMENT', 'the platform has no randomness: pass rng', { field: 'rng' });
  }
  return (lengthBytes) => crypto.getRandomValues(new Uint8Array(lengthBytes));
}

function platformTimer(fn: () => void, ms: number): () => void {
  const timer = setTimeout(fn, ms);
  return () => clearTimeout(timer);
}
