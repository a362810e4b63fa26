import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { openDirectory } from '../../examples/relay/directory.js';
import { defaultLimits, type RelayLimits, rateLimiters } from '../../examples/relay/limits.js';
import { openMailboxes } from '../../examples/relay/mailboxes.js';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { serveSocket } from '../../examples/relay/socket.js';
import { verifyLogin } from '../../src/identity/login.js';
import { relay as network } from '../../src/transport/websocket.js';
import { listOf, type RelayDevice, relayDevice } from '../helpers/relay-device.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-relay-devices-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let folders = 0;
async function start(data = join(folder, `r${folders++}`), limits: Partial<RelayLimits> = {}): Promise<Relay & { data: string }> {
  const started = await startRelay({ data, port: 0, limits, logLevel: 'silent' });
  cleanups.push(() => started.close());
  return { ...started, data };
}

const ACCOUNT = 'alice/1';
let phone: RelayDevice;
let laptop: RelayDevice;
let bob: RelayDevice;
beforeEach(() => {
  phone = relayDevice(ACCOUNT, 'phone', 7);
  laptop = relayDevice(ACCOUNT, 'laptop', 70, phone);
  bob = relayDevice('bob', 'bob');
  show([phone, laptop], 1);
});

/** All of these devices have the list of them, of this version. */
function show(devices: readonly RelayDevice[], version: number): void {
  for (const device of devices) device.deviceList = listOf(phone, devices, version);
}

const publish = (url: string, device: RelayDevice, entryCount = 0) =>
  network(url)
    .directory(device.login)
    .publish(device.keys(entryCount, `batch-${device.login.address.device}`));
const devicesOf = async (url: string) =>
  (await network(url).directory(bob.login).fetch(ACCOUNT, { take: [] })).map(({ address }) => address.device);
const send = (url: string, to: RelayDevice, text: string, from = bob) => {
  const transport = network(url).transport(from.login);
  return transport.send(to.login.address, Buffer.from(text)).finally(() => transport.close());
};
/** For good. */
const isRefused = (error: { code?: string; retryAfterMs?: number }) => error.code === 'ERR_REJECTED' && error.retryAfterMs === undefined;

/** A session of the device, by hand: its token, and the socket that it opens. */
async function session(url: string, device: RelayDevice) {
  const post = async (path: string, body: unknown) =>
    (await fetch(`${url.replace('ws', 'http')}${path}`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<
      Record<string, string> & { lastProofs: string[] }
    >;
  const { nonce } = await post('/v1/challenge', device.login.address);
  const proof = await device.login.prove({ audience: new URL(url).host, nonce: Buffer.from(nonce!, 'base64url') });
  const answer = await post('/v1/login', { ...device.login.address, nonce, proof: Buffer.from(proof).toString('base64url') });
  const token = answer['token']!;
  return {
    lastProofs: answer.lastProofs,
    status: async () => (await fetch(`${url.replace('ws', 'http')}/v1/remaining`, { headers: { 'cyphr-session': token } })).status,
    async socket(): Promise<WebSocket> {
      const socket = new WebSocket(`${url}/v1/socket`, ['cyphr.1']);
      await once(socket, 'open');
      socket.send(Buffer.concat([Buffer.of(1), Buffer.from(token)]));
      await once(socket, 'message');
      return socket;
    },
  };
}

/** What waits for a device, as text. */
async function waiting(url: string, device: RelayDevice): Promise<string[]> {
  const transport = network(url).transport(device.login);
  const stop = new AbortController();
  const texts: string[] = [];
  for await (const { bytes } of transport.deliveries({ signal: stop.signal, onDrained: () => stop.abort() })) {
    texts.push(Buffer.from(bytes).toString());
  }
  await transport.close();
  return texts;
}

describe('T12: a device that a newer list does not name', () => {
  test('is gone: keys, prekeys, session, socket, mailbox; what is sent to it is refused for good', async () => {
    const { url } = await start();
    await publish(url, phone, 2);
    await publish(url, laptop, 3);
    await publish(url, bob);
    await send(url, laptop, 'unread');
    await send(url, phone, 'kept');
    const lost = await session(url, laptop);
    const stays = await session(url, phone);
    const socket = await lost.socket();
    const closed = once(socket, 'close');

    show([phone], 2);
    await publish(url, phone, 2);
    expect((await closed)[0]).toBe(4403);
    expect([await lost.status(), await stays.status()]).toEqual([403, 200]);
    expect(await devicesOf(url)).toEqual([7]);
    await expect(send(url, laptop, 'late')).rejects.toSatisfy(isRefused);
    await expect(publish(url, laptop)).rejects.toSatisfy(isRefused);
    await expect(network(url).directory(laptop.login).remaining!()).rejects.toSatisfy(isRefused);
    // Its prekeys are not spent on anybody, and those of the other device go on.
    const bundles = await network(url).directory(bob.login).fetch(ACCOUNT);
    expect(bundles.map(({ address, oneTime }) => [address.device, oneTime?.entry[0]])).toEqual([[7, 0]]);
    expect(await waiting(url, phone)).toEqual(['kept']);
  });

  test('comes back with nothing, if a still newer list names it', async () => {
    const { url } = await start();
    await publish(url, phone);
    await publish(url, laptop, 3);
    await publish(url, bob);
    await send(url, laptop, 'unread');
    const before = await session(url, laptop);
    show([phone], 2);
    await publish(url, phone);
    show([phone, laptop], 3);
    await publish(url, laptop);
    expect(await devicesOf(url)).toEqual([7, 70]);
    expect(await before.status()).toBe(403);
    expect((await session(url, laptop)).lastProofs).toEqual([]);
    expect(await network(url).directory(laptop.login).remaining!()).toBe(0);
    expect(await waiting(url, laptop)).toEqual([]);
    await send(url, laptop, 'new');
    expect(await waiting(url, laptop)).toEqual(['new']);
    // The batch that it had is no longer known either.
    await publish(url, laptop, 3);
    expect(await network(url).directory(laptop.login).remaining!()).toBe(3);
  });

  test('an id that is given to another key is another device', async () => {
    const { url } = await start();
    await publish(url, phone);
    await publish(url, laptop, 3);
    await publish(url, bob);
    await send(url, laptop, 'for the first one only');
    const first = await session(url, laptop);
    const second = relayDevice(ACCOUNT, 'another laptop', 70, phone);
    show([phone, second], 2);
    await publish(url, second, 1);
    expect(await first.status()).toBe(403);
    expect(await network(url).directory(second.login).remaining!()).toBe(1);
    expect(await waiting(url, second)).toEqual([]);
    await expect(publish(url, laptop)).rejects.toSatisfy(isRefused);
    await expect(network(url).directory(laptop.login).remaining!()).rejects.toSatisfy(isRefused);
    expect(await devicesOf(url)).toEqual([7, 70]);
  });

  test('makes room: an account may replace its device again and again', async () => {
    const { url } = await start(undefined, { devicesPerAccount: 2 });
    for (let version = 1; version <= 6; version++) {
      const next = relayDevice(ACCOUNT, `device ${version}`, version, phone);
      show([next], version);
      await publish(url, next, 2);
      expect(await devicesOf(url)).toEqual([version]);
    }
    const third = [8, 9, 10].map((id) => relayDevice(ACCOUNT, `device ${id}`, id, phone));
    show(third, 7);
    await publish(url, third[0]!);
    await publish(url, third[1]!);
    await expect(publish(url, third[2]!)).rejects.toSatisfy(isRefused);
  });
});

test('T12: a folder without lists, of an earlier version: the first one that is shown removes whom it does not name, and keeps the rest', async () => {
  const first = await start();
  await publish(first.url, phone);
  await publish(first.url, laptop);
  await publish(first.url, bob);
  await send(first.url, phone, 'kept');
  await first.close();
  const db = new ClassicLevel(join(first.data, 'directory'));
  await db.clear({ gt: 'list/', lt: 'list0' });
  await db.close();
  const { url } = await start(first.data);
  expect(await devicesOf(url)).toEqual([7, 70]);
  show([phone], 2);
  await publish(url, phone);
  expect(await devicesOf(url)).toEqual([7]);
  expect(await waiting(url, phone)).toEqual(['kept']);
});

describe('T12: what removes nobody', () => {
  test('an older list, another list of the same version, a renewed list of the same devices', async () => {
    const { url } = await start();
    show([phone, laptop], 5);
    await publish(url, phone);
    await publish(url, laptop);
    await publish(url, bob);
    await send(url, laptop, 'kept');
    for (const version of [4, 5]) {
      phone.deviceList = listOf(phone, [phone], version);
      await publish(url, phone);
      expect(await devicesOf(url)).toEqual([7, 70]);
    }
    show([phone, laptop], 6);
    await publish(url, phone);
    expect(await devicesOf(url)).toEqual([7, 70]);
    expect(await waiting(url, laptop)).toEqual(['kept']);
    // A device that stands in the newest list may still show an older one.
    show([phone, laptop], 5);
    await publish(url, laptop);
  });

  test('a list that the account key did not sign, or signed for another account', async () => {
    const { url } = await start();
    await publish(url, phone);
    await publish(url, laptop);
    const mallory = relayDevice(ACCOUNT, 'mallory', 70);
    for (const deviceList of [
      listOf(mallory, [laptop], 9),
      listOf({ ...phone, secrets: { ...phone.secrets, account: 'alice' } }, [laptop], 9),
    ]) {
      laptop.deviceList = deviceList;
      await expect(publish(url, laptop)).rejects.toSatisfy(isRefused);
    }
    mallory.deviceList = listOf(mallory, [mallory], 9);
    await expect(publish(url, mallory)).rejects.toSatisfy(isRefused);
    expect(await devicesOf(url)).toEqual([7, 70]);
  });

  test('a list of the account that a device shows which is not in it', async () => {
    const { url } = await start();
    await publish(url, phone);
    await publish(url, laptop);
    laptop.deviceList = listOf(phone, [phone], 9);
    await expect(publish(url, laptop)).rejects.toSatisfy(isRefused);
    expect(await devicesOf(url)).toEqual([7, 70]);
  });

  test('what the relay knew of the newest list before it was started again', async () => {
    const first = await start();
    show([phone, laptop], 5);
    await publish(first.url, phone);
    await publish(first.url, laptop);
    show([phone], 6);
    await publish(first.url, phone);
    await first.close();
    const { url } = await start(first.data);
    show([phone, laptop], 5);
    await expect(publish(url, laptop)).rejects.toSatisfy(isRefused);
    await publish(url, phone);
    expect(await devicesOf(url)).toEqual([7]);
  });
});

describe('a removal that is cut short', () => {
  /** A publication as the routes make it, without a relay around. */
  async function publishTo(directory: Awaited<ReturnType<typeof openDirectory>>, device: RelayDevice): Promise<void> {
    const { address, identity, signedSet } = device.keys();
    const nonce = randomBytes(32);
    const proof = await device.login.prove({ audience: 'relay', nonce });
    const encoded = { identity: Buffer.from(identity).toString('base64url'), signedSet: Buffer.from(signedSet).toString('base64url') };
    await directory.publish({ ...address, ...encoded }, verifyLogin(proof, { audience: 'relay', nonce, address, identity }));
  }

  test('the mailbox is emptied when the relay starts again', async () => {
    const data = join(folder, `r${folders++}`);
    let mailbox = '';
    const directory = await openDirectory(join(data, 'directory'), defaultLimits, {
      taken: () => {},
      gone: () => Promise.reject(new Error('power cut')),
    });
    const mailboxes = await openMailboxes(join(data, 'mailboxes'), defaultLimits, () => {});
    await publishTo(directory, phone);
    await publishTo(directory, laptop);
    mailbox = (await directory.mailbox(laptop.login.address))!;
    await (await mailboxes.put(mailbox, Buffer.from('unread'))).stored;
    show([phone], 2);
    await expect(publishTo(directory, phone)).rejects.toThrow('power cut');
    expect(await directory.mailbox(laptop.login.address)).toBeUndefined();
    expect(await mailboxes.read(mailbox, '', 10)).toHaveLength(1);
    await Promise.all([directory.close(), mailboxes.close()]);

    const relay = await start(data);
    expect(await devicesOf(relay.url)).toEqual([7]);
    await relay.close();
    const after = await openMailboxes(join(data, 'mailboxes'), defaultLimits, () => {});
    expect(await after.read(mailbox, '', 10)).toEqual([]);
    // The hash of what was queued went too: the same bytes would be queued again.
    await (await after.put(mailbox, Buffer.from('unread'))).stored;
    expect(await after.read(mailbox, '', 10)).toHaveLength(1);
    await after.close();
  });

  test('what was on its way into the mailbox goes with it', async () => {
    const mailboxes = await openMailboxes(join(folder, `m${folders++}`), defaultLimits, () => {});
    const [gone, other] = ['a', 'b'].map((digit) => digit.repeat(32)) as [string, string];
    const puts = await Promise.all([0, 1, 2, 3].map((i) => mailboxes.put(i === 3 ? other : gone, Buffer.of(i))));
    await mailboxes.drop(gone);
    await Promise.all(puts.map(({ stored }) => stored));
    expect(await mailboxes.read(gone, '', 10)).toEqual([]);
    expect(await mailboxes.read(other, '', 10)).toHaveLength(1);
    await mailboxes.close();
  });

  test('an envelope that is stored after its recipient has left is dropped, and refused for good', async () => {
    const sent: Buffer[] = [];
    const dropped: string[] = [];
    const ws = Object.assign(new EventEmitter(), {
      OPEN: 1,
      readyState: 1,
      bufferedAmount: 0,
      isPaused: false,
      send: (frame: Buffer) => sent.push(frame),
      close: () => ws.emit('close'),
    });
    const answers: unknown[] = ['its mailbox', undefined];
    serveSocket(ws as never, {
      auth: { session: () => ({ account: 'bob', device: 1, mailbox: "bob's", login: 0 }) } as never,
      directory: {
        answered: async () => {},
        stock: async () => ({ remaining: 100, lastResortUsed: false }),
        mailbox: async () => answers.shift(),
      } as never,
      mailboxes: { put: async () => ({ stored: Promise.resolve() }), drop: async (mailbox: string) => dropped.push(mailbox) } as never,
      online: new Map(),
      limits: defaultLimits,
      spend: rateLimiters(defaultLimits),
      log: () => {},
    });
    ws.emit('message', Buffer.from('\x01token'), true);
    ws.emit('message', Buffer.from([3, 0, 0, 0, 9, 0, 0, 0, 70, 1, 0x61, 0xff]), true);
    await vi.waitFor(() => expect(sent.map((frame) => frame.toString('hex'))).toEqual(['11', '130000000900000000']), { timeout: 20_000 });
    expect(dropped).toEqual(['its mailbox']);
    ws.close();
  });

  test('nothing of it stays when senders, the device itself and the removal meet', async () => {
    const { url, data, close } = await start(undefined, { sendsPerMinute: 1e6, receivedPerMinute: 1e6, challengesPerMinute: 1e6 });
    await publish(url, bob);
    const transport = network(url).transport(bob.login);
    cleanups.push(() => transport.close());
    for (let round = 1; round <= 6; round++) {
      show([phone, laptop], 2 * round);
      await publish(url, phone);
      await publish(url, laptop);
      show([phone], 2 * round + 1);
      const sent = Array.from({ length: 60 }, (_, i) => transport.send(laptop.login.address, Buffer.from(`${round} ${i}`)));
      const [, ...results] = await Promise.allSettled([publish(url, phone), session(url, laptop), ...sent]);
      for (const result of results.slice(1)) if (result.status === 'rejected') expect(result.reason).toSatisfy(isRefused);
      await expect(network(url).directory(laptop.login).remaining!()).rejects.toSatisfy(isRefused);
    }
    await close();
    const after = new ClassicLevel(join(data, 'mailboxes'));
    expect(await after.keys().all()).toEqual([]);
    await after.close();
  });
});
