import { poly1305 } from '@noble/ciphers/_poly1305.js';
import { describe, expect, it } from 'vitest';
import { concat, equal, toHex } from '../../src/bytes.js';
import { hpkeKeySchedule } from '../../src/crypto/hpke.js';
import {
  chachaOpen,
  chachaSeal,
  hkdfExpandSha256,
  hkdfExtractSha256,
  hkdfSha256,
  xchachaOpen,
  xchachaSeal,
} from '../../src/crypto/suite.js';
import { BACKENDS } from '../crypto/backends.js';
import { describeVectors, hex, readJson } from './folder.js';

type Case = Readonly<Record<string, string>>;

describeVectors('rfc/rfc7748_kat.json', (name) => {
  it.each(BACKENDS)('%s: X25519', (_, backend) => {
    for (const { scalar, input, output } of readJson<readonly Case[]>(name)) {
      expect(toHex(backend.x25519(hex(scalar!), hex(input!)))).toBe(output);
      if (input === `09${'00'.repeat(31)}`) expect(toHex(backend.x25519PublicKey(hex(scalar!)))).toBe(output);
    }
  });
});

describeVectors('rfc/rfc7748_times.json', (name) => {
  // The third value needs a million iterations, minutes of noble; the first two prove the same.
  it.each(BACKENDS)('%s: X25519, iterated', (_, backend) => {
    for (const { times, key } of readJson<readonly { times: number; key: string }[]>(name).filter((test) => test.times <= 1000)) {
      let k: Uint8Array = hex(`09${'00'.repeat(31)}`);
      let u = k;
      for (let i = 0; i < times; i++) [k, u] = [backend.x25519(k, u), k];
      expect(toHex(k)).toBe(key);
    }
  });
});

// The files of Ed25519ctx and Ed25519ph are not run: nothing here uses them.
describeVectors('rfc/rfc8032_ed25519.json', (name) => {
  it.each(BACKENDS)('%s: Ed25519', (_, backend) => {
    for (const { secretKey, publicKey, message, signature } of readJson<readonly Case[]>(name)) {
      expect(toHex(backend.ed25519PublicKey(hex(secretKey!)))).toBe(publicKey);
      expect(toHex(backend.ed25519Sign(hex(secretKey!), hex(message!)))).toBe(signature);
      expect(backend.ed25519Verify(hex(publicKey!), hex(message!), hex(signature!))).toBe(true);
    }
  });
});

describeVectors('rfc/rfc5869.json', (name) => {
  it('HKDF-SHA-256, whole and in its two steps', () => {
    for (const test of readJson<{ tests: readonly (Case & { L: number })[] }>(name).tests) {
      const [ikm, salt, info] = [hex(test['ikm']!), hex(test['salt']!), hex(test['info']!)];
      expect(toHex(hkdfExtractSha256(salt, ikm))).toBe(test['prk']);
      expect(toHex(hkdfExpandSha256(hex(test['prk']!), info, test.L))).toBe(test['okm']);
      expect(toHex(hkdfSha256(salt, ikm, info, test.L))).toBe(test['okm']);
    }
  });
});

describeVectors('rfc/rfc8439.json', (name) => {
  const AEADS = {
    'ChaCha20-Poly1305': { seal: chachaSeal, open: chachaOpen },
    'XChaCha20-Poly1305': { seal: xchachaSeal, open: xchachaOpen },
  };
  const tests = (alg: string): readonly Case[] => readJson<{ tests: readonly Case[] }>(name).tests.filter((test) => test['alg'] === alg);

  // HChaCha20 alone is not run: it has no function here, and XChaCha20-Poly1305 stands on it.
  it.each(Object.entries(AEADS))('%s', (alg, { seal, open }) => {
    expect(tests(alg)).toHaveLength(1);
    for (const test of tests(alg)) {
      const [key, nonce, ad, plaintext] = [hex(test['key']!), hex(test['nonce']!), hex(test['aad']!), hex(test['pt']!)];
      const sealed = concat(hex(test['ct']!), hex(test['tag']!));
      expect(equal(seal(key, nonce, ad, plaintext), sealed)).toBe(true);
      expect(equal(open(key, nonce, ad, sealed), plaintext)).toBe(true);
    }
  });
  it('Poly1305, the primitive', () => {
    for (const test of tests('Poly1305')) expect(toHex(poly1305(hex(test['msg']!), hex(test['key']!)))).toBe(test['tag']);
  });
});

describeVectors('hpke/rfc9180-x25519-base-psk.json', (name) => {
  interface Setup {
    readonly mode: number;
    readonly kem_id: number;
    readonly kdf_id: number;
    readonly aead_id: number;
    readonly info: string;
    readonly shared_secret: string;
    readonly key: string;
    readonly base_nonce: string;
    readonly encryptions: readonly { readonly aad: string; readonly ct: string; readonly pt: string; readonly nonce: string }[];
  }
  // The schedule is for base mode, HKDF-SHA-256 and 32-byte AEAD keys: 2 is AES-256-GCM, 3 is ChaCha20-Poly1305.
  const setups = (aeadId: number): readonly Setup[] =>
    readJson<readonly Setup[]>(name).filter((setup) => setup.mode === 0 && setup.kdf_id === 1 && setup.aead_id === aeadId);

  describe.each([2, 3])('aead %i', (aeadId) => {
    it('the key schedule', () => {
      expect(setups(aeadId)).toHaveLength(1);
      for (const setup of setups(aeadId)) {
        const { key, nonce } = hpkeKeySchedule({ kemId: setup.kem_id, aeadId }, hex(setup.shared_secret), hex(setup.info));
        expect(toHex(key)).toBe(setup.key);
        expect(toHex(nonce)).toBe(setup.base_nonce);
      }
    });
  });
  it('the first message', () => {
    for (const setup of setups(3)) {
      const { key, nonce } = hpkeKeySchedule({ kemId: setup.kem_id, aeadId: 3 }, hex(setup.shared_secret), hex(setup.info));
      const [first] = setup.encryptions;
      expect(first!.nonce).toBe(setup.base_nonce);
      expect(toHex(chachaSeal(key, nonce, hex(first!.aad), hex(first!.pt)))).toBe(first!.ct);
    }
  });
});
