/** The primitives of one backend, and the post-quantum part of the ratchet, as slots: `npm run bench` runs them for both. */

import type { Slot } from '../src/cli/scenarios.js';
import { compositePublicKey, compositeSign, compositeVerify } from '../src/crypto/composite.js';
import { openSeal, seal, sealPublicKey } from '../src/crypto/seal.js';
import * as suite from '../src/crypto/suite.js';
import { braid } from '../src/ratchet/braid/machine.js';
import { startChains, stepChain } from '../src/ratchet/scka.js';
import type { Profile, Rng } from '../src/step.js';

const rng: Rng = (lengthBytes) => globalThis.crypto.getRandomValues(new Uint8Array(lengthBytes));
const message = rng(100);

const own = suite.generateX25519(rng);
const peer = suite.generateX25519(rng);
const kemSeed = rng(64);
const kemKey = suite.mlKem1024.publicKey(kemSeed);
const { kemCiphertext } = suite.mlKem1024.encapsulate(kemKey, rng(32));
const ratchetKemKey = suite.mlKem768.publicKey(kemSeed);
const ratchetKem = suite.mlKem768.encapsulate(ratchetKemKey, rng(32));
const seeds = rng(64);
const signingKey = compositePublicKey(seeds);
const signature = compositeSign(seeds, message, 'login', rng);
const sealSeed = rng(32);
const sealKey = sealPublicKey(sealSeed);
const sealed = seal(sealKey, message, message, message, rng);
const key = rng(32);
const body = rng(512);

/** Costly ones, and cheap ones. */
const few = (run: () => unknown): Slot => slot(4, run);
const many = (run: () => unknown): Slot => slot(200, run);

function slot(count: number, run: () => unknown): Slot {
  return {
    count,
    prepare: () => () => {
      for (let i = 0; i < count; i++) run();
    },
  };
}

/** A message's braid and one step of its chains on each side, in a conversation that goes on from slot to slot. */
function postQuantum(profile: Profile): Slot {
  let sending = braid.start('initiator', profile, key);
  let receiving = braid.start('responder', profile, key);
  const chain = startChains('initiator', key).sending;
  return many(() => {
    const sent = braid.send(sending, profile, rng);
    const received = braid.receive(receiving, sent.message, profile);
    stepChain(chain);
    stepChain(chain);
    [sending, receiving] = [received.next, sent.next];
  });
}

export default (): { slots: Record<string, Slot> } => ({
  slots: {
    'X25519 key pair': few(() => suite.generateX25519(rng)),
    'X25519 agreement': few(() => suite.x25519(own.secretKey, peer.publicKey)),
    'ML-KEM-1024 encapsulate': few(() => suite.mlKem1024.encapsulate(kemKey, rng(32))),
    'ML-KEM-1024 decapsulate': few(() => suite.mlKem1024.decapsulate(kemSeed, kemCiphertext)),
    'ML-KEM-768 encapsulate': few(() => suite.mlKem768.encapsulate(ratchetKemKey, rng(32))),
    'ML-KEM-768 decapsulate': few(() => suite.mlKem768.decapsulate(kemSeed, ratchetKem.kemCiphertext)),
    'composite sign': few(() => compositeSign(seeds, message, 'login', rng)),
    'composite verify': few(() => compositeVerify(signingKey, message, 'login', signature)),
    'X-Wing seal': few(() => seal(sealKey, message, message, message, rng)),
    'X-Wing open': few(() => openSeal(sealSeed, message, message, sealed)),
    'HMAC-SHA-256, 32 B': many(() => suite.hmacSha256(key, key)),
    'HKDF-SHA-256 to 96 B': many(() => suite.hkdfSha256(key, key, message, 96)),
    'ChaCha20-Poly1305 seal, 512 B': many(() => suite.chachaSeal(key, key.subarray(0, 12), message, body)),
    'XChaCha20-Poly1305 seal, 248 B': many(() => suite.xchachaSeal(key, key.subarray(0, 24), message, body.subarray(0, 248))),
    'post-quantum part of a ping-pong message, standard': postQuantum(1),
    'post-quantum part of a ping-pong message, lean': postQuantum(2),
    'post-quantum part of a ping-pong message, wide': postQuantum(3),
  },
});
