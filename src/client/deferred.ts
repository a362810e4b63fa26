/**
 * Envelopes that can't be handled yet: for want of a token, of room, or of news of an account. They stay with the carrier.
 *
 * What waits for a token is tried as these come; what waits for news only with the news, so that waiting uses up nothing. Knows what an
 * envelope waits for, not what is in it.
 */

import { sessionLimits } from '../limits.js';
import type { Delivery } from '../transport/port.js';
import type { Context } from './context.js';
import { emitter, timer } from './platform.js';

/** Envelopes of which it is remembered that they wait for more than a token: as many as the reference relay keeps for one device. */
const WAITING_MAX = 10_000;

/**
 * Not now: too many flights in this minute; no room for more of senders whom nobody has confirmed, or of this one; or of `account` the
 * directory (`pin`) or a person has to say whose `identity` it is, H(AIK) in hex, or a fresh list whose device.
 */
export class Later extends Error {
  readonly why: 'flights' | 'room' | 'pin' | 'person' | 'list';
  readonly account: string | undefined;
  readonly identity: string | undefined;
  constructor(why: Later['why'], account?: string, identity?: string) {
    super('not now');
    this.why = why;
    this.account = account;
    this.identity = identity;
  }
}

/** `Later` as a result: it is no failure. */
export async function unlessLater(task: Promise<void>): Promise<Later | undefined> {
  try {
    await task;
    return undefined;
  } catch (error) {
    if (error instanceof Later) return error;
    throw error;
  }
}

/** What is asked, and told, about what waits. */
export interface DeferredEvents {
  /** Tries an envelope again, that waited for this. What waited for the pin has paid its token when it came. */
  take(delivery: Delivery, was: Later): Promise<void>;
  /** Whether there is no room: for anybody's, or for more of this account. */
  isFull(account?: string): boolean;
  /** Whether what it waits for has come meanwhile. */
  isOver(later: Later): boolean;
  /** Nothing is being tried any more. */
  onTried(): void;
}

/** What waits for one client. */
export interface Deferred {
  /** Takes one of 30 tokens a minute. What is tried `again` comes before what has just come. */
  takeToken(again: boolean): boolean;
  giveBack(): void;
  add(delivery: Delivery, later: Later): void;
  /** Whether this envelope waits already; its newest delivery is the one that is kept. */
  has(delivery: Delivery): boolean;
  /** Whether another flight under this identity waits for the pin, or is being tried: it came first. */
  isBehind(account: string, identity: string): boolean;
  /** Whether something is being tried again, or is about to be. */
  isTrying(): boolean;
  /** Tries again what waits for news of this account, or for that alone, and what waits for room if there is some. Rejects only if the store failed. */
  retry(account?: string, why?: Later['why']): Promise<void>;
  /** Accounts of which there has to be news: from the directory, from a person, or a fresh list. */
  accounts(why: 'pin' | 'person' | 'list'): Set<string>;
  /** Calls back when the carrier should be asked again for what it was left with; returns how not to. */
  onStranded(listener: () => void): () => void;
  close(): void;
}

/** What waits in `ctx`. */
export function deferred(ctx: Context, { take, isFull, isOver, onTried }: DeferredEvents): Deferred {
  /** By the carrier's ids, oldest first. Few are kept to be tried from here; of others it is only known that they wait, and for what. */
  const waiting = new Map<string, { readonly later: Later; readonly delivery: Delivery | undefined }>();
  /** What is being tried and is to be tried after it, of one run; runs come one after another. */
  let trying: readonly Later[] = [];
  let runCount = 0;
  /** Some that may be tried were not kept: the carrier has to be asked for them. */
  let isStranding = false;
  const stranded = emitter<void>();
  let cancelTimer: (() => void) | undefined;
  const perMinute: number = sessionLimits.unknownFlightsPerMinute;
  let tokens = perMinute;
  let tokensAtMs = ctx.now();

  const hasToken = (): boolean => {
    const nowMs = ctx.now();
    tokens = Math.min(perMinute, tokens + (Math.max(0, nowMs - tokensAtMs) * perMinute) / 60_000);
    tokensAtMs = nowMs;
    return tokens >= 1;
  };
  const waitingFor = (why: Later['why']): string[] => [...waiting].flatMap(([id, { later }]) => (later.why === why ? [id] : []));

  const tryAgain = async (ids: readonly string[]): Promise<void> => {
    const again = ids.flatMap((id) => waiting.get(id) ?? []);
    for (const id of ids) waiting.delete(id);
    for (const [at, { delivery, later }] of again.entries()) {
      if (ctx.life.hasEnded()) return;
      trying = again.slice(at).map((each) => each.later);
      if (delivery === undefined) isStranding = true;
      else await take(delivery, later);
    }
  };
  /** Tries these, and flights for which there are tokens, and has the carrier asked for what it was left with. */
  const runNow = async (ids: readonly string[]): Promise<void> => {
    try {
      await tryAgain(ids);
      for (let [flight] = waitingFor('flights'); flight !== undefined && hasToken(); [flight] = waitingFor('flights'))
        await tryAgain([flight]);
    } catch (error) {
      // The store failed: the carrier is asked again for this one and the rest, as the loop does for its own.
      stranded.emit();
      throw error;
    } finally {
      trying = [];
    }
    if (waitingFor('flights').length > 0) return awaitToken();
    if (!isStranding || ctx.life.hasEnded()) return;
    isStranding = false;
    stranded.emit();
  };
  /** Holds no lock that a flight needs: what is found waiting once it is its turn. */
  const run = async (find: () => readonly string[]): Promise<void> => {
    runCount += 1;
    try {
      await ctx.lock('deferred', () => runNow(find()));
    } finally {
      runCount -= 1;
      onTried();
    }
  };
  const runSoon = (find: () => readonly string[]): void => {
    run(find).catch(() => ctx.observer.log('warn', 'retry-failed'));
  };
  const awaitToken = (): void => {
    cancelTimer ??= timer(() => {
      cancelTimer = undefined;
      runSoon(() => []);
    }, 60_000 / perMinute);
  };

  return {
    takeToken(again) {
      if (!hasToken() || (!again && waitingFor('flights').length > 0)) return false;
      tokens -= 1;
      return true;
    },
    giveBack() {
      tokens += 1;
    },
    add(delivery, later) {
      const isFlight = later.why === 'flights';
      const alike = [...waiting.values()].filter((each) => each.delivery !== undefined && (each.later.why === 'flights') === isFlight);
      // Behind a flight that was left with the carrier those that follow are left, too, so that it is not overtaken for ever.
      const isKept = alike.length < sessionLimits.claimedCount && !(isFlight && isStranding);
      if (isKept || !isFlight) waiting.set(delivery.id, { later, delivery: isKept ? delivery : undefined });
      else isStranding = true;
      if (waiting.size > WAITING_MAX) waiting.delete(waiting.keys().next().value as string);
      if (isFlight) awaitToken();
      const { why, account, identity } = later;
      const isAlike = (each: Later): boolean => each.why === why && each.account === account && each.identity === identity;
      // With those that wait for the same, in their order.
      if (isOver(later)) runSoon(() => [...waiting].flatMap(([id, each]) => (isAlike(each.later) ? [id] : [])));
    },
    has(delivery) {
      const known = waiting.get(delivery.id);
      if (known?.delivery !== undefined) waiting.set(delivery.id, { ...known, delivery });
      return known !== undefined;
    },
    retry(account, why) {
      const isNews = ({ later }: { later: Later }): boolean =>
        account !== undefined && later.account === account && (why === undefined || later.why === why);
      const crowded = new Map<string | undefined, boolean>();
      const hasRoom = ({ later }: { later: Later }): boolean => {
        if (later.why !== 'room') return false;
        if (!crowded.has(later.account)) crowded.set(later.account, isFull(later.account));
        return crowded.get(later.account) === false;
      };
      return run(() => [...waiting].flatMap(([id, each]) => (isNews(each) || hasRoom(each) ? [id] : [])));
    },
    isBehind: (account, identity) =>
      [...trying, ...[...waiting.values()].map(({ later }) => later)].some(
        (each) => each.why === 'pin' && each.account === account && each.identity === identity,
      ),
    isTrying: () => runCount > 0,
    accounts: (why) => new Set(waitingFor(why).flatMap((id) => waiting.get(id)?.later.account ?? [])),
    onStranded: stranded.listen,
    close() {
      cancelTimer?.();
      waiting.clear();
    },
  };
}
