/** Makes the fixed conversations of `test-vectors/conversation-{1,2,3}.json`: 300 messages over a bad network, from seeds alone. */

import { toHex } from '../../src/bytes.js';
import { sha256 } from '../../src/crypto/suite.js';
import { acceptRatchet, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { Profile, Step } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { codeOf } from './expect-code.js';
import { handshakeSecrets, text } from './sessions.js';

export type Role = 'initiator' | 'responder';

/** Message i is sent, and the SHA-256 of its frame; or message i arrives, and is read or refused with a code. */
export type ConversationStep = { readonly send: Role; readonly frame: string } | { readonly arrive: number; readonly code?: string };

/** What a side has come to: the chain epochs it sends and receives in, and the SHA-256 of its encoded state. */
export interface FinalState {
  readonly sendingEpoch: number;
  readonly receivingEpoch: number;
  readonly state: string;
}

export interface ConversationVectors {
  readonly description: string;
  readonly profile: Profile;
  readonly transcriptHash: string;
  readonly rootKey: string;
  readonly headerKeyA: string;
  readonly nextHeaderKeyB: string;
  readonly sckaSecret: string;
  readonly signedPrekeySecretKey: string;
  readonly signedPrekeyPublicKey: string;
  readonly seeds: Readonly<Record<Role, string>>;
  readonly steps: readonly ConversationStep[];
  readonly frames: Readonly<Record<string, string>>;
  readonly final: Readonly<Record<Role, FinalState>>;
}

const MESSAGES = 300;
/** Messages that stand whole in the file. */
const WHOLE = [0, 1, 150, 299];

/** Plaintext of message `i`: every tenth needs a larger bucket. */
export function plaintextOf(i: number): Uint8Array {
  return text(`message ${i}${'.'.repeat(i % 10 === 9 ? 600 : 0)}`);
}

/** What a side has come to. */
export function finalOf(state: RatchetState): FinalState {
  const { sending, receiving } = state.pq;
  return { sendingEpoch: sending.epoch, receivingEpoch: receiving.epoch, state: toHex(sha256(encodeState(state))) };
}

/** Commits a step as a client does: what is to be wiped, is. */
export function committed<O>({ next, out, wipe }: Step<RatchetState, O>): { state: RatchetState; out: O } {
  for (const buffer of wipe) buffer.fill(0);
  return { state: next, out };
}

export function makeConversationVectors(profile: Profile): ConversationVectors {
  const network = seededRng(`conversation ${profile}, network`);
  const chance = (percent: number): boolean => network(1)[0]! < 2.56 * percent;
  const pick = (count: number): number => network(1)[0]! % count;
  const { initiator, responder } = handshakeSecrets(seededRng(`conversation ${profile}, handshake`), profile);
  const { transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret, signedPrekey } = responder;
  const given = {
    profile,
    transcriptHash: toHex(transcriptHash),
    rootKey: toHex(rootKey),
    headerKeyA: toHex(headerKeyA),
    nextHeaderKeyB: toHex(nextHeaderKeyB),
    sckaSecret: toHex(sckaSecret),
    signedPrekeySecretKey: toHex(signedPrekey.secretKey),
    signedPrekeyPublicKey: toHex(signedPrekey.publicKey),
    seeds: { initiator: `conversation ${profile}, initiator`, responder: `conversation ${profile}, responder` },
  };
  const rngs = { initiator: seededRng(given.seeds.initiator), responder: seededRng(given.seeds.responder) };
  const states: Record<Role, RatchetState> = { initiator: initiateRatchet(initiator, rngs.initiator), responder: acceptRatchet(responder) };

  const steps: ConversationStep[] = [];
  const sent: { readonly to: Role; readonly frame: Uint8Array }[] = [];
  const send = (from: Role): number => {
    const { state, out } = committed(encrypt(states[from], plaintextOf(sent.length), rngs[from]));
    states[from] = state;
    steps.push({ send: from, frame: toHex(sha256(out)) });
    return sent.push({ to: from === 'initiator' ? 'responder' : 'initiator', frame: out }) - 1;
  };
  const arrive = (i: number): void => {
    const { to, frame } = sent[i]!;
    states[to] = committed(decrypt(states[to], frame)).state;
    steps.push({ arrive: i });
  };

  const held: number[] = [];
  let from: Role = 'initiator';
  arrive(send(from));
  while (sent.length < MESSAGES) {
    if (chance(60)) from = from === 'initiator' ? 'responder' : 'initiator';
    const i = send(from);
    if (chance(20)) held.push(i);
    else if (chance(85)) arrive(i);
    while (held.length > 0 && chance(25)) arrive(held.splice(pick(held.length), 1)[0]!);
    if (chance(3)) {
      const again = pick(sent.length);
      const { to, frame } = sent[again]!;
      if (steps.some((step) => 'arrive' in step && step.arrive === again)) {
        steps.push({ arrive: again, code: codeOf(() => decrypt(states[to], frame)) });
      }
    }
  }
  for (const i of held) arrive(i);

  return {
    description:
      'A conversation of protocol version 1 over a network that loses, delays and repeats. All byte strings are hexadecimal. Randomness of a side: SHA-256(UTF-8(its seed) ‖ u64 i) for i = 0, 1, 2, …, concatenated and consumed in order. The initiator draws its first ratchet key, 32, at the start. A send draws 32 for the header nonce, then 32 if it starts a chain, then 64 (seed) or 32 (m) if the braid begins a key or an encapsulation. Plaintext of message i, from 0: ASCII "message " ‖ decimal i, and 600 dots more where i mod 10 = 9. Steps are in order: `send` is the next message, with the SHA-256 of its frame; `arrive` reads message i, or refuses it with `code` and changes nothing. `frames` are some of them whole. `final` has the chain epochs in use, and the SHA-256 of the encoded state.',
    ...given,
    steps,
    frames: Object.fromEntries(WHOLE.map((i) => [String(i), toHex(sent[i]!.frame)])),
    final: { initiator: finalOf(states.initiator), responder: finalOf(states.responder) },
  };
}
