import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sessionLimits } from '../../src/limits.js';
import {
  accepted,
  activeSession,
  asked,
  died,
  expire,
  failed,
  forsaken,
  isBroken,
  mayStart,
  NO_SESSIONS,
  type PeerSessions,
  received,
  replaced,
  restarted,
  started,
  unasked,
  unheard,
  wasInVain,
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
    const here = accepted(started(NO_SESSIONS, id(mine), incarnation(1), 0), id(theirs), 1);
    const there = accepted(started(NO_SESSIONS, id(theirs), incarnation(1), 0), id(mine), 1);
    expect([active(here), active(there)]).toEqual([1, 1]);
    expect(statuses(here)).toEqual(['1 active', '2 receiveOnly']);
    expect(active(received(here, id(2), 2))).toBe(1);
  });

  test('up to 72 h after the first answer; later the accepted one takes over', () => {
    const answered = received(started(NO_SESSIONS, id(1), incarnation(1), 0), id(1), 10);
    expect(active(accepted(answered, id(2), 10 + sessionLimits.tieBreakMs - 1))).toBe(1);
    const replacedLater = accepted(answered, id(2), 10 + sessionLimits.tieBreakMs);
    expect(statuses(replacedLater)).toEqual(['1 archived', '2 active']);
  });
});

describe('T27: the peer never got the session that won the tie-break', () => {
  const here = accepted(started(NO_SESSIONS, id(1), incarnation(1), 0), id(2), 1);

  test('after an hour without an answer what the peer writes on the other one takes its place', () => {
    expect(active(received(here, id(2), sessionLimits.unmatchedMs))).toBe(1);
    const after = received(here, id(2), sessionLimits.unmatchedMs + 1);
    expect(statuses(after)).toEqual(['1 archived', '2 active']);
    // It had only been slow: its first word on the winner gives that one its place back.
    expect(statuses(received(after, id(1), sessionLimits.unmatchedMs + 2))).toEqual(['1 active', '2 archived']);
  });

  test('one that was answered stays, and one that a hello has replaced never comes back', () => {
    expect(active(received(received(here, id(1), 2), id(2), 10 * HOUR))).toBe(1);
    const older = started(accepted(NO_SESSIONS, id(2), 0), id(1), incarnation(1), HOUR);
    const named = replaced(older, id(1), incarnation(1), [id(2)], HOUR);
    expect(statuses(received(named, id(2), 10 * HOUR))).toEqual(['1 active', '2 receiveOnly']);
  });
});

describe('a session from here that was never answered', () => {
  const { unmatchedMs } = sessionLimits;
  const mine = started(NO_SESSIONS, id(1), incarnation(1), 0);
  const answered = received(mine, id(1), 1);

  test('an hour after its making, on a device that is heard elsewhere: what went there may be lost', () => {
    const over = accepted(died(mine, id(1)), id(2), 1);
    const names = (...args: Parameters<typeof forsaken>): unknown[] => forsaken(...args).map((session) => session.id[0]);
    expect(names(over, id(2), unmatchedMs + 1)).toEqual([1]);
    expect(names(over, id(2), unmatchedMs)).toEqual([]);
    expect(names(over, id(1), unmatchedMs + 1)).toEqual([]);
    expect(names(mine, id(2), unmatchedMs + 1)).toEqual([]);
    expect(names(accepted(died(answered, id(1)), id(2), 1), id(3), unmatchedMs + 1)).toEqual([]);
  });

  test('the next one is made without a one-time prekey, unless another was made since', () => {
    expect([NO_SESSIONS, mine, answered, accepted(mine, id(2), 1)].map(wasInVain)).toEqual([false, true, false, false]);
    expect(wasInVain(started(answered, id(2), incarnation(1), 2))).toBe(true);
  });
});

describe('a hello', () => {
  test('names what it replaces: no tie-break, and the named one only receives', () => {
    const mine = started(NO_SESSIONS, id(1), incarnation(1), 0);
    const next = replaced(accepted(mine, id(9), 1), id(9), incarnation(1), [id(1)], 1);
    expect(statuses(next)).toEqual(['1 receiveOnly', '9 active']);
  });

  test('of a new incarnation replaces everything older', () => {
    let peer = replaced(accepted(NO_SESSIONS, id(1), 0), id(1), incarnation(1), [], 0);
    peer = accepted(peer, id(2), 1);
    peer = replaced(accepted(peer, id(3), 2), id(3), incarnation(2), [], 2);
    expect(statuses(peer)).toEqual(['1 receiveOnly', '2 receiveOnly', '3 active']);
  });

  describe('of a former incarnation, kept back until the peer had lost its session,', () => {
    const before = replaced(accepted(NO_SESSIONS, id(1), 0), id(1), incarnation(1), [], 0);
    const peer = replaced(accepted(before, id(5), 1, incarnation(2)), id(5), incarnation(2), [], 1);

    test('replaces nothing, and nothing is sent on its session, whatever comes on it', () => {
      for (const n of [2, 9]) {
        let after = replaced(accepted(peer, id(n), 2, incarnation(1)), id(n), incarnation(1), [id(5)], 2);
        expect(after.incarnation).toEqual(incarnation(2));
        for (const at of [3, 2 * HOUR, 9 * HOUR]) after = received(after, id(n), at);
        expect(statuses(after)).toEqual(['1 receiveOnly', `${n} receiveOnly`, '5 active'].sort());
        // Neither is it where the one started from here goes unanswered.
        const mine = started(after, id(20), incarnation(2), HOUR);
        expect(active(received(replaced(mine, id(n), incarnation(1), [], HOUR), id(n), 9 * HOUR))).toBe(20);
      }
    });

    test('ends its session, if a later message of it came first', () => {
      const early = accepted(peer, id(2), 2);
      const after = replaced(early, id(2), incarnation(1), [id(5)], 3);
      expect(active(after)).toBeUndefined();
      expect(active(received(after, id(5), 4))).toBe(5);
      expect(active(received(received(after, id(5), 4), id(2), 5))).toBe(5);
    });

    test('nor do keys of one bring it back; four of them are remembered', () => {
      expect(restarted(peer, incarnation(1), HOUR)).toBe(peer);
      expect(started(peer, id(9), incarnation(1), HOUR).incarnation).toEqual(incarnation(2));
      let many = peer;
      for (let n = 3; n <= 8; n++) many = replaced(accepted(many, id(n), n, incarnation(n)), id(n), incarnation(n), [], n);
      expect(many.former).toEqual([7, 6, 5, 4].map(incarnation));
    });
  });

  test('of both sides at once, each replacing an older one: both agree, and one session is active', () => {
    const old = received(started(NO_SESSIONS, id(5), incarnation(1), 0), id(5), 0);
    for (const [mine, theirs] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const here = replaced(accepted(started(old, id(mine), incarnation(1), 1), id(theirs), 2), id(theirs), incarnation(1), [id(5)], 2);
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

describe('T28: messages that fail behind their headers', () => {
  const name = (n: number, tag = 7) => ({ tag: new Uint8Array(16).fill(tag), n });
  const fresh = accepted(NO_SESSIONS, id(1), 0);
  const failing = (peer: PeerSessions, count: number, first = 0): PeerSessions =>
    Array.from({ length: count }, (_, i) => name(first + i)).reduce((next, each) => failed(next, id(1), each), peer);

  test('three different ones in a row make a session suspect: no message is sent on it any more', () => {
    expect(active(failing(fresh, 2))).toBe(1);
    const suspect = failing(fresh, 3);
    expect(active(suspect)).toBeUndefined();
    expect(suspect.sessions[0]).toMatchObject({ suspect: true, dead: false, status: 'active', askedCount: 0 });
    expect(active(started(suspect, id(2), incarnation(0), 1))).toBe(2);
  });

  test('the same one again is none, whether the chain or the number differs', () => {
    const two = failed(failing(fresh, 1), id(1), name(0, 8));
    expect(failed(two, id(1), name(0))).toBe(two);
    expect(failed(two, id(1), name(0, 8))).toBe(two);
    expect(active(two)).toBe(1);
  });

  test('one that succeeds between them makes them none', () => {
    const between = received(failing(fresh, 2), id(1), 1);
    expect(between.sessions[0]!.failed).toEqual([]);
    expect(active(failing(between, 2, 2))).toBe(1);
    expect(active(failing(between, 3, 2))).toBeUndefined();
  });

  test('one that succeeds on a suspect session changes nothing: it is replaced, and what failed is asked for', () => {
    const suspect = failing(fresh, 3);
    expect(received(suspect, id(1), 1)).toBe(suspect);
    const archived = started(suspect, id(2), incarnation(0), 1);
    expect(active(received(archived, id(1), 2))).toBe(2);
  });

  test('a suspect session is in no tie-break, and a hello that names it promotes the new one', () => {
    const mine = received(started(NO_SESSIONS, id(1), incarnation(1), 0), id(1), 1);
    const suspect = failing(mine, 3);
    expect(active(accepted(suspect, id(9), 2))).toBe(9);
    expect(statuses(replaced(accepted(suspect, id(9), 2), id(9), incarnation(1), [id(1)], 2))).toEqual(['1 receiveOnly', '9 active']);
  });

  test('10,000 of them cost 64 names, and each beyond leaves the very same object', () => {
    const full = failing(fresh, 64);
    expect(full.sessions[0]!.failed).toHaveLength(sessionLimits.requestedMessages);
    expect(failing(full, 10_000, 64)).toBe(full);
    expect(died(died(full, id(1)), id(1), name(99)).sessions[0]!.failed).toHaveLength(64);
  });

  test('a gap beyond the limit: dead at once, with the message that showed it', () => {
    const dead = died(failing(fresh, 1), id(1), name(5));
    expect(dead.sessions[0]).toMatchObject({ dead: true, failed: [name(0), name(5)] });
    expect(active(dead)).toBeUndefined();
    expect(died(dead, id(1), name(5))).toBe(dead);
    expect(died(dead, id(1))).toBe(dead);
  });

  test('what was asked for is not asked for again; what fails later is', () => {
    const once = asked(failing(fresh, 3), id(1), 5);
    expect(once.sessions[0]!.askedCount).toBe(3);
    expect(failing(once, 1, 3).sessions[0]).toMatchObject({ askedCount: 3, askedAtMs: 5, failed: { length: 4 } });
  });

  test('what failed on a session that is over, and was not asked for, is still to be asked for', () => {
    const two = failing(fresh, 2);
    expect(unasked(two, id(9))).toEqual([]);
    // Given up from here, and only archived.
    expect(unasked(started(two, id(8), incarnation(1), 1), id(8)).map((session) => session.id[0])).toEqual([1]);
    const over = replaced(accepted(two, id(9), 1), id(9), incarnation(1), [id(1)], 1);
    expect(unasked(over, id(9)).map((session) => session.id[0])).toEqual([1]);
    expect(unasked(over, id(1))).toEqual([]);
    expect(unasked(asked(over, id(1), 2), id(9))).toEqual([]);
    expect(unasked(failed(asked(failing(fresh, 3), id(1), 1), id(1), name(3)), id(9))).toHaveLength(1);
  });

  test('what was asked for where the peer can’t read is asked for again', () => {
    const over = asked(failed(accepted(failing(fresh, 3), id(9), 1), id(1), name(3)), id(1), 2);
    expect(unasked(over, id(9))).toEqual([]);
    const again = unheard(over);
    expect(unasked(again, id(9)).map((session) => session.id[0])).toEqual([1]);
    expect(unheard(again)).toBe(again);
  });

  test('an unknown session changes nothing', () => {
    expect(failed(fresh, id(2), name(0))).toBe(fresh);
    expect(died(fresh, id(2), name(0))).toBe(fresh);
  });
});

test('keys of another incarnation, made after a session: the peer has lost it. Older keys, or the same incarnation, say nothing', () => {
  const mine = received(started(NO_SESSIONS, id(1), incarnation(1), 1_000), id(1), 1_000);
  expect(active(restarted(mine, incarnation(2), 2_000))).toBeUndefined();
  expect(restarted(mine, incarnation(2), 2_000).incarnation).toEqual(incarnation(2));
  expect(restarted(mine, incarnation(2), 500)).toBe(mine);
  expect(restarted(mine, incarnation(1), 2_000)).toBe(mine);
  const next = started(restarted(mine, incarnation(2), 2_000), id(2), incarnation(2), 2_000);
  expect(restarted(next, incarnation(2), 3_000)).toBe(next);
  expect(active(next)).toBe(2);
});

test('new sessions: one an hour, three a day, with one device', () => {
  let peer = started(NO_SESSIONS, id(1), incarnation(0), 0);
  expect([mayStart(peer, HOUR - 1), mayStart(peer, HOUR)]).toEqual([false, true]);
  peer = started(peer, id(2), incarnation(0), HOUR);
  peer = started(peer, id(3), incarnation(0), 2 * HOUR);
  expect([mayStart(peer, 4 * HOUR), mayStart(peer, 24 * HOUR)]).toEqual([false, true]);
});

test('T41: at most four retired sessions, the latest of them, whatever the clock says; never more than one active', () => {
  const step = fc.record({
    n: fc.integer({ min: 1, max: 30 }),
    what: fc.constantFrom('start', 'accept', 'receive', 'replace', 'die', 'fail'),
    nowMs: fc.integer({ min: 0, max: 4 * 365 * 24 * HOUR }),
    names: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let peer = NO_SESSIONS;
      for (const { n, what, nowMs, names } of steps) {
        const isKnown = peer.sessions.some(({ id: [first] }) => first === n);
        const before = peer;
        if (what === 'start' && !isKnown) peer = started(peer, id(n), incarnation(0), nowMs);
        else if (what === 'accept' && !isKnown) peer = accepted(peer, id(n), nowMs);
        else if (what === 'receive') peer = received(peer, id(n), nowMs);
        else if (what === 'replace' && isKnown) peer = replaced(peer, id(n), incarnation(n % 3), names.map(id), nowMs);
        else if (what === 'die') peer = died(peer, id(n));
        else if (what === 'fail') peer = failed(peer, id(n), { tag: id(n), n: nowMs % 5 });
        for (const session of peer.sessions) if (isBroken(session)) expect(active(peer)).not.toBe(session.id[0]);
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

test('a session that was just accepted stays, also where it loses the tie-break, whichever others its hello names', () => {
  let peer = NO_SESSIONS;
  for (const n of [11, 12, 13, 14, 15]) peer = expire(accepted(peer, id(n), n)).next;
  peer = expire(started(died(peer, id(15)), id(1), incarnation(0), 20)).next;
  for (let names = 0; names < 16; names++) {
    const named = [12, 13, 14, 15].filter((_, i) => names & (1 << i));
    const after = expire(replaced(accepted(peer, id(20), 30), id(20), incarnation(0), named.map(id), 30)).next;
    expect(statuses(after)).toEqual(expect.arrayContaining(['1 active', '20 receiveOnly']));
    expect(after.sessions).toHaveLength(1 + sessionLimits.archivedCount);
  }
});

test('a session that a hello named as replaced before its flight came is lost: it is read, and never sent on', () => {
  const later = replaced(accepted(NO_SESSIONS, id(2), 0), id(2), incarnation(1), [id(1)], 0);
  const after = accepted(later, id(1), 20 * 24 * HOUR);
  expect(statuses(after)).toEqual(['1 receiveOnly', '2 active']);
  expect(active(received(after, id(1), 21 * 24 * HOUR))).toBe(2);
  let many = later;
  for (let n = 3; n < 60; n++) many = replaced(many, id(2), incarnation(1), [id(n)], 0);
  expect(many.gone.length).toBe(sessionLimits.goneSessions);
});

test('what was asked for on an archived session hides nothing that fails once it is used again', () => {
  const failing = (peer: PeerSessions, n: number): PeerSessions => failed(peer, id(1), { tag: id(200), n });
  let peer = failing(failing(accepted(NO_SESSIONS, id(1), 0), 0), 1);
  peer = asked(accepted(peer, id(2), 100 * HOUR), id(1), 100 * HOUR);
  peer = failing(failing(received(peer, id(1), 101 * HOUR), 5), 6);
  peer = accepted(peer, id(3), 200 * HOUR);
  expect(unasked(peer, id(3)).map((session) => session.id)).toEqual([id(1)]);
});

describe('at the bounds of each rule', () => {
  const { unmatchedMs, tieBreakMs } = sessionLimits;
  /** Far from 0, where sums and differences are alike. */
  const T = 1_767_225_600_000;
  const DAY = 24 * HOUR;
  const of = (peer: PeerSessions, n: number) => peer.sessions.find(({ id: [first] }) => first === n)!;

  test('new ones: the present one counts, one that a clock was ahead for does not, and those of a day ago are forgotten', () => {
    const one = started(NO_SESSIONS, id(1), incarnation(0), T);
    expect([mayStart(one, T), mayStart(one, T - 1)]).toEqual([false, true]);
    expect(started(one, id(2), incarnation(0), T + DAY - 1).startedAtMs).toEqual([T, T + DAY - 1]);
    expect(started(one, id(2), incarnation(0), T + DAY).startedAtMs).toEqual([T + DAY]);
  });

  test('whatever becomes active, one that only receives stays so', () => {
    // 1 active, 2 receives only, 3 archived.
    const archived = started(accepted(NO_SESSIONS, id(3), T), id(1), incarnation(0), T);
    const three = accepted(archived, id(2), T);
    expect(statuses(three)).toEqual(['1 active', '2 receiveOnly', '3 archived']);
    expect(statuses(received(three, id(3), T))).toEqual(['1 archived', '2 receiveOnly', '3 active']);
    expect(statuses(started(three, id(4), incarnation(0), T))).toEqual(['1 archived', '2 receiveOnly', '3 archived', '4 active']);
    const won = accepted(three, id(0), T);
    expect(statuses(won)).toEqual(['0 active', '1 receiveOnly', '2 receiveOnly', '3 archived']);
  });

  test('a tie-break: only with one that is active and was never answered, however late', () => {
    const mine = started(NO_SESSIONS, id(1), incarnation(0), T);
    expect(active(accepted(mine, id(2), T + 2 * tieBreakMs))).toBe(1);
    const second = died(started(mine, id(3), incarnation(0), T), id(3));
    expect(active(accepted(second, id(2), T))).toBe(2);
  });

  test('one that lost it takes the place of one that is unanswered for an hour, if it is the peer’s and no older', () => {
    const here = accepted(started(NO_SESSIONS, id(1), incarnation(0), T), id(2), T);
    expect(active(received(here, id(2), T + unmatchedMs))).toBe(1);
    expect(active(received(here, id(2), T + unmatchedMs + 1))).toBe(2);
    // One from here that a hello named.
    const two = accepted(started(started(NO_SESSIONS, id(1), incarnation(0), T), id(2), incarnation(0), T), id(9), T);
    const named = replaced(two, id(9), incarnation(0), [id(1)], T);
    expect(statuses(named)).toEqual(['1 receiveOnly', '2 active', '9 receiveOnly']);
    expect(active(received(named, id(1), T + 2 * unmatchedMs))).toBe(2);
  });

  test('where no session is active, one that only receives goes on receiving', () => {
    const { sessions } = replaced(accepted(accepted(NO_SESSIONS, id(1), T), id(2), T), id(2), incarnation(0), [id(1)], T);
    const peer = { ...NO_SESSIONS, sessions: sessions.filter(({ status }) => status !== 'active') };
    expect(received(peer, id(1), T + 2 * unmatchedMs)).toBe(peer);
  });

  test('what was never answered is forsaken after an hour', () => {
    const over = accepted(died(started(NO_SESSIONS, id(1), incarnation(0), T), id(1)), id(2), T);
    expect([T + unmatchedMs, T + unmatchedMs + 1].map((at) => forsaken(over, id(2), at).length)).toEqual([0, 1]);
  });

  test('T41: a clock that was ahead keeps nothing waiting for as long as it was', () => {
    const over = accepted(died(started(NO_SESSIONS, id(1), incarnation(0), T), id(1)), id(2), T);
    expect(forsaken(over, id(2), T - 365 * DAY)).toHaveLength(1);
    const here = accepted(started(NO_SESSIONS, id(1), incarnation(0), T), id(2), T);
    expect(active(received(here, id(2), T - 365 * DAY))).toBe(2);
  });

  test('a hello that names its own session replaces nothing, and one that names what is known of is no news', () => {
    const two = accepted(accepted(NO_SESSIONS, id(1), T), id(2), T);
    expect(statuses(replaced(two, id(2), incarnation(0), [id(2)], T))).toEqual(['1 archived', '2 active']);
    const named = replaced(two, id(2), incarnation(0), [id(1), id(7)], T);
    expect(named.gone).toEqual([id(7)]);
    const again = replaced(named, id(2), incarnation(0), [id(7), id(1), id(8)], T + 1);
    expect(again.gone).toEqual([id(8), id(7)]);
    // Neither is what was retired before retired once more.
    expect(of(again, 1).retiredAtMs).toBe(of(named, 1).retiredAtMs);
    expect(of(again, 2).retiredAtMs).toBe(0);
  });

  test('a hello where the active one is broken: its session takes the place', () => {
    const here = accepted(started(NO_SESSIONS, id(1), incarnation(0), T), id(2), T);
    expect(statuses(replaced(died(here, id(1)), id(2), incarnation(0), [], T))).toEqual(['1 archived', '2 active']);
  });

  test('keys of another incarnation end the active session alone, and only one that is older', () => {
    expect(restarted(accepted(NO_SESSIONS, id(1), T), incarnation(1), T + 1)).toEqual(accepted(NO_SESSIONS, id(1), T));
    const two = started(started(NO_SESSIONS, id(1), incarnation(0), T), id(2), incarnation(0), T + 1);
    expect(restarted(two, incarnation(1), T + 1)).toBe(two);
    const after = restarted(two, incarnation(1), T + 2);
    expect([of(after, 1), of(after, 2)]).toEqual([of(two, 1), { ...of(two, 2), dead: true }]);
    expect(restarted({ ...two, sessions: died(two, id(2)).sessions }, incarnation(1), T + 2)).toEqual(died(two, id(2)));
  });

  test('of five that are retired the one goes that was retired first, whatever the clock and their order say', () => {
    let peer = NO_SESSIONS;
    for (const n of [1, 2, 3, 4, 5, 6]) peer = accepted(peer, id(n), T - n);
    peer = received(received(peer, id(1), T), id(2), T - 100);
    expect(statuses(peer)).toEqual(['1 archived', '2 active', '3 archived', '4 archived', '5 archived', '6 archived']);
    expect(new Set(peer.sessions.map(({ retiredAtMs }) => retiredAtMs)).size).toBe(6);
    const { next, expired } = expire(peer);
    expect(expired).toEqual([id(3)]);
    expect(statuses(next)).toEqual(['1 archived', '2 active', '4 archived', '5 archived', '6 archived']);
    expect(expire(next)).toEqual({ next, expired: [] });
    expect(expire(next).next).toBe(next);
  });
});
