/**
 * Safety numbers (section 10b): what two people compare, as digits or as a QR payload.
 *
 * Knows two accounts and their identities; what a match means for trust is the client's.
 */

import { compare, concat, encodeUtf8, equal } from '../bytes.js';
import { PX } from '../crypto/labels.js';
import { sha512 } from '../crypto/suite.js';
import { DecodeError } from '../errors.js';
import { accountBytes, reader, writer } from '../wire/codec.js';
import { readFields, writeFields } from '../wire/layout.js';

/** One side of a comparison: an account and H(AIK), 64 bytes. */
export interface SafetyIdentity {
  readonly account: string;
  readonly accountKeyHash: Uint8Array;
}

/** Hash iterations: they make a search for a colliding number as expensive as Signal's. */
const ITERATIONS = 5_200;
const QR_MAGIC = encodeUtf8(PX)!;
const QR_VERSION = 1;
/** A QR payload; `magic` is `CYPHR/1 `. */
export const SAFETY_QR = { magic: 8, version: 'u8', ownAccount: 'account', ownHash: 64, peerAccount: 'account', peerHash: 64 } as const;

/**
 * The safety number of `own` and `peer`. `digits` is the same on both sides: 60 digits in groups of five, the smaller half first.
 * `qr` is this side's payload: `CYPHR/1 ` 8 ‖ version u8 = 1 ‖ lp16 own account ‖ own H(AIK) 64 ‖ lp16 peer account ‖ peer H(AIK) 64.
 * Takes about 10,400 hashes.
 */
export function safetyNumber(own: SafetyIdentity, peer: SafetyIdentity): { readonly digits: string; readonly qr: Uint8Array } {
  const digits = [half(own), half(peer)].sort().join('').match(/.{5}/g)!.join(' ');
  const qr = writeFields(writer(), SAFETY_QR, {
    magic: QR_MAGIC,
    version: QR_VERSION,
    ownAccount: own.account,
    ownHash: own.accountKeyHash,
    peerAccount: peer.account,
    peerHash: peer.accountKeyHash,
  }).finish();
  return { digits, qr };
}

/** What scanning the other person's code shows. */
export type SafetyComparison = 'match' | 'mismatch' | 'other-person' | 'unreadable';

/**
 * Compares a scanned payload, made by the other person, with what this side believes: `match` if both identities agree,
 * `mismatch` if one differs, `other-person` if it is about other accounts, `unreadable` if it is no such payload. Never throws.
 */
export function compareSafetyQr(own: SafetyIdentity, peer: SafetyIdentity, scanned: Uint8Array): SafetyComparison {
  const code = parseQr(scanned);
  if (code === undefined) return 'unreadable';
  if (code.own.account !== peer.account || code.peer.account !== own.account) return 'other-person';
  const agrees = equal(code.own.accountKeyHash, peer.accountKeyHash) && equal(code.peer.accountKeyHash, own.accountKeyHash);
  return agrees ? 'match' : 'mismatch';
}

function parseQr(bytes: Uint8Array): { readonly own: SafetyIdentity; readonly peer: SafetyIdentity } | undefined {
  try {
    const from = reader(bytes);
    const { magic, version, ownAccount, ownHash, peerAccount, peerHash } = readFields(from, SAFETY_QR);
    from.end();
    if (compare(magic, QR_MAGIC) !== 0 || version !== QR_VERSION) return undefined;
    return { own: { account: ownAccount, accountKeyHash: ownHash }, peer: { account: peerAccount, accountKeyHash: peerHash } };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** 30 digits of one side: h₀ = 0x0000 ‖ H(AIK) ‖ accountId, hᵢ₊₁ = SHA-512(hᵢ ‖ H(AIK)), six 5-byte groups modulo 100,000. */
function half({ account, accountKeyHash }: SafetyIdentity): string {
  let hash: Uint8Array = concat(new Uint8Array(2), accountKeyHash, accountBytes(account));
  for (let i = 0; i < ITERATIONS; i++) hash = sha512(concat(hash, accountKeyHash));
  let digits = '';
  for (let group = 0; group < 6; group++) {
    const number = hash.subarray(5 * group, 5 * group + 5).reduce((value, byte) => value * 256 + byte, 0);
    digits += String(number % 100_000).padStart(5, '0');
  }
  return digits;
}
