/** Plays the simulator over profiles and traffic, and writes down what it found. */

import type { Profile } from '../../src/step.js';
import { PATTERNS, type Pattern, PER_EPOCH } from '../helpers/conversation.js';
import type { Broken } from './follower.js';
import { follow, type Outcome, type Recording, record } from './simulator.js';

/** What may be broken, by the name that the table gives it. */
export const ASSUMPTIONS = {
  nothing: { x25519: false, mlKem: false },
  'ML-KEM': { x25519: false, mlKem: true },
  X25519: { x25519: true, mlKem: false },
  both: { x25519: true, mlKem: true },
} as const satisfies Record<string, Broken>;

export type Assumption = keyof typeof ASSUMPTIONS;

/** A recording with `thefts` snapshots over four epochs or more, long enough for each to be followed to its end. */
export function recordThefts(profile: Profile, pattern: Pattern, thefts: number, patience: number): Recording {
  const [average, longest] = PER_EPOCH[pattern][profile];
  const last = average + (pattern === 'silences' ? 3000 : Math.max(4 * average, 2 * thefts));
  return record(profile, pattern, last + 3 * longest + 2 * patience, { first: average, last, thefts });
}

/** What followed from each theft. */
export function followAll(recording: Recording, broken: Broken, patience: number): Outcome[] {
  return recording.snapshots.map((snapshot) => follow(recording, snapshot, broken, patience));
}

/** Least, median and most. */
function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return [0, sorted.length >> 1, sorted.length - 1].map((i) => sorted[i]).join(' / ');
}

/** One row of the table. */
export function healingRow(
  profile: Profile,
  pattern: Pattern,
  outcomes: Readonly<Record<'nothing' | 'ML-KEM' | 'X25519', readonly Outcome[]>>,
): string {
  const cells = [outcomes.nothing, outcomes['ML-KEM'], outcomes.X25519].map((each) => {
    const [messages, trips] = [each.map((outcome) => outcome.messages), each.map(({ roundTrips }) => roundTrips)];
    return `${spread(messages)} (${spread(trips)})`;
  });
  return `| ${pattern} | ${profile} | ${outcomes.nothing.length} | ${cells.join(' | ')} |`;
}

/** The whole table, as Markdown: `tick` is told after each row. */
export function healingTable(thefts: number, patience: number, tick: (row: string) => void = () => {}): string {
  const rows = PATTERNS.flatMap((pattern) =>
    ([1, 2, 3] as const).map((profile) => {
      const recording = recordThefts(profile, pattern, thefts, patience);
      const outcomes = (assumption: Assumption): Outcome[] => followAll(recording, ASSUMPTIONS[assumption], patience);
      const row = healingRow(profile, pattern, { nothing: outcomes('nothing'), 'ML-KEM': outcomes('ML-KEM'), X25519: outcomes('X25519') });
      tick(row);
      return row;
    }),
  );
  return ['| traffic | profile | thefts | nothing broken | ML-KEM broken | X25519 broken |', '|---|---|---|---|---|---|', ...rows].join(
    '\n',
  );
}
