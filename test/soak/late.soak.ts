import { afterAll, describe, expect, it } from 'vitest';
import { type LateReport, playLate } from '../helpers/late-braid.js';

describe('20,000 messages, 20 % lost, 5 % late', () => {
  const rows: string[] = [];
  const row = (late: number, profile: number, { delivered, late: came, refused, epochs }: LateReport): string =>
    `| ${late} | ${profile} | ${delivered} | ${came} | ${refused} | ${epochs} |`;
  afterAll(() =>
    process.stdout.write(
      `\n| late by up to | profile | read | late | beyond the bounds | epochs |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`,
    ),
  );

  for (const late of [50, 100, 300, 1000]) {
    it.each([1, 2, 3] as const)(`by up to ${late}, profile %i: none is lost that the bounds keep`, (profile) => {
      const report = playLate(profile, late, 20_000);
      rows.push(row(late, profile, report));
      expect(report.late).toBeGreaterThan(500);
      expect(report.epochs).toBeGreaterThan(50);
      if (late <= 300) expect(report.refused).toBe(0);
    });
  }
});
