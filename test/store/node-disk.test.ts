import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isCyphrError } from '../../src/errors.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store } from '../../src/store/port.js';
import { seededRng } from '../../src/testing/rng.js';
import { describeSmallDisks, type SmallDisk, smallDisk } from '../helpers/small-disk.js';

let disk: SmallDisk;
beforeEach(() => {
  disk = smallDisk(3 * 1024 * 1024);
});
afterEach(() => disk.unmount());

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** A store and everything that it was told is committed. */
function ledger(path: string) {
  const acknowledged = new Map<string, string>();
  const rng = seededRng('disk');
  let n = 0;
  return {
    acknowledged,
    /** One commit of `valueBytes`; answers its error. */
    async put(store: Store, valueBytes: number): Promise<string | undefined> {
      const name = String(n++);
      const value = rng(valueBytes);
      try {
        await store.commit([{ key: ['s', name], value, ifRev: 0 }]);
      } catch (error) {
        if (!isCyphrError(error)) throw error;
        expect(error.code === 'ERR_STORE_FULL' ? error.action : error).toBe('ask');
        return error.code;
      }
      acknowledged.set(name, text(value));
      return undefined;
    },
    async check(store: Store): Promise<void> {
      const records = await store.read([...acknowledged.keys()].map((name) => ['s', name]));
      expect(records.map((record) => record && text(record.value))).toEqual([...acknowledged.values()]);
    },
    open: () => nodeStore(path),
  };
}

describeSmallDisks('a full disk', () => {
  test('rejects commits with ERR_STORE_FULL, and goes on once there is space', async () => {
    const { acknowledged, put, check, open } = ledger(join(disk.path, 'store'));
    const store = open();
    await put(store, 1_000);
    disk.leave(200_000);
    let code: string | undefined;
    while (code === undefined) code = await put(store, 20_000);
    expect(code).toBe('ERR_STORE_FULL');
    expect(acknowledged.size).toBeGreaterThan(3);
    for (let i = 0; i < 5; i++) expect(await put(store, 20_000)).toBe('ERR_STORE_FULL');
    disk.free();
    await check(store);
    for (let i = 0; i < 5; i++) expect(await put(store, 20_000)).toBeUndefined();
    await check(store);
    await store.close();
    const again = open();
    await check(again);
    await again.close();
  });

  test('loses nothing wherever it gets full: while opening, in the log, in a table', async () => {
    const { put, check, open } = ledger(join(disk.path, 'store'));
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round++) {
      disk.leave(round * 3_000);
      const store = open();
      for (let i = 0; i < 4; i++) outcomes.add(String(await put(store, 200 * round)));
      // Half of the rounds end on a full disk, as when the process is ended then.
      if (round % 2 === 0) {
        disk.free();
        await check(store);
      }
      await store.close().catch((error) => expect(error).toMatchObject({ code: 'ERR_STORE_FULL' }));
      disk.free();
      const again = open();
      await check(again);
      await again.close();
    }
    expect([...outcomes].sort()).toEqual(['ERR_STORE_FULL', 'undefined']);
  });

  test('can be emptied by erasing the store', async () => {
    const path = join(disk.path, 'store');
    const { put, open } = ledger(path);
    const store = open();
    for (let i = 0; i < 20; i++) await put(store, 10_000);
    disk.leave(0);
    await put(store, 10_000);
    await store.erase!();
    expect(readdirSync(disk.path)).toEqual(['ballast']);
  });
});

describeSmallDisks('a read-only directory', () => {
  test('is named by ERR_STORE_IO, and nothing is written', async () => {
    const path = join(disk.path, 'store');
    const { put, check, open } = ledger(path);
    const store = open();
    for (let i = 0; i < 20; i++) await put(store, 1_000);
    await store.close();
    const files = () => readdirSync(path).map((name) => [name, readFileSync(join(path, name)).toString('hex')]);
    const before = files();
    disk.setReadOnly(true);
    const refused = open();
    const error = { code: 'ERR_STORE_IO', field: 'path', cause: expect.any(Error) };
    await expect(refused.read([['s']])).rejects.toMatchObject(error);
    await expect(refused.commit([{ key: ['s'], value: null }])).rejects.toMatchObject(error);
    await expect(refused.erase!()).rejects.toMatchObject(error);
    expect(files()).toEqual(before);
    disk.setReadOnly(false);
    await check(refused);
    await refused.close();
  });

  test('that has no store yet is named too', async () => {
    disk.setReadOnly(true);
    const store = nodeStore(join(disk.path, 'store'));
    await expect(store.read([['s']])).rejects.toMatchObject({ code: 'ERR_STORE_IO', field: 'path' });
    await store.close();
    expect(readdirSync(disk.path)).toEqual([]);
  });
});
