import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { seededRng } from '../../src/testing/rng.js';
import { type CrashRun, checkCrashRun, crashRun } from '../helpers/crash-run.js';
import { forgetHeaders, headersSeen } from '../helpers/header-watch.js';
import { session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

vi.mock('../../src/wire/ratchet-message.js', async (original) =>
  (await import('../helpers/header-watch.js')).watchHeaders(await original()),
);

/** The long edition is test/soak/crash-kill.soak.ts. */
const seed = process.env['CYPHR_SEED'] ?? String(Date.now());

test('the watch sees a message key that is used twice', () => {
  const { alice, bob } = session(toyScka(), seededRng('watch'));
  const before = alice.snapshot();
  const [first, next] = [alice.send(text('first')), alice.send(text('next'))];
  alice.restore(before);
  const second = alice.send(text('second'));
  for (const message of [first, next]) bob.receive(message);
  expect(() => bob.receive(first)).toThrow();
  expect(headersSeen()).toEqual({ count: 2, twice: [] });
  expect(() => bob.receive(second)).toThrow();
  expect(headersSeen()).toEqual({ count: 2, twice: [expect.stringMatching(/ 0$/)] });
  forgetHeaders();
});

describe('T26: a process that is killed loses nothing, shows nothing twice and uses no key twice', () => {
  let run: CrashRun;
  beforeAll(async () => {
    run = await crashRun();
  });
  afterAll(() => run.close());

  test('before and after each commit', { timeout: 300_000 }, async () => {
    for (const side of ['before', 'after'] as const) {
      for (let call = 1, isDone = false; !isDone; call++) ({ isDone } = await run.step({ call, side, what: 'commit' }));
    }
    await run.settle();
    expect(run.report.kills).toBeGreaterThan(10);
    checkCrashRun(run);
  });

  test(`at random moments under load (CYPHR_SEED=${seed})`, { timeout: 300_000 }, async () => {
    const rng = seededRng(`crash ${seed}`);
    const before = run.report.kills;
    for (let life = 0; life < 20; life++) await run.load(2 * rng(1)[0]!);
    await run.settle();
    expect(run.report.kills - before).toBe(20);
    checkCrashRun(run);
  });
});
