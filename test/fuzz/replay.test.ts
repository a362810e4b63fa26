/** T40: every input that the fuzzer has kept, once more. What it kept of a finding fails here until it is mended. */

import { afterAll, describe, expect, test, vi } from 'vitest';
import { readCorpus } from './corpus.js';
import { observer } from './coverage.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const eyes = observer();
afterAll(() => eyes.close());
// What was compiled before shows no blocks: hence not before now.
const { checkTrace } = await import('./check.js');
const { TARGETS } = await import('./targets.js');

describe('T40: the kept inputs of', () => {
  test.each(Object.entries(TARGETS))('%s', async (name, make) => {
    const target = await make();
    const inputs = [...target.seeds, ...readCorpus(name)];
    let reached = 0;
    eyes.reset();
    for (const input of inputs) {
      try {
        const trace = await eyes.observe(() => target.play(input));
        checkTrace(target, input, trace);
        reached += trace.features.length;
      } catch (error) {
        throw new Error(`input ${Buffer.from(input).toString('hex')}`, { cause: error });
      }
    }
    await target.close?.();
    // Else nothing of ours was played, or nothing saw it.
    expect(reached).toBeGreaterThan(0);
  });
});
