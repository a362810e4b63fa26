/**
 * Encryption at rest, as a decorator of any store: everything that reaches the base store is encrypted, names too.
 *
 * This file knows lifetimes and order: one task at a time, unlocked once, wiped at the end. Layouts and keys stand in
 * `sealed/layout.ts`, what holds the set of records together in `sealed/vault.ts`, how a store is unlocked in `sealed/unlock.ts`.
 */

import { copy, equal, wipe } from '../bytes.js';
import { sha256 } from '../crypto/suite.js';
import { StoreError, UsageError } from '../errors.js';
import { type CheckedWrite, checkKeys, checkRange, checkWrites, decodeKey, type EncodedKey } from './keys.js';
import type { ErasureReport, KeySlot, Store } from './port.js';
import { eraseRows } from './sealed/erase.js';
import { corrupt, decodeSlot, MASTER_KEY_BYTES, masterKeys } from './sealed/layout.js';
import { random } from './sealed/random.js';
import { checkSlot, MAX_SLOTS, type NewSlot, readSlots, sealSlot } from './sealed/slots.js';
import { NEVER_ALONE, type PlainRecords, rewriteRetired, unlock } from './sealed/unlock.js';
import type { Choose, FoundRecord, Vault } from './sealed/vault.js';

export { type PasskeyOptions, passkeySlot } from './sealed/passkey.js';
export { type AskPassphrase, passphraseSlot } from './sealed/passphrase.js';
export { rawKeySlot } from './sealed/raw-key.js';

/** How often a call is tried again because other handles change the master key or commit. */
const MAX_ATTEMPTS = 10;

/** A store whose records are encrypted, with the slots that unlock it. */
export interface SealedStore extends Store {
  /**
   * Adds a slot, which from now on unlocks the store too, and answers its id, 32 hexadecimal digits. No record is rewritten. Throws
   * `ERR_ARGUMENT` for what is no slot and above 16 slots, `ERR_STORE_CONFLICT` if the key was rotated meanwhile, and what the slot throws.
   */
  addSlot(slot: KeySlot): Promise<string>;
  /**
   * Removes a slot. Throws `ERR_ARGUMENT` (`field: 'id'`) if there is none of this id, or if what stays could be lost: at least one
   * slot stays that is no passkey. From now on the slot's key opens nothing here. It still opens a copy of the store from before, and
   * whoever opens such a copy has the master key, and with it what is written until `rotateKey`.
   */
  removeSlot(id: string): Promise<void>;
  /**
   * The slots that there are, without unlocking anything, e.g. to choose what to ask for. Until the store is unlocked this is what
   * the base says. Throws `ERR_STORE_CORRUPT` for damaged rows and, once unlocked, for rows that were removed or planted
   * (`removeSlot` takes them away).
   */
  slots(): Promise<readonly { readonly id: string; readonly kind: string }[]>;
  /**
   * Draws a new master key and rewrites every record under it, in batches; after a crash the next unlocking goes on. It protects once it
   * has resolved: until then records still lie under the old key. Every slot must seal the new key, so this handle must hold them all: the
   * one it was opened with, and those it added (a passphrase is asked for with `create`). Throws `ERR_ARGUMENT` (`field: 'slot'`) if there
   * are others (remove them first, add them again afterwards), `ERR_STORE_CONFLICT` if slots changed meanwhile.
   */
  rotateKey(): Promise<void>;
  erase(): Promise<ErasureReport>;
}

/**
 * Encrypts what `store` holds. It is unlocked with `key` by the first call; calls made meanwhile share that attempt. After a failed one
 * nothing is written and the next call tries again. An empty `store` becomes a new sealed store that opens with `key`.
 *
 * `plainRecords` says what happens to a client's records that were written before the store was sealed: `refuse` (the default) rejects with
 * `ERR_STORE_KEY` and leaves them alone, `seal` encrypts them all before the first call is answered, and no plain one stays. The disk may
 * keep what was overwritten. Beside sealed records no plain one is taken in. But who writes the disk can remove all sealed rows and plant
 * plain ones, and `seal` would found a new store on them: pass it for the one migration, then drop it.
 *
 * The base must not be written past this store. Several handles over one base may be open; each sees the others' commits.
 * A copy of the whole base, put back later, is not seen here: the client finds it by its login.
 *
 * Calls reject as the port says, and with `ERR_STORE_KEY` (`field`: `key` wrong key or cancelled, with `cause`; `slot` no slot of this kind
 * is left; `plainRecords`), `ERR_STORE_CORRUPT` (a record, the head or a slot is not what was written; records are never silently dropped),
 * `ERR_STORE_VERSION`, `ERR_STORE_LOCKED` (others commit without pause), and whatever the slot and `store` throw.
 *
 * @example
 * const store = sealedStore(memoryStore(), rawKeySlot(crypto.getRandomValues(new Uint8Array(32))));
 */
export function sealedStore(store: Store, key: KeySlot, options: { readonly plainRecords?: PlainRecords | undefined } = {}): SealedStore {
  if (typeof store?.commit !== 'function') throw new UsageError('ERR_ARGUMENT', 'store must be a store', { field: 'store' });
  checkSlot(key, 'key');
  const plain = options.plainRecords ?? 'refuse';
  if (plain !== 'refuse' && plain !== 'seal') {
    throw new UsageError('ERR_ARGUMENT', 'plainRecords must be refuse or seal', { field: 'plainRecords' });
  }
  const base = store;
  /** The slots at hand, by the id of their row. */
  const held = new Map<string, KeySlot>();
  let vault: Vault | undefined;
  let opening: Promise<Vault> | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let closing: Promise<unknown> | undefined;
  let ending = new AbortController();

  const closed = (): UsageError => new UsageError('ERR_CLOSED', 'the store is closed');
  const assertOpen = (): void => {
    if (closing !== undefined) throw closed();
  };

  /** The open vault, or the attempt to open it that is under way, or a new one. */
  function open(): Promise<Vault> {
    opening ??= unlock(base, key, plain, ending.signal).then(
      (unlocked) => {
        held.set(unlocked.slotId, key);
        vault = unlocked.vault;
        return vault;
      },
      (error: unknown) => {
        opening = undefined;
        throw ending.signal.aborted ? closed() : error;
      },
    );
    return opening;
  }

  function lock(): void {
    vault?.wipe();
    vault = undefined;
    opening = undefined;
  }

  /** Runs `task` on the open vault after all earlier tasks; again if another handle has changed the master key meanwhile. */
  function exclusive<T>(task: (vault: Vault) => Promise<T>): Promise<T> {
    assertOpen();
    const opened = open();
    opened.catch(() => {});
    const run = tail.then(async () => {
      await opened;
      for (let attempt = 1; ; attempt++) {
        const current = await open();
        try {
          return await task(current);
        } catch (error) {
          if (!current.isSuperseded() || attempt === MAX_ATTEMPTS) throw error;
          lock();
        }
      }
    });
    tail = run.catch(() => {});
    return run;
  }

  // Beside a running commit where that works; else in line.
  const readRecords = async (choose: Choose): Promise<(FoundRecord | undefined)[]> =>
    (await vault?.tryRead(choose)) ?? exclusive((current) => current.read(choose));

  const commitChecked = (writes: readonly CheckedWrite[]): Promise<void> =>
    exclusive((current) =>
      current.commit(async () => {
        const conflicts = (): boolean => writes.some((each) => each.ifRev !== undefined && each.ifRev !== revOf(current, each.key));
        // Only what the base holds now can conflict.
        if (conflicts() && !((await current.refresh()) && !conflicts())) {
          throw new StoreError('ERR_STORE_CONFLICT', 'a record changed since it was read');
        }
        return { changes: writes };
      }),
    ).finally(() => {
      for (const { value } of writes) if (value !== null) wipe(value);
    });

  return {
    ...(base.shared === undefined ? {} : { shared: base.shared }),

    async read(keys) {
      assertOpen();
      const wanted = checkKeys(keys);
      const records = await readRecords(() => wanted);
      return records.map((record) => record && { value: record.value, rev: record.rev });
    },

    async list(prefix, limit, after) {
      assertOpen();
      const range = checkRange(prefix, limit, after);
      const records = await readRecords((contents) => contents.keys(range, limit));
      return records.map((record) => ({ key: decodeKey(record!.key)!, value: record!.value, rev: record!.rev }));
    },

    async commit(writes) {
      assertOpen();
      const checked = checkWrites(writes);
      if (checked.length > 0) await commitChecked(checked);
    },

    async addSlot(slot) {
      assertOpen();
      checkSlot(slot, 'slot');
      // Sealing may ask a person: other calls go on meanwhile.
      const before = await exclusive(async (current) => {
        await current.refresh();
        return { storeId: current.storeId, version: current.keys().version, masterKey: copy(current.keys().masterKey) };
      });
      try {
        const added = await sealSlot(slot, before.masterKey, before.storeId, ending.signal);
        await exclusive((current) =>
          current.commit(() => {
            if (current.keys().version !== before.version) throw changedMeanwhile();
            if (current.head().slots.size >= MAX_SLOTS) throw refuse('slot', 'one of at most 16: remove another first');
            return { slots: new Map([[added.id, added]]) };
          }),
        );
        held.set(added.id, slot);
        return added.id;
      } finally {
        wipe(before.masterKey);
      }
    },

    async removeSlot(id) {
      assertOpen();
      await exclusive((current) =>
        current.commit(async () => {
          const rows = await current.steady(() => readSlots(base));
          const listed = current.head().slots;
          if (!listed.has(id) && !rows.has(id)) throw refuse('id', 'the id of a slot');
          const stays = [...rows].some(
            ([other, row]) => other !== id && isSlot(row, listed.get(other)) && !NEVER_ALONE.has(decodeSlot(row).kind),
          );
          if (!stays) throw refuse('id', 'not the last slot that is no passkey: nothing else would be sure to open the store');
          return { slots: new Map([[id, null]]) };
        }),
      );
      held.delete(id);
    },

    async slots() {
      assertOpen();
      const { rows, listed } =
        opening === undefined
          ? { rows: await readSlots(base) }
          : await exclusive(async (current) => ({ rows: await current.steady(() => readSlots(base)), listed: current.head().slots }));
      for (const id of new Set([...rows.keys(), ...(listed?.keys() ?? [])])) {
        const row = rows.get(id);
        if (row === undefined || (listed !== undefined && !isSlot(row, listed.get(id)))) throw corrupt(`slot ${id}`);
      }
      return [...rows].map(([id, row]) => ({ id, kind: decodeSlot(row, `slot ${id}`).kind }));
    },

    async rotateKey() {
      assertOpen();
      const before = await exclusive(async (current) => {
        await current.refresh();
        return { storeId: current.storeId, version: current.keys().version, ids: [...current.head().slots.keys()] };
      });
      if (before.ids.some((id) => !held.has(id))) {
        throw refuse('slot', 'at hand for each stored slot: remove those that this handle was not opened with and did not add');
      }
      const masterKey = random(MASTER_KEY_BYTES);
      const next = masterKeys(masterKey, before.version + 1);
      try {
        const slots = new Map<string, NewSlot>();
        for (const id of before.ids) slots.set(id, await sealSlot(held.get(id)!, masterKey, before.storeId, ending.signal, id));
        await exclusive(async (current) => {
          await current.commit(() => {
            const ids = [...current.head().slots.keys()];
            if (current.keys().version !== before.version || ids.join() !== before.ids.join()) throw changedMeanwhile();
            return { keys: next, slots };
          });
          await rewriteRetired(current);
        });
      } finally {
        if (vault?.keys() !== next) next.wipe();
      }
    },

    close() {
      closing ??= (async () => {
        ending.abort(closed());
        await tail;
        lock();
        await base.close();
      })();
      return closing.then(() => {});
    },

    async erase() {
      assertOpen();
      ending.abort(closed());
      const erasing = tail.then(() => {
        lock();
        return eraseRows(base);
      });
      closing = erasing;
      try {
        return await erasing;
      } catch (error) {
        // Not all is gone: the caller may try again.
        closing = undefined;
        ending = new AbortController();
        throw error;
      }
    },
  };
}

const refuse = (field: string, expected: string): UsageError => new UsageError('ERR_ARGUMENT', `${field} must be ${expected}`, { field });
const changedMeanwhile = (): StoreError => new StoreError('ERR_STORE_CONFLICT', 'the slots or the master key changed meanwhile');
const revOf = (vault: Vault, key: EncodedKey): number => vault.contents().get(key)?.generation ?? 0;
const isSlot = (row: Uint8Array, digest: Uint8Array | undefined): boolean => digest !== undefined && equal(sha256(row), digest);
