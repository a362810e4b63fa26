import { expect, test, vi } from 'vitest';
import { recoverStore } from '../../src/client/recovery.js';
import { glassNetwork, offline } from '../helpers/glass-network.js';
import { type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => {
  const { fewPrekeys } = await import('../helpers/few-prekeys.js');
  const limits = fewPrekeys(await original());
  return { ...limits, sessionLimits: { ...limits.sessionLimits, newPerHour: 6 } };
});

const HOUR = 3_600_000;

test('greetings leave a third of the sessions of an hour to what is written; the others are greeted later', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const contacts = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => person(name, network, clock)));
  const alice = await person('alice', network, clock);
  for (const each of contacts) {
    await each.client.send('alice', 'hello');
    await alice.read();
    await alice.client.send(each.account, 'hello');
    await each.read();
  }
  await alice.client.close();
  const { store } = alice;
  await recoverStore(store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });

  const restored = await person('alice', network, clock, { store, seed: 'restored' });
  const isHello = ({ reason }: { reason: string }): boolean => reason === 'recovered';
  const isGreeted = (each: Person): boolean => each.events.some((event) => event.type === 'sessionEstablished' && isHello(event));
  await new Promise<void>((resolve) => {
    let count = 0;
    for (const each of contacts) {
      void each.seen('sessionEstablished', isHello).then(() => {
        count += 1;
        if (count === 4) resolve();
      });
    }
  });
  // Two of the six sessions are left for what somebody waits for: a stranger, and a contact that was not greeted.
  const stranger = await person('stranger', network, clock);
  await restored.client.send('stranger', 'hello');
  expect((await stranger.read()).text).toBe('hello');
  const rest = contacts.filter((each) => !isGreeted(each));
  expect(rest.length).toBe(2);
  await restored.client.send(rest[0]!.account, 'hello again');
  expect((await rest[0]!.read()).text).toBe('hello again');
  await restored.client.close();

  clock.ms += HOUR;
  const later = await person('alice', network, clock, { store, seed: 'an hour later' });
  await Promise.all(contacts.map((each) => each.seen('sessionEstablished', isHello)));
  await Promise.all([later, stranger, ...contacts].map(({ client }) => client.close()));
});

test('a greeting that the relay can’t take now goes out later, and is forgotten once it was answered', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const bob = await person('bob', network, clock);
  const alice = await person('alice', network, clock);
  await alice.client.send('bob', 'hello');
  await bob.read();
  await bob.client.send('alice', 'hello');
  await alice.read();
  await alice.client.close();
  await recoverStore(alice.store, { directory: network.directory, rng: testRng('recovery'), now: () => clock.ms });
  network.sendFails = offline();
  const down = await person('alice', network, clock, { store: alice.store, seed: 'down' });
  await down.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  expect([...alice.store.rows().keys()]).toContain('["greet","bob"]');
  network.sendFails = undefined;
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  await bob.client.send('alice', 'there you are');
  expect((await down.read()).text).toBe('there you are');
  expect([...alice.store.rows().keys()]).not.toContain('["greet","bob"]');
  await Promise.all([down, bob].map(({ client }) => client.close()));
});
