// The whole gate, step by step: `npm run verify`. Ends with a line `N passed, N failed`: tests, then one for each other step.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** npm scripts, in this order, after the tests. */
const STEPS = [
  ...['typecheck', 'lint', 'coverage', 'build', 'size', 'api', 'tarball', 'package', 'runtimes', 'docs', 'demo', 'independent'],
  'test:newer',
];

const work = mkdtempSync(join(tmpdir(), 'cyphr-gate-'));
let passed = 0;
let failed = 0;

function step(name, args) {
  console.log(`\n── ${name}`);
  const startMs = Date.now();
  const { status } = spawnSync('npm', ['run', '--silent', ...args], { stdio: 'inherit' });
  console.log(`── ${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - startMs) / 1000).toFixed(0)} s`);
  return status === 0;
}

function count(ok) {
  if (ok) passed += 1;
  else failed += 1;
}

// README's test command, with its figures on file as well.
const report = join(work, 'tests.json');
const testsOk = step('test', ['test', '--', '--reporter=default', '--reporter=json', `--outputFile=${report}`]);
try {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
  passed += numPassedTests;
  failed += numFailedTests;
  if (!testsOk && numFailedTests === 0) failed += 1;
} catch {
  failed += 1;
}
for (const name of STEPS) count(step(name, [name]));
// The model checker is no npm package: in CI scripts/ci-install.sh installs it, elsewhere it is run where it is there.
const hasSpin = spawnSync('spin', ['-V']).status === 0;
if (hasSpin || process.env.CI === 'true') count(step('formal', ['formal']));
else console.log('\n── formal: left out, spin is not installed (npm run formal says how)');
// Nor are the browsers, and the same goes for them.
const hasBrowsers = ['chromium', 'firefox-esr'].every((name) => existsSync(`/usr/bin/${name}`));
if (hasBrowsers || process.env.CI === 'true') count(step('browsers', ['test:browser']));
else console.log('\n── browsers: left out, Chromium or Firefox ESR is not installed (npm run test:browser says how)');
rmSync(work, { recursive: true, force: true });
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
