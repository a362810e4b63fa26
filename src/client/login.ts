/**
 * This device's proof of itself, and how a store learns that it was restored or copied.
 *
 * Two rules. A proof whose generation is ahead of the store was made by a store that has been further. A proof that this store does not
 * know was made by a copy of it, even if the copy stands behind: every proof is committed before it leaves, as 16 bytes of its hash.
 * A service returns the last proof that it was given, so that those before a recognised one are forgotten. It may return the telling one
 * once only: what was found is kept in the store, and halts every later run too.
 */

import { copy, equal } from '../bytes.js';
import { sha256 } from '../crypto/suite.js';
import { StoreError } from '../errors.js';
import { type DeviceSecrets, proveLogin, readOwnLogin } from '../identity/index.js';
import type { Rng } from '../step.js';
import type { Login } from '../transport/port.js';
import type { Database } from './database.js';
import type { Life } from './life.js';
import { mutex } from './platform.js';
import { keys, loginRecord, metaRecord, verdictRecord } from './records.js';

/** Proofs that are remembered at most, for one audience: that many logins in a row went unanswered. */
const REMEMBERED_MAX = 64;

/** Why a device must not go on with its store, in words. */
const REASONS = {
  copied: 'this store was restored or copied: its device has logged in elsewhere',
  replaced: 'another device has taken the place of this one',
  removed: 'this device was removed from its account: erase() it; another one may link it again',
} as const;

function verdict(reason: keyof typeof REASONS, got: number, max: number): StoreError {
  const isRemoved = reason === 'removed';
  return new StoreError('ERR_STORE_ROLLBACK', REASONS[reason], { got, max, ...(isRemoved ? { field: 'device' } : {}) });
}

/** What halted an earlier run of this device for good. Only a recovery takes it back. */
export async function verdictIn(db: Database): Promise<StoreError | undefined> {
  const row = await db.read(keys.verdict);
  if (row === undefined) return undefined;
  const { reason, got, max } = verdictRecord.decode(row);
  return verdict(reason === 'replaced' || reason === 'removed' ? reason : 'copied', got, max);
}

/** Halts the client, now and whenever it is opened again: what proved it may not be shown a second time. */
export async function haltForGood(db: Database, life: Life, reason: keyof typeof REASONS, got: number, max: number): Promise<void> {
  // Where another engine has written meanwhile, this one is only behind, and the conflict says so.
  await db.commit([{ key: keys.verdict, value: verdictRecord.encode({ reason, got, max }) }]).catch(() => {});
  life.halt(verdict(reason, got, max));
}

interface Made {
  readonly generation: number;
  readonly hash: Uint8Array;
}

/** The login of `device()`. */
export function deviceLogin(device: () => DeviceSecrets, db: Database, life: Life, rng: Rng): Login {
  const { account, device: id } = device();
  const alone = mutex();

  /** What is known of the proofs for `audience`; `undefined` before the device is registered. */
  const load = async (audience: string): Promise<{ floor: number; made: readonly Made[] } | undefined> => {
    const meta = await db.read(keys.meta);
    if (meta === undefined) return undefined;
    const row = await db.read(keys.login(audience));
    if (row === undefined) return { floor: metaRecord.decode(meta).loginsSince, made: [] };
    return loginRecord.decode(row) as unknown as { floor: number; made: readonly Made[] };
  };
  const hashOf = (proof: Uint8Array): Uint8Array => sha256(proof).slice(0, 16);

  return {
    address: { account, device: id },
    prove: ({ audience, nonce, lastProof }) =>
      alone('prove', async () => {
        life.assertOpen();
        const last = lastProof === undefined ? undefined : readOwnLogin(device(), lastProof);
        const isOfStore = last !== undefined && equal(last.storeId, db.storeId);
        // A service of several names returns what it was given under any of them.
        const judged = isOfStore ? await load(last.audience) : undefined;
        const own = judged?.made.find(({ hash }) => equal(hash, hashOf(lastProof!)));
        const isOther = isOfStore && judged !== undefined && own === undefined && last.generation >= judged.floor;
        if (isOfStore && (isOther || last.generation > db.generation())) {
          await haltForGood(db, life, 'copied', db.generation(), last.generation);
        }
        life.assertOpen();
        // Before the rows: a proof is never of a later generation than what is known of it.
        const generation = db.generation();
        const known = await load(audience);
        const proof = proveLogin(device(), { audience, nonce, storeId: db.storeId, generation }, rng);
        if (known !== undefined) {
          const confirmed = last?.audience === audience ? own : undefined;
          const kept = confirmed === undefined ? known.made : known.made.filter((made) => made.generation >= confirmed.generation);
          const made = [...kept, { generation, hash: hashOf(proof) }].slice(-REMEMBERED_MAX);
          // What is forgotten, here or by a full list, can't be judged any more.
          const floor = made.length === known.made.length + 1 ? known.floor : made[0]!.generation;
          await db.commit([{ key: keys.login(audience), value: loginRecord.encode({ floor, made }) }]);
        }
        return copy(proof);
      }),
  };
}
