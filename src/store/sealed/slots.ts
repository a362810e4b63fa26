/**
 * Key slots in their rows: sealing the master key into a slot, and finding the slot that opens.
 *
 * A row holds the kind, a commitment to the master key, and the slot's own bytes, in which its parameters travel. The head lists the
 * digest of every row, so that a slot that was removed stays removed even if its row is put back.
 */

import { encodeUtf8, equal, wipe } from '../../bytes.js';
import { sha256 } from '../../crypto/suite.js';
import { type CyphrError, isCyphrError, StoreError, UsageError } from '../../errors.js';
import type { KeySlot, Store } from '../port.js';
import { commitTo, corrupt, decodeSlot, encodeSlot, kindOf, MASTER_KEY_BYTES, newSlotId, SLOTS, slotAd } from './layout.js';

/** Slots of one store. Each slot of a kind may cost a derivation of a passphrase when the store is unlocked: more rows were planted. */
export const MAX_SLOTS = 16;
const MAX_KIND_BYTES = 64;
const MAX_SEALED_BYTES = 0xffff;

/** A slot's row, ready to be written. */
export interface NewSlot {
  readonly id: string;
  readonly row: Uint8Array;
  readonly digest: Uint8Array;
}

/** Checks what a caller gave as a slot. Throws `ERR_ARGUMENT`. */
export function checkSlot(slot: KeySlot, field: string): void {
  const bytes = typeof slot?.kind === 'string' ? encodeUtf8(slot.kind) : undefined;
  if (bytes === undefined || bytes.length < 1 || bytes.length > MAX_KIND_BYTES || !slot.seal || !slot.open) {
    throw new UsageError('ERR_ARGUMENT', `${field} must be a key slot with a kind of 1 to ${MAX_KIND_BYTES} bytes`, { field });
  }
}

/** Seals `masterKey`, which is lent, into `slot`, under `id` or a fresh one. Throws what the slot throws, as `slotError` says. */
export async function sealSlot(
  slot: KeySlot,
  masterKey: Uint8Array,
  storeId: Uint8Array,
  signal: AbortSignal,
  id = newSlotId(),
): Promise<NewSlot> {
  const ad = slotAd(storeId, id, slot.kind);
  const lent = masterKey.slice();
  try {
    const sealed = await slot.seal(lent, ad, { signal });
    if (!(sealed instanceof Uint8Array) || sealed.length > MAX_SEALED_BYTES) {
      throw new UsageError('ERR_LENGTH', 'a slot must seal the key into a Uint8Array', { field: 'slot', max: MAX_SEALED_BYTES });
    }
    const row = encodeSlot({ kind: slot.kind, commitment: commitTo(masterKey, ad), sealed });
    return { id, row, digest: sha256(row) };
  } catch (error) {
    throw slotError(error);
  } finally {
    wipe(lent);
  }
}

/** The rows below SLOTS, by id. */
export async function readSlots(base: Store): Promise<Map<string, Uint8Array>> {
  const rows = await base.list(SLOTS, 4 * MAX_SLOTS);
  return new Map(rows.map(({ key, value }) => [key.slice(SLOTS.length).join('/'), value]));
}

/** A master key, which the caller owns, and the row that gave it. */
export interface OpenedSlot {
  readonly masterKey: Uint8Array;
  readonly id: string;
  readonly digest: Uint8Array;
}

/**
 * Tries `slot` on each stored slot of its kind. Throws `ERR_STORE_KEY` (`field`: `slot` where there is none of the kind, else `key`),
 * `ERR_STORE_CORRUPT` or `ERR_STORE_VERSION` if none opens and one can't be read, and at once what isn't about one slot (`ERR_ARGUMENT`,
 * `ERR_STORE_CORRUPT` for more rows than a store has slots).
 */
export async function openSlot(
  slot: KeySlot,
  rows: ReadonlyMap<string, Uint8Array>,
  storeId: Uint8Array,
  signal: AbortSignal,
): Promise<OpenedSlot> {
  // A signal for this attempt alone: by it a slot knows whether it has asked, and the next attempt asks again.
  const attempt = new AbortController();
  const end = (): void => attempt.abort(signal.reason);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await tryRows(slot, rows, storeId, attempt.signal);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

async function tryRows(
  slot: KeySlot,
  rows: ReadonlyMap<string, Uint8Array>,
  storeId: Uint8Array,
  signal: AbortSignal,
): Promise<OpenedSlot> {
  if (rows.size === 0) throw corrupt('no slot is left');
  if (rows.size > MAX_SLOTS) throw corrupt('slots');
  const failures: CyphrError[] = [];
  let elsewhere: CyphrError | undefined;
  for (const [id, row] of rows) {
    try {
      const { kind, commitment, sealed } = decodeSlot(row);
      if (kind !== slot.kind) continue;
      const ad = slotAd(storeId, id, kind);
      const masterKey = await slot.open(sealed, ad, { signal });
      const isKey = masterKey instanceof Uint8Array && masterKey.length === MASTER_KEY_BYTES;
      if (isKey && equal(commitTo(masterKey, ad), commitment)) return { masterKey, id, digest: sha256(row) };
      if (isKey) wipe(masterKey);
      failures.push(wrongKey());
    } catch (caught) {
      const error = slotError(caught);
      if (!ABOUT_ONE_SLOT.includes(error.code)) throw error;
      if ((kindOf(row) ?? slot.kind) === slot.kind) failures.push(error);
      else elsewhere = error;
    }
  }
  // What can't be read says more than a key that doesn't fit: it may be why. A damaged slot of another kind says nothing about this key.
  const unreadable = failures.find(({ code }) => code !== 'ERR_STORE_KEY');
  throw unreadable ?? failures[0] ?? elsewhere ?? new StoreError('ERR_STORE_KEY', 'the store has no slot of this kind', { field: 'slot' });
}

/** Codes after which the next slot is tried. */
const ABOUT_ONE_SLOT: readonly string[] = ['ERR_STORE_KEY', 'ERR_STORE_CORRUPT', 'ERR_STORE_VERSION'];

/** Our errors pass; anything else that a slot throws means that it did not give the key. */
function slotError(error: unknown): CyphrError {
  return isCyphrError(error) ? error : wrongKey(error);
}

/** The one error for a slot that doesn't open. */
export function wrongKey(cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_KEY', 'the slot does not open: wrong key, or cancelled', { field: 'key', cause });
}
