/** Runs the self-test in the page. */

import { type SelftestReport, selftest } from '@cyphr/e2ee/selftest';

/** The report, and how often the page was told of progress. */
export async function run(): Promise<{ readonly report: SelftestReport; readonly steps: number }> {
  let steps = 0;
  const report = await selftest({ progress: () => void steps++ });
  return { report, steps };
}
