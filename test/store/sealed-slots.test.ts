import { afterEach, describe, expect, test, vi } from 'vitest';
import { concat, toHex, u32 } from '../../src/bytes.js';
import { type Argon2Cost, argon2 } from '../../src/crypto/passphrase.js';
import { sha256 } from '../../src/crypto/suite.js';
import type { KeySlot, Store, StoreKey } from '../../src/store/port.js';
import { decodeSlot, encodeSlot } from '../../src/store/sealed/layout.js';
import { DEFAULT_COST, FLOOR_COST, passphraseSlotWith } from '../../src/store/sealed/passphrase.js';
import { type AskPassphrase, passkeySlot, passphraseSlot, sealedStore } from '../../src/store/sealed.js';
import { dump, isSlot, lastingBase, rawSlot, rowsOf, text, utf8 } from './sealed-base.js';

const KEY: StoreKey = ['meta'];
const AD = utf8('what the slot is bound to');
const MASTER_KEY = new Uint8Array(32).fill(0x5a);

/** Costs nothing: only for tests, and only from inside. */
const CHEAP: Argon2Cost = { memoryKiB: 64, passes: 1, lanes: 1 };
const cheapSlot = (ask: AskPassphrase, progress?: (fraction: number) => void): KeySlot => passphraseSlotWith(CHEAP, CHEAP, ask, progress);
const readText = async (store: Store): Promise<string | undefined> => text((await store.read([KEY]))[0]?.value);
const founded = async (slot: KeySlot): Promise<Store> => {
  const base = lastingBase();
  await sealedStore(base, slot).commit([{ key: KEY, value: utf8('x') }]);
  return base;
};

describe('passphraseSlot', () => {
  test('asks to create, then to unlock, each time once', async () => {
    const asked: string[] = [];
    const slot = cheapSlot((purpose) => {
      asked.push(purpose);
      return 'correct horse';
    });
    const base = await founded(slot);
    expect(asked).toEqual(['create']);
    const store = sealedStore(base, slot);
    expect(await Promise.all([readText(store), readText(store)])).toEqual(['x', 'x']);
    expect(asked).toEqual(['create', 'unlock']);
  });

  test.each([null, undefined])('%s is a person who cancelled, and nothing is written', async (answer) => {
    const cancelled = { code: 'ERR_STORE_KEY', field: 'key', message: expect.stringContaining('cancelled') };
    const empty = lastingBase();
    await expect(
      readText(
        sealedStore(
          empty,
          cheapSlot(() => answer),
        ),
      ),
    ).rejects.toMatchObject(cancelled);
    expect(await rowsOf(empty)).toEqual([]);
    const base = await founded(cheapSlot(() => 'right'));
    await expect(
      readText(
        sealedStore(
          base,
          cheapSlot(async () => answer),
        ),
      ),
    ).rejects.toMatchObject(cancelled);
  });

  test('a callback with a bug is told from a person who gives none', async () => {
    for (const cause of [new TypeError('undefined is not a function'), new ReferenceError('dialog is not defined')]) {
      const slot = cheapSlot(() => Promise.reject(cause));
      const failed = { code: 'ERR_STORE_KEY', field: 'key', message: expect.stringContaining('callback failed'), cause };
      await expect(readText(sealedStore(lastingBase(), slot))).rejects.toMatchObject(failed);
    }
  });

  test('a wrong passphrase is ERR_STORE_KEY, and the next call asks again', async () => {
    const base = await founded(cheapSlot(() => 'correct horse'));
    const answers = ['wrong horse', '', 'correct horse'];
    const store = sealedStore(
      base,
      cheapSlot(() => answers.shift()!),
    );
    for (let i = 0; i < 2; i++) await expect(readText(store)).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'key', action: 'ask' });
    expect(await readText(store)).toBe('x');
  });

  test('several passphrases cost one question', async () => {
    const base = await founded(cheapSlot(() => 'first'));
    await sealedStore(
      base,
      cheapSlot(() => 'first'),
    ).addSlot(cheapSlot(() => 'second'));
    for (const passphrase of ['first', 'second', 'third']) {
      const ask = vi.fn(() => passphrase);
      const reading = readText(sealedStore(base, cheapSlot(ask)));
      if (passphrase === 'third') await expect(reading).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
      else expect(await reading).toBe('x');
      expect(ask).toHaveBeenCalledTimes(1);
    }
  });

  test('a person who cancels is the cause', async () => {
    const base = await founded(cheapSlot(() => 'correct horse'));
    const cancelled = new Error('cancelled');
    await expect(
      readText(
        sealedStore(
          base,
          cheapSlot(() => Promise.reject(cancelled)),
        ),
      ),
    ).rejects.toMatchObject({
      code: 'ERR_STORE_KEY',
      cause: cancelled,
    });
    const empty = lastingBase();
    const slot = cheapSlot(() => {
      throw cancelled;
    });
    await expect(readText(sealedStore(empty, slot))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', cause: cancelled });
    expect(await rowsOf(empty)).toEqual([]);
  });

  test.each<[unknown, string]>([
    ['', 'empty'],
    ['\ud800', 'no text'],
    [5, 'a number'],
  ])('refuses to found a store on %j (%s)', async (passphrase) => {
    const empty = lastingBase();
    const slot = cheapSlot(() => passphrase as string);
    await expect(readText(sealedStore(empty, slot))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'passphrase' });
    expect(await rowsOf(empty)).toEqual([]);
  });

  test('takes the passphrase in NFC, and nothing else away', async () => {
    const base = await founded(cheapSlot(() => 'caf\u00e9 \uff21'));
    expect(
      await readText(
        sealedStore(
          base,
          cheapSlot(() => 'cafe\u0301 \uff21'),
        ),
      ),
    ).toBe('x');
    await expect(
      readText(
        sealedStore(
          base,
          cheapSlot(() => 'caf\u00e9 A'),
        ),
      ),
    ).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
  });

  test('tells progress from 0 to 1, and ends with what the callback throws', async () => {
    const seen: number[] = [];
    const base = await founded(
      cheapSlot(
        () => 'p',
        (fraction) => seen.push(fraction),
      ),
    );
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.every((fraction, i) => fraction >= (seen[i - 1] ?? 0) && fraction <= 1)).toBe(true);
    expect(seen.at(-1)).toBe(1);
    const broken = cheapSlot(
      () => 'p',
      () => {
        throw new Error('the page is gone');
      },
    );
    await expect(readText(sealedStore(base, broken))).rejects.toMatchObject({ cause: { message: 'the page is gone' } });
  });

  test('ends when the store is closed, while it asks and while it works', async () => {
    const base = await founded(cheapSlot(() => 'p'));
    const asking = sealedStore(
      base,
      cheapSlot(() => new Promise(() => {})),
    );
    const working: { store?: ReturnType<typeof sealedStore>; closed?: Promise<void> } = {};
    working.store = sealedStore(
      base,
      cheapSlot(
        () => 'p',
        () => {
          working.closed ??= working.store!.close();
        },
      ),
    );
    const reads = Promise.allSettled([readText(asking), readText(working.store)]);
    await vi.waitUntil(() => working.closed !== undefined);
    await Promise.all([asking.close(), working.closed]);
    for (const read of await reads) expect(read).toMatchObject({ status: 'rejected', reason: { code: 'ERR_CLOSED' } });
  });

  test('the salt is new each time, and neither passphrase nor key stands in the slot', async () => {
    const slot = cheapSlot(() => 'correct horse');
    const sealed = await Promise.all([slot.seal(MASTER_KEY, AD), slot.seal(MASTER_KEY, AD)]);
    expect(toHex(sealed[0]!.subarray(13, 29))).not.toBe(toHex(sealed[1]!.subarray(13, 29)));
    for (const bytes of sealed) {
      expect(Buffer.from(bytes).includes('correct horse')).toBe(false);
      expect(Buffer.from(bytes).includes(Buffer.from(MASTER_KEY.subarray(0, 8)))).toBe(false);
      expect(await slot.open(bytes, AD)).toEqual(MASTER_KEY);
      await expect(slot.open(bytes, utf8('something else'))).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
    }
    expect(MASTER_KEY).toEqual(new Uint8Array(32).fill(0x5a));
  });

  test('every flipped byte of the slot is an error, whatever the row’s checksum says', async () => {
    const slot = cheapSlot(() => 'p');
    const sealed = await slot.seal(MASTER_KEY, AD);
    for (let at = 0; at < sealed.length; at++) {
      const bytes = new Uint8Array(sealed);
      bytes[at]! ^= 0x10;
      await expect(slot.open(bytes, AD), `byte ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_STORE_(KEY|CORRUPT|VERSION)$/),
      });
    }
    for (const length of [0, 5, sealed.length - 1]) {
      await expect(slot.open(sealed.subarray(0, length), AD)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    }
  });

  test.each([
    ['memory below the floor', { memoryKiB: FLOOR_COST.memoryKiB - 1 }],
    ['memory of 4 GiB', { memoryKiB: 4 * 1024 * 1024 - 1 }],
    ['one pass', { passes: 1 }],
    ['a million passes', { passes: 1_000_000 }],
    ['no lane', { lanes: 0 }],
    ['a million lanes', { lanes: 1_000_000 }],
    ['much memory and many passes', { memoryKiB: 256 * 1024, passes: 4 }],
    ['some memory and ten passes', { memoryKiB: 77 * 1024, passes: 10 }],
  ])('a stored cost of %s is damage, before any work and any question', async (_name, change) => {
    const cheap = cheapSlot(() => 'p');
    const base = await founded(cheap);
    const [row] = (await rowsOf(base)).filter(isSlot);
    const slot = decodeSlot(row!.value);
    const sealed = new Uint8Array(slot.sealed);
    const cost = { ...DEFAULT_COST, ...change };
    for (const [i, value] of [cost.memoryKiB, cost.passes, cost.lanes].entries()) sealed.set(u32(value), 1 + 4 * i);
    await base.commit([{ key: row!.key, value: encodeSlot({ ...slot, sealed }) }]);
    const before = await dump(base);
    const ask = vi.fn(() => 'p');
    const progress = vi.fn();
    await expect(readText(sealedStore(base, passphraseSlot(ask, { progress })))).rejects.toMatchObject({
      code: 'ERR_STORE_CORRUPT',
      field: 'slot',
    });
    expect([ask.mock.calls, progress.mock.calls, await dump(base)]).toEqual([[], [], before]);
  });

  test('more slots than a store can have are damage, before any work and any question', async () => {
    const base = await founded(cheapSlot(() => 'p'));
    const [row] = (await rowsOf(base)).filter(isSlot);
    const plant = (count: number) =>
      base.commit(Array.from({ length: count }, (_, i) => ({ key: ['sealed', 'slot', String(i).padStart(32, '0')], value: row!.value })));
    const ask = vi.fn(() => 'p');
    await plant(15);
    expect(await readText(sealedStore(base, cheapSlot(ask)))).toBe('x');
    expect(ask).toHaveBeenCalledTimes(1);
    for (const count of [16, 63, 200]) {
      await plant(count);
      const progress = vi.fn();
      await expect(readText(sealedStore(base, cheapSlot(ask, progress)))).rejects.toMatchObject({
        code: 'ERR_STORE_CORRUPT',
        field: 'slots',
      });
      expect([ask.mock.calls.length, progress.mock.calls.length]).toEqual([1, 0]);
    }
  });

  test.each([
    { memoryKiB: 256 * 1024, passes: 3 },
    { memoryKiB: 76 * 1024, passes: 10 },
  ])('a stored cost of %j is accepted', async (change) => {
    const sealed = concat(await cheapSlot(() => 'p').seal(MASTER_KEY, AD));
    sealed.set(concat(u32(change.memoryKiB), u32(change.passes)), 1);
    const ask = vi.fn(() => Promise.reject(new Error('cancelled')));
    await expect(passphraseSlot(ask).open(sealed, AD)).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
    expect(ask).toHaveBeenCalledTimes(1);
  });

  test('costs what it says: 64 MiB and three passes, and 19 MiB with two at least', async () => {
    expect([DEFAULT_COST, FLOOR_COST]).toEqual([
      { memoryKiB: 65_536, passes: 3, lanes: 1 },
      { memoryKiB: 19_456, passes: 2, lanes: 1 },
    ]);
    const sealed = await passphraseSlot(() => 'correct horse battery staple').seal(MASTER_KEY, AD);
    expect([...sealed.subarray(0, 13)]).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
    const kek = argon2(utf8('correct horse battery staple'), sealed.subarray(13, 29), DEFAULT_COST, () => {});
    const { xchachaOpen } = await import('../../src/crypto/suite.js');
    const { info } = await import('../../src/crypto/labels.js');
    const box = sealed.subarray(29);
    const opened = xchachaOpen(kek, box.subarray(0, 24), info('store/box', AD, sealed.subarray(0, 29)), box.subarray(24));
    expect(opened).toEqual(MASTER_KEY);
  });

  test('a slot of a newer version is told', async () => {
    const slot = cheapSlot(() => 'p');
    const sealed = await slot.seal(MASTER_KEY, AD);
    sealed[0] = 2;
    await expect(slot.open(sealed, AD)).rejects.toMatchObject({ code: 'ERR_STORE_VERSION', got: 2, max: 1 });
  });

  test('arguments are checked', () => {
    expect(() => passphraseSlot('p' as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'ask' }));
    expect(() => passphraseSlot(() => 'p', { progress: 1 as never })).toThrow(expect.objectContaining({ field: 'progress' }));
  });
});

/** What of the options of both ceremonies the tests look at. */
interface CeremonyOptions {
  readonly challenge: Uint8Array;
  readonly rp?: { readonly id: string };
  readonly rpId?: string;
  readonly userVerification?: string;
  readonly authenticatorSelection?: { readonly userVerification: string };
  readonly allowCredentials?: readonly { readonly id: Uint8Array }[];
  readonly extensions: { readonly prf: { readonly eval: { readonly first: Uint8Array } } };
}
interface Ceremony {
  readonly publicKey: CeremonyOptions;
  readonly signal?: AbortSignal;
}

/** What a browser with one authenticator would do: a PRF per credential. */
function fakeAuthenticator(options: { prf?: boolean; evalAtCreate?: boolean } = {}) {
  const { prf = true, evalAtCreate = false } = options;
  const secrets = new Map<string, Uint8Array>();
  const calls: (Ceremony & { readonly name: string })[] = [];
  const self = { calls, secrets, cancelled: undefined as Error | undefined };
  const evaluate = (id: string, salt: Uint8Array): Uint8Array => sha256(Buffer.concat([secrets.get(id)!, salt]));
  const answer = (id: string, prfResults: object) => ({
    rawId: new Uint8Array(Buffer.from(id, 'hex')).buffer,
    getClientExtensionResults: () => (prf ? { prf: prfResults } : {}),
  });
  const credentials = {
    async create(ceremony: Ceremony) {
      const { publicKey } = ceremony;
      calls.push({ name: 'create', ...ceremony });
      if (self.cancelled) throw self.cancelled;
      const id = toHex(crypto.getRandomValues(new Uint8Array(20)));
      secrets.set(id, crypto.getRandomValues(new Uint8Array(32)));
      const results = evalAtCreate ? { results: { first: evaluate(id, publicKey.extensions.prf.eval.first) } } : {};
      return answer(id, { enabled: true, ...results });
    },
    async get(ceremony: Ceremony) {
      const { publicKey } = ceremony;
      calls.push({ name: 'get', ...ceremony });
      if (self.cancelled) throw self.cancelled;
      const id = toHex(publicKey.allowCredentials![0]!.id);
      if (!secrets.has(id)) throw new DOMException('no such passkey', 'NotAllowedError');
      return answer(id, { results: { first: evaluate(id, publicKey.extensions.prf.eval.first) } });
    },
  };
  vi.stubGlobal('navigator', { credentials });
  return self;
}

describe('passkeySlot', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const slot = () => passkeySlot({ rpId: 'chat.example' });
  const withPasskey = async (): Promise<Store> => {
    const base = await founded(rawSlot(1));
    await sealedStore(base, rawSlot(1)).addSlot(slot());
    return base;
  };

  test.each([true, false])('opens the store that it was added to (secret along with the creation: %s)', async (evalAtCreate) => {
    const authenticator = fakeAuthenticator({ evalAtCreate });
    const base = await withPasskey();
    expect(await readText(sealedStore(base, slot()))).toBe('x');
    expect(authenticator.calls.map(({ name }) => name)).toEqual(evalAtCreate ? ['create', 'get'] : ['create', 'get', 'get']);
    for (const { name, publicKey, signal } of authenticator.calls) {
      const { userVerification } = name === 'get' ? publicKey : publicKey.authenticatorSelection!;
      expect(userVerification).toBe('required');
      expect(name === 'get' ? publicKey.rpId : publicKey.rp!.id).toBe('chat.example');
      expect(publicKey.challenge.length).toBe(32);
      expect(signal).toBeInstanceOf(AbortSignal);
    }
    const salts = authenticator.calls.map(({ publicKey }) => toHex(publicKey.extensions.prf.eval.first));
    expect(new Set(salts).size).toBe(1);
  });

  test('takes a passkey that is there instead of creating one, also when the key is rotated', async () => {
    const authenticator = fakeAuthenticator();
    const base = await founded(rawSlot(1));
    const store = sealedStore(base, rawSlot(1));
    await store.addSlot(slot());
    await store.rotateKey();
    expect(await readText(sealedStore(base, slot()))).toBe('x');
    const [id] = [...authenticator.secrets.keys()];
    await store.addSlot(passkeySlot({ rpId: 'chat.example', credentialId: new Uint8Array(Buffer.from(id!, 'hex')) }));
    expect(authenticator.calls.map(({ name }) => name)).toEqual(['create', 'get', 'get', 'get', 'get']);
    expect(await store.slots()).toHaveLength(3);
  });

  test('cancelled, or not there, is ERR_STORE_KEY with the platform’s error as cause', async () => {
    const authenticator = fakeAuthenticator();
    const base = await withPasskey();
    authenticator.cancelled = new DOMException('the person said no', 'NotAllowedError');
    await expect(readText(sealedStore(base, slot()))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', cause: { name: 'NotAllowedError' } });
    await expect(sealedStore(base, rawSlot(1)).addSlot(slot())).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
    authenticator.cancelled = undefined;
    authenticator.secrets.clear();
    await expect(readText(sealedStore(base, slot()))).rejects.toMatchObject({
      code: 'ERR_STORE_KEY',
      cause: { message: 'no such passkey' },
    });
    expect(await readText(sealedStore(base, rawSlot(1)))).toBe('x');
  });

  test('another passkey under the same id does not open it', async () => {
    const authenticator = fakeAuthenticator();
    const base = await withPasskey();
    for (const id of authenticator.secrets.keys()) authenticator.secrets.set(id, new Uint8Array(32));
    await expect(readText(sealedStore(base, slot()))).rejects.toMatchObject({ code: 'ERR_STORE_KEY', field: 'key' });
  });

  test('without passkeys, or without the PRF extension, is ERR_ARGUMENT', async () => {
    fakeAuthenticator();
    const base = await withPasskey();
    fakeAuthenticator({ prf: false });
    const error = { code: 'ERR_ARGUMENT', field: 'passkey' };
    await expect(sealedStore(base, rawSlot(1)).addSlot(slot())).rejects.toMatchObject(error);
    vi.stubGlobal('navigator', {});
    await expect(sealedStore(base, rawSlot(1)).addSlot(slot())).rejects.toMatchObject(error);
    await expect(readText(sealedStore(base, slot()))).rejects.toMatchObject(error);
  });

  test('damaged bytes are told', async () => {
    fakeAuthenticator();
    const one = slot();
    const sealed = await one.seal(MASTER_KEY, AD);
    expect(await one.open(sealed, AD)).toEqual(MASTER_KEY);
    for (let at = 0; at < sealed.length; at++) {
      const bytes = new Uint8Array(sealed);
      bytes[at]! ^= 0x10;
      await expect(one.open(bytes, AD), `byte ${at}`).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_STORE_(KEY|CORRUPT)$/) });
    }
    for (const length of [0, 1, 34, sealed.length - 1]) {
      await expect(one.open(sealed.subarray(0, length), AD)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' });
    }
    await expect(one.open(sealed, utf8('something else'))).rejects.toMatchObject({ code: 'ERR_STORE_KEY' });
  });

  test('an abort rejects with its reason', async () => {
    fakeAuthenticator();
    const reason = new Error('closed');
    const authenticator = fakeAuthenticator();
    const sealed = await slot().seal(MASTER_KEY, AD);
    authenticator.cancelled = new DOMException('aborted', 'AbortError');
    const ending = new AbortController();
    ending.abort(reason);
    await expect(slot().open(sealed, AD, ending)).rejects.toBe(reason);
  });

  test('arguments are checked', () => {
    expect(() => passkeySlot({ rpId: '' })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'rpId' }));
    expect(() => passkeySlot({ rpId: 'x', credentialId: 'y' as never })).toThrow(expect.objectContaining({ field: 'credentialId' }));
  });
});
