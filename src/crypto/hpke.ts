/** The key schedule of HPKE (RFC 9180 section 5.1) in base mode with HKDF-SHA-256, for any KEM and a 32-byte AEAD key. */

import { concat, encodeUtf8, wipe } from '../bytes.js';
import { hkdfExpandSha256, hkdfExtractSha256 } from './suite.js';

/** The identifiers of an HPKE suite (RFC 9180 section 7). The KDF is always 0x0001, HKDF-SHA-256. */
export interface HpkeSuite {
  readonly kemId: number;
  readonly aeadId: number;
}

/** What the schedule yields for the first and only message: `key` 32 bytes, `nonce` (base_nonce) 12. The caller wipes both. */
export interface HpkeKeys {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
}

const KDF_ID = 0x0001;
const VERSION = /* @__PURE__ */ encodeUtf8('HPKE-v1')!;
const MODE_BASE = new Uint8Array([0]);
const EMPTY = new Uint8Array(0);

/** KeySchedule(mode_base, shared_secret, info) of RFC 9180 section 5.1; `sharedSecret` is the KEM's and stays the caller's. */
export function hpkeKeySchedule(suite: HpkeSuite, sharedSecret: Uint8Array, info: Uint8Array): HpkeKeys {
  const suiteId = concat(encodeUtf8('HPKE')!, u16(suite.kemId), u16(KDF_ID), u16(suite.aeadId));

  const labeledExtract = (salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array => {
    const labeled = concat(VERSION, suiteId, encodeUtf8(label)!, ikm);
    const prk = hkdfExtractSha256(salt, labeled);
    wipe(labeled);
    return prk;
  };
  const labeledExpand = (prk: Uint8Array, label: string, context: Uint8Array, lengthBytes: number): Uint8Array =>
    hkdfExpandSha256(prk, concat(u16(lengthBytes), VERSION, suiteId, encodeUtf8(label)!, context), lengthBytes);

  const context = concat(MODE_BASE, labeledExtract(EMPTY, 'psk_id_hash', EMPTY), labeledExtract(EMPTY, 'info_hash', info));
  const secret = labeledExtract(sharedSecret, 'secret', EMPTY);
  const keys = { key: labeledExpand(secret, 'key', context, 32), nonce: labeledExpand(secret, 'base_nonce', context, 12) };
  wipe(secret);
  return keys;
}

function u16(value: number): Uint8Array {
  return new Uint8Array([value >>> 8, value]);
}
