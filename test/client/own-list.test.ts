import { expect, test } from 'vitest';
import { life } from '../../src/client/life.js';
import { ownList } from '../../src/client/own-list.js';
import { mutex } from '../../src/client/platform.js';
import { generateDevice, type VerifiedDeviceList, verifyDeviceList } from '../../src/identity/index.js';
import { START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

test('T30: a list of the account in which this device’s number has another key halts it; one of another account key is none', async () => {
  const device = generateDevice('alice', testRng('alice'), START);
  const own = verifyDeviceList(device.deviceList, device.accountKey.publicKey);
  const written: unknown[] = [];
  const running = life();
  const db = { commit: async (writes: unknown) => void written.push(writes) };
  const ctx = { db, now: () => START, life: running, lock: mutex(), device: () => device, ownList: () => own };
  const { adopt } = ownList(ctx as never, async () => ({ key: ['publish'], value: null }));
  const entries = [{ ...own.entries[0]!, keyHash: new Uint8Array(64) }];
  const other = { ...own, version: own.version + 1, entries } as VerifiedDeviceList;
  await adopt({ ...other, accountKeyHash: new Uint8Array(64) });
  expect([written, running.hasEnded()]).toEqual([[], false]);
  await expect(adopt(other)).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
  expect(written).toMatchObject([[{ key: ['login', '', 'halted'] }]]);
});
