import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import type { PKCS11 } from 'pkcs11js';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { type AnyCyphrError, isCyphrError } from '../../src/errors.js';
import { pkcs11Slot } from '../../src/store/pkcs11.js';
import type { KeySlot } from '../../src/store/port.js';
import { seededRng } from '../../src/testing/rng.js';
import { loadPkcs11, MODULE, missingForTokens, PIN, type SoftTokens, softTokens } from './pkcs11-soft.js';

const missing = missingForTokens();
const masterKey = seededRng('pkcs11 master key')(32);
const ad = new TextEncoder().encode('store 1, slot 1');
const slotOf = (token: string, options: Partial<Parameters<typeof pkcs11Slot>[0]> = {}): KeySlot =>
  pkcs11Slot({ module: MODULE, token, pin: () => PIN, ...options });

/** The error that a call rejects with: ours, and without the PIN or the master key in anything that prints it. */
async function refusal(call: Promise<unknown>): Promise<AnyCyphrError> {
  const error = await call.then(
    () => expect.fail('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (!isCyphrError(error)) throw error;
  const printed = `${inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}${error.stack}`;
  for (const secret of [PIN, toHex(masterKey), Buffer.from(masterKey).toString('base64')]) expect(printed).not.toContain(secret);
  return error;
}
const keyError = (field: string, message: RegExp): object => ({
  code: 'ERR_STORE_KEY',
  action: 'ask',
  field,
  message: expect.stringMatching(message),
});

afterEach(() => {
  vi.doUnmock('pkcs11js');
  vi.resetModules();
});

test.runIf(process.env['CI'])('CI has what the tests of tokens need', () => expect(missing).toBeUndefined());

describe('arguments', () => {
  const good = { module: MODULE, token: 't', pin: () => PIN };
  test.each(['module', 'token', 'key'])('%s must be a non-empty string', (field) => {
    for (const bad of ['', null, 7]) {
      expect(() => pkcs11Slot({ ...good, [field]: bad })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field }));
    }
  });

  test('pin must be a function: a PIN in the options would stay in memory', () => {
    expect(() => pkcs11Slot({ ...good, pin: PIN as never })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'pin' }));
  });

  test('what is sealed is 32 bytes, and all is bytes', async () => {
    const slot = pkcs11Slot(good);
    expect(await refusal(slot.seal(new Uint8Array(31), ad))).toMatchObject({ code: 'ERR_LENGTH', field: 'masterKey', got: 31 });
    expect(await refusal(slot.seal('x' as never, ad))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'masterKey' });
    expect(await refusal(slot.seal(masterKey, 'x' as never))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'ad' });
    expect(await refusal(slot.open('x' as never, ad))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'sealed' });
    expect(await refusal(slot.open(new Uint8Array(78), null as never))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'ad' });
  });

  test('says what to install where pkcs11js is missing', async () => {
    vi.resetModules();
    vi.doMock('pkcs11js', () => {
      throw new Error('Cannot find package');
    });
    const lonely = await import('../../src/store/pkcs11.js');
    expect(await refusal(lonely.pkcs11Slot(good).seal(masterKey, ad))).toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining('npm install pkcs11js'),
      cause: expect.any(Error),
    });
  });
});

describe.skipIf(missing !== undefined)(`a token${missing === undefined ? '' : `: left out, ${missing}`}`, () => {
  let tokens: SoftTokens;
  beforeAll(() => {
    tokens = softTokens();
    for (const label of ['alice', 'twin', 'twin', 'other', 'empty']) tokens.init(label);
  });
  afterAll(() => tokens.remove());

  /** The keys with this label, looked at past the code under test. */
  const keysIn = (token: string, label: string): number =>
    tokens.inside(token, (library, session, pkcs11) => {
      library.C_FindObjectsInit(session, [{ type: pkcs11.CKA_LABEL, value: label }]);
      return library.C_FindObjects(session, 10).length;
    });

  /** Makes a key as somebody else would. */
  const makeKey = (token: string, label: string, attributes: object = {}): void =>
    tokens.inside(token, (library, session, pkcs11) => {
      const template: Record<string, unknown> = {
        CKA_CLASS: pkcs11.CKO_SECRET_KEY,
        CKA_KEY_TYPE: pkcs11.CKK_AES,
        CKA_VALUE_LEN: 32,
        CKA_LABEL: label,
        CKA_ID: Buffer.from(`id of ${label}`),
        CKA_TOKEN: true,
        CKA_PRIVATE: true,
        CKA_SENSITIVE: true,
        CKA_EXTRACTABLE: false,
        ...attributes,
      };
      const types = pkcs11 as unknown as Record<string, number>;
      const rows = Object.entries(template).map(([name, value]) => ({ type: types[name]!, value: value as Buffer }));
      library.C_GenerateKey(session, { mechanism: pkcs11.CKM_AES_KEY_GEN }, rows);
    });

  test('seals and opens, in the layout that is documented', async () => {
    const slot = slotOf('alice');
    expect(slot.kind).toBe('pkcs11');
    const sealed = await slot.seal(masterKey, ad);
    expect([...sealed.subarray(0, 2)]).toEqual([1, 16]);
    expect(sealed.length).toBe(2 + 16 + 12 + 32 + 16);
    expect(toHex(sealed)).not.toContain(toHex(masterKey));
    const opened = await slot.open(sealed, ad);
    expect(toHex(opened)).toBe(toHex(masterKey));
    expect(opened.buffer.byteLength).toBe(32);
  });

  test('one key per label, made by the first seal; a fresh iv each time', async () => {
    const slot = slotOf('alice', { key: 'once' });
    const [one, two] = [await slot.seal(masterKey, ad), await slot.seal(masterKey, ad)];
    expect(keysIn('alice', 'once')).toBe(1);
    expect(toHex(one.subarray(0, 18))).toBe(toHex(two.subarray(0, 18)));
    expect(toHex(one.subarray(18, 30))).not.toBe(toHex(two.subarray(18, 30)));
  });

  test('the key is made to stay: its value can’t be read, wrapped out, or loosened', async () => {
    await slotOf('alice', { key: 'stays' }).seal(masterKey, ad);
    tokens.inside('alice', (library, session, pkcs11) => {
      library.C_FindObjectsInit(session, [{ type: pkcs11.CKA_LABEL, value: 'stays' }]);
      const key = library.C_FindObjects(session, 1)[0]!;
      library.C_FindObjectsFinal(session);
      const value = (type: number): number => library.C_GetAttributeValue(session, key, [{ type }])[0]!.value[0]!;
      expect(() => value(pkcs11.CKA_VALUE)).toThrow('CKR_ATTRIBUTE_SENSITIVE');
      for (const type of [pkcs11.CKA_TOKEN, pkcs11.CKA_PRIVATE, pkcs11.CKA_SENSITIVE, pkcs11.CKA_NEVER_EXTRACTABLE, pkcs11.CKA_LOCAL]) {
        expect(value(type)).toBe(1);
      }
      for (const type of [pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP]) expect(value(type)).toBe(0);
      expect(value(pkcs11.CKA_VALUE_LEN)).toBe(32);
      for (const [type, loose] of [
        [pkcs11.CKA_SENSITIVE, false],
        [pkcs11.CKA_EXTRACTABLE, true],
      ] as const) {
        expect(() => library.C_SetAttributeValue(session, key, [{ type, value: loose }])).toThrow('CKR_');
      }
    });
  });

  test('every flipped byte is refused, and so is another associated data', async () => {
    const slot = slotOf('alice');
    const sealed = await slot.seal(masterKey, ad);
    for (let i = 0; i < sealed.length; i++) {
      const flipped = sealed.slice();
      flipped[i]! ^= 1 << (i % 8);
      const error = await refusal(slot.open(flipped, ad));
      const expected =
        i < 2 ? { code: 'ERR_STORE_CORRUPT' } : i < 18 ? keyError('key', /not in the token/) : keyError('key', /does not open/);
      expect(error, `byte ${i}`).toMatchObject(expected);
    }
    for (const other of [new Uint8Array(), ad.subarray(1), new Uint8Array([...ad, 0])]) {
      expect(await refusal(slot.open(sealed, other))).toMatchObject(keyError('key', /does not open/));
    }
  });

  test('bytes that no slot wrote are refused before anyone is asked for a PIN', async () => {
    const pin = vi.fn(() => PIN);
    const slot = slotOf('alice', { pin });
    const sealed = await slot.seal(masterKey, ad);
    pin.mockClear();
    for (const bad of [new Uint8Array(), sealed.subarray(0, 77), new Uint8Array([...sealed, 0]), new Uint8Array(62).fill(1, 0, 1)]) {
      expect(await refusal(slot.open(bad, ad))).toMatchObject({ code: 'ERR_STORE_CORRUPT', action: 'recover' });
    }
    const newer = sealed.slice();
    newer[0] = 2;
    expect(await refusal(slot.open(newer, ad))).toMatchObject({ code: 'ERR_STORE_VERSION', got: 2, max: 1 });
    expect(pin).not.toHaveBeenCalled();
  });

  test('another token’s key opens nothing', async () => {
    const sealed = await slotOf('alice').seal(masterKey, ad);
    await slotOf('other').seal(masterKey, ad);
    expect(await refusal(slotOf('other').open(sealed, ad))).toMatchObject(keyError('key', /not in the token/));
  });

  test('a token that is missing or ambiguous is refused, and nobody is asked for a PIN', async () => {
    const pin = vi.fn(() => PIN);
    const sealed = await slotOf('alice').seal(masterKey, ad);
    for (const act of [(slot: KeySlot) => slot.seal(masterKey, ad), (slot: KeySlot) => slot.open(sealed, ad)]) {
      expect(await refusal(act(slotOf('nobody', { pin })))).toMatchObject(keyError('token', /^no token/));
      expect(await refusal(act(slotOf('twin', { pin })))).toMatchObject(keyError('token', /^several tokens/));
      expect(await refusal(act(slotOf('alic', { pin })))).toMatchObject(keyError('token', /^no token/));
    }
    expect(pin).not.toHaveBeenCalled();
  });

  test('a key that is gone opens nothing, though a new one has its label', async () => {
    const slot = slotOf('alice', { key: 'gone' });
    const sealed = await slot.seal(masterKey, ad);
    tokens.inside('alice', (library, session, pkcs11) => {
      library.C_FindObjectsInit(session, [{ type: pkcs11.CKA_LABEL, value: 'gone' }]);
      const found = library.C_FindObjects(session, 10);
      library.C_FindObjectsFinal(session);
      for (const key of found) library.C_DestroyObject(session, key);
    });
    expect(await refusal(slot.open(sealed, ad))).toMatchObject(keyError('key', /not in the token/));
    await slot.seal(masterKey, ad);
    expect(await refusal(slot.open(sealed, ad))).toMatchObject(keyError('key', /not in the token/));
  });

  test('two keys with one label: sealing is refused, what each sealed still opens', async () => {
    const slot = slotOf('alice', { key: 'double' });
    const sealed = await slot.seal(masterKey, ad);
    makeKey('alice', 'double');
    expect(await refusal(slot.seal(masterKey, ad))).toMatchObject(keyError('key', /^several keys/));
    expect(toHex(await slot.open(sealed, ad))).toBe(toHex(masterKey));
    makeKey('alice', 'third', { CKA_ID: Buffer.from(sealed.subarray(2, 18)) });
    expect(await refusal(slot.open(sealed, ad))).toMatchObject(keyError('key', /^several keys/));
  });

  test('an administrator’s key is used by its own id; one that isn’t bound to the token is not', async () => {
    makeKey('alice', 'made');
    const slot = slotOf('alice', { key: 'made' });
    const sealed = await slot.seal(masterKey, ad);
    expect(Buffer.from(sealed.subarray(2, 2 + sealed[1]!)).toString()).toBe('id of made');
    expect(toHex(await slot.open(sealed, ad))).toBe(toHex(masterKey));
    for (const [label, attributes, message] of [
      ['readable', { CKA_SENSITIVE: false }, /outside the token/],
      ['extractable', { CKA_EXTRACTABLE: true }, /outside the token/],
      ['short', { CKA_VALUE_LEN: 16 }, /256 bits/],
      ['nameless', { CKA_ID: Buffer.alloc(0) }, /an id/],
    ] as const) {
      makeKey('alice', label, attributes);
      expect(await refusal(slotOf('alice', { key: label }).seal(masterKey, ad)), label).toMatchObject(keyError('key', message));
    }
  });

  test('a module that is missing, or is no PKCS#11 library', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cyphr-module-'));
    const text = join(folder, 'text.so');
    writeFileSync(text, 'not a library');
    for (const module of [join(folder, 'absent.so'), text, folder]) {
      expect(await refusal(slotOf('alice', { module }).seal(masterKey, ad))).toMatchObject({
        code: 'ERR_ARGUMENT',
        field: 'module',
        cause: expect.any(Error),
      });
    }
    rmSync(folder, { recursive: true });
  });

  test('a PIN that isn’t given is no try', async () => {
    const sealed = await slotOf('alice').seal(masterKey, ad);
    for (const answer of ['', 1234]) {
      expect(await refusal(slotOf('alice', { pin: () => answer as never }).open(sealed, ad))).toMatchObject({
        code: 'ERR_ARGUMENT',
        field: 'pin',
      });
    }
    for (const answer of [null, undefined]) {
      expect(await refusal(slotOf('alice', { pin: () => answer }).open(sealed, ad))).toMatchObject(keyError('pin', /cancelled/));
    }
    const cancelled = new Error('cancelled');
    expect(await refusal(slotOf('alice', { pin: () => Promise.reject(cancelled) }).open(sealed, ad))).toMatchObject({
      ...keyError('pin', /no PIN/),
      cause: cancelled,
    });
  });

  test('an abort rejects with its reason, before the PIN is asked for and after', async () => {
    const reason = new Error('enough');
    const pin = vi.fn(() => PIN);
    await expect(slotOf('nobody', { pin }).seal(masterKey, ad, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(pin).not.toHaveBeenCalled();
    const controller = new AbortController();
    const slot = slotOf('alice', {
      key: 'aborted',
      pin: () => {
        controller.abort(reason);
        return PIN;
      },
    });
    await expect(slot.seal(masterKey, ad, { signal: controller.signal })).rejects.toBe(reason);
    const silent = new AbortController();
    const nobody = slotOf('alice', {
      key: 'aborted',
      pin: () => {
        queueMicrotask(() => silent.abort(reason));
        return new Promise<never>(() => {});
      },
    });
    await expect(nobody.seal(masterKey, ad, { signal: silent.signal })).rejects.toBe(reason);
    expect(keysIn('alice', 'aborted')).toBe(0);
  });

  test('many calls at once, of two slots in one process, each right', async () => {
    const slots = [slotOf('alice', { key: 'many' }), slotOf('other', { key: 'many', pin: async () => PIN })];
    const keys = Array.from({ length: 12 }, (_, i) => seededRng(`many ${i}`)(32));
    const sealed = await Promise.all(keys.map((key, i) => slots[i % 2]!.seal(key, ad)));
    const opened = await Promise.all(sealed.map((each, i) => slots[i % 2]!.open(each, ad)));
    expect(opened.map(toHex)).toEqual(keys.map(toHex));
    expect([keysIn('alice', 'many'), keysIn('other', 'many')]).toEqual([1, 1]);
  });

  test('opens in another process what this one sealed', async () => {
    const sealed = await slotOf('alice').seal(masterKey, ad);
    const script = fileURLToPath(new URL('./pkcs11-open.ts', import.meta.url));
    const output = execFileSync(process.execPath, ['--import', 'tsx', script, 'alice', toHex(sealed), toHex(ad)], { encoding: 'utf8' });
    expect(output).toBe(createHash('sha256').update(masterKey).digest('hex'));
  });

  describe('beside others in the process', () => {
    const pkcs11 = missing === undefined ? loadPkcs11() : (undefined as never);
    const library = (): PKCS11 => {
      const own = new pkcs11.PKCS11();
      own.load(MODULE);
      return own;
    };

    test('leaves the library as it was: not initialised', async () => {
      await slotOf('alice').seal(masterKey, ad);
      expect(() => library().C_GetSlotList(true)).toThrow('CKR_CRYPTOKI_NOT_INITIALIZED');
    });

    test.each([false, true])('leaves the library as it was: in use, somebody logged in: %s', async (isLoggedIn) => {
      const host = library();
      host.C_Initialize();
      try {
        const slot = host.C_GetSlotList(true).find((each) => host.C_GetTokenInfo(each).label.trimEnd() === 'alice')!;
        const session = host.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
        if (isLoggedIn) host.C_Login(session, pkcs11.CKU_USER, PIN);
        const before = host.C_GetSessionInfo(session).state;
        const sealed = await slotOf('alice').seal(masterKey, ad);
        expect(toHex(await slotOf('alice').open(sealed, ad))).toBe(toHex(masterKey));
        expect(host.C_GetSessionInfo(session).state).toBe(before);
        expect(before).toBe(isLoggedIn ? 1 : 0); // CKS_RO_USER_FUNCTIONS, CKS_RO_PUBLIC_SESSION
      } finally {
        host.C_Finalize();
      }
    });
  });

  describe('tries and failures', () => {
    type Method = (...args: never[]) => unknown;
    /**
     * A slot whose calls to the real library are counted, and where `faults` replace some: each gets the real method, and may throw
     * the name of a CKR code.
     */
    async function faultySlot(faults: Record<string, (real: Method, args: never[]) => unknown>, pin = PIN, token = 'alice') {
      const calls: string[] = [];
      const asked = vi.fn(() => pin);
      vi.resetModules();
      vi.doMock('pkcs11js', () => {
        const pkcs11 = loadPkcs11();
        class Watched extends pkcs11.PKCS11 {
          constructor() {
            super();
            const methods = this as unknown as Record<string, Method>;
            for (const name in methods) {
              if (!name.startsWith('C_') || name.endsWith('Async') || name.endsWith('Callback')) continue;
              const real = methods[name]!.bind(this) as Method;
              methods[name] = (...args) => {
                calls.push(name);
                try {
                  return faults[name] === undefined ? real(...args) : faults[name](real, args);
                } catch (error) {
                  if (typeof error !== 'string') throw error;
                  const code = (pkcs11 as unknown as Record<string, number>)[error] ?? Number(error.split(':')[1]);
                  throw Object.assign(new pkcs11.Pkcs11Error(error, code, name), { code });
                }
              };
            }
          }
        }
        return { default: { ...pkcs11, PKCS11: Watched } };
      });
      const watched = await import('../../src/store/pkcs11.js');
      return { slot: watched.pkcs11Slot({ module: MODULE, token, pin: asked }), calls, asked };
    }
    const raise = (name: string) => () => {
      throw name;
    };
    const count = (calls: readonly string[], name: string): number => calls.filter((each) => each === name).length;

    test('a wrong PIN costs one try, and what was opened is closed', async () => {
      const sealed = await slotOf('alice').seal(masterKey, ad);
      for (const act of [(slot: KeySlot) => slot.seal(masterKey, ad), (slot: KeySlot) => slot.open(sealed, ad)]) {
        const { slot, calls, asked } = await faultySlot({}, 'wrong-pin-1618');
        const error = await refusal(act(slot));
        expect(error).toMatchObject({ ...keyError('pin', /wrong/), cause: expect.objectContaining({ message: 'CKR_PIN_INCORRECT' }) });
        expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('wrong-pin-1618');
        expect([count(calls, 'C_Login'), asked.mock.calls.length]).toEqual([1, 1]);
        expect(count(calls, 'C_OpenSession')).toBe(count(calls, 'C_CloseSession'));
        expect(count(calls, 'C_Initialize')).toBe(count(calls, 'C_Finalize'));
      }
    });

    test('one attempt on several sealed keys, known by its signal, costs one try and one question', async () => {
      const sealed = [await slotOf('other').seal(masterKey, ad), await slotOf('alice').seal(masterKey, ad)];
      const wrong = await faultySlot({}, 'wrong-pin-1618');
      for (const attempt of [1, 2]) {
        const { signal } = new AbortController();
        const together = sealed.map((each) => refusal(wrong.slot.open(each, ad, { signal })));
        for (const error of await Promise.all(together)) expect(error).toMatchObject(keyError('pin', /wrong/));
        for (const each of sealed) expect(await refusal(wrong.slot.open(each, ad, { signal }))).toMatchObject(keyError('pin', /wrong/));
        expect([count(wrong.calls, 'C_Login'), wrong.asked.mock.calls.length]).toEqual([attempt, attempt]);
      }
      const right = await faultySlot({});
      const { signal } = new AbortController();
      expect(await refusal(right.slot.open(sealed[0]!, ad, { signal }))).toMatchObject(keyError('key', /not in the token/));
      expect(toHex(await right.slot.open(sealed[1]!, ad, { signal }))).toBe(toHex(masterKey));
      expect(right.asked).toHaveBeenCalledTimes(1);
      await right.slot.open(sealed[1]!, ad, { signal });
      expect(right.asked, 'what succeeded is over').toHaveBeenCalledTimes(2);
    });

    test('a success costs one try too, and everything is closed', async () => {
      const { slot, calls, asked } = await faultySlot({});
      const sealed = await slot.seal(masterKey, ad);
      expect([count(calls, 'C_Login'), count(calls, 'C_Logout'), asked.mock.calls.length]).toEqual([1, 1, 1]);
      await slot.open(sealed, ad);
      expect([count(calls, 'C_Login'), count(calls, 'C_Logout'), asked.mock.calls.length]).toEqual([2, 2, 2]);
      expect([count(calls, 'C_OpenSession'), count(calls, 'C_CloseSession')]).toEqual([2, 2]);
      expect(count(calls, 'C_Initialize')).toBe(count(calls, 'C_Finalize'));
    });

    test('a token that says that its PIN is locked is not asked again, and nobody is', async () => {
      const locked = (real: Method, args: never[]): unknown => {
        const info = real(...args) as { flags: number };
        return { ...info, flags: info.flags | loadPkcs11().CKF_USER_PIN_LOCKED };
      };
      const { slot, calls, asked } = await faultySlot({ C_GetTokenInfo: locked });
      expect(await refusal(slot.seal(masterKey, ad))).toMatchObject(keyError('pin', /locked/));
      expect([count(calls, 'C_Login'), asked.mock.calls.length]).toEqual([0, 0]);
    });

    test.each([
      ['C_Login', 'CKR_PIN_LOCKED', keyError('pin', /locked/)],
      ['C_Login', 'CKR_PIN_EXPIRED', keyError('pin', /expired/)],
      ['C_Login', 'CKR_PIN_LEN_RANGE', keyError('pin', /wrong/)],
      ['C_Login', 'CKR_USER_PIN_NOT_INITIALIZED', keyError('pin', /no user PIN/)],
      ['C_Login', 'CKR_DEVICE_REMOVED', { code: 'ERR_STORE_IO' }],
      ['C_Initialize', 'CKR_GENERAL_ERROR', { code: 'ERR_STORE_IO' }],
      ['C_GetTokenInfo', 'CKR_DEVICE_ERROR', { code: 'ERR_STORE_IO' }],
      ['C_GetTokenInfo', 'CKR_TOKEN_NOT_PRESENT', keyError('token', /^no token/)],
      ['C_OpenSession', 'CKR_TOKEN_NOT_PRESENT', { code: 'ERR_STORE_IO' }],
      ['C_FindObjects', 'CKR_DEVICE_ERROR', { code: 'ERR_STORE_IO' }],
      ['C_DecryptInit', 'CKR_MECHANISM_INVALID', { code: 'ERR_ARGUMENT', field: 'token' }],
      ['C_Decrypt', 'CKR_ENCRYPTED_DATA_INVALID', keyError('key', /does not open/)],
      ['C_Decrypt', 'CKR_AEAD_DECRYPT_FAILED:66', keyError('key', /does not open/)],
      ['C_Decrypt', 'CKR_DEVICE_REMOVED', { code: 'ERR_STORE_IO' }],
    ])('%s fails with %s', async (method, code, expected) => {
      const sealed = await slotOf('alice').seal(masterKey, ad);
      const { slot, calls } = await faultySlot({ [method]: raise(code) });
      expect(await refusal(slot.open(sealed, ad))).toMatchObject(expected);
      expect(count(calls, 'C_Login')).toBeLessThanOrEqual(1);
      expect(toHex(await slotOf('alice').open(sealed, ad))).toBe(toHex(masterKey));
    });

    test('a token that fails while it tidies up hides nothing', async () => {
      const fail = raise('CKR_DEVICE_ERROR');
      const finalize = (real: Method, args: never[]): never => {
        real(...args);
        throw 'CKR_DEVICE_ERROR';
      };
      const { slot } = await faultySlot({ C_Logout: fail, C_CloseSession: fail, C_Finalize: finalize });
      const sealed = await slot.seal(masterKey, ad);
      expect(toHex(await slot.open(sealed, ad))).toBe(toHex(masterKey));
    });

    test('a token that seals with an iv of its own is refused, for nothing could open it', async () => {
      const ownIv = (real: Method, args: never[]): unknown => {
        const [session, mechanism, key] = args as unknown as [Buffer, { parameter: { iv: Buffer } }, Buffer];
        const parameter = { ...mechanism.parameter, iv: Buffer.alloc(12, 7) };
        return (real as (...all: unknown[]) => unknown)(session, { ...mechanism, parameter }, key);
      };
      const { slot } = await faultySlot({ C_EncryptInit: ownIv });
      expect(await refusal(slot.seal(masterKey, ad))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'token' });
      const otherBytes = (real: Method, args: never[]): unknown => Buffer.from(real(...args) as Buffer).fill(9);
      const { slot: wrong } = await faultySlot({ C_Decrypt: otherBytes });
      expect(await refusal(wrong.seal(masterKey, ad))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'token' });
      const { slot: noGcm } = await faultySlot({ C_EncryptInit: raise('CKR_MECHANISM_INVALID') });
      expect(await refusal(noGcm.seal(masterKey, ad))).toMatchObject({ code: 'ERR_ARGUMENT', field: 'token' });
    });

    test('leaves nothing to a token’s defaults, and opens without the right to write', async () => {
      const asked: Record<string, unknown[][]> = { C_Initialize: [], C_OpenSession: [], C_GenerateKey: [] };
      const keep = (name: string) => (real: Method, args: never[]) => {
        asked[name]!.push(args);
        return real(...args);
      };
      const { slot } = await faultySlot(Object.fromEntries(Object.keys(asked).map((name) => [name, keep(name)])), PIN, 'empty');
      await slot.open(await slot.seal(masterKey, ad), ad);
      const types = loadPkcs11();
      expect(asked['C_Initialize']).toEqual(Array(4).fill([{ flags: types.CKF_OS_LOCKING_OK }]));
      const { CKF_SERIAL_SESSION: serial, CKF_RW_SESSION: write } = types;
      expect(asked['C_OpenSession']!.map(([, flags]) => flags)).toEqual([serial | write, serial]);
      const template = new Map(
        (asked['C_GenerateKey']![0]![2] as { type: number; value: unknown }[]).map(({ type, value }) => [type, value]),
      );
      for (const type of [types.CKA_TOKEN, types.CKA_PRIVATE, types.CKA_SENSITIVE]) expect(template.get(type)).toBe(true);
      for (const type of [types.CKA_EXTRACTABLE, types.CKA_WRAP, types.CKA_UNWRAP]) expect(template.get(type)).toBe(false);
    });

    test('what was deciphered and copied out is wiped behind it', async () => {
      const rooms: Buffer[] = [];
      const keep = (real: Method, args: never[]): unknown => {
        rooms.push(args[2]!);
        return real(...args);
      };
      const { slot } = await faultySlot({ C_Decrypt: keep });
      await slot.open(await slot.seal(masterKey, ad), ad);
      expect(rooms.length).toBe(2);
      expect(rooms.every((room) => room.every((byte) => byte === 0))).toBe(true);
    });
  });
});
