/** Where third-party test vectors are, and how a test reads them. They stand outside the project: see `test-vectors/README.md`. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { fromHex } from '../../src/bytes.js';

const FOLDER = process.env['CYPHR_VECTORS'] ?? fileURLToPath(new URL('../../../shared/vectors', import.meta.url));
/** A checkout of Wycheproof's `testvectors_v1/`, which then stands for the folder's own copy. */
const WYCHEPROOF = process.env['CYPHR_WYCHEPROOF'] ?? join(FOLDER, 'wycheproof');

function path(name: string): string {
  return name.startsWith('wycheproof/') ? join(WYCHEPROOF, name.slice('wycheproof/'.length)) : join(FOLDER, name);
}

/** A `describe` over the file `name` of the vectors folder; skipped, and saying so, where the file is missing. */
export function describeVectors(name: string, body: (name: string) => void): void {
  if (existsSync(path(name))) {
    describe(name, () => body(name));
    return;
  }
  // Third-party vectors are not ours to copy into the project: a clone without the folder has nothing to compare with. It runs everything
  // else, and the name of the skipped group says what it left out and how to have it.
  describe.skip(`${name} is missing: set CYPHR_VECTORS to the folder of third-party vectors`, () => body(name));
}

/** The text of a file of the vectors folder; call it inside a test. */
export function readText(name: string): string {
  return readFileSync(path(name), 'utf8');
}

/** The JSON of a file of the vectors folder, believed to have the shape `T`; call it inside a test. */
export function readJson<T>(name: string): T {
  return JSON.parse(readText(name)) as T;
}

/** Bytes of hexadecimal in any case. */
export function hex(text: string): Uint8Array {
  const bytes = fromHex(text.toLowerCase());
  if (bytes === undefined) throw new Error('vector is not hexadecimal');
  return bytes;
}
