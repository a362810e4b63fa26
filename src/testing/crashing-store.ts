/** A store whose process dies at a chosen commit: the tool for "no key is used twice, whatever is lost". */

import { StoreError, UsageError } from '../errors.js';
import type { Store } from '../store/port.js';

/**
 * Wraps `store` so that the process seems to die at its `plan.atCommit`-th commit, counted from 1. With side `before` that commit
 * never reaches `store`; with `after` it does, and its caller isn't told. That commit, every later call, and whatever was running
 * reject with `ERR_STORE_IO`. `store` itself stays open: it is what the next process finds, and the caller closes it.
 *
 * Throws `ERR_ARGUMENT` unless `plan.atCommit` is a positive integer.
 *
 * @example
 * const store = memoryStore();
 * const client = await createTestClient({ ...options, store: crashingStore(store, { atCommit: 3, side: 'after' }) });
 */
export function crashingStore(store: Store, plan: { atCommit: number; side: 'before' | 'after' }): Store {
  if (!Number.isSafeInteger(plan.atCommit) || plan.atCommit < 1) {
    throw new UsageError('ERR_ARGUMENT', 'plan.atCommit must be a positive integer', { field: 'plan.atCommit' });
  }
  let commits = 0;
  let dead = false;

  const assertAlive = (): void => {
    if (dead) throw new StoreError('ERR_STORE_IO', `simulated crash at commit ${plan.atCommit}`);
  };
  async function alive<T>(call: () => Promise<T>): Promise<T> {
    assertAlive();
    try {
      return await call();
    } finally {
      assertAlive();
    }
  }

  return {
    read: (keys) => alive(() => store.read(keys)),
    list: (prefix, limit, after) => alive(() => store.list(prefix, limit, after)),
    commit: (writes) =>
      alive(async () => {
        dead = ++commits === plan.atCommit;
        if (!dead || plan.side === 'after') await store.commit(writes);
      }),
    close: () => alive(() => store.close()),
  };
}
