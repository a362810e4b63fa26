import { inspect } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { StoreError } from '../../src/errors.js';
import { encodeKey } from '../../src/store/keys.js';
import { memoryStore } from '../../src/store/memory.js';
import type { KeySlot, SharedStore, Store, StoreKey } from '../../src/store/port.js';
import { decodeSlot, encodeSlot } from '../../src/store/sealed/layout.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { seededRng } from '../../src/testing/rng.js';
import { dump, isRecord, isSlot, lastingBase, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const KEY: StoreKey = ['contact', 'bob-of-the-long-name'];
const VALUE = utf8('attack at dawn, quietly');

/** A slot of any kind that keeps the master key as it is: what a test wants to look at. */
function openSlot(kind = 'open'): KeySlot & { lent: Uint8Array[]; opened: Uint8Array[]; calls: string[] } {
  const lent: Uint8Array[] = [];
  const opened: Uint8Array[] = [];
  const calls: string[] = [];
  return {
    kind,
    lent,
    opened,
    calls,
    async seal(masterKey) {
      calls.push('seal');
      lent.push(masterKey);
      return masterKey.slice();
    },
    async open(sealed) {
      calls.push('open');
      const masterKey = sealed.slice();
      opened.push(masterKey);
      return masterKey;
    },
  };
}

describe('what the base sees', () => {
  test('no name, no value, no rev: nothing of them in any row', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(1));
    await store.commit([
      { key: KEY, value: VALUE },
      { key: ['outbox', 'carol', '7'], value: utf8('carol writes') },
    ]);
    await store.commit([{ key: ['outbox', 'carol', '7'], value: null }]);
    const bytes = (await rowsOf(base)).map(({ key, value }) => `${key.join('/')} ${Buffer.from(value).toString('latin1')}`).join('\n');
    const encoded = encodeKey(KEY, 'key');
    for (const secret of ['contact', 'bob-of-the-long-name', 'outbox', 'carol', 'attack at dawn', 'writes', encoded]) {
      expect(bytes).not.toContain(secret);
    }
    expect((await rowsOf(base)).map(({ key }) => key.slice(0, 2).join('/'))).toEqual(['sealed/head', 'sealed/r', 'sealed/slot']);
  });

  test('short records have one length, longer ones few', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(1));
    const rng = seededRng('lengths');
    for (let length = 0; length < 200; length += 9) await store.commit([{ key: ['inbox', String(length)], value: rng(length) }]);
    expect(new Set((await rowsOf(base)).filter(isRecord).map(({ value }) => value.length)).size).toBe(1);
    for (let length = 1_000; length < 2_000; length += 25) await store.commit([{ key: ['inbox', String(length)], value: rng(length) }]);
    expect(new Set((await rowsOf(base)).filter(isRecord).map(({ value }) => value.length)).size).toBeLessThan(25);
  });

  test('the same record written twice is not the same bytes', async () => {
    const base = lastingBase();
    const store = sealedStore(base, rawSlot(1));
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      await store.commit([{ key: KEY, value: VALUE }]);
      seen.add(Buffer.from((await rowsOf(base)).find(isRecord)!.value).toString('hex'));
    }
    expect(seen.size).toBe(3);
  });

  test('two stores with one key have nothing in common', async () => {
    const bases = [lastingBase(), lastingBase()];
    for (const base of bases) await sealedStore(base, rawSlot(1)).commit([{ key: KEY, value: VALUE }]);
    const [one, two] = await Promise.all(bases.map(rowsOf));
    expect(one!.filter((row) => !row.key.includes('head')).map(({ key }) => key.join())).not.toEqual(
      two!.filter((row) => !row.key.includes('head')).map(({ key }) => key.join()),
    );
  });
});

describe('unlocking', () => {
  test('happens once, for all calls that are made meanwhile', async () => {
    const base = lastingBase();
    const slot = openSlot();
    const store = sealedStore(base, slot);
    await Promise.all([store.read([KEY]), store.list(['contact'], 1), store.commit([{ key: KEY, value: VALUE }])]);
    expect(slot.calls).toEqual(['seal']);
    const again = openSlot();
    const second = sealedStore(base, again);
    await Promise.all([second.read([KEY]), second.read([KEY]), second.slots(), second.list(['contact'], 1)]);
    expect(again.calls).toEqual(['open']);
  });

  test('with a wrong key is ERR_STORE_KEY, writes nothing, and the next call tries again', async () => {
    const base = lastingBase();
    await sealedStore(base, rawSlot(1)).commit([{ key: KEY, value: VALUE }]);
    const before = await dump(base);
    const wrong = sealedStore(base, rawSlot(2));
    for (let i = 0; i < 2; i++) {
      const error = { code: 'ERR_STORE_KEY', action: 'ask', field: 'key' };
      await expect(wrong.read([KEY])).rejects.toMatchObject(error);
      await expect(wrong.commit([{ key: KEY, value: utf8('x') }])).rejects.toMatchObject(error);
    }
    expect(await dump(base)).toBe(before);

    let key = 2;
    const patient: KeySlot = { ...rawSlot(1), open: (sealed, ad, options) => rawSlot(key).open(sealed, ad, options) };
    const store = sealedStore(base, patient);
    await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
    key = 1;
    expect(text((await store.read([KEY]))[0]?.value)).toBe('attack at dawn, quietly');
  });

  test('an attempt that failed fails every call that waited for it, and is not repeated for them', async () => {
    const base = lastingBase();
    await sealedStore(base, rawSlot(1)).commit([{ key: KEY, value: VALUE }]);
    const open = vi.fn(() => Promise.reject(new Error('cancelled')));
    const store = sealedStore(base, { ...rawSlot(1), open });
    const calls = await Promise.allSettled([store.read([KEY]), store.list(['contact'], 1), store.commit([{ key: KEY, value: null }])]);
    for (const call of calls) {
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'ERR_STORE_KEY', cause: { message: 'cancelled' } } });
    }
    expect(open).toHaveBeenCalledTimes(1);
  });

  test('without a slot of the kind has an error of its own', async () => {
    const base = lastingBase();
    await sealedStore(base, rawSlot(1)).commit([{ key: KEY, value: VALUE }]);
    const slot = openSlot('hsm');
    await expect(sealedStore(base, slot).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'slot' });
    expect(slot.calls).toEqual([]);
  });

  test('T36: a slot that opens to another key than it sealed is refused', async () => {
    const base = lastingBase();
    await sealedStore(base, openSlot()).commit([{ key: KEY, value: VALUE }]);
    for (const other of [new Uint8Array(32).fill(9), new Uint8Array(31), 'key' as unknown as Uint8Array]) {
      const store = sealedStore(base, { ...openSlot(), open: async () => other });
      await expect(store.read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'key' });
    }
  });

  test('a slot’s row that was rewritten is refused even where the slot still opens', async () => {
    const base = lastingBase();
    const careless: KeySlot = { ...openSlot(), open: async (sealed) => sealed.slice(0, 32) };
    await sealedStore(base, careless).commit([{ key: KEY, value: VALUE }]);
    const row = (await rowsOf(base)).find(isSlot)!;
    const slot = decodeSlot(row.value);
    await base.commit([{ key: row.key, value: encodeSlot({ ...slot, sealed: concat(slot.sealed, new Uint8Array(1)) }) }]);
    await expect(sealedStore(base, careless).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', field: 'slot' });
  });

  test('what is about the platform and not about the key passes as it is', async () => {
    const base = lastingBase();
    await sealedStore(base, openSlot()).commit([{ key: KEY, value: VALUE }]);
    const failure = new StoreError('ERR_STORE_IO', 'no memory');
    await expect(sealedStore(base, { ...openSlot(), open: () => Promise.reject(failure) }).read([KEY])).rejects.toBe(failure);
    await expect(sealedStore(lastingBase(), { ...openSlot(), seal: () => Promise.reject(failure) }).read([KEY])).rejects.toBe(failure);
    const broken = { ...openSlot(), seal: async () => 'text' as unknown as Uint8Array };
    await expect(sealedStore(lastingBase(), broken).read([KEY])).rejects.toMatchObject({ code: 'ERR_LENGTH', field: 'slot' });
  });

  test('a store of a newer layout is left alone', async () => {
    const base = lastingBase();
    await sealedStore(base, rawSlot(1)).commit([{ key: KEY, value: VALUE }]);
    const [head] = await base.read([['sealed', 'head']]);
    const { sha256 } = await import('../../src/crypto/suite.js');
    const body = head!.value.slice(0, -16);
    body[0] = 2;
    await base.commit([{ key: ['sealed', 'head'], value: Buffer.concat([body, sha256(body).subarray(0, 16)]) }]);
    const slot = openSlot();
    await expect(sealedStore(base, slot).read([KEY])).rejects.toMatchObject({ code: 'ERR_STORE_VERSION', got: 2, max: 1 });
    expect(slot.calls).toEqual([]);
  });
});

describe('closing', () => {
  test('ends an unlocking that waits for a person', async () => {
    const slot: KeySlot = {
      kind: 'slow',
      seal: (_masterKey, _ad, options) =>
        new Promise((_resolve, reject) => {
          if (options!.signal!.aborted) reject(options!.signal!.reason);
          options!.signal!.addEventListener('abort', () => reject(new Error('gone')));
        }),
      open: () => Promise.reject(new Error('not reached')),
    };
    const base = memoryStore();
    const store = sealedStore(base, slot);
    const reading = store.read([KEY]);
    const committing = store.commit([{ key: KEY, value: VALUE }]);
    await Promise.all([
      expect(reading).rejects.toMatchObject({ code: 'ERR_CLOSED' }),
      expect(committing).rejects.toMatchObject({ code: 'ERR_CLOSED' }),
      store.close(),
    ]);
    await expect(base.read([KEY])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    for (const call of [
      () => store.slots(),
      () => store.addSlot(rawSlot(1)),
      () => store.removeSlot('x'),
      () => store.rotateKey(),
      () => store.erase!(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    }
  });

  test('a read that runs ends with what it found or with ERR_CLOSED', async () => {
    let held: (() => void) | undefined;
    const inner = lastingBase();
    let slow = false;
    const base: Store = {
      ...inner,
      async read(keys) {
        const records = await inner.read(keys);
        if (slow)
          await new Promise<void>((resolve) => {
            held = resolve;
          });
        return records;
      },
    };
    const store = sealedStore(base, rawSlot(1));
    await store.commit([{ key: KEY, value: VALUE }]);
    slow = true;
    const reading = store.read([KEY]);
    await vi.waitUntil(() => held !== undefined);
    const closing = store.close();
    await closing;
    held!();
    await expect(reading).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('passes on how the base is shared', () => {
    const shared = {} as SharedStore;
    expect(sealedStore({ ...memoryStore(), shared }, rawSlot(1)).shared).toBe(shared);
    expect('shared' in sealedStore(memoryStore(), rawSlot(1))).toBe(false);
  });
});

describe('secrets in memory', () => {
  test('T49: every key is wiped on close: the master key that was lent, opened, and all that were derived', async () => {
    const secrets = new Set<Uint8Array>();
    vi.resetModules();
    vi.doMock('../../src/crypto/suite.js', async (original) => {
      const suite = await original<typeof import('../../src/crypto/suite.js')>();
      return {
        ...suite,
        hkdfSha256: (...args: Parameters<typeof suite.hkdfSha256>) => {
          const out = suite.hkdfSha256(...args);
          secrets.add(args[1]);
          // Commitments are stored.
          if (!Buffer.from(args[2]).includes('store/commit')) secrets.add(out);
          return out;
        },
      };
    });
    try {
      const fresh = await import('../../src/store/sealed.js');
      const base = lastingBase();
      const slot = openSlot();
      const founder = fresh.sealedStore(base, slot);
      await founder.commit([{ key: KEY, value: VALUE }]);
      await founder.rotateKey();
      await founder.close();
      const store = fresh.sealedStore(base, slot);
      await store.read([KEY]);
      const live = (): Uint8Array[] => [...secrets].filter((each) => each.some((byte) => byte !== 0));
      expect(live().length, 'the master key and five derived ones').toBe(6);
      expect(secrets.size, 'three sets of keys').toBeGreaterThanOrEqual(18);
      await store.close();
      expect(live()).toEqual([]);
      for (const masterKey of [...slot.lent, ...slot.opened]) expect(masterKey).toEqual(new Uint8Array(32));
    } finally {
      vi.doUnmock('../../src/crypto/suite.js');
      vi.resetModules();
    }
  });

  test('T39: stores and slots show nothing', async () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i + 100);
    const slot = rawKeySlot(key);
    const own = openSlot();
    const store = sealedStore(lastingBase(), own);
    await store.commit([{ key: KEY, value: VALUE }]);
    await store.addSlot(slot);
    const masterKey = own.lent[0]!;
    expect(masterKey).toEqual(new Uint8Array(32));
    for (const thing of [store, slot]) {
      const shown = [inspect(thing, { depth: 9, showHidden: true }), JSON.stringify(thing), String(thing), Object.keys(thing).join()].join(
        '\n',
      );
      for (const form of [Buffer.from(key).toString('hex'), Buffer.from(key).toString('base64'), [...key].join(',')]) {
        expect(shown.replace(/\s/g, '')).not.toContain(form.slice(0, 30));
      }
    }
  });

  test('a raw key is copied', async () => {
    const key = new Uint8Array(32).fill(5);
    const slot = rawKeySlot(key);
    key.fill(0);
    const base = lastingBase();
    await sealedStore(base, slot).commit([{ key: KEY, value: VALUE }]);
    expect(text((await sealedStore(base, rawSlot(5)).read([KEY]))[0]?.value)).toBe('attack at dawn, quietly');
  });
});

describe('arguments', () => {
  test('are refused with the name of the field', () => {
    const call = (store: unknown, key: unknown, options?: unknown) => () => sealedStore(store as Store, key as KeySlot, options as never);
    const slot = rawSlot(1);
    for (const [field, wrong] of [
      ['store', call(undefined, slot)],
      ['store', call({}, slot)],
      ['key', call(memoryStore(), undefined)],
      ['key', call(memoryStore(), new Uint8Array(32))],
      ['key', call(memoryStore(), { ...slot, kind: '' })],
      ['key', call(memoryStore(), { ...slot, kind: 'x'.repeat(65) })],
      ['key', call(memoryStore(), { ...slot, kind: '\ud800' })],
      ['key', call(memoryStore(), { kind: 'raw', seal: slot.seal })],
      ['plainRecords', call(memoryStore(), slot, { plainRecords: 'drop' })],
    ] as const) {
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field }));
    }
    expect(() => rawKeySlot('key' as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'key' }));
    for (const length of [0, 31, 33]) {
      expect(() => rawKeySlot(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'ERR_LENGTH', got: length }));
    }
  });

  test('a platform without randomness is told', async () => {
    vi.stubGlobal('crypto', undefined);
    try {
      await expect(sealedStore(memoryStore(), rawSlot(1)).read([KEY])).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'rng' });
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
