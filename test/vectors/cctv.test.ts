import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it } from 'vitest';
import { encodeUtf8, equal } from '../../src/bytes.js';
import { mlKem768, mlKem1024 } from '../../src/crypto/suite.js';
import { AuthError } from '../../src/errors.js';
import { BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex, readJson, readText } from './folder.js';

const KEMS = [
  { bits: '768', kem: mlKem768, noble: ml_kem768 },
  { bits: '1024', kem: mlKem1024, noble: ml_kem1024 },
] as const;

/** The `name = hex` lines of a file. */
function readFields(name: string): (field: string) => Uint8Array {
  const fields = new Map(
    readText(name)
      .split('\n')
      .map((line) => line.split(' = ') as [string, string]),
  );
  return (field) => hex(fields.get(field)!);
}

for (const { bits, kem, noble } of KEMS) {
  describeVectors(`cctv/ML-KEM/strcmp/ML-KEM-${bits}.txt`, (name) => {
    it('T05: ciphertexts are compared to their end, zero bytes included', () => {
      const field = readFields(name);
      expect(equal(noble.decapsulate(field('c'), field('dk')), field('K'))).toBe(true);
    });
  });

  // From d to ek these two follow the draft of FIPS 203, so that part is not run.
  for (const folder of ['unluckysample', 'intermediate']) {
    describeVectors(`cctv/ML-KEM/${folder}/ML-KEM-${bits}.txt`, (name) => {
      it('encapsulates and decapsulates', () => {
        const field = readFields(name);
        const { kemCiphertext, kemSharedSecret } = kem.encapsulate(field('ek'), field('m'));
        expect(equal(kemCiphertext, field('c'))).toBe(true);
        expect(equal(kemSharedSecret, field('K'))).toBe(true);
        expect(equal(noble.decapsulate(field('c'), field('dk')), field('K'))).toBe(true);
      });
    });
  }
}

describeVectors('cctv/ML-KEM/modulus/ML-KEM-768.txt', (name) => {
  it('T04: refuses every coefficient from q', () => {
    const keys = readText(name).trim().split('\n').map(hex);
    expect(keys.length).toBeGreaterThan(700);
    for (const key of keys) {
      expect(mlKem768.isPublicKey(key)).toBe(false);
      expect(() => mlKem768.encapsulate(key, new Uint8Array(32))).toThrow(AuthError);
    }
  });
});

describeVectors('cctv/ed25519/ed25519vectors.json', (name) => {
  interface Case {
    readonly number: number;
    readonly key: string;
    readonly sig: string;
    readonly msg: string;
    readonly flags: readonly string[] | null;
  }
  describe.each(BACKENDS)('%s', (_, backend) => {
    it('the strict rule: canonical encodings, A not of small order, cofactored equation', () => {
      let accepted = 0;
      for (const { number, key, sig, msg, flags } of readJson<readonly Case[]>(name)) {
        const refused = ['low_order_A', 'non_canonical_A', 'non_canonical_R'].some((flag) => flags?.includes(flag));
        expect(backend.ed25519Verify(hex(key), encodeUtf8(msg)!, hex(sig)), `case ${number}`).toBe(!refused);
        if (!refused) accepted++;
      }
      expect(accepted).toBeGreaterThan(100);
    });
  });
});
