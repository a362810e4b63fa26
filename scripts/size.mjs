// What a user's bundler makes of dist/: `npm run size`, after a build. Prints each subpath that a browser can use, minified and
// gzipped, and fails where one is larger than scripts/size.json allows, holds what belongs to another, or makes the bundler warn.
// `npm run size -- --update` sets the budgets to 1 % above what stands.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const budgetFile = fileURLToPath(new URL('size.json', import.meta.url));
const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const budget = JSON.parse(readFileSync(budgetFile, 'utf8'));

/** Subpaths that no browser bundle holds. */
const NOT_FOR_BROWSERS = ['./store/node', './store/pkcs11', './testing', './package.json'];
const all = (subpath) => `export * from '${manifest.name}${subpath.slice(1)}';`;
const bundles = new Map(
  Object.keys(manifest.exports)
    .filter((subpath) => !NOT_FOR_BROWSERS.includes(subpath))
    .map((subpath) => [subpath, all(subpath)]),
);
/** What an application in a browser bundles. */
bundles.set(
  'browser client',
  `export { createClient } from '${manifest.name}';
   export { idbStore } from '${manifest.name}/store/idb';
   export { relay } from '${manifest.name}/transport/websocket';`,
);

/** Which files and packages belong to which part; the ground floor is everyone's. */
const PARTS = {
  '.': /^src\/(client|session)\//,
  './pqxdh': /^src\/pqxdh\//,
  './ratchet': /^src\/ratchet\//,
  './otel': /^src\/otel/,
  './selftest': /^src\/(selftest|vectors)\//,
  './store/memory': /^src\/store\/memory/,
  './store/idb': /^(src\/store\/idb|idb$)/,
  './store/sealed': /^src\/store\/sealed/,
  './transport/memory': /^src\/transport\/memory/,
  './transport/websocket': /^src\/transport\/(websocket|socket\/)/,
  core: /^(src\/(crypto|wire|identity)\/|@noble\/)/,
  node: /^(src\/(testing|store\/(node|pkcs11)|transport\/socket\/node|crypto\/backend\/(node|answers|ml-kem))|ws$|classic-level$|pkcs11js$)/,
};
/** Parts that a bundle may hold beside its own. */
const USES = {
  '.': ['core', './pqxdh', './ratchet'],
  './pqxdh': ['core'],
  './ratchet': ['core'],
  './store/sealed': ['core'],
  // Of what is for Node it holds the known answers and the seeded generator, which ask nothing of Node.
  './selftest': ['core', '.', './pqxdh', './ratchet', 'node'],
  'browser client': ['.', 'core', './pqxdh', './ratchet', './store/idb', './transport/websocket'],
};

/** The source of a map as a file below src/, or as the name of a package. */
function origin(source) {
  const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source) ?? [];
  return name ?? source.slice(source.lastIndexOf('src/'));
}

async function measure(name, contents) {
  const { outputFiles, warnings } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    // What dist/ holds, not the sources that the editor's configuration maps its names to.
    tsconfigRaw: {},
    sourcemap: 'external',
    write: false,
    outfile: 'bundle.js',
    logLevel: 'silent',
  });
  const [js, map] = ['.js', '.map'].map((ending) => outputFiles.find(({ path }) => path.endsWith(ending)));
  const allowed = [name, ...(USES[name] ?? [])];
  const foreign = JSON.parse(map.text)
    .sources.map(origin)
    .filter((source) => Object.entries(PARTS).some(([part, files]) => files.test(source) && !allowed.includes(part)));
  return {
    minified: js.contents.length,
    gzip: gzipSync(js.contents, { level: 9 }).length,
    faults: [...new Set(foreign)].map((source) => `holds ${source}`).concat(warnings.map(({ text }) => `makes esbuild warn: ${text}`)),
  };
}

let failed = 0;
const measured = {};
console.log(`${''.padEnd(24)}${'minified'.padStart(10)}${'gzip'.padStart(10)}${'budget'.padStart(10)}`);
for (const [name, contents] of bundles) {
  const { minified, gzip, faults } = await measure(name, contents);
  measured[name] = Math.ceil(gzip * 1.01);
  const most = process.argv.includes('--update') ? measured[name] : (budget.gzipBytes[name] ?? 0);
  if (gzip > most) faults.push(`is larger than its budget by ${gzip - most} bytes`);
  const aim = budget.aimGzipBytes[name];
  const beside = aim === undefined ? '' : `   aim ${aim}`;
  console.log(`${name.padEnd(24)}${String(minified).padStart(10)}${String(gzip).padStart(10)}${String(most).padStart(10)}${beside}`);
  for (const fault of faults) console.log(`FAIL ${name} ${fault}`);
  failed += faults.length;
}
if (process.argv.includes('--update')) writeFileSync(budgetFile, `${JSON.stringify({ ...budget, gzipBytes: measured }, null, 2)}\n`);
process.exitCode = failed === 0 ? 0 : 1;
