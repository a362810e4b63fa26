import { expect, test } from 'vitest';
import type { Contender } from '../../bench/contenders.js';
import { sideBySide } from '../../bench/driver.js';
import { ratios, spread } from '../../bench/statistics.js';

/** A contender whose module is written out. */
const contender = (id: string, slots: string, options = {}): Contender => ({
  id,
  name: `the ${id} one`,
  module: `data:text/javascript,export default ({ count = 1 }) => ({ slots: { ${slots} } })`,
  options,
});
const BUSY = 'busy: { count, prepare: () => () => { for (let i = 0; i < 3e6 * count; i++); } }';

test('every contender is measured in every round, by repetition', async () => {
  const runs = await sideBySide([contender('short', BUSY), contender('long', BUSY, { count: 4 })], 3, () => {});
  expect(runs.map(({ id, samples }) => [id, samples['busy']!.length])).toEqual([
    ['short', 3],
    ['long', 3],
  ]);
  for (const { samples } of runs) for (const { cpuUs, wallUs } of samples['busy']!) expect(Math.min(cpuUs, wallUs)).toBeGreaterThan(0);
});

test.each([
  ['throws', 'broken: { count: 1, prepare() { throw new Error("out of order"); } }', /the throws one: Error: out of order/],
  ['ends', 'broken: { count: 1, prepare: () => () => process.exit(3) }', /the ends one: the process ended/],
])('a contender that %s fails the run by its name', async (id, slots, message) => {
  await expect(sideBySide([contender(id, slots)], 1, () => {})).rejects.toThrow(message);
});

test('medians and quartiles', () => {
  expect(spread([4, 1, 3, 2, 5])).toEqual({ median: 3, low: 2, high: 4 });
  expect(spread([1, 2])).toEqual({ median: 1.5, low: 1.25, high: 1.75 });
  expect(() => spread([])).toThrow(RangeError);
});

test('a round that was slow for all changes no ratio', () => {
  expect(ratios([2, 20, 2], [1, 10, 1])).toEqual({ median: 2, low: 2, high: 2 });
});
