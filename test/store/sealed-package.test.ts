/** The sealed store as it is packed: the worker beside it, what each subpath loads, keys that are wiped. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Inside of the repository, so that the built files find their libraries. */
const CACHE = join(ROOT, 'node_modules', '.cache');
let folder: string;
const dist = (path = ''): string => join(folder, 'dist', path);
const node = (...args: string[]): string => execFileSync(process.execPath, args, { encoding: 'utf8', cwd: folder });

beforeAll(() => {
  mkdirSync(CACHE, { recursive: true });
  folder = mkdtempSync(join(CACHE, 'cyphr-package-'));
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  execFileSync(process.execPath, [join(ROOT, 'node_modules/tsup/dist/cli-default.js'), '--out-dir', dist(), '--silent'], { cwd: ROOT });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every file that a built file loads, itself included. */
function loadedBy(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const [, specifier] of readFileSync(path, 'utf8').matchAll(/(?:^|;|\})\s*(?:import|export)\b[^'"]*?["']([^"']+)["']/gm)) {
    if (specifier!.startsWith('.')) loadedBy(join(path, '..', specifier!), seen);
    else seen.add(specifier!);
  }
  return seen;
}

describe('the package', () => {
  test('loads Argon2 for sealed stores only', () => {
    const argon2 = '@noble/hashes/argon2.js';
    expect(loadedBy(dist('store/sealed.js'))).toContain(argon2);
    expect(loadedBy(dist('store/argon2-worker.js'))).toContain(argon2);
    for (const entry of ['index.js', 'store/idb.js', 'store/node.js', 'store/memory.js', 'store/pkcs11.js', 'ratchet/index.js']) {
      const loaded = loadedBy(dist(entry));
      expect(loaded, entry).not.toContain(argon2);
      expect(loaded, entry).not.toContain(dist('store/sealed.js'));
    }
  });

  test('derives in a worker on Node, off the main thread', () => {
    writeFileSync(
      join(folder, 'derive.mjs'),
      `import threads from 'node:worker_threads';
import { memoryStore } from './dist/store/memory.js';
import { passphraseSlot, sealedStore } from './dist/store/sealed.js';
let online = 0;
const { Worker } = threads;
threads.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    this.on('message', (answer) => { if ('key' in answer) online++; });
  }
};
const progress = [];
const slot = passphraseSlot(() => 'correct horse', { progress: (fraction) => progress.push(fraction) });
const base = { ...memoryStore(), close: async () => {} };
const first = sealedStore(base, slot);
await first.commit([{ key: ['meta'], value: new Uint8Array([7]) }]);
await first.close();
const [record] = await sealedStore(base, slot).read([['meta']]);
console.log(JSON.stringify({ online, value: [...record.value], progress: progress.length, last: progress.at(-1) }));
`,
    );
    const told = JSON.parse(node('derive.mjs'));
    expect(told).toMatchObject({ online: 2, value: [7], last: 1 });
    expect(told.progress).toBeGreaterThan(20);
  });

  test('derives all the same where the worker’s file is missing', () => {
    const bare = join(folder, 'bare');
    mkdirSync(bare);
    execFileSync(process.execPath, [
      join(ROOT, 'node_modules/esbuild/bin/esbuild'),
      dist('store/sealed.js'),
      '--bundle',
      '--format=esm',
      '--platform=node',
      `--outfile=${join(bare, 'sealed.mjs')}`,
      '--log-level=error',
    ]);
    writeFileSync(
      join(bare, 'derive.mjs'),
      `import { passphraseSlot } from './sealed.mjs';
const ticks = setInterval(() => { ticked++; }, 1);
let ticked = 0;
const slot = passphraseSlot(() => 'p');
const ad = new Uint8Array(1);
const opened = await slot.open(await slot.seal(new Uint8Array(32).fill(9), ad), ad);
clearInterval(ticks);
console.log(JSON.stringify({ opened: opened[31], length: opened.length, ticked }));
`,
    );
    const told = JSON.parse(execFileSync(process.execPath, [join(bare, 'derive.mjs')], { encoding: 'utf8' }));
    expect(told).toMatchObject({ opened: 9, length: 32 });
    // In slices: other tasks had their turn.
    expect(told.ticked).toBeGreaterThan(20);
  });

  test('bundles with Vite: the worker becomes a file of its own, with nothing inlined', async () => {
    writeFileSync(
      join(folder, 'page.js'),
      `import { passphraseSlot, sealedStore } from '@cyphr/e2ee/store/sealed';\nglobalThis.page = { passphraseSlot, sealedStore };\n`,
    );
    await build({
      configFile: false,
      root: folder,
      logLevel: 'error',
      build: { outDir: join(folder, 'site'), rolldownOptions: { input: join(folder, 'page.js') } },
    });
    const assets = readdirSync(join(folder, 'site', 'assets'));
    const workers = assets.filter((name) => name.startsWith('argon2-worker'));
    expect(workers, assets.join()).toHaveLength(1);
    const page = readFileSync(join(folder, 'site', 'assets', assets.find((name) => name.startsWith('page'))!), 'utf8');
    expect(page).toContain(workers[0]);
    expect(page).not.toMatch(/data:(?:text|application)\/javascript|createObjectURL|\beval\(/);
    expect(readFileSync(join(folder, 'site', 'assets', workers[0]!), 'utf8')).toContain('onmessage');
  });

  test('T49: wipes the master key when the store is closed', async () => {
    const { sealedStore } = (await import(
      /* @vite-ignore */ pathToFileURL(dist('store/sealed.js')).href
    )) as typeof import('../../src/store/sealed.js');
    const { memoryStore } = (await import(
      /* @vite-ignore */ pathToFileURL(dist('store/memory.js')).href
    )) as typeof import('../../src/store/memory.js');
    const kept: Uint8Array[] = [];
    const keep = (bytes: Uint8Array): Uint8Array => {
      kept.push(bytes);
      return bytes;
    };
    const slot = {
      kind: 'test',
      seal: async (masterKey: Uint8Array) => keep(masterKey).slice(),
      open: async (sealed: Uint8Array) => keep(sealed.slice()),
    };
    const base = { ...memoryStore(), close: async () => {} };
    const founded = sealedStore(base, slot);
    await founded.commit([{ key: ['meta'], value: new Uint8Array(1) }]);
    await founded.close();
    const store = sealedStore(base, slot);
    await store.read([['meta']]);
    expect(kept.map((bytes) => bytes.some((byte) => byte !== 0))).toEqual([false, true]);
    await store.close();
    expect(kept.map((bytes) => bytes.some((byte) => byte !== 0))).toEqual([false, false]);
  });
});
