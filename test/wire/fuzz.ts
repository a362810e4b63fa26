import fc from 'fast-check';
import { expect } from 'vitest';
import { DecodeError } from '../../src/errors.js';

/** Every property test of these folders runs with this seed, and prints it when it fails. */
export const SEED = 0x43_59_50_48;

/** `parse` gives a value that encodes to exactly its input, or a DecodeError: for random bytes and for mutations of `samples`. */
export function expectTotal<T>(
  parse: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
  samples: readonly Uint8Array[],
  numRuns = 300,
): void {
  const check = (bytes: Uint8Array): void => {
    let value: T;
    try {
      value = parse(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
      return;
    }
    expect(Buffer.from(encode(value)).equals(bytes)).toBe(true);
  };
  const mutated = fc
    .tuple(
      fc.constantFrom(...samples),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      fc.nat(),
      fc.boolean(),
    )
    .map(([sample, edits, cut, whole]) => {
      const out = sample.slice(0, whole ? sample.length : cut % (sample.length + 1));
      // Half of the edits hit the head, where the lengths and counts stand.
      for (const [at, value] of edits) if (out.length > 0) out[value % 2 ? at % out.length : at % Math.min(out.length, 160)] = value;
      return out;
    });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), mutated), check), { seed: SEED, numRuns });
}
