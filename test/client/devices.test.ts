import { describe, expect, test, vi } from 'vitest';
import { openDatabase } from '../../src/client/database.js';
import { keys } from '../../src/client/records.js';
import { deviceRows } from '../../src/client/recovery.js';
import { type DeviceSecrets, decodeDevice, encodeDevice, entryOf, generateDeviceKeys, relist } from '../../src/identity/index.js';
import type { Write } from '../../src/store/port.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Network } from '../../src/transport/port.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { type Clock, type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

/** A store with a device that its primary one has just listed: as linking leaves it. */
async function joined(primary: Person, clock: Clock, seed: string): Promise<{ store: GlassStore; list: () => Promise<void> }> {
  const rng = testRng(seed);
  const first = decodeDevice(primary.store.rows().get('["device"]')!);
  const { entries } = parseDeviceList(first.deviceList);
  const own = generateDeviceKeys(rng, entries);
  const next = relist(
    first,
    [...entries, entryOf(own)].sort((a, b) => a.device - b.device),
    clock.ms,
    rng,
  );
  const accountKey = { publicKey: first.accountKey.publicKey, secretKey: undefined };
  const device: DeviceSecrets = { account: first.account, accountKey, ...own, deviceList: next.deviceList };
  const store = glassStore();
  await write(store, deviceRows(device, rng, clock.ms));
  return { store, list: () => write(primary.store, [{ key: keys.device, value: encodeDevice(next) }]) };
}

async function write(store: GlassStore, rows: readonly Write[]): Promise<void> {
  const db = await openDatabase(store, { rng: testRng('write'), now: () => START, onCommit: () => {}, onLost: () => {} });
  await db.commit(rows);
  await db.close();
}

/** Alice with two devices, Bob with one. */
async function people(clock: Clock, network: Network = memoryNetwork()): Promise<{ phone: Person; laptop: Person; bob: Person }> {
  const before = await person('alice', network, clock, { seed: 'phone' });
  await before.client.close();
  const { store, list } = await joined(before, clock, 'laptop');
  await list();
  const phone = await person('alice', network, clock, { seed: 'phone again', store: before.store });
  const laptop = await person('alice', network, clock, { seed: 'laptop again', store });
  await published(laptop);
  const bob = await person('bob', network, clock);
  return { phone, laptop, bob };
}
/** Once its first keys are with the directory. */
async function published({ store }: Person): Promise<void> {
  while (store.rows().has('["publish"]')) await new Promise((resolve) => setImmediate(resolve));
}
const closeAll = (people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));

describe('an account with two devices', () => {
  test('what is sent to it reaches both; what one sends, the other sees in the conversation', async () => {
    const clock = { ms: START };
    const { phone, laptop, bob } = await people(clock);
    const sent = await bob.client.send('alice', 'to both');
    expect((await phone.read()).text).toBe('to both');
    expect((await laptop.read()).text).toBe('to both');
    await sent.until('accepted');

    const answer = await laptop.client.send('bob', 'from the laptop');
    expect(await bob.read()).toMatchObject({ text: 'from the laptop', from: { account: 'alice', device: laptop.client.device } });
    expect(await phone.read()).toMatchObject({
      id: answer.id,
      text: 'from the laptop',
      from: { account: 'alice', device: laptop.client.device },
      conversation: { kind: 'person', account: 'bob' },
      trust: 'verified',
    });
    await phone.client.send('bob', 'from the phone');
    expect((await bob.read()).text).toBe('from the phone');
    expect(await laptop.read()).toMatchObject({ text: 'from the phone', conversation: { account: 'bob' } });
    await closeAll([phone, laptop, bob]);
  });
});
