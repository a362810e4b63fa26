/** What an organisation's statements do to trust. The signature is a stand-in here, as a true one takes seconds: test/system/vouching.test.ts has those. */

import { describe, expect, test, vi } from 'vitest';
import { concat, equal } from '../../src/bytes.js';
import type { ClientOptions } from '../../src/client/types.js';
import { sha512 } from '../../src/crypto/suite.js';
import { TransportError } from '../../src/errors.js';
import { keyHash } from '../../src/identity/account.js';
import { generateRootKey, signRootStatement } from '../../src/identity/root.js';
import type { Directory, Login, Network } from '../../src/transport/port.js';
import { hostileNetwork } from '../helpers/hostile-network.js';
import { coded, usage } from '../helpers/matchers.js';
import { type Clock, type Person, person, START } from '../helpers/people.js';
import { flip, testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));
vi.mock('../../src/crypto/slh-dsa.js', () => {
  const standIn = (publicKey: Uint8Array, message: Uint8Array): Uint8Array => {
    const hash = sha512(concat(publicKey, message));
    return Uint8Array.from({ length: 16_224 }, (_, i) => hash[i % 64]!);
  };
  return {
    slhGenerate: (rng: (lengthBytes: number) => Uint8Array) => ({ publicKey: rng(48), secretKey: new Uint8Array(96) }),
    slhSign: (_secretKey: Uint8Array, message: Uint8Array) => standIn(message.slice(-48), message),
    slhVerify: (publicKey: Uint8Array, message: Uint8Array, _label: string, signature: Uint8Array) =>
      equal(signature, standIn(publicKey, message)),
  };
});

const root = generateRootKey(testRng('organisation'));
const otherRoot = generateRootKey(testRng('other organisation'));

/** A directory with statements, before which stands one that a test can change. */
async function world(options: Partial<ClientOptions> = {}) {
  const clock: Clock = { ms: START };
  const network = hostileNetwork();
  const asked: string[] = [];
  const self = {
    clock,
    network,
    asked,
    statement: undefined as Uint8Array | undefined,
    fault: undefined as unknown,
    /** The identity that the directory shows of an account. */
    identityOf: async (from: typeof network, account = 'bob') => keyHash((await from.bundles(account))[0]!.identity.slice(0, 1984)),
    async vouch(from: typeof network, version: number, by = root, account = 'bob'): Promise<void> {
      const accountKeyHash = await self.identityOf(from);
      self.statement = signRootStatement(by, { account, accountKeyHash, version }, START, testRng('x'));
    },
    trust: async ({ client }: Person) => (await client.contact('bob').identity()).trust,
    /** Bob under another account key, which the directory shows from now on. */
    async bobAnew(seed = 'new bob') {
      const others = hostileNetwork();
      const bob = await person('bob', { transport: network.transport, directory: others.directory }, clock, { seed });
      network.answer = async (account, honest) => (account === 'bob' ? others.bundles('bob') : honest);
      others.answer = async (account, honest) => (account === 'alice' ? network.bundles('alice') : honest);
      return { bob, others };
    },
    open: (account: string, more: Partial<ClientOptions> & { seed?: string } = {}) => person(account, withStatements, clock, more),
  };
  const withStatements: Network = {
    transport: network.transport,
    directory: (login: Login): Directory => ({
      ...(network.directory as (login: Login) => Directory)(login),
      async statement(account) {
        asked.push(account);
        if (self.fault !== undefined) throw self.fault;
        return self.statement && new Uint8Array(self.statement);
      },
    }),
  };
  const bob = await self.open('bob');
  await self.vouch(network, 5);
  const alice = await self.open('alice', { organisation: root.publicKey, ...options });
  return { ...self, self, alice, bob };
}
const close = (...people: readonly Person[]) => Promise.all(people.map(({ client }) => client.close()));

describe('an organisation vouches', () => {
  test('for whom it has signed: asked for once, kept, and shown with messages', async () => {
    const { network, alice, bob, asked, open, trust, vouch } = await world();
    expect(await trust(alice)).toBe('vouched');
    // A session needs keys, and nobody's word any more.
    await alice.client.send('bob', 'hi');
    await bob.read();
    await bob.client.send('alice', 'hello');
    expect((await alice.read()).trust).toBe('vouched');
    expect(network.fetches.filter((account) => account === 'bob').length).toBeGreaterThan(1);
    expect(asked).toEqual(['bob']);
    expect(alice.count('identityChanged')).toBe(0);
    await alice.client.close();

    const again = await open('alice', { organisation: root.publicKey, store: alice.store, seed: 'again' });
    expect(await trust(again)).toBe('vouched');
    expect(asked).toEqual(['bob']);
    await again.client.close();
    // Another organisation's word counts for nothing, whatever is stored; and with none there is nobody to vouch.
    for (const organisation of [otherRoot.publicKey, undefined]) {
      const stranger = await open('alice', { organisation, store: alice.store, seed: `stranger ${organisation?.[0]}` });
      expect(await trust(stranger)).toBe('unverified');
      await stranger.client.close();
    }
    await vouch(network, 1, otherRoot);
    const moved = await open('alice', { organisation: otherRoot.publicKey, store: alice.store, seed: 'moved' });
    expect(await trust(moved)).toBe('vouched');
    await close(bob, moved);
  });

  test('a person’s word stands above, and below it the organisation’s', async () => {
    const { alice, bob, trust } = await world();
    expect(await trust(alice)).toBe('vouched');
    await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
    expect(await trust(alice)).toBe('verified');
    await alice.client.contact('bob').unverify();
    expect(await trust(alice)).toBe('vouched');
    await close(alice, bob);
  });

  test('T11: for nobody with a wrong key, a forged statement, another account’s or another identity’s', async () => {
    const { self, network, alice, bob, vouch, trust } = await world({ organisation: otherRoot.publicKey });
    expect(await trust(alice)).toBe('unverified');
    await vouch(network, 5, otherRoot);
    self.statement = flip(self.statement!);
    expect(await trust(alice)).toBe('unverified');
    await vouch(network, 5, otherRoot, 'bobby');
    expect(await trust(alice)).toBe('unverified');
    self.statement = signRootStatement(otherRoot, { account: 'bob', accountKeyHash: new Uint8Array(64), version: 5 }, START, testRng('x'));
    expect(await trust(alice)).toBe('unverified');
    self.statement = new Uint8Array(70);
    expect(await trust(alice)).toBe('unverified');
    // None of these stands in the way of the true one, whatever its version.
    await vouch(network, 1, otherRoot);
    expect(await trust(alice)).toBe('vouched');
    await close(alice, bob);
  });

  test('a directory that fails is asked again; one that refuses has none', async () => {
    const { self, alice, bob, trust } = await world();
    self.fault = new TransportError('ERR_OFFLINE', 'down');
    await expect(trust(alice)).rejects.toThrow(coded('ERR_OFFLINE'));
    self.fault = new TransportError('ERR_REJECTED', 'no such thing');
    expect(await trust(alice)).toBe('unverified');
    self.fault = undefined;
    expect(await trust(alice)).toBe('vouched');
    await close(alice, bob);
  });

  test('pinned-only: what waited goes out once it has signed', async () => {
    const { self, network, alice, bob, vouch, trust } = await world({ trust: 'pinned-only' });
    self.statement = undefined;
    const sent = await alice.client.send('bob', 'hi');
    await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(alice.client.send('bob', 'again')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await vouch(network, 5);
    expect(await trust(alice)).toBe('vouched');
    await alice.seen('sent', ({ state }) => state === 'accepted');
    expect((await bob.read()).text).toBe('hi');
    await alice.client.send('bob', 'again');
    await close(alice, bob);
  });

  test('pinned-only: a message that may not go asks by itself', async () => {
    const { self, network, alice, bob, vouch } = await world({ trust: 'pinned-only' });
    self.statement = undefined;
    const sent = await alice.client.send('bob', 'hi');
    await expect(sent.until('accepted')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await vouch(network, 5);
    self.clock.ms += 11 * 60_000;
    await expect(alice.client.send('bob', 'again')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await alice.seen('sent', ({ state }) => state === 'accepted');
    await close(alice, bob);
  });
});

describe('T32: an identity that changes', () => {
  /** Alice knows Bob, and the directory shows another one. */
  async function changed(options: Partial<ClientOptions> = {}) {
    const made = await world(options);
    await made.alice.client.send('bob', 'to the old one');
    await made.bob.read();
    const { bob: next, others } = await made.bobAnew();
    return { ...made, next, others, close: () => close(made.alice, made.bob, next) };
  }

  test.each(['block', 'warn', 'pinned-only'] as const)('%s: goes on by itself with a newer statement', async (trust) => {
    const { alice, next, others, vouch, close: end, ...made } = await changed({ trust });
    await vouch(others, 6);
    await next.client.send('alice', 'from the new one');
    const message = await alice.read();
    expect([message.text, message.trust]).toEqual(['from the new one', 'vouched']);
    expect(await made.trust(alice)).toBe('vouched');
    await alice.client.send('bob', 'to the new one');
    expect((await next.read()).text).toBe('to the new one');
    expect(alice.events.filter(({ type }) => type === 'identityChanged')).toEqual([
      { type: 'identityChanged', account: 'bob', was: 'vouched' },
    ]);
    expect(alice.events.filter((event) => event.type === 'sent' && event.state === 'held')).toEqual([]);
    await end();
  });

  test.each([
    ['the same version for another identity', 5],
    ['an older one', 4],
    ['none', undefined],
  ])('holds with %s, until there is a newer one', async (_, version) => {
    const { self, alice, next, others, vouch, trust, close: end } = await changed();
    if (version === undefined) self.statement = undefined;
    else await vouch(others, version);
    await next.client.send('alice', 'from the new one');
    expect(await alice.seen('identityChanged')).toMatchObject({ was: 'vouched' });
    expect(await trust(alice)).toBe('changed');
    await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    const conflict = alice.observations.some((record) => record.kind === 'log' && record.event === 'statement-conflict');
    expect(conflict).toBe(version === 5);
    await vouch(others, 6);
    expect(await trust(alice)).toBe('vouched');
    expect((await alice.read()).text).toBe('from the new one');
    await alice.client.send('bob', 'to the new one');
    expect((await next.read()).text).toBe('to the new one');
    expect(alice.count('identityChanged')).toBe(1);
    await end();
  });

  test('holds when the newer statement names yet another identity', async () => {
    const { self, alice, next, trust, close: end } = await changed();
    const accountKeyHash = new Uint8Array(64).fill(9);
    self.statement = signRootStatement(root, { account: 'bob', accountKeyHash, version: 9 }, START, testRng('x'));
    await next.client.send('alice', 'hi');
    await alice.seen('identityChanged');
    expect(await trust(alice)).toBe('changed');
    await end();
  });

  test('holds where nobody vouched for the pin, whatever is signed; once a person accepts, the statement counts', async () => {
    const { self, alice, bob, bobAnew, vouch, trust } = await world();
    self.statement = undefined;
    await alice.client.send('bob', 'to the old one');
    await bob.read();
    const { bob: next, others } = await bobAnew();
    await vouch(others, 6);
    await next.client.send('alice', 'hi');
    expect(await alice.seen('identityChanged')).toMatchObject({ was: 'unverified' });
    expect(await trust(alice)).toBe('changed');
    await (await alice.client.contact('bob').safetyNumber()).accept();
    expect(await trust(alice)).toBe('vouched');
    await close(alice, bob, next);
  });

  test('T32: holds for a verified contact, also with a newer statement', async () => {
    const { alice, next, others, vouch, trust, close: end } = await changed({ trust: 'warn' });
    await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
    await vouch(others, 6);
    await next.client.send('alice', 'hi');
    expect(await alice.seen('identityChanged')).toMatchObject({ was: 'verified' });
    expect(await trust(alice)).toBe('changed');
    await expect(alice.client.send('bob', 'x')).rejects.toThrow(coded('ERR_IDENTITY_CHANGED'));
    await (await alice.client.contact('bob').safetyNumber()).accept();
    expect(await trust(alice)).toBe('vouched');
    expect((await alice.read()).trust).toBe('vouched');
    expect(alice.count('identityChanged')).toBe(1);
    await end();
  });

  test('warn: goes on unverified without a statement, and an older one never counts again', async () => {
    const { alice, next, others, vouch, trust, close: end } = await changed({ trust: 'warn' });
    await vouch(others, 4);
    await next.client.send('alice', 'hi');
    expect((await alice.read()).trust).toBe('unverified');
    expect(await trust(alice)).toBe('unverified');
    await vouch(others, 6);
    expect(await trust(alice)).toBe('vouched');
    expect(alice.count('identityChanged')).toBe(1);
    await end();
  });
});

test('the option', async () => {
  const network = hostileNetwork();
  const open = (organisation: unknown) => person('carol', network, { ms: START }, { organisation: organisation as Uint8Array });
  for (const wrong of [null, 'ab'.repeat(48), new Uint16Array(48), {}]) {
    await expect(open(wrong)).rejects.toThrow(usage('ERR_ARGUMENT', 'organisation'));
  }
  for (const length of [0, 47, 49, 96]) await expect(open(new Uint8Array(length))).rejects.toThrow(usage('ERR_LENGTH', 'organisation'));
  // Without a directory that has statements nobody is vouched.
  const carol = await open(root.publicKey);
  const dave = await person('dave', network, { ms: START });
  expect((await carol.client.contact('dave').identity()).trust).toBe('unverified');
  await close(carol, dave);
});
