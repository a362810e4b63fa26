import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isCyphrError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import type { KeySlot, Store, StoreKey } from '../../src/store/port.js';
import { type SealedStore, sealedStore } from '../../src/store/sealed.js';
import { baseOf, codeOf, lastingBase, type Row, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const SPACES = ['contact', 'session', 'meta'];
const KEYS: readonly StoreKey[] = [
  ['meta'],
  ['contact', 'a'],
  ['contact', 'a', 'b'],
  ['contact', 'b'],
  ['session', ''],
  ['session', 'é'],
  ['session', '\0'],
];

/** Keys and values of everything, by reading and by listing. */
async function contentOf(store: Store): Promise<unknown> {
  const read = await store.read(KEYS);
  const listed = await Promise.all(SPACES.map((space) => store.list([space], 100)));
  return [read.map((record) => text(record?.value)), listed.flat().map(({ key, value }) => [key, text(value)])];
}

type Action =
  | {
      readonly kind: 'commit';
      readonly writes: readonly { readonly at: number; readonly value: string | null; readonly condition: 'none' | 'holds' | 'stale' }[];
    }
  | { readonly kind: 'rotate' | 'reopen' | 'slots' };

const write = fc.record({
  at: fc.nat(KEYS.length - 1),
  value: fc.option(fc.string({ maxLength: 8 })),
  condition: fc.constantFrom('none' as const, 'none' as const, 'holds' as const, 'stale' as const),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      writes: fc.uniqueArray(write, { maxLength: 4, selector: ({ at }) => at }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('rotate' as const, 'reopen' as const, 'slots' as const) }) },
);

describe('against a model', () => {
  test('several handles, restarts, rotations and changed slots behave like one plain store', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(1), action), { minLength: 1, maxLength: 25 }), async (steps) => {
        const base = lastingBase();
        const model = memoryStore();
        let keys = 1;
        const slot = (): KeySlot => rawSlot(keys);
        const handles: SealedStore[] = [sealedStore(base, slot()), sealedStore(base, slot())];
        const highest = new Map<number, number>();
        for (const [which, step] of steps) {
          const store = handles[which]!;
          if (step.kind === 'commit') {
            // The same conditions, by each store's own revs.
            const writesFor = async (target: Store) =>
              Promise.all(
                step.writes.map(async ({ at, value, condition }) => {
                  const rev = (await target.read([KEYS[at]!]))[0]?.rev ?? 0;
                  const ifRev = condition === 'none' ? undefined : condition === 'holds' ? rev : rev + 1;
                  return { key: KEYS[at]!, value: value === null ? null : utf8(value), ifRev };
                }),
              );
            const [sealedWrites, modelWrites] = [await writesFor(store), await writesFor(model)];
            expect(await codeOf(() => store.commit(sealedWrites))).toBe(await codeOf(() => model.commit(modelWrites)));
            for (const { at } of step.writes) {
              const rev = (await store.read([KEYS[at]!]))[0]?.rev;
              if (rev !== undefined) expect(rev).toBeGreaterThanOrEqual(highest.get(at) ?? 1);
              highest.set(at, Math.max(highest.get(at) ?? 0, rev ?? 0));
            }
          } else if (step.kind === 'rotate') {
            await store.rotateKey();
          } else if (step.kind === 'reopen') {
            await store.close();
            handles[which] = sealedStore(base, slot());
          } else {
            // Another slot in, the one before out: from now on handles are opened with the new one.
            await store.read([KEYS[0]!]);
            const before = (await store.slots())[0]!;
            keys += 1;
            await store.addSlot(slot());
            await store.removeSlot(before.id);
            for (let i = 0; i < handles.length; i++) handles[i] = sealedStore(base, slot());
          }
          const expected = await contentOf(model);
          for (const handle of handles) expect(await contentOf(handle)).toEqual(expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('rows of different times, mixed at will, show one of these times or an error', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(1));
    const snapshots: { rows: Row[]; content: string }[] = [];
    const snapshot = async (): Promise<void> => {
      snapshots.push({ rows: await rowsOf(base), content: JSON.stringify(await contentOf(store)) });
    };
    for (let i = 0; i < 6; i++) {
      await store.commit([
        { key: KEYS[i % 3]!, value: utf8(`a${i}`) },
        { key: KEYS[3 + (i % 4)]!, value: i === 4 ? null : utf8(`b${i}`) },
      ]);
      if (i === 2) await store.addSlot(rawSlot(2));
      if (i === 3) await store.rotateKey();
      await snapshot();
    }
    const every = [...new Set(snapshots.flatMap(({ rows }) => rows.map(({ key }) => key.join(' '))))];
    let opened = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(snapshots.length - 1),
        fc.array(fc.tuple(fc.nat(every.length - 1), fc.nat(snapshots.length - 1)), { maxLength: 4 }),
        async (whole, mixed) => {
          const rows = new Map(snapshots[whole]!.rows.map((row) => [row.key.join(' '), row]));
          for (const [at, from] of mixed) {
            const name = every[at]!;
            const row = snapshots[from]!.rows.find(({ key }) => key.join(' ') === name);
            if (row === undefined) rows.delete(name);
            else rows.set(name, row);
          }
          const sealed = sealedStore(await baseOf([...rows.values()]), rawSlot(1));
          try {
            expect(snapshots.map(({ content }) => content)).toContain(JSON.stringify(await contentOf(sealed)));
            opened += 1;
          } catch (error) {
            if (!isCyphrError(error)) throw error;
            expect(['ERR_STORE_CORRUPT', 'ERR_STORE_KEY']).toContain(error.code);
          }
        },
      ),
      { numRuns: 400 },
    );
    expect(opened).toBeGreaterThan(20);
  });
});
