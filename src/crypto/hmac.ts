/**
 * HMAC and HKDF with SHA-256 (RFC 2104, RFC 5869) on noble's hash, over hash objects that are made once and set anew for each call: a
 * message needs about twenty, and making the objects costs half as much again as the hashing.
 *
 * The objects are scratch space of one synchronous call and are cleaned at its end; nothing of a call is left for the next.
 */

import { sha256 } from '@noble/hashes/sha2.js';

const BLOCK_BYTES = 64;
const HASH_BYTES = 32;

const pristine = sha256.create();
const inner = sha256.create();
const outer = sha256.create();
/** After the first block, which is the key's: where each MAC under one key starts from. */
const keyedInner = sha256.create();
const keyedOuter = sha256.create();
const pad = new Uint8Array(BLOCK_BYTES);

/** Runs `body` with the key in place, and takes it away again. */
function withKey<T>(key: Uint8Array, body: () => T): T {
  pad.fill(0);
  pad.set(key.length > BLOCK_BYTES ? sha256(key) : key);
  for (let i = 0; i < BLOCK_BYTES; i++) pad[i]! ^= 0x36;
  pristine._cloneInto(keyedInner).update(pad);
  for (let i = 0; i < BLOCK_BYTES; i++) pad[i]! ^= 0x36 ^ 0x5c;
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
  const hash = inner.digest();
  const out = keyedOuter._cloneInto(outer).update(hash).digest();
  hash.fill(0);
  return out;
}

/** HMAC-SHA-256, 32 bytes; a key of any length. */
export function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return withKey(key, () => mac(data));
}

/** HKDF-Expand of `prk` to at most 255 · 32 bytes; the caller checks. */
export function expand(prk: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  return withKey(prk, () => {
    const out = new Uint8Array(lengthBytes);
    const counter = new Uint8Array(1);
    let block: Uint8Array = new Uint8Array(0);
    for (let at = 0; at < lengthBytes; at += HASH_BYTES) {
      counter[0]! += 1;
      const next = mac(block, info, counter);
      block.fill(0);
      block = next;
      out.set(block.subarray(0, Math.min(HASH_BYTES, lengthBytes - at)), at);
    }
    block.fill(0);
    return out;
  });
}
