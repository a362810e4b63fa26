import { expect } from 'vitest';
import type { Scka } from '../../src/ratchet/scka.js';
import { testRng } from './rng.js';
import { session, text } from './sessions.js';

/** How the sides take turns: one message each, or bursts of up to `most`. */
export type Rhythm = { readonly burst: number; readonly lossPercent: number };

/**
 * A conversation of `count` messages on one session, encoded and decoded on the way; every message that arrives must be read.
 * Returns the largest encoded state and the epoch that was reached.
 */
export function soak(
  scka: Scka<unknown>,
  count: number,
  { burst, lossPercent }: Rhythm,
  seed: string,
): { largestState: number; epoch: number } {
  const rng = testRng(seed);
  const { alice, bob } = session(scka, rng);
  let [from, to] = [alice, bob];
  let left = burst === 1 ? 1 : 2;
  let largestState = 0;
  for (let i = 0; i < count; i++) {
    const frame = from.send(text(`${i}`));
    // The last of a burst always arrives: who has heard nothing cannot answer.
    if (left === 1 || rng(1)[0]! >= 2.56 * lossPercent) expect(Buffer.from(to.receive(frame)).toString()).toBe(`${i}`);
    if (--left === 0) {
      [from, to] = [to, from];
      left = burst === 1 ? 1 : 1 + (rng(1)[0]! % burst);
    }
    if (i % 97 === 0) {
      const encoded = to.snapshot();
      largestState = Math.max(largestState, encoded.length);
      to.restore(encoded);
    }
  }
  return { largestState, epoch: alice.state.pq.sending.epoch };
}

/** 2,000 skipped keys of 44 bytes, 129 chains of 54, and a state without them. */
const LARGEST_STATE = 2000 * 44 + 129 * 54 + 1000;

/** The rhythms that the soak and its small edition play. */
export function playAll(scka: Scka<unknown>, count: number): void {
  for (const [burst, lossPercent] of [
    [1, 0],
    [5, 0],
    [12, 20],
    [60, 40],
  ] as const) {
    const { largestState, epoch } = soak(scka, count, { burst, lossPercent }, `soak ${burst} ${lossPercent} ${count}`);
    expect(largestState).toBeLessThan(LARGEST_STATE);
    expect(epoch).toBeLessThan(count);
  }
}
