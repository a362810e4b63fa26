/** What a device takes over of the contacts that another device of its account sends it. */

import { expect, test } from 'vitest';
import { merged } from '../../src/client/brought.js';
import type { Contacts, KnownContact } from '../../src/client/contacts.js';
import type { Context } from '../../src/client/context.js';
import type { ControlSender } from '../../src/client/control.js';
import { linking } from '../../src/client/linking.js';
import { type ContactRecord, contactRecord } from '../../src/client/records.js';
import { type DeviceSecrets, generateDevice, keyHash } from '../../src/identity/index.js';
import { flip, testRng } from '../helpers/rng.js';

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
  const more = { statement: new Uint8Array(3), former: [null], changedTo: new Uint8Array(1984), changedList: new Uint8Array(3) };
  const records: ContactRecord[] = [];
  const ctx = { db: { read: async () => sender.deviceKeyHash }, directory: {}, device: () => linked, life: { onEnd: () => () => {} } };
  const contacts = { brought: async (_account: string, taken: ContactRecord) => void records.push(taken) };
  const none = {} as never;
  const { contacts: handle } = linking(ctx as never, none, contacts as never, none, none, none, none, none);
  await handle(sender, { t: 'contacts', entries: [entry(more as never)] });
  expect(records).toEqual([record]);
});

test('another identity than the one pinned here is a change to be decided, unless a person has decided', () => {
  const pinned = (verified: boolean): KnownContact => ({
    ...{ ...record, verified, identity: primary.accountKey.publicKey, list: primary.deviceList, account: 'bob', vouched: false },
    ...{ pin: keyHash(primary.accountKey.publicKey), devices: [], listVersion: NOW, listHash: new Uint8Array(8) },
  });
  expect(merged(undefined, record)).toBe(record);
  expect(merged(pinned(true), record)).toBe('conflict');
  const changed = merged(pinned(false), record) as ContactRecord;
  expect(changed).toMatchObject({ identity: primary.accountKey.publicKey, changedTo: record.identity, changedList: record.list });
  expect(merged({ ...pinned(false), ...changed }, record)).toBeUndefined();
  const same = { ...pinned(false), identity: record.identity, list: record.list, pin: keyHash(record.identity) };
  expect(merged(same, record)).toMatchObject({ verified: true });
  expect(merged({ ...same, verified: true }, { ...record, verified: false })).toBeUndefined();
});

test('a linked device takes over what a device of its account sends', async () => {
  expect(await taken(linked, [entry(), entry({ verified: false })])).toEqual(['bob', 'bob']);
  expect(await taken(linked, [{ ...entry(), talk: new Uint8Array(1) }])).toEqual(['bob', 'talk bob']);
  expect(await taken(linked, [])).toEqual([]);
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
