/**
 * Which of the sessions with one peer device is used (section 5): one active, a few archived, some that only receive; and which of them
 * are broken, so that nothing is sent on them any more.
 *
 * Pure decisions over small facts; knows no key and no ratchet state.
 */

import { compare } from '../bytes.js';
import { sessionLimits } from '../limits.js';
import type { MessageName } from '../step.js';

/** What the decisions need to know of one session. */
export interface SessionFacts {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly initiatedByUs: boolean;
  readonly createdAtMs: number;
  /** When the first message of the other side decrypted; `null` while unanswered. */
  readonly answeredAtMs: number | null;
  readonly status: 'active' | 'archived' | 'receiveOnly';
  /** When it stopped being active, later than any retired before it; 0 while active. */
  readonly retiredAtMs: number;
  /** A gap beyond MAX_JUMP, used-up counters, or a peer that lost its state: never sent on again. */
  readonly dead: boolean;
  /** Three messages in a row did not open, though their headers did: never sent on again, like a dead one. */
  readonly suspect: boolean;
  /**
   * Messages that could not be read: at most 3 since the last one that could. Once the session is broken, the first 64: the peer is asked
   * for them again.
   */
  readonly failed: readonly MessageName[];
  /** Of `failed`, the peer was asked for this many. */
  readonly askedCount: number;
  /** When it was last asked; 0 if never. */
  readonly askedAtMs: number;
}

/** All sessions with one peer device, and when new ones were started from here. */
export interface PeerSessions {
  readonly sessions: readonly SessionFacts[];
  readonly startedAtMs: readonly number[];
  /** The peer's incarnation, 16 bytes, as its last hello said, or the keys with which a session was started since. */
  readonly incarnation: Uint8Array | null;
  /** Incarnations before it, at most the last 4: what the peer had then is lost, whenever it comes. */
  readonly former: readonly Uint8Array[];
  /** Sessions that its hellos named as replaced before their flights had come, at most the last 16: somebody keeps these back. */
  readonly gone: readonly Uint8Array[];
}

/** No session yet. */
export const NO_SESSIONS: PeerSessions = { sessions: [], startedAtMs: [], incarnation: null, former: [], gone: [] };

const same = (a: Uint8Array, b: Uint8Array): boolean => compare(a, b) === 0;

/** Whether a session can't be sent on again: dead or suspect. What still comes in on it is read. */
export function isBroken({ dead, suspect }: SessionFacts): boolean {
  return dead || suspect;
}

const NEW_SESSION = { retiredAtMs: 0, dead: false, suspect: false, failed: [], askedCount: 0, askedAtMs: 0 } as const;

/** Whether the peer has lost what it had as that incarnation. */
function isFormer({ former }: PeerSessions, incarnation: Uint8Array): boolean {
  return former.some((lost) => same(lost, incarnation));
}

/** The peer's incarnation after `incarnation` was said: none comes back. */
function incarnationAfter(peer: PeerSessions, incarnation: Uint8Array): Pick<PeerSessions, 'incarnation' | 'former'> {
  const known = peer.incarnation;
  if (known === null) return { incarnation, former: peer.former };
  if (same(known, incarnation) || isFormer(peer, incarnation)) return { incarnation: known, former: peer.former };
  return { incarnation, former: [known, ...peer.former].slice(0, sessionLimits.formerIncarnations) };
}

type Retired = Exclude<SessionFacts['status'], 'active'>;

/** Retires sessions of one peer: always as the latest, so that a clock that went back costs no key. */
function retiring({ sessions }: PeerSessions, nowMs: number): (session: SessionFacts, status: Retired) => SessionFacts {
  const retiredAtMs = Math.max(nowMs, ...sessions.map((session) => session.retiredAtMs + 1));
  return (session, status) => ({ ...session, status, retiredAtMs });
}

/** The session that sends go out on, if it can. */
export function activeSession(peer: PeerSessions): SessionFacts | undefined {
  return peer.sessions.find((session) => session.status === 'active' && !isBroken(session));
}

/** Whether a new session may be started now: at most 1 an hour and 3 in a day with one device. */
export function mayStart(peer: PeerSessions, nowMs: number): boolean {
  const since = (ms: number): number => peer.startedAtMs.filter((at) => at > nowMs - ms && at <= nowMs).length;
  return since(3_600_000) < sessionLimits.newPerDeviceHour && since(86_400_000) < sessionLimits.newPerDeviceDay;
}

/** A session was started from here, with the keys of that incarnation: it is active at once. */
export function started(peer: PeerSessions, id: Uint8Array, incarnation: Uint8Array, nowMs: number): PeerSessions {
  const retire = retiring(peer, nowMs);
  const session: SessionFacts = {
    id,
    initiatedByUs: true,
    createdAtMs: nowMs,
    answeredAtMs: null,
    status: 'active',
    ...NEW_SESSION,
  };
  return {
    ...peer,
    sessions: [session, ...peer.sessions.map((other) => (other.status === 'active' ? retire(other, 'archived') : other))],
    startedAtMs: [...peer.startedAtMs.filter((at) => at > nowMs - 86_400_000), nowMs],
    ...incarnationAfter(peer, incarnation),
  };
}

/**
 * A session of the peer was accepted. If one from here is unanswered, or was first answered less than 72 h ago, both sides started
 * at once: the smaller id is active on both sides, the other only receives. Else the accepted one replaces what was active. Unless its
 * hello, if it has come, says a former incarnation, or a later one has named it as replaced: somebody kept the flight back until the peer
 * had lost the session.
 */
export function accepted(peer: PeerSessions, id: Uint8Array, nowMs: number, incarnation?: Uint8Array): PeerSessions {
  const retire = retiring(peer, nowMs);
  const crossing = peer.sessions.find(
    (other) =>
      other.status === 'active' &&
      !isBroken(other) &&
      other.initiatedByUs &&
      (other.answeredAtMs === null || Math.abs(nowMs - other.answeredAtMs) < sessionLimits.tieBreakMs),
  );
  const isLost = (incarnation !== undefined && isFormer(peer, incarnation)) || peer.gone.some((lost) => same(lost, id));
  const wins = !isLost && (crossing === undefined || compare(id, crossing.id) < 0);
  const session: SessionFacts = {
    id,
    initiatedByUs: false,
    createdAtMs: nowMs,
    answeredAtMs: nowMs,
    status: 'active',
    ...NEW_SESSION,
    dead: isLost,
  };
  const others = peer.sessions.map((other) => {
    if (!wins || other.status !== 'active') return other;
    return retire(other, other === crossing ? 'receiveOnly' : 'archived');
  });
  return { ...peer, sessions: [wins ? session : retire(session, 'receiveOnly'), ...others] };
}

/**
 * The peer's hello on session `id`: what it names in `replaces`, and every other session if its incarnation changed, only receives
 * from now on, without a tie-break. Where none that can be sent on is left, `id` is it; a session that the hello doesn't know stands
 * by the tie-break, so that both sides agree when both replace at once. A hello of a former incarnation says only that `id` is lost.
 */
export function replaced(
  peer: PeerSessions,
  id: Uint8Array,
  incarnation: Uint8Array,
  replaces: readonly Uint8Array[],
  nowMs: number,
): PeerSessions {
  if (isFormer(peer, incarnation)) return died(peer, id);
  const retire = retiring(peer, nowMs);
  const hasRestarted = peer.incarnation !== null && !same(peer.incarnation, incarnation);
  const isReplaced = (other: SessionFacts): boolean =>
    !same(other.id, id) && other.status !== 'receiveOnly' && (hasRestarted || replaces.some((named) => same(named, other.id)));
  const sessions = peer.sessions.map((other) => (isReplaced(other) ? retire(other, 'receiveOnly') : other));
  const unknown = replaces.filter(
    (named) => ![...peer.sessions.map((other) => other.id), ...peer.gone].some((known) => same(known, named)),
  );
  const gone = [...unknown, ...peer.gone].slice(0, sessionLimits.goneSessions);
  const next = { ...peer, sessions, ...incarnationAfter(peer, incarnation), gone };
  if (activeSession(next) !== undefined) return latest(next, id, nowMs);
  const promote = (other: SessionFacts): SessionFacts => {
    if (same(other.id, id)) return { ...other, status: 'active', retiredAtMs: 0 };
    return other.status === 'active' ? retire(other, 'archived') : other;
  };
  return { ...next, sessions: next.sessions.map(promote) };
}

/** `peer` in which session `id`, if it is retired, was so last: what has just been read on it must not go with the oldest. */
function latest(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  const retire = retiring(peer, nowMs);
  return changed(peer, id, (session) => (session.status === 'active' ? session : retire(session, session.status)));
}

/**
 * A message decrypted on `id`: it is answered, what failed before counts no more, and an archived session is active again (the peer still
 * uses it); a broken one never, and a receive-only one only if it lost the tie-break against one from here that the peer has left
 * unanswered for an hour: then the peer never got that one, or its keys for it are gone.
 */
export function received(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  const session = peer.sessions.find((other) => same(other.id, id));
  if (session === undefined) return peer;
  const forgives = session.failed.length > 0 && !isBroken(session);
  const isPromoted = !isBroken(session) && (session.status === 'archived' || isUnmatched(peer, session, nowMs));
  if (session.answeredAtMs !== null && !forgives && !isPromoted) return peer;
  const after: SessionFacts = {
    ...session,
    answeredAtMs: session.answeredAtMs ?? nowMs,
    ...(forgives && { failed: [], askedCount: 0, askedAtMs: 0 }),
    ...(isPromoted && { status: 'active', retiredAtMs: 0 }),
  };
  const retire = retiring(peer, nowMs);
  const sessions = peer.sessions.map((other) => {
    if (other === session) return after;
    return isPromoted && other.status === 'active' ? retire(other, 'archived') : other;
  });
  return { ...peer, sessions };
}

/** Whether a session of the peer lost the tie-break against one from here, which the peer seems not to have. */
function isUnmatched({ sessions }: PeerSessions, { initiatedByUs, createdAtMs }: SessionFacts, nowMs: number): boolean {
  const active = sessions.find((other) => other.status === 'active');
  return (
    !initiatedByUs &&
    // None of the peer's: that is answered as it begins.
    active?.answeredAtMs === null &&
    createdAtMs >= active.createdAtMs &&
    Math.abs(nowMs - active.createdAtMs) > sessionLimits.unmatchedMs
  );
}

/** `peer` with session `id` changed; the same object if `change` leaves it as it is, or there is none. */
function changed(peer: PeerSessions, id: Uint8Array, change: (session: SessionFacts) => SessionFacts): PeerSessions {
  const session = peer.sessions.find((other) => same(other.id, id));
  const after = session && change(session);
  return after === session ? peer : { ...peer, sessions: peer.sessions.map((other) => (other === session ? after! : other)) };
}

/** `session` with one more message that failed; itself if it counts that one already, or no more. */
function withFailed(session: SessionFacts, name: MessageName): SessionFacts {
  const { failed } = session;
  const isKnown = failed.some(({ tag, n }) => n === name.n && same(tag, name.tag));
  const isFull = failed.length >= (isBroken(session) ? sessionLimits.requestedMessages : sessionLimits.suspectCount);
  return isKnown || isFull ? session : { ...session, failed: [...failed, name] };
}

/**
 * A message of session `id` failed behind its header (class c): at the third in a row it is suspect. The same object if nothing
 * changed: the same message again, or more of them than are remembered.
 */
export function failed(peer: PeerSessions, id: Uint8Array, name: MessageName): PeerSessions {
  return changed(peer, id, (session) => {
    const after = withFailed(session, name);
    return !isBroken(after) && after.failed.length >= sessionLimits.suspectCount ? { ...after, suspect: true } : after;
  });
}

/** Session `id` can't be sent on again; `name` is the message that showed it (class d), if one did. The same object if nothing changed. */
export function died(peer: PeerSessions, id: Uint8Array, name?: MessageName): PeerSessions {
  return changed(peer, id, (session) => {
    const dead = session.dead ? session : { ...session, dead: true };
    return name === undefined ? dead : withFailed(dead, name);
  });
}

/** The peer was asked for every message of session `id` that failed so far. */
export function asked(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  return changed(peer, id, (session) => ({ ...session, askedCount: session.failed.length, askedAtMs: nowMs }));
}

/** The peer can't read where it was asked: nothing that it was asked for counts as asked. The same object if nothing was. */
export function unheard(peer: PeerSessions): PeerSessions {
  if (!peer.sessions.some(({ askedCount }) => askedCount > 0)) return peer;
  return { ...peer, sessions: peer.sessions.map((session) => ({ ...session, askedCount: 0 })) };
}

/** The other sessions than `id` that are not sent on any more, with messages that failed and were not asked for. */
export function unasked(peer: PeerSessions, id: Uint8Array): SessionFacts[] {
  const isOver = (session: SessionFacts): boolean => isBroken(session) || session.status !== 'active';
  return peer.sessions.filter((session) => session.failed.length > session.askedCount && isOver(session) && !same(session.id, id));
}

/** Whether the last session that was made with the device was started from here and never answered: perhaps its prekeys were gone. */
export function wasInVain({ sessions: [latest] }: PeerSessions): boolean {
  return latest?.initiatedByUs === true && latest.answeredAtMs === null;
}

/**
 * The other sessions than `id` that were started from here, are not sent on any more and were never answered, an hour after their making:
 * the peer, who is heard, may not have them (its keys for the first message were gone), nor what was sent there.
 */
export function forsaken({ sessions }: PeerSessions, id: Uint8Array, nowMs: number): SessionFacts[] {
  return sessions.filter(
    (session) =>
      session.initiatedByUs &&
      session.answeredAtMs === null &&
      session.status !== 'active' &&
      Math.abs(nowMs - session.createdAtMs) > sessionLimits.unmatchedMs &&
      !same(session.id, id),
  );
}

/**
 * The peer's keys, made at `madeAtMs` by its clock, are of that incarnation: if it is another than the one known and the keys are newer
 * than a session, the peer has lost it, so that nothing is sent on it again. The same object if nothing changed.
 */
export function restarted(peer: PeerSessions, incarnation: Uint8Array, madeAtMs: number): PeerSessions {
  if (peer.incarnation === null || same(peer.incarnation, incarnation) || isFormer(peer, incarnation)) return peer;
  const isLost = (session: SessionFacts): boolean => session.status === 'active' && !session.dead && session.createdAtMs < madeAtMs;
  if (!peer.sessions.some(isLost)) return peer;
  const sessions = peer.sessions.map((session) => (isLost(session) ? { ...session, dead: true } : session));
  return { ...peer, sessions, ...incarnationAfter(peer, incarnation) };
}

/**
 * Keeps the active session and the four that were retired last; returns the ids to delete. By number, not by date: a wrong clock must
 * not cost a key, and four of each device are few enough to keep.
 */
export function expire(peer: PeerSessions): { next: PeerSessions; expired: readonly Uint8Array[] } {
  const retired = peer.sessions.filter(({ status }) => status !== 'active').sort((a, b) => b.retiredAtMs - a.retiredAtMs);
  const expired = retired.slice(sessionLimits.archivedCount);
  if (expired.length === 0) return { next: peer, expired: [] };
  return {
    next: { ...peer, sessions: peer.sessions.filter((session) => !expired.includes(session)) },
    expired: expired.map(({ id }) => id),
  };
}
