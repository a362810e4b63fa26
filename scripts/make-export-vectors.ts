/**
 * Writes `test-vectors/export-v1.json` if it is missing: an export as format 1 wrote it. What stands there is never made anew. Run from
 * the root of the repository: npx tsx scripts/make-export-vectors.ts
 */

import { existsSync, writeFileSync } from 'node:fs';
import { concat, toHex } from '../src/bytes.js';
import { exportAccount } from '../src/client/transfer.js';
import { rawKeySlot } from '../src/store/sealed.js';
import { memoryNetwork } from '../src/transport/memory.js';
import { person, START } from '../test/helpers/people.js';
import { testRng } from '../test/helpers/rng.js';

const path = 'test-vectors/export-v1.json';
if (existsSync(path)) {
  console.log(`kept ${path}`);
  process.exit();
}
const clock = { ms: START };
const network = memoryNetwork();
const [alice, bob, carol] = await Promise.all(
  ['alice', 'bob', 'carol'].map((name) => person(name, network, clock, { seed: `export ${name}` })),
);
for (const each of [bob!, carol!]) {
  await alice!.client.send(each.account, 'hello');
  await each.read();
}
await (await alice!.client.contact('bob').safetyNumber()).confirmDigits();
const key = testRng('export key')(32);
const history = ['first', '', 'third'].map((text) => new TextEncoder().encode(text));
async function* records(): AsyncIterable<Uint8Array> {
  yield* history;
}
const parts: Uint8Array[] = [];
const reader = exportAccount(alice!.store, rawKeySlot(key), { history: records() }).getReader();
for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value);
const { digits } = await alice!.client.contact('bob').safetyNumber();
const vectors = {
  description:
    'An export of format 1 (section 9.2), sealed by a raw key slot of section 9.1 with `key`. Inside are the account alice, her contacts bob, whom she has verified, and carol, and three records of an application, `history`. `safetyNumber` is the one with bob. Times in ms since 1970, bytes hexadecimal.',
  account: 'alice',
  nowMs: START,
  key: toHex(key),
  history: history.map(toHex),
  safetyNumber: digits,
  export: toHex(concat(...parts)),
};
writeFileSync(path, `${JSON.stringify(vectors, null, 1)}\n`);
console.log(`wrote ${path}`);
process.exit();
