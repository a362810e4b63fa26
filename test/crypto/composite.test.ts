import { afterEach, describe, expect, it, vi } from 'vitest';
import { backend } from '#backend';
import { concat } from '../../src/bytes.js';
import * as composite from '../../src/crypto/composite.js';
import { LABELS } from '../../src/crypto/labels.js';
import { flip, testRng } from '../helpers/rng.js';

const { compositePublicKey, compositeSign, compositeVerify } = composite;
const rng = testRng('composite');
const seeds = rng(64);
const publicKey = compositePublicKey(seeds);
const message = rng(200);
const signature = compositeSign(seeds, message, 'hs/sig', rng);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('composite signatures', () => {
  it('have the lengths of the suite', () => {
    expect([publicKey.length, signature.length, seeds.length]).toEqual([1984, 3373, 64]);
    expect(composite.COMPOSITE_PUBLIC_KEY_BYTES).toBe(1984);
    expect(composite.COMPOSITE_SIGNATURE_BYTES).toBe(3373);
    expect(composite.COMPOSITE_SEEDS_BYTES).toBe(64);
  });

  it('verify, whatever hedged them', () => {
    expect(compositeVerify(publicKey, message, 'hs/sig', signature)).toBe(true);
    const other = compositeSign(seeds, message, 'hs/sig', rng);
    expect(other).not.toEqual(signature);
    expect(compositeVerify(publicKey, message, 'hs/sig', other)).toBe(true);
    expect(
      compositeVerify(compositePublicKey(seeds), new Uint8Array(0), 'login', compositeSign(seeds, new Uint8Array(0), 'login', rng)),
    ).toBe(true);
  });

  it('T42: are the same bytes for the same hedging bytes, and still hold', () => {
    const stuck = (): Uint8Array => new Uint8Array(32);
    expect(compositeSign(seeds, message, 'hs/sig', stuck)).toEqual(compositeSign(seeds, message, 'hs/sig', stuck));
    expect(compositeVerify(publicKey, message, 'hs/sig', compositeSign(seeds, message, 'hs/sig', stuck))).toBe(true);
    expect(() => compositeSign(seeds, message, 'hs/sig', () => new Uint8Array(31))).toThrow(expect.objectContaining({ code: 'ERR_BUG' }));
  });

  it('T06: hold under their own label only', () => {
    for (const label of LABELS) expect(compositeVerify(publicKey, message, label, signature)).toBe(label === 'hs/sig');
  });

  it('fail for another message or key', () => {
    expect(compositeVerify(publicKey, flip(message), 'hs/sig', signature)).toBe(false);
    expect(compositeVerify(compositePublicKey(rng(64)), message, 'hs/sig', signature)).toBe(false);
  });

  it('T07: fail when either half is broken, replaced or zero', () => {
    const strangerSeeds = rng(64);
    const stranger = compositeSign(strangerSeeds, message, 'hs/sig', rng);
    const strangerKey = compositePublicKey(strangerSeeds);
    const [mldsa, ed] = [signature.subarray(0, 3309), signature.subarray(3309)];
    for (const broken of [
      flip(signature, 0),
      flip(signature, 3308),
      flip(signature, 3309),
      flip(signature, 3372),
      concat(stranger.subarray(0, 3309), ed),
      concat(mldsa, stranger.subarray(3309)),
      concat(new Uint8Array(3309), ed),
      concat(mldsa, new Uint8Array(64)),
    ]) {
      expect(compositeVerify(publicKey, message, 'hs/sig', broken)).toBe(false);
    }
    // A key of two people: each half of the signature holds for another one.
    const mixed = concat(publicKey.subarray(0, 1952), strangerKey.subarray(1952));
    expect(compositeVerify(mixed, message, 'hs/sig', signature)).toBe(false);
    expect(compositeVerify(mixed, message, 'hs/sig', stranger)).toBe(false);
    expect(compositeVerify(mixed, message, 'hs/sig', concat(mldsa, stranger.subarray(3309)))).toBe(true);
  });

  it('T07: fail when a half is stripped, and for every wrong length', () => {
    const lengths = [0, 1, 64, 3309, 3372];
    for (const length of lengths) expect(compositeVerify(publicKey, message, 'hs/sig', signature.subarray(0, length))).toBe(false);
    for (const length of [0, 32, 1952, 1983])
      expect(compositeVerify(publicKey.subarray(0, length), message, 'hs/sig', signature)).toBe(false);
    expect(compositeVerify(publicKey, message, 'hs/sig', concat(signature, new Uint8Array(1)))).toBe(false);
    expect(compositeVerify(concat(publicKey, new Uint8Array(1)), message, 'hs/sig', signature)).toBe(false);
  });

  it('T07: are not asked of a backend where a length is wrong, whatever it would say', () => {
    const halves = [vi.spyOn(backend, 'mlDsa65Verify').mockReturnValue(true), vi.spyOn(backend, 'ed25519Verify').mockReturnValue(true)];
    for (const [key, sig] of [
      [publicKey.subarray(1), signature],
      [concat(publicKey, new Uint8Array(1)), signature],
      [publicKey, signature.subarray(1)],
      [publicKey, concat(signature, new Uint8Array(1))],
    ] as const) {
      expect(compositeVerify(key, message, 'hs/sig', sig)).toBe(false);
    }
    for (const half of halves) expect(half).not.toHaveBeenCalled();
  });

  it('secret keys of another length are bugs', () => {
    for (const length of [0, 32, 63, 65]) {
      expect(() => compositePublicKey(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'ERR_BUG' }));
      expect(() => compositeSign(new Uint8Array(length), message, 'hs/sig', rng)).toThrow(expect.objectContaining({ code: 'ERR_BUG' }));
    }
  });
});
