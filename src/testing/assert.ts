/** Plain assertions for the conformance suites: they throw `Error` with a clear message and need no test runner. */

import { equal } from '../bytes.js';
import { type ErrorCode, isCyphrError } from '../errors.js';

/** Throws `Error(message)` unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Throws unless both byte strings have the same length and content. */
export function assertBytes(got: Uint8Array | undefined, expected: Uint8Array, what: string): asserts got {
  assert(got instanceof Uint8Array, `${what}: expected ${expected.length} bytes, got none`);
  assert(equal(got, expected), `${what}: expected ${expected.length} bytes, got ${got.length} that differ`);
}

/** Throws unless both values have the same JSON; for keys, ids and counts. */
export function assertSame(got: unknown, expected: unknown, what: string): void {
  const [gotText, expectedText] = [JSON.stringify(got), JSON.stringify(expected)];
  assert(gotText === expectedText, `${what}: expected ${expectedText}, got ${gotText}`);
}

/** Throws unless `call` returns a promise that rejects with one of this library's errors with `code`. A synchronous throw is a failure. */
export async function assertRejects(call: () => Promise<unknown>, code: ErrorCode, what: string): Promise<void> {
  const error = await rejection(call, what);
  assert(isCyphrError(error), `${what}: expected ${code}, got an error of another kind: ${String(error)}`);
  assert(error.code === code, `${what}: expected ${code}, got ${error.code}`);
}

/** What the promise of `call` rejects with; throws if it resolves, or if `call` throws instead of rejecting. */
export async function rejection(call: () => Promise<unknown>, what: string): Promise<unknown> {
  let promise: Promise<unknown>;
  try {
    promise = call();
  } catch (error) {
    throw new Error(`${what}: threw instead of rejecting`, { cause: error });
  }
  return promise.then(
    () => {
      throw new Error(`${what}: resolved, but should have rejected`);
    },
    (error: unknown) => error,
  );
}

/** The result of `promise`, or an `Error` after `patienceMs`: a hang is a failure with a name, not a stuck run. */
export function within<T>(promise: Promise<T>, patienceMs: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: nothing happened within ${patienceMs} ms`)), patienceMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
