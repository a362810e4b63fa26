import { expect } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { Profile } from '../../src/step.js';
import { parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { converse, PATTERNS, type Pattern, PER_EPOCH, receiveSame, TRAFFIC } from './conversation.js';
import { forgetKeyUses, keyUses } from './key-uses.js';
import { testRng } from './rng.js';
import { type Party, session } from './sessions.js';

/** What a soak has seen. */
export interface SoakReport {
  readonly messages: number;
  readonly delivered: number;
  /** Chain epochs that both directions have entered. */
  readonly epochs: number;
  readonly perEpoch: number;
  /** Most messages between two epochs. */
  readonly longestWait: number;
  /** Largest encoded state without skipped keys, in bytes. */
  readonly largestCore: number;
}

/** The newest chain epoch that both sides send in. */
export function commonEpoch<S>(parties: readonly Party<S>[]): number {
  return Math.min(...parties.map(({ state }) => state.pq.sending.epoch));
}

/**
 * Plays a conversation. Every message that arrives must be read; no PRK, header nonce or commitment may come twice; no epoch may take
 * longer than the pattern allows, in either direction. The test file records key uses.
 */
export function soakBraid(profile: Profile, pattern: Pattern, count: number): SoakReport {
  const seed = `braid ${profile} ${pattern} ${count}`;
  const rng = testRng(seed);
  const { alice, bob } = session(braid, rng, profile);
  const parties = [alice, bob] as const;
  const commitments = new Set<string>();
  const waits: number[] = [];
  let [delivered, epoch, enteredAt, largestCore] = [0, 0, 0, 0];
  forgetKeyUses();

  converse(parties, TRAFFIC[pattern](rng), count, {
    sent({ index, frame, from }) {
      commitments.add(toHex(parseRatchetFrame(frame, profile).commitment));
      const reached = commonEpoch(parties);
      if (reached > epoch) {
        waits.push(index - enteredAt);
        [epoch, enteredAt] = [reached, index];
      }
      const { state, ratchet } = parties[from];
      if (index % 31 === 0) largestCore = Math.max(largestCore, ratchet.encode({ ...state, skipped: [] }).length);
    },
    deliver(flight) {
      receiveSame(parties[1 - flight.from]!, flight);
      delivered++;
    },
  });

  for (const values of [keyUses.prks, keyUses.nonces, keyUses.keys, commitments]) expect(values.size, seed).toBe(count);
  return {
    messages: count,
    delivered,
    epochs: epoch,
    perEpoch: count / epoch,
    longestWait: Math.max(...waits, count - enteredAt),
    largestCore,
  };
}

/** Throws unless epochs came about as often as they should, two at least, and none was waited for too long: a quarter and a half are the margins. */
export function expectProgress(profile: Profile, pattern: Pattern, { messages, epochs, longestWait }: SoakReport): void {
  const [average, longest] = PER_EPOCH[pattern][profile];
  const what = `${pattern}, profile ${profile}`;
  expect(epochs, what).toBeGreaterThanOrEqual(Math.max(2, Math.floor(messages / (1.25 * average))));
  expect(longestWait, what).toBeLessThanOrEqual(1.5 * longest);
}

/** One row for each pattern, one column for each profile: messages per epoch, and the longest wait for one. */
export function soakTable(reports: ReadonlyMap<string, SoakReport>): string {
  const cell = (pattern: Pattern, profile: Profile): string => {
    const report = reports.get(`${pattern} ${profile}`);
    return report === undefined ? '' : `${report.perEpoch.toFixed(1)} (${report.longestWait})`;
  };
  const rows = PATTERNS.map((pattern) => `| ${pattern} | ${([1, 2, 3] as const).map((profile) => cell(pattern, profile)).join(' | ')} |`);
  return ['| messages per epoch (longest) | 192 B | 32 B | 1152 B |', '|---|---|---|---|', ...rows].join('\n');
}
