import { encodeUtf8 } from '../../src/bytes.js';
import { StoreError, UsageError } from '../../src/errors.js';
import type { Store, StoreKey, StoreRecord, Write } from '../../src/store/port.js';

/** What a broken store does differently. Each member replaces one part of a store that is otherwise right. */
export interface Defect {
  readonly encode?: (key: StoreKey) => string;
  readonly matches?: (prefix: StoreKey, key: StoreKey) => boolean;
  readonly order?: (a: string, b: string) => number;
  readonly isAfter?: (key: string, after: string) => boolean;
  readonly page?: (limit: number) => number;
  readonly copyIn?: (value: Uint8Array) => Uint8Array;
  readonly copyOut?: (value: Uint8Array) => Uint8Array;
  readonly nextRev?: (state: State, key: string) => number;
  readonly holds?: (ifRev: number, rev: number) => boolean;
  readonly commit?: (state: State, writes: readonly Checked[], defect: Defect) => Promise<void>;
  readonly absent?: StoreRecord;
  readonly skipsChecks?: true;
  readonly staysOpen?: true;
  readonly forgets?: 'records' | 'counter';
  readonly sharesNames?: true;
  readonly wrap?: (store: Store) => Store;
}

interface State {
  readonly records: Map<string, { key: StoreKey; value: Uint8Array; rev: number }>;
  counter: number;
}
interface Checked {
  readonly id: string;
  readonly write: Write;
}

const utf8 = (text: string): string => Buffer.from(text).toString('latin1');
/** Orders as the port promises: component by component, in UTF-8. */
const encodeRight = (key: StoreKey): string =>
  key.map((component) => `${[...utf8(component)].map((c) => String.fromCharCode(c.charCodeAt(0) + 1)).join('')}\0`).join('');
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const matchesRight = (prefix: StoreKey, key: StoreKey): boolean =>
  key.length > prefix.length && prefix.every((component, i) => key[i] === component);
const conflict = (): StoreError => new StoreError('ERR_STORE_CONFLICT', 'conflict');
export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function check(state: State, writes: readonly Checked[], { holds = (ifRev, rev) => ifRev === rev }: Defect): void {
  for (const { id, write } of writes) {
    if (write.ifRev !== undefined && !holds(write.ifRev, state.records.get(id)?.rev ?? 0)) throw conflict();
  }
}

export function apply(state: State, writes: readonly Checked[], { copyIn = (value) => value.slice(), nextRev }: Defect): void {
  for (const { id, write } of writes) {
    const rev = nextRev?.(state, id) ?? ++state.counter;
    if (write.value === null) state.records.delete(id);
    else state.records.set(id, { key: write.key, value: copyIn(write.value), rev });
  }
}

function checkKey(key: StoreKey): void {
  if (key.length === 0 || key.some((component) => encodeUtf8(component) === undefined)) throw new UsageError('ERR_ARGUMENT', 'key');
}

/** A set of stores by name, with a defect; the empty defect makes right ones. */
export function brokenStores(defect: Defect): { open(name: string): Store; destroy(name: string): Promise<void> } {
  const states = new Map<string, State>();
  const { encode = encodeRight, matches = matchesRight, order = compareText, copyOut = (value) => value.slice() } = defect;
  const { isAfter = (key, after) => key > after, page = (limit) => limit } = defect;

  const open = (name: string): Store => (defect.wrap ?? ((store) => store))(openUnwrapped(name));

  function openUnwrapped(given: string): Store {
    const name = defect.sharesNames ? 'all' : given;
    const state = states.get(name) ?? { records: new Map(), counter: 0 };
    states.set(name, state);
    let closed = false;
    const checks = (keys: readonly StoreKey[]): void => {
      if (closed && !defect.staysOpen) throw new UsageError('ERR_CLOSED', 'closed');
      if (!defect.skipsChecks) keys.forEach(checkKey);
    };
    return {
      async read(keys) {
        checks(keys);
        return keys.map((key) => {
          const record = state.records.get(encode(key));
          return record ? { value: copyOut(record.value), rev: record.rev } : defect.absent;
        });
      },
      async list(prefix, limit, after) {
        checks(after ? [prefix, after] : [prefix]);
        if (!defect.skipsChecks && !(Number.isInteger(limit) && limit > 0)) throw new UsageError('ERR_ARGUMENT', 'limit');
        return [...state.records]
          .filter(([id, { key }]) => matches(prefix, key) && (after === undefined || isAfter(id, encode(after))))
          .sort(([a], [b]) => order(a, b))
          .slice(0, page(limit))
          .map(([, { key, value, rev }]) => ({ key, value: copyOut(value), rev }));
      },
      async commit(writes) {
        checks(writes.map(({ key }) => key));
        const checked = writes.map((write) => ({ id: encode(write.key), write }));
        if (!defect.skipsChecks) {
          const wrong = writes.some(({ value, ifRev = 0 }) => !(value === null || value instanceof Uint8Array) || ifRev < 0);
          if (wrong || new Set(checked.map(({ id }) => id)).size < checked.length) throw new UsageError('ERR_ARGUMENT', 'writes');
        }
        if (defect.commit) return defect.commit(state, checked, defect);
        check(state, checked, defect);
        apply(state, checked, defect);
      },
      async close() {
        if (closed) return;
        closed = true;
        if (defect.forgets === 'records') state.records.clear();
        if (defect.forgets === 'counter') state.counter = Math.max(0, ...[...state.records.values()].map(({ rev }) => rev));
      },
    };
  }

  return {
    open,
    async destroy(name) {
      states.delete(name);
    },
  };
}
