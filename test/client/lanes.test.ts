import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Context } from '../../src/client/context.js';
import { lanes } from '../../src/client/lanes.js';
import { TransportError, UsageError } from '../../src/errors.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Lanes whose pauses are the longest that they may be. */
const world = (outcome: () => Promise<UsageError | undefined>) => {
  let runs = 0;
  const ctx = { life: { hasEnded: () => false }, rng: () => new Uint8Array([255]), observer: { log: () => {} } } as unknown as Context;
  const lane = lanes(ctx, {
    isDue: () => true,
    run() {
      runs += 1;
      return outcome();
    },
  });
  return { lane, runs: () => runs };
};
const held = async () => new UsageError('ERR_NO_SESSION', 'no keys yet');
const failed = async (): Promise<never> => {
  throw new TransportError('ERR_OFFLINE', 'down');
};

test.each([
  ['held', held, 5_000],
  ['failed', failed, 500],
])('what is %s is tried again after pauses that double', async (_, outcome, baseMs) => {
  const { lane, runs } = world(outcome);
  lane.wake('bob');
  await vi.advanceTimersByTimeAsync(0);
  for (let i = 0; i < 4; i++) {
    await vi.advanceTimersByTimeAsync(baseMs * 2 ** i - 1);
    expect(runs()).toBe(i + 1);
    await vi.advanceTimersByTimeAsync(1);
    expect(runs()).toBe(i + 2);
  }
});

test.each([
  ['held', held, 5_000],
  ['failed', failed, 500],
])('what is %s and was woken often waits no longer than after the first time', async (_, outcome, baseMs) => {
  const { lane, runs } = world(outcome);
  for (let i = 0; i < 6; i++) {
    lane.wake('bob');
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(runs()).toBe(6);
  await vi.advanceTimersByTimeAsync(baseMs);
  expect(runs()).toBe(7);
});
