/** A base store under `sealedStore`, as `test-vectors/sealed-store-v<format>.json` holds it. */

import { fromHex, toHex } from '../../src/bytes.js';
import { memoryStore } from '../../src/store/memory.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import { FLOOR_COST, passphraseSlotWith } from '../../src/store/sealed/passphrase.js';
import { rawKeySlot, sealedStore } from '../../src/store/sealed.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { seededRng } from '../../src/testing/rng.js';

export interface VectorRow {
  readonly key: StoreKey;
  /** In hexadecimal. */
  readonly value: string;
}

export interface SealedVector {
  readonly description: string;
  readonly format: number;
  readonly rawKey: string;
  readonly passphrase: string;
  readonly records: readonly (VectorRow & { readonly rev: number })[];
  /** Every row of the base. */
  readonly rows: readonly VectorRow[];
  /** The same records in a store whose key was just rotated: all records still lie under the key before. */
  readonly rotating: readonly VectorRow[];
}

const PASSPHRASE = 'correct horse, caf\u00e9 staple';
const KEYS: readonly StoreKey[] = [['meta'], ['contact', 'bob'], ['odd', '/\0:ä', '', '😀'], ['session', 'long'], ['inbox', '1']];

const rowsOf = async (base: Store): Promise<VectorRow[]> =>
  (await base.list(['sealed'], 1_000)).map(({ key, value }) => ({ key, value: toHex(value) }));

/** A base with these rows. */
export async function baseOfVector(rows: readonly VectorRow[]): Promise<Store> {
  const base = memoryStore();
  await base.commit(rows.map(({ key, value }) => ({ key, value: fromHex(value)! })));
  return base;
}

/** Makes what the layout of today makes. Master keys, ids and what enters nonces are random: no two are alike. */
export async function makeSealedStore(format: number): Promise<SealedVector> {
  const rng = seededRng('sealed store vector');
  const rawKey = rng(32);
  const base = memoryStore();
  const raw = rawKeySlot(rawKey);
  const store = sealedStore(base, raw);
  await store.commit(KEYS.map((key, i) => ({ key, value: rng(i * 200) })));
  await store.addSlot(passphraseSlotWith(FLOOR_COST, FLOOR_COST, () => PASSPHRASE));
  await store.commit([
    { key: KEYS[1]!, value: rng(40) },
    { key: KEYS[4]!, value: null },
  ]);
  const rows = await rowsOf(base);
  const found = await store.read(KEYS);
  const records = KEYS.flatMap((key, i) => (found[i] === undefined ? [] : [{ key, value: toHex(found[i].value), rev: found[i].rev }]));

  const again = await baseOfVector(rows);
  const dying = sealedStore(crashingStore(again, { atCommit: 2, side: 'after' }), raw);
  for (const { id, kind } of await dying.slots()) {
    await dying.read([KEYS[0]!]);
    if (kind === 'passphrase') await dying.removeSlot(id);
  }
  await dying.rotateKey().catch(() => {});
  return {
    description:
      'The base store under sealedStore: its rows, the records that they hold, and a store that died while its key was rotated. Bytes in hexadecimal; keys by component.',
    format,
    rawKey: toHex(rawKey),
    passphrase: PASSPHRASE,
    records,
    rows,
    rotating: await rowsOf(again),
  };
}
