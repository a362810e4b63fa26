/** Time that passes only when a test says so: clocks and timers together, and nothing waits for the machine. */

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
  unref(): void;
}

/** One timeline. While it lasts, its timers are the platform's. */
export interface Timeline {
  /** Milliseconds since 1970. */
  now(): number;
  /** Everything that can happen now happens: a macrotask comes only when no promise has anything left to do. */
  settle(): Promise<void>;
  /** Timers fire in their order, and all that follows from one happens before the next. */
  pass(ms: number): Promise<void>;
  /** The clock goes on, and timers with it, but nothing happens in between: a device that slept. */
  jump(ms: number): void;
  /** Gives the platform its timers back. */
  end(): void;
}

/** Takes over `setTimeout` from `startMs` on. */
export function timeline(startMs: number): Timeline {
  const { setTimeout: realSet, clearTimeout: realClear } = globalThis;
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const set = (run: () => void, delayMs = 0): Timer => {
    const timer: Timer = { atMs: nowMs + Math.max(0, delayMs), run, unref: () => {} };
    timers.add(timer);
    return timer;
  };
  globalThis.setTimeout = set as never;
  globalThis.clearTimeout = ((timer: Timer) => timers.delete(timer)) as never;

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  /** The first of the earliest timers that are due: a Set keeps the order in which they were made. */
  const due = (untilMs: number): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
    return first;
  };
  const runUntil = async (untilMs: number): Promise<void> => {
    await turn();
    for (let timer = due(untilMs); timer !== undefined; timer = due(untilMs)) {
      timers.delete(timer);
      nowMs = Math.max(nowMs, timer.atMs);
      timer.run();
      await turn();
    }
    nowMs = Math.max(nowMs, untilMs);
  };
  return {
    now: () => nowMs,
    settle: () => runUntil(nowMs),
    pass: (ms) => runUntil(nowMs + ms),
    jump(ms) {
      nowMs += ms;
    },
    end() {
      globalThis.setTimeout = realSet;
      globalThis.clearTimeout = realClear;
    },
  };
}
