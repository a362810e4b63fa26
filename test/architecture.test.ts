import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LABELS } from '../src/crypto/labels.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** All files below a folder of the repository, by path from its root. */
function filesOf(folder: string, extension = '.ts'): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesOf(path, extension);
      return entry.name.endsWith(extension) ? [path] : [];
    })
    .sort();
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The code of a file, without comments and strings' contents: what words in it do something. */
function codeOf(path: string): string {
  return read(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:])\/\/.*$/gm, '$1');
}

interface Import {
  readonly from: string;
  /** A path from the root for a file of ours, else the name of the package. */
  readonly to: string;
  readonly isType: boolean;
}

function importsOf(path: string): Import[] {
  const found = codeOf(path).matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm);
  return [...found].map(([, type, specifier, dynamic]) => {
    const target = (specifier ?? dynamic)!;
    const to = target.startsWith('.') ? relative(ROOT, join(ROOT, path, '..', target)).replace(/\.js$/, '.ts') : target;
    return { from: path, to, isType: type !== undefined };
  });
}

const SOURCES = filesOf('src');
const IMPORTS = SOURCES.flatMap(importsOf);

/** Files of `src/` itself that are no ground floor: what the package exports. */
const TOP: Readonly<Record<string, string>> = { 'index.ts': 'index', 'otel.ts': 'otel' };

/** The part of the library that a file belongs to. */
function partOf(path: string): string {
  const [, first, ...rest] = path.split('/');
  if (rest.length === 0) return TOP[first!] ?? 'ground';
  if (path.startsWith('src/store/sealed')) return 'sealed';
  if (first === 'store' || first === 'transport') return rest.at(-1) === 'port.ts' && rest.length === 1 ? 'ports' : first;
  return first!;
}

const GROUND = ['ground'];
const CORE = ['ground', 'crypto', 'wire'];
/** Who may import whom. Adapters know their port and the ground floor; `client` orchestrates and knows no adapter. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  ground: ['ground'],
  ports: GROUND,
  crypto: GROUND,
  wire: GROUND,
  identity: CORE,
  pqxdh: [...CORE, 'identity'],
  ratchet: CORE,
  session: [...CORE, 'identity', 'pqxdh', 'ratchet'],
  backup: CORE,
  store: ['ground', 'ports'],
  /** The decorator that encrypts: the one adapter with cryptography. */
  sealed: [...CORE, 'ports', 'store'],
  transport: ['ground', 'ports'],
  client: [...CORE, 'identity', 'pqxdh', 'ratchet', 'session', 'backup', 'ports'],
  testing: [...CORE, 'client', 'ports'],
  /** Players of test vectors look into every layer, and draw from seeds. */
  vectors: [...CORE, 'identity', 'pqxdh', 'ratchet', 'testing'],
  /** What checks all of it, wherever it runs. */
  selftest: [...CORE, 'identity', 'pqxdh', 'ratchet', 'client', 'testing', 'vectors'],
  otel: ['client'],
  /** The command: it explains, checks and measures every layer, and signs with an organisation's root key. */
  cli: [...CORE, 'identity', 'ratchet', 'backup', 'sealed', 'client', 'vectors'],
  index: ['ground', 'ports', 'client', 'identity'],
};
/** Single imports across the table, each with its reason. */
const EXCEPTIONS: readonly string[] = [
  // The decorator that owns the one retry loop is put around every transport by the client, once.
  'src/client/core.ts → src/transport/retry.ts',
];

describe('who may import whom', () => {
  it('every import stays within the table', () => {
    const wrong = IMPORTS.filter(({ from, to }) => to.startsWith('src/') && partOf(from) !== partOf(to))
      .filter(({ from, to }) => !ALLOWED[partOf(from)]?.includes(partOf(to)))
      .map(({ from, to }) => `${from} → ${to}`);
    expect(wrong.filter((each) => !EXCEPTIONS.includes(each))).toEqual([]);
    expect(
      EXCEPTIONS.filter((each) => !wrong.includes(each)),
      'exceptions that nothing needs any more',
    ).toEqual([]);
  });

  it('every folder has its place in the table', () => {
    expect(SOURCES.map(partOf).filter((part) => ALLOWED[part] === undefined)).toEqual([]);
  });

  it('the errors, which adapters use alone, import nothing', () => {
    expect(importsOf('src/errors.ts')).toEqual([]);
  });

  it('the independent implementation has nothing of this one, nor of its libraries', () => {
    const outside = filesOf('test/independent', '.mjs')
      .flatMap(importsOf)
      .filter(({ to }) => !to.startsWith('node:') && !/^test\/independent\/[\w-]+\.mjs$/.test(to));
    // The launcher fetches Node 24 where an older one runs it.
    expect(outside.map(({ from, to }) => `${from} → ${to}`)).toEqual(['test/independent/run.mjs → scripts/binaries.mjs']);
    expect(filesOf('test/independent', '.ts')).toEqual(['test/independent/sdk-client.ts', 'test/independent/sdk-side.ts']);
  });

  it('the table is read from all imports there are', () => {
    expect(IMPORTS.length).toBeGreaterThan(250);
    expect(IMPORTS).toContainEqual({ from: 'src/index.ts', to: 'src/client/client.ts', isType: false });
    expect(IMPORTS).toContainEqual({ from: 'src/store/node/database.ts', to: 'classic-level', isType: false });
    expect(importsOf('src/otel.ts').every(({ isType }) => isType)).toBe(true);
  });

  it('ports are types only', () => {
    for (const path of SOURCES.filter((source) => partOf(source) === 'ports')) {
      expect(
        importsOf(path).filter(({ isType }) => !isType),
        path,
      ).toEqual([]);
      expect(codeOf(path), path).not.toMatch(/^export (?!type|interface)/m);
    }
  });

  it('what the benchmark compares with is imported by its own folder alone, which imports nothing of ours', () => {
    const peers = Object.keys((JSON.parse(read('bench/peers/package.json')) as { dependencies: object }).dependencies);
    expect(peers).toContain('@signalapp/libsignal-client');
    const files = ['src', 'test', 'bench', 'examples', 'scripts'].flatMap((folder) =>
      ['.ts', '.mjs', '.js'].flatMap((extension) => filesOf(folder, extension)),
    );
    const isPeer = ({ to }: Import): boolean =>
      peers.some((peer) => (to === peer || to.startsWith(`${peer}/`)) && !peer.startsWith('@noble/'));
    const [inside, outside] = [true, false].map((own) =>
      files.filter((path) => path.startsWith('bench/peers/') === own).flatMap(importsOf),
    );
    expect(outside!.filter(isPeer)).toEqual([]);
    expect(inside!.filter((each) => !isPeer(each))).toEqual([]);
    expect(inside!.length).toBeGreaterThan(4);
  });

  it('each library has one importer', () => {
    const importers: Record<string, string[]> = {};
    for (const { from, to } of IMPORTS) {
      if (to.startsWith('src/')) continue;
      const library = to.startsWith('@') ? to.split('/').slice(0, 1).join('/') : to.split('/')[0]!;
      importers[library] = [
        ...new Set([...(importers[library] ?? []), library === '@noble' ? from.split('/').slice(0, 2).join('/') : from]),
      ];
    }
    expect(importers).toEqual({
      '@noble': ['src/crypto'],
      '#backend': expect.arrayContaining(['src/crypto/suite.ts']),
      '#websocket': ['src/transport/socket/connection.ts'],
      // The command uses the package as anybody would: a worker stands beside the file of sealed stores, and what is measured is what is installed.
      '@cyphr': ['src/cli/key-file.ts', 'src/cli/selftest.ts', 'src/cli/session-subject.ts'],
      'classic-level': ['src/store/node/database.ts'],
      idb: ['src/store/idb.ts'],
      'node:buffer': ['src/crypto/backend/node.ts'],
      // Checks against accidents, in an adapter: adapters know nothing of crypto/.
      'node:child_process': ['src/cli/terminal.ts'],
      'node:crypto': ['src/crypto/backend/node.ts', 'src/store/node/rows.ts'],
      'node:fs': ['src/cli/terminal.ts', 'src/store/node/check.ts', 'src/store/node/database.ts', 'src/store/node/witness.ts'],
      'cli-progress': ['src/cli/terminal.ts'],
      'node:path': ['src/cli/terminal.ts'],
      'node:readline': ['src/cli/terminal.ts'],
      'node:stream': ['src/cli/terminal.ts'],
      'node:url': ['src/cli/terminal.ts'],
      'node:util': ['src/cli/main.ts'],
      'node:worker_threads': ['src/store/sealed/threads.ts'],
      pkcs11js: ['src/store/pkcs11.ts'],
      ws: ['src/transport/socket/node.ts'],
    });
    expect(importers['#backend']!.every((path) => path.startsWith('src/crypto/'))).toBe(true);
  });
});

describe('house rules', () => {
  it('no source file has more than 430 lines', () => {
    expect(SOURCES.filter((path) => read(path).split('\n').length > 430)).toEqual([]);
  });

  /** What touches the world, and the files above the core that are there to do so. */
  const EFFECTS: readonly [RegExp, readonly string[]][] = [
    [/\bDate\b/, ['src/cli/root.ts', 'src/cli/inspect/explain.ts', 'src/client/client.ts', 'src/client/platform.ts', 'src/testing']],
    [/\bMath\.random\b/, []],
    [/\bconsole\b/, []],
    [/\bprocess\b/, ['src/cli/terminal.ts', 'src/crypto/backend/node.ts', 'src/store/sealed/threads.ts']],
    [/\bprocess\.env\b/, []],
    // The IndexedDB store stops waiting for a deletion that a frozen tab holds up.
    [
      /\bsetTimeout\b|\bsetInterval\b/,
      ['src/client/platform.ts', 'src/transport/', 'src/testing/', 'src/store/idb.ts', 'src/selftest/index.ts'],
    ],
    // The IndexedDB store names each database that it makes, to tell it from its successors.
    [/\bgetRandomValues\b/, ['src/client/platform.ts', 'src/transport/retry.ts', 'src/store/idb.ts', 'src/store/sealed/random.ts']],
    [/\beval\(|new Function\b/, []],
  ];
  it.each(EFFECTS)('%s stands only where it may', (word, places) => {
    const found = SOURCES.filter((path) => word.test(codeOf(path).replace(/'[^'\n]*'/g, "''")));
    expect(found.filter((path) => !places.some((place) => path.startsWith(place)))).toEqual([]);
  });

  it('nothing waits at import: no top-level await', () => {
    expect(SOURCES.filter((path) => /^(?:(?:export )?(?:const|let) [^=\n]*= )?await\b/m.test(codeOf(path)))).toEqual([]);
  });

  it('below the client there are no classes but errors, and nothing asynchronous', () => {
    const core = SOURCES.filter((path) =>
      ['ground', 'crypto', 'wire', 'identity', 'pqxdh', 'ratchet', 'session', 'backup'].includes(partOf(path)),
    );
    expect(core.filter((path) => path !== 'src/errors.ts' && /^\s*(?:export )?(?:abstract )?class\b/m.test(codeOf(path)))).toEqual([]);
    expect(core.filter((path) => /\basync\b|\bawait\b|\bPromise\b/.test(codeOf(path)))).toEqual([]);
  });

  it('relative imports end in .js', () => {
    const wrong = SOURCES.filter((path) => /from '\.[^']*(?<!\.js)'/.test(read(path)));
    expect(wrong).toEqual([]);
  });

  /** Tests that may wait for real time, with the reason. */
  const SLEEPERS: Readonly<Record<string, string>> = {};
  it('no test sleeps to synchronise', () => {
    const sleeping = filesOf('test').filter((path) =>
      /(?:setTimeout|sleep|delay)\)?\(\s*(?:resolve|done|r)\s*,|timers\/promises/.test(read(path)),
    );
    expect(sleeping.filter((path) => SLEEPERS[path] === undefined && path !== 'test/architecture.test.ts')).toEqual([]);
  });

  it('nothing names a machine’s paths', () => {
    const folders = ['src', 'test', 'docs', 'examples', 'scripts', 'bench', 'test-vectors', '.github'].filter((folder) => {
      try {
        return statSync(join(ROOT, folder)).isDirectory();
      } catch {
        return false;
      }
    });
    const top = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
    const files = [...folders.flatMap((folder) => filesOf(folder, '')), ...top];
    const machine = new RegExp(['/wo' + 'rk/', '/ho' + 'me/[a-z]', '/Us' + 'ers/[A-Za-z]', 'C:\\\\Us' + 'ers', '/ro' + 'ot/'].join('|'));
    expect(files.filter((path) => machine.test(read(path)))).toEqual([]);
  });
});

describe('the table of labels', () => {
  it('stands in the protocol description', () => {
    const text = read('docs/protocol.md');
    for (const label of LABELS) expect(text.includes(label), label).toBe(true);
  });

  it('is the only place with label text', () => {
    const owners = SOURCES.filter((path) => codeOf(path).includes('CYPHR/1'));
    expect(owners).toEqual(['src/crypto/labels.ts']);
  });
});
