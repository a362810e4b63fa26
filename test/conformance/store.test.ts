import 'fake-indexeddb/auto';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, test } from 'vitest';
import { idbStore } from '../../src/store/idb.js';
import { memoryStore } from '../../src/store/memory.js';
import { nodeStore } from '../../src/store/node.js';
import { storeConformance } from '../../src/testing/store-conformance.js';

describe('memoryStore', () => {
  for (const { name, run } of storeConformance({ open: () => memoryStore(), destroy: async () => {}, durable: false })) test(name, run);
});

describe('nodeStore', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-store-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const setup = {
    open: (name: string) => nodeStore(join(folder, name)),
    destroy: (name: string) => rm(join(folder, name), { recursive: true, force: true }),
  };
  for (const { name, run } of storeConformance(setup)) test(name, run);
});

describe('idbStore', () => {
  const destroy = (name: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase(`cyphr:${name}`);
      request.onsuccess = () => resolve();
      request.onerror = () => reject(request.error);
    });
  for (const { name, run } of storeConformance({ open: idbStore, destroy })) test(name, run);
});
