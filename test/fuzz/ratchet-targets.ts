/**
 * The ratchet: stored states, and whole sessions that a program plays over a network of its own making, and with a peer who has keys and
 * breaks the rules.
 */

import { readFileSync } from 'node:fs';
import { concat, fromHex } from '../../src/bytes.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { decodeBraid, encodeBraid } from '../../src/ratchet/braid/state.js';
import { decodeSkippedChain, decodeState, decrypt, encodeSkippedChain, encodeState, encrypt } from '../../src/ratchet/ratchet.js';
import type { Profile } from '../../src/step.js';
import { CHUNK_BYTES } from '../../src/wire/ratchet-message.js';
import { forge } from '../helpers/forge.js';
import { testRng } from '../helpers/rng.js';
import { Party, session, text } from '../helpers/sessions.js';
import { DECODE, decoder, edited, must, onEdits, program, refusedAs, STORED, same, type Target } from './target.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface GoldenStates {
  readonly states: readonly { readonly name: string; readonly state: string }[];
}

const golden = (): Uint8Array[] => {
  const file = readFileSync(new URL('../../test-vectors/ratchet-state-v1.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as GoldenStates).states.map(({ state }) => fromHex(state)!);
};

/** A whole state has thousands of bytes, and each may hold a skipped key. */
const STATES = { fixed: 400_000, perByte: 3_000 };

function stateTarget(): Target {
  const states = golden();
  const target = decoder({ seeds: [], codes: STORED, decode: decodeState, encode: encodeState });
  const onState: Target = {
    ...target,
    work: STATES,
    play(input) {
      target.play(input);
      const decoded = refusedAs(STORED, () => decodeState(input));
      if ('code' in decoded) return;
      // A state that decodes can be used: what is wrong with it is said in our words.
      const codes = [...DECODE, 'ERR_NO_SESSION', 'ERR_SESSION_DEAD', 'ERR_DECRYPT'] as const;
      refusedAs(codes, () => encrypt(decoded.value, text('x'), testRng('any')));
      refusedAs(codes, () => decrypt(decoded.value, new Uint8Array(800).fill(0x20)));
      must(same(encodeState(decoded.value), input), 'a step changed the state that it was given');
    },
  };
  return onEdits(states, onState);
}

/** Two of everything that a session's network and disk can do to it. */
const OPS = 8;

/**
 * A program for two parties: who sends what, what becomes of it on the way, and who wakes up with stored bytes. What comes whole and for
 * the first time must be read; everything else is refused and changes nothing.
 */
function sessionTarget(): Target {
  // An operation is what it does, to which flight, and its own numbers. The third: late, repeated, reloaded, and late after a turn.
  const seeds = [
    [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 2, 0],
    [1, 0, 9, 0, 9, 0, 9, 1, 2, 3, 1, 4, 2, 7, 1, 5, 1, 6, 0],
    [0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 2, 3, 2, 1, 2, 1, 6, 0, 14, 0, 8, 0, 1, 0, 0, 1, 2, 2, 2, 2, 2, 1],
    [2, ...Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? [0, 3, 1, 0] : [8, 3, 9, 0])).flat()],
  ];
  return {
    seeds: seeds.map((seed) => new Uint8Array(seed)),
    work: { fixed: 400_000, perByte: 60_000 },
    isSlow: true,
    play(input) {
      const next = program(input.subarray(0, 400));
      const rng = testRng('session');
      const profile = (1 + (next.u8() % 3)) as Profile;
      const { alice, bob } = session(braid, rng, profile);
      const parties = [alice, bob] as const;
      const flights: { readonly to: 0 | 1; readonly frame: Uint8Array; readonly plaintext: Uint8Array; isRead: boolean }[] = [];
      const deliver = (to: 0 | 1, frame: Uint8Array, expected: Uint8Array | undefined): void => {
        const party = parties[to];
        const before = hex(party.snapshot());
        const codes = [...DECODE, 'ERR_NO_SESSION', 'ERR_DUPLICATE', 'ERR_DECRYPT'] as const;
        const result = refusedAs(expected === undefined ? codes : [], () => party.receive(frame));
        if ('code' in result) must(hex(party.snapshot()) === before, 'a refused message changed the state');
        else must(expected !== undefined && same(result.value, expected), 'read what was not written, or twice');
      };
      while (!next.hasEnded()) {
        const op = next.u8();
        const who = ((op >> 3) & 1) as 0 | 1;
        const flight = flights[next.u8() % Math.max(1, flights.length)];
        switch (op % OPS) {
          case 0:
          case 1: {
            const plaintext = text(`${flights.length} `.repeat(1 + (next.u8() % 60)));
            const sent = refusedAs(['ERR_NO_SESSION'], () => parties[who].send(plaintext));
            if ('code' in sent) break;
            const made = { to: (1 - who) as 0 | 1, frame: sent.value, plaintext, isRead: false };
            flights.push(made);
            // Half of all arrives at once.
            if (op % OPS === 1) break;
            if (flights.some(({ isRead }) => isRead) || made.to === 1) deliver(made.to, made.frame, made.plaintext);
            made.isRead = true;
            break;
          }
          case 2:
            if (flight === undefined) break;
            deliver(flight.to, flight.frame, flight.isRead ? undefined : flight.plaintext);
            flight.isRead = true;
            break;
          case 3:
          case 4: {
            if (flight === undefined) break;
            const frame = edited(flight.frame, next.bytes(op % OPS === 3 ? 5 : 10));
            if (!same(frame, flight.frame)) deliver(flight.to, frame, undefined);
            break;
          }
          case 5:
            // Back to who sent it.
            if (flight !== undefined) deliver((1 - flight.to) as 0 | 1, flight.frame, undefined);
            break;
          case 6:
            parties[who].restore(parties[who].snapshot());
            break;
          default:
            deliver(who, next.bytes(next.u8()), undefined);
        }
      }
    },
  };
}

/** A peer who has the keys of the session, and writes any header and any body. */
function forgedTarget(): Target {
  const states = ([1, 2, 3] as const).map((profile) => {
    const { alice, bob } = session(braid, testRng(`forged ${profile}`), profile);
    for (let i = 0; i < 12; i++) {
      bob.receive(alice.send(text('a')));
      alice.receive(bob.send(text('b')));
    }
    const late = alice.send(text('late'));
    bob.receive(alice.send(text('on time')));
    return { profile, alice: alice.snapshot(), bob: bob.snapshot(), ratchet: alice.ratchet, late };
  });
  return {
    // Any header; the next message but for its body; gaps of 300, and of more than are allowed.
    seeds: [0, 1, 2]
      .flatMap((profile) => [
        [profile, 255, 0, 0, 1, 0, 0],
        [profile, 0],
        [profile, 8, 1, 44],
        [profile, 8, 200, 0],
      ])
      .map((seed) => new Uint8Array(seed)),
    // The longest gap is 25,000 messages: some 450 blocks for each step of both ratchets.
    work: { fixed: 12_000_000, perByte: 60 },
    isSlow: true,
    play(input) {
      const next = program(input);
      const { profile, alice, bob, ratchet } = states[next.u8() % 3]!;
      const [sender, receiver] = [ratchet.decode(alice), new Party(ratchet, ratchet.decode(bob), testRng('none'))];
      const which = next.u8();
      const chunk = new Uint8Array(CHUNK_BYTES[profile]);
      // Both counters agree on a gap, which is walked up to its limit; or they don't.
      const gap = which & 8 ? next.u16() : 0;
      const { ec, pq } = sender;
      must(ec.kind === 'sending', 'the peer is not sending');
      const header = {
        n: ec.sendIndex + gap,
        pqCounter: pq.sending.counter + 1 + gap,
        ...(which & 1 && { type: next.u8() % 9 }),
        ...(which & 2 && { index: next.u16() }),
        ...(which & 4 && { pqEpoch: next.u8() }),
        ...(which & 16 && { n: next.u16() }),
        ...(which & 32 && { previousChainLength: next.u16() }),
        ...(which & 64 && { pqPrevious: next.u16() }),
        ...(which & 128 && { ratchetKey: concat(next.bytes(31), new Uint8Array([next.u8() & 0x7f])).slice(0, 32) }),
      };
      chunk.set(next.rest().subarray(0, chunk.length));
      const withKey = header.ratchetKey === undefined || header.ratchetKey.length === 32 ? header : {};
      const frame = forge(sender, { header: { ...withKey, chunk } });
      const before = hex(receiver.snapshot());
      const result = refusedAs(['ERR_DECRYPT', 'ERR_DUPLICATE', 'ERR_SKIP_LIMIT', 'ERR_NO_SESSION'], () => receiver.receive(frame));
      if ('code' in result) must(hex(receiver.snapshot()) === before, 'a refused message changed the state');
      else receiver.restore(receiver.snapshot());
    },
  };
}

/** The braid alone, with a peer who sends any message in any order. */
function braidTarget(): Target {
  return {
    seeds: [0, 1, 2].map((profile) => new Uint8Array([profile, ...Array.from({ length: 120 }, (_, i) => (i % 2 === 0 ? 0 : 1))])),
    work: { fixed: 200_000, perByte: 60_000 },
    isSlow: true,
    play(input) {
      const next = program(input.subarray(0, 400));
      const profile = (1 + (next.u8() % 3)) as Profile;
      const rng = testRng('braid');
      const secret = rng(32);
      const states = [braid.start('initiator', profile, secret), braid.start('responder', profile, secret)];
      while (!next.hasEnded()) {
        const op = next.u8();
        const who = op & 1;
        const { next: sent, message } = braid.send(states[who]!, profile, rng);
        states[who] = sent;
        const bad = { ...message };
        if (op & 2) bad.type = next.u8() % 8;
        if (op & 4) bad.index = next.u16();
        if (op & 8) bad.chunk = edited(message.chunk, next.bytes(5).fill(0, 0, 1));
        if (op & 16) bad.epoch = Math.max(1, message.epoch + (next.u8() % 5) - 2);
        // The ratchet lets no message of a later epoch through than the chains allow.
        if (bad.epoch > states[1 - who]!.epoch + 1) continue;
        if (op & 32) continue;
        const before = hex(encodeBraid(states[1 - who]!));
        const result = refusedAs(['ERR_DECRYPT'], () => braid.receive(states[1 - who]!, bad, profile));
        must(hex(encodeBraid(states[1 - who]!)) === before, 'a step changed its state');
        if ('code' in result) continue;
        states[1 - who] = decodeBraid(encodeBraid(result.value.next));
      }
    },
  };
}

export const ratchetTargets: Readonly<Record<string, () => Target>> = {
  'ratchet-state': stateTarget,
  'braid-state': () => {
    const codec = { seeds: [], codes: [...STORED, ...DECODE], decode: decodeBraid, encode: encodeBraid };
    const { alice, bob } = session(braid, testRng('braid'), 2);
    const states = Array.from({ length: 60 }, () => {
      bob.receive(alice.send(text('a')));
      alice.receive(bob.send(text('b')));
      return [encodeBraid(alice.state.scka), encodeBraid(bob.state.scka)];
    }).flat();
    const phases = new Map(states.map((state) => [`${state.subarray(0, 8)} ${state.length}`, state]));
    return onEdits([...phases.values()], decoder(codec, STATES));
  },
  'skipped-chain': () => {
    const key = (n: number) => ({ n, prk: new Uint8Array(32).fill(1), receivedCount: n });
    const chain = { headerKey: { key: new Uint8Array(32).fill(1), tag: new Uint8Array(16).fill(2) }, keys: [key(1), key(5)] };
    return decoder({ seeds: [encodeSkippedChain(chain)], codes: STORED, decode: decodeSkippedChain, encode: encodeSkippedChain });
  },
  session: sessionTarget,
  forged: forgedTarget,
  braid: braidTarget,
};
