import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes.js';
import { compareSafetyQr, safetyNumber } from '../../src/identity/safety-number.js';
import { flip } from '../helpers/rng.js';

const alice = { account: 'alice', accountKeyHash: new Uint8Array(64).fill(1) };
const bob = { account: 'bób', accountKeyHash: new Uint8Array(64).fill(2) };
const ofAlice = safetyNumber(alice, bob);
const ofBob = safetyNumber(bob, alice);

describe('digits', () => {
  test('are the same on both sides, in twelve groups of five', () => {
    const { digits } = safetyNumber(alice, bob);
    expect(safetyNumber(bob, alice).digits).toBe(digits);
    expect(digits).toMatch(/^(\d{5} ){11}\d{5}$/);
  });

  test('follow the definition', () => {
    const half = (account: string, keyHash: Uint8Array): string => {
      let hash = Buffer.concat([Buffer.alloc(2), keyHash, Buffer.from(account)]);
      for (let i = 0; i < 5200; i++) hash = createHash('sha512').update(hash).update(keyHash).digest();
      return Array.from({ length: 6 }, (_, i) => String(hash.readUIntBE(5 * i, 5) % 100_000).padStart(5, '0')).join('');
    };
    const [small, large] = [half('alice', alice.accountKeyHash), half('bób', bob.accountKeyHash)].sort();
    const { digits } = safetyNumber(alice, bob);
    expect(digits.replaceAll(' ', '')).toBe(`${small}${large}`);
    // A group is five digits also where its number has fewer.
    expect(digits).toMatch(/\b0/);
  });

  test('change with either key and either account', () => {
    const others = [
      safetyNumber({ ...alice, account: 'alicf' }, bob),
      safetyNumber({ ...alice, accountKeyHash: flip(alice.accountKeyHash) }, bob),
      safetyNumber(alice, { ...bob, accountKeyHash: flip(bob.accountKeyHash) }),
    ];
    expect(new Set([ofAlice, ...others].map(({ digits }) => digits)).size).toBe(4);
  });
});

describe('QR', () => {
  test('is magic, version, and both sides as this one sees them', () => {
    const text = (value: string): Buffer => Buffer.concat([Buffer.from([0, Buffer.byteLength(value)]), Buffer.from(value)]);
    const side = ({ account, accountKeyHash }: typeof alice): Uint8Array => concat(text(account), accountKeyHash);
    const { qr } = safetyNumber(alice, bob);
    expect(qr).toEqual(concat(Buffer.from('CYPHR/1 '), new Uint8Array([1]), side(alice), side(bob)));
  });

  test('match', () => {
    expect(compareSafetyQr(alice, bob, ofBob.qr)).toBe('match');
    expect(compareSafetyQr(bob, alice, ofAlice.qr)).toBe('match');
  });

  test('mismatch, on either side', () => {
    const changed = { ...bob, accountKeyHash: flip(bob.accountKeyHash) };
    expect(compareSafetyQr(alice, changed, ofBob.qr)).toBe('mismatch');
    expect(compareSafetyQr({ ...alice, accountKeyHash: flip(alice.accountKeyHash) }, bob, ofBob.qr)).toBe('mismatch');
  });

  test('other-person, also for a code of one’s own', () => {
    expect(compareSafetyQr(alice, bob, ofAlice.qr)).toBe('other-person');
    expect(compareSafetyQr(alice, { ...bob, account: 'carol' }, ofBob.qr)).toBe('other-person');
    expect(compareSafetyQr({ ...alice, account: 'carol' }, bob, ofBob.qr)).toBe('other-person');
  });

  test('unreadable', () => {
    for (const bytes of [
      new Uint8Array(),
      new Uint8Array(300),
      ofBob.qr.slice(1),
      flip(ofBob.qr, 0),
      flip(ofBob.qr, 7),
      flip(ofBob.qr, 8, 2),
      ofBob.qr.slice(0, -1),
      concat(ofBob.qr, new Uint8Array(1)),
    ]) {
      expect(compareSafetyQr(alice, bob, bytes)).toBe('unreadable');
    }
  });

  test('what is no byte string is a bug of the caller, not an answer', () => {
    expect(() => compareSafetyQr(alice, bob, null as unknown as Uint8Array)).toThrow(TypeError);
  });
});
