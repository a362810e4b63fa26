import type * as limits from '../../src/limits.js';

/**
 * The limits with just enough one-time prekeys for a test: making 100 takes most of a registration's time.
 *
 *     vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
 */
export function fewPrekeys(original: typeof limits): typeof limits {
  return {
    ...original,
    keyLimits: { ...original.keyLimits, batchUnitCount: 8, batchRefillBelow: 4 } as unknown as typeof limits.keyLimits,
  };
}
