/** How old a row is, by a clock that may be wrong for an hour or for years. */

import { talkLimits } from '../limits.js';
import type { Now } from '../step.js';
import type { Database } from './database.js';
import { mutex } from './platform.js';
import { daysRecord, keys } from './records.js';

const DAY_MS = 86_400_000;
/** Days that are remembered: a clock that goes to and fro counts none of them twice. */
const LATELY = 64;

/**
 * The days on which this store was in use. What nobody would miss aloud ages by these: not while nothing runs, and by one day where the
 * clock turns out to be wrong by years.
 */
export interface Days {
  /** How many there were. */
  today(): number;
  /** How long ago the day of that number was, in milliseconds: a multiple of a day. */
  sinceMs(day: number): number;
  /** Counts today, if it is not counted. */
  note(): Promise<void>;
}

/** The days in `db`. */
export async function openDays(db: Database, now: Now): Promise<Days> {
  const row = await db.read(keys.days);
  let known: ReturnType<typeof daysRecord.decode> = row === undefined ? { lately: [], count: 0 } : daysRecord.decode(row);
  const alone = mutex();
  return {
    today: () => known.count,
    sinceMs: (day) => (known.count - day) * DAY_MS,
    note: () =>
      alone('days', async () => {
        const today = Math.floor(now() / DAY_MS);
        if (known.lately.includes(today)) return;
        const next = { lately: [...known.lately, today].slice(-LATELY), count: known.count + 1 };
        await db.commit([{ key: keys.days, value: daysRecord.encode(next) }]);
        known = next;
      }),
  };
}

/** What becomes of a row: it is kept, forgotten, or dated `anew`. */
export type Verdict = 'keep' | 'forget' | 'anew';

/**
 * The verdict over a row of `atMs` that is kept for `ageMs`. A client looks at its rows whenever it runs. One that has come to its age only
 * just is forgotten; one that seems to have come to it long ago, or not to have been written yet, says that nothing ran for that time or
 * that the clock was wrong, then or now: its age is not known, and begins anew.
 */
export function verdict(nowMs: number, atMs: number, ageMs: number): Verdict {
  const overMs = nowMs - atMs - ageMs;
  if (overMs > talkLimits.unseenMs || atMs - nowMs > talkLimits.unseenMs) return 'anew';
  return overMs > 0 ? 'forget' : 'keep';
}
