import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { expect, test } from 'vitest';
import { nextTask, timer } from '../../src/client/platform.js';

/** Timers that keep this process alive. */
const holding = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('the next task keeps a process alive, a timer does not', async () => {
  const before = holding();
  const stopTimer = timer(() => {}, 60_000);
  expect(holding()).toBe(before);
  const stopTask = nextTask(() => {});
  expect(holding()).toBe(before + 1);
  stopTask();
  stopTimer();
  expect(holding()).toBe(before);
  await new Promise<void>((resolve) => {
    nextTask(resolve);
  });
});

test('a process whose client has just opened lives until the client has begun to connect', async () => {
  const before = holding();
  const client = await createClient({ account: 'alice', store: memoryStore(), ...memoryNetwork() });
  expect(holding()).toBe(before + 1);
  await client.close();
});
