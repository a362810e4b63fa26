/** Web Locks as the platform has them, as far as `sharedStore` needs them: exclusive locks, `ifAvailable`, `steal`, `signal`. */

interface Holder {
  readonly end: () => void;
  readonly reject: (error: unknown) => void;
}
interface Waiter {
  readonly grant: () => void;
}

/** A lock manager that several "contexts" of a test share. */
export function lockManager(): Pick<LockManager, 'request'> {
  const held = new Map<string, Holder>();
  const queues = new Map<string, Waiter[]>();

  const next = (name: string): void => {
    held.delete(name);
    queues.get(name)?.shift()?.grant();
  };

  const request = (name: string, options: LockOptions, callback: (lock: Lock | null) => unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const run = (lock: Lock | null): void => {
        const work = Promise.resolve()
          .then(() => callback(lock))
          .then(resolve, reject);
        if (lock === null) return;
        const holder: Holder = { end: () => next(name), reject };
        held.set(name, holder);
        work.finally(() => held.get(name) === holder && holder.end());
      };
      const lock = { name, mode: 'exclusive' } as Lock;
      if (options.steal === true) {
        held.get(name)?.reject(new DOMException('stolen', 'AbortError'));
        run(lock);
      } else if (!held.has(name)) {
        run(lock);
      } else if (options.ifAvailable === true) {
        run(null);
      } else {
        const waiter: Waiter = { grant: () => run(lock) };
        const queue = queues.get(name) ?? [];
        queues.set(name, queue);
        queue.push(waiter);
        options.signal?.addEventListener('abort', () => {
          const at = queue.indexOf(waiter);
          if (at < 0) return;
          queue.splice(at, 1);
          reject(options.signal!.reason);
        });
      }
    });
  return { request: request as LockManager['request'] };
}
