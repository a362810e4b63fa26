import { expect } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { ratchetLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { Profile } from '../../src/step.js';
import { parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { converse, lateTraffic, receiveSame } from './conversation.js';
import { codeOf } from './expect-code.js';
import { testRng } from './rng.js';
import { session } from './sessions.js';

/** What the bounds of section 4.8 let one side keep, told by order and tag of the peer's messages alone. */
class Keeping {
  /** Messages that are missing, by their number, oldest first. */
  private readonly missing = new Map<number, { readonly tag: string; readonly received: number }>();
  private received = 0;
  private next = 0;

  /** Whether message `number` may be read now. `tags` are those of all messages sent so far. */
  admits(number: number, tags: readonly string[]): boolean {
    if (number < this.next && !this.missing.delete(number)) return false;
    this.received++;
    for (let i = Math.max(this.next, number - ratchetLimits.storedPerGap); i < number; i++) {
      this.missing.set(i, { tag: tags[i]!, received: this.received });
    }
    this.next = Math.max(this.next, number + 1);
    this.prune(tags[this.next - 1]!);
    return true;
  }

  private prune(current: string): void {
    for (const [number, { received }] of this.missing) {
      if (received < this.received - ratchetLimits.skippedLifetimeMessages) this.missing.delete(number);
    }
    const old = new Set([...this.missing.values()].map(({ tag }) => tag));
    old.delete(current);
    const surplus = new Set([...old].slice(0, Math.max(0, old.size - ratchetLimits.oldChains)));
    for (const [number, { tag }] of this.missing) if (surplus.has(tag)) this.missing.delete(number);
    for (const [number] of this.missing) {
      if (this.missing.size <= ratchetLimits.skippedKeys) break;
      this.missing.delete(number);
    }
  }
}

/** What became of the messages of a run. */
export interface LateReport {
  readonly delivered: number;
  /** Delivered after a later one. */
  readonly late: number;
  /** Late ones of which the bounds no longer keep the key. */
  readonly refused: number;
  readonly epochs: number;
}

/**
 * Plays `count` messages, one in five lost and one in twenty late by up to `late` messages: what the bounds allow must be read, and what
 * they don't must be refused.
 */
export function playLate(profile: Profile, late: number, count: number): LateReport {
  const rng = testRng(`late ${profile} ${late} ${count}`);
  const { alice, bob } = session(braid, rng, profile);
  const parties = [alice, bob] as const;
  const ends = [0, 1].map(() => ({ keeping: new Keeping(), tags: [] as string[], newest: -1 }));
  const numbers: number[] = [];
  const counts = { delivered: 0, late: 0, refused: 0 };

  converse(parties, lateTraffic(late, rng), count, {
    sent({ index, from, frame }) {
      const { tags } = ends[from]!;
      numbers[index] = tags.length;
      tags.push(toHex(parseRatchetFrame(frame, profile).tag));
    },
    deliver(flight) {
      const end = ends[flight.from]!;
      const to = parties[1 - flight.from]!;
      const number = numbers[flight.index]!;
      if (number < end.newest) counts.late++;
      if (end.keeping.admits(number, end.tags)) {
        receiveSame(to, flight);
        counts.delivered++;
      } else {
        expect(codeOf(() => to.receive(flight.frame))).toBeOneOf(['ERR_DUPLICATE', 'ERR_NO_SESSION']);
        counts.refused++;
      }
      end.newest = Math.max(end.newest, number);
    },
  });
  return { ...counts, epochs: Math.min(alice.state.pq.sending.epoch, bob.state.pq.sending.epoch) };
}
