/** Abort signals as every platform has them: only `aborted`, `reason` and `addEventListener` are used. */

/** Throws what an abort rejects with, if `signal` is aborted: the caller's own reason, or an `AbortError` where the platform left it empty. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason ?? Object.assign(new Error('the call was aborted'), { name: 'AbortError' });
}

/** Calls `listener` once when `signal` aborts; at once if it has. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): void {
  if (signal?.aborted) listener();
  else signal?.addEventListener('abort', listener, { once: true });
}
