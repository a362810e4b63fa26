/**
 * The erasure code (section 4.6): systematic Reed–Solomon over GF(2¹⁶), so that any n distinct chunks of a piece give the piece.
 *
 * A piece of L bytes is n = ⌈L/c⌉ chunks of c bytes, zero-padded. Word k (16 bits, big-endian) of chunk x is the value at x of the
 * polynomial of degree below n through (0, word k of data chunk 0) … (n−1, word k of data chunk n−1). Chunks 0 … n−1 are the data.
 *
 * Pieces are public bytes of the wire, so table look-ups leak nothing. Knows nothing of what a piece means; whoever uses one
 * authenticates it. Pure: the tables are constants, made at first use. Numbers and lengths out of range throw `ERR_BUG`.
 */

import { concat, copy } from '../../bytes.js';
import { requireLength } from '../../crypto/guard.js';
import { InternalError } from '../../errors.js';

/** A chunk index is a u16; a sender that has used the last goes on with 0. */
export const CHUNK_INDEX_MAX = 0xffff;

/** A chunk as received, c bytes. */
export interface ReceivedChunk {
  readonly index: number;
  readonly chunk: Uint8Array;
}

/** What a receiver holds of a piece: at most n chunks with distinct indices, in the order of arrival. Immutable. */
export interface ErasureDecoder {
  /** L. */
  readonly lengthBytes: number;
  /** c. */
  readonly chunkBytes: number;
  readonly chunks: readonly ReceivedChunk[];
}

/** Chunk `index` (0 … 65535) of `piece`: `chunkBytes` bytes, an even number, in a new buffer. */
export function chunkAt(piece: Uint8Array, chunkBytes: number, index: number): Uint8Array {
  const n = chunkCount(piece.length, chunkBytes);
  requireIndex(index);
  const padded = concat(piece, new Uint8Array(n * chunkBytes - piece.length));
  if (index < n) return padded.slice(index * chunkBytes, (index + 1) * chunkBytes);
  const nodes = Array.from({ length: n }, (_, i) => i);
  const scales = scalesAt(index, nodes, logWeights(nodes));
  const out = new Uint8Array(chunkBytes);
  for (let i = 0; i < n; i++) addScaled(out, padded, i * chunkBytes, scales[i]!);
  return out;
}

/** A decoder without chunks, for a piece of `lengthBytes` bytes in chunks of `chunkBytes`, an even number. */
export function startDecoder(lengthBytes: number, chunkBytes: number): ErasureDecoder {
  chunkCount(lengthBytes, chunkBytes);
  return { lengthBytes, chunkBytes, chunks: [] };
}

/** The decoder with a copy of one chunk more; the same decoder if it has that index, whatever the chunk says, or has enough. */
export function addChunk(decoder: ErasureDecoder, index: number, chunk: Uint8Array): ErasureDecoder {
  requireIndex(index);
  requireLength(chunk, decoder.chunkBytes, 'chunk');
  const { chunks } = decoder;
  if (isComplete(decoder) || chunks.some((known) => known.index === index)) return decoder;
  return { ...decoder, chunks: [...chunks, { index, chunk: copy(chunk) }] };
}

/** The piece, in a new buffer, or `undefined` until n chunks are there. To be asked after every chunk, the first included. */
export function decoded(decoder: ErasureDecoder): Uint8Array | undefined {
  if (!isComplete(decoder)) return undefined;
  const { lengthBytes, chunkBytes, chunks } = decoder;
  const n = chunks.length;
  const nodes = chunks.map(({ index }) => index);
  const out = new Uint8Array(n * chunkBytes);
  for (const { index, chunk } of chunks) if (index < n) out.set(chunk, index * chunkBytes);
  const weights = logWeights(nodes);
  for (let target = 0; target < n; target++) {
    if (nodes.includes(target)) continue;
    const scales = scalesAt(target, nodes, weights);
    const part = out.subarray(target * chunkBytes, (target + 1) * chunkBytes);
    for (let i = 0; i < n; i++) addScaled(part, chunks[i]!.chunk, 0, scales[i]!);
  }
  return out.slice(0, lengthBytes);
}

function isComplete({ lengthBytes, chunkBytes, chunks }: ErasureDecoder): boolean {
  return chunks.length === chunkCount(lengthBytes, chunkBytes);
}

/** n = ⌈L/c⌉, where there are enough indices for n chunks. */
function chunkCount(lengthBytes: number, chunkBytes: number): number {
  const n = Math.ceil(lengthBytes / chunkBytes);
  if (!(n >= 1 && n <= CHUNK_INDEX_MAX + 1 && chunkBytes % 2 === 0)) {
    throw new InternalError('ERR_BUG', 'no such division into chunks', { field: 'chunkBytes', got: chunkBytes });
  }
  return n;
}

function requireIndex(index: number): void {
  if (!(Number.isInteger(index) && index >= 0 && index <= CHUNK_INDEX_MAX)) {
    throw new InternalError('ERR_BUG', 'no such chunk', { field: 'index', got: index, max: CHUNK_INDEX_MAX });
  }
}

// --- Lagrange interpolation in barycentric form. Every number here but a node is the logarithm of a field element. ---

/** wᵢ = 1 / Π (xᵢ − xₖ) over k ≠ i, for distinct nodes. */
function logWeights(nodes: readonly number[]): number[] {
  const { log } = field();
  return nodes.map((node, i) => {
    let sum = 0;
    for (let k = 0; k < nodes.length; k++) if (k !== i) sum += log[node ^ nodes[k]!]!;
    return ORDER - (sum % ORDER);
  });
}

/** The factor of each node's value in the value at `target`, which is no node: wᵢ · Π (target − xₖ) / (target − xᵢ). */
function scalesAt(target: number, nodes: readonly number[], weights: readonly number[]): number[] {
  const { log } = field();
  const distances = nodes.map((node) => log[target ^ node]!);
  const product = distances.reduce((sum, distance) => sum + distance, 0);
  return weights.map((weight, i) => (weight + product - distances[i]!) % ORDER);
}

/** out += scale · words, for the words of `source` from byte `offset`. */
function addScaled(out: Uint8Array, source: Uint8Array, offset: number, scale: number): void {
  const { log, exp } = field();
  for (let at = 0; at < out.length; at += 2) {
    const word = (source[offset + at]! << 8) | source[offset + at + 1]!;
    if (word === 0) continue; // zero has no logarithm
    const product = exp[log[word]! + scale]!;
    out[at]! ^= product >>> 8;
    out[at + 1]! ^= product;
  }
}

// --- GF(2¹⁶) = GF(2)[x] / (x¹⁶ + x¹² + x³ + x + 1). Addition and subtraction are xor; x generates the multiplicative group. ---

const POLYNOMIAL = 0x1100b;
/** Order of the multiplicative group. */
const ORDER = 0xffff;

/** exp[i] = xⁱ, twice over, so that a sum of two logarithms needs no reduction; log[exp[i]] = i for i below the order. */
interface Field {
  readonly exp: Uint16Array;
  readonly log: Uint16Array;
}

let tables: Field | undefined;

/** The tables, 384 KiB, made when first needed. */
function field(): Field {
  tables ??= makeTables();
  return tables;
}

function makeTables(): Field {
  const exp = new Uint16Array(2 * ORDER);
  const log = new Uint16Array(ORDER + 1);
  let power = 1;
  for (let i = 0; i < ORDER; i++) {
    exp[i] = power;
    exp[i + ORDER] = power;
    log[power] = i;
    power <<= 1;
    if (power > ORDER) power ^= POLYNOMIAL;
  }
  return { exp, log };
}
