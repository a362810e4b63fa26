import { describe, expect, test, vi } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { decodeDevice, keyHash } from '../../src/identity/index.js';
import { parseLinkCode } from '../../src/identity/linking.js';
import { linkLimits } from '../../src/limits.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Directory, Network } from '../../src/transport/port.js';
import { introduced, joining, linked } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { origin } from '../helpers/origin.js';
import { type Person, person, START } from '../helpers/people.js';

const PATIENCE = { timeout: 30_000 };

const world = async () => {
  const network = memoryNetwork();
  const clock = { ms: START };
  const alice = await person('alice', network, clock);
  return { network, clock, alice };
};
const coded = (code: string, field?: string) => expect.objectContaining(field === undefined ? { code } : { code, field });
const closeAll = (...people: readonly Person[]) => Promise.all(people.map(({ client }) => client.close()));

describe('linking a device', () => {
  test('both devices are the account: what is sent to it reaches both, what one sends the other sees', async () => {
    const { network, clock, alice } = await world();
    const bob = await person('bob', network, clock);
    const phone = await linked(alice, network, clock);
    expect(phone.client.device).not.toBe(alice.client.device);
    const ids = [alice.client.device, phone.client.device].sort((a, b) => a - b);
    expect((await alice.client.devices.list()).map(({ device }) => device)).toEqual(ids);
    expect(await phone.client.devices.list()).toEqual(
      ids.map((device) => (device === phone.client.device ? { device, self: true, isPrimary: false } : { device, self: false })),
    );
    await bob.client.send('alice', 'to both');
    expect((await alice.read()).text).toBe('to both');
    expect((await phone.read()).text).toBe('to both');

    await phone.client.send('bob', 'from the phone');
    const atBob = await bob.read();
    expect([atBob.text, atBob.from]).toEqual(['from the phone', phone.address]);
    const copy = await alice.read();
    expect([copy.text, copy.conversation, copy.from]).toEqual(['from the phone', { kind: 'person', account: 'bob' }, phone.address]);
    await alice.client.send('bob', 'from the desk');
    expect((await bob.read()).text).toBe('from the desk');
    expect((await phone.read()).conversation).toEqual({ kind: 'person', account: 'bob' });
    expect(bob.count('identityChanged')).toBe(0);
    await closeAll(alice, bob, phone);
  });

  test('contacts come to the new device, with what a person has verified', async () => {
    const { network, clock, alice } = await world();
    const names = Array.from({ length: 10 }, (_, i) => `friend-${i}`);
    const friends = await Promise.all(names.map((name) => person(name, network, clock)));
    for (const name of names) await (await alice.client.send(name, 'hello')).until('accepted');
    await (await alice.client.contact(names[3]!).safetyNumber()).confirmDigits();
    const phone = await linked(alice, network, clock);
    const pinsOf = ({ store }: Person) => [...store.rows().keys()].filter((key) => key.startsWith('["contact",'));
    await expect.poll(() => pinsOf(phone).length, PATIENCE).toBe(names.length);
    expect(pinsOf(phone).sort()).toEqual(pinsOf(alice).sort());
    const trusts = await Promise.all(names.map(async (name) => (await phone.client.contact(name).identity()).trust));
    expect(trusts).toEqual(names.map((_, i) => (i === 3 ? 'verified' : 'unverified')));
    await expect.poll(() => [...alice.store.rows().keys()].filter((key) => /^\["(grant|share)"/.test(key)), PATIENCE).toEqual([]);
    await closeAll(alice, phone, ...friends);
  });

  test('conversations go on where they stand, with their timers, whatever the new device’s clock says', async () => {
    const clock = { ms: START };
    const network = glassNetwork();
    const [alice, bob] = [await person('alice', network, clock), await person('bob', network, clock)];
    await alice.client.send('bob', { kind: 'timer', disappearAfterMs: 60_000 });
    await bob.read();
    const last = await bob.client.send('alice', 'last');
    await alice.read();
    clock.ms -= 3_600_000;
    const phone = await linked(alice, network, clock);
    await vi.waitFor(() => expect(phone.store.rows().has('["talk","bob"]')).toBe(true), { timeout: 20_000 });
    const sent = await phone.client.send('bob', 'from the phone');
    expect(sent.order > last.order).toBe(true);
    expect(await bob.read()).toMatchObject({ text: 'from the phone', order: sent.order, disappearAfterMs: 60_000 });
    await Promise.all([alice, bob, phone].map(({ client }) => client.close()));
  });

  test('a typed code does, too; the fingerprint is the same on both', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(
      link,
      joining('alice', network, clock, link.typed.toLowerCase().replaceAll('-', ' '), 'phone'),
    );
    expect(asked.confirmation).toBe(joined.confirmation);
    await asked.confirm();
    const phone = await joined.client();
    const row = decodeDevice(alice.store.rows().get('["device"]')!);
    expect(await phone.devices.fingerprint()).toBe(toHex(keyHash(row.accountKey.publicKey)));
    expect(await alice.client.devices.fingerprint()).toBe(await phone.devices.fingerprint());
    await Promise.all([alice.client.close(), phone.close()]);
  });

  test('the new device has no account key: it neither links, nor revokes, nor recovers', async () => {
    const { network, clock, alice } = await world();
    const phone = await linked(alice, network, clock);
    expect(decodeDevice(phone.store.rows().get('["device"]')!).accountKey.secretKey).toBeUndefined();
    await expect(phone.client.devices.link()).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(phone.client.devices.revoke(alice.client.device)).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await closeAll(alice, phone);
  });

  test('nothing is written before the grant, and a refusal ends it at once', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const phone = joining('alice', network, clock, link.qr, 'phone');
    const { store } = phone;
    const close = vi.spyOn(store, 'close');
    const { joined, asked } = await introduced(link, phone);
    expect(store.commits).toBe(0);
    const client = joined.client();
    await asked.reject();
    await expect(client).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    expect(joined.client()).toBe(client);
    expect([store.commits, (await alice.client.devices.list()).length]).toEqual([0, 1]);
    expect(close).not.toHaveBeenCalled();
    await closeAll(alice);
  });

  test('arguments: the store must be empty, the account the right one, the directory with a drop box', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    await expect(joining('alice', network, clock, link.qr, 'x', { store: alice.store }).join).rejects.toThrow(
      coded('ERR_ARGUMENT', 'store'),
    );
    await expect(joining('bob', network, clock, link.qr, 'x').join).rejects.toThrow(coded('ERR_ARGUMENT', 'account'));
    await expect(joining('bob', network, clock, link.typed, 'x').join).rejects.toThrow(coded('ERR_ARGUMENT', 'account'));
    await expect(joining('alice', network, clock, link.typed.slice(1), 'x').join).rejects.toThrow(coded('ERR_ARGUMENT', 'code'));
    const directory = (login: Parameters<Network['directory']>[0]): Directory => ({
      ...network.directory(login),
      leave: undefined as never,
      pickUp: undefined as never,
    });
    await expect(joining('alice', { ...network, directory }, clock, link.qr, 'x').join).rejects.toThrow(coded('ERR_ARGUMENT', 'directory'));
    await closeAll(alice);
    const boxless = await person('carol', { ...network, directory }, clock);
    await expect(boxless.client.devices.link()).rejects.toThrow(coded('ERR_ARGUMENT', 'directory'));
    await closeAll(boxless);
  });

  test('a signal ends the waiting on both sides', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const [stop, reason] = [new AbortController(), new Error('enough')];
    const waiting = link.request(stop);
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(joining('alice', network, clock, link.qr, 'x', stop).join).rejects.toBe(reason);
    const later = new AbortController();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'x', later));
    const client = joined.client();
    later.abort(reason);
    await expect(client).rejects.toBe(reason);
    // Asked for again, it is the same request.
    expect((await link.request()).confirmation).toBe(asked.confirmation);
    await closeAll(alice);
  });

  test('the new device shows nothing before its request was taken: it waits for that as long as a code is good', async () => {
    const { network, clock, alice } = await world();
    const reason = new Error('enough');
    for (const end of ['abort', 'time'] as const) {
      const link = await alice.client.devices.link();
      const stop = new AbortController();
      const waits = vi.fn();
      /** Each question is answered at once. */
      const directory = (login: Parameters<Network['directory']>[0]): Directory => {
        const inner = network.directory(login);
        const pickUp: Directory['pickUp'] = async (slot) => {
          if (slot === parseLinkCode(link.qr, 'alice').offerSlot) return inner.pickUp!(slot);
          waits(slot);
          if (waits.mock.calls.length < 3) return undefined;
          if (end === 'abort') stop.abort(reason);
          else clock.ms += linkLimits.codeMs;
          return undefined;
        };
        return { ...inner, pickUp };
      };
      const { join, store } = joining('alice', { ...network, directory }, clock, link.qr, end, stop);
      await expect(join).rejects.toEqual(end === 'abort' ? reason : coded('ERR_TIMEOUT'));
      expect(new Set(waits.mock.calls.map(([slot]) => slot)).size).toBe(1);
      expect([waits.mock.calls.length, store.commits]).toEqual([3, 0]);
    }
    await closeAll(alice);
  });
});

describe('several tabs', () => {
  test('a tab that does not lead links and revokes, too; a code goes with the tab that led', async () => {
    const [network, at, clock] = [glassNetwork(), origin(), { ms: START }];
    const open = (seed: string) => {
      const tab = at.tab();
      return person('alice', tab.network(network), clock, { store: tab.store as never, seed });
    };
    const [first, second] = [await open('first'), await open('second')];
    const phone = await linked(second, network, clock);
    expect(await second.client.devices.list()).toEqual(await first.client.devices.list());
    expect((await first.client.devices.list()).length).toBe(2);
    await Promise.all([first, second].map(({ seen }) => seen('devicesChanged', ({ added }) => added[0] === phone.client.device)));
    await second.client.devices.revoke(phone.client.device);
    expect((await first.client.devices.list()).length).toBe(1);
    const link = await second.client.devices.link();
    const waiting = link.request();
    waiting.catch(() => {});
    await first.client.close();
    await expect(waiting).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await closeAll(second, phone);
  });

  test('offline: a code is refused; what was confirmed waits, and is brought once the directory is there', async () => {
    const [network, clock] = [glassNetwork(), { ms: START }];
    const alice = await person('alice', network, clock);
    await alice.seen('status', ({ status }) => status.state === 'online');
    network.directoryDown = true;
    await expect(alice.client.devices.link()).rejects.toThrow(coded('ERR_OFFLINE'));
    network.directoryDown = false;
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    network.directoryDown = true;
    await asked.confirm();
    await alice.client.close();
    expect([...alice.store.rows().keys()].filter((key) => /^\["(grant|publish)"/.test(key)).length).toBe(2);
    network.directoryDown = false;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    const phone = await joined.client();
    expect((await again.client.devices.list()).map(({ device }) => device)).toContain(phone.device);
    await Promise.all([again.client.close(), phone.close()]);
  });

  test('a grant that was in vain for a quarter of an hour is dropped', async () => {
    const [network, clock] = [glassNetwork(), { ms: START }];
    const alice = await person('alice', network, clock);
    const link = await alice.client.devices.link();
    const stop = new AbortController();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone', stop));
    network.directoryDown = true;
    await asked.confirm();
    await alice.client.close();
    clock.ms += linkLimits.slotMs;
    network.directoryDown = false;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    await expect.poll(() => [...alice.store.rows().keys()].filter((key) => key.startsWith('["grant"')), PATIENCE).toEqual([]);
    const waiting = joined.client();
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await closeAll(again);
  });
});

describe('revoking a device', () => {
  test('it halts, nobody writes to it any more, and its sessions go', async () => {
    const { network, clock, alice } = await world();
    const bob = await person('bob', network, clock);
    const phone = await linked(alice, network, clock);
    await bob.client.send('alice', 'one');
    await Promise.all([alice.read(), phone.read()]);
    await alice.client.send('bob', 'two');
    await Promise.all([bob.read(), phone.read()]);
    const peers = () => [...alice.store.rows().keys()].filter((key) => key.startsWith('["peer","alice"')).length;
    expect(peers()).toBe(1);
    await alice.client.devices.revoke(phone.client.device);
    expect(peers()).toBe(0);
    expect((await alice.client.devices.list()).map(({ device }) => device)).toEqual([alice.client.device]);
    expect(await alice.seen('devicesChanged', ({ removed }) => removed[0] === phone.client.device)).toBeDefined();
    await bob.seen('devicesChanged', ({ removed }) => removed[0] === phone.client.device);
    await bob.client.send('alice', 'three');
    expect((await alice.read()).text).toBe('three');
    await (await phone.client.send('bob', 'I am still here')).until('accepted');
    expect(await bob.seen('undecryptable')).toMatchObject({ from: 'alice', code: 'ERR_DEVICE_UNTRUSTED' });
    await phone.client.close();
    // It looks when it connects.
    const again = await person('alice', network, clock, { store: phone.store, seed: 'phone again' });
    await again.seen('status', ({ status }) => status.state === 'halted');
    await expect(again.client.recover()).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await closeAll(alice, bob, again);
  });

  test('not itself, and not one that there is not', async () => {
    const { alice } = await world();
    const { device } = alice.client;
    for (const wrong of [device, device + 1, -1, 1.5, '1' as never, undefined as never]) {
      await expect(alice.client.devices.revoke(wrong)).rejects.toThrow(coded('ERR_ARGUMENT', 'device'));
    }
    await closeAll(alice);
  });
});
