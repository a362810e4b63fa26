/**
 * Makes the fixed vectors of the ratchet: a conversation whose every random byte is given, and encoded states.
 *
 * `scripts/make-ratchet-vectors.ts` writes them to `test-vectors/`; the tests make them again and compare.
 */

import { concat, toHex } from '../../src/bytes.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { acceptRatchet, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { Rng } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { codeOf } from './expect-code.js';
import { type Forgery, forge } from './forge.js';
import { flip } from './rng.js';
import { handshakeSecrets, text } from './sessions.js';

export type Role = 'initiator' | 'responder';

/** One thing that happens. A `send` names its random bytes, in the order in which they are drawn. */
export type VectorStep =
  | {
      readonly op: 'send';
      readonly from: Role;
      readonly plaintext: string;
      /** rnd of the header nonce, 32 bytes. */
      readonly nonceRandom: string;
      /** Secret half of the new DHs, 32 bytes, where the message starts a chain. */
      readonly ratchetSecretKey?: string;
      /** Seed d ‖ z of the ML-KEM key that an epoch offers, 64 bytes, where this message is the first to carry it. */
      readonly kemSeed?: string;
      /** m of the encapsulation, 32 bytes, where this message is the first to carry ct1. */
      readonly kemRandom?: string;
      readonly frame: string;
    }
  /** `message` counts the `send` steps from 0. */
  | { readonly op: 'receive'; readonly to: Role; readonly message: number; readonly plaintext: string }
  | { readonly op: 'reject'; readonly to: Role; readonly why: string; readonly frame: string; readonly code: string };

export interface RatchetVectors {
  readonly description: string;
  readonly profile: 1 | 2 | 3;
  readonly transcriptHash: string;
  readonly rootKey: string;
  readonly headerKeyA: string;
  readonly nextHeaderKeyB: string;
  readonly sckaSecret: string;
  readonly signedPrekeySecretKey: string;
  readonly signedPrekeyPublicKey: string;
  readonly initiatorRatchetSecretKey: string;
  readonly steps: readonly VectorStep[];
}

export interface StateVectors {
  readonly description: string;
  readonly states: readonly {
    readonly name: string;
    readonly state: string;
    readonly frames: readonly { readonly frame: string; readonly plaintext: string }[];
  }[];
}

const MESSAGES = 100;
const other = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator');

/** A conversation of 100 messages with reordering, a gap of 7, lost messages, and frames that must be refused at their moment. */
export function makeRatchetVectors(): RatchetVectors {
  const rng = seededRng('ratchet vectors');
  const network = seededRng('ratchet vectors, network');
  const chance = (percent: number): boolean => network(2)[1]! % 100 < percent;
  const drawn: Uint8Array[] = [];
  const recording: Rng = (length) => {
    const bytes = rng(length);
    drawn.push(bytes.slice());
    return bytes;
  };
  const { initiator, responder } = handshakeSecrets(rng, 1);
  const states: Record<Role, RatchetState> = { initiator: initiateRatchet(initiator, recording), responder: acceptRatchet(responder) };
  const [initiatorRatchetKey] = drawn.splice(0);

  const steps: VectorStep[] = [];
  const sent: { readonly to: Role; readonly plaintext: string; readonly frame: Uint8Array }[] = [];
  const send = (from: Role): number => {
    const plaintext = `message ${sent.length}${'.'.repeat(sent.length % 20 === 5 ? 600 : 0)}`;
    const startsChain = states[from].ec.kind === 'awaitingSend';
    const { next, out } = encrypt(states[from], text(plaintext), recording);
    states[from] = next;
    const random = drawn.splice(0).map(toHex);
    const nonceRandom = random.shift()!;
    const ratchetKey = startsChain ? { ratchetSecretKey: random.shift()! } : {};
    const kem = random.map((hex) => (hex.length === 128 ? { kemSeed: hex } : { kemRandom: hex }))[0];
    steps.push({ op: 'send', from, plaintext, nonceRandom, ...ratchetKey, ...kem, frame: toHex(out) });
    return sent.push({ to: other(from), plaintext, frame: out }) - 1;
  };
  const receive = (message: number): void => {
    const { to, plaintext, frame } = sent[message]!;
    states[to] = decrypt(states[to], frame).next;
    steps.push({ op: 'receive', to, message, plaintext });
  };
  const reject = (to: Role, why: string, frame: Uint8Array): void => {
    steps.push({ op: 'reject', to, why, frame: toHex(frame), code: codeOf(() => decrypt(states[to], frame)) });
  };
  const forged = (from: Role, why: string, change: Forgery): void => reject(other(from), why, forge(states[from], change));

  const held: number[] = [];
  const first = send('initiator');
  forged('initiator', 'header: pqPrev in epoch 1', { header: { pqPrevious: 1 } });
  forged('initiator', 'Hdr whose MAC is wrong', { header: { type: 1, chunk: new Uint8Array(192).fill(1) } });
  receive(first);
  while (sent.length < MESSAGES - 20) {
    const from = Math.floor(sent.length / 3) % 2 === 0 ? 'responder' : 'initiator';
    const message = send(from);
    if (chance(30)) held.push(message);
    else receive(message);
    if (held.length > 0 && chance(40)) receive(held.splice(network(1)[0]! % held.length, 1)[0]!);
  }
  // A gap of seven in one chain, over which the eighth arrives first; then the chain changes.
  const gap = Array.from({ length: 7 }, () => send('initiator'));
  receive(send('initiator'));
  for (const message of [gap[6]!, gap[0]!, gap[3]!]) receive(message);
  receive(send('responder'));
  while (sent.length < MESSAGES - 1) receive(send(Math.floor(sent.length / 4) % 2 === 0 ? 'initiator' : 'responder'));

  const last = send('initiator');
  const { frame } = sent[last]!;
  const { ec, pq } = states.initiator as RatchetState & { ec: { kind: 'sending' } };
  reject('responder', 'a bit of the tag', flip(frame, 4));
  reject('responder', 'a bit of the header nonce', flip(frame, 20));
  reject('responder', 'a bit of the header', flip(frame, 44));
  reject('responder', 'a bit of the commitment', flip(frame, 308));
  reject('responder', 'a bit of the body', flip(frame, 340));
  reject('responder', 'a bit of the body’s tag', flip(frame));
  reject('responder', 'cut by one byte', frame.subarray(0, -1));
  reject('responder', 'one byte longer', concat(frame, new Uint8Array(1)));
  reject('responder', 'the head only', frame.subarray(0, 20));
  reject('responder', 'another type', flip(frame, 0, 0x30));
  reject('responder', 'another version', flip(frame, 1, 3));
  reject('responder', 'another suite', flip(frame, 3, 3));
  reject('initiator', 'reflected to its sender', frame);
  forged('initiator', 'header: pqEpoch 0', { header: { pqEpoch: 0 } });
  forged('initiator', 'header: pqEpoch without a chain', { header: { pqEpoch: pq.sending.epoch + 3 } });
  forged('initiator', 'header: pqEpoch of the past', { header: { pqEpoch: 1 } });
  forged('initiator', 'header: type 7', { header: { type: 7 } });
  forged('initiator', 'header: flags 1', { flags: 1 });
  forged('initiator', 'header: index with type 0', { header: { index: 1 } });
  forged('initiator', 'header: chunk with type 4', { header: { type: 4, chunk: new Uint8Array(192).fill(1) } });
  forged('initiator', 'header: another dh under HKr', { header: { ratchetKey: new Uint8Array(32).fill(9) } });
  forged('initiator', 'header: dh of low order', { header: { ratchetKey: new Uint8Array(32) } });
  forged('initiator', 'header: n = 2³¹', { header: { n: 0x8000_0000 } });
  forged('initiator', 'header: lists of different length', { header: { pqCounter: pq.sending.counter + 2 } });
  forged('initiator', 'header: pqCtr of the past', { header: { pqCounter: 1 } });
  forged('initiator', 'gap of 25,001', { header: { n: ec.sendIndex + 25_000, pqCounter: pq.sending.counter + 25_001 } });
  forged('initiator', 'padding: no marker', { padded: new Uint8Array(512) });
  forged('initiator', 'padding: 1,024 where 512 do', { padded: new Uint8Array(1024).fill(0x80, 9, 10) });
  receive(last);
  reject('responder', 'a second time', frame);
  reject('responder', 'of an old chain that misses nothing', sent[0]!.frame);
  for (const message of [gap[1]!, ...held]) receive(message);
  reject('responder', 'a late message a second time', sent[gap[1]!]!.frame);

  const { transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret, signedPrekey } = responder;
  return {
    description:
      'Ratchet of protocol version 1, section 4: one session between an initiator and a responder, in order. A `send` draws nonceRandom (32), then ratchetSecretKey (32) if it starts a chain, then kemSeed (64) or kemRandom (32) if the braid samples, and gives `frame`. A `receive` of the frame of the `message`-th send (from 0) gives `plaintext`. A `reject` is refused with `code` and changes nothing.',
    profile: 1,
    transcriptHash: toHex(transcriptHash),
    rootKey: toHex(rootKey),
    headerKeyA: toHex(headerKeyA),
    nextHeaderKeyB: toHex(nextHeaderKeyB),
    sckaSecret: toHex(sckaSecret),
    signedPrekeySecretKey: toHex(signedPrekey.secretKey),
    signedPrekeyPublicKey: toHex(signedPrekey.publicKey),
    initiatorRatchetSecretKey: toHex(initiatorRatchetKey!),
    steps,
  };
}

type Golden = StateVectors['states'][number];

function golden(name: string, state: RatchetState, frames: readonly (readonly [frame: Uint8Array, plaintext: string])[]): Golden {
  return { name, state: toHex(encodeState(state)), frames: frames.map(([frame, plaintext]) => ({ frame: toHex(frame), plaintext })) };
}

/** States of each kind and of each phase of the braid, with frames that they must decrypt in the order given. */
export function makeStateVectors(): StateVectors {
  return {
    description:
      'Encoded ratchet states of layout version 1, local to this library: each decodes, encodes to the same bytes, and decrypts its frames in order. Every later version reads them.',
    states: [...classicalStates(), ...braidStates()],
  };
}

/** Every kind of the classical half, with and without missing messages. */
function classicalStates(): Golden[] {
  const rng = seededRng('ratchet states, version 1');
  const { initiator, responder } = handshakeSecrets(rng, 1);
  let [alice, bob] = [initiateRatchet(initiator, rng), acceptRatchet(responder)];
  const states: Golden[] = [];
  const save = (name: string, state: RatchetState, ...frames: (readonly [frame: Uint8Array, plaintext: string])[]): void => {
    states.push(golden(`profile 1: ${name}`, state, frames));
  };
  const say = (who: 'alice' | 'bob', plaintext: string): readonly [Uint8Array, string] => {
    const { next, out } = encrypt(who === 'alice' ? alice : bob, text(plaintext), rng);
    if (who === 'alice') alice = next;
    else bob = next;
    return [out, plaintext];
  };
  const aliceAtFirst = alice;
  const bobAtFirst = bob;
  const [missing, ping] = [say('alice', 'missing'), say('alice', 'ping')];
  save('awaitingFirst', bobAtFirst, ping, missing);
  bob = decrypt(bob, ping[0]).next;
  save('awaitingSend, one message of its chain missing', bob, missing);
  const pong = say('bob', 'pong');
  save('sending, before the first reply', alice, pong);
  save('sending, before the first message', aliceAtFirst);
  alice = decrypt(alice, pong[0]).next;
  const lost = [say('alice', 'lost 0'), say('alice', 'lost 1')] as const;
  const again = say('alice', 'again');
  save('sending, one message of its chain missing', bob, again, lost[1], missing, lost[0]);
  bob = decrypt(bob, again[0]).next;
  save('awaitingSend, messages of an old chain and of its own missing', bob, lost[0], missing, lost[1]);
  return states;
}

/** The number of phases in section 4.7. */
const PHASES = 11;

/** The first state in each phase of the braid that a session comes to in a later epoch than the first, and two messages to it. */
function braidStates(): Golden[] {
  const rng = seededRng('ratchet states, version 1, braid');
  const network = seededRng('ratchet states, version 1, network');
  const { initiator, responder } = handshakeSecrets(rng, 2);
  const states = [initiateRatchet(initiator, rng), acceptRatchet(responder)] as [RatchetState, RatchetState];
  const found = new Map<string, Golden>();
  const look = (who: 0 | 1): void => {
    const { epoch, phase } = states[who].scka as BraidState;
    if (epoch === 1 || found.has(phase.kind)) return;
    let peer = states[1 - who]!;
    const frames = ['one', 'two'].map((plaintext) => {
      const { next, out } = encrypt(peer, text(plaintext), rng);
      peer = next;
      return [out, plaintext] as const;
    });
    found.set(phase.kind, golden(`profile 2, epoch ${epoch}: ${phase.kind}`, states[who], frames));
  };
  // Long bursts of one side, so that a piece is whole before the other has acknowledged anything.
  for (let from: 0 | 1 = 0; found.size < PHASES; from = from === 0 ? 1 : 0) {
    for (let left = network(1)[0]! % 40; left >= 0; left--) {
      const { next, out } = encrypt(states[from], text('turn'), rng);
      states[from] = next;
      look(from);
      const to = from === 0 ? 1 : 0;
      states[to] = decrypt(states[to], out).next;
      look(to);
    }
  }
  return [...found.values()];
}
