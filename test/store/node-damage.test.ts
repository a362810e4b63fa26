import {
  appendFileSync,
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeStore } from '../../src/store/node.js';
import { contentOf, damageAll, makeStore } from '../helpers/damage.js';
import { flip } from '../helpers/rng.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-node-damage-'));
afterAll(() => rmSync(folder, { recursive: true }));
let folders = 0;
const newPath = (): string => join(folder, String(++folders));
/** Every file but LevelDB's log for people. */
const filesOf = (path: string) =>
  readdirSync(path)
    .filter((name) => !name.startsWith('LOG'))
    .map((name) => [name, readFileSync(join(path, name)).toString('hex')]);
/** A copy of a closed store. */
function cloned(path: string): string {
  const copy = newPath();
  cpSync(path, copy, { recursive: true });
  return copy;
}
const fileOf = (path: string, pattern: RegExp): string => readdirSync(path).find((name) => pattern.test(name))!;

const seed = process.env['CYPHR_SEED'] ?? String(Date.now());

describe('a damaged file', () => {
  test.each([
    ['a young store, all in its log', 300, 100, false, 15],
    ['a store with tables', 600, 200, true, 10],
  ] as const)(
    `of %s is named, or all records are there (CYPHR_SEED=${seed})`,
    { timeout: 180_000 },
    async (_what, count, valueBytes, isOld, perFile) => {
      const path = newPath();
      await makeStore(path, count, valueBytes, isOld);
      const intact = await contentOf(path);
      expect(typeof intact).toBe('string');
      const harmless: string[] = [];
      const outcomes: Record<string, number> = {};
      const stepOf = (file: Buffer): number => Math.max(1, Math.floor(file.length / perFile));
      await damageAll(path, stepOf, seed, (file, { what }, found) => {
        if (found === intact) {
          harmless.push(`${file}: ${what}`);
          return;
        }
        expect({ file, what, found }).toEqual({ file, what, found: { code: 'ERR_STORE_CORRUPT', field: expect.any(String) } });
        // A log that ends early is a log without its newest commits: which bytes are gone can't be told.
        expect(file.endsWith('.log') ? [file, 'log'] : [file], `${file}, ${what}`).toContain((found as { field: string }).field);
        outcomes[file] = (outcomes[file] ?? 0) + 1;
      });
      // Bytes that hold nothing: the padding of a table's footer.
      expect(harmless.filter((each) => !/\.ldb: .*(?:flipped|inverted)$/.test(each))).toEqual([]);
      expect(Object.values(outcomes).reduce((sum, each) => sum + each, 0)).toBeGreaterThan(isOld ? 150 : 100);
    },
  );

  test('is found before LevelDB has touched anything', async () => {
    const path = newPath();
    await makeStore(path, 300, 100, true);
    const table = fileOf(path, /\.ldb$/);
    writeFileSync(join(path, table), flip(readFileSync(join(path, table)), 1_000));
    const before = filesOf(path);
    expect(await contentOf(path)).toEqual({ code: 'ERR_STORE_CORRUPT', field: table });
    expect(filesOf(path)).toEqual(before);
  });

  test('in the middle of a log is told from an end that was never finished', async () => {
    const path = newPath();
    await makeStore(path, 600, 200, false);
    const log = fileOf(path, /\.log$/);
    expect(readFileSync(join(path, log)).length).toBeGreaterThan(4 * 32_768);
    writeFileSync(join(path, log), flip(readFileSync(join(path, log)), 40_000));
    expect(await contentOf(path)).toEqual({ code: 'ERR_STORE_CORRUPT', field: log });
  });

  test.each([
    ['half a header', Buffer.from([1, 2, 3])],
    ['a record that ends early', Buffer.from([9, 9, 9, 9, 200, 0, 1, 7, 7, 7])],
    ['zeros', Buffer.alloc(300)],
  ])('is not what a process leaves that died while it wrote: %s', async (_what, end) => {
    const path = newPath();
    await makeStore(path, 100, 100, false);
    const intact = await contentOf(cloned(path));
    appendFileSync(join(path, fileOf(path, /\.log$/)), end);
    expect(await contentOf(path)).toBe(intact);
    expect(await contentOf(path)).toBe(intact);
  });

  test('is not what another process is about to write: that one has the lock', async () => {
    const path = newPath();
    const owner = nodeStore(path);
    await owner.commit([{ key: ['s'], value: new Uint8Array(3) }]);
    const current = readFileSync(join(path, 'CURRENT'));
    writeFileSync(join(path, 'CURRENT'), '');
    expect(await contentOf(path)).toMatchObject({ code: 'ERR_STORE_LOCKED' });
    await owner.close();
    expect(await contentOf(path)).toEqual({ code: 'ERR_STORE_CORRUPT', field: 'CURRENT' });
    writeFileSync(join(path, 'CURRENT'), current);
    expect(await contentOf(path)).toEqual(expect.any(String));
  });

  test('beneath a running store is an error of whoever reads the record', async () => {
    const path = newPath();
    await makeStore(path, 300, 100, true);
    const store = nodeStore(path);
    const before = await store.list(['s'], 1);
    for (const table of readdirSync(path).filter((name) => name.endsWith('.ldb'))) {
      const bytes = readFileSync(join(path, table));
      const file = openSync(join(path, table), 'r+');
      // In place, as a disk does it: in the middle of values, beyond the block that has been read.
      for (let at = 6_000; at < bytes.length - 6_000; at += 50) writeSync(file, new Uint8Array([bytes[at]! ^ 4]), 0, 1, at);
      closeSync(file);
    }
    await expect(store.list(['s'], 1_000)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(await store.list(['s'], 1)).toEqual(before);
    await store.close();
    expect(await contentOf(path)).toEqual({ code: 'ERR_STORE_CORRUPT', field: expect.stringMatching(/\.ldb$/) });
  });
});
