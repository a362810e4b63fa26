import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeContent } from '../../src/client/content.js';
import { keys, sentRecord, talkRecord } from '../../src/client/records.js';
import { orderKey } from '../../src/client/talk.js';
import type { Content } from '../../src/client/types.js';
import { limits, talkLimits } from '../../src/limits.js';
import { coded, usage } from '../helpers/matchers.js';
import { START } from '../helpers/people.js';
import { type Device, device, idOf, ids, type Posted, saying, stamped, target, text } from '../helpers/talk-device.js';

test('a reply sorts after what its author had seen; crossing messages stand in one order on both sides', async () => {
  const [alice, bob] = [await device('alice'), await device('bob')];
  const a1 = await alice.send('bob', idOf(1), text('a1'));
  const b1 = await bob.send('alice', idOf(2), text('b1'));
  const [atBob] = await bob.receive('alice', a1);
  const [atAlice] = await alice.receive('bob', b1);
  expect([atBob!.order, atAlice!.order]).toEqual([a1.order, b1.order]);
  const b2 = await bob.send('alice', idOf(0), text('b2'));
  for (const earlier of [a1, b1]) expect(orderKey(b2.order, b2.id) > orderKey(earlier.order, earlier.id)).toBe(true);
  expect(orderKey(9, idOf(1)) < orderKey(10, idOf(0))).toBe(true);
  expect(orderKey(Number.MAX_SAFE_INTEGER, idOf(0))).toMatch(/^[0-9a-f]{46}$/);
});

test('T15: order under loss, repeats, restarts and any order of arrival, with clocks that are ten years wrong', async () => {
  const names = ['alice', 'bob'] as const;
  const seed = Number(process.env['CYPHR_SEED'] ?? 20_260_101);
  type Step = { kind: 'send' | 'deliver' | 'repeat' | 'lose' | 'restart'; who: number; which: number; jumpMs: number };
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom('send', 'send', 'deliver', 'deliver', 'deliver', 'repeat', 'lose', 'restart'),
    who: fc.nat(1),
    which: fc.nat(1_000),
    jumpMs: fc.constantFrom(0, 1, -1, 315_360_000_000, -315_360_000_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clocks = names.map(() => ({ ms: START }));
      const devices = await Promise.all(names.map((name, i) => device(name, clocks[i])));
      const travelling: Posted[][] = [[], []];
      const delivered: Posted[][] = [[], []];
      /** What each has seen, as its own screen would sort it. */
      const screens: Map<string, string>[] = [new Map(), new Map()];
      let sentCount = 0;
      for (const { kind, who, which, jumpMs } of steps) {
        const other = 1 - who;
        clocks[who]!.ms += jumpMs;
        const queue = travelling[who]!;
        if (kind === 'restart') await devices[who]!.restart();
        else if (kind === 'send') {
          // Ids in no order: nothing but the counter must count.
          const posted = await devices[who]!.send(names[other]!, idOf((++sentCount * 7_919) % 1_009), text('x'));
          const key = orderKey(posted.order, posted.id);
          for (const seen of screens[who]!.values()) expect(key > seen).toBe(true);
          screens[who]!.set(posted.id, key);
          travelling[other]!.push(posted);
        } else if (kind === 'lose') queue.splice(which % Math.max(1, queue.length), 1);
        else {
          const from = kind === 'repeat' ? delivered[who]! : queue;
          const posted = from[which % Math.max(1, from.length)];
          if (posted === undefined) continue;
          const messages = await devices[who]!.receive(names[other]!, posted);
          if (kind === 'repeat') {
            expect(messages).toEqual([]);
            continue;
          }
          expect(ids(messages)).toEqual([posted.id]);
          screens[who]!.set(posted.id, orderKey(messages[0]!.order!, posted.id));
          delivered[who]!.push(...queue.splice(queue.indexOf(posted), 1));
        }
      }
      for (const [id, key] of screens[0]!) if (screens[1]!.has(id)) expect(screens[1]!.get(id)).toBe(key);
      for (const screen of screens) expect(new Set(screen.values()).size).toBe(screen.size);
    }),
    { numRuns: 200, seed },
  );
});

test('T15: nobody can use the counter up, and a message without a number stands where it came', async () => {
  const bob = await device('bob');
  const first = await bob.send('alice', idOf(1), text('hi'));
  expect(first.order).toBe(START / 1_000);
  const [far] = await bob.receive('alice', stamped(idOf(2), text('x'), Number.MAX_SAFE_INTEGER));
  expect(far!.order).toBe(first.order + talkLimits.orderJump);
  const [old] = await bob.receive('alice', { id: idOf(3), payload: encodeContent(text('of an older version'), START) });
  expect(old!.order).toBe(far!.order! + 1);
  const [late] = await bob.receive('alice', stamped(idOf(4), text('among the first'), 5));
  expect(late!.order).toBe(5);
  expect((await bob.send('alice', idOf(5), text('x'))).order).toBe(old!.order! + 1);
  // Even at its very end, messages still come and go.
  const end = { greatest: Number.MAX_SAFE_INTEGER };
  await bob.db.commit([{ key: keys.talk('alice'), value: talkRecord.encode(end) }]);
  expect((await bob.send('alice', idOf(6), text('x'))).order).toBe(Number.MAX_SAFE_INTEGER);
  expect((await bob.receive('alice', stamped(idOf(7), text('x'), Number.MAX_SAFE_INTEGER)))[0]!.order).toBe(Number.MAX_SAFE_INTEGER);
});

test('T15: however far a contact has pushed the counter, a message stands in one place on all devices of its author', async () => {
  const [phone, laptop] = [await device('alice'), await device('alice')];
  // The laptop is linked only now.
  for (const n of [1, 2, 3]) await phone.receive('bob', stamped(idOf(n), text('x'), START / 1_000 + n * talkLimits.orderJump));
  const sent = await phone.send('bob', idOf(4), text('from the phone'));
  const [copy] = await laptop.receive('alice', sent, { to: 'bob' });
  expect(copy!.order).toBe(sent.order);
  expect((await laptop.send('bob', idOf(5), text('an answer'))).order).toBe(sent.order + 1);
});

test('a device that knows nothing of a conversation begins behind what was said before it came', async () => {
  const [alice, old] = [await device('alice'), await device('bob')];
  let last = await alice.send('bob', idOf(1), text('x'));
  for (let i = 2; i < 50; i++) last = await alice.send('bob', idOf(i), text('x'));
  await old.receive('alice', last);
  const linked = await device('bob', { ms: START + 60_000 });
  const news = await linked.send('alice', idOf(0), text('from the new device'));
  const [atAlice] = await alice.receive('bob', news);
  expect(orderKey(atAlice!.order!, news.id) > orderKey(last.order, last.id)).toBe(true);
});

/** A device of bob, to which `target` was sent by alice, by itself, or by another of bob's devices; in the conversation with alice or carol. */
async function knowing(author: 'alice' | 'bob' | 'other device', where: string): Promise<Device> {
  const bob = await device('bob');
  if (author === 'alice') await bob.receive('alice', stamped(target, text('x'), 5));
  else if (author === 'bob') await bob.send(where, target, text('x'));
  else await bob.receive('bob', stamped(target, text('x'), 5), { to: where });
  return bob;
}

test.each([
  // who wrote the target, where, who says it, whether edits and deletions arrive, whether reactions do
  ['alice', 'alice', 'alice', true, true],
  ['alice', 'alice', 'own device', false, true],
  ['bob', 'alice', 'alice', false, true],
  ['bob', 'alice', 'own device', true, true],
  ['other device', 'alice', 'alice', false, true],
  ['other device', 'alice', 'own device', true, true],
  ['bob', 'carol', 'alice', false, false],
  ['bob', 'carol', 'own device', false, false],
  ['other device', 'carol', 'alice', false, false],
] as const)(
  'T14: of a message by %s to %s, what %s says: edits and deletions %s, reactions %s',
  async (author, where, by, may, mayReact) => {
    for (const kind of ['edit', 'deletion', 'reaction'] as const) {
      const bob = await knowing(author, where);
      const said = stamped(idOf(1), saying[kind], 6);
      const got = by === 'alice' ? await bob.receive('alice', said) : await bob.receive('bob', said, { to: 'alice' });
      expect(ids(got), kind).toEqual((kind === 'reaction' ? mayReact : may) ? [idOf(1)] : []);
      if (got.length === 0) expect(bob.logs, kind).toEqual(['message-refused']);
    }
  },
);

test('T14: an edit of a message in a conversation with somebody else never arrives', async () => {
  const bob = await device('bob');
  await bob.receive('carol', stamped(target, text('carol’s'), 5));
  expect(await bob.receive('alice', stamped(idOf(1), saying.edit, 6))).toEqual([]);
  // Not even when a message of that id comes: carol's is no target for alice.
  expect(await bob.receive('carol', stamped(target, text('carol’s'), 5))).toEqual([]);
  expect(await bob.receive('carol', stamped(idOf(2), saying.edit, 6))).toHaveLength(1);
});

test('T14: nobody can take the place of a message of one’s own, by its id', async () => {
  for (const author of ['bob', 'other device'] as const) {
    for (const where of ['alice', 'carol']) {
      const bob = await knowing(author, where);
      expect(await bob.receive('alice', stamped(target, text('not what you wrote'), 9))).toEqual([]);
      expect(bob.logs).toEqual(['message-id-taken']);
    }
  }
});

test('T14: one’s own message has its id, also where somebody was faster with it than the device that sent it', async () => {
  const bob = await device('bob');
  await bob.receive('alice', stamped(target, text('not what you wrote'), 5));
  expect(ids(await bob.receive('bob', stamped(target, text('from my phone'), 5), { to: 'alice' }))).toEqual([target]);
  expect(await bob.receive('alice', stamped(idOf(1), saying.edit, 6))).toEqual([]);
  expect(await bob.receive('bob', stamped(idOf(2), saying.edit, 6), { to: 'alice' })).toHaveLength(1);
  expect(bob.logs).toEqual(['message-id-taken', 'message-refused']);
});

test('what is deleted is not sent again, whichever own device deletes it', async () => {
  const marked = async ({ db }: Device): Promise<unknown[]> => (await db.list(['deleted'])).map(({ key }) => key[1]);
  const [phone, laptop] = [await knowing('bob', 'alice'), await knowing('other device', 'alice')];
  const deletion = await laptop.send('alice', idOf(1), saying.deletion);
  expect(await marked(phone)).toEqual([]);
  expect(ids(await phone.receive('bob', deletion, { to: 'alice' }))).toEqual([idOf(1)]);
  expect([await marked(phone), await marked(laptop)]).toEqual([[target], [target]]);
  const bob = await knowing('bob', 'alice');
  await bob.receive('alice', stamped(idOf(1), saying.deletion, 9));
  expect(await marked(bob)).toEqual([]);
});

test('what may be said of a message may be said for 90 days, and arrives later too', async () => {
  const time = { ms: START };
  const bob = await device('bob', time);
  await bob.send('alice', target, text('x'));
  time.ms += limits.targetAgeMs;
  await bob.send('alice', idOf(1), saying.edit);
  time.ms += 1;
  for (const content of Object.values(saying))
    await expect(bob.send('alice', idOf(2), content)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
  expect(await bob.receive('alice', stamped(idOf(3), saying.reaction, 9))).toHaveLength(1);
});

test('T14: the sending side refuses what would not arrive', async () => {
  for (const [author, where] of [
    ['alice', 'alice'],
    ['bob', 'carol'],
    ['other device', 'carol'],
  ] as const) {
    const bob = await knowing(author, where);
    await expect(bob.send('alice', idOf(1), saying.edit)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
    await expect(bob.send('alice', idOf(1), saying.deletion)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
    if (author !== 'alice')
      await expect(bob.send('alice', idOf(1), saying.reaction)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
  }
  for (const state of ['cancelled', 'failed']) {
    const bob = await device('bob');
    const record = { to: 'alice', state, atMs: START, seq: 1, waitingFor: [], accepted: 0 };
    await bob.db.commit([{ key: keys.sent(target), value: sentRecord.encode(record) }]);
    for (const content of [saying.edit, saying.reaction])
      await expect(bob.send('alice', idOf(1), content)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
    // It may be there all the same, where the carrier's answer was lost.
    await bob.send('alice', idOf(1), saying.deletion);
  }
  const unknown = await device('bob');
  for (const content of Object.values(saying))
    await expect(unknown.send('alice', idOf(1), content)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
  // It may well be one's own, from before this device was linked.
  await expect(unknown.send('alice', idOf(1), saying.edit)).rejects.toThrow('of your own in this conversation that this device knows');
  for (const author of ['bob', 'other device'] as const) {
    const bob = await knowing(author, 'alice');
    for (const content of Object.values(saying)) expect((await bob.send('alice', idOf(1), content)).order).toBeGreaterThan(5);
  }
});

test('a timer holds on both sides for what follows, the last in order wins, and a claimed sender sets none before it is confirmed', async () => {
  const timer = (ms: number): Content => ({ kind: 'timer', disappearAfterMs: ms });
  const [alice, bob] = [await device('alice'), await device('bob')];
  const set = await alice.send('bob', idOf(1), timer(60_000));
  const [shown] = await bob.receive('alice', set);
  expect(shown!.disappearAfterMs).toBeUndefined();
  for (const [from, to, name, id] of [
    [alice, bob, 'alice', idOf(2)],
    [bob, alice, 'bob', idOf(3)],
  ] as const) {
    const posted = await from.send(name === 'alice' ? 'bob' : 'alice', id, text('x'));
    expect((await to.receive(name, posted))[0]!.disappearAfterMs).toBe(60_000);
  }
  // They change it at the same time: both go on with the same.
  const [a, b] = [await alice.send('bob', idOf(9), timer(10_000)), await bob.send('alice', idOf(8), timer(20_000))];
  await alice.receive('bob', b);
  await bob.receive('alice', a);
  for (const [from, to, name, id] of [
    [alice, bob, 'alice', idOf(11)],
    [bob, alice, 'bob', idOf(12)],
  ] as const) {
    const posted = await from.send(name === 'alice' ? 'bob' : 'alice', id, text('x'));
    expect((await to.receive(name, posted))[0]!.disappearAfterMs).toBe(10_000);
  }
  await bob.receive('alice', await alice.send('bob', idOf(13), timer(0)));
  expect((await alice.receive('bob', await bob.send('alice', idOf(14), text('stays'))))[0]!.disappearAfterMs).toBeUndefined();

  const carol = await device('carol');
  const claimed = await carol.receive('alice', stamped(idOf(1), timer(5_000), 5), { isClaimed: true });
  const before = await alice.receive('carol', await carol.send('alice', idOf(21), text('x')));
  expect(before[0]!.disappearAfterMs).toBeUndefined();
  await carol.confirm('alice', claimed);
  const after = await alice.receive('carol', await carol.send('alice', idOf(22), text('x')));
  expect(after[0]!.disappearAfterMs).toBe(5_000);
});

test('of a conversation as another device has it the greater counter and the later timer hold; what is none is refused', async () => {
  const bob = await device('bob');
  const row = async () => talkRecord.decode((await bob.db.read(keys.talk('alice')))!);
  const timer = (order: number, timerMs: number) => ({ timerMs, timerOrder: orderKey(order, idOf(1)) });
  await bob.brought('alice', talkRecord.encode({ greatest: 7, ...timer(5, 60_000) }));
  expect(await row()).toEqual({ greatest: 7, ...timer(5, 60_000) });
  await bob.brought('alice', talkRecord.encode({ greatest: 6, ...timer(6, 0) }));
  expect(await row()).toEqual({ greatest: 7, ...timer(6, 0) });
  await bob.brought('alice', talkRecord.encode({ greatest: 8, ...timer(4, 90_000) }));
  await bob.brought('alice', talkRecord.encode({ greatest: 8 }));
  expect(await row()).toEqual({ greatest: 8, ...timer(6, 0) });
  await bob.brought('alice', talkRecord.encode({ greatest: Number.MAX_SAFE_INTEGER }));
  expect((await row()).greatest).toBe(8 + talkLimits.ownOrderJump);
  const before = await row();
  for (const bad of [
    new Uint8Array(3),
    talkRecord.encode({ greatest: -1 }),
    talkRecord.encode({ greatest: 1.5 }),
    talkRecord.encode({ greatest: 9, timerMs: 60_000 }),
    talkRecord.encode({ greatest: 9, timerMs: 1, timerOrder: orderKey(9, idOf(1)) }),
    talkRecord.encode({ greatest: 9, timerMs: 60_000, timerOrder: 'z' }),
  ])
    await expect(bob.brought('alice', bad)).rejects.toThrow(coded('ERR_DECODE'));
  expect(await row()).toEqual(before);
});
