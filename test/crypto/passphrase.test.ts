/** Argon2id against RFC 9106 and the reference implementation's own vectors, at costs that a test can bear. */

import { argon2id } from '@noble/hashes/argon2.js';
import { describe, expect, test } from 'vitest';
import { encodeUtf8, toHex } from '../../src/bytes.js';
import { type Argon2Cost, argon2, argon2InSlices } from '../../src/crypto/passphrase.js';

const utf8 = (text: string): Uint8Array => encodeUtf8(text)!;
const CHEAP: Argon2Cost = { memoryKiB: 64, passes: 1, lanes: 1 };
const derive = (passphrase: string, salt: string, cost: Argon2Cost): string => toHex(argon2(utf8(passphrase), utf8(salt), cost, () => {}));

describe('argon2', () => {
  test('the library below gives the tag of RFC 9106 section 5.3, which has a secret and data that we never use', () => {
    const bytes = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);
    const tag = argon2id(bytes(32, 1), bytes(16, 2), { m: 32, t: 3, p: 4, key: bytes(8, 3), personalization: bytes(12, 4), dkLen: 32 });
    expect(toHex(tag)).toBe('0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
  });

  // phc-winner-argon2, src/test.c, Argon2id with version 0x13.
  test.each<[string, string, Argon2Cost, string]>([
    ['password', 'somesalt', { memoryKiB: 256, passes: 2, lanes: 1 }, '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe'],
    ['password', 'somesalt', { memoryKiB: 256, passes: 2, lanes: 2 }, '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'],
    [
      'password',
      'somesalt',
      { memoryKiB: 65_536, passes: 2, lanes: 1 },
      '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
    ],
  ])('of %j and %j with %j is what the reference implementation gives', (passphrase, salt, cost, key) => {
    expect(derive(passphrase, salt, cost)).toBe(key);
  });

  test('depends on every argument', () => {
    const keys = [
      derive('password', 'somesalt', CHEAP),
      derive('passwore', 'somesalt', CHEAP),
      derive('password', 'somesalu', CHEAP),
      derive('password', 'somesalt', { ...CHEAP, memoryKiB: 128 }),
      derive('password', 'somesalt', { ...CHEAP, passes: 2 }),
      derive('password', 'somesalt', { ...CHEAP, lanes: 2 }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('in slices is the same, and both tell progress from 0 to 1', async () => {
    const cost = { memoryKiB: 256, passes: 2, lanes: 1 };
    const seen: number[][] = [[], []];
    const whole = argon2(utf8('password'), utf8('somesalt'), cost, (fraction) => seen[0]!.push(fraction));
    const sliced = await argon2InSlices(utf8('password'), utf8('somesalt'), cost, (fraction) => seen[1]!.push(fraction));
    expect(toHex(sliced)).toBe(toHex(whole));
    for (const fractions of seen) {
      expect(fractions.length).toBeGreaterThan(1);
      expect(fractions.every((fraction, i) => fraction >= (fractions[i - 1] ?? 0) && fraction <= 1)).toBe(true);
      expect(fractions.at(-1)).toBe(1);
    }
  });

  test('ends with what the callback throws', async () => {
    const stop = (): never => {
      throw new Error('stop');
    };
    expect(() => argon2(utf8('password'), utf8('somesalt'), CHEAP, stop)).toThrow('stop');
    await expect(argon2InSlices(utf8('password'), utf8('somesalt'), CHEAP, stop)).rejects.toThrow('stop');
  });

  test('leaves its arguments alone', () => {
    const [passphrase, salt] = [utf8('password'), utf8('somesalt')];
    argon2(passphrase, salt, CHEAP, () => {});
    expect([passphrase, salt]).toEqual([utf8('password'), utf8('somesalt')]);
  });

  test('refuses costs below what RFC 9106 section 3.1 allows, and salts below 8 bytes', () => {
    for (const cost of [{ memoryKiB: 7 }, { passes: 0 }, { lanes: 0 }, { lanes: 9 }]) {
      expect(() => derive('password', 'somesalt', { ...CHEAP, ...cost }), JSON.stringify(cost)).toThrow();
    }
    expect(() => derive('password', 'seven 7', CHEAP)).toThrow();
  });
});
