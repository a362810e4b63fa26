import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Parcel, sendParcels } from '../../src/client/parcels.js';
import { limits } from '../../src/limits.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { usage } from '../helpers/matchers.js';

const bytes = (length: number, value = 0): Uint8Array => new Uint8Array(length).fill(value);

/** What was handed over of these records. */
async function packed(
  records: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  partBytes: number = limits.historyPartBytes,
  signal?: AbortSignal,
): Promise<Parcel[]> {
  const sent: Parcel[] = [];
  await sendParcels(records, partBytes, async (parcel) => void sent.push(parcel), signal);
  return sent;
}

/** Records whose reading a test can follow. */
function source(count: number, length: number) {
  const seen = { taken: 0, isClosed: false };
  const records: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (seen.taken === count) return { done: true, value: undefined };
        return { done: false, value: bytes(length, seen.taken++) };
      },
      async return() {
        seen.isClosed = true;
        return { done: true, value: undefined };
      },
    }),
  };
  return { seen, records };
}

describe('packing', () => {
  test('parts hold every record once, in order, within their room, and each as many as fit', async () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.integer({ min: 100, max: 400 }), async (given, room) => {
        const records = given.map((length, i) => bytes(length, i));
        const parts = await packed(records, room);
        expect(parts.flatMap((part) => part.records)).toEqual(records);
        expect(parts.map(({ part }) => part)).toEqual(parts.map((_, i) => i));
        expect(parts.map(({ isLast }) => isLast)).toEqual(parts.map((_, i) => i === parts.length - 1));
        const sizes = parts.map((part) => part.records.reduce((size, { length }) => size + length + 5, 0));
        for (const [i, size] of sizes.entries()) {
          expect(size <= room || parts[i]!.records.length === 1).toBe(true);
          const next = parts[i + 1]?.records[0];
          if (next !== undefined) expect(size + next.length + 5).toBeGreaterThan(room);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('no records are one part, which is empty', async () => {
    expect(await packed([])).toEqual([{ part: 0, records: [], isLast: true }]);
  });

  test('the fullest parts fit a message: of the longest record, and of the most', async () => {
    const most = await packed(Array.from({ length: 9_000 }, () => bytes(1)));
    expect(most.map(({ records }) => records.length)).toEqual([4_000, 4_000, 1_000]);
    const [longest] = await packed([bytes(limits.historyPartBytes)]);
    for (const { records, ...part } of [most[0]!, longest!, (await packed(Array.from({ length: 4_000 }, () => bytes(8))))[0]!]) {
      const control = encodeMsgpack({ t: 'history', at: 2 ** 48, id: bytes(16), ...part, records });
      expect(control.length).toBeLessThan(limits.contentBytes);
    }
  });

  test('a record is copied as it is read: its buffer may be used again', async () => {
    const buffer = bytes(4);
    const reused = function* () {
      for (let i = 1; i <= 3; i++) yield buffer.fill(i);
    };
    expect((await packed(reused()))[0]!.records).toEqual([bytes(4, 1), bytes(4, 2), bytes(4, 3)]);
  });
});

describe('reading', () => {
  test('nothing is read while a part is on its way, but one record of the next', async () => {
    const { seen, records } = source(10, 100);
    const taken: number[] = [];
    await sendParcels(records, 320, async () => void taken.push(seen.taken), undefined);
    expect(taken).toEqual([4, 7, 10, 10]);
    expect(seen.isClosed).toBe(false);
  });

  test.each([
    ['too long', bytes(101), usage('ERR_LENGTH', 'records')],
    ['no bytes', 'text' as never, usage('ERR_ARGUMENT', 'records')],
  ])('a record that is %s ends it before anything more is read', async (_, bad, error) => {
    let taken = 0;
    let isClosed = false;
    const records = function* () {
      try {
        for (const record of [bytes(100), bad, bytes(1)]) {
          taken += 1;
          yield record;
        }
      } finally {
        isClosed = true;
      }
    };
    await expect(packed(records(), 100)).rejects.toThrow(error);
    expect([taken, isClosed]).toEqual([2, true]);
    expect(await packed([bytes(100)], 100)).toHaveLength(1);
  });

  test('what the records throw comes through; what sending throws closes them', async () => {
    const broken: Iterable<Uint8Array> = {
      [Symbol.iterator]() {
        return {
          next() {
            throw new Error('disk');
          },
        };
      },
    };
    await expect(packed(broken)).rejects.toThrow('disk');
    const { seen, records } = source(10, 100);
    await expect(sendParcels(records, 100, () => Promise.reject(new Error('refused')), undefined)).rejects.toThrow('refused');
    expect(seen).toEqual({ taken: 2, isClosed: true });
  });

  test('an abort ends it also where the next record never comes', async () => {
    const [stop, reason] = [new AbortController(), new Error('enough')];
    let isClosed = false;
    const records: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next() {
          stop.abort(reason);
          return new Promise(() => {});
        },
        async return() {
          isClosed = true;
          return { done: true, value: undefined };
        },
      }),
    };
    await expect(packed(records, 100, stop.signal)).rejects.toBe(reason);
    expect(isClosed).toBe(true);
  });
});
