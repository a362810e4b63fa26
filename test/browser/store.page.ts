/** Stores in a real browser: the conformance suite, commits under load, a full disk, many records. */

import { isCyphrError } from '@cyphr/e2ee/errors';
import { idbStore } from '@cyphr/e2ee/store/idb';
import { rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { storeConformance } from '@cyphr/e2ee/testing';
import type { Store, StoreKey } from '../../src/store/port.js';

/** Deletes the database behind a store's back. */
function destroy(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(`cyphr:${name}`);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
}

const key = new Uint8Array(32).fill(9);
const sealedIdbStore = (name: string): Store => sealedStore(idbStore(name), rawKeySlot(key));
const CASES = [
  { store: 'idbStore', open: idbStore },
  { store: 'sealedStore', open: sealedIdbStore },
].flatMap(({ store, open }) => storeConformance({ open, destroy }).map(({ name, run }) => ({ name: `${store} ${name}`, run })));

export const caseNames = (): string[] => CASES.map(({ name }) => name);
export const runCase = (index: number): Promise<void> => CASES[index]!.run();

/** A new handle on the store of that name, sealed if the name says so. */
const open = (name: string): Store => (name.startsWith('sealed') ? sealedIdbStore(name) : idbStore(name));
const stores = new Map<string, Store>();
/** The store of that name, which stays open. */
function storeOf(name: string): Store {
  const store = stores.get(name) ?? open(name);
  stores.set(name, store);
  return store;
}

const numberKey = (space: string, i: number): StoreKey => [space, String(i).padStart(6, '0')];
const numberOf = (key: StoreKey): number => Number(key[1]);

async function keysOf(store: Store, space: string): Promise<number[]> {
  const numbers: number[] = [];
  for (let after: StoreKey | undefined; ; ) {
    const page = await store.list([space], 256, after);
    numbers.push(...page.map(({ key }) => numberOf(key)));
    after = page.at(-1)?.key;
    if (after === undefined) return numbers;
  }
}

/** Commits two rows at a time, several commits at once, for ever; reports each number once its commit has resolved. */
export function storm(name: string, topic: string): void {
  const store = storeOf(name);
  let next = 0;
  const commitOn = async (): Promise<never> => {
    for (;;) {
      const i = next++;
      const value = new Uint8Array(1 + ((i * 7_919) % 20_000)).fill(i);
      await store.commit([
        { key: numberKey('left', i), value, ifRev: 0 },
        { key: numberKey('right', i), value },
      ]);
      await fetch(`/report/${topic}`, { method: 'POST', body: String(i) });
    }
  };
  for (let i = 0; i < 4; i++) void commitOn();
}

/** What a storm has left, and whether the store goes on with a rev that nothing has had. */
export async function survey(name: string): Promise<{ left: number[]; right: number[]; isRevFresh: boolean }> {
  const store = storeOf(name);
  const [left, right] = await Promise.all([keysOf(store, 'left'), keysOf(store, 'right')]);
  const revs = (await store.list(['left'], 100_000)).map(({ rev }) => rev);
  await store.commit([{ key: ['after'], value: new Uint8Array(1) }]);
  const [after] = await store.read([['after']]);
  return { left, right, isRevFresh: after!.rev > Math.max(0, ...revs) };
}

/** Commits values of `valueBytes` to `space`, one by one, until `count` are there or one fails; answers the code of that. */
export async function fill(
  name: string,
  space: string,
  count: number,
  valueBytes: number,
): Promise<{ held: number[]; code: string | undefined }> {
  const store = storeOf(name);
  let code: string | undefined;
  const start = (await keysOf(store, space)).length;
  for (let i = start; i < start + count && code === undefined; i++) {
    // Incompressible: some browsers store what they can squeeze.
    const value = new Uint8Array(valueBytes);
    for (let at = 0; at < value.length; at += 65_536) crypto.getRandomValues(value.subarray(at, at + 65_536));
    await store.commit([{ key: numberKey(space, i), value, ifRev: 0 }]).catch((error: unknown) => {
      code = isCyphrError(error) ? error.code : String(error);
    });
  }
  return { held: await keysOf(store, space), code };
}

/** Stores `count` messages as a client would have them, 250 in a commit; milliseconds. */
export async function storeMessages(name: string, count: number): Promise<number> {
  const store = storeOf(name);
  const startMs = performance.now();
  for (let i = 0; i < count; i += 250) {
    await store.commit(Array.from({ length: 250 }, (_, j) => ({ key: numberKey('inbox', i + j), value: new Uint8Array(700).fill(i + j) })));
  }
  return performance.now() - startMs;
}

/** Opens the store anew and lists its messages page by page; milliseconds for each. */
export async function listMessages(name: string): Promise<{ openMs: number; listMs: number; numbers: number[] }> {
  const startMs = performance.now();
  const store = open(name);
  await store.read([['inbox']]);
  const openedMs = performance.now();
  const numbers = await keysOf(store, 'inbox');
  const listedMs = performance.now();
  await store.close();
  return { openMs: openedMs - startMs, listMs: listedMs - openedMs, numbers };
}

/** The codes of what a read, a commit and a request to lead say; 'ok' where they hold. */
export async function codes(name: string): Promise<string[]> {
  const store = storeOf(name);
  const codeOf = (call: Promise<unknown> | undefined): Promise<string> =>
    Promise.resolve(call).then(
      () => 'ok',
      (error: unknown) => (isCyphrError(error) ? error.code : String(error)),
    );
  const write = { key: ['row'] as StoreKey, value: new Uint8Array(1) };
  return [await codeOf(store.read([['row']])), await codeOf(store.commit([write])), await codeOf(store.shared?.lead('if-free'))];
}

/** Has the browser clear the origin's storage while the store is open; the codes of what it says then, and what databases there are. */
export async function clearUnder(name: string): Promise<{ before: string[]; after: string[]; databases: (string | undefined)[] }> {
  const before = await codes(name);
  await fetch('/clear');
  return { before, after: await codes(name), databases: await databases() };
}

/** Deletes the database while the store is open; answers the code of what the next call says. */
export async function deleteUnder(name: string): Promise<string> {
  const store = storeOf(name);
  await store.commit([{ key: ['row'], value: new Uint8Array(1) }]);
  await destroy(name);
  return store.read([['row']]).then(
    () => 'resolved',
    (error: unknown) => (isCyphrError(error) ? error.code : String(error)),
  );
}

/** Opens a raw, newer database of that name; answers the code of what the store says. */
export async function newerLayout(name: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const request = indexedDB.open(`cyphr:${name}`, 2);
    request.onsuccess = () => resolve(request.result.close());
    request.onerror = () => reject(request.error);
  });
  return storeOf(name)
    .read([['row']])
    .then(
      () => 'resolved',
      (error: unknown) => (isCyphrError(error) ? error.code : String(error)),
    );
}

/** Erases a store. */
export const erase = (name: string): Promise<{ recordCount: number; keyCount: number }> => storeOf(name).erase!();
/** The databases of this origin. */
export const databases = async (): Promise<(string | undefined)[]> => (await indexedDB.databases()).map(({ name }) => name);
