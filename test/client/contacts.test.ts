import { describe, expect, test, vi } from 'vitest';
import { type Contacts, contacts } from '../../src/client/contacts.js';
import type { Context } from '../../src/client/context.js';
import { mutex } from '../../src/client/platform.js';
import { contactRecord, deviceRecord } from '../../src/client/records.js';
import type { ClientOptions } from '../../src/client/types.js';
import { TransportError } from '../../src/errors.js';
import { generateDevice, identityBytes, keyHash, type VerifiedDeviceList, verifyDeviceList } from '../../src/identity/index.js';
import { keyLimits, sessionLimits } from '../../src/limits.js';
import { generatePrekeys } from '../../src/pqxdh/prekeys.js';
import type { BundleBytes } from '../../src/step.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { coded } from '../helpers/matchers.js';
import { type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const clock = { ms: START };
const two = async (options: Partial<ClientOptions> = {}) => {
  const network = glassNetwork();
  const [alice, bob] = await Promise.all([person('alice', network, clock, options), person('bob', network, clock)]);
  return { network, alice, bob, close: () => Promise.all([alice.client.close(), bob.client.close()]) };
};

/** Bob loses his device and registers anew, which this directory lets him. */
async function changed(options: Partial<ClientOptions> = {}) {
  const network = hostileNetwork();
  const alice = await person('alice', network, clock, options);
  const old = await person('bob', network, clock);
  await alice.client.send('bob', 'to the old one');
  await old.read();
  await old.client.send('alice', 'from the old one');
  await alice.seen('status', ({ status }) => status.state === 'online' && status.unackedCount === 1);
  const others = hostileNetwork();
  // The same relay, and a directory that gives the name to somebody else.
  const bob = await person('bob', { transport: network.transport, directory: others.directory }, clock, { seed: 'new bob' });
  network.answer = async (account, honest) => (account === 'bob' ? others.bundles('bob') : honest);
  others.answer = (_account, honest) => honest;
  const meets = async (): Promise<void> => {
    others.answer = async (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
  };
  await meets();
  return { network, alice, old, bob, close: () => Promise.all([alice, old, bob].map(({ client }) => client.close())) };
}

const trustOf = async ({ client }: Person, account: string) => (await client.contact(account).identity()).trust;

describe('safety numbers', () => {
  test('are the same on both sides, and scanning either code verifies', async () => {
    const { alice, bob, close } = await two();
    const atAlice = await alice.client.contact('bob').safetyNumber();
    const atBob = await bob.client.contact('alice').safetyNumber();
    expect(atAlice.digits).toBe(atBob.digits);
    expect(atAlice.digits).toMatch(/^(\d{5} ){11}\d{5}$/);
    expect(await atAlice.scan(atBob.qr)).toBe('match');
    expect(await trustOf(alice, 'bob')).toBe('verified');
    expect(await trustOf(bob, 'alice')).toBe('unverified');
    await atBob.confirmDigits();
    expect(await trustOf(bob, 'alice')).toBe('verified');
    await alice.client.contact('bob').unverify();
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    await alice.client.contact('bob').unverify();
    await close();
  });

  test('other codes change nothing', async () => {
    const { network, alice, bob, close } = await two();
    const carol = await person('carol', network, clock);
    const number = await alice.client.contact('bob').safetyNumber();
    const carols = await carol.client.contact('alice').safetyNumber();
    expect(await number.scan(carols.qr)).toBe('other-person');
    expect(await number.scan(number.qr)).toBe('other-person');
    expect(await number.scan(new Uint8Array(5))).toBe('unreadable');
    const wrong = (await bob.client.contact('alice').safetyNumber()).qr.slice();
    wrong[wrong.length - 1]! ^= 1;
    expect(await number.scan(wrong)).toBe('mismatch');
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    await number.accept();
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    await carol.client.close();
    await close();
  });

  test('accept() of an identity that has not changed takes no verification back', async () => {
    const { alice, close } = await two();
    const number = await alice.client.contact('bob').safetyNumber();
    await number.confirmDigits();
    await number.accept();
    expect(await trustOf(alice, 'bob')).toBe('verified');
    await close();
  });

  test('survive a restart, with the trust', async () => {
    const { network, alice, bob } = await two();
    const number = await alice.client.contact('bob').safetyNumber();
    await number.confirmDigits();
    const { sinceMs, devices } = await alice.client.contact('bob').identity();
    expect([sinceMs, devices]).toEqual([clock.ms, [bob.client.device]]);
    await alice.client.close();
    network.directoryDown = true;
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    expect((await again.client.contact('bob').safetyNumber()).digits).toBe(number.digits);
    expect(await trustOf(again, 'bob')).toBe('verified');
    await Promise.all([again.client.close(), bob.client.close()]);
  });

  test('an unknown account, and no directory', async () => {
    const { network, alice, close } = await two();
    await expect(alice.client.contact('nobody').identity()).rejects.toThrow(coded('ERR_NO_SESSION'));
    network.directoryDown = true;
    await expect(alice.client.contact('bob').safetyNumber()).rejects.toThrow(coded('ERR_OFFLINE'));
    const abort = new AbortController();
    abort.abort('no');
    await expect(alice.client.contact('bob').identity(abort)).rejects.toBe('no');
    await close();
  });
});

describe('T32: a changed identity', () => {
  test('block: held until accept(), which is bound to what was shown; what the old one wrote is still there', async () => {
    const { alice, bob, close } = await changed();
    const before = await alice.client.contact('bob').safetyNumber();
    await bob.client.send('alice', 'from the new one');
    await alice.seen('identityChanged');
    await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    await expect(before.confirmDigits()).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    await expect(before.accept()).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    expect(await trustOf(alice, 'bob')).toBe('changed');

    const number = await alice.client.contact('bob').safetyNumber();
    expect(number.digits).not.toBe(before.digits);
    await number.accept();
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    const messages = [await alice.read(), await alice.read()];
    expect(messages.map(({ text, trust }) => [text, trust])).toEqual([
      ['from the old one', 'changed'],
      ['from the new one', 'unverified'],
    ]);
    await alice.client.send('bob', 'to the new one');
    expect((await bob.read()).text).toBe('to the new one');
    expect(alice.count('identityChanged')).toBe(1);
    expect(alice.client.status).toMatchObject({ unackedCount: 0 });
    await close();
  });

  test('block: confirmDigits() of the new number accepts it and verifies it at once', async () => {
    const { alice, bob, close } = await changed();
    await bob.client.send('alice', 'hi');
    await alice.seen('identityChanged');
    const number = await alice.client.contact('bob').safetyNumber();
    await number.confirmDigits();
    expect(await trustOf(alice, 'bob')).toBe('verified');
    await (await alice.client.send('bob', 'y')).until('accepted');
    expect((await bob.read()).text).toBe('y');
    await close();
  });

  test('warn: it goes on, marked and told; a verified contact blocks all the same', async () => {
    const { alice, bob, close } = await changed({ trust: 'warn' });
    await bob.client.send('alice', 'from the new one');
    expect(await alice.seen('identityChanged')).toMatchObject({ account: 'bob', was: 'unverified' });
    expect([(await alice.read()).text, (await alice.read()).text].sort()).toEqual(['from the new one', 'from the old one']);
    await alice.client.send('bob', 'to the new one');
    expect((await bob.read()).text).toBe('to the new one');
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    await close();
  });

  test('warn, verified: blocks', async () => {
    const { alice, bob, close } = await changed({ trust: 'warn' });
    await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
    await bob.client.send('alice', 'from the new one');
    expect(await alice.seen('identityChanged')).toMatchObject({ account: 'bob', was: 'verified' });
    await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    await close();
  });
});

describe('T32: first flights under the name of a contact', () => {
  async function known() {
    const clock = { ms: START };
    const network = hostileNetwork();
    const [alice, bob] = await Promise.all([person('alice', network, clock), person('bob', network, clock)]);
    await bob.client.send('alice', 'hello');
    await alice.read();
    const [bundle] = await network.bundles('alice');
    const before = network.fetches.length;
    const asked = (): number => network.fetches.slice(before).filter((account) => account === 'bob').length;
    /** Answers whether the flight was taken off the relay. */
    const flight = (from: ReturnType<typeof evilPeer>, text = 'hi'): Promise<boolean> => {
      clock.ms += 2_000;
      return network.inject(alice.address, from.flight(bundle!, from.text(text)));
    };
    /** Waits until so many of them are left with the relay. */
    const left = (count: number) => vi.waitFor(() => expect(network.unackedCount(alice.address)).toBe(count), { timeout: 20_000 });
    const forged = (name: string) => evilPeer('bob', name, clock.ms);
    return { clock, network, alice, asked, flight, left, forged, close: () => Promise.all([alice.client.close(), bob.client.close()]) };
  }

  test.each([
    ['that shows the pinned one', false],
    ['that has forgotten the account', true],
  ])('ask a directory %s for a few identities a day, once for each, however many come', async (_, isForgotten) => {
    const { clock, network, alice, asked, flight, left, forged, close } = await known();
    if (isForgotten) network.answer = (account, honest) => (account === 'bob' ? [] : honest);
    const peers = Array.from({ length: 2 * sessionLimits.identityChecks }, (_, i) => forged(`forged ${i}`));
    for (const peer of peers.slice(0, 2)) {
      await flight(peer);
      await left(0);
      expect(await flight(peer)).toBe(true);
    }
    expect(asked()).toBe(2);
    for (const [i, peer] of peers.entries()) {
      await flight(peer);
      await left(Math.max(0, i + 1 - sessionLimits.identityChecks));
    }
    expect(asked()).toBe(sessionLimits.identityChecks);
    // The others wait for the next answer, which is one for all.
    clock.ms += sessionLimits.listRefetchMs;
    network.cut(alice.address);
    await left(0);
    // And one more may follow it, for what came while it was asked.
    await network.settled();
    const before = asked();
    expect([1, 2]).toContain(before - sessionLimits.identityChecks);
    clock.ms += sessionLimits.identityCheckMs;
    await flight(peers.at(-1)!);
    await left(0);
    expect(asked()).toBe(before + 1);
    expect(await trustOf(alice, 'bob')).toBe('unverified');
    await close();
  });

  test('stay with the relay while the directory does not answer, and that counts for nothing', async () => {
    const { network, alice, asked, flight, forged, close } = await known();
    network.answer = () => Promise.reject(new TransportError('ERR_OFFLINE', 'down'));
    for (let i = 0; i <= sessionLimits.identityChecks; i++) expect(await flight(forged(`forged ${i}`))).toBe(false);
    expect(asked()).toBe(sessionLimits.identityChecks + 1);
    const bob = forged('second');
    network.answer = (account, honest) => (account === 'bob' ? [bob.published()] : honest);
    expect(await flight(bob)).toBe(false);
    await alice.seen('identityChanged');
    expect(await trustOf(alice, 'bob')).toBe('changed');
    await close();
  });

  test('of a contact who changes twice within a day, also after a forged one: both are asked for', async () => {
    const { network, alice, flight, left, forged, close } = await known();
    await flight(forged('forged'));
    await left(0);
    for (const name of ['second', 'third']) {
      const bob = forged(name);
      network.answer = (account, honest) => (account === 'bob' ? [bob.published()] : honest);
      const before = alice.count('identityChanged');
      expect(await flight(bob, `from the ${name}`)).toBe(false);
      await vi.waitFor(() => expect(alice.count('identityChanged')).toBe(before + 1), { timeout: 20_000 });
    }
    expect(alice.count('identityChanged')).toBe(2);
    await (await alice.client.contact('bob').safetyNumber()).accept();
    expect(await alice.read()).toMatchObject({ text: 'from the third', trust: 'unverified' });
    expect(await alice.readAll()).toEqual([]);
    await close();
  });
});

test('pinned-only: nothing leaves before the contact is verified, then it does', async () => {
  const { network, alice, bob, close } = await two({ trust: 'pinned-only' });
  const sent = await alice.client.send('bob', 'secret');
  await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
  expect((await alice.client.sent(sent.id))?.state).toBe('held');
  await expect(alice.client.send('bob', 'more')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
  expect(network.sent).toEqual([]);
  await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
  expect((await bob.read()).text).toBe('secret');
  await close();
});

/** What a directory shows of a device that is made from `seed`. */
function shown(account: string, seed: string): BundleBytes & { readonly accountKey: Uint8Array; readonly list: VerifiedDeviceList } {
  const made = generateDevice(account, testRng(seed), START);
  const { signedSet } = generatePrekeys(made, testRng(`prekeys of ${seed}`), START).out;
  const accountKey = made.accountKey.publicKey;
  return {
    ...{ address: { account, device: made.device }, identity: identityBytes(made), signedSet },
    ...{ accountKey, list: verifyDeviceList(made.deviceList, accountKey) },
  };
}

/** Contacts of alice's device, which has pinned bob, on a store whose reads and a directory whose answers are a test's. */
async function alone(trust: ClientOptions['trust'] = 'block') {
  const pinned = shown('bob', 'pinned');
  const record = { identity: pinned.accountKey, sinceMs: START, verified: false, list: pinned.list.bytes, former: [] };
  const row = contactRecord.encode(record);
  const port = {
    read: async (): Promise<Uint8Array | undefined> => undefined,
    fetch: async (_account: string): Promise<readonly BundleBytes[]> => [],
  };
  const events: unknown[] = [];
  const ctx = {
    now: () => START,
    settings: { trust },
    lock: mutex(),
    device: () => ({ account: 'alice' }),
    db: {
      list: async ([space]: readonly string[]) => (space === 'contact' ? [{ key: ['contact', 'bob'], value: row, rev: 1 }] : []),
      read: () => port.read(),
      commit: async (writes: unknown) => void events.push(writes),
    },
    life: { race: (task: Promise<unknown>) => task, assertOpen() {} },
    events: { emit: (event: unknown) => void events.push(event) },
    observer: { span: (_: string, task: () => unknown) => task(), log() {} },
    directory: { fetch: (account: string) => port.fetch(account) },
  } as unknown as Context;
  const { identity, list: bytes } = record;
  const own = {
    contact: () => ({ ...record, account: 'alice', identity, list: bytes, verified: true, pin: keyHash(identity), devices: [] }),
  };
  return { pinned, port, events, contacts: await contacts(ctx, own as never) };
}

/** What becomes of an identity once the directory was asked about it. */
async function judged({ standing }: Contacts, account: string, identity: Uint8Array): Promise<ReturnType<Contacts['standing']['of']>> {
  if (standing.of(account, identity) === 'unanswered') {
    await vi.waitFor(() => expect(standing.isAsking()).toBe(false), { timeout: 20_000 });
  }
  return standing.of(account, identity);
}

test('of two first messages of another identity neither is judged before the directory has answered', async () => {
  const { port, contacts } = await alone();
  let refuse = (_reason: Error): void => {};
  port.fetch = () => new Promise((_, reject) => (refuse = reject));
  const { accountKey: other } = shown('bob', 'other');
  const judged = Promise.all([contacts.standing.of('bob', other), contacts.standing.of('bob', other)]);
  refuse(new TransportError('ERR_OFFLINE', 'no directory'));
  expect(await judged).toEqual(['unanswered', 'unanswered']);
});

test('what a person says while the directory’s answer is being looked at stands', async () => {
  const { pinned, port, contacts } = await alone();
  port.fetch = async () => [pinned];
  let goOn = (): void => {};
  const isReading = new Promise<void>((reads) => {
    port.read = () => {
      reads();
      return new Promise((resolve) => (goOn = () => resolve(undefined)));
    };
  });
  const refreshed = contacts.refresh('bob', []);
  await isReading;
  const settled = contacts.calls.settle({ account: 'bob', identity: pinned.accountKey, verified: true });
  goOn();
  await Promise.all([refreshed, settled]);
  expect(await contacts.load('bob')).toMatchObject({ verified: true });
});

test('what a device says of its own keys is not what the directory shows', async () => {
  const { pinned, port, contacts } = await alone();
  const { device } = pinned.address;
  port.fetch = async () => [pinned];
  await contacts.told(pinned);
  expect(contacts.keysOf('bob', device)).toBeUndefined();
  await contacts.refresh('bob', []);
  expect(contacts.keysOf('bob', device)).toBe('sound');
});

test.each(['warn', 'block'] as const)('T32: what the device of a former identity says of its keys is void; %s', async (trust) => {
  const { pinned, port, contacts } = await alone(trust);
  const other = shown('bob', 'other');
  port.fetch = async () => [other];
  await contacts.refresh('bob', []).catch(() => {});
  await contacts.calls.settle({ account: 'bob', identity: other.accountKey, verified: true });
  const after = await contacts.load('bob');
  expect(after).toMatchObject({ identity: other.accountKey, verified: true });
  // It came while its identity was the pinned one.
  await expect(contacts.told(pinned)).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
  expect(await contacts.load('bob')).toBe(after);
});

describe('T32: an answer that was asked for before an identity was decided', () => {
  const [one, other] = [shown('bob', 'one'), shown('bob', 'other')];
  async function asked(trust?: ClientOptions['trust']) {
    const { pinned, port, events, contacts } = await alone(trust);
    let count = 0;
    const shows = (...bundles: readonly BundleBytes[]): void => {
      port.fetch = async () => {
        count += 1;
        return bundles;
      };
    };
    /** A question whose answer the test gives. */
    const ask = (account = 'bob') => {
      let answer = (_bundles: readonly BundleBytes[]): void => {};
      port.fetch = () => new Promise((resolve) => (answer = resolve));
      return { said: contacts.refresh(account, []), answer: (...bundles: readonly BundleBytes[]) => answer(bundles) };
    };
    const changes = (): number => events.filter((event) => (event as { type?: string }).type === 'identityChanged').length;
    const accept = ({ accountKey: identity }: typeof one, verified = true) => contacts.calls.settle({ account: 'bob', identity, verified });
    return { pinned, contacts, port, shows, ask, changes, accept, count: () => count };
  }

  test('warn: the new pin stays, and the directory is asked again', async () => {
    const { pinned, contacts, shows, ask, changes, count } = await asked('warn');
    const first = ask();
    shows(other);
    await contacts.refresh('bob', []);
    first.answer(pinned);
    expect(await first.said).toMatchObject([{ address: other.address }]);
    expect(await contacts.load('bob')).toMatchObject({ identity: other.accountKey });
    expect([count(), changes()]).toEqual([2, 1]);
  });

  test('block: what waits for a person goes on waiting, and what a person has decided stays', async () => {
    const { pinned, contacts, shows, ask, changes, accept } = await asked();
    const first = ask();
    shows(other);
    await expect(contacts.refresh('bob', [])).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    const second = ask();
    shows(other);
    first.answer(pinned);
    await expect(first.said).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    expect(await contacts.load('bob')).toMatchObject({ changedTo: other.accountKey });
    await accept(other);
    second.answer(pinned);
    await second.said;
    expect(await contacts.load('bob')).toMatchObject({ identity: other.accountKey, verified: true, changedTo: undefined });
    expect(changes()).toBe(1);
  });

  test('of two first answers that cross: no change where the next one shows the pin, one where it does not', async () => {
    for (const [next, expected] of [
      [one, 0],
      [other, 1],
    ] as const) {
      const { contacts, shows, ask, changes } = await asked('warn');
      const [carol, ofCarol] = [shown('carol', 'one'), shown('carol', 'other')];
      const first = ask('carol');
      shows(carol);
      await contacts.refresh('carol', []);
      shows(next === one ? carol : ofCarol);
      first.answer(ofCarol);
      await first.said;
      expect(await contacts.load('carol')).toMatchObject({ identity: (next === one ? carol : ofCarol).accountKey });
      expect(changes()).toBe(expected);
    }
  });

  test('that nobody has the name says nothing against it either; one that agrees is not asked for again', async () => {
    const { contacts, shows, ask, count } = await asked();
    const carol = shown('carol', 'one');
    const [first, second] = [ask('carol'), ask('carol')];
    shows(carol);
    await contacts.refresh('carol', []);
    first.answer();
    expect(await first.said).toMatchObject([{ address: carol.address }]);
    expect(count()).toBe(2);
    second.answer(carol);
    expect(await second.said).toMatchObject([{ address: carol.address }]);
    expect(count()).toBe(2);
  });

  test('is asked for again once: a directory that is always late is as one that does not answer', async () => {
    const { pinned, contacts, port, shows, ask, changes, accept } = await asked();
    const first = ask();
    shows(other);
    await contacts.refresh('bob', []).catch(() => {});
    await accept(other);
    let count = 0;
    port.fetch = async () => {
      count += 1;
      if (count > 1) return [other];
      // Meanwhile it shows the former one again, and a person takes that.
      port.fetch = async () => [pinned];
      await contacts.refresh('bob', []).catch(() => {});
      await accept(pinned);
      return [other];
    };
    first.answer(pinned);
    await expect(first.said).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect(await contacts.load('bob')).toMatchObject({ identity: pinned.accountKey, verified: true, changedTo: undefined });
    expect([count, changes()]).toEqual([1, 2]);
  });
});

test('T11: one’s own account has one identity, whatever a directory shows: nothing is written, nothing said', async () => {
  const { port, events, contacts } = await alone();
  const other = shown('alice', 'false alice');
  port.fetch = async () => [other];
  await expect(contacts.refresh('alice', [])).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
  // Nor does what comes under it wait for a decision that nobody can make.
  await expect(judged(contacts, 'alice', other.accountKey)).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
  expect(events).toEqual([]);
});

test('T11: a list under another account key is none of the contact’s', async () => {
  const { pinned, events, contacts } = await alone();
  await contacts.learn('bob', { ...shown('bob', 'other').list, version: pinned.list.version + 1 });
  expect(await contacts.load('bob')).toMatchObject({ list: pinned.list.bytes });
  expect(events).toEqual([]);
});

test('T11: a forged first message does not speak for the true one of another identity that comes later', async () => {
  const { pinned, port, contacts } = await alone();
  port.fetch = async () => [pinned];
  await expect(judged(contacts, 'bob', shown('bob', 'forged').accountKey)).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
  const other = shown('bob', 'other');
  port.fetch = async () => [other];
  expect(await judged(contacts, 'bob', other.accountKey)).toBe('waits');
});

test('of identities that a contact had before the last eight are remembered', async () => {
  const { pinned, port, contacts } = await alone('warn');
  const later = Array.from({ length: 9 }, (_, i) => shown('bob', `number ${i}`));
  for (const each of later) {
    port.fetch = async () => [each];
    await contacts.refresh('bob', []);
  }
  expect(contacts.mayShow('bob', keyHash(pinned.accountKey))).toBe(false);
  expect(later.map(({ accountKey }) => contacts.mayShow('bob', keyHash(accountKey)))).not.toContain(false);
});

test('a set that should have been replaced by now is asked for again', async () => {
  const { port, contacts } = await alone();
  const asked: string[] = [];
  port.fetch = async (account) => {
    asked.push(account);
    return [];
  };
  const set = { setHash: new Uint8Array(), setId: new Uint8Array(), sealKey: new Uint8Array(), verFloor: 1 };
  for (const ageMs of [keyLimits.setRotationMs, keyLimits.setRotationMs + 1]) {
    port.read = async () => deviceRecord.encode({ ...set, setSeq: START - ageMs });
    expect(await contacts.sealingSet({ account: 'bob', device: 1 })).toMatchObject(set);
    expect(asked).toHaveLength(ageMs > keyLimits.setRotationMs ? 1 : 0);
  }
});
