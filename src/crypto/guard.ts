/** Checks shared by this layer: exact lengths of what callers pass, and order of little-endian integers. */

import { InternalError } from '../errors.js';

/** Throws `ERR_BUG` unless `bytes` has exactly `lengthBytes` bytes: a wrong length inside the library is a bug, not a message. */
export function requireLength(bytes: Uint8Array, lengthBytes: number, field: string): void {
  if (bytes.length !== lengthBytes) {
    throw new InternalError('ERR_BUG', 'wrong length', { field, got: bytes.length, max: lengthBytes });
  }
}

/** p = 2²⁵⁵ − 19, the field of Curve25519, 32 bytes little-endian. */
export const FIELD_PRIME = /* @__PURE__ */ littleEndian(2n ** 255n - 19n);

/** L, the order of Ed25519's prime-order subgroup (RFC 8032 section 5.1), 32 bytes little-endian. */
export const GROUP_ORDER = /* @__PURE__ */ littleEndian(2n ** 252n + 27742317777372353535851937790883648493n);

/** Whether `value` < `bound`, both 32 bytes little-endian. Not constant-time: for public values only. */
export function isBelow(value: Uint8Array, bound: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) {
    if (value[i] !== bound[i]) return value[i]! < bound[i]!;
  }
  return false;
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
