import { describe, expect, test } from 'vitest';
import { toHex } from '../../src/bytes.js';
import { joinWith } from '../../src/client/join.js';
import { decodeDevice, keyHash } from '../../src/identity/index.js';
import { linkLimits } from '../../src/limits.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Directory, Network } from '../../src/transport/port.js';
import { joining, linked } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { origin } from '../helpers/origin.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

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

  test('a typed code does, too; the fingerprint is the same on both', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { join } = joining('alice', network, clock, link.typed.toLowerCase().replaceAll('-', ' '), 'phone');
    const [asked, { confirmation, client }] = await Promise.all([link.request(), join]);
    expect(asked.confirmation).toBe(confirmation);
    await asked.confirm();
    const phone = await client();
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
    const { join, store } = joining('alice', network, clock, link.qr, 'phone');
    const joined = await join;
    const asked = await link.request();
    expect(store.commits).toBe(0);
    const client = joined.client();
    await asked.reject();
    await expect(client).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    expect(joined.client()).toBe(client);
    expect([store.commits, (await alice.client.devices.list()).length]).toEqual([0, 1]);
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await closeAll(alice);
  });

  test('arguments: the store must be empty, the account the right one, the directory with a drop box', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    await expect(joining('alice', network, clock, link.qr, 'x', alice.store).join).rejects.toThrow(coded('ERR_ARGUMENT', 'store'));
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
    const { transport, directory } = network;
    const options = { account: 'alice', transport, directory, store: glassStore(), rng: testRng('x'), now: () => clock.ms };
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(joinWith({ ...options, code: link.qr, signal: stop.signal }, (rng) => rng!)).rejects.toBe(reason);
    const later = new AbortController();
    const joined = await joinWith({ ...options, code: link.qr, signal: later.signal }, (rng) => rng!);
    const client = joined.client();
    later.abort(reason);
    await expect(client).rejects.toBe(reason);
    // Asked for again, the request is there.
    expect((await link.request()).confirmation).toBe(joined.confirmation);
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
    const joined = await joining('alice', network, clock, link.qr, 'phone').join;
    const asked = await link.request();
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
    const { transport, directory } = network;
    const options = { account: 'alice', transport, directory, store: glassStore(), rng: testRng('phone'), now: () => clock.ms };
    const joined = await joinWith({ ...options, code: link.qr, signal: stop.signal }, (rng) => rng!);
    const asked = await link.request();
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

describe('T31: codes', () => {
  test('a code is good for one request', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const first = await joining('alice', network, clock, link.qr, 'first').join;
    await expect(joining('alice', network, clock, link.qr, 'second').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    const asked = await link.request();
    expect(asked.confirmation).toBe(first.confirmation);
    await asked.confirm();
    await (await first.client()).close();
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(2);
    await expect(joining('alice', network, clock, link.qr, 'replayed').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await closeAll(alice);
  });

  test('a code is good for ten minutes, also one that was asked with', async () => {
    const { network, clock, alice } = await world();
    const late = await alice.client.devices.link();
    expect(late.expiresAtMs).toBe(START + linkLimits.codeMs);
    const joined = await joining('alice', network, clock, late.qr, 'late').join;
    const asked = await late.request();
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
    await expect(joining('alice', network, clock, second.qr, 'x').join).resolves.toBeDefined();
    expect((await again.client.devices.list()).length).toBe(1);
    await closeAll(again);
  });

  test.each([0, 2, 4, 8])('a new code, %i microtasks after a confirmation, comes before it or spoils nothing', async (ticks) => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const joined = await joining('alice', network, clock, link.qr, 'phone').join;
    const asked = await link.request();
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
    const { parseLinkCode } = await import('../../src/identity/linking.js');
    const link = await alice.client.devices.link();
    const { requestSlot } = parseLinkCode(link.qr, 'alice');
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    await anyone.leave!(requestSlot, new Uint8Array(3_200).fill(7));
    await expect(link.request()).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
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
