/** The braid's states on the way through an epoch, and its steps with their contract checked. */

import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { concat } from '../../src/bytes.js';
import { mlKem768Header, mlKem768Vector } from '../../src/crypto/incremental-mlkem.js';
import { mlKem768 } from '../../src/crypto/suite.js';
import { headerMac } from '../../src/ratchet/braid/authenticator.js';
import { chunkAt } from '../../src/ratchet/braid/erasure.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidPhase, BraidState } from '../../src/ratchet/braid/state.js';
import type { SckaMessage, SckaStep } from '../../src/ratchet/scka.js';
import type { Profile, Rng } from '../../src/step.js';
import { CHUNK_BYTES } from '../../src/wire/ratchet-message.js';
import { testRng } from './rng.js';

/** Message types of section 4.7 by number. */
export const TYPES = ['none', 'header', 'ek', 'ekCt1Ack', 'ct1Ack', 'ct1', 'ct2'] as const;
export type TypeName = (typeof TYPES)[number];

/** A phase by name, as TypeScript narrows it. */
export type Phase<K extends BraidPhase['kind']> = Extract<BraidPhase, { kind: K }>;

/** Secrets of a state: authenticator, seed, m. */
export function secretsOf({ auth, phase }: BraidState): Uint8Array[] {
  const secrets = [auth.root, auth.mac];
  if ('key' in phase) secrets.push(phase.key.seed);
  if ('kem' in phase) secrets.push(phase.kem.m);
  return secrets;
}

function buffersIn(value: unknown): ArrayBufferLike[] {
  if (value instanceof Uint8Array) return [value.buffer];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(buffersIn) : [];
}

/** Runs a step and checks what every step owes: its input unchanged, also by a throw; wiped is every secret that was left behind, and nothing that is still held. */
export function checked<S extends SckaStep<BraidState>>(state: BraidState, run: (state: BraidState) => S): S {
  const before = structuredClone(state);
  let step: S;
  try {
    step = run(state);
  } finally {
    if (!isDeepStrictEqual(state, before)) expect.fail('the step changed its input');
  }
  const { next, emitted, wipe } = step;
  const held = secretsOf(next);
  expect(new Set(wipe)).toEqual(new Set(secretsOf(state).filter((secret) => !held.includes(secret))));
  const buffers = new Set(buffersIn([next, emitted]));
  if (wipe.some(({ buffer }) => buffers.has(buffer))) expect.fail('the step wipes what it keeps');
  return step;
}

export function send(state: BraidState, profile: Profile, rng: Rng): ReturnType<typeof braid.send> {
  return checked(state, (own) => braid.send(own, profile, rng));
}

export function receive(state: BraidState, message: SckaMessage, profile: Profile): ReturnType<typeof braid.receive> {
  const before = structuredClone(message);
  try {
    const step = checked(state, (own) => braid.receive(own, message, profile));
    const held = secretsOf(state);
    expect(step.fresh).toEqual(secretsOf(step.next).filter((secret) => !held.includes(secret)));
    return step;
  } finally {
    expect(message).toEqual(before);
  }
}

/** The pieces of one epoch as its messages carry them, MACs included. */
export interface Pieces {
  readonly header: Uint8Array;
  readonly vector: Uint8Array;
  readonly ct1: Uint8Array;
  readonly ct2: Uint8Array;
}

/** The piece that messages of a type are cut from, if they carry any. */
export function pieceOf(pieces: Pieces, type: TypeName): Uint8Array | undefined {
  if (type === 'none' || type === 'ct1Ack') return undefined;
  return pieces[type === 'ek' || type === 'ekCt1Ack' ? 'vector' : type];
}

/** A message with chunk `index` of its piece; type 0 and 4 carry none. */
export function messageOf(pieces: Pieces, epoch: number, profile: Profile, type: TypeName, index: number): SckaMessage {
  const piece = pieceOf(pieces, type);
  const chunkBytes = CHUNK_BYTES[profile];
  return piece === undefined
    ? { epoch, type: TYPES.indexOf(type), index: 0, chunk: new Uint8Array(chunkBytes) }
    : { epoch, type: TYPES.indexOf(type), index, chunk: chunkAt(piece, chunkBytes, index) };
}

/** A message of profile 2 whose chunk is of no piece. */
export function garbageOf(epoch: number, type: TypeName): SckaMessage {
  return { epoch, type: TYPES.indexOf(type), index: 7, chunk: testRng('garbage')(CHUNK_BYTES[2]) };
}

/** How many chunks the decoder of a state holds. */
export function chunksIn({ phase }: BraidState): number {
  return Object.values(phase).reduce((sum: number, part) => sum + (part?.chunks?.length ?? 0), 0);
}

/** An epoch seen from all its states. */
export interface Walk {
  readonly epoch: number;
  readonly profile: Profile;
  readonly pieces: Pieces;
  /** k_e. */
  readonly secret: Uint8Array;
  /** A state of each kind; where a decoder waits for more than one chunk, that kind also with `, one left`. */
  readonly states: Readonly<Record<string, BraidState>>;
}

/** Walks through `epoch` without a network. A profile of few chunks has no state of some kinds. */
export function walk(profile: Profile, epoch = 2, seed = `walk ${profile} ${epoch}`): Walk {
  const rng = testRng(seed);
  const sckaSecret = rng(32);
  let holder = braid.start('initiator', profile, sckaSecret);
  let encapsulator = braid.start('responder', profile, sckaSecret);
  for (let rounds = 0; holder.epoch < epoch; rounds++) {
    if (rounds > 100 * epoch) expect.fail('the braid stands still');
    const sent = braid.send(holder, profile, rng);
    encapsulator = braid.receive(encapsulator, sent.message, profile).next;
    const answer = braid.send(encapsulator, profile, rng);
    holder = braid.receive(sent.next, answer.message, profile).next;
    encapsulator = answer.next;
    if (holder.phase.kind === 'noHeaderReceived' && holder.epoch > encapsulator.epoch) {
      [holder, encapsulator] = [braid.receive(encapsulator, braid.send(holder, profile, rng).message, profile).next, holder];
    }
  }

  const count = (bytes: number): number => Math.ceil(bytes / CHUNK_BYTES[profile]);
  const states: Record<string, BraidState> = {};
  /** Gives `state` the chunks of a piece one by one, and names the states on the way but the last, which it returns. */
  const feed = (name: string, from: BraidState, type: TypeName, pieces: Pieces, already = 0): BraidState => {
    const n = count(pieceOf(pieces, type)!.length);
    let state = from;
    for (let index = already; index < n; index++) {
      if (state.phase.kind === name && states[name] === undefined) states[name] = state;
      if (state.phase.kind === name && index === n - 1 && n > 1) states[`${name}, one left`] = state;
      state = braid.receive(state, messageOf(pieces, epoch, profile, type, index), profile).next;
    }
    return state;
  };

  states['keysUnsampled'] = holder;
  const keysSampled = braid.send(holder, profile, rng).next;
  states['keysSampled'] = keysSampled;
  const { key } = keysSampled.phase as Phase<'keysSampled'>;
  const encapsulationKey = mlKem768.publicKey(key.seed);
  const hdr = mlKem768Header(encapsulationKey);
  const none = new Uint8Array(0);
  let pieces: Pieces = {
    header: concat(hdr, headerMac(holder.auth, epoch, hdr)),
    vector: mlKem768Vector(encapsulationKey),
    ct1: none,
    ct2: none,
  };
  const headerReceived = feed('noHeaderReceived', encapsulator, 'header', pieces);
  states['headerReceived'] = headerReceived;
  const { next: ct1Sampled, emitted } = braid.send(headerReceived, profile, rng);
  pieces = { ...pieces, ct1: (ct1Sampled.phase as Phase<'ct1Sampled'>).kem.ct1 };
  states['ekReceivedCt1Sampled'] = feed('ct1Sampled', ct1Sampled, 'ek', pieces);
  const acknowledged = braid.receive(ct1Sampled, messageOf(pieces, epoch, profile, 'ekCt1Ack', 0), profile).next;
  const ct2Sampled = feed('ct1Acknowledged', acknowledged, 'ekCt1Ack', pieces, 1);
  states['ct2Sampled'] = ct2Sampled;
  pieces = { ...pieces, ct2: (ct2Sampled.phase as Phase<'ct2Sampled'>).piece };
  const ct1Received = feed('headerSent', keysSampled, 'ct1', pieces);
  states['ct1Received'] = ct1Received;
  feed('ekSentCt1Received', ct1Received, 'ct2', pieces);
  return { epoch, profile, pieces, secret: emitted!.secret, states };
}
