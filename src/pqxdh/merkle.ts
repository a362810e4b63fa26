/**
 * Merkle trees over a batch of one-time prekeys (section 1.4): RFC 9162 section 2.1, SHA-512/256, leaf prefix 0x00, node prefix 0x01.
 *
 * Knows leaf hashes, roots and paths; what a leaf holds is `leafHash` alone. The node hash is a parameter, so that the algorithm
 * can be held against vectors for another hash.
 */

import { concat, equal } from '../bytes.js';
import { sha512_256 } from '../crypto/suite.js';
import { writer } from '../wire/codec.js';
import type { OneTimeEntry } from '../wire/objects.js';

/** Hash of an inner node's two children. */
export type NodeHash = (left: Uint8Array, right: Uint8Array) => Uint8Array;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = new Uint8Array([0x01]);

const hashNode: NodeHash = (left, right) => sha512_256(concat(NODE_PREFIX, left, right));

/** SHA-512/256(0x00 · batchId 8 · index u16 · otId 8 · OPK 32 · PQOPK 1568), 32 bytes. */
export function leafHash(batchId: Uint8Array, unit: Omit<OneTimeEntry, 'path'>): Uint8Array {
  return sha512_256(
    writer()
      .u8(LEAF_PREFIX)
      .bytes(batchId, 8)
      .u16(unit.index)
      .bytes(unit.otId, 8)
      .bytes(unit.oneTimePrekey, 32)
      .bytes(unit.oneTimeKemPrekey, 1568)
      .finish(),
  );
}

/** Root of at least one leaf hash (section 2.1.1): split at the largest power of two below the count, no odd leaf doubled. */
export function merkleRoot(leaves: readonly Uint8Array[], hash: NodeHash = hashNode): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  const split = splitOf(leaves.length);
  return hash(merkleRoot(leaves.slice(0, split), hash), merkleRoot(leaves.slice(split), hash));
}

/** The path of leaf `index` (section 2.1.3.1): its siblings from the leaf upwards. */
export function merklePath(leaves: readonly Uint8Array[], index: number, hash: NodeHash = hashNode): Uint8Array[] {
  if (leaves.length === 1) return [];
  const split = splitOf(leaves.length);
  return index < split
    ? [...merklePath(leaves.slice(0, split), index, hash), merkleRoot(leaves.slice(split), hash)]
    : [...merklePath(leaves.slice(split), index - split, hash), merkleRoot(leaves.slice(0, split), hash)];
}

/** Whether `path` leads from `leaf` at `index` of `count` to `root`; its length must be exactly the one of that place (section 2.1.3.2). */
export function verifyMerklePath(
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
  hash: NodeHash = hashNode,
): boolean {
  return index < count && path.length === depthOf(index, count) && equal(climb(leaf, index, count, path, hash), root);
}

function climb(leaf: Uint8Array, index: number, count: number, path: readonly Uint8Array[], hash: NodeHash): Uint8Array {
  if (count === 1) return leaf;
  const split = splitOf(count);
  const sibling = path.at(-1)!;
  const rest = path.slice(0, -1);
  return index < split
    ? hash(climb(leaf, index, split, rest, hash), sibling)
    : hash(sibling, climb(leaf, index - split, count - split, rest, hash));
}

function depthOf(index: number, count: number): number {
  if (count === 1) return 0;
  const split = splitOf(count);
  return 1 + (index < split ? depthOf(index, split) : depthOf(index - split, count - split));
}

/** The largest power of two below `count` ≥ 2. */
function splitOf(count: number): number {
  return 2 ** (31 - Math.clz32(count - 1));
}
