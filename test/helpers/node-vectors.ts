import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromHex, toHex, u32 } from '../../src/bytes.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import { seededRng } from '../../src/testing/rng.js';

/** A directory of `nodeStore`, as test-vectors/node-store-v<layout>.json holds it. */
export interface NodeStoreVector {
  readonly description: string;
  readonly layout: number;
  /** Everything that the store holds, in order; `value` in hex. */
  readonly records: readonly { readonly key: StoreKey; readonly value: string; readonly rev: number }[];
  /** The greatest rev ever given out. */
  readonly counter: number;
  /** By name, in hex; the lock and LevelDB's own log for people are left out. */
  readonly files: Readonly<Record<string, string>>;
}

/** A directory by today's code, written by two processes' lives: a table file, a log, records that were overwritten and deleted. */
export async function makeNodeStore(layout: number): Promise<NodeStoreVector> {
  const path = mkdtempSync(join(tmpdir(), 'cyphr-vector-'));
  const rng = seededRng('node store');
  let store = nodeStore(path);
  const fill = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) {
      await store.commit([
        { key: ['session', String(i)], value: rng(i % 7 === 0 ? 0 : 20 + i) },
        { key: ['odd', `${i}/\0:ä`, '', '😀'], value: u32(i) },
        { key: ['latest'], value: u32(i) },
      ]);
    }
  };
  await fill(0, 16);
  await store.commit([
    { key: ['session', '3'], value: null },
    { key: ['session', '4'], value: rng(64) },
  ]);
  await store.close();
  store = nodeStore(path);
  await fill(14, 20);
  await store.commit([{ key: ['session', '5'], value: null }]);
  const records = await listAll(store);
  await store.close();
  const names = readdirSync(path).filter((name) => !/^LO(?:CK|G|G\.old)$/.test(name));
  const files = Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(path, name)).toString('hex')]));
  rmSync(path, { recursive: true });
  return {
    description: `A directory of nodeStore in layout ${layout}: its files, and the records that it holds. Bytes in hexadecimal; keys are the caller's components.`,
    layout,
    records: records.map(({ key, value, rev }) => ({ key, value: toHex(value), rev })),
    counter: 24,
    files,
  };
}

/** Everything in the spaces of the vectors. */
export async function listAll(store: Store) {
  const [latest] = await store.read([['latest']]);
  const [odd, sessions] = await Promise.all([store.list(['odd'], 1_000), store.list(['session'], 1_000)]);
  return [{ key: ['latest'] satisfies StoreKey, ...latest! }, ...odd, ...sessions];
}

/** Lays a vector's files down in a new directory. */
export function layDown(vector: NodeStoreVector, path: string): void {
  mkdirSync(path, { recursive: true });
  for (const [name, hex] of Object.entries(vector.files)) writeFileSync(join(path, name), fromHex(hex)!);
}
