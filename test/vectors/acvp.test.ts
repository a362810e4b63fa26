import { ed25519 } from '@noble/curves/ed25519.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { slh_dsa_sha2_128f, slh_dsa_sha2_256s } from '@noble/post-quantum/slh-dsa.js';
import { describe, expect, it } from 'vitest';
import { concat, equal } from '../../src/bytes.js';
import { hmacSha256, isX25519PublicKey, mlKem768, mlKem1024 } from '../../src/crypto/suite.js';
import { BACKENDS, KEM_BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex, readJson } from './folder.js';

type Test = { readonly tcId: number; readonly testPassed?: boolean } & Readonly<Record<string, string>>;
interface Group {
  readonly parameterSet?: string;
  readonly function?: string;
  readonly signatureInterface?: string;
  readonly preHash?: string | boolean;
  readonly tests: readonly Test[];
}

/** Runs `check` on the tests of the groups that `choose` takes; at least one. */
function everyTest(name: string, choose: Partial<Group>, check: (test: Test) => void): void {
  const groups = readJson<{ testGroups: readonly Group[] }>(name).testGroups.filter((group) =>
    Object.entries(choose).every(([member, value]) => group[member as keyof Group] === value),
  );
  expect(groups.length).toBeGreaterThan(0);
  for (const { tests } of groups) for (const test of tests) check(test);
}

const KEMS = [
  { parameterSet: 'ML-KEM-768', kem: mlKem768, member: 'mlKem768', noble: ml_kem768 },
  { parameterSet: 'ML-KEM-1024', kem: mlKem1024, member: 'mlKem1024', noble: ml_kem1024 },
] as const;

describeVectors('acvp/ML-KEM-keyGen-FIPS203.json', (name) => {
  describe.each(KEMS)('$parameterSet', ({ parameterSet, member, noble }) => {
    it.each(KEM_BACKENDS)('%s: keys of d ‖ z', (_, backend) => {
      everyTest(name, { parameterSet }, (test) => {
        const seed = concat(hex(test['d']!), hex(test['z']!));
        expect(equal(backend[member].publicKey(seed), hex(test['ek']!)), `tcId ${test.tcId}`).toBe(true);
        expect(equal(noble.keygen(seed).secretKey, hex(test['dk']!)), `tcId ${test.tcId}`).toBe(true);
      });
    });
  });
});

describeVectors('acvp/ML-KEM-encapDecap-FIPS203.json', (name) => {
  describe.each(KEMS)('$parameterSet', ({ parameterSet, kem, noble }) => {
    it('encapsulates', () => {
      everyTest(name, { parameterSet, function: 'encapsulation' }, (test) => {
        const { kemCiphertext, kemSharedSecret } = kem.encapsulate(hex(test['ek']!), hex(test['m']!));
        expect(equal(kemCiphertext, hex(test['c']!)) && equal(kemSharedSecret, hex(test['k']!)), `tcId ${test.tcId}`).toBe(true);
      });
    });
    it('T05: the primitive decapsulates with expanded keys, modified ciphertexts too', () => {
      everyTest(name, { parameterSet, function: 'decapsulation' }, (test) => {
        expect(equal(noble.decapsulate(hex(test['c']!), hex(test['dk']!)), hex(test['k']!)), `tcId ${test.tcId}`).toBe(true);
      });
    });
    it('T04: checks encapsulation keys', () => {
      everyTest(name, { parameterSet, function: 'encapsulationKeyCheck' }, (test) => {
        expect(kem.isPublicKey(hex(test['ek']!)), `tcId ${test.tcId}`).toBe(test.testPassed);
      });
    });
    it('T04: the primitive checks the hash in expanded keys', () => {
      const ciphertext = new Uint8Array(noble.lengths.cipherText!);
      everyTest(name, { parameterSet, function: 'decapsulationKeyCheck' }, (test) => {
        const decapsulate = expect(() => noble.decapsulate(ciphertext, hex(test['dk']!)), `tcId ${test.tcId}`);
        if (test.testPassed) decapsulate.not.toThrow();
        else decapsulate.toThrow();
      });
    });
  });
});

const parameterSet = 'ML-DSA-65';

describeVectors('acvp/ML-DSA-keyGen-FIPS204.json', (name) => {
  it('keys of a seed', () => {
    everyTest(name, { parameterSet }, (test) => {
      const { publicKey, secretKey } = ml_dsa65.keygen(hex(test['seed']!));
      expect(equal(secretKey, hex(test['sk']!)), `tcId ${test.tcId}`).toBe(true);
      expect(equal(publicKey, hex(test['pk']!)), `tcId ${test.tcId}`).toBe(true);
      for (const [, backend] of BACKENDS) expect(equal(backend.mlDsa65PublicKey(hex(test['seed']!)), publicKey)).toBe(true);
    });
  });
});

describeVectors('acvp/ML-DSA-sigGen-FIPS204.json', (name) => {
  it('the primitive signs with expanded keys', () => {
    everyTest(name, { parameterSet, signatureInterface: 'external' }, (test) => {
      const options = { context: hex(test['context']!), extraEntropy: false as const };
      const signature = ml_dsa65.sign(hex(test['message']!), hex(test['sk']!), options);
      expect(equal(signature, hex(test['signature']!)), `tcId ${test.tcId}`).toBe(true);
    });
    everyTest(name, { parameterSet, signatureInterface: 'internal' }, (test) => {
      const signature = ml_dsa65.internal.sign(hex(test['mu']!), hex(test['sk']!), { externalMu: true, extraEntropy: false });
      expect(equal(signature, hex(test['signature']!)), `tcId ${test.tcId}`).toBe(true);
    });
  });
});

describeVectors('acvp/ML-DSA-sigVer-FIPS204.json', (name) => {
  it.each(BACKENDS)('T06: %s verifies with contexts', (_, backend) => {
    everyTest(name, { parameterSet, signatureInterface: 'external' }, (test) => {
      const [publicKey, message, context] = [hex(test['pk']!), hex(test['message']!), hex(test['context']!)];
      const verdict = backend.mlDsa65Verify(publicKey, message, context, hex(test['signature']!));
      expect(verdict, `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
  it('the primitive verifies external mu', () => {
    everyTest(name, { parameterSet, signatureInterface: 'internal' }, (test) => {
      const verdict = ml_dsa65.internal.verify(hex(test['signature']!), hex(test['mu']!), hex(test['pk']!), { externalMu: true });
      expect(verdict, `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
});

// The published files that can be had leave out SHA2-192s, which test/identity/root.test.ts compares with OpenSSL. 256s runs through the same code.
describeVectors('acvp/SLH-DSA-keyGen-FIPS205.json', (name) => {
  it('keys of SHA2-256s, of a seed', () => {
    everyTest(name, { parameterSet: 'SLH-DSA-SHA2-256s' }, (test) => {
      const { publicKey, secretKey } = slh_dsa_sha2_256s.keygen(concat(hex(test['skSeed']!), hex(test['skPrf']!), hex(test['pkSeed']!)));
      expect(equal(secretKey, hex(test['sk']!)), `tcId ${test.tcId}`).toBe(true);
      expect(equal(publicKey, hex(test['pk']!)), `tcId ${test.tcId}`).toBe(true);
    });
  }, 60_000);
});

describeVectors('slh-dsa/siggen-digests.json', (name) => {
  it('SHA2-128f signs as OpenSSL does', () => {
    const { tests } = readJson<{ tests: readonly Record<string, string>[] }>(name);
    const [test] = tests.filter(({ parameterSet }) => parameterSet === 'SLH-DSA-SHA2-128f');
    const signature = slh_dsa_sha2_128f.sign(hex(test!['msg']!), hex(test!['sk']!), { extraEntropy: false });
    expect(equal(signature.subarray(0, 64), hex(test!['sigPrefix']!))).toBe(true);
  });
});

describeVectors('acvp/XECDH-keyVer-RFC7748.json', (name) => {
  it('checks lengths, and bit 255 besides', () => {
    everyTest(name, {}, (test) => {
      const publicKey = hex(test['publicKey']!);
      const bit255 = publicKey.length === 32 && publicKey[31]! >= 0x80;
      expect(isX25519PublicKey(publicKey), `tcId ${test.tcId}`).toBe(test.testPassed === true && !bit255);
    });
  });
});

describeVectors('acvp/EDDSA-KeyVer-1.0.json', (name) => {
  it('the primitive decodes points', () => {
    everyTest(name, {}, (test) => {
      expect(ed25519.utils.isValidPublicKey(hex(test['q']!), false), `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
});

describeVectors('acvp/EDDSA-SigVer-1.0.json', (name) => {
  // Its other group is Ed25519ph, which nothing here uses.
  it.each(BACKENDS)('%s verifies', (_, backend) => {
    everyTest(name, { preHash: false }, (test) => {
      const verdict = backend.ed25519Verify(hex(test['q']!), hex(test['message']!), hex(test['signature']!));
      expect(verdict, `tcId ${test.tcId}`).toBe(test.testPassed);
    });
  });
});

describeVectors('acvp/HMAC-SHA2-256-2.0.json', (name) => {
  it('tags, cut as asked', () => {
    everyTest(name, {}, (test) => {
      const mac = hex(test['mac']!);
      expect(equal(hmacSha256(hex(test['key']!), hex(test['msg']!)).subarray(0, mac.length), mac), `tcId ${test.tcId}`).toBe(true);
    });
  });
});
