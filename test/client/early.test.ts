import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { InboxRecord } from '../../src/client/records.js';
import type { Content, MessageId } from '../../src/client/types.js';
import { talkLimits } from '../../src/limits.js';
import { START } from '../helpers/people.js';
import { device, idOf, ids, saying, stamped, target, text } from '../helpers/talk-device.js';

const DAY = 86_400_000;

test('what comes before its target waits for it, also over a restart, and arrives once', async () => {
  const bob = await device('bob');
  const edit = stamped(idOf(1), saying.edit, 6);
  expect(await bob.receive('alice', edit)).toEqual([]);
  expect(await bob.receive('alice', edit)).toEqual([]);
  expect(await bob.receive('alice', stamped(idOf(2), saying.reaction, 7))).toEqual([]);
  expect(await bob.receive('bob', stamped(idOf(3), saying.reaction, 7), { to: 'alice' })).toEqual([]);
  await bob.restart();
  const got = await bob.receive('alice', stamped(target, text('x'), 5));
  expect(ids(got)[0]).toBe(target);
  expect(ids(got).sort()).toEqual([target, idOf(1), idOf(2), idOf(3)].sort());
  expect(got.map(({ order }) => order).sort()).toEqual([5, 6, 7, 7]);
  expect(await bob.db.list(['early'])).toEqual([]);
  expect(await bob.receive('alice', edit)).toEqual([]);
});

test('T14: what waited for a message of somebody else’s goes when that comes', async () => {
  const bob = await device('bob');
  await bob.receive('alice', stamped(idOf(1), saying.edit, 6));
  await bob.receive('alice', stamped(idOf(2), saying.reaction, 6));
  const got = await bob.receive('bob', stamped(target, text('from my phone'), 5), { to: 'alice' });
  expect(ids(got)).toEqual([target, idOf(2)]);
  expect(bob.logs).toEqual(['message-refused']);
  expect(await bob.db.list(['early'])).toEqual([]);
});

/** A text, its edit, and the deletion of that edit. */
const chain = {
  Z: stamped(idOf(0xf0), text('z'), 5),
  Y: stamped(idOf(0xf1), { kind: 'edit', target: idOf(0xf0), text: 'better' }, 6),
  X: stamped(idOf(0xf2), { kind: 'deletion', target: idOf(0xf1) }, 7),
};
const named = (messages: readonly InboxRecord[]): string => messages.map(({ id }) => 'ZYX'[Number.parseInt(id, 16) - 0xf0]).join('');

test.each([
  ['ZYX', 'Z,Y,X'],
  ['ZXY', 'Z,,YX'],
  ['YZX', ',ZY,X'],
  ['YXZ', ',,ZYX'],
  ['XYZ', ',,ZYX'],
  ['XZY', ',Z,YX'],
])('what is said of a message that itself waits comes after it: %s is shown as %s', async (order, expected) => {
  for (const restarts of [false, true]) {
    const bob = await device('bob');
    const shown: string[] = [];
    for (const letter of order) {
      shown.push(named(await bob.receive('alice', chain[letter as keyof typeof chain])));
      if (restarts) await bob.restart();
    }
    expect(shown.join()).toBe(expected);
    expect(await bob.db.list(['early'])).toEqual([]);
    expect(bob.logs).toEqual([]);
  }
});

test('whatever was said of whatever, and in whichever order it comes: all of it is shown, each after its target, with its own place', async () => {
  const seed = Number(process.env['CYPHR_SEED'] ?? 20_260_101);
  const saids = fc.array(fc.record({ by: fc.constantFrom('alice', 'bob'), of: fc.option(fc.nat(20)), kind: fc.nat(2), at: fc.nat() }), {
    minLength: 1,
    maxLength: 14,
  });
  await fc.assert(
    fc.asyncProperty(saids, fc.boolean(), async (said, restarts) => {
      const targets = said.map(({ of }, i) => (of === null || i === 0 ? undefined : of % i));
      const messages = said.map(({ by, kind }, i) => {
        const to = targets[i];
        if (to === undefined) return stamped(idOf(i), text('x'), i);
        const kinds = said[to]!.by === by ? (['edit', 'deletion', 'reaction'] as const) : (['reaction'] as const);
        return stamped(idOf(i), { ...saying[kinds[kind % kinds.length]!], target: idOf(to) } as Content, i);
      });
      const bob = await device('bob');
      const shown: InboxRecord[] = [];
      for (const i of [...said.keys()].sort((a, b) => said[a]!.at - said[b]!.at)) {
        shown.push(...(await bob.receive(said[i]!.by, messages[i]!, said[i]!.by === 'bob' ? { to: 'alice' } : {})));
        if (restarts) await bob.restart();
      }
      expect(ids(shown).sort()).toEqual(ids(messages as never).sort());
      for (const [at, { id, order }] of shown.entries()) {
        const i = Number.parseInt(id, 16);
        expect(order).toBe(i);
        if (targets[i] !== undefined) expect(ids(shown.slice(0, at))).toContain(idOf(targets[i]));
      }
      expect(await bob.db.list(['early'])).toEqual([]);
    }),
    { numRuns: 150, seed },
  );
});

test('a chain as long as what may wait comes at once with its first message; the counter knows its last', async () => {
  const bob = await device('bob');
  const links = Array.from({ length: talkLimits.earlyCount + 1 }, (_, n) =>
    stamped(idOf(n), n === 0 ? text('x') : { kind: 'edit', target: idOf(n - 1), text: `${n}` }, 5 + n),
  );
  for (const link of links.slice(1).reverse()) expect(await bob.receive('alice', link)).toEqual([]);
  expect(ids(await bob.receive('alice', links[0]!))).toEqual(ids(links as never));
  expect(await bob.db.list(['early'])).toEqual([]);
  expect((await bob.send('alice', idOf(999), text('after'))).order).toBe(5 + links.length);
});

test('T14: what waits for itself, or in a circle, waits out its time, and so does what was said of it', async () => {
  const time = { ms: START };
  const bob = await device('bob', time);
  const deletion = (n: number, of: number) => bob.receive('alice', stamped(idOf(n), { kind: 'deletion', target: idOf(of) }, 5));
  for (const [n, of] of [
    [1, 1],
    [2, 3],
    [3, 4],
    [4, 2],
    [5, 3],
  ] as const)
    expect(await deletion(n, of)).toEqual([]);
  await bob.restart();
  expect(await deletion(6, 1)).toEqual([]);
  expect(await bob.db.list(['early'])).toHaveLength(6);
  for (let day = 0; day <= talkLimits.earlyMs / DAY; day++) {
    time.ms += DAY;
    await bob.prune();
  }
  expect(await bob.db.list(['early'])).toEqual([]);
  expect(ids(await bob.receive('alice', stamped(idOf(7), text('x'), 6)))).toEqual([idOf(7)]);
});

test.each([
  ['the same message', 0xf0],
  ['another one that waits', 0xf3],
])(
  'T14: a contact’s message has the id of one’s own, which waits for %s: what was said of it is taken once, as of one’s own',
  async (_, of) => {
    const bob = await device('bob');
    const [z, y, w] = [idOf(0xf0), idOf(0xf1), idOf(0xf3)];
    const reaction = (to: MessageId): Content => ({ kind: 'reaction', target: to, emoji: '👍' });
    await bob.receive('alice', stamped(y, reaction(z), 6));
    await bob.receive('alice', stamped(idOf(1), { kind: 'deletion', target: y }, 7));
    await bob.receive('alice', stamped(idOf(2), reaction(y), 7));
    await bob.receive('bob', stamped(w, reaction(z), 6), { to: 'alice' });
    await bob.receive('bob', stamped(y, reaction(idOf(of)), 6), { to: 'alice' });
    const got = await bob.receive('alice', stamped(z, text('z'), 5));
    const own = got.filter(({ account }) => account === 'bob').map(({ id }) => id);
    expect(own.sort()).toEqual([y, w]);
    expect(ids(got.filter(({ account }) => account === 'alice'))).toEqual([z, y, idOf(2)]);
    expect(await bob.db.list(['early'])).toEqual([]);
    expect(bob.logs).toEqual(['message-id-taken', 'message-refused']);
  },
);

test('what was said of a message that a stranger made, and that goes with the stranger, waits for the true one', async () => {
  const bob = await device('bob');
  await bob.receive('alice', chain.Y, { isClaimed: true, device: 2 });
  expect(await bob.receive('alice', chain.X)).toEqual([]);
  await bob.drop('alice', 2);
  expect((await bob.db.list(['early'])).map(({ key }) => key[4])).toEqual([chain.X.id]);
  expect(named(await bob.receive('alice', chain.Z))).toBe('Z');
  expect(named(await bob.receive('alice', chain.Y))).toBe('YX');
  expect(await bob.receive('alice', stamped(idOf(1), { kind: 'deletion', target: chain.Y.id }, 8))).toHaveLength(1);
});

test('what will never be shown holds nothing up: it has waited for too long, or made room', async () => {
  const time = { ms: START };
  const bob = await device('bob', time);
  const deletionOf = (id: MessageId, n: number) => bob.receive('alice', stamped(idOf(n), { kind: 'deletion', target: id }, 8));
  await bob.receive('alice', chain.Y);
  for (let day = 0; day <= talkLimits.earlyMs / DAY; day++) {
    time.ms += DAY;
    await bob.prune();
  }
  expect(ids(await deletionOf(chain.Y.id, 300))).toEqual([idOf(300)]);
  for (let n = 0; n < talkLimits.earlyCount; n++) await bob.receive('alice', stamped(idOf(n), saying.reaction, 6));
  expect(await deletionOf(target, 301)).toEqual([]);
  expect(ids(await deletionOf(idOf(0), 302))).toEqual([idOf(302)]);
});

test('what waits is bounded, in number for each author, and in time; fewer of a claimed sender’s', async () => {
  const time = { ms: START };
  const bob = await device('bob', time);
  const early = (n: number) => stamped(idOf(n), { kind: 'deletion', target: idOf(1_000 + n) }, 6);
  for (let n = 0; n < talkLimits.earlyCount + 3; n++) expect(await bob.receive('alice', early(n))).toEqual([]);
  expect(await bob.db.list(['early'])).toHaveLength(talkLimits.earlyCount);
  expect(bob.logs).toEqual(['message-unplaced', 'message-unplaced', 'message-unplaced']);
  await bob.receive('bob', early(500), { to: 'alice' });
  await bob.receive('carol', early(501));
  for (let n = 0; n < talkLimits.earlyClaimedCount + 1; n++)
    expect(await bob.receive('dave', early(502 + n), { isClaimed: true })).toEqual([]);
  expect(bob.logs).toHaveLength(4);
  // Nothing ran for half a year; then it runs on 29 further days.
  for (let day = 1; day <= talkLimits.earlyMs / DAY; day++) {
    time.ms += day === 1 ? 180 * DAY : DAY;
    await bob.prune();
  }
  expect(await bob.db.list(['early'])).toHaveLength(talkLimits.earlyCount + 2 + talkLimits.earlyClaimedCount);
  time.ms += DAY;
  await bob.prune();
  expect(await bob.db.list(['early'])).toEqual([]);
  expect(ids(await bob.receive('alice', stamped(idOf(1_000), text('late'), 7)))).toEqual([idOf(1_000)]);
});

test('reactions that wait make room for what deletes and edits, and for nothing else', async () => {
  const bob = await device('bob');
  const early = (n: number, content: Content) => bob.receive('alice', stamped(idOf(n), content, 6));
  for (let n = 0; n < talkLimits.earlyCount; n++) await early(n, saying.reaction);
  await early(100, { kind: 'deletion', target });
  await early(101, saying.edit);
  await early(102, saying.reaction);
  expect(await bob.db.list(['early'])).toHaveLength(talkLimits.earlyCount);
  expect(bob.logs).toEqual(['message-unplaced']);
  const got = await bob.receive('alice', stamped(target, text('x'), 5));
  expect(got).toHaveLength(1 + talkLimits.earlyCount);
  expect(ids(got)).toEqual(expect.arrayContaining([target, idOf(100), idOf(101)]));
  expect(await bob.db.list(['early'])).toEqual([]);
});
