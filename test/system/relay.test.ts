import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { RelayLimits } from '../../examples/relay/limits.js';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { toHex } from '../../src/bytes.js';
import type { Delivery, Network, Transport } from '../../src/transport/port.js';
import { relay as network } from '../../src/transport/websocket.js';
import { type RelayDevice, relayDevice } from '../helpers/relay-device.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-relay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let folders = 0;
let log = '';
function write(line: string): void {
  log += line;
}

async function start(limits: Partial<RelayLimits> = {}, data = join(folder, `r${folders++}`), port = 0): Promise<Relay & { data: string }> {
  const started = await startRelay({ data, port, limits, logLevel: 'trace', logTo: { write } });
  cleanups.push(() => started.close());
  return { ...started, data };
}

/** Account names that would show in any place where they don't belong. */
const ALICE = 'alice-in-wonderland';
const BOB = 'bob/../the builder?é';
let alice: RelayDevice;
let bob: RelayDevice;
beforeAll(() => {
  alice = relayDevice(ALICE, 'relay alice');
  bob = relayDevice(BOB, 'relay bob');
});

/** The transport of a device on a new connection of its own. */
function connect(url: string, device: RelayDevice): Transport {
  const transport = network(url).transport(device.login);
  cleanups.push(() => transport.close());
  return transport;
}

const directoryOf = (net: string | Network, device: RelayDevice) => (typeof net === 'string' ? network(net) : net).directory(device.login);

async function publishBoth(url: string, entryCount = 0): Promise<void> {
  await directoryOf(url, alice).publish(alice.keys(entryCount));
  await directoryOf(url, bob).publish(bob.keys(entryCount));
}

/** The next `count` deliveries; the loop is then over, nothing is acknowledged. */
async function take(transport: Transport, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  for await (const delivery of transport.deliveries()) if (taken.push(delivery) === count) break;
  return taken;
}

/** Everything until the relay says that there is no more. */
async function takeAll(transport: Transport): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  const stop = new AbortController();
  for await (const delivery of transport.deliveries({ signal: stop.signal, onDrained: () => stop.abort() })) taken.push(delivery);
  return taken;
}

const envelope = (n: number, length = 64): Uint8Array => new Uint8Array(length).fill(n & 255).fill(n >> 8, 0, 1);

describe('mailboxes', () => {
  test('delivers in order, again on a new connection, and never again once the acknowledgement has resolved', async () => {
    const { url } = await start();
    await publishBoth(url);
    const sender = connect(url, alice);
    await Promise.all(Array.from({ length: 20 }, (_, i) => sender.send(bob.login.address, envelope(i))));
    const first = connect(url, bob);
    const seen = await take(first, 20);
    expect(seen.map(({ bytes }) => bytes[5])).toEqual(Array.from({ length: 20 }, (_, i) => i));
    await Promise.all(seen.slice(0, 15).map((delivery) => delivery.ack()));
    const again = await takeAll(first);
    expect(again.map(({ id }) => id)).toEqual(seen.slice(15).map(({ id }) => id));
    await first.close();
    const second = connect(url, bob);
    const rest = await takeAll(second);
    expect(rest.map(({ bytes }) => toHex(bytes))).toEqual(seen.slice(15).map(({ bytes }) => toHex(bytes)));
    await Promise.all(rest.map((delivery) => delivery.ack()));
    await rest[0]!.ack();
    expect(await takeAll(second)).toEqual([]);
  });

  test('wakes a loop that waits, and says when it is drained', async () => {
    const { url } = await start();
    await publishBoth(url);
    let drained: () => void = () => {};
    const empty = new Promise<void>((resolve) => {
      drained = resolve;
    });
    const loop = connect(url, bob)
      .deliveries({ onDrained: () => drained() })
      [Symbol.asyncIterator]();
    const waiting = loop.next();
    await empty;
    await connect(url, alice).send(bob.login.address, envelope(9));
    expect((await waiting).value.bytes).toEqual(envelope(9));
    await loop.return?.();
    expect(await loop.next()).toEqual({ done: true, value: undefined });
  });

  test('says that it is drained, also when something comes in at that moment', async () => {
    const { url } = await start();
    await publishBoth(url);
    const sender = connect(url, alice);
    const receiver = connect(url, bob);
    let count = 0;
    let acks: Promise<void>[] = [];
    for (let round = 0; round < 80; round++) {
      await Promise.all(Array.from({ length: 3 }, () => sender.send(bob.login.address, envelope(count++))));
      // Acknowledgements of the last round reach the disk while this one is read.
      const [taken] = await Promise.all([takeAll(receiver), ...acks]);
      acks = taken.map((delivery) => delivery.ack());
    }
    await Promise.all(acks);
    const rest = await takeAll(receiver);
    await Promise.all(rest.map((delivery) => delivery.ack()));
    expect(await takeAll(receiver)).toEqual([]);
  });

  test('keeps to its window when nothing is acknowledged, and goes on after acknowledgements', async () => {
    const { url } = await start({ sendsPerMinute: 1e6, receivedPerMinute: 1e6 });
    await publishBoth(url);
    const sender = connect(url, alice);
    const count = 40;
    await Promise.all(Array.from({ length: count }, (_, i) => sender.send(bob.login.address, envelope(i, 256 * 1024))));
    let seen = 0;
    for await (const delivery of connect(url, bob).deliveries()) {
      expect(delivery.bytes[5]).toBe(seen++);
      await delivery.ack();
      if (seen === count) break;
    }
  });

  test('what is not acknowledged fills the window, and counts no more after a while', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { url } = await start({ sendsPerMinute: 1e6, receivedPerMinute: 1e6, mailboxCount: 2_000 });
    await publishBoth(url);
    const sender = connect(url, alice);
    const count = 1_100;
    await Promise.all(Array.from({ length: count }, (_, i) => sender.send(bob.login.address, envelope(i))));
    const ids: string[] = [];
    let [pongs, drained] = [0, 0];
    const socket = await rawSocket(url, bob, (frame) => {
      if (frame[0] === 0x14) ids.push(toHex(frame.subarray(1, 9)));
      if (frame[0] === 0x18) pongs += 1;
      if (frame[0] === 0x16) drained += 1;
    });
    socket.send(Buffer.of(2));
    await vi.waitFor(() => expect(ids.length).toBeGreaterThanOrEqual(1_000));
    for (const round of [1, 2, 3]) {
      socket.send(Buffer.of(5));
      await vi.waitFor(() => expect(pongs).toBe(round));
    }
    // Whole reads of 32 fill the last place.
    expect(ids.length).toBeLessThan(1_032);
    expect(drained).toBe(0);
    vi.advanceTimersByTime(20_000);
    await vi.waitFor(() => expect(drained).toBe(1));
    expect(ids).toHaveLength(count);
    expect(new Set(ids).size).toBe(count);
    expect(ids.slice().sort()).toEqual(ids);
    socket.close();
  });

  test('a clock that goes back, also while the relay is down, keeps the order and hides nothing from who has read further', async () => {
    const now = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now });
    const { url, data, close } = await start();
    await publishBoth(url);
    const sender = connect(url, alice);
    const loop = connect(url, bob).deliveries()[Symbol.asyncIterator]();
    const next = async (): Promise<Delivery> => (await loop.next()).value;
    await sender.send(bob.login.address, envelope(1));
    expect((await next()).bytes).toEqual(envelope(1));
    vi.setSystemTime(now - 3_600_000);
    await sender.send(bob.login.address, envelope(2));
    expect((await next()).bytes).toEqual(envelope(2));
    await loop.return?.();
    await sender.close();
    await close();
    vi.setSystemTime(now - 86_400_000);
    const later = await start({}, data);
    await connect(later.url, alice).send(bob.login.address, envelope(3));
    const all = await takeAll(connect(later.url, bob));
    expect(all.map(({ bytes }) => bytes[5])).toEqual([1, 2, 3]);
    expect(all.map(({ id }) => id).sort()).toEqual(all.map(({ id }) => id));
  });

  test('queues the same bytes once while they are queued, per device', async () => {
    const { url } = await start();
    await publishBoth(url);
    const sender = connect(url, alice);
    for (const to of [bob, bob, alice, bob]) await sender.send(to.login.address, envelope(1));
    const receiver = connect(url, bob);
    const [only, ...others] = await takeAll(receiver);
    expect(others).toEqual([]);
    await only!.ack();
    await sender.send(bob.login.address, envelope(1));
    expect(await takeAll(receiver)).toHaveLength(1);
  });

  test('refuses for good what can never be delivered, and for now what is too much', async () => {
    const { url } = await start({ mailboxCount: 2, sendsPerMinute: 6, envelopeBytes: 1_000 });
    await publishBoth(url);
    const sender = connect(url, alice);
    const refused = async (to: { account: string; device: number }, bytes: Uint8Array) => {
      const error = await sender.send(to, bytes).catch((reason) => reason);
      expect(error).toMatchObject({ code: 'ERR_REJECTED' });
      return error.retryAfterMs;
    };
    expect(await refused({ account: BOB, device: bob.login.address.device ^ 1 }, envelope(1))).toBeUndefined();
    expect(await refused(bob.login.address, envelope(1, 1_001))).toBeUndefined();
    await sender.send(bob.login.address, envelope(1));
    await sender.send(bob.login.address, envelope(2));
    expect(await refused(bob.login.address, envelope(3))).toBe(60_000);
    await (await take(connect(url, bob), 1))[0]!.ack();
    await sender.send(bob.login.address, envelope(3));
    expect(await refused(bob.login.address, envelope(4))).toBeGreaterThan(1_000);
  });

  test('drops what is older than the age limit', async () => {
    const { url, data, close } = await start();
    await publishBoth(url);
    await connect(url, alice).send(bob.login.address, envelope(1));
    await close();
    const later = await start({ mailboxAgeMs: 0 }, data);
    expect(await takeAll(connect(later.url, bob))).toEqual([]);
  });

  test('a newer connection of a device ends the older one', async () => {
    const { url } = await start();
    await publishBoth(url);
    const older = connect(url, bob).deliveries()[Symbol.asyncIterator]();
    const waiting = older.next();
    await connect(url, alice).send(bob.login.address, envelope(1));
    await waiting;
    const ended = expect(older.next()).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
    const [delivery] = await take(connect(url, bob), 1);
    await ended;
    expect(delivery!.bytes).toEqual(envelope(1));
  });

  test('T33: nothing in the mailboxes on disk names an account or a device, and T39: neither does the log', async () => {
    const { url, data } = await start();
    await publishBoth(url, 3);
    const marker = Buffer.from('an envelope, word for word');
    await connect(url, alice).send(bob.login.address, marker);
    await directoryOf(url, alice).fetch(BOB);
    cpSync(join(data, 'mailboxes'), join(data, 'copy'), { recursive: true });
    const stored = readdirSync(join(data, 'copy')).map((name) => readFileSync(join(data, 'copy', name)));
    expect(stored.some((file) => file.includes(marker))).toBe(true);
    for (const word of [ALICE, BOB, encodeURIComponent(BOB)]) expect(stored.some((file) => file.includes(word))).toBe(false);
    await take(connect(url, bob), 1);
    expect(log).toContain('listening');
    const secrets = [ALICE, 'wonderland', 'builder', String(bob.login.address.device), 'word for word', '127.0.0.1', folder];
    for (const word of secrets) expect(log).not.toContain(word);
  });
});

describe('crash', () => {
  test('every accepted envelope survives SIGKILL, in order, once; a spent one-time prekey stays spent', async () => {
    const data = join(folder, 'killed');
    const run = async (port: string) => {
      const tsx = ['--import', 'tsx', 'examples/relay/main.ts', '--port', port, '--data', data];
      const child = spawn(process.execPath, tsx, {
        env: { ...process.env, TSX_TSCONFIG_PATH: 'examples/tsconfig.json' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      cleanups.push(async () => child.kill('SIGKILL'));
      const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
      return { url, child };
    };
    const first = await run('0');
    await publishBoth(first.url, 1);
    const spent = (await directoryOf(first.url, alice).fetch(BOB))[0]!.oneTime;
    expect(spent).toBeDefined();
    const sender = connect(first.url, alice);
    const accepted: number[] = [];
    const sends = Array.from({ length: 300 }, (_, i) =>
      sender.send(bob.login.address, envelope(i, 900)).then(() => {
        accepted.push(i);
        if (accepted.length === 100) first.child.kill('SIGKILL');
      }),
    );
    const results = await Promise.allSettled(sends);
    expect(accepted.length).toBeGreaterThanOrEqual(100);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ERR_OFFLINE' });

    const second = await run(new URL(first.url).port);
    // The same link: its session token is unknown to the new process.
    await Promise.all(Array.from({ length: 300 }, (_, i) => sender.send(bob.login.address, envelope(i, 900))));
    const seen = (await takeAll(connect(second.url, bob))).map(({ bytes }) => bytes[0]! * 256 + bytes[5]!);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect((await directoryOf(second.url, alice).fetch(BOB))[0]!.oneTime).toBeUndefined();
    second.child.kill('SIGTERM');
    const [code] = await once(second.child, 'exit');
    expect(code).toBe(0);
  });
});

describe('login', () => {
  /** A raw request; fetch would not send another Host. */
  async function call(url: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const { hostname, port } = new URL(url);
    const sent = request({ hostname, port, method, path, headers: { 'content-type': 'application/json', ...headers } });
    sent.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body));
    const [response] = await once(sent, 'response');
    let text = '';
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode as number, body: JSON.parse(text) as Record<string, string> };
  }
  const REFUSED = { status: 403, body: { error: 'refused' } };
  const nonceFor = async (url: string, device: RelayDevice, headers?: Record<string, string>) =>
    (await call(url, 'POST', '/v1/challenge', device.login.address, headers)).body['nonce']!;
  const proofOf = async (device: RelayDevice, audience: string, nonce: string) =>
    Buffer.from(await device.login.prove({ audience, nonce: Buffer.from(nonce, 'base64url') })).toString('base64url');

  test('a challenge is good once, for one minute, for one device, for one name of the relay', async () => {
    const { url } = await start();
    await publishBoth(url);
    const { host, port } = new URL(url);
    const login = async (device: RelayDevice, nonce: string, audience: string, headers = {}) =>
      call(url, 'POST', '/v1/login', { ...device.login.address, nonce, proof: await proofOf(device, audience, nonce) }, headers);

    const nonce = await nonceFor(url, alice);
    expect(Buffer.from(nonce, 'base64url')).toHaveLength(32);
    expect((await login(alice, nonce, host)).body['token']).toMatch(/^[\w-]{43}$/);
    expect(await login(alice, nonce, host)).toEqual(REFUSED);
    expect(await login(bob, await nonceFor(url, alice), host)).toEqual(REFUSED);
    expect(await login(alice, await nonceFor(url, alice), 'relay.example')).toEqual(REFUSED);
    expect(await login(alice, Buffer.alloc(32, 1).toString('base64url'), host)).toEqual(REFUSED);
    // Challenged under one of the relay's names, answered under another one.
    const other = `localhost:${port}`;
    expect(await login(alice, await nonceFor(url, alice, { host: other }), host)).toEqual(REFUSED);
    expect((await login(alice, await nonceFor(url, alice, { host: other }), other, { host: other })).status).toBe(200);
    expect(await call(url, 'POST', '/v1/challenge', alice.login.address, { host: 'relay.example' })).toEqual(REFUSED);
    expect(await login(relayDevice(ALICE, 'impostor', alice.login.address.device), await nonceFor(url, alice), host)).toEqual(REFUSED);

    const late = await nonceFor(url, alice);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_001 });
    expect(await login(alice, late, host)).toEqual(REFUSED);
  });

  test('T40: a path that is no address is refused, like any other that is unknown', async () => {
    const { url } = await start();
    for (const path of ['//', '/%', '/v1/nothing', 'http://[', '*']) expect(await call(url, 'GET', path), path).toEqual(REFUSED);
  });

  test('gives the last proof to the device only, so that a restored store notices', async () => {
    const { url } = await start();
    await publishBoth(url);
    const before = alice.challenges.length;
    alice.generation = 7;
    await connect(url, alice).send(bob.login.address, envelope(1));
    alice.generation = 9;
    await connect(url, alice).send(bob.login.address, envelope(2));
    expect(alice.challenges.slice(before).filter(({ lastProof }) => lastProof !== undefined)).toHaveLength(1);
    expect(Object.keys((await call(url, 'POST', '/v1/challenge', alice.login.address)).body)).toEqual(['nonce']);
    alice.generation = 8;
    await expect(connect(url, alice).send(bob.login.address, envelope(3))).rejects.toThrow('rollback');
    await expect(connect(url, alice).deliveries()[Symbol.asyncIterator]().next()).rejects.toThrow('rollback');
    alice.generation = 10;
    await connect(url, alice).send(bob.login.address, envelope(4));
  });

  test('each login gives a token of its own, for 15 minutes; a device has four at a time', async () => {
    const { url } = await start();
    await publishBoth(url);
    const { host } = new URL(url);
    const login = async (device: RelayDevice): Promise<string> => {
      const nonce = await nonceFor(url, device);
      const body = { ...device.login.address, nonce, proof: await proofOf(device, host, nonce) };
      return (await call(url, 'POST', '/v1/login', body)).body['token']!;
    };
    const remaining = async (token: string) => (await call(url, 'GET', '/v1/remaining', undefined, { 'cyphr-session': token })).status;
    const now = Date.now();
    const other = await login(bob);
    const tokens: string[] = [];
    for (let i = 0; i < 6; i++) tokens.push(await login(alice));
    expect(new Set(tokens).size).toBe(6);
    expect(await Promise.all(tokens.map(remaining))).toEqual([403, 403, 200, 200, 200, 200]);
    expect(await remaining(other)).toBe(200);
    vi.useFakeTimers({ toFake: ['Date'], now: now + 10 * 60_000 });
    const later = await login(alice);
    vi.setSystemTime(now + 16 * 60_000);
    expect(await Promise.all([...tokens, later].map(remaining))).toEqual([403, 403, 403, 403, 403, 403, 200]);
  });

  test('T12: a name belongs to the account key that came first', async () => {
    const { url } = await start();
    await publishBoth(url);
    const thief = relayDevice(ALICE, 'thief');
    await expect(directoryOf(url, thief).publish(thief.keys())).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    const bundles = await directoryOf(url, bob).fetch(ALICE, { take: [] });
    expect(bundles.map(({ address }) => address)).toEqual([alice.login.address]);
    // Keys of somebody else under one's own proof.
    await expect(directoryOf(url, bob).publish({ ...bob.keys(), identity: alice.keys().identity })).rejects.toMatchObject({
      code: 'ERR_REJECTED',
    });
    const stranger = connect(url, relayDevice('stranger', 'stranger'));
    await expect(stranger.deliveries()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ERR_REJECTED' });
    await expect(stranger.send(bob.login.address, envelope(1))).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
  });

  test('malformed requests get one answer, and the relay stays up', async () => {
    const { url } = await start({ challengesPerMinute: 1e6 });
    const { account, device } = alice.login.address;
    const requests: [string, string, unknown?][] = [
      ['GET', '/'],
      ['GET', '/v1/keys?account=x&take=all'],
      ['GET', '/v1/keys?take='],
      ['GET', `/v1/keys?account=${'a'.repeat(65)}&take=`],
      ['GET', '/v1/keys?account=x&take=1,zwei'],
      ['GET', '/v1/remaining'],
      ['DELETE', '/v1/keys'],
      ['POST', '/v1/challenge', '{'],
      ['POST', '/v1/challenge', 'null'],
      ['POST', '/v1/challenge', { account: '\ud800', device: 1 }],
      ['POST', '/v1/challenge', { account: ['a'], device: 1 }],
      ['POST', '/v1/challenge', { account, device: 0 }],
      ['POST', '/v1/login', { account, device, nonce: 'A', proof: 'AAAA' }],
      ['POST', '/v1/login', { account, device, nonce: 'AAAA', proof: '****' }],
      ['PUT', '/v1/keys', { account, device, nonce: 'AAAA', proof: 'AAAA', identity: 'AAAA', signedSet: 'AAAA' }],
      ['POST', '/v1/challenge', `"${'x'.repeat(1024 * 1024)}"`],
    ];
    for (const [method, path, body] of requests) expect({ path, ...(await call(url, method, path, body)) }).toEqual({ path, ...REFUSED });
    const identity = Buffer.from(alice.keys().identity).toString('base64url');
    const entries = ['AAAA'];
    const batches = [
      [],
      'batch',
      { id: '../', head: 'AAAA', entries },
      { id: 'a', head: '', entries },
      { id: 'a', head: 'AAAA', entries: [] },
    ];
    for (const batch of [
      ...batches,
      { id: 'a', head: 'AAAA', entries: Array(129).fill('AAAA') },
      { id: 'a', head: 'AAAA', entries: [1] },
    ]) {
      const nonce = await nonceFor(url, alice);
      const proof = await proofOf(alice, new URL(url).host, nonce);
      const keys = { account, device, nonce, proof, identity, signedSet: 'AAAA', batch };
      expect({ batch, ...(await call(url, 'PUT', '/v1/keys', keys)) }).toEqual({ batch, ...REFUSED });
    }
    expect(await call(url, 'GET', '/healthz')).toEqual({ status: 200, body: { ok: true } });
  });

  test('rate limits answer with the time to wait', async () => {
    const { url } = await start({ challengesPerMinute: 3, takesPerHour: 1 });
    await publishBoth(url);
    const directory = directoryOf(url, alice);
    await directory.fetch(BOB);
    await expect(directory.fetch(BOB)).rejects.toMatchObject({ code: 'ERR_REJECTED', retryAfterMs: expect.any(Number) });
    await expect(connect(url, bob).send(bob.login.address, envelope(1))).rejects.toMatchObject({
      code: 'ERR_OFFLINE',
      cause: { retryAfterMs: expect.any(Number) },
    });
  });
});

describe('directory', () => {
  test('T09: hands each one-time prekey out at most once, also at the same time, then the last resort, and tells the owner', async () => {
    const { url } = await start({ takesPerHour: 100 });
    await publishBoth(url, 8);
    const directory = directoryOf(url, alice);
    const owner = directoryOf(url, bob);
    expect((await directory.fetch(BOB, { take: [] }))[0]!.oneTime).toBeUndefined();
    expect((await directory.fetch(BOB, { take: [bob.login.address.device ^ 1] }))[0]!.oneTime).toBeUndefined();
    expect(await owner.remaining!()).toBe(8);
    const taken = (await Promise.all(Array.from({ length: 10 }, () => directory.fetch(BOB)))).map(([bundle]) => bundle!.oneTime?.entry[0]);
    expect(taken.slice().sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, undefined, undefined]);
    expect(await owner.remaining!()).toBe(0);
    await owner.publish(bob.keys(8)); // the same batch again
    expect(await owner.remaining!()).toBe(0);

    const notices: string[] = [];
    const socket = await rawSocket(url, bob, (frame) => frame[0] === 0x17 && notices.push(toHex(frame)));
    await vi.waitFor(() => expect(notices).toEqual(['170000000001']));
    await owner.publish(bob.keys(3, 'batch-2'));
    const [bundle] = await directory.fetch(BOB);
    expect(bundle!.oneTime!.entry[0]).toBe(0);
    await vi.waitFor(() => expect(notices.slice(1)).toEqual(['170000000200']));
    socket.close();
  });

  test('gives back the published bytes; unknown accounts are empty, whatever their name', async () => {
    const { url } = await start();
    const keys = bob.keys(1);
    await directoryOf(url, bob).publish(keys);
    const [bundle] = await directoryOf(url, bob).fetch(BOB);
    expect(bundle).toEqual({
      address: keys.address,
      identity: keys.identity,
      signedSet: keys.signedSet,
      oneTime: { head: keys.batch!.head, entry: keys.batch!.entries[0] },
    });
    for (const name of ['..', '.', 'bob', '__proto__', BOB.slice(0, -1), 'a&take=all', '%']) {
      expect(await directoryOf(url, alice).fetch(name, { take: [] })).toEqual([]);
    }
  });
});

/** A WebSocket that has said hello, or, without a device, has not. */
async function rawSocket(
  url: string,
  device: RelayDevice | undefined,
  onFrame: (frame: Uint8Array) => void = () => {},
): Promise<WebSocket> {
  let token = '';
  if (device !== undefined) {
    const post = async (path: string, body: unknown) =>
      (await fetch(`${url.replace('ws', 'http')}${path}`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<
        Record<string, string>
      >;
    const { nonce } = await post('/v1/challenge', device.login.address);
    const proof = await device.login.prove({ audience: new URL(url).host, nonce: Buffer.from(nonce!, 'base64url') });
    token = (await post('/v1/login', { ...device.login.address, nonce, proof: Buffer.from(proof).toString('base64url') }))['token']!;
  }
  const socket = new WebSocket(`${url}/v1/socket`, ['cyphr.1']);
  socket.on('error', () => {});
  socket.on('message', (data) => onFrame(new Uint8Array(data as Buffer)));
  await once(socket, 'open');
  if (device !== undefined) socket.send(Buffer.concat([Buffer.of(1), Buffer.from(token)]));
  return socket;
}

describe('hostile sockets', () => {
  const healthy = async (url: string) => expect((await fetch(`${url.replace('ws', 'http')}/healthz`)).status).toBe(200);

  test('wrong paths, tokens, lengths and texts end the connection and nothing else', async () => {
    const { url } = await start();
    await publishBoth(url);
    const wrong = new WebSocket(`${url}/v1/elsewhere`);
    await expect(once(wrong, 'open')).rejects.toThrow('403');
    const unauthenticated = [
      Buffer.of(),
      Buffer.of(1),
      Buffer.of(2),
      Buffer.of(5),
      Buffer.from('\x01no such token'),
      'text',
      Buffer.alloc(600_000, 1),
    ];
    for (const message of unauthenticated) {
      const socket = await rawSocket(url, undefined);
      socket.send(message);
      const [code] = await once(socket, 'close');
      expect(code).toBe(typeof message !== 'string' && message.length > 512 * 1024 ? 1009 : 4403);
    }
    const n = (length: number) => Buffer.from([3, 0, 0, 0, 1, 0, 0, 0, 1, length]);
    const authenticated = [
      Buffer.of(1, 65),
      Buffer.of(3),
      n(0),
      n(65),
      Buffer.concat([n(2), Buffer.from('ab')]),
      Buffer.concat([n(1), Buffer.of(0xff, 1)]),
      Buffer.of(4, 1),
      'text',
      Buffer.of(),
    ];
    for (const message of authenticated) {
      const socket = await rawSocket(url, alice);
      socket.send(message);
      const [code] = await once(socket, 'close');
      expect(code).toBe(4403);
    }
    await healthy(url);
  });

  test('T40: random frames never bring the relay down', async () => {
    const { url } = await start({ challengesPerMinute: 1e6 });
    await publishBoth(url);
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.uint8Array({ maxLength: 40 })).map(([type, rest]) => new Uint8Array([type, ...rest])),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 20 }), async (frames) => {
        const socket = await rawSocket(url, alice);
        for (const bytes of frames) socket.send(bytes);
        socket.send(Buffer.of(0));
        socket.close();
        await once(socket, 'close');
      }),
      { numRuns: 25 },
    );
    await healthy(url);
    await connect(url, alice).send(bob.login.address, envelope(1));
  });

  test('connections that are cut at any moment harm nobody', async () => {
    const { url } = await start();
    const { hostname, port } = new URL(url);
    const upgrade = (path: string) =>
      `GET ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`;
    for (const text of [upgrade('/elsewhere'), upgrade('/v1/socket'), 'PUT /v1/keys HTTP/1.1\r\ncontent-length: 9\r\n\r\n{', '\0\r\n']) {
      for (let i = 0; i < 10; i++) {
        const socket = connectTcp(Number(port), hostname);
        socket.on('error', () => {});
        await once(socket, 'connect');
        socket.write(text, () => socket.resetAndDestroy());
        await once(socket, 'close');
      }
    }
    await healthy(url);
  });

  test('unknown frame types are skipped, pings are answered', async () => {
    const { url } = await start();
    await publishBoth(url);
    const frames: number[] = [];
    const socket = await rawSocket(url, alice, (frame) => frames.push(frame[0]!));
    socket.send(Buffer.of(0x7f, 1, 2));
    socket.send(Buffer.of(5));
    await vi.waitFor(() => expect(frames).toContain(0x18));
    socket.close();
  });

  test('a socket on which nothing comes is dropped', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { url } = await start();
    await publishBoth(url);
    const frames: number[] = [];
    const socket = await rawSocket(url, alice, (frame) => frames.push(frame[0]!));
    await vi.waitFor(() => expect(frames).toContain(0x11));
    vi.advanceTimersByTime(40_000);
    const [code] = await once(socket, 'close');
    expect(code).toBe(1006);
  });
});
