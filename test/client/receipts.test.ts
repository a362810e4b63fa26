import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { encodeContent } from '../../src/client/content.js';
import type { ControlOf } from '../../src/client/control.js';
import { openDatabase } from '../../src/client/database.js';
import { life as beginLife } from '../../src/client/life.js';
import { mutex } from '../../src/client/platform.js';
import { receipts } from '../../src/client/receipts.js';
import { type InboxRecord, keys, sentRecord } from '../../src/client/records.js';
import { sentMessages } from '../../src/client/sent.js';
import { gotValue } from '../../src/client/talk.js';
import type { ClientEvent, ClientOptions, Content, SentState } from '../../src/client/types.js';
import { talkLimits } from '../../src/limits.js';
import { memoryStore } from '../../src/store/memory.js';
import { coded, usage } from '../helpers/matchers.js';
import { START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

type Mode = NonNullable<ClientOptions['receipts']>;
type Told = ControlOf<'receipts'>;

const idOf = (n: number): string => n.toString(16).padStart(32, '0');
const bytesOf = (n: number): Uint8Array => new Uint8Array(Buffer.from(idOf(n), 'hex'));
const numbers = (ids: readonly unknown[]): number[] => ids.map((id) => Number.parseInt(Buffer.from(id as Uint8Array).toString('hex'), 16));
const incoming = (account: string, n: number, content: Content = { kind: 'text', text: 'x' }): InboxRecord => ({
  id: idOf(n),
  account,
  device: 1,
  accountKeyHash: new Uint8Array(64),
  payload: encodeContent(content, START),
  receivedAtMs: START,
  replayable: false,
});

/** One device's receipts alone: those that it gives, and those that it takes. */
async function device(account: string, mode: Mode = 'delivered-and-read', seed = account) {
  const store = memoryStore();
  const rng = testRng(seed);
  const db = await openDatabase(store, { rng, now: () => 0, onCommit: () => {}, onLost: () => {} });
  const posted: { to: string; control: Told; options: unknown }[] = [];
  const may = { write: true };
  const events: Extract<ClientEvent, { type: 'sent' }>[] = [];
  const open = async (receiptMode: Mode) => {
    const life = beginLife();
    const ctx = {
      db,
      life,
      rng,
      lock: mutex(),
      now: () => START,
      settings: { receipts: receiptMode },
      device: () => ({ account }),
      observer: { log: () => {} },
      events: { emit: (event: ClientEvent) => void events.push(event as never) },
    } as never;
    const contacts = { load: async () => undefined, isSendable: () => may.write };
    const messages = sentMessages(ctx);
    const given = await receipts(
      ctx,
      contacts as never,
      ((to: string, control: Told, options: unknown) => ({
        writes: [],
        committed: () => void posted.push({ to, control, options }),
      })) as never,
    );
    return { life, messages, given };
  };
  let self = await open(mode);
  return {
    db,
    posted,
    may,
    events,
    until: (n: number, until: string) => self.messages.until({ id: idOf(n), state: 'queued', until }),
    async restart(next: Mode = mode) {
      self.life.close();
      self = await open(next);
      // As the outbox does with what waits.
      for (const { key, value } of await db.list(['sent']))
        if (['queued', 'held'].includes(sentRecord.decode(value).state)) await self.messages.resumed(key[1]!);
    },
    close: () => self.life.close(),
    async came(...messages: InboxRecord[]) {
      const rows = messages.map(({ account, id }) => ({ key: keys.got(account, id), value: gotValue(START) }));
      await db.commit([...rows, ...self.given.due(messages)]);
      self.given.scheduled(messages);
    },
    read: (from: string, n: number) => self.given.read({ account: from, id: idOf(n) }),
    async sent(n: number, to: string, more: object = {}) {
      const record = { to, state: 'accepted', atMs: START, seq: n, waitingFor: [], accepted: 1, ...more };
      await db.commit([{ key: keys.sent(idOf(n)), value: sentRecord.encode(record) }]);
    },
    async held(n: number) {
      self.messages.announce(idOf(n), {}, 'held');
    },
    async accepted(n: number) {
      const record = { ...(await self.messages.load(idOf(n)))!, state: 'accepted' };
      await db.commit([self.messages.write(idOf(n), record)]);
      self.messages.announce(idOf(n), record, 'accepted');
    },
    async told(from: string, { delivered = [], read = [] }: { delivered?: readonly unknown[]; read?: readonly unknown[] }) {
      const sender = {
        account: from,
        device: 1,
        accountKeyHash: new Uint8Array(64),
        deviceKeyHash: new Uint8Array(64),
        session: new Uint8Array(16),
      };
      const { writes, committed } = await self.messages.receipts(sender, { t: 'receipts', delivered, read });
      await db.commit([...writes]);
      committed?.();
      // What follows the commit waits for the lock of each message.
      for (let i = 0; i < 20; i++) await Promise.resolve();
    },
    async state(n: number): Promise<SentState | undefined> {
      const record = await self.messages.load(idOf(n));
      return record && (await self.messages.facts(idOf(n), record)).state;
    },
    waiting: async () => (await db.list(['receipt'])).length,
  };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

describe('T44: when receipts leave', () => {
  test('off by default: nothing is kept, nothing is told', async () => {
    const bob = await device('bob', 'off');
    await bob.came(incoming('alice', 1));
    await bob.read('alice', 1);
    expect(await bob.waiting()).toBe(0);
    await pass(10 * talkLimits.receiptsMaxMs);
    expect(bob.posted).toEqual([]);
  });

  test('whoever may not be written to is told nothing, and nothing is queued; later all of it goes together', async () => {
    const bob = await device('bob');
    bob.may.write = false;
    for (let n = 1; n <= 3; n++) {
      await bob.came(incoming('alice', n));
      await pass(2 * talkLimits.receiptsMaxMs);
    }
    expect([bob.posted.length, await bob.waiting()]).toEqual([0, 3]);
    bob.may.write = true;
    await bob.came(incoming('alice', 4));
    await pass(2 * talkLimits.receiptsMaxMs);
    expect(bob.posted.map(({ control }) => numbers(control.delivered))).toEqual([[1, 2, 3, 4]]);
    bob.close();
  });

  test('never at once, always within 30 s, at random, and together', async () => {
    const pauses = new Set<number>();
    for (let seed = 0; seed < 12; seed++) {
      const bob = await device('bob', 'delivered', `bob ${seed}`);
      await bob.came(incoming('alice', 1));
      await pass(talkLimits.receiptsMinMs - 1);
      expect(bob.posted).toEqual([]);
      await bob.came(incoming('alice', 2), incoming('alice', 3));
      let waitedMs = talkLimits.receiptsMinMs - 1;
      for (; bob.posted.length === 0; waitedMs += 500) await pass(500);
      expect(waitedMs).toBeLessThanOrEqual(talkLimits.receiptsMaxMs + 500);
      pauses.add(waitedMs);
      expect(bob.posted).toHaveLength(1);
      expect(bob.posted[0]).toMatchObject({ to: 'alice', options: { sessionsOnly: true } });
      expect(numbers(bob.posted[0]!.control.delivered)).toEqual([1, 2, 3]);
      await pass(10 * talkLimits.receiptsMaxMs);
      expect(bob.posted).toHaveLength(1);
      expect(await bob.waiting()).toBe(0);
      bob.close();
    }
    expect(pauses.size).toBeGreaterThan(5);
  });

  test('however many messages come, at most one batch a second and account, and none beyond its bound', async () => {
    const bob = await device('bob', 'delivered');
    const seconds = 120;
    for (let second = 0; second < seconds; second++) {
      for (let i = 0; i < 10; i++) await bob.came(incoming('alice', 1 + second * 10 + i));
      const before = bob.posted.length;
      await pass(1_000);
      expect(bob.posted.length - before).toBeLessThanOrEqual(1);
    }
    const flood = Array.from({ length: 3 * talkLimits.receiptsCount }, (_, i) => incoming('alice', 10_000 + i));
    await bob.came(...flood);
    await pass(talkLimits.receiptsMaxMs + 4 * talkLimits.receiptsMinMs);
    const told = bob.posted.map(({ control }) => control.delivered.length);
    expect(Math.max(...told)).toBeLessThanOrEqual(talkLimits.receiptsCount);
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(seconds * 10 + flood.length);
  });

  test('none for what may come unnoticed, and none to one’s own devices', async () => {
    const target = idOf(7) as never;
    const bob = await device('bob');
    await bob.came(
      incoming('alice', 1, { kind: 'reaction', target, emoji: '👍' }),
      incoming('alice', 2, { kind: 'deletion', target }),
      incoming('alice', 3, { kind: 'edit', target, text: 'x' }),
      incoming('alice', 4, { kind: 'timer', disappearAfterMs: 5_000 }),
      { ...incoming('bob', 5), to: 'alice' },
    );
    await bob.read('bob', 5);
    expect(await bob.waiting()).toBe(0);
    // Nor for what never came.
    await bob.read('alice', 99);
    expect(await bob.waiting()).toBe(0);
  });
});

test('what waits survives a restart; what the application has switched off since is not told', async () => {
  const bob = await device('bob');
  await bob.came(incoming('alice', 1), incoming('alice', 2));
  await bob.read('alice', 2);
  await bob.restart();
  await pass(talkLimits.receiptsMaxMs);
  expect(bob.posted.map(({ control }) => [numbers(control.delivered), numbers(control.read)])).toEqual([[[1], [2]]]);
  await bob.came(incoming('alice', 3));
  await bob.read('alice', 3);
  await bob.restart('delivered');
  await pass(talkLimits.receiptsMaxMs);
  expect(bob.posted.slice(1).map(({ control }) => [numbers(control.delivered), numbers(control.read)])).toEqual([[[3], []]]);
  await bob.came(incoming('alice', 4));
  await bob.restart('off');
  expect(await bob.waiting()).toBe(0);
  await pass(talkLimits.receiptsMaxMs);
  expect(bob.posted).toHaveLength(2);
});

describe('receipts that come', () => {
  test('move a message on, never back, and only if they are from whom it went to', async () => {
    const alice = await device('alice');
    for (const n of [1, 2]) await alice.sent(n, 'bob');
    await alice.told('mallory', { delivered: [bytesOf(1)], read: [bytesOf(1)] });
    await alice.told('bob', { delivered: [bytesOf(99)] });
    await alice.sent(3, 'bob', { isControl: true });
    await alice.told('bob', { delivered: [bytesOf(3)] });
    expect([await alice.state(1), await alice.state(99), alice.events]).toEqual(['accepted', undefined, []]);
    expect(await alice.db.list(['told'])).toEqual([]);
    await alice.told('bob', { delivered: [bytesOf(1), bytesOf(1)] });
    expect(await alice.state(1)).toBe('delivered');
    await alice.told('bob', { delivered: [bytesOf(1)], read: [bytesOf(1)] });
    await alice.told('bob', { delivered: [bytesOf(1)] });
    expect(await alice.state(1)).toBe('read');
    await alice.told('bob', { read: [bytesOf(2)] });
    expect(await alice.state(2)).toBe('read');
    await alice.restart();
    expect(await alice.state(1)).toBe('read');
    expect(alice.events.map(({ id, state }) => [id, state])).toEqual([
      [idOf(1), 'delivered'],
      [idOf(1), 'read'],
      [idOf(2), 'read'],
    ]);
  });

  test('before the relay has said that it took the message, they wait for that', async () => {
    const alice = await device('alice');
    await alice.sent(1, 'bob', { state: 'queued', waitingFor: [1, 2] });
    const waits = alice.until(1, 'delivered');
    await alice.told('bob', { delivered: [bytesOf(1)] });
    expect([await alice.state(1), alice.events]).toEqual(['queued', []]);
    await alice.accepted(1);
    await waits;
    expect(await alice.state(1)).toBe('delivered');
    expect(alice.events.map(({ state }) => state)).toEqual(['accepted', 'delivered']);
    // Held for one device meanwhile, it is told once all have it.
    await alice.sent(3, 'bob', { state: 'queued', waitingFor: [1, 2] });
    await alice.told('bob', { delivered: [bytesOf(3)] });
    await alice.held(3);
    await alice.accepted(3);
    expect(alice.events.slice(2).map(({ state }) => state)).toEqual(['held', 'accepted', 'delivered']);
    // Also over a restart.
    await alice.sent(4, 'bob', { state: 'queued', waitingFor: [1] });
    await alice.told('bob', { read: [bytesOf(4)] });
    await alice.restart();
    const waitsAgain = alice.until(4, 'read');
    await alice.accepted(4);
    await waitsAgain;
    expect(alice.events.slice(5).map(({ state }) => state)).toEqual(['accepted', 'read']);
    await alice.sent(2, 'bob', { state: 'failed' });
    await alice.told('bob', { read: [bytesOf(2)] });
    expect(await alice.state(2)).toBe('failed');
  });

  test('settle who waits for them; what can’t come is refused', async () => {
    const alice = await device('alice');
    for (const n of [1, 2, 3]) await alice.sent(n, 'bob', n === 3 ? { isQuiet: true } : {});
    const waits = Promise.all([alice.until(1, 'delivered'), alice.until(1, 'read'), alice.until(2, 'delivered')]);
    await alice.told('bob', { read: [bytesOf(1), bytesOf(2)] });
    await waits;
    await alice.until(2, 'accepted');
    await expect(alice.until(3, 'delivered')).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    await alice.restart('delivered');
    await alice.until(1, 'delivered');
    await expect(alice.until(1, 'read')).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    await alice.restart('off');
    await expect(alice.until(1, 'delivered')).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    await alice.until(1, 'accepted');
  });

  test('are heard as far as this side gives them itself', async () => {
    const alice = await device('alice', 'delivered');
    await alice.sent(1, 'bob');
    await alice.told('bob', { read: [bytesOf(1)] });
    expect(await alice.state(1)).toBe('delivered');
    await alice.restart('off');
    await alice.sent(2, 'bob');
    await alice.told('bob', { read: [bytesOf(2)] });
    expect(await alice.state(2)).toBe('accepted');
  });

  test('T40: malformed ones are void', async () => {
    const alice = await device('alice');
    await alice.sent(1, 'bob');
    const many = Array.from({ length: talkLimits.receiptsCount + 1 }, (_, i) => bytesOf(i));
    for (const wrong of [{ delivered: [idOf(1)] }, { read: [new Uint8Array(15)] }, { delivered: [5] }, { delivered: many }])
      await expect(alice.told('bob', wrong)).rejects.toThrow(coded('ERR_DECODE'));
    expect(await alice.state(1)).toBe('accepted');
  });
});

test('T15: receipts under loss, repeats, any order of arrival and restarts: states are true, and never go back', async () => {
  const rank: Record<string, number> = { queued: 0, accepted: 1, delivered: 2, read: 3 };
  const action = fc.record({
    kind: fc.constantFrom(
      'send',
      'come',
      'come',
      'read',
      'pass',
      'hear',
      'hear',
      'repeat',
      'lose',
      'accept',
      'restart alice',
      'restart bob',
    ),
    which: fc.nat(1_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 50 }), async (actions) => {
      const [alice, bob] = [await device('alice'), await device('bob')];
      const sent: number[] = [];
      const came = new Set<number>();
      const read = new Set<number>();
      const heard: Told[] = [];
      const states = new Map<number, number>();
      let taken = 0;
      const travelling: Told[] = [];
      for (const { kind, which } of actions) {
        const n = sent[which % Math.max(1, sent.length)];
        if (kind === 'send') {
          sent.push(sent.length + 1);
          await alice.sent(sent.length, 'bob', { state: 'queued', waitingFor: [1] });
        } else if (kind === 'pass') await pass(which * 40);
        else if (kind === 'restart alice') await alice.restart();
        else if (kind === 'restart bob') await bob.restart();
        else if (kind === 'lose') travelling.splice(which % Math.max(1, travelling.length), 1);
        else if (kind === 'hear' || kind === 'repeat') {
          const from = kind === 'hear' ? travelling : heard;
          const told = from[which % Math.max(1, from.length)];
          if (told === undefined) continue;
          await alice.told('bob', told);
          if (kind === 'hear') heard.push(...travelling.splice(travelling.indexOf(told), 1));
        } else if (n === undefined) continue;
        else if (kind === 'accept' && (await alice.state(n)) === 'queued') await alice.accepted(n);
        else if (kind === 'come' && !came.has(n)) {
          came.add(n);
          await bob.came(incoming('alice', n));
        } else if (kind === 'read' && came.has(n)) {
          read.add(n);
          await bob.read('alice', n);
        }
        for (const { control } of bob.posted.slice(taken)) travelling.push(control);
        taken = bob.posted.length;
        for (const m of sent) {
          const state = rank[(await alice.state(m))!]!;
          expect(state).toBeGreaterThanOrEqual(states.get(m) ?? 0);
          if (state >= 2) expect(came).toContain(m);
          if (state === 3) expect(read).toContain(m);
          states.set(m, state);
        }
      }
      for (const m of sent) {
        const told = alice.events.filter(({ id }) => id === idOf(m)).map(({ state }) => rank[state]!);
        expect(told).toEqual([...new Set(told)].sort());
        expect(told.at(-1) ?? 0).toBe(states.get(m));
      }
      alice.close();
      bob.close();
    }),
    { numRuns: 60, seed: Number(process.env['CYPHR_SEED'] ?? 20_260_101) },
  );
});
