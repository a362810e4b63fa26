import { beforeEach, describe, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../src/client/database.js';
import { keys, sentRecord } from '../../src/client/records.js';
import {
  copyName,
  deleted,
  forget,
  isPast,
  type LoggedMessage,
  type LoggedName,
  type LogReader,
  type SendLog,
  sendLog,
} from '../../src/client/sendlog.js';
import { sessionLimits } from '../../src/limits.js';
import { type GlassStore, glassStore, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const HOUR = 3_600_000;
const filled = (lengthBytes: number, value: number): Uint8Array => new Uint8Array(lengthBytes).fill(value);
const idOf = (n: number): string => n.toString(16).padStart(32, '0');

const clock = { ms: START };
let store: GlassStore;
let db: Database;
let log: SendLog;

const open = async (): Promise<SendLog> => {
  db = await openDatabase(store, { rng: testRng('log'), now: () => clock.ms, onCommit: () => {}, onLost: () => {} });
  return sendLog({ db, now: () => clock.ms });
};
beforeEach(async () => {
  clock.ms = START;
  store = glassStore();
  log = await open();
});

const message = (text = 'hello'): LoggedMessage => ({
  account: 'bob',
  accountKeyHash: filled(64, 1),
  payload: new Uint8Array(Buffer.from(text)),
});
const phone = filled(64, 2);
const laptop = filled(64, 3);
const bob = (deviceKeyHash: Uint8Array): LogReader => ({ account: 'bob', accountKeyHash: filled(64, 1), deviceKeyHash });
const name = (deviceKeyHash: Uint8Array, n: number, session = 5): LoggedName => ({
  deviceKeyHash,
  session: filled(16, session),
  tag: filled(16, 6),
  n,
});

async function add(n: number, names: readonly LoggedName[], what = message()): Promise<void> {
  const { writes, committed } = await log.add(idOf(n), what, names);
  await db.commit(writes);
  committed();
}
/** Ids that are given for these numbers in session 5, each taken at its word. */
async function taken(reader: LogReader, numbers: readonly number[], session = 5): Promise<string[]> {
  const found = await log.take(
    reader,
    filled(16, session),
    numbers.map((n) => ({ tag: filled(16, 6), n })),
  );
  await db.commit(found.map(({ write }) => write));
  return found.map(({ id }) => id);
}

const logged = (): string[] => [...store.rows().keys()].filter((key) => key.startsWith('["log"'));

describe('what was sent can be sent again', () => {
  test('to the device that it was encrypted for, by the name that it had there', async () => {
    await add(1, [name(phone, 7), name(laptop, 7, 9)]);
    const [resend] = await log.take(bob(phone), filled(16, 5), [name(phone, 7)]);
    expect(resend).toMatchObject({ id: idOf(1), payload: message().payload });
    expect(await taken(bob(laptop), [7], 9)).toEqual([idOf(1)]);
  });

  test('to nobody else: another device, another account, another account key, another session, another number', async () => {
    await add(1, [name(phone, 7)]);
    expect(await taken(bob(laptop), [7])).toEqual([]);
    expect(await taken({ ...bob(phone), account: 'eve' }, [7])).toEqual([]);
    expect(await taken({ ...bob(phone), accountKeyHash: filled(64, 8) }, [7])).toEqual([]);
    expect(await taken(bob(phone), [7], 4)).toEqual([]);
    expect(await taken(bob(phone), [8])).toEqual([]);
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
  });

  test('three times to one device, also after a restart; how often another one had it counts nothing', async () => {
    await add(1, [name(phone, 7), name(laptop, 7, 9)]);
    expect(await taken(bob(phone), [7, 7])).toEqual([idOf(1)]);
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
    log = await open();
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
    expect(await taken(bob(phone), [7])).toEqual([]);
    expect(await taken(bob(laptop), [7], 9)).toEqual([idOf(1)]);
  });

  test('by its newest name, which keeps the count', async () => {
    await add(1, [name(phone, 7), name(laptop, 8, 9)]);
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
    await add(1, [name(phone, 0, 6)]);
    expect(await taken(bob(phone), [7])).toEqual([]);
    expect(await taken(bob(laptop), [8], 9)).toEqual([idOf(1)]);
    expect([await taken(bob(phone), [0], 6), await taken(bob(phone), [0], 6)]).toEqual([[idOf(1)], [idOf(1)]]);
    expect(await taken(bob(phone), [0], 6)).toEqual([]);
  });

  test('at most 64 for one question', async () => {
    for (let n = 0; n < 70; n++) await add(n, [name(phone, n)]);
    expect(
      await taken(
        bob(phone),
        Array.from({ length: 70 }, (_, n) => n),
      ),
    ).toHaveLength(64);
  });
});

describe('what is over is over', () => {
  test('48 hours after the relay had it, however long it waited before', async () => {
    const accepted = (acceptedAtMs: number | undefined, state: string) => ({
      key: keys.sent(idOf(1)),
      value: sentRecord.encode({ to: 'bob', state, atMs: START, seq: 1, waitingFor: [], accepted: 0, acceptedAtMs }),
    });
    await add(1, [name(phone, 7)]);
    await db.commit([accepted(undefined, 'queued')]);
    clock.ms += 100 * HOUR;
    expect(await isPast({ db, now: () => clock.ms }, idOf(1), START)).toBe(false);
    await db.commit([accepted(clock.ms, 'accepted')]);
    clock.ms += 48 * HOUR;
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
    clock.ms += 1;
    expect(await taken(bob(phone), [7])).toEqual([]);
    expect(await isPast({ db, now: () => clock.ms }, idOf(1), START)).toBe(true);
  });

  test('that it was encrypted once more prolongs nothing', async () => {
    await add(1, [name(phone, 1)]);
    clock.ms += 47 * HOUR;
    await add(1, [name(phone, 2)]);
    clock.ms += HOUR;
    expect(await taken(bob(phone), [2])).toEqual([idOf(1)]);
    clock.ms += 1;
    expect(await taken(bob(phone), [2])).toEqual([]);
  });

  test('a message that was to disappear is not sent again once it has', async () => {
    const record = { to: 'bob', state: 'accepted', atMs: START, seq: 1, waitingFor: [], accepted: 1, acceptedAtMs: clock.ms };
    await add(1, [name(phone, 7)]);
    await db.commit([{ key: keys.sent(idOf(1)), value: sentRecord.encode({ ...record, disappearAfterMs: HOUR }) }]);
    clock.ms += HOUR;
    expect(await taken(bob(phone), [7])).toEqual([idOf(1)]);
    clock.ms += 1;
    expect(await taken(bob(phone), [7])).toEqual([]);
    expect(await isPast({ db, now: () => clock.ms }, idOf(1), START)).toBe(true);
  });

  test('a message that was forgotten is not sent again, and leaves no row', async () => {
    await add(1, [name(phone, 7)]);
    await db.commit(forget(idOf(1)));
    expect(await taken(bob(phone), [7])).toEqual([]);
    expect(logged()).toEqual([]);
    await add(1, [name(phone, 8)]);
    expect(await taken(bob(phone), [8])).toEqual([idOf(1)]);
  });

  test('a message that was deleted does not come back, also where it is encrypted once more, and after a restart', async () => {
    await add(1, [name(phone, 7)]);
    await db.commit(deleted(idOf(1)));
    await add(1, [name(laptop, 8)]);
    log = await open();
    await add(1, [name(phone, 9)]);
    const { writes, committed } = await log.add(copyName(idOf(1)), message(), [name(phone, 10)]);
    await db.commit(writes);
    committed();
    expect(logged()).toEqual([]);
    expect([await taken(bob(phone), [7, 9, 10]), await taken(bob(laptop), [8])]).toEqual([[], []]);
    // It was being encrypted while it was deleted.
    const late = await log.add(idOf(2), message(), [name(phone, 11)]);
    await db.commit(deleted(idOf(2)));
    await db.commit(late.writes);
    late.committed();
    expect(await taken(bob(phone), [11])).toEqual([]);
    expect(await isPast({ db, now: () => clock.ms }, idOf(2), START)).toBe(true);
  });

  test('of 1,000 messages and more the last 1,000 are kept, in the store and after a restart', async () => {
    for (let n = 0; n < sessionLimits.sendLogCount + 20; n++) {
      clock.ms += 1;
      // By age, not by id.
      await add(9_999 - n, [name(phone, n)]);
    }
    expect(log.namesIn(filled(16, 5))).toHaveLength(sessionLimits.sendLogCount);
    const rows = [...store.rows().keys()].filter((key) => key.startsWith('["log"'));
    expect(rows).toHaveLength(sessionLimits.sendLogCount);
    for (let again = 0; again < 2; again++) {
      expect(await taken(bob(phone), [0, 19])).toEqual([]);
      expect(await taken(bob(phone), [20, 1019])).toEqual([idOf(9_979), idOf(8_980)]);
      log = await open();
    }
    await add(5000, [name(phone, 5000)]);
    expect(await taken(bob(phone), [20])).toEqual([]);
  });
});

test('T28: 10,000 questions for what was never sent read nothing', async () => {
  await add(1, [name(phone, 7)]);
  let reads = 0;
  const { read } = store;
  store.read = (all) => {
    reads += 1;
    return read(all);
  };
  log = await open();
  reads = 0;
  for (let n = 0; n < 10_000; n += 64) {
    const numbers = Array.from({ length: 64 }, (_, i) => 100 + n + i);
    await log.take(
      bob(phone),
      filled(16, 5),
      numbers.map((each) => name(phone, each)),
    );
  }
  expect(reads).toBe(0);
});
