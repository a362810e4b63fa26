import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { seededRng } from '../../src/testing/rng.js';
import { type CrashRun, checkCrashRun, crashRun } from '../helpers/crash-run.js';

vi.mock('../../src/wire/ratchet-message.js', async (original) =>
  (await import('../helpers/header-watch.js')).watchHeaders(await original()),
);

const seed = process.env['CYPHR_SEED'] ?? String(Date.now());
const MOMENTS = 500;

describe('T26: a process that is killed loses nothing, shows nothing twice and uses no key twice', () => {
  let run: CrashRun;
  beforeAll(async () => {
    run = await crashRun();
  });
  afterAll(async () => {
    const { lives, kills, killedOpening, sent, bobGot, bobSent } = run.report;
    process.stdout.write(
      `\n${lives} lives, ${kills} ended by SIGKILL (${killedOpening} before the client was open); ` +
        `${sent.size} messages promised, ${bobGot.size} read; ${bobSent} answers promised, ${run.report.aliceGot.size} read\n`,
    );
    await run.close();
  });

  test.each(['before', 'after'] as const)('%s each store call', async (side) => {
    for (let call = 1, isDone = false; !isDone; call++) ({ isDone } = await run.step({ call, side }));
    await run.settle();
    expect(run.report.kills).toBeGreaterThan(50);
    checkCrashRun(run);
  });

  test(`at ${MOMENTS} random moments under load (CYPHR_SEED=${seed})`, async () => {
    const rng = seededRng(`crash ${seed}`);
    const before = run.report.kills;
    for (let life = 1; life <= MOMENTS; life++) {
      const [high, low] = rng(2);
      await run.load((high! * 256 + low!) / 128);
      if (life % 50 > 0) continue;
      await run.settle();
      checkCrashRun(run);
    }
    expect(run.report.kills - before).toBe(MOMENTS);
  });
});
