import { test, vi } from 'vitest';
import { play, wholeHistories } from './whole.js';

vi.mock('../../src/ratchet/ratchet.js', async (original) => (await import('../helpers/text-watch.js')).watchTexts(await original()));
vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
vi.mock('../../src/crypto/composite.js', async (original) =>
  (await import('../helpers/light-signatures.js')).lightSignatures(await original()),
);

const { CYPHR_SEED, CYPHR_RUNS, CYPHR_PATH, CYPHR_SHRINK } = process.env;
const seed = Number(CYPHR_SEED ?? 20_261_122);
const numRuns = Number(CYPHR_RUNS ?? 100);

test(
  `T24, T25, T41: ${numRuns} histories of everything that happens to devices (seed ${seed})`,
  () => wholeHistories({ numRuns, steps: 40, seed, path: CYPHR_PATH, shrinks: CYPHR_SHRINK !== undefined }),
  600_000,
);

test('what was sent again and travelled for longer than messages are known may be shown again', () => {
  const [alice, bob] = [0, 1];
  return play(
    { devices: [1, 1], haveMet: false },
    [
      { does: 'burst', at: alice, n: 0 },
      { does: 'wait', at: alice, n: 303 },
      // Hears bob on his own session an hour later, and sends again what it wrote on its own, which bob is yet to get.
      { does: 'deliver', at: alice, n: 0 },
      { does: 'deliver', at: bob, n: 0 },
      { does: 'sleep', at: alice, n: 4 },
      { does: 'sleep', at: alice, n: 5 },
      { does: 'send', at: alice, n: 0 },
      { does: 'deliver everything', at: alice, n: 0 },
    ],
    0,
  );
});
