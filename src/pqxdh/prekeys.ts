/**
 * What a device publishes so that others can start sessions, and the secrets behind it (section 2.2).
 *
 * Knows generation, rotation, retention and use of prekeys; knows no handshake. State holds secrets only: public halves are
 * computed where they are needed. Dates decide what is published and when secrets go, never whether something decrypts.
 */

import { concat, equal, isZero, toHex } from '../bytes.js';
import { compositeSign } from '../crypto/composite.js';
import { sealPublicKey } from '../crypto/seal.js';
import { generateX25519, mlKem1024, sha256, sha512, x25519KeyPair } from '../crypto/suite.js';
import { UsageError } from '../errors.js';
import { keyHash } from '../identity/account.js';
import { type DeviceSecrets, identityBytes } from '../identity/device.js';
import { keyLimits } from '../limits.js';
import type { DeviceKeys, Rng, Step } from '../step.js';
import { SUITE, VERSION } from '../wire/codec.js';
import { encodeBatch, encodeOneTimeEntry, encodeSignedSet } from '../wire/objects.js';
import { leafHash, merklePath, merkleRoot } from './merkle.js';

export { decodePrekeys, decodeSeen, encodePrekeys, encodeSeen } from './records.js';

/** Profiles that this library speaks: bits 0 to 2. */
const PROFILES = 0b111;

/** Secrets of one SignedSet. */
export interface SetSecrets {
  readonly setId: Uint8Array;
  /** SPK's secret, 32 bytes. */
  readonly signedPrekeySecret: Uint8Array;
  /** Seed of PQLR, 64 bytes. */
  readonly lastResortSeed: Uint8Array;
  /** Seed of SEAL, 32 bytes. */
  readonly sealSeed: Uint8Array;
  /** H(SignedSet), 64 bytes. */
  readonly hash: Uint8Array;
  readonly seq: number;
  readonly profiles: number;
  readonly issuedAt: number;
  /** When the publication of a newer set was acknowledged; the secrets live 45 d longer. */
  readonly supersededAt: number | undefined;
}

/** Secrets of one unit: OPK's secret 32 bytes, PQOPK's seed 64 bytes. */
export interface UnitSecrets {
  readonly otId: Uint8Array;
  readonly dhSecret: Uint8Array;
  readonly kemSeed: Uint8Array;
}

/** Secrets of one batch: the units that were not used yet. */
export interface BatchSecrets {
  readonly batchId: Uint8Array;
  /** H(OneTimeBatch), 64 bytes. */
  readonly hash: Uint8Array;
  readonly notAfter: number;
  readonly units: readonly UnitSecrets[];
}

/** An Init that was accepted. */
export interface SeenRow {
  readonly setId: Uint8Array;
  readonly otId: Uint8Array;
  /** 32 bytes. */
  readonly initId: Uint8Array;
  /** 16 bytes. */
  readonly sessionId: Uint8Array;
}

/** All prekey secrets of a device, and the Inits that were accepted with them. Secret and immutable; opaque to applications. */
export interface PrekeyState {
  /** Oldest first; the last one is the newest. At least one. */
  readonly sets: readonly SetSecrets[];
  /** The newest set as published: TBS‖sig. */
  readonly signedSet: Uint8Array;
  readonly batches: readonly BatchSecrets[];
  /** By `seenKey`. */
  readonly seen: ReadonlyMap<string, SeenRow>;
}

/** Key of a seen row: lowercase hex of SHA-256(setId ‖ otId ‖ EKA). */
export function seenKey(setId: Uint8Array, otId: Uint8Array, ephemeralKey: Uint8Array): string {
  return toHex(sha256(concat(setId, otId, ephemeralKey)));
}

/**
 * Makes a device's first set and batch. `out` is what to publish; nothing to wipe.
 * Throws `ERR_ARGUMENT` with `field: 'rng'` if the random source repeats itself or gives zeros.
 */
export function generatePrekeys(device: DeviceSecrets, rng: Rng, nowMs: number): Step<PrekeyState, DeviceKeys> {
  const set = makeSet(device, nowMs, rng, nowMs);
  const batch = makeBatch(device, rng, nowMs);
  const next = { sets: [set.secrets], signedSet: set.signed, batches: [batch.secrets], seen: new Map() };
  return { next, out: { ...deviceKeys(next, device), batch: batch.published }, wipe: [] };
}

/** What the device publishes at present, without a batch: after its list changed, or to publish again. */
export function deviceKeys(state: PrekeyState, device: DeviceSecrets): DeviceKeys {
  return {
    address: { account: device.account, device: device.device },
    identity: identityBytes(device),
    signedSet: state.signedSet,
  };
}

/**
 * Makes what is due: a new set after 7 d or above 10,000 seen rows, a new batch below 20 units (up to 8 with unused units); and drops secrets past their
 * retention together with their seen rows. `remainingCount` is what the directory has left; without it, what was not used yet.
 * `out` is what to publish, `undefined` if nothing is; `next` is `state` itself if nothing changed. `wipe` holds the dropped secrets.
 * Throws `ERR_ARGUMENT` as `generatePrekeys` does.
 */
export function rotatePrekeys(
  state: PrekeyState,
  device: DeviceSecrets,
  rng: Rng,
  nowMs: number,
  remainingCount: number | undefined,
): Step<PrekeyState, DeviceKeys | undefined> {
  const newest = state.sets.at(-1)!;
  const seenCount = countSeen(state);
  const set = setIsDue(newest, seenCount, nowMs) ? makeSet(device, Math.max(newest.seq + 1, nowMs), rng, nowMs) : undefined;
  const usable = state.batches.filter((batch) => nowMs <= batch.notAfter).reduce((count, batch) => count + batch.units.length, 0);
  // Whoever says that none are left, or fetches them all, must not make this device keep ever more secrets.
  const mayAdd = state.batches.filter((held) => held.units.length > 0).length < keyLimits.batchesHeldCount;
  const batch = mayAdd && (remainingCount ?? usable) < keyLimits.batchRefillBelow ? makeBatch(device, rng, nowMs) : undefined;

  // A newest set with that many rows has just been replaced, so at least one set stays.
  const keepSet = (held: SetSecrets): boolean =>
    seenOf(seenCount, held) < keyLimits.seenDeleteSet &&
    (held.supersededAt === undefined || nowMs < held.supersededAt + keyLimits.setSecretsMs || wasBehind(held, nowMs));
  // Only together with the sets of its time: a clock that is ahead for an hour must not cost what the directory goes on handing out.
  const keepBatch = (held: BatchSecrets): boolean =>
    nowMs < held.notAfter + keyLimits.batchSecretsMs || state.sets.some((set) => keepSet(set) && set.issuedAt <= held.notAfter);
  const dropped = [
    ...state.sets.filter((held) => !keepSet(held)).flatMap(setBuffers),
    ...state.batches.filter((held) => !keepBatch(held)).flatMap(batchBuffers),
  ];
  if (set === undefined && batch === undefined && dropped.length === 0) return { next: state, out: undefined, wipe: [] };

  const sets = [...state.sets.filter(keepSet), ...(set === undefined ? [] : [set.secrets])];
  const kept = new Set(sets.map((held) => toHex(held.setId)));
  const next = {
    sets,
    signedSet: set?.signed ?? state.signedSet,
    batches: [...state.batches.filter(keepBatch), ...(batch === undefined ? [] : [batch.secrets])],
    seen: new Map([...state.seen].filter(([, row]) => kept.has(toHex(row.setId)))),
  };
  const out = set === undefined && batch === undefined ? undefined : { ...deviceKeys(next, device), batch: batch?.published };
  return { next, out, wipe: dropped };
}

/** A set that was superseded before it was made, and is of the past now: the clock was behind meanwhile, and its 45 d have not begun. */
function wasBehind({ issuedAt, supersededAt = issuedAt }: SetSecrets, nowMs: number): boolean {
  return supersededAt < issuedAt && issuedAt <= nowMs;
}

/** The publication of the newest set was acknowledged at `nowMs`: the older ones' 45 d begin. Returns `state` if they had begun. */
export function prekeysPublished(state: PrekeyState, nowMs: number): PrekeyState {
  const waiting = (set: SetSecrets): boolean => set !== state.sets.at(-1) && (set.supersededAt === undefined || wasBehind(set, nowMs));
  if (!state.sets.some(waiting)) return state;
  return { ...state, sets: state.sets.map((set) => (waiting(set) ? { ...set, supersededAt: nowMs } : set)) };
}

/** The set that `setId` names, if its secrets are still there. */
export function findSet(state: PrekeyState, setId: Uint8Array): SetSecrets | undefined {
  return state.sets.find((set) => equal(set.setId, setId));
}

/** The unused unit that `otId` names, with its batch. */
export function findUnit(state: PrekeyState, otId: Uint8Array): { readonly batch: BatchSecrets; readonly unit: UnitSecrets } | undefined {
  for (const batch of state.batches) {
    const unit = batch.units.find((held) => equal(held.otId, otId));
    if (unit !== undefined) return { batch, unit };
  }
  return undefined;
}

/** `state` after an Init was accepted: its row added, its unit gone. The unit's buffers are the caller's to wipe. */
export function consume(state: PrekeyState, unit: UnitSecrets | undefined, key: string, row: SeenRow): PrekeyState {
  return {
    ...state,
    batches: state.batches.map((batch) =>
      unit !== undefined && batch.units.includes(unit) ? { ...batch, units: batch.units.filter((held) => held !== unit) } : batch,
    ),
    seen: new Map(state.seen).set(key, row),
  };
}

function setIsDue(newest: SetSecrets, seenCount: ReadonlyMap<string, number>, nowMs: number): boolean {
  // Also when a clock that was ahead went back: else nothing would rotate for as long as it had been ahead.
  return Math.abs(nowMs - newest.issuedAt) >= keyLimits.setRotationMs || seenOf(seenCount, newest) > keyLimits.seenNewSet;
}

function countSeen(state: PrekeyState): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { setId } of state.seen.values()) counts.set(toHex(setId), (counts.get(toHex(setId)) ?? 0) + 1);
  return counts;
}

function seenOf(counts: ReadonlyMap<string, number>, set: SetSecrets): number {
  return counts.get(toHex(set.setId)) ?? 0;
}

function setBuffers(set: SetSecrets): Uint8Array[] {
  return [set.signedPrekeySecret, set.lastResortSeed, set.sealSeed];
}

function batchBuffers(batch: BatchSecrets): Uint8Array[] {
  return batch.units.flatMap((unit) => [unit.dhSecret, unit.kemSeed]);
}

function makeSet(
  device: DeviceSecrets,
  seq: number,
  rng: Rng,
  nowMs: number,
): { readonly secrets: SetSecrets; readonly signed: Uint8Array } {
  const spk = generateX25519(rng);
  const lastResortSeed = rng(64);
  const sealSeed = rng(32);
  const setId = rng(8);
  const tbs = encodeSignedSet({
    account: device.account,
    device: device.device,
    deviceKeyHash: keyHash(device.deviceKey.publicKey),
    incarnation: device.incarnation,
    seq,
    notAfter: nowMs + keyLimits.setLifetimeMs,
    verMin: VERSION,
    verMax: VERSION,
    suites: [SUITE],
    profiles: PROFILES,
    setId,
    signedPrekey: spk.publicKey,
    lastResortKemPrekey: mlKem1024.publicKey(lastResortSeed),
    sealKey: sealPublicKey(sealSeed),
  });
  const secrets: SetSecrets = {
    setId,
    signedPrekeySecret: spk.secretKey,
    lastResortSeed,
    sealSeed,
    hash: sha512(tbs),
    seq,
    profiles: PROFILES,
    issuedAt: nowMs,
    supersededAt: undefined,
  };
  return { secrets, signed: concat(tbs, compositeSign(device.deviceKey.secretKey, tbs, 'pk/set', rng)) };
}

function makeBatch(
  device: DeviceSecrets,
  rng: Rng,
  nowMs: number,
): { readonly secrets: BatchSecrets; readonly published: NonNullable<DeviceKeys['batch']> } {
  const batchId = rng(8);
  const units = Array.from({ length: keyLimits.batchUnitCount }, () => ({ otId: rng(8), dhSecret: rng(32), kemSeed: rng(64) }));
  const distinct = new Set(units.map((unit) => toHex(unit.otId)));
  if (distinct.size !== units.length || units.some((unit) => isZero(unit.otId))) {
    throw new UsageError('ERR_ARGUMENT', 'the random source repeats itself', { field: 'rng' });
  }
  const entries = units.map((unit, index) => ({
    otId: unit.otId,
    index,
    oneTimePrekey: x25519KeyPair(unit.dhSecret).publicKey,
    oneTimeKemPrekey: mlKem1024.publicKey(unit.kemSeed),
  }));
  const leaves = entries.map((entry) => leafHash(batchId, entry));
  const notAfter = nowMs + keyLimits.batchLifetimeMs;
  const tbs = encodeBatch({
    account: device.account,
    device: device.device,
    deviceKeyHash: keyHash(device.deviceKey.publicKey),
    batchId,
    count: units.length,
    notAfter,
    root: merkleRoot(leaves),
  });
  return {
    secrets: { batchId, hash: sha512(tbs), notAfter, units },
    published: {
      id: toHex(batchId),
      head: concat(tbs, compositeSign(device.deviceKey.secretKey, tbs, 'pk/batch', rng)),
      entries: entries.map((entry) => encodeOneTimeEntry({ ...entry, path: merklePath(leaves, entry.index) })),
    },
  };
}
