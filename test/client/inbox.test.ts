import { expect, test } from 'vitest';
import { inbox } from '../../src/client/inbox.js';
import { type InboxRecord, inboxRecord } from '../../src/client/records.js';
import { START } from '../helpers/people.js';

const trueOne = new Uint8Array(64).fill(1);
const record = (n: number, change: Partial<InboxRecord> = {}): InboxRecord => ({
  ...{ id: n.toString(16).padStart(32, '0'), account: 'alice', device: 1, accountKeyHash: trueOne, payload: new Uint8Array(1) },
  ...{ receivedAtMs: START, replayable: false, ...change },
});

/** An inbox with these messages, of accounts that are pinned with device 1. */
async function holding(...messages: readonly (readonly [record: InboxRecord, isClaimed: boolean])[]) {
  const db = {
    list: async () => [],
    read: async ([, seq]: readonly string[]) => inboxRecord.encode(messages[Number.parseInt(seq!, 16) - 1]![0]),
  };
  const mayShow = (_: string, [first]: Uint8Array, device = 1): boolean => first === 1 && device === 1;
  const ctx = { db, observer: { gauge() {} }, now: () => START };
  const self = await inbox(
    ctx as never,
    { mayShow } as never,
    () => true,
    () => {},
  );
  for (const [at, [message, isClaimed]] of messages.entries()) self.added(at + 1, message, isClaimed);
  return self;
}

test('what is confirmed with a pin is what came before it from the pinned identity and its devices: once, and nothing else', async () => {
  const self = await holding(
    [record(1), false],
    [record(2), true],
    [record(3, { device: 2 }), true],
    [record(4, { accountKeyHash: new Uint8Array(64).fill(2) }), true],
    [record(5, { account: 'bob' }), true],
    [record(6, { device: 3 }), true],
  );
  expect((await self.claimedOf('alice')).map(({ id }) => Number(id))).toEqual([2]);
  expect(self.unconfirmedOf('alice')).toEqual([3, 4, 6]);
  expect(self.unconfirmedOf('alice', { device: 2, accountKeyHash: trueOne })).toEqual([3]);
  expect(self.unconfirmedOf('alice', { device: 2, accountKeyHash: new Uint8Array(64).fill(2) })).toEqual([]);
  self.settled('alice');
  expect(await self.claimedOf('alice')).toEqual([]);
  expect(await self.claimedOf('bob')).toHaveLength(1);
});
