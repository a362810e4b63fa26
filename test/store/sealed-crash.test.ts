import { describe, expect, test } from 'vitest';
import { isCyphrError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import { PLAIN_SPACES } from '../../src/store/sealed/plain.js';
import { sealedStore } from '../../src/store/sealed.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { baseOf, isRecord, lastingBase, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const A = 1;
const B = 2;
/** More than two batches. */
const COUNT = 300;
const many = (i: number): StoreKey => ['session', String(i).padStart(3, '0')];

/** Key, value and rev of everything. */
async function contentOf(store: Store): Promise<string[]> {
  const single = await store.read([['meta'], ['generation']]);
  const listed = await Promise.all(['session', 'contact', 'inbox'].map((space) => store.list([space], 1_000)));
  return [
    ...single.map((record) => `${text(record?.value)} ${record?.rev}`),
    ...listed.flat().map(({ key, value, rev }) => `${key.join('/')} ${text(value)} ${rev}`),
  ];
}

/** Which master keys the records lie under. */
const versionsOf = async (base: Store): Promise<number[]> => [
  ...new Set((await rowsOf(base)).filter(isRecord).map(({ value }) => new DataView(value.buffer, value.byteOffset).getUint32(0))),
];

/**
 * Runs `life` again and again, and lets the process die at its first commit to the base, its second, and so on, before it and after it.
 * `prepare` makes the base, `check` looks at what the next process finds; the results of `life` up to the crash are in `done`.
 */
async function dying<T>(
  prepare: () => Promise<Store>,
  life: (base: Store, done: T[]) => Promise<void>,
  check: (base: Store, done: readonly T[]) => Promise<void>,
): Promise<number> {
  for (let atCommit = 1; ; atCommit++) {
    for (const side of ['before', 'after'] as const) {
      const base = await prepare();
      const done: T[] = [];
      let crashed = false;
      try {
        await life(crashingStore(base, { atCommit, side }), done);
      } catch (error) {
        if (!isCyphrError(error) || error.code !== 'ERR_STORE_IO') throw error;
        crashed = true;
      }
      await check(base, done);
      if (!crashed) return atCommit - 1;
    }
  }
}

describe('a process that dies at any commit', () => {
  test('leaves a store that has all commits that it acknowledged, whole ones only', async () => {
    const states: string[][] = [];
    const life = async (base: Store, done: string[][]): Promise<void> => {
      const store = sealedStore(base, rawSlot(A));
      const step = async (run: () => Promise<unknown>): Promise<void> => {
        await run();
        done.push(await contentOf(store));
      };
      await step(() => store.read([['meta']]));
      await step(() => store.commit(['x', 'y'].map((id) => ({ key: ['contact', id], value: utf8(`first ${id}`) }))));
      await step(() => store.addSlot(rawSlot(B)));
      await step(() =>
        store.commit([
          { key: ['contact', 'x'], value: null },
          { key: ['meta'], value: utf8('second') },
        ]),
      );
      await step(async () => store.removeSlot((await store.slots())[0]!.id));
      await step(() => store.commit([{ key: ['meta'], value: utf8('third') }]));
    };
    await life(lastingBase(), states);
    const commits = await dying(
      async () => lastingBase(),
      life,
      async (base, done) => {
        const opened: string[][] = [];
        for (const slot of [A, B]) {
          const store = sealedStore(base, rawSlot(slot));
          if (slot === B && (await rowsOf(base)).length === 0) continue;
          try {
            opened.push(await contentOf(store));
          } catch (error) {
            expect(error).toMatchObject({ code: 'ERR_STORE_KEY' });
          }
        }
        expect(opened.length).toBeGreaterThan(0);
        for (const content of opened) expect([states[done.length - 1] ?? states[0], states[done.length]]).toContainEqual(content);
      },
    );
    expect(commits).toBe(6);
  });

  test('while the key is rotated leaves every record readable, and the next process goes on', async () => {
    const first = lastingBase();
    {
      const store = sealedStore(first, rawSlot(A));
      await store.addSlot(rawSlot(B));
      await store.commit(Array.from({ length: COUNT }, (_, i) => ({ key: many(i), value: utf8(`value ${i}`) })));
      await store.commit([{ key: many(7), value: utf8('changed') }]);
    }
    const whole = await contentOf(sealedStore(first, rawSlot(A)));
    const rows = await rowsOf(first);
    const prepare = (): Promise<Store> => baseOf(rows);
    const rotating = async (base: Store): Promise<void> => {
      const store = sealedStore(base, rawSlot(A));
      await store.read([many(0)]);
      // The slot of B is not at hand: out with it, and in again.
      for (const { id } of await store.slots()) if (!(await opens(base, id))) await store.removeSlot(id);
      await store.addSlot(rawSlot(B));
      await store.rotateKey();
    };
    const commits = await dying(prepare, rotating, async (base) => {
      const before = (await rowsOf(base)).filter(isRecord).length;
      expect(before).toBe(COUNT);
      expect(await contentOf(sealedStore(base, rawSlot(A)))).toEqual(whole);
      expect((await versionsOf(base)).length, 'the rotation was ended, or never begun').toBe(1);
    });
    // A slot more, a slot less, the new key, three batches.
    expect(commits).toBe(6);
  });

  test('while plain records are sealed loses none, and in the end none is plain', async () => {
    const plain = async (): Promise<Store> => {
      const base = lastingBase();
      await base.commit([{ key: ['meta'], value: utf8('plain meta') }]);
      await base.commit(Array.from({ length: COUNT }, (_, i) => ({ key: many(i), value: utf8(`value ${i}`) })));
      await base.commit([
        { key: ['generation'], value: utf8('g') },
        { key: ['contact', 'bob'], value: utf8('plain bob') },
      ]);
      return base;
    };
    const values = (content: readonly string[]): string[] => content.map((line) => line.replace(/ \d+$/, ''));
    const before = await contentOf(await plain());
    const lastRev = Math.max(...before.map((line) => Number(line.split(' ').at(-1))));
    let begun = 0;
    const commits = await dying(
      plain,
      async (base) => {
        await sealedStore(base, rawSlot(A), { plainRecords: 'seal' }).read([['meta']]);
      },
      async (base) => {
        const isBegun = (await rowsOf(base)).length > 0;
        begun += isBegun ? 1 : 0;
        // What was begun is ended, whatever the option says by then.
        const store = sealedStore(base, rawSlot(A), { plainRecords: isBegun ? 'refuse' : 'seal' });
        const content = await contentOf(store);
        expect(values(content)).toEqual(values(before));
        for (const line of content) expect(Number(line.split(' ').at(-1))).toBeGreaterThan(lastRev);
        for (const space of PLAIN_SPACES) expect([await base.read([[space]]), await base.list([space], 1)]).toEqual([[undefined], []]);
      },
    );
    // The head with its slot, three batches, the end.
    expect(commits).toBe(5);
    expect(begun).toBeGreaterThan(6);
  });

  test('while a store is erased leaves nothing that opens, and erasing again ends it', async () => {
    const prepare = async (): Promise<Store> => {
      const base = memoryStore();
      const store = sealedStore({ ...base, close: async () => {} }, rawSlot(A));
      await store.commit(Array.from({ length: COUNT }, (_, i) => ({ key: many(i), value: utf8(`value ${i}`) })));
      return { ...base, close: async () => {} };
    };
    const commits = await dying(
      prepare,
      async (base) => {
        await sealedStore(base, rawSlot(9)).erase!();
      },
      async (base) => {
        const rows = await rowsOf(base);
        if (rows.length > 0 && rows.length < COUNT + 2) {
          expect(rows.every(isRecord)).toBe(true);
          await expect(sealedStore(base, rawSlot(A)).read([['meta']])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
        }
        await sealedStore(base, rawSlot(9)).erase!();
        expect(await rowsOf(base)).toEqual([]);
      },
    );
    expect(commits).toBe(3);
  });
});

/** Whether A opens the slot of this id. */
async function opens(base: Store, id: string): Promise<boolean> {
  const rows = (await rowsOf(base)).filter(({ key }) => key[1] !== 'slot' || key[2] === id);
  const copy = lastingBase();
  await copy.commit(rows);
  try {
    await sealedStore(copy, rawSlot(A)).read([['meta']]);
    return true;
  } catch {
    return false;
  }
}
