import { describe, expect, it } from 'vitest';
import type { Scka } from '../../src/ratchet/scka.js';
import { playLateMessages } from '../helpers/late-messages.js';
import { toyScka } from '../helpers/toy-scka.js';

describe('late messages', () => {
  it.each([
    [50, 1500],
    [100, 1500],
    [300, 2000],
    [1000, 4000],
  ])('up to %i messages late, with a fifth lost, nothing that may arrive is refused', (late, count) => {
    const { delivered, refused, late: lateCount, epoch } = playLateMessages(toyScka(3) as Scka<unknown>, late, count, `late ${late}`);
    expect(lateCount).toBeGreaterThan(count / 30);
    expect(delivered).toBeGreaterThan(0.75 * count);
    expect(epoch).toBeGreaterThan(20);
    expect(refused).toBe(0);
  });

  it('what lies beyond the bounds is refused, and nothing else', () => {
    // Chains of 1 to 11 messages and lateness of 4,000: 128 old chains are not enough.
    expect(playLateMessages(toyScka(3) as Scka<unknown>, 4000, 5000, 'too late').refused).toBeGreaterThan(0);
  });
});
