/**
 * Writes `test-vectors/client-store-v<format>.json` for the format that the client writes now, unless it stands there: what an earlier
 * version wrote is never made anew. Run from the root of the repository: npx tsx scripts/make-client-store-vectors.ts
 */

import { existsSync, writeFileSync } from 'node:fs';
import { FORMAT } from '../src/client/records.js';
import { makeStoreVectors } from '../test/helpers/client-store-vectors.js';

const path = `test-vectors/client-store-v${FORMAT}.json`;
if (existsSync(path)) {
  console.log(`kept ${path}`);
} else {
  writeFileSync(path, `${JSON.stringify(await makeStoreVectors(FORMAT), null, 1)}\n`);
  console.log(`wrote ${path}`);
}
