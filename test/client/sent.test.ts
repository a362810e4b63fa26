import { expect, test } from 'vitest';
import type { Context } from '../../src/client/context.js';
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
