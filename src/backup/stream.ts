/**
 * The outside of an export (protocol.md section 9.2): a header that holds the sealed file key, then chunks in the STREAM construction.
 *
 * Knows bytes and the file key; knows neither what is inside nor how the file key is sealed. Nothing is compressed: what is secret must
 * not show in a length beside what is not.
 */

import { concat, decodeUtf8, encodeUtf8, equal, u32 } from '../bytes.js';
import { info } from '../crypto/labels.js';
import { hkdfSha256, xchachaOpen, xchachaSeal } from '../crypto/suite.js';
import { CyphrError, StoreError } from '../errors.js';
import { reader, writer } from '../wire/codec.js';
import { readFields } from '../wire/layout.js';
import { padme } from '../wire/padding.js';

/** Content of one chunk. Every chunk is full: the last one is padded. */
export const CHUNK_BYTES = 65_536;
/** A chunk as it stands in the file: with its tag. */
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + 16;
/** magic 8 ‖ version u8 ‖ length of the rest of the header u16. */
export const HEADER_START_BYTES = 11;

const MAGIC = encodeUtf8('CYPHRBAK')!;
const VERSION = 1;
const PREFIX_BYTES = 19;

/** What stands before the length of a header, and what that length counts. */
export const HEADER_START = { magic: 8, version: 'u8' } as const;
export const HEADER = { kind: 'lp16', sealedKey: 'lp16', prefix: PREFIX_BYTES, commitment: 32 } as const;

/** What a header says: the kind of the key slot, the file key as it sealed it, and 19 random bytes for the nonces. */
export interface ExportHeader {
  readonly kind: string;
  readonly sealedKey: Uint8Array;
  readonly prefix: Uint8Array;
}

/** A header with the key of its chunks, 32 bytes, secret. */
export interface OpenExport {
  readonly key: Uint8Array;
  readonly prefix: Uint8Array;
}

/** The one error for bytes that are no whole export, as it was written. */
export function damaged(cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'the export is damaged, or was cut off', { cause });
}

/** What a key slot binds the file key to: that it is one of an export, and the slot's kind. */
export function slotBinding(kind: string): Uint8Array {
  return info('bak/slot', new Uint8Array([VERSION]), encodeUtf8(kind)!);
}

/** K 32 ‖ COMMIT 32: bound to the header, so that no chunk opens behind another one. */
function derive(fileKey: Uint8Array, fields: Uint8Array): Uint8Array {
  return hkdfSha256(new Uint8Array(32), fileKey, info('bak/key', fields), 64);
}

/** The header for `fileKey`, 32 random bytes that are used for this export alone, and the key of its chunks. */
export function makeHeader({ kind, sealedKey, prefix }: ExportHeader, fileKey: Uint8Array): OpenExport & { readonly header: Uint8Array } {
  const fields = writer().lp16(encodeUtf8(kind)!).lp16(sealedKey).bytes(prefix, PREFIX_BYTES).finish();
  const derived = derive(fileKey, fields);
  const header = writer()
    .bytes(MAGIC)
    .u8(VERSION)
    .lp16(concat(fields, derived.subarray(32)))
    .finish();
  return { header, key: derived.subarray(0, 32), prefix };
}

/**
 * Length of what follows the first 11 bytes of a header. Throws `ERR_STORE_VERSION` for an export of a newer version,
 * `ERR_STORE_CORRUPT` for what is no export.
 */
export function headerRestLength(start: Uint8Array): number {
  const r = reader(start);
  const { magic, version } = readFields(r, HEADER_START);
  if (!equal(magic, MAGIC)) throw damaged();
  if (version > VERSION) throw new StoreError('ERR_STORE_VERSION', 'an export of a newer version', { got: version, max: VERSION });
  if (version !== VERSION) throw damaged();
  return r.u16();
}

/** Reads the rest of a header. Throws `ERR_STORE_CORRUPT`. `open` gives the key of the chunks for the file key, and throws so too. */
export function parseHeader(rest: Uint8Array): ExportHeader & { open(fileKey: Uint8Array): OpenExport } {
  try {
    const r = reader(rest);
    const { kind: kindBytes, sealedKey, prefix, commitment } = readFields(r, HEADER);
    const kind = decodeUtf8(kindBytes);
    r.end();
    if (kind === undefined) throw damaged();
    const fields = rest.slice(0, rest.length - 32);
    return {
      kind,
      sealedKey,
      prefix,
      open(fileKey) {
        const derived = derive(fileKey, fields);
        if (!equal(derived.subarray(32), commitment)) throw damaged();
        return { key: derived.subarray(0, 32), prefix };
      },
    };
  } catch (error) {
    throw error instanceof CyphrError ? damaged(error) : error;
  }
}

/** prefix 19 ‖ index u32 ‖ u8 1 for the last chunk. */
function nonce(prefix: Uint8Array, index: number, isLast: boolean): Uint8Array {
  return concat(prefix, u32(index), new Uint8Array([isLast ? 1 : 0]));
}

/** Seals chunk `index`, from 0: exactly 65,536 bytes. */
export function sealChunk({ key, prefix }: OpenExport, index: number, isLast: boolean, chunk: Uint8Array): Uint8Array {
  return xchachaSeal(key, nonce(prefix, index, isLast), new Uint8Array(0), chunk);
}

/** Opens what `sealChunk` made for this place; throws `ERR_STORE_CORRUPT` for anything else. */
export function openChunk({ key, prefix }: OpenExport, index: number, isLast: boolean, sealed: Uint8Array): Uint8Array {
  try {
    return xchachaOpen(key, nonce(prefix, index, isLast), new Uint8Array(0), sealed);
  } catch (error) {
    throw damaged(error);
  }
}

/** How many chunks an export of `contentBytes` has: enough, and rounded up so that at most 12 % more hide the length. */
export function chunkCount(contentBytes: number): number {
  const needed = Math.max(1, Math.ceil(contentBytes / CHUNK_BYTES));
  return needed < 2 ? 1 : padme(needed);
}
