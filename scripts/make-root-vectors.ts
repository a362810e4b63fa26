/**
 * Makes `test-vectors/root-statement.json`: an organisation's statements, for a second implementation to verify. One of them is signed by
 * OpenSSL. Run from the root of the repository, on Node 24 or later: npx tsx scripts/make-root-vectors.ts
 */

import { writeFileSync } from 'node:fs';
import { rootVectors } from '../test/identity/root-vectors.js';

const path = 'test-vectors/root-statement.json';
writeFileSync(path, `${JSON.stringify(rootVectors(), null, 2)}\n`);
console.log(`wrote ${path}`);
