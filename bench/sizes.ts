/** What a library adds to an application: its bundle for a browser, and what importing it costs in Node. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

export interface Bundle {
  readonly name: string;
  readonly bytes: number;
  readonly gzipBytes: number;
  readonly isNative: boolean;
}
export interface Weighed {
  readonly name: string;
  /** The package below `peers/` that has to be installed. */
  readonly peer?: string;
  /** What an application would import. A default export makes it ready for use. */
  readonly entry: string;
  /** Files that go along, or a folder of them. */
  readonly files?: string;
  /** Native code can't be bundled. */
  readonly isNative?: boolean;
}

const NATIVE = `./peers/node_modules/@signalapp/libsignal-client/prebuilds/${process.platform}-${process.arch}/`;
export const WEIGHED: readonly Weighed[] = [
  { name: 'this SDK, sessions', entry: './entries/sessions.mjs' },
  { name: 'this SDK, client with IndexedDB and relay', entry: './entries/client.mjs' },
  {
    name: 'libsignal (its native file, no bundle)',
    peer: '@signalapp/libsignal-client',
    entry: './peers/entries/libsignal.mjs',
    files: NATIVE,
    isNative: true,
  },
  {
    name: 'Olm, with its WebAssembly',
    peer: '@matrix-org/olm',
    entry: './peers/entries/olm.mjs',
    files: './peers/node_modules/@matrix-org/olm/olm.wasm',
  },
  { name: 'ts-mls, with its X-Wing suite', peer: 'ts-mls', entry: './peers/entries/mls.mjs' },
];

/** Olm's branch for Node, and what the other suites of ts-mls would need. */
const NOT_BUNDLED = [
  ...['fs', 'path', 'crypto'],
  ...['@hpke/chacha20poly1305', '@hpke/dhkem-x448', '@hpke/ml-kem', '@noble/curves/*', '@noble/post-quantum/*'],
];

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** Minified and gzipped, as `npm run size` does it, with the files that go along. */
export async function bundle({ name, peer, entry, files, isNative = false }: Weighed): Promise<Bundle> {
  const parts: Uint8Array[] = files === undefined ? [] : filesAt(path(files)).map((file) => readFileSync(file));
  if (!isNative) parts.push(await bundled(path(entry), peer === undefined ? [] : NOT_BUNDLED));
  const sum = (sizes: number[]): number => sizes.reduce((total, size) => total + size, 0);
  return {
    name,
    bytes: sum(parts.map(({ length }) => length)),
    gzipBytes: sum(parts.map((part) => gzipSync(part, { level: 9 }).length)),
    isNative,
  };
}

async function bundled(entry: string, external: string[]): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    // What dist/ holds, not the sources that the editor's configuration maps its names to.
    tsconfigRaw: {},
    write: false,
    logLevel: 'error',
    external,
  });
  return outputFiles[0]!.contents;
}

const filesAt = (file: string): string[] => (file.endsWith('/') ? readdirSync(file).map((name) => file + name) : [file]);

const IMPORT = `
  const start = process.cpuUsage();
  const { default: ready } = await import(process.argv[1]);
  await ready?.();
  const { user, system } = process.cpuUsage(start);
  process.stdout.write(String(user + system));`;

/** Milliseconds of processor time to import a library in a fresh process, until it can be used. */
export function importMs({ entry }: Weighed): number {
  const url = new URL(entry, import.meta.url).href;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', IMPORT, url], { encoding: 'utf8' })) / 1_000;
}
