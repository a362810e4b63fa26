/**
 * An unlocked store over its base: reads, commits, and what both are checked against.
 *
 * Every commit rewrites the head under its revision. The head authenticates a counter and a keyed hash over the set of all records, so
 * that a record that was swapped, replayed, removed or planted is found: by the scan when the store is unlocked, or by the read that
 * meets it. A head that moved is another handle's commit: the scan is repeated, and the step starts over. Tasks run one at a time
 * (`sealed.ts`), but for `read`, which may run beside them and says so when it can't answer.
 *
 * A copy of the whole base store, put back as it once was, is consistent and not seen here: the login's generation finds it.
 */

import { equal, wipe } from '../../bytes.js';
import { isCyphrError, StoreError } from '../../errors.js';
import type { EncodedKey } from '../keys.js';
import type { Store, StoreRecord, Write } from '../port.js';
import { type Contents, contents } from './contents.js';
import {
  corrupt,
  decodeHeadClear,
  decodeRecordHead,
  HEAD,
  type Head,
  type MasterKeys,
  masterKeys,
  RECORDS,
  recordAt,
  type SealedRecord,
  slotAt,
} from './layout.js';

/** Records asked of the base at once. */
const PAGE = 256;
/** How often a step starts over because other handles commit, or a scan because the head moves. */
const MAX_ATTEMPTS = 100;
/** No rev of any row. */
const UNKNOWN = -1;

/** A record to write, or to delete where `value` is null. Without `generation` it gets that of the commit. */
export interface Change {
  readonly key: EncodedKey;
  readonly value: Uint8Array | null;
  readonly generation?: number | undefined;
}

/** What one commit does. */
export interface Plan {
  readonly changes?: readonly Change[];
  /** Rows of slots to write, with their digests, or to delete. */
  readonly slots?: ReadonlyMap<string, { readonly row: Uint8Array; readonly digest: Uint8Array } | null>;
  /** The master key from now on; the one before is kept in the head until its last record is rewritten. */
  readonly keys?: MasterKeys;
  /** No record lies under an earlier master key any more. */
  readonly isRotated?: true;
  readonly sealing?: boolean;
  /** The commit's number is at least this. */
  readonly leastCounter?: number;
  /** Further writes to the base, in the same commit. */
  readonly extra?: readonly Write[];
}

/** Picks keys by what there is. */
export type Choose = (contents: Contents) => readonly EncodedKey[];

/** A record in clear; `rev` is its generation. The caller owns the value. */
export interface FoundRecord extends StoreRecord {
  readonly key: EncodedKey;
}

/** An unlocked store. */
export interface Vault {
  readonly storeId: Uint8Array;
  readonly contents: () => Contents;
  readonly keys: () => MasterKeys;
  readonly head: () => Head;
  /** Set when another handle has changed the master key: this vault is of no use any more, and the store must be unlocked again. */
  readonly isSuperseded: () => boolean;
  /** The records of the chosen keys; `undefined` where another commit came in between. Throws `ERR_STORE_CORRUPT`. */
  tryRead(choose: Choose): Promise<(FoundRecord | undefined)[] | undefined>;
  /** `tryRead`, again after each commit that came in between. */
  read(choose: Choose): Promise<(FoundRecord | undefined)[]>;
  /** Looks whether another handle has committed, and if so takes over what it left. Answers whether it had. */
  refresh(): Promise<boolean>;
  /** What `look` sees in the base under the head that this vault then has: it looks again while other handles commit. */
  steady<T>(look: () => Promise<T>): Promise<T>;
  /** Commits what `prepare` makes of the current state, starting over while others commit. */
  commit(prepare: () => Plan | Promise<Plan>): Promise<void>;
  wipe(): void;
}

/** A vault of `storeId`; `refresh` loads it from the base, a first commit makes it there. */
export function vault(base: Store, storeId: Uint8Array, current: MasterKeys): Vault {
  let keys = current;
  const retired = new Map<number, MasterKeys>();
  let head: Head = { counter: 0, set: new Uint8Array(32), slots: new Map(), retired: [], sealing: false };
  /** The base's rev of the head; 0 before there is one, `UNKNOWN` while what is in memory doesn't follow from a head. */
  let headRev = 0;
  let all = contents();
  /** What a commit that failed has left is not known. */
  let inDoubt = false;
  let superseded = false;

  const keysOf = (version: number): MasterKeys => {
    const found = version === keys.version ? keys : retired.get(version);
    if (found === undefined) throw corrupt('record');
    return found;
  };

  const setRetired = (next: Head): void => {
    for (const { version, masterKey } of next.retired) {
      const known = retired.get(version);
      if (known === undefined) retired.set(version, masterKeys(masterKey, version));
      else if (known.masterKey !== masterKey) wipe(masterKey);
    }
    for (const [version, old] of retired) {
      if (next.retired.some((each) => each.version === version)) continue;
      old.wipe();
      retired.delete(version);
    }
  };

  async function readHead(): Promise<StoreRecord | undefined> {
    return (await base.read([HEAD]))[0];
  }

  /** Whether the head is still that of `rev`. */
  const isAt = async (rev: number): Promise<boolean> => (await readHead())?.rev === rev;

  /** Reads all records below `row`, a head; `undefined` if the head moved meanwhile: pages from before and after don't fit together. */
  async function scan(row: StoreRecord): Promise<Contents | undefined> {
    let found: Contents | undefined;
    let damage: unknown;
    try {
      found = await readAll();
    } catch (error) {
      damage = error;
    }
    if (!(await isAt(row.rev))) return undefined;
    if (found === undefined) throw damage;
    return found;
  }

  async function readAll(): Promise<Contents> {
    const known = new Map([...all.entries()].map(([key, { id }]) => [id, key]));
    const found = contents();
    const set = new Uint8Array(32);
    for (let page = await base.list(RECORDS, PAGE); page.length > 0; page = await base.list(RECORDS, PAGE, page.at(-1)!.key)) {
      for (const { key: at, value } of page) {
        const id = at[RECORDS.length];
        if (id === undefined || at.length !== RECORDS.length + 1) throw corrupt('record');
        const record = decodeRecordHead(id, value);
        // An id is the hash of one key: what lies there now is checked by the set, and by the read that meets it.
        const key = known.get(id) ?? openKey(record, value);
        if (found.get(key) !== undefined) throw corrupt('record');
        found.set(key, record);
        xor(set, keysOf(record.version).mark(record));
      }
    }
    if (!equal(set, head.set)) throw corrupt('set of records');
    return found;
  }

  function openKey(record: SealedRecord, row: Uint8Array): EncodedKey {
    const { key, value } = keysOf(record.version).openRecord(record.id, row);
    wipe(value);
    return key;
  }

  async function refresh(): Promise<boolean> {
    let row = await readHead();
    if ((row?.rev ?? 0) === headRev) {
      inDoubt = false;
      return false;
    }
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (row === undefined) throw corrupt('head');
      const clear = decodeHeadClear(row.value);
      superseded = clear.version !== keys.version || !equal(clear.storeId, storeId);
      if (superseded) throw new StoreError('ERR_STORE_CONFLICT', 'another handle has changed the master key');
      head = keys.openHead(row.value);
      headRev = UNKNOWN;
      inDoubt = true;
      setRetired(head);
      const found = await scan(row);
      if (found !== undefined) {
        all = found;
        headRev = row.rev;
        inDoubt = false;
        return true;
      }
      row = await readHead();
    }
    throw busy();
  }

  /** Makes the writes of a plan, and what the state is once they are committed. */
  function prepared(plan: Plan): { readonly writes: Write[]; readonly row: Uint8Array; readonly adopt: () => void } {
    const next = plan.keys ?? keys;
    const counter = Math.max(head.counter + 1, plan.leastCounter ?? 0);
    const set = new Uint8Array(head.set);
    const slots = new Map(head.slots);
    const rows = new Map<string, Write>();
    const adopted: (() => void)[] = [];
    for (const { key, value, generation } of plan.changes ?? []) {
      const before = all.get(key);
      if (before !== undefined) {
        xor(set, keysOf(before.version).mark(before));
        rows.set(before.id, { key: recordAt(before.id), value: null });
      }
      if (value === null) {
        adopted.push(() => all.delete(key));
        continue;
      }
      const { row, ...record } = next.sealRecord(key, generation ?? counter, value);
      xor(set, next.mark(record));
      rows.set(record.id, { key: recordAt(record.id), value: row });
      adopted.push(() => all.set(key, record));
    }
    for (const [id, slot] of plan.slots ?? []) {
      rows.set(`slot ${id}`, { key: slotAt(id), value: slot?.row ?? null });
      if (slot === null) slots.delete(id);
      else slots.set(id, slot.digest);
    }
    const old = plan.isRotated ? [] : [...retired.values(), ...(plan.keys === undefined ? [] : [keys])];
    const after: Head = { counter, set, slots, retired: old, sealing: plan.sealing ?? head.sealing };
    const row = next.sealHead(storeId, after);
    const adopt = (): void => {
      for (const each of adopted) each();
      if (plan.keys !== undefined) retired.set(keys.version, keys);
      keys = next;
      head = after;
      // A read that began before this must not go on with what it saw: the keys may be gone.
      headRev = UNKNOWN;
      setRetired(head);
    };
    return { writes: [{ key: HEAD, value: row, ifRev: headRev }, ...rows.values(), ...(plan.extra ?? [])], row, adopt };
  }

  async function tryRead(choose: Choose): Promise<(FoundRecord | undefined)[] | undefined> {
    const at = headRev;
    const wanted = choose(all).map((key) => ({ key, record: all.get(key) }));
    const ids = [...new Set(wanted.flatMap(({ record }) => (record === undefined ? [] : [record.id])))];
    const [row, ...rows] = await base.read([HEAD, ...ids.map(recordAt)]);
    if (inDoubt || at < 1 || headRev !== at || row?.rev !== at) return undefined;
    const byId = new Map(ids.map((id, i) => [id, rows[i]]));
    try {
      return wanted.map(({ key, record }) => {
        if (record === undefined) return undefined;
        const found = byId.get(record.id)?.value;
        if (found === undefined || !equal(decodeRecordHead(record.id, found).stamp, record.stamp)) throw corrupt('record');
        return { key, value: keysOf(record.version).openRecord(record.id, found).value, rev: record.generation };
      });
    } catch (error) {
      // A base may read row by row: then these can be newer than their head.
      if (await isAt(at)) throw error;
      return undefined;
    }
  }

  return {
    storeId,
    contents: () => all,
    keys: () => keys,
    head: () => head,
    isSuperseded: () => superseded,
    refresh,

    tryRead,

    async read(choose) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const records = await tryRead(choose);
        if (records !== undefined) return records;
        await refresh();
      }
      throw busy();
    },

    async steady(look) {
      await refresh();
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const seen = await look();
        if (!(await refresh())) return seen;
      }
      throw busy();
    },

    async commit(prepare) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        if (inDoubt) await refresh();
        const { writes, row, adopt } = prepared(await prepare());
        try {
          await base.commit(writes);
        } catch (error) {
          inDoubt = true;
          if (isCyphrError(error) && error.code === 'ERR_STORE_CONFLICT') continue;
          throw error;
        }
        adopt();
        // It is committed: if the base can't say under which rev, the next call finds out.
        const now = await readHead().catch(() => undefined);
        inDoubt = now === undefined || !equal(now.value, row);
        if (!inDoubt) headRev = now!.rev;
        return;
      }
      throw busy();
    },

    wipe() {
      headRev = UNKNOWN;
      all = contents();
      keys.wipe();
      for (const each of retired.values()) each.wipe();
      retired.clear();
    },
  };
}

const busy = (): StoreError => new StoreError('ERR_STORE_LOCKED', 'other handles commit without pause');

function xor(into: Uint8Array, mark: Uint8Array): void {
  for (let i = 0; i < into.length; i++) into[i]! ^= mark[i]!;
}
