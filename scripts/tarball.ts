/**
 * The tarball that would be published: `npm run tarball`.
 *
 * Builds and packs twice, from copies of this folder in different places, in different time zones and languages: both tarballs must be the
 * same, byte for byte. Then what is in it: everything that package.json names, nothing that does not belong there, nothing of the machine.
 */

import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundledIn, documents, sourcesOf } from './sbom.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'cyphr-tarball-'));

/** What git knows or would take, without anything that is ignored, such as an earlier build; and what `npm ci` installed. */
function copyTo(folder: string): void {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const path of listed.split('\0').filter((each) => each !== '' && existsSync(join(root, each)))) {
    cpSync(join(root, path), join(folder, path));
  }
  const modules = [join(root, 'node_modules'), join(folder, 'node_modules')] as const;
  try {
    execFileSync('cp', ['-al', ...modules], { stdio: 'ignore' });
  } catch {
    // Another file system, or a `cp` that makes no links.
    cpSync(...modules, { recursive: true, verbatimSymlinks: true });
  }
}

/** Builds and packs in a folder of its own; gives the tarball's path. npm makes the modes of umasks 002 and 022 the same. */
async function pack(name: string, umask: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const [folder, out] = [join(work, name), join(work, `${name}-out`)];
  mkdirSync(folder, { recursive: true });
  mkdirSync(out);
  copyTo(folder);
  const command = 'umask "$0" && npm pack --pack-destination "$1"';
  await promisify(execFile)('sh', ['-c', command, umask, out], { cwd: folder, env: { ...process.env, ...environment } });
  return join(out, readdirSync(out)[0]!);
}

/** Unpacks a tarball; gives its files by path. */
function unpack(tarball: string, folder: string): Map<string, Buffer> {
  mkdirSync(folder);
  execFileSync('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map(({ parentPath, name }) => join(parentPath, name)).map((path) => [relative(folder, path), readFileSync(path)]));
}

/** Every file that package.json promises: of `exports`, `imports`, `bin`, `main` and `types`. */
function promised(value: unknown): string[] {
  if (typeof value === 'string') return [value.replace('./', '')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(promised) : [];
}

const BELONGS =
  /^(?:dist\/[a-zA-Z0-9/_-]+\.(?:js|js\.map|d\.ts)|test-vectors\/(?:README\.md|[a-z0-9-]+\.json)|(?:README|SECURITY|CHANGELOG|THIRD-PARTY|docs\/[a-z-]+)\.md|LICENSE|NOTICE|package\.json|sbom\.cdx\.json)$/;

const faults: string[] = [];
try {
  const [first, second] = await Promise.all([
    pack('first', '022', { TZ: 'UTC', LC_ALL: 'C' }),
    pack('second/at/another/depth', '002', { TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8' }),
  ]);
  const [files, again] = [unpack(first, join(work, 'package')), unpack(second, join(work, 'package-again'))];
  for (const path of new Set([...files.keys(), ...again.keys()])) {
    if (files.get(path)?.compare(again.get(path) ?? Buffer.alloc(0)) !== 0) faults.push(`${path} differs between two builds`);
  }
  const bytes = readFileSync(first);
  if (!bytes.equals(readFileSync(second))) faults.push('the two tarballs differ');

  for (const path of files.keys()) if (!BELONGS.test(path)) faults.push(`${path} does not belong into the package`);
  const { exports, imports, bin, main, types } = JSON.parse(files.get('package.json')!.toString()) as Record<string, unknown>;
  for (const path of promised({ exports, imports, bin, main, types })) if (!files.has(path)) faults.push(`${path} is missing`);
  for (const path of files.keys()) {
    if (path.endsWith('.js') && !files.has(`${path}.map`)) faults.push(`${path} has no source map`);
  }

  const dist = join(work, 'package', 'dist');
  for (const source of sourcesOf(dist)) if (!/^(?:\.\.\/)+(?:src|node_modules)\//.test(source)) faults.push(`a source map names ${source}`);
  for (const [path, content] of files) {
    if (content.includes(work)) faults.push(`${path} names the folder it was built in`);
  }
  for (const [file, text] of Object.entries(documents(bundledIn(dist)))) {
    if (files.get(file)?.toString() !== text) faults.push(`${file} is not what the package holds: npm run sbom`);
  }
  const digest = createHash('sha512').update(bytes).digest('base64');
  console.log(`${files.size} files, ${bytes.length} bytes, sha512-${digest}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
for (const fault of faults) console.log(`FAIL ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
