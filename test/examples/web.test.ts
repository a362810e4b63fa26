/** What the chat page does without a browser: what it watches changes nothing, and what it writes goes out once. */

import { afterEach, describe, expect, test } from 'vitest';
import { breaker, DAMAGED_COUNT } from '../../examples/breaking.js';
import { type History, type Line, openHistory } from '../../examples/web/src/history.js';
import { relayLog } from '../../examples/web/src/relay-log.js';
import { openSession, type Session, type Talk } from '../../examples/web/src/session.js';
import { type Client, type ClientOptions, createClient, joinAccount, limits, type Network, type Store } from '../../src/index.js';
import { memoryStore } from '../../src/store/memory.js';
import { directoryConformance } from '../../src/testing/directory-conformance.js';
import { transportConformance } from '../../src/testing/transport-conformance.js';
import { memoryNetwork } from '../../src/transport/memory.js';

const looked = (network: Network): Network => breaker().watch(relayLog().watch(network));

describe('the network that is watched: transport', () => {
  const network = looked(memoryNetwork());
  for (const { name, run } of transportConformance({ connect: network.transport })) test(name, run);
});

describe('the network that is watched: directory', () => {
  const network = looked(memoryNetwork());
  for (const { name, run } of directoryConformance({ open: network.directory })) test(name, run);
});

/** A store that outlives its clients: what a browser's database is to a page. */
const durable = (store: Store): Store => ({ ...store, close: async () => {} });

const sessions: Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.close();
});

let profiles = 0;
/** A browser profile: what it keeps, and a page that can be opened on it again and again. */
function profile(account: string, network: Network) {
  const name = `${account} ${profiles++}`;
  const store = durable(memoryStore());
  const kept = durable(memoryStore());
  return {
    history: () => openHistory(kept, name, () => {}),
    async open(
      wrap: (client: Client) => Client = (client) => client,
      create: (options: ClientOptions) => Promise<Client> = createClient,
    ): Promise<Session> {
      const client = await create({ account, store, ...looked(network) });
      const session = await openSession(wrap(client), (onElsewhere): History => openHistory(kept, name, onElsewhere));
      sessions.push(session);
      return session;
    },
  };
}

/** Resolves once `condition` holds; looked at after each change of the session. */
function until(session: Session, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (condition()) resolve();
    };
    session.onChange(look);
    look();
  });
}
/** Another device of an account that is open. */
async function linked(account: string, network: Network, old: Session): Promise<Session> {
  const linking = await old.client.devices.link();
  return profile(account, network).open(undefined, async (options) => {
    const [joining, request] = await Promise.all([joinAccount({ ...options, code: linking.typed }), linking.request()]);
    expect(joining.confirmation).toBe(request.confirmation);
    await request.confirm();
    return joining.client();
  });
}
const texts = (session: Session): string[] => session.talks().flatMap(({ lines }) => lines.map(({ text }) => text));
const states = ({ lines }: Talk): (string | undefined)[] => lines.map(({ state }) => state);

test('two pages talk; the other one counts what it has not read', async () => {
  const network = memoryNetwork();
  const alice = await profile('alice', network).open();
  const bob = await profile('bob', network).open();
  const talk = await alice.begin('bob');
  await alice.write(talk, 'Hello');
  await until(bob, () => texts(bob).includes('Hello'));
  const [heard] = bob.talks();
  expect(bob.unread(heard!)).toBe(1);
  await bob.markRead(heard!);
  expect(bob.unread(heard!)).toBe(0);
  await until(alice, () => states(talk)[0] === 'accepted');
});

test('a page that dies before the SDK has a message sends it at the next start, once', async () => {
  const network = memoryNetwork();
  const bob = await profile('bob', network).open();
  const mine = profile('alice', network);
  const dying = await mine.open((client) => ({ ...client, send: () => new Promise<never>(() => {}) }));
  const talk = await dying.begin('bob');
  void dying.write(talk, 'Written just before');
  await until(dying, () => texts(dying).length === 1);
  expect(states(talk)).toEqual(['unsent']);
  await dying.close();
  const again = await mine.open();
  await until(bob, () => texts(bob).includes('Written just before'));
  await until(again, () => states(again.talks()[0]!)[0] === 'accepted');
  await again.close();
  const third = await mine.open();
  await third.write(third.talks()[0]!, 'The end');
  await until(bob, () => texts(bob).includes('The end'));
  expect(texts(bob)).toEqual(['Written just before', 'The end']);
});

test('a page that dies after the SDK has a message, and before it noted that, does not send it twice', async () => {
  const network = memoryNetwork();
  const bob = await profile('bob', network).open();
  const mine = profile('alice', network);
  const first = await mine.open();
  const talk = await first.begin('bob');
  await first.write(talk, 'Only once');
  await until(first, () => states(talk)[0] === 'accepted');
  const [line] = talk.lines as [Line];
  await first.close();
  // What the history held at the moment when the page died.
  await mine.history().putLine({ ...line, state: 'unsent', id: undefined });
  const again = await mine.open();
  await until(again, () => states(again.talks()[0]!)[0] === 'accepted');
  await again.write(again.talks()[0]!, 'The next one');
  await until(bob, () => texts(bob).includes('The next one'));
  expect(texts(bob)).toEqual(['Only once', 'The next one']);
});

test('a message that was shown and not acknowledged is not shown again', async () => {
  const network = memoryNetwork();
  const alice = await profile('alice', network).open();
  const theirs = profile('bob', network);
  // The handler never returns: the page dies once the line is in the history.
  const dying = await theirs.open((client) => ({
    ...client,
    subscribe: (handler, options) =>
      client.subscribe(async (message) => {
        await handler(message);
        await new Promise(() => {});
      }, options),
  }));
  await alice.write(await alice.begin('bob'), 'Hello');
  await until(dying, () => texts(dying).includes('Hello'));
  await dying.close();
  const again = await theirs.open();
  await alice.write(alice.talks()[0]!, 'Hello again');
  await until(again, () => texts(again).includes('Hello again'));
  expect(texts(again)).toEqual(['Hello', 'Hello again']);
});

test('edits, reactions, deletions: what one page says of a message, the other one shows', async () => {
  const network = memoryNetwork();
  const alice = await profile('alice', network).open();
  const theirs = profile('bob', network);
  const bob = await theirs.open();
  const talk = await alice.begin('bob');
  await alice.write(talk, 'Helo');
  const [line] = talk.lines as [Line];
  await until(bob, () => texts(bob).includes('Helo'));
  const heard = (): Line => bob.talks()[0]!.lines[0]!;
  await alice.amend(line, { kind: 'edit', target: line.id!, text: 'Hello' });
  await until(bob, () => texts(bob).includes('Hello'));
  await bob.amend(heard(), { kind: 'reaction', target: heard().id!, emoji: '👍' });
  await until(alice, () => talk.lines[0]!.reactions?.['bob']?.emoji === '👍');
  await bob.amend(heard(), { kind: 'reaction', target: heard().id!, emoji: '' });
  await until(alice, () => talk.lines[0]!.reactions?.['bob']?.emoji === '');
  await alice.amend(line, { kind: 'deletion', target: line.id! });
  await until(bob, () => heard().deleted === true);
  await bob.close();
  // Nothing of it is left on the disk.
  expect(JSON.stringify(await theirs.history().load())).not.toContain('Hel');
});

test('messages of a conversation with a timer disappear, here and there', async () => {
  const network = memoryNetwork();
  const alice = await profile('alice', network).open();
  const theirs = profile('bob', network);
  const bob = await theirs.open();
  const talk = await alice.begin('bob');
  await alice.setTimer(talk, limits.disappearLeastMs);
  await alice.write(talk, 'Not for long');
  await until(bob, () => texts(bob).includes('Not for long'));
  await alice.setTimer(talk, 0);
  await alice.write(talk, 'For good');
  await until(bob, () => texts(bob).includes('For good'));
  for (const session of [alice, bob]) await until(session, () => !texts(session).includes('Not for long'));
  expect([texts(alice), texts(bob)].map((all) => all.at(-1))).toEqual(['For good', 'For good']);
  await bob.close();
  expect(JSON.stringify(await theirs.history().load())).not.toContain('Not for long');
});

test('two devices of one account: what one writes stands on the other as one’s own', async () => {
  const network = memoryNetwork();
  const laptop = await profile('alice', network).open();
  const bob = await profile('bob', network).open();
  await laptop.write(await laptop.begin('bob'), 'From the laptop');
  await until(bob, () => texts(bob).includes('From the laptop'));
  await bob.write(bob.talks()[0]!, 'To the laptop');
  await until(laptop, () => texts(laptop).includes('To the laptop'));
  const phone = await linked('alice', network, laptop);
  await until(bob, () => texts(bob).includes('alice has linked a device.'));
  await phone.write(await phone.begin('bob'), 'From the phone');
  await until(laptop, () => texts(laptop).includes('From the phone'));
  const copied = laptop.talks()[0]!.lines.find(({ text }) => text === 'From the phone');
  expect(copied).toMatchObject({ own: true, elsewhere: true, state: 'accepted' });
  await until(bob, () => texts(bob).includes('From the phone'));
  await bob.write(bob.talks()[0]!, 'To both');
  for (const device of [laptop, phone]) await until(device, () => texts(device).includes('To both'));
  expect(laptop.unread(laptop.talks()[0]!)).toBe(2); // of bob
  await laptop.client.devices.revoke(phone.client.device);
  // What a removed device writes is not shown by anybody.
  await until(bob, () => texts(bob).includes('alice has removed a device.'));
  await phone.write(phone.talks()[0]!, 'Still here');
  await until(bob, () => bob.talks()[0]!.lines.some(({ note }) => note === 'trouble'));
  expect([...texts(bob), ...texts(laptop)]).not.toContain('Still here');
});

test.each(['out', 'in'] as const)('a session that is broken on purpose mends, and nothing is lost: %s', async (direction) => {
  const network = memoryNetwork();
  const breaking = breaker();
  const alice = await profile('alice', network).open(undefined, ({ transport: _, directory: __, ...options }) =>
    createClient({ ...options, ...breaking.watch(network) }),
  );
  const bob = await profile('bob', network).open();
  // Who has not started the session can start another one at once.
  const [writer, reader] = direction === 'out' ? [alice, bob] : [bob, alice];
  const talk = await writer.begin(reader.account);
  await writer.write(talk, 'Hello');
  await until(reader, () => texts(reader).includes('Hello'));
  await reader.write(reader.talks()[0]!, 'Hello to you');
  await until(writer, () => texts(writer).includes('Hello to you'));
  breaking.begin(direction, 'bob');
  expect(breaking.left()).toBe(DAMAGED_COUNT);
  const damaged = ['one', 'two', 'three'];
  for (const text of damaged) await writer.write(talk, text);
  await until(reader, () => damaged.every((text) => texts(reader).includes(text)));
  expect(breaking.left()).toBe(0);
  const [{ lines }] = reader.talks() as [Talk];
  expect(lines.filter(({ own, note }) => !own && note === undefined).map(({ text }) => text)).toEqual(['Hello', ...damaged]);
  const trouble = lines.find(({ note }) => note === 'trouble');
  expect(await reader.client.diagnose(trouble?.reference)).toMatchObject({ heals: 'by-itself', facts: { healed: 'yes' } });
  await until(writer, () => talk.lines.some(({ note }) => note === 'healed'));
});
