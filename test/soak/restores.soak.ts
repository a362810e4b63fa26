import { test, vi } from 'vitest';
import { restoreAtRandom } from '../model/restores.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const seed = Number(process.env['CYPHR_SEED'] ?? Date.now() % 2 ** 31);

test(`stores restored and recovered at random (seed ${seed})`, () => restoreAtRandom({ numRuns: 150, commands: 50, seed }));
