import { expect } from 'vitest';
import { isCyphrError } from '../../src/errors.js';
import { readJson } from './folder.js';

export type Fields = Readonly<Record<string, string>>;
export interface WycheproofTest {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly result: 'valid' | 'invalid' | 'acceptable';
}
interface File<G, T> {
  readonly numberOfTests: number;
  readonly testGroups: readonly (G & { readonly tests: readonly (T & WycheproofTest)[] })[];
}

/** Runs `check` on every test of a file and fails with the list of all that threw; says how many ran. */
export function everyTest<T, G = object>(name: string, check: (test: T & WycheproofTest, group: G) => void): void {
  const file = readJson<File<G, T>>(name);
  const failures: string[] = [];
  let count = 0;
  for (const group of file.testGroups) {
    for (const test of group.tests) {
      count++;
      try {
        check(test, group);
      } catch (error) {
        failures.push(`tcId ${test.tcId} (${test.result}, ${test.comment}): ${(error as Error).message}`);
      }
    }
  }
  expect(failures).toEqual([]);
  expect(count).toBe(file.numberOfTests);
}

/** `call` throws, and what it throws is one of this library's errors. */
export function expectRefusal(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    expect(isCyphrError(error), String(error)).toBe(true);
    return;
  }
  expect.unreachable('accepted');
}
