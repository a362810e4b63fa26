import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wireLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import * as subpath from '../../src/ratchet/index.js';
import { lastMessage, refusedMessage } from '../../src/ratchet/ratchet.js';
import { isUsedUp } from '../../src/ratchet/triple.js';
import { codeOf } from '../helpers/expect-code.js';
import { forge, skipAhead } from '../helpers/forge.js';
import { testRng } from '../helpers/rng.js';
import { type Party, session, text } from '../helpers/sessions.js';

const HEADER_END = 44 + 56 + 192 + 16;

function talking(seed: string) {
  const { alice, bob } = session(braid, testRng(seed));
  for (let i = 0; i < 3; i++) {
    bob.receive(alice.send(text('ping')));
    alice.receive(bob.send(text('pong')));
  }
  return { alice, bob };
}

function flipped(frame: Uint8Array, at: number): Uint8Array {
  const copy = frame.slice();
  copy[at]! ^= 1;
  return copy;
}

/** Bob refuses `frame` with one code, whatever it is, and what he knows of it leaves his state as it was. */
function refused<S>(bob: Party<S>, frame: Uint8Array) {
  const before = bob.snapshot();
  const code = codeOf(() => bob.receive(frame));
  const name = refusedMessage(bob.state, frame);
  expect(bob.snapshot()).toEqual(before);
  return { code, name };
}

it('names no last message where none was encrypted: before the answer to a turn of the ratchet, and on an empty chain', () => {
  const { alice, bob } = talking('last');
  bob.receive(alice.send(text('your turn')));
  expect(codeOf(() => lastMessage(bob.state))).toBe('ERR_BUG');
  const { ec } = alice.state;
  if (ec.kind !== 'sending') throw new Error('alice has just sent');
  expect(codeOf(() => lastMessage({ ...alice.state, ec: { ...ec, sendIndex: 0 } }))).toBe('ERR_BUG');
});

describe('which message was refused', () => {
  it('names a genuine one whose body was changed, and the sender knows it by the same name', () => {
    const { alice, bob } = talking('names');
    for (let i = 0; i < 3; i++) {
      const frame = alice.send(text(`${i}`));
      for (const at of [HEADER_END, HEADER_END + 31, HEADER_END + 32, frame.length - 1]) {
        expect(refused(bob, flipped(frame, at))).toEqual({ code: 'ERR_DECRYPT', name: lastMessage(alice.state) });
      }
    }
    expect(lastMessage(alice.state).n).toBe(2);
  });

  it('names the first of a new chain, one of an old chain, and one beyond a gap that is too long', () => {
    const { alice, bob } = talking('chains');
    const first = alice.send(text('0'));
    const old = lastMessage(alice.state);
    expect(refused(bob, flipped(first, first.length - 1)).name).toEqual(old);
    bob.receive(alice.send(text('1')));
    alice.receive(bob.send(text('2')));
    bob.receive(alice.send(text('3')));
    expect(refused(bob, flipped(first, first.length - 1)).name).toEqual(old);
    alice.send(text('4'));
    const far = skipAhead(alice.state, 25_100);
    const { tag, n } = lastMessage(far);
    expect(refused(bob, forge(far))).toEqual({ code: 'ERR_SKIP_LIMIT', name: { tag, n: n + 1 } });
  });

  it('names one whose header breaks a rule: the peer made it', () => {
    const { alice, bob } = talking('rules');
    alice.send(text('x'));
    const { n } = lastMessage(alice.state);
    expect(refused(bob, forge(alice.state, { flags: 1 }))).toMatchObject({ code: 'ERR_DECRYPT', name: { n: n + 1 } });
  });

  it('names nothing whose header does not open, under a known tag or another, nor what can be no message', () => {
    const { alice, bob } = talking('headers');
    const frame = alice.send(text('x'));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: HEADER_END - 1 }), (at) => {
        expect(refused(bob, flipped(frame, at)).name).toBeUndefined();
      }),
      { seed: 3, numRuns: 60 },
    );
    for (const bytes of [frame.subarray(1), frame.subarray(0, 40), new Uint8Array(0), frame.subarray(0, frame.length - 1)]) {
      expect(refused(bob, bytes).name).toBeUndefined();
    }
  });

  it('is not for those who use the ratchet alone: why a message was refused is told to nobody', () => {
    expect(Object.keys(subpath).sort()).toEqual(['acceptRatchet', 'decodeState', 'decrypt', 'encodeState', 'encrypt', 'initiateRatchet']);
  });
});

it('counters are used up before encrypt refuses', () => {
  const { alice, bob } = talking('counters');
  bob.receive(alice.send(text('x')));
  const waiting = bob.state;
  expect(waiting.ec.kind).toBe('awaitingSend');
  expect(isUsedUp(waiting)).toBe(false);
  const worn = { ...waiting.pq.sending, counter: wireLimits.counterMax - 1 };
  expect(isUsedUp({ ...waiting, pq: { ...waiting.pq, sending: worn } })).toBe(true);
  const { ec, pq } = alice.state;
  if (ec.kind !== 'sending') throw new Error('alice has sent');
  const max = wireLimits.counterMax;
  expect(isUsedUp(alice.state)).toBe(false);
  expect(isUsedUp({ ...alice.state, ec: { ...ec, sendIndex: max } })).toBe(true);
  expect(isUsedUp({ ...alice.state, pq: { ...pq, sending: { ...pq.sending, counter: max - 1 } } })).toBe(true);
  expect(isUsedUp({ ...alice.state, pq: { ...pq, sending: { ...pq.sending, epoch: max - 2 } } })).toBe(true);
  expect(isUsedUp({ ...alice.state, ec: { ...ec, sendIndex: max - 1 }, pq: { ...pq, sending: { ...pq.sending, counter: max - 2 } } })).toBe(
    false,
  );
});
