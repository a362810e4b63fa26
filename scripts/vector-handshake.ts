/**
 * Makes `test-vectors/handshake.json`: handshakes computed from seeds alone, for a second implementation to repeat.
 * Run from the root of the repository: npx tsx scripts/vector-handshake.ts
 */

import { writeFileSync } from 'node:fs';
import { handshakeVectors } from '../test/pqxdh/vectors.js';

const path = 'test-vectors/handshake.json';
writeFileSync(path, `${JSON.stringify(handshakeVectors(), null, 2)}\n`);
console.log(`wrote ${path}`);
