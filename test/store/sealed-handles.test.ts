import { describe, expect, test, vi } from 'vitest';
import { keys } from '../../src/client/records.js';
import { StoreError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import type { KeySlot, Store, StoreKey } from '../../src/store/port.js';
import { PLAIN_SPACES } from '../../src/store/sealed/plain.js';
import { sealedStore } from '../../src/store/sealed.js';
import { codeOf, dump, isRecord, lastingBase, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const KEY: StoreKey = ['meta'];
const A = 1;
const B = 2;
const C = 3;
const put = (key: StoreKey, value: string, ifRev?: number) => ({ key, value: utf8(value), ifRev });
const readText = async (store: Store, key: StoreKey = KEY): Promise<string | undefined> => text((await store.read([key]))[0]?.value);

/** A slot that counts how often it is used. */
function counted(byte: number, kind?: string): KeySlot & { seals: number; opens: number } {
  const inner = rawSlot(byte);
  const self = {
    kind: kind ?? inner.kind,
    seals: 0,
    opens: 0,
    seal: (...args: Parameters<KeySlot['seal']>) => {
      self.seals += 1;
      return inner.seal(...args);
    },
    open: (...args: Parameters<KeySlot['open']>) => {
      self.opens += 1;
      return inner.open(...args);
    },
  };
  return self;
}

describe('two handles over one base', () => {
  const two = (): [Store, ReturnType<typeof sealedStore>, ReturnType<typeof sealedStore>] => {
    const base = lastingBase();
    return [base, sealedStore(base, rawSlot(A)), sealedStore(base, rawSlot(A))];
  };

  test('found one store, also at the same time', async () => {
    const [, one, other] = two();
    await Promise.all([one.commit([put(['contact', 'a'], '1')]), other.commit([put(['contact', 'b'], '2')])]);
    for (const store of [one, other]) expect((await store.list(['contact'], 9)).map(({ key }) => key[1])).toEqual(['a', 'b']);
    expect(await one.slots()).toHaveLength(1);
  });

  test('see each other’s commits in reads and listings', async () => {
    const [, one, other] = two();
    await one.read([KEY]);
    await other.commit([put(KEY, 'theirs'), put(['contact', 'x'], 'x')]);
    expect(await readText(one)).toBe('theirs');
    await one.commit([put(KEY, 'ours'), { key: ['contact', 'x'], value: null }]);
    expect([await readText(other), await other.list(['contact'], 9)]).toEqual(['ours', []]);
    expect(await other.read([KEY])).toEqual(await one.read([KEY]));
  });

  test('meet no conflicts but their callers’ own', async () => {
    const [, one, other] = two();
    await one.commit([put(KEY, 'first')]);
    const [record] = await other.read([KEY]);
    await one.commit([put(['contact', 'x'], 'x')]);
    // The head moved, the record did not.
    await other.commit([put(KEY, 'second', record!.rev)]);
    await expect(one.commit([put(KEY, 'third', record!.rev)])).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    // What one handle has not yet seen does not conflict either.
    const [now] = await other.read([KEY]);
    await one.commit([put(KEY, 'fourth', now!.rev)]);
    await other.commit([put(['contact', 'y'], 'y', 0), { key: ['contact', 'x'], value: null }]);
    await one.commit([put(['contact', 'x'], 'again', 0)]);
    expect((await other.list(['contact'], 9)).map(({ key }) => key[1])).toEqual(['x', 'y']);
  });

  test('lose no update of a counter that both increment', async () => {
    const [, ...stores] = two();
    const increment = async (store: Store): Promise<void> => {
      for (;;) {
        const [record] = await store.read([KEY]);
        const next = String(Number(text(record?.value) ?? '0') + 1);
        const code = await codeOf(() => store.commit([put(KEY, next, record?.rev ?? 0)]));
        if (code === 'none') return;
        expect(code).toBe('ERR_STORE_CONFLICT');
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, i) => increment(stores[i % 2]!)));
    for (const store of stores) expect(await readText(store)).toBe('40');
  });

  test('go on after one has rotated the key: the other unlocks again', async () => {
    const base = lastingBase();
    const slot = counted(A);
    const [one, other] = [sealedStore(base, rawSlot(A)), sealedStore(base, slot)];
    await one.commit([put(KEY, 'before')]);
    expect(await readText(other)).toBe('before');
    await one.rotateKey();
    await one.commit([put(['contact', 'x'], 'x')]);
    expect(slot.opens).toBe(1);
    expect(await readText(other)).toBe('before');
    await other.commit([put(KEY, 'after')]);
    expect(slot.opens).toBe(2);
    expect(await readText(one)).toBe('after');
  });

  test('find no damage in a store that changes while it is read', async () => {
    const inner = lastingBase();
    const rival = sealedStore(inner, rawSlot(A));
    await rival.commit([put(KEY, 'first'), put(['contact', 'x'], 'x')]);
    let races = 3;
    const base: Store = {
      ...inner,
      async list(prefix, limit, after) {
        // Behind the head's back: it has been read, the records have not.
        if (prefix[1] === 'r' && limit > 1 && races > 0) {
          races -= 1;
          await rival.commit([put(KEY, `race ${races}`), put(['contact', String(races)], 'y')]);
        }
        return after === undefined ? inner.list(prefix, limit) : inner.list(prefix, limit, after);
      },
    };
    const store = sealedStore(base, rawSlot(A));
    expect(await readText(store)).toBe('race 0');
    expect((await store.list(['contact'], 9)).map(({ key }) => key[1])).toEqual(['0', '1', '2', 'x']);
  });

  test('that commit without pause end in ERR_STORE_LOCKED, not in a loop', async () => {
    const inner = lastingBase();
    await sealedStore(inner, rawSlot(A)).commit([put(KEY, 'x')]);
    const rival = sealedStore(inner, rawSlot(A));
    let rivals = 0;
    const base: Store = {
      ...inner,
      async commit(writes) {
        rivals += 1;
        await rival.commit([put(['contact', 'rival'], String(rivals))]);
        await inner.commit(writes);
      },
    };
    const store = sealedStore(base, rawSlot(A));
    await expect(store.commit([put(KEY, 'y')])).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', action: 'retry' });
    expect(rivals).toBeGreaterThan(10);
    expect(await readText(store)).toBe('x');
  });

  test('a commit whose outcome the base could not tell is found out by the next call', async () => {
    for (const arrives of [true, false]) {
      const inner = lastingBase();
      let failing = false;
      const base: Store = {
        ...inner,
        async commit(writes) {
          if (!failing || arrives) await inner.commit(writes);
          if (failing) throw new Error('the line went dead');
        },
      };
      const store = sealedStore(base, rawSlot(A));
      await store.commit([put(KEY, 'old')]);
      failing = true;
      await expect(store.commit([put(KEY, 'new')])).rejects.toThrow('the line went dead');
      failing = false;
      expect(await readText(store)).toBe(arrives ? 'new' : 'old');
      await store.commit([put(['contact', 'x'], 'x')]);
      expect(await readText(sealedStore(base, rawSlot(A)))).toBe(arrives ? 'new' : 'old');
    }
  });

  test('a base that can’t say under which rev a commit went in is asked again', async () => {
    const inner = lastingBase();
    let failing = false;
    const base: Store = {
      ...inner,
      read: (keys) => (failing ? Promise.reject(new Error('not now')) : inner.read(keys)),
      async commit(writes) {
        await inner.commit(writes);
        failing = armed;
      },
    };
    let armed = false;
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    armed = true;
    // It is durable, so it is no failure.
    await store.commit([put(KEY, 'y')]);
    await expect(store.read([KEY])).rejects.toThrow('not now');
    failing = false;
    armed = false;
    expect(await readText(store)).toBe('y');
    await store.commit([put(KEY, 'z')]);
    expect(await readText(sealedStore(base, rawSlot(A)))).toBe('z');
  });
});

describe('slots', () => {
  test('each opens the store; adding and removing rewrites no record', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const records = async (): Promise<string> => JSON.stringify((await rowsOf(base)).filter(isRecord));
    const before = await records();
    const [first] = await store.slots();
    const second = await store.addSlot(counted(B, 'keychain'));
    expect((await store.slots()).map(({ id, kind }) => [id, kind]).sort()).toEqual(
      [
        [first!.id, 'raw'],
        [second, 'keychain'],
      ].sort(),
    );
    expect(await readText(sealedStore(base, counted(B, 'keychain')))).toBe('x');
    await store.removeSlot(first!.id);
    expect(await store.slots()).toEqual([{ id: second, kind: 'keychain' }]);
    await expect(sealedStore(base, rawSlot(A)).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'slot' });
    // The handle that was opened by the removed slot stays open.
    await store.commit([put(KEY, 'y')]);
    expect(await readText(sealedStore(base, counted(B, 'keychain')))).toBe('y');
    expect(before).not.toBe(await records());
    expect((await rowsOf(base)).filter(isRecord)).toHaveLength(1);
  });

  test('several of one kind are tried one after the other', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    await store.addSlot(rawSlot(B));
    await store.addSlot(rawSlot(C));
    for (const byte of [A, B, C]) expect(await readText(sealedStore(base, rawSlot(byte)))).toBe('x');
    await expect(readText(sealedStore(base, rawSlot(4)))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'key' });
  });

  test('of another kind that are damaged say nothing about a wrong key', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const id = await store.addSlot(counted(B, 'keychain'));
    const row = (await rowsOf(base)).find(({ key }) => key[2] === id)!;
    row.value[40]! ^= 1;
    await base.commit([row]);
    expect(await readText(sealedStore(base, rawSlot(A)))).toBe('x');
    await expect(readText(sealedStore(base, rawSlot(C)))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'key' });
    await expect(readText(sealedStore(base, counted(B, 'keychain')))).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
  });

  test('of a newer version don’t keep the others from opening', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const newer = { ...rawSlot(B), open: () => Promise.reject(new StoreError('ERR_STORE_VERSION', 'newer', { got: 2, max: 1 })) };
    await store.addSlot(newer);
    const mixed = {
      ...rawSlot(A),
      open: async (...args: Parameters<KeySlot['open']>) =>
        rawSlot(A)
          .open(...args)
          .catch(newer.open),
    };
    for (let i = 0; i < 2; i++) expect(await readText(sealedStore(base, mixed))).toBe('x');
    await expect(readText(sealedStore(base, newer))).rejects.toMatchObject({ code: 'ERR_STORE_VERSION', got: 2 });
  });

  test('are listed without unlocking', async () => {
    const base = lastingBase();
    expect(await sealedStore(base, rawSlot(A)).slots()).toEqual([]);
    await sealedStore(base, rawSlot(A)).commit([put(KEY, 'x')]);
    const slot = counted(A);
    expect(await sealedStore(base, slot).slots()).toMatchObject([{ kind: 'raw' }]);
    expect(slot.opens).toBe(0);
  });

  test('one that can’t be lost always stays', async () => {
    const base = lastingBase();
    const passkey = counted(B, 'passkey');
    await expect(sealedStore(base, passkey).read([KEY])).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'key' });
    expect([await rowsOf(base), passkey.seals]).toEqual([[], 0]);
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const [first] = await store.slots();
    await expect(store.removeSlot(first!.id)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'id' });
    const id = await store.addSlot(passkey);
    await expect(store.removeSlot(first!.id)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'id' });
    expect(await readText(sealedStore(base, passkey))).toBe('x');
    await store.removeSlot(id);
    for (const unknown of [id, '', '../r'])
      await expect(store.removeSlot(unknown)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'id' });
    expect(await store.slots()).toEqual([first]);
  });

  test('are at most sixteen', async () => {
    const store = sealedStore(lastingBase(), rawSlot(A));
    for (let i = 0; i < 15; i++) await store.addSlot(rawSlot(10 + i));
    await expect(store.addSlot(rawSlot(B))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'slot' });
    expect(await store.slots()).toHaveLength(16);
    await expect(store.addSlot({ kind: 'x' } as KeySlot)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'slot' });
  });

  test('that fail to seal change nothing', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const before = await dump(base);
    const cancelled = { ...rawSlot(B), seal: () => Promise.reject(new Error('cancelled')) };
    await expect(store.addSlot(cancelled)).rejects.toMatchObject({ code: 'ERR_STORE_KEY', cause: { message: 'cancelled' } });
    expect(await dump(base)).toBe(before);
  });

  test('the store goes on while a slot asks a person', async () => {
    const store = sealedStore(lastingBase(), rawSlot(A));
    let answer = (): void => {};
    const slow: KeySlot = {
      ...rawSlot(B),
      seal: async (...args) => {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return rawSlot(B).seal(...args);
      },
    };
    const asking = vi.spyOn(slow, 'seal');
    const adding = store.addSlot(slow);
    await vi.waitUntil(() => asking.mock.calls.length > 0);
    await store.commit([put(KEY, 'meanwhile')]);
    expect(await readText(store)).toBe('meanwhile');
    answer();
    await adding;
    expect(await store.slots()).toHaveLength(2);
  });
});

describe('rotateKey', () => {
  test('seals all slots anew and every record, keeps revs, and leaves the old key nothing', async () => {
    const base = lastingBase();
    const slots = [counted(A), counted(B, 'keychain')];
    const store = sealedStore(base, slots[0]!);
    await store.addSlot(slots[1]!);
    await store.commit([put(KEY, 'x'), put(['contact', 'bob'], 'y')]);
    const before = await rowsOf(base);
    const records = await store.read([KEY, ['contact', 'bob']]);
    const ids = await store.slots();
    await store.rotateKey();
    const after = await rowsOf(base);
    expect(await store.slots()).toEqual(ids);
    for (const { key, value } of after) {
      const old = before.find((row) => row.key.join() === key.join());
      if (key[1] === 'r') expect(old).toBeUndefined();
      else expect(value).not.toEqual(old!.value);
    }
    expect(await store.read([KEY, ['contact', 'bob']])).toEqual(records);
    for (const slot of slots) expect(await sealedStore(base, slot).read([KEY, ['contact', 'bob']])).toEqual(records);
    expect(slots.map(({ seals }) => seals)).toEqual([2, 2]);
    // Slots from before open the key from before, which opens nothing that is here now.
    const mixed = lastingBase();
    await mixed.commit([...after.filter(({ key }) => key[1] !== 'slot'), ...before.filter(({ key }) => key[1] === 'slot')]);
    expect(await codeOf(() => sealedStore(mixed, rawSlot(A)).read([KEY]))).toBe('ERR_STORE_CORRUPT');
  });

  test('twice, and of an empty store', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.rotateKey();
    await store.commit([put(KEY, 'x', 0)]);
    await store.rotateKey();
    await store.rotateKey();
    expect(await readText(sealedStore(base, rawSlot(A)))).toBe('x');
  });

  test('needs every slot at hand, and changes nothing without', async () => {
    const base = lastingBase();
    await sealedStore(base, rawSlot(A)).addSlot(rawSlot(B));
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const before = await dump(base);
    await expect(store.rotateKey()).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'slot' });
    const failing = { ...rawSlot(C), seal: vi.fn(rawSlot(C).seal) };
    await store.addSlot(failing);
    failing.seal.mockRejectedValue(new Error('cancelled'));
    const added = await dump(base);
    await expect(store.rotateKey()).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    expect(await dump(base)).toBe(added);
    expect(added).not.toBe(before);
  });

  test('takes nothing from a read that began before its last commit and ends beside it', async () => {
    const inner = lastingBase();
    await sealedStore(inner, rawSlot(A)).commit([put(KEY, 'x')]);
    /** Reads that have their answer from the base and wait to hand it on. */
    const held: (() => void)[] = [];
    let holding = false;
    let commits = 0;
    let reading: Promise<string | undefined> | undefined;
    const base: Store = {
      ...inner,
      async read(keys) {
        const records = await inner.read(keys);
        if (holding) await new Promise<void>((resolve) => held.push(resolve));
        return records;
      },
      async commit(writes) {
        commits += 1;
        if (commits === 2) {
          holding = true;
          reading = readText(store);
          await vi.waitUntil(() => held.length === 1);
        }
        await inner.commit(writes);
      },
    };
    const store = sealedStore(base, rawSlot(A));
    await store.read([KEY]);
    const rotating = store.rotateKey();
    // The record's read, and the one by which the last commit learns its rev.
    await vi.waitUntil(() => held.length === 2);
    holding = false;
    held[0]!();
    for (let i = 0; i < 20; i++) await Promise.resolve();
    held[1]!();
    expect(await reading).toBe('x');
    await rotating;
  });

  test('refuses a slot that was being added meanwhile, with the key from before', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    const slow: KeySlot = {
      ...rawSlot(B),
      seal: async (...args) => {
        await store.rotateKey();
        return rawSlot(B).seal(...args);
      },
    };
    await expect(store.addSlot(slow)).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    expect(await store.slots()).toHaveLength(1);
    await store.addSlot(rawSlot(B));
    expect(await readText(sealedStore(base, rawSlot(B)))).toBe('x');
  });

  test('gives up when slots change meanwhile', async () => {
    const base = lastingBase();
    const other = sealedStore(base, rawSlot(A));
    const slot = rawSlot(A);
    const store = sealedStore(base, {
      ...slot,
      async seal(...args) {
        await other.addSlot(rawSlot(B));
        return slot.seal(...args);
      },
    });
    await other.commit([put(KEY, 'x')]);
    await expect(store.rotateKey()).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT', action: 'retry' });
    expect(await readText(sealedStore(base, rawSlot(B)))).toBe('x');
  });
});

describe('plain records', () => {
  const plainBase = async (): Promise<Store> => {
    const base = lastingBase();
    await base.commit([put(['meta'], 'plain'), put(['session', 'x'], 'secret')]);
    return base;
  };

  test('the spaces are those of the client’s records', () => {
    const spaces = Object.values(keys).map((key) => (Array.isArray(key) ? key : (key as (...args: unknown[]) => StoreKey)('', 0, 0))[0]);
    expect([...new Set([...spaces, 'generation'])].sort()).toEqual([...PLAIN_SPACES].sort());
  });

  test('are refused before anybody is asked, and left alone', async () => {
    const base = await plainBase();
    const slot = counted(A);
    await expect(sealedStore(base, slot).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'plainRecords' });
    expect([slot.seals, await rowsOf(base), await readText(base)]).toEqual([0, [], 'plain']);
  });

  test('are sealed once, where that is wanted', async () => {
    const base = await plainBase();
    const store = sealedStore(base, rawSlot(A), { plainRecords: 'seal' });
    expect(await readText(store)).toBe('plain');
    expect(await readText(store, ['session', 'x'])).toBe('secret');
    expect([await readText(base), await base.list(['session'], 9)]).toEqual([undefined, []]);
    expect(await readText(sealedStore(base, rawSlot(A)))).toBe('plain');
  });

  test('that appear later are never taken in', async () => {
    const base = await plainBase();
    await sealedStore(base, rawSlot(A), { plainRecords: 'seal' }).read([KEY]);
    await base.commit([put(['contact', 'mallory'], 'planted')]);
    for (const plainRecords of ['seal', 'refuse'] as const) {
      await expect(sealedStore(base, rawSlot(A), { plainRecords }).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    }
    expect(await readText(base, ['contact', 'mallory'])).toBe('planted');
  });

  test('in place of all sealed rows found a store only where seal is still passed', async () => {
    const base = await plainBase();
    await sealedStore(base, rawSlot(A), { plainRecords: 'seal' }).read([KEY]);
    await base.commit((await rowsOf(base)).map(({ key }) => ({ key, value: null })));
    await base.commit([put(KEY, 'planted')]);
    await expect(sealedStore(base, rawSlot(A)).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'plainRecords' });
    expect(await readText(sealedStore(base, rawSlot(A), { plainRecords: 'seal' }))).toBe('planted');
  });

  test('that somebody still writes while they are sealed are met', async () => {
    const inner = await plainBase();
    let raced = false;
    const base: Store = {
      ...inner,
      async commit(writes) {
        if (!raced && writes.some(({ key }) => key[0] === 'session')) {
          raced = true;
          await inner.commit([put(['session', 'x'], 'written late')]);
        }
        await inner.commit(writes);
      },
    };
    expect(await readText(sealedStore(base, rawSlot(A), { plainRecords: 'seal' }), ['session', 'x'])).toBe('written late');
    expect(raced).toBe(true);
  });
});

describe('erase', () => {
  test('needs no key, counts what went, and closes', async () => {
    const base = memoryStore();
    const bare: Store = { read: base.read, list: base.list, commit: base.commit, close: base.close };
    const kept: Store = { ...bare, close: async () => {} };
    await sealedStore(kept, rawSlot(A)).commit([put(KEY, 'x'), put(['contact', 'y'], 'y')]);
    await base.commit([put(['session', 'left over'], 'plain')]);
    const slot = counted(B);
    const store = sealedStore(bare, slot);
    expect(await store.erase!()).toEqual({ recordCount: 5, keyCount: 2 });
    expect(slot.opens).toBe(0);
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await store.close();
    await expect(base.read([KEY])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('leaves the rest to a base that can erase itself', async () => {
    const inner = lastingBase();
    await sealedStore(inner, rawSlot(A)).commit([put(KEY, 'x')]);
    const seen: number[] = [];
    const base: Store = {
      ...inner,
      async erase() {
        const rows = await rowsOf(inner);
        seen.push(rows.filter((row) => !isRecord(row)).length);
        await inner.commit(rows.map(({ key }) => ({ key, value: null })));
        return { recordCount: rows.length, keyCount: 0 };
      },
    };
    expect(await sealedStore(base, rawSlot(A)).erase!()).toEqual({ recordCount: 3, keyCount: 2 });
    expect(seen, 'slots and head went first').toEqual([0]);
  });

  test('that failed can be repeated on the same store', async () => {
    const inner = lastingBase();
    let failing = true;
    const base: Store = {
      ...inner,
      commit: (writes) =>
        failing && writes.some(({ value }) => value === null) ? Promise.reject(new Error('disk')) : inner.commit(writes),
    };
    const store = sealedStore(base, rawSlot(A));
    await store.commit([put(KEY, 'x')]);
    await expect(store.erase!()).rejects.toThrow('disk');
    expect(await readText(store)).toBe('x');
    failing = false;
    await store.erase!();
    expect(await rowsOf(inner)).toEqual([]);
  });
});
