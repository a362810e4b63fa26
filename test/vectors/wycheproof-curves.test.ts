import { describe, expect, it } from 'vitest';
import { equal, isZero } from '../../src/bytes.js';
import { isX25519PublicKey, x25519 } from '../../src/crypto/suite.js';
import { BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex } from './folder.js';
import { everyTest, expectRefusal } from './wycheproof.js';

interface Agreement {
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

describeVectors('wycheproof/x25519_test.json', (name) => {
  it('T01: every public key of small order or not canonical is refused, the others agree', () => {
    let [smallOrder, notCanonical] = [0, 0];
    everyTest<Agreement>(name, (test) => {
      const [secretKey, publicKey, shared] = [hex(test.private), hex(test.public), hex(test.shared)];
      const u = BigInt(`0x${Buffer.from(publicKey).reverse().toString('hex')}`);
      const canonical = u < 2n ** 255n - 19n;
      expect(isX25519PublicKey(publicKey)).toBe(canonical);
      if (!canonical) notCanonical++;
      if (isZero(shared)) smallOrder++;
      if (!canonical || isZero(shared)) expectRefusal(() => x25519(secretKey, publicKey));
      else expect(equal(x25519(secretKey, publicKey), shared)).toBe(true);
    });
    expect(smallOrder).toBeGreaterThan(0);
    expect(notCanonical).toBeGreaterThan(0);
  });

  for (const [backendName, backend] of BACKENDS) {
    it(`the ${backendName} backend computes RFC 7748 for every input`, () => {
      everyTest<Agreement>(name, (test) => {
        expect(equal(backend.x25519(hex(test.private), hex(test.public)), hex(test.shared))).toBe(true);
      });
    });
  }
});

describeVectors('wycheproof/ed25519_test.json', (name) => {
  describe.each(BACKENDS)('%s', (_, backend) => {
    it('verifies what is valid and nothing else', () => {
      everyTest<{ msg: string; sig: string }, { publicKey: { pk: string } }>(name, (test, group) => {
        expect(backend.ed25519Verify(hex(group.publicKey.pk), hex(test.msg), hex(test.sig))).toBe(test.result === 'valid');
      });
    });
  });
});
