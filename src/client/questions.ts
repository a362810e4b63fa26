/** Questions to the directory in their order: an answer says nothing of what has come, or was decided, since it was asked for. */

import { UsageError } from '../errors.js';
import type { BundleBytes } from '../step.js';
import type { Context } from './context.js';

/** Accounts of which it is remembered that there was an answer: anybody can have it asked about names that nobody has. */
const ANSWERED_MAX = 1_000;

/** What the directory has said to a question. */
export interface Said {
  readonly question: number;
  /** At least one. */
  readonly bundles: readonly BundleBytes[];
}

/** The questions of one client. */
export interface Questions {
  /** How many there have been: the place of what comes now. */
  count(): number;
  /**
   * Asks about `account`; `take`: whose one-time prekeys to hand out. Throws `ERR_NO_SESSION` for an unknown one, or answers `undefined`
   * if it was decided meanwhile whose it is.
   */
  ask(account: string, take: 'all' | readonly number[]): Promise<Said | undefined>;
  /** What was said to this question counts. */
  answered(account: string, question: number): void;
  /** Whether a question about `account` that came after `place` was answered; of one that has slipped from memory, not. */
  wasAskedSince(account: string, place: number): boolean;
  /** The identity of `account` is another one than before, or in doubt, or no more. */
  decided(account: string): void;
  /** Whether that has happened since this question was asked. */
  isOutdated(account: string, question: number): boolean;
}

/** The questions to `ctx.directory`. In memory alone: none outlives a run. */
export function questions(ctx: Pick<Context, 'directory' | 'life' | 'observer'>): Questions {
  let count = 0;
  const newest = new Map<string, number>();
  const decidedAt = new Map<string, number>();
  const self: Questions = {
    count: () => count,
    async ask(account, take) {
      const question = ++count;
      const fetch = (): Promise<BundleBytes[]> => ctx.life.race(ctx.directory.fetch(account, { take }));
      const bundles = await ctx.observer.span('directory.fetch', fetch);
      if (bundles.length > 0) return { question, bundles };
      if (self.isOutdated(account, question)) return undefined;
      self.answered(account, question);
      const message = 'the directory knows no device of this account: what is sent to it is held, and goes out once there is one';
      throw new UsageError('ERR_NO_SESSION', message, { field: 'to' });
    },
    answered(account, question) {
      const last = newest.get(account) ?? 0;
      newest.delete(account);
      newest.set(account, Math.max(question, last));
      if (newest.size > ANSWERED_MAX) newest.delete(newest.keys().next().value as string);
    },
    wasAskedSince: (account, place) => (newest.get(account) ?? 0) > place,
    decided: (account) => void decidedAt.set(account, count),
    isOutdated: (account, question) => question <= (decidedAt.get(account) ?? 0),
  };
  return self;
}
