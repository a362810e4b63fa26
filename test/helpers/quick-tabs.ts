import type * as limits from '../../src/limits.js';
import { fewPrekeys } from './few-prekeys.js';

/** The limits with few one-time prekeys, and tabs that lose patience after a fraction of a second. */
export function quickTabs(original: typeof limits): typeof limits {
  return { ...fewPrekeys(original), tabLimits: { ...original.tabLimits, pingMs: 50 } as unknown as typeof limits.tabLimits };
}
