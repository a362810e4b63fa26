import * as nodeCrypto from 'node:crypto';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it, vi } from 'vitest';
import { concat, equal, isZero, toHex } from '../../../src/bytes.js';
import type { Keccak } from '../../../src/crypto/backend/backend.js';
import { decapsulate, mlKem768Over } from '../../../src/crypto/backend/ml-kem-768.js';
import { backend as noble } from '../../../src/crypto/backend/noble.js';
import { makeNodeBackend } from '../../../src/crypto/backend/node.js';
import { expandMatrix, type Polynomial } from '../../../src/crypto/kpke.js';
import { flip, rounds, testRng } from '../../helpers/rng.js';
import { filledDuring } from '../../helpers/secrets.js';
import { describeVectors, hex, readJson } from '../../vectors/folder.js';

const seedText = process.env['CYPHR_SEED'] ?? 'own ML-KEM-768';
const KECCAKS: readonly (readonly [name: string, keccak: Keccak])[] = [
  ['noble', noble.keccak],
  ['node', makeNodeBackend(nodeCrypto).keccak],
];

describe.each(KECCAKS)('over the Keccak of %s', (_, keccak) => {
  const own = mlKem768Over(keccak);

  it(`1,400 keys, secrets and rejections are noble's (CYPHR_SEED=${seedText})`, () => {
    const rng = testRng(seedText);
    for (let i = 0; i < rounds(350); i++) {
      const seed = rng(64);
      const { publicKey, secretKey } = ml_kem768.keygen(seed);
      expect(equal(own.publicKey(seed), publicKey), `case ${i}`).toBe(true);
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, rng(32));
      expect(equal(own.decapsulate(seed, cipherText), sharedSecret), `case ${i}`).toBe(true);
      const [high, low, bit] = rng(3) as unknown as [number, number, number];
      for (const bad of [flip(cipherText, ((high << 8) | low) % 1088, 1 << (bit & 7)), rng(1088)]) {
        const rejected = own.decapsulate(seed, bad);
        expect(equal(rejected, ml_kem768.decapsulate(bad, secretKey)), `case ${i}`).toBe(true);
        expect(equal(rejected, sharedSecret), `case ${i}`).toBe(false);
      }
    }
  });

  it('a change of any byte of a ciphertext is rejected as noble does', () => {
    const rng = testRng('every byte');
    const seed = rng(64);
    const { publicKey, secretKey } = ml_kem768.keygen(seed);
    const { cipherText } = ml_kem768.encapsulate(publicKey, rng(32));
    for (let at = 0; at < 1088; at += 3) {
      const bad = flip(cipherText, at, 1 << (at % 8));
      expect(equal(own.decapsulate(seed, bad), ml_kem768.decapsulate(bad, secretKey)), `byte ${at}`).toBe(true);
    }
    for (const byte of [0x00, 0xff]) {
      const extreme = new Uint8Array(1088).fill(byte);
      expect(own.decapsulate(seed, extreme)).toEqual(ml_kem768.decapsulate(extreme, secretKey));
    }
  });

  interface Group {
    readonly parameterSet: string;
    readonly function: string;
    readonly tests: readonly { readonly tcId: number; readonly dk: string; readonly c: string; readonly k: string }[];
  }
  describeVectors('acvp/ML-KEM-encapDecap-FIPS203.json', (name) => {
    it('T05: decapsulates with expanded keys, modified ciphertexts too', () => {
      const { tests } = readJson<{ readonly testGroups: readonly Group[] }>(name).testGroups.find(
        (group) => group.parameterSet === 'ML-KEM-768' && group.function === 'decapsulation',
      )!;
      expect(tests.length).toBeGreaterThan(5);
      for (const { tcId, dk, c, k } of tests) {
        const expanded = hex(dk); // ŝ ‖ ek ‖ H(ek) ‖ z
        const encoded = expanded.subarray(1152, 2336);
        const publicKey = { matrix: expandMatrix(keccak, encoded.subarray(1152)), tHat: decodeVector(encoded), encoded };
        const secret = decapsulate(keccak, publicKey, decodeVector(expanded), expanded.subarray(2368), hex(c));
        expect(equal(secret, hex(k)), `tcId ${tcId}`).toBe(true);
      }
    });
  });
});

/** ByteDecode₁₂ of the first 1,152 bytes. */
function decodeVector(bytes: Uint8Array): Polynomial[] {
  const coefficients = Uint16Array.from({ length: 768 }, (_, i) => {
    const at = 3 * (i >>> 1);
    return i % 2 === 0 ? bytes[at]! | ((bytes[at + 1]! & 15) << 8) : (bytes[at + 1]! >>> 4) | (bytes[at + 2]! << 4);
  });
  return [0, 1, 2].map((i) => coefficients.subarray(256 * i, 256 * (i + 1)));
}

describe('what is kept and what is not', () => {
  const rng = testRng('kept');
  let hashed: { readonly name: keyof Keccak; readonly input: Uint8Array; readonly output: Uint8Array }[] = [];
  const watched: Keccak = {
    sha3_256: (data) => watch('sha3_256', data, noble.keccak.sha3_256(data)),
    sha3_512: (data) => watch('sha3_512', data, noble.keccak.sha3_512(data)),
    shake128: (data, lengthBytes) => watch('shake128', data, noble.keccak.shake128(data, lengthBytes)),
    shake256: (data, lengthBytes) => watch('shake256', data, noble.keccak.shake256(data, lengthBytes)),
  };
  function watch(name: keyof Keccak, input: Uint8Array, output: Uint8Array): Uint8Array {
    hashed.push({ name, input, output });
    return output;
  }

  it('a key is expanded once for each seed array', () => {
    const own = mlKem768Over(watched);
    const seed = rng(64);
    hashed = [];
    const publicKey = own.publicKey(seed);
    const sampled = hashed.filter(({ name }) => name === 'shake128').length;
    expect(sampled).toBeGreaterThanOrEqual(9);
    own.decapsulate(seed, noble.mlKem768.encapsulate(publicKey, rng(32)).kemCiphertext);
    expect(own.publicKey(seed)).toEqual(publicKey);
    expect(hashed.filter(({ name }) => name === 'shake128').length).toBe(sampled);
    expect(own.publicKey(new Uint8Array(seed))).toEqual(publicKey);
    expect(hashed.filter(({ name }) => name === 'shake128').length).toBe(2 * sampled);
  });

  it('what it hands out is the caller’s', () => {
    const own = mlKem768Over(watched);
    const seed = rng(64);
    const publicKey = own.publicKey(seed);
    const first = concat(publicKey);
    publicKey.fill(0);
    expect(own.publicKey(seed)).toEqual(first);
    const { kemCiphertext, kemSharedSecret } = noble.mlKem768.encapsulate(first, rng(32));
    own.decapsulate(seed, kemCiphertext).fill(0);
    expect(own.decapsulate(seed, kemCiphertext)).toEqual(kemSharedSecret);
  });

  it('secrets that were hashed, and what they gave, are wiped', () => {
    const own = mlKem768Over(watched);
    const seed = rng(64);
    hashed = [];
    const publicKey = own.publicKey(seed);
    own.decapsulate(seed, noble.mlKem768.encapsulate(publicKey, rng(32)).kemCiphertext);
    own.decapsulate(seed, rng(1088));
    const secret = hashed.filter(({ name }) => name === 'sha3_512' || name === 'shake256');
    expect(secret.length).toBeGreaterThan(20);
    expect(secret.filter(({ input, output }) => !isZero(input) || !isZero(output)).map(({ name }) => name)).toEqual([]);
    expect(isZero(seed)).toBe(false);
  });

  it('so are the seed of the noise, the message, and every polynomial that is not public', () => {
    const own = mlKem768Over(noble.keccak);
    const [seed, m] = [rng(64), rng(32)];
    const sigma = toHex(noble.keccak.sha3_512(concat(seed.subarray(0, 32), new Uint8Array([3]))).subarray(32));
    /** What is filled meanwhile, and how many of the new polynomials are not zero at the end. */
    const watch = (run: () => unknown): [filled: string[], left: number] => {
      const made: Uint16Array[] = [];
      const Recorded = class extends Uint16Array {
        constructor(coefficients: number) {
          super(coefficients);
          made.push(this);
        }
      };
      vi.stubGlobal('Uint16Array', Recorded);
      try {
        return [filledDuring(run), made.filter((polynomial) => polynomial.some((x) => x !== 0)).length];
      } finally {
        vi.unstubAllGlobals();
      }
    };
    const { kemCiphertext } = noble.mlKem768.encapsulate(noble.mlKem768.publicKey(seed), m);
    const [generated, keyParts] = watch(() => own.publicKey(seed));
    expect(generated).toContain(sigma);
    expect(keyParts).toBe(12); // the matrix and the vector
    const [decapsulated, ciphertextParts] = watch(() => own.decapsulate(seed, kemCiphertext));
    expect(decapsulated).toEqual(expect.arrayContaining([sigma, toHex(m)]));
    expect(ciphertextParts).toBe(4); // u and v
  });
});
