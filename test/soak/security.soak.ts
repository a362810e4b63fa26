import { describe, expect, it } from 'vitest';
import { PATTERNS, PER_EPOCH } from '../helpers/conversation.js';
import { ASSUMPTIONS, followAll, healingRow, recordThefts } from '../security/measure.js';
import { follow, opensEarlier } from '../security/simulator.js';

const THEFTS = 40;
const PATIENCE = 200;

describe('T20, T21: thieves of a state', () => {
  for (const pattern of PATTERNS) {
    it.each([1, 2, 3] as const)(`${pattern}, profile %i`, (profile) => {
      const recording = recordThefts(profile, pattern, THEFTS, PATIENCE);
      const outcomes = {
        nothing: followAll(recording, ASSUMPTIONS.nothing, PATIENCE),
        'ML-KEM': followAll(recording, ASSUMPTIONS['ML-KEM'], PATIENCE),
        X25519: followAll(recording, ASSUMPTIONS.X25519, PATIENCE),
      };
      process.stdout.write(`${healingRow(profile, pattern, outcomes)}\n`);
      const [average, longest] = PER_EPOCH[pattern][profile];
      for (const { hasLost, messages } of outcomes.X25519) {
        expect(hasLost).toBe(true);
        expect(messages).toBeLessThanOrEqual(1.25 * (average + longest) + 10);
      }
      for (const { hasLost, roundTrips } of [...outcomes.nothing, ...outcomes['ML-KEM']]) {
        expect(hasLost).toBe(true);
        expect(roundTrips).toBeLessThanOrEqual(2);
      }
      for (const snapshot of recording.snapshots.slice(0, 5)) {
        const { hasLost, messages, read } = follow(recording, snapshot, ASSUMPTIONS.both, PATIENCE);
        expect([hasLost, read]).toEqual([false, messages]);
        expect(opensEarlier(recording, snapshot, 10)).toBe(0);
      }
    });
  }
});
