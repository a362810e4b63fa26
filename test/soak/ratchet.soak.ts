import { it } from 'vitest';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { playAll } from '../helpers/soak.js';
import { toyScka } from '../helpers/toy-scka.js';

it.each([
  ['braid', braid as Scka<unknown>],
  ['toy', toyScka() as Scka<unknown>],
  ['slow toy', toyScka(9) as Scka<unknown>],
])('20,000 messages in each rhythm, %s SCKA', (_, scka) => {
  playAll(scka, 20_000);
});
