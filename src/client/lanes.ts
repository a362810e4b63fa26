/**
 * One lane of work for each account: it runs while there is something to do there, one round at a time, and pauses after a failure.
 * Knows when, not what.
 */

import { type AnyCyphrError, InternalError, isCyphrError } from '../errors.js';
import type { Context } from './context.js';
import { timer } from './platform.js';

/** Ceilings of the pauses between attempts: what the network refused, and what waits for the other side or for a person. */
const RETRY_MS = { base: 500, cap: 60_000 };
const HELD_RETRY_MS = { base: 5_000, cap: 3_600_000 };

/** The lanes of one client. */
export interface Lanes {
  /** Looks after this account now, if there is something to do. */
  wake(account: string): void;
  /** Waits for what runs; nothing begins any more once the client has ended. */
  close(): Promise<void>;
}

/** What there is to do. */
export interface LaneWork {
  isDue(account: string): boolean;
  /** One round. Answers what holds the rest for longer, if anything does; throws what a later attempt may mend. */
  run(account: string): Promise<AnyCyphrError | undefined>;
}

interface Lane {
  running: Promise<void> | undefined;
  /** Woken while running: look again before ending. */
  again: boolean;
  attempts: number;
  cancelTimer: () => void;
}

/** The lanes of `ctx`. */
export function lanes(ctx: Context, work: LaneWork): Lanes {
  const known = new Map<string, Lane>();

  const run = async (account: string, lane: Lane): Promise<void> => {
    do {
      lane.again = false;
      try {
        const held = await work.run(account);
        if (held === undefined) lane.attempts = 0;
        else retryLater(account, lane, HELD_RETRY_MS);
      } catch (error) {
        if (ctx.life.hasEnded()) return;
        const failure = isCyphrError(error) ? error : new InternalError('ERR_BUG', 'unexpected failure while sending', { cause: error });
        ctx.observer.log('info', 'send-retry', failure.code);
        return retryLater(account, lane, RETRY_MS, failure.retryAfterMs);
      }
    } while (lane.again && !ctx.life.hasEnded());
  };

  const retryLater = (account: string, lane: Lane, { base, cap }: typeof RETRY_MS, askedMs = 0): void => {
    const ceiling = Math.min(cap, base * 2 ** lane.attempts);
    const [byte] = ctx.rng(1);
    lane.attempts += 1;
    lane.cancelTimer();
    lane.cancelTimer = timer(() => begin(account), Math.min(HELD_RETRY_MS.cap, Math.max(askedMs, (ceiling * (byte! + 1)) / 256)));
  };

  const begin = (account: string): void => {
    if (ctx.life.hasEnded() || !work.isDue(account)) return;
    const lane = known.get(account) ?? { running: undefined, again: false, attempts: 0, cancelTimer: () => {} };
    known.set(account, lane);
    lane.cancelTimer();
    if (lane.running !== undefined) {
      lane.again = true;
      return;
    }
    lane.running = run(account, lane).finally(() => {
      lane.running = undefined;
      if (!work.isDue(account)) known.delete(account);
      else if (lane.again) begin(account);
    });
  };

  return {
    wake(account) {
      const lane = known.get(account);
      // Something has happened: failures of before say nothing about how long to wait from here.
      if (lane !== undefined) lane.attempts = 0;
      begin(account);
    },
    async close() {
      for (const lane of known.values()) lane.cancelTimer();
      await Promise.all([...known.values()].map((lane) => lane.running));
    },
  };
}
