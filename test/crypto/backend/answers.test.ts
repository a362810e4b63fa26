import { expect, it } from 'vitest';
import { toHex } from '../../../src/bytes.js';
import { ED25519, KECCAK, ML_DSA_65, ML_KEM_768, ML_KEM_1024, X25519 } from '../../../src/crypto/backend/answers.js';
import { backend as noble } from '../../../src/crypto/backend/noble.js';
import { sha256 } from '../../../src/crypto/suite.js';
import { flip } from '../../helpers/rng.js';

const sequence = (lengthBytes: number): Uint8Array => Uint8Array.from({ length: lengthBytes }, (_, i) => i);
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

it('the known answers are what noble answers', () => {
  expect(noble.x25519PublicKey(X25519.secretKey)).toEqual(X25519.publicKey);
  expect(noble.x25519(X25519.secretKey, X25519.remotePublicKey)).toEqual(X25519.shared);
  expect(noble.ed25519PublicKey(ED25519.seed)).toEqual(ED25519.publicKey);
  expect(noble.ed25519Sign(ED25519.seed, ED25519.message)).toEqual(ED25519.signature);
  const { keccak } = noble;
  expect(KECCAK.message).toEqual(sequence(34));
  expect(keccak.sha3_256(KECCAK.message)).toEqual(KECCAK.sha3_256);
  expect(keccak.sha3_512(KECCAK.message)).toEqual(KECCAK.sha3_512);
  expect(keccak.sha3_256(keccak.shake128(KECCAK.message, 200))).toEqual(KECCAK.shake128Hash);
  expect(keccak.sha3_256(keccak.shake256(KECCAK.message, 200))).toEqual(KECCAK.shake256Hash);
  for (const [kem, answer] of [
    [noble.mlKem768, ML_KEM_768],
    [noble.mlKem1024, ML_KEM_1024],
  ] as const) {
    const publicKey = kem.publicKey(sequence(64));
    expect(answer.seed).toEqual(sequence(64));
    expect(toHex(sha256(publicKey))).toBe(toHex(answer.publicKeyHash));
    const { kemCiphertext, kemSharedSecret } = kem.encapsulate(publicKey, sequence(32));
    expect(base64(answer.kemCiphertext)).toEqual(kemCiphertext);
    expect(answer.kemSharedSecret).toEqual(kemSharedSecret);
    expect(answer.rejectedSharedSecret).toEqual(kem.decapsulate(sequence(64), flip(kemCiphertext, 0)));
  }
  expect(base64(ML_DSA_65.publicKey)).toEqual(noble.mlDsa65PublicKey(sequence(32)));
  expect(base64(ML_DSA_65.signature)).toEqual(noble.mlDsa65Sign(sequence(32), ML_DSA_65.message, ML_DSA_65.context, new Uint8Array(32)));
});
