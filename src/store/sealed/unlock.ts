/**
 * From a base store and a key slot to an open vault: founding a new store, unlocking one, and finishing what a crash interrupted.
 *
 * Nothing is written before the slot has opened, and what is then written is one commit at a time, each of which leaves a store that
 * can be unlocked.
 */

import { equal, wipe } from '../../bytes.js';
import { StoreError, UsageError } from '../../errors.js';
import { type EncodedKey, encodeKey } from '../keys.js';
import type { KeySlot, Store } from '../port.js';
import { corrupt, decodeHeadClear, HEAD, MASTER_KEY_BYTES, masterKeys, RECORDS, SLOTS, STORE_ID_BYTES } from './layout.js';
import { listPlain } from './plain.js';
import { random } from './random.js';
import { openSlot, readSlots, sealSlot } from './slots.js';
import { type FoundRecord, type Vault, vault } from './vault.js';

/** Records rewritten in one commit. */
const BATCH = 128;
/** How often unlocking starts over because others found the store, or rotate its key. */
const MAX_ATTEMPTS = 10;

/** Kinds of slot that are lost with a device or an account elsewhere: a store must not hang on them alone. */
export const NEVER_ALONE: ReadonlySet<string> = new Set(['passkey']);

/** What a store may do with plain records that it finds. */
export type PlainRecords = 'refuse' | 'seal';

/** An open vault, and the id of the slot that opened it. */
export interface Unlocked {
  readonly vault: Vault;
  readonly slotId: string;
}

/**
 * Unlocks the store in `base`, or founds one in an empty base. Throws what `openSlot` and `Vault.refresh` throw; `ERR_STORE_KEY`
 * (`field: 'plainRecords'`) for plain records that must not be sealed; `ERR_STORE_VERSION`.
 */
export async function unlock(base: Store, slot: KeySlot, plain: PlainRecords, signal: AbortSignal): Promise<Unlocked> {
  for (let attempt = 1; ; attempt++) {
    // Before the head is read: whoever founds the store meanwhile writes the head first.
    const leftovers = [...(await base.list(RECORDS, 1)), ...(await base.list(SLOTS, 1))];
    const [row] = await base.read([HEAD]);
    if (row === undefined && leftovers.length > 0) throw corrupt('head');
    const { opened, enter } = row === undefined ? await newVault(base, slot, plain) : await oldVault(base, slot, row.value, signal);
    try {
      const slotId = await enter(signal);
      await finish(base, opened);
      return { vault: opened, slotId };
    } catch (error) {
      opened.wipe();
      if (!opened.isSuperseded() || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** A vault, and what makes it one over this base; that answers the id of the slot. */
interface Door {
  readonly opened: Vault;
  enter(signal: AbortSignal): Promise<string>;
}

async function oldVault(base: Store, slot: KeySlot, head: Uint8Array, signal: AbortSignal): Promise<Door> {
  const { storeId, version } = decodeHeadClear(head);
  const { masterKey, id, digest } = await openSlot(slot, await readSlots(base), storeId, signal);
  const opened = vault(base, storeId, masterKeys(masterKey, version));
  return {
    opened,
    async enter() {
      await opened.refresh();
      const listed = opened.head().slots.get(id);
      if (listed === undefined) throw new StoreError('ERR_STORE_KEY', 'this slot was removed', { field: 'slot' });
      if (!equal(listed, digest)) throw corrupt('slot');
      return id;
    },
  };
}

async function newVault(base: Store, slot: KeySlot, plain: PlainRecords): Promise<Door> {
  const isPlain = (await listPlain(base, 1)).length > 0;
  if (isPlain && plain === 'refuse') {
    throw new StoreError('ERR_STORE_KEY', 'the store holds plain records: plainRecords says whether to seal them', {
      field: 'plainRecords',
    });
  }
  if (NEVER_ALONE.has(slot.kind)) {
    throw new UsageError('ERR_ARGUMENT', `a ${slot.kind} can be lost: found the store with another slot, then add it`, { field: 'key' });
  }
  const opened = vault(base, random(STORE_ID_BYTES), masterKeys(random(MASTER_KEY_BYTES), 1));
  return {
    opened,
    async enter(signal) {
      const first = await sealSlot(slot, opened.keys().masterKey, opened.storeId, signal);
      await opened.commit(() => ({ slots: new Map([[first.id, first]]), sealing: isPlain }));
      return first.id;
    },
  };
}

/** Goes on with what a crash may have interrupted. */
async function finish(base: Store, opened: Vault): Promise<void> {
  await rewriteRetired(opened);
  const [plain] = await listPlain(base, 1);
  if (opened.head().sealing) await sealPlain(base, opened);
  // Once all are sealed, no other may come in: whoever can write to the disk could plant them.
  else if (plain !== undefined) throw corrupt('plain records beside sealed ones');
}

/** Moves plain records into the vault, batch by batch: each is sealed and removed by the same commit. */
async function sealPlain(base: Store, opened: Vault): Promise<void> {
  while (opened.head().sealing) {
    await opened.commit(async () => {
      const records = await listPlain(base, BATCH);
      const changes = records.map(({ key, value }) => ({ key: encodeKey(key, 'key'), value }));
      if (changes.some(({ key }) => opened.contents().get(key) !== undefined)) throw corrupt('plain records beside sealed ones');
      return {
        changes,
        sealing: records.length > 0,
        // The first rev of a sealed record is greater than any that it had.
        leastCounter: Math.max(0, ...records.map(({ rev }) => rev + 1)),
        extra: records.map(({ key, rev }) => ({ key, value: null, ifRev: rev })),
      };
    });
  }
}

/** Rewrites the records that lie under earlier master keys, batch by batch, and forgets those keys with the last one. */
export async function rewriteRetired(opened: Vault): Promise<void> {
  while (opened.head().retired.length > 0) {
    let records: readonly FoundRecord[] = [];
    await opened.commit(async () => {
      const { version } = opened.keys();
      const old = (): EncodedKey[] =>
        [...opened.contents().entries()].filter(([, record]) => record.version !== version).map(([key]) => key);
      records = (await opened.read(() => old().slice(0, BATCH))).map((record) => record!);
      const changes = records.map(({ key, value, rev }) => ({ key, value, generation: rev }));
      return { changes, ...(old().length === changes.length && { isRotated: true as const }) };
    });
    wipe(...records.map(({ value }) => value));
  }
}
