import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { contentOf, damageAll, makeStore } from '../helpers/damage.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-damage-soak-'));
afterAll(() => rmSync(folder, { recursive: true }));
const seed = process.env['CYPHR_SEED'] ?? String(Date.now());

describe('a damaged file of nodeStore', () => {
  test.each([
    ['young', 100, 50, false, 3],
    ['old', 200, 60, true, 11],
  ] as const)(`of a small %s store, at every few bytes (CYPHR_SEED=${seed})`, async (name, count, valueBytes, isOld, step) => {
    const path = join(folder, name);
    await makeStore(path, count, valueBytes, isOld);
    // An opening moves records from the log to a table: of a copy.
    cpSync(path, `${path}-copy`, { recursive: true });
    const intact = await contentOf(`${path}-copy`);
    expect(typeof intact).toBe('string');
    const outcomes = new Map<string, number>();
    await damageAll(
      path,
      (file) => (file.length < 1_000 ? 1 : step),
      seed,
      (file, { what }, found) => {
        const outcome = found === intact ? 'nothing is missing' : typeof found === 'string' ? `${file}, ${what}` : found.code;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      },
    );
    process.stdout.write(`\n${name}: ${[...outcomes].map(([outcome, times]) => `${outcome} ${times}`).join(', ')}\n`);
    expect([...outcomes.keys()].sort()).toEqual(isOld ? ['ERR_STORE_CORRUPT', 'nothing is missing'] : ['ERR_STORE_CORRUPT']);
  });
});
