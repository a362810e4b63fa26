import { describe, expect, it } from 'vitest';
import { crossGap, gapLength } from '../../src/ratchet/gap.js';
import type { PqChain } from '../../src/ratchet/scka.js';
import type { EcState, RatchetState } from '../../src/ratchet/state.js';
import type { Header } from '../../src/wire/ratchet-message.js';
import { codeOf } from '../helpers/expect-code.js';
import { secretsIn } from '../helpers/secrets.js';

const key = new Uint8Array(32);

/** All that a gap depends on: the receiving chain's next index, and the chain of the SCKA with the last counter received. */
function stateAt(n: number | null, chain: Partial<PqChain> = {}): RatchetState {
  const receiving = n === null ? null : { headerKey: { key, tag: key }, chainKey: key, n };
  return {
    ec: { kind: 'sending', receiving } as EcState,
    pq: { receiving: { epoch: 3, chainKey: key, counter: 20, nextChainKey: key, ...chain } },
  } as RatchetState;
}

/** The header of the next message of `stateAt(10)`, in the same two chains. */
const next = { n: 10, previousChainLength: 0, pqEpoch: 4, pqCounter: 21, pqPrevious: 0 };
const gap = (state: RatchetState, header: Partial<Header>, underNext = false): number =>
  gapLength(state, { ...next, ...header } as Header, underNext);
const refused = (state: RatchetState, header: Partial<Header>, underNext = false): string => codeOf(() => gap(state, header, underNext));

describe('the messages before one that arrived', () => {
  it('of the same chains', () => {
    expect(gap(stateAt(10), {})).toBe(0);
    expect(gap(stateAt(10), { n: 15, pqCounter: 26 })).toBe(5);
    expect(refused(stateAt(10), { n: 15 })).toBe('ERR_DECRYPT');
    expect(refused(stateAt(10), { pqCounter: 26 })).toBe('ERR_DECRYPT');
  });

  it('across an epoch: what is left of the old one, and what came before it in the new one', () => {
    expect(gap(stateAt(10), { pqEpoch: 5, pqPrevious: 20, pqCounter: 1 })).toBe(0);
    expect(gap(stateAt(10), { n: 17, pqEpoch: 5, pqPrevious: 24, pqCounter: 4 })).toBe(7);
    expect(refused(stateAt(10), { n: 10, pqEpoch: 5, pqPrevious: 19, pqCounter: 2 })).toBe('ERR_DECRYPT');
    expect(refused(stateAt(10, { nextChainKey: null }), { pqEpoch: 5, pqPrevious: 20, pqCounter: 1 })).toBe('ERR_DECRYPT');
    expect(refused(stateAt(10), { pqEpoch: 6, pqPrevious: 20, pqCounter: 1 })).toBe('ERR_DECRYPT');
  });

  it('across a turn of the ratchet: what is left of the old chain, and what came before it in the new one', () => {
    expect(gap(stateAt(10), { n: 0, previousChainLength: 10 }, true)).toBe(0);
    expect(gap(stateAt(10), { n: 3, previousChainLength: 14, pqCounter: 28 }, true)).toBe(7);
    expect(refused(stateAt(10), { n: 1, previousChainLength: 9 }, true)).toBe('ERR_DECRYPT');
  });

  it('where there was no chain yet', () => {
    const first = stateAt(null, { counter: 0 });
    expect(gap(first, { n: 0, pqCounter: 1 }, true)).toBe(0);
    expect(gap(first, { n: 2, pqCounter: 3 }, true)).toBe(2);
    expect(refused(first, { n: 0, previousChainLength: 1, pqCounter: 2 }, true)).toBe('ERR_DECRYPT');
  });

  it('are at most 25,000', () => {
    expect(gap(stateAt(10), { n: 25_010, pqCounter: 25_021 })).toBe(25_000);
    expect(() => gap(stateAt(10), { n: 25_011, pqCounter: 25_022 })).toThrow(
      expect.objectContaining({ code: 'ERR_SKIP_LIMIT', got: 25_001, max: 25_000 }),
    );
  });
});

describe('crossing a gap', () => {
  it.each([0, 2])('of %i messages names every secret that it has made, and no other: with an epoch agreed on, and without', (count) => {
    for (const nextChainKey of [key, null]) {
      const state = stateAt(10, { nextChainKey });
      const header = { ...next, n: 10 + count, pqCounter: 21 + count } as Header;
      const { ec, pqReceiving, missing, fresh } = crossGap(state, header, false, count);
      const held = new Set(secretsIn(state));
      const made = secretsIn({ ec, pqReceiving, missing }).filter((secret) => !held.has(secret));
      expect(made).toHaveLength(2 + count + (nextChainKey === null ? 0 : 1));
      expect(new Set(fresh)).toEqual(new Set(made));
      expect(fresh.every((secret) => made.includes(secret))).toBe(true);
    }
  });
});
