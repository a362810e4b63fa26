/** The client: what authenticated peers say, what a hostile network delivers, what a relay answers, and stores that were damaged. */

import { readFileSync } from 'node:fs';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { decodeContent, decodeHello, encodeContent, encodeHello, stampContent } from '../../src/client/content.js';
import { decodeControl, encodeControl } from '../../src/client/control.js';
import { readPlaintext } from '../../src/client/opened.js';
import type { ErrorCode } from '../../src/errors.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import { relayHttp } from '../../src/transport/socket/http.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { parseSignedSet } from '../../src/wire/objects.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';
import type { StoreVectors } from '../helpers/client-store-vectors.js';
import { evilPeer } from '../helpers/evil-peer.js';
import { type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { glassStore, type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';
import { DECODE, decoder, edited, Finding, must, program, refusedAs, refusedLater, same, type Target } from './target.js';

const bytes = (length: number, value = 5): Uint8Array => new Uint8Array(length).fill(value);
const id = toHex(bytes(16)) as never;

const contents = [
  encodeContent({ kind: 'text', text: 'hé' }, START),
  encodeContent({ kind: 'bytes', bytes: bytes(3) }, START),
  encodeContent({ kind: 'app', type: 'x.y', data: { a: [1, null] }, fallback: 'f' }, START),
  encodeContent({ kind: 'edit', target: id, text: 'new' }, START),
  encodeContent({ kind: 'reaction', target: id, emoji: '👍' }, START),
  encodeContent({ kind: 'deletion', target: id }, START),
  encodeContent({ kind: 'timer', disappearAfterMs: 86_400_000 }, START),
].flatMap((payload) => [payload, stampContent(payload, { order: 7 })]);
const controls = [
  encodeControl({ t: 'copy', to: 'bob', id: bytes(16), app: contents[0]! }),
  encodeControl({ t: 'keys', list: bytes(9), key: bytes(9), set: bytes(9) }),
  encodeControl({ t: 'retry', session: bytes(16), missing: [{ tag: bytes(16), n: 4 }] }),
  encodeControl({ t: 'contacts', entries: [{ account: 'bob', contact: bytes(9) }] }),
  encodeControl({ t: 'receipts', delivered: [bytes(16)], read: [] }),
];
const hellos = [
  encodeHello({ incarnation: bytes(16), replaces: [bytes(16)], app: contents[0] }),
  encodeHello({ incarnation: bytes(16), replaces: [], control: controls[4] }),
];
const CLIENT_CODES: readonly ErrorCode[] = ['ERR_DECODE', 'ERR_VERSION', 'ERR_TOO_LARGE'];

/** Bob's client, a peer whom he knows, and a way to give him bytes. */
async function world() {
  const clock = { ms: START };
  const network = hostileNetwork();
  const bob = await person('bob', network, clock);
  const [bundle] = await network.bundles('bob');
  const peer = evilPeer('carol', 'carol', clock.ms);
  network.answer = (asked, honest) => (asked === 'carol' ? [peer.published()] : honest);
  clock.ms += 2_000;
  await network.inject(bob.address, peer.flight(bundle!, peer.text('hello')));
  await bob.read();
  return { clock, network, bob, bundle: bundle!, peer };
}

/** Whatever comes, the client takes it, goes on, and has no bug to report. */
function receiverTarget(): Promise<Target> {
  return world().then(({ clock, network, bob, bundle, peer }) => {
    const set = parseSignedSet(bundle.signedSet);
    const frames = [peer.next(peer.text('one')), evilPeer('dave', 'dave', clock.ms).flight(bundle, peer.text('two'))];
    let numbers = 0;
    const inject = async (frame: Uint8Array): Promise<void> => {
      clock.ms += 2_000;
      const from = bob.observations.length;
      must(await network.inject(bob.address, frame), 'an envelope was not acknowledged');
      const bugs = bob.observations.slice(from).filter((record) => 'code' in record && record.code === 'ERR_BUG');
      must(bugs.length === 0, `the client reports a bug: ${JSON.stringify(bugs)}`);
      must(bob.client.status.state === 'online', `the client is ${bob.client.status.state}`);
    };
    return {
      seeds: [
        new Uint8Array([0, 0, 0, 0, 9, 1, 0]),
        new Uint8Array([1, 0, 0, 9, 1, 0]),
        new Uint8Array([2, 0x20, 1, 0, 1]),
        ...contents.map((payload) => concat(new Uint8Array([3]), payload)),
        ...[...controls, ...hellos].map((payload) => concat(new Uint8Array([4]), payload)),
        concat(
          new Uint8Array([5]),
          encodePlaintext({
            kind: 'control',
            messageId: bytes(16),
            ownListVersion: 1,
            peerListVersion: 2,
            ownListHash: bytes(8),
            payload: hellos[0]!,
          }),
        ),
      ],
      work: { fixed: 3_000_000, perByte: 3_000 },
      isSlow: true,
      async play(input) {
        const next = program(input);
        const kind = next.u8() % 6;
        if (kind === 0) await inject(edited(frames[next.u8() % frames.length]!, next.rest()));
        if (kind === 1) {
          const { prefix, ratchetMessage } = evilPeer('mallory', `mallory ${numbers++}`, clock.ms).initiate(bundle, peer.text('x'));
          const inner = edited(concat(prefix, ratchetMessage), next.rest());
          await inject(sealFrame(bob.address, set.setId, set.sealKey, inner, testRng(`${numbers}`)));
        }
        if (kind === 2) await inject(next.rest());
        if (kind === 3) await inject(peer.next(peer.raw(next.rest(), 'app')));
        if (kind === 4) await inject(peer.next(peer.raw(next.rest(), 'control')));
        if (kind === 5) await inject(peer.next(next.rest()));
        // Who speaks next is heard.
        const said = `still there ${numbers++}`;
        await inject(peer.next(peer.text(said)));
        const read = await bob.readAll();
        must(
          read.some(({ text }) => text === said),
          'the client no longer hears',
        );
      },
      close: () => bob.client.close(),
    };
  });
}

/** A client's store with one damaged row: it opens and does what it can, or says what is wrong. */
function storeTarget(): Target {
  const golden = JSON.parse(readFileSync(new URL('../../test-vectors/client-store-v3.json', import.meta.url), 'utf8')) as StoreVectors;
  const rows = Object.entries(golden.stores['alice']!).map(([key, value]) => ({
    key: JSON.parse(key) as [string, ...string[]],
    value: fromHex(value)!,
  }));
  const spaces = [...new Set(rows.map(({ key }) => key[0]))];
  const ofSpace = (space: string) => rows.filter(({ key }) => key[0] === space);
  const codes: readonly ErrorCode[] = [
    'ERR_STORE_CORRUPT',
    'ERR_STORE_VERSION',
    'ERR_STORE_ROLLBACK',
    'ERR_ARGUMENT',
    'ERR_ACCOUNT_EXISTS',
    'ERR_DEVICE_UNTRUSTED',
    'ERR_IDENTITY_CHANGED',
    'ERR_LIST_STALE',
    'ERR_BUNDLE',
    'ERR_NO_SESSION',
  ];
  return {
    seeds: spaces.map((_, i) => new Uint8Array([i, 0, 2, 0, 0, 9, 1, 0])),
    work: { fixed: 6_000_000, perByte: 3_000 },
    isSlow: true,
    async play(input) {
      const next = program(input);
      const space = ofSpace(spaces[next.u8() % spaces.length]!);
      const row = space[next.u8() % space.length]!;
      const isGone = next.u8() % 8 === 0;
      const damaged = edited(row.value, next.rest());
      const network: HostileNetwork = hostileNetwork();
      for (const { account, device, identity, signedSet } of golden.directory) {
        const directory = network.directory as (login: unknown) => { publish(keys: unknown): Promise<void> };
        await directory({ address: { account, device } }).publish({
          address: { account, device },
          identity: fromHex(identity)!,
          signedSet: fromHex(signedSet)!,
        });
      }
      const store = glassStore();
      await store.commit(rows.flatMap((each) => (each === row ? (isGone ? [] : [{ key: row.key, value: damaged }]) : [each])));
      const opened = await refusedLater(codes, () => person('alice', network, { ms: golden.nowMs }, { store, seed: 'fuzz' }));
      if ('code' in opened) return;
      const alice: Person = opened.value;
      const { bytes: first, ...to } = golden.envelopes.first;
      await Promise.race([network.inject(to, fromHex(first)!), new Promise((resolve) => setImmediate(resolve))]);
      await refusedLater(codes, () => alice.readAll());
      await refusedLater(codes, () => alice.client.send('bob', 'still there'));
      await refusedLater(codes, () => alice.client.contact('bob').identity());
      await alice.client.close();
    },
  };
}

/** A relay's answers to every question that a client has. */
function answerTarget(): Target {
  const answer = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const login = { address: { account: 'alice', device: 9 }, prove: async () => bytes(5) };
  const codes: readonly ErrorCode[] = ['ERR_OFFLINE', 'ERR_REJECTED'];
  return {
    seeds: [
      answer({
        nonce: 'AAAA',
        token: 't',
        lastProofs: ['AAEC'],
        remaining: 5,
        statement: 'AAEC',
        bytes: 'AAEC',
        devices: [{ device: 5, identity: 'AAEC', signedSet: 'AAEC', oneTime: { head: 'AA', entry: 'AA' } }],
      }),
      answer([]),
      answer({ devices: [null, 5, {}], nonce: 'A', token: 5, lastProofs: 'x', remaining: -1 }),
    ],
    async play(input) {
      const real = globalThis.fetch;
      const status = [200, 200, 200, 429, 404, 500][(input[0] ?? 0) % 6]!;
      globalThis.fetch = async () => new Response(Buffer.from(input), { status });
      try {
        const http = relayHttp({ base: 'http://relay.invalid', audience: 'relay.invalid', bearer: async () => undefined }, login as never);
        await refusedLater(codes, () => http.login());
        const fetched = await refusedLater(codes, () => http.fetch('bob', 'all', undefined));
        if ('value' in fetched)
          must(
            fetched.value.every(({ identity, signedSet }) => identity instanceof Uint8Array && signedSet instanceof Uint8Array),
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

export const clientTargets: Readonly<Record<string, () => Target | Promise<Target>>> = {
  content: () =>
    decoder({
      seeds: [...contents, encodeMsgpack({ t: 'text', at: 1, text: 'x', o: 1, x: 1 })],
      codes: DECODE,
      decode: decodeContent,
    }),
  control: () => decoder({ seeds: controls, codes: DECODE, decode: decodeControl, encode: encodeControl, isCanonical: false }),
  hello: () => decoder({ seeds: hellos, codes: DECODE, decode: decodeHello, encode: encodeHello, isCanonical: false }),
  plaintext: () => ({
    seeds: [...contents, ...controls, ...hellos].map((payload, i) => {
      const kind = i < contents.length ? 'app' : 'control';
      return encodePlaintext({ kind, messageId: bytes(16), ownListVersion: 1, peerListVersion: 2, ownListHash: bytes(8), payload });
    }),
    play(input) {
      const result = refusedAs([], () =>
        readPlaintext(input, (code) => {
          if (!CLIENT_CODES.includes(code)) throw new Finding(`reports ${code}`);
        }),
      );
      if ('value' in result && result.value.opened !== undefined)
        must(same(fromHex(result.value.opened.messageId)!, input.subarray(1, 17)), 'another message');
    },
  }),
  'relay-answer': answerTarget,
  receiver: receiverTarget,
  'client-store': storeTarget,
};
