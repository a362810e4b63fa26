import { afterAll, describe, expect, it, vi } from 'vitest';
import type * as keysModule from '../../src/ratchet/keys.js';
import { expectProgress, type SoakReport, soakBraid, soakTable } from '../helpers/braid-soak.js';
import { PATTERNS } from '../helpers/conversation.js';

vi.mock('../../src/ratchet/keys.js', async (original) =>
  (await import('../helpers/key-uses.js')).recordKeyUses(await original<typeof keysModule>()),
);

const LARGEST_CORE = 3500;

describe('T22: 20,000 messages of the braid', () => {
  const reports = new Map<string, SoakReport>();
  afterAll(() => process.stdout.write(`\n${soakTable(reports)}\n\n`));

  for (const pattern of PATTERNS) {
    it.each([1, 2, 3] as const)(`${pattern}, profile %i`, (profile) => {
      const report = soakBraid(profile, pattern, 20_000);
      reports.set(`${pattern} ${profile}`, report);
      expectProgress(profile, pattern, report);
      expect(report.largestCore).toBeLessThan(LARGEST_CORE);
    });
  }
});
