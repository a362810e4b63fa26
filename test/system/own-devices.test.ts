/** One's own account against a directory, a lost device and a linked one that want more than they may. */

import { expect, test, vi } from 'vitest';
import { concat } from '../../src/bytes.js';
import { encodeContent } from '../../src/client/content.js';
import { encodeControl } from '../../src/client/control.js';
import { openDatabase } from '../../src/client/database.js';
import { keys, pendingRecord, sentRecord } from '../../src/client/records.js';
import { signDeviceList } from '../../src/identity/account.js';
import { entryOf, generateDeviceKeys } from '../../src/identity/index.js';
import { sessionLimits } from '../../src/limits.js';
import { verifyBundle } from '../../src/pqxdh/bundle.js';
import { initiate, sealFrame } from '../../src/pqxdh/handshake.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { startInitiator } from '../../src/ratchet/double.js';
import { encrypt, start } from '../../src/ratchet/triple.js';
import { linked } from '../helpers/devices.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const DAY = 86_400_000;
const closeAll = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));
const published = ({ store }: Person): Promise<void> =>
  vi.waitFor(() => expect(store.rows().has('["publish"]')).toBe(false), { timeout: 20_000 });
const online = (who: Person): Promise<unknown> => who.seen('status', ({ status }) => status.state === 'online');

async function snapshot(store: GlassStore): Promise<GlassStore> {
  const copy = glassStore();
  await copy.commit([...store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  return copy;
}

test('T24, T30: a backup from before a removal is not recovered without the directory: a removed device must not come back', async () => {
  const clock = { ms: START };
  const network = glassNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const bob = await person('bob', network, clock);
  await phone.client.send('bob', 'hi');
  await bob.read();
  const stolen = await linked(phone, network, clock, { seed: 'stolen' });
  const backup = await snapshot(phone.store);
  await phone.client.devices.revoke(stolen.client.device);
  await published(phone);
  await phone.client.close();
  // It logs in once more, so that the backup is found to be behind.
  const later = await person('alice', network, clock, { store: phone.store, seed: 'later' });
  await online(later);
  await later.client.close();
  clock.ms += 60_000;
  const restored = await person('alice', network, clock, { store: backup, seed: 'restored' });
  await restored.seen('status', ({ status }) => status.state === 'halted');
  network.directoryDown = true;
  await expect(restored.client.recover()).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
  expect(restored.client.status.state).toBe('halted');
  network.directoryDown = false;
  await restored.client.recover();
  await bob.seen('sessionEstablished', ({ reason }) => reason === 'recovered');
  expect((await bob.client.contact('alice').identity()).devices).toEqual([restored.client.device]);
  await closeAll(bob, stolen, restored);
});

test('T30: a list past its freshness brings a removed device back to nobody, nor to one’s own other devices', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const laptop = await linked(phone, network, clock, { seed: 'laptop' });
  await laptop.client.close();
  clock.ms += 1_000;
  const lost = await linked(phone, network, clock, { seed: 'lost' });
  const old = await network.bundles('alice');
  clock.ms += 1_000;
  await phone.client.devices.revoke(lost.client.device);
  await published(phone);
  await closeAll(phone, lost);
  // More than a week later the directory shows what was there before the removal.
  clock.ms += 8 * DAY;
  network.answer = (account, honest) => (account === 'alice' ? old.map((bundle) => ({ ...bundle, oneTime: undefined })) : honest);
  const fetches = network.fetches.length;
  const again = await person('alice', network, clock, { store: laptop.store, seed: 'laptop again' });
  await online(again);
  await vi.waitFor(() => expect(network.fetches.length).toBeGreaterThan(fetches), { timeout: 20_000 });
  await again.observed((record) => record.kind === 'gauge' && record.name === 'oneTimePrekeys');
  expect((await again.client.devices.list()).map(({ device }) => device)).not.toContain(lost.client.device);
  await again.client.close();
});

test('T12: a linked device puts no message into a conversation with nobody', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const laptop = await linked(phone, network, clock, { seed: 'laptop' });
  await laptop.client.close();
  const app = encodeContent({ kind: 'text', text: 'x' }, START);
  const copies = ['', 'x'.repeat(65), 'alice'].map((to, i) => encodeControl({ t: 'copy', to, id: new Uint8Array(16).fill(i + 1), app }));
  // As the laptop would say it: rows of its queue, for the protocol.
  const db = await openDatabase(laptop.store, { rng: testRng('queue'), now: () => START, onCommit() {}, onLost() {} });
  for (const [i, payload] of copies.entries()) {
    const id = String(i).repeat(32);
    const seq = 1_000 + i;
    const record = { to: 'alice', state: 'queued', atMs: START, seq, waitingFor: [], accepted: 0, isControl: true };
    await db.commit([
      { key: keys.sent(id), value: sentRecord.encode(record) },
      { key: keys.pending('alice', seq), value: pendingRecord.encode({ id, payload, atMs: START, control: 'any' }) },
    ]);
  }
  await db.close();
  const again = await person('alice', network, clock, { store: laptop.store, seed: 'laptop again' });
  await phone.observed(() => phone.observations.filter((record) => record.kind === 'log' && record.event === 'control-void').length === 3);
  expect(await phone.readAll()).toEqual([]);
  expect([...phone.store.rows().keys()].filter((key) => key.startsWith('["talk"'))).toEqual([]);
  await closeAll(phone, again);
});

test('T30: of a contact’s devices that only a list past its freshness names a few wait; no more, however many write', async () => {
  const clock = { ms: START + 20 * DAY };
  const network = hostileNetwork();
  const alice = await person('alice', network, clock);
  const evil = evilPeer('bob', 'bob', clock.ms);
  network.answer = (account, honest) => (account === 'bob' ? [evil.published()] : honest);
  await alice.client.contact('bob').identity();
  const rng = testRng('unlisted');
  const own = generateDeviceKeys(rng);
  const entries = [entryOf(evil.device), entryOf(own)].sort((a, b) => a.device - b.device);
  const deviceList = signDeviceList(evil.device.accountKey, 'bob', entries, clock.ms + 5, START, rng);
  const [bundle] = await network.bundles('alice');
  const verified = verifyBundle(bundle!, undefined, clock.ms);
  const acknowledged: boolean[] = [];
  for (let i = 0; i < 10; i++) {
    const { secrets, prefix, setId, sealKey } = initiate({ ...evil.device, ...own, deviceList }, verified, 1, rng, clock.ms);
    const { out } = encrypt(braid, start(braid, secrets, startInitiator(secrets, rng)), evil.text(`number ${i}`), rng);
    acknowledged.push(await network.inject(alice.address, sealFrame(verified.address, setId, sealKey, concat(prefix, out), rng)));
  }
  expect(acknowledged.filter((acked) => !acked).length).toBe(sessionLimits.unlistedFlights);
  expect(await alice.readAll()).toEqual([]);
  await alice.client.close();
});

test('T41: what a new own device wrote while the clock here was ahead of its list is shown once the list is known', async () => {
  const [clock, ahead] = [{ ms: START }, { ms: START }];
  const network = hostileNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone' });
  const bob = await person('bob', network, clock);
  const laptop = await linked(phone, network, ahead, { seed: 'laptop' });
  ahead.ms += 20 * DAY;
  const tablet = await linked(phone, network, clock, { seed: 'tablet' });
  await (await tablet.client.send('bob', 'from the tablet')).until('accepted');
  await bob.read();
  await network.settled();
  ahead.ms = clock.ms += 3_600_000;
  await phone.client.send('bob', 'from the phone');
  const got = [(await laptop.read()).text, (await laptop.read()).text];
  expect(got.sort()).toEqual(['from the phone', 'from the tablet']);
  await closeAll(phone, laptop, tablet, bob);
});

test('who may not be written to is not told of new devices, and nothing waits for it', async () => {
  const clock = { ms: START };
  const network = hostileNetwork();
  const phone = await person('alice', network, clock, { seed: 'phone', trust: 'pinned-only' });
  const bob = await person('bob', network, clock);
  await bob.client.send('alice', 'I am not verified');
  await phone.read();
  const laptop = await linked(phone, network, clock, { seed: 'laptop' });
  await phone.seen('devicesChanged');
  await closeAll(phone, laptop, bob);
  expect([...phone.store.rows().keys()].filter((key) => key.startsWith('["pending","bob"'))).toEqual([]);
});
