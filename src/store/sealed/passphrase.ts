/** A key slot for a passphrase: Argon2id, off the main thread where that is possible. */

import { concat, encodeUtf8, u32, wipe } from '../../bytes.js';
import type { Argon2Cost } from '../../crypto/passphrase.js';
import { StoreError, UsageError } from '../../errors.js';
import { reader } from '../../wire/codec.js';
import { type Answer, askPerson } from '../ask.js';
import type { KeySlot } from '../port.js';
import { deriveKey } from './argon2.js';
import { corrupt } from './layout.js';
import { random } from './random.js';
import { BOX_BYTES, openBox, sealBox } from './raw-key.js';
import { wrongKey } from './slots.js';

/** Asks a person: `create` for a new passphrase (ask twice), `unlock` for the one that was set. `null` or `undefined`: they cancelled. */
export type AskPassphrase = (purpose: 'create' | 'unlock') => Answer | Promise<Answer>;

/** RFC 9106's second recommendation with one lane: about 2.6 s and 64 MiB in a browser. */
export const DEFAULT_COST: Argon2Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 1 };
/** OWASP's least. A slot that claims less was not made by this library. */
export const FLOOR_COST: Argon2Cost = { memoryKiB: 19 * 1024, passes: 2, lanes: 1 };
/** A slot that claims more would only make us spend the memory and time. */
const CEILING_COST: Argon2Cost = { memoryKiB: 256 * 1024, passes: 10, lanes: 4 };
/** Memory times passes is what takes the time: at most four times what our own slots cost. */
const CEILING_WORK = 4 * workOf(DEFAULT_COST);

const FORMAT = 1;
const SALT_BYTES = 16;
/** format u8 ‖ memoryKiB u32 ‖ passes u32 ‖ lanes u32 ‖ salt 16, authenticated with the box behind it. */
const HEADER_BYTES = 13 + SALT_BYTES;

/**
 * A slot that opens with a passphrase, which `ask` gets from a person. It is taken in NFC, so that keyboards that compose differently give
 * the same key. Argon2id runs in a worker where one can be started, else in slices on this thread; `progress` gets fractions from 0 to 1.
 *
 * A person who cancels (`ask` answers `null` or `undefined`, or rejects: then with `cause`) is `ERR_STORE_KEY`. An empty passphrase, or one
 * with unpaired surrogates, is `ERR_ARGUMENT` (`field: 'passphrase'`) for `create`, and simply wrong for `unlock`. Stored costs outside of
 * 19–256 MiB, 2–10 passes, 1–4 lanes, or above 768 MiB times passes, are `ERR_STORE_CORRUPT` before any work is done. Throws `ERR_ARGUMENT`
 * unless `ask` is a function.
 *
 * @example
 * const slot = passphraseSlot((purpose) => prompt(purpose === 'create' ? 'Choose a passphrase' : 'Your passphrase'));
 */
export function passphraseSlot(
  ask: AskPassphrase,
  options: { readonly progress?: ((fraction: number) => void) | undefined } = {},
): KeySlot {
  return passphraseSlotWith(DEFAULT_COST, FLOOR_COST, ask, options.progress);
}

/** `passphraseSlot` with a cost of the caller's: not exported from the package. */
export function passphraseSlotWith(
  cost: Argon2Cost,
  floor: Argon2Cost,
  ask: AskPassphrase,
  progress: (fraction: number) => void = () => {},
): KeySlot {
  if (typeof ask !== 'function') throw new UsageError('ERR_ARGUMENT', 'ask must be a function', { field: 'ask' });
  if (typeof progress !== 'function') throw new UsageError('ERR_ARGUMENT', 'progress must be a function', { field: 'progress' });
  /** What was answered in one attempt to unlock: several slots cost one question. */
  const answers = new WeakMap<AbortSignal, Promise<string>>();

  function askOnce(signal: AbortSignal | undefined): Promise<string> {
    const answer = (signal && answers.get(signal)) ?? askPerson(() => ask('unlock'), 'passphrase', 'key', signal);
    if (signal !== undefined) answers.set(signal, answer);
    return answer;
  }

  return {
    kind: 'passphrase',

    async seal(masterKey, ad, { signal } = {}) {
      const passphrase = passphraseBytes(await askPerson(() => ask('create'), 'passphrase', 'key', signal));
      if (passphrase === undefined) {
        throw new UsageError('ERR_ARGUMENT', 'the passphrase must be a string that is not empty', { field: 'passphrase' });
      }
      const salt = random(SALT_BYTES);
      const header = concat(new Uint8Array([FORMAT]), u32(cost.memoryKiB), u32(cost.passes), u32(cost.lanes), salt);
      const kek = await deriveKey({ passphrase, salt, cost }, progress, signal);
      const box = sealBox(kek, masterKey, ad, header);
      wipe(kek);
      return concat(header, box);
    },

    async open(sealed, ad, { signal } = {}) {
      const { header, salt, stored } = decodeHeader(sealed, floor);
      const passphrase = passphraseBytes(await askOnce(signal));
      if (passphrase === undefined) throw wrongKey();
      const kek = await deriveKey({ passphrase, salt, cost: stored }, progress, signal);
      try {
        return openBox(kek, sealed.subarray(HEADER_BYTES), ad, header);
      } finally {
        wipe(kek);
      }
    },
  };
}

function decodeHeader(
  sealed: Uint8Array,
  floor: Argon2Cost,
): { readonly header: Uint8Array; readonly salt: Uint8Array; readonly stored: Argon2Cost } {
  if (sealed.length !== HEADER_BYTES + BOX_BYTES) throw corrupt('slot');
  const header = sealed.slice(0, HEADER_BYTES);
  const from = reader(header);
  const format = from.u8();
  if (format !== FORMAT) {
    throw new StoreError('ERR_STORE_VERSION', 'the slot was made by a newer version', { field: 'slot', got: format, max: FORMAT });
  }
  const stored = { memoryKiB: from.u32(), passes: from.u32(), lanes: from.u32() };
  for (const name of ['memoryKiB', 'passes', 'lanes'] as const) {
    if (stored[name] < floor[name] || stored[name] > CEILING_COST[name]) throw corrupt('slot');
  }
  if (workOf(stored) > CEILING_WORK) throw corrupt('slot');
  return { header, salt: from.bytes(SALT_BYTES), stored };
}

/** KiB that a derivation fills, all passes together. */
function workOf({ memoryKiB, passes }: Argon2Cost): number {
  return memoryKiB * passes;
}

/** UTF-8 of the passphrase in NFC; `undefined` for what is none. */
function passphraseBytes(passphrase: unknown): Uint8Array | undefined {
  return typeof passphrase === 'string' && passphrase !== '' ? encodeUtf8(passphrase.normalize('NFC')) : undefined;
}
