/** What a code is good for, and what a drop box can do with what lies in it. */

import { describe, expect, test } from 'vitest';
import { parseLinkCode } from '../../src/identity/linking.js';
import { linkLimits } from '../../src/limits.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Directory, Network } from '../../src/transport/port.js';
import { introduced, joining } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { type Person, person, START } from '../helpers/people.js';

/** Version, 32 bytes drawn, tag: nothing else in a drop box is as long. */
const CHALLENGE_BYTES = 49;

type Leave = NonNullable<Directory['leave']>;

/** `leaving`: how the drop box takes a challenge. */
const world = async (leaving?: (slot: string, challenge: Uint8Array, leave: Leave) => Promise<void>) => {
  const inner = memoryNetwork();
  const network: Network = {
    ...inner,
    directory: (login) => {
      const directory = inner.directory(login);
      const leave: Leave = (slot, bytes, options) =>
        leaving === undefined || bytes.length !== CHALLENGE_BYTES
          ? directory.leave!(slot, bytes, options)
          : leaving(slot, bytes, (...call) => directory.leave!(...call));
      return { ...directory, leave };
    },
  };
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  return { network, clock, alice };
};
const coded = (code: string) => expect.objectContaining({ code });
const closeAll = (...people: readonly Person[]) => Promise.all(people.map(({ client }) => client.close()));

describe('T31: codes', () => {
  test('a code is good for one request', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'first'));
    await expect(joining('alice', network, clock, link.qr, 'second').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    expect(asked.confirmation).toBe(joined.confirmation);
    await asked.confirm();
    await (await joined.client()).close();
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(2);
    await expect(joining('alice', network, clock, link.qr, 'replayed').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await closeAll(alice);
  });

  test('a request is answered once: the same answer again is the same promise, the other one is an error that says so', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'confirmed'));
    const confirmed = asked.confirm();
    expect(asked.confirm()).toBe(confirmed);
    const twice = { name: 'UsageError', code: 'ERR_ARGUMENT', field: 'request', message: expect.stringContaining('confirmed') };
    await expect(asked.reject()).rejects.toMatchObject(twice);
    await confirmed;
    expect(asked.confirm()).toBe(confirmed);
    await expect(asked.reject()).rejects.toMatchObject(twice);
    await (await joined.client()).close();
    expect((await alice.client.devices.list()).length).toBe(2);

    const other = await alice.client.devices.link();
    const refused = await introduced(other, joining('alice', network, clock, other.qr, 'rejected'));
    const client = refused.joined.client();
    const rejected = refused.asked.reject();
    expect(refused.asked.reject()).toBe(rejected);
    await rejected;
    await expect(client).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(refused.asked.confirm()).rejects.toMatchObject({ code: 'ERR_ARGUMENT', message: expect.stringContaining('rejected') });
    expect((await alice.client.devices.list()).length).toBe(2);
    await closeAll(alice);
  });

  test('an answer that failed can be given again', async () => {
    const network = glassNetwork();
    const clock = { ms: START };
    const alice = await person('alice', network, clock);
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'again'));
    network.directoryDown = true;
    await expect(asked.reject()).rejects.toThrow(coded('ERR_OFFLINE'));
    network.directoryDown = false;
    await asked.confirm();
    await (await joined.client()).close();
    await closeAll(alice);
  });

  test('a code is good for ten minutes, also one that was asked with', async () => {
    const { network, clock, alice } = await world();
    const late = await alice.client.devices.link();
    expect(late.expiresAtMs).toBe(START + linkLimits.codeMs);
    const { joined, asked } = await introduced(late, joining('alice', network, clock, late.qr, 'late'));
    clock.ms = late.expiresAtMs;
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(late.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    expect(joined.confirmation).toBe(asked.confirmation);
    await closeAll(alice);
  });

  test('a new code ends the one before, and a client that closes ends them all', async () => {
    const { network, clock, alice } = await world();
    const [first, second] = [await alice.client.devices.link(), await alice.client.devices.link()];
    await expect(first.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    const waiting = second.request();
    waiting.catch(() => {});
    await alice.client.close();
    await expect(waiting).rejects.toThrow(coded('ERR_CLOSED'));
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    // The offer still lies there; nobody takes the request.
    const [stop, reason] = [new AbortController(), new Error('enough')];
    const { join } = joining('alice', network, clock, second.qr, 'x', stop);
    const { requestSlot } = parseLinkCode(second.qr, 'alice');
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    expect(await anyone.pickUp!(requestSlot)).toBeDefined();
    stop.abort(reason);
    await expect(join).rejects.toBe(reason);
    expect((await again.client.devices.list()).length).toBe(1);
    await closeAll(again);
  });

  test.each([0, 2, 4, 8])('a new code, %i microtasks after a confirmation, comes before it or spoils nothing', async (ticks) => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    const confirmed = asked.confirm().then(
      () => true,
      (error) => expect(error).toEqual(coded('ERR_TIMEOUT')),
    );
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    await alice.client.devices.link();
    if ((await confirmed) === true) await (await joined.client()).close();
    expect((await alice.client.devices.list()).length).toBe((await confirmed) === true ? 2 : 1);
    await closeAll(alice);
  });

  test('garbage in the place of a request uses the code up, without a device', async () => {
    const { network, alice } = await world();
    const link = await alice.client.devices.link();
    const { requestSlot } = parseLinkCode(link.qr, 'alice');
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    await anyone.leave!(requestSlot, new Uint8Array(3_200).fill(7));
    await expect(link.request()).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
  });

  test.each(['swapped', 'put there first'] as const)('a challenge that the relay has %s is refused, and nobody is linked', async (how) => {
    const forged = new Uint8Array(CHALLENGE_BYTES).fill(7);
    // It knows where the challenge will lie, as it sees the new device ask for it.
    const { network, clock, alice } = await world(async (slot, challenge, leave) => {
      await leave(slot, forged);
      if (how === 'put there first') await leave(slot, challenge);
    });
    const link = await alice.client.devices.link();
    const { join, store } = joining('alice', network, clock, link.qr, 'phone');
    const request = link.request();
    request.catch(() => {});
    await expect(join).rejects.toThrow(coded('ERR_DECRYPT'));
    expect(store.commits).toBe(0);
    // Where it is told that its own challenge is not the one that lies there, the old device is done with the code, too.
    if (how === 'put there first') await expect(request).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    else await (await request).reject();
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
  });

  test('a challenge of another linking of the same two devices is refused', async () => {
    const challenges: Uint8Array[] = [];
    const { network, clock, alice } = await world(async (slot, challenge, leave) => {
      challenges.push(challenge);
      await leave(slot, challenges[0]!);
    });
    const former = await alice.client.devices.link();
    const { joined, asked } = await introduced(former, joining('alice', network, clock, former.qr, 'phone'));
    expect(joined.confirmation).toBe(asked.confirmation);
    await asked.reject();
    const link = await alice.client.devices.link();
    const { join } = joining('alice', network, clock, link.qr, 'phone');
    const later = await link.request();
    await expect(join).rejects.toThrow(coded('ERR_DECRYPT'));
    expect(challenges.length).toBe(2);
    expect(later.confirmation).not.toBe(asked.confirmation);
    await closeAll(alice);
  });

  test('a challenge is drawn once for a request: one whose acknowledgement was lost is left again as it is', async () => {
    const challenges: Uint8Array[] = [];
    const { network, clock, alice } = await world(async (slot, challenge, leave) => {
      challenges.push(challenge);
      await leave(slot, challenge);
      if (challenges.length === 1) throw new Error('the answer was lost');
    });
    const link = await alice.client.devices.link();
    const [stop, reason] = [new AbortController(), new Error('enough')];
    const first = link.request(stop);
    // The new device shows its string; the old one does not yet, and its person asks once more.
    const joined = await joining('alice', network, clock, link.qr, 'phone').join;
    stop.abort(reason);
    await expect(first).rejects.toBe(reason);
    const asked = await link.request();
    expect(asked.confirmation).toBe(joined.confirmation);
    expect(challenges.length).toBe(2);
    expect(challenges[1]).toEqual(challenges[0]);
    await asked.confirm();
    await (await joined.client()).close();
    await closeAll(alice);
  });
});
