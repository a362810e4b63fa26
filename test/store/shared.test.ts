import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { idbStore } from '../../src/store/idb.js';
import type { SharedStore, Store } from '../../src/store/port.js';
import { sharedStore } from '../../src/store/shared.js';
import { lockManager } from '../helpers/lock-manager.js';

// The same calls on the platform's own locks and channels run in test/browser/shared.drive.ts.

let contexts: { close(): Promise<void> }[] = [];
/** One more context on the store of that name. */
function context(name = 'store'): ReturnType<typeof sharedStore> & object {
  const shared = sharedStore(name)!;
  contexts.push(shared);
  return shared;
}

beforeEach(() => vi.stubGlobal('navigator', { locks: lockManager() }));
afterEach(() => {
  for (const each of contexts) each.close();
  contexts = [];
  vi.unstubAllGlobals();
});

/** Whether a promise has settled, once everything that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('leading', () => {
  test('is for one context at a time, and by store', async () => {
    const [one, two] = [context(), context()];
    const leadership = await one.lead('if-free');
    expect(leadership).toBeDefined();
    expect(await two.lead('if-free')).toBeUndefined();
    expect(await context('other').lead('if-free')).toBeDefined();
    leadership!.release();
    leadership!.release();
    await vi.waitFor(async () => expect(await two.lead('if-free')).toBeDefined());
    expect(await isSettled(leadership!.lost)).toBe(false);
  });

  test('is waited for in turn', async () => {
    const [one, two, three] = [context(), context(), context()];
    const first = await one.lead('wait');
    const [second, third] = [two.lead('wait'), three.lead('wait')];
    expect(await isSettled(second)).toBe(false);
    first!.release();
    (await second)!.release();
    expect(await third).toBeDefined();
  });

  test('that is stolen is lost, and its release ends nothing', async () => {
    const [one, two] = [context(), context()];
    const old = await one.lead('if-free');
    const next = await two.lead('steal');
    await old!.lost;
    old!.release();
    expect(await context().lead('if-free')).toBeUndefined();
    expect(await isSettled(next!.lost)).toBe(false);
  });

  test('stops being waited for when its signal aborts', async () => {
    const [one, two, three] = [context(), context(), context()];
    const first = await one.lead('wait');
    const stop = new AbortController();
    const waiting = two.lead('wait', { signal: stop.signal });
    const patient = three.lead('wait', { signal: new AbortController().signal });
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(two.lead('if-free', { signal: stop.signal })).rejects.toThrow('enough');
    first!.release();
    expect(await patient).toBeDefined();
    expect(await isSettled((await patient)!.lost)).toBe(false);
  });

  test('that was granted does not end with its signal', async () => {
    const stop = new AbortController();
    const forget = vi.spyOn(stop.signal, 'removeEventListener');
    const leadership = await context().lead('wait', { signal: stop.signal });
    await vi.waitFor(() => expect(forget).toHaveBeenCalled());
    stop.abort();
    expect(await isSettled(leadership!.lost)).toBe(false);
    expect(await context().lead('if-free')).toBeUndefined();
  });

  test('ends when the context closes, and so does waiting', async () => {
    const [one, two, three] = [context(), context(), context()];
    await one.lead('if-free');
    const waiting = two.lead('wait');
    two.close();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(two.lead('steal')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await one.close();
    expect(await three.lead('if-free')).toBeDefined();
  });

  test('that comes after the context has closed is given back', async () => {
    const one = context();
    const asked = one.lead('if-free');
    one.close();
    await expect(asked).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(await context().lead('if-free')).toBeDefined();
  });

  test('that the platform refuses is ERR_STORE_IO with the cause', async () => {
    const cause = new DOMException('no', 'SecurityError');
    vi.stubGlobal('navigator', { locks: { request: () => Promise.reject(cause) } });
    for (const how of ['if-free', 'wait', 'steal'] as const) {
      await expect(context().lead(how)).rejects.toMatchObject({ code: 'ERR_STORE_IO', cause });
    }
  });
});

describe('talking', () => {
  /** Joins, and answers a function that waits for the next message. */
  function listener(shared: SharedStore): { next(): Promise<unknown>; heard: unknown[]; post(message: unknown): void; close(): void } {
    const heard: unknown[] = [];
    let wake = (): void => {};
    const channel = shared.join((message) => {
      heard.push(message);
      wake();
    });
    const next = (): Promise<unknown> =>
      new Promise((resolve) => {
        wake = () => resolve(heard.at(-1));
      });
    return { ...channel, heard, next };
  }

  test('reaches all others, not oneself, and not other stores', async () => {
    const [one, two, three, other] = [context(), context(), context(), context('other')].map(listener);
    const heard = Promise.all([two!.next(), three!.next()]);
    one!.post({ bytes: new Uint8Array([1, 2]) });
    expect(await heard).toEqual([{ bytes: new Uint8Array([1, 2]) }, { bytes: new Uint8Array([1, 2]) }]);
    const answer = one!.next();
    three!.post('answer');
    expect(await answer).toBe('answer');
    expect([one!.heard, other!.heard]).toEqual([['answer'], []]);
  });

  test('ends with the channel, and with the context', async () => {
    const [one, two] = [context(), context()];
    const [left, right] = [listener(one), listener(two)];
    left.close();
    left.post('unheard');
    two.close();
    right.post('unheard');
    const third = listener(context());
    const heard = third.next();
    listener(context()).post('heard');
    await heard;
    expect([left.heard, right.heard, third.heard]).toEqual([[], [], ['heard']]);
    expect(() => two.join(() => {})).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
  });

  test('refuses what can’t be cloned', () => {
    const channel = context().join(() => {});
    expect(() => channel.post(() => {})).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'message' }));
  });
});

describe('idbStore', () => {
  test('shares by name, and ends it when it closes or is erased', async () => {
    for (const end of [(store: Store) => store.close(), (store: Store) => store.erase!()]) {
      const [one, two] = [idbStore('alice'), idbStore('alice')];
      expect(await one.shared!.lead('if-free')).toBeDefined();
      expect(await two.shared!.lead('if-free')).toBeUndefined();
      expect(await idbStore('bob').shared!.lead('steal')).toBeDefined();
      await end(one);
      expect(await two.shared!.lead('if-free')).toBeDefined();
      await expect(one.shared!.lead('steal')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      await two.close();
    }
  });

  test('keeps what it leads when an erasure fails', async () => {
    const store = idbStore('alice');
    await store.shared!.lead('if-free');
    vi.spyOn(indexedDB, 'deleteDatabase').mockImplementationOnce(() => {
      throw new DOMException('no', 'UnknownError');
    });
    await store.commit([{ key: ['s'], value: new Uint8Array(1) }]);
    await expect(store.erase!()).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
    expect(await idbStore('alice').shared!.lead('if-free')).toBeUndefined();
    await store.erase!();
    vi.restoreAllMocks();
  });

  test.each([
    ['Web Locks', () => vi.stubGlobal('navigator', {})],
    ['a navigator', () => vi.stubGlobal('navigator', undefined)],
    ['BroadcastChannel', () => vi.stubGlobal('BroadcastChannel', undefined)],
  ])('shares nothing without %s, and works all the same', async (_what, remove) => {
    remove();
    const store = idbStore('alice');
    expect(store.shared).toBeUndefined();
    expect(await store.read([['s']])).toEqual([undefined]);
    await store.close();
  });
});

test('a frozen tab, which some browsers hand messages to all the same, hears them when it thaws, in order', async () => {
  const page = new EventTarget();
  vi.stubGlobal('document', page);
  const heard: unknown[] = [];
  const channel = context().join((message) => heard.push(message));
  const other = context().join(() => {});
  other.post(1);
  await vi.waitFor(() => expect(heard).toEqual([1]));
  page.dispatchEvent(new Event('freeze'));
  const witness: unknown[] = [];
  context().join((message) => witness.push(message));
  for (const message of [2, 3]) other.post(message);
  await vi.waitFor(() => expect(witness).toEqual([2, 3]));
  expect(heard).toEqual([1]);
  page.dispatchEvent(new Event('resume'));
  expect(heard).toEqual([1, 2, 3]);
  other.post(4);
  await vi.waitFor(() => expect(heard).toEqual([1, 2, 3, 4]));
  const removed = vi.spyOn(page, 'removeEventListener');
  channel.close();
  expect(removed.mock.calls.map(([type]) => type)).toEqual(['freeze', 'resume']);
});
