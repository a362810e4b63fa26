/**
 * A child process: commits counters without end and prints each one once its commit has resolved. Its parent kills it.
 * Record n holds n; `latest` holds the greatest, in the same commit.
 */

import { writeSync } from 'node:fs';
import { u32 } from '../../src/bytes.js';
import { nodeStore } from '../../src/store/node.js';

const store = nodeStore(process.argv[2]!);

async function commitOne(n: number): Promise<void> {
  await store.commit([
    { key: ['counter', String(n).padStart(8, '0')], value: u32(n), ifRev: 0 },
    { key: ['latest'], value: u32(n) },
  ]);
  // Synchronous: what was printed was acknowledged, and what was acknowledged before the kill was printed.
  writeSync(1, `${n}\n`);
}

for (let n = 1; ; n += 3) await Promise.all([commitOne(n), commitOne(n + 1), commitOne(n + 2)]);
