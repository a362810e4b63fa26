import { test, vi } from 'vitest';
import { manyTabs } from './many-tabs.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/quick-tabs.js')).quickTabs(await original()));

const seed = Number(process.env['CYPHR_SEED'] ?? 20_261_122);

test.each([2, 5])(
  'T25: %i tabs that send, read, close, die, freeze and thaw: nothing is lost, nothing comes twice, no key is used twice',
  (tabs) => manyTabs({ numRuns: 8, steps: 40, tabs, seed: seed + tabs }),
  240_000,
);
