/**
 * The one table of labels. `PX` stands before every one; `test/crypto/labels.test.ts` pins the table.
 *
 * Knows how a label and its fields become one injective byte string; knows no algorithm.
 */

import { concat, encodeUtf8 } from '../bytes.js';
import { InternalError } from '../errors.js';

/** `CYPHR/1 `, 8 bytes. Frozen: it stands in every label, hash and signature. */
export const PX = 'CYPHR/1 ';

/** Labels of KDF, MAC and AAD inputs, then signature contexts. */
export const LABELS = [
  'hs/kdf',
  'hs/init',
  'sid',
  'rk',
  'hk',
  'nonce',
  'msg',
  'hdr',
  'body',
  'seal',
  'scka/start',
  'scka/epoch',
  'scka/next',
  'scka/key',
  'scka/auth',
  'scka/hdr-mac',
  'scka/ct-mac',
  'hs/sig',
  'login',
  'id/list',
  'id/root',
  'pk/set',
  'pk/batch',
  'handshake',
  'store/rec',
  'store/aad',
  'store/name',
  'store/set',
  'store/head',
  'store/nonce',
  'store/slot',
  'store/commit',
  'store/kek',
  'store/box',
  'bak/slot',
  'bak/key',
  'sas',
  'link/key',
  'link/commit',
  'link/slot',
  'link/offer',
  'link/request',
  'link/challenge',
  'link/grant',
] as const;

/** A label of the table. */
export type Label = (typeof LABELS)[number];

/** PX‖label as bytes: the prefix of INFO, the context of signatures, the first bytes of the transcript. */
export function labelBytes(label: Label): Uint8Array {
  return ENCODED[label];
}

const ENCODED = Object.fromEntries(LABELS.map((label) => [label, encodeUtf8(PX + label)!])) as unknown as Readonly<
  Record<Label, Uint8Array>
>;

/**
 * INFO(label, f…) = u8 length ‖ PX‖label ‖ lp16(f1) ‖ lp16(f2)…: injective, so that no two calls give the same bytes.
 * Fields are copied; each is at most 65,535 bytes, else `ERR_BUG`.
 */
export function info(label: Label, ...fields: readonly Uint8Array[]): Uint8Array {
  const name = ENCODED[label];
  const parts: Uint8Array[] = [new Uint8Array([name.length]), name];
  for (const field of fields) {
    if (field.length > 0xffff) throw new InternalError('ERR_BUG', 'INFO field is too long', { got: field.length, max: 0xffff });
    parts.push(new Uint8Array([field.length >>> 8, field.length]), field);
  }
  return concat(...parts);
}
