import { expect, it } from 'vitest';
import { readVectors } from '../../scripts/vectors/files.js';
import { fromHex } from '../../src/bytes.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { SessionSecrets } from '../../src/step.js';
import { inputsOf } from '../../src/vectors/schema.js';
import { ReferenceRatchet } from '../helpers/reference-ratchet.js';

const { given, cases } = readVectors('ratchet.json')!;
const { inputs, outputs, steps = [] } = cases[0]!;
const start = inputsOf({ ...given, ...inputs });

type Role = SessionSecrets['role'];

function secrets(role: Role): SessionSecrets {
  return {
    role,
    profile: 1,
    transcriptHash: start.bytes('transcriptHash'),
    rootKey: start.bytes('rootKey'),
    headerKeyA: start.bytes('headerKeyA'),
    nextHeaderKeyB: start.bytes('nextHeaderKeyB'),
    sckaSecret: start.bytes('sckaSecret'),
    signedPrekey: {
      publicKey: start.bytes('signedPrekeyPublicKey'),
      secretKey: role === 'responder' ? start.bytes('signedPrekeySecretKey') : new Uint8Array(0),
    },
  };
}

/** A `send` with what it draws: a ratchet key only where the frame has another tag than its sender's last, and what the braid samples. */
interface Sent {
  readonly from: Role;
  readonly frame: string;
  readonly nonce: Uint8Array;
  readonly ratchetKey: readonly Uint8Array[];
  readonly kem: readonly Uint8Array[];
}

const tagOf = (frame: string): string => frame.slice(8, 40);

function sends(): Sent[] {
  const tags = new Map<Role, string>();
  return steps.flatMap(({ op, inputs: own, outputs: out }) => {
    if (op !== 'send') return [];
    const [from, frame] = [own['from'] as Role, out!['frame'] as string];
    // The initiator has drawn its first key at the start.
    const startsChain = tags.get(from) !== tagOf(frame) && (from === 'responder' || tags.has(from));
    tags.set(from, tagOf(frame));
    const random = inputsOf(own).bytes('random');
    const kem = random.slice(startsChain ? 64 : 32);
    const ratchetKey = startsChain ? [random.slice(32, 64)] : [];
    return [{ from, frame, nonce: random.slice(0, 32), ratchetKey, kem: kem.length === 0 ? [] : [kem] }];
  });
}

it('test-vectors/ratchet.json is played by a second implementation, frame by frame', () => {
  const sent = sends();
  // It draws a ratchet key when it receives, this library when it sends next: the keys come from a queue in the order of use.
  const player = (role: Role) => {
    const keys = sent.flatMap(({ from, ratchetKey }) => (from === role ? ratchetKey : []));
    if (role === 'initiator') keys.unshift(start.bytes('initiatorRatchetSecretKey'));
    const random: Uint8Array[] = [];
    const unused = new Uint8Array(32).fill(1);
    return { random, ratchet: new ReferenceRatchet(braid, secrets(role), () => random.shift() ?? keys.shift() ?? unused) };
  };
  const players = { initiator: player('initiator'), responder: player('responder') };
  let count = 0;
  for (const { op, result, inputs: own, outputs: out } of steps) {
    if (op === 'send') {
      const { from, nonce, kem, frame } = sent[count++]!;
      const { random, ratchet } = players[from];
      random.push(nonce, ...kem);
      expect(ratchet.encrypt(inputsOf(own).bytes('plaintext')).toString('hex')).toBe(frame);
      expect(random).toEqual([]);
    } else if (result === 'valid') {
      const { from, frame } = sent[own['message'] as number]!;
      const to = from === 'initiator' ? 'responder' : 'initiator';
      expect(players[to].ratchet.decrypt(fromHex(frame)!).toString('hex')).toBe(out!['plaintext']);
    }
  }
  expect(count).toBe(100);
  // Both have agreed on four epochs, and used them.
  expect(outputs).toEqual({
    initiator: { sendingEpoch: 4, receivingEpoch: 4 },
    responder: { sendingEpoch: 4, receivingEpoch: 4 },
  });
});
