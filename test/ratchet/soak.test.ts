import { it } from 'vitest';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { playAll } from '../helpers/soak.js';
import { toyScka } from '../helpers/toy-scka.js';

// 20,000 messages: `npm run soak`.
it.each([
  ['braid', braid as Scka<unknown>],
  ['slow toy', toyScka(9) as Scka<unknown>],
])('400 messages in each rhythm, %s SCKA', (_, scka) => {
  playAll(scka, 400);
});
