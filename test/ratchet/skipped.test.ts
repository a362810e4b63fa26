import { describe, expect, it } from 'vitest';
import { u32 } from '../../src/bytes.js';
import { ratchetLimits } from '../../src/limits.js';
import {
  addSkippedKeys,
  findSkippedChain,
  findSkippedKey,
  pruneSkippedKeys,
  removeSkippedKey,
  type SkippedChain,
  type SkippedKeys,
} from '../../src/ratchet/skipped.js';

const tag = (id: number): Uint8Array => new Uint8Array([...new Uint8Array(12), ...u32(id)]);
/** A chain with a key for each of `indices`, stored when `receivedCount` messages had come. */
const chain = (id: number, indices: readonly number[], receivedCount = 1): SkippedChain => ({
  headerKey: { key: new Uint8Array(32).fill(id), tag: tag(id) },
  keys: indices.map((n) => ({ n, prk: new Uint8Array(32).fill(n), receivedCount })),
});
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const indicesOf = (skipped: SkippedKeys): number[][] => skipped.map(({ keys }) => keys.map(({ n }) => n));
const NONE = tag(0xffff);

describe('a key', () => {
  const skipped = [chain(1, [0, 2]), chain(2, [0, 5])];

  it('is found by tag and index', () => {
    expect(findSkippedChain(skipped, tag(2))).toBe(skipped[1]);
    expect(findSkippedChain(skipped, tag(3))).toBeUndefined();
    expect(findSkippedKey(skipped, tag(1), 2)).toBe(skipped[0]!.keys[1]);
    for (const [id, n] of [
      [1, 1],
      [1, 5],
      [3, 0],
    ] as const) {
      expect(findSkippedKey(skipped, tag(id), n)).toBeUndefined();
    }
  });

  it('that is removed leaves other chains the same objects, and no empty one', () => {
    const without = removeSkippedKey(skipped, skipped[0]!.keys[0]!);
    expect(indicesOf(without)).toEqual([[2], [0, 5]]);
    expect(without[0]!.headerKey).toBe(skipped[0]!.headerKey);
    expect(without[1]).toBe(skipped[1]);
    expect(removeSkippedKey(without, skipped[0]!.keys[1]!)).toEqual([skipped[1]]);
  });

  it('that is added stands behind those of its chain, and a new chain behind the others', () => {
    const more = addSkippedKeys(skipped, [chain(2, [7, 8]), chain(3, [0])]);
    expect(indicesOf(more)).toEqual([[0, 2], [0, 5, 7, 8], [0]]);
    expect(more[0]).toBe(skipped[0]);
    expect(more.map(({ headerKey }) => headerKey.tag)).toEqual([tag(1), tag(2), tag(3)]);
    expect(addSkippedKeys(skipped, [])).toBe(skipped);
  });
});

describe('what is kept', () => {
  const { skippedLifetimeMessages, oldChains, skippedKeys } = ratchetLimits;

  it('is the same object where no bound is passed', () => {
    const skipped = [chain(0, upTo(skippedKeys - oldChains)), ...upTo(oldChains).map((i) => chain(i + 1, [0]))];
    expect(pruneSkippedKeys(skipped, skippedLifetimeMessages + 1, tag(0))).toBe(skipped);
  });

  it('is no key that was stored more than 4,000 received messages ago', () => {
    const skipped = [chain(1, [0], 1), { ...chain(2, []), keys: [...chain(2, [0], 1).keys, ...chain(2, [1], 2).keys] }, chain(3, [0], 2)];
    expect(pruneSkippedKeys(skipped, skippedLifetimeMessages + 1, NONE)).toBe(skipped);
    const later = pruneSkippedKeys(skipped, skippedLifetimeMessages + 2, NONE);
    expect(indicesOf(later)).toEqual([[1], [0]]);
    expect(later[1]).toBe(skipped[2]);
    expect(pruneSkippedKeys(skipped, skippedLifetimeMessages + 3, NONE)).toEqual([]);
  });

  it('is the 128 newest of the old chains; the one in use is none of them', () => {
    const skipped = upTo(oldChains + 2).map((i) => chain(i, [0, 1]));
    expect(pruneSkippedKeys(skipped, 1, NONE)).toEqual(skipped.slice(2));
    expect(pruneSkippedKeys(skipped, 1, tag(0))).toEqual([skipped[0], ...skipped.slice(2)]);
  });

  it('is the 2,000 newest keys', () => {
    const skipped = [chain(1, [0, 1]), chain(2, [0, 1, 2]), chain(3, upTo(skippedKeys - 2))];
    const kept = pruneSkippedKeys(skipped, 1, NONE);
    expect(indicesOf(kept)).toEqual([[1, 2], upTo(skippedKeys - 2)]);
    expect(kept[1]).toBe(skipped[2]);
    expect(pruneSkippedKeys([chain(1, upTo(skippedKeys))], 1, NONE)).toHaveLength(1);
  });
});
