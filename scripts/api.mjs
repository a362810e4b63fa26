// The public API as text, one report for each subpath in etc/: `npm run api`. A changed export is a change that a reviewer sees: fails
// where reports and declarations differ, and shows how. `npm run api -- --update` writes the reports anew.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'cyphr-api-'));
const quiet = { default: { logLevel: 'none' } };

const entries = Object.entries(manifest.exports).filter(([, { types }]) => types !== undefined);
const declarations = entries.map(([, { types }]) => join(root, types));
const configurations = entries.map(([subpath], index) =>
  ExtractorConfig.prepare({
    packageJsonFullPath: join(root, 'package.json'),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: declarations[index],
      newlineKind: 'lf',
      // What dist/ holds, not the sources that the editor's configuration maps our names to.
      compiler: { overrideTsconfig: { extends: './tsconfig.run.json', files: declarations, include: [] } },
      apiReport: {
        enabled: true,
        reportFileName: subpath === '.' ? 'index' : subpath.slice(2).replaceAll('/', '-'),
        reportFolder: work,
        reportTempFolder: work,
        // Types that an export mentions are API, wherever they are exported, if at all.
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      // Documentation is for `npm run docs` to judge.
      messages: { extractorMessageReporting: quiet, tsdocMessageReporting: quiet },
    },
  }),
);

let failed = false;
try {
  // One program for all of them: it takes most of the time.
  const compilerState = CompilerState.create(configurations[0], { additionalEntryPoints: declarations.slice(1) });
  for (const configuration of configurations) {
    const messageCallback = (message) => {
      message.handled = message.logLevel !== 'error';
    };
    if (!Extractor.invoke(configuration, { compilerState, localBuild: true, messageCallback }).succeeded) failed = true;
  }
  const reports = join(root, 'etc');
  if (process.argv.includes('--update') && !failed) {
    rmSync(reports, { recursive: true, force: true });
    cpSync(work, reports, { recursive: true });
  }
  if (spawnSync('git', ['diff', '--no-index', '--', 'etc', work], { cwd: root, stdio: 'inherit' }).status !== 0) failed = true;
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(
  failed ? 'FAIL the reports in etc/ are not what dist/ declares: npm run api -- --update' : `${entries.length} API reports, as in etc/`,
);
process.exitCode = failed ? 1 : 0;
