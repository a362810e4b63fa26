import { expect, test } from 'vitest';
import type { Context } from '../../src/client/context.js';
import { mutex } from '../../src/client/platform.js';
import { sentRecord } from '../../src/client/records.js';
import { sentMessages } from '../../src/client/sent.js';
import { TransportError } from '../../src/errors.js';

test('why messages failed is remembered of the last thousand; of others, that they did', async () => {
  const record = { to: 'bob', state: 'failed', atMs: 1, seq: 1, waitingFor: [], accepted: 0 };
  const sent = sentMessages({
    db: { read: async () => sentRecord.encode(record) },
    life: { assertOpen: () => {}, race: <T>(promise: Promise<T>) => promise },
    events: { emit: () => {} },
    settings: { receipts: 'off' },
  } as unknown as Context);
  const count = 1_100;
  const errors = Array.from({ length: count }, (_, i) => new TransportError('ERR_REJECTED', `number ${i}`));
  for (const [i, error] of errors.entries()) sent.announce(String(i), {}, 'failed', error);
  const verdict = (i: number): Promise<unknown> =>
    sent.until({ id: String(i), state: 'failed', until: 'accepted' }).then(
      () => 'accepted',
      (error: unknown) => error,
    );
  expect(await verdict(count - 1)).toBe(errors[count - 1]);
  expect(await verdict(100)).toBe(errors[100]);
  expect(await verdict(99)).toMatchObject({ code: 'ERR_REJECTED', message: 'the message was refused for good' });
});

test('a receipt that comes while the relay’s answer is being noted is told', async () => {
  const record = { to: 'bob', state: 'queued', atMs: 1, seq: 1, waitingFor: [], accepted: 0 };
  const id = '01'.repeat(16);
  const events: unknown[] = [];
  const lock = mutex();
  let isHeld = false;
  let goOn = (): void => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const sent = sentMessages({
    lock,
    db: {
      async read([space]: readonly string[]) {
        const row = space === 'sent' ? sentRecord.encode(record) : undefined;
        if (isHeld) await held;
        return row;
      },
    },
    events: { emit: (event: unknown) => void events.push(event) },
    settings: { receipts: 'delivered' },
  } as unknown as Context);
  const { committed } = await sent.receipts({ account: 'bob' } as never, {
    t: 'receipts',
    delivered: [new Uint8Array(16).fill(1)],
    read: [],
  });
  isHeld = true;
  const noted = lock(`sent ${id}`, async () => {
    committed?.();
    await new Promise((turn) => setImmediate(turn));
    record.state = 'accepted';
    sent.announce(id, {}, 'accepted');
  });
  await noted;
  goOn();
  await lock(`sent ${id}`, async () => {});
  expect(events).toMatchObject([{ state: 'accepted' }, { state: 'delivered' }]);
});

test('a message that has failed is not said to be delivered, though a device has told so', async () => {
  const id = '01'.repeat(16);
  const events: unknown[] = [];
  const record = { to: 'bob', state: 'queued', atMs: 1, seq: 1, waitingFor: [], accepted: 0 };
  const lock = mutex();
  const sent = sentMessages({
    lock,
    db: { read: async ([space]: readonly string[]) => (space === 'sent' ? sentRecord.encode(record) : undefined) },
    events: { emit: (event: unknown) => void events.push(event) },
    settings: { receipts: 'delivered' },
  } as unknown as Context);
  const { committed } = await sent.receipts({ account: 'bob' } as never, {
    t: 'receipts',
    delivered: [new Uint8Array(16).fill(1)],
    read: [],
  });
  committed?.();
  await lock(`sent ${id}`, async () => {});
  sent.announce(id, {}, 'failed');
  sent.announce(id, {}, 'accepted');
  // The protocol's own: nothing that an application hears of.
  sent.announce('02'.repeat(16), { isControl: true }, 'accepted');
  expect(events).toMatchObject([{ state: 'failed' }, { state: 'accepted' }]);
});
