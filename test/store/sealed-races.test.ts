/** Several handles over one base, where every call of the base lets the others go on: what one commits is never damage to another. */

import { describe, expect, test } from 'vitest';
import type { Store, StoreKey } from '../../src/store/port.js';
import { type SealedStore, sealedStore } from '../../src/store/sealed.js';
import { seededRng } from '../../src/testing/rng.js';
import { codeOf, isSlot, lastingBase, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const A = 1;
const B = 2;
const KEY: StoreKey = ['meta'];
const put = (key: StoreKey, value: string) => ({ key, value: utf8(value) });
const readText = async (store: Store, key: StoreKey = KEY): Promise<string | undefined> => text((await store.read([key]))[0]?.value);
const isScan = (prefix: StoreKey, limit: number): boolean => prefix[1] === 'r' && limit > 1;

/** `inner`, which does `meanwhile` once: `before` it lists rows that `matches` says, or `after`. */
function trapped(inner: Store, matches: (prefix: StoreKey, limit: number) => boolean, when: 'before' | 'after') {
  const trap: { meanwhile?: (() => Promise<unknown>) | undefined } = {};
  const spring = async (): Promise<void> => {
    const { meanwhile } = trap;
    trap.meanwhile = undefined;
    await meanwhile?.();
  };
  const base: Store = {
    ...inner,
    async list(prefix, limit, after) {
      if (when === 'before' && matches(prefix, limit)) await spring();
      const rows = await inner.list(prefix, limit, ...(after === undefined ? [] : [after]));
      if (when === 'after' && matches(prefix, limit)) await spring();
      return rows;
    },
  };
  return { base, trap };
}

describe('a scan while another handle rotates the key', () => {
  test.each(['an open store', 'a store that is being unlocked'])('of %s starts over', async (which) => {
    const inner = lastingBase();
    const rival = sealedStore(inner, rawSlot(A));
    await rival.commit([put(KEY, 'x'), put(['contact', 'y'], 'y')]);
    const { base, trap } = trapped(inner, isScan, 'before');
    const store = sealedStore(base, rawSlot(A));
    if (which === 'an open store') {
      await store.read([KEY]);
      await rival.commit([put(['contact', 'z'], 'z')]);
    }
    trap.meanwhile = () => rival.rotateKey();
    expect(await readText(store)).toBe('x');
    expect(trap.meanwhile).toBeUndefined();
  });

  test('that meets a record under its old id, then under its new one, starts over', async () => {
    const inner = lastingBase();
    const rival = sealedStore(inner, rawSlot(A));
    await rival.commit(Array.from({ length: 300 }, (_, i) => put(['contact', String(i)], 'x')));
    const { base, trap } = trapped(inner, isScan, 'after');
    trap.meanwhile = () => rival.rotateKey();
    expect(await readText(sealedStore(base, rawSlot(A)), ['contact', '7'])).toBe('x');
    expect(trap.meanwhile).toBeUndefined();
  });
});

test('a base that reads row by row makes no damage of a commit that comes in between', async () => {
  const inner = lastingBase();
  const rival = sealedStore(inner, rawSlot(A));
  await rival.commit([put(KEY, 'x')]);
  let meanwhile: (() => Promise<void>) | undefined;
  const base: Store = {
    ...inner,
    async read(keys) {
      const first = await inner.read(keys.slice(0, 1));
      const race = keys.length > 1 ? meanwhile : undefined;
      if (race !== undefined) meanwhile = undefined;
      await race?.();
      return [...first, ...(await inner.read(keys.slice(1)))];
    },
  };
  const store = sealedStore(base, rawSlot(A));
  await store.read([KEY]);
  meanwhile = () => rival.commit([put(KEY, 'y')]);
  expect(await readText(store)).toBe('y');
  meanwhile = () => rival.rotateKey();
  expect(await readText(store)).toBe('y');
  expect(meanwhile).toBeUndefined();
});

describe('slots while another handle changes them', () => {
  const isSlots = (prefix: StoreKey): boolean => prefix[1] === 'slot';
  const two = async (when: 'before' | 'after' = 'before') => {
    const inner = lastingBase();
    const rival = sealedStore(inner, rawSlot(A));
    const { base, trap } = trapped(inner, isSlots, when);
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    await rival.read([KEY]);
    return { store, rival, trap };
  };

  test.each(['before', 'after'] as const)('are listed as they are, or as they then are (%s)', async (when) => {
    const { store, rival, trap } = await two(when);
    let added = '';
    trap.meanwhile = async () => {
      added = await rival.addSlot(rawSlot(B));
    };
    expect((await store.slots()).map(({ id }) => id)).toContain(added);
    trap.meanwhile = () => rival.removeSlot(added);
    expect(await store.slots()).toHaveLength(1);
    trap.meanwhile = () => rival.rotateKey();
    expect(await store.slots()).toHaveLength(1);
    expect(trap.meanwhile).toBeUndefined();
  });

  test('of the same handle are listed too', async () => {
    const { store } = await two();
    const [, listed] = await Promise.all([store.addSlot(rawSlot(B)), store.slots()]);
    expect(listed).toHaveLength(1);
    expect(await store.slots()).toHaveLength(2);
  });

  test.each(['before', 'after'] as const)('can be removed while the one that stays is replaced (%s)', async (when) => {
    const { store, rival, trap } = await two(when);
    const [first] = await store.slots();
    const id = await store.addSlot(rawSlot(B));
    let added = '';
    trap.meanwhile = async () => {
      added = await rival.addSlot(rawSlot(3));
      await rival.removeSlot(first!.id);
    };
    await store.removeSlot(id);
    expect((await store.slots()).map((slot) => slot.id)).toEqual([added]);
  });

  test('a handle that commits without pause ends in ERR_STORE_LOCKED', async () => {
    const inner = lastingBase();
    const rival = sealedStore(inner, rawSlot(A));
    let commits = 0;
    const base: Store = {
      ...inner,
      async list(prefix, limit, after) {
        if (isSlots(prefix) && limit > 1 && (commits > 0 || armed)) await rival.commit([put(['contact', 'x'], String(++commits))]);
        return inner.list(prefix, limit, ...(after === undefined ? [] : [after]));
      },
    };
    let armed = false;
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    armed = true;
    await expect(store.slots()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', action: 'retry' });
    expect(commits).toBeGreaterThan(10);
  });

  test('a slot can be added after another handle has rotated the key', async () => {
    const { store, rival } = await two();
    await rival.rotateKey();
    await store.addSlot(rawSlot(B));
    expect(await store.slots()).toHaveLength(2);
  });
});

/** A base whose calls all take a turn of the event loop or more, and whose pages of records are short. */
function slowBase(inner: Store, turns: () => number): Store {
  const wait = async (): Promise<void> => {
    for (let left = turns(); left > 0; left--) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  return {
    ...inner,
    async read(keys) {
      await wait();
      return inner.read(keys);
    },
    async list(prefix, limit, after) {
      await wait();
      return inner.list(prefix, isScan(prefix, limit) ? 2 : limit, ...(after === undefined ? [] : [after]));
    },
    async commit(writes) {
      await wait();
      await inner.commit(writes);
      await wait();
    },
  };
}

/** Codes that a call may end in because of what the others do. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  commit: [],
  read: [],
  list: [],
  slots: [],
  // The key was rotated while the slot was sealed.
  slot: ['ERR_STORE_CONFLICT'],
  // Slots changed meanwhile, or one is there that this handle doesn't hold.
  rotate: ['ERR_STORE_CONFLICT', 'ERR_ARGUMENT'],
};

test('whatever three handles do at once, none finds damage, and each write is there', async () => {
  const done: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed++) {
    const rng = seededRng(`sealed races ${seed}`);
    const below = (limit: number): number => rng(1)[0]! % limit;
    const inner = lastingBase();
    const stores = [0, 1, 2].map(() =>
      sealedStore(
        slowBase(inner, () => below(3)),
        rawSlot(A),
      ),
    );
    /** Values that a key can have. */
    const possible = new Map<string, Set<string | undefined>>(['a', 'b', 'c', 'd', 'e'].map((key) => [key, new Set([undefined])]));
    const keys = [...possible.keys()];
    let written = 0;
    const calls: Record<string, (store: SealedStore, key: string) => Promise<unknown>> = {
      commit: (store, key) => {
        const value = String(++written);
        possible.get(key)!.add(value);
        return store.commit([put(['contact', key], value)]);
      },
      read: async (store, key) => {
        const value = await readText(store, ['contact', key]);
        expect([...possible.get(key)!]).toContain(value);
      },
      list: (store) => store.list(['contact'], 10),
      slots: (store) => store.slots(),
      slot: async (store) => store.removeSlot(await store.addSlot(rawSlot(B))),
      rotate: (store) => store.rotateKey(),
    };
    const names = ['commit', 'commit', 'commit', 'read', 'list', 'slots', 'slot', 'rotate'];
    const running: Promise<void>[] = [];
    for (let i = 0; i < 40; i++) {
      const name = names[below(names.length)]!;
      const [store, key] = [stores[below(3)]!, keys[below(keys.length)]!];
      const run = async (): Promise<void> => {
        const code = await codeOf(() => calls[name]!(store, key));
        if (code !== 'none') expect(ALLOWED[name], `seed ${seed}: ${name}`).toContain(code);
        else done[name] = (done[name] ?? 0) + 1;
      };
      running.push(run());
      if (below(3) === 0) await running.at(-1);
    }
    await Promise.all(running);
    const contents = await Promise.all([...stores, sealedStore(inner, rawSlot(A))].map((store) => store.list(['contact'], 10)));
    for (const content of contents) expect(content, `seed ${seed}`).toEqual(contents[0]);
    for (const key of keys) expect([...possible.get(key)!]).toContain(await readText(stores[0]!, ['contact', key]));
    expect(contents[0]!.length).toBe(keys.filter((key) => possible.get(key)!.size > 1).length);
    for (const { id } of await stores[0]!.slots()) expect((await rowsOf(inner)).some((row) => isSlot(row) && row.key[2] === id)).toBe(true);
  }
  for (const name of Object.keys(ALLOWED)) expect(done[name], name).toBeGreaterThan(20);
});
