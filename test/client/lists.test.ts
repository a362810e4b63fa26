import { expect, test } from 'vitest';
import type { ControlSender } from '../../src/client/control.js';
import { lists } from '../../src/client/lists.js';
import { StoreError } from '../../src/errors.js';
import { sessionLimits } from '../../src/limits.js';
import { coded } from '../helpers/matchers.js';
import { START } from '../helpers/people.js';

const phone = new Uint8Array(64).fill(1);
const laptop = new Uint8Array(64).fill(2);

test('a device that speaks of an older list is told the newest one: it alone, and not again before the time', async () => {
  const clock = { ms: START };
  const own = { version: 5 };
  const told: unknown[] = [];
  const disk = { isFull: false };
  const ctx = {
    now: () => clock.ms,
    ownList: () => own,
    device: () => ({ deviceKey: {}, deviceList: new Uint8Array() }),
    db: {
      async commit() {
        if (disk.isFull) throw new StoreError('ERR_STORE_FULL', 'no space');
      },
    },
    observer: { log() {} },
  };
  const contact = { listVersion: 1, listHash: new Uint8Array(8) };
  const contacts = { load: async () => contact, isSendable: () => true, askFor() {} };
  const outbox = {
    post: (account: string, { t }: { t: string }, { only, sessionsOnly }: { only: unknown; sessionsOnly: boolean }) => {
      told.push([account, t, only, sessionsOnly]);
      return { writes: [], committed() {} };
    },
  };
  const { heard } = lists(ctx as never, contacts as never, outbox as never, () => new Uint8Array());
  const says = (deviceKeyHash: Uint8Array, peerListVersion: number): Promise<void> =>
    heard({ account: 'bob', deviceKeyHash } as ControlSender, { ownListVersion: 1, ownListHash: new Uint8Array(8), peerListVersion });
  const toldSince = (): unknown[] => told.splice(0);

  await says(phone, 5);
  expect(toldSince()).toEqual([]);
  await says(phone, 4);
  await says(phone, 4);
  await says(laptop, 3);
  expect(toldSince()).toEqual([
    ['bob', 'keys', [phone], true],
    ['bob', 'keys', [laptop], true],
  ]);
  // The same list again after a day, a newer one after ten minutes.
  clock.ms += sessionLimits.toldAgainMs - 1;
  await says(phone, 4);
  expect(toldSince()).toEqual([]);
  clock.ms += 1;
  await says(phone, 4);
  expect(toldSince()).toHaveLength(1);
  own.version = 6;
  clock.ms += sessionLimits.listRefetchMs - 1;
  await says(phone, 5);
  expect(toldSince()).toEqual([]);
  clock.ms += 1;
  await says(phone, 5);
  expect(toldSince()).toHaveLength(1);
  // What could not be committed was not told.
  clock.ms += sessionLimits.toldAgainMs;
  disk.isFull = true;
  await expect(says(phone, 5)).rejects.toThrow(coded('ERR_STORE_FULL'));
  disk.isFull = false;
  await says(phone, 5);
  expect(toldSince()).toHaveLength(2);
});
