/**
 * Makes the stores of a small world in the middle of its conversations, as the client wrote them: `test-vectors/client-store-v*.json`.
 * From seeds alone; what is in flight, queued, unacknowledged or unpublished at the end is there on purpose.
 */

import { toHex } from '../../src/bytes.js';
import { recoverStore } from '../../src/client/recovery.js';
import type { MessageId } from '../../src/client/types.js';
import { seededRng } from '../../src/testing/rng.js';
import type { Network } from '../../src/transport/port.js';
import { linked } from './devices.js';
import { type Envelope, type HostileNetwork, hostileNetwork } from './hostile-network.js';
import { type Clock, type GlassStore, glassStore, type Person, person, START } from './people.js';

/** A store: rows by key, the key as JSON of its components. */
export type StoredRows = Readonly<Record<string, string>>;

export interface StoreVectors {
  readonly description: string;
  /** When the world stood still, ms since 1970. */
  readonly nowMs: number;
  readonly stores: Readonly<Record<string, StoredRows>>;
  /** What the directory holds, without one-time prekeys. */
  readonly directory: readonly { account: string; device: number; identity: string; signedSet: string }[];
  /** Accepted by the relay and not delivered. */
  readonly envelopes: Readonly<Record<'first' | 'late', { account: string; device: number; bytes: string }>>;
  /** Message ids, by what was written. */
  readonly sent: Readonly<Record<string, string>>;
}

const DAY = 86_400_000;

function rowsOf(store: GlassStore): StoredRows {
  return Object.fromEntries([...store.rows()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, toHex(value)]));
}

async function exchange(one: Person, other: Person): Promise<void> {
  await one.client.send(other.account, 'hello');
  await other.read();
  await other.client.send(one.account, 'hello');
  await one.read();
}

/** Two people who write to each other: enough for skipped keys, a few turns of the ratchet and a braid under way. */
async function converse(alice: Person, bob: Person, network: HostileNetwork): Promise<Envelope> {
  for (let i = 0; i < 6; i++) {
    await alice.client.send('bob', `a${i}`);
    await bob.read();
    await bob.client.send('alice', `b${i}`);
    await alice.read();
  }
  let late: Envelope | undefined;
  network.route = (envelope) => {
    late = envelope;
    return [];
  };
  await (await alice.client.send('bob', 'late')).until('accepted');
  network.route = (envelope) => [envelope];
  await alice.client.send('bob', 'a6');
  await bob.read();
  return late!;
}

export async function makeStoreVectors(version: number): Promise<StoreVectors> {
  const seed = `client store ${version}`;
  const clock: Clock = { ms: START };
  const network = hostileNetwork();
  const strangers = hostileNetwork();
  let up = true;
  let publishes = true;
  let sends = true;
  const reachable: Network = {
    transport(login) {
      const transport = network.transport(login);
      const down = (): Promise<never> => Promise.reject(new TypeError('fetch failed'));
      return { ...transport, send: (to, bytes) => (up && sends ? transport.send(to, bytes) : down()) };
    },
    directory(login) {
      const directory = network.directory(login);
      const asked = <T>(call: () => Promise<T>): Promise<T> => (up ? call() : Promise.reject(new TypeError('fetch failed')));
      return {
        ...directory,
        publish: (keys) => asked(() => (publishes ? directory.publish(keys) : Promise.reject(new TypeError('fetch failed')))),
        fetch: (account, options) => asked(() => directory.fetch(account, options)),
        remaining: () =>
          asked(async () => {
            await login.prove({ audience: 'directory', nonce: new Uint8Array(32) });
            return directory.remaining!();
          }),
      };
    },
  };
  const open = (account: string, on: Network = reachable, name = account, store = glassStore()): Promise<Person> =>
    person(account, on, clock, { seed: `${seed} ${name}`, store });
  const published = async (each: Person): Promise<Person> => {
    await each.observed((record) => record.kind === 'gauge' && record.name === 'oneTimePrekeys');
    return each;
  };
  const bob = await published(await open('bob'));
  const carol = await published(await open('carol'));
  const erin = await published(await open('erin'));
  let alice = await published(await open('alice'));

  const late = await converse(alice, bob, network);
  await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
  const sent: Record<string, string> = {};
  const note = async (text: string, message: Promise<{ id: string }>): Promise<void> => {
    sent[text] = (await message).id;
  };
  // An Init that nobody has answered, and an identity that has changed.
  await carol.client.close();
  await note('to carol', alice.client.send('carol', 'to carol'));
  await (await alice.client.sent(sent['to carol']!))!.until('accepted');
  await alice.client.send('erin', 'hello');
  await erin.read();
  const other = await published(await open('erin', { transport: network.transport, directory: strangers.directory }, 'other erin'));
  const others = await strangers.bundles('erin');
  strangers.answer = async (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
  network.answer = (account, honest) => (account === 'erin' ? others : honest);
  await (await other.client.send('alice', 'it is me')).until('accepted');
  await alice.seen('identityChanged');

  // One that she has not acknowledged, one that is on its way.
  const before = alice.observations.length;
  await bob.client.send('alice', 'unread');
  await alice.observed((record) => record.kind === 'gauge' && record.name === 'unacked' && record.value === 1, before);
  let first: Envelope | undefined;
  network.route = (envelope) => {
    first = envelope;
    return [];
  };
  await (await bob.client.send('alice', 'on its way')).until('accepted');

  network.route = (envelope) => [envelope];

  // Frank was restored, has a new device, and has not told bob.
  const lost = await published(await open('frank'));
  await exchange(lost, bob);
  await lost.client.close();
  await recoverStore(lost.store, { directory: network.directory, rng: seededRng(`${seed} recovery`), now: () => clock.ms });
  sends = false;
  const frank = await published(await open('frank', reachable, 'frank again', lost.store));
  await frank.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  await frank.client.close();
  sends = true;

  // Grace has two devices. One is off while the other edits what it wrote, and bob's reaction to it waits for what it is about.
  const grace = await published(await open('grace', reachable, 'grace', glassStore()));
  const laptop = await linked(grace, network, clock, { seed: `${seed} laptop` });
  await exchange(grace, bob);
  await laptop.readAll();
  await laptop.client.close();
  await note('to be edited', grace.client.send('bob', 'to be edited'));
  await bob.read();
  await note('edit', grace.client.send('bob', { kind: 'edit', target: sent['to be edited'] as MessageId, text: 'edited' }));
  await bob.read();
  await grace.client.send('bob', { kind: 'timer', disappearAfterMs: 366 * DAY });
  await bob.read();
  sends = false;
  await note('from grace', grace.client.send('bob', 'from grace'));
  await grace.observed((record) => record.kind === 'log' && record.event === 'send-retry');
  await grace.client.close();
  sends = true;

  // In a new process, her list is renewed and can't be published; then nobody can be reached, and three messages wait.
  await alice.client.close();
  publishes = false;
  clock.ms += 5 * DAY;
  alice = await open('alice', reachable, 'alice again', alice.store);
  await alice.observed((record) => record.kind === 'log' && record.event === 'maintenance-failed');
  up = false;
  const from = alice.observations.length;
  await note('queued', alice.client.send('bob', 'queued', { key: 'the key' }));
  await note('queued too', alice.client.send('bob', 'queued too'));
  await note('to dave', alice.client.send('dave', 'to dave'));
  await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry', from);
  await Promise.all([alice, bob, erin, other].map(({ client }) => client.close()));

  const directory = [];
  for (const account of ['alice', 'bob', 'carol', 'erin', 'frank', 'grace']) {
    for (const { address, identity, signedSet } of await network.bundles(account)) {
      directory.push({ ...address, identity: toHex(identity), signedSet: toHex(signedSet) });
    }
  }
  const envelope = ({ to, bytes }: Envelope) => ({ ...to, bytes: toHex(bytes) });
  return {
    description:
      'Stores of clients as this layout version wrote them. Keys of rows are JSON arrays of components, values hexadecimal. Alice has verified bob, and the two are in mid-conversation; "late" is an envelope to bob that was overtaken, "first" one to alice that she has not got. Alice has not acknowledged "unread", waits for carol\'s first answer, has two encrypted messages to bob ("queued", with the idempotency key "the key", and "queued too") and one to dave, whom the directory does not know. Her newest device list is not published. Frank\'s device has replaced one that was lost, and bob has not heard of it. Erin\'s identity has changed since alice pinned it. Grace has a second device, "laptop", for which copies wait at the relay; her message "from grace" to bob is encrypted and not sent, and their conversation has a timer of 366 days. `sent` are message ids. `directory` is what the directory holds, without one-time prekeys.',
    nowMs: clock.ms,
    stores: {
      alice: rowsOf(alice.store),
      bob: rowsOf(bob.store),
      carol: rowsOf(carol.store),
      frank: rowsOf(frank.store),
      grace: rowsOf(grace.store),
      laptop: rowsOf(laptop.store),
    },
    directory,
    envelopes: { first: envelope(first!), late: envelope(late) },
    sent,
  };
}
