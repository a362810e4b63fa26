import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { backend } from '#backend';
import { concat, equal, isZero, wipe } from '../../src/bytes.js';
import {
  encaps1,
  encaps2,
  isVectorOf,
  KEM_CT1_BYTES,
  KEM_CT2_BYTES,
  KEM_HEADER_BYTES,
  KEM_VECTOR_BYTES,
  mlKem768Header,
  mlKem768Vector,
} from '../../src/crypto/incremental-mlkem.js';
import { mlKem768, sha3_256 } from '../../src/crypto/suite.js';
import { flip, rounds, testRng } from '../helpers/rng.js';
import { describeVectors, hex, readJson, readText } from '../vectors/folder.js';

const DECRYPT = expect.objectContaining({ code: 'ERR_DECRYPT' });
const BUG = expect.objectContaining({ code: 'ERR_BUG' });

const rng = testRng('incremental ML-KEM');
const seed = rng(64);
const encapsulationKey = mlKem768.publicKey(seed);
const header = mlKem768Header(encapsulationKey);
const vector = mlKem768Vector(encapsulationKey);
const m = rng(32);
const { ct1, sharedSecret } = encaps1(header, m);

afterEach(() => {
  vi.restoreAllMocks();
});

/** Both steps on the two parts of `ek` must give the ciphertext and the secret of one encapsulation. */
function expectEncapsulation(ek: Uint8Array, random: Uint8Array, ciphertext: Uint8Array, secret: Uint8Array, name: string): void {
  const head = mlKem768Header(ek);
  const first = encaps1(head, random);
  const second = encaps2(head, mlKem768Vector(ek), random, first.ct1);
  expect(equal(concat(first.ct1, second.ct2), ciphertext), name).toBe(true);
  expect(equal(first.sharedSecret, secret) && equal(second.sharedSecret, secret), name).toBe(true);
}

describe('known answers', () => {
  interface BraidTest {
    readonly tcId: number;
    readonly m: string;
    readonly header: string;
    readonly ekVector: string;
    readonly ct1: string;
    readonly ct2: string;
    readonly ss: string;
  }

  describeVectors('braid/mlkem768-incremental.json', (name) => {
    it('ct1 and the secret from header and m alone, ct2 with the vector', () => {
      const { tests } = readJson<{ readonly tests: readonly BraidTest[] }>(name);
      expect(tests.length).toBeGreaterThan(20);
      for (const test of tests) {
        const first = encaps1(hex(test.header), hex(test.m));
        expect(equal(first.ct1, hex(test.ct1)) && equal(first.sharedSecret, hex(test.ss)), `tcId ${test.tcId}`).toBe(true);
        const second = encaps2(hex(test.header), hex(test.ekVector), hex(test.m), hex(test.ct1));
        expect(equal(second.ct2, hex(test.ct2)) && equal(second.sharedSecret, hex(test.ss)), `tcId ${test.tcId}`).toBe(true);
        const key = concat(hex(test.ekVector), hex(test.header).subarray(0, 32));
        expect(equal(mlKem768Header(key), hex(test.header)) && equal(mlKem768Vector(key), hex(test.ekVector))).toBe(true);
      }
    });
  });

  interface AcvpGroup {
    readonly parameterSet: string;
    readonly function: string;
    readonly tests: readonly { readonly tcId: number; readonly ek: string; readonly m: string; readonly c: string; readonly k: string }[];
  }

  describeVectors('acvp/ML-KEM-encapDecap-FIPS203.json', (name) => {
    it('encapsulates', () => {
      const group = readJson<{ readonly testGroups: readonly AcvpGroup[] }>(name).testGroups.find(
        (candidate) => candidate.parameterSet === 'ML-KEM-768' && candidate.function === 'encapsulation',
      )!;
      expect(group.tests.length).toBeGreaterThan(20);
      for (const { tcId, ek, m, c, k } of group.tests) expectEncapsulation(hex(ek), hex(m), hex(c), hex(k), `tcId ${tcId}`);
    });
  });

  // In the first, one polynomial of the matrix needs a fourth SHAKE128 block.
  for (const folder of ['unluckysample', 'intermediate']) {
    describeVectors(`cctv/ML-KEM/${folder}/ML-KEM-768.txt`, (name) => {
      it('encapsulates', () => {
        const fields = new Map(
          readText(name)
            .split('\n')
            .map((line) => line.split(' = ') as [string, string]),
        );
        const field = (key: string): Uint8Array => hex(fields.get(key)!);
        expectEncapsulation(field('ek'), field('m'), field('c'), field('K'), name);
      });
    });
  }
});

it('equals a whole encapsulation for 1,000 random keys', () => {
  const random = testRng('1,000 encapsulations');
  for (let i = 0; i < rounds(1000); i++) {
    const { publicKey } = ml_kem768.keygen(random(64));
    const message = random(32);
    const { cipherText, sharedSecret: secret } = ml_kem768.encapsulate(publicKey, message);
    expectEncapsulation(publicKey, message, cipherText, secret, `case ${i}`);
  }
});

it('is decapsulated as FIPS 203 says', () => {
  const { ct2 } = encaps2(header, vector, m, ct1);
  expect(mlKem768.decapsulate(seed, concat(ct1, ct2))).toEqual(sharedSecret);
});

it('cuts a key into ρ ‖ H(ek) and its vector', () => {
  expect(header).toEqual(concat(encapsulationKey.subarray(1152), sha3_256(encapsulationKey)));
  expect(concat(vector, header.subarray(0, 32))).toEqual(encapsulationKey);
  expect([header.length, vector.length, ct1.length]).toEqual([KEM_HEADER_BYTES, KEM_VECTOR_BYTES, KEM_CT1_BYTES]);
  expect(isVectorOf(header, vector)).toBe(true);
});

it('leaves its arguments alone, and hands out buffers of their own', () => {
  const copies = [header, vector, m, ct1].map((bytes) => new Uint8Array(bytes));
  const first = encaps1(header, m);
  const second = encaps2(header, vector, m, first.ct1);
  const results = [first.ct1, first.sharedSecret, second.ct2, second.sharedSecret, mlKem768Header(encapsulationKey), vector];
  for (const bytes of results) expect(bytes.buffer.byteLength).toBe(bytes.length);
  expect(second.ct2.length).toBe(KEM_CT2_BYTES);
  wipe(first.ct1, first.sharedSecret, second.ct2, second.sharedSecret);
  expect([header, vector, m, ct1]).toEqual(copies);
  expect(encaps1(header, m)).toEqual({ ct1, sharedSecret });
});

it('T04: refuses a vector that is not the one of the header, before it encapsulates', () => {
  const encapsulate = vi.spyOn(backend.mlKem768, 'encapsulate');
  for (const at of [0, 575, 1151]) {
    expect(isVectorOf(header, flip(vector, at))).toBe(false);
    expect(() => encaps2(header, flip(vector, at), m, ct1)).toThrow(DECRYPT);
  }
  for (const at of [0, 31, 32, 63]) {
    expect(isVectorOf(flip(header, at), vector)).toBe(false);
    expect(() => encaps2(flip(header, at), vector, m, ct1)).toThrow(DECRYPT);
  }
  expect(encapsulate).not.toHaveBeenCalled();
});

it('T04: refuses a vector with a coefficient from q, also under a header that commits to it', () => {
  for (const at of [0, 1149]) {
    const bad = new Uint8Array(encapsulationKey);
    bad.set([0x01, 0x0d, 0x00], at); // q itself, and zero
    const badHeader = mlKem768Header(bad);
    const badVector = mlKem768Vector(bad);
    expect(isVectorOf(badHeader, badVector)).toBe(true);
    const first = encaps1(badHeader, m);
    expect(() => encaps2(badHeader, badVector, m, first.ct1)).toThrow(DECRYPT);
  }
});

it('T04: wrong lengths are bugs of the caller', () => {
  for (const off of [-1, 1]) {
    const wrong = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes + off);
    expect(() => mlKem768Header(wrong(1184))).toThrow(BUG);
    expect(() => mlKem768Vector(wrong(1184))).toThrow(BUG);
    expect(() => isVectorOf(wrong(64), vector)).toThrow(BUG);
    expect(() => isVectorOf(header, wrong(1152))).toThrow(BUG);
    expect(() => encaps1(wrong(64), m)).toThrow(BUG);
    expect(() => encaps1(header, wrong(32))).toThrow(BUG);
    expect(() => encaps2(wrong(64), vector, m, ct1)).toThrow(BUG);
    expect(() => encaps2(header, wrong(1152), m, ct1)).toThrow(BUG);
    expect(() => encaps2(header, vector, wrong(32), ct1)).toThrow(BUG);
    expect(() => encaps2(header, vector, m, wrong(960))).toThrow(BUG);
  }
});

it('T05: a header with another hash or another ρ gives a ciphertext that decapsulates to another secret', () => {
  const { ct2 } = encaps2(header, vector, m, ct1);
  for (const at of [0, 63]) {
    const first = encaps1(flip(header, at), m);
    expect(first.ct1).not.toEqual(ct1);
    expect(mlKem768.decapsulate(seed, concat(first.ct1, ct2))).not.toEqual(first.sharedSecret);
  }
});

it('wipes the second copy of the secret', () => {
  const encapsulation = mlKem768.encapsulate(encapsulationKey, m);
  vi.spyOn(backend.mlKem768, 'encapsulate').mockReturnValueOnce(encapsulation);
  expect(encaps2(header, vector, m, ct1).sharedSecret).toEqual(sharedSecret);
  expect(isZero(encapsulation.kemSharedSecret)).toBe(true);
});

describe('a ct2 leaves only if both steps agree', () => {
  it('not with another m or another ct1', () => {
    for (const at of [0, 31]) expect(() => encaps2(header, vector, flip(m, at), ct1)).toThrow(DECRYPT);
    for (const at of [0, 480, 959]) expect(() => encaps2(header, vector, m, flip(ct1, at))).toThrow(DECRYPT);
  });

  it('not with a faulty backend', () => {
    const { kemCiphertext, kemSharedSecret } = mlKem768.encapsulate(encapsulationKey, m);
    const encapsulate = vi.spyOn(backend.mlKem768, 'encapsulate');
    encapsulate.mockReturnValueOnce({ kemCiphertext, kemSharedSecret: flip(kemSharedSecret) });
    expect(() => encaps2(header, vector, m, ct1)).toThrow(DECRYPT);
    encapsulate.mockReturnValueOnce({ kemCiphertext: flip(kemCiphertext, 500), kemSharedSecret });
    expect(() => encaps2(header, vector, m, ct1)).toThrow(DECRYPT);
    expect(encapsulate).toHaveBeenCalledTimes(2);
  });
});
