/**
 * Which of the sessions with one peer device is used (section 5): one active, a few archived, some that only receive.
 *
 * Pure decisions over small facts; knows no key and no ratchet state.
 */

import { compare } from '../bytes.js';
import { sessionLimits } from '../limits.js';

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
  /** A gap beyond MAX_JUMP or used-up counters: never sent on again. */
  readonly dead: boolean;
}

/** All sessions with one peer device, and when new ones were started from here. */
export interface PeerSessions {
  readonly sessions: readonly SessionFacts[];
  readonly startedAtMs: readonly number[];
  /** The peer's incarnation, 16 bytes, as its last hello said. */
  readonly incarnation: Uint8Array | null;
}

/** No session yet. */
export const NO_SESSIONS: PeerSessions = { sessions: [], startedAtMs: [], incarnation: null };

const same = (a: Uint8Array, b: Uint8Array): boolean => compare(a, b) === 0;

type Retired = Exclude<SessionFacts['status'], 'active'>;

/** Retires sessions of one peer: always as the latest, so that a clock that went back costs no key. */
function retiring({ sessions }: PeerSessions, nowMs: number): (session: SessionFacts, status: Retired) => SessionFacts {
  const retiredAtMs = Math.max(nowMs, ...sessions.map((session) => session.retiredAtMs + 1));
  return (session, status) => ({ ...session, status, retiredAtMs });
}

/** The session that sends go out on, if it can. */
export function activeSession(peer: PeerSessions): SessionFacts | undefined {
  return peer.sessions.find(({ status, dead }) => status === 'active' && !dead);
}

/** Whether a new session may be started now: at most 1 an hour and 3 in a day with one device. */
export function mayStart(peer: PeerSessions, nowMs: number): boolean {
  const since = (ms: number): number => peer.startedAtMs.filter((at) => at > nowMs - ms && at <= nowMs).length;
  return since(3_600_000) < sessionLimits.newPerDeviceHour && since(86_400_000) < sessionLimits.newPerDeviceDay;
}

/** A session was started from here: it is active at once. */
export function started(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  const retire = retiring(peer, nowMs);
  const session: SessionFacts = {
    id,
    initiatedByUs: true,
    createdAtMs: nowMs,
    answeredAtMs: null,
    status: 'active',
    retiredAtMs: 0,
    dead: false,
  };
  return {
    sessions: [session, ...peer.sessions.map((other) => (other.status === 'active' ? retire(other, 'archived') : other))],
    startedAtMs: [...peer.startedAtMs.filter((at) => at > nowMs - 86_400_000), nowMs],
    incarnation: peer.incarnation,
  };
}

/**
 * A session of the peer was accepted. If one from here is unanswered, or was first answered less than 72 h ago, both sides started
 * at once: the smaller id is active on both sides, the other only receives. Else the accepted one replaces what was active.
 */
export function accepted(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  const retire = retiring(peer, nowMs);
  const crossing = peer.sessions.find(
    (other) =>
      other.status === 'active' &&
      !other.dead &&
      other.initiatedByUs &&
      (other.answeredAtMs === null || Math.abs(nowMs - other.answeredAtMs) < sessionLimits.tieBreakMs),
  );
  const wins = crossing === undefined || compare(id, crossing.id) < 0;
  const session: SessionFacts = {
    id,
    initiatedByUs: false,
    createdAtMs: nowMs,
    answeredAtMs: nowMs,
    status: 'active',
    retiredAtMs: 0,
    dead: false,
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
 * by the tie-break, so that both sides agree when both replace at once.
 */
export function replaced(
  peer: PeerSessions,
  id: Uint8Array,
  incarnation: Uint8Array,
  replaces: readonly Uint8Array[],
  nowMs: number,
): PeerSessions {
  const retire = retiring(peer, nowMs);
  const restarted = peer.incarnation !== null && !same(peer.incarnation, incarnation);
  const isReplaced = (other: SessionFacts): boolean =>
    !same(other.id, id) && other.status !== 'receiveOnly' && (restarted || replaces.some((named) => same(named, other.id)));
  const next = { ...peer, sessions: peer.sessions.map((other) => (isReplaced(other) ? retire(other, 'receiveOnly') : other)), incarnation };
  if (activeSession(next) !== undefined) return next;
  const promote = (other: SessionFacts): SessionFacts => {
    if (same(other.id, id)) return { ...other, status: 'active', retiredAtMs: 0 };
    return other.status === 'active' ? retire(other, 'archived') : other;
  };
  return { ...next, sessions: next.sessions.map(promote) };
}

/** A message decrypted on `id`: it is answered, and an archived session is active again (the peer still uses it); a receive-only one never. */
export function received(peer: PeerSessions, id: Uint8Array, nowMs: number): PeerSessions {
  const session = peer.sessions.find((other) => same(other.id, id));
  if (session === undefined || (session.answeredAtMs !== null && session.status !== 'archived')) return peer;
  const promoted = session.status === 'archived' && !session.dead;
  const retire = retiring(peer, nowMs);
  const sessions = peer.sessions.map((other) => {
    if (other === session) {
      const answeredAtMs = session.answeredAtMs ?? nowMs;
      return promoted ? { ...session, answeredAtMs, status: 'active' as const, retiredAtMs: 0 } : { ...session, answeredAtMs };
    }
    return promoted && other.status === 'active' ? retire(other, 'archived') : other;
  });
  return { ...peer, sessions };
}

/** Session `id` can't be sent on again. */
export function died(peer: PeerSessions, id: Uint8Array): PeerSessions {
  return { ...peer, sessions: peer.sessions.map((other) => (same(other.id, id) ? { ...other, dead: true } : other)) };
}

/** Keeps the active session and the four that were retired last; returns the ids to delete. By number, not by date: a wrong clock must not cost a key. */
export function expire(peer: PeerSessions): { next: PeerSessions; expired: readonly Uint8Array[] } {
  const retired = peer.sessions.filter(({ status }) => status !== 'active').sort((a, b) => b.retiredAtMs - a.retiredAtMs);
  const expired = retired.slice(sessionLimits.archivedCount);
  if (expired.length === 0) return { next: peer, expired: [] };
  return {
    next: { ...peer, sessions: peer.sessions.filter((session) => !expired.includes(session)) },
    expired: expired.map(({ id }) => id),
  };
}
