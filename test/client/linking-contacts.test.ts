/** What a device takes over of the contacts that another device of its account sends it. */

import { expect, test, vi } from 'vitest';
import { merged } from '../../src/client/brought.js';
import type { Contacts, KnownContact } from '../../src/client/contacts.js';
import type { Context } from '../../src/client/context.js';
import type { ControlSender } from '../../src/client/control.js';
import { linking } from '../../src/client/linking.js';
import { type ContactRecord, contactRecord } from '../../src/client/records.js';
import { type DeviceSecrets, generateDevice, keyHash, relist } from '../../src/identity/index.js';
import type { Network } from '../../src/transport/port.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { linked as linkedTo } from '../helpers/devices.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type Envelope, hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Person, person, START } from '../helpers/people.js';
import { flip, testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const NOW = 1_767_225_600_000;
const primary = generateDevice('alice', testRng('alice'), NOW);
const linked: DeviceSecrets = { ...primary, accountKey: { publicKey: primary.accountKey.publicKey, secretKey: undefined } };
const bob = generateDevice('bob', testRng('bob'), NOW);
const record: ContactRecord = { identity: bob.accountKey.publicKey, sinceMs: NOW, verified: true, list: bob.deviceList, former: [] };
const sender: ControlSender = {
  account: 'alice',
  device: 7,
  session: new Uint8Array(16),
  accountKeyHash: new Uint8Array(64),
  deviceKeyHash: new Uint8Array(64),
};

/** What `device` took over of these entries. */
async function taken(
  device: DeviceSecrets,
  entries: readonly unknown[],
  from = sender,
  linkedBy: Uint8Array | undefined = sender.deviceKeyHash,
): Promise<string[]> {
  const brought: string[] = [];
  const db = { read: async () => linkedBy };
  const ctx = { db, directory: {}, device: () => device, life: { onEnd: () => () => {} } } as unknown as Context;
  const contacts = { brought: async (account: string) => void brought.push(account) } as unknown as Contacts;
  const talk = { brought: async (account: string) => void brought.push(`talk ${account}`) };
  const none = {} as never;
  await linking(ctx, none, contacts, none, talk, none, none, none).contacts(from, { t: 'contacts', entries });
  return brought;
}
const entry = (change: Partial<ContactRecord> = {}, account = 'bob') => ({
  account,
  contact: contactRecord.encode({ ...record, ...change }),
});
const malformed = expect.objectContaining({ code: 'ERR_DECODE' });

test('T12: nor from a device of the account that has not linked it', async () => {
  await expect(taken(linked, [entry()], sender, new Uint8Array(64).fill(1))).rejects.toThrow(malformed);
  await expect(taken(linked, [entry()], { ...sender, deviceKeyHash: new Uint8Array(64).fill(2) })).rejects.toThrow(malformed);
});

test('of a contact a person’s word is taken over, and nothing else that stands in its record', async () => {
  const changed = { changedTo: new Uint8Array(1984), changedList: new Uint8Array(3), changedByOwn: true };
  const more = { ...changed, statement: new Uint8Array(3), former: [null], unasked: true };
  const records: ContactRecord[] = [];
  const ctx = { db: { read: async () => sender.deviceKeyHash }, directory: {}, device: () => linked, life: { onEnd: () => () => {} } };
  const contacts = { brought: async (_account: string, taken: ContactRecord) => void records.push(taken) };
  const none = {} as never;
  const { contacts: handle } = linking(ctx as never, none, contacts as never, none, none, none, none, none);
  await handle(sender, { t: 'contacts', entries: [entry(more as never)] });
  expect(records).toEqual([record]);
});

const pinned = (verified: boolean): KnownContact => ({
  ...{ ...record, verified, identity: primary.accountKey.publicKey, list: primary.deviceList, account: 'bob', vouched: false },
  ...{ pin: keyHash(primary.accountKey.publicKey), devices: [], listVersion: NOW, listHash: new Uint8Array(8) },
});

test('another identity than the one pinned here is a change to be decided, unless a person has decided', () => {
  expect(merged(undefined, record)).toBe(record);
  expect(merged(pinned(true), record)).toBe('conflict');
  const changed = merged(pinned(false), record) as ContactRecord;
  const byOwn = { changedTo: record.identity, changedList: record.list, changedByOwn: true };
  expect(changed).toMatchObject({ identity: primary.accountKey.publicKey, ...byOwn });
  expect(merged({ ...pinned(false), ...changed }, record)).toBeUndefined();
  // What only the directory had shown until then, it could have taken back.
  const shown = { changedTo: record.identity, changedList: flip(record.list) };
  expect(merged({ ...pinned(false), ...shown }, record)).toMatchObject({ ...shown, changedByOwn: true });
  expect(merged({ ...pinned(false), changedTo: new Uint8Array(1984), changedList: flip(record.list) }, record)).toMatchObject(byOwn);
  const same = { ...pinned(false), identity: record.identity, list: record.list, pin: keyHash(record.identity) };
  expect(merged(same, record)).toMatchObject({ verified: true });
  expect(merged({ ...same, verified: true }, { ...record, verified: false })).toBeUndefined();
});

test.each([
  ['a person has decided', undefined, true, false],
  ['nobody has decided, and nobody had verified it', true, false, false],
  ['nobody has decided, and a person has verified it', true, true, true],
])('an identity that gave way here to the pinned one: %s', (_, unasked, verified, isChange) => {
  const former = { ...pinned(false), former: [new Uint8Array(64), keyHash(record.identity)], unasked };
  const change = { ...former, changedTo: record.identity, changedList: record.list, changedByOwn: true };
  expect(merged(former, { ...record, verified })).toEqual(isChange ? change : undefined);
});

/**
 * The operator shows Alice's new laptop alone another Bob, at first or later, and holds what her phone says of him until the laptop has
 * pinned that one. Answers once the laptop has been told that the two differ.
 */
async function deceived(trust: 'block' | 'warn', when: 'at first' | 'later' = 'at first') {
  const clock = { ms: START };
  const network = hostileNetwork();
  const elsewhere = hostileNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const bob = await person('bob', network, clock);
  await (await phone.client.contact('bob').safetyNumber()).confirmDigits();
  const mallory = await person('bob', elsewhere, clock, { seed: 'mallory' });
  elsewhere.answer = (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
  const lie = { isOver: when === 'later' };
  const directory: Network['directory'] = (login) => {
    const honest = network.directory(login);
    const fetch: typeof honest.fetch = async (account, options) =>
      account === 'bob' && !lie.isOver ? elsewhere.bundles('bob') : honest.fetch(account, options);
    return { ...honest, fetch };
  };
  const held: Envelope[] = [];
  let isHolding = true;
  network.route = (envelope) => {
    if (envelope.to.device === mallory.client.device) {
      void elsewhere.inject(envelope.to, envelope.bytes);
      return [];
    }
    if (!isHolding || envelope.to.account !== 'alice' || envelope.to.device === phone.client.device) return [envelope];
    held.push(envelope);
    return [];
  };
  const laptop = await linkedTo(phone, { ...network, directory }, clock, { seed: 'laptop', trust });
  if (when === 'later') {
    await laptop.client.send('bob', 'hello');
    await bob.read();
    lie.isOver = false;
    // A first flight under his name makes the laptop ask, and it goes on with whom it is shown.
    const bundle = (await network.bundles('alice')).find(({ address }) => address.device === laptop.client.device)!;
    const anybody = evilPeer('bob', 'anybody', clock.ms);
    await network.inject(laptop.address, anybody.flight(bundle, anybody.text('hi')));
    await laptop.seen('identityChanged');
  }
  await laptop.client.send('bob', 'to the wrong one');
  expect((await mallory.read()).text).toBe('to the wrong one');
  await vi.waitFor(() => expect(held.length).toBeGreaterThan(0), { timeout: 20_000 });
  isHolding = false;
  for (const { to, bytes } of held) void network.inject(to, bytes);
  await laptop.seen('identityChanged', () => laptop.count('identityChanged') === (when === 'later' ? 2 : 1));
  return { clock, network, directory, lie, phone, bob, mallory, laptop };
}
const trustOf = async ({ client }: Person) => (await client.contact('bob').identity()).trust;

test.each([
  ['block', 'at first'],
  ['warn', 'at first'],
  ['warn', 'later'],
] as const)(
  'T30, %s, %s: no directory takes back what the device that linked this one has said; a person decides, also after a restart',
  async (trust, when) => {
    const { clock, network, directory, lie, phone, bob, mallory, laptop: before } = await deceived(trust, when);
    const digits = async ({ client }: Person) => (await client.contact('bob').safetyNumber()).digits;
    const isHeld = async (laptop: Person): Promise<void> => {
      // Each of these asks the directory, which shows what is pinned here.
      expect(await trustOf(laptop)).toBe('changed');
      expect(await digits(laptop)).toBe(await digits(phone));
      await expect(laptop.client.send('bob', 'secret')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    };
    await isHeld(before);
    await before.client.close();
    const laptop = await person('alice', { ...network, directory }, clock, { store: before.store, seed: 'again', trust });
    await isHeld(laptop);
    // Nor does one that shows a third, or what the other device has said.
    lie.isOver = true;
    await isHeld(laptop);
    network.answer = (account, honest) => (account === 'bob' ? [evilPeer('bob', 'third', clock.ms).published()] : honest);
    await isHeld(laptop);
    network.answer = (_account, honest) => honest;
    expect(laptop.count('identityChanged')).toBe(0);

    await (await laptop.client.contact('bob').safetyNumber()).confirmDigits();
    expect(await trustOf(laptop)).toBe('verified');
    await laptop.client.send('bob', 'to the true one');
    expect(await bob.read()).toMatchObject({ text: 'to the true one', trust: 'unverified' });
    expect(await mallory.readAll()).toEqual([]);
    await Promise.all([phone, bob, mallory, laptop].map(({ client }) => client.close()));
  },
);

test('T32: one who accepts the word of the other device against the truth is asked again, and gets there', async () => {
  // The directory is honest, and the phone has not heard that Bob has another identity.
  const { phone, bob, mallory, laptop } = await deceived('block');
  const accept = async (): Promise<void> => (await laptop.client.contact('bob').safetyNumber()).accept();
  await accept();
  const sent = await laptop.client.send('bob', 'once more');
  await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
  expect([await trustOf(laptop), laptop.count('identityChanged')]).toEqual(['changed', 2]);
  await accept();
  expect((await mallory.read()).text).toBe('once more');
  expect(await trustOf(laptop)).toBe('unverified');
  await Promise.all([phone, bob, mallory, laptop].map(({ client }) => client.close()));
});

test('of the same identity the newer list counts, and whatever was verified on either device', () => {
  const newer = relist(bob, parseDeviceList(bob.deviceList).entries, NOW + 1, testRng('newer')).deviceList;
  const pinned = (verified: boolean, list: Uint8Array): KnownContact => ({
    ...{ ...record, verified, list, account: 'bob', vouched: false, pin: keyHash(record.identity), devices: [] },
    ...{ listVersion: parseDeviceList(list).version, listHash: new Uint8Array(8) },
  });
  expect(merged(pinned(false, newer), record)).toMatchObject({ list: newer, verified: true });
  expect(merged(pinned(true, bob.deviceList), { ...record, verified: false, list: newer })).toMatchObject({ list: newer, verified: true });
});

test('a linked device takes over what a device of its account sends', async () => {
  expect(await taken(linked, [entry(), entry({ verified: false })])).toEqual(['bob', 'bob']);
  expect(await taken(linked, [{ ...entry(), talk: new Uint8Array(1) }])).toEqual(['bob', 'talk bob']);
  expect(await taken(linked, [])).toEqual([]);
});

test('what there is to bring is looked for again, at whatever moment of a look that is asked for', async () => {
  for (let delay = 0; delay < 12; delay++) {
    let looks = 0;
    const ctx = {
      device: () => primary,
      life: { onEnd: () => {}, hasEnded: () => false },
      directory: {},
      db: {
        list: async ([space]: readonly string[]) => {
          if (space !== 'share' || ++looks > 1) return [];
          let later = Promise.resolve();
          for (let i = 0; i < delay; i++) later = later.then(() => {});
          later.then(() => self.deliver());
          return [];
        },
      },
    };
    const none = {} as never;
    const self = linking(ctx as unknown as Context, none, none, none, none, none, none, none);
    self.deliver();
    for (let turn = 0; turn < 3; turn++) await new Promise((next) => setImmediate(next));
    expect(looks, `${delay} microtasks later`).toBeGreaterThanOrEqual(2);
  }
});

test('a primary device takes over nothing, and nobody takes it from other people', async () => {
  await expect(taken(primary, [entry()])).rejects.toThrow(malformed);
  await expect(taken(linked, [entry()], { ...sender, account: 'bob' })).rejects.toThrow(malformed);
});

test.each([
  ['a list of another account', entry({}, 'carol')],
  ['a list under another key', entry({ identity: primary.accountKey.publicKey })],
  ['a list whose signature is damaged', entry({ list: flip(bob.deviceList) })],
  ['no record', { account: 'bob', contact: new Uint8Array(9) }],
  ['an unknown field', { ...entry(), more: 1 }],
  ['no map', 7],
])('%s is malformed', async (_, bad) => {
  await expect(taken(linked, [bad])).rejects.toThrow(malformed);
});

test('what the contact says under an identity that the directory shows waits for a person, also where an own device has said another', async () => {
  const { clock, network, lie, phone, bob, mallory, laptop } = await deceived('block');
  lie.isOver = true;
  const third = evilPeer('bob', 'third', clock.ms);
  network.answer = (account, honest) => (account === 'bob' ? [third.published()] : honest);
  const bundle = (await network.bundles('alice')).find(({ address }) => address.device === laptop.client.device)!;
  const acked = await network.inject(laptop.address, third.flight(bundle, third.text('it is me, anew')));
  expect(acked).toBe(false);
  await Promise.all([phone, bob, mallory, laptop].map(({ client }) => client.close()));
});
