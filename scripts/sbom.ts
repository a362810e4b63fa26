/**
 * What reaches a user's machine, as a bill of materials (CycloneDX) and as licence texts: `npm run sbom` writes both, and both are packed.
 *
 * They say nothing of when and where they were written, so that one package-lock.json and one build make one text.
 * The optional peers are not in them: who wants those installs them.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = 'node_modules/';

interface Package {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}
interface Locked {
  readonly integrity: string;
  readonly dev?: boolean;
  readonly peer?: boolean;
}

const read = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');
const packageAt = (path: string): Package => JSON.parse(read(path, 'package.json')) as Package;

/** Every file that the source maps below a folder name, as they name it. */
export function sourcesOf(folder: string): string[] {
  const maps = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.map'));
  return maps.flatMap((path) => (JSON.parse(readFileSync(join(folder, path), 'utf8')) as { sources: string[] }).sources);
}

/** The packages whose code a build holds, by their paths in package-lock.json. */
export function bundledIn(dist: string): string[] {
  const paths = sourcesOf(dist).flatMap((source) => /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(source)?.[0] ?? []);
  return [...new Set(paths)].sort();
}

/** The licence text that a package brings along. Fails where there is none: it may not be passed on then. */
function licenceText(path: string): string {
  const file = readdirSync(join(ROOT, path)).find((name) => /^licen[cs]e(?:-mit)?(?:\.md|\.txt)?$/i.test(name));
  if (file === undefined) throw new Error(`${path} brings no licence text`);
  return read(path, file).trim();
}

/** Group, name, version, licence, and the reference by which the others are told of it. */
function component({ name, version, license }: Package) {
  const [group, bare] = name.startsWith('@') ? (name.split('/') as [string, string]) : [undefined, name];
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    ...(group !== undefined && { group }),
    name: bare,
    version,
    purl,
    licenses: [{ license: { id: license } }],
  };
}

/**
 * The texts by file name.
 *
 * @param bundled what {@link bundledIn} says of the build
 */
export function documents(bundled: readonly string[]): Record<'sbom.cdx.json' | 'THIRD-PARTY.md', string> {
  const lock = (JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }).packages;
  const installed = Object.keys(lock).filter((path) => path !== '' && lock[path]!.dev !== true && lock[path]!.peer !== true);
  const paths = [...new Set([...installed, ...bundled])].sort();
  const refs = new Map(paths.map((path) => [path, component(packageAt(path))['bom-ref']]));

  const own = packageAt('');
  const dependenciesOf = (path: string) =>
    Object.keys(packageAt(path).dependencies ?? {}).flatMap(
      (name) => refs.get(`${path}/${MODULES}${name}`) ?? refs.get(MODULES + name) ?? [],
    );
  const itself = component(own);
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { ...itself, description: own.description } },
    components: paths.map((path) => {
      const [algorithm, hash] = lock[path]!.integrity.split('-') as [string, string];
      return {
        ...component(packageAt(path)),
        scope: 'required',
        hashes: [{ alg: algorithm.replace('sha', 'SHA-'), content: Buffer.from(hash, 'base64').toString('hex') }],
        ...(bundled.includes(path) && { properties: [{ name: 'cdx:npm:package:bundled', value: 'true' }] }),
      };
    }),
    dependencies: [
      { ref: itself['bom-ref'], dependsOn: [...new Set([...bundled.map((path) => refs.get(path)!), ...dependenciesOf('')])].sort() },
      ...paths.map((path) => ({ ref: refs.get(path), dependsOn: dependenciesOf(path).sort() })),
    ],
  };

  const section = (path: string) => {
    const { name, version, license } = packageAt(path);
    return `### ${name} ${version}, ${license}\n\n\`\`\`text\n${licenceText(path)}\n\`\`\`\n`;
  };
  const sections = (title: string, which: readonly string[]) => `## ${title}\n\n${which.map(section).join('\n') || 'Nothing.\n'}`;
  return {
    'sbom.cdx.json': `${JSON.stringify(bom, null, 2)}\n`,
    'THIRD-PARTY.md': `# Licences of others

What an application that bundles \`${own.name}\` passes on as well. The same as a CycloneDX bill of materials: sbom.cdx.json.

${sections('Inside the package', bundled)}
${sections(
  'Installed with it',
  installed.filter((path) => !bundled.includes(path)),
)}`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bundled = bundledIn(join(ROOT, 'dist'));
  for (const [file, text] of Object.entries(documents(bundled))) writeFileSync(join(ROOT, file), text);
  console.log(`written, with ${bundled.length} packages inside dist/`);
}
