/** What tests of the self-test have in common. */

import { equal } from '../bytes.js';

/** How many answers were right, and what the first wrong one was: its number, never a value. */
export interface Answers {
  readonly count: number;
  readonly why?: string;
}

type Pair = readonly [got: Uint8Array, expected: Uint8Array] | readonly [got: boolean, expected: boolean];

/** Compares answers in pairs. */
export function answers(...pairs: readonly Pair[]): Answers {
  const wrong = pairs.findIndex(([got, expected]) =>
    got instanceof Uint8Array ? !(expected instanceof Uint8Array && equal(got, expected)) : got !== expected,
  );
  return wrong < 0 ? { count: pairs.length } : { count: pairs.length, why: `answer ${wrong + 1} of ${pairs.length} is wrong` };
}
