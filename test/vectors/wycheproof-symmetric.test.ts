import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { expect, it } from 'vitest';
import { concat, equal } from '../../src/bytes.js';
import { chachaOpen, chachaSeal, hkdfSha256, hkdfSha512, hmacSha256, xchachaOpen, xchachaSeal } from '../../src/crypto/suite.js';
import { describeVectors, hex } from './folder.js';
import { everyTest, expectRefusal } from './wycheproof.js';

const AEADS = [
  { name: 'wycheproof/chacha20_poly1305_test.json', seal: chachaSeal, open: chachaOpen },
  { name: 'wycheproof/xchacha20_poly1305_test.json', seal: xchachaSeal, open: xchachaOpen },
];

for (const { name, seal, open } of AEADS) {
  describeVectors(name, () => {
    it('T50: seals and opens what is valid, refuses the rest and every truncation of a tag', () => {
      everyTest<{ key: string; iv: string; aad: string; msg: string; ct: string; tag: string }>(name, (test) => {
        const [key, nonce, ad, plaintext] = [hex(test.key), hex(test.iv), hex(test.aad), hex(test.msg)];
        const sealed = concat(hex(test.ct), hex(test.tag));
        if (test.result !== 'valid') return expectRefusal(() => open(key, nonce, ad, sealed));
        expect(equal(seal(key, nonce, ad, plaintext), sealed)).toBe(true);
        expect(equal(open(key, nonce, ad, sealed), plaintext)).toBe(true);
        for (let cut = 1; cut <= 16; cut++) expectRefusal(() => open(key, nonce, ad, sealed.subarray(0, sealed.length - cut)));
      });
    });
  });
}

const HKDFS = [
  { name: 'wycheproof/hkdf_sha256_test.json', hkdf: hkdfSha256 },
  { name: 'wycheproof/hkdf_sha512_test.json', hkdf: hkdfSha512 },
];

for (const { name, hkdf } of HKDFS) {
  describeVectors(name, () => {
    it('derives what is valid and refuses outputs that are too long', () => {
      everyTest<{ ikm: string; salt: string; info: string; size: number; okm: string }>(name, (test) => {
        const derive = (): Uint8Array => hkdf(hex(test.salt), hex(test.ikm), hex(test.info), test.size);
        if (test.result === 'valid') expect(equal(derive(), hex(test.okm))).toBe(true);
        else expectRefusal(derive);
      });
    });
  });
}

const HMACS = [
  { name: 'wycheproof/hmac_sha256_test.json', mac: hmacSha256 },
  // Only within HKDF-SHA-512, so the primitive itself is asked.
  { name: 'wycheproof/hmac_sha512_test.json', mac: (key: Uint8Array, data: Uint8Array) => hmac(sha512, key, data) },
];

for (const { name, mac } of HMACS) {
  describeVectors(name, () => {
    it('T50: gives the tag of what is valid, and another for the rest', () => {
      everyTest<{ key: string; msg: string; tag: string }, { tagSize: number }>(name, (test, group) => {
        const tag = mac(hex(test.key), hex(test.msg)).subarray(0, group.tagSize / 8);
        expect(equal(tag, hex(test.tag))).toBe(test.result === 'valid');
      });
    });
  });
}
