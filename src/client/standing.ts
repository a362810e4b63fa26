/**
 * Whether the identity under which a first flight came may be the contact's: what the directory is asked about it, and how often
 * (section 2.4). Four identities of one account are asked about in a day; more are judged by the next answer, once in ten minutes.
 * Nobody waits here: what was not answered yet is looked at again with the answer. Knows identities, not what came under them.
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
   * said, `unanswered`: then it is asked in the background, if it may be. Throws `ERR_IDENTITY_CHANGED` for one that is neither the pin nor
   * what the directory shows.
   */
  of(account: string, identity: Uint8Array): 'pinned' | 'waits' | 'unanswered';
  /** Whether there was an answer since this identity, H(AIK) in hex, was seen first: by name in this day, else in these ten minutes. */
  isAnswered(account: string, identityHash: string): boolean;
  /** Asks the directory in the background; one question of an account is under way at a time, and at most one more follows it. */
  ask(account: string): void;
  /** Calls back after each question. */
  onAsked(listener: (account: string, hasSaid: boolean) => void): void;
  /** Whether a question is under way. */
  isAsking(): boolean;
  /** The directory shows this one, H(AIK). */
  shown(account: string, accountKeyHash: Uint8Array): void;
}

/** What one account is asked about, and was: questions by their number. */
interface Questions {
  begun: number;
  answered: number;
  /** When the last one began. */
  atMs: number;
  isUnderWay: boolean;
  /** Somebody came while one was under way, which says nothing about them. */
  isWanted: boolean;
  /** By H(AIK) in hex, those that are asked about by name; `since` is the number of the last question that began before they came. */
  readonly named: Map<string, { readonly atMs: number; readonly since: number }>;
}

/** The same for contacts that `find` knows and `refresh` asks about. */
export function standing(
  ctx: Pick<Context, 'now'>,
  find: (account: string) => KnownContact | undefined,
  refresh: (account: string) => Promise<unknown>,
): Standing {
  const questions = new Map<string, Questions>();
  const questionsOf = (account: string): Questions => {
    const fresh = { begun: 0, answered: 0, atMs: Number.NEGATIVE_INFINITY, isUnderWay: false, isWanted: false, named: new Map() };
    const known = questions.get(account) ?? fresh;
    questions.set(account, known);
    return known;
  };
  const waitingSince = new Map<string, number>();
  /** By account, H(AIK). */
  const shows = new Map<string, Uint8Array>();
  const listeners: ((account: string, hasSaid: boolean) => void)[] = [];
  const isWithin = (atMs: number, ms: number): boolean => Math.abs(ctx.now() - atMs) <= ms;

  /** Whether the directory has answered. */
  const hear = async (account: string): Promise<boolean> => {
    try {
      await refresh(account);
      return true;
    } catch (error) {
      // That it shows another one, or knows no such account any more, is an answer.
      return isCyphrError(error) && (error.code === 'ERR_IDENTITY_CHANGED' || error.code === 'ERR_NO_SESSION');
    }
  };
  const ask = (account: string): void => {
    const known = questionsOf(account);
    if (known.isUnderWay) {
      known.isWanted = true;
      return;
    }
    known.atMs = ctx.now();
    known.begun += 1;
    known.isUnderWay = true;
    const mine = known.begun;
    hear(account)
      .then((hasSaid) => {
        known.isUnderWay = false;
        if (hasSaid) known.answered = mine;
        // What was not answered does not count.
        else for (const [hash, { since }] of known.named) if (since >= known.answered && since < mine) known.named.delete(hash);
        for (const listener of listeners) listener(account, hasSaid);
        const { isWanted } = known;
        known.isWanted = false;
        if (isWanted) ask(account);
      })
      // A clock that fails: the next flight asks.
      .catch(() => {});
  };

  const isAnswered = (account: string, hash: string): boolean => {
    const { named, answered, atMs } = questionsOf(account);
    const byName = named.get(hash);
    if (byName !== undefined && isWithin(byName.atMs, sessionLimits.identityCheckMs)) return answered > byName.since;
    const since = waitingSince.get(`${hash} ${account}`);
    return since !== undefined && answered > since && isWithin(atMs, sessionLimits.listRefetchMs);
  };
  /** This identity waits for an answer to what is asked from now on. */
  const wait = (account: string, hash: string): void => {
    const known = questionsOf(account);
    for (const [each, { atMs }] of known.named) if (!isWithin(atMs, sessionLimits.identityCheckMs)) known.named.delete(each);
    const name = `${hash} ${account}`;
    const before = waitingSince.get(name);
    const since = before === undefined || known.answered > before ? known.begun : before;
    waitingSince.set(name, since);
    if (waitingSince.size > WAITING_MAX) waitingSince.delete(waitingSince.keys().next().value as string);
    if (known.named.has(hash)) return;
    // By identity too: a forged flight must not speak for the true one that comes later, nor many of them ask as often as they come.
    const isNamed = known.named.size < sessionLimits.identityChecks;
    if (isNamed) known.named.set(hash, { atMs: ctx.now(), since });
    if (isNamed || !isWithin(known.atMs, sessionLimits.listRefetchMs)) ask(account);
  };

  return {
    ask,
    isAnswered,
    isAsking: () => [...questions.values()].some(({ isUnderWay }) => isUnderWay),
    onAsked: (listener) => void listeners.push(listener),
    shown: (account, accountKeyHash) => void shows.set(account, accountKeyHash),
    of(account, identity) {
      const hash = keyHash(identity);
      const name = toHex(hash);
      if (!isAnswered(account, name)) {
        wait(account, name);
        return 'unanswered';
      }
      const contact = find(account);
      if (contact !== undefined && equal(contact.identity, identity)) return 'pinned';
      const shown = shows.get(account);
      if (shown !== undefined && equal(shown, hash)) return 'waits';
      if (contact?.changedTo !== undefined && equal(contact.changedTo, identity)) return 'waits';
      throw new TrustError('ERR_IDENTITY_CHANGED', 'the identity is neither the pinned one nor what the directory shows');
    },
  };
}
