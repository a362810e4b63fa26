/** What the chat page does without a browser: what it watches changes nothing, and what it writes goes out once. */

import { afterEach, describe, expect, test } from 'vitest';
import { type History, type Line, openHistory } from '../../examples/web/src/history.js';
import { relayLog } from '../../examples/web/src/relay-log.js';
import { openSession, type Session, type Talk } from '../../examples/web/src/session.js';
import { type Client, createClient, type Network, type Store } from '../../src/index.js';
import { memoryStore } from '../../src/store/memory.js';
import { directoryConformance } from '../../src/testing/directory-conformance.js';
import { transportConformance } from '../../src/testing/transport-conformance.js';
import { memoryNetwork } from '../../src/transport/memory.js';

describe('the network that is watched: transport', () => {
  const network = relayLog().watch(memoryNetwork());
  for (const { name, run } of transportConformance({ connect: network.transport })) test(name, run);
});

describe('the network that is watched: directory', () => {
  const network = relayLog().watch(memoryNetwork());
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
    async open(wrap: (client: Client) => Client = (client) => client): Promise<Session> {
      const log = relayLog();
      const client = await createClient({ account, store, ...log.watch(network) });
      const session = await openSession(wrap(client), log, (onElsewhere): History => openHistory(kept, name, onElsewhere));
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
