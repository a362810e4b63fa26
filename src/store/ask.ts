/** Asking a person for what opens a slot: they may take their time, cancel, or be interrupted. */

import { StoreError } from '../errors.js';

/** What a person answers: `null` and `undefined` when they cancel. */
export type Answer = string | null | undefined;

/**
 * What `ask` answers; it is not checked to be a string. Throws `signal.reason` as soon as `signal` aborts, whatever the person then does,
 * and `ERR_STORE_KEY` with `field` if there is no answer: with `cause` if `ask` failed. `what` is what the person is asked for.
 */
export async function askPerson(
  ask: () => Answer | Promise<Answer>,
  what: 'passphrase' | 'PIN',
  field: 'key' | 'pin',
  signal: AbortSignal | undefined,
): Promise<string> {
  let answer: Answer;
  try {
    answer = await untilAborted(async () => ask(), signal);
  } catch (cause) {
    signal?.throwIfAborted();
    // A bug of the application's is nothing that a person could put right.
    const isBug = cause instanceof TypeError || cause instanceof ReferenceError;
    throw new StoreError('ERR_STORE_KEY', isBug ? `the callback failed that asks for the ${what}` : `no ${what} was given`, {
      field,
      cause,
    });
  }
  if (answer === null || answer === undefined) throw new StoreError('ERR_STORE_KEY', `cancelled: no ${what} was given`, { field });
  return answer;
}

/** Settles like `call`, or rejects with `signal.reason` as soon as `signal` aborts; what `call` then does is ignored. */
async function untilAborted<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return call();
  signal.throwIfAborted();
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([call(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
