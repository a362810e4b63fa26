import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FIELD_PRIME, GROUP_ORDER, isBelow, requireLength } from '../../src/crypto/guard.js';

const number = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);

it('the bounds are p and L', () => {
  expect(number(FIELD_PRIME)).toBe(2n ** 255n - 19n);
  expect(number(GROUP_ORDER)).toBe(2n ** 252n + 27742317777372353535851937790883648493n);
});

it('isBelow is < of little-endian integers', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      expect(isBelow(a, b)).toBe(number(a) < number(b));
    }),
  );
  expect(isBelow(FIELD_PRIME, FIELD_PRIME)).toBe(false);
});

it('a wrong length is a bug, told without content', () => {
  expect(() => requireLength(new Uint8Array(32), 32, 'key')).not.toThrow();
  expect(() => requireLength(new Uint8Array(31), 32, 'key')).toThrow(
    expect.objectContaining({ code: 'ERR_BUG', field: 'key', got: 31, max: 32 }),
  );
});
