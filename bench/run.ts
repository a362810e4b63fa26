/**
 * `npm run bench`: this SDK beside its peers, in one run, as `report/`. `-- --rounds 5` for a quick look, `--out FOLDER` to write elsewhere,
 * `--no-peers` to leave them out.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bytesChart, timeChart } from './charts.js';
import { CONTENDERS, type Contender, PRIMITIVES, REFERENCE } from './contenders.js';
import { type Run, sideBySide } from './driver.js';
import { installPeers } from './peers.js';
import { type Report, type Row, render } from './report.js';
import { bundle, importMs, WEIGHED } from './sizes.js';
import { ratios, spread } from './statistics.js';

/** Fresh processes for each import. */
const IMPORT_ROUNDS = 15;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    out: { type: 'string', default: fileURLToPath(new URL('report', import.meta.url)) },
    'no-peers': { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (!(rounds >= 1)) throw new RangeError('--rounds takes a number');
const startMs = performance.now();
const tell = (line: string): void => console.error(`${((performance.now() - startMs) / 1_000).toFixed(0).padStart(4)} s  ${line}`);

const loadBefore = loadavg()[0]!;
const peers = values['no-peers'] ? [] : installPeers(tell);
const isThere = ({ peer }: { readonly peer?: string }): boolean => peer === undefined || peers.some(({ name }) => name === peer);

/** Rows in the order of the contenders; figures are rounded to four digits, so that two runs can be compared by eye. */
function rowsOf(contenders: readonly Contender[], runs: readonly Run[], reference: string): Row[] {
  const base = runs.find(({ id }) => id === reference)!.samples;
  return runs.map(({ id, samples, sizes }) => ({
    id,
    name: contenders.find((contender) => contender.id === id)!.name,
    times: Object.fromEntries(
      Object.entries(samples).map(([name, all]) => {
        const cpu = all.map(({ cpuUs }) => cpuUs);
        const ofBase = ratios(
          cpu,
          base[name]!.map(({ cpuUs }) => cpuUs),
        );
        return [name, rounded({ cpuUs: spread(cpu).median, wallUs: spread(all.map(({ wallUs }) => wallUs)).median, ratio: ofBase })];
      }),
    ),
    sizes,
  }));
}

const rounded = <T>(value: T): T =>
  JSON.parse(JSON.stringify(value, (_, each) => (typeof each === 'number' ? Number(each.toPrecision(4)) : each))) as T;

const contenders = CONTENDERS.filter(isThere);
tell(`${contenders.length} contenders, ${rounds} rounds`);
const nowAndThen = (round: number): void => {
  if (round > 0 && round % 5 === 0) tell(`round ${round}`);
};
const runs = await sideBySide(contenders, rounds, nowAndThen);
tell('primitives');
const primitives = await sideBySide(PRIMITIVES, rounds, nowAndThen);
tell('bundles and imports');
const weighed = WEIGHED.filter(isThere);
const imports = weighed.map((): number[] => []);
for (let round = 0; round < Math.min(rounds, IMPORT_ROUNDS); round++) {
  for (const [i, each] of weighed.entries()) imports[i]!.push(importMs(each));
}

const report: Report = {
  run: {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: cpus().length,
    rounds,
    seconds: Math.round((performance.now() - startMs) / 1_000),
    load: [loadBefore, loadavg()[0]!],
  },
  peers,
  rows: rowsOf(CONTENDERS, runs, REFERENCE),
  primitives: rowsOf(PRIMITIVES, primitives, PRIMITIVES[0]!.id),
  weights: await Promise.all(weighed.map(async (each, i) => ({ ...(await bundle(each)), importMs: rounded(spread(imports[i]!)) }))),
};

mkdirSync(values.out, { recursive: true });
const write = (name: string, text: string): void => writeFileSync(join(values.out, name), text);
write('report.json', `${JSON.stringify(report, null, 2)}\n`);
write('README.md', render(report));
write('time.svg', timeChart(report));
write('bytes.svg', bytesChart(report));
console.log(render(report).replace(/\*\*/g, ''));
tell(`written to ${values.out}`);
