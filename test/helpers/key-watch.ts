import { toHex } from '../../src/bytes.js';
import type * as sealing from '../../src/pqxdh/seal.js';
import type * as keys from '../../src/ratchet/keys.js';
import { FRAME_INIT, FRAME_SEALED, frameType, parseInit } from '../../src/wire/frames.js';

/**
 * Knows which message key every frame on the wire was made with. A test file mocks two modules with it:
 *
 *     vi.mock('../../src/ratchet/keys.js', async (original) => (await import('../helpers/key-watch.js')).watchKeys(await original()));
 *     vi.mock('../../src/pqxdh/seal.js', async (original) => (await import('../helpers/key-watch.js')).watchSeals(await original()));
 */
const prkOfNonce = new Map<string, string>();
const innerOfSealed = new Map<string, Uint8Array>();

/** The ratchet's derivations, which note under which key each header nonce was made: only encryption makes one. */
export function watchKeys(original: typeof keys): typeof keys {
  return {
    ...original,
    deriveHeaderNonce(prk, random, contentHash) {
      const nonce = original.deriveHeaderNonce(prk, random, contentHash);
      prkOfNonce.set(toHex(nonce), toHex(prk));
      return nonce;
    },
  };
}

/** The encapsulation is as good as the frame: no two have the same. */
const nameOf = (sealed: Uint8Array): string => toHex(sealed.subarray(12, 76));

/** Sealing, which notes what is inside. */
export function watchSeals(original: typeof sealing): typeof sealing {
  return {
    ...original,
    sealFrame(recipient, setId, sealKey, innerFrame, rng) {
      const sealed = original.sealFrame(recipient, setId, sealKey, innerFrame, rng);
      innerOfSealed.set(nameOf(sealed), innerFrame);
      return sealed;
    },
  };
}

/** Forgets the frames of an earlier run: they are many. */
export function forgetFrames(): void {
  prkOfNonce.clear();
  innerOfSealed.clear();
}

/** The ratchet message in an envelope, whatever it is wrapped in. */
export function ratchetMessage(envelope: Uint8Array): Uint8Array {
  const inner = frameType(envelope) === FRAME_SEALED ? innerOfSealed.get(nameOf(envelope)) : envelope;
  if (inner === undefined) throw new Error('a sealed frame that nobody sealed');
  return frameType(inner) === FRAME_INIT ? parseInit(inner).ratchetMessage : inner;
}

/** Two different messages on the wire under one message key, if there are any: there must be none. */
export function keysUsedTwice(envelopes: readonly Uint8Array[]): string[] {
  const messageOf = new Map<string, string>();
  const twice: string[] = [];
  for (const envelope of envelopes) {
    const message = ratchetMessage(envelope);
    const prk = prkOfNonce.get(toHex(message.subarray(20, 44)));
    if (prk === undefined) throw new Error('a message that nobody encrypted');
    const hex = toHex(message);
    const earlier = messageOf.get(prk);
    if (earlier !== undefined && earlier !== hex) twice.push(prk);
    messageOf.set(prk, hex);
  }
  return twice;
}
