/** Several tabs with one store: one leads, the others work through it and take over. */

import { createClient } from '@cyphr/e2ee';
import { rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { describe, expect, test, vi } from 'vitest';
import { GENERATION } from '../../src/client/database.js';
import { keys } from '../../src/client/records.js';
import { packError, unpackError } from '../../src/client/tabs/messages.js';
import { remote } from '../../src/client/tabs/remote.js';
import type { ClientEvent, ClientStatus, Message } from '../../src/client/types.js';
import * as errors from '../../src/errors.js';
import { tabLimits } from '../../src/limits.js';
import { type GlassNetwork, glassNetwork } from '../helpers/glass-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { type Origin, origin, type Tab } from '../helpers/origin.js';
import { type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/quick-tabs.js')).quickTabs(await original()));

const clock = { ms: START };
let seeds = 0;

type Open = Person & { readonly tab: Tab };

async function open(at: Origin, network: GlassNetwork, account = 'alice'): Promise<Open> {
  const tab = at.tab();
  const opened = await person(account, tab.network(network), clock, { store: tab.store as never, seed: `${account} ${++seeds}` });
  return { ...opened, tab };
}
const closeAll = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));
const nextOf = async (loop: AsyncIterator<Message>): Promise<Message> => (await loop.next()).value;

describe('two tabs', () => {
  test('both send, read and hear; the one that leads closes, and the other goes on with all that it holds', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const first = await open(at, network);
    const second = await open(at, network);
    const bob = await person('bob', network, clock);
    expect([first.tab.leads(), second.tab.leads()]).toEqual([true, false]);
    expect(second.client.device).toBe(first.client.device);
    const sent = await second.client.send('bob', 'from the second');
    await (await first.client.send('bob', 'from the first')).until('accepted');
    await sent.until('accepted');
    expect([(await bob.read()).text, (await bob.read()).text].sort()).toEqual(['from the first', 'from the second']);
    const accepted = ({ id, state }: { id: string; state: string }): boolean => id === sent.id && state === 'accepted';
    await Promise.all([first.seen('sent', accepted), second.seen('sent', accepted)]);
    await second.seen('status', ({ status }) => status.state === 'online');

    await bob.client.send('alice', 'one');
    await bob.client.send('alice', 'two');
    const loop = second.client.messages()[Symbol.asyncIterator]();
    const one = await nextOf(loop);
    const contact = second.client.contact('bob');
    const number = await contact.safetyNumber();
    await first.client.close();
    await one.ack();
    expect((await nextOf(loop)).text).toBe('two');
    expect(second.tab.leads()).toBe(true);
    expect(await number.scan((await bob.client.contact('alice').safetyNumber()).qr)).toBe('match');
    expect((await contact.identity()).trust).toBe('verified');
    expect((await second.client.sent(sent.id))?.state).toBe('accepted');
    await (await second.client.send('bob', 'now the first')).until('accepted');
    await loop.return?.();
    expect(second.events.filter((event) => event.type === 'sent' && event.id === sent.id && event.state === 'accepted').length).toBe(1);
    await closeAll(second, bob);
    expect([at.listening(), at.waiting()]).toEqual([0, 0]);
  });

  test('one loop has the messages at a time: the other tab’s waits, and then is given what was not acknowledged', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    for (const text of ['one', 'two', 'three']) await bob.client.send('alice', text);
    const stop = new AbortController();
    const here = second.client.messages(stop)[Symbol.asyncIterator]();
    const one = await nextOf(here);
    const two = await nextOf(here);
    expect(() => second.client.messages()[Symbol.asyncIterator]()).toThrow(usage('ERR_ARGUMENT', 'messages'));
    const there = first.client.messages()[Symbol.asyncIterator]();
    const waiting = there.next();
    await two.ack();
    stop.abort();
    const again: Message = (await waiting).value;
    expect([one.text, again.text, (await nextOf(there)).text]).toEqual(['one', 'one', 'three']);
    await again.ack();
    await one.ack();
    await there.return?.();
    expect((await second.readAll()).map(({ text }) => text)).toEqual(['three']);
    await closeAll(first, second, bob);
  });

  test('an engine that gives way gives nothing twice to a loop that still holds it', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    for (const text of ['one', 'two']) await bob.client.send('alice', text);
    const loop = second.client.messages()[Symbol.asyncIterator]();
    const held = [await nextOf(loop), await nextOf(loop)];
    await first.client.close();
    await bob.client.send('alice', 'three');
    expect((await nextOf(loop)).text).toBe('three');
    for (const message of held) await message.ack();
    await loop.return?.();
    expect((await second.readAll()).map(({ text }) => text)).toEqual(['three']);
    await closeAll(second, bob);
  });

  test('the loop of a tab that dies gives way to the one that waits', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await bob.client.send('alice', 'one');
    const loop = second.client.messages()[Symbol.asyncIterator]();
    expect((await nextOf(loop)).text).toBe('one');
    const waiting = first.client.messages()[Symbol.asyncIterator]().next();
    second.tab.kill();
    expect((await waiting).value.text).toBe('one');
    await closeAll(first, bob);
  });

  test('a tab that was silent for too long comes back, and its calls with it', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await bob.client.send('alice', 'one');
    const loop = second.client.messages()[Symbol.asyncIterator]();
    const one = await nextOf(loop);
    const waiting = loop.next();
    second.tab.freeze();
    expect((await first.read()).text).toBe('one');
    second.tab.thaw();
    await bob.client.send('alice', 'two');
    expect((await waiting).value.text).toBe('two');
    await one.ack();
    await closeAll(first, second, bob);
  });

  test('what was given to a tab that stands still, and read by another since, is not shown when it thaws', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    const waiting = second.client.messages()[Symbol.asyncIterator]().next();
    await vi.waitFor(() => expect(at.said.some((message) => (message as { name?: string }).name === 'next')).toBe(true));
    second.tab.freeze();
    await bob.client.send('alice', 'one');
    expect((await first.read()).text).toBe('one');
    second.tab.thaw();
    await bob.client.send('alice', 'two');
    expect((await waiting).value.text).toBe('two');
    await closeAll(first, second, bob);
  });

  test('the answer to what a tab asked before it stood still does not vouch for what it was given', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    const [beganMs, idleMs] = [performance.now(), 4 * tabLimits.pingMs];
    const idle = (turns: number): Promise<void> =>
      vi.waitFor(() => expect(performance.now() - beganMs).toBeGreaterThan(turns * idleMs), { timeout: 10_000 });
    await idle(1);
    second.tab.freezeAtCall('sent');
    const waiting = second.client.messages()[Symbol.asyncIterator]().next();
    await idle(2);
    await bob.client.send('alice', 'one');
    await vi.waitFor(() => expect(second.tab.isFrozen()).toBe(true), { timeout: 10_000 });
    expect((await first.read()).text).toBe('one');
    second.tab.thaw();
    await bob.client.send('alice', 'two');
    expect((await waiting).value.text).toBe('two');
    await closeAll(first, second, bob);
  });

  test('errors come as what they are, aborts with their own reason', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const refused = await second.client
      .contact('nobody')
      .identity()
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(errors.UsageError);
    expect(refused).toMatchObject({ code: 'ERR_NO_SESSION', field: 'to', action: 'fix' });
    const sent = await second.client.send('nobody', 'x', { key: 'k' });
    await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_NO_SESSION'));
    const event = (await second.seen('sent', ({ state }) => state === 'held')) as Extract<ClientEvent, { type: 'sent' }>;
    expect(event.error).toBeInstanceOf(errors.UsageError);
    await expect(second.client.send('carol', 'x', { key: 'k' })).rejects.toThrow(usage('ERR_ARGUMENT', 'key'));
    expect((await second.client.send('nobody', 'x', { key: 'k' })).id).toBe(sent.id);
    const reason = new Error('enough');
    await expect(sent.until('accepted', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    network.directoryDown = true;
    const waiting = (await second.client.send('dave', 'x')).until('accepted', stop);
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(await sent.cancel()).toBe('cancelled');
    await closeAll(first, second);
  });

  test('a send that is aborted in another tab has happened, or rejects with the reason and has not', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await (await first.client.send('bob', 'hello')).until('accepted');
    const reason = new Error('enough');
    const promised = ['hello'];
    for (let turns = 0; turns < 12; turns++) {
      const stop = new AbortController();
      const outcome = second.client.send('bob', `${turns}`, stop).then(
        () => void promised.push(`${turns}`),
        (error: unknown) => expect(error).toBe(reason),
      );
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      stop.abort(reason);
      await outcome;
    }
    await (await second.client.send('bob', 'end')).until('accepted');
    const texts: string[] = [];
    while (texts.at(-1) !== 'end') texts.push((await bob.read()).text);
    expect(texts).toEqual([...promised, 'end']);
    await closeAll(first, second, bob);
  });

  test('events come in the same order everywhere, once', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const tabs = [await open(at, network), await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    const sent = await Promise.all(Array.from({ length: 15 }, (_, i) => tabs[i % 3]!.client.send(i % 2 === 0 ? 'bob' : 'nobody', `${i}`)));
    const settled = (state: string): boolean => state === 'accepted' || state === 'held';
    for (const { seen } of tabs) for (const { id } of sent) await seen('sent', (event) => event.id === id && settled(event.state));
    const told = tabs.map(({ events }) => events.flatMap((event) => (event.type === 'sent' ? [`${event.id} ${event.state}`] : [])));
    expect(new Set(told[0]).size).toBe(told[0]!.length);
    expect(told[1]).toEqual(told[0]);
    expect(told[2]).toEqual(told[0]);
    await closeAll(...tabs, bob);
  });

  test.each(['before', 'after'] as const)('the leader dies %s it commits another’s message: it arrives once', async (side) => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await (await second.client.send('bob', 'hello')).until('accepted');
    first.tab.killAtCommit(1, side);
    const sent = await second.client.send('bob', 'once');
    expect(second.tab.leads()).toBe(true);
    await sent.until('accepted');
    await (await second.client.send('bob', 'end')).until('accepted');
    const texts: string[] = [];
    while (texts.at(-1) !== 'end') texts.push((await bob.read()).text);
    expect(texts).toEqual(['hello', 'once', 'end']);
    // The recipient would not show a second one. There is none.
    await vi.waitFor(() => expect([...at.inner.rows().keys()].filter((key) => key.startsWith('["outbox"'))).toEqual([]));
    await closeAll(second, bob);
  });

  test('a leader that closes answers nothing more: what runs for another tab is done by the next', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await (await first.client.send('bob', 'hello')).until('accepted');
    const sending = Array.from({ length: 10 }, (_, i) => second.client.send('bob', `${i}`));
    await vi.waitFor(() => expect(at.inner.rows().size).toBeGreaterThan(0));
    const closing = first.client.close();
    const sent = await Promise.all(sending);
    for (const each of sent) await each.until('accepted');
    await closing;
    expect((await bob.readAll()).map(({ text }) => text).sort()).toEqual([...'0123456789', 'hello']);
    await closeAll(second, bob);
  });

  test('a tab that closes says of each message whether it goes out', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    const sending = Array.from({ length: 20 }, (_, i) => second.client.send('bob', `${i}`));
    await vi.waitFor(() => expect([...at.inner.rows().keys()].some((key) => key.startsWith('["sent"'))).toBe(true));
    const [results] = await Promise.all([Promise.allSettled(sending), second.client.close()]);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ERR_CLOSED' });
    const promised = results.flatMap((result, i) => (result.status === 'fulfilled' ? [`${i}`] : []));
    expect(promised.length).toBeGreaterThan(0);
    const last = await first.client.send('bob', 'end');
    await last.until('accepted');
    const texts: string[] = [];
    while (texts.at(-1) !== 'end') texts.push((await bob.read()).text);
    expect(texts).toEqual([...promised, 'end']);
    await closeAll(first, bob);
  });

  test('a tab that closes while the leader is frozen does not wait for ever', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    first.tab.freeze();
    const sending = second.client.send('bob', 'x');
    const waiting = second.client.messages()[Symbol.asyncIterator]().next();
    const closing = second.client.close();
    await expect(sending).rejects.toThrow(coded('ERR_STORE_IO'));
    expect((await waiting).done).toBe(true);
    await closing;
    first.tab.thaw();
    await closeAll(first);
  });

  test('a frozen leader is superseded; when it thaws it works through the new one, and is not halted', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const [first, second] = [await open(at, network), await open(at, network)];
    const bob = await person('bob', network, clock);
    await (await first.client.send('bob', 'one')).until('accepted');
    first.tab.freeze();
    const lingering = first.client.send('bob', 'two');
    await (await second.client.send('bob', 'three')).until('accepted');
    expect([first.tab.leads(), second.tab.leads()]).toEqual([false, true]);
    first.tab.thaw();
    await (await lingering).until('accepted');
    await (await first.client.send('bob', 'four')).until('accepted');
    const texts: string[] = [];
    while (texts.length < 4) texts.push((await bob.read()).text);
    expect(texts.sort()).toEqual(['four', 'one', 'three', 'two']);
    expect(second.tab.leads()).toBe(true);
    expect([first.client.status.state, second.client.status.state]).not.toContain('halted');
    expect([...first.events, ...second.events].filter((event) => event.type === 'status' && event.status.state === 'halted')).toEqual([]);
    await closeAll(first, second, bob);
  });
});

test('T25: a writer that knows nothing of the others: the leader opens its engine anew, and halts in the end', async () => {
  const [network, at] = [glassNetwork(), origin()];
  const [first, second] = [await open(at, network), await open(at, network)];
  const intrude = async (): Promise<void> => {
    const [row] = await at.inner.read([GENERATION]);
    await at.inner.commit([{ key: GENERATION, value: row!.value }]);
  };
  for (let i = 0; i < 5; i++) {
    await intrude();
    await second.client.send('nobody', `${i}`, { key: `${i}` });
  }
  expect([...at.inner.rows().keys()].filter((key) => key.startsWith('["sent"')).length).toBe(5);
  await intrude();
  await expect(second.client.send('nobody', 'x')).rejects.toThrow(coded('ERR_STORE_CONFLICT'));
  await second.seen('status', ({ status }) => status.state === 'halted');
  expect(first.client.status).toMatchObject({ state: 'halted', error: { code: 'ERR_STORE_CONFLICT' } });
  await closeAll(first, second);
});

test.each(['at once', 'after'])(
  'T24: a store that was restored halts all tabs, those opened %s too, and any of them may recover it',
  async (when) => {
    const network = glassNetwork();
    const bob = await person('bob', network, clock);
    const before = origin();
    let alice = await open(before, network);
    await (await alice.client.send('bob', 'one')).until('accepted');
    await alice.client.close();
    const copy = origin();
    for (const [key, value] of before.inner.rows()) await copy.inner.commit([{ key: JSON.parse(key), value }]);
    alice = await open(before, network);
    await (await alice.client.send('bob', 'two')).until('accepted');
    const { device } = alice.client;
    await alice.client.close();
    const isHalted = ({ status }: { status: ClientStatus }): boolean => status.state === 'halted';
    const first = await open(copy, network);
    if (when === 'after') await first.seen('status', isHalted);
    const second = await open(copy, network);
    await Promise.all([first.seen('status', isHalted), second.seen('status', isHalted)]);
    await expect(second.client.send('bob', 'x')).rejects.toThrow(coded('ERR_STORE_ROLLBACK'));
    await second.client.recover();
    expect(second.client.device).not.toBe(device);
    expect(first.client.device).toBe(second.client.device);
    await (await second.client.send('bob', 'three')).until('accepted');
    expect([await bob.read(), await bob.read(), await bob.read()].map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    expect([first, second].map(({ events }) => events.filter((event) => event.type === 'status' && isHalted(event)).length)).toEqual([
      1, 1,
    ]);
    await closeAll(first, second, bob);
  },
);

test('a tab that takes over a store that it can not open says so', async () => {
  const [network, at] = [glassNetwork(), origin()];
  const [first, second] = [await open(at, network), await open(at, network)];
  await at.inner.commit([{ key: keys.device, value: new Uint8Array([0xc1]) }]);
  first.tab.kill();
  await second.seen('status', ({ status }) => status.state === 'halted');
  await expect(second.client.send('bob', 'x')).rejects.toThrow(coded('ERR_STORE_CORRUPT'));
  await closeAll(second);
});

describe('opening', () => {
  test('what locks the store is asked for in every tab; a tab that fails leaves no claim, no listener and its ports', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const first = await open(at, network);
    const tab = at.tab();
    const locked = { ...tab.store, read: () => Promise.reject(new errors.StoreError('ERR_STORE_KEY', 'wrong passphrase')) };
    await expect(createClient({ account: 'alice', store: locked, ...tab.network(network) })).rejects.toThrow(coded('ERR_STORE_KEY'));
    await expect(createClient({ account: 'bob', store: tab.store, ...tab.network(network) })).rejects.toThrow(
      usage('ERR_ARGUMENT', 'account'),
    );
    expect([at.listening(), at.waiting()]).toEqual([1, 0]);
    const again = await createClient({ account: 'alice', store: tab.store, ...tab.network(network) });
    await again.close();
    await closeAll(first);
    expect(at.listening()).toBe(0);
  });

  test('a tab waits while the leader registers, and registers itself if that fails', async () => {
    const [network, at] = [glassNetwork(), origin()];
    network.directoryDown = true;
    const results = await Promise.allSettled([open(at, network), open(at, network)]);
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_OFFLINE' } });
    expect([at.listening(), at.waiting()]).toEqual([0, 0]);
    network.directoryDown = false;
    const both = await Promise.all([open(at, network), open(at, network)]);
    expect(both[0].client.device).toBe(both[1].client.device);
    await closeAll(...both);
  });

  test('aborted: with the reason, and nothing stays', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const first = await open(at, network);
    first.tab.freeze();
    const stop = new AbortController();
    const tab = at.tab();
    const opening = createClient({ account: 'alice', store: tab.store, ...tab.network(network), signal: stop.signal });
    await vi.waitFor(() => expect(at.waiting()).toBe(1));
    stop.abort(new Error('enough'));
    await expect(opening).rejects.toThrow('enough');
    await vi.waitFor(() => expect([at.listening(), at.waiting()]).toEqual([1, 0]));
    first.tab.thaw();
    await closeAll(first);
  });

  test('a leader of another version of the library: locked, and it is not disturbed', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const first = await open(at, network);
    const tab = at.tab();
    const { shared } = tab.store;
    const other = {
      ...tab.store,
      shared: {
        ...shared!,
        join(onMessage: (message: unknown) => void) {
          const channel = shared!.join((message) => onMessage({ ...(message as object), cyphr: 99 }));
          return { ...channel, post: (message: unknown) => channel.post({ ...(message as object), cyphr: 99 }) };
        },
      },
    };
    await expect(createClient({ account: 'alice', store: other, ...tab.network(network) })).rejects.toThrow(coded('ERR_STORE_LOCKED'));
    expect([at.listening(), at.waiting(), first.tab.leads()]).toEqual([1, 0, true]);
    await closeAll(first);
  });

  test('a sealed store: each tab unlocks it, the next leader reads what the last one wrote, and a wrong key opens no tab', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const openSealed = async (byte: number): Promise<Open> => {
      const tab = at.tab();
      const store = sealedStore(tab.store, rawKeySlot(new Uint8Array(32).fill(byte)));
      const opened = await person('alice', tab.network(network), clock, { store: store as never, seed: `sealed ${++seeds}` });
      return { ...opened, tab };
    };
    const bob = await person('bob', network, clock);
    let leading = await openSealed(7);
    for (let i = 0; i < 4; i++) {
      const following = await openSealed(7);
      const claims = [at.listening(), at.waiting()];
      await expect(openSealed(8)).rejects.toThrow(coded('ERR_STORE_KEY'));
      expect([at.listening(), at.waiting()]).toEqual(claims);
      await bob.client.send('alice', `to ${i}`);
      expect((await following.read()).text).toBe(`to ${i}`);
      await (await leading.client.send('bob', `leading ${i}`)).until('accepted');
      if (i % 2 === 0) leading.tab.kill();
      else await leading.client.close();
      await (await following.client.send('bob', `following ${i}`)).until('accepted');
      expect([(await bob.read()).text, (await bob.read()).text]).toEqual([`leading ${i}`, `following ${i}`]);
      leading = following;
    }
    await closeAll(leading, bob);
  });

  test('a dead leader: the next tab has its device', async () => {
    const [network, at] = [glassNetwork(), origin()];
    const first = await open(at, network);
    const second = await open(at, network);
    first.tab.kill();
    await vi.waitFor(() => expect(second.tab.leads()).toBe(true));
    const third = await open(at, network);
    expect(third.client.device).toBe(first.client.device);
    await closeAll(second, third);
  });
});

test('erase in one tab ends the clients in all', async () => {
  for (const eraser of [0, 1]) {
    const [network, at] = [glassNetwork(), origin()];
    const tabs = [await open(at, network), await open(at, network), await open(at, network)];
    const report = { recordCount: 7, keyCount: 3 };
    for (const { tab } of tabs) Object.assign(tab.store, { erase: async () => report });
    expect(await tabs[eraser]!.client.erase()).toEqual(report);
    for (const { seen } of tabs) await seen('status', ({ status }) => status.state === 'closed');
    expect([at.listening(), at.waiting()]).toEqual([0, 0]);
  }
});

test('malformed messages change nothing', async () => {
  const [network, at] = [glassNetwork(), origin()];
  const [first, second] = [await open(at, network), await open(at, network)];
  await second.client.sent('x');
  const term = (at.said.filter((message) => (message as { kind: string }).kind === 'call').at(-1) as { term: string }).term;
  const from = 'somebody';
  const base = { cyphr: 2, term, from, id: 1 };
  for (const message of [
    undefined,
    null,
    5,
    'x',
    [],
    {},
    { cyphr: 2 },
    { cyphr: 2, kind: '__proto__' },
    { cyphr: 2, kind: 'constructor' },
    { cyphr: 2, kind: 'leading' },
    { cyphr: 2, kind: 'leading', term, account: 5, device: 'x', status: [] },
    { cyphr: 2, kind: 'event', term, event: 5 },
    { cyphr: 2, kind: 'answer', term, to: from, id: 'x' },
    { cyphr: 2, kind: 'answer', term, to: from, id: 9, value: [1] },
    { cyphr: 7, kind: 'erased' },
    { ...base, kind: 'call' },
    { ...base, kind: 'call', name: 'toString', input: {} },
    { ...base, kind: 'call', name: '__proto__', input: {} },
    { ...base, kind: 'call', name: 'send', input: {} },
    { ...base, kind: 'call', name: 'send', input: { account: 'bob', payload: 'text', id: 'x' } },
    { ...base, kind: 'call', name: 'next', input: { consumer: 5, end: 'never' } },
    { ...base, kind: 'call', name: 'ack', input: { seq: 'x', id: 'y' } },
    { ...base, kind: 'abort', id: 77 },
    { ...base, kind: 'leave', consumer: 'nobody' },
    { ...base, kind: 'bye', from: '__proto__' },
  ]) {
    at.post(message);
  }
  const sent = await second.client.send('nobody', 'still here');
  expect((await first.client.sent(sent.id))?.id).toBe(sent.id);
  const answers = at.said.filter((said) => {
    const message = said as { kind?: string; to?: string; id?: unknown } | undefined;
    return message?.kind === 'answer' && message.to === from && message.id === 1;
  });
  expect(answers.length).toBe(6);
  for (const answer of answers) expect(answer).toMatchObject({ error: { code: 'ERR_ARGUMENT', field: 'name' } });
  expect([...at.inner.rows().keys()].filter((key) => key.startsWith('["sent"')).length).toBe(1);
  await closeAll(first, second);
});

test('every class of error survives the channel', () => {
  const made = [
    new errors.UsageError('ERR_LENGTH', 'too long', { field: 'content', got: 5, max: 4 }),
    new errors.DecodeError('ERR_VERSION', 'x'),
    new errors.AuthError('ERR_DECRYPT', 'x'),
    new errors.ReplayError('ERR_KEY_GONE', 'x'),
    new errors.TrustError('ERR_IDENTITY_CHANGED', 'x'),
    new errors.StoreError('ERR_STORE_FULL', 'x', { cause: new Error('secret') }),
    new errors.TransportError('ERR_REJECTED', 'x', { retryAfterMs: 5 }),
    new errors.InternalError('ERR_BUG', 'x'),
  ];
  for (const error of made) {
    const packed = structuredClone(packError(error));
    expect(JSON.stringify(packed)).not.toContain('secret');
    const again = unpackError(packed);
    expect(again.constructor).toBe(error.constructor);
    expect({ ...again, message: again.message }).toEqual({ ...error, message: error.message });
  }
  expect(unpackError(packError(new Error('something private')))).toMatchObject({
    code: 'ERR_BUG',
    message: expect.not.stringContaining('private'),
  });
});

test('a tab that closes with a send that nobody answers does not wait for as long as others are answered', async () => {
  const status = { state: 'connecting', queuedCount: 0, unackedCount: 0 } as const;
  const engine = remote(
    { term: 'term', device: 1, from: 'this tab', status },
    () => {},
    () => {},
  );
  const sending = engine.calls.send({ account: 'bob', payload: new Uint8Array(1), id: '00'.repeat(16), key: undefined });
  const others = setInterval(
    () => engine.hear({ kind: 'answer', term: 'term', to: 'another tab', id: 1, value: [], error: undefined }),
    10,
  );
  await Promise.all([engine.stop(true), expect(sending).rejects.toThrow(coded('ERR_STORE_IO'))]);
  clearInterval(others);
});
