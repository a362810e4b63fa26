/**
 * A key slot inside a hardware security module or smart card, by PKCS#11 (`pkcs11js`, an optional peer dependency).
 *
 * The master key is sealed by an AES-256 key that was generated in the token and can't leave it. Layout 1 of the sealed bytes:
 * layout u8 ‖ length of the id u8 ‖ the token key's CKA_ID (1 to 255 bytes) ‖ iv 12 ‖ AES-GCM ciphertext 32 ‖ tag 16; `ad` is the AAD.
 *
 * Every operation initialises the library, finds the token, opens a session, logs in, and undoes all of it, without a pause in between:
 * operations of one thread can't meet, and nothing is left open. A library that is initialised already belongs to somebody else, and
 * stays so; so does a login.
 */

import type { PKCS11 } from 'pkcs11js';
import { concat, copy, equal, wipe } from '../bytes.js';
import { CyphrError, StoreError, UsageError } from '../errors.js';
import { type Answer, askPerson } from './ask.js';
import type { KeySlot } from './port.js';

type Package = typeof import('pkcs11js');
type Handle = ReturnType<PKCS11['C_OpenSession']>;
type Attributes = Parameters<PKCS11['C_FindObjectsInit']>[1];

const LAYOUT = 1;
const HEAD_BYTES = 2;
const ID_BYTES = 16;
const IV_BYTES = 12;
const KEY_BYTES = 32;
const TAG_BYTES = 16;

/** What `pkcs11Slot` is told. */
export interface Pkcs11Options {
  /** Path of the vendor's library. It gets the PIN and the master key: give an absolute path that only administrators can write. */
  readonly module: string;
  /** The token's label; exactly one token may have it. */
  readonly token: string;
  /** Asks for the user PIN, only while the token is there; `null` or `undefined`: cancelled. A wrong PIN costs one of the token's tries. */
  readonly pin: () => Answer | Promise<Answer>;
  /** Label of the AES key in the token, `cyphr` if left out. The first `seal` generates it; `open` goes by the id in the sealed bytes. */
  readonly key?: string | undefined;
}

/** One unlock: what was answered for the PIN, and what the token said to it. */
interface Attempt {
  readonly pin: Promise<string>;
  refused: StoreError | undefined;
}

/** A library, a session in which the user is logged in, and what the package calls its constants. */
interface Session {
  readonly pkcs11: Package;
  readonly library: PKCS11;
  readonly handle: Handle;
}

/**
 * Makes a key slot that seals the 32-byte master key with an AES-256-GCM key inside a PKCS#11 token. The key is generated there by the
 * first `seal` (sensitive, not extractable, private, permanent), or beforehand by an administrator, with these attributes and a CKA_ID.
 * Losing the token or its key loses what is sealed: have a second slot.
 *
 * The token protects the master key at rest. While the store is open the master key is in this process's memory.
 *
 * Calls to the library are synchronous: they block the event loop for as long as the token takes (an unlock is two short series of calls,
 * before and after the PIN is asked for). Use a library from one thread at a time. The PIN is asked for once for each call, or for all calls
 * of `open` with one `signal` until one succeeds; once the token refused it, it is not tried again. It is a string and can't be wiped.
 *
 * Throws `ERR_ARGUMENT` for a wrong option. Calls reject with `signal.reason` (at once while the PIN is asked for), with
 * `ERR_ARGUMENT` (`field`: `module` can't be loaded or isn't PKCS#11, or `pkcs11js` is not installed; `pin` isn't a non-empty string;
 * `token` can't do AES-GCM with an IV that it is given), `ERR_LENGTH` (the master key has not 32 bytes), `ERR_STORE_KEY` (`field`: `token` not
 * found, or several have the label; `pin` wrong, locked, expired, not set or not given; `key` not found, not the one that sealed, or
 * not bound to the token), `ERR_STORE_CORRUPT` or `ERR_STORE_VERSION` (the sealed bytes), or `ERR_STORE_IO` with `cause` (the token failed or is gone).
 *
 * @example
 * const slot = pkcs11Slot({ module: '/usr/lib/softhsm/libsofthsm2.so', token: 'alice', pin: () => askForPin() });
 */
export function pkcs11Slot(options: Pkcs11Options): KeySlot {
  const { module, token, pin, key = 'cyphr' } = options;
  for (const [field, value] of Object.entries({ module, token, key })) {
    if (typeof value !== 'string' || value === '') throw new UsageError('ERR_ARGUMENT', `${field} must be a non-empty string`, { field });
  }
  if (typeof pin !== 'function') throw new UsageError('ERR_ARGUMENT', 'pin must be a function', { field: 'pin' });

  /** Unlocks under way, by signal: a store may hold several slots, or planted ones, and tries one after the other. */
  const attempts = new WeakMap<AbortSignal, Attempt>();

  function attemptOf(signal: AbortSignal | undefined): Attempt {
    const attempt = (signal && attempts.get(signal)) ?? { pin: askPin(pin, signal), refused: undefined };
    if (signal !== undefined) attempts.set(signal, attempt);
    return attempt;
  }

  async function inSession<T>(purpose: 'seal' | 'open', signal: AbortSignal | undefined, use: (session: Session) => T): Promise<T> {
    signal?.throwIfAborted();
    const pkcs11 = await loadPackage();
    // Nobody is asked for a PIN that can't be used.
    inToken(pkcs11, module, token, () => undefined);
    const attempt = purpose === 'open' ? attemptOf(signal) : { pin: askPin(pin, signal), refused: undefined };
    const userPin = await attempt.pin;
    signal?.throwIfAborted();
    if (attempt.refused !== undefined) throw attempt.refused;
    try {
      const write = purpose === 'seal';
      const result = inToken(pkcs11, module, token, (library, slot) => loggedIn(pkcs11, library, slot, write, userPin, use));
      if (signal !== undefined) attempts.delete(signal);
      return result;
    } catch (error) {
      if (error instanceof StoreError && error.field === 'pin') attempt.refused = error;
      throw error;
    }
  }

  return {
    kind: 'pkcs11',

    async seal(masterKey, ad, { signal } = {}) {
      assertBytes(masterKey, 'masterKey');
      assertBytes(ad, 'ad');
      if (masterKey.length !== KEY_BYTES) {
        throw new UsageError('ERR_LENGTH', 'the master key must have 32 bytes', {
          field: 'masterKey',
          got: masterKey.length,
          max: KEY_BYTES,
        });
      }
      return inSession('seal', signal, (session) => {
        const found = findKeys(session, [{ type: session.pkcs11.CKA_LABEL, value: key }]);
        if (found.length > 1) throw keyError('several keys in the token have this label');
        const handle = found[0] ?? generateKey(session, key);
        const id = keyId(session, handle);
        const iv = session.library.C_GenerateRandom(session.handle, Buffer.alloc(IV_BYTES));
        const ciphertext = encrypt(session, handle, iv, ad, masterKey);
        checkSealed(session, handle, iv, ad, masterKey, ciphertext);
        return concat(new Uint8Array([LAYOUT, id.length]), id, iv, ciphertext);
      });
    },

    async open(sealed, ad, { signal } = {}) {
      assertBytes(sealed, 'sealed');
      assertBytes(ad, 'ad');
      const { id, iv, ciphertext } = decodeSealed(sealed);
      return inSession('open', signal, (session) => {
        const found = findKeys(session, [{ type: session.pkcs11.CKA_ID, value: asBuffer(id) }]);
        if (found.length > 1) throw keyError('several keys in the token have the id of the one that sealed');
        if (found[0] === undefined) throw keyError('the key that sealed is not in the token');
        return decrypt(session, found[0], iv, ad, ciphertext);
      });
    },
  };
}

async function loadPackage(): Promise<Package> {
  const { default: pkcs11 } = await (import('pkcs11js') as unknown as Promise<{ default: Package }>).catch((cause: unknown) => {
    throw new UsageError('ERR_ARGUMENT', 'pkcs11Slot needs the package pkcs11js, installed and compiled: npm install pkcs11js', {
      field: 'module',
      cause,
    });
  });
  return pkcs11;
}

async function askPin(pin: Pkcs11Options['pin'], signal: AbortSignal | undefined): Promise<string> {
  const answer: unknown = await askPerson(pin, 'PIN', 'pin', signal);
  // Tokens count an empty PIN as a wrong one.
  if (typeof answer !== 'string' || answer === '')
    throw new UsageError('ERR_ARGUMENT', 'pin must answer a non-empty string', { field: 'pin' });
  return answer;
}

/** Libraries stay loaded: many don't survive being unloaded, and the package unloads what it forgets. */
const libraries = new Map<string, PKCS11>();

function loadLibrary(pkcs11: Package, module: string): PKCS11 {
  let library = libraries.get(module);
  if (library === undefined) {
    library = new pkcs11.PKCS11();
    try {
      library.load(module);
    } catch (cause) {
      throw new UsageError('ERR_ARGUMENT', 'module is not a PKCS#11 library that can be loaded', { field: 'module', cause });
    }
    libraries.set(module, library);
  }
  return library;
}

/** Calls `use` with the initialised library and the slot of the one token with this label. Everything thrown is one of our errors. */
function inToken<T>(pkcs11: Package, module: string, token: string, use: (library: PKCS11, slot: Handle) => T): T {
  const library = loadLibrary(pkcs11, module);
  try {
    const ours = unlessAlready(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED, () => library.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK }));
    try {
      return use(library, findToken(pkcs11, library, token));
    } finally {
      if (ours) quietly(() => library.C_Finalize());
    }
  } catch (error) {
    throw tokenError(pkcs11, error);
  }
}

function findToken(pkcs11: Package, library: PKCS11, label: string): Handle {
  const gone = [pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_DEVICE_REMOVED];
  const found = library.C_GetSlotList(true).filter((slot) => {
    try {
      // Labels are padded with blanks to 32 bytes.
      return library.C_GetTokenInfo(slot).label.trimEnd() === label.trimEnd();
    } catch (error) {
      if (gone.includes(codeOf(error) ?? -1)) return false;
      throw error;
    }
  });
  const [slot] = found;
  if (slot === undefined) throw new StoreError('ERR_STORE_KEY', 'no token has this label', { field: 'token' });
  if (found.length > 1) throw new StoreError('ERR_STORE_KEY', 'several tokens have this label', { field: 'token' });
  if ((library.C_GetTokenInfo(slot).flags & pkcs11.CKF_USER_PIN_LOCKED) !== 0) throw pinError('the PIN is locked');
  return slot;
}

/** Calls `use` in a session of its own; logs in with one try, and out again unless somebody was logged in before. */
function loggedIn<T>(pkcs11: Package, library: PKCS11, slot: Handle, write: boolean, pin: string, use: (session: Session) => T): T {
  const handle = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | (write ? pkcs11.CKF_RW_SESSION : 0));
  try {
    const ours = unlessAlready(pkcs11.CKR_USER_ALREADY_LOGGED_IN, () => library.C_Login(handle, pkcs11.CKU_USER, pin));
    try {
      return use({ pkcs11, library, handle });
    } finally {
      if (ours) quietly(() => library.C_Logout(handle));
    }
  } finally {
    quietly(() => library.C_CloseSession(handle));
  }
}

/** The AES keys with these attributes: none, one, or two for more than one. */
function findKeys({ pkcs11, library, handle }: Session, attributes: Attributes): Handle[] {
  library.C_FindObjectsInit(handle, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    ...(attributes ?? []),
  ]);
  try {
    return library.C_FindObjects(handle, 2);
  } finally {
    quietly(() => library.C_FindObjectsFinal(handle));
  }
}

function generateKey({ pkcs11, library, handle }: Session, label: string): Handle {
  return library.C_GenerateKey(handle, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    { type: pkcs11.CKA_VALUE_LEN, value: KEY_BYTES },
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_ID, value: library.C_GenerateRandom(handle, Buffer.alloc(ID_BYTES)) },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
    { type: pkcs11.CKA_ENCRYPT, value: true },
    { type: pkcs11.CKA_DECRYPT, value: true },
    { type: pkcs11.CKA_WRAP, value: false },
    { type: pkcs11.CKA_UNWRAP, value: false },
  ]);
}

/** The id of a key that may seal: one of 256 bits that was never outside the token. */
function keyId({ pkcs11, library, handle }: Session, key: Handle): Uint8Array {
  const attribute = (type: number): Buffer => library.C_GetAttributeValue(handle, key, [{ type }])[0]!.value;
  const isBound = [pkcs11.CKA_ALWAYS_SENSITIVE, pkcs11.CKA_NEVER_EXTRACTABLE].every((type) => attribute(type)[0] === 1);
  if (!isBound) throw keyError('the key could be, or was, outside the token');
  if (attribute(pkcs11.CKA_VALUE_LEN)[0] !== KEY_BYTES) throw keyError('the key in the token must have 256 bits');
  const id = attribute(pkcs11.CKA_ID);
  if (id.length < 1 || id.length > 255) throw keyError('the key in the token must have an id of 1 to 255 bytes');
  return copy(id);
}

/** Ciphertext and tag, 48 bytes. */
function encrypt({ pkcs11, library, handle }: Session, key: Handle, iv: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  library.C_EncryptInit(handle, gcm(pkcs11, iv, ad), key);
  return copy(library.C_Encrypt(handle, asBuffer(plaintext), Buffer.alloc(KEY_BYTES + TAG_BYTES)));
}

/** The 32 bytes that were sealed. */
function decrypt({ pkcs11, library, handle }: Session, key: Handle, iv: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  // Tokens may ask for as much room as the ciphertext has.
  const room = Buffer.alloc(ciphertext.length);
  library.C_DecryptInit(handle, gcm(pkcs11, iv, ad), key);
  try {
    return copy(library.C_Decrypt(handle, asBuffer(ciphertext), room));
  } catch (error) {
    // PKCS#11 2.40 has no code for a wrong tag: tokens differ, and SoftHSM says CKR_GENERAL_ERROR.
    const wrongTag = [
      pkcs11.CKR_GENERAL_ERROR,
      pkcs11.CKR_ENCRYPTED_DATA_INVALID,
      pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE,
      CKR_AEAD_DECRYPT_FAILED,
    ];
    if (wrongTag.includes(codeOf(error) ?? -1))
      throw keyError('the token’s key does not open this: damaged, or sealed for something else', error);
    throw error;
  } finally {
    wipe(room);
  }
}

/** Of PKCS#11 3.0, which the package doesn't know. */
const CKR_AEAD_DECRYPT_FAILED = 0x42;

/** A token that makes its own IV, as some do, would seal the master key for ever. */
function checkSealed(session: Session, key: Handle, iv: Uint8Array, ad: Uint8Array, masterKey: Uint8Array, ciphertext: Uint8Array): void {
  let opened: Uint8Array | undefined;
  let cause: unknown;
  try {
    opened = decrypt(session, key, iv, ad, ciphertext);
    if (ciphertext.length === KEY_BYTES + TAG_BYTES && equal(opened, masterKey)) return;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    cause = error;
  } finally {
    if (opened !== undefined) wipe(opened);
  }
  throw new UsageError('ERR_ARGUMENT', 'the token does not open what it sealed: it may not take an IV', { field: 'token', cause });
}

/** The 2.40 parameters: the package leaves the length of the IV uninitialised in the others, of the same layout. */
const gcm = (pkcs11: Package, iv: Uint8Array, ad: Uint8Array): Parameters<PKCS11['C_EncryptInit']>[1] => {
  const parameter = {
    type: pkcs11.CK_PARAMS_AES_GCM_v240,
    iv: asBuffer(iv),
    ivBits: 8 * IV_BYTES,
    aad: asBuffer(ad),
    tagBits: 8 * TAG_BYTES,
  };
  return { mechanism: pkcs11.CKM_AES_GCM, parameter };
};

function decodeSealed(sealed: Uint8Array): { id: Uint8Array; iv: Uint8Array; ciphertext: Uint8Array } {
  const [layout = 0, idBytes = 0] = sealed;
  if (layout > LAYOUT) {
    throw new StoreError('ERR_STORE_VERSION', 'the slot was written by a newer layout', { field: 'layout', got: layout, max: LAYOUT });
  }
  if (layout !== LAYOUT || idBytes === 0 || sealed.length !== HEAD_BYTES + idBytes + IV_BYTES + KEY_BYTES + TAG_BYTES) {
    throw new StoreError('ERR_STORE_CORRUPT', 'the slot is damaged');
  }
  const ivAt = HEAD_BYTES + idBytes;
  return {
    id: sealed.subarray(HEAD_BYTES, ivAt),
    iv: sealed.subarray(ivAt, ivAt + IV_BYTES),
    ciphertext: sealed.subarray(ivAt + IV_BYTES),
  };
}

function assertBytes(value: unknown, field: string): void {
  if (!(value instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', `${field} must be a Uint8Array`, { field });
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The CKR code of an error from the package. */
const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && error.name === 'Pkcs11Error' ? (error as Error & { readonly code: number }).code : undefined;

/** Does it and answers true; answers false if the token says that it is done already. */
function unlessAlready(already: number, act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (codeOf(error) === already) return false;
    throw error;
  }
}

/** For what tidies up: its failure must not hide what came before, and what fails here ends with the session or the library. */
function quietly(act: () => void): void {
  try {
    act();
  } catch {}
}

const pinError = (text: string, cause?: unknown): StoreError => new StoreError('ERR_STORE_KEY', text, { field: 'pin', cause });
const keyError = (text: string, cause?: unknown): StoreError => new StoreError('ERR_STORE_KEY', text, { field: 'key', cause });

/** Wraps what the token says, by its code. Our own errors pass. */
function tokenError(pkcs11: Package, error: unknown): CyphrError {
  if (error instanceof CyphrError) return error;
  switch (codeOf(error)) {
    case pkcs11.CKR_PIN_INCORRECT:
    case pkcs11.CKR_PIN_INVALID:
    case pkcs11.CKR_PIN_LEN_RANGE:
      return pinError('the PIN is wrong', error);
    case pkcs11.CKR_PIN_LOCKED:
      return pinError('the PIN is locked', error);
    case pkcs11.CKR_PIN_EXPIRED:
      return pinError('the PIN has expired', error);
    case pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
      return pinError('the token has no user PIN', error);
    case pkcs11.CKR_MECHANISM_INVALID:
    case pkcs11.CKR_MECHANISM_PARAM_INVALID:
    case pkcs11.CKR_FUNCTION_NOT_SUPPORTED:
      return new UsageError('ERR_ARGUMENT', 'the token can’t do AES-256-GCM', { field: 'token', cause: error });
    default:
      return new StoreError('ERR_STORE_IO', 'the token failed', { cause: error });
  }
}
