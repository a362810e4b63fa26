/** Players of what has state: the erasure code's receiver, the braid's steps, and whole sessions. */

import { encodeUtf8, toHex, wipe } from '../../bytes.js';
import { sha256 } from '../../crypto/suite.js';
import { UsageError } from '../../errors.js';
import { addChunk, chunkAt, decoded, startDecoder } from '../../ratchet/braid/erasure.js';
import { braid } from '../../ratchet/braid/machine.js';
import { type BraidState, decodeBraid, encodeBraid } from '../../ratchet/braid/state.js';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../ratchet/index.js';
import type { SckaMessage } from '../../ratchet/scka.js';
import type { Rng, SessionSecrets, Step } from '../../step.js';
import { seededRng } from '../../testing/rng.js';
import { drawing, type Machine, type Player, withRandom } from '../player.js';
import type { Inputs } from '../schema.js';
import { profileOf } from './wire.js';

/** Section 4.6. */
export const erasure: Player = {
  operations: {
    chunk: (inputs) => ({ chunk: chunkAt(inputs.bytes('piece'), inputs.number('chunkBytes'), inputs.number('index')) }),
    decode(inputs) {
      let decoder = startDecoder(inputs.number('lengthBytes'), inputs.number('chunkBytes'));
      for (const each of inputs.objects('chunks')) decoder = addChunk(decoder, each.number('index'), each.bytes('chunk'));
      return { kept: decoder.chunks.map(({ index }) => index), piece: decoded(decoder) };
    },
  },
};

const messageOf = (inputs: Inputs): SckaMessage => ({
  epoch: inputs.number('epoch'),
  type: inputs.number('type'),
  index: inputs.number('index'),
  chunk: inputs.bytes('chunk'),
});

const stateOf = (inputs: Inputs): BraidState => decodeBraid(inputs.object('states').bytes(inputs.text('state')));

/** The name of a state in `states`, or its encoding where it has none. */
function nameOf(inputs: Inputs, state: BraidState): string {
  const encoded = toHex(encodeBraid(state));
  const states = inputs.object('states');
  return states.names().find((name) => states.text(name) === encoded) ?? encoded;
}

/** Section 4.7: single steps between states, which stand by name in `states`. */
export const braidSteps: Player = {
  operations: {
    send(inputs) {
      const { next, message, emitted } = withRandom(inputs, (rng) => braid.send(stateOf(inputs), profileOf(inputs), rng));
      return { message, next: nameOf(inputs, next), emitted: emitted?.secret };
    },
    receive(inputs) {
      const { next, emitted } = braid.receive(stateOf(inputs), messageOf(inputs.object('message')), profileOf(inputs));
      return { next: nameOf(inputs, next), emitted: emitted?.secret };
    },
  },
};

type Role = SessionSecrets['role'];

function secretsOf(inputs: Inputs, role: Role): SessionSecrets {
  return {
    role,
    profile: profileOf(inputs),
    transcriptHash: inputs.bytes('transcriptHash'),
    rootKey: inputs.bytes('rootKey'),
    headerKeyA: inputs.bytes('headerKeyA'),
    nextHeaderKeyB: inputs.bytes('nextHeaderKeyB'),
    sckaSecret: inputs.bytes('sckaSecret'),
    signedPrekey: {
      publicKey: inputs.bytes('signedPrekeyPublicKey'),
      secretKey: role === 'responder' ? inputs.bytes('signedPrekeySecretKey') : new Uint8Array(0),
    },
  };
}

function roleOf(inputs: Inputs, name: string): Role {
  const role = inputs.text(name);
  if (role !== 'initiator' && role !== 'responder') throw new UsageError('ERR_ARGUMENT', 'no such role', { field: name });
  return role;
}

/** Both sides of a session. A state is encoded and decoded before each step, and what a step has used up is wiped: nothing may live outside of it. */
interface Pair {
  send(from: Role, plaintext: Uint8Array, rng: Rng): Uint8Array;
  receive(to: Role, frame: Uint8Array): Uint8Array;
  epochs(): Readonly<Record<Role, { readonly sendingEpoch: number; readonly receivingEpoch: number }>>;
}

function pair(inputs: Inputs, rng: Rng): Pair {
  const states: Record<Role, RatchetState> = {
    initiator: initiateRatchet(secretsOf(inputs, 'initiator'), rng),
    responder: acceptRatchet(secretsOf(inputs, 'responder')),
  };
  const reloaded = (role: Role): RatchetState => decodeState(encodeState(states[role]));
  const commit = (role: Role, { next, out, wipe: used }: Step<RatchetState, Uint8Array>): Uint8Array => {
    wipe(...used);
    states[role] = next;
    return out;
  };
  const epochsOf = ({ pq }: RatchetState) => ({ sendingEpoch: pq.sending.epoch, receivingEpoch: pq.receiving.epoch });
  return {
    send(from, plaintext, draws) {
      return commit(from, encrypt(reloaded(from), plaintext, draws));
    },
    receive(to, frame) {
      return commit(to, decrypt(reloaded(to), frame));
    },
    epochs: () => ({ initiator: epochsOf(states.initiator), responder: epochsOf(states.responder) }),
  };
}

const other = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator');

/** What was sent, by number. */
interface Sent {
  readonly to: Role;
  readonly frame: Uint8Array;
}

function sentOf(sent: readonly Sent[], inputs: Inputs): Sent {
  const found = sent[inputs.number('message')];
  if (found === undefined) throw new UsageError('ERR_ARGUMENT', 'no such message', { field: 'message' });
  return found;
}

/** A session of which every random byte and every frame stands in the vectors. */
function session(inputs: Inputs): Machine {
  const both = pair(inputs, drawing(inputs.bytes('initiatorRatchetSecretKey')).rng);
  const sent: Sent[] = [];
  return {
    step: {
      send(step) {
        const from = roleOf(step, 'from');
        const frame = withRandom(step, (rng) => both.send(from, step.bytes('plaintext'), rng));
        sent.push({ to: other(from), frame });
        return { frame };
      },
      receive(step) {
        const { to, frame } = step.has('frame') ? { to: roleOf(step, 'to'), frame: step.bytes('frame') } : sentOf(sent, step);
        return { plaintext: both.receive(to, frame) };
      },
    },
    end: () => both.epochs(),
  };
}

/** Plaintext of message `i` of a conversation: every tenth needs a larger bucket. */
export function plaintextOf(i: number): Uint8Array {
  return encodeUtf8(`message ${i}${'.'.repeat(i % 10 === 9 ? 600 : 0)}`)!;
}

/** A conversation from seeds alone; frames stand in the vectors by their hash. */
function conversation(inputs: Inputs): Machine {
  const seeds = inputs.object('seeds');
  const rngs = { initiator: seededRng(seeds.text('initiator')), responder: seededRng(seeds.text('responder')) };
  const both = pair(inputs, rngs.initiator);
  const sent: Sent[] = [];
  return {
    step: {
      send(step) {
        const from = roleOf(step, 'from');
        const frame = both.send(from, plaintextOf(sent.length), rngs[from]);
        sent.push({ to: other(from), frame });
        return { frameHash: sha256(frame), frame: step.has('isWhole') ? frame : undefined };
      },
      receive(step) {
        const { to, frame } = sentOf(sent, step);
        return { plaintextHash: sha256(both.receive(to, frame)) };
      },
    },
    end: () => both.epochs(),
  };
}

/** Section 4. */
export const ratchet: Player = { operations: {}, machines: { session } };

/** Section 4, at length. */
export const conversations: Player = { operations: {}, machines: { conversation } };
