/** The client: what authenticated peers and other tabs say, what a hostile network delivers, and stores that were damaged. */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { decodeContent, decodeHello, encodeContent, encodeHello, stampContent } from '../../src/client/content.js';
import { decodeControl, encodeControl } from '../../src/client/control.js';
import { readPlaintext } from '../../src/client/opened.js';
import { decodeFacts, encodeFacts } from '../../src/client/records.js';
import { unpack, unpackError } from '../../src/client/tabs/messages.js';
import { type ErrorCode, isCyphrError } from '../../src/errors.js';
import { sealFrame } from '../../src/pqxdh/handshake.js';
import * as peers from '../../src/session/peer.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
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

/** What other tabs say, as structured clones that anything can be. */
function tabTarget(): Target {
  const messages = [
    { kind: 'hello', cyphr: 2 },
    { kind: 'call', cyphr: 2, term: 't', from: 'f', id: 1, name: 'send', input: {} },
    { kind: 'answer', cyphr: 2, term: 't', to: 'f', id: 1, error: { type: 'UsageError', code: 'ERR_ARGUMENT', message: 'x' } },
    { kind: 'leading', cyphr: 3 },
  ];
  return {
    seeds: messages.map((message) => encodeMsgpack(message)),
    play(input) {
      const data = refusedAs(DECODE, () => decodeMsgpack(input));
      if ('code' in data) return;
      const message = unpack(data.value);
      if (typeof message !== 'object' || message.kind !== 'answer' || message.error === undefined) return;
      must(isCyphrError(unpackError(message.error)), 'an error that is not ours');
    },
  };
}

/** What becomes of the sessions with one device, whatever happens to them and whenever. */
function peerTarget(): Target {
  const name = (n: number): Uint8Array => bytes(16, n % 8);
  return {
    seeds: [
      [0, 1, 1, 2, 1, 3, 2, 9],
      [1, 1, 0, 2, 5, 1, 5, 1, 5, 2, 6, 1, 7, 2, 0, 3],
    ].map((seed) => new Uint8Array(seed)),
    work: { fixed: 3_000, perByte: 10_000 },
    isSlow: true,
    play(input) {
      const next = program(input.subarray(0, 300));
      let state = peers.NO_SESSIONS;
      let nowMs = START;
      while (!next.hasEnded()) {
        const op = next.u8();
        const id = name(next.u8());
        const isNew = state.sessions.every((session) => !same(session.id, id));
        nowMs += (op >> 4) ** 4 * 60_000 - (op === 255 ? 86_400_000 : 0);
        const steps = [
          () => (isNew ? peers.started(state, id, name(op >> 3), nowMs) : state),
          () => (isNew ? peers.accepted(state, id, nowMs, op & 64 ? name(op >> 3) : undefined) : state),
          () => peers.replaced(state, id, name(op >> 3), [name(op >> 4), name(op >> 5)], nowMs),
          () => peers.received(state, id, nowMs),
          () => peers.failed(state, id, { tag: bytes(16, op >> 6), n: op >> 4 }),
          () => peers.died(state, id, op & 64 ? { tag: bytes(16), n: op >> 4 } : undefined),
          // Only who has failed is asked.
          () => (state.sessions.some((each) => same(each.id, id) && each.failed.length > 0) ? peers.asked(state, id, nowMs) : state),
          () => peers.restarted(state, name(op >> 3), nowMs - (op >> 4) * 3_600_000),
        ];
        const { next: kept, expired } = peers.expire(steps[op % steps.length]!());
        state = kept;
        const { sessions } = state;
        must(sessions.filter(({ status }) => status === 'active').length <= 1, 'two active sessions');
        must(sessions.length <= 5 && new Set(sessions.map((session) => toHex(session.id))).size === sessions.length, 'too many sessions');
        must(
          expired.every((gone) => sessions.every((session) => !same(session.id, gone))),
          'an expired session is still there',
        );
        const active = peers.activeSession(state);
        must(active === undefined || !peers.isBroken(active), 'a broken session is sent on');
        must(
          state.former.length <= 4 && state.gone.length <= 16 && sessions.every(({ failed }) => failed.length <= 64),
          'too much is remembered',
        );
        must(state.incarnation === null || state.former.every((each) => !same(each, state.incarnation!)), 'an incarnation came back');
        const stored = sessions.map((session) => decodeFacts(decodeMsgpack(encodeMsgpack(encodeFacts(session)))));
        must(isDeepStrictEqual(stored, sessions), 'stored otherwise');
        peers.mayStart(state, nowMs);
        peers.unasked(state, id);
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
  'tab-message': tabTarget,
  'peer-sessions': peerTarget,
  receiver: receiverTarget,
  'client-store': storeTarget,
};
