import { createHash } from 'node:crypto';
import type { Rng } from '../../src/step.js';

/** A repeatable byte stream: SHA-256(seed ‖ counter), cut as asked. For tests only. */
export function testRng(seed: string): Rng {
  let counter = 0;
  let pool = Buffer.alloc(0);
  return (lengthBytes) => {
    while (pool.length < lengthBytes) {
      pool = Buffer.concat([pool, createHash('sha256').update(`${seed}/${counter++}`).digest()]);
    }
    const out = new Uint8Array(pool.subarray(0, lengthBytes));
    pool = pool.subarray(lengthBytes);
    return out;
  };
}

/** One byte with one bit changed, in a copy. */
export function flip(bytes: Uint8Array, at = bytes.length - 1, mask = 1): Uint8Array {
  const out = new Uint8Array(bytes);
  out[at] = out[at]! ^ mask;
  return out;
}

/** How many random cases a test tries: `count`, but a twenty-fifth before a mutant, which dies of the first or of none. */
export function rounds(count: number): number {
  return process.env['CYPHR_MUTATE'] === undefined ? count : Math.ceil(count / 25);
}
