// The tests of what takes its primitives from the platform, on the Node lines whose node:crypto has ML-KEM and ML-DSA of its own:
// `npm run test:newer`. Linux x64. The other tests run on the Node that is installed.
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeBinary } from './binaries.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const TESTS = ['test/crypto/', 'test/identity/', 'test/pqxdh/', 'test/session/', 'test/vectors/'];
let failed = 0;
for (const major of ['24', '26']) {
  console.log(`\nNode ${major}`);
  const node = nodeBinary(major);
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...TESTS];
  if (spawnSync(node, vitest, { cwd: root, env, stdio: 'inherit' }).status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
