/**
 * Writes the files of `test-vectors/`: those that are made from seeds anew, golden states only where they are missing. Run: `npm run
 * vectors:generate`. A file that `test-vectors/RELEASED` names is never changed: then a new one must stand beside it.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { FILES, FOLDER, requireWritable, textOf } from './files.js';
import { GOLDEN } from './golden.js';

function write(name: string, text: string): void {
  const path = new URL(name, FOLDER);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  requireWritable(name, text);
  writeFileSync(path, text);
  console.log(`wrote ${name}`);
}

for (const [name, make] of Object.entries(FILES)) write(name, textOf(make()));
for (const [name, make] of Object.entries(GOLDEN)) {
  if (!existsSync(new URL(name, FOLDER))) write(name, `${JSON.stringify(await make(), null, 1)}\n`);
}
// Stores keep timers of their own.
process.exit();
