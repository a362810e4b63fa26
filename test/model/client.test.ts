import { test, vi } from 'vitest';
import { converse } from './conversations.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

test(
  'T10, T25, T26, T27: three people, restarts, crashes, repeats, held envelopes, lost acknowledgements',
  () => converse({ numRuns: 25, commands: 30, seed: Number(process.env['CYPHR_SEED'] ?? 20_260_101) }),
  120_000,
);
