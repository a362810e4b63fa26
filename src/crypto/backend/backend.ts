/**
 * What a backend does: the asymmetric operations and SHA-3, on bytes.
 *
 * A backend knows algorithms, not rules: lengths are checked and results are judged by its callers (`suite.ts`, `composite.ts`).
 * Two backends give the same bytes and the same verdicts for the same input, in every runtime. Randomness is always a parameter.
 *
 * Secret keys are immutable: a backend may keep a platform key, or what is public of a key, beside a `secretKey` or `seed` array, found by the array's
 * identity, for as long as the array lives. Filling the array with zeros is right once it is no longer used; writing another key
 * into it is not.
 */
export interface Backend {
  readonly keccak: Keccak;

  /** X25519 public key (RFC 7748 section 6.1), 32 bytes, of a 32-byte secret key. */
  x25519PublicKey(secretKey: Uint8Array): Uint8Array;
  /** X25519 (RFC 7748 section 5) of 32-byte keys: 32 bytes, all zeros for a peer of small order. Bit 255 of the peer is ignored. */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array;

  /** Ed25519 public key (RFC 8032 section 5.1.5), 32 bytes, of a 32-byte seed. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  /** Ed25519 signature (RFC 8032 section 5.1.6), 64 bytes, deterministic. */
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** The strict verdict: canonical A, R and S, A not of small order, cofactored equation. False for any wrong length; never throws. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;

  readonly mlKem768: KemBackend;
  readonly mlKem1024: KemBackend;

  /** ML-DSA-65 public key (FIPS 204 algorithm 6), 1,952 bytes, of a 32-byte seed. */
  mlDsa65PublicKey(seed: Uint8Array): Uint8Array;
  /** ML-DSA-65 signature (FIPS 204 algorithm 2), 3,309 bytes; `rnd` is the 32 hedging bytes, `context` at most 255 bytes. */
  mlDsa65Sign(seed: Uint8Array, message: Uint8Array, context: Uint8Array, rnd: Uint8Array): Uint8Array;
  /** ML-DSA-65 verification (FIPS 204 algorithm 3). False for any wrong length; never throws. */
  mlDsa65Verify(publicKey: Uint8Array, message: Uint8Array, context: Uint8Array, signature: Uint8Array): boolean;
}

/** The SHA-3 family (FIPS 202): hashes of 32 and 64 bytes, and `lengthBytes` bytes of the two SHAKEs. Inputs and results may be secret. */
export interface Keccak {
  sha3_256(data: Uint8Array): Uint8Array;
  sha3_512(data: Uint8Array): Uint8Array;
  shake128(data: Uint8Array, lengthBytes: number): Uint8Array;
  shake256(data: Uint8Array, lengthBytes: number): Uint8Array;
}

/** ML-KEM (FIPS 203) with 64-byte seeds d ‖ z as secret keys. */
export interface KemBackend {
  /** The encapsulation key of a seed (algorithm 16). */
  publicKey(seed: Uint8Array): Uint8Array;
  /** Encapsulation with the 32 bytes `m` (algorithm 17) to a key that passed the modulus check of section 7.2. */
  encapsulate(publicKey: Uint8Array, m: Uint8Array): Encapsulation;
  /** Decapsulation (algorithm 18) of a ciphertext of the right length: 32 bytes, with implicit rejection. */
  decapsulate(seed: Uint8Array, kemCiphertext: Uint8Array): Uint8Array;
}

/** The outcome of an encapsulation; the shared secret has 32 bytes and belongs to the caller, who wipes it. */
export interface Encapsulation {
  readonly kemCiphertext: Uint8Array;
  readonly kemSharedSecret: Uint8Array;
}
