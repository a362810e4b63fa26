import { describe, expect, it } from 'vitest';
import { equal } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { xchachaOpen } from '../../src/crypto/suite.js';
import { isCyphrError } from '../../src/errors.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { deriveBodyKeys } from '../../src/ratchet/keys.js';
import { parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import { testRng } from '../helpers/rng.js';
import { Party, ratchetOver, session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

function opens<S>(party: Party<S>, frame: Uint8Array): boolean {
  try {
    party.receive(frame);
    return true;
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return false;
  }
}

/** Whether any 32 bytes of a stolen state are the PRK of a frame, or its header key. */
function finds(stolen: Uint8Array, transcriptHash: Uint8Array, message: Uint8Array): { body: boolean; header: boolean } {
  const frame = parseRatchetFrame(message, 2);
  const found = { body: false, header: false };
  for (let at = 0; at + 32 <= stolen.length; at++) {
    const key = stolen.subarray(at, at + 32);
    found.body ||= equal(deriveBodyKeys(key, transcriptHash, frame.headerNonce).commitment, frame.commitment);
    try {
      xchachaOpen(key, frame.headerNonce, info('hdr', transcriptHash, frame.prefix), frame.headerCiphertext);
      found.header = true;
    } catch {
      // another window
    }
  }
  return found;
}

describe('T20: forward secrecy', () => {
  it('a state stolen after message n opens no message before n but the skipped ones, also if every key in it is tried', () => {
    const { alice, bob } = session(toyScka(), testRng('stolen'), 2);
    const seen: Uint8Array[] = [];
    for (let i = 0; i < 6; i++) {
      for (let j = 0; j < 2; j++) {
        seen.push(alice.send(text(`${i} ${j}`)));
        bob.receive(seen.at(-1)!);
      }
      alice.receive(bob.send(text('pong')));
    }
    const skipped = alice.send(text('skipped'));
    seen.push(alice.send(text('last')));
    bob.receive(seen.at(-1)!);

    const stolen = bob.snapshot();
    for (const frame of seen) {
      const thief = new Party(bob.ratchet, bob.ratchet.decode(stolen), testRng('thief'));
      expect(opens(thief, frame)).toBe(false);
    }
    const { transcriptHash } = bob.state;
    for (const frame of seen.slice(0, -1).filter((_, i) => i % 3 === 0)) {
      expect(finds(stolen, transcriptHash, frame)).toEqual({ body: false, header: false });
    }
    // Of the chain in use the header key is there, and the key of a message that has not arrived: that is what SKIP is for.
    expect(finds(stolen, transcriptHash, seen.at(-1)!)).toEqual({ body: false, header: true });
    expect(finds(stolen, transcriptHash, skipped)).toEqual({ body: true, header: true });
  });

  it('the sender keeps no key of what it has sent', () => {
    const { alice, bob } = session(braid, testRng('sender'), 2);
    const first = alice.send(text('first'));
    const found = finds(alice.snapshot(), alice.state.transcriptHash, first);
    expect(found).toEqual({ body: false, header: true });
    bob.receive(first);
    alice.receive(bob.send(text('answer')));
    const second = alice.send(text('second'));
    expect(finds(alice.snapshot(), alice.state.transcriptHash, first)).toEqual({ body: false, header: false });
    bob.receive(second);
  });
});

describe('T21: post-compromise security, classical half', () => {
  /** Plays turns after Bob's state was copied, and returns for each of Alice's whether the copy still reads her message. */
  function readable(moment: 'sending' | 'awaitingSend', knowsScalars: boolean): boolean[] {
    const ratchet = ratchetOver(braid);
    const { alice, bob } = session(braid, testRng('compromise'), 2);
    bob.receive(alice.send(text('ping')));
    if (moment === 'sending') alice.receive(bob.send(text('pong')));
    expect(bob.state.ec.kind).toBe(moment);
    const bobRng = testRng('bob from now on');
    const thief = new Party(ratchet, ratchet.decode(bob.snapshot()), knowsScalars ? testRng('bob from now on') : testRng('thief'));
    const out: boolean[] = [];
    for (let i = 0; i < 5; i++) {
      const frame = alice.send(text(`secret ${i}`));
      expect(bob.receive(frame)).toEqual(text(`secret ${i}`));
      out.push(opens(thief, frame));
      thief.send(text('pong'));
      alice.receive(bob.send(text('pong'), bobRng));
    }
    return out;
  }

  it('a copy reads what answers the key in it, and nothing after the owner has drawn a new one', () => {
    // Alice's next turn still answers the stolen DHs; the one after it answers a key that the thief has never had.
    expect(readable('sending', false)).toEqual([true, false, false, false, false]);
    // DHs is erased while a send is awaited, so that only the chain in use can be read.
    expect(readable('awaitingSend', false)).toEqual([true, false, false, false, false]);
  });

  it('it is the new scalars that heal: a thief who knows them reads on', () => {
    expect(readable('sending', true)).toEqual([true, true, true, true, true]);
    expect(readable('awaitingSend', true)).toEqual([true, true, true, true, true]);
  });

  it('a copy of the sender stops reading with the sender’s next turn', () => {
    const ratchet = ratchetOver(braid);
    const { alice, bob } = session(braid, testRng('sender copied'), 2);
    bob.receive(alice.send(text('ping')));
    alice.receive(bob.send(text('pong')));
    // The thief has Alice's state and sees Bob's answers to her keys.
    const thief = new Party(ratchet, ratchet.decode(alice.snapshot()), testRng('thief'));
    const read: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      bob.receive(alice.send(text('ping')));
      const frame = bob.send(text('pong'));
      alice.receive(frame);
      thief.send(text('ping'));
      read.push(opens(thief, frame));
    }
    // Alice drew a new key with her first message after the theft: not even the first answer is readable.
    expect(read).toEqual([false, false, false]);
  });
});
