/** The erasure code of section 4.6: values of a polynomial over GF(2^16), by plain Lagrange interpolation. Knows chunks and lengths only. */
import { concat, zeros } from './bytes.mjs';

/** The product in GF(2)[x] / (x^16 + x^12 + x^3 + x + 1), bit by bit. */
function multiply(a, b) {
  let out = 0;
  for (let [x, y] = [a, b]; y > 0; y >>= 1) {
    if (y & 1) out ^= x;
    x <<= 1;
    if (x & 0x10000) x ^= 0x1100b;
  }
  return out;
}
/** a^(2^16 - 2), which is 1/a. */
function invert(a) {
  let out = 1;
  for (let i = 0, square = multiply(a, a); i < 15; i += 1, square = multiply(square, square)) out = multiply(out, square);
  return out;
}

/** The chunk at `target` of the one polynomial of degree < n that has the n `chunks` ({ idx, chunk }). */
function interpolate(chunks, target) {
  const known = chunks.find(({ idx }) => idx === target);
  if (known !== undefined) return known.chunk;
  const out = zeros(chunks[0].chunk.length);
  for (const { idx, chunk } of chunks) {
    let numerator = 1;
    let denominator = 1;
    for (const other of chunks) {
      if (other.idx === idx) continue;
      numerator = multiply(numerator, target ^ other.idx);
      denominator = multiply(denominator, idx ^ other.idx);
    }
    const factor = multiply(numerator, invert(denominator));
    for (let at = 0; at < out.length; at += 2) out.writeUInt16BE(out.readUInt16BE(at) ^ multiply(chunk.readUInt16BE(at), factor), at);
  }
  return out;
}

/** How many data chunks of c bytes a piece of `length` bytes has. */
export const chunkCount = (length, c) => Math.ceil(length / c);

/** Chunk `idx` of a piece. */
export function chunkOf(piece, c, idx) {
  const n = chunkCount(piece.length, c);
  const data = concat(piece, zeros(n * c - piece.length));
  return interpolate(
    Array.from({ length: n }, (_, i) => ({ idx: i, chunk: data.subarray(i * c, (i + 1) * c) })),
    idx,
  );
}

/** `chunks` with one more, unless its idx is there or they are enough for a piece of `length` bytes. */
export function addChunk(chunks, length, idx, chunk) {
  const isNew = chunks.length < chunkCount(length, chunk.length) && chunks.every((each) => each.idx !== idx);
  return isNew ? [...chunks, { idx, chunk }] : chunks;
}

/** The piece of `length` bytes, or undefined while chunks of c bytes are missing. */
export function pieceOf(chunks, length, c) {
  const n = chunkCount(length, c);
  if (chunks.length < n) return undefined;
  return concat(...Array.from({ length: n }, (_, i) => interpolate(chunks, i))).subarray(0, length);
}
