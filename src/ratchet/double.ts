/** The Double Ratchet with header encryption, its sending step deferred to the next send (section 4.1). Pure. */

import { copy, equal } from '../bytes.js';
import { generateX25519, isX25519PublicKey, x25519 } from '../crypto/suite.js';
import { decryptFailed, UsageError } from '../errors.js';
import type { Rng, SessionSecrets } from '../step.js';
import type { Header } from '../wire/ratchet-message.js';
import { deriveHeaderKey, deriveNextChainKey, deriveRoot } from './keys.js';
import type { EcState, ReceivingChain } from './state.js';

type Sending = Extract<EcState, { kind: 'sending' }>;

/** Init A: (RK, CKs, NHKs) = KDF_RK(RK0, DH(DHs, SPK_B)). Copies what it keeps of `secrets`. */
export function startInitiator(secrets: SessionSecrets, rng: Rng): EcState {
  const ratchetKeyPair = generateX25519(rng);
  const remoteRatchetKey = copy(secrets.signedPrekey.publicKey);
  const dh = x25519(ratchetKeyPair.secretKey, remoteRatchetKey);
  const { rootKey, chainKey, nextHeaderKey } = deriveRoot(secrets.rootKey, dh);
  dh.fill(0);
  return {
    kind: 'sending',
    rootKey,
    remoteRatchetKey,
    ratchetKeyPair,
    sendingHeaderKey: deriveHeaderKey(copy(secrets.headerKeyA)),
    nextSendingHeaderKey: nextHeaderKey,
    nextReceivingHeaderKey: deriveHeaderKey(copy(secrets.nextHeaderKeyB)),
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
    nextSendingHeaderKey: deriveHeaderKey(copy(secrets.nextHeaderKeyB)),
    nextReceivingHeaderKey: deriveHeaderKey(copy(secrets.headerKeyA)),
  };
}

/** The state that can send: itself, or after the deferred sending step with a fresh DHs. Throws `ERR_NO_SESSION` at a responder that has received nothing. */
export function sendingStep(ec: EcState, rng: Rng): { next: Sending; wipe: readonly Uint8Array[] } {
  if (ec.kind === 'sending') return { next: ec, wipe: [] };
  if (ec.kind === 'awaitingFirst') throw new UsageError('ERR_NO_SESSION', 'the responder cannot send before the first message arrived');
  const ratchetKeyPair = generateX25519(rng);
  const dh = x25519(ratchetKeyPair.secretKey, ec.remoteRatchetKey);
  const { rootKey, chainKey, nextHeaderKey } = deriveRoot(ec.rootKey, dh);
  dh.fill(0);
  const next: Sending = {
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
  return { next, wipe: [ec.rootKey] };
}

/** Checks a header's dh against the key it opened under: new and canonical under NHKr, the known one under HKr. Throws `ERR_DECRYPT`. */
export function checkRatchetKey(ec: EcState, header: Header, underNext: boolean): void {
  const known = ec.kind === 'awaitingFirst' ? ec.ratchetKeyPair.publicKey : ec.remoteRatchetKey;
  const same = equal(header.ratchetKey, known);
  // In `awaitingSend` an honest peer has no key to answer to, so it can't have stepped.
  const allowed = underNext ? ec.kind !== 'awaitingSend' && !same && isX25519PublicKey(header.ratchetKey) : same;
  if (!allowed) throw decryptFailed();
}

/** The DH receive step: a header under NHKr brought a new DHr. The result's receiving chain is at index 0. Throws `ERR_DECRYPT` on a low-order key. */
export function receivingStep(
  ec: Exclude<EcState, { kind: 'awaitingSend' }>,
  remoteRatchetKey: Uint8Array,
): { next: Extract<EcState, { kind: 'awaitingSend' }>; wipe: readonly Uint8Array[] } {
  const dh = x25519(ec.ratchetKeyPair.secretKey, remoteRatchetKey);
  const { rootKey, chainKey, nextHeaderKey } = deriveRoot(ec.rootKey, dh);
  dh.fill(0);
  return {
    next: {
      kind: 'awaitingSend',
      rootKey,
      remoteRatchetKey,
      sendingHeaderKey: ec.nextSendingHeaderKey,
      nextReceivingHeaderKey: nextHeaderKey,
      receiving: { headerKey: ec.nextReceivingHeaderKey, chainKey, n: 0 },
      previousChainLength: ec.kind === 'sending' ? ec.sendIndex : 0,
    },
    wipe: [ec.rootKey, ec.ratchetKeyPair.secretKey, ...(ec.kind === 'sending' ? [ec.sendingChainKey, ec.sendingHeaderKey.key] : [])],
  };
}

/** `ec` with another receiving chain in use. */
export function withReceiving(ec: EcState, receiving: ReceivingChain): EcState {
  return { ...(ec as Exclude<EcState, { kind: 'awaitingFirst' }>), receiving };
}

/** The receiving chain one message on; the old chain key is the caller's to wipe. */
export function stepReceiving({ headerKey, chainKey, n }: ReceivingChain): ReceivingChain {
  return { headerKey, chainKey: deriveNextChainKey(chainKey), n: n + 1 };
}
