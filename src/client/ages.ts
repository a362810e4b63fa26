/** How old a row is, by a clock that may be wrong for an hour or for years. */

import { talkLimits } from '../limits.js';

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
