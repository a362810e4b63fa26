import { describe, expect, it, vi } from 'vitest';
import { ratchetLimits, wireLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type * as keysModule from '../../src/ratchet/keys.js';
import { receivingTags } from '../../src/ratchet/triple.js';
import type { Header } from '../../src/wire/ratchet-message.js';
import { codeOf } from '../helpers/expect-code.js';
import { forge, skipAhead } from '../helpers/forge.js';
import { testRng } from '../helpers/rng.js';
import { type Party, session, text } from '../helpers/sessions.js';
import { type ToyState, toyScka } from '../helpers/toy-scka.js';

/** Steps of both kinds of chain: what a forged counter could make a receiver do. */
const work = vi.hoisted(() => ({ steps: 0 }));
vi.mock('../../src/ratchet/keys.js', async (original) => {
  const keys = await original<typeof keysModule>();
  return {
    ...keys,
    deriveNextChainKey: (key: Uint8Array) => {
      work.steps++;
      return keys.deriveNextChainKey(key);
    },
    stepPqChain: (key: Uint8Array, counter: number) => {
      work.steps++;
      return keys.stepPqChain(key, counter);
    },
  };
});

/**
 * Alice is about to enter a new epoch in the middle of a chain: she has sent `before(alice)` in the old one, when a second message of
 * Bob's chain, held back until then, completes the epoch.
 */
function inTheMiddle<T>(
  seed: string,
  before: (alice: Party<ToyState>, bob: Party<ToyState>) => T,
): { alice: Party<ToyState>; bob: Party<ToyState>; sent: T } {
  for (let rounds = 1; rounds < 20; rounds++) {
    const { alice, bob } = session(toyScka(2), testRng(seed), 2);
    for (let i = 0; i < rounds; i++) {
      bob.receive(alice.send(text('ping')));
      alice.receive(bob.send(text('pong')));
    }
    bob.receive(alice.send(text('ping')));
    alice.receive(bob.send(text('pong')));
    const heldBack = bob.send(text('pong'));
    const { epoch } = alice.state.scka;
    const sent = before(alice, bob);
    alice.receive(heldBack);
    if (alice.state.scka.epoch === epoch + 1 && alice.state.pq.sending.epoch === epoch - 1) return { alice, bob, sent };
  }
  throw new Error('no such moment');
}

function sendMany<S>(party: Party<S>, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => party.send(text(`${i}`)));
}

function expectRejected<S>(party: Party<S>, frame: Uint8Array, code: string): void {
  const before = party.snapshot();
  expect(codeOf(() => party.receive(frame))).toBe(code);
  expect(party.snapshot()).toEqual(before);
}

/** Refused by the bounds: before any key is derived. */
function expectNoWork<S>(from: Party<S>, to: Party<S>, header: Partial<Header>, code: string): void {
  const frame = forge(from.state, { header });
  work.steps = 0;
  expectRejected(to, frame, code);
  expect(work.steps).toBe(0);
}

const skippedCount = (party: Party<unknown>): number => party.state.skipped.reduce((sum, { keys }) => sum + keys.length, 0);

describe('outages', () => {
  it.each([1000, 1001, 1500, 9000])('%i lost messages in a row cost these messages only', (count) => {
    const { alice, bob } = session(braid, testRng('outage'), 2);
    bob.receive(alice.send(text('first')));
    const kept = Math.min(count, ratchetLimits.storedPerGap);
    alice.state = skipAhead(alice.state, count - kept - (count > kept ? 1 : 0));
    const tooOld = count > kept ? alice.send(text('too old')) : null;
    const lost = sendMany(alice, kept);
    expect(Buffer.from(bob.receive(alice.send(text('back')))).toString()).toBe('back');
    expect(skippedCount(bob)).toBe(kept);
    if (tooOld !== null) expectRejected(bob, tooOld, 'ERR_DUPLICATE');
    for (const i of [0, Math.floor(kept / 2), kept - 1]) expect(bob.receive(lost[i]!)).toEqual(text(`${i}`));
    bob.receive(alice.send(text('on')));
    alice.receive(bob.send(text('reply')));
  });

  it('two outages of 700 with a message between them keep all keys', () => {
    const { alice, bob } = session(braid, testRng('outages'), 2);
    const lost: Uint8Array[] = [];
    for (let i = 0; i < 2; i++) {
      lost.push(...sendMany(alice, 700));
      bob.receive(alice.send(text('back')));
    }
    expect(skippedCount(bob)).toBe(1400);
    for (const [i, frame] of lost.entries()) if (i % 100 === 0) expect(bob.receive(frame)).toEqual(text(`${i % 700}`));
  });

  it('a gap over two chains and two epochs keeps the last 1,000 of both lists together', () => {
    // The epoch changes inside the old chain, so that the lists are cut at different places and only their lengths agree.
    const { alice, bob, sent } = inTheMiddle('across', (alice, bob) => {
      const old = sendMany(alice, 300);
      bob.receive(old.at(-1)!);
      return { old, head: sendMany(alice, 600) };
    });
    const epoch = bob.state.pq.receiving.epoch;
    const tail = sendMany(alice, 650);
    alice.receive(bob.send(text('turn')));
    const lead = sendMany(alice, 450);
    bob.receive(alice.send(text('across')));
    expect(bob.state.pq.receiving.epoch).toBe(epoch + 1);
    expect(bob.state.skipped.map(({ keys }) => keys.length)).toEqual([299 + 550, 450]);
    expectRejected(bob, sent.head[599]!, 'ERR_DUPLICATE');
    expectRejected(bob, tail[99]!, 'ERR_DUPLICATE');
    for (const i of [649, 101, 100]) expect(bob.receive(tail[i]!)).toEqual(text(`${i}`));
    for (const i of [0, 449]) expect(bob.receive(lead[i]!)).toEqual(text(`${i}`));
    for (const i of [0, 298]) expect(bob.receive(sent.old[i]!)).toEqual(text(`${i}`));
    alice.receive(bob.send(text('on')));
  });
});

describe('bounds', () => {
  it('a gap of 25,000 is crossed, one of 25,001 is ERR_SKIP_LIMIT', () => {
    const { alice, bob } = session(braid, testRng('jump'), 2);
    bob.receive(alice.send(text('first')));
    alice.state = skipAhead(alice.state, ratchetLimits.maxJump);
    const frame = alice.send(text('far'));
    const before = bob.snapshot();
    try {
      bob.receive(forge(alice.state));
      expect.fail('expected ERR_SKIP_LIMIT');
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_SKIP_LIMIT', got: 25_001, max: 25_000 });
    }
    expect(bob.snapshot()).toEqual(before);
    expect(bob.receive(frame)).toEqual(text('far'));
    expect(skippedCount(bob)).toBe(1000);
  });

  it('2,000 keys are kept, the oldest dropped first and wiped', () => {
    const { alice, bob } = session(braid, testRng('keys'), 2);
    const lost: Uint8Array[][] = [];
    let firstKey = new Uint8Array();
    for (let i = 0; i < 3; i++) {
      lost.push(sendMany(alice, 900));
      bob.receive(alice.send(text('back')));
      if (i === 0) firstKey = bob.state.skipped[0]!.keys[0]!.prk as Uint8Array<ArrayBuffer>;
    }
    expect(skippedCount(bob)).toBe(2000);
    expect(firstKey).toEqual(new Uint8Array(32));
    expectRejected(bob, lost[0]![699]!, 'ERR_DUPLICATE');
    expect(bob.receive(lost[0]![700]!)).toEqual(text('700'));
    expect(bob.receive(lost[2]![899]!)).toEqual(text('899'));
  });

  it('128 old chains are kept, the oldest dropped whole with its header key and tag', () => {
    const { alice, bob } = session(braid, testRng('chains'), 2);
    const lost: Uint8Array[] = [];
    let firstHeaderKey = new Uint8Array();
    for (let i = 0; i < 131; i++) {
      lost.push(...sendMany(alice, 2));
      bob.receive(alice.send(text('ping')));
      if (i === 0) firstHeaderKey = bob.state.skipped[0]!.headerKey.key as Uint8Array<ArrayBuffer>;
      alice.receive(bob.send(text('pong')));
    }
    // 131 chains have keys, one of them is in use: two had to go.
    expect(bob.state.skipped.length).toBe(129);
    expect(receivingTags(bob.state).length).toBe(130);
    expect(firstHeaderKey).toEqual(new Uint8Array(32));
    for (const frame of lost.slice(0, 4)) expectRejected(bob, frame, 'ERR_NO_SESSION');
    for (const frame of lost.slice(4, 6)) bob.receive(frame);
    // The header key of an old chain lives as long as SKIP needs it.
    expect(receivingTags(bob.state).length).toBe(129);
    expectRejected(bob, lost[5]!, 'ERR_NO_SESSION');
    for (const frame of lost.slice(-2)) bob.receive(frame);
    expectRejected(bob, lost.at(-1)!, 'ERR_DUPLICATE');
  });

  it('a key lives for 4,000 received messages, late ones counted', () => {
    const { alice, bob } = session(braid, testRng('lifetime'), 2);
    const [a, b] = sendMany(alice, 2) as [Uint8Array, Uint8Array];
    const late = sendMany(alice, 1);
    bob.receive(alice.send(text('stored with r = 1')));
    const [second] = sendMany(alice, 1) as [Uint8Array];
    bob.receive(alice.send(text('stored with r = 2')));
    for (let i = 3; i <= 4000; i++) bob.receive(alice.send(text('')));
    expect(bob.receive(a)).toEqual(text('0'));
    expect(bob.state.receivedCount).toBe(4001);
    expect(skippedCount(bob)).toBe(3);
    // The next one makes r < received − 4,000, also if it is itself a late one.
    bob.receive(late[0]!);
    expect(skippedCount(bob)).toBe(1);
    expectRejected(bob, b, 'ERR_DUPLICATE');
    expect(bob.receive(second)).toEqual(text('0'));
  });

  it('T16: an authenticated header with any counter at its maximum costs no derivation and changes nothing', () => {
    const { alice, bob } = inTheMiddle('forged', () => {});
    bob.receive(alice.send(text('ping')));
    const max = wireLimits.counterMax;
    const counter = alice.state.pq.sending.counter;
    for (const field of ['n', 'previousChainLength', 'pqCounter', 'pqPrevious', 'pqEpoch'] as const) {
      for (const value of [max - 1, max, max + 1, 0xffff_ffff]) {
        // Under the chain in use neither pn nor, within an epoch, pqPrev is looked at; their range is.
        const isIgnored = (field === 'previousChainLength' && value <= max) || (field === 'pqPrevious' && value < max);
        if (!isIgnored) expectNoWork(alice, bob, { [field]: value }, 'ERR_DECRYPT');
      }
    }
    const { sendIndex } = alice.state.ec as Extract<typeof alice.state.ec, { kind: 'sending' }>;
    const jump = max - 1 - Math.max(sendIndex, counter + 1);
    expectNoWork(alice, bob, { n: sendIndex + jump, pqCounter: counter + 1 + jump }, 'ERR_SKIP_LIMIT');
  });

  it('T16: a forged body after a true header of a wide gap is bounded work, and no key of the gap stays', () => {
    const { alice, bob } = session(braid, testRng('wide'), 2);
    const frame = forge(alice.state, { header: { n: 25_000, pqCounter: 25_001 } });
    work.steps = 0;
    expectRejected(bob, frame, 'ERR_DECRYPT');
    expect(work.steps).toBeLessThanOrEqual(2 * 25_001);
  });

  describe('counters that no honest peer sends', () => {
    // Three messages of the old chain are missing, two of them after the last received; the epoch changes; then three of the new chain.
    const { alice, bob } = inTheMiddle('counters', (alice, bob) => {
      sendMany(alice, 1);
      bob.receive(alice.send(text('old chain')));
      sendMany(alice, 2);
    });
    alice.receive(bob.send(text('turn')));
    sendMany(alice, 3);
    const received = bob.state.pq.receiving.counter;
    const changes: [name: string, header: Partial<Header>][] = [
      ['pn before the last received', { previousChainLength: 1 }],
      ['pqPrev before the last received', { pqPrevious: received - 1 }],
      ['EC list one longer', { n: 4 }],
      ['EC list one shorter', { n: 2 }],
      ['old EC list one longer', { previousChainLength: 5 }],
      ['PQ list one longer', { pqCounter: 5 }],
      ['PQ list one shorter', { pqCounter: 3 }],
      ['old PQ list one longer', { pqPrevious: received + 3 }],
      ['PQ lists cut elsewhere, one running backwards', { pqPrevious: received - 1, pqCounter: 7 }],
      ['EC lists cut elsewhere, one running backwards', { previousChainLength: 1, n: 6 }],
      ['an epoch without a chain', { pqEpoch: bob.state.pq.receiving.epoch + 3 }],
      ['an epoch before the last received', { pqEpoch: bob.state.pq.receiving.epoch }],
    ];
    it.each(changes)('%s', (_, header) => {
      expect(alice.state.pq.sending.epoch).toBe(bob.state.pq.receiving.epoch + 1);
      expectNoWork(alice, bob, header, 'ERR_DECRYPT');
    });

    it('while the same message with the true ones is accepted', () => {
      expect(bob.receive(forge(alice.state))).toEqual(new Uint8Array([1, 2, 3]));
    });
  });

  it('within one epoch pqCtr must go on, and pn must be 0 before there is a chain', () => {
    const { alice, bob } = session(braid, testRng('first'), 2);
    expectNoWork(alice, bob, { previousChainLength: 1, pqCounter: 2 }, 'ERR_DECRYPT');
    expectNoWork(alice, bob, { previousChainLength: 1 }, 'ERR_DECRYPT');
    bob.receive(alice.send(text('first')));
    bob.receive(alice.send(text('second')));
    expectNoWork(alice, bob, { pqCounter: 2 }, 'ERR_DECRYPT');
    expectNoWork(alice, bob, { pqCounter: 1, n: 1 }, 'ERR_DUPLICATE');
  });
});
