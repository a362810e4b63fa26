/** `npm run bench`: the same suite on both backends, in processes of their own, as one report. Only ratios within one run count. */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Figures } from './suite.js';

function run(conditions: readonly string[]): Figures {
  const suite = fileURLToPath(new URL('suite.ts', import.meta.url));
  // Without the path mappings of the editor's configuration: the backend is chosen as in the published package.
  const env = { ...process.env, TSX_TSCONFIG_PATH: fileURLToPath(new URL('../tsconfig.run.json', import.meta.url)) };
  return JSON.parse(execFileSync(process.execPath, [...conditions, '--import', 'tsx', suite], { encoding: 'utf8', env })) as Figures;
}

const round = (value: number): string => value.toFixed(value < 100 ? 1 : 0).padStart(10);

const platform = run([]);
const noble = run(['-C', 'cyphr-noble']);
console.log(`Node ${platform.node}. Medians in µs, means in µs of processor time; what counts are ratios within one run.\n`);
console.log(`${''.padEnd(54)}${'node'.padStart(10)}${'noble'.padStart(10)}${'noble/node'.padStart(12)}`);
for (const [name, fast] of Object.entries(platform.microseconds)) {
  const slow = noble.microseconds[name]!;
  console.log(`${name.padEnd(54)}${round(fast)}${round(slow)}${(slow / fast).toFixed(1).padStart(12)}`);
}
console.log('\nBytes and counts');
for (const [name, count] of Object.entries(platform.bytes)) console.log(`${name.padEnd(54)}${String(count).padStart(10)}`);
