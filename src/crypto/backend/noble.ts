/** Every operation in JavaScript, by noble. Runs wherever JavaScript runs, and is the reference for the other backends. */

import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import * as sha3 from '@noble/hashes/sha3.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { wipe } from '../../bytes.js';
import type { Backend, KemBackend } from './backend.js';

function kem(noble: typeof ml_kem768): KemBackend {
  return {
    publicKey(seed) {
      const { publicKey, secretKey } = noble.keygen(seed);
      wipe(secretKey);
      return publicKey;
    },
    encapsulate(publicKey, m) {
      const { cipherText, sharedSecret } = noble.encapsulate(publicKey, m);
      return { kemCiphertext: cipherText, kemSharedSecret: sharedSecret };
    },
    decapsulate(seed, kemCiphertext) {
      const { secretKey } = noble.keygen(seed);
      const kemSharedSecret = noble.decapsulate(kemCiphertext, secretKey);
      wipe(secretKey);
      return kemSharedSecret;
    },
  };
}

/** The backend for browsers, workers, React Native and anything without a faster one. */
export const backend: Backend = {
  keccak: {
    sha3_256: (data) => sha3.sha3_256(data),
    sha3_512: (data) => sha3.sha3_512(data),
    shake128: (data, lengthBytes) => sha3.shake128(data, { dkLen: lengthBytes }),
    shake256: (data, lengthBytes) => sha3.shake256(data, { dkLen: lengthBytes }),
  },

  x25519PublicKey: (secretKey) => x25519.getPublicKey(secretKey),
  x25519(secretKey, publicKey) {
    try {
      return x25519.getSharedSecret(secretKey, publicKey);
    } catch {
      return new Uint8Array(32); // noble throws instead of returning the all-zero result
    }
  },

  ed25519PublicKey: (seed) => ed25519.getPublicKey(seed),
  ed25519Sign: (seed, message) => ed25519.sign(message, seed),
  ed25519Verify: (publicKey, message, signature) => verdict(() => ed25519.verify(signature, message, publicKey, { zip215: false })),

  mlKem768: /* @__PURE__ */ kem(ml_kem768),
  mlKem1024: /* @__PURE__ */ kem(ml_kem1024),

  mlDsa65PublicKey(seed) {
    const { publicKey, secretKey } = ml_dsa65.keygen(seed);
    wipe(secretKey);
    return publicKey;
  },
  mlDsa65Sign(seed, message, context, rnd) {
    const { secretKey } = ml_dsa65.keygen(seed);
    const signature = ml_dsa65.sign(message, secretKey, { context, extraEntropy: rnd });
    wipe(secretKey);
    return signature;
  },
  mlDsa65Verify: (publicKey, message, context, signature) => verdict(() => ml_dsa65.verify(signature, message, publicKey, { context })),
};

/** noble throws where a length is wrong; a signature of a wrong length is simply not valid. */
function verdict(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    return false;
  }
}
