/**
 * Writes `test-vectors/ratchet.json` and `test-vectors/ratchet-state-v1.json` where they are missing. What stands there is never made anew:
 * released vectors stay as they are, and a new layout gets a new file. Run from the root of the repository: npx tsx scripts/make-ratchet-vectors.ts
 */

import { existsSync, writeFileSync } from 'node:fs';
import { makeRatchetVectors, makeStateVectors } from '../test/helpers/ratchet-vectors.js';

for (const [name, make] of [
  ['ratchet', makeRatchetVectors],
  ['ratchet-state-v1', makeStateVectors],
] as const) {
  const path = `test-vectors/${name}.json`;
  if (existsSync(path)) {
    console.log(`kept ${path}`);
  } else {
    writeFileSync(path, `${JSON.stringify(make(), null, 1)}\n`);
    console.log(`wrote ${path}`);
  }
}
