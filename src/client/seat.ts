/** The place of the engine that serves now. Engines come and go (recovery, another tab that takes over); calls wait for the next one. */

import { UsageError } from '../errors.js';
import type { Answer, CallName, Engine, Input } from './engine.js';
import { abortable } from './platform.js';
import type { ClientStatus } from './types.js';

/** The seat of one client. */
export interface Seat {
  /** Runs on the engine that serves, and again on its successor if it went while the call ran: every call may be repeated. */
  call<K extends CallName>(name: K, input: Input<K>, signal?: AbortSignal): Promise<Answer<K>>;
  leave(consumer: string): void;
  /** While nobody serves: connecting, with the counts of the last one. */
  status(): ClientStatus;
  device(): number;
  /** Throws `ERR_CLOSED`, or what halted the engine. */
  assertOpen(): void;
  isClosed(): boolean;
  take(engine: Engine): void;
  /** Takes the engine away, which is returned. */
  vacate(): Engine | undefined;
  /** For ever. */
  close(): Engine | undefined;
}

/** An empty seat. */
export function seat(): Seat {
  let engine: Engine | undefined;
  let device = 0;
  let counts = { queuedCount: 0, unackedCount: 0 };
  let isClosed = false;
  let waiting: (() => void)[] = [];

  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const assertNotClosed = (): void => {
    if (isClosed) throw new UsageError('ERR_CLOSED', 'the client is closed');
  };
  const serving = async (): Promise<Engine> => {
    for (;;) {
      assertNotClosed();
      if (engine !== undefined) return engine;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const vacate = (): Engine | undefined => {
    const gone = engine;
    const last = gone?.status();
    if (last !== undefined && 'queuedCount' in last) counts = { queuedCount: last.queuedCount, unackedCount: last.unackedCount };
    device = gone?.device ?? device;
    engine = undefined;
    return gone;
  };
  return {
    async call(name, input, signal) {
      for (;;) {
        // What is sent settles with the truth: it may have been committed.
        const current = engine ?? (await (name === 'send' ? serving() : abortable(serving(), signal)));
        try {
          return await current.calls[name](input, signal);
        } catch (error) {
          if (isClosed || current === engine) throw error;
        }
      }
    },
    leave: (consumer) => engine?.leave(consumer),
    status: () => (isClosed ? { state: 'closed' } : (engine?.status() ?? { state: 'connecting', ...counts })),
    device: () => engine?.device ?? device,
    assertOpen() {
      assertNotClosed();
      const status = engine?.status();
      if (status?.state === 'halted') throw status.error;
    },
    isClosed: () => isClosed,
    take(next) {
      engine = next;
      wake();
    },
    vacate,
    close() {
      const last = vacate();
      isClosed = true;
      wake();
      return last;
    },
  };
}
