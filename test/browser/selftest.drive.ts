import assert from 'node:assert/strict';
import type { Stage } from './run.js';

export default async function drive({ start, test, note }: Stage): Promise<void> {
  const session = await start();
  await test('the self-test passes, by JavaScript alone', async () => {
    const tab = await session.open<typeof import('./selftest.page.js')>('selftest');
    const { report, steps } = await tab.call('run');
    assert.deepEqual(
      report.tests.filter(({ ok }) => !ok),
      [],
    );
    assert.equal(steps, report.tests.length);
    assert.ok(report.tests.length > 20);
    assert.ok(report.backend.every(({ by }) => by === 'javascript'));
    note(`${report.tests.length} tests in ${report.ms} ms`);
  });
}
