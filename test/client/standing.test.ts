import { expect, test } from 'vitest';
import { standing } from '../../src/client/standing.js';
import { TransportError } from '../../src/errors.js';

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
  return { clock, id, s, asked: () => asked, answers: (next: () => Promise<void>) => (answer = next) };
};
const judged = (p: Promise<string>): Promise<string> => p.then((s) => (s === 'unanswered' ? 'waits' : s)).catch(() => 'dropped');
const fill = async ({ s, id }: ReturnType<typeof made>): Promise<void> => {
  for (let i = 1; i <= 4; i++) await judged(s.of('eve', id(i)));
};

test('an answer that was asked for before the flight came does not judge it', async () => {
  const m = made();
  await fill(m);
  m.clock.ms += 60_000;
  let reply = (): void => {};
  m.answers(() => new Promise((resolve) => (reply = resolve)));
  const asking = m.s.ask('eve'); // a new connection: the directory reads its rows now, the answer is on its way
  m.clock.ms += 100; // Eve publishes her new identity and writes
  const first = await judged(m.s.of('eve', m.id(50)));
  m.clock.ms += 100;
  reply();
  await asking;
  const then = await judged(m.s.of('eve', m.id(50))); // retry, as confirmAll does
  expect([first, then]).toEqual(['waits', 'waits']);
});

test('a clock that was ahead when the flight came, and is set right: judged by the next answer', async () => {
  const m = made();
  await fill(m);
  m.clock.ms += 365 * 86_400_000;
  for (let i = 11; i <= 14; i++) await judged(m.s.of('eve', m.id(i)));
  m.clock.ms += 60_000;
  expect(await judged(m.s.of('eve', m.id(50)))).toBe('waits');
  m.clock.ms -= 365 * 86_400_000;
  for (let i = 21; i <= 24; i++) await judged(m.s.of('eve', m.id(i)));
  const after: string[] = [];
  for (let hour = 0; hour < 20; hour++) {
    m.clock.ms += 3_600_000;
    await m.s.ask('eve');
    m.clock.ms += 10;
    after.push(await judged(m.s.of('eve', m.id(50))));
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
  for (let i = 60; i < 70; i++) await judged(m.s.of('eve', m.id(i)));
  expect(m.asked() - before).toBe(1);
});
