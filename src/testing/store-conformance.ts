/**
 * The contract of the `Store` port as runnable cases, for anyone's store. Knows the port and nothing of what is stored in it.
 * The cases themselves stand in `store-conformance-*.ts`.
 */

import type { Store } from '../store/port.js';
import type { ConformanceCase } from './conformance.js';
import type { StoreCase } from './store-case.js';
import { KEY_CASES } from './store-conformance-keys.js';
import { LIFE_CASES } from './store-conformance-life.js';
import { RECORD_CASES } from './store-conformance-records.js';

/** How the suite gets at the store under test. */
export interface StoreConformanceSetup {
  /** Opens the store of that name, creating an empty one. Different names share nothing. Only one store is open per name at a time. */
  open(name: string): Store | Promise<Store>;
  /** Deletes the store of that name, which is closed or never existed. */
  destroy(name: string): Promise<void>;
  /** `false`: what was stored ends with `close`, so the cases that open a store again are left out. Default `true`. */
  readonly durable?: boolean | undefined;
}

/**
 * The cases that every `Store` must pass: records, revs, atomicity, keys, listings, life. Each case opens a store named
 * `conformance-<n>` (some also `conformance-<n>-other`), and destroys it before and after. A failing case rejects with an `Error` that
 * says what was expected. Needs no test runner.
 *
 * @example
 * for (const c of storeConformance({ open: (name) => myStore(name), destroy: (name) => myStoreDrop(name) })) test(c.name, c.run);
 */
export function storeConformance(setup: StoreConformanceSetup): readonly ConformanceCase[] {
  const cases = [...RECORD_CASES, ...KEY_CASES, ...LIFE_CASES];
  return cases
    .map((storeCase, i) => ({ storeCase, name: `conformance-${i + 1}` }))
    .filter(({ storeCase }) => setup.durable !== false || storeCase.durable !== true)
    .map(({ storeCase, name }) => ({ name: storeCase.name, run: () => runCase(setup, storeCase, name) }));
}

async function runCase(setup: StoreConformanceSetup, storeCase: StoreCase, name: string): Promise<void> {
  const names = [name, `${name}-other`];
  const opened: Store[] = [];
  const open = async (which: string): Promise<Store> => {
    const store = await setup.open(which);
    opened.push(store);
    return store;
  };
  for (const each of names) await setup.destroy(each);
  try {
    const store = await open(name);
    await storeCase.run({
      store,
      reopen: async () => {
        await store.close();
        return open(name);
      },
      openOther: () => open(`${name}-other`),
    });
  } finally {
    for (const store of opened) await store.close();
    for (const each of names) await setup.destroy(each);
  }
}
