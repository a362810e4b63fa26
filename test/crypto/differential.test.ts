import { expect, it } from 'vitest';
import { concat, encodeUtf8 } from '../../src/bytes.js';
import { backend as noble } from '../../src/crypto/backend/noble.js';
import { backend as node } from '../../src/crypto/backend/node.js';
import { flip, rounds, testRng } from '../helpers/rng.js';
import { describeVectors, hex, readJson } from '../vectors/folder.js';

// What runs natively depends on the runtime: curves from Node 20, ML-KEM and ML-DSA from Node 24.
const seed = process.env['CYPHR_SEED'] ?? 'differential';
const rng = testRng(seed);

function repeat(check: () => void): void {
  for (let i = 0; i < rounds(24); i++) check();
}

it(`X25519, whatever the peer sends (CYPHR_SEED=${seed})`, () => {
  const special = [new Uint8Array(32), flip(new Uint8Array(32), 0), new Uint8Array(32).fill(0xff), flip(new Uint8Array(32), 31, 0x80)];
  repeat(() => {
    const [a, b] = [rng(32), rng(32)];
    expect(node.x25519PublicKey(a)).toEqual(noble.x25519PublicKey(a));
    expect(node.x25519(a, noble.x25519PublicKey(b))).toEqual(noble.x25519(b, node.x25519PublicKey(a)));
    for (const peer of [rng(32), ...special]) expect(node.x25519(a, peer)).toEqual(noble.x25519(a, peer));
  });
});

it(`Ed25519 signatures and verdicts (CYPHR_SEED=${seed})`, () => {
  repeat(() => {
    const [secret, message] = [rng(32), rng(rng(1)[0]!)];
    const publicKey = node.ed25519PublicKey(secret);
    const signature = node.ed25519Sign(secret, message);
    expect(publicKey).toEqual(noble.ed25519PublicKey(secret));
    expect(signature).toEqual(noble.ed25519Sign(secret, message));
    const damaged = flip(signature, rng(1)[0]! % 64, 1 << (rng(1)[0]! % 8));
    for (const [key, sig, valid] of [
      [publicKey, signature, true],
      [publicKey, damaged, false],
      [publicKey, signature.subarray(1), false],
      [rng(32), signature, false],
      [publicKey.subarray(1), signature, false],
    ] as const) {
      expect(node.ed25519Verify(key, message, sig)).toBe(valid);
      expect(noble.ed25519Verify(key, message, sig)).toBe(valid);
    }
  });
});

it(`SHA-3 of any length (CYPHR_SEED=${seed})`, () => {
  repeat(() => {
    const data = rng(8 * rng(1)[0]!);
    const lengthBytes = 1 + 4 * rng(1)[0]!;
    for (const name of ['sha3_256', 'sha3_512'] as const) expect(node.keccak[name](data)).toEqual(noble.keccak[name](data));
    for (const name of ['shake128', 'shake256'] as const) {
      expect(node.keccak[name](data, lengthBytes)).toEqual(noble.keccak[name](data, lengthBytes));
    }
  });
});

it.each([
  { name: 'mlKem768', ciphertextBytes: 1088 },
  { name: 'mlKem1024', ciphertextBytes: 1568 },
] as const)(`$name: keys, secrets, implicit rejection (CYPHR_SEED=${seed})`, ({ name, ciphertextBytes }) => {
  repeat(() => {
    const [secret, m] = [rng(64), rng(32)];
    const publicKey = node[name].publicKey(secret);
    expect(publicKey).toEqual(noble[name].publicKey(secret));
    const { kemCiphertext, kemSharedSecret } = node[name].encapsulate(publicKey, m);
    expect(noble[name].encapsulate(publicKey, m)).toEqual({ kemCiphertext, kemSharedSecret });
    expect(node[name].decapsulate(secret, kemCiphertext)).toEqual(kemSharedSecret);
    expect(noble[name].decapsulate(secret, kemCiphertext)).toEqual(kemSharedSecret);
    for (const bad of [flip(kemCiphertext, rng(1)[0]!), rng(ciphertextBytes), new Uint8Array(ciphertextBytes)]) {
      expect(node[name].decapsulate(secret, bad)).toEqual(noble[name].decapsulate(secret, bad));
    }
  });
});

it(`ML-DSA-65 keys, signatures and verdicts (CYPHR_SEED=${seed})`, () => {
  for (let i = 0; i < rounds(8); i++) {
    const [secret, message, context, rnd] = [rng(32), rng(100), rng(40), rng(32)];
    const publicKey = node.mlDsa65PublicKey(secret);
    const signature = node.mlDsa65Sign(secret, message, context, rnd);
    expect(publicKey).toEqual(noble.mlDsa65PublicKey(secret));
    expect(signature).toEqual(noble.mlDsa65Sign(secret, message, context, rnd));
    for (const [key, ctx, sig, valid] of [
      [publicKey, context, signature, true],
      [publicKey, rng(40), signature, false],
      [publicKey, new Uint8Array(0), signature, false],
      [publicKey, new Uint8Array(256), signature, false],
      [publicKey, context, flip(signature, 5 * rng(1)[0]!), false],
      [publicKey, context, flip(signature), false],
      [publicKey, context, signature.subarray(1), false],
      [publicKey, context, concat(signature, new Uint8Array(1)), false],
      [rng(1952), context, signature, false],
      [publicKey.subarray(1), context, signature, false],
    ] as const) {
      expect(node.mlDsa65Verify(key, message, ctx, sig)).toBe(valid);
      expect(noble.mlDsa65Verify(key, message, ctx, sig)).toBe(valid);
    }
  }
});

describeVectors('cctv/ed25519/ed25519vectors.json', (name) => {
  it('Ed25519 verdicts are identical', () => {
    for (const { key, sig, msg } of readJson<readonly Readonly<Record<'key' | 'sig' | 'msg', string>>[]>(name)) {
      const message = encodeUtf8(msg)!;
      expect(node.ed25519Verify(hex(key), message, hex(sig))).toBe(noble.ed25519Verify(hex(key), message, hex(sig)));
    }
  });
});

describeVectors('wycheproof/ed25519_test.json', (name) => {
  interface Group {
    readonly publicKey: { readonly pk: string };
    readonly tests: readonly { readonly msg: string; readonly sig: string }[];
  }
  it('Ed25519 verdicts are identical', () => {
    for (const { publicKey, tests } of readJson<{ testGroups: readonly Group[] }>(name).testGroups) {
      for (const { msg, sig } of tests) {
        const args = [hex(publicKey.pk), hex(msg), hex(sig)] as const;
        expect(node.ed25519Verify(...args)).toBe(noble.ed25519Verify(...args));
      }
    }
  });
});
