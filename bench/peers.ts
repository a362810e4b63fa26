/** Installs what is compared with into `peers/`, where nothing but the benchmark finds it. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Report } from './report.js';

const FOLDER = fileURLToPath(new URL('peers/', import.meta.url));

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly license?: string; readonly integrity?: string }>>;
}

const readLock = (path: string): Lock['packages'] => (JSON.parse(readFileSync(FOLDER + path, 'utf8')) as Lock).packages;

/** Whether exactly what the lock names is there already. */
function isInstalled(): boolean {
  try {
    const there = readLock('node_modules/.package-lock.json');
    return Object.entries(readLock('package-lock.json')).every(
      ([path, { integrity }]) => path === '' || there[path]?.integrity === integrity,
    );
  } catch {
    return false;
  }
}

/** The peers, each with its version and licence; none if they can't be installed, which it tells. Their install scripts don't run. */
export function installPeers(tell: (line: string) => void): Report['peers'] {
  if (!isInstalled()) {
    tell('installing peers into bench/peers');
    const { status, stderr } = spawnSync('npm', ['ci', '--ignore-scripts', '--fetch-retries=1'], { cwd: FOLDER, encoding: 'utf8' });
    if (status !== 0) {
      tell(`the peers can’t be installed, and are left out: ${/^npm error .*$/m.exec(stderr ?? '')?.[0] ?? 'npm can’t be run'}`);
      return [];
    }
  }
  const lock = readLock('package-lock.json');
  return ['@signalapp/libsignal-client', '@matrix-org/olm', 'ts-mls'].map((name) => {
    const { version, license } = lock[`node_modules/${name}`]!;
    return { name, version: version!, licence: license! };
  });
}
