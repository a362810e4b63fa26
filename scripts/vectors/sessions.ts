/** Vectors of whole sessions: message by message with every random byte, keys of missing messages, and conversations from seeds. */

import { concat, equal } from '../../src/bytes.js';
import { x25519KeyPair } from '../../src/crypto/suite.js';
import type { ErrorCode } from '../../src/errors.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { acceptRatchet, decrypt, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { Profile, SessionSecrets } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import type { VectorFile } from '../../src/vectors/schema.js';
import { type Forgery, forge, skipAhead } from '../../test/helpers/forge.js';
import { handshakeSecrets, text } from '../../test/helpers/sessions.js';
import { type Book, book, flipped, patched } from './book.js';
import { LOW_ORDER, NOT_CANONICAL } from './crypto.js';

type Role = SessionSecrets['role'];

const other = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator');

/** The inputs of a session that a handshake would give. */
function secretInputs(responder: SessionSecrets) {
  const { profile, transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret, signedPrekey } = responder;
  const { publicKey: signedPrekeyPublicKey, secretKey: signedPrekeySecretKey } = signedPrekey;
  return { profile, transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret, signedPrekeySecretKey, signedPrekeyPublicKey };
}

/** A session under way: what happens in it goes into the file, and its states are at hand to forge from. */
interface Session {
  readonly states: Record<Role, RatchetState>;
  readonly frames: readonly Uint8Array[];
  /** Sends the next message; its number. */
  send(from: Role, plaintext: string): number;
  receive(message: number, description?: string): void;
  /** Gives a frame that was never sent to a side, which reads it. */
  deliver(to: Role, description: string, frame: Uint8Array): void;
  reject(to: Role, code: ErrorCode, threats: string, description: string, frame: Uint8Array): void;
  /** The same for the next message of a side, forged with its own keys. */
  forged(from: Role, code: ErrorCode, threats: string, description: string, change: Forgery): void;
  end(): void;
}

function session(to: Book, id: string, description: string, seed: string, profile: Profile): Session {
  const rng = seededRng(seed);
  const drawn: Uint8Array[] = [];
  const recording = (lengthBytes: number): Uint8Array => {
    const bytes = rng(lengthBytes);
    drawn.push(bytes.slice());
    return bytes;
  };
  const { initiator, responder } = handshakeSecrets(rng, profile);
  const states: Record<Role, RatchetState> = { initiator: initiateRatchet(initiator, recording), responder: acceptRatchet(responder) };
  const inputs = { ...secretInputs(responder), initiatorRatchetSecretKey: concat(...drawn.splice(0)) };
  const scenario = to.scenario(id, 'session', inputs, description);
  const sent: { readonly to: Role; readonly frame: Uint8Array }[] = [];
  const deliver = (side: Role, frame: Uint8Array): void => {
    states[side] = decrypt(states[side], frame).next;
  };
  const reject: Session['reject'] = (side, code, threats, what, frame) =>
    scenario.invalid('receive', code, threats, what, { to: side, frame });
  return {
    states,
    get frames() {
      return sent.map(({ frame }) => frame);
    },
    send(from, plaintext) {
      const { next, out } = encrypt(states[from], text(plaintext), recording);
      states[from] = next;
      const frame = scenario.valid('send', { from, plaintext: text(plaintext), random: concat(...drawn.splice(0)) }).bytes('frame');
      if (!equal(frame, out)) throw new Error('the player made another frame');
      return sent.push({ to: other(from), frame }) - 1;
    },
    receive(message, what) {
      deliver(sent[message]!.to, sent[message]!.frame);
      scenario.valid('receive', { message }, what);
    },
    deliver(side, what, frame) {
      deliver(side, frame);
      scenario.valid('receive', { to: side, frame }, what);
    },
    reject,
    forged: (from, code, threats, what, change) => reject(other(from), code, threats, what, forge(states[from], change)),
    end: () => {
      scenario.end();
    },
  };
}

/** Messages in the session of every random byte. */
const MESSAGES = 100;

export function ratchetVectors(): VectorFile {
  const seed = 'vectors/ratchet';
  const file = book({
    kind: 'ratchet',
    section: '4',
    description:
      'Sessions from the secrets that a handshake gives. A `send` draws `random`: header nonce 32, then the ratchet key 32 if it starts a chain, then 64 (seed) or 32 (m) if the braid begins a key or an encapsulation. A `receive` takes the frame of the `message`-th send (from 0), or a `frame` that was never sent. The outputs of a session are the chain epochs that both sides have come to.',
    seed,
  });
  const network = seededRng(`${seed}, network`);
  const chance = (percent: number): boolean => network(1)[0]! < 2.56 * percent;
  const run = session(file, 'session', '100 messages with loss, delay and a gap of seven', seed, 1);
  let count = 0;
  const send = (from: Role): number => run.send(from, `message ${count}${'.'.repeat(count++ % 20 === 5 ? 600 : 0)}`);
  const { receive, reject, forged, states } = run;

  const held: number[] = [];
  const first = send('initiator');
  forged('initiator', 'ERR_DECRYPT', 'T16', 'header: pqPrev in epoch 1', { header: { pqPrevious: 1 } });
  forged('initiator', 'ERR_DECRYPT', 'T03', 'Hdr whose MAC is wrong', { header: { type: 1, chunk: new Uint8Array(192).fill(1) } });
  receive(first);
  while (count < MESSAGES - 20) {
    const from = Math.floor(count / 3) % 2 === 0 ? 'responder' : 'initiator';
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
  // The first of a new chain is on its way, when others come that claim to be of that chain, or of one after it.
  const fresh = send('initiator');
  for (const point of [LOW_ORDER[0]!, LOW_ORDER[2]!]) {
    forged('initiator', 'ERR_DECRYPT', 'T01', 'a new chain with a dh of low order', { header: { ratchetKey: point } });
  }
  for (const point of NOT_CANONICAL) {
    forged('initiator', 'ERR_DECRYPT', 'T01', 'a new chain with a dh that is not canonical', { header: { ratchetKey: point } });
  }
  receive(fresh);
  const { nextSendingHeaderKey, sendIndex } = states.initiator.ec as Extract<RatchetState['ec'], { kind: 'sending' }>;
  forged('initiator', 'ERR_DECRYPT', 'T16 T21', 'a turn of the ratchet that this side has not answered', {
    headerKey: nextSendingHeaderKey,
    header: { ratchetKey: x25519KeyPair(network(32)).publicKey, previousChainLength: sendIndex, n: 0 },
  });
  while (count < MESSAGES - 1) receive(send(Math.floor(count / 4) % 2 === 0 ? 'initiator' : 'responder'));

  const last = send('initiator');
  const frame = run.frames[last]!;
  file.give({ last: frame });
  const { ec, pq } = states.initiator as RatchetState & { ec: { kind: 'sending' } };
  const tampered = (code: ErrorCode, threats: string, what: string, changed: Uint8Array): void =>
    reject('responder', code, threats, what, changed);
  tampered('ERR_NO_SESSION', 'T11', 'a bit of the tag', flipped(frame, 4));
  tampered('ERR_DECRYPT', 'T17', 'a bit of the header nonce', flipped(frame, 20));
  tampered('ERR_DECRYPT', 'T15 T17', 'a bit of the header', flipped(frame, 44));
  tampered('ERR_DECRYPT', 'T36', 'a bit of the commitment', flipped(frame, 308));
  tampered('ERR_DECRYPT', 'T17', 'a bit of the body', flipped(frame, 340));
  tampered('ERR_DECRYPT', 'T17', 'a bit of the body’s tag', flipped(frame));
  tampered('ERR_DECODE', 'T50', 'cut by one byte', frame.slice(0, -1));
  tampered('ERR_DECODE', 'T50', 'one byte longer', concat(frame, new Uint8Array(1)));
  tampered('ERR_DECODE', 'T50', 'the head only', frame.slice(0, 20));
  tampered('ERR_DECODE', 'T13', 'another type', flipped(frame, 0, 0x30));
  tampered('ERR_VERSION', 'T08 T46', 'another version', flipped(frame, 1, 3));
  tampered('ERR_VERSION', 'T08', 'another suite', flipped(frame, 3, 3));
  reject('initiator', 'ERR_NO_SESSION', 'T12', 'reflected to its sender', frame);
  const lies = (threats: string, what: string, change: Forgery, code: ErrorCode = 'ERR_DECRYPT'): void =>
    forged('initiator', code, threats, what, change);
  lies('T08', 'header: pqEpoch 0', { header: { pqEpoch: 0 } });
  lies('T16 T22', 'header: pqEpoch without a chain', { header: { pqEpoch: pq.sending.epoch + 3 } });
  lies('T08 T22', 'header: pqEpoch of the past', { header: { pqEpoch: 1 } });
  lies('T13', 'header: type 7', { header: { type: 7 } });
  lies('T08', 'header: flags 1', { flags: 1 });
  lies('T40', 'header: index with type 0', { header: { index: 1 } });
  lies('T40', 'header: chunk with type 4', { header: { type: 4, chunk: new Uint8Array(192).fill(1) } });
  lies('T11', 'header: another dh under HKr', { header: { ratchetKey: new Uint8Array(32).fill(9) } });
  lies('T01', 'header: dh of low order', { header: { ratchetKey: new Uint8Array(32) } });
  lies('T16 T18', 'header: n = 2³¹', { header: { n: 0x8000_0000 } });
  lies('T16', 'header: lists of different length', { header: { pqCounter: pq.sending.counter + 2 } });
  lies('T18', 'header: pqCtr of the past', { header: { pqCounter: 1 } });
  lies('T16', 'gap of 25,001', { header: { n: ec.sendIndex + 25_000, pqCounter: pq.sending.counter + 25_001 } }, 'ERR_SKIP_LIMIT');
  lies('T43', 'padding: no marker', { padded: new Uint8Array(512) });
  lies('T43', 'padding: 1,024 where 512 do', { padded: patched(new Uint8Array(1024), 9, [0x80]) });
  lies('T36', 'the commitment of another key', { commitment: new Uint8Array(32).fill(7) });
  lies('T19', 'keys from zeros', { prk: new Uint8Array(32) });
  receive(last);
  tampered('ERR_DUPLICATE', 'T10 T15', 'a second time', frame);
  tampered('ERR_NO_SESSION', 'T10 T20', 'of an old chain that misses nothing', run.frames[0]!);
  for (const message of [gap[1]!, ...held]) receive(message, 'late');
  tampered('ERR_DUPLICATE', 'T10 T15', 'a late message a second time', run.frames[gap[1]!]!);
  run.end();
  return file.file();
}

export function skippedKeysVectors(): VectorFile {
  const seed = 'vectors/skipped-keys';
  const file = book({
    kind: 'ratchet',
    section: '4.8',
    description:
      'Keys of missing messages, as in ratchet.json: which are kept, which are given up, when they go. Frames that were never sent were made with the sender’s own keys, so that a gap needs no messages before it.',
    seed,
  });
  /** A session in which both sides have answered, and the initiator sends. */
  const opened = (id: string, description: string, profile: Profile = 2): Session => {
    const run = session(file, id, description, `${seed}, ${id}`, profile);
    run.receive(run.send('initiator', 'ping'));
    run.receive(run.send('responder', 'pong'));
    run.receive(run.send('initiator', 'again'));
    return run;
  };
  const late = (run: Session, to: Role, messages: readonly number[]): void => {
    for (const message of messages) {
      run.receive(message, 'late');
      run.reject(to, 'ERR_DUPLICATE', 'T10 T15', 'a second time', run.frames[message]!);
    }
  };

  // Within one chain.
  const one = opened('one-chain', 'a gap of five in one chain, filled in any order');
  const gap = Array.from({ length: 5 }, (_, i) => one.send('initiator', `missing ${i}`));
  one.receive(one.send('initiator', 'the next'), 'five are missing before it');
  late(one, 'responder', [gap[3]!, gap[0]!, gap[4]!]);
  one.receive(one.send('initiator', 'and one more'));
  late(one, 'responder', [gap[1]!, gap[2]!]);
  one.end();

  // Over the end of a chain.
  const two = opened('two-chains', 'a gap over the end of a chain: the rest of the old one, by pn, and the start of the new one');
  const rest = [two.send('initiator', 'rest 0'), two.send('initiator', 'rest 1')];
  two.receive(two.send('responder', 'turn'));
  const start = [two.send('initiator', 'start 0'), two.send('initiator', 'start 1')];
  two.receive(two.send('initiator', 'start 2'), 'four are missing before it, in two chains');
  late(two, 'responder', [start[1]!, rest[0]!, start[0]!]);
  two.receive(two.send('responder', 'another turn'));
  const turned = two.send('initiator', 'of a later chain');
  two.receive(turned);
  two.receive(rest[1]!, 'late, the last that is missing of its chain');
  two.reject('responder', 'ERR_NO_SESSION', 'T10', 'of a chain of which nothing is missing any more', two.frames[rest[0]!]!);
  two.end();

  // A refused message leaves the keys.
  const kept = opened('refused', 'what is refused uses up no key');
  const missing = kept.send('initiator', 'missing');
  kept.receive(kept.send('initiator', 'next'));
  const genuine = kept.frames[missing]!;
  kept.reject('responder', 'ERR_DECRYPT', 'T17', 'a bit of a late message’s body changed', flipped(genuine));
  kept.reject('responder', 'ERR_DECRYPT', 'T17', 'a bit of a late message’s header changed', flipped(genuine, 50));
  kept.reject('responder', 'ERR_DECRYPT', 'T36', 'a bit of a late message’s commitment changed', flipped(genuine, 148));
  kept.receive(missing, 'late, and it still opens');
  kept.end();

  // Bounds.
  const far = opened('stored-per-gap', 'a gap of 1,500: the keys of the last 1,000 are kept');
  const { initiator } = far.states;
  const at = (count: number): Uint8Array => forge(skipAhead(initiator, count));
  far.deliver('responder', '1,500 are missing before it', at(1500));
  far.reject('responder', 'ERR_DUPLICATE', 'T16', 'the 500th, whose key was given up', at(499));
  far.deliver('responder', 'the 501st, whose key was kept', at(500));
  far.deliver('responder', 'the last that is missing', at(1499));
  far.reject('responder', 'ERR_DUPLICATE', 'T10', 'the same again', at(1499));
  far.deliver('responder', '1,499 more are missing before it', at(3000));
  far.deliver('responder', 'a key of the first gap', at(501));
  far.deliver('responder', 'and 1,499 more', at(4500));
  far.reject('responder', 'ERR_DUPLICATE', 'T16', 'the first gap’s keys are beyond 2,000 and were given up', at(1498));
  far.deliver('responder', 'the oldest key that is left', at(2000));
  far.end();

  const epochs = opened('epochs', 'late messages of an epoch that has passed', 1);
  const old: number[] = [];
  for (let turn = 0; turn < 36; turn++) {
    const from = turn % 2 === 0 ? 'responder' : 'initiator';
    const message = epochs.send(from, `turn ${turn}`);
    if (turn === 1 || turn === 15) old.push(message);
    else epochs.receive(message);
  }
  for (const message of old) epochs.receive(message, 'late, of an earlier epoch of the braid');
  epochs.end();

  // A late message must not bring the braid ahead of the chains, in the one state that would let it.
  const ahead = opened('ahead', 'a late message that says it is of the next epoch', 3);
  ahead.receive(ahead.send('initiator', 'and again'));
  const { initiator: before } = ahead.states;
  const first = ahead.send('initiator', 'missing');
  ahead.receive(ahead.send('initiator', 'one is missing before it'));
  const braidOf = (): BraidState => ahead.states.responder.scka as BraidState;
  const isOpen = (): boolean => braidOf().phase.kind === 'ct2Sampled' && ahead.states.responder.pq.receiving.epoch === braidOf().epoch - 1;
  for (let turn = 0; !isOpen(); turn++) {
    if (turn > 40) throw new Error('the braid does not come to ct2Sampled');
    ahead.receive(ahead.send(turn % 2 === 0 ? 'initiator' : 'responder', `turn ${turn}`));
  }
  ahead.reject(
    'responder',
    'ERR_DECRYPT',
    'T16 T22',
    'late, with the next pqEpoch',
    forge(before, { header: { pqEpoch: braidOf().epoch + 1 } }),
  );
  ahead.receive(first, 'late, as it was sent');
  ahead.end();
  return file.file();
}

/** Messages of a conversation. */
const LENGTH = 300;
/** Messages whose frames stand whole in the file. */
const WHOLE = [0, 1, 150, 299];

export function conversationVectors(profile: Profile): VectorFile {
  const seed = `conversation ${profile}`;
  const file = book({
    kind: 'conversation',
    section: '4',
    description:
      'A conversation over a network that loses, delays and repeats. A side draws from the stream of its seed; the initiator its first ratchet key, 32, at the start, and a send header nonce 32, then the ratchet key 32 if it starts a chain, then 64 (seed) or 32 (m) if the braid begins a key or an encapsulation. Plaintext of message i, from 0: ASCII "message " ‖ decimal i, and 600 dots more where i mod 10 = 9. `frameHash` and `plaintextHash` are SHA-256; frames with `isWhole` stand whole. The outputs are the chain epochs that both sides have come to.',
    seed,
  });
  const network = seededRng(`${seed}, network`);
  const chance = (percent: number): boolean => network(1)[0]! < 2.56 * percent;
  const pick = (count: number): number => network(1)[0]! % count;
  const { responder } = handshakeSecrets(seededRng(`${seed}, handshake`), profile);
  const seeds = { initiator: `${seed}, initiator`, responder: `${seed}, responder` };
  const { valid, invalid, end } = file.scenario(
    'conversation',
    'conversation',
    { ...secretInputs(responder), seeds },
    `${LENGTH} messages in profile ${profile}`,
  );

  let count = 0;
  const arrived = new Set<number>();
  const send = (from: Role): number => {
    valid('send', { from, ...(WHOLE.includes(count) ? { isWhole: true } : {}) });
    return count++;
  };
  const arrive = (message: number): void => {
    valid('receive', { message });
    arrived.add(message);
  };
  /** What came before is known as such, or its chain has gone with all its keys. */
  const repeat = (message: number): void => {
    const refuse = (code: ErrorCode): void => invalid('receive', code, 'T10 T15', 'repeated', { message });
    try {
      refuse('ERR_DUPLICATE');
    } catch {
      refuse('ERR_NO_SESSION');
    }
  };

  const held: number[] = [];
  let from: Role = 'initiator';
  arrive(send(from));
  while (count < LENGTH) {
    if (chance(60)) from = other(from);
    const message = send(from);
    if (chance(20)) held.push(message);
    else if (chance(85)) arrive(message);
    while (held.length > 0 && chance(25)) arrive(held.splice(pick(held.length), 1)[0]!);
    if (chance(3)) {
      const again = pick(count);
      if (arrived.has(again)) repeat(again);
    }
  }
  for (const message of held) arrive(message);
  end();
  return file.file();
}
