import { expect } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { ratchetLimits } from '../../src/limits.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { codeOf } from './expect-code.js';
import { testRng } from './rng.js';
import { type Party, session, text } from './sessions.js';

/** What the bounds of section 4.8 allow one direction to keep, told by the order of sending alone. */
class Allowance {
  /** Indices of missing messages that may still come, oldest first. */
  private missing: { readonly index: number; readonly chain: string; readonly received: number }[] = [];
  private received = 0;
  private next = 0;

  /** Whether message `index` may be decrypted now. `chains[i]` names the chain of message i. */
  arrives(index: number, chains: readonly string[]): boolean {
    const isNew = index >= this.next;
    if (!isNew && !this.missing.some((each) => each.index === index)) return false;
    this.received++;
    this.missing = this.missing.filter((each) => each.index !== index);
    if (isNew) {
      for (let i = Math.max(this.next, index - ratchetLimits.storedPerGap); i < index; i++) {
        this.missing.push({ index: i, chain: chains[i]!, received: this.received });
      }
      this.next = index + 1;
    }
    const current = chains[this.next - 1]!;
    this.missing = this.missing.filter(({ received }) => received >= this.received - ratchetLimits.skippedLifetimeMessages);
    const old = [...new Set(this.missing.map(({ chain }) => chain))].filter((chain) => chain !== current);
    const dropped = new Set(old.slice(0, Math.max(0, old.length - ratchetLimits.oldChains)));
    this.missing = this.missing.filter(({ chain }) => !dropped.has(chain)).slice(-ratchetLimits.skippedKeys);
    return true;
  }
}

/**
 * Sends `count` messages in bursts of 1 to 11; one in five is lost, one in twenty comes late by up to `late` messages. What the bounds
 * allow must decrypt, what they don't must be refused. Returns how often that happened.
 */
export function playLateMessages(
  scka: Scka<unknown>,
  late: number,
  count: number,
  seed: string,
): { delivered: number; refused: number; late: number; epoch: number } {
  const rng = testRng(seed);
  const chance = (): number => rng(2).reduce((sum, byte) => sum * 256 + byte, 0) / 0x10000;
  const { alice, bob } = session(scka, rng, 2);
  const ends = [alice, bob].map((party) => ({ party, allowance: new Allowance(), chains: [] as string[] }));
  const due = new Map<number, (() => void)[]>();
  const counts = { delivered: 0, refused: 0, late: 0, epoch: 0 };

  bob.receive(alice.send(text('first')));
  const deliver = (to: Party<unknown>, { allowance, chains }: (typeof ends)[number], index: number, frame: Uint8Array): void => {
    if (allowance.arrives(index, chains)) {
      expect(Buffer.from(to.receive(frame)).toString()).toBe(`${index}`);
      counts.delivered++;
    } else {
      expect(codeOf(() => to.receive(frame))).toBeOneOf(['ERR_DUPLICATE', 'ERR_NO_SESSION']);
      counts.refused++;
    }
  };
  let from = 0;
  let burst = 0;
  for (let i = 0; i < count; i++) {
    if (burst-- <= 0) {
      from = 1 - from;
      burst = Math.floor(chance() * 11);
    }
    const [end, to] = [ends[from]!, ends[1 - from]!.party];
    const index = end.chains.length;
    const frame = end.party.send(text(`${index}`));
    end.chains.push(toHex(frame.subarray(4, 20)));
    const fate = chance();
    if (fate < 0.05) {
      counts.late++;
      const at = i + Math.floor(chance() * late);
      due.set(at, [...(due.get(at) ?? []), () => deliver(to, end, index, frame)]);
    } else if (fate > 0.2) {
      deliver(to, end, index, frame);
    }
    for (const arrive of due.get(i) ?? []) arrive();
  }
  return { ...counts, epoch: alice.state.pq.sending.epoch };
}
