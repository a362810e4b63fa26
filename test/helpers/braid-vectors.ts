/**
 * Makes the fixed vectors of the braid: every row of its tables, with the states before and after.
 *
 * `scripts/make-braid-vectors.ts` writes them to `test-vectors/`; the tests make them again and compare.
 */

import { concat, toHex } from '../../src/bytes.js';
import { sha3_256 } from '../../src/crypto/suite.js';
import { headerMac } from '../../src/ratchet/braid/authenticator.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { type BraidState, encodeBraid } from '../../src/ratchet/braid/state.js';
import type { SckaMessage } from '../../src/ratchet/scka.js';
import type { Profile } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { messageOf, type Pieces, pieceOf, TYPES, type TypeName, type Walk, walk } from './braid.js';
import { codeOf } from './expect-code.js';
import { flip } from './rng.js';

/** What a message carries for the braid; the chunk in hexadecimal. */
export interface VectorMessage {
  readonly epoch: number;
  readonly type: number;
  readonly index: number;
  readonly chunk: string;
}

/** `state` and `next` name entries of `states`. A send without `random` draws none. */
export interface BraidVectors {
  readonly description: string;
  readonly states: Readonly<Record<string, string>>;
  readonly sends: readonly {
    readonly state: string;
    readonly profile: Profile;
    readonly random?: string;
    readonly message: VectorMessage;
    readonly next: string;
    readonly emitted?: string;
  }[];
  readonly receives: readonly {
    readonly state: string;
    readonly profile: Profile;
    readonly message: VectorMessage;
    readonly next: string;
    readonly emitted?: string;
  }[];
  readonly refusals: readonly {
    readonly why: string;
    readonly state: string;
    readonly profile: Profile;
    readonly message: VectorMessage;
    readonly code: string;
  }[];
}

/** A chunk that no state of a walk has: parity. */
const FRESH = 40_000;

const inHex = ({ epoch, type, index, chunk }: SckaMessage): VectorMessage => ({ epoch, type, index, chunk: toHex(chunk) });

export function makeBraidVectors(): BraidVectors {
  const states = new Map<string, string>();
  const sends: BraidVectors['sends'][number][] = [];
  const receives: BraidVectors['receives'][number][] = [];
  const refusals: BraidVectors['refusals'][number][] = [];
  /** The name under which a state stands in the file: that of its first appearance. */
  const named = (state: BraidState, name: string): string => {
    const encoded = toHex(encodeBraid(state));
    if (!states.has(encoded)) states.set(encoded, name);
    return states.get(encoded)!;
  };
  const send = (state: BraidState, profile: Profile, name: string): void => {
    const drawn: Uint8Array[] = [];
    const rng = seededRng(`braid vectors, ${name}`);
    const { next, message, emitted } = braid.send(state, profile, (length) => {
      drawn.push(rng(length));
      return drawn[0]!.slice();
    });
    sends.push({
      state: name,
      profile,
      ...(drawn.length === 0 ? {} : { random: toHex(drawn[0]!) }),
      message: inHex(message),
      next: named(next, `${name} → send`),
      ...(emitted === null ? {} : { emitted: toHex(emitted.secret) }),
    });
  };
  const receive = (state: BraidState, profile: Profile, name: string, message: SckaMessage, what: string): void => {
    const { next, emitted } = braid.receive(state, message, profile);
    receives.push({
      state: name,
      profile,
      message: inHex(message),
      next: named(next, `${name} → ${what}`),
      ...(emitted === null ? {} : { emitted: toHex(emitted.secret) }),
    });
  };
  const refuse = (why: string, state: BraidState, profile: Profile, name: string, message: SckaMessage): void => {
    refusals.push({ why, state: name, profile, message: inHex(message), code: codeOf(() => braid.receive(state, message, profile)) });
  };

  // Profile 2 has a state of every kind: every row of both tables, and what is ignored.
  const two = walk(2, 2, 'braid vectors, profile 2');
  const entries = Object.entries(two.states);
  const nameOf = ({ profile }: Walk, name: string): string => `profile ${profile}: ${name}`;
  for (const [name, state] of entries) named(state, nameOf(two, name));
  for (const [name, state] of entries) {
    const full = nameOf(two, name);
    send(state, 2, full);
    if ('index' in state.phase) {
      const wraps = { ...state, phase: { ...state.phase, index: 0xffff } };
      const last = named(wraps, `${full}, at index 65535`);
      if (!name.includes('left')) send(wraps, 2, last);
    }
    for (const type of TYPES) receive(state, 2, full, messageOf(two.pieces, 2, 2, type, FRESH), type);
    receive(state, 2, full, messageOf(two.pieces, 1, 2, 'ek', FRESH), 'older');
    const newer = messageOf(two.pieces, 3, 2, 'none', 0);
    if (name === 'ct2Sampled') receive(state, 2, full, newer, 'epoch 3');
    else refuse('the next epoch, without ct2', state, 2, full, newer);
    refuse('two epochs on', state, 2, full, messageOf(two.pieces, 4, 2, 'none', 0));
  }
  // Where a piece is one chunk, it is whole with the first.
  for (const profile of [1, 3] as const) {
    const place = walk(profile, 2, `braid vectors, profile ${profile}`);
    const rows: [string, TypeName][] = [
      ['noHeaderReceived', 'header'],
      ['ct1Received', 'ct2'],
      ...(profile === 3
        ? ([
            ['keysSampled', 'ct1'],
            ['ct1Sampled', 'ek'],
            ['ct1Sampled', 'ekCt1Ack'],
          ] as [string, TypeName][])
        : []),
    ];
    for (const [name, type] of rows) {
      const state = place.states[name]!;
      const full = named(state, nameOf(place, name));
      receive(state, profile, full, messageOf(place.pieces, 2, profile, type, 0), type);
      if (type !== 'ct1') {
        const genuine = messageOf(place.pieces, 2, profile, type, 0);
        // The first bit of the piece: the header, the vector, ct2. Its padding, if there is any, means nothing.
        refuse(`a bit of ${type}`, state, profile, full, { ...genuine, chunk: flip(genuine.chunk, 0) });
        const last = pieceOf(place.pieces, type)!.length - 1;
        refuse(`the last bit of ${type}`, state, profile, full, { ...genuine, chunk: flip(genuine.chunk, last) });
      }
    }
  }
  // A key that FIPS 203 refuses, under a header that names it.
  const three = walk(3, 2, 'braid vectors, profile 3');
  const vector = three.pieces.vector.slice();
  vector.set([0xff, 0xff, 0xff]);
  const rho = three.pieces.header.slice(0, 32);
  const header = concat(rho, sha3_256(concat(vector, rho)));
  const start = three.states['noHeaderReceived']!;
  const lie: Pieces = { ...three.pieces, vector, header: concat(header, headerMac(start.auth, 2, header)) };
  const told = braid.receive(start, messageOf(lie, 2, 3, 'header', 0), 3).next;
  const answered = braid.send(told, 3, seededRng('braid vectors, refused key')).next;
  const name = named(answered, 'profile 3: ct1Sampled, for a key with a coefficient of q or more');
  refuse('the vector of that key', answered, 3, name, messageOf(lie, 2, 3, 'ekCt1Ack', 0));

  return {
    description:
      'ML-KEM Braid of protocol version 1: single steps. All byte strings are hexadecimal. `states` are encoded: kind u8 ‖ epoch u32 ‖ root 32 ‖ mac 32 ‖ what the kind holds. A send draws `random` (seed 64 or m 32), or nothing. `emitted` is the secret of the message’s epoch. Where `next` is `state`, the message is ignored; a refused one changes nothing.',
    states: Object.fromEntries([...states].map(([encoded, name]) => [name, encoded])),
    sends,
    receives,
    refusals,
  };
}
