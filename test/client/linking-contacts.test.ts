/** What a device takes over of the contacts that another device of its account sends it. */

import { expect, test } from 'vitest';
import type { Contacts } from '../../src/client/contacts.js';
import type { Context } from '../../src/client/context.js';
import type { ControlSender } from '../../src/client/control.js';
import { linking } from '../../src/client/linking.js';
import { type ContactRecord, contactRecord } from '../../src/client/records.js';
import { type DeviceSecrets, generateDevice } from '../../src/identity/index.js';
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
async function taken(device: DeviceSecrets, entries: readonly unknown[], from = sender): Promise<string[]> {
  const brought: string[] = [];
  const ctx = { directory: {}, device: () => device, life: { onEnd: () => () => {} } } as unknown as Context;
  const contacts = { brought: async (account: string) => void brought.push(account) } as unknown as Contacts;
  const none = {} as never;
  await linking(ctx, none, contacts, none, none, none).contacts(from, { t: 'contacts', entries });
  return brought;
}
const entry = (change: Partial<ContactRecord> = {}, account = 'bob') => ({
  account,
  contact: contactRecord.encode({ ...record, ...change }),
});
const malformed = expect.objectContaining({ code: 'ERR_DECODE' });

test('a linked device takes over what a device of its account sends', async () => {
  expect(await taken(linked, [entry(), entry({ verified: false })])).toEqual(['bob', 'bob']);
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
