import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sessionLimits } from '../../src/limits.js';
import {
  accepted,
  activeSession,
  died,
  expire,
  mayStart,
  NO_SESSIONS,
  type PeerSessions,
  received,
  replaced,
  started,
} from '../../src/session/peer.js';

const HOUR = 3_600_000;
const id = (n: number): Uint8Array => new Uint8Array(16).fill(n);
const incarnation = (n: number): Uint8Array => new Uint8Array(16).fill(100 + n);
const active = (peer: PeerSessions): number | undefined => activeSession(peer)?.id[0];
const statuses = (peer: PeerSessions): string[] => peer.sessions.map(({ id: [n], status }) => `${n} ${status}`).sort();

describe('T27: both sides start at once', () => {
  test.each([
    [1, 2],
    [2, 1],
  ])('session %i from here and %i from there: the smaller is active on both sides, at once', (mine, theirs) => {
    const here = accepted(started(NO_SESSIONS, id(mine), 0), id(theirs), 1);
    const there = accepted(started(NO_SESSIONS, id(theirs), 0), id(mine), 1);
    expect([active(here), active(there)]).toEqual([1, 1]);
    expect(statuses(here)).toEqual(['1 active', '2 receiveOnly']);
    expect(active(received(here, id(2), 2))).toBe(1);
  });

  test('up to 72 h after the first answer; later the accepted one takes over', () => {
    const answered = received(started(NO_SESSIONS, id(1), 0), id(1), 10);
    expect(active(accepted(answered, id(2), 10 + sessionLimits.tieBreakMs - 1))).toBe(1);
    const replacedLater = accepted(answered, id(2), 10 + sessionLimits.tieBreakMs);
    expect(statuses(replacedLater)).toEqual(['1 archived', '2 active']);
  });
});

describe('a hello', () => {
  test('names what it replaces: no tie-break, and the named one only receives', () => {
    const mine = started(NO_SESSIONS, id(1), 0);
    const next = replaced(accepted(mine, id(9), 1), id(9), incarnation(1), [id(1)], 1);
    expect(statuses(next)).toEqual(['1 receiveOnly', '9 active']);
  });

  test('of a new incarnation replaces everything older', () => {
    let peer = replaced(accepted(NO_SESSIONS, id(1), 0), id(1), incarnation(1), [], 0);
    peer = accepted(peer, id(2), 1);
    peer = replaced(accepted(peer, id(3), 2), id(3), incarnation(2), [], 2);
    expect(statuses(peer)).toEqual(['1 receiveOnly', '2 receiveOnly', '3 active']);
  });

  test('of both sides at once, each replacing an older one: both agree, and one session is active', () => {
    const old = received(started(NO_SESSIONS, id(5), 0), id(5), 0);
    for (const [mine, theirs] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const here = replaced(accepted(started(old, id(mine), 1), id(theirs), 2), id(theirs), incarnation(1), [id(5)], 2);
      expect(statuses(here)).toEqual(['1 active', '2 receiveOnly', '5 receiveOnly']);
    }
  });
});

test('a message on an archived session promotes it; on one that only receives, or is dead, never', () => {
  const two = accepted(accepted(NO_SESSIONS, id(1), 0), id(2), 1);
  expect(active(received(two, id(1), 2))).toBe(1);
  expect(statuses(received(two, id(1), 2))).toEqual(['1 active', '2 archived']);
  expect(active(received(died(two, id(1)), id(1), 2))).toBe(2);
  expect(received(two, id(7), 2)).toBe(two);
  expect(received(two, id(2), 2)).toBe(two);
  expect(activeSession(died(two, id(2)))).toBeUndefined();
});

test('new sessions: one an hour, three a day, with one device', () => {
  let peer = started(NO_SESSIONS, id(1), 0);
  expect([mayStart(peer, HOUR - 1), mayStart(peer, HOUR)]).toEqual([false, true]);
  peer = started(peer, id(2), HOUR);
  peer = started(peer, id(3), 2 * HOUR);
  expect([mayStart(peer, 4 * HOUR), mayStart(peer, 24 * HOUR)]).toEqual([false, true]);
});

test('T41: at most four retired sessions, the latest of them, whatever the clock says; never more than one active', () => {
  const step = fc.record({
    n: fc.integer({ min: 1, max: 30 }),
    what: fc.constantFrom('start', 'accept', 'receive', 'replace', 'die'),
    nowMs: fc.integer({ min: 0, max: 4 * 365 * 24 * HOUR }),
    names: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let peer = NO_SESSIONS;
      for (const { n, what, nowMs, names } of steps) {
        const isKnown = peer.sessions.some(({ id: [first] }) => first === n);
        const before = peer;
        if (what === 'start' && !isKnown) peer = started(peer, id(n), nowMs);
        else if (what === 'accept' && !isKnown) peer = accepted(peer, id(n), nowMs);
        else if (what === 'receive') peer = received(peer, id(n), nowMs);
        else if (what === 'replace' && isKnown) peer = replaced(peer, id(n), incarnation(n % 3), names.map(id), nowMs);
        else if (what === 'die') peer = died(peer, id(n));
        const retiredNow = peer.sessions.filter(
          (session) =>
            session.status !== 'active' && before.sessions.some((other) => other.id[0] === session.id[0] && other.status === 'active'),
        );
        const { next, expired } = expire(peer);
        expect(next.sessions.length + expired.length).toBe(peer.sessions.length);
        expect(next.sessions.filter(({ status }) => status === 'active').length).toBeLessThanOrEqual(1);
        expect(next.sessions.filter(({ status }) => status !== 'active').length).toBeLessThanOrEqual(sessionLimits.archivedCount);
        for (const session of retiredNow) expect(next.sessions).toContain(session);
        peer = next;
      }
    }),
    { seed: 41, numRuns: 500 },
  );
});
