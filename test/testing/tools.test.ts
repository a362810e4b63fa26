import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.js';
import { memoryStore } from '../../src/store/memory.js';
import { assert, assertBytes, assertRejects, rejection, within } from '../../src/testing/assert.js';
import { crashingStore, seededRng, storeConformance } from '../../src/testing/index.js';

const value = new Uint8Array([1]);
const crash = { code: 'ERR_STORE_IO', message: expect.stringContaining('simulated crash at commit 2') };

describe('seededRng', () => {
  test('gives SHA-256(seed ‖ counter), however it is cut', () => {
    const expected = Buffer.concat(
      [0, 1, 2].map((i) =>
        createHash('sha256')
          .update('a seed')
          .update(Buffer.from([0, 0, 0, 0, 0, 0, 0, i]))
          .digest(),
      ),
    );
    expect(Buffer.from(seededRng('a seed')(96))).toEqual(expected);
    const rng = seededRng('a seed');
    expect(Buffer.concat([1, 0, 30, 40, 25].map(rng))).toEqual(expected);
  });

  test('repeats with the seed, and differs with another', () => {
    expect(seededRng('é')(40)).toEqual(seededRng('é')(40));
    expect(seededRng('e')(40)).not.toEqual(seededRng('é')(40));
  });

  test('gives buffers of their own', () => {
    const rng = seededRng('x');
    const [first, second] = [rng(8), rng(8)];
    expect(first.buffer.byteLength).toBe(8);
    first.fill(0);
    expect(second).toEqual(seededRng('x')(16).slice(8));
  });

  test('refuses what it cannot count', () => {
    expect(() => seededRng('\ud800')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'seed' }));
    for (const length of [-1, 1.5, Number.NaN]) {
      expect(() => seededRng('x')(length)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'lengthBytes' }));
    }
  });
});

describe('crashingStore', () => {
  test.each(['before', 'after'] as const)('dies %s its second commit, and rejects everything from then on', async (side) => {
    const inner = memoryStore();
    const store = crashingStore(inner, { atCommit: 2, side });
    await store.commit([{ key: ['a'], value }]);
    await expect(store.commit([{ key: ['b'], value }])).rejects.toMatchObject(crash);
    await expect(store.read([['a']])).rejects.toMatchObject(crash);
    await expect(store.list(['a'], 1)).rejects.toMatchObject(crash);
    await expect(store.commit([])).rejects.toMatchObject(crash);
    await expect(store.close()).rejects.toMatchObject(crash);
    const [a, b] = await inner.read([['a'], ['b']]);
    expect(a?.value).toEqual(value);
    expect(b?.value).toEqual(side === 'after' ? value : undefined);
  });

  test('rejects what was running when it died, and what its last commit threw', async () => {
    const inner = memoryStore();
    const store = crashingStore(inner, { atCommit: 2, side: 'after' });
    await inner.commit([{ key: ['a'], value }]);
    const running = [store.read([['a']]), store.commit([{ key: ['b'], value }]), store.commit([{ key: ['a'], value, ifRev: 0 }])];
    for (const outcome of await Promise.allSettled(running)) expect(outcome).toMatchObject({ status: 'rejected', reason: crash });
    expect((await inner.read([['b']]))[0]?.value).toEqual(value);
  });

  test('is a right store until it dies', async () => {
    const open = () => crashingStore(memoryStore(), { atCommit: 1_000_000, side: 'before' });
    for (const { run } of storeConformance({ open, destroy: async () => {}, durable: false })) await run();
  });

  test.each([0, 1.5, -1])('refuses to die at commit %d', (atCommit) => {
    expect(() => crashingStore(memoryStore(), { atCommit, side: 'before' })).toThrow(expect.objectContaining({ field: 'plan.atCommit' }));
  });
});

describe('assertions', () => {
  test('say what was expected', async () => {
    expect(() => assert(false, 'it holds')).toThrow('it holds');
    expect(() => assertBytes(undefined, value, 'a record')).toThrow('a record: expected 1 bytes, got none');
    expect(() => assertBytes(new Uint8Array([2]), value, 'a record')).toThrow('a record: expected 1 bytes, got 1 that differ');
    await expect(rejection(async () => 1, 'a call')).rejects.toThrow('a call: resolved, but should have rejected');
    const thrower = (): never => {
      throw new Error('sync');
    };
    await expect(rejection(thrower, 'a call')).rejects.toThrow('a call: threw instead of rejecting');
    const closed = async () => Promise.reject(new UsageError('ERR_CLOSED', 'closed'));
    await assertRejects(closed, 'ERR_CLOSED', 'a call');
    await expect(assertRejects(closed, 'ERR_ARGUMENT', 'a call')).rejects.toThrow('a call: expected ERR_ARGUMENT, got ERR_CLOSED');
    await expect(assertRejects(async () => Promise.reject('odd'), 'ERR_CLOSED', 'a call')).rejects.toThrow('another kind: odd');
    await expect(within(new Promise(() => {}), 5, 'a hang')).rejects.toThrow('a hang: nothing happened within 5 ms');
  });
});
