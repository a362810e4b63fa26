/** Writes `test-vectors/braid.json` and `test-vectors/conversation-{1,2,3}.json`. Run: `npx tsx scripts/make-braid-vectors.ts`. */

import { writeFileSync } from 'node:fs';
import { makeBraidVectors } from '../test/helpers/braid-vectors.js';
import { makeConversationVectors } from '../test/helpers/conversation-vectors.js';

const write = (name: string, value: unknown): void =>
  writeFileSync(new URL(`../test-vectors/${name}`, import.meta.url), `${JSON.stringify(value, null, 1)}\n`);

write('braid.json', makeBraidVectors());
for (const profile of [1, 2, 3] as const) write(`conversation-${profile}.json`, makeConversationVectors(profile));
