/**
 * Sessions that heal (section 5): which failures of messages mean that a session is broken, and what both sides do about it.
 *
 * The side that can't read says so once, and asks for what it could not read; that request goes out on another session, which the outbox
 * starts within the limits, and names the broken one as replaced. The side that is asked sends again, by its log, to that device alone.
 * However many messages fail, what is counted is bounded (session/peer.ts), and so are commits, requests and new sessions.
 */

import { compare, equal, fromHex, toHex } from '../bytes.js';
import { DecodeError, isCyphrError } from '../errors.js';
import { keyHash } from '../identity/index.js';
import { sessionLimits } from '../limits.js';
import type { VerifiedBundle } from '../pqxdh/bundle.js';
import { refusedMessage } from '../ratchet/ratchet.js';
import {
  activeSession,
  asked,
  died,
  failed,
  forsaken,
  isBroken,
  mayStart,
  type PeerSessions,
  restarted,
  type SessionFacts,
  unasked,
  unheard,
} from '../session/peer.js';
import type { MessageName } from '../step.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import type { ControlHandlers, ControlOf } from './control.js';
import type { Trouble, Troubles } from './diagnosis.js';
import type { Outbox, Posted } from './outbox.js';
import type { LogReader, SendLog } from './sendlog.js';
import type { LiveSession, PeerDevice, Sessions } from './sessions.js';

/** Before a request is made again, because the other side has gone on as if it had not come. */
const ASK_AGAIN_MS = 3_600_000;
/** Sessions of which it is remembered that all was sent again: more than are started here in a day. */
const SENT_AGAIN_MAX = 1_000;

/** The repair of one client's sessions. Callers hold the lock of the account. */
export interface Repair {
  /** A frame of this session was refused with `error`. Rejects only if the store failed. */
  failed(session: LiveSession, frame: Uint8Array, error: unknown): Promise<void>;
  /** The device of this session was replaced, or its account's identity: nothing is sent on it again, and that is said once. */
  replaced(session: LiveSession): Promise<void>;
  /**
   * What a message that came on session `id`, 16 bytes, changes beside it: a request in it ends the session that it names, what failed
   * elsewhere is asked for now that the device is heard, what went out on a session that it never answered is sent again, and what failed
   * here before, too little to mean that the session is broken, is said to be lost. `before` is the peer without that message.
   */
  heard(
    owner: LiveSession['facts'],
    before: PeerSessions,
    peer: PeerSessions,
    id: Uint8Array,
    request?: ControlOf<'retry'>,
  ): Promise<Heard>;
  /** What failed on sessions with a device that its account has no more, too little to mean that a session is broken: nobody can be asked. */
  losses(owner: PeerDevice, peer: PeerSessions): Heard;
  /**
   * Looks after what failed where nothing comes that would bring it up, with the devices of one account or of all: commits these reports
   * for those that contacts have no more, of which all but the last few go, and asks for what failed while nobody had confirmed its sender.
   */
  orphaned(...account: string[]): Promise<void>;
  /** Sends again what the other side could not read. */
  readonly retry: ControlHandlers['retry'];
}

/** A changed peer, and what goes into the same commit: requests and reports. */
export interface Heard {
  readonly peer: PeerSessions;
  readonly requests: readonly Posted[];
}

/** The repair of `ctx`. */
export function repair(
  ctx: Context,
  contacts: Contacts,
  sessions: Sessions,
  troubles: Troubles,
  log: SendLog,
  outbox: Pick<Outbox, 'post' | 'postAgain'>,
): Repair {
  /**
   * Sessions from here that were never answered, with the number of the first message that was not sent again, in the one chain that such
   * a session has; `Infinity` where all were. Oldest first, and few can be made in a day.
   */
  const sentAgain = new Map<string, number>();
  const noteSentAgain = (session: Uint8Array, nextN = Number.POSITIVE_INFINITY): void => {
    sentAgain.set(toHex(session), nextN);
    if (sentAgain.size > SENT_AGAIN_MAX) sentAgain.delete(sentAgain.keys().next().value as string);
  };
  const find = (peer: PeerSessions, id: Uint8Array): SessionFacts | undefined => peer.sessions.find((each) => compare(each.id, id) === 0);

  /** Whether the device may be written to unasked: it is one of the pinned account, about which nothing has to be decided. */
  const mayAsk = async ({ account, accountKeyHash, deviceKeyHash }: LiveSession['facts']): Promise<boolean> => {
    const contact = await contacts.load(account);
    if (!contacts.isSendable(contact) || !equal(contact.pin, accountKeyHash)) return false;
    return contact.devices.some(({ keyHash }) => equal(keyHash, deviceKeyHash));
  };
  const request = ({ account, deviceKeyHash }: PeerDevice, session: Uint8Array, missing: readonly MessageName[]): Posted =>
    outbox.post(account, { t: 'retry', session, missing }, { only: [deviceKeyHash] });

  /** Commits a changed peer with what goes with it. */
  const commit = async (owner: PeerDevice, peer: PeerSessions, also: readonly Posted[]): Promise<void> => {
    const rows = await sessions.peerWrites(owner, peer);
    await ctx.db.commit([...rows.writes, ...also.flatMap(({ writes }) => writes)]);
    sessions.installPeer(owner, rows.peer);
    for (const each of also) each.committed();
  };
  const trouble = (facts: PeerDevice, session: Uint8Array, code: Trouble['code'], heals: Trouble['heals'], isStranger = false): Posted =>
    troubles[isStranger ? 'unconfirmed' : 'report']({ account: facts.account, deviceKeyHash: facts.deviceKeyHash, session, code, heals });
  const isStranger = async ({ account, accountKeyHash }: LiveSession['facts']): Promise<boolean> => {
    const contact = await contacts.load(account);
    return contact === undefined || !equal(contact.pin, accountKeyHash);
  };

  /**
   * `peer`, which goes on where it can't be read, without the session on which it was told so, if nothing was heard there for an hour: it
   * can't read that one either, or has never got it. Only if there may be another.
   */
  const withoutSilent = async (owner: PeerDevice, peer: PeerSessions): Promise<PeerSessions> => {
    const active = await sessions.active(owner);
    const sinceMs = active?.live.facts.silentSinceMs;
    const isSilent = sinceMs !== undefined && Math.abs(ctx.now() - sinceMs) > sessionLimits.unmatchedMs && mayStart(peer, ctx.now());
    return isSilent ? died(peer, active!.facts.id) : peer;
  };
  /** Whether the other side, which still writes on this session, should have changed over long ago: perhaps the request never came. */
  const isUnheard = (session: SessionFacts): boolean =>
    isBroken(session) && session.askedCount > 0 && Math.abs(ctx.now() - session.askedAtMs) >= ASK_AGAIN_MS;
  /** What may be sent again to `reader` of these messages. */
  const again = async (reader: LogReader, session: Uint8Array, names: readonly MessageName[]): Promise<Posted> => {
    const resends = await log.take(reader, session, names);
    const posts = resends.map((resend) => outbox.postAgain(reader.account, resend, reader.deviceKeyHash));
    return {
      writes: [...resends.map(({ write }) => write), ...posts.flatMap(({ writes }) => writes)],
      committed() {
        for (const { committed } of posts) committed();
      },
    };
  };
  /**
   * The same of what went out on sessions that the device seems not to have, once: `room` messages of it, and more with what is heard next.
   * What waits to be encrypted anew has its old name until then: it is passed over by its number.
   */
  const onForsaken = async (owner: LiveSession['facts'], peer: PeerSessions, id: Uint8Array, room: number): Promise<Posted[]> => {
    const posts: Posted[] = [];
    let left = room;
    for (const { id: session } of forsaken(peer, id, ctx.now())) {
      const nextN = sentAgain.get(toHex(session)) ?? 0;
      if (nextN === Number.POSITIVE_INFINITY) continue;
      const names = log.namesIn(session).filter(({ n }) => n >= nextN);
      names.sort((a, b) => a.n - b.n);
      posts.push(await again(owner, session, names.slice(0, left)));
      const rest = names[left]?.n;
      posts.push({ writes: [], committed: () => noteSentAgain(session, rest) });
      left = Math.max(0, left - names.length);
    }
    return posts;
  };

  /** Keys of a device that has lost its state: a session is started with what is there now. */
  const lost = (account: string, { deviceKey, signedSet }: VerifiedBundle): Promise<void> =>
    ctx.lock(`peer ${account}`, async () => {
      const owner = { account, deviceKeyHash: keyHash(deviceKey) };
      const known = await sessions.peer(owner);
      const peer = restarted(known, signedSet.incarnation, signedSet.seq);
      const before = activeSession(known);
      if (peer === known || before === undefined) return;
      await commit(owner, peer, [request(owner, before.id, [])]);
    });
  contacts.onVerified((account, bundles) => {
    for (const bundle of bundles) {
      lost(account, bundle).catch((error: unknown) =>
        ctx.observer.log('warn', 'repair-failed', isCyphrError(error) ? error.code : 'ERR_BUG'),
      );
    }
  });
  const losses: Repair['losses'] = (owner, peer) => {
    const lost = peer.sessions.filter((session) => !isBroken(session) && session.failed.length > session.askedCount);
    return {
      peer: lost.reduce((next, { id }) => asked(next, id, ctx.now()), peer),
      requests: lost.map(({ id }) => trouble(owner, id, 'ERR_DECRYPT', 'never')),
    };
  };

  /** What failed on broken sessions with a device before it could be asked: nobody had confirmed it, or its identity was in doubt. */
  const unconfirmed = (owner: PeerDevice, peer: PeerSessions): Heard => {
    const open = peer.sessions.filter((session) => isBroken(session) && session.failed.length > 0 && session.askedCount === 0);
    return {
      peer: open.reduce((next, { id }) => asked(next, id, ctx.now()), peer),
      requests: open.map(({ id, failed: missing }) => request(owner, id, missing)),
    };
  };

  /** Looks after what is known of these devices of an account. */
  const lookAfter = async (account: string, deviceKeyHashes: readonly Uint8Array[]): Promise<void> => {
    const contact = await contacts.load(account);
    if (contact === undefined) return;
    const former: { readonly owner: PeerDevice; readonly lastMs: number }[] = [];
    for (const deviceKeyHash of deviceKeyHashes) {
      const owner = { account, deviceKeyHash };
      const isListed = contact.devices.some(({ keyHash }) => equal(keyHash, deviceKeyHash));
      if (isListed && !contacts.isSendable(contact)) continue;
      const known = await sessions.peer(owner);
      // A claim that is still to be judged is no former device.
      if (!isListed && (await sessions.isClaimed(known))) continue;
      const { peer, requests } = isListed ? unconfirmed(owner, known) : losses(owner, known);
      if (requests.length > 0) await commit(owner, peer, requests);
      const lastMs = Math.max(0, ...peer.sessions.flatMap(({ createdAtMs, retiredAtMs }) => [createdAtMs, retiredAtMs]));
      if (!isListed) former.push({ owner, lastMs });
    }
    former.sort((a, b) => b.lastMs - a.lastMs);
    for (const { owner } of former.slice(sessionLimits.formerDevices)) {
      const { writes, install } = await sessions.removal(owner);
      await ctx.db.commit(writes);
      install();
    }
  };
  return {
    losses,
    async failed({ id: hex, facts, state }, frame, error) {
      if (!isCyphrError(error) || (error.code !== 'ERR_SKIP_LIMIT' && error.code !== 'ERR_DECRYPT')) return;
      const name = refusedMessage(state, frame);
      if (name === undefined) return;
      const id = fromHex(hex)!;
      const known = await sessions.peer(facts);
      let counted = error.code === 'ERR_SKIP_LIMIT' ? died(known, id, name) : failed(known, id, name);
      const before = find(known, id);
      const session = find(counted, id);
      if (before === undefined || session === undefined) return;
      const nowMs = ctx.now();
      const isNews = isBroken(session) && !isBroken(before);
      const asksAgain = isUnheard(before);
      if (asksAgain) counted = await withoutSilent(facts, counted);
      if (counted === known && !asksAgain) return;
      const asks = (isNews || asksAgain) && (await mayAsk(facts));
      const also: Posted[] = asks ? [request(facts, id, session.failed)] : [];
      if (isNews) also.push(trouble(facts, id, error.code, asks ? 'by-itself' : 'needs-person', await isStranger(facts)));
      await commit(facts, asks ? asked(counted, id, nowMs) : counted, also);
    },
    async replaced({ id: hex, facts }) {
      const id = fromHex(hex)!;
      const known = await sessions.peer(facts);
      const peer = died(known, id);
      if (peer !== known) await commit(facts, peer, [trouble(facts, id, 'ERR_DEVICE_UNTRUSTED', 'never')]);
    },
    async orphaned(...only) {
      const known = new Map<string, Uint8Array[]>();
      for (const { key } of await ctx.db.list(['peer', ...only])) {
        const [, account, deviceKeyHash] = key as [string, string, string];
        known.set(account, [...(known.get(account) ?? []), fromHex(deviceKeyHash)!]);
      }
      for (const [account, deviceKeyHashes] of known) {
        if (ctx.life.hasEnded()) return;
        await ctx.lock(`peer ${account}`, () => lookAfter(account, deviceKeyHashes));
      }
    },
    async heard(owner, before, heardOf, id, told) {
      // On the session that can't be read nothing more is sent; what was asked for goes out on another.
      let peer = told === undefined || compare(told.session, id) === 0 ? heardOf : died(heardOf, told.session);
      const unread = told && find(before, told.session);
      // What the device was asked for there has not come either.
      if (unread !== undefined && !isBroken(unread)) peer = unheard(peer);
      const isForgiven = (find(before, id)?.failed.length ?? 0) > 0 && find(heardOf, id)?.failed.length === 0;
      const reports = isForgiven ? [trouble(owner, id, 'ERR_DECRYPT', 'never', await isStranger(owner))] : [];
      if (!(await mayAsk(owner))) return { peer, requests: reports };
      const open = unasked(peer, id);
      const requests = open.map((session) => request(owner, session.id, session.failed.slice(session.askedCount)));
      const session = find(before, id);
      // What it writes there opens again; what is written here it would still not get.
      if (session !== undefined && isUnheard(session)) {
        peer = asked(await withoutSilent(owner, peer), id, ctx.now());
        requests.push(request(owner, id, session.failed));
      }
      // The device has the session that it names: what it asks for is sent again, and nothing else.
      const named = told && find(peer, told.session);
      if (named?.initiatedByUs === true && named.answeredAtMs === null) noteSentAgain(named.id);
      requests.push(...(await onForsaken(owner, peer, id, sessionLimits.requestedMessages - (told?.missing.length ?? 0))));
      // Of a session that had broken by itself it was said when it did.
      const wasWhole = (session: SessionFacts): boolean => {
        const known = find(before, session.id) ?? session;
        return known.askedCount === 0 && !isBroken(known);
      };
      reports.push(...open.filter(wasWhole).map((session) => trouble(owner, session.id, 'ERR_DECRYPT', 'by-itself')));
      for (const session of open) peer = asked(peer, session.id, ctx.now());
      return { peer, requests: [...reports, ...requests] };
    },
    async retry(from, { session, missing }) {
      const names = checkNames(session, missing);
      // What is encrypted anew for the session that can't be read would race with what is under way there.
      if (equal(session, from.session))
        throw new DecodeError('ERR_DECODE', 'a request in the session that it is about', { field: 'session' });
      return again(from, session, names);
    },
  };
}

/** The names in a request. Throws `ERR_DECODE` for what no honest device writes. */
function checkNames(session: Uint8Array, missing: readonly unknown[]): MessageName[] {
  const isName = (value: unknown): value is MessageName => {
    if (typeof value !== 'object' || value === null) return false;
    const { tag, n } = value as Partial<MessageName>;
    return tag instanceof Uint8Array && tag.length === 16 && Number.isInteger(n) && n! >= 0 && n! <= 0xffff_ffff;
  };
  if (session.length !== 16 || missing.length > sessionLimits.requestedMessages || !missing.every(isName)) {
    throw new DecodeError('ERR_DECODE', 'a request that names no messages', { field: 'missing' });
  }
  return missing.map(({ tag, n }) => ({ tag, n }));
}
