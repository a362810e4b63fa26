/**
 * Writes `test-vectors/node-store-v<layout>.json` for the layout that `nodeStore` writes today, where it is missing. What stands there is
 * never made anew: a new layout gets a new file. Run from the root of the repository: npx tsx scripts/make-node-store-vectors.ts <layout>
 */

import { existsSync, writeFileSync } from 'node:fs';
import { makeNodeStore } from '../test/helpers/node-vectors.js';

const layout = Number(process.argv[2]);
const path = `test-vectors/node-store-v${layout}.json`;
if (existsSync(path)) {
  console.log(`kept ${path}`);
} else {
  writeFileSync(path, `${JSON.stringify(await makeNodeStore(layout), null, 1)}\n`);
  console.log(`wrote ${path}`);
}
