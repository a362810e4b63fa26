/**
 * The eleven states of the ML-KEM Braid (section 4.7) and their encoding.
 *
 * ```
 *   holder of the decapsulation key                       encapsulating side
 *
 *   keysUnsampled ◀──────── Ct2Sampled, e+1 arrives ──── ct2Sampled
 *        │ send Hdr                                           ▲
 *   keysSampled                                noHeaderReceived │
 *        │ Ct1 arrives                              │ Hdr whole │
 *   headerSent ── send Ek                      headerReceived   │
 *        │ Ct1 whole                                │ send Ct1  │ encaps2
 *   ct1Received ── send EkCt1Ack               ct1Sampled ──────┤ Ek whole and acknowledged
 *        │ Ct2 arrives                           │      │       │
 *   ekSentCt1Received ── send Ct1Ack   Ek whole  │      │ acknowledged
 *        │ Ct2 whole: decaps, e+1                ▼      ▼       │
 *        ▼                       ekReceivedCt1Sampled  ct1Acknowledged
 *   noHeaderReceived                             └──────┴───────┘
 * ```
 *
 * The sides change after every epoch. Pure data: knows how a state is written, not what it does.
 */

import { isZero } from '../../bytes.js';
import {
  KEM_CT1_BYTES,
  KEM_CT2_BYTES,
  KEM_HEADER_BYTES,
  KEM_VECTOR_BYTES,
  mlKem768Header,
  mlKem768Vector,
} from '../../crypto/incremental-mlkem.js';
import { mlKem768 } from '../../crypto/suite.js';
import { wireLimits } from '../../limits.js';
import type { Profile } from '../../step.js';
import { malformed, type Reader, reader, type Writer, writer } from '../../wire/codec.js';
import { CHUNK_BYTES } from '../../wire/ratchet-message.js';
import { type Authenticator, MAC_BYTES } from './authenticator.js';
import { addChunk, type ErasureDecoder, startDecoder } from './erasure.js';

/** Lengths of the four pieces, in bytes. */
export const PIECE_BYTES = {
  /** hdr ‖ mac */
  header: KEM_HEADER_BYTES + MAC_BYTES,
  ct1: KEM_CT1_BYTES,
  vector: KEM_VECTOR_BYTES,
  /** ct2 ‖ mac */
  ct2: KEM_CT2_BYTES + MAC_BYTES,
} as const;

/** The decapsulation key as its 64-byte seed, and the two parts of the encapsulation key that it gives: computed once, never written. */
export interface HeldKey {
  readonly seed: Uint8Array;
  /** hdr: ρ ‖ hek, 64 bytes. */
  readonly header: Uint8Array;
  /** 1,152 bytes. */
  readonly vector: Uint8Array;
}

/** The encapsulation that is under way: the header it answers, its randomness m (32 bytes, secret), and ct1. */
export interface Encapsulating {
  readonly header: Uint8Array;
  readonly m: Uint8Array;
  readonly ct1: Uint8Array;
}

/** What differs between the states. `index` is the chunk that the next message carries. */
export type BraidPhase =
  | { readonly kind: 'keysUnsampled' }
  | { readonly kind: 'keysSampled'; readonly key: HeldKey; readonly index: number }
  | { readonly kind: 'headerSent'; readonly key: HeldKey; readonly index: number; readonly ct1: ErasureDecoder }
  | { readonly kind: 'ct1Received'; readonly key: HeldKey; readonly index: number; readonly ct1: Uint8Array }
  | { readonly kind: 'ekSentCt1Received'; readonly key: HeldKey; readonly ct1: Uint8Array; readonly ct2: ErasureDecoder }
  | { readonly kind: 'noHeaderReceived'; readonly header: ErasureDecoder }
  | { readonly kind: 'headerReceived'; readonly header: Uint8Array }
  | { readonly kind: 'ct1Sampled'; readonly kem: Encapsulating; readonly index: number; readonly vector: ErasureDecoder }
  | { readonly kind: 'ekReceivedCt1Sampled'; readonly kem: Encapsulating; readonly index: number; readonly vector: Uint8Array }
  | { readonly kind: 'ct1Acknowledged'; readonly kem: Encapsulating; readonly vector: ErasureDecoder }
  | { readonly kind: 'ct2Sampled'; readonly piece: Uint8Array; readonly index: number };

/** A state of the braid. Immutable and secret. */
export interface BraidState {
  /** e, from 1. */
  readonly epoch: number;
  readonly auth: Authenticator;
  readonly phase: BraidPhase;
}

/**
 * Whether a decoded state can be the one of a session with `profile` whose newest chain epoch is `newestEpoch`: the chunks have the
 * profile's size, and the chains of e are there exactly if k_e is agreed on this side.
 */
export function fitsSession({ epoch, phase }: BraidState, profile: Profile, newestEpoch: number): boolean {
  const hasAgreed = 'kem' in phase || phase.kind === 'ct2Sampled';
  const chunked = Object.values(phase).filter((part): part is ErasureDecoder => typeof part === 'object' && 'chunkBytes' in part);
  return newestEpoch === (hasAgreed ? epoch : epoch - 1) && chunked.every(({ chunkBytes }) => chunkBytes === CHUNK_BYTES[profile]);
}

/** The key that a 64-byte seed gives. */
export function heldKey(seed: Uint8Array): HeldKey {
  const encapsulationKey = mlKem768.publicKey(seed);
  return { seed, header: mlKem768Header(encapsulationKey), vector: mlKem768Vector(encapsulationKey) };
}

const KINDS: readonly BraidPhase['kind'][] = [
  'keysUnsampled',
  'keysSampled',
  'headerSent',
  'ct1Received',
  'ekSentCt1Received',
  'noHeaderReceived',
  'headerReceived',
  'ct1Sampled',
  'ekReceivedCt1Sampled',
  'ct1Acknowledged',
  'ct2Sampled',
];

function writeDecoder(w: Writer, { chunkBytes, chunks }: ErasureDecoder): void {
  w.u16(chunkBytes).u16(chunks.length);
  for (const { index, chunk } of chunks) w.u16(index).bytes(chunk, chunkBytes);
}

const CHUNK_SIZES = Object.values(CHUNK_BYTES);

/** A decoder that still waits for a chunk: no state keeps a whole piece in one. */
function readDecoder(r: Reader, lengthBytes: number): ErasureDecoder {
  const chunkBytes = r.u16();
  const count = r.u16();
  if (!CHUNK_SIZES.includes(chunkBytes) || count >= Math.ceil(lengthBytes / chunkBytes)) throw malformed('chunks');
  let decoder = startDecoder(lengthBytes, chunkBytes);
  for (let left = count; left > 0; left--) {
    const next = addChunk(decoder, r.u16(), r.bytes(chunkBytes));
    if (next === decoder) throw malformed('chunks');
    decoder = next;
  }
  return decoder;
}

function writeKem(w: Writer, { header, m, ct1 }: Encapsulating): void {
  w.bytes(header, KEM_HEADER_BYTES).bytes(m, 32).bytes(ct1, KEM_CT1_BYTES);
}

function readSecret(r: Reader, lengthBytes: number): Uint8Array {
  const secret = r.bytes(lengthBytes);
  if (isZero(secret)) throw malformed('zero secret');
  return secret;
}

function readKem(r: Reader): Encapsulating {
  return { header: r.bytes(KEM_HEADER_BYTES), m: readSecret(r, 32), ct1: r.bytes(KEM_CT1_BYTES) };
}

/** Encodes a state: kind u8 ‖ e u32 ‖ root 32 ‖ mac 32 ‖ what the kind holds, in the order of its type. Secret. */
export function encodeBraid({ epoch, auth, phase }: BraidState): Uint8Array {
  const w = writer().u8(KINDS.indexOf(phase.kind)).u32(epoch).bytes(auth.root, 32).bytes(auth.mac, 32);
  switch (phase.kind) {
    case 'keysUnsampled':
      break;
    case 'keysSampled':
      w.bytes(phase.key.seed, 64).u16(phase.index);
      break;
    case 'headerSent':
      w.bytes(phase.key.seed, 64).u16(phase.index);
      writeDecoder(w, phase.ct1);
      break;
    case 'ct1Received':
      w.bytes(phase.key.seed, 64).u16(phase.index).bytes(phase.ct1, KEM_CT1_BYTES);
      break;
    case 'ekSentCt1Received':
      w.bytes(phase.key.seed, 64).bytes(phase.ct1, KEM_CT1_BYTES);
      writeDecoder(w, phase.ct2);
      break;
    case 'noHeaderReceived':
      writeDecoder(w, phase.header);
      break;
    case 'headerReceived':
      w.bytes(phase.header, KEM_HEADER_BYTES);
      break;
    case 'ct1Sampled':
      writeKem(w, phase.kem);
      w.u16(phase.index);
      writeDecoder(w, phase.vector);
      break;
    case 'ekReceivedCt1Sampled':
      writeKem(w, phase.kem);
      w.u16(phase.index).bytes(phase.vector, KEM_VECTOR_BYTES);
      break;
    case 'ct1Acknowledged':
      writeKem(w, phase.kem);
      writeDecoder(w, phase.vector);
      break;
    case 'ct2Sampled':
      w.bytes(phase.piece, PIECE_BYTES.ct2).u16(phase.index);
      break;
  }
  return w.finish();
}

/** Reads `encodeBraid`. Throws `ERR_DECODE` for anything malformed, and for a secret that is zero. */
export function decodeBraid(bytes: Uint8Array): BraidState {
  const r = reader(bytes);
  const kind = KINDS[r.u8()];
  const epoch = r.u32();
  if (kind === undefined || epoch === 0 || epoch > wireLimits.counterMax) throw malformed('braid state');
  const auth: Authenticator = { root: readSecret(r, 32), mac: readSecret(r, 32) };
  const phase = readPhase(r, kind);
  r.end();
  return { epoch, auth, phase };
}

function readPhase(r: Reader, kind: BraidPhase['kind']): BraidPhase {
  switch (kind) {
    case 'keysUnsampled':
      return { kind };
    case 'keysSampled':
      return { kind, key: heldKey(readSecret(r, 64)), index: r.u16() };
    case 'headerSent':
      return { kind, key: heldKey(readSecret(r, 64)), index: r.u16(), ct1: readDecoder(r, PIECE_BYTES.ct1) };
    case 'ct1Received':
      return { kind, key: heldKey(readSecret(r, 64)), index: r.u16(), ct1: r.bytes(KEM_CT1_BYTES) };
    case 'ekSentCt1Received':
      return { kind, key: heldKey(readSecret(r, 64)), ct1: r.bytes(KEM_CT1_BYTES), ct2: readDecoder(r, PIECE_BYTES.ct2) };
    case 'noHeaderReceived':
      return { kind, header: readDecoder(r, PIECE_BYTES.header) };
    case 'headerReceived':
      return { kind, header: r.bytes(KEM_HEADER_BYTES) };
    case 'ct1Sampled':
      return { kind, kem: readKem(r), index: r.u16(), vector: readDecoder(r, PIECE_BYTES.vector) };
    case 'ekReceivedCt1Sampled':
      return { kind, kem: readKem(r), index: r.u16(), vector: r.bytes(KEM_VECTOR_BYTES) };
    case 'ct1Acknowledged':
      return { kind, kem: readKem(r), vector: readDecoder(r, PIECE_BYTES.vector) };
    case 'ct2Sampled':
      return { kind, piece: r.bytes(PIECE_BYTES.ct2), index: r.u16() };
  }
}
