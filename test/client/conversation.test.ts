import { describe, expect, test, vi } from 'vitest';
import { keys, logRecord, pendingRecord, sentRecord } from '../../src/client/records.js';
import type { ClientOptions, Content, Message, SentState } from '../../src/client/types.js';
import { TransportError } from '../../src/errors.js';
import type { BundleBytes } from '../../src/step.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { linked } from '../helpers/devices.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { type Envelope, hostileNetwork } from '../helpers/hostile-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { origin } from '../helpers/origin.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';

/** Receipts within a moment; how long they really wait is receipts.test.ts's. */
vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, talkLimits: { ...limits.talkLimits, receiptsMinMs: 1, receiptsMaxMs: 20 } };
});

const HOUR = 3_600_000;
const closeAll = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));
const two = async (options: Partial<ClientOptions> = {}, clock: Clock = { ms: START }) => {
  const network = glassNetwork();
  const [alice, bob] = await Promise.all([person('alice', network, clock, options), person('bob', network, clock, options)]);
  return { clock, network, alice, bob };
};
/** Two people who have written to each other. */
const acquainted = async (options: Partial<ClientOptions> = {}, clock?: Clock) => {
  const people = await two(options, clock);
  await people.alice.client.send('bob', 'hello');
  await people.bob.read();
  await people.bob.client.send('alice', 'hello');
  await people.alice.read();
  return people;
};
const told = (who: Person, id: string, state: SentState): Promise<unknown> =>
  who.seen('sent', (event) => event.id === id && event.state === state);
const inboxRows = ({ store }: Person): number => [...store.rows().keys()].filter((key) => key.startsWith('["inbox"')).length;

describe('order', () => {
  test('T15: three devices of two people show one order, whatever their clocks say', async () => {
    const network = memoryNetwork();
    const clocks = [START, START + 315_360_000_000, START - 315_360_000_000 / 2].map((ms): Clock => ({ ms }));
    const phone = await person('alice', network, clocks[0]!);
    const laptop = await linked(phone, network, clocks[0]!, { seed: 'laptop' });
    const bob = await person('bob', network, clocks[0]!);
    const screens = new Map([phone, laptop, bob].map((who) => [who, new Map<string, string>()]));
    const write = async (who: Person, to: string, text: string): Promise<void> => {
      const { order } = await who.client.send(to, text);
      // It stands below everything that its author could see.
      for (const seen of screens.get(who)!.values()) expect(order > seen).toBe(true);
      screens.get(who)!.set(text, order);
      for (const other of [phone, laptop, bob]) {
        if (other === who) continue;
        const message = await other.read();
        expect(message.text).toBe(text);
        screens.get(other)!.set(text, message.order);
      }
    };
    let n = 0;
    for (const who of [phone, bob, laptop, bob, bob, phone, laptop, bob]) {
      // Their clocks part as they go.
      clocks[0]!.ms += (n % 2 === 0 ? 1 : -1) * 86_400_000;
      await write(who, who === bob ? 'alice' : 'bob', `message ${++n}`);
    }
    const sorted = (who: Person): string[] => [...screens.get(who)!].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([text]) => text);
    for (const who of [phone, laptop, bob]) expect(sorted(who)).toEqual(Array.from({ length: n }, (_, i) => `message ${i + 1}`));
    expect(screens.get(laptop)).toEqual(screens.get(phone));
    expect(screens.get(bob)).toEqual(screens.get(phone));
    await closeAll(phone, laptop, bob);
  });

  test('what crosses stands in one order on both sides; handles say the same after a restart', async () => {
    const { alice, bob, network, clock } = await acquainted();
    const all = await Promise.all([
      ...['a1', 'a2'].map((text) => alice.client.send('bob', text)),
      ...['b1', 'b2'].map((text) => bob.client.send('alice', text)),
    ]);
    const sent = Object.fromEntries(all.map(({ id, order }) => [id, order]));
    const received = [await alice.read(), await alice.read(), await bob.read(), await bob.read()];
    for (const { id, order } of received) expect(order).toBe(sent[id]);
    await alice.client.close();
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    expect((await again.client.sent(all[0]!.id))!.order).toBe(all[0]!.order);
    const next = await again.client.send('bob', 'later');
    for (const { order } of all) expect(next.order > order).toBe(true);
    await closeAll(again, bob);
  });
});

describe('edits, reactions and deletions', () => {
  const saying = (kind: 'edit' | 'reaction' | 'deletion', target: string): Content =>
    ({ kind, target, ...(kind === 'edit' ? { text: 'better' } : kind === 'reaction' ? { emoji: '👍' } : {}) }) as never;

  test('come to the other side, from any device of the author; what may not be said is refused', async () => {
    const network = memoryNetwork();
    const clock = { ms: START };
    const phone = await person('alice', network, clock);
    const laptop = await linked(phone, network, clock, { seed: 'laptop' });
    const bob = await person('bob', network, clock);
    const sent = await phone.client.send('bob', 'wrogn');
    const [atBob, atLaptop] = [await bob.read(), await laptop.read()];
    await laptop.client.send(atLaptop.conversation, saying('edit', atLaptop.id));
    expect(await bob.read()).toMatchObject({ content: { kind: 'edit', target: sent.id, text: 'better' }, text: 'better' });
    expect(await phone.read()).toMatchObject({ content: { kind: 'edit', target: sent.id }, conversation: { account: 'bob' } });
    await bob.client.send('alice', saying('reaction', atBob.id));
    for (const device of [phone, laptop]) expect((await device.read()).content).toEqual(saying('reaction', sent.id));
    await phone.client.send('bob', saying('deletion', sent.id));
    expect((await bob.read()).content).toEqual(saying('deletion', sent.id));
    for (const kind of ['edit', 'deletion'] as const)
      await expect(bob.client.send('alice', saying(kind, sent.id))).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
    await expect(bob.client.send('carol', saying('reaction', sent.id))).rejects.toThrow(usage('ERR_ARGUMENT', 'content.target'));
    await closeAll(phone, laptop, bob);
  });

  test('T14: a peer who forges an edit, or takes the id of a message of ours, changes nothing', async () => {
    const network = hostileNetwork();
    const clock = { ms: START };
    const alice = await person('alice', network, clock);
    const mallory = evilPeer('mallory', 'mallory', START);
    network.answer = (account, honest) => (account === 'mallory' ? [mallory.published()] : honest);
    const [bundle] = (await network.bundles('alice')) as [BundleBytes];
    await network.inject(alice.address, mallory.flight(bundle, mallory.text('hello')));
    const first = await alice.read();
    const ours = await alice.client.send('mallory', 'pay 20');
    const elsewhere = await alice.client.send('bob', 'pay 30');
    const say = (fields: Record<string, unknown>, id?: string): Promise<boolean> =>
      network.inject(alice.address, mallory.next(mallory.raw(encodeMsgpack({ at: START, ...fields }), 'app', id)));
    const target = (id: string): Uint8Array => new Uint8Array(Buffer.from(id, 'hex'));
    const dropped = (): string[] =>
      alice.observations.flatMap((record) =>
        record.kind === 'log' && ['message-refused', 'message-id-taken'].includes(record.event) ? [record.event] : [],
      );
    await say({ t: 'edit', target: target(ours.id), text: 'pay 2000' });
    await say({ t: 'deletion', target: target(ours.id) });
    await say({ t: 'reaction', target: target(elsewhere.id), emoji: '👍' });
    await say({ t: 'edit', target: target(elsewhere.id), text: 'pay 3000' });
    await say({ t: 'text', text: 'pay 2000' }, ours.id);
    await say({ t: 'text', text: 'pay 3000' }, elsewhere.id);
    expect(dropped()).toEqual([...Array(4).fill('message-refused'), 'message-id-taken', 'message-id-taken']);
    await say({ t: 'edit', target: target(first.id), text: 'my own' });
    await say({ t: 'reaction', target: target(ours.id), emoji: '👍' });
    expect((await alice.readAll()).map(({ content }) => content)).toEqual([
      { kind: 'edit', target: first.id, text: 'my own' },
      saying('reaction', ours.id),
    ]);
    await alice.client.close();
  });

  test('a relay that reorders loses none: what comes before its target waits for it', async () => {
    const network = hostileNetwork();
    const clock = { ms: START };
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => person(name, network, clock)));
    await alice!.client.send('bob', 'hello');
    await bob!.read();
    await bob!.client.send('alice', 'hello');
    await alice!.read();
    await network.settled();
    const kept: Envelope[] = [];
    network.route = (envelope) => {
      if (envelope.to.account === 'bob') kept.push(envelope);
      return envelope.to.account === 'bob' ? [] : [envelope];
    };
    const sent = await alice!.client.send('bob', 'wrogn');
    const edit = await alice!.client.send('bob', saying('edit', sent.id));
    const undone = await alice!.client.send('bob', saying('deletion', edit.id));
    await undone.until('accepted');
    network.route = (envelope) => [envelope];
    for (const { to, bytes } of kept.reverse()) await network.inject(to, bytes);
    expect((await bob!.readAll()).map(({ id }) => id)).toEqual([sent.id, edit.id, undone.id]);
    await closeAll(alice!, bob!);
  });
});

describe('receipts', () => {
  test('off by default, on both sides: nothing is sent, and nothing can be waited for', async () => {
    const { alice, bob, network } = await acquainted();
    const sent = await alice.client.send('bob', 'x');
    await sent.until('accepted');
    const count = network.sent.length;
    const message = await bob.read();
    await message.read();
    for (const state of ['delivered', 'read'] as const) await expect(sent.until(state)).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    await expect(sent.until('queued' as never)).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    expect([...bob.store.rows().keys()].filter((key) => key.startsWith('["receipt"'))).toEqual([]);
    expect(network.sent.length).toBe(count);
    await closeAll(alice, bob);
  });

  test('delivered, then read, by any device; of a first contact’s message once its sender is confirmed', async () => {
    const { alice, bob, network, clock } = await two({ receipts: 'delivered-and-read' });
    const sent = await alice.client.send('bob', 'the very first');
    await sent.until('delivered');
    const message = await bob.read();
    expect((await alice.client.sent(sent.id))!.state).toBe('delivered');
    await message.read();
    await sent.until('read');
    expect(alice.events.flatMap((event) => (event.type === 'sent' && event.id === sent.id ? [event.state] : []))).toEqual([
      'accepted',
      'delivered',
      'read',
    ]);
    await alice.client.close();
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again', receipts: 'delivered-and-read' });
    const handle = (await again.client.sent(sent.id))!;
    expect(handle.state).toBe('read');
    await handle.until('read');
    await closeAll(again, bob);
  });

  test('those that waited when the process ended go out with the next; a message is read after its acknowledgement, too', async () => {
    const { alice, bob, network, clock } = await acquainted({ receipts: 'delivered-and-read' });
    const sent = await alice.client.send('bob', 'x');
    await sent.until('accepted');
    const message = await bob.read();
    await message.read();
    await message.read();
    await bob.client.close();
    await expect(message.read()).rejects.toThrow(coded('ERR_CLOSED'));
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again', receipts: 'delivered-and-read' });
    await sent.until('read');
    await closeAll(again, alice);
  });

  test('one that came before the relay said that it took the message counts after a restart, too', async () => {
    const network = hostileNetwork();
    const options = { receipts: 'delivered' } as const;
    const clock = { ms: START };
    const [alice, bob] = [await person('alice', network, clock, options), await person('bob', network, clock, options)];
    await alice.client.send('bob', 'hello');
    await bob.read();
    await bob.client.send('alice', 'hello');
    await alice.read();
    await network.settled();
    network.route = (envelope) => {
      if (envelope.to.account !== 'bob') return [envelope];
      void network.inject(envelope.to, envelope.bytes);
      throw new TransportError('ERR_OFFLINE', 'the answer is lost');
    };
    const { id } = await alice.client.send('bob', 'x');
    expect((await bob.read()).text).toBe('x');
    while (!alice.store.rows().has(JSON.stringify(keys.told(id)))) await new Promise((resolve) => setImmediate(resolve));
    await alice.client.close();
    expect(alice.events.some((event) => event.type === 'sent' && event.id === id)).toBe(false);
    network.route = (envelope) => [envelope];
    const again = await person('alice', network, clock, { ...options, store: alice.store, seed: 'again' });
    await told(again, id, 'delivered');
    await again.client.send('bob', 'y').then((sent) => sent.until('delivered'));
    const states = again.events.flatMap((event) => (event.type === 'sent' && event.id === id ? [event.state] : []));
    expect(states).toEqual(['accepted', 'delivered']);
    await closeAll(again, bob);
  });

  test('none for edits, reactions, deletions and timers: there is nothing to wait for', async () => {
    const { alice, bob } = await acquainted({ receipts: 'delivered-and-read' });
    const sent = await alice.client.send('bob', 'x');
    const quiet = await alice.client.send('bob', { kind: 'reaction', target: sent.id, emoji: '👍' });
    await quiet.until('accepted');
    await expect(quiet.until('delivered')).rejects.toThrow(usage('ERR_ARGUMENT', 'state'));
    await sent.until('delivered');
    const [, reaction] = await bob.readAll();
    await reaction!.read();
    expect([...bob.store.rows().keys()].filter((key) => key.startsWith('["receipt"') && key.includes(quiet.id))).toEqual([]);
    expect((await alice.client.sent(quiet.id))!.state).toBe('accepted');
    await closeAll(alice, bob);
  });

  test('a tab that works through another one reads for it, and hears', async () => {
    const [network, at, clock] = [glassNetwork(), origin(), { ms: START }];
    const open = async (seed: string): Promise<Person> => {
      const tab = at.tab();
      const options = { store: tab.store as never, seed, receipts: 'delivered-and-read' } as const;
      return person('alice', tab.network(network), clock, options);
    };
    const [first, second] = [await open('first'), await open('second')];
    const bob = await person('bob', network, clock, { receipts: 'delivered-and-read' });
    const sent = await bob.client.send('alice', 'x');
    const message: Message = await second.read();
    expect(message.order).toBe(sent.order);
    await message.read();
    await sent.until('read');
    const back = await second.client.send('bob', 'y');
    expect(back.order > message.order).toBe(true);
    await (await bob.read()).read();
    await back.until('read');
    await told(first, back.id, 'read');
    await expect(second.client.send('bob', { kind: 'deletion', target: message.id })).rejects.toThrow(
      usage('ERR_ARGUMENT', 'content.target'),
    );
    await closeAll(second, first, bob);
  });
});

describe('disappearing messages', () => {
  /** Bob with a message that disappears after an hour, and one that does not, neither acknowledged. */
  const hour = async () => {
    const people = await acquainted();
    const { alice, bob } = people;
    const before = await alice.client.send('bob', 'stays');
    await alice.client.send('bob', { kind: 'timer', disappearAfterMs: HOUR });
    const sent = await alice.client.send('bob', 'goes');
    await sent.until('accepted');
    await bob.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === 3);
    return { ...people, before, sent };
  };
  const texts = async (who: Person): Promise<string[]> => (await who.readAll()).map(({ content, text }) => text || content.kind);

  test('say when they are to go, on both sides', async () => {
    const { alice, bob } = await hour();
    expect((await bob.readAll()).map(({ text, disappearAfterMs }) => [text, disappearAfterMs])).toEqual([
      ['stays', undefined],
      ['', undefined],
      ['goes', HOUR],
    ]);
    await bob.client.send('alice', 'so does this');
    expect(await alice.read()).toMatchObject({ disappearAfterMs: HOUR });
    await bob.client.send('alice', { kind: 'timer', disappearAfterMs: 0 });
    await alice.read();
    await alice.client.send('bob', 'this stays');
    expect((await bob.read()).disappearAfterMs).toBeUndefined();
    await closeAll(alice, bob);
  });

  test('are not shown once their time is over, and their rows go before', async () => {
    const { alice, bob, clock } = await hour();
    clock.ms += HOUR;
    expect(inboxRows(bob)).toBe(3);
    clock.ms += 1;
    expect(await texts(bob)).toEqual(['stays', 'timer']);
    expect(inboxRows(bob)).toBe(0);
    await closeAll(alice, bob);
  });

  test('go when the client starts, also unseen', async () => {
    const { alice, bob, network, clock } = await hour();
    await bob.client.close();
    clock.ms += HOUR + 1;
    const again = await person('bob', network, clock, { store: bob.store, seed: 'again' });
    await again.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === 2);
    expect(inboxRows(again)).toBe(2);
    await closeAll(alice, again);
  });

  test('T41: a clock that was ten years behind, and is right again, ends them early; one that goes back keeps them; others stay', async () => {
    const { alice, bob, clock } = await hour();
    clock.ms -= 10 * 365 * 24 * HOUR;
    expect(inboxRows(bob)).toBe(3);
    const seen: string[] = [];
    for await (const { text, content } of bob.client.messages()) if (seen.push(text || content.kind) === 3) break;
    expect(seen).toEqual(['stays', 'timer', 'goes']);
    clock.ms += 20 * 365 * 24 * HOUR;
    expect(await texts(bob)).toEqual(['stays', 'timer']);
    await closeAll(alice, bob);
  });

  test('what was sent is not kept for those who ask again', async () => {
    const { alice, bob, network, clock, before, sent } = await hour();
    const log = (who: Person): string[] => [...who.store.rows().keys()].filter((key) => key.startsWith('["log"'));
    expect(log(alice)).toContain(`["log","${sent.id}"]`);
    await alice.client.close();
    clock.ms += HOUR + 1;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    while (log(again).includes(`["log","${sent.id}"]`)) await new Promise((resolve) => setImmediate(resolve));
    expect(log(again)).toContain(`["log","${before.id}"]`);
    await again.client.send('bob', { kind: 'deletion', target: before.id });
    expect(log(again)).not.toContain(`["log","${before.id}"]`);
    await closeAll(again, bob);
  });

  test.each(['stands', 'was deleted', 'has disappeared'])('what waits to be sent again, and %s', async (fate) => {
    const { alice, bob, network, clock, before, sent } = await hour();
    const { id } = fate === 'has disappeared' ? sent : before;
    const { payload, devices } = logRecord.decode(alice.store.rows().get(JSON.stringify(keys.log(id)))!);
    if (fate === 'was deleted') await (await alice.client.send('bob', { kind: 'deletion', target: id })).until('accepted');
    await closeAll(alice, bob);
    // Bob has asked for it again, and there was no session for it yet.
    const [name, seq, only] = ['ab'.repeat(16), 1_000, devices.map((device) => (device as { to: Uint8Array }).to)];
    const record = { to: 'bob', state: 'queued', atMs: clock.ms, seq, waitingFor: [], accepted: 0, isControl: true };
    await alice.store.commit([
      { key: keys.sent(name), value: sentRecord.encode(record) },
      { key: keys.pending('bob', seq), value: pendingRecord.encode({ id: name, payload, atMs: clock.ms, only, as: id }) },
    ]);
    clock.ms += HOUR + 1;
    const envelopes = network.sent.length;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    await (await again.client.send('bob', 'next')).until('accepted');
    expect(network.sent.length - envelopes).toBe(fate === 'stands' ? 2 : 1);
    expect([...alice.store.rows().keys()].filter((key) => key.startsWith('["pending"'))).toEqual([]);
    await again.client.close();
  });

  test('a timer that came before its sender was confirmed holds afterwards', async () => {
    const { alice, bob } = await two();
    await alice.client.send('bob', { kind: 'timer', disappearAfterMs: HOUR });
    expect((await bob.read()).content).toEqual({ kind: 'timer', disappearAfterMs: HOUR });
    await bob.client.send('alice', 'x');
    expect((await alice.read()).disappearAfterMs).toBe(HOUR);
    await closeAll(alice, bob);
  });
});
