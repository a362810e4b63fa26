/** Shapes that several layers share: the step of a state machine, its inputs, and what passes between siblings. */

import { isZero } from './bytes.js';
import { UsageError } from './errors.js';

/**
 * The result of one step of a pure state machine. The caller commits `next` before `out` leaves the process, then fills every
 * buffer of `wipe` with zeros. `wipe` shares no buffer with `next` or `out`. A step that throws has changed nothing.
 */
export interface Step<S, O> {
  readonly next: S;
  readonly out: O;
  readonly wipe: readonly Uint8Array[];
}

/** Returns `lengthBytes` fresh random bytes in a buffer that the caller owns. */
export type Rng = (lengthBytes: number) => Uint8Array;

/** Draws from `rng`; throws `ERR_ARGUMENT` if the result is short, or zero: a broken generator must not found a key. */
export function draw(rng: Rng, lengthBytes: number): Uint8Array {
  const bytes = rng(lengthBytes);
  if (!(bytes instanceof Uint8Array) || bytes.length !== lengthBytes || isZero(bytes)) {
    throw new UsageError('ERR_ARGUMENT', 'the random generator is broken', { field: 'rng' });
  }
  return bytes;
}

/** Milliseconds since 1970. */
export type Now = () => number;

/** One device of one account. `device` is a u32 from 1 to 2³¹−1. */
export interface Address {
  readonly account: string;
  readonly device: number;
}

/** Names a ratchet message within its session, without saying anything of its content: its chain by tag, 16 bytes, and its number there. */
export interface MessageName {
  readonly tag: Uint8Array;
  readonly n: number;
}

/** A key pair; `secretKey` is the scalar or the seed, as the function that made it says. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** What a device publishes. All bytes are signed and opaque to the directory. */
export interface DeviceKeys {
  readonly address: Address;
  /** AIK 1984 ‖ lp16(DeviceList TBS‖sig) ‖ DIK 1984. */
  readonly identity: Uint8Array;
  /** SignedSet TBS‖sig. */
  readonly signedSet: Uint8Array;
  /** One batch of one-time prekeys; `head` is OneTimeBatch TBS‖sig, an entry is otId 8 ‖ index u16 ‖ OPK 32 ‖ PQOPK 1568 ‖ k u8 ‖ k×32. */
  readonly batch?: { readonly id: string; readonly head: Uint8Array; readonly entries: readonly Uint8Array[] } | undefined;
}

/** What a directory hands out for one device: the same bytes, with at most one one-time entry. */
export interface BundleBytes {
  readonly address: Address;
  readonly identity: Uint8Array;
  readonly signedSet: Uint8Array;
  readonly oneTime?: { readonly head: Uint8Array; readonly entry: Uint8Array } | undefined;
}

/** SCKA profile: 1 = 192-byte chunks, 2 = 32, 3 = 1152. */
export type Profile = 1 | 2 | 3;

/** What a handshake hands to the ratchet, and nobody else. Every buffer is secret but `transcriptHash` and public keys. */
export interface SessionSecrets {
  readonly role: 'initiator' | 'responder';
  readonly profile: Profile;
  /** TH = SHA-512(T), 64 bytes; the session's associated data. */
  readonly transcriptHash: Uint8Array;
  /** RK0, 32 bytes. */
  readonly rootKey: Uint8Array;
  /** HKa, 32 bytes: header key of the initiator's first chain. */
  readonly headerKeyA: Uint8Array;
  /** NHKb, 32 bytes: header key of the responder's first chain. */
  readonly nextHeaderKeyB: Uint8Array;
  /** SCKA_SK, 32 bytes. */
  readonly sckaSecret: Uint8Array;
  /** The responder's signed prekey: the pair on the responder's side; on the initiator's, the public half and an empty secret. */
  readonly signedPrekey: KeyPair;
}
