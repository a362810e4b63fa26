/** Inputs of a target as files: one below `corpus/<target>/` for each, named by its hash. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('corpus/', import.meta.url));

const nameOf = (input: Uint8Array): string => createHash('sha256').update(input).digest('hex').slice(0, 12);

/** The inputs that are kept of a target, in the order of their names. */
export function readCorpus(target: string): Uint8Array[] {
  const folder = join(FOLDER, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => new Uint8Array(readFileSync(join(folder, name))));
}

/** Keeps exactly these. */
export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const folder = join(FOLDER, target);
  mkdirSync(folder, { recursive: true });
  const names = new Map(inputs.map((input) => [nameOf(input), input]));
  for (const name of readdirSync(folder)) if (!names.has(name)) rmSync(join(folder, name));
  for (const [name, input] of names) writeFileSync(join(folder, name), input);
}

/** Keeps one more, and says where. */
export function keepInput(target: string, input: Uint8Array): string {
  mkdirSync(join(FOLDER, target), { recursive: true });
  writeFileSync(join(FOLDER, target, nameOf(input)), input);
  return `test/fuzz/corpus/${target}/${nameOf(input)}`;
}
