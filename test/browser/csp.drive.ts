import assert from 'node:assert/strict';
import type { Stage } from './run.js';

export default async function drive({ start, test, server }: Stage): Promise<void> {
  const session = await start();
  await test('the policy is enforced, and what breaks it is counted', async () => {
    const tab = await session.open<typeof import('./csp.page.js')>('csp');
    assert.deepEqual(server.reports('violation'), []);
    assert.equal(await tab.call('addInlineScript'), false);
    await server.reported('violation', 2);
    const violations = server.takeReports('violation');
    assert.equal(violations.filter((each) => each.startsWith('script-src')).length, 1, violations.join());
    assert.equal(violations.filter((each) => each.includes('csp-report')).length, 1, violations.join());
  });
}
