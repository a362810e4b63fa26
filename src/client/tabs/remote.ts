/** A tab's side that works through the leading one: an engine whose calls travel. */

import { UsageError } from '../../errors.js';
import { CALLS, type CallName, type Calls, type Engine } from '../engine.js';
import { abortReason } from '../platform.js';
import type { ClientStatus } from '../types.js';
import { type TabMessage, unpackError } from './messages.js';

/** An engine in another tab. */
export interface Remote extends Engine {
  readonly term: string;
  readonly from: string;
  setStatus(status: ClientStatus): void;
  hear(message: Extract<TabMessage, { kind: 'answer' }>): void;
  /** Something waits for an answer. */
  isBusy(): boolean;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  readonly signal: AbortSignal | undefined;
}

/** The engine of leadership `term`, called under the name `from`; `onCall` hears of each call. */
export function remote(
  { term, device, from, status }: { term: string; device: number; from: string; status: ClientStatus },
  say: (message: TabMessage) => void,
  onCall: () => void,
): Remote {
  const waiting = new Map<number, Waiting>();
  let count = 0;
  let hasEnded = false;

  const call = (name: CallName, given: object, signal: AbortSignal | undefined): Promise<unknown> => {
    // Whether it was sent, only the store knows: an abort asks, and waits for the answer.
    const mayReject = name !== 'send';
    const id = ++count;
    const input = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const onAbort = (): void => {
      say({ kind: 'abort', term, from, id });
      if (mayReject) waiting.get(id)?.reject(abortReason(signal!));
    };
    const answered = new Promise<unknown>((resolve, reject) => {
      if (hasEnded) throw new UsageError('ERR_CLOSED', 'the leading tab has changed');
      if (mayReject && signal?.aborted === true) throw abortReason(signal);
      waiting.set(id, { resolve, reject, signal });
      say({ kind: 'call', term, from, id, name, input });
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener('abort', onAbort);
      onCall();
    });
    return answered.finally(() => {
      waiting.delete(id);
      signal?.removeEventListener('abort', onAbort);
    });
  };
  const calls = Object.fromEntries(
    Object.keys(CALLS).map((name) => [name, (input: object, signal?: AbortSignal) => call(name as CallName, input, signal)]),
  );

  let current = status;
  return {
    term,
    from,
    device,
    calls: calls as unknown as Calls,
    status: () => current,
    setStatus(next) {
      current = next;
    },
    leave: (consumer) => say({ kind: 'leave', term, from, consumer }),
    hear({ to, id, value, error }) {
      const call = to === from ? waiting.get(id) : undefined;
      if (call === undefined) return;
      if (error === undefined) call.resolve(value?.[0]);
      else call.reject(call.signal?.aborted === true ? abortReason(call.signal) : unpackError(error));
    },
    isBusy: () => waiting.size > 0,
    async stop() {
      hasEnded = true;
      say({ kind: 'bye', term, from });
      for (const { reject } of waiting.values()) reject(new UsageError('ERR_CLOSED', 'the leading tab has changed'));
    },
  };
}
