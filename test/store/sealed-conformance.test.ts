import 'fake-indexeddb/auto';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, test } from 'vitest';
import { idbStore } from '../../src/store/idb.js';
import { memoryStore } from '../../src/store/memory.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store } from '../../src/store/port.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { storeConformance } from '../../src/testing/store-conformance.js';

const slot = () => rawKeySlot(new Uint8Array(32).fill(7));

describe('sealed over memory', () => {
  /** Bases that outlive their sealed stores, so that these are as durable as a disk. */
  const bases = new Map<string, Store>();
  const setup = {
    open(name: string) {
      const base = bases.get(name) ?? memoryStore();
      bases.set(name, base);
      return sealedStore({ ...base, close: async () => {} }, slot());
    },
    async destroy(name: string) {
      bases.delete(name);
    },
  };
  for (const { name, run } of storeConformance(setup)) test(name, run);
});

describe('sealed over LevelDB', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-sealed-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const setup = {
    open: (name: string) => sealedStore(nodeStore(join(folder, name)), slot()),
    destroy: (name: string) => rm(join(folder, name), { recursive: true, force: true }),
  };
  for (const { name, run } of storeConformance(setup)) test(name, run);
});

describe('sealed over IndexedDB', () => {
  const setup = {
    open: (name: string) => sealedStore(idbStore(name), slot()),
    destroy: (name: string) =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase(`cyphr:${name}`);
        request.onsuccess = () => resolve();
        request.onerror = () => reject(request.error);
      }),
  };
  for (const { name, run } of storeConformance(setup)) test(name, run);
});
