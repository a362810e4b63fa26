/** The Double Ratchet with header encryption, its sending step deferred to the next send (section 4.1). Pure. */

import { copy, equal } from '../bytes.js';
import { isX25519PublicKey, x25519, x25519KeyPair } from '../crypto/suite.js';
import { decryptFailed, UsageError } from '../errors.js';
import { draw, type KeyPair, type Rng, type SessionSecrets } from '../step.js';
import { deriveHeaderKey, deriveNextChainKey, deriveRoot, type RootStep } from './keys.js';
import type { EcState, ReceivingChain } from './state.js';

/** The state that can send. */
export type Sending = Extract<EcState, { kind: 'sending' }>;
/** The state after a DH receive step: it holds no secret that an old message was encrypted under. */
export type AwaitingSend = Extract<EcState, { kind: 'awaitingSend' }>;
/** The states that a new ratchet key of the peer can reach. */
export type Steppable = Exclude<EcState, AwaitingSend>;

/** Init A: (RK, CKs, NHKs) = KDF_RK(RK0, DH(DHs, SPK_B)). Copies what it keeps of `secrets`. Throws `ERR_DECRYPT` on a low-order SPK_B. */
export function startInitiator(secrets: SessionSecrets, rng: Rng): EcState {
  const ratchetKeyPair = generateRatchetKey(rng);
  const remoteRatchetKey = copy(secrets.signedPrekey.publicKey);
  const { rootKey, chainKey, nextHeaderKey } = rootStep(secrets.rootKey, ratchetKeyPair, remoteRatchetKey);
  return {
    kind: 'sending',
    rootKey,
    remoteRatchetKey,
    ratchetKeyPair,
    sendingHeaderKey: deriveHeaderKey(secrets.headerKeyA),
    nextSendingHeaderKey: nextHeaderKey,
    nextReceivingHeaderKey: deriveHeaderKey(secrets.nextHeaderKeyB),
    sendingChainKey: chainKey,
    sendIndex: 0,
    previousChainLength: 0,
    receiving: null,
  };
}

/** Init B: DHs = the signed prekey pair, RK = RK0, NHKr = HKa, NHKs = NHKb. Copies what it keeps of `secrets`. */
export function startResponder(secrets: SessionSecrets): EcState {
  const { publicKey, secretKey } = secrets.signedPrekey;
  return {
    kind: 'awaitingFirst',
    rootKey: copy(secrets.rootKey),
    ratchetKeyPair: { publicKey: copy(publicKey), secretKey: copy(secretKey) },
    nextSendingHeaderKey: deriveHeaderKey(secrets.nextHeaderKeyB),
    nextReceivingHeaderKey: deriveHeaderKey(secrets.headerKeyA),
  };
}

/** The state that can send: itself, or after the deferred sending step with a fresh DHs. Throws `ERR_NO_SESSION` at a responder that has received nothing. */
export function sendingStep(ec: EcState, rng: Rng): Sending {
  if (ec.kind === 'sending') return ec;
  if (ec.kind === 'awaitingFirst') throw new UsageError('ERR_NO_SESSION', 'the responder cannot send before the first message arrived');
  const ratchetKeyPair = generateRatchetKey(rng);
  const { rootKey, chainKey, nextHeaderKey } = rootStep(ec.rootKey, ratchetKeyPair, ec.remoteRatchetKey);
  return {
    kind: 'sending',
    rootKey,
    remoteRatchetKey: ec.remoteRatchetKey,
    ratchetKeyPair,
    sendingHeaderKey: ec.sendingHeaderKey,
    nextSendingHeaderKey: nextHeaderKey,
    nextReceivingHeaderKey: ec.nextReceivingHeaderKey,
    sendingChainKey: chainKey,
    sendIndex: 0,
    previousChainLength: ec.previousChainLength,
    receiving: ec.receiving,
  };
}

/** Checks a header's dh against the key it opened under: new and canonical under NHKr, the known one under HKr. Throws `ERR_DECRYPT`. */
export function checkRatchetKey(ec: EcState, ratchetKey: Uint8Array, underNext: boolean): void {
  const isKnown = ec.kind !== 'awaitingFirst' && equal(ratchetKey, ec.remoteRatchetKey);
  // In `awaitingSend` an honest peer has no key to answer to, so it can't have stepped.
  const allowed = underNext ? ec.kind !== 'awaitingSend' && !isKnown && isX25519PublicKey(ratchetKey) : isKnown;
  if (!allowed) throw decryptFailed();
}

/**
 * The DH receive step: a header under NHKr brought a new DHr. The result's receiving chain is at index 0, and DHs.sk, CKs and NHKs
 * are gone. Throws `ERR_DECRYPT` on a low-order key.
 */
export function receivingStep(ec: Steppable, remoteRatchetKey: Uint8Array): AwaitingSend {
  const { rootKey, chainKey, nextHeaderKey } = rootStep(ec.rootKey, ec.ratchetKeyPair, remoteRatchetKey);
  return {
    kind: 'awaitingSend',
    rootKey,
    remoteRatchetKey,
    sendingHeaderKey: ec.nextSendingHeaderKey,
    nextReceivingHeaderKey: nextHeaderKey,
    receiving: { headerKey: ec.nextReceivingHeaderKey, chainKey, n: 0 },
    previousChainLength: ec.kind === 'sending' ? ec.sendIndex : 0,
  };
}

/** `ec` with its receiving chain further on; only a state that has one receives. */
export function withReceiving(ec: EcState, receiving: ReceivingChain): EcState {
  return { ...(ec as Sending | AwaitingSend), receiving };
}

/** The receiving chain one message on; the old chain key is the caller's to wipe. */
export function stepReceiving({ headerKey, chainKey, n }: ReceivingChain): ReceivingChain {
  return { headerKey, chainKey: deriveNextChainKey(chainKey), n: n + 1 };
}

function generateRatchetKey(rng: Rng): KeyPair {
  return x25519KeyPair(draw(rng, 32));
}

function rootStep(rootKey: Uint8Array, { secretKey }: KeyPair, remoteRatchetKey: Uint8Array): RootStep {
  const dh = x25519(secretKey, remoteRatchetKey);
  const step = deriveRoot(rootKey, dh);
  dh.fill(0);
  return step;
}
