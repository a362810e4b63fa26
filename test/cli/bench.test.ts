/** `bench` measures, and says what. */

import { expect, test } from 'vitest';
import { runCommand } from './run.js';

test('every scenario of every profile has taken time', async () => {
  const { code, out } = await runCommand('bench', '--rounds', '1', '--json');
  const { rows } = JSON.parse(out) as { rows: Record<string, unknown>[] };
  expect(code).toBe(0);
  expect(rows.map(({ backend, profile }) => [backend, profile])).toEqual(
    ['platform', 'javascript'].flatMap((backend) => [1, 2, 3].map((profile) => [backend, profile])),
  );
  for (const { establishMs, oneWayMs, pingPongMs } of rows) {
    for (const each of [establishMs, oneWayMs, pingPongMs]) expect(each).toBeGreaterThan(0);
    // A session costs several signatures and key encapsulations, a message one step of a chain.
    expect(establishMs).toBeGreaterThan(oneWayMs as number);
  }
});

test('rounds without a middle are typed wrong', async () => {
  const { code, err } = await runCommand('bench', '--rounds', '4');
  expect([code, err]).toEqual([2, expect.stringContaining('rounds must be an odd number')]);
});
