import { describe, expect, test } from 'vitest';
import { compareClasses, welch } from '../../bench/timing/welch.js';
import { seededRng } from '../../src/testing/rng.js';

const rng = seededRng('welch');
/** Times about `centre`, one in fifty of them disturbed by something long. */
const times = (count: number, centre: number): number[] =>
  Array.from({ length: count }, () => {
    const [a, b, long] = rng(3) as unknown as [number, number, number];
    return centre + (a + b) / 256 + (long < 5 ? 50 + long * 40 : 0);
  });

describe('Welch’s t', () => {
  test('of small samples, as by hand', () => {
    // Means 2 and 5, variances 1 and 1, three samples each: 3 / √(1/3 + 1/3).
    expect(welch([1, 2, 3], [4, 5, 6])).toBeCloseTo(3 / Math.sqrt(2 / 3), 12);
    expect(welch([1, 2, 3], [1, 2, 3])).toBe(0);
    expect(welch([1, 1], [1, 1])).toBe(0);
  });

  test('sees nothing between equal classes', () => {
    const { count, t, maxT } = compareClasses(times(8_000, 10), times(8_000, 10));
    expect(count).toBe(16_000);
    expect(Math.abs(t)).toBeLessThan(4.5);
    expect(Math.abs(maxT)).toBeLessThan(4.5);
  });

  test('sees a difference that disturbances hide, in the quickest part', () => {
    const { t, maxT, quartileDifferenceNs } = compareClasses(times(8_000, 10), times(8_000, 10.1));
    expect(Math.abs(t)).toBeLessThan(4.5);
    expect(maxT).toBeGreaterThan(10);
    expect(quartileDifferenceNs).toBeGreaterThan(0);
    expect(quartileDifferenceNs).toBeLessThan(0.3);
  });
});
