import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/store/memory.js';
import type { Write } from '../../src/store/port.js';

const value = new Uint8Array([1, 2, 3]);

describe('memoryStore', () => {
  test('forgets everything when it closes', async () => {
    const store = memoryStore();
    await store.commit([{ key: ['a'], value }]);
    await store.close();
    await expect(store.read([['a']])).rejects.toMatchObject({ code: 'ERR_CLOSED', action: 'fix' });
  });

  test('shares nothing with another one', async () => {
    const [first, second] = [memoryStore(), memoryStore()];
    await first.commit([{ key: ['a'], value }]);
    expect(await second.read([['a']])).toEqual([undefined]);
  });

  test('counts revs over all keys, so that even different keys never share one', async () => {
    const store = memoryStore();
    for (const key of ['a', 'b', 'c']) await store.commit([{ key: [key], value }]);
    const revs = (await store.read([['a'], ['b'], ['c']])).map((record) => record?.rev);
    expect(revs).toEqual([1, 2, 3]);
  });

  test('a listing costs what it lists, however much else there is', async () => {
    const spent = async (count: number): Promise<number> => {
      const store = memoryStore();
      await store.commit(Array.from({ length: count }, (_, i) => ({ key: ['history', String(i)], value })));
      await store.commit([{ key: ['queue', '1'], value }]);
      const slots: number[] = [];
      for (let slot = 0; slot < 5; slot++) {
        const start = process.cpuUsage();
        for (let i = 0; i < 200; i++) expect((await store.list(['queue'], 10)).length).toBe(1);
        const { user, system } = process.cpuUsage(start);
        slots.push(user + system);
      }
      return Math.min(...slots);
    };
    expect((await spent(20_000)) / (await spent(200))).toBeLessThan(10);
  });

  test('lists from a space without anything below a component', async () => {
    const store = memoryStore();
    await store.commit([{ key: ['a', 'b'], value }]);
    expect(await store.list(['a'], 5)).toEqual([{ key: ['a', 'b'], value, rev: 1 }]);
    expect(await store.list(['a', 'b'], 5)).toEqual([]);
  });

  test.each<[field: string, writes: unknown]>([
    ['writes', 'none'],
    ['writes[0].key', [{ key: [], value }]],
    ['writes[0].key', [{ key: 'a', value }]],
    [
      'writes[1].key',
      [
        { key: ['a'], value },
        { key: ['b', 1], value },
      ],
    ],
    [
      'writes[1].key',
      [
        { key: ['a', 'b'], value },
        { key: ['a', 'b'], value: null },
      ],
    ],
    ['writes[0].value', [{ key: ['a'], value: [1, 2] }]],
    ['writes[0].value', [{ key: ['a'] }]],
    ['writes[0].ifRev', [{ key: ['a'], value, ifRev: 0.5 }]],
    ['writes[0].ifRev', [{ key: ['a'], value, ifRev: -1 }]],
  ])('names %s when it refuses a commit', async (field, writes) => {
    const store = memoryStore();
    const error = { code: 'ERR_ARGUMENT', action: 'fix', field, message: expect.stringContaining(field) };
    await expect(store.commit(writes as Write[])).rejects.toMatchObject(error);
    expect(await store.list(['a'], 5)).toEqual([]);
  });

  test('names the argument when it refuses a read or a listing', async () => {
    const store = memoryStore();
    await expect(store.read('a' as never)).rejects.toMatchObject({ field: 'keys' });
    await expect(store.read([['a'], ['\ud800']])).rejects.toMatchObject({ field: 'keys[1]' });
    await expect(store.list([] as never, 1)).rejects.toMatchObject({ field: 'prefix' });
    await expect(store.list(['a'], Number.POSITIVE_INFINITY)).rejects.toMatchObject({ field: 'limit' });
    await expect(store.list(['a'], 1, [] as never)).rejects.toMatchObject({ field: 'after' });
  });
});
