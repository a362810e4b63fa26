import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Session } from '../../examples/relay/auth.js';
import { type Directory, openDirectory } from '../../examples/relay/directory.js';
import { defaultLimits } from '../../examples/relay/limits.js';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { relayHttp } from '../../src/transport/socket/http.js';
import { relay as network } from '../../src/transport/websocket.js';
import { type RelayDevice, relayDevice } from '../helpers/relay-device.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-relay-logins-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let folders = 0;

describe('T24: proofs that a device was perhaps not told of', () => {
  let data: string;
  let relay: Relay;
  let alice: RelayDevice;
  beforeEach(async () => {
    data = join(folder, `r${folders++}`);
    relay = await startRelay({ data, port: 0, logLevel: 'silent' });
    alice = relayDevice('alice', 'alice');
    await network(relay.url).directory(alice.login).publish(alice.keys());
  });
  afterEach(() => relay.close());

  const http = (path: string, token = '', init: RequestInit = {}) =>
    fetch(`${relay.url.replace('ws', 'http')}${path}`, { ...init, headers: { 'cyphr-session': token } });
  const post = async (path: string, body: unknown, token = '') =>
    (await http(path, token, { method: 'POST', body: JSON.stringify(body) })).json();

  /** A login whose answer does not count as arrived, until its token is used. */
  async function login(): Promise<{ proof: string; token: string; lastProofs: string[] }> {
    const { nonce } = await post('/v1/challenge', alice.login.address);
    alice.generation += 1;
    const made = await alice.login.prove({ audience: new URL(relay.url).host, nonce: Buffer.from(nonce, 'base64url') });
    const proof = Buffer.from(made).toString('base64url');
    return { proof, ...(await post('/v1/login', { ...alice.login.address, nonce, proof })) };
  }

  async function restart(): Promise<void> {
    const { port } = new URL(relay.url);
    await relay.close();
    relay = await startRelay({ data, port: Number(port), logLevel: 'silent' });
  }

  test('come again with every login until the token of an answer that told of them is used', async () => {
    const [first, second, third] = [await login(), await login(), await login()];
    expect([first, second, third].map(({ lastProofs }) => lastProofs)).toEqual([[], [first.proof], [first.proof, second.proof]]);
    await http('/v1/remaining', second.token);
    const fourth = await login();
    expect(fourth.lastProofs).toEqual([second.proof, third.proof]);
    await http('/v1/remaining', first.token); // told of nothing
    expect((await login()).lastProofs).toEqual([second.proof, third.proof, fourth.proof]);
  });

  test.each<[string, (token: string) => Promise<unknown>]>([
    ['looking up keys', (token) => http('/v1/keys?account=alice&take=all', token)],
    ['asking for the next challenge', (token) => post('/v1/challenge', alice.login.address, token)],
    [
      'opening a socket',
      async (token) => {
        const socket = new WebSocket(`${relay.url}/v1/socket`, ['cyphr.1']);
        await once(socket, 'open');
        socket.send(Buffer.concat([Buffer.of(1), Buffer.from(token)]));
        await once(socket, 'message');
        socket.close();
        await once(socket, 'close');
      },
    ],
  ])('a token is used by %s', async (_name, use) => {
    await login();
    const { proof, token } = await login();
    await use(token);
    expect((await login()).lastProofs).toEqual([proof]);
  });

  test('stay when the relay is started again, which forgets tokens', async () => {
    const first = await login();
    await restart();
    const second = await login();
    expect(second.lastProofs).toEqual([first.proof]);
    await restart();
    expect((await http('/v1/remaining', second.token)).status).toBe(403);
    expect((await login()).lastProofs).toEqual([first.proof, second.proof]);
  });

  test('are eight at most: the first one, and the latest', async () => {
    const proofs: string[] = [];
    for (let i = 0; i < 12; i++) proofs.push((await login()).proof);
    expect((await login()).lastProofs).toEqual([proofs[0], ...proofs.slice(-7)]);
  });

  test('the adapter says with its next challenge that the last answer came', async () => {
    const adapter = relayHttp(
      { base: relay.url.replace('ws', 'http'), audience: new URL(relay.url).host, bearer: async () => undefined },
      alice.login,
    );
    await login();
    await login();
    const told: number[] = [];
    for (let i = 0; i < 4; i++) {
      const before = alice.challenges.length;
      alice.generation += 1;
      await adapter.login();
      told.push(alice.challenges.slice(before).filter(({ lastProof }) => lastProof !== undefined).length);
    }
    expect(told).toEqual([2, 1, 1, 1]);
  });
});

describe('T24: two copies of a device, and answers that get lost', () => {
  const who = { account: 'alice', device: 1 };
  const owners = { taken: () => {}, gone: async () => {} };

  /** Whether each login's answer comes, and whether the relay is started again before it. */
  const step = fc.record({
    copy: fc.integer({ min: 0, max: 1 }),
    answer: fc.constantFrom('lost', 'lost', 'unused', 'used'),
    restarts: fc.boolean(),
  });

  test('who first gets an answer after the other one has logged in is told so', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
        const path = join(folder, `d${folders++}`);
        let directory: Directory = await openDirectory(path, defaultLimits, owners);
        const devices = [{ device: 1, keyHash: new Uint8Array(64) }];
        const proven = { accountKeyHash: new Uint8Array(64), listVersion: 1, devices };
        await directory.publish({ ...who, identity: 'i', signedSet: 's' }, proven);
        try {
          const unseen = [false, false];
          for (const [i, { copy, answer, restarts }] of steps.entries()) {
            if (restarts) {
              await directory.close();
              directory = await openDirectory(path, defaultLimits, owners);
            }
            let session: Session | undefined;
            const { lastProofs } = await directory.login(who, `${copy} ${i}`, (_, begun) => {
              session = begun;
              return '';
            });
            unseen[1 - copy] = true;
            if (answer === 'lost') continue;
            const isTold = lastProofs.some((proof) => !proof.startsWith(`${copy}`));
            expect(isTold).toBe(unseen[copy]);
            if (isTold) return; // it halts, and uses nothing any more
            if (answer === 'used') await directory.answered(session!);
          }
        } finally {
          await directory.close();
        }
      }),
      { numRuns: 80 },
    );
  });
});
