import { describe, expect, test, vi } from 'vitest';
import { StoreError, TransportError, UsageError } from '../../src/errors.js';
import type { Rng } from '../../src/step.js';
import type { Delivery, Transport } from '../../src/transport/port.js';
import { type RetryOptions, withRetry } from '../../src/transport/retry.js';

type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;
/** What one connection does: events in turn, then it waits until it is aborted or closed. */
type Script = ('up' | 'drained' | 'end' | 'wait' | Delivery | Error)[];

const offline = (retryAfterMs?: number): Error => new TransportError('ERR_OFFLINE', 'no network', { retryAfterMs });
const delivery = (id: string): Delivery => ({ id, bytes: new Uint8Array(1), ack: async () => {} });
/** An rng whose fractions are a half. */
const half: Rng = (lengthBytes) => new Uint8Array(lengthBytes).fill(0x80, 0, 1);

/** A transport that plays one script per connection, and counts connections. */
function scripted(scripts: Script[]) {
  const state = { connections: 0, returned: 0, closed: 0, end: () => {} };
  const transport: Transport = {
    limits: { maxBytes: 99_999 },
    send: vi.fn(async () => {}),
    deliveries: (options: DeliveryOptions = {}) => ({
      [Symbol.asyncIterator]() {
        state.connections++;
        const script = scripts.shift() ?? ['wait'];
        let end = (): void => {};
        const ended = new Promise<void>((resolve) => {
          end = resolve;
        });
        state.end = end;
        options.signal?.addEventListener('abort', end);
        return {
          async next() {
            for (;;) {
              const event = script.shift() ?? 'wait';
              if (event instanceof Error) throw event;
              if (event === 'up') options.onUp?.();
              else if (event === 'drained') options.onDrained?.();
              else if (event === 'end') return { done: true as const, value: undefined };
              else if (event === 'wait') {
                await ended;
                return { done: true as const, value: undefined };
              } else return { done: false as const, value: event };
            }
          },
          async return() {
            state.returned++;
            end();
            return { done: true as const, value: undefined };
          },
        };
      },
    }),
    async close() {
      state.closed++;
      state.end();
    },
  };
  return { state, transport };
}

/** Timers that fire when told, and remember what was asked for. */
function fakeTimers() {
  const asked: number[] = [];
  const pending = new Set<() => void>();
  const waiters: (() => void)[] = [];
  return {
    asked,
    pending,
    setTimer(fn: () => void, ms: number) {
      asked.push(ms);
      pending.add(fn);
      waiters.splice(0).forEach((wake) => void wake());
      return () => void pending.delete(fn);
    },
    /** Waits until a timer is set, then fires it. */
    async fire() {
      if (pending.size === 0) await new Promise<void>((resolve) => waiters.push(resolve));
      for (const fn of pending) {
        pending.delete(fn);
        fn();
      }
    },
  };
}

function setUp(scripts: Script[], options: RetryOptions = {}) {
  const { state, transport } = scripted(scripts);
  const timers = fakeTimers();
  const [onUp, onDown] = [vi.fn(), vi.fn()];
  const retrying = withRetry(transport, { rng: half, setTimer: timers.setTimer, onUp, onDown, ...options });
  return {
    state,
    transport,
    timers,
    onUp,
    onDown,
    retrying,
    read: (given?: DeliveryOptions) => retrying.deliveries(given)[Symbol.asyncIterator](),
  };
}

describe('withRetry', () => {
  test('begins again after an end and after an error, and passes deliveries on', async () => {
    const { state, timers, read } = setUp([[offline()], ['end'], [new Error('socket hang up')], [delivery('1'), 'end'], [delivery('2')]]);
    const iterator = read();
    const first = iterator.next();
    for (let i = 0; i < 3; i++) await timers.fire();
    expect((await first).value.id).toBe('1');
    const second = iterator.next();
    await timers.fire();
    expect((await second).value.id).toBe('2');
    expect(state.connections).toBe(5);
  });

  test('doubles the ceiling of the pauses up to 30 s, and draws evenly below it', async () => {
    const { timers, read } = setUp(Array.from({ length: 12 }, () => [offline()]));
    const iterator = read();
    void iterator.next();
    for (let i = 0; i < 12; i++) await timers.fire();
    expect(timers.asked).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000, 15_000, 15_000]);
    await iterator.return!();
  });

  test.each([
    [0x00, 0],
    [0xff, 249],
  ])('draws the whole range: bytes of %i give %i of 250 ms', async (byte, expected) => {
    const { timers, read } = setUp([[offline()]], { rng: (lengthBytes) => new Uint8Array(lengthBytes).fill(byte) });
    const iterator = read();
    void iterator.next();
    await timers.fire();
    expect(timers.asked).toEqual([expected]);
    await iterator.return!();
  });

  test('starts the pauses again once the connection was up, or delivered', async () => {
    const { timers, read } = setUp([[offline()], [offline()], ['up', offline()], [offline()], [delivery('1'), offline()], ['wait']]);
    const iterator = read();
    const first = iterator.next();
    for (let i = 0; i < 4; i++) await timers.fire();
    await first;
    void iterator.next();
    await timers.fire();
    expect(timers.asked).toEqual([125, 250, 125, 250, 125]);
    await iterator.return!();
  });

  test('waits for retryAfterMs before the jitter, an hour at most', async () => {
    const { timers, read } = setUp([[offline(5_000)], [offline(1e12)], [offline(-7)]]);
    const iterator = read();
    void iterator.next();
    for (let i = 0; i < 3; i++) await timers.fire();
    expect(timers.asked).toEqual([5_125, 3_600_250, 500]);
    await iterator.return!();
  });

  test('tells both hooks of every connection, once', async () => {
    const failure = offline();
    const { timers, onUp, onDown, read } = setUp([['up', 'up', delivery('1'), 'drained', failure], ['end'], [delivery('2')]]);
    const given = { onUp: vi.fn(), onDrained: vi.fn() };
    const iterator = read(given);
    await iterator.next();
    const second = iterator.next();
    for (let i = 0; i < 2; i++) await timers.fire();
    await second;
    expect(onDown.mock.calls).toEqual([
      [failure, 125],
      [undefined, 250],
    ]);
    expect(onUp).toHaveBeenCalledTimes(2);
    expect(given.onUp).toHaveBeenCalledTimes(2);
    expect(given.onDrained).toHaveBeenCalledTimes(1);
  });

  test.each([new StoreError('ERR_STORE_ROLLBACK', 'restored'), new UsageError('ERR_CLOSED', 'closed')])(
    'ends with an error that repeating cannot heal: $code',
    async (failure) => {
      const { state, onDown, read } = setUp([[failure]]);
      const iterator = read();
      await expect(iterator.next()).rejects.toBe(failure);
      expect(await iterator.next()).toEqual({ done: true, value: undefined });
      expect(state.connections).toBe(1);
      expect(onDown).not.toHaveBeenCalled();
    },
  );

  test('ends normally when it is aborted: before, while it waits, while it pauses', async () => {
    const before = setUp([]);
    const aborted = new AbortController();
    aborted.abort();
    expect((await before.read(aborted).next()).done).toBe(true);
    expect(before.state.connections).toBe(0);

    const waiting = setUp([['up', 'wait']]);
    const stop = new AbortController();
    const next = waiting.read(stop).next();
    stop.abort();
    expect((await next).done).toBe(true);

    const pause = new AbortController();
    const pausing = setUp([[offline()]], { onDown: () => queueMicrotask(() => queueMicrotask(() => pause.abort())) });
    expect((await pausing.read(pause).next()).done).toBe(true);
    expect(pausing.timers.asked).toEqual([125]);
    expect(pausing.timers.pending.size).toBe(0);
  });

  test('does not pause when onDown ends it', async () => {
    const stop = new AbortController();
    const { timers, read } = setUp([[offline()]], { onDown: () => stop.abort() });
    expect((await read(stop).next()).done).toBe(true);
    expect(timers.asked).toEqual([]);
  });

  test('ends normally when it is closed, and closes what it wraps', async () => {
    const { state, timers, retrying, read } = setUp([[offline()], ['up', 'wait']]);
    const next = read().next();
    await timers.fire();
    await retrying.close();
    expect((await next).done).toBe(true);
    expect(state.closed).toBe(1);
  });

  test('swallows the error of a connection that its own end broke', async () => {
    const { transport } = scripted([]);
    let fail = (_error: Error): void => {};
    const stop = new AbortController();
    const broken = withRetry({
      ...transport,
      deliveries: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () =>
            new Promise((_, reject) => {
              fail = reject;
            }),
        }),
      }),
    });
    const iterator = broken.deliveries(stop)[Symbol.asyncIterator]();
    const next = iterator.next();
    await Promise.resolve();
    stop.abort();
    fail(new UsageError('ERR_CLOSED', 'closed'));
    expect((await next).done).toBe(true);
    expect((await iterator.return!()).done).toBe(true);
  });

  test('returns from the inner deliveries when the loop breaks off', async () => {
    const { state, retrying } = setUp([[delivery('1'), 'wait']]);
    for await (const { id } of retrying.deliveries()) {
      expect(id).toBe('1');
      break;
    }
    expect(state.returned).toBe(1);
  });

  test('passes send and limits on', async () => {
    const { transport, retrying } = setUp([]);
    const [to, bytes, options] = [{ account: 'bob', device: 1 }, new Uint8Array(3), {}];
    await retrying.send(to, bytes, options);
    expect(transport.send).toHaveBeenCalledWith(to, bytes, options);
    expect(retrying.limits).toBe(transport.limits);
  });

  test('draws and waits by itself where it is given nothing', async () => {
    vi.useFakeTimers();
    try {
      const { state, transport } = scripted([[offline()], [delivery('1')]]);
      const next = withRetry(transport).deliveries()[Symbol.asyncIterator]().next();
      await vi.advanceTimersByTimeAsync(250);
      expect((await next).value.id).toBe('1');
      expect(state.connections).toBe(2);
      const stop = new AbortController();
      const paused = withRetry(scripted([[offline()]]).transport)
        .deliveries(stop)
        [Symbol.asyncIterator]()
        .next();
      await vi.advanceTimersByTimeAsync(0);
      stop.abort();
      expect((await paused).done).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('asks for an rng where the platform has none', () => {
    vi.stubGlobal('crypto', undefined);
    try {
      const { transport } = scripted([]);
      expect(() => withRetry(transport)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'rng' }));
      expect(() => withRetry(transport, { rng: half })).not.toThrow();
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
