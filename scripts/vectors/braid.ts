/** Vectors of the braid: every row of its tables, with the states before and after. */

import { concat, toHex } from '../../src/bytes.js';
import { sha3_256 } from '../../src/crypto/suite.js';
import { headerMac } from '../../src/ratchet/braid/authenticator.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { type BraidState, encodeBraid } from '../../src/ratchet/braid/state.js';
import type { SckaMessage } from '../../src/ratchet/scka.js';
import type { Profile } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { messageOf, type Pieces, pieceOf, TYPES, type TypeName, type Walk, walk } from '../../test/helpers/braid.js';
import { book, flipped } from './book.js';

/** A chunk that no state of a walk has: parity. */
const FRESH = 40_000;

export function braidVectors(): VectorFile {
  const seed = 'braid vectors';
  const { give, valid, invalid, file } = book({
    kind: 'braid',
    section: '4.7',
    description:
      'Single steps of the ML-KEM Braid. `state` and `next` name entries of `states`, which are encoded: kind u8 ‖ epoch u32 ‖ root 32 ‖ mac 32 ‖ what the kind holds. A send draws `random` (seed 64 or m 32), or nothing. `emitted` is the secret of the message’s epoch. Where `next` is `state`, the message is ignored; a refused one changes nothing.',
    seed,
  });
  const states = new Map<string, string>();
  /** The name under which a state stands in the file: that of its first appearance. */
  const named = (state: BraidState, name: string): string => {
    const encoded = toHex(encodeBraid(state));
    if (!states.has(encoded)) {
      states.set(encoded, name);
      give({ states: Object.fromEntries([...states].map(([value, key]) => [key, value])) });
    }
    return states.get(encoded)!;
  };
  const idOf = (name: string, step: string): string =>
    `${name} ${step}`
      .toLowerCase()
      .replace('profile ', 'p')
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/-$/, '');
  const send = (state: BraidState, profile: Profile, name: string): void => {
    const drawn: Uint8Array[] = [];
    const rng = seededRng(`${seed}, ${name}`);
    const { next } = braid.send(state, profile, (length) => {
      drawn.push(rng(length));
      return drawn.at(-1)!.slice();
    });
    named(next, `${name} → send`);
    valid(idOf(name, 'send'), 'send', { state: name, profile, random: concat(...drawn) });
  };
  const receive = (state: BraidState, profile: Profile, name: string, message: SckaMessage, what: string): void => {
    named(braid.receive(state, message, profile).next, `${name} → ${what}`);
    valid(idOf(name, what), 'receive', { state: name, profile, message });
  };
  const refuse = (id: string, threats: string, description: string, profile: Profile, name: string, message: SckaMessage): void =>
    invalid(idOf(name, id), 'receive', 'ERR_DECRYPT', threats, description, { state: name, profile, message });

  // Profile 2 has a state of every kind: every row of both tables, and what is ignored.
  const two = walk(2, 2, `${seed}, profile 2`);
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
    else refuse('newer', 'T08 T22', 'a message of the next epoch before this one can have ended', 2, full, newer);
    refuse('two epochs on', 'T16 T22', 'a message of two epochs on', 2, full, messageOf(two.pieces, 4, 2, 'none', 0));
  }
  // Where a piece is one chunk, it is whole with the first.
  for (const profile of [1, 3] as const) {
    const place = walk(profile, 2, `${seed}, profile ${profile}`);
    const rows: [string, TypeName, string][] = [
      ['noHeaderReceived', 'header', 'T03 T17'],
      ['ct1Received', 'ct2', 'T05 T17'],
      ...(profile === 3
        ? ([
            ['keysSampled', 'ct1', ''],
            ['ct1Sampled', 'ek', 'T03 T17'],
            ['ct1Sampled', 'ekCt1Ack', 'T03 T17'],
          ] as [string, TypeName, string][])
        : []),
    ];
    for (const [name, type, threats] of rows) {
      const state = place.states[name]!;
      const full = named(state, nameOf(place, name));
      receive(state, profile, full, messageOf(place.pieces, 2, profile, type, 0), type);
      if (type === 'ct1') continue;
      const genuine = messageOf(place.pieces, 2, profile, type, 0);
      // The first bit of the piece: the header, the vector, ct2. Its padding, if there is any, means nothing.
      const last = pieceOf(place.pieces, type)!.length - 1;
      refuse(`${type} first bit`, threats, `the first byte of the ${type} changed`, profile, full, {
        ...genuine,
        chunk: flipped(genuine.chunk, 0),
      });
      refuse(`${type} last bit`, threats, `the last byte of the ${type} changed`, profile, full, {
        ...genuine,
        chunk: flipped(genuine.chunk, last),
      });
    }
  }
  // A key that FIPS 203 refuses, under a header that names it.
  const three = walk(3, 2, `${seed}, profile 3`);
  const vector = three.pieces.vector.slice();
  vector.set([0xff, 0xff, 0xff]);
  const rho = three.pieces.header.slice(0, 32);
  const header = concat(rho, sha3_256(concat(vector, rho)));
  const start = three.states['noHeaderReceived']!;
  const lie: Pieces = { ...three.pieces, vector, header: concat(header, headerMac(start.auth, 2, header)) };
  const told = braid.receive(start, messageOf(lie, 2, 3, 'header', 0), 3).next;
  const answered = braid.send(told, 3, seededRng(`${seed}, refused key`)).next;
  const name = named(answered, 'profile 3: ct1Sampled, for a key with a coefficient of q or more');
  refuse('vector', 'T04', 'the vector of that key', 3, name, messageOf(lie, 2, 3, 'ekCt1Ack', 0));
  return file();
}
