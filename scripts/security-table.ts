/**
 * Prints how long a thief of a state reads on, as Markdown: messages (round trips), each least / median / most over the thefts.
 * Run: `npx tsx scripts/security-table.ts [thefts for each row]`.
 */

import { healingTable } from '../test/security/measure.js';

const thefts = Number(process.argv[2] ?? 40);
process.stdout.write(`${healingTable(thefts, 60, (row) => process.stderr.write(`${row}\n`))}\n`);
