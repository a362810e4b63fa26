/**
 * A child process: goes on where the last one was killed, commits counters without end and prints each one once its commit has resolved,
 * after a 0 just before it opens the store. Record n holds n and enough more that LevelDB soon writes tables; `latest` holds the greatest,
 * in the same commit.
 */

import { writeSync } from 'node:fs';
import { concat, u32 } from '../../src/bytes.js';
import { nodeStore } from '../../src/store/node.js';

const store = nodeStore(process.argv[2]!);

async function commitOne(n: number): Promise<void> {
  await store.commit([
    { key: ['counter', String(n).padStart(8, '0')], value: concat(u32(n), new Uint8Array(8_000)), ifRev: 0 },
    { key: ['latest'], value: u32(n) },
  ]);
  // Synchronous: what was printed was acknowledged, and what was acknowledged before the kill was printed.
  writeSync(1, `${n}\n`);
}

writeSync(1, '0\n');
const [latest] = await store.read([['latest']]);
const first = latest === undefined ? 1 : Buffer.from(latest.value).readUInt32BE() + 1;
for (let n = first; ; n += 3) await Promise.all([commitOne(n), commitOne(n + 1), commitOne(n + 2)]);
