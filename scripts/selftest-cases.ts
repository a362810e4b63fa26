/**
 * Chooses the cases that the self-test carries with it: of each operation of each kind the shortest one that comes out right, and the
 * shortest refusal, and those named below; without the inputs that they don't need. `npx tsx scripts/selftest-cases.ts` writes
 * src/selftest/cases.ts.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { PLAYERS } from '../src/vectors/play.js';
import { playCase } from '../src/vectors/player.js';
import type { JsonObject, VectorCase, VectorFile } from '../src/vectors/schema.js';

/** Longer than this, with what it needs, a case is left out: the live conversations stand for it. */
const MAX_CHARS = 4_500;
/** Carried whatever their length: signatures that hold, and ones of the same length of which one half, or one byte, does not. */
const ALWAYS: Readonly<Record<string, readonly string[]>> = {
  composite: ['verify', 'forged-mldsa', 'forged-ed25519'],
  'root-statement': ['verify', 'signature-first', 'signature-last'],
};
const folder = new URL('../test-vectors/', import.meta.url);

/** The inputs given to all without those that these cases don't need. */
function needed(kind: string, given: JsonObject, cases: readonly VectorCase[]): JsonObject {
  const isEnough = (less: JsonObject): boolean => cases.every((vector) => playCase(PLAYERS[kind]!, less, vector) === undefined);
  const without = (whole: JsonObject, holds: (less: JsonObject) => boolean): JsonObject =>
    Object.keys(whole).reduce((left, name) => {
      const { [name]: _, ...less } = left;
      return holds(less) ? less : left;
    }, whole);
  const kept = without(given, isEnough);
  return Object.fromEntries(
    Object.entries(kept).map(([name, value]) => {
      const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
      return [name, isMap ? without(value as JsonObject, (less) => isEnough({ ...kept, [name]: less })) : value];
    }),
  );
}

const chars = (value: unknown): number => JSON.stringify(value).length;
const lines: string[] = [];
for (const name of readdirSync(folder)
  .filter((each) => each.endsWith('.json'))
  .sort()) {
  const { schema, kind, given = {}, cases } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as VectorFile;
  if (schema !== 'cyphr-vectors-1') continue;
  const groups = [...new Set(cases.map(({ op, result }) => `${op} ${result}`))];
  const shortest = groups.flatMap((group) => {
    const [first] = cases.filter(({ op, result }) => `${op} ${result}` === group).sort((a, b) => chars(a) - chars(b));
    return chars(first) <= MAX_CHARS && chars(needed(kind, given, [first!])) <= MAX_CHARS ? [first!] : [];
  });
  const chosen = cases.filter((each) => shortest.includes(each) || ALWAYS[kind]?.includes(each.id));
  if (chosen.length > 0) lines.push(JSON.stringify({ kind, given: needed(kind, given, chosen), cases: chosen }));
}
writeFileSync(
  new URL('../src/selftest/cases.ts', import.meta.url),
  `/** Some cases of test-vectors/, as scripts/selftest-cases.ts chose them: a file's kind, what is given to its cases, and these. */\n\n` +
    `export const CASES: readonly string[] = [\n${lines.map((line) => `  ${JSON.stringify(line).replaceAll("'", "\\'").replace(/^"|"$/g, "'").replaceAll('\\"', '"')},`).join('\n')}\n];\n`,
);
console.log(`${lines.length} kinds, ${chars(lines)} characters`);
