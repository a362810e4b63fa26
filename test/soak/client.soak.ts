import { test, vi } from 'vitest';
import { converse } from '../model/conversations.js';

vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const seed = Number(process.env['CYPHR_SEED'] ?? Date.now() % 2 ** 31);

test(`three people, long conversations (seed ${seed})`, () => converse({ numRuns: 300, commands: 150, seed }));
