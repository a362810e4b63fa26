import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store } from '../../src/store/port.js';
import { layDown, listAll, type NodeStoreVector } from '../helpers/node-vectors.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-node-layout-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});
let folders = 0;

const vectorOf = (layout: number): NodeStoreVector =>
  JSON.parse(readFileSync(new URL(`../../test-vectors/node-store-v${layout}.json`, import.meta.url), 'utf8'));

function laidDown(vector: NodeStoreVector): string {
  const path = join(folder, String(++folders));
  layDown(vector, path);
  return path;
}

const recordsOf = async (store: Store) => (await listAll(store)).map(({ key, value, rev }) => ({ key, value: toHex(value), rev }));

describe.each([1, 2])('a store of layout %i', (layout) => {
  const vector = vectorOf(layout);

  test('opens with every record and rev that it was closed with, again and again', async () => {
    expect(vector.layout).toBe(layout);
    expect(vector.records.length).toBeGreaterThan(30);
    const path = laidDown(vector);
    for (let life = 0; life < 3; life++) {
      const store = nodeStore(path);
      expect(await recordsOf(store)).toEqual(vector.records);
      await store.close();
    }
  });

  test('goes on after the last rev that it gave out', async () => {
    const path = laidDown(vector);
    for (let life = 1; life <= 2; life++) {
      const store = nodeStore(path);
      await store.commit([{ key: ['new'], value: new Uint8Array(1) }]);
      expect((await store.read([['new']]))[0]!.rev).toBe(vector.counter + life);
      await store.close();
    }
  });
});

describe('layout 1', () => {
  test('becomes layout 2 in one synced batch, or stays what it is', async () => {
    const vector = vectorOf(1);
    const path = laidDown(vector);
    const batch = vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValueOnce(new Error('the process died'));
    const store = nodeStore(path);
    await expect(store.read([['latest']])).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    expect(await recordsOf(store)).toEqual(vector.records);
    expect(batch.mock.calls).toHaveLength(2);
    for (const [writes, options] of batch.mock.calls as unknown as [unknown[], unknown][]) {
      expect(writes).toHaveLength(vector.records.length + 1);
      expect(options).toEqual({ sync: true });
    }
    await store.close();
    const again = nodeStore(path);
    expect(await recordsOf(again)).toEqual(vector.records);
    expect(batch.mock.calls).toHaveLength(2);
    await again.close();
  });
});
