/** Node's worker threads, without an import that a browser's bundler would stumble over. */

import type * as Threads from 'node:worker_threads';

/** The module; `undefined` outside of Node and what behaves like it. */
export function nodeThreads(): typeof Threads | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return process?.getBuiltinModule?.('node:worker_threads') as typeof Threads | undefined;
}
