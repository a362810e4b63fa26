/**
 * Sessions of senders that no pin confirms: which there are, who is asked about them, and how they go (section 5).
 *
 * A first flight says whose it is, and only the directory can tell. Until it has, the session and its messages are kept, out of sight:
 * at most 64 such sessions, the oldest dropped. An answer judges what had come when it was asked for; what came since is asked about anew,
 * and what came from an identity that waits for a person's decision waits, too. What is dropped goes with everything that came with it, in
 * one commit.
 */

import { compare, equal, fromHex } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { sessionLimits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { Arrivals } from './arrivals.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import type { Inbox } from './inbox.js';
import { keys, type SessionRecord } from './records.js';
import { claimedSessions, isFrom, type LiveSession, type Sessions } from './sessions.js';

/** The claimed sessions of one client. */
export interface Claims {
  /** The row that marks a session as claimed, to be committed with it; `added` is called after. */
  write(id: string): Write;
  added(session: LiveSession): void;
  /** Whether a session of this device is claimed: what comes from it now waits with what has come. */
  include(from: Pick<Facts, 'account' | 'device' | 'accountKeyHash'>): boolean;
  /** These sessions have expired with their rows. */
  expired(ids: readonly Uint8Array[]): void;
  /** Drops the oldest above the bound. Holds no lock. */
  trim(): Promise<void>;
  /** Asks the directory who `account` is, unless it is being asked. A false claim is dropped with all that came with it. */
  confirm(account: string): void;
  /** Asks about everybody who is not confirmed. */
  confirmAll(): void;
  isAsking(): boolean;
  /**
   * Settles the claims to an account whose pin was made or changed, or that nobody has: what is not the pin's goes, but for what came
   * since the directory was asked, and for what waits for a person.
   */
  settle(account: string): Promise<void>;
}

type Facts = Pick<SessionRecord, 'account' | 'device' | 'accountKeyHash' | 'deviceKeyHash' | 'createdAtMs'>;

/** `place`: among the questions to the directory. */
type Claim = Facts & { readonly place: number };

/** Of an earlier run: what stands judges it. */
const EARLIER = -1;

/** The claimed sessions in `ctx.db`. `onDropped` hears of an account whose messages were dropped, `onSettled` when claims were. */
export async function claims(
  ctx: Context,
  contacts: Contacts,
  sessions: Sessions,
  inbox: Inbox,
  arrivals: Arrivals,
  onDropped: (account: string) => void,
  onSettled: (account: string) => Promise<void>,
): Promise<Claims> {
  /** By session, oldest first: a Map keeps the order of arrival. */
  const claimed = new Map<string, Claim>();
  /** Accounts that the directory is being asked about. */
  const asking = new Set<string>();
  for (const [id, claim] of await claimedSessions(ctx.db)) claimed.set(id, { ...claim, place: EARLIER });

  const claimsTo = (account: string): [id: string, claim: Claim][] => [...claimed].filter(([, claim]) => claim.account === account);
  /** Whether what the directory has said was asked for before it came. */
  const isUnasked = ({ account, place }: Claim): boolean => !contacts.questions.wasAskedSince(account, place);
  const hasUnasked = (account: string): boolean => claimsTo(account).some(([, claim]) => isUnasked(claim));
  /** Runs what judges claims to `account`: by one pin and one list, so that a message and its session have one fate. */
  const judging = (account: string, task: () => Promise<void>): Promise<void> =>
    ctx.lock(`peer ${account}`, () => ctx.lock(`contact ${account}`, task));

  /**
   * Drops `strangers` with the devices that made them, what of theirs waits for other messages, and these messages; `confirmed` are claims
   * no more, with `more` rows. Holds the locks of account and conversation.
   */
  const drop = async (
    account: string,
    strangers: readonly Claim[],
    messages: readonly number[],
    confirmed: readonly string[] = [],
    more: readonly Write[] = [],
  ): Promise<void> => {
    const rows = [...more, ...inbox.removal(messages)];
    const owners = strangers.filter((claim, i) => strangers.findIndex((other) => isOneDevice(claim, other)) === i);
    const removals = await Promise.all(owners.map((owner) => sessions.removal(owner)));
    for (const { writes } of removals) rows.push(...writes);
    const early = await arrivals.without(account, (from) => owners.some((owner) => isFrom(owner, from)));
    rows.push(...early.writes);
    const goesToo = (claim: Claim): boolean => owners.some((owner) => isOneDevice(owner, claim));
    for (const id of confirmed) if (!goesToo(claimed.get(id)!)) rows.push({ key: keys.claimed(id), value: null });
    if (rows.length > 0) await ctx.db.commit(rows);
    for (const { install } of removals) install();
    early.committed();
    for (const [id, claim] of claimed) if (confirmed.includes(id) || goesToo(claim)) claimed.delete(id);
    inbox.removed(messages);
    if (messages.length > 0) onDropped(account);
  };

  const settleLocked = async (account: string): Promise<void> => {
    const changedTo = (await contacts.load(account))?.changedTo;
    const own = claimsTo(account);
    const isConfirmed = ([, claim]: [string, Claim]): boolean => contacts.mayShow(account, claim.accountKeyHash, claim.device);
    const confirmed = own.filter(isConfirmed).map(([id]) => id);
    const others = own.filter((claim) => !isConfirmed(claim)).map(([, claim]) => claim);
    const inDoubt = changedTo && keyHash(changedTo);
    const stay = others.filter((claim) => isUnasked(claim) || (inDoubt !== undefined && equal(inDoubt, claim.accountKeyHash)));
    const strangers = others.filter((claim) => !stay.some((each) => isOneDevice(each, claim)));
    await arrivals.confirm(account, (rows) => {
      const waiting = stay.flatMap((claim) => inbox.unconfirmedOf(account, claim));
      const due = inbox.unconfirmedOf(account).filter((seq) => !waiting.includes(seq));
      return drop(account, strangers, due, confirmed, rows);
    });
    inbox.settled(account);
  };

  /** Asks until all that has come was asked about, one question at a time. */
  const ask = async (account: string): Promise<void> => {
    try {
      do {
        const before = contacts.questions.count();
        try {
          // One whose pin stands is no claim any more; an earlier run may have ended before it was settled.
          if (hasUnasked(account) || (await contacts.load(account)) === undefined) await contacts.refresh(account, []);
        } catch (error) {
          const code = isCyphrError(error) ? error.code : 'ERR_BUG';
          ctx.observer.log('info', 'claim-unconfirmed', code);
          // These are answers, unless the port has thrown them: whom nobody will ever confirm must not take the place of others.
          const isAnswer = code === 'ERR_NO_SESSION' || code === 'ERR_IDENTITY_CHANGED';
          if (!isAnswer || !contacts.questions.wasAskedSince(account, before)) return;
        }
        await self.settle(account);
      } while (hasUnasked(account));
    } finally {
      asking.delete(account);
    }
  };

  const self: Claims = {
    write: (id) => ({ key: keys.claimed(id), value: fromHex(id)! }),
    added: ({ id, facts }) => claimed.set(id, { ...facts, place: contacts.questions.count() }),
    include: (from) => [...claimed.values()].some((claim) => claim.account === from.account && isFrom(claim, from)),
    expired(ids) {
      for (const [id] of claimed) if (ids.some((gone) => compare(gone, fromHex(id)!) === 0)) claimed.delete(id);
    },
    async trim() {
      while (claimed.size > sessionLimits.claimedCount) {
        const { account } = claimed.values().next().value as Claim;
        await judging(account, async () => {
          const oldest = claimed.values().next().value as Claim | undefined;
          // Settled meanwhile.
          if (oldest?.account !== account || claimed.size <= sessionLimits.claimedCount) return;
          if (contacts.mayShow(account, oldest.accountKeyHash, oldest.device)) return settleLocked(account);
          await ctx.lock(`talk ${account}`, () => drop(account, [oldest], inbox.unconfirmedOf(account, oldest)));
        });
      }
    },
    confirm(account) {
      if (asking.has(account) || asking.size >= sessionLimits.claimedCount) return;
      asking.add(account);
      ask(account)
        .catch((error: unknown) => ctx.observer.log('warn', 'settling-failed', isCyphrError(error) ? error.code : 'ERR_BUG'))
        .finally(() => inbox.stir());
    },
    confirmAll() {
      for (const account of new Set([...inbox.unconfirmed(), ...[...claimed.values()].map((claim) => claim.account)]))
        self.confirm(account);
    },
    isAsking: () => asking.size > 0,
    async settle(account) {
      await judging(account, () => settleLocked(account));
      await onSettled(account);
      if (hasUnasked(account)) self.confirm(account);
    },
  };
  return self;
}

/** Whether both stand under one peer: a device is known by its key. */
function isOneDevice(a: Facts, b: Facts): boolean {
  return a.account === b.account && equal(a.deviceKeyHash, b.deviceKeyHash);
}
