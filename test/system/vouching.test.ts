/** An organisation vouches for an account by way of the reference relay, with true signatures. */

import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, expect, test, vi } from 'vitest';
import { type RelayOptions, startRelay } from '../../examples/relay/relay.js';
import { isCyphrError } from '../../src/errors.js';
import { keyHash } from '../../src/identity/account.js';
import { generateRootKey, signRootStatement } from '../../src/identity/root.js';
import type { Login } from '../../src/transport/port.js';
import { relay as network } from '../../src/transport/websocket.js';
import { coded } from '../helpers/matchers.js';
import { person } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const folder = mkdtempSync(join(tmpdir(), 'cyphr-vouching-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const BOB = 'bob/../é';
const STRANGER: Login = { address: { account: 'stranger', device: 1 }, prove: async ({ nonce }) => new Uint8Array(nonce) };

const start = (name: string, more: Partial<RelayOptions> = {}) => {
  const [data, statements] = [join(folder, name), join(folder, `${name}-statements`)];
  mkdirSync(statements, { recursive: true });
  return startRelay({ data, statements, logLevel: 'silent', ...more });
};
const place = (name: string, account: string): string => join(folder, `${name}-statements`, `${encodeURIComponent(account)}.bin`);

/**
 * Calls again while it meets connections that have ended, with the relay or while a signature kept this process busy: the platform keeps them
 * for requests to come.
 */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 20 || !isCyphrError(error) || error.code !== 'ERR_OFFLINE') throw error;
    }
  }
}

/** What an operator does who gives an account's name to a new account key. */
async function release(name: string, account: string): Promise<void> {
  const db = new ClassicLevel(join(folder, name, 'directory'));
  const rows = (await db.keys().all()).filter((key) => key.split('/')[1] === encodeURIComponent(account));
  expect(rows.length).toBeGreaterThan(1);
  await db.batch(rows.map((key) => ({ type: 'del', key })));
  await db.close();
}

test('T32: an account that an organisation vouches for gets another key: its statement confirms it, and messages flow on', {
  timeout: 120_000,
}, async () => {
  const clock = { ms: Date.now() };
  const root = generateRootKey(testRng('organisation'));
  let relay = await start('relay');
  const net = network(relay.url);
  const sign = async (version: number): Promise<void> => {
    const [bundle] = await patiently(() => net.directory(STRANGER).fetch(BOB, { take: [] }));
    const accountKeyHash = keyHash(bundle!.identity.slice(0, 1984));
    const statement = signRootStatement(root, { account: BOB, accountKeyHash, version }, clock.ms, testRng(`statement ${version}`));
    // As a whole or not at all: the relay reads when it is asked.
    writeFileSync(join(folder, 'signed'), statement);
    renameSync(join(folder, 'signed'), place('relay', BOB));
  };
  const bob = await person(BOB, net, clock);
  await sign(1);
  const options = { organisation: root.publicKey, trust: 'pinned-only' as const };
  const alice = await patiently(() => person('alice', net, clock, options));
  const mallory = await patiently(() => person('mallory', net, clock));
  await alice.client.send(BOB, 'one');
  expect((await bob.read()).text).toBe('one');
  expect((await alice.client.contact(BOB).identity()).trust).toBe('vouched');
  // Nobody signed for this one.
  const held = await alice.client.send('mallory', 'x');
  await expect(held.until('accepted')).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));

  await bob.client.close();
  await relay.close();
  await release('relay', BOB);
  relay = await start('relay', { port: Number(new URL(relay.url).port) });
  const next = await patiently(() => person(BOB, net, clock, { seed: 'bob anew' }));
  await sign(2);
  await next.client.send('alice', 'two');
  const message = await alice.read();
  expect([message.text, message.trust]).toEqual(['two', 'vouched']);
  expect(alice.events.filter(({ type }) => type === 'identityChanged')).toEqual([
    { type: 'identityChanged', account: BOB, was: 'vouched' },
  ]);
  await alice.client.send(BOB, 'three');
  expect((await next.read()).text).toBe('three');
  for (const { client } of [alice, next, mallory]) await client.close();
  await relay.close();
});

test('the relay’s folder: what is no statement is none, and reading is limited', async () => {
  const relay = await start('plain', { limits: { readsPerMinute: 5 } });
  const { statement } = network(relay.url).directory(STRANGER);
  writeFileSync(place('plain', 'long'), new Uint8Array(16_423));
  writeFileSync(place('plain', 'empty'), new Uint8Array(0));
  writeFileSync(join(folder, 'secret.bin'), new Uint8Array(9));
  for (const account of ['long', 'empty', 'nobody', '../secret', '..']) expect(await statement!(account)).toBeUndefined();
  await expect(statement!('nobody')).rejects.toMatchObject({ code: 'ERR_REJECTED', retryAfterMs: expect.any(Number) });
  await expect(statement!('\ud800')).rejects.toThrow(coded('ERR_ARGUMENT'));
  await relay.close();
  const without = await start('without', { statements: undefined });
  expect(await network(without.url).directory(STRANGER).statement!('nobody')).toBeUndefined();
  await without.close();
  await expect(start('missing', { statements: join(folder, 'nowhere') })).rejects.toThrow(/ENOENT/);
});
