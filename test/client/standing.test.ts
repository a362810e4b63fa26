import { expect, test } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { standing } from '../../src/client/standing.js';
import { TransportError } from '../../src/errors.js';
import { keyHash } from '../../src/identity/index.js';

/** What is asked about identities, with a directory whose answers are a test's; the pin is no number below 99. */
const made = () => {
  const clock = { ms: 1_000_000 };
  const id = (n: number): Uint8Array => new Uint8Array(1984).fill(n);
  const pin = id(99);
  let answer = async (): Promise<void> => {};
  let asked = 0;
  const s = standing(
    { now: () => clock.ms },
    () => ({ identity: pin }) as never,
    async () => {
      asked += 1;
      await answer();
    },
  );
  const told: boolean[] = [];
  s.onAsked((_account, hasSaid) => told.push(hasSaid));
  const of = (n: number): string => {
    try {
      return s.of('eve', id(n));
    } catch {
      return 'dropped';
    }
  };
  /** What becomes of a flight under this identity once all that is under way is answered. */
  const judged = async (n: number): Promise<string> => {
    const first = of(n);
    await turn();
    return first === 'unanswered' && s.isAnswered('eve', toHex(keyHash(id(n)))) ? of(n) : first;
  };
  return { clock, id, s, of, judged, told, asked: () => asked, answers: (next: () => Promise<void>) => (answer = next) };
};
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));
const fill = async ({ judged }: ReturnType<typeof made>): Promise<void> => {
  for (let i = 1; i <= 4; i++) expect(await judged(i)).toBe('dropped');
};
/** Answers that a test lets come, oldest first. */
const held = (m: ReturnType<typeof made>): (() => Promise<void>) => {
  const replies: (() => void)[] = [];
  m.answers(() => new Promise((resolve) => replies.push(resolve)));
  return async () => {
    replies.shift()!();
    await turn();
  };
};

test('an answer that was asked for before the flight came does not judge it', async () => {
  const m = made();
  await fill(m);
  m.clock.ms += 60_000;
  const reply = held(m);
  m.s.ask('eve'); // a new connection: the directory reads its rows now, the answer is on its way
  m.clock.ms += 100; // Eve publishes her new identity and writes
  const first = m.of(50);
  m.clock.ms += 100;
  await reply();
  expect([first, m.of(50)]).toEqual(['unanswered', 'unanswered']);
});

test('who comes while a question is under way is asked about by the next, and many by one', async () => {
  const m = made();
  const reply = held(m);
  expect([m.of(1), m.of(2), m.of(3), m.of(1)]).toEqual(Array(4).fill('unanswered'));
  expect([m.asked(), m.s.isAsking()]).toEqual([1, true]);
  await reply();
  // Only the first was there when it was asked.
  expect([m.of(1), m.of(2), m.of(3)]).toEqual(['dropped', 'unanswered', 'unanswered']);
  expect([m.asked(), m.told]).toEqual([2, [true]]);
  await reply();
  expect([m.of(2), m.of(3), m.asked(), m.s.isAsking()]).toEqual(['dropped', 'dropped', 2, false]);
});

test('many identities while the directory is silent: one question under way, and one more', async () => {
  const m = made();
  const reply = held(m);
  for (let i = 1; i < 90; i++) expect(m.of(i)).toBe('unanswered');
  expect(m.asked()).toBe(1);
  await reply();
  await reply();
  expect([m.asked(), m.s.isAsking()]).toEqual([2, false]);
  // Those of which nobody asked by name are judged by the same answer.
  for (let i = 1; i < 90; i++) expect(m.of(i)).toBe('dropped');
});

test('what was not answered does not count, and keeps its place', async () => {
  const m = made();
  m.answers(async () => {
    throw new TransportError('ERR_OFFLINE', 'down');
  });
  for (let i = 1; i <= 6; i++) expect(await m.judged(i)).toBe('unanswered');
  m.answers(async () => {});
  const before = m.asked();
  m.s.ask('eve');
  await turn();
  for (let i = 1; i <= 6; i++) expect(m.of(i)).toBe('dropped');
  expect(m.asked() - before).toBe(1);
});

test('a clock that was ahead when the flight came, and is set right: judged by the next answer', async () => {
  const m = made();
  await fill(m);
  m.clock.ms += 365 * 86_400_000;
  for (let i = 11; i <= 14; i++) await m.judged(i);
  m.clock.ms += 60_000;
  expect(await m.judged(50)).toBe('unanswered');
  m.clock.ms -= 365 * 86_400_000;
  for (let i = 21; i <= 24; i++) await m.judged(i);
  const after: string[] = [];
  for (let hour = 0; hour < 20; hour++) {
    m.clock.ms += 3_600_000;
    m.s.ask('eve');
    await turn();
    m.clock.ms += 10;
    after.push(await m.judged(50));
  }
  expect(after).toContain('dropped');
});

test('10 further identities while the directory is down: asked once in ten minutes', async () => {
  const m = made();
  await fill(m);
  m.clock.ms += 11 * 60_000;
  m.answers(async () => {
    throw new TransportError('ERR_OFFLINE', 'down');
  });
  const before = m.asked();
  for (let i = 60; i < 70; i++) await m.judged(i);
  expect(m.asked() - before).toBe(1);
});
