import { expect, it } from 'vitest';
import { clear, decrypt } from '../../src/crypto/kpke.js';

// What whole keys and ciphertexts show stands in backend/ml-kem-768.test.ts and incremental-mlkem.test.ts.

it('a bit is read from the rounded coefficient: Compress₁(Decompress₄(y)) for every y, under ŝ = 0', () => {
  const zero = [0, 1, 2].map(() => new Uint16Array(256));
  for (let y = 0; y < 16; y++) {
    const coefficient = Math.round((3329 * y) / 16);
    const bit = Math.round((2 * coefficient) / 3329) % 2;
    const ciphertext = new Uint8Array(1088).fill(y | (y << 4), 960);
    expect(decrypt(zero, ciphertext), `y = ${y}`).toEqual(new Uint8Array(32).fill(bit * 0xff));
  }
});

it('polynomials are cleared', () => {
  const polynomials = [new Uint16Array([1, 2]), new Uint16Array([3])];
  clear(...polynomials);
  expect(polynomials).toEqual([new Uint16Array(2), new Uint16Array(1)]);
});
