/**
 * Known answers of every primitive: of the RFCs and FIPS where they are short, else by their hash; those of ML-KEM's ciphertexts are the
 * ones by which a backend is chosen. What a backend has is asked of the backend, everything else of the suite. Not here but among the test
 * vectors is SLH-DSA, of which one signature is larger than all of these.
 */

import { encodeUtf8, fromHex } from '../bytes.js';
import { ED25519, KECCAK, type KemAnswer, ML_KEM_768, ML_KEM_1024, X25519 } from '../crypto/backend/answers.js';
import type { Backend, KemBackend } from '../crypto/backend/backend.js';
import { argon2 } from '../crypto/passphrase.js';
import { chachaOpen, chachaSeal, hkdfSha256, hmacSha256, sha256, sha512, sha512_256, xchachaOpen, xchachaSeal } from '../crypto/suite.js';
import { type Answers, answers } from './check.js';

const hex = (text: string): Uint8Array => fromHex(text)!;
const ABC = encodeUtf8('abc')!;
/** RFC 8439 section 2.8.2, and draft-irtf-cfrg-xchacha A.3.1. */
const SUNSCREEN = encodeUtf8(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
)!;
const AEAD_KEY = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
const AEAD_AD = hex('50515253c0c1c2c3c4c5c6c7');

/** By primitive. */
export function primitiveAnswers(backend: Backend): Readonly<Record<string, () => Answers>> {
  return {
    'SHA-2': () =>
      answers(
        [sha256(ABC), hex('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')],
        [
          sha512(ABC),
          hex(
            'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
          ),
        ],
        [sha512_256(ABC), hex('53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23')],
      ),
    'SHA-3': () =>
      answers(
        [backend.keccak.sha3_256(KECCAK.message), KECCAK.sha3_256],
        [backend.keccak.sha3_512(KECCAK.message), KECCAK.sha3_512],
        [backend.keccak.sha3_256(backend.keccak.shake128(KECCAK.message, 200)), KECCAK.shake128Hash],
        [backend.keccak.sha3_256(backend.keccak.shake256(KECCAK.message, 200)), KECCAK.shake256Hash],
      ),
    // RFC 4231 section 4.3, RFC 5869 section A.1.
    'HMAC and HKDF': () =>
      answers(
        [
          hmacSha256(encodeUtf8('Jefe')!, encodeUtf8('what do ya want for nothing?')!),
          hex('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
        ],
        [
          hkdfSha256(hex('000102030405060708090a0b0c'), new Uint8Array(22).fill(11), hex('f0f1f2f3f4f5f6f7f8f9'), 42),
          hex('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'),
        ],
      ),
    'ChaCha20-Poly1305': () => aead(chachaSeal, chachaOpen, '070000004041424344454647', '1ae10b594f09e26a7e902ecbd0600691'),
    'XChaCha20-Poly1305': () =>
      aead(xchachaSeal, xchachaOpen, '404142434445464748494a4b4c4d4e4f5051525354555657', 'c0875924c1c7987947deafd8780acf49'),
    // RFC 7748 section 6.1.
    X25519: () =>
      answers(
        [backend.x25519PublicKey(X25519.secretKey), X25519.publicKey],
        [backend.x25519(X25519.secretKey, X25519.remotePublicKey), X25519.shared],
        [backend.x25519(X25519.secretKey, new Uint8Array(32)), new Uint8Array(32)],
      ),
    // RFC 8032 section 7.1, test 3.
    Ed25519: () =>
      answers(
        [backend.ed25519PublicKey(ED25519.seed), ED25519.publicKey],
        [backend.ed25519Sign(ED25519.seed, ED25519.message), ED25519.signature],
        [backend.ed25519Verify(ED25519.publicKey, ED25519.message, ED25519.signature), true],
        [backend.ed25519Verify(ED25519.publicKey, ABC, ED25519.signature), false],
      ),
    'ML-KEM-768': () => kem(backend.mlKem768, ML_KEM_768, ACVP_KEYS[768]),
    'ML-KEM-1024': () => kem(backend.mlKem1024, ML_KEM_1024, ACVP_KEYS[1024]),
    'ML-DSA-65': () => mlDsa65(backend),
    // The reference implementation's src/test.c, version 0x13.
    Argon2id: () =>
      answers([
        argon2(encodeUtf8('password')!, encodeUtf8('somesalt')!, { memoryKiB: 256, passes: 2, lanes: 2 }, () => {}),
        hex('6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'),
      ]),
  };
}

function aead(seal: typeof chachaSeal, open: typeof chachaOpen, nonceHex: string, tagHex: string): Answers {
  const [nonce, tag] = [hex(nonceHex), hex(tagHex)];
  const sealed = seal(AEAD_KEY, nonce, AEAD_AD, SUNSCREEN);
  const forged = sealed.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
  return answers(
    [sealed.subarray(SUNSCREEN.length), tag],
    [open(AEAD_KEY, nonce, AEAD_AD, sealed), SUNSCREEN],
    [refuses(() => open(AEAD_KEY, nonce, AEAD_AD, forged)), true],
  );
}

function refuses(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch {
    return true;
  }
}

/** The first keys of ACVP's ML-KEM keyGen: d ‖ z, and SHA-256 of the encapsulation key. */
const ACVP_KEYS = {
  768: [
    'e582b7d75e6c80b05ae392a1fc9f7153b12390fd99930368cc67a768baebc8a01cdacb8740c0b87c4a379575f187b367cbfa3b300bf591b109f79816e9cbe8f0',
    '4158f6afb5e516c99f1da07da8c651348422b17c1f4e9a08ad73fb1f91249b3e',
  ],
  1024: [
    'f3a706faf090c03db506863ab0b20bd8a1627956318e88c67eb875e8e726600935d2bc43dd1cc879f765bf2a0c5e297889dde910e57e2bb0eae417b90ab7a275',
    'b78619e4fceeeb86dee3fedb945eca6da61dae312771ef8fa871951d391bd7b6',
  ],
} as const;

function kem(kem: KemBackend, answer: KemAnswer, [seed, keyHash]: readonly [string, string]): Answers {
  const publicKey = kem.publicKey(answer.seed);
  const known = Uint8Array.from(atob(answer.kemCiphertext), (char) => char.charCodeAt(0));
  const m = Uint8Array.from({ length: 32 }, (_, i) => i);
  const { kemCiphertext, kemSharedSecret } = kem.encapsulate(publicKey, m);
  const tampered = known.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
  return answers(
    [sha256(kem.publicKey(hex(seed))), hex(keyHash)],
    [sha256(publicKey), answer.publicKeyHash],
    [kemCiphertext, known],
    [kemSharedSecret, answer.kemSharedSecret],
    [kem.decapsulate(answer.seed, known), answer.kemSharedSecret],
    [kem.decapsulate(answer.seed, tampered), answer.rejectedSharedSecret],
  );
}

/** The first of Wycheproof's signatures from seeds, by the hashes of key and signature. */
function mlDsa65(backend: Backend): Answers {
  const seed = new Uint8Array(32).fill(0x2a);
  const message = encodeUtf8('Hello world')!;
  const none = new Uint8Array(0);
  const publicKey = backend.mlDsa65PublicKey(seed);
  const signature = backend.mlDsa65Sign(seed, message, none, new Uint8Array(32));
  return answers(
    [sha256(publicKey), hex('b7acce2ddb11f8cc1aa46e2bafac6eacfa2b732ef192bd636ad8d3a56d649c66')],
    [sha256(signature), hex('39fbbb0d97a52c79844213b325af823a7f16a174e00a5b3daeb3e6e6d1c89681')],
    [backend.mlDsa65Verify(publicKey, message, none, signature), true],
    [backend.mlDsa65Verify(publicKey, message, ABC, signature), false],
  );
}
