/**
 * Somebody who sees everything that travels and all that directories show, and uses a break as well as it can be used: where a primitive
 * holds he guesses, and goes on. With all that he needs broken he must succeed, else the tests would show nothing.
 */

import { concat, u32 } from '../../src/bytes.js';
import { compositeSign } from '../../src/crypto/composite.js';
import { hpkeKeySchedule } from '../../src/crypto/hpke.js';
import { info, type Label } from '../../src/crypto/labels.js';
import { chachaOpen, mlKem768, mlKem1024, sha3_256, x25519 } from '../../src/crypto/suite.js';
import { isCyphrError } from '../../src/errors.js';
import { keyHash, verifyDeviceList } from '../../src/identity/account.js';
import type { VerifiedBundle } from '../../src/pqxdh/bundle.js';
import { deriveKeys, encodeTranscript } from '../../src/pqxdh/transcript.js';
import { acceptRatchet } from '../../src/ratchet/ratchet.js';
import type { SessionSecrets } from '../../src/step.js';
import { type InitFrame, parseSealed } from '../../src/wire/frames.js';
import { unpadSeal } from '../../src/wire/padding.js';
import { testRng } from '../helpers/rng.js';
import type { Leak, State } from '../security/follower.js';
import { solve } from './broken.js';

const guess = testRng('the attacker guesses');
const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** X25519 of two public keys. */
export function agreed(one: Uint8Array, other: Uint8Array): Uint8Array {
  const scalar = solve('x25519', one);
  return scalar === undefined ? guess(32) : x25519(scalar, other);
}

/** The shared secret of a ciphertext to a public key. */
function encapsulated(kem: typeof mlKem768, publicKey: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const seed = solve('mlKem', publicKey);
  return seed === undefined ? guess(32) : kem.decapsulate(seed, ciphertext);
}

/** The shared secret of an X-Wing ciphertext to a public key. */
export function xwingShared(publicKey: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const [publicX, ciphertextX] = [publicKey.subarray(1184), ciphertext.subarray(1088)];
  const fromKem = encapsulated(mlKem768, publicKey.subarray(0, 1184), ciphertext.subarray(0, 1088));
  const label = new Uint8Array([0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c]);
  return sha3_256(concat(fromKem, agreed(publicX, ciphertextX), ciphertextX, publicX, label));
}

/** What `run` gives; `undefined` where the attempt fails as it does for anybody without the keys. */
export function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isCyphrError(error)) return undefined;
    throw error;
  }
}

/** The frame inside a seal. */
export function openedSeal({ address, signedSet }: VerifiedBundle, frame: Uint8Array): Uint8Array | undefined {
  const { setId, sealed, head } = parseSealed(frame);
  const [enc, box] = [sealed.subarray(0, 1120), sealed.subarray(1120)];
  const account = utf8(address.account);
  const binding = info('seal', account, u32(address.device), setId);
  const { key, nonce } = hpkeKeySchedule({ kemId: 0x647a, aeadId: 0x0003 }, xwingShared(signedSet.sealKey, enc), binding);
  return attempt(() => unpadSeal(chachaOpen(key, nonce, head, box)));
}

/** The responder's state at the start of a session, from the Init and the bundle alone. */
export function stateFrom(init: InitFrame, bundle: VerifiedBundle): State {
  const { signedSet, oneTime } = bundle;
  const list = verifyDeviceList(init.deviceList, init.accountKey);
  const entry = list.entries.find(({ device }) => device === init.deviceId)!;
  const kemPrekey = oneTime?.oneTimeKemPrekey ?? signedSet.lastResortKemPrekey;
  const transcript = encodeTranscript({
    profile: init.profile,
    verMin: init.verMin,
    verMax: init.verMax,
    initiator: {
      account: init.account,
      device: init.deviceId,
      accountKeyHash: keyHash(init.accountKey),
      deviceKeyHash: keyHash(init.deviceKey),
      dhKey: entry.dhKey,
    },
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
    ephemeralKey: init.ephemeralKey,
    kemCiphertext: init.kemCiphertext,
  });
  const dhOutputs = [
    agreed(signedSet.signedPrekey, entry.dhKey),
    agreed(bundle.dhKey, init.ephemeralKey),
    agreed(signedSet.signedPrekey, init.ephemeralKey),
    ...(oneTime === undefined ? [] : [agreed(oneTime.oneTimePrekey, init.ephemeralKey)]),
  ];
  const keys = deriveKeys(transcript, dhOutputs, encapsulated(mlKem1024, kemPrekey, init.kemCiphertext));
  const secretKey = solve('x25519', signedSet.signedPrekey) ?? guess(32);
  const secrets: SessionSecrets = {
    role: 'responder',
    profile: init.profile as SessionSecrets['profile'],
    ...keys,
    signedPrekey: { publicKey: signedSet.signedPrekey, secretKey },
  };
  return acceptRatchet(secrets) as State;
}

/** What the public keys and ciphertexts tell of what a sender has drawn: its ratchet key, its KEM key, its encapsulation. */
export function solvedLeak({ ec, scka: { phase } }: State): Leak {
  if (ec.kind !== 'sending') throw new Error('a sender is sending');
  return {
    scalar: solve('x25519', ec.ratchetKeyPair.publicKey) ?? guess(32),
    seed: 'key' in phase ? (solve('mlKem', concat(phase.key.vector, phase.key.header.subarray(0, 32))) ?? null) : null,
    m: 'kem' in phase ? (solve('mlKem', phase.kem.ct1) ?? null) : null,
  };
}

/**
 * Signatures of `message` without the key: each half is nothing, what the owner once signed, or made with a key of the attacker's own.
 * `genuine` is a signature of the owner's over something else, 3,373 bytes.
 */
export function forgeries(message: Uint8Array, label: Label, genuine: Uint8Array): Uint8Array[] {
  const own = compositeSign(guess(64), message, label, guess);
  const halves = [new Uint8Array(3373), genuine, own];
  return halves.flatMap((mlDsa) => halves.map((ed25519) => concat(mlDsa.subarray(0, 3309), ed25519.subarray(3309))));
}
