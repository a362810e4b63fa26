/**
 * What an application can say of itself in a report: why a message could not be read, and how the client stands.
 *
 * What stands in a diagnosis may be posted in public: numbers and words, no plaintext, no keys, no names. Ids are hashed with a salt of
 * this store, so that two reports of one device can be told to be about the same contact, and by nobody what is not known already.
 */

import { compare, encodeUtf8, toHex, wipe } from '../bytes.js';
import { hmacSha256 } from '../crypto/suite.js';
import { type ErrorCode, UsageError } from '../errors.js';
import { keyLimits, sessionLimits } from '../limits.js';
import { activeSession, isBroken, NO_SESSIONS, type PeerSessions } from '../session/peer.js';
import type { Write } from '../store/port.js';
import { parseDeviceList } from '../wire/objects.js';
import type { Context } from './context.js';
import type { Calls } from './engine.js';
import type { Keyring } from './keyring.js';
import { decodeFacts, keys, peerRecord, pendingRecord, sentRecord, type TroubleRecord, troubleRecord } from './records.js';
import type { PeerDevice, Sessions } from './sessions.js';
import type { ClientEvent, ClientStatus, Diagnosis } from './types.js';

type Undecryptable = Extract<ClientEvent, { type: 'undecryptable' }>;

/** What is known of messages that can't be read. */
export interface Trouble {
  readonly account: string;
  /** H(DIK), and the session in which they came, 16 bytes; absent where no session is at fault. */
  readonly deviceKeyHash?: Uint8Array | undefined;
  readonly session?: Uint8Array | undefined;
  readonly code: ErrorCode;
  readonly heals: Undecryptable['heals'];
}

/** An event to be committed: `committed` is called after. */
interface Report {
  readonly writes: readonly Write[];
  committed(): void;
}

/** The `undecryptable` events of one client, and what is remembered of each. */
export interface Troubles {
  /** The row of one event of a contact; `committed` says it. Only the last 100 are remembered, 20 of one account. */
  report(trouble: Trouble): Report;
  /** The same of a session whose sender no pin confirms: no row, once an hour for an account, and few in all. */
  unconfirmed(trouble: Trouble): Report;
  /** The same of content that can't be read: nothing if that was said of the account in this hour. Of a stranger no row is written. */
  unreadable(account: string, code: ErrorCode, isStranger: boolean): Report | undefined;
  /** Says one whose sender nobody knows, and remembers it in memory alone: a flood of names must not push out what matters. */
  reportStranger(trouble: Unproven): void;
  /**
   * Says that a first message can't be taken: who wrote it, if the seal opened, is what it claims, and anybody can claim. So nothing is
   * started by it, no row is written, and an hour has one such event for an account and cause, and few in all. Also what no message is to
   * blame for: that a fault of ours keeps one with the relay.
   */
  unproven(account: string | undefined, code: ErrorCode, heals: Trouble['heals']): void;
  /** What is remembered of an event. */
  load(reference: string): Promise<Remembered | undefined>;
  /** Of the last 100 events that are remembered, oldest first: also of one that a process which died did not come to say. */
  references(): string[];
}

/** What came from somebody of whom at most a claim is known. */
type Unproven = Omit<Trouble, 'account'> & { readonly account: string | undefined };
type Remembered = Omit<TroubleRecord, 'account'> & { readonly account: string | undefined };

/** The troubles in `ctx.db`. */
export async function troubles(ctx: Context): Promise<Troubles> {
  /** Oldest first. */
  let known = (await ctx.db.list(['trouble']))
    .map(({ key, value }) => ({ reference: key[1]!, ...troubleRecord.decode(value) }))
    .sort((a, b) => a.atMs - b.atMs);
  const strangers = new Map<string, Remembered>();
  const say = (reference: string, { account: from, code, heals }: Unproven): void =>
    ctx.events.emit({ type: 'undecryptable', reference, ...(from !== undefined && { from }), code, heals });
  const isRecent = ({ atMs }: Remembered): boolean => Math.abs(ctx.now() - atMs) < sessionLimits.unreadableAgainMs;
  const wasSaid = (account: string | undefined, code: ErrorCode): boolean =>
    [...known.filter(({ session }) => session === undefined), ...strangers.values()].some(
      (each) => each.account === account && each.code === code && isRecent(each),
    );
  /** Says what anybody can bring about under any name: once an hour for an account, and few in all. */
  const sayRarely = (trouble: Unproven): void => {
    const alike = [...strangers.values()].filter((each) => each.code === trouble.code && each.heals === trouble.heals && isRecent(each));
    if (alike.length < sessionLimits.goneReports && !wasSaid(trouble.account, trouble.code)) self.reportStranger(trouble);
  };
  const self: Troubles = {
    async load(reference) {
      const row = await ctx.db.read(keys.trouble(reference));
      return row === undefined ? strangers.get(reference) : troubleRecord.decode(row);
    },
    references() {
      const ofStrangers = [...strangers].map(([reference, { atMs }]) => ({ reference, atMs }));
      const all = [...ofStrangers, ...known].sort((a, b) => a.atMs - b.atMs);
      return all.slice(-sessionLimits.troubleCount).map(({ reference }) => reference);
    },
    reportStranger(trouble) {
      const reference = toHex(ctx.rng(8));
      strangers.set(reference, { ...trouble, atMs: ctx.now() });
      if (strangers.size > sessionLimits.troubleCount) strangers.delete(strangers.keys().next().value as string);
      say(reference, trouble);
    },
    unproven: (account, code, heals) => sayRarely({ account, code, heals }),
    unconfirmed: (trouble) => ({ writes: [], committed: () => sayRarely(trouble) }),
    report(trouble) {
      const reference = toHex(ctx.rng(8));
      const row = { ...trouble, atMs: ctx.now() };
      const ofAccount = known.filter(({ account }) => account === trouble.account);
      const spent = ofAccount.slice(0, Math.max(0, ofAccount.length + 1 - sessionLimits.troublePerAccount));
      const rest = known.filter((each) => !spent.includes(each));
      while (rest.length >= sessionLimits.troubleCount) spent.push(...rest.splice(oldestOfMost(rest), 1));
      return {
        writes: [
          { key: keys.trouble(reference), value: troubleRecord.encode(row) },
          ...spent.map((each): Write => ({ key: keys.trouble(each.reference), value: null })),
        ],
        committed() {
          known = [...known.filter((each) => !spent.includes(each)), { reference, ...row }];
          say(reference, trouble);
        },
      };
    },
    unreadable(account, code, isStranger) {
      if (wasSaid(account, code)) return undefined;
      const trouble: Trouble = { account, code, heals: 'needs-person' };
      return isStranger ? { writes: [], committed: () => self.reportStranger(trouble) } : self.report(trouble);
    },
  };
  return self;
}

/** Where the oldest row of the account stands of which there are most: whoever makes many pushes out their own. */
function oldestOfMost(rows: readonly Pick<Trouble, 'account'>[]): number {
  const counts = new Map<string, number>();
  for (const { account } of rows) counts.set(account, (counts.get(account) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return rows.findIndex(({ account }) => counts.get(account) === most);
}

/** One sentence for developers on each cause that has more to say than its class. */
const ADVICE: Partial<Readonly<Record<ErrorCode | 'healthy' | 'healed' | 'unsettled' | 'unverified' | 'removed', string>>> = {
  healthy: 'Nothing is wrong that this client knows of.',
  healed: 'It has healed: a new session is in use, and what the sender still had was sent again.',
  unsettled:
    'A session is broken whose other side is not confirmed, or has changed its identity: once that is settled, another takes its place, and what was lost is asked for.',
  unverified: 'Only verified contacts are written to, as the option `trust` says: a person has to verify the contact.',
  ERR_DECRYPT:
    'Messages arrived damaged, or the two sides have drifted apart (a restored copy of a store does that): the session is being replaced, and what was lost is asked for.',
  ERR_SKIP_LIMIT: 'More messages were lost in a row than can be bridged: the session is being replaced, and what was lost is asked for.',
  ERR_SESSION_DEAD:
    'A session can’t be used any more and new ones are limited to one an hour and three a day with one device: it goes out by itself once that allows it.',
  ERR_DEVICE_UNTRUSTED:
    'The sender is no device of the account that it names (it was removed or replaced, or never was one): its messages are not shown.',
  ERR_KEY_GONE:
    'A first message came for keys that this device has deleted, or that were used before; anybody can make one. If it seems to be a contact’s, write there: what it sent lately then comes again.',
  ERR_VERSION: 'The sender uses a newer version of this library: update this one.',
  ERR_DECODE: 'The message is genuine, but its content breaks the format: the fault is with the sender’s software.',
  ERR_OFFLINE: 'The relay can’t be reached: what is queued goes out by itself once it can.',
  ERR_NO_SESSION: 'A recipient has published no keys yet: messages go out by themselves once it has.',
  ERR_IDENTITY_CHANGED: 'A contact’s identity has changed: a person has to compare the safety number and accept it.',
  removed: 'Another device has taken this one out of the account: erase() it; it may be linked again.',
  ERR_STORE_FULL: 'The store has no room for what comes, so that the relay keeps it: free space; it is tried again by itself.',
  ERR_STORE_IO:
    'The store fails on what comes, so that the relay keeps it: it is tried again by itself; see that the place can be written.',
  ERR_BUG: 'A fault of this library: a message can’t be handled, and stays with the relay. Please report it, with what the observer logs.',
  ERR_STORE_ROLLBACK: 'The store is an old copy, or is used twice: call recover().',
};
const OTHER_ADVICE = 'See the code in the documentation’s table of errors, and what its action says.';

/** What a diagnosis looks at. */
export interface Patient {
  readonly sessions: Sessions;
  readonly troubles: Pick<Troubles, 'load' | 'references'>;
  readonly keyring: Pick<Keyring, 'prekeys'>;
  status(): ClientStatus;
  /** With what the store refuses what comes, if it does. */
  refusal(): ErrorCode | undefined;
  readonly isSealed: boolean;
}

/** The call that answers how the client stands, or what became of one event. */
export function diagnosis(ctx: Context, { sessions, troubles, keyring, status, refusal, isSealed }: Patient): Calls['diagnose'] {
  const { db } = ctx;
  let salt: Uint8Array | undefined;
  /** Made once for a store; a client that has halted can't keep it, and says hashes that nobody can compare. */
  const loadSalt = (): Promise<Uint8Array> =>
    ctx.lock('salt', async () => {
      salt ??= await db.read(keys.salt);
      if (salt !== undefined) return salt;
      const made = ctx.rng(32);
      salt = made.slice();
      if (!ctx.life.hasEnded()) await db.commit([{ key: keys.salt, value: made }]);
      return salt;
    });
  const hashed = async (kind: string, id: Uint8Array): Promise<string> => {
    const mac = hmacSha256(await loadSalt(), new Uint8Array([...encodeUtf8(kind)!, 0, ...id]));
    const text = toHex(mac.subarray(0, 8));
    wipe(mac);
    return text;
  };
  const answer = (
    cause: Diagnosis['cause'],
    heals: Diagnosis['heals'],
    facts: Diagnosis['facts'],
    advice: string = ADVICE[cause] ?? OTHER_ADVICE,
    references: Diagnosis['references'] = troubles.references(),
  ): Diagnosis => ({ cause, heals, advice, facts, references });

  /** Whether another session with the device has taken the place of the one that failed, and was heard of. */
  const isHealed = ({ sessions: all }: PeerSessions, session: Uint8Array): boolean => {
    const active = activeSession({ ...NO_SESSIONS, sessions: all });
    return active !== undefined && active.answeredAtMs !== null && compare(active.id, session) !== 0;
  };

  const ofEvent = async (reference: string, remembered: Remembered): Promise<Diagnosis> => {
    const { account, code, heals, atMs, session, deviceKeyHash } = remembered;
    const facts: Record<string, number | string> = {
      minutesAgo: Math.max(0, Math.round((ctx.now() - atMs) / 60_000)),
      account: account === undefined ? 'unknown' : await hashed('account', encodeUtf8(account)!),
    };
    const told = heals as Diagnosis['heals'];
    if (account === undefined || session === undefined || deviceKeyHash === undefined)
      return answer(code as ErrorCode, told, { ...facts, healed: 'no' }, undefined, [reference]);
    const owner: PeerDevice = { account, deviceKeyHash };
    const peer = await ctx.lock(`peer ${account}`, () => sessions.peer(owner));
    const found = peer.sessions.find(({ id }) => compare(id, session) === 0);
    const healed = heals !== 'never' && isHealed(peer, session);
    return answer(
      code as ErrorCode,
      healed ? 'by-itself' : told,
      {
        ...facts,
        device: await hashed('device', deviceKeyHash),
        session: await hashed('session', session),
        healed: healed ? 'yes' : 'no',
        failedMessages: found?.failed.length ?? 0,
        askedFor: found?.askedCount ?? 0,
        sessionsWithDevice: peer.sessions.length,
      },
      healed ? ADVICE.healed : told === 'needs-person' ? ADVICE.unsettled : undefined,
      [reference],
    );
  };

  /** How many messages wait, by the reason for which they are held. */
  const heldBy = async (): Promise<Map<string, number>> => {
    const codes = new Map<string, number>();
    for (const { value } of await db.list(['pending'])) {
      const row = await db.read(keys.sent(pendingRecord.decode(value).id));
      const { state, code } = row === undefined ? { state: 'queued', code: undefined } : sentRecord.decode(row);
      if (state === 'held' && code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    return codes;
  };
  const countSessions = async (): Promise<{ active: number; suspect: number; dead: number; broken: number }> => {
    const counts = { active: 0, suspect: 0, dead: 0, broken: 0 };
    for (const { value } of await db.list(['peer'])) {
      const all = peerRecord.decode(value).sessions.map(decodeFacts);
      const active = all.filter((session) => session.status === 'active');
      counts.active += active.filter((session) => !isBroken(session)).length;
      counts.broken += active.filter(isBroken).length;
      counts.suspect += all.filter(({ suspect }) => suspect).length;
      counts.dead += all.filter(({ dead }) => dead).length;
    }
    return counts;
  };

  const ofClient = async (): Promise<Diagnosis> => {
    const now = status();
    const held = await heldBy();
    const counts = await countSessions();
    const nowMs = ctx.now();
    const { issuedAt } = parseDeviceList(ctx.device().deviceList);
    const facts: Record<string, number | string> = {
      connection: now.state,
      ...('queuedCount' in now ? { queued: now.queuedCount, unacknowledged: now.unackedCount } : {}),
      sessionsActive: counts.active,
      sessionsSuspect: counts.suspect,
      sessionsDead: counts.dead,
      oneTimePrekeysHeld: keyring.prekeys().batches.reduce((sum, { units }) => sum + units.length, 0),
      listAgeHours: Math.round((nowMs - issuedAt) / 3_600_000),
      store: isSealed ? 'sealed' : 'as it was given',
      clock: nowMs < issuedAt ? 'behind the time at which this device list was signed' : 'no doubt',
    };
    for (const [code, count] of held) facts[`held ${code}`] = count;
    if (now.state === 'halted') {
      return answer(now.error.code, 'needs-person', facts, now.error.field === 'device' ? ADVICE.removed : undefined);
    }
    const refused = refusal();
    if (refused !== undefined) return answer(refused, refused === 'ERR_STORE_FULL' ? 'needs-person' : 'by-itself', facts);
    const [first] = held.keys();
    if (first !== undefined) {
      const needsPerson = first === 'ERR_IDENTITY_CHANGED' || first === 'ERR_DEVICE_UNTRUSTED';
      const advice = first === 'ERR_DEVICE_UNTRUSTED' ? ADVICE.unverified : undefined;
      return answer(first as ErrorCode, needsPerson ? 'needs-person' : 'by-itself', facts, advice);
    }
    if (now.state === 'offline' || now.state === 'connecting') return answer('ERR_OFFLINE', 'by-itself', facts);
    if (counts.broken > 0) return answer('ERR_SESSION_DEAD', 'by-itself', facts);
    if (nowMs - issuedAt > keyLimits.listStaleMs) return answer('ERR_LIST_STALE', 'by-itself', facts);
    return answer('healthy', 'by-itself', facts);
  };

  return async ({ reference }) => {
    if (reference === undefined) return ofClient();
    const found = await troubles.load(reference);
    if (found === undefined) {
      const message = 'no event of the last 100 has this reference';
      throw new UsageError('ERR_ARGUMENT', message, { field: 'reference' });
    }
    return ofEvent(reference, found);
  };
}
