import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDays } from '../../src/client/ages.js';
import { encodeContent, stampContent } from '../../src/client/content.js';
import { type Database, openDatabase } from '../../src/client/database.js';
import { mutex } from '../../src/client/platform.js';
import { type InboxRecord, keys, sentRecord, talkRecord } from '../../src/client/records.js';
import { type Arrival, orderKey, type Talk, talk } from '../../src/client/talk.js';
import type { Content, MessageId } from '../../src/client/types.js';
import { limits, talkLimits } from '../../src/limits.js';
import { memoryStore } from '../../src/store/memory.js';
import { coded, usage } from '../helpers/matchers.js';
import { START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

const DAY = 86_400_000;
const clock = { ms: START };
const text = (body: string): Content => ({ kind: 'text', text: body });
const idOf = (n: number): MessageId => n.toString(16).padStart(32, '0') as MessageId;

/** What one message is on its way: the payload with its author's stamp. */
interface Posted {
  readonly id: MessageId;
  readonly payload: Uint8Array;
  readonly order: number;
}

/** One device of `account`, with order, timers and authors alone. */
async function device(account: string, startsAt = clock) {
  const store = memoryStore();
  const logs: string[] = [];
  const db: Database = await openDatabase(store, { rng: testRng(account), now: () => 0, onCommit: () => {}, onLost: () => {} });
  const days = await openDays(db, () => startsAt.ms);
  await days.note();
  const open = (): Promise<Talk> =>
    talk({
      days,
      db,
      device: () => ({ account }) as never,
      lock: mutex(),
      now: () => startsAt.ms,
      observer: { log: (_level: string, event: string) => void logs.push(event) } as never,
    });
  let self = await open();
  return {
    logs,
    db,
    async restart() {
      self = await open();
    },
    async send(to: string, id: MessageId, content: Content): Promise<Posted> {
      const { payload, order, disappearAfterMs, writes } = await self.outgoing(to, id, encodeContent(content, startsAt.ms));
      const record = { to, state: 'accepted', atMs: startsAt.ms, seq: 1, waitingFor: [], accepted: 1, order, disappearAfterMs };
      await db.commit([...writes, { key: keys.sent(id), value: sentRecord.encode(record) }]);
      return { id, payload, order };
    },
    /** The messages that the application gets. */
    async receive(from: string, { id, payload }: Pick<Posted, 'id' | 'payload'>, more: Partial<Arrival> & { isClaimed?: boolean } = {}) {
      const { isClaimed = false, ...rest } = more;
      const common = { device: 1, accountKeyHash: new Uint8Array(64), receivedAtMs: startsAt.ms, replayable: false };
      const { messages, writes, committed } = await self.incoming({ id, account: from, payload, ...common, ...rest }, isClaimed);
      await db.commit([...writes]);
      committed();
      return messages;
    },
    /** What is refused as a stranger's: all that waits, of that device. */
    async drop(from: string, gone: number) {
      const { writes, committed } = await self.without(from, (record) => record.device === gone);
      await db.commit([...writes]);
      committed();
    },
    confirm: async (from: string, messages: readonly InboxRecord[]) => db.commit(await self.confirmed(from, messages)),
    brought: (account: string, bytes: Uint8Array) => self.brought(account, bytes),
    async prune() {
      await days.note();
      await self.prune();
    },
  };
}
type Device = Awaited<ReturnType<typeof device>>;

const stamped = (id: MessageId, content: Content, order: number, disappearAfterMs?: number) => ({
  id,
  payload: stampContent(encodeContent(content, START), { order, disappearAfterMs }),
});
const ids = (messages: readonly InboxRecord[]): string[] => messages.map(({ id }) => id);

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
  const { talkRecord } = await import('../../src/client/records.js');
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

const target = idOf(0xaa);
const saying: Record<'edit' | 'reaction' | 'deletion', Content> = {
  edit: { kind: 'edit', target, text: 'better' },
  reaction: { kind: 'reaction', target, emoji: '👍' },
  deletion: { kind: 'deletion', target },
};

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
    for (const content of Object.values(saying))
      await expect(bob.send('alice', idOf(1), content)).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
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

test('T14: where a contact’s message has the id of one’s own, and both wait, what was said of it is taken once, by the rule for one’s own', async () => {
  const bob = await device('bob');
  const [z, y, w] = [idOf(0xf0), idOf(0xf1), idOf(0xf3)];
  const reaction = (of: MessageId): Content => ({ kind: 'reaction', target: of, emoji: '👍' });
  await bob.receive('alice', stamped(y, reaction(z), 6));
  await bob.receive('alice', stamped(idOf(1), { kind: 'deletion', target: y }, 7));
  await bob.receive('alice', stamped(idOf(2), reaction(y), 7));
  await bob.receive('bob', stamped(w, reaction(z), 6), { to: 'alice' });
  await bob.receive('bob', stamped(y, reaction(w), 6), { to: 'alice' });
  const got = await bob.receive('alice', stamped(z, text('z'), 5));
  expect(got.map(({ account, id }) => [account, id])).toEqual([
    ['alice', z],
    ['bob', w],
    ['alice', y],
    ['bob', y],
    ['alice', idOf(2)],
  ]);
  expect(await bob.db.list(['early'])).toEqual([]);
  expect(bob.logs).toEqual(['message-id-taken', 'message-refused']);
});

test('what was said of a message that a stranger made, and that goes with the stranger, waits for the true one', async () => {
  const bob = await device('bob');
  await bob.receive('alice', chain.Y, { isClaimed: true, device: 2 });
  expect(await bob.receive('alice', chain.X)).toEqual([]);
  await bob.drop('alice', 2);
  expect((await bob.db.list(['early'])).map(({ key }) => key[4])).toEqual([chain.X.id]);
  expect(named(await bob.receive('alice', chain.Z))).toBe('Z');
  expect(named(await bob.receive('alice', chain.Y))).toBe('YX');
});

test('what waits is bounded, in number for each author, and in time; fewer of a claimed sender’s', async () => {
  const bob = await device('bob');
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
    clock.ms += day === 1 ? 180 * DAY : DAY;
    await bob.prune();
  }
  expect(await bob.db.list(['early'])).toHaveLength(talkLimits.earlyCount + 2 + talkLimits.earlyClaimedCount);
  clock.ms += DAY;
  await bob.prune();
  expect(await bob.db.list(['early'])).toEqual([]);
  expect(ids(await bob.receive('alice', stamped(idOf(1_000), text('late'), 7)))).toEqual([idOf(1_000)]);
  clock.ms = START;
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
