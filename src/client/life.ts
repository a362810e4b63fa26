/** Whether a client still runs: until its application closes it, or its store halts it. */

import { type AnyCyphrError, type StoreError, UsageError } from '../errors.js';

/** The life of one client. */
export interface Life {
  /** Halted or closed. */
  hasEnded(): boolean;
  /** What halted the client. */
  halted(): StoreError | undefined;
  isClosed(): boolean;
  /** Throws `ERR_CLOSED`, or what halted the client. */
  assertOpen(): void;
  /** Nothing is sent or received any more. The first error stays. */
  halt(error: StoreError): void;
  close(): void;
  /** Calls back once, with the error, when the client is halted or closed; returns how not to. */
  onEnd(listener: (error: AnyCyphrError) => void): () => void;
  /** `promise`, or a rejection as soon as the client is halted or closed: what hangs in an adapter keeps no client from closing. */
  race<T>(promise: Promise<T>): Promise<T>;
}

/** A life that begins. */
export function life(): Life {
  const listeners = new Set<(error: AnyCyphrError) => void>();
  let halted: StoreError | undefined;
  let closed: UsageError | undefined;

  const end = (error: AnyCyphrError): void => {
    const called = [...listeners];
    listeners.clear();
    for (const listener of called) listener(error);
  };
  const onEnd = (listener: (error: AnyCyphrError) => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    hasEnded: () => closed !== undefined || halted !== undefined,
    halted: () => halted,
    isClosed: () => closed !== undefined,
    assertOpen() {
      const error = closed ?? halted;
      if (error !== undefined) throw error;
    },
    halt(error) {
      if (halted !== undefined || closed !== undefined) return;
      halted = error;
      end(error);
    },
    close() {
      closed ??= new UsageError('ERR_CLOSED', 'the client is closed');
      end(closed);
    },
    onEnd,
    race: (promise) =>
      new Promise((resolve, reject) => {
        const error = closed ?? halted;
        if (error !== undefined) reject(error);
        const stop = onEnd(reject);
        promise.then(resolve, reject).finally(stop);
      }),
  };
}
