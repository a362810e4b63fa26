/**
 * HMAC and HKDF (RFC 2104, RFC 5869) on noble's hashes, over hash objects that are made once and set anew for each call: a message
 * needs about twenty, and making the objects costs half as much again as the hashing.
 *
 * The objects are scratch space of one synchronous call and are cleaned at its end; nothing of a call is left for the next.
 */

/** The state of a hash, of noble's. */
interface HashState<S> {
  _cloneInto(to: S): S;
  update(data: Uint8Array): this;
  digest(): Uint8Array;
  destroy(): void;
}

/** What is used of a noble hash. */
interface Hash<S> {
  (data: Uint8Array): Uint8Array;
  readonly blockLen: number;
  readonly outputLen: number;
  create(): S;
}

/** HMAC and HKDF-Expand with one hash. */
export interface Hmac {
  /** HMAC, as long as the hash; a key of any length. */
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** HKDF-Expand of `prk` to at most 255 times the length of the hash; the caller checks. */
  expand(prk: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array;
}

/** HMAC over `hash`, with scratch space of its own. */
export function hmacOver<S extends HashState<S>>(hash: Hash<S>): Hmac {
  const pristine = hash.create();
  const inner = hash.create();
  const outer = hash.create();
  // After the first block, which is the key's: where each MAC under one key starts from.
  const keyedInner = hash.create();
  const keyedOuter = hash.create();
  const pad = new Uint8Array(hash.blockLen);

  /** Runs `body` with the key in place, and takes it away again. */
  function withKey<T>(key: Uint8Array, body: () => T): T {
    pad.fill(0);
    pad.set(key.length > pad.length ? hash(key) : key);
    for (let i = 0; i < pad.length; i++) pad[i]! ^= 0x36;
    pristine._cloneInto(keyedInner).update(pad);
    for (let i = 0; i < pad.length; i++) pad[i]! ^= 0x36 ^ 0x5c;
    pristine._cloneInto(keyedOuter).update(pad);
    pad.fill(0);
    const result = body();
    keyedInner.destroy();
    keyedOuter.destroy();
    return result;
  }

  /** One MAC under the key in place; a new buffer. `digest` wipes the object that it ends. */
  function mac(...parts: readonly Uint8Array[]): Uint8Array {
    keyedInner._cloneInto(inner);
    for (const part of parts) inner.update(part);
    const digest = inner.digest();
    const out = keyedOuter._cloneInto(outer).update(digest).digest();
    digest.fill(0);
    return out;
  }

  return {
    hmac: (key, data) => withKey(key, () => mac(data)),
    expand: (prk, info, lengthBytes) =>
      withKey(prk, () => {
        const out = new Uint8Array(lengthBytes);
        const counter = new Uint8Array(1);
        let block: Uint8Array = new Uint8Array(0);
        for (let at = 0; at < lengthBytes; at += hash.outputLen) {
          counter[0]! += 1;
          const next = mac(block, info, counter);
          block.fill(0);
          block = next;
          out.set(block.subarray(0, Math.min(block.length, lengthBytes - at)), at);
        }
        block.fill(0);
        return out;
      }),
  };
}
