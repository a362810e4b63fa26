/** Two devices talk over a network that loses, delays, repeats and forges, with fresh keys: in each profile, through many epochs. */

import { concat, encodeUtf8, equal } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { accept, generateDevice, generatePrekeys, initiate, verifyBundle } from '../pqxdh/index.js';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../ratchet/index.js';
import type { Profile, Rng } from '../step.js';
import type { Answers } from './check.js';

/** Messages of one conversation. */
const MESSAGES = 300;
/** So many messages are under way at most before the next one arrives. */
const DELAYED = 12;
/** Of 256: lost, sent twice, forged. */
const [LOST, TWICE, FORGED] = [24, 16, 16];

interface Letter {
  readonly to: 0 | 1;
  readonly frame: Uint8Array;
  readonly plaintext: Uint8Array;
}

/** Holds a conversation. `rng` decides keys and faults; whatever goes wrong is in `why`. */
export function converse(profile: Profile, rng: Rng, nowMs: number): Answers {
  const sides = meet(profile, rng, nowMs);
  const underWay: Letter[] = [];
  let count = 0;
  const byte = (): number => rng(1)[0]!;

  const arrive = ({ to, frame, plaintext }: Letter): string | undefined => {
    const before = sides[to];
    if (byte() < FORGED) {
      const forged = frame.map((value, i) => (i === 20 + (byte() % 24) ? value ^ 0x10 : value));
      if (!equal(forged, frame) && refusal(() => decrypt(before, forged)) !== 'ERR_DECRYPT') return 'a forged message was not refused';
    }
    const { next, out } = decrypt(before, frame);
    if (!equal(out, plaintext)) return 'another plaintext than was sent';
    if (refusal(() => decrypt(next, frame)) === undefined) return 'a message was read twice';
    sides[to] = decodeState(encodeState(next));
    count++;
    return undefined;
  };

  for (let i = 0; i < MESSAGES; i++) {
    const from = (byte() & 1) as 0 | 1;
    const plaintext = encodeUtf8(`message ${i}${'.'.repeat(byte() < 32 ? 700 : 0)}`)!;
    const { next, out } = encrypt(sides[from], plaintext, rng);
    sides[from] = next;
    const fate = byte();
    const letter: Letter = { to: from === 0 ? 1 : 0, frame: out, plaintext };
    if (fate >= LOST) underWay.push(letter);
    while (underWay.length > (i === MESSAGES - 1 ? 0 : byte() % DELAYED)) {
      const [next] = underWay.splice(byte() % underWay.length, 1);
      const why = arrive(next!);
      if (why !== undefined) return { count, why: `message ${i}: ${why}` };
      if (fate < LOST + TWICE && refusal(() => decrypt(sides[next!.to], next!.frame)) === undefined)
        return { count, why: `message ${i}: read twice` };
    }
  }
  return { count };
}

/** A handshake, its first message and the first answer: the states of both sides. */
function meet(profile: Profile, rng: Rng, nowMs: number): [RatchetState, RatchetState] {
  const [alice, bob] = [generateDevice('alice', rng, nowMs), generateDevice('bob', rng, nowMs)];
  const { next: prekeys, out: published } = generatePrekeys(bob, rng, nowMs);
  const { identity, signedSet, batch, address } = published;
  const bundle = verifyBundle(
    { address, identity, signedSet, oneTime: { head: batch!.head, entry: batch!.entries[0]! } },
    undefined,
    nowMs,
  );
  const { secrets, prefix } = initiate(alice, bundle, profile, rng, nowMs);
  const first = encrypt(initiateRatchet(secrets, rng), encodeUtf8('hello')!, rng);
  const accepted = accept(prekeys, bob, concat(prefix, first.out), nowMs);
  const received = decrypt(acceptRatchet(accepted.out.secrets), accepted.out.ratchetMessage);
  return [first.next, received.next];
}

/** The code of the error that a call throws, if it throws one of ours. */
function refusal(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return error.code;
  }
}
