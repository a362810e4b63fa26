import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { nodeStore } from '../../src/store/node.js';
import type { StoreKey } from '../../src/store/port.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { seededRng } from '../../src/testing/rng.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-node-erase-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});
let folders = 0;
const newPath = (): string => join(folder, String(++folders));

const rng = seededRng('erase');
const KEYS: readonly StoreKey[] = [
  ['device'],
  ['prekeys'],
  ['session', '1'],
  ['init', '1'],
  ['skipped', '1', 'tag'],
  ['sealed', 'slot', '00'],
];
const OTHERS: readonly StoreKey[] = [['meta'], ['inbox', '1'], ['sealed', 'record', '1'], ['slot', 'sealed']];
const secretOf = new Map([...KEYS, ...OTHERS].map((key) => [key, rng(32)]));

/** A closed store in whose tables and log every secret stands, overwritten and deleted ones too. */
async function filled(): Promise<string> {
  const path = newPath();
  let store = nodeStore(path);
  for (let life = 0; life < 3; life++) {
    for (const [key, secret] of secretOf) await store.commit([{ key, value: secret }]);
    for (const key of secretOf.keys()) await store.commit([{ key, value: life === 1 ? null : new Uint8Array(5) }]);
    for (const [key, secret] of secretOf) await store.commit([{ key, value: secret }]);
    await store.close();
    store = nodeStore(path);
  }
  expect(seen(path)).toEqual([...secretOf.keys()]);
  await store.close();
  return path;
}

/** The keys of the secrets that stand anywhere in a directory's bytes. */
function seen(path: string): StoreKey[] {
  const bytes = existsSync(path) ? readdirSync(path).map((name) => readFileSync(join(path, name))) : [];
  return [...secretOf].filter(([, secret]) => bytes.some((file) => file.includes(Buffer.from(secret)))).map(([key]) => key);
}

describe('erase', () => {
  test('leaves nothing in the directory, nor the directory, and says how much there was', async () => {
    const path = await filled();
    const store = nodeStore(path);
    expect(await store.read([['device']])).toHaveLength(1);
    expect(await store.erase!()).toEqual({ recordCount: 10, keyCount: 6 });
    expect(existsSync(path)).toBe(false);
    for (const call of [() => store.read([['device']]), () => store.commit([]), () => store.list(['s'], 1), () => store.erase!()]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    }
    await store.close();
    const next = nodeStore(path);
    expect(await next.read([['device']])).toEqual([undefined]);
    await next.close();
  });

  test('waits for the commits that run, and leaves files alone that are not the store’s', async () => {
    const path = await filled();
    writeFileSync(join(path, 'notes.txt'), 'mine');
    const store = nodeStore(path);
    const running = store.commit([{ key: ['session', '2'], value: rng(10) }]);
    expect(await store.erase!()).toEqual({ recordCount: 11, keyCount: 7 });
    await running;
    expect(readdirSync(path)).toEqual(['notes.txt']);
  });

  test('destroys the keys, in every file, before anything else', async () => {
    const path = await filled();
    const store = nodeStore(path);
    vi.spyOn(ClassicLevel, 'destroy').mockRejectedValueOnce(new Error('the process died'));
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    expect(seen(path)).toEqual(OTHERS);
    await store.close();
    // What is left is no store that a client could go on with.
    const next = nodeStore(path);
    await expect(next.read([['device']])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(await next.erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(existsSync(path)).toBe(false);
  });

  test('can be repeated by the same store', async () => {
    const path = await filled();
    const store = nodeStore(path);
    vi.spyOn(ClassicLevel, 'destroy').mockRejectedValueOnce(new Error('busy'));
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    await store.erase!();
    expect(existsSync(path)).toBe(false);
  });

  test('goes on where no key can be destroyed before the rest', async () => {
    const path = await filled();
    const store = nodeStore(path);
    vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValueOnce(new Error('No space left on device'));
    expect(await store.erase!()).toEqual({ recordCount: 10, keyCount: 6 });
    expect(existsSync(path)).toBe(false);
  });

  test('destroys a damaged store', async () => {
    const path = await filled();
    writeFileSync(join(path, 'CURRENT'), '');
    const store = nodeStore(path);
    await expect(store.read([['device']])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(await store.erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(existsSync(path)).toBe(false);
  });

  test('destroys a damaged store that is sealed', async () => {
    const path = newPath();
    const open = () => sealedStore(nodeStore(path), rawKeySlot(new Uint8Array(32)));
    const store = open();
    await store.commit([{ key: ['device'], value: rng(32) }]);
    await store.close();
    writeFileSync(join(path, 'CURRENT'), '');
    const damaged = open();
    await expect(damaged.read([['device']])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', field: 'CURRENT' });
    expect(await damaged.erase()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(existsSync(path)).toBe(false);
  });

  test('destroys nothing of a store that is open elsewhere', async () => {
    const path = await filled();
    const [owner, other] = [nodeStore(path), nodeStore(path)];
    await owner.read([['device']]);
    await expect(other.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect((await owner.read([['device']]))[0]?.value).toEqual(secretOf.get(KEYS[0]!));
    await owner.close();
    await other.erase!();
    expect(existsSync(path)).toBe(false);
  });

  test('of a folder that never was a store touches nothing in it', async () => {
    const path = newPath();
    mkdirSync(path);
    for (const name of ['LOG', 'LOG.old', 'LOCK', 'notes.txt']) writeFileSync(join(path, name), name);
    expect(await nodeStore(path).erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(readdirSync(path).map((name) => [name, readFileSync(join(path, name), 'utf8')])).toEqual(
      ['LOCK', 'LOG', 'LOG.old', 'notes.txt'].map((name) => [name, name]),
    );
  });

  test.each([['CURRENT'], ['cyphr-witness'], ['CURRENT', 'cyphr-witness']])('destroys a store that lost %s %s', async (...lost) => {
    const path = await filled();
    for (const name of lost) rmSync(join(path, name));
    await nodeStore(path).erase!();
    expect(existsSync(path)).toBe(false);
  });

  test('of a store that never was leaves no directory', async () => {
    const path = newPath();
    expect(await nodeStore(path).erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(existsSync(path)).toBe(false);
  });
});
