import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it } from 'vitest';
import { equal } from '../../src/bytes.js';
import { mlKem768, mlKem1024 } from '../../src/crypto/suite.js';
import { BACKENDS, KEM_BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex } from './folder.js';
import { everyTest, expectRefusal } from './wycheproof.js';

const KEMS = [
  { bits: '768', kem: mlKem768, member: 'mlKem768', noble: ml_kem768 },
  { bits: '1024', kem: mlKem1024, member: 'mlKem1024', noble: ml_kem1024 },
] as const;

for (const { bits, kem, member, noble } of KEMS) {
  describeVectors(`wycheproof/mlkem_${bits}_test.json`, (name) => {
    interface Decapsulation {
      readonly seed: string;
      readonly ek: string;
      readonly c: string;
      readonly K: string;
    }
    it('T05: decapsulates, implicitly rejects, and refuses wrong lengths', () => {
      everyTest<Decapsulation>(name, (test) => {
        const [seed, ciphertext] = [hex(test.seed), hex(test.c)];
        if (test.result !== 'valid') return expectRefusal(() => kem.decapsulate(seed, ciphertext));
        expect(equal(kem.publicKey(seed), hex(test.ek))).toBe(true);
        expect(equal(kem.decapsulate(seed, ciphertext), hex(test.K))).toBe(true);
      });
    });
    it.each(KEM_BACKENDS)('%s: what is valid', (_, backend) => {
      everyTest<Decapsulation>(name, (test) => {
        if (test.result !== 'valid') return;
        const seed = hex(test.seed);
        expect(equal(backend[member].publicKey(seed), hex(test.ek))).toBe(true);
        expect(equal(backend[member].decapsulate(seed, hex(test.c)), hex(test.K))).toBe(true);
      });
    });
  });

  describeVectors(`wycheproof/mlkem_${bits}_encaps_test.json`, (name) => {
    it('T04: encapsulates to what is valid, refuses coefficients from q and wrong lengths', () => {
      everyTest<{ m: string; ek: string; c: string; K: string }>(name, (test) => {
        const encapsulate = () => kem.encapsulate(hex(test.ek), hex(test.m));
        if (test.result !== 'valid') return expectRefusal(encapsulate);
        const { kemCiphertext, kemSharedSecret } = encapsulate();
        expect(equal(kemCiphertext, hex(test.c))).toBe(true);
        expect(equal(kemSharedSecret, hex(test.K))).toBe(true);
      });
    });
  });

  describeVectors(`wycheproof/mlkem_${bits}_keygen_seed_test.json`, (name) => {
    it.each(KEM_BACKENDS)('%s: the encapsulation key of a seed', (_, backend) => {
      everyTest<{ seed: string; ek: string; dk: string }>(name, (test) => {
        expect(equal(backend[member].publicKey(hex(test.seed)), hex(test.ek))).toBe(true);
      });
    });
    it('noble: the expanded key of a seed', () => {
      everyTest<{ seed: string; ek: string; dk: string }>(name, (test) => {
        expect(equal(noble.keygen(hex(test.seed)).secretKey, hex(test.dk))).toBe(true);
      });
    });
  });
}

describeVectors('wycheproof/mldsa_65_verify_test.json', (name) => {
  describe.each(BACKENDS)('%s', (_, backend) => {
    it('T06: verifies what is valid and nothing else: hints, norms, lengths, contexts', () => {
      everyTest<{ msg: string; sig: string; ctx?: string }, { publicKey: string }>(name, (test, group) => {
        const verdict = backend.mlDsa65Verify(hex(group.publicKey), hex(test.msg), hex(test.ctx ?? ''), hex(test.sig));
        expect(verdict).toBe(test.result === 'valid');
      });
    });
  });
});

describeVectors('wycheproof/mldsa_65_sign_seed_test.json', (name) => {
  interface Signing {
    readonly msg?: string;
    readonly mu?: string;
    readonly ctx?: string;
    readonly rnd?: string;
    readonly sig: string;
  }
  const [[, backend]] = BACKENDS as [(typeof BACKENDS)[0]]; // signing is noble's in every backend

  it('signs what is valid, bit for bit, and refuses wrong seeds and contexts', () => {
    everyTest<Signing, { privateSeed: string; publicKey: string }>(name, (test, group) => {
      const rnd = hex(test.rnd ?? '00'.repeat(32));
      const seed = hex(group.privateSeed);
      // Tests of the external mu have no message; the primitive takes the mu.
      const sign = (): Uint8Array =>
        test.msg === undefined
          ? ml_dsa65.internal.sign(hex(test.mu!), ml_dsa65.keygen(seed).secretKey, { externalMu: true, extraEntropy: rnd })
          : backend.mlDsa65Sign(seed, hex(test.msg), hex(test.ctx ?? ''), rnd);
      if (test.result !== 'valid') {
        expect(sign).toThrow();
        return;
      }
      expect(equal(backend.mlDsa65PublicKey(seed), hex(group.publicKey))).toBe(true);
      expect(equal(sign(), hex(test.sig))).toBe(true);
    });
  });
});
