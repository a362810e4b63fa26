import { describe, expect, it } from 'vitest';
import type { Profile } from '../../src/step.js';
import { type Pattern, PER_EPOCH } from '../helpers/conversation.js';
import { ASSUMPTIONS, followAll, recordThefts } from './measure.js';
import { follow, opensEarlier } from './simulator.js';

const PATIENCE = 40;

// All profiles and patterns, with more thefts: `npm run soak`.
describe.each([
  ['ping-pong', 1, 8],
  ['ping-pong', 2, 4],
  ['bursts of 5', 3, 6],
  ['random, 20 % lost', 3, 8],
] as const satisfies readonly (readonly [Pattern, Profile, number])[])('a thief of a state, %s, profile %i', (pattern, profile, thefts) => {
  const recording = recordThefts(profile, pattern, thefts, PATIENCE);
  const outcomes = (assumption: keyof typeof ASSUMPTIONS) => followAll(recording, ASSUMPTIONS[assumption], PATIENCE);

  it('T21: with X25519 broken loses the session within two epochs', () => {
    const [average, longest] = PER_EPOCH[pattern][profile];
    for (const { hasLost, messages } of outcomes('X25519')) {
      expect(hasLost).toBe(true);
      expect(messages).toBeLessThanOrEqual(1.25 * (average + longest) + 10);
    }
  });

  it.each(['nothing', 'ML-KEM'] as const)('T21: with %s broken loses it after a round trip or two', (assumption) => {
    for (const { hasLost, roundTrips } of outcomes(assumption)) {
      expect(hasLost).toBe(true);
      expect(roundTrips).toBeLessThanOrEqual(2);
    }
  });

  it('with both broken reads every message: the simulator sees what there is to see', () => {
    for (const snapshot of recording.snapshots.slice(0, 3)) {
      const { hasLost, messages, read } = follow(recording, snapshot, ASSUMPTIONS.both, PATIENCE);
      expect(hasLost).toBe(false);
      expect(read).toBe(messages);
      expect(read).toBeGreaterThan(PATIENCE);
    }
  });

  it('T20: opens nothing that was sent and received before', () => {
    for (const snapshot of recording.snapshots.slice(0, 2)) expect(opensEarlier(recording, snapshot, 4)).toBe(0);
  });

  it('T20: and would be seen to, with a state from before these messages', () => {
    expect(recording.snapshots).toHaveLength(thefts);
    expect(recording.snapshots.some((snapshot) => opensEarlier(recording, { ...snapshot, at: snapshot.at + 4 }, 4) > 0)).toBe(true);
  });
});
