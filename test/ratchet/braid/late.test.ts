import { describe, expect, it, vi } from 'vitest';
import { equal, toHex } from '../../../src/bytes.js';
import { ratchetLimits } from '../../../src/limits.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import type { BraidPhase, BraidState } from '../../../src/ratchet/braid/state.js';
import type * as keysModule from '../../../src/ratchet/keys.js';
import type { Rng } from '../../../src/step.js';
import { codeOf } from '../../helpers/expect-code.js';
import { forgetKeyUses, keyUses } from '../../helpers/key-uses.js';
import { playLate } from '../../helpers/late-braid.js';
import { testRng } from '../../helpers/rng.js';
import { Party, session, text } from '../../helpers/sessions.js';

vi.mock('../../../src/ratchet/keys.js', async (original) =>
  (await import('../../helpers/key-uses.js')).recordKeyUses(await original<typeof keysModule>()),
);

type Pair = { readonly alice: Party<BraidState>; readonly bob: Party<BraidState> };
const PROFILES = [1, 2, 3] as const;

function exchange({ alice, bob }: Pair, rounds: number): void {
  for (let i = 0; i < rounds; i++) {
    bob.receive(alice.send(text('ping')));
    alice.receive(bob.send(text('pong')));
  }
}

function expectTalking(pair: Pair): void {
  for (let i = 0; i < 10; i++) {
    expect(pair.bob.receive(pair.alice.send(text(`ping ${i}`)))).toEqual(text(`ping ${i}`));
    expect(pair.alice.receive(pair.bob.send(text(`pong ${i}`)))).toEqual(text(`pong ${i}`));
  }
}

/** Messages that do not arrive yet. */
function hold({ alice }: Pair, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => alice.send(text(`${i}`)));
}

/** After an outage the next message is read, the last 1,000 that were missing too, and no earlier one. */
function expectRecovery(pair: Pair, held: readonly Uint8Array[]): void {
  const { alice, bob } = pair;
  expect(bob.receive(alice.send(text('after the outage')))).toEqual(text('after the outage'));
  const kept = Math.max(0, held.length - ratchetLimits.storedPerGap);
  if (kept > 0) {
    expect(codeOf(() => bob.receive(held[0]!))).toBeOneOf(['ERR_DUPLICATE', 'ERR_NO_SESSION']);
    expect(codeOf(() => bob.receive(held[kept - 1]!))).toBeOneOf(['ERR_DUPLICATE', 'ERR_NO_SESSION']);
  }
  for (const i of [kept, held.length >> 1, held.length - 1]) if (i >= kept) expect(bob.receive(held[i]!).length).toBeGreaterThan(0);
  expectTalking(pair);
}

describe('late messages, 20 % lost', () => {
  for (const profile of PROFILES) {
    it.each([
      [50, 500],
      [100, 500],
      [300, 700],
      [1000, 1500],
    ])(`by up to %i, profile ${profile}: none is lost that the bounds keep`, (late, count) => {
      const report = playLate(profile, late, count);
      expect(report.late).toBeGreaterThan(count / 80);
      expect(report.epochs).toBeGreaterThan(1);
      if (late <= 300) expect(report.refused).toBe(0);
    });
  }
});

describe('outages', () => {
  it.each([1001, 1500, 9000])('of %i messages: the session goes on, and the last 1,000 can still come', (count) => {
    const pair = session(braid, testRng(`outage ${count}`), 2);
    exchange(pair, 60);
    expectRecovery(pair, hold(pair, count));
  });

  const phaseOf = ({ state }: Party<BraidState>): string => state.scka.phase.kind;

  it.each(PROFILES)('of 700 and 700 messages across an epoch that she decapsulates, profile %i', (profile) => {
    const pair = session(braid, testRng(`decapsulates ${profile}`), profile);
    const { alice, bob } = pair;
    exchange(pair, 3);
    while (!(phaseOf(bob) === 'ct2Sampled' && ['ct1Received', 'ekSentCt1Received'].includes(phaseOf(alice)))) {
      bob.receive(alice.send(text('ping')));
      if (phaseOf(bob) !== 'ct2Sampled') alice.receive(bob.send(text('pong')));
    }
    const before = hold(pair, 700);
    const { epoch } = alice.state.scka;
    while (alice.state.scka.epoch === epoch) alice.receive(bob.send(text('ct2')));
    const after = hold(pair, 700);
    expect(alice.state.pq.sending.epoch).toBe(epoch);
    expect(bob.state.pq.receiving.epoch).toBe(epoch - 1);
    expectRecovery(pair, [...before, ...after]);
  });

  it.each(PROFILES)('of 700 and 700 messages across an epoch that she encapsulated, profile %i', (profile) => {
    const pair = session(braid, testRng(`encapsulated ${profile}`), profile);
    const { alice, bob } = pair;
    while (phaseOf(alice) !== 'ct2Sampled') exchange(pair, 1);
    const { epoch } = alice.state.scka;
    while (bob.state.scka.epoch === epoch) bob.receive(alice.send(text('ct2')));
    const before = hold(pair, 700);
    alice.receive(bob.send(text('begun the next')));
    expect(alice.state.scka.epoch).toBe(epoch + 1);
    const after = hold(pair, 700);
    expect(bob.state.pq.receiving.epoch).toBe(epoch - 1);
    expectRecovery(pair, [...before, ...after]);
  });
});

describe('T24, T42: a restored snapshot that sends again', () => {
  const PHASES: readonly BraidPhase['kind'][] = [
    'keysUnsampled',
    'keysSampled',
    'headerSent',
    'ct1Received',
    'ekSentCt1Received',
    'noHeaderReceived',
    'headerReceived',
    'ct1Sampled',
    'ekReceivedCt1Sampled',
    'ct1Acknowledged',
    'ct2Sampled',
  ];

  /** A state of each phase, from conversations in which messages get lost. */
  function snapshots(): Map<string, { readonly party: Party<BraidState>; readonly bytes: Uint8Array }> {
    const found = new Map<string, { readonly party: Party<BraidState>; readonly bytes: Uint8Array }>();
    const rng = testRng('snapshots');
    const { alice, bob } = session(braid, rng, 2);
    bob.receive(alice.send(text('first')));
    for (let i = 0; found.size < PHASES.length && i < 5000; i++) {
      const [from, to] = rng(1)[0]! < 128 ? [alice, bob] : [bob, alice];
      const frame = from.send(text('on'));
      if (rng(1)[0]! < 200) to.receive(frame);
      for (const party of [alice, bob]) found.set(party.state.scka.phase.kind, { party, bytes: party.snapshot() });
    }
    return found;
  }

  const all = snapshots();
  it.each(PHASES)('from %s: no K, N, COMMIT or header nonce is shared, also under a stuck generator', (phase) => {
    const { party, bytes } = all.get(phase)!;
    const stuck: Rng = (length) => new Uint8Array(length).fill(9);
    forgetKeyUses();
    const frames = [testRng('first'), testRng('second'), stuck, stuck].map((rng, i) => {
      const copy = new Party(party.ratchet, party.ratchet.decode(bytes), rng);
      return [copy.send(text(`content ${i}`)), copy.send(text(`more ${i}`))];
    });
    expect(keyUses.counted).toBe(8);
    expect(keyUses.nonces.size).toBe(8);
    const okms = [...keyUses.keys];
    for (const [from, to] of [
      [0, 64],
      [64, 88],
      [88, 152],
    ] as const) {
      expect(new Set(okms.map((okm) => okm.slice(from, to))).size).toBe(8);
    }
    expect(new Set(frames.flat().map((frame) => toHex(frame.subarray(20, 44)))).size).toBe(8);
  });

  it('and the peer reads whichever of them comes first, then goes on with that one', () => {
    const { alice, bob } = session(braid, testRng('fork'), 2);
    exchange({ alice, bob }, 30);
    const fork = new Party(alice.ratchet, alice.ratchet.decode(alice.snapshot()), testRng('other'));
    const [first, second] = [alice.send(text('first')), fork.send(text('second'))];
    expect(equal(bob.receive(first), text('first'))).toBe(true);
    expect(codeOf(() => bob.receive(second))).toBeOneOf(['ERR_DUPLICATE', 'ERR_DECRYPT', 'ERR_NO_SESSION']);
    expectTalking({ alice, bob });
  });
});
