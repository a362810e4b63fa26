/** A tab's side that works through the leading one: an engine whose calls travel. */

import { StoreError, UsageError } from '../../errors.js';
import { tabLimits } from '../../limits.js';
import { CALLS, type CallName, type Calls, type Engine } from '../engine.js';
import { abortReason, platformMs, timer } from '../platform.js';
import type { ClientStatus } from '../types.js';
import { type TabMessage, unpackError } from './messages.js';

/** An engine in another tab. */
export interface Remote extends Engine {
  readonly term: string;
  readonly from: string;
  update(device: number, status: ClientStatus): void;
  hear(message: Extract<TabMessage, { kind: 'answer' }>): void;
  /** Something waits for an answer. */
  isBusy(): boolean;
}

/**
 * For how long a question holds what is given here: the leader, which heard it after it was asked, waits longer before it drops a tab
 * and gives its messages to another.
 */
const HOLD_MS = (tabLimits.silentPings - 1) * tabLimits.pingMs;

interface Waiting {
  readonly name: CallName;
  readonly askedMs: number;
  readonly answered: Promise<unknown>;
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
  let heardCount = 0;
  let hasEnded = false;
  const gone = (): UsageError => new UsageError('ERR_CLOSED', 'the leading tab has changed');

  const call = (name: CallName, given: object, signal: AbortSignal | undefined): Promise<unknown> => {
    // Whether it was sent, only the store knows: an abort asks, and waits for the answer.
    const mayReject = name !== 'send';
    const id = ++count;
    const input = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const onAbort = (): void => {
      say({ kind: 'abort', term, from, id });
      if (mayReject) waiting.get(id)?.reject(abortReason(signal!));
    };
    let resolve = (_value: unknown): void => {};
    let reject = (_error: unknown): void => {};
    const answered = new Promise<unknown>((onValue, onError) => {
      resolve = onValue;
      reject = onError;
    }).finally(() => {
      waiting.delete(id);
      signal?.removeEventListener('abort', onAbort);
    });
    if (hasEnded) reject(gone());
    else if (mayReject && signal?.aborted === true) reject(abortReason(signal));
    else {
      waiting.set(id, { name, askedMs: platformMs(), answered, resolve, reject, signal });
      say({ kind: 'call', term, from, id, name, input });
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener('abort', onAbort);
      onCall();
    }
    return answered;
  };
  /** Resolves while a question that the leader has answered is young: had it dropped this tab, it had said so before the answer. */
  const hold = async (): Promise<void> => {
    let askedMs: number;
    do {
      askedMs = platformMs();
      // Any call serves, and an error is an answer, too.
      await call('sent', { id: '' }, undefined).catch(() => {});
    } while (platformMs() - askedMs >= HOLD_MS);
  };
  const calls = Object.fromEntries(
    Object.keys(CALLS).map((name) => [name, (input: object, signal?: AbortSignal) => call(name as CallName, input, signal)]),
  );

  let facts = { device, status };
  return {
    term,
    from,
    get device() {
      return facts.device;
    },
    calls: calls as unknown as Calls,
    status: () => facts.status,
    update(nextDevice, nextStatus) {
      facts = { device: nextDevice, status: nextStatus };
    },
    leave: (consumer) => say({ kind: 'leave', term, from, consumer }),
    hear({ to, id, value, error }) {
      // What others are told says nothing of what this tab asked.
      if (to !== from) return;
      heardCount += 1;
      const call = waiting.get(id);
      if (call === undefined) return;
      const settle = (): void => {
        if (error === undefined) call.resolve(value?.[0]);
        else if (call.signal?.aborted === true) call.reject(abortReason(call.signal));
        else call.reject(hasEnded ? gone() : unpackError(error));
      };
      // This tab may have stood still since it asked: what it was given then may have been given to another.
      if (call.name === 'next' && platformMs() - call.askedMs >= HOLD_MS) hold().then(settle);
      else settle();
    },
    isBusy: () => waiting.size > 0,
    async stop(forGood) {
      hasEnded = true;
      for (const [id, { name, reject }] of waiting) {
        // What was sent is said, or is taken back: no rejection for a message that goes out.
        if (forGood && name === 'send') say({ kind: 'abort', term, from, id });
        else reject(gone());
      }
      const sending = [...waiting.values()].filter(({ name }) => forGood && name === 'send');
      let silence = 0;
      let heard = heardCount;
      let stop = (): void => {};
      const look = (): void => {
        silence = heardCount === heard ? silence + 1 : 0;
        heard = heardCount;
        const error = new StoreError('ERR_STORE_IO', 'the leading tab does not say whether it was stored');
        if (silence > tabLimits.silentPings) for (const { reject } of sending) reject(error);
        else stop = timer(look, tabLimits.pingMs);
      };
      if (sending.length > 0) look();
      await Promise.allSettled(sending.map(({ answered }) => answered));
      stop();
      say({ kind: 'bye', term, from });
    },
  };
}
