/** Makes encoded states of the ratchet, of every kind and in every phase of the braid: `test-vectors/ratchet-state-v*.json`. */

import { toHex } from '../../src/bytes.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { acceptRatchet, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import { seededRng } from '../../src/testing/rng.js';
import { handshakeSecrets, text } from './sessions.js';

export interface StateVectors {
  readonly description: string;
  readonly states: readonly {
    readonly name: string;
    readonly state: string;
    readonly frames: readonly { readonly frame: string; readonly plaintext: string }[];
  }[];
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
