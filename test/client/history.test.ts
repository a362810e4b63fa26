/** The application's history on its way to a device that was just linked. */

import { describe, expect, test, vi } from 'vitest';
import { encodeUtf8 } from '../../src/bytes.js';
import type { Context } from '../../src/client/context.js';
import { history as openHistory } from '../../src/client/history.js';
import type { Content, Message } from '../../src/client/types.js';
import { TransportError, UsageError } from '../../src/errors.js';
import { limits } from '../../src/limits.js';
import { linked } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { usage } from '../helpers/matchers.js';
import { origin } from '../helpers/origin.js';
import { type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/quick-tabs.js')).quickTabs(await original()));

const PATIENCE = { timeout: 20_000 };
const ROOM = limits.historyPartBytes;
type Part = Extract<Content, { kind: 'history' }>;

const bytes = (length: number, value = 0): Uint8Array => new Uint8Array(length).fill(value);
const partOf = ({ content }: Message): Part => {
  if (content.kind !== 'history') throw new Error(`a message of kind ${content.kind}`);
  return content;
};
const closeAll = (...people: readonly Person[]): Promise<unknown> => Promise.all(people.map(({ client }) => client.close()));
const keysOf = ({ store }: Person, space: string): string[] => [...store.rows().keys()].filter((key) => key.startsWith(`["${space}"`));

const world = async (options: Parameters<typeof person>[3] = {}) => {
  const [network, clock] = [glassNetwork(), { ms: START }];
  const alice = await person('alice', network, clock, options);
  const phone = await linked(alice, network, clock, options);
  return { network, clock, alice, phone };
};
/** The records of one transfer, read to its end. */
async function transferOf(phone: Person): Promise<Part[]> {
  const parts: Part[] = [];
  while (parts.at(-1)?.isLast !== true) parts.push(partOf(await phone.read()));
  return parts;
}

describe('a history for a device that was linked', () => {
  test('arrives whole and in order, as messages of its own kind, in the conversation with nobody else', async () => {
    const { alice, phone, clock } = await world();
    const records = [bytes(0), encodeUtf8('a line')!, bytes(ROOM, 1), bytes(30_000, 2), bytes(30_000, 3), bytes(7, 4)];
    const progress: number[] = [];
    const sending = alice.client.devices.sendHistory(phone.client.device, records, { progress: (count) => progress.push(count) });
    const first = await phone.read();
    expect(first).toMatchObject({
      from: alice.address,
      conversation: { kind: 'person', account: 'alice' },
      text: '',
      sentAtMs: clock.ms,
      receivedAtMs: clock.ms,
      trust: 'verified',
      replayable: false,
    });
    expect(first.disappearAfterMs).toBeUndefined();
    const parts = [partOf(first), ...(await transferOf(phone))];
    await sending;
    expect(parts.map(({ part, records: { length } }) => [part, length])).toEqual([
      [0, 2],
      [1, 1],
      [2, 1],
      [3, 2],
    ]);
    expect(parts.flatMap((part) => part.records)).toEqual(records);
    expect(new Set(parts.map(({ transfer }) => transfer)).size).toBe(1);
    expect(progress).toEqual([2, 3, 4, 6]);
    expect(await phone.readAll()).toEqual([]);
    // Nothing is left of it on either side, and the application that sent it hears nothing of its messages.
    for (const space of ['pending', 'unsent', 'outbox', 'sent', 'log']) expect(keysOf(alice, space)).toEqual([]);
    expect(keysOf(phone, 'inbox')).toEqual([]);
    expect(alice.count('sent')).toBe(0);
    await closeAll(alice, phone);
  });

  test('of nothing is one empty part; another call is another transfer', async () => {
    const { alice, phone } = await world();
    await alice.client.devices.sendHistory(phone.client.device, []);
    const [empty] = await transferOf(phone);
    expect(empty).toEqual({ kind: 'history', transfer: expect.stringMatching(/^[0-9a-f]{32}$/), part: 0, records: [], isLast: true });
    await alice.client.devices.sendHistory(phone.client.device, [bytes(1)]);
    expect((await transferOf(phone))[0]!.transfer).not.toBe(empty!.transfer);
    await closeAll(alice, phone);
  });

  test('gives no receipts, no copies and no sessions: only what the two devices have between them', async () => {
    const { alice, phone, network, clock } = await world({ receipts: 'delivered-and-read' });
    const bob = await person('bob', network, clock);
    await alice.client.send('bob', 'hello');
    await bob.read();
    await phone.read();
    const tablet = await linked(alice, network, clock, { seed: 'tablet' });
    await alice.client.devices.sendHistory(tablet.client.device, [bytes(1)]);
    const message = await tablet.read();
    await message.read();
    expect(partOf(message).records).toEqual([bytes(1)]);
    expect(keysOf(tablet, 'receipt')).toEqual([]);
    const names = (of: Person): string[] => keysOf(of, 'session');
    expect(names(tablet).length).toBeGreaterThan(0);
    expect(keysOf(alice, 'peer').some((key) => key.startsWith('["peer","bob"'))).toBe(true);
    const shared = names(alice).filter((name) => names(tablet).includes(name));
    const withBob = names(bob).filter((name) => names(alice).includes(name));
    expect(withBob.length).toBeGreaterThan(0);
    expect(shared.filter((name) => withBob.includes(name))).toEqual([]);
    expect((await phone.readAll()).map(({ content }) => content.kind)).not.toContain('history');
    await closeAll(alice, phone, tablet, bob);
  });

  test('is there until it is acknowledged, also after a restart', async () => {
    const { alice, phone, network, clock } = await world();
    await alice.client.devices.sendHistory(phone.client.device, [bytes(9, 9)]);
    await vi.waitFor(() => expect(keysOf(phone, 'inbox').length).toBe(1), PATIENCE);
    await phone.client.close();
    const again = await person('alice', network, clock, { store: phone.store, seed: 'again' });
    expect(partOf(await again.read()).records).toEqual([bytes(9, 9)]);
    expect(keysOf(again, 'inbox')).toEqual([]);
    await closeAll(alice, again);
  });

  test('waits for a device that has not come yet, and for a network that is down', async () => {
    const [network, clock] = [glassNetwork(), { ms: START }];
    const alice = await person('alice', network, clock);
    const link = await alice.client.devices.link();
    let sending: Promise<void> | undefined;
    const phone = await linked(alice, network, clock, {
      link: {
        ...link,
        async request(options) {
          const asked = await link.request(options);
          const confirm = async (): Promise<void> => {
            await asked.confirm();
            sending = alice.client.devices.sendHistory(asked.device, [bytes(1, 1)]);
          };
          return { ...asked, confirm };
        },
      },
    });
    await sending;
    expect((await transferOf(phone))[0]!.records).toEqual([bytes(1, 1)]);
    // A full mailbox, as a relay says it.
    network.sendFails = new TransportError('ERR_REJECTED', 'later', { retryAfterMs: 1 });
    let isOver = false;
    const waiting = alice.client.devices.sendHistory(phone.client.device, [bytes(1, 2), bytes(ROOM, 2)]).then(() => {
      isOver = true;
    });
    await vi.waitFor(() => expect(keysOf(alice, 'outbox').length).toBe(1), PATIENCE);
    await alice.observed((record) => record.kind === 'log' && record.event === 'send-retry');
    expect([isOver, keysOf(alice, 'outbox').length, keysOf(alice, 'pending').length]).toEqual([false, 1, 0]);
    network.sendFails = undefined;
    await waiting;
    expect((await transferOf(phone)).length).toBe(2);
    await closeAll(alice, phone);
  });

  test('waits in the mailbox of a device that is away', async () => {
    const { alice, phone, network, clock } = await world();
    await phone.client.close();
    await alice.client.devices.sendHistory(
      phone.client.device,
      Array.from({ length: 5 }, (_, i) => bytes(ROOM, i)),
    );
    const again = await person('alice', network, clock, { store: phone.store, seed: 'again' });
    expect((await transferOf(again)).flatMap(({ records }) => records.map(([first]) => first))).toEqual([0, 1, 2, 3, 4]);
    await closeAll(alice, again);
  });

  test('is refused before anything is read, and at a record that no message holds', async () => {
    const { alice, phone, network, clock } = await world();
    const bob = await person('bob', network, clock);
    let reads = 0;
    const records = (function* () {
      reads += 1;
      yield bytes(1);
    })();
    const { devices } = alice.client;
    const device = usage('ERR_ARGUMENT', 'device');
    for (const wrong of [alice.client.device, bob.client.device, 1.5, '1' as never])
      await expect(devices.sendHistory(wrong, records)).rejects.toThrow(device);
    await expect(phone.client.devices.sendHistory(alice.client.device, records)).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    for (const wrong of [undefined, null, 7, {}, 'text'] as never[])
      await expect(devices.sendHistory(phone.client.device, wrong)).rejects.toThrow(usage('ERR_ARGUMENT', 'records'));
    const send = (options: object): Promise<void> => devices.sendHistory(phone.client.device, records, options as never);
    await expect(send(null as never)).rejects.toThrow(usage('ERR_ARGUMENT', 'options'));
    await expect(send({ progres: () => {} })).rejects.toThrow(usage('ERR_ARGUMENT', 'progres'));
    await expect(send({ progress: 1 })).rejects.toThrow(usage('ERR_ARGUMENT', 'progress'));
    await expect(send({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(reads).toBe(0);
    await expect(devices.sendHistory(phone.client.device, [bytes(1, 1), bytes(ROOM + 1)])).rejects.toMatchObject({
      code: 'ERR_LENGTH',
      field: 'records',
      got: ROOM + 1,
      max: ROOM,
    });
    await expect(alice.client.send('bob', { kind: 'history', transfer: '', part: 0, isLast: true, records: [] })).rejects.toThrow(
      usage('ERR_ARGUMENT', 'content.kind'),
    );
    for (const space of ['pending', 'outbox']) expect(keysOf(alice, space)).toEqual([]);
    await closeAll(alice, phone, bob);
  });

  test('ends at an abort between parts: what was stored arrives, and nothing stays behind', async () => {
    const { alice, phone, network } = await world();
    const [stop, reason] = [new AbortController(), new Error('enough')];
    let read = 0;
    const records = function* () {
      for (;;) yield bytes(ROOM, read++);
    };
    network.beforeSend = async () => {
      if (read > 2) stop.abort(reason);
    };
    await expect(alice.client.devices.sendHistory(phone.client.device, records(), { signal: stop.signal })).rejects.toBe(reason);
    expect([partOf(await phone.read()).part, partOf(await phone.read()).part]).toEqual([0, 1]);
    expect(read).toBe(3);
    await vi.waitFor(
      () => expect([...keysOf(alice, 'outbox'), ...keysOf(alice, 'pending'), ...keysOf(alice, 'sent')]).toEqual([]),
      PATIENCE,
    );
    await closeAll(alice, phone);
  });

  test('a device that is revoked meanwhile gets no more', async () => {
    const { alice, phone } = await world();
    let read = 0;
    const records = async function* () {
      for (;;) {
        // In one process with its network, the other device has its turn between the parts.
        await new Promise((resolve) => setImmediate(resolve));
        yield bytes(ROOM, read++);
      }
    };
    const sending = alice.client.devices.sendHistory(phone.client.device, records());
    sending.catch(() => {});
    await phone.read();
    await alice.client.devices.revoke(phone.client.device);
    await expect(sending).rejects.toThrow(usage('ERR_ARGUMENT', 'device'));
    const before = read;
    await vi.waitFor(() => expect([...keysOf(alice, 'outbox'), ...keysOf(alice, 'pending')]).toEqual([]), PATIENCE);
    expect([read, keysOf(alice, 'linked')]).toEqual([before, []]);
    await closeAll(alice, phone);
  });

  test('what waited for a device that is revoked has not been sent', async () => {
    const { alice, phone, network } = await world();
    network.sendFails = new TransportError('ERR_OFFLINE', 'no network');
    const sending = alice.client.devices.sendHistory(phone.client.device, [bytes(1)]);
    sending.catch(() => {});
    await vi.waitFor(() => expect(keysOf(alice, 'outbox').length).toBe(1), PATIENCE);
    await alice.client.devices.revoke(phone.client.device);
    await expect(sending).rejects.toThrow(usage('ERR_ARGUMENT', 'device'));
    expect(keysOf(alice, 'outbox')).toEqual([]);
    await closeAll(alice, phone);
  });

  test('a device that had to recover is not the one that linked the others: they would not take it from it', async () => {
    const { alice, phone, network, clock } = await world();
    const backup = glassStore();
    await backup.commit([...alice.store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
    await alice.client.close();
    const later = await person('alice', network, clock, { store: alice.store, seed: 'later' });
    await later.seen('status', ({ status }) => status.state === 'online');
    await later.client.close();
    clock.ms += 60_000;
    const restored = await person('alice', network, clock, { store: backup, seed: 'restored' });
    await restored.seen('status', ({ status }) => status.state === 'halted');
    const send = (): Promise<void> => restored.client.devices.sendHistory(phone.client.device, [bytes(1)]);
    await expect(send()).rejects.toMatchObject({ code: 'ERR_STORE_ROLLBACK' });
    await restored.client.recover();
    expect((await restored.client.devices.list()).map(({ device }) => device)).toContain(phone.client.device);
    await expect(send()).rejects.toThrow(usage('ERR_ARGUMENT', 'device'));
    await closeAll(restored, phone);
  });

  test('a client that closes says so', async () => {
    const { alice, phone, network } = await world();
    network.sendFails = new TransportError('ERR_OFFLINE', 'no network');
    const sending = alice.client.devices.sendHistory(phone.client.device, [bytes(1)]);
    sending.catch(() => {});
    await vi.waitFor(() => expect(keysOf(alice, 'outbox').length).toBe(1), PATIENCE);
    await alice.client.close();
    await expect(sending).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await phone.client.close();
  });
});

test('a part that is taken back, since nobody has keys for it, is said to be: by its device if that is gone', async () => {
  const entries = [{ device: 7, keyHash: bytes(64), dhKey: bytes(32) }];
  const ctx = {
    db: { read: async ([space]: readonly string[]) => (space === 'sent' ? undefined : bytes(1)), commit: async () => {} },
    device: () => ({ account: 'alice', accountKey: { secretKey: bytes(1) } }),
    ownList: () => ({ entries }),
    life: { assertOpen: () => {}, hasEnded: () => false },
    lock: (_: string, task: () => Promise<unknown>) => task(),
    now: () => START,
  } as unknown as Context;
  let onPosted = (): void => {};
  const { historyPart } = openHistory(ctx, {
    post: () => ({ writes: [], committed: () => onPosted() }),
    until: () => Promise.reject(new UsageError('ERR_CLOSED', 'the message was cancelled')),
  }).calls;
  const part = { device: 7, id: 'a'.repeat(32), transfer: 'b'.repeat(32), part: 0, records: [], isLast: true };
  await expect(historyPart(part)).rejects.toThrow(usage('ERR_NO_SESSION', 'device'));
  onPosted = () => void entries.pop();
  await expect(historyPart(part)).rejects.toThrow(usage('ERR_ARGUMENT', 'device'));
});

test.each([
  [256, 48],
  [72, 48],
  [64, 40],
  [24, 12],
])('a carrier of %i KiB takes parts of %i KiB', async (carrierKiB, partKiB) => {
  const ctx = {
    db: { read: async () => bytes(1) },
    device: () => ({ accountKey: { secretKey: bytes(1) } }),
    ownList: () => ({ entries: [{ device: 7, keyHash: bytes(64) }] }),
    life: { assertOpen: () => {} },
    transport: { limits: { maxBytes: carrierKiB * 1024 } },
  } as unknown as Context;
  expect(await openHistory(ctx, {} as never).calls.historyOpen({ device: 7 })).toEqual({ partBytes: partKiB * 1024 });
});

describe('several tabs', () => {
  test('one that does not lead sends; the leader closes meanwhile, and each part is shown once, in a tab that does not lead', async () => {
    const [network, clock] = [glassNetwork(), { ms: START }];
    const open = (at: ReturnType<typeof origin>, seed: string) => {
      const tab = at.tab();
      return person('alice', tab.network(network), clock, { store: tab.store as never, seed });
    };
    const [desk, mobile] = [origin(), origin()];
    const [first, second] = [await open(desk, 'first'), await open(desk, 'second')];
    const tab = mobile.tab();
    const store: GlassStore = { ...mobile.inner, ...tab.store };
    const phone = await linked(first, tab.network(network), clock, { store });
    const other = await open(mobile, 'other');
    const records = Array.from({ length: 6 }, (_, i) => bytes(ROOM, i));
    let closing: Promise<void> | undefined;
    let partCount = 0;
    network.beforeSend = async ({ length }) => {
      if (length < ROOM || ++partCount !== 4) return;
      // It is in the store by now, and goes out by the other tab's engine.
      closing = first.client.close();
      throw new TransportError('ERR_OFFLINE', 'no network');
    };
    const sending = second.client.devices.sendHistory(phone.client.device, records);
    const parts = await transferOf(other);
    await sending;
    await closing;
    expect(parts.map(({ part }) => part)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(parts.flatMap((part) => part.records)).toEqual(records);
    expect(await other.readAll()).toEqual([]);
    expect([...desk.inner.rows().keys()].filter((key) => /^\["(pending|outbox|sent)"/.test(key))).toEqual([]);
    await closeAll(second, phone, other);
  });
});
