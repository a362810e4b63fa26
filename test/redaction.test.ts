import { format, inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sessionRecord } from '../src/client/records.js';
import type { Observation } from '../src/client/types.js';
import { decodeCore } from '../src/ratchet/ratchet.js';
import type { Rng } from '../src/step.js';
import { memoryStore } from '../src/store/memory.js';
import type { Login } from '../src/transport/port.js';
import { type HostileNetwork, hostileNetwork } from './helpers/hostile-network.js';
import { glassStore, type Person, person, START } from './helpers/people.js';
import { testRng } from './helpers/rng.js';

const ALICE = 'alice-of-the-long-name';
const BOB = 'bob-of-the-long-name';
const TEXTS = ['attack at dawn, quietly', 'the answer is still forty-two', 'burn this after reading it'];

/** Key material: every draw of 32 bytes or more is a secret key, a seed, or randomness that hides one. */
const keys = new Map<string, Uint8Array>();
/** Those of them that came from the generator: unlike a prekey in a state, none is ever published. */
let drawn: Uint8Array[] = [];
/** What was said, under which ids. */
const messageIds: string[] = [];

/** Keeps every secret that is drawn. */
function remembering(seed: string): Rng {
  const rng = testRng(seed);
  return (lengthBytes) => {
    const bytes = rng(lengthBytes);
    if (lengthBytes >= 32) remember(bytes);
    return bytes;
  };
}
function remember(bytes: Uint8Array): void {
  keys.set(Buffer.from(bytes).toString('hex'), new Uint8Array(bytes));
}

/** Every 32-byte buffer in a value: of a ratchet state, all are root, chain, header, message and ratchet keys. */
function rememberAll(value: unknown): void {
  if (value instanceof Uint8Array) {
    if (value.length === 32) remember(value);
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) rememberAll(inner);
  }
}

/** Whatever way somebody may print a thing. */
function printed(value: unknown): string {
  const all = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null } as const;
  const own = typeof value === 'object' && value !== null ? Reflect.ownKeys(value).map(String) : [];
  return [JSON.stringify(value), inspect(value, all), String(value), format('%o %O %j %s', value, value, value, value), ...own].join('\n');
}

/** The ways in which bytes show through: hex, both base64s at each alignment, number lists. A part is enough to be caught. */
function formsOf(bytes: Uint8Array): string[] {
  const part = Buffer.from(bytes.subarray(0, 24));
  const base64 = [0, 1, 2].map((skip) => part.subarray(skip, 21 + skip).toString('base64'));
  return [
    part.toString('hex'),
    part.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    [...part].join(','),
    [...part].map((byte, at) => `"${at}":${byte}`).join(','),
  ];
}

/** Which of the secrets stand in a text; white space of pretty printers doesn't hide them. */
function leaks(text: string, secrets: Iterable<Uint8Array>): string[] {
  const dense = text.replace(/\s+/g, '');
  const found: string[] = [];
  for (const secret of secrets) for (const form of formsOf(secret)) if (dense.includes(form)) found.push(form);
  return found;
}

const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

let network: HostileNetwork;
let alice: Person;
let bob: Person;
const logins: Login[] = [];
const shown: [string, unknown][] = [];
const errors: unknown[] = [];

/** Keeps what a call rejects with. */
async function failing(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    errors.push(error);
    return;
  }
  expect.fail('expected a rejection');
}

beforeAll(async () => {
  network = hostileNetwork();
  const { transport } = network;
  const listening = {
    ...network,
    transport: (login: Login) => {
      logins.push(login);
      return (transport as (login: Login) => ReturnType<Extract<typeof transport, (...args: never[]) => unknown>>)(login);
    },
  };
  const clock = { ms: START };
  alice = await person(ALICE, listening, clock, { rng: remembering('alice') });
  bob = await person(BOB, listening, clock, { rng: remembering('bob'), metadata: 'sealed' });
  for (const [index, text] of TEXTS.entries()) {
    const [from, to] = index % 2 === 0 ? [alice, bob] : [bob, alice];
    const sent = await from.client.send(to.account, text);
    messageIds.push(sent.id);
    const message = await to.read();
    expect(message.text).toBe(text);
    shown.push([`Sent ${index}`, sent], [`Message ${index}`, { ...message, content: undefined, text: undefined }]);
  }
  await network.settled();
  const contact = alice.client.contact(BOB);
  const number = await contact.safetyNumber();
  shown.push(['Diagnosis', await alice.client.diagnose()], ['Diagnosis of the other', await bob.client.diagnose()]);
  shown.push(['Client', alice.client], ['Contact', contact], ['identity', await contact.identity()], ['SafetyNumber', number]);
  shown.push(...logins.map((login, i): [string, unknown] => [`Login ${i}`, login]), ['status', alice.client.status]);

  const secret = Uint8Array.from(keys.values().next().value!);
  await failing(() => alice.client.send(BOB, { kind: 'app', type: 'x', data: { secret, at: Number.NaN } }));
  await failing(() => alice.client.send(BOB, new Uint8Array(70_000).fill(secret[0]!)));
  await failing(() => alice.client.send('', TEXTS[0]!));
  await failing(() => alice.client.contact('\ud800'));
  const broken = memoryStore();
  await failing(() => person(ALICE, network, clock, { store: glassStore({ ...broken, read: () => Promise.reject(new Error('disk')) }) }));
  await failing(() => person(BOB, network, clock, { store: alice.store }));
  await failing(() => person(ALICE, network, clock, {}));
  network.answer = () => [];
  await failing(() => alice.client.contact('nobody').safetyNumber());
  network.answer = (_account, honest) => honest;
  for (let at = 0; at < 6; at++) await network.inject(bob.address, network.sent[0]!.bytes.subarray(0, 4_000 * at));

  drawn = [...keys.values()];
  for (const { key, value } of [...alice.store.written, ...bob.store.written]) {
    if (value !== null && key[0] === 'session') rememberAll(decodeCore(sessionRecord.decode(value).core, []));
  }
  // A public ratchet key is not secret, but travels in encrypted headers only.
  expect(keys.size).toBeGreaterThan(400);
});
afterAll(() => Promise.all([alice.client.close(), bob.client.close()]));

test('the search finds what it looks for', () => {
  const secret = [...keys.values()][7]!;
  const hidden = { deep: { list: [{ secret }] } };
  for (const text of [
    inspect(hidden, { depth: 9, maxArrayLength: null }),
    JSON.stringify(hidden),
    Buffer.from(secret).toString('base64'),
  ]) {
    expect(leaks(text, [secret])).not.toEqual([]);
  }
  expect(leaks(`x${Buffer.concat([Buffer.from('ab'), secret]).toString('base64')}`, [secret])).not.toEqual([]);
  expect(leaks(printed({ toString: () => Buffer.from(secret).toString('hex') }), [secret])).not.toEqual([]);
});

describe('T39: nothing that an application holds prints a secret', () => {
  test('no object shows key material or what was said', () => {
    for (const [name, value] of shown) expect(leaks(printed(value), [...keys.values(), ...TEXTS.map(utf8)]), name).toEqual([]);
    for (const [name, value] of shown) for (const text of TEXTS) expect(printed(value).includes(text), name).toBe(false);
  });

  test('no error shows key material, what was said, an account or a message id', () => {
    expect(errors.length).toBeGreaterThan(6);
    for (const error of errors) {
      const text = printed(error);
      expect(leaks(text, [...keys.values(), ...TEXTS.map(utf8)])).toEqual([]);
      for (const word of [ALICE, BOB, ...TEXTS, ...messageIds]) expect(text.includes(word), (error as Error).message).toBe(false);
    }
  });

  test('no event shows key material or what was said', () => {
    const events = [...alice.events, ...bob.events];
    expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThan(2);
    const text = printed(events);
    expect(leaks(text, [...keys.values(), ...TEXTS.map(utf8)])).toEqual([]);
    for (const word of TEXTS) expect(text.includes(word)).toBe(false);
  });

  test('no observation shows any secret, and none any id', () => {
    const observations: Observation[] = [...alice.observations, ...bob.observations];
    expect(new Set(observations.map(({ kind }) => kind)).size).toBe(3);
    const text = printed(observations);
    expect(leaks(text, [...keys.values(), ...TEXTS.map(utf8), ...messageIds.map((id) => new Uint8Array(Buffer.from(id, 'hex')))])).toEqual(
      [],
    );
    const ids = [ALICE, BOB, String(alice.client.device), String(bob.client.device), ...messageIds, ...TEXTS];
    for (const id of ids) expect(text.includes(id), id).toBe(false);
    // Only the names that the interface lists: a field that is added is looked at here first.
    const fields = [
      'kind',
      'level',
      'event',
      'correlation',
      'code',
      'name',
      'startMs',
      'durationMs',
      'outcome',
      'paddedBytes',
      'deviceCount',
      'value',
    ];
    for (const record of observations) expect(Object.keys(record).filter((field) => !fields.includes(field))).toEqual([]);
    const lengths = new Set(
      observations.flatMap((record) => (record.kind === 'span' && record.name === 'send' ? [record.paddedBytes] : [])),
    );
    expect([...lengths].every((length) => length! % 512 === 0)).toBe(true);
  });
});

test('T33: no envelope holds an account, a message id, a device, what was said or a key', () => {
  expect(network.sent.length).toBeGreaterThanOrEqual(TEXTS.length);
  const needles = [
    ...[ALICE, BOB, ...TEXTS].map(utf8),
    ...messageIds.flatMap((id) => [utf8(id), new Uint8Array(Buffer.from(id, 'hex'))]),
    ...keys.values(),
  ];
  for (const { bytes } of network.sent) {
    const wire = Buffer.from(bytes);
    for (const needle of needles) expect(wire.includes(Buffer.from(needle.subarray(0, 24)))).toBe(false);
    for (const word of [ALICE, BOB]) expect(wire.includes(Buffer.from(word).toString('base64').slice(0, 20))).toBe(false);
  }
});

test('T39: what a device publishes holds public keys only', () => {
  for (const published of network.published) {
    const bytes = Buffer.concat([
      published.identity,
      published.signedSet,
      ...(published.batch ? [published.batch.head, ...published.batch.entries] : []),
    ]);
    for (const key of drawn) expect(bytes.includes(Buffer.from(key.subarray(0, 24)))).toBe(false);
  }
});
