/**
 * Whether the identity under which a first flight came may be the contact's: what the directory is asked about it, and how often
 * (section 2.4). Four identities of one account are asked about in a day; more are judged by the next answer, once in ten minutes.
 */

import { equal, toHex } from '../bytes.js';
import { isCyphrError, TrustError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { sessionLimits } from '../limits.js';
import type { KnownContact } from './contacts.js';
import type { Context } from './context.js';

/** Identities of which it is remembered since when they wait for an answer. */
const WAITING_MAX = 1_000;

/** The identities that one client was shown. */
export interface Standing {
  /**
   * Of an identity, AIK, 1,984 bytes, under which a first flight came: it is the pin, it `waits` for a person, or the directory has not
   * said, `unanswered`. Throws `ERR_IDENTITY_CHANGED` for one that is neither the pin nor what the directory shows.
   */
  of(account: string, identity: Uint8Array): Promise<'pinned' | 'waits' | 'unanswered'>;
  /** Asks the directory; `false` if it has not answered. */
  ask(account: string): Promise<boolean>;
  /** The directory shows this one, H(AIK). */
  shown(account: string, accountKeyHash: Uint8Array): void;
}

interface Question {
  readonly atMs: number;
  readonly hasSaid: Promise<boolean>;
}

/** The same for contacts that `find` knows and `refresh` asks about. */
export function standing(
  ctx: Pick<Context, 'now'>,
  find: (account: string) => KnownContact | undefined,
  refresh: (account: string) => Promise<unknown>,
): Standing {
  /** By account and identity, as far as it was asked about by name. */
  const questions = new Map<string, Map<string, Question>>();
  const asks = new Map<string, { begun: number; answered: number; atMs: number }>();
  const asksOf = (account: string) => {
    const known = asks.get(account) ?? { begun: 0, answered: 0, atMs: Number.NEGATIVE_INFINITY };
    asks.set(account, known);
    return known;
  };
  const waitingSince = new Map<string, number>();
  /** By account, H(AIK). */
  const shows = new Map<string, Uint8Array>();

  const ask = async (account: string): Promise<boolean> => {
    const known = asksOf(account);
    known.begun += 1;
    known.atMs = ctx.now();
    const mine = known.begun;
    try {
      await refresh(account);
    } catch (error) {
      // That it shows another one, or knows no such account any more, is an answer.
      if (!isCyphrError(error) || (error.code !== 'ERR_IDENTITY_CHANGED' && error.code !== 'ERR_NO_SESSION')) return false;
    }
    known.answered = Math.max(known.answered, mine);
    return true;
  };

  /** Whether there was an answer since this identity was seen first. */
  const wasAnswered = async (account: string, hash: string): Promise<boolean> => {
    const nowMs = ctx.now();
    const asked = questions.get(account) ?? new Map<string, Question>();
    questions.set(account, asked);
    for (const [each, { atMs }] of asked) if (Math.abs(nowMs - atMs) > sessionLimits.identityCheckMs) asked.delete(each);
    // By identity too: a forged flight must not speak for the true one that comes later, nor many of them ask as often as they come.
    if (!asked.has(hash) && asked.size < sessionLimits.identityChecks) asked.set(hash, { atMs: nowMs, hasSaid: ask(account) });
    const question = asked.get(hash);
    if (question !== undefined) {
      // Of several flights that come meanwhile none is judged before the directory has answered.
      const hasSaid = await question.hasSaid;
      if (!hasSaid && asked.get(hash) === question) asked.delete(hash);
      return hasSaid;
    }
    const name = `${hash} ${account}`;
    const known = asksOf(account);
    const since = waitingSince.get(name) ?? known.begun;
    waitingSince.set(name, since);
    if (waitingSince.size > WAITING_MAX) waitingSince.delete(waitingSince.keys().next().value as string);
    const isAnswered = known.answered > since || (Math.abs(nowMs - known.atMs) > sessionLimits.listRefetchMs && (await ask(account)));
    if (isAnswered) waitingSince.delete(name);
    return isAnswered;
  };

  return {
    ask,
    shown: (account, accountKeyHash) => void shows.set(account, accountKeyHash),
    async of(account, identity) {
      const hash = keyHash(identity);
      if (!(await wasAnswered(account, toHex(hash)))) return 'unanswered';
      const contact = find(account);
      if (contact !== undefined && equal(contact.identity, identity)) return 'pinned';
      const shown = shows.get(account);
      if (shown !== undefined && equal(shown, hash)) return 'waits';
      if (contact?.changedTo !== undefined && equal(contact.changedTo, identity)) return 'waits';
      throw new TrustError('ERR_IDENTITY_CHANGED', 'the identity is neither the pinned one nor what the directory shows');
    },
  };
}
