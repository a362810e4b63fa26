import { test, vi } from 'vitest';
import { restoreAtRandom } from './restores.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const seed = Number(process.env['CYPHR_SEED'] ?? 20_260_102);

test(
  `T24: three people whose stores are restored from backups and recovered (seed ${seed})`,
  () => restoreAtRandom({ numRuns: 8, commands: 24, seed }),
  180_000,
);
