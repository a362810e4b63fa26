/** The two ends of the relay's protocol: what a relay says to the adapter, and what a connection says to the reference relay. */

import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { createAuth } from '../../examples/relay/auth.js';
import { createDropBox } from '../../examples/relay/dropbox.js';
import { defaultLimits, Later, Refused } from '../../examples/relay/limits.js';
import { createRoutes, type RouteServices } from '../../examples/relay/routes.js';
import { type SocketServices, serveSocket } from '../../examples/relay/socket.js';
import type { ErrorCode } from '../../src/errors.js';
import { parseRelayFrame } from '../../src/transport/socket/frames.js';
import { relayHttp } from '../../src/transport/socket/http.js';
import { must, program, refusedLater, type Target } from './target.js';

const bytes = (length: number, value = 5): Uint8Array => new Uint8Array(length).fill(value);
const TURNS = 8;

function frameTarget(): Target {
  const frames = [
    [0x11],
    [0x12, 0, 0, 0, 1],
    [0x13, 0, 0, 0, 1, 0, 0, 0, 9],
    [0x14, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [0x15, 1, 2, 3, 4, 5, 6, 7, 8],
    [0x16],
  ];
  return {
    // Each as it is, one byte short, and one byte long.
    seeds: [...frames, ...frames.map((frame) => frame.slice(0, -1)), ...frames.map((frame) => [...frame, 0])].map(
      (frame) => new Uint8Array(frame),
    ),
    play(input) {
      const frame = parseRelayFrame(input);
      if (frame?.kind === 'deliver') must(frame.bytes.length === input.length - 9, 'an envelope of another length');
    },
  };
}

/** A relay's answers to every question that a client has. */
function answerTarget(): Target {
  const answer = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const login = { address: { account: 'alice', device: 9 }, prove: async () => bytes(5) };
  const codes: readonly ErrorCode[] = ['ERR_OFFLINE', 'ERR_REJECTED'];
  const device = { device: 5, identity: 'AAEC', signedSet: 'AAEC', oneTime: { head: 'AA', entry: 'AA' } };
  return {
    seeds: [
      answer({ nonce: 'AAAA', token: 't', lastProofs: ['AAEC'], remaining: 5, statement: 'AAEC', bytes: 'AAEC', devices: [device] }),
      answer([]),
      answer({ devices: [null, 5, {}], nonce: 'A', token: 5, lastProofs: 'x', remaining: -1 }),
    ],
    async play(input) {
      const real = globalThis.fetch;
      const status = [200, 200, 200, 429, 404, 500][(input.length + (input[0] ?? 0)) % 6]!;
      globalThis.fetch = async () => new Response(Buffer.from(input), { status });
      try {
        const http = relayHttp({ base: 'http://relay.invalid', audience: 'relay.invalid', bearer: async () => undefined }, login as never);
        await refusedLater(codes, () => http.login());
        const fetched = await refusedLater(codes, () => http.fetch('bob', 'all', undefined));
        const areBytes = (values: readonly unknown[]): boolean => values.every((value) => value instanceof Uint8Array);
        if ('value' in fetched)
          must(
            fetched.value.every(({ identity, signedSet }) => areBytes([identity, signedSet])),
            'a bundle without bytes',
          );
        const remaining = await refusedLater(codes, () => http.remaining());
        if ('value' in remaining) must(Number.isSafeInteger(remaining.value) && remaining.value >= 0, 'no count');
        await refusedLater(codes, () => http.statement('bob', undefined));
        await refusedLater(codes, () => http.pickUp('00'.repeat(16), undefined));
      } finally {
        globalThis.fetch = real;
      }
    },
  };
}

/** A socket that is open until one side ends it, and counts what it is given. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  isPaused = false;
  sentCount = 0;
  send(): void {
    this.sentCount += 1;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  terminate(): void {
    this.close();
  }
  close(): void {
    if (this.readyState !== 1) return;
    this.readyState = 3;
    this.emit('close');
  }
}

/** Frames of one connection to the reference relay, whose mailbox holds three envelopes: it answers, or ends the connection by its rules. */
function connectionTarget(): Target {
  const token = Buffer.from('\x01good', 'latin1');
  const send = Buffer.from('03000000010000000903616c69636500', 'hex');
  const frame = (given: Uint8Array): readonly number[] => [given.length, ...given];
  return {
    seeds: [
      [...frame(token), ...frame(Buffer.of(2)), ...frame(Buffer.of(5)), ...frame(Buffer.from('0400000000000000001', 'hex'))],
      [...frame(token), ...frame(send), ...frame(Buffer.of(9)), ...frame(Buffer.from('040000000000000001', 'hex'))],
      [...frame(Buffer.of(1, 2))],
    ].map((seed) => new Uint8Array(seed)),
    async play(input) {
      const next = program(input.subarray(0, 300));
      const ended: string[] = [];
      const held = new Map([1, 2, 3].map((id) => [id.toString(16).padStart(16, '0'), bytes(9)]));
      const services = {
        auth: { session: (given: string) => (given === 'good' ? { mailbox: 'm', address: { account: 'alice', device: 9 } } : undefined) },
        directory: {
          mailbox: async ({ account }: { account: string }) => (account === 'ali' ? 'm' : undefined),
          answered: async () => {},
          stock: async () => ({ remaining: 1, lastResortUsed: true }),
        },
        mailboxes: {
          put: async () => ({ stored: Promise.resolve() }),
          read: async (_mailbox: string, after: string) =>
            [...held].filter(([id]) => id > after).map(([id, envelope]) => ({ id, envelope })),
          remove: async (_mailbox: string, id: string) => void held.delete(id),
          drop: async () => {},
        },
        online: new Map(),
        limits: { oneTimePrekeysLow: 10, envelopeBytes: 200 },
        spend: { send: async () => {}, receive: async () => {} },
        log: (event: string, detail?: Record<string, unknown>) => event === 'connection ended' && ended.push(JSON.stringify(detail)),
      };
      const socket = new FakeSocket();
      serveSocket(socket as never, services as unknown as SocketServices);
      let frames = 0;
      while (!next.hasEnded() && socket.readyState === 1) {
        const length = next.u8();
        socket.emit('message', Buffer.from(next.bytes(length)), length !== 255);
        frames += 1;
        for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
      }
      socket.close();
      must(services.online.size === 0, 'a connection that has ended is still online');
      must(
        ended.every((detail) => detail.includes('"refused"')),
        `the relay fails on a frame: ${ended.join()}`,
      );
      must(socket.sentCount <= 6 * frames, `${socket.sentCount} answers to ${frames} frames`);
    },
  };
}

/** Requests to the reference relay's routes: an answer, or one of its two refusals. */
function routesTarget(): Target {
  const auth = createAuth();
  const token = auth.open({ account: 'alice', device: 9, mailbox: 'm', login: 1 });
  const services = {
    auth,
    directory: {
      answered: async () => {},
      login: async (_who: unknown, _proof: string, open: (identity: string, begun: unknown) => unknown) => open('AAEC', {}),
      publish: async () => {},
      fetch: async () => [],
      stock: async () => ({ remaining: 1 }),
    },
    dropBox: createDropBox(defaultLimits),
    statements: async () => undefined,
    limits: defaultLimits,
    spend: Object.fromEntries(['challenge', 'take', 'read', 'leave'].map((name) => [name, async () => {}])),
  };
  const routes = [...createRoutes(services as unknown as RouteServices)];
  const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));
  const body = (value: unknown): Uint8Array => text(JSON.stringify(value));
  const who = { account: 'alice', device: 9 };
  const proof = { ...who, nonce: 'NONCE', proof: 'AAEC' };
  const keys = { ...proof, identity: 'AAEC', signedSet: 'AAEC', batch: { id: 'x', head: 'AA', entries: ['AA'] } };
  const slot = '00'.repeat(16);
  const inputs = [
    body(who),
    body(proof),
    body(keys),
    text('account=bob&take=1,2'),
    text(''),
    text('account=bob'),
    body({ slot, bytes: 'AAEC' }),
    text(`slot=${slot}`),
  ];
  return {
    // The last one: a name that is no text, and can't be made one.
    seeds: [...inputs.map((input, i) => [i, ...input]), [6, ...body({ slot: { toString: 1 }, bytes: 'AAEC' })]].map(
      (seed) => new Uint8Array(seed),
    ),
    async play(input) {
      const [route, handler] = routes[(input[0] ?? 0) % routes.length]!;
      const given = Buffer.from(input.subarray(1)).toString('utf8');
      // A challenge that is good once, where the input asks for one.
      const sent = given.replace('NONCE', () => auth.challenge(who, 'relay'));
      const request = Object.assign(Readable.from([Buffer.from(sent)]), {
        socket: new EventEmitter(),
        headers: { 'cyphr-session': token },
      });
      const query = route.startsWith('GET') ? new URLSearchParams(sent) : new URLSearchParams();
      const answered = handler({ request: request as never, query, audience: 'relay' }).then(
        () => undefined,
        (error: unknown) => (error instanceof Refused || error instanceof Later ? undefined : error),
      );
      // Who waits for a slot goes away.
      for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
      request.socket.emit('close');
      const failure = await answered;
      must(failure === undefined, `${route} fails: ${String((failure as Error | undefined)?.stack)}`);
    },
  };
}

export const relayTargets: Readonly<Record<string, () => Target>> = {
  'relay-frame': frameTarget,
  'relay-answer': answerTarget,
  'relay-connection': connectionTarget,
  'relay-routes': routesTarget,
};
