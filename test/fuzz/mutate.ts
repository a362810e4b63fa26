/** Changes of inputs: what a byte fuzzer does, from a generator that can be repeated. */

import { concat, copy } from '../../src/bytes.js';
import type { Rng } from '../../src/step.js';
import { below } from '../helpers/conversation.js';

/** Bytes that stand at borders: of lengths, types, MessagePack forms, UTF-8. */
const BORDERS = [
  0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 0x80, 0x90, 0xa0, 0xc0, 0xc4, 0xcf, 0xd3, 0xd9, 0xdc, 0xde, 0xe0, 254, 255,
];
const MAX_BYTES = 1_024;

/** `input` after one to eight changes; `others` lend their parts. */
export function mutate(input: Uint8Array, others: readonly Uint8Array[], rng: Rng): Uint8Array {
  let out: Uint8Array = copy(input);
  const at = (): number => below(rng, out.length + 1);
  for (let left = 1 << below(rng, 4); left > 0; left--) {
    const from = at();
    const other = others[below(rng, others.length)] ?? input;
    switch (below(rng, 9)) {
      case 0:
        if (from < out.length) out[from]! ^= 1 << below(rng, 8);
        break;
      case 1:
        if (from < out.length) out[from] = below(rng, 256);
        break;
      case 2:
        if (from < out.length) out[from] = BORDERS[below(rng, BORDERS.length)]!;
        break;
      case 3:
        if (from < out.length) out[from]! += below(rng, 2) === 0 ? 1 : -1;
        break;
      case 4:
        out = concat(out.subarray(0, from), rng(1 + below(rng, 8)), out.subarray(from));
        break;
      case 5:
        out = concat(out.subarray(0, from), out.subarray(from + 1 + below(rng, 16)));
        break;
      case 6: {
        const part = out.subarray(from, from + 1 + below(rng, 32));
        const to = at();
        out = concat(out.subarray(0, to), part, out.subarray(to));
        break;
      }
      case 7: {
        const start = below(rng, other.length + 1);
        const part = other.subarray(start, start + 1 + below(rng, 64));
        out = concat(out.subarray(0, from), part, out.subarray(below(rng, 2) === 0 ? from : from + part.length));
        break;
      }
      default:
        out = concat(out.subarray(0, from), other.subarray(Math.min(from, other.length)));
    }
  }
  return out.slice(0, MAX_BYTES);
}
