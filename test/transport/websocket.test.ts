import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { concat, u32 } from '../../src/bytes.js';
import type { TransportError } from '../../src/errors.js';
import type { Login, Transport } from '../../src/transport/port.js';
import { fromBase64Url, toBase64Url } from '../../src/transport/socket/base64url.js';
import { parseRelayFrame, sendFrame } from '../../src/transport/socket/frames.js';
import { dial } from '../../src/transport/socket/platform.js';
import { relay } from '../../src/transport/websocket.js';

/** A relay that does what a test tells it to. */
interface Script {
  status: number;
  body: (path: string, request: IncomingMessage) => unknown;
  /** Answers a frame of the adapter. */
  frame: (frame: Buffer, socket: WebSocket) => void;
}

let server: Server;
let sockets: WebSocketServer;
let url: string;
let script: Script;
const requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[] = [];
const transports: Transport[] = [];

const NONCE = toBase64Url(new Uint8Array(32).fill(3));
const TO = { account: 'bob', device: 2 };
const login: Login = { address: { account: 'alice', device: 1 }, prove: async () => new Uint8Array([1, 2, 3]) };

const hello = (frame: Buffer, socket: WebSocket): void => {
  if (frame[0] === 0x01) socket.send(Buffer.of(0x11));
};
const request = (frame: Buffer): Buffer => frame.subarray(1, 5);

beforeEach(async () => {
  requests.length = 0;
  script = {
    status: 200,
    body: (path) => (path === '/v1/challenge' ? { nonce: NONCE } : { token: 'session-token' }),
    frame: hello,
  };
  server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push({ path, headers: request.headers });
    request.resume().on('end', () => {
      const body = script.body(path, request);
      response.writeHead(script.status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  sockets = new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false });
  sockets.on('connection', (socket, request) => {
    requests.push({ path: request.url ?? '', headers: request.headers });
    socket.on('message', (data) => script.frame(data as Buffer, socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  for (const transport of transports.splice(0)) await transport.close();
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function open(token?: () => string): Transport {
  const transport = relay(url, { token }).transport(login);
  transports.push(transport);
  return transport;
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => error,
  );
const iterate = (transport: Transport, options?: Parameters<Transport['deliveries']>[0]) =>
  transport.deliveries(options)[Symbol.asyncIterator]();

describe('relay address', () => {
  test('takes wss and https, and plain ones on this machine only', () => {
    for (const good of [
      'wss://relay.example',
      'https://relay.example:8443/path/',
      'ws://localhost:1',
      'http://127.0.0.1',
      'ws://[::1]:80/x',
    ])
      relay(good);
    for (const bad of [
      'ws://relay.example',
      'http://127.0.0.1.example',
      'relay.example',
      'wss://',
      'wss://user@relay',
      'wss://relay/?q',
      'ftp://relay',
    ]) {
      expect(() => relay(bad)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'url' }));
    }
    expect(() => relay(new URL('wss://relay') as never)).toThrow('relay address must be a string');
  });

  test('asks for proofs that are bound to the host and port that were dialled', async () => {
    const audiences: string[] = [];
    const prove: Login['prove'] = async ({ audience }) => {
      audiences.push(audience);
      throw new Error('enough');
    };
    const net = relay(url.replace('127.0.0.1', 'LOCALHOST'));
    await expect(net.transport({ ...login, prove }).send(TO, new Uint8Array(1))).rejects.toThrow('enough');
    expect(audiences).toEqual([url.replace('ws://127.0.0.1', 'localhost')]);
  });
});

describe('send', () => {
  test('carries a token for what stands in front, in a header and as a subprotocol', async () => {
    script.frame = (frame, socket) => (frame[0] === 3 ? socket.send(concat(Buffer.of(0x12), request(frame))) : hello(frame, socket));
    await open(() => 'sso-token').send(TO, new Uint8Array(1));
    expect(requests.slice(0, 2).map(({ headers }) => headers.authorization)).toEqual(['Bearer sso-token', 'Bearer sso-token']);
    expect(requests.at(-1)!.headers['sec-websocket-protocol']).toBe(`cyphr.1,bearer.${toBase64Url(Buffer.from('sso-token'))}`);
    await expect(open(() => 'not a token\n').send(TO, new Uint8Array(1))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'token' });
  });

  test('refused for good has no retryAfterMs, refused for now has one', async () => {
    let retryAfterMs = 0;
    script.frame = (frame, socket) =>
      frame[0] === 3 ? socket.send(concat(Buffer.of(0x13), request(frame), u32(retryAfterMs))) : hello(frame, socket);
    const transport = open();
    const forGood = await failure(transport.send(TO, new Uint8Array(1)));
    expect(forGood).toMatchObject({ code: 'ERR_REJECTED' });
    expect(forGood).not.toHaveProperty('retryAfterMs');
    retryAfterMs = 70_000;
    expect(await failure(transport.send(TO, new Uint8Array(1)))).toMatchObject({ code: 'ERR_REJECTED', retryAfterMs: 70_000 });
  });

  test('matches acceptances to sends whatever their order', async () => {
    const held: Buffer[] = [];
    script.frame = (frame, socket) => {
      if (frame[0] !== 3) return hello(frame, socket);
      held.push(frame);
      if (held.length === 3)
        for (const each of held.reverse())
          socket.send(concat(Buffer.of(each.at(-1) === 2 ? 0x13 : 0x12), request(each), ...(each.at(-1) === 2 ? [u32(0)] : [])));
    };
    const transport = open();
    const results = await Promise.allSettled([1, 2, 3].map((n) => transport.send(TO, new Uint8Array([n]))));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('waits for acceptances before more than a megabyte is out', async () => {
    const held: Buffer[] = [];
    let socket: WebSocket | undefined;
    script.frame = (frame, from) => {
      socket = from;
      if (frame[0] === 3) held.push(request(frame));
      else hello(frame, from);
    };
    const transport = open();
    const sends = Array.from({ length: 8 }, () => transport.send(TO, new Uint8Array(256 * 1024)));
    for (let accepted = 0; accepted < 8; accepted++) {
      await vi.waitFor(() => expect(held.length).toBeGreaterThan(accepted));
      expect(held.length - accepted).toBeLessThanOrEqual(4);
      socket!.send(concat(Buffer.of(0x12), held[accepted]!));
    }
    await Promise.all(sends);
  });

  test('rejects what is unanswered when the connection goes, and dials again for the next', async () => {
    let connections = 0;
    script.frame = (frame, socket) => {
      if (frame[0] === 1) connections++;
      if (frame[0] === 3 && connections === 1) socket.terminate();
      else if (frame[0] === 3) socket.send(concat(Buffer.of(0x12), request(frame)));
      else hello(frame, socket);
    };
    const transport = open();
    const results = await Promise.all([failure(transport.send(TO, new Uint8Array(1))), failure(transport.send(TO, new Uint8Array(2)))]);
    for (const error of results) expect(error).toMatchObject({ code: 'ERR_OFFLINE' });
    await transport.send(TO, new Uint8Array(3));
    expect(connections).toBe(2);
  });

  test('without an answer it is ERR_TIMEOUT; aborted it is the reason; without a relay it is ERR_OFFLINE', async () => {
    let arrived: () => void = () => {};
    const sent = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    script.frame = (frame, socket) => (frame[0] === 3 ? arrived() : hello(frame, socket));
    const transport = open();
    const loop = iterate(transport);
    await new Promise<void>((resolve) => void iterate(transport, { onUp: resolve }).next());
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const late = failure(transport.send(TO, new Uint8Array(1)));
    await sent;
    vi.advanceTimersByTime(60_000);
    expect(await late).toMatchObject({ code: 'ERR_TIMEOUT' });
    vi.useRealTimers();
    const stop = new AbortController();
    const aborted = failure(transport.send(TO, new Uint8Array(1), { signal: stop.signal }));
    stop.abort('no longer');
    expect(await aborted).toBe('no longer');
    await loop.return?.();
    const nowhere = relay('ws://127.0.0.1:1').transport(login);
    expect(await failure(nowhere.send(TO, new Uint8Array(1)))).toMatchObject({ code: 'ERR_OFFLINE' });
  });

  test('checks its arguments, and is closed when it is closed', async () => {
    const transport = open();
    for (const length of [0, 256 * 1024 + 1])
      expect(await failure(transport.send(TO, new Uint8Array(length)))).toMatchObject({ code: 'ERR_LENGTH' });
    for (const to of [
      { account: '', device: 1 },
      { account: 'é'.repeat(33), device: 1 },
      { account: '\ud800', device: 1 },
      { account: 'b', device: -1 },
    ]) {
      expect(await failure(transport.send(to, new Uint8Array(1)))).toMatchObject({ code: 'ERR_ARGUMENT' });
    }
    const waiting = failure(transport.send(TO, new Uint8Array(1)));
    await transport.close();
    await transport.close();
    expect(await waiting).toMatchObject({ action: expect.stringMatching(/retry|fix/) });
    expect(await failure(transport.send(TO, new Uint8Array(1)))).toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('a relay that is not one is offline, not a refusal', async () => {
    const transport = open();
    for (const [status, body] of [
      [200, '<html>'],
      [200, 'null'],
      [200, { nonce: 5 }],
      [200, { nonce: '*' }],
      [502, 'bad gateway'],
      [403, { error: 'refused' }],
      [429, { retryAfterMs: -1 }],
      [429, { retryAfterMs: 1_000 }],
    ] as const) {
      script.status = status;
      script.body = () => body;
      expect(await failure(transport.send(TO, new Uint8Array(1)))).toMatchObject({ code: 'ERR_OFFLINE' });
    }
    const answers = { 403: undefined, 429: 1_000 };
    for (const [status, retryAfterMs] of Object.entries(answers)) {
      script.status = Number(status);
      script.body = () => ({ retryAfterMs });
      const { code, retryAfterMs: told } = (await failure(iterate(transport).next())) as TransportError;
      expect([code, told]).toEqual(['ERR_REJECTED', retryAfterMs]);
    }
  });
});

describe('deliveries', () => {
  const delivery = (n: number) => Buffer.from([0x14, 0, 0, 0, 0, 0, 0, 0, n, n, n]);

  test('begin with the first next, end by return, and share the connection with send', async () => {
    const frames: number[] = [];
    script.frame = (frame, socket) => {
      frames.push(frame[0]!);
      hello(frame, socket);
      if (frame[0] === 2) socket.send(delivery(7));
      if (frame[0] === 3) socket.send(concat(Buffer.of(0x12), request(frame)));
      if (frame[0] === 4) socket.send(concat(Buffer.of(0x15), frame.subarray(1)));
    };
    const transport = open();
    const loop = iterate(transport);
    const { value } = await loop.next();
    expect(value).toMatchObject({ id: '0000000000000007', bytes: new Uint8Array([7, 7]) });
    await value.ack();
    await transport.send(TO, new Uint8Array(1));
    await loop.return?.();
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    expect(frames).toEqual([1, 2, 4, 3]);
    expect(sockets.clients.size).toBe(1);
  });

  test('throw once when the connection goes, and acknowledgements under way reject', async () => {
    script.frame = (frame, socket) => {
      hello(frame, socket);
      if (frame[0] === 2) socket.send(delivery(1));
      if (frame[0] === 4) socket.terminate();
    };
    const loop = iterate(open());
    const { value } = await loop.next();
    expect(await failure(value.ack())).toMatchObject({ code: 'ERR_OFFLINE' });
    expect(await failure(loop.next())).toMatchObject({ code: 'ERR_OFFLINE' });
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    expect(await failure(value.ack())).toMatchObject({ code: 'ERR_OFFLINE' });
  });

  test('T40: a relay that delivers and never answers acknowledgements is dropped, before they pile up', async () => {
    const count = 10_500;
    script.frame = (frame, socket) => {
      hello(frame, socket);
      if (frame[0] !== 2) return;
      for (let i = 0; i < count; i++) socket.send(concat(Buffer.of(0x14), u32(0), u32(i), new Uint8Array(1)));
    };
    const loop = iterate(open());
    let offline = 0;
    const acks: Promise<void>[] = [];
    const note = (error: { code: string }): void => {
      if (error.code === 'ERR_OFFLINE') offline += 1;
    };
    for (;;) {
      const next = await loop.next().catch(note);
      if (next === undefined || next.done === true) break;
      acks.push(next.value.ack().catch(note));
    }
    await Promise.all(acks);
    // The end of the loop is the last.
    expect(offline).toBe(acks.length + 1);
    expect(acks.length).toBeGreaterThan(10_000);
    expect(acks.length).toBeLessThanOrEqual(count);
  });

  test('a second loop takes over from the first, which ends normally', async () => {
    script.frame = hello;
    const transport = open();
    const up = () => new Promise<void>((resolve) => void loops.push(iterate(transport, { onUp: resolve }).next()));
    const loops: Promise<IteratorResult<unknown>>[] = [];
    await up();
    await up();
    expect(await loops[0]).toEqual({ done: true, value: undefined });
  });

  test('T40: a malformed or a text message ends the connection, an unknown one does not', async () => {
    for (const [message, survives] of [
      [Buffer.of(), false],
      [Buffer.of(0x12, 1), false],
      [Buffer.of(0x14, 1), false],
      ['text', false],
      [Buffer.of(0x99, 1, 2, 3), true],
      [Buffer.of(0x12, 0, 0, 0, 99), true],
    ] as const) {
      script.frame = (frame, socket) => {
        hello(frame, socket);
        if (frame[0] !== 2) return;
        socket.send(message);
        socket.send(delivery(1));
      };
      const first = await failure(iterate(open()).next());
      expect(first).toEqual(survives ? 'resolved' : expect.objectContaining({ code: 'ERR_OFFLINE' }));
    }
  });

  test('a silent relay is dropped after two heartbeats, a talking one is pinged', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    let pings = 0;
    let talks = true;
    script.frame = (frame, socket) => {
      hello(frame, socket);
      if (frame[0] === 5) pings++;
      // A delivery behind the pong shows that the pong has arrived.
      if (frame[0] === 5 && talks) for (const answer of [Buffer.of(0x18), delivery(2)]) socket.send(answer);
      if (frame[0] === 2) socket.send(delivery(1));
    };
    const loop = iterate(open());
    await loop.next();
    let end = failure(loop.next());
    for (let beat = 1; beat <= 3; beat++) {
      vi.advanceTimersByTime(20_000);
      await vi.waitFor(() => expect(pings).toBe(beat));
      await end;
      end = failure(loop.next());
    }
    talks = false;
    vi.advanceTimersByTime(40_000);
    expect(await end).toMatchObject({ code: 'ERR_OFFLINE' });
  });

  test('an abort ends them normally, before and while they wait', async () => {
    script.frame = hello;
    const transport = open();
    const stop = new AbortController();
    const waiting = iterate(transport, { signal: stop.signal, onUp: () => stop.abort() }).next();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await iterate(transport, { signal: stop.signal }).next()).toEqual({ done: true, value: undefined });
  });
});

describe('the platform socket', () => {
  /** Like a browser's: an error without a listener is none. */
  class PlatformSocket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      this.on('error', () => {});
    }
  }
  const events = (log: unknown[], done: () => void) => ({
    open: () => void log.push('open'),
    message: (bytes: Uint8Array) => void log.push(...bytes, bytes.length),
    close: () => {
      log.push('close');
      done();
    },
  });

  test('opens, carries bytes, gives text as no bytes, and closes', async () => {
    vi.stubGlobal('WebSocket', PlatformSocket);
    script.frame = (frame, socket) => {
      socket.send(frame);
      socket.send('text');
    };
    const log: unknown[] = [];
    await new Promise<void>((resolve) => {
      const socket = dial(url, ['cyphr.1'], {
        ...events(log, resolve),
        open: () => socket.send(new Uint8Array([7, 8])),
        message: (bytes) => {
          log.push([...bytes]);
          if (bytes.length === 0) socket.close();
        },
      });
      socket.send(new Uint8Array([1])); // not open yet
    });
    expect(log).toEqual([[7, 8], [], 'close']);
  });

  test('is closed without ever being open where nobody answers', async () => {
    vi.stubGlobal('WebSocket', PlatformSocket);
    const log: unknown[] = [];
    await new Promise<void>((resolve) => void dial('ws://127.0.0.1:1', [], events(log, resolve)));
    expect(log).toEqual(['close']);
  });
});

describe('layouts', () => {
  test('base64url agrees with Node for all lengths, and refuses what it would not make', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        const text = toBase64Url(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64url'));
        expect(fromBase64Url(text)).toEqual(new Uint8Array(bytes));
      }),
    );
    for (const bad of ['A', 'AB', 'AA=', 'A+AA', 'A AA', 'AAB', 'é']) expect(fromBase64Url(bad)).toBeUndefined();
  });

  test('frames are what their table says', () => {
    const frame = sendFrame(0x01020304, { account: 'bé', device: 5 }, new Uint8Array([9]));
    expect(Buffer.from(frame).toString('hex')).toBe('03010203040000000503' + '62c3a909');
    expect(parseRelayFrame(new Uint8Array([0x13, 0, 0, 0, 1, 0, 0, 0, 2]))).toEqual({ kind: 'refused', request: 1, retryAfterMs: 2 });
    for (const type of [0x11, 0x12, 0x13, 0x14, 0x15, 0x16])
      expect(parseRelayFrame(new Uint8Array([type, ...new Uint8Array(7)]))).toBeUndefined();
  });
});
