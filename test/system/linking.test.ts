import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, type Directory, joinAccount, type Login, type Message, type Network } from '@cyphr/e2ee';
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
    const [joining, asked] = await Promise.all([
      joinAccount({ account: 'alice', store, ...relay(server.url), code: link.typed }),
      link.request(),
    ]);
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

  test('T31: whoever has read the code and is faster is not confirmed: the true device shows no string, and is told', async () => {
    const alice = await client('alice');
    const link = await alice.devices.link();
    const [attacker, asked] = await Promise.all([
      joinAccount({ account: 'alice', store: memoryStore(), ...relay(server.url), code: link.qr }),
      link.request(),
    ]);
    const rightful = joinAccount({ account: 'alice', store: memoryStore(), ...relay(server.url), code: link.qr });
    await expect(rightful).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    // Nobody in the room shows this string.
    expect(asked.confirmation).toBe(attacker.confirmation);
    const opened = attacker.client();
    opened.catch(() => {});
    await asked.reject();
    await expect(opened).rejects.toMatchObject({ code: 'ERR_DEVICE_UNTRUSTED' });
    expect((await alice.devices.list()).length).toBe(1);
  });

  test.each([
    ['nothing', undefined],
    ['bytes of its own', new Uint8Array(49).fill(1)],
    ['the challenge to its own request', 'challenge'],
  ])(
    'T31: a relay that puts another request in its place, and for the challenge %s, gets no string from the true device',
    async (_, given) => {
      const alice = await client('alice');
      const honest = relay(server.url);
      const shown = await alice.devices.link();
      const { offerSlot, requestSlot } = parseLinkCode(shown.qr, 'alice');
      let seen: Uint8Array | undefined;
      /** What the attacker learns: the challenge to his request, as it comes to him. */
      const outside: Network = {
        ...honest,
        directory: (login: Login) => {
          const directory = honest.directory(login);
          const pickUp: Directory['pickUp'] = async (slot, options) => {
            const found = await directory.pickUp!(slot, options);
            if (slot !== offerSlot && found?.length === 49) seen = found;
            return found;
          };
          return { ...directory, pickUp };
        },
      };
      const [attacker, asked] = await Promise.all([
        joinAccount({ account: 'alice', store: memoryStore(), ...outside, code: shown.qr }),
        shown.request(),
      ]);
      expect(asked.confirmation).toBe(attacker.confirmation);
      expect(seen).toBeDefined();
      /** What the victim sees of the drop box: his request goes nowhere, and what answers it is the relay's. */
      const stop = new AbortController();
      const asks: string[] = [];
      const between: Network = {
        ...honest,
        directory: (login: Login) => ({
          ...honest.directory(login),
          leave: async (slot: string) => expect(slot).toBe(requestSlot),
          pickUp: async (slot: string, options?: { signal?: AbortSignal | undefined }) => {
            if (slot === offerSlot) return honest.directory(login).pickUp!(slot, options);
            asks.push(slot);
            if (given === undefined && asks.length === 3) stop.abort(new Error('enough'));
            return given === 'challenge' ? seen : (given as Uint8Array | undefined);
          },
        }),
      };
      const victim = joinAccount({ account: 'alice', store: memoryStore(), ...between, code: shown.qr, signal: stop.signal });
      if (given === undefined) await expect(victim).rejects.toThrow('enough');
      else await expect(victim).rejects.toMatchObject({ code: 'ERR_DECRYPT' });
      expect(asks.length).toBe(given === undefined ? 3 : 1);
      await asked.reject();
    },
  );
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
