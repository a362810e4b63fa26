import { createClient, eraseStore, exportAccount, importAccount } from '@cyphr/e2ee';
import { rawKeySlot, sealedStore } from '@cyphr/e2ee/store/sealed';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { expect, test } from 'vitest';
import { memoryStore } from '../../src/store/memory.js';
import type { Store } from '../../src/store/port.js';
import { PLAIN_SPACES } from '../../src/store/sealed/plain.js';

/** A base that a test can search, and that outlives the client. */
function searchable(): Store & { text(): string; spaces(): Set<string> } {
  const inner = memoryStore();
  const rows = new Map<string, string>();
  const spaces = new Set<string>();
  return {
    ...inner,
    text: () => [...rows].join('\n'),
    spaces: () => spaces,
    async commit(writes) {
      await inner.commit(writes);
      for (const { key, value } of writes) {
        spaces.add(key[0]);
        if (value === null) rows.delete(key.join(' '));
        else rows.set(key.join(' '), Buffer.from(value).toString('latin1'));
      }
    },
    close: async () => {},
  };
}

const ALICE = 'alice-of-the-long-name';
const BOB = 'bob-of-the-long-name';
const slot = (): ReturnType<typeof rawKeySlot> => rawKeySlot(new Uint8Array(32).fill(3));

test('a conversation with restarts on sealed stores leaves neither names nor words on the disk', async () => {
  const network = memoryNetwork();
  const disks = { [ALICE]: searchable(), [BOB]: searchable() };
  const open = (account: typeof ALICE | typeof BOB) => createClient({ account, store: sealedStore(disks[account]!, slot()), ...network });
  const said: string[] = [];
  for (let round = 0; round < 3; round++) {
    const clients = { [ALICE]: await open(ALICE), [BOB]: await open(BOB) };
    for (const [from, to] of [
      [ALICE, BOB],
      [BOB, ALICE],
    ] as const) {
      const words = `words that nobody else may read, ${round}, to ${to}`;
      said.push(words);
      await (await clients[from]!.send(to, words)).until('accepted');
      for await (const message of clients[to]!.messages()) {
        expect([message.from.account, message.text]).toEqual([from, words]);
        await message.ack();
        break;
      }
    }
    await Promise.all([clients[ALICE]!.close(), clients[BOB]!.close()]);
  }
  for (const disk of Object.values(disks)) {
    expect([...disk.spaces()]).toEqual(['sealed']);
    expect(disk.text().length).toBeGreaterThan(10_000);
    for (const secret of [ALICE, BOB, 'words that', 'session', 'contact', ...said]) expect(disk.text()).not.toContain(secret);
  }
  await expect(
    createClient({ account: ALICE, store: sealedStore(disks[ALICE]!, rawKeySlot(new Uint8Array(32))), ...network }),
  ).rejects.toMatchObject({
    code: 'ERR_STORE_KEY',
  });
}, 20_000);

test('a client’s plain store is sealed once, and goes on as the same device', async () => {
  const network = memoryNetwork();
  const disk = searchable();
  const before = await createClient({ account: ALICE, store: disk, ...network });
  const bob = await createClient({ account: BOB, store: memoryStore(), ...network });
  await (await before.send(BOB, 'from the plain store')).until('accepted');
  const { device } = before;
  await before.close();
  expect([...disk.spaces()].filter((space) => !PLAIN_SPACES.includes(space))).toEqual([]);

  await expect(createClient({ account: ALICE, store: sealedStore(disk, slot()), ...network })).rejects.toMatchObject({
    code: 'ERR_STORE_KEY',
    field: 'plainRecords',
  });
  const after = await createClient({ account: ALICE, store: sealedStore(disk, slot(), { plainRecords: 'seal' }), ...network });
  expect(after.device).toBe(device);
  await (await after.send(BOB, 'from the sealed store')).until('accepted');
  const got: string[] = [];
  for await (const message of bob.messages()) {
    got.push(message.text);
    await message.ack();
    if (got.length === 2) break;
  }
  expect(got).toEqual(['from the plain store', 'from the sealed store']);
  await Promise.all([after.close(), bob.close()]);
  expect(disk.text()).not.toContain(BOB);
}, 20_000);

test.each(['nobody knows the name', 'the directory knows the account'])('the base of a sealed store is no empty store: %s', async (how) => {
  const network = memoryNetwork();
  const disk = searchable();
  const account = how.startsWith('nobody') ? BOB : ALICE;
  const before = await createClient({ account: ALICE, store: sealedStore(disk, slot()), ...network });
  const { device } = before;
  await before.close();
  const backup = exportAccount(sealedStore(disk, slot()), slot());
  const text = disk.text();
  const refusal = { code: 'ERR_STORE_KEY', field: 'store', message: expect.stringContaining('sealedStore') };

  await expect(createClient({ account, store: disk, ...network })).rejects.toMatchObject(refusal);
  await expect(importAccount({ account, store: disk, ...network }, backup, slot())).rejects.toMatchObject(refusal);
  await expect(exportAccount(disk, slot()).pipeTo(new WritableStream())).rejects.toMatchObject(refusal);
  expect(disk.text()).toBe(text);

  const after = await createClient({ account: ALICE, store: sealedStore(disk, slot()), ...network });
  expect(after.device).toBe(device);
  await after.close();
  expect((await eraseStore(disk)).keyCount).toBeGreaterThan(0);
});
