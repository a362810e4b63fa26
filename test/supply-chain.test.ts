import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const json = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));

interface Manifest {
  readonly scripts: Record<string, string>;
  readonly files: string[];
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
  readonly peerDependenciesMeta: Record<string, { optional?: boolean }>;
  readonly allowScripts: Record<string, boolean>;
}
interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly peer?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}
const manifest = json('package.json') as Manifest;
const lock = (json('package-lock.json') as { packages: Record<string, Locked> }).packages;
const EXACT = /^(?:npm:[a-z0-9@/.-]+@)?\d+\.\d+\.\d+$/;

/** Every package that reaches a user, with the reason why it may. */
const PRODUCTION: Readonly<Record<string, string>> = {
  '@noble/ciphers': 'ChaCha20-Poly1305',
  '@noble/curves': 'X25519, Ed25519',
  '@noble/hashes': 'SHA-2, SHA-3, HMAC, HKDF',
  '@noble/post-quantum': 'ML-KEM, ML-DSA, SLH-DSA',
  idb: 'IndexedDB with promises',
  ws: 'WebSocket on Node 20',
};

test('T45: nothing runs when the package is installed', () => {
  const lifecycle = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare', 'prepublish', 'dependencies'];
  expect(Object.keys(manifest.scripts).filter((name) => lifecycle.includes(name))).toEqual([]);
  expect(readdirSync(ROOT)).not.toContain('binding.gyp');
});

test('T45: the production dependencies are these, exactly pinned, without a further one', () => {
  expect(Object.keys(manifest.dependencies).sort()).toEqual(Object.keys(PRODUCTION).sort());
  expect(manifest.optionalDependencies).toBeUndefined();
  const pins = { ...manifest.dependencies, ...manifest.devDependencies };
  expect(Object.entries(pins).filter(([, version]) => !EXACT.test(version))).toEqual([]);
  for (const peer of Object.keys(manifest.peerDependencies)) expect(manifest.peerDependenciesMeta[peer]?.optional, peer).toBe(true);
  const reached = Object.entries(lock).filter(([path, { dev, peer }]) => path !== '' && dev !== true && peer !== true);
  expect(reached.map(([path]) => path.replace('node_modules/', '')).sort()).toEqual(Object.keys(PRODUCTION).sort());
  for (const [path, { version }] of reached) expect(version, path).toBe(manifest.dependencies[path.replace('node_modules/', '')]);
});

test('T45: no production dependency has an install script, and those of tools don’t run', () => {
  const scripted = Object.entries(lock).filter(([, { hasInstallScript }]) => hasInstallScript === true);
  expect(scripted.filter(([, { dev }]) => dev !== true).map(([path]) => path)).toEqual([]);
  const names = scripted.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
  // pkcs11js has no prebuilt binary: scripts/ci-install.sh compiles it, so that installing needs no compiler.
  for (const name of names) if (name !== 'fsevents') expect(manifest.allowScripts[name], name).toBe(false);
});

test('T45: the lock pins every package by its content', () => {
  const open = Object.entries(lock).filter(
    ([path, { integrity, link }]) => path !== '' && link !== true && !/^sha512-/.test(integrity ?? ''),
  );
  expect(open.map(([path]) => path)).toEqual([]);
  expect(lock['']).toMatchObject({ dependencies: manifest.dependencies, devDependencies: manifest.devDependencies });
});

test('T45: what is packed is what was built, and a few texts', () => {
  // The documents that README links to; not docs/api, which is built from the types that are packed already.
  expect([...manifest.files].sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'SECURITY.md', 'dist', 'docs/*.md']);
  const out = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [packed] = JSON.parse(out) as [{ files: { path: string }[] }];
  const allowed =
    /^(?:dist\/[a-zA-Z0-9/_-]+\.(?:js|js\.map|d\.ts)|(?:README|SECURITY|CHANGELOG|docs\/[a-z-]+)\.md|LICENSE|NOTICE|package\.json)$/;
  expect(packed.files.map(({ path }) => path).filter((path) => !allowed.test(path))).toEqual([]);
  expect(packed.files.map(({ path }) => path)).toEqual(expect.arrayContaining(['package.json', 'LICENSE', 'docs/storage.md']));
});

test('T45: no environment variable and no flag changes what the library does', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  expect(sources.length).toBeGreaterThan(50);
  const asking = sources.filter((path) =>
    /process\.(?:env|argv)|import\.meta\.env|Deno\.env|\bDEBUG\b|NODE_ENV/.test(readFileSync(join(ROOT, 'src', path), 'utf8')),
  );
  expect(asking).toEqual([]);
});
