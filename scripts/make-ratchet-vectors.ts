/** Writes `test-vectors/ratchet.json` and, where it is missing, `test-vectors/ratchet-state-v1.json`, which is never made anew. Run: `npx tsx scripts/make-ratchet-vectors.ts`. */

import { existsSync, writeFileSync } from 'node:fs';
import { makeRatchetVectors, makeStateVectors } from '../test/helpers/ratchet-vectors.js';

const file = (name: string): URL => new URL(`../test-vectors/${name}`, import.meta.url);
const write = (name: string, value: unknown): void => writeFileSync(file(name), `${JSON.stringify(value, null, 1)}\n`);

write('ratchet.json', makeRatchetVectors());
if (!existsSync(file('ratchet-state-v1.json'))) write('ratchet-state-v1.json', makeStateVectors());
