/** The faults of a network in memory, drawn from a seed. Not cryptographic: it decides what happens to ciphertext, nothing more. */

import { UsageError } from '../errors.js';

/** What goes wrong, each as a probability from 0 to 1 per accepted envelope; `delayMs` is how long every envelope travels. */
export interface MemoryFaults {
  readonly seed: string;
  /** The envelope vanishes after it was accepted. */
  readonly loss?: number | undefined;
  /** The envelope arrives twice, under two ids. */
  readonly duplicate?: number | undefined;
  /** The envelope is overtaken by the next one to the same device. */
  readonly reorder?: number | undefined;
  readonly delayMs?: number | undefined;
}

/** The decisions of one network. */
export interface FaultPlan {
  readonly delayMs: number;
  /** What becomes of the next accepted envelope. Always draws the same amount, so that one decision never shifts another. */
  decide(): { readonly copies: 0 | 1 | 2; readonly overtaken: boolean };
}

/** Checks the faults and starts their sequence. Throws `ERR_ARGUMENT` (`field` says which). */
export function faultPlan(faults: MemoryFaults = { seed: '' }): FaultPlan {
  const { loss = 0, duplicate = 0, reorder = 0, delayMs = 0 } = faults;
  if (typeof faults.seed !== 'string') throw refuse('seed', 'a string');
  for (const [field, value] of Object.entries({ loss, duplicate, reorder })) {
    if (!(value >= 0 && value <= 1)) throw refuse(field, 'a probability from 0 to 1');
  }
  if (!(delayMs >= 0 && delayMs <= 0x7fff_ffff)) throw refuse('delayMs', 'a time in milliseconds');
  const fraction = seededFractions(faults.seed);
  return {
    delayMs,
    decide() {
      const [lost, doubled, overtaken] = [fraction() < loss, fraction() < duplicate, fraction() < reorder];
      return { copies: lost ? 0 : doubled ? 2 : 1, overtaken };
    },
  };
}

function refuse(field: string, expected: string): UsageError {
  return new UsageError('ERR_ARGUMENT', `${field} must be ${expected}`, { field });
}

/** Fractions from 0 up to 1: FNV-1a of the seed starts a mulberry32 generator. */
function seededFractions(seed: string): () => number {
  let state = 0x811c_9dc5;
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 0x0100_0193);
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
