// Packs the package, installs it into an empty project as a user would, and uses it there in every runtime that README names: on this
// Node, and on Node 20, 22, 24 and 26, Bun, Deno and workerd (scripts/binaries.mjs). What runs there stands in scripts/runtimes/.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { binaries } from './binaries.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const script = (name) => fileURLToPath(new URL(`runtimes/${name}`, import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const GREETING = 'alice Hello, Bob!';

/** Which of noble's operations the package takes from a platform: those that it has, and that give the known answers. */
const OWN = [
  ...['keccak.sha3_256', 'keccak.sha3_512', 'keccak.shake128', 'keccak.shake256', 'x25519PublicKey', 'x25519'],
  ...['ed25519PublicKey', 'ed25519Sign', 'ed25519Verify', 'mlKem768.publicKey', 'mlKem768.decapsulate'],
];
const WITH_LATTICES = [...OWN, 'mlKem1024.publicKey', 'mlKem1024.decapsulate', 'mlDsa65Verify'];

const work = mkdtempSync(join(tmpdir(), 'cyphr-package-'));
const project = join(work, 'project');
const quiet = { ...process.env, DO_NOT_TRACK: '1', DENO_NO_UPDATE_CHECK: '1', DENO_DIR: join(work, 'deno') };
const run = async (command, args, cwd = project) =>
  (await promisify(execFile)(command, args, { cwd, env: quiet, timeout: 60_000 })).stdout.trim();

let passed = 0;
let failed = 0;
async function check(name, expected, output) {
  try {
    const printed = await output();
    if (printed !== expected) throw new Error(`printed ${printed}\ninstead of ${expected}`);
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stderr ?? ''}${error.message}`);
  }
}

/** README's quick start as it is, as `require` has it, and as a worker calls it; the probe follows the first and the last. */
function writeProject() {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const quickStart = /```ts\n(import \{ createClient \}[\s\S]*?)```/.exec(readme)?.[1];
  if (quickStart === undefined) throw new Error('README.md has no quick start');
  const imports = /^import (\{.*?\}) from ('.*?');$/gm;
  const dist = `node_modules/${manifest.name}/dist`;
  const write = (name, text) => writeFileSync(join(project, name), text);

  write('quick-start.mjs', quickStart);
  write('quick-start.cjs', `(async () => {\n${quickStart.replace(imports, 'const $1 = require($2);')}\n})();\n`);
  // Inside the package, where its own imports are resolved as it resolves them.
  copyFileSync(script('probe.mjs'), join(project, dist, 'probe.mjs'));
  const importProbe = `import { probe } from './${dist}/probe.mjs';`;
  const printProbe = 'console.log(JSON.stringify(await probe()));';
  write('whole.mjs', `import './quick-start.mjs';\n${importProbe}\n${printProbe}\n`);
  const body = quickStart.replace(imports, '');
  write(
    'worker.mjs',
    `${quickStart.match(imports).join('\n')}\n${importProbe}\nexport default { async test() {\n${body}\n${printProbe}\n} };\n`,
  );
  write('selftest.mjs', `import { selftest } from '${manifest.name}/selftest';\nconsole.log((await selftest()).ok);\n`);
  copyFileSync(script('conversation.mjs'), join(project, 'conversation.mjs'));
  copyFileSync(script('workerd.capnp'), join(project, 'workerd.capnp'));
}

/** The reference relay, on a free port. */
async function startRelay() {
  const args = ['--tsconfig', 'examples/tsconfig.json', 'examples/relay/main.ts', '--port', '0', '--data', join(work, 'relay')];
  const relay = spawn(join(root, 'node_modules/.bin/tsx'), args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(relay, 'exit').then(([code]) => Promise.reject(new Error(`the relay ended with ${code}`)));
  const [url] = await Promise.race([once(createInterface(relay.stdout), 'line'), ended]);
  return { url, stop: () => Promise.all([once(relay, 'exit'), relay.kill()]) };
}

/** Everything for a runtime that has a file system and npm packages. */
async function checkRuntime({ name, command, args = [], native }, url) {
  const start = (...more) => run(command, [...args, ...more]);
  const printed = (operations) => `${GREETING}\n${JSON.stringify(operations)}`;
  await check(`${name}: quick start, randomness, what is native`, printed(native), () => start('whole.mjs'));
  await check(`${name}: the same over noble alone`, printed([]), () => start('--conditions=cyphr-noble', 'whole.mjs'));
  await check(`${name}: the self-test`, 'true', () => start('selftest.mjs'));
  await check(`${name}: quick start by require`, GREETING, () => start('quick-start.cjs'));
  const conversation = ['conversation.mjs', url, work, name.replaceAll(' ', '-')];
  await check(`${name}: stores on disk, a relay`, 'Hello, Bob! Hello, Alice!', () => start(...conversation));
}

/** A worker that imports the package from one bundled file, as those that are deployed do. */
async function checkWorkerd(workerd) {
  const conditions = ['workerd', 'worker', 'browser'];
  const [entryPoints, outfile] = [[join(project, 'worker.mjs')], join(project, 'worker.js')];
  await build({
    entryPoints,
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions,
    target: 'es2022',
    logLevel: 'warning',
  });
  await check('workerd: quick start, randomness, nothing native', `${GREETING}\n[]`, () => run(workerd, ['test', 'workerd.capnp']));
}

try {
  await run('npm', ['pack', '--pack-destination', work], root);
  const tarball = join(
    work,
    readdirSync(work).find((name) => name.endsWith('.tgz')),
  );
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }\n');
  const peer = `classic-level@${manifest.devDependencies['classic-level']}`;
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball, peer]);
  writeProject();

  const nativeIn = (major) => (major < 24 ? OWN : WITH_LATTICES);
  const { node } = process.versions;
  const runtimes = [{ name: `Node ${node}`, command: process.execPath, native: nativeIn(Number.parseInt(node, 10)) }];
  let workerd;
  if ((process.platform === 'linux' && process.arch === 'x64') || process.env.CI === 'true') {
    const nodes = [20, 22, 24, 26];
    const [bun, deno, worker, ...others] = binaries('bun', 'deno', 'workerd', ...nodes.map((major) => `node-${major}`));
    for (const [index, major] of nodes.entries()) runtimes.push({ name: `Node ${major}`, command: others[index], native: nativeIn(major) });
    runtimes.push({ name: 'Bun', command: bun, native: OWN });
    runtimes.push({ name: 'Deno', command: deno, args: ['run', '--allow-all', '--no-lock'], native: OWN });
    workerd = worker;
  } else {
    console.log('left out: other runtimes, whose binaries are for Linux x64 (npm run runtimes)');
  }

  await check('nothing of ours runs when it is installed', '[]', async () => {
    const installed = Object.entries(JSON.parse(readFileSync(join(project, 'node_modules/.package-lock.json'), 'utf8')).packages);
    const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path);
    // The optional peer's is the user's own choice: its binaries are in its package.
    return JSON.stringify(scripted.filter((path) => path !== 'node_modules/classic-level'));
  });
  await check('the command', true, async () => (await run('npx', ['--no-install', manifest.name, '--help'])).includes('keygen-root'));
  await check('the command plays the vectors that are packed', true, async () =>
    / 0 failed/.test(await run('npx', ['--no-install', manifest.name, 'vectors', 'verify'])),
  );
  const relay = await startRelay();
  try {
    for (const runtime of runtimes) await checkRuntime(runtime, relay.url);
  } finally {
    await relay.stop();
  }
  if (workerd !== undefined) await checkWorkerd(workerd);
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
