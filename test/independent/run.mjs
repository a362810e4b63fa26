/**
 * `npm run independent`: plays the vectors and talks to the SDK, on Node 24 or later. An older Node fetches Node 24 from npm into a temporary
 * folder first (Linux x64; elsewhere: run this with Node 24). `--seed TEXT` repeats a run's talks. Ends with `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import('./check.mjs');
} else {
  const { nodeBinary } = await import('../../scripts/binaries.mjs');
  const { status } = spawnSync(nodeBinary('24'), [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
