/**
 * Writes `test-vectors/sealed-store-v<format>.json` for the layout that `sealedStore` writes today, where it is missing. What stands there
 * is never made anew: a new layout gets a new file. Run from the root of the repository: npx tsx scripts/make-sealed-store-vectors.ts <format>
 */

import { existsSync, writeFileSync } from 'node:fs';
import { makeSealedStore } from '../test/helpers/sealed-vectors.js';

const format = Number(process.argv[2]);
const path = `test-vectors/sealed-store-v${format}.json`;
if (existsSync(path)) {
  console.log(`kept ${path}`);
} else {
  writeFileSync(path, `${JSON.stringify(await makeSealedStore(format), null, 1)}\n`);
  console.log(`wrote ${path}`);
}
