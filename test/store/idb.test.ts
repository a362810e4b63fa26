import 'fake-indexeddb/auto';
import { IDBFactory as FreshFactory, forceCloseDatabase } from 'fake-indexeddb';
import { openDB, unwrap } from 'idb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { idbStore } from '../../src/store/idb.js';
import { encodeKey } from '../../src/store/keys.js';
import type { Store, StoreKey } from '../../src/store/port.js';

const KEY: StoreKey = ['s', 'k'];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const readText = async (store: Store, key: StoreKey = KEY): Promise<string | undefined> => {
  const [record] = await store.read([key]);
  return record && new TextDecoder().decode(record.value);
};
const put = (text: string, key: StoreKey = KEY) => ({ key, value: bytes(text) });

/** Databases that were opened, newest last, as the platform's objects. */
let connections: IDBDatabase[] = [];

beforeEach(() => {
  vi.stubGlobal('indexedDB', new FreshFactory());
  connections = [];
  const { open } = indexedDB;
  vi.spyOn(indexedDB, 'open').mockImplementation((...args) => {
    const request = open.apply(indexedDB, args);
    request.addEventListener('success', () => connections.push(request.result));
    return request;
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** Whether the platform's connection was closed. */
function isClosed(connection: IDBDatabase): boolean {
  try {
    connection.transaction('meta').abort();
    return false;
  } catch (error) {
    return (error as DOMException).name === 'InvalidStateError';
  }
}

const forceClose = (db: IDBDatabase): void => (forceCloseDatabase as (db: unknown) => void)(db);

/** Every row of a database, by object store. */
async function rawRows(name: string): Promise<Record<string, [IDBValidKey, unknown][]>> {
  const db = await openDB(name);
  const rows: Record<string, [IDBValidKey, unknown][]> = {};
  for (const each of db.objectStoreNames) {
    const [keys, values] = await Promise.all([db.getAllKeys(each), db.getAll(each)]);
    rows[each] = keys.map((key, i) => [key, values[i]]);
  }
  db.close();
  return rows;
}

/** Writes one raw row. */
async function putRaw(name: string, store: 'meta' | 'records', value: unknown, key: IDBValidKey): Promise<void> {
  const db = await openDB(name);
  await db.put(store, value, key);
  db.close();
}

describe('opening', () => {
  test.each(['', 7, undefined, '\ud800'])('refuses the name %j', (name) => {
    expect(() => idbStore(name as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'name' }));
  });

  test('makes its database with the first call: records by encoded key, and one row of layout', async () => {
    const store = idbStore('alice');
    expect(await indexedDB.databases()).toEqual([]);
    await store.commit([put('x')]);
    expect(await rawRows('cyphr:alice')).toEqual({
      meta: [['meta', { layout: 1, id: expect.any(Uint8Array), counter: 1 }]],
      records: [[encodeKey(KEY, 'key'), { rev: 1, value: bytes('x') }]],
    });
    await store.close();
  });

  test('reads and goes on with what layout 1 has written, for ever', async () => {
    const db = await openDB('cyphr:alice', 1, {
      upgrade(made) {
        made.createObjectStore('meta');
        made.createObjectStore('records');
      },
    });
    await db.put('meta', { layout: 1, id: new Uint8Array(16).fill(3), counter: 41 }, 'meta');
    await db.put('records', { rev: 7, value: new Uint8Array([1, 2, 3]) }, 't\0l\0');
    await db.put('records', { rev: 40, value: new Uint8Array(0) }, 't\0l\0\0');
    db.close();
    const store = idbStore('alice');
    expect(await store.read([KEY])).toEqual([{ rev: 7, value: new Uint8Array([1, 2, 3]) }]);
    expect(await store.list(KEY, 9)).toEqual([{ key: ['s', 'k', ''], rev: 40, value: new Uint8Array(0) }]);
    await store.commit([{ ...put('x'), ifRev: 7 }]);
    expect((await store.read([KEY]))[0]!.rev).toBe(42);
    await store.close();
  });

  test('rejects with ERR_ARGUMENT where the runtime has no IndexedDB', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const store = idbStore('alice');
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'store' });
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'store' });
    await store.close();
  });

  test.each([
    ['SecurityError', 'where storage is forbidden'],
    ['InvalidStateError', 'in a private window of an old Firefox'],
    ['UnknownError', 'where the backing store can’t be opened'],
  ])('rejects with ERR_STORE_IO and the cause for %s, %s, and tries again', async (kind) => {
    const cause = new DOMException('no', kind);
    vi.mocked(indexedDB.open).mockImplementationOnce(() => {
      throw cause;
    });
    const store = idbStore('alice');
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_IO', action: 'retry', cause });
    expect(await store.read([KEY])).toEqual([undefined]);
    await store.close();
  });

  test('survives a getter that throws', async () => {
    const cause = new DOMException('no', 'SecurityError');
    Object.defineProperty(globalThis, 'indexedDB', {
      configurable: true,
      get() {
        throw cause;
      },
    });
    await expect(idbStore('alice').commit([put('x')])).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause });
  });

  test('rejects with ERR_STORE_VERSION for a newer database, and touches no record', async () => {
    const newer = await openDB('cyphr:alice', 2, { upgrade: (db) => void db.createObjectStore('whatever') });
    await newer.put('whatever', 'precious', 1);
    newer.close();
    const before = await rawRows('cyphr:alice');
    const store = idbStore('alice');
    const error = { code: 'ERR_STORE_VERSION', action: 'ask', field: 'layout', max: 1 };
    await expect(store.read([KEY])).rejects.toMatchObject(error);
    await expect(store.commit([{ key: KEY, value: null }])).rejects.toMatchObject(error);
    await store.close();
    expect(await rawRows('cyphr:alice')).toEqual(before);
  });

  test('rejects with ERR_STORE_VERSION for a newer layout row', async () => {
    const store = idbStore('alice');
    await store.commit([put('precious')]);
    await putRaw('cyphr:alice', 'meta', { layout: 2, whatever: true }, 'meta');
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_VERSION', got: 2, max: 1 });
    await store.close();
    const again = idbStore('alice');
    await expect(again.commit([put('y')])).rejects.toMatchObject({ code: 'ERR_STORE_VERSION', got: 2, max: 1 });
    await again.close();
    expect((await rawRows('cyphr:alice'))['records']).toHaveLength(1);
  });

  const id = new Uint8Array(16);
  test.each([
    ['layout 0', { layout: 0, id, counter: 1 }],
    ['no id', { layout: 1, counter: 1 }],
    ['a short id', { layout: 1, id: id.subarray(1), counter: 1 }],
    ['a counter below 0', { layout: 1, id, counter: -1 }],
    ['no counter', { layout: 1, id }],
    ['a counter beyond the safe integers', { layout: 1, id, counter: 2 ** 53 }],
  ])('rejects with ERR_STORE_CORRUPT for %s', async (_what, meta) => {
    await (await opened()).close();
    await putRaw('cyphr:alice', 'meta', meta, 'meta');
    const again = idbStore('alice');
    await expect(again.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', action: 'recover' });
    await again.close();
  });

  test('rejects with ERR_STORE_CORRUPT for a database of something else', async () => {
    (await openDB('cyphr:alice', 1, { upgrade: (db) => void db.createObjectStore('theirs') })).close();
    const store = idbStore('alice');
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', message: 'the database lacks an object store' });
    await store.close();
  });

  test('rejects with ERR_STORE_CORRUPT for records without layout', async () => {
    await (await opened()).close();
    const db = await openDB('cyphr:alice');
    await db.delete('meta', 'meta');
    db.close();
    const again = idbStore('alice');
    await expect(again.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', message: expect.stringContaining('no layout') });
    expect(connections.every(isClosed)).toBe(true);
    await again.close();
  });

  test('rejects with ERR_STORE_CORRUPT for damaged records', async () => {
    const store = await opened();
    await putRaw('cyphr:alice', 'records', { rev: 0, value: bytes('x') }, encodeKey(KEY, 'key'));
    await putRaw('cyphr:alice', 'records', { rev: 1, value: 'text' }, encodeKey(['t', '1'], 'key'));
    await putRaw('cyphr:alice', 'records', null, encodeKey(['n', '1'], 'key'));
    await putRaw('cyphr:alice', 'records', { rev: 1, value: bytes('x') }, 'u\0\xff\0');
    for (const call of [
      () => store.read([KEY]),
      () => store.read([['t', '1']]),
      () => store.read([['n', '1']]),
      () => store.list(['s'], 5),
      () => store.commit([{ ...put('y'), ifRev: 1 }]),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', message: 'a record is damaged' });
    }
    await expect(store.list(['t'], 5)).rejects.toMatchObject({ message: 'a record is damaged' });
    await store.close();
  });

  test('rejects with ERR_STORE_CORRUPT for damaged keys', async () => {
    const store = await opened();
    const space = encodeKey(['s'], 'key');
    await putRaw('cyphr:alice', 'records', { rev: 1, value: bytes('x') }, `${space}\xff`);
    await expect(store.list(['s'], 5)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', message: 'a key is damaged' });
    await store.close();
  });
});

/** A store 'alice' with one record. */
async function opened(): Promise<Store> {
  const store = idbStore('alice');
  await store.commit([put('x')]);
  return store;
}

describe('commits', () => {
  test('are strictly durable, and those that wait together share one transaction', async () => {
    const store = await opened();
    const transaction = vi.spyOn(connections[0]!, 'transaction');
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit([put('x', ['s', String(i)])])));
    expect(transaction.mock.calls).toHaveLength(1);
    expect(transaction.mock.calls[0]!.slice(1)).toEqual(['readwrite', { durability: 'strict' }]);
    expect(await store.list(['s'], 1_000)).toHaveLength(101);
    await store.close();
  });

  test('resolve when their transaction is complete, not before', async () => {
    const store = await opened();
    const order: string[] = [];
    const { transaction } = connections[0]!;
    vi.spyOn(connections[0]!, 'transaction').mockImplementation((...args) => {
      const tx = transaction.apply(connections[0]!, args);
      tx.addEventListener('complete', () => order.push('complete'));
      return tx;
    });
    await store.commit([put('y')]).then(() => order.push('resolved'));
    expect(order).toEqual(['complete', 'resolved']);
    await store.close();
  });

  test('of one group conflict alone, checked in the order of the calls', async () => {
    const store = idbStore('alice');
    const outcomes = await Promise.allSettled([
      store.commit([{ ...put('first'), ifRev: 0 }]),
      store.commit([{ ...put('second'), ifRev: 0 }, put('x', ['s', 'second'])]),
      store.commit([{ ...put('third', ['s', 'third']), ifRev: 0 }]),
      store.commit([{ key: KEY, value: null }]),
      store.commit([{ ...put('fifth'), ifRev: 0 }]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_STORE_CONFLICT', action: 'retry' } });
    expect(await readText(store)).toBe('fifth');
    expect(await store.read([['s', 'second']])).toEqual([undefined]);
    await store.close();
  });

  test('of more than one group all hold', async () => {
    const store = await opened();
    const transaction = vi.spyOn(connections[0]!, 'transaction');
    await Promise.all(Array.from({ length: 600 }, (_, i) => store.commit([put('x', ['many', String(i)])])));
    expect(transaction.mock.calls).toHaveLength(3);
    expect(await store.list(['many'], 1_000)).toHaveLength(600);
    await store.close();
  });

  test('of two handles are guarded by their revisions', async () => {
    const [one, two] = [await opened(), idbStore('alice')];
    const [before] = await two.read([KEY]);
    await one.commit([put('changed')]);
    await expect(two.commit([{ ...put('stale'), ifRev: before!.rev }])).rejects.toMatchObject({ code: 'ERR_STORE_CONFLICT' });
    expect(await readText(two)).toBe('changed');
    await Promise.all([one, two].flatMap((store, i) => Array.from({ length: 30 }, (_, j) => store.commit([put('x', ['n', `${i} ${j}`])]))));
    const revs = (await one.list(['n'], 100)).map(({ rev }) => rev);
    expect(new Set(revs).size).toBe(60);
    await Promise.all([one.close(), two.close()]);
  });

  /** The next `put` of a record fails with this. */
  const failPut = (error: DOMException): void => {
    const { put: real } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value, key) {
      if (this.name !== 'records') return real.call(this, value, key);
      vi.mocked(IDBObjectStore.prototype.put).mockRestore();
      throw error;
    });
  };
  /** The next transaction for writing is aborted for this reason after its last request, as browsers do where quota is counted then. */
  const failCompletion = (error: DOMException): void => {
    const connection = connections.at(-1)!;
    const { transaction } = connection;
    vi.spyOn(connection, 'transaction').mockImplementationOnce((...args) => {
      const tx = transaction.apply(connection, args) as IDBTransaction & { _abort(name: string): void };
      const { objectStore } = tx;
      tx.objectStore = (name) => {
        const store = objectStore.call(tx, name);
        const { put: real } = store;
        store.put = (value, key) => {
          const request = real.call(store, value, key);
          request.addEventListener('success', () => tx._abort(error.name));
          return request;
        };
        return store;
      };
      return tx;
    });
  };

  test.each([
    ['in a request', failPut],
    ['at completion', failCompletion],
  ])('beyond the quota, refused %s, reject with ERR_STORE_FULL, change nothing, and the next one holds', async (_when, fail) => {
    const store = await opened();
    const [before] = await store.read([KEY]);
    fail(new DOMException('full', 'QuotaExceededError'));
    const outcomes = await Promise.allSettled(['one', 'two'].map((text) => store.commit([put(text), put('new', ['s', text])])));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { code: 'ERR_STORE_FULL', action: 'ask', cause: { name: 'QuotaExceededError' } } });
    }
    expect(await store.list(['s'], 10)).toEqual([{ key: KEY, ...before }]);
    await store.commit([put('after')]);
    const [after] = await store.read([KEY]);
    expect(after!.rev).toBeGreaterThan(before!.rev);
    await store.close();
  });

  test.each([
    ['UnknownError', 'ERR_STORE_IO', 'retry'],
    ['DataCloneError', 'ERR_STORE_IO', 'retry'],
    ['TimeoutError', 'ERR_STORE_IO', 'retry'],
    ['NotReadableError', 'ERR_STORE_CORRUPT', 'recover'],
    ['NotFoundError', 'ERR_STORE_CORRUPT', 'recover'],
  ])('that fail with %s reject with %s and the cause', async (kind, code, action) => {
    const store = await opened();
    const cause = new DOMException('broken', kind);
    failPut(cause);
    await expect(store.commit([put('y')])).rejects.toMatchObject({ code, action, cause });
    expect(await readText(store)).toBe('x');
    await store.close();
  });

  test('that fail while the database can’t be opened all reject, and hold once it can', async () => {
    const store = idbStore('alice');
    vi.mocked(indexedDB.open).mockImplementationOnce(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    const outcomes = await Promise.allSettled([1, 2].map((i) => store.commit([put('x', ['s', String(i)])])));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'ERR_STORE_FULL' } });
    await store.commit([put('after')]);
    expect(await readText(store)).toBe('after');
    await store.close();
  });

  test('that wait when the store is closed all hold, and leave no connection open', async () => {
    const store = await opened();
    const commits = Array.from({ length: 600 }, (_, i) => store.commit([put('x', ['many', String(i)])]));
    await store.close();
    await Promise.all(commits);
    expect(connections.every(isClosed)).toBe(true);
    const again = idbStore('alice');
    expect(await again.list(['many'], 1_000)).toHaveLength(600);
    await again.close();
  });

  test.each([
    ['never answers', () => new Promise(() => {})],
    ['fails', () => Promise.reject(new Error('no'))],
    ['throws', () => never()],
  ])('ask once that storage is kept, and go on where that %s', async (_how, answer) => {
    let asked = 0;
    const persist = (): unknown => {
      asked++;
      return answer();
    };
    vi.stubGlobal('navigator', { storage: { persist } });
    const store = idbStore('alice');
    await store.read([KEY]);
    expect(asked).toBe(0);
    await store.commit([put('x')]);
    await store.commit([put('y')]);
    expect(asked).toBe(1);
    await store.close();
  });
});

function never(): never {
  throw new DOMException('forbidden', 'SecurityError');
}

describe('a database that is taken away', () => {
  test('by a deletion is not held back, and never comes back empty', async () => {
    const store = await opened();
    await deleted('cyphr:alice');
    const error = { code: 'ERR_STORE_CORRUPT', action: 'recover', message: expect.stringContaining('deleted or evicted') };
    await expect(store.read([KEY])).rejects.toMatchObject(error);
    await expect(store.list(['s'], 1)).rejects.toMatchObject(error);
    await expect(store.commit([put('y')])).rejects.toMatchObject(error);
    expect(await indexedDB.databases()).toEqual([]);
    await store.close();
  });

  test('and made again by another handle is not taken for the old one', async () => {
    const store = await opened();
    await deleted('cyphr:alice');
    const other = await opened();
    await expect(store.commit([{ ...put('y'), ifRev: 1 }])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(await readText(other)).toBe('x');
    await Promise.all([store.close(), other.close()]);
  });

  test('lets what runs come to its end', async () => {
    const store = await opened();
    const committed = store.commit([put('y')]);
    const read = store.read([KEY]);
    const deletion = deleted('cyphr:alice');
    await expect(committed).resolves.toBeUndefined();
    expect(await read).toHaveLength(1);
    await deletion;
    await store.close();
  });

  test('by a newer layout is refused from then on', async () => {
    const store = await opened();
    const newer = await openDB('cyphr:alice', 2);
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_VERSION' });
    newer.close();
    await store.close();
  });

  test('by the browser, which closes the connection, is opened again', async () => {
    const store = await opened();
    forceClose(connections[0]!);
    expect(await readText(store)).toBe('x');
    expect(connections).toHaveLength(2);
    await store.close();
  });

  test('without a word fails one call, and is opened again', async () => {
    const store = await opened();
    unwrap(await openDB('cyphr:alice')).close();
    connections[0]!.close();
    await expect(store.commit([put('y')])).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause: { name: 'InvalidStateError' } });
    await store.commit([put('z')]);
    expect(await readText(store)).toBe('z');
    await store.close();
  });
});

/** Deletes a database; rejects if anybody blocks it. */
function deleted(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('the deletion is blocked'));
  });
}

describe('erasing', () => {
  const rows = ['device', 'prekeys', 'session', 'init', 'skipped', 'keys', 'inbox', 'devices'].map((space) => put('x', [space, '1']));

  test('deletes the database, counts records and keys, and closes the store', async () => {
    const store = idbStore('alice');
    await store.commit(rows);
    expect(await store.erase!()).toEqual({ recordCount: 8, keyCount: 5 });
    expect(await indexedDB.databases()).toEqual([]);
    for (const call of [() => store.read([KEY]), () => store.commit([put('x')]), () => store.erase!()]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    }
    await store.close();
    const fresh = idbStore('alice');
    expect(await fresh.list(['inbox'], 1)).toEqual([]);
    expect(await fresh.erase!()).toEqual({ recordCount: 0, keyCount: 0 });
  });

  test('makes no database where there is none', async () => {
    expect(await idbStore('nobody').erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(await indexedDB.databases()).toEqual([]);
  });

  test('comes after the commits that run', async () => {
    const store = await opened();
    const commits = Array.from({ length: 20 }, (_, i) => store.commit([put('x', ['inbox', String(i)])]));
    expect(await store.erase!()).toEqual({ recordCount: 21, keyCount: 0 });
    await Promise.all(commits);
  });

  test('works on newer layouts and on databases of something else', async () => {
    const newer = await openDB('cyphr:alice', 7, { upgrade: (db) => void db.createObjectStore('records') });
    await newer.put('records', 'whatever', encodeKey(['session', '1'], 'key'));
    await newer.put('records', 'whatever', 7);
    newer.close();
    (await openDB('cyphr:bob', 1)).close();
    expect(await idbStore('alice').erase!()).toEqual({ recordCount: 2, keyCount: 1 });
    expect(await idbStore('bob').erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(await indexedDB.databases()).toEqual([]);
  });

  test('takes the rows at once from a context that won’t let go, and the database when it does', async () => {
    const frozen = await openDB('cyphr:alice', 1, {
      upgrade(db) {
        db.createObjectStore('meta');
        db.createObjectStore('records');
      },
    });
    const store = idbStore('alice');
    await store.commit(rows);
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    expect(await store.erase!()).toEqual({ recordCount: 8, keyCount: 5 });
    vi.useRealTimers();
    expect(await frozen.count('records')).toBe(0);
    frozen.close();
    await vi.waitFor(async () => expect(await indexedDB.databases()).toEqual([]));
  });

  test('waits no longer than two seconds for a deletion that a frozen tab holds up without a word', async () => {
    const store = idbStore('alice');
    await store.commit(rows);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    vi.spyOn(indexedDB, 'deleteDatabase').mockImplementationOnce(() => new (class extends IDBOpenDBRequest {})());
    const erased = store.erase!();
    let isErased = false;
    erased.then(() => {
      isErased = true;
    });
    while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
    expect((await rawRows('cyphr:alice'))['records']).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(isErased).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await erased).toEqual({ recordCount: 8, keyCount: 5 });
  });

  test('is an end for other handles, which never see an empty store', async () => {
    const [one, two] = [await opened(), idbStore('alice')];
    expect(await readText(two)).toBe('x');
    await one.erase!();
    await expect(two.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    await expect(two.commit([put('y')])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    await two.close();
  });

  test('can be repeated where the database could not be deleted', async () => {
    const store = idbStore('alice');
    await store.commit(rows);
    vi.spyOn(indexedDB, 'deleteDatabase').mockImplementationOnce(() => {
      throw new DOMException('no', 'UnknownError');
    });
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    expect(await store.erase!()).toEqual({ recordCount: 0, keyCount: 0 });
    expect(await indexedDB.databases()).toEqual([]);
  });

  test('is what a close waits for', async () => {
    const store = await opened();
    const erased = store.erase!();
    await store.close();
    expect(await indexedDB.databases()).toEqual([]);
    await erased;
  });

  test('that was interrupted before the database went leaves one that is empty, and new', async () => {
    const store = await opened();
    vi.spyOn(indexedDB, 'deleteDatabase').mockImplementationOnce(() => {
      throw new DOMException('the power went', 'AbortError');
    });
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    await store.close();
    const next = idbStore('alice');
    expect(await next.read([KEY])).toEqual([undefined]);
    await next.close();
  });
});

test('10,000 records are paged in order, without loss', { timeout: 60_000 }, async () => {
  const store = idbStore('alice');
  const keys: StoreKey[] = Array.from({ length: 10_000 }, (_, i) => ['inbox', String((i * 7_919) % 10_000).padStart(5, '0')]);
  await store.commit(keys.map((key) => put(key[1]!, key)));
  const paged: StoreKey[] = [];
  for (;;) {
    const page = await store.list(['inbox'], 256, paged.at(-1));
    if (page.length === 0) break;
    for (const { key, value } of page) {
      expect(new TextDecoder().decode(value)).toBe(key[1]);
      paged.push(key);
    }
  }
  expect(paged).toEqual([...keys].sort((a, b) => (a[1]! < b[1]! ? -1 : 1)));
  expect(await store.list(['inbox'], Number.MAX_SAFE_INTEGER)).toHaveLength(10_000);
  await store.close();
});

test('what is stored owns its buffer: nothing beside a view is kept', async () => {
  const store = idbStore('alice');
  const pool = bytes('secret, value, secret');
  await store.commit([{ key: KEY, value: pool.subarray(8, 13) }]);
  const [[, row]] = (await rawRows('cyphr:alice'))['records'] as [[unknown, { value: Uint8Array }]];
  expect(row.value.buffer.byteLength).toBe(5);
  const [record] = await store.read([KEY]);
  expect(record!.value.buffer.byteLength).toBe(5);
  await store.close();
});
