/** What waits and is tried again: in its order, one at a time, and nothing for ever. The envelopes are a test's. */

import { expect, test } from 'vitest';
import type { Context } from '../../src/client/context.js';
import { type DeferredEvents, deferred, Later } from '../../src/client/deferred.js';
import { mutex } from '../../src/client/platform.js';
import type { Delivery } from '../../src/transport/port.js';

const envelope = (id: string): Delivery => ({ id, bytes: new Uint8Array(), ack: async () => {} });
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));
const pin = (identity: string): Later => new Later('pin', 'eve', identity);

/** Envelopes that are tried end when the test says so, with what it says. */
const made = (events: Partial<DeferredEvents> = {}) => {
  const log: string[] = [];
  const open = new Map<string, (again?: Later) => Promise<void>>();
  const ctx = {
    now: () => 0,
    life: { hasEnded: () => false },
    lock: mutex(),
    observer: { log: (_level: string, event: string) => log.push(event) },
  } as unknown as Context;
  const later = deferred(ctx, {
    take: (delivery) =>
      new Promise((resolve, reject) => {
        log.push(delivery.id);
        open.set(delivery.id, async (again) => {
          if (again?.why === 'room') reject(new Error('the store failed'));
          else if (again !== undefined) later.add(delivery, again);
          resolve();
          await turn();
        });
      }),
    isFull: () => true,
    isOver: () => false,
    onTried: () => log.push('tried'),
    ...events,
  });
  return { later, log, end: (id: string, again?: Later) => open.get(id)!(again) };
};

test('what is tried is tried one after another, also by two runs, and each once', async () => {
  const { later, log, end } = made();
  for (const id of ['1', '2', '3']) later.add(envelope(id), pin('x'));
  const runs = Promise.all([later.retry('eve', 'pin'), later.retry('eve')]);
  await turn();
  expect([log, later.isTrying()]).toEqual([['1'], true]);
  for (const id of ['1', '2', '3']) await end(id);
  await runs;
  expect([log, later.isTrying()]).toEqual([['1', '2', '3', 'tried', 'tried'], false]);
});

test('who comes while others of the same identity wait or are tried is behind them', async () => {
  const { later, end } = made();
  const behind = (): boolean[] => ['x', 'y'].map((identity) => later.isBehind('eve', identity));
  later.add(envelope('1'), pin('x'));
  later.add(envelope('2'), pin('x'));
  later.add(envelope('3'), new Later('person', 'eve', 'y'));
  expect([behind(), later.isBehind('bob', 'x')]).toEqual([[true, false], false]);
  const run = later.retry('eve', 'pin');
  await turn();
  expect(behind()).toEqual([true, false]);
  await end('1');
  expect(behind()).toEqual([true, false]);
  await end('2');
  expect(behind()).toEqual([false, false]);
  await run;
});

test('what waits for an answer that has come meanwhile is tried at once, behind what is being tried', async () => {
  let hasCome = false;
  const { later, log, end } = made({ isOver: () => hasCome });
  later.add(envelope('1'), pin('x'));
  expect(log).toEqual([]);
  hasCome = true;
  const run = later.retry('eve', 'pin');
  await turn();
  later.add(envelope('2'), pin('x'));
  await turn();
  expect(log).toEqual(['1']);
  await end('1');
  await run;
  await turn();
  expect(log).toEqual(['1', 'tried', '2']);
  await end('2');
  expect([log, later.isTrying()]).toEqual([['1', 'tried', '2', 'tried'], false]);
});

test('a store that fails while one is tried: the carrier is asked for the rest, nobody is behind it, and the next run goes', async () => {
  const { later, log, end } = made();
  later.onStranded(() => log.push('stranded'));
  later.add(envelope('1'), pin('x'));
  later.add(envelope('2'), pin('x'));
  const run = later.retry('eve', 'pin');
  const failed = expect(run).rejects.toThrow('the store failed');
  await turn();
  await end('1', new Later('room'));
  await failed;
  expect([log, later.isBehind('eve', 'x'), later.has(envelope('2'))]).toEqual([['1', 'stranded', 'tried'], false, false]);
  later.add(envelope('3'), pin('x'));
  const next = later.retry('eve', 'pin');
  await turn();
  await end('3');
  await next;
  expect(log.slice(3)).toEqual(['3', 'tried']);
});
