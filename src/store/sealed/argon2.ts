/**
 * Argon2id off this thread where a worker can be started, else in slices on it.
 *
 * The worker is a file beside this module in the package (`argon2-worker.js`), found by `import.meta.url`: it needs no more than
 * `default-src 'self'`, and bundlers that know `new Worker(new URL(…))` take it along. Where it can't be started (no workers, a bundle
 * without the file, a policy against it) nothing is lost but time.
 */

import { wipe } from '../../bytes.js';
import { type Argon2Cost, argon2InSlices, type OnProgress } from '../../crypto/passphrase.js';
import { StoreError } from '../../errors.js';
import { nodeThreads } from './threads.js';

/** What the worker gets. */
export interface Question {
  readonly passphrase: Uint8Array;
  readonly salt: Uint8Array;
  readonly cost: Argon2Cost;
}

/** What it answers: progress, then the key. */
export type Answer = { readonly progress: number } | { readonly key: Uint8Array };

/** How this module sees a worker of either kind. */
interface Started {
  ask(question: Question): void;
  stop(): void;
}

interface Listener {
  answer(answer: Answer): void;
  fail(): void;
}

function startWorker({ answer, fail }: Listener): Started | undefined {
  try {
    if (typeof Worker === 'function') {
      const worker = new Worker(new URL('./argon2-worker.js', import.meta.url), { type: 'module' });
      worker.onmessage = ({ data }) => answer(data);
      worker.onmessageerror = fail;
      worker.onerror = (event) => {
        event.preventDefault();
        fail();
      };
      return { ask: (question) => worker.postMessage(question), stop: () => worker.terminate() };
    }
    const threads = nodeThreads();
    if (threads === undefined) return undefined;
    // Not literally in the call: bundlers for browsers would take the file along a second time.
    const file = './argon2-worker.js';
    const worker = new threads.Worker(new URL(file, import.meta.url));
    worker.on('message', answer);
    worker.on('error', fail);
    worker.on('exit', fail);
    return { ask: (question) => worker.postMessage(question), stop: () => void worker.terminate() };
  } catch {
    return undefined;
  }
}

/** The key by a worker; `undefined` where none does the work. Rejects with `signal.reason` on abort, and with what `progress` throws. */
async function deriveInWorker(question: Question, progress: OnProgress, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  let started: Started | undefined;
  let onAbort = (): void => {};
  try {
    return await new Promise<Uint8Array | undefined>((resolve, reject) => {
      started = startWorker({
        answer(answer) {
          if ('key' in answer) return resolve(answer.key);
          try {
            progress(answer.progress);
          } catch (error) {
            reject(error);
          }
        },
        fail: () => resolve(undefined),
      });
      if (started === undefined) return resolve(undefined);
      onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      started.ask(question);
    });
  } finally {
    signal?.removeEventListener('abort', onAbort);
    started?.stop();
  }
}

/**
 * The 32-byte key of a passphrase, which is wiped. `progress` gets fractions from 0 to 1. Rejects with `signal.reason` on abort,
 * with what `progress` throws, and with `ERR_STORE_IO` where the memory can't be had.
 */
export async function deriveKey(question: Question, progress: OnProgress, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const { passphrase, salt, cost } = question;
  try {
    if (signal?.aborted) throw signal.reason;
    const key = await deriveInWorker(question, progress, signal);
    if (key !== undefined) return key;
    let interrupted = false;
    try {
      return await argon2InSlices(passphrase, salt, cost, (fraction) => {
        interrupted = true;
        if (signal?.aborted) throw signal.reason;
        progress(fraction);
        interrupted = false;
      });
    } catch (cause) {
      if (interrupted) throw cause;
      throw new StoreError('ERR_STORE_IO', 'the passphrase could not be turned into a key', { cause });
    }
  } finally {
    wipe(passphrase);
  }
}
