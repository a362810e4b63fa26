import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { documents } from '../scripts/sbom.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const json = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
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
  readonly resolved?: string;
  readonly engines?: { readonly node?: string };
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
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
const MODULES = 'node_modules/';
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
  expect(reached.map(([path]) => path.replace(MODULES, '')).sort()).toEqual(Object.keys(PRODUCTION).sort());
  for (const [path, { version }] of reached) expect(version, path).toBe(manifest.dependencies[path.replace(MODULES, '')]);
});

test('T45: no production dependency has an install script, and those of tools don’t run', () => {
  const scripted = Object.entries(lock).filter(([, { hasInstallScript }]) => hasInstallScript === true);
  expect(scripted.filter(([, { dev }]) => dev !== true).map(([path]) => path)).toEqual([]);
  const names = scripted.map(([path]) => path.slice(path.lastIndexOf(MODULES) + MODULES.length));
  // pkcs11js has no prebuilt binary: scripts/ci-install.sh compiles it, so that installing needs no compiler.
  for (const name of names) if (name !== 'fsevents') expect(manifest.allowScripts[name], name).toBe(false);
});

test('T45: the lock pins every package by its content', () => {
  const open = Object.entries(lock).filter(
    ([path, { integrity, link }]) => path !== '' && link !== true && !/^sha512-/.test(integrity ?? ''),
  );
  expect(open.map(([path]) => path)).toEqual([]);
  const { version, dependencies, devDependencies } = manifest;
  expect(lock['']).toMatchObject({ version, dependencies, devDependencies });
  // By content alone, wherever it comes from.
  expect(Object.values(lock).flatMap(({ resolved }) => resolved ?? [])).toEqual([]);
});

test('T45: the lock has no holes: npm writes one where a registry lacks a platform’s binary, and `npm ci` then refuses it elsewhere', () => {
  /** Where Node finds a package from another one: beside what that brings along, then outwards. */
  const locked = (name: string, from: string): Locked | undefined => {
    const outwards = from.split(`/${MODULES}`).map((_, index, parts) => parts.slice(0, parts.length - index).join(`/${MODULES}`));
    return [...outwards.map((path) => `${path}/${MODULES}${name}`), MODULES + name]
      .map((path) => lock[path])
      .find((each) => each !== undefined);
  };
  const wanted = Object.entries(lock).flatMap(([path, { dependencies, optionalDependencies }]) =>
    Object.entries({ ...dependencies, ...optionalDependencies }).map(([name, range]) => ({
      path,
      name,
      range,
      version: locked(name, path)?.version,
    })),
  );
  expect(wanted.length).toBeGreaterThan(300);
  expect(wanted.filter(({ range, version }) => version === undefined || (/^\d+\.\d+\.\d+$/.test(range) && version !== range))).toEqual([]);
});

test('what a user installs runs on the oldest Node that we promise', () => {
  const oldest = (range: string): number[] =>
    [...range.matchAll(/>=\s*(\d+)(?:\.(\d+))?/g)].flatMap(([, major, minor]) => Number(major) * 1000 + Number(minor ?? 0));
  const [ours] = oldest(manifest.engines.node);
  for (const name of Object.keys(PRODUCTION)) {
    for (const theirs of oldest(lock[MODULES + name]?.engines?.node ?? '')) expect(theirs, name).toBeLessThanOrEqual(ours!);
  }
});

test('the changelog tells of this version', () => {
  expect(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')).toMatch(
    new RegExp(`^#+ \\[?${manifest.version.replaceAll('.', '\\.')}\\b`, 'm'),
  );
});

test('T45: what is packed is what was built, and a few texts', () => {
  // The documents that README links to; not docs/api, which is built from the types that are packed already. What that comes to after a
  // build: scripts/tarball.ts.
  const vectors = ['test-vectors/README.md', 'test-vectors/*.json', '!test-vectors/*-v*.json'];
  const texts = ['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'SECURITY.md', 'THIRD-PARTY.md', 'docs/*.md', 'sbom.cdx.json'];
  expect([...manifest.files].sort()).toEqual([...texts, ...vectors, 'dist'].sort());
});

test('T45: the bill of materials and the licences are of what is locked', () => {
  const { components } = json('sbom.cdx.json') as {
    components: { purl: string; properties?: unknown; licenses: { license: { id: string } }[] }[];
  };
  // What the build holds is scripts/tarball.ts’s to say: here it is taken from the bill itself.
  const bundled = Object.entries(lock).flatMap(([path, { version }]) => {
    const purl = `pkg:npm/${path.slice(path.lastIndexOf(MODULES) + MODULES.length).replace('@', '%40')}@${version}`;
    return components.some((each) => each.purl === purl && each.properties !== undefined) ? [path] : [];
  });
  for (const [file, text] of Object.entries(documents(bundled))) expect(readFileSync(join(ROOT, file), 'utf8'), 'npm run sbom').toBe(text);
  const licences = components.flatMap(({ licenses }) => licenses.map(({ license }) => license.id));
  expect(licences.length).toBeGreaterThanOrEqual(Object.keys(PRODUCTION).length);
  expect(licences.filter((id) => !['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'].includes(id))).toEqual([]);
});

test('T45: no environment variable and no flag changes what the library does', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  expect(sources.length).toBeGreaterThan(50);
  const asking = sources.filter((path) =>
    /process\.(?:env|argv)|import\.meta\.env|Deno\.env|\bDEBUG\b|NODE_ENV/.test(readFileSync(join(ROOT, 'src', path), 'utf8')),
  );
  expect(asking).toEqual([]);
});
