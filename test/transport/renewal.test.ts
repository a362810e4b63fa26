import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Login } from '../../src/transport/port.js';
import { toBase64Url } from '../../src/transport/socket/base64url.js';
import { renewal } from '../../src/transport/socket/renewal.js';
import { relay } from '../../src/transport/websocket.js';

const MINUTE = 60_000;
const TO = { account: 'bob', device: 2 };
const DELIVERY = Buffer.from([0x14, 0, 0, 0, 0, 0, 0, 0, 1, 1]);

let sockets: WebSocketServer;
/** What is answered over HTTP, at once, so that a moved clock has done everything. */
let http: { status: number; lastProofs?: string[]; hangs?: boolean; forgetsSessions?: boolean };
let asked: { readonly path: string; readonly signal: AbortSignal }[];
let close: (() => Promise<void>)[];

beforeEach(async () => {
  sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  sockets.on('connection', (socket) => socket.on('message', (data) => answer(data as Buffer, socket)));
  await once(sockets, 'listening');
  http = { status: 200 };
  asked = [];
  close = [];
  vi.stubGlobal('fetch', async (url: string, { signal }: { signal: AbortSignal }) => {
    const { pathname } = new URL(url);
    asked.push({ path: pathname, signal });
    if (http.hangs) await once(signal, 'abort').then(() => Promise.reject(new Error('aborted')));
    const body =
      pathname === '/v1/challenge' ? { nonce: toBase64Url(new Uint8Array(32)) } : { token: 't', remaining: 7, lastProofs: http.lastProofs };
    const status = http.forgetsSessions && pathname === '/v1/remaining' ? 403 : http.status;
    return { status, text: async () => JSON.stringify(http.status === 429 ? { retryAfterMs: 1_000 } : body) };
  });
});

afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  for (const end of close) await end();
  for (const socket of sockets.clients) socket.terminate();
  await new Promise((resolve) => sockets.close(resolve));
});

function answer(frame: Buffer, socket: WebSocket): void {
  const [type] = frame;
  if (type === 1) socket.send(Buffer.of(0x11));
  if (type === 2) socket.send(DELIVERY);
  if (type === 3) socket.send(Buffer.concat([Buffer.of(0x12), frame.subarray(1, 5)]));
  if (type === 4) socket.send(Buffer.concat([Buffer.of(0x15), frame.subarray(1)]));
}

const count = (path: string): number => asked.filter((request) => request.path === path).length;

/** A device that is connected, has one delivery to acknowledge, and is at rest; from here on time passes only by `pass`. */
async function connected(prove: Login['prove'] = async () => new Uint8Array([1])) {
  const login: Login = { address: { account: 'alice', device: 1 }, prove };
  const network = relay(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`);
  const transport = network.transport(login);
  close.push(() => transport.close());
  const loop = transport.deliveries()[Symbol.asyncIterator]();
  const { value } = await loop.next();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return {
    transport,
    directory: network.directory(login),
    loop,
    ack: (): Promise<void> => value.ack(),
    send: () => transport.send(TO, DELIVERY),
  };
}

/** Lets time pass; returns how often the device has logged in since it connected. */
async function pass(ms: number): Promise<number> {
  await vi.advanceTimersByTimeAsync(ms);
  return count('/v1/login') - 1;
}

describe('T24: while it is connected a device proves itself', () => {
  test('5 s after the first send or acknowledgement, then once a minute while there are more, and not at rest', async () => {
    const { ack, send } = await connected();
    expect(await pass(60 * MINUTE)).toBe(0);
    await ack();
    expect(await pass(4_999)).toBe(0);
    expect(await pass(1)).toBe(1);
    for (let minute = 1; minute <= 3; minute++) {
      for (let second = 1; second < 60; second++) {
        await send();
        expect(await pass(1_000)).toBe(minute);
      }
      expect(await pass(999)).toBe(minute);
      expect(await pass(1)).toBe(minute + 1);
    }
    expect(await pass(60 * MINUTE)).toBe(4);
    await send();
    expect(await pass(4_999)).toBe(4);
    expect(await pass(1)).toBe(5);
  });

  test('and if the network fails at that nothing changes; it is made up for a minute later', async () => {
    const { directory, loop, ack, send } = await connected();
    const next = loop.next();
    await ack();
    for (const [n, status] of [500, 403, 429, 200].entries()) {
      http = { status, hangs: false };
      expect(await pass(n === 0 ? 5_000 : MINUTE)).toBe(status === 200 ? 1 : 0);
      http.status = 200;
      expect(count('/v1/challenge')).toBe(n + 2);
      expect(await directory.remaining!()).toBe(7);
    }
    expect(await pass(60 * MINUTE)).toBe(1);

    http.hangs = true;
    await send();
    await pass(5_000 + 20_000);
    http.hangs = false;
    expect(await pass(MINUTE)).toBe(2);

    expect(sockets.clients.size).toBe(1);
    await loop.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test('and what prove throws ends the connection and its deliveries, also when a look-up asked for the proof', async () => {
    for (const byLookUp of [false, true]) {
      const rollback = new Error('rollback');
      const { transport, directory, loop, ack } = await connected(async ({ lastProof }) => {
        if (lastProof !== undefined) throw rollback;
        return new Uint8Array([1]);
      });
      const end = expect(loop.next()).rejects.toBe(rollback);
      http = { status: 200, lastProofs: ['AAAA'], forgetsSessions: byLookUp };
      if (byLookUp) {
        await expect(directory.remaining!()).rejects.toBe(rollback);
      } else {
        await ack();
        await pass(5_000);
      }
      await end;
      await expect(ack()).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
      await expect(transport.send(TO, DELIVERY)).rejects.toBe(rollback);
      http = { status: 200 };
      vi.useRealTimers();
    }
  });

  test('but not once the transport is closed; what is under way is given up', async () => {
    const { transport, ack } = await connected();
    await ack();
    http.hangs = true;
    await pass(5_000);
    expect(asked.at(-1)).toMatchObject({ path: '/v1/challenge', signal: { aborted: false } });
    await transport.close();
    await pass(0);
    expect(asked.at(-1)!.signal.aborted).toBe(true);
    http.hangs = false;
    expect(await pass(60 * MINUTE)).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('renewal', () => {
  test('no timer runs at rest, or after the end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let made = 0;
    const { note, stop } = renewal(async () => {
      made++;
    });
    expect(vi.getTimerCount()).toBe(0);
    note();
    note();
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([made, vi.getTimerCount()]).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect([made, vi.getTimerCount()]).toEqual([1, 0]);
    note();
    stop();
    note();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ended while one is under way, it plans no other', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let resolve = (): void => {};
    const under = new Promise<void>((done) => {
      resolve = done;
    });
    const { note, stop } = renewal(() => under);
    note();
    await vi.advanceTimersByTimeAsync(5_000);
    stop();
    resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
