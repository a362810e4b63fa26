/**
 * PQXDH (sections 2.3 and 2.4): one flight from the initiator gives both sides the same secrets.
 *
 * initiate: VerifiedBundle → secrets, Init.   acceptInit: Init → bounds → replay → pin → signatures → DHs and decapsulation.
 * Knows keys and transcripts; knows no ratchet and no store. A step that throws has changed nothing; secrets of one call are wiped
 * before it returns.
 */

import { copy, equal, isZero, wipe } from '../bytes.js';
import { compositeSign, compositeVerify } from '../crypto/composite.js';
import { generateX25519, mlKem1024, x25519, x25519KeyPair } from '../crypto/suite.js';
import { AuthError, decryptFailed, ReplayError, TrustError } from '../errors.js';
import { bundleFault, keyHash, type VerifiedDeviceList, verifyDeviceList } from '../identity/account.js';
import type { DeviceSecrets } from '../identity/device.js';
import type { Address, Profile, Rng, SessionSecrets, Step } from '../step.js';
import { accountBytes, VERSION } from '../wire/codec.js';
import { encodeInit, type InitFrame, parseInit } from '../wire/frames.js';
import { newerList, requireVerified, type VerifiedBundle } from './bundle.js';
import { consume, findSet, findUnit, type PrekeyState, type SeenRow, seenKey } from './prekeys.js';
import { deriveKeys, encodeTranscript, type HandshakeKeys, initIdOf, MODE, NO_ONE_TIME, type Party } from './transcript.js';

export { openFrame, sealFrame } from './seal.js';

/** What an initiator gets. `secrets` goes to the ratchet and nowhere else. */
export interface Initiation {
  readonly secrets: SessionSecrets;
  /** Init without its ratchet message. */
  readonly prefix: Uint8Array;
  /** 16 bytes; never on the wire outside a session. */
  readonly sessionId: Uint8Array;
  /** The recipient's set, 8 bytes, and its SEAL key, 1,216 bytes. */
  readonly setId: Uint8Array;
  readonly sealKey: Uint8Array;
}

/**
 * Starts a session (section 2.3). `bundle` is at most 24 hours old; `profile` is one that it allows.
 * Draws 96 bytes from `rng`. The ephemeral key and all intermediate secrets are wiped before it returns.
 * Throws `ERR_ARGUMENT` for a bundle that `verifyBundle` did not make, `ERR_BUNDLE` for a profile that it doesn't allow, a set
 * that expired since, or keys of small order.
 */
export function initiate(device: DeviceSecrets, bundle: VerifiedBundle, profile: Profile, rng: Rng, nowMs: number): Initiation {
  requireVerified(bundle);
  const { signedSet, oneTime } = bundle;
  if (!allows(signedSet.profiles, profile) || nowMs > signedSet.notAfter) throw bundleFault();

  const ephemeral = generateX25519(rng);
  const random = rng(32);
  const secrets: Uint8Array[] = [ephemeral.secretKey, random];
  const agree = (secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array => {
    let shared: Uint8Array;
    try {
      shared = x25519(secretKey, publicKey);
    } catch (cause) {
      throw cause instanceof AuthError ? bundleFault(cause) : cause;
    }
    secrets.push(shared);
    return shared;
  };
  try {
    const dhOutputs = [
      agree(device.dhKey.secretKey, signedSet.signedPrekey),
      agree(ephemeral.secretKey, bundle.dhKey),
      agree(ephemeral.secretKey, signedSet.signedPrekey),
    ];
    if (oneTime !== undefined) dhOutputs.push(agree(ephemeral.secretKey, oneTime.oneTimePrekey));
    const kemPrekey = oneTime?.oneTimeKemPrekey ?? signedSet.lastResortKemPrekey;
    const { kemCiphertext, kemSharedSecret } = mlKem1024.encapsulate(kemPrekey, random);
    secrets.push(kemSharedSecret);

    const transcript = encodeTranscript({
      profile,
      verMin: VERSION,
      verMax: VERSION,
      initiator: ownParty(device),
      responder: {
        ...bundle.address,
        accountKeyHash: bundle.accountKeyHash,
        deviceKeyHash: signedSet.deviceKeyHash,
        dhKey: bundle.dhKey,
      },
      setHash: signedSet.hash,
      setId: signedSet.setId,
      signedPrekey: signedSet.signedPrekey,
      kemPrekey,
      oneTime,
      ephemeralKey: ephemeral.publicKey,
      kemCiphertext,
    });
    const prefix = encodeInit({
      mode: MODE,
      profile,
      verMin: VERSION,
      verMax: VERSION,
      accountId: accountBytes(device.account),
      deviceId: device.device,
      setId: signedSet.setId,
      otId: oneTime?.otId ?? NO_ONE_TIME,
      ephemeralKey: ephemeral.publicKey,
      kemCiphertext,
      accountKey: device.accountKey.publicKey,
      deviceKey: device.deviceKey.publicKey,
      deviceList: device.deviceList,
      signature: compositeSign(device.deviceKey.secretKey, transcript, 'hs/sig', rng),
    });
    const { sessionId, ...keys } = deriveKeys(transcript, dhOutputs, kemSharedSecret);
    return {
      secrets: { role: 'initiator', profile, ...keys, signedPrekey: { publicKey: signedSet.signedPrekey, secretKey: new Uint8Array() } },
      prefix,
      sessionId,
      setId: signedSet.setId,
      sealKey: signedSet.sealKey,
    };
  } finally {
    wipe(...secrets);
  }
}

/** What the responder remembers of the claimed initiator. */
export interface AcceptContext {
  /** Pinned H(AIK), 64 bytes. */
  readonly pinnedIdentity?: Uint8Array | undefined;
  /** Newest DeviceList TBS‖sig that verified before. */
  readonly storedList?: Uint8Array | undefined;
}

/** What a responder gets. `secrets` goes to the ratchet; the step is committed only once `ratchetMessage` has decrypted. */
export interface Acceptance {
  readonly secrets: SessionSecrets;
  readonly ratchetMessage: Uint8Array;
  /** No one-time unit was used: the flight can come again after this device loses its state. */
  readonly replayable: boolean;
  readonly sessionId: Uint8Array;
  readonly initId: Uint8Array;
  /** The initiator, as its signature proves it; whose account it is, is what the pin or a person says. */
  readonly peer: {
    readonly address: Address;
    readonly accountKeyHash: Uint8Array;
    readonly accountKey: Uint8Array;
    readonly deviceKeyHash: Uint8Array;
    readonly dhKey: Uint8Array;
    readonly list: VerifiedDeviceList;
  };
  /** The initiator's list is past `freshUntil`. */
  readonly listIsStale: boolean;
}

/** The row of an Init that was accepted before, byte for byte the same up to its signature. */
export function findSeen(prekeys: PrekeyState, init: InitFrame): SeenRow | undefined {
  const row = prekeys.seen.get(seenKey(init.setId, init.otId, init.ephemeralKey));
  return row !== undefined && equal(row.initId, initIdOf(init.signedPart)) ? row : undefined;
}

/**
 * Accepts an Init (section 2.4, steps 2 to 6), cheapest check first; no secret is used before the signature verified.
 * `next` lacks the one-time unit and holds the seen row; `wipe` is the unit's secrets. `out.secrets` shares no buffer with `next`.
 * Throws `ERR_KEY_GONE` for an unknown set or a used unit, `ERR_DUPLICATE` for an Init that was seen, `ERR_IDENTITY_CHANGED` for
 * another identity than the pinned one, `ERR_DEVICE_UNTRUSTED` for a device that is not in the list, `ERR_DECRYPT` for all else.
 */
export function acceptInit(
  prekeys: PrekeyState,
  device: DeviceSecrets,
  init: InitFrame,
  context: AcceptContext,
  nowMs: number,
): Step<PrekeyState, Acceptance> {
  const set = findSet(prekeys, init.setId);
  if (set === undefined) throw new ReplayError('ERR_KEY_GONE', 'no secrets for this set', { field: 'setId' });
  const profile = advertised(init, set.profiles);

  const key = seenKey(init.setId, init.otId, init.ephemeralKey);
  if (prekeys.seen.has(key)) throw new ReplayError('ERR_DUPLICATE', 'first flight was seen before');
  const oneTime = isZero(init.otId) ? undefined : findUnit(prekeys, init.otId);
  if (oneTime === undefined && !isZero(init.otId)) throw new ReplayError('ERR_KEY_GONE', 'no secrets for this unit', { field: 'otId' });

  const accountKeyHash = keyHash(init.accountKey);
  if (context.pinnedIdentity !== undefined && !equal(context.pinnedIdentity, accountKeyHash)) {
    throw new TrustError('ERR_IDENTITY_CHANGED', 'the identity is not the pinned one');
  }
  const list = verifiedList(init, context.storedList);
  const deviceKeyHash = keyHash(init.deviceKey);
  const entry = list.entries.find((listed) => listed.device === init.deviceId && equal(listed.keyHash, deviceKeyHash));
  if (entry === undefined) throw new TrustError('ERR_DEVICE_UNTRUSTED', 'device is not in the list of its account');

  const address = { account: init.account, device: init.deviceId };
  const signedPrekey = x25519KeyPair(set.signedPrekeySecret);
  const unitDh = oneTime === undefined ? undefined : x25519KeyPair(oneTime.unit.dhSecret);
  const kemSeed = oneTime?.unit.kemSeed ?? set.lastResortSeed;
  const transcript = encodeTranscript({
    profile,
    verMin: init.verMin,
    verMax: init.verMax,
    initiator: { ...address, accountKeyHash, deviceKeyHash, dhKey: entry.dhKey },
    responder: ownParty(device),
    setHash: set.hash,
    setId: set.setId,
    signedPrekey: signedPrekey.publicKey,
    kemPrekey: mlKem1024.publicKey(kemSeed),
    oneTime: oneTime && unitDh && { batchHash: oneTime.batch.hash, otId: oneTime.unit.otId, oneTimePrekey: unitDh.publicKey },
    ephemeralKey: init.ephemeralKey,
    kemCiphertext: init.kemCiphertext,
  });
  if (!compositeVerify(init.deviceKey, transcript, 'hs/sig', init.signature)) throw decryptFailed();

  const { sessionId, ...keys } = agreeAsResponder(transcript, kemSeed, init.kemCiphertext, [
    [signedPrekey.secretKey, entry.dhKey],
    [device.dhKey.secretKey, init.ephemeralKey],
    [signedPrekey.secretKey, init.ephemeralKey],
    ...(unitDh === undefined ? [] : [[unitDh.secretKey, init.ephemeralKey] as const]),
  ]);
  const initId = initIdOf(init.signedPart);
  return {
    next: consume(prekeys, oneTime?.unit, key, { setId: init.setId, otId: init.otId, initId, sessionId }),
    out: {
      // The ratchet wipes its copy; the prekey stays.
      secrets: { role: 'responder', profile, ...keys, signedPrekey: { ...signedPrekey, secretKey: copy(signedPrekey.secretKey) } },
      ratchetMessage: init.ratchetMessage,
      replayable: oneTime === undefined,
      sessionId,
      initId,
      peer: { address, accountKeyHash, accountKey: init.accountKey, deviceKeyHash, dhKey: entry.dhKey, list },
      listIsStale: nowMs > list.freshUntil,
    },
    wipe: oneTime === undefined ? [] : [oneTime.unit.dhSecret, oneTime.unit.kemSeed],
  };
}

/**
 * Accepts an Init frame (0x10, as `openFrame` returns it) from anybody, without a pin. Commit `next` only once `ratchetMessage` has
 * decrypted under `secrets`. Throws what `acceptInit` throws, and a `DecodeError`.
 */
export function accept(
  prekeys: PrekeyState,
  device: DeviceSecrets,
  initMessage: Uint8Array,
  nowMs: number,
): Step<PrekeyState, Pick<Acceptance, 'secrets' | 'ratchetMessage' | 'replayable'>> {
  const { next, out, wipe: used } = acceptInit(prekeys, device, parseInit(initMessage), {}, nowMs);
  const { secrets, ratchetMessage, replayable } = out;
  return { next, out: { secrets, ratchetMessage, replayable }, wipe: used };
}

/** Whether a set's bits allow this profile, which is one of ours: a shift alone would take 33 for 1. */
function allows(profiles: number, profile: number): profile is Profile {
  return (profile === 1 || profile === 2 || profile === 3) && (profiles & (1 << (profile - 1))) !== 0;
}

/** The profile of an Init whose mode and version are ours and whose profile the set allows; else `ERR_DECRYPT`. */
function advertised({ mode, profile, verMin, verMax }: InitFrame, profiles: number): Profile {
  if (mode !== MODE || verMin > VERSION || verMax < VERSION || !allows(profiles, profile)) throw decryptFailed();
  return profile;
}

/** The newer of the stapled and the stored list, under the Init's own AIK; every fault is `ERR_DECRYPT`. */
function verifiedList(init: InitFrame, storedList: Uint8Array | undefined): VerifiedDeviceList {
  try {
    const list = newerList(verifyDeviceList(init.deviceList, init.accountKey), storedList, init.accountKey);
    if (list.account === init.account) return list;
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
  }
  throw decryptFailed();
}

function agreeAsResponder(
  transcript: Uint8Array,
  kemSeed: Uint8Array,
  kemCiphertext: Uint8Array,
  pairs: readonly (readonly [secretKey: Uint8Array, publicKey: Uint8Array])[],
): HandshakeKeys {
  const secrets: Uint8Array[] = [];
  try {
    for (const [secretKey, publicKey] of pairs) secrets.push(x25519(secretKey, publicKey));
    const kemSharedSecret = mlKem1024.decapsulate(kemSeed, kemCiphertext);
    const keys = deriveKeys(transcript, secrets, kemSharedSecret);
    wipe(kemSharedSecret);
    return keys;
  } finally {
    wipe(...secrets);
  }
}

function ownParty(device: DeviceSecrets): Party {
  return {
    account: device.account,
    device: device.device,
    accountKeyHash: keyHash(device.accountKey.publicKey),
    deviceKeyHash: keyHash(device.deviceKey.publicKey),
    dhKey: device.dhKey.publicKey,
  };
}
