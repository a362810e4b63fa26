import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, joinAccount, type Login, type Message, type Network } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createDropBox } from '../../examples/relay/dropbox.js';
import { defaultLimits, Later, Refused } from '../../examples/relay/limits.js';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { parseLinkCode } from '../../src/identity/linking.js';

let folder = '';
let server: Relay;
const open: Client[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cyphr-linking-'));
  server = await startRelay({ data: folder, logLevel: 'silent' });
});
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(open.splice(0).map((client) => client.close()));
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const client = async (account: string): Promise<Client> => {
  const made = await createClient({ account, store: memoryStore(), ...relay(server.url) });
  open.push(made);
  return made;
};
const read = async (from: Client): Promise<Message> => {
  for await (const message of from.messages()) {
    await message.ack();
    return message;
  }
  throw new Error('the client closed');
};
const halted = (of: Client): Promise<void> =>
  new Promise((resolve) => {
    of.on('status', ({ status }) => status.state === 'halted' && resolve());
    if (of.status.state === 'halted') resolve();
  });

describe('linking by way of the reference relay', () => {
  test('T31: a second device is linked, gets and sends as the account, and is revoked', async () => {
    const [alice, bob] = [await client('alice'), await client('bob')];
    const store = memoryStore();
    const link = await alice.devices.link();
    const joining = await joinAccount({ account: 'alice', store, ...relay(server.url), code: link.typed });
    const asked = await link.request();
    expect(asked.confirmation).toBe(joining.confirmation);
    await asked.confirm();
    const phone = await joining.client();
    open.push(phone);
    const names = (await phone.devices.list()).map(({ device }) => device);
    expect(names.sort()).toEqual([alice.device, phone.device].sort());
    expect(await phone.devices.fingerprint()).toBe(await alice.devices.fingerprint());

    await (await phone.send('bob', 'from the phone')).until('accepted');
    const first = await read(bob);
    expect([first.text, first.from]).toEqual(['from the phone', { account: 'alice', device: phone.device }]);
    const copy = await read(alice);
    expect([copy.text, copy.conversation]).toEqual(['from the phone', { kind: 'person', account: 'bob' }]);
    await bob.send(first.conversation, 'to both');
    expect([(await read(alice)).text, (await read(phone)).text]).toEqual(['to both', 'to both']);

    await alice.devices.revoke(phone.device);
    await halted(phone);
    await expect(phone.recover()).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    expect(await alice.devices.list()).toEqual([{ device: alice.device, self: true, isPrimary: true }]);
  });

  test('T31: whoever has read the code and is faster is not confirmed: the two screens differ, and the true device is told', async () => {
    const alice = await client('alice');
    const link = await alice.devices.link();
    const attacker = await joinAccount({ account: 'alice', store: memoryStore(), ...relay(server.url), code: link.qr });
    const rightful = joinAccount({ account: 'alice', store: memoryStore(), ...relay(server.url), code: link.qr });
    await expect(rightful).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    const asked = await link.request();
    // Nobody in the room shows this string.
    expect(asked.confirmation).toBe(attacker.confirmation);
    const opened = attacker.client();
    opened.catch(() => {});
    await asked.reject();
    await expect(opened).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    expect((await alice.devices.list()).length).toBe(1);
  });

  test('T31: a relay that puts another request in its place shows two strings; one that puts another answer there is found out', async () => {
    const alice = await client('alice');
    const honest = relay(server.url);
    const outside = honest.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('none')) });
    /** What the victim sees of the drop box: his request goes nowhere, and his answer is the relay's. */
    const between: Network = {
      ...honest,
      directory: (login: Login) => ({
        ...honest.directory(login),
        leave: async () => {},
        pickUp: async (slot, options) => ((await link).slots.has(slot) ? outside.pickUp!(slot, options) : new Uint8Array(5_000).fill(1)),
      }),
    };
    const made = alice.devices.link();
    const link = made.then((shown) => ({ shown, slots: new Set([parseLinkCode(shown.qr, 'alice').offerSlot]) }));
    const { shown } = await link;
    const victim = await joinAccount({ account: 'alice', store: memoryStore(), ...between, code: shown.qr });
    const attacker = await joinAccount({ account: 'alice', store: memoryStore(), ...honest, code: shown.qr });
    const asked = await shown.request();
    expect(asked.confirmation).toBe(attacker.confirmation);
    expect(asked.confirmation).not.toBe(victim.confirmation);
    await expect(victim.client()).rejects.toMatchObject({ code: 'ERR_DECRYPT' });
    await asked.reject();
  });
});

describe('the drop box of the relay', () => {
  const name = (n: number): string => n.toString(16).padStart(32, '0');
  const never = new AbortController().signal;

  test('forgets after a quarter of an hour, holds so much and no more', async () => {
    vi.useFakeTimers();
    const box = createDropBox({ ...defaultLimits, slotCount: 3, slotTotalBytes: 1_000 });
    for (const n of [1, 2]) box.leave(name(n), Buffer.alloc(400, n));
    expect(() => box.leave(name(3), Buffer.alloc(400))).toThrow(Later);
    box.leave(name(3), Buffer.alloc(200));
    expect(() => box.leave(name(4), Buffer.alloc(1))).toThrow(Later);
    box.leave(name(1), Buffer.alloc(400, 1));
    expect(() => box.leave(name(1), Buffer.alloc(400, 2))).toThrow(Refused);
    for (const bad of ['', 'x'.repeat(32), name(5).toUpperCase().replace('0', 'A')]) {
      expect(() => box.leave(bad, Buffer.alloc(1))).toThrow(Refused);
      await expect(box.pickUp(bad, never)).rejects.toThrow(Refused);
    }
    vi.advanceTimersByTime(15 * 60_000);
    const empty = box.pickUp(name(1), never);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(await empty).toBeUndefined();
    for (const n of [5, 6]) box.leave(name(n), Buffer.alloc(400, n));
    expect((await box.pickUp(name(6), never))?.length).toBe(400);
  });

  test('ends a question when who asks has gone, and all when the relay closes', async () => {
    const box = createDropBox(defaultLimits);
    const gone = new AbortController();
    const [first, second] = [box.pickUp(name(1), gone.signal), box.pickUp(name(1), never)];
    gone.abort();
    expect(await first).toBeUndefined();
    box.close();
    expect(await second).toBeUndefined();
  });

  test('of one network address takes so many writes in a minute', async () => {
    await server.close();
    server = await startRelay({ data: join(folder, 'strict'), logLevel: 'silent', limits: { leavesPerMinute: 2 } });
    const directory = relay(server.url).directory({ address: { account: 'a', device: 1 }, prove: () => Promise.reject(new Error('none')) });
    for (const n of [1, 2]) await directory.leave!(name(n), new Uint8Array(9));
    await expect(directory.leave!(name(3), new Uint8Array(9))).rejects.toMatchObject({
      code: 'ERR_REJECTED',
      retryAfterMs: expect.any(Number),
    });
  });
});
