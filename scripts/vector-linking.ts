/**
 * Makes `test-vectors/linking.json`: one linking computed from seeds alone, and what must be refused in it.
 * Run from the root of the repository: npx tsx scripts/vector-linking.ts
 */

import { writeFileSync } from 'node:fs';
import { linkingVectors } from '../test/identity/linking-vectors.js';

const path = 'test-vectors/linking.json';
writeFileSync(path, `${JSON.stringify(linkingVectors(), null, 2)}\n`);
console.log(`wrote ${path}`);
