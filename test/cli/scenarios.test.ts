import { expect, test } from 'vitest';
import { COUNTS, MESSAGE_BYTES, type Slot, STORED_KEYS, type Subject, sizesOf, slotsOf } from '../../src/cli/scenarios.js';
import { sessionSubject } from '../../src/cli/session-subject.js';
import { seededRng } from '../../src/testing/index.js';

const NOW_MS = 1_760_000_000_000;
const SEED = 'scenarios';

async function run(slot: Slot | undefined): Promise<void> {
  const measured = await slot!.prepare();
  await measured();
}

test('this SDK’s sessions fill every slot, as often as one likes and in any order', async () => {
  const slots = slotsOf(sessionSubject(1, seededRng(SEED), NOW_MS), 10);
  expect(Object.keys(slots).sort()).toEqual(Object.keys(COUNTS).sort());
  for (const name of ['late', 'jump', 'pingPong', 'establish', 'late', 'oneWay', 'restore', 'jump', 'oneWay', 'establish'] as const) {
    await run(slots[name]);
  }
  expect(slots.oneWay!.count).toBe(COUNTS.oneWay / 10);
});

test('sizes are those of the protocol', async () => {
  const [standard, lean, wide] = await Promise.all(
    ([1, 2, 3] as const).map((profile) => sizesOf(sessionSubject(profile, seededRng(SEED), NOW_MS))),
  );
  // Padded to 512 bytes with a head of 41; chunks of 192, 32 and 1,152 bytes.
  expect([standard!, lean!, wide!].map(({ laterOverhead }) => laterOverhead - standard!.laterOverhead)).toEqual([0, 32 - 192, 1_152 - 192]);
  expect(standard!.laterOverhead + MESSAGE_BYTES).toBe(868);
  expect(standard!.firstOverhead).toBeGreaterThan(10 * standard!.laterOverhead);
  expect(standard!.stateWithStoredKeys! - standard!.state!).toBeGreaterThan(32 * (STORED_KEYS - 1));
});

test('what a library can’t do is not measured', async () => {
  const subject = fake({ storedKeys: 40 });
  expect(Object.keys(slotsOf(subject)).sort()).toEqual(['establish', 'jump', 'oneWay', 'pingPong', 'restore']);
  expect(await sizesOf(subject)).toMatchObject({ state: 1, stateWithStoredKeys: undefined });
  const whole = fake({ storedBytes: undefined });
  expect(Object.keys(slotsOf(whole)).sort()).toEqual(['establish', 'oneWay', 'pingPong']);
});

test('nothing is measured that doesn’t work', async () => {
  await expect(run(slotsOf(fake({}, MESSAGE_BYTES - 1)).oneWay)).rejects.toMatchObject({ code: 'ERR_BUG', got: MESSAGE_BYTES - 1 });
});

test('what a slot opened is closed before the next one', async () => {
  let open = 0;
  const subject = fake({}, MESSAGE_BYTES, (change) => {
    open += change;
  });
  const { establish } = slotsOf(subject);
  for (let i = 0; i < 3; i++) await run(establish);
  expect(open).toBe(COUNTS.establish);
});

/** A library whose messages are numbers. */
function fake(
  its: { storedKeys?: number; storedBytes?: undefined },
  plaintextBytes = MESSAGE_BYTES,
  counted: (change: number) => void = () => {},
): Subject<number, number> {
  const side = { seal: () => 1, open: () => ({ length: plaintextBytes }), save: () => 1, load: () => {} };
  const { storedKeys } = its;
  return {
    meet: () => () => {
      counted(1);
      return { initiator: side, responder: side, first: 1, close: () => counted(-1) };
    },
    wireBytes: () => MESSAGE_BYTES,
    ...('storedBytes' in its ? {} : { storedBytes: () => 1 }),
    ...(storedKeys === undefined ? {} : { storedKeys }),
  };
}
