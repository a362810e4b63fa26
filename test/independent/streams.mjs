/** Deterministic randomness, as the descriptions in test-vectors define it. */
import { ascii, concat, u64, zeros } from './bytes.mjs';
import { sha256 } from './crypto.mjs';

/** Blocks one after another, consumed in order. */
function stream(block) {
  let buffer = zeros(0);
  let next = 0;
  return (length) => {
    while (buffer.length < length) {
      buffer = concat(buffer, block(next));
      next += 1;
    }
    const out = buffer.subarray(0, length);
    buffer = buffer.subarray(length);
    return out;
  };
}
/** SHA-256(UTF-8(seed ‖ "/" ‖ decimal counter)). */
export const decimalStream = (seed) => stream((counter) => sha256(ascii(`${seed}/${counter}`)));
/** SHA-256(UTF-8(seed) ‖ u64 counter). */
export const binaryStream = (seed) => stream((counter) => sha256(concat(ascii(seed), u64(counter))));
/** The stream of sdk-side.ts: as decimalStream, but what a drawing leaves of its last block is thrown away. */
export function blockStream(seed) {
  const draw = decimalStream(seed);
  return (length) => draw(32 * Math.ceil(length / 32)).subarray(0, length);
}
