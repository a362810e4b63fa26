/**
 * Measures one backend and prints the figures as JSON: `node --import tsx [-C cyphr-noble] bench/suite.ts`.
 * `npm run bench` runs it for both and compares.
 */

import { measure } from 'mitata';
import { compositePublicKey, compositeSign, compositeVerify } from '../src/crypto/composite.js';
import { openSeal, seal, sealPublicKey } from '../src/crypto/seal.js';
import * as suite from '../src/crypto/suite.js';
import { generateDevice } from '../src/identity/index.js';
import { sealFrame } from '../src/pqxdh/handshake.js';
import { accept, generatePrekeys, initiate, verifyBundle } from '../src/pqxdh/index.js';
import { braid } from '../src/ratchet/braid/machine.js';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../src/ratchet/index.js';
import { startChains, stepChain } from '../src/ratchet/scka.js';
import type { BundleBytes, Profile, Rng } from '../src/step.js';
import { parseInit } from '../src/wire/frames.js';

const rng: Rng = (lengthBytes) => {
  const out = new Uint8Array(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 65_536) globalThis.crypto.getRandomValues(out.subarray(at, at + 65_536));
  return out;
};
const nowMs = Date.now();
const message = rng(100);

/** Figures of one run: microseconds (median), and bytes. */
export interface Figures {
  readonly node: string;
  readonly microseconds: Record<string, number>;
  readonly bytes: Record<string, number>;
}

const microseconds: Record<string, number> = {};
const bytes: Record<string, number> = {};

async function time(name: string, fn: () => unknown): Promise<void> {
  fn();
  const { p50 } = await measure(fn, { min_cpu_time: 300e6, min_samples: 12 });
  microseconds[name] = p50 / 1_000;
}

// Primitives.
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

await time('X25519 key pair', () => suite.generateX25519(rng));
await time('X25519 agreement', () => suite.x25519(own.secretKey, peer.publicKey));
await time('ML-KEM-1024 encapsulate', () => suite.mlKem1024.encapsulate(kemKey, rng(32)));
await time('ML-KEM-1024 decapsulate', () => suite.mlKem1024.decapsulate(kemSeed, kemCiphertext));
await time('ML-KEM-768 encapsulate', () => suite.mlKem768.encapsulate(ratchetKemKey, rng(32)));
await time('ML-KEM-768 decapsulate', () => suite.mlKem768.decapsulate(kemSeed, ratchetKem.kemCiphertext));
await time('composite sign', () => compositeSign(seeds, message, 'login', rng));
await time('composite verify', () => compositeVerify(signingKey, message, 'login', signature));
await time('X-Wing seal', () => seal(sealKey, message, message, message, rng));
await time('X-Wing open', () => openSeal(sealSeed, message, message, sealed));
await time('HMAC-SHA-256, 32 B', () => suite.hmacSha256(key, key));
await time('HKDF-SHA-256 to 96 B', () => suite.hkdfSha256(key, key, message, 96));
await time('ChaCha20-Poly1305 seal, 512 B', () => suite.chachaSeal(key, key.subarray(0, 12), message, body));
await time('XChaCha20-Poly1305 seal, 248 B', () => suite.xchachaSeal(key, key.subarray(0, 24), message, body.subarray(0, 248)));

// A session.
const alice = generateDevice('alice', rng, nowMs);
const bob = generateDevice('bob', rng, nowMs);
const { next: prekeys, out: published } = generatePrekeys(bob, rng, nowMs);
const { address, identity, signedSet, batch } = published;
const bundle: BundleBytes = { address, identity, signedSet, oneTime: { head: batch!.head, entry: batch!.entries[0]! } };
const verified = verifyBundle(bundle, undefined, nowMs);

function establish(profile: Profile): { initiator: RatchetState; responder: RatchetState; prefix: Uint8Array; frame: Uint8Array } {
  const { secrets, prefix } = initiate(alice, verified, profile, rng, nowMs);
  const first = encrypt(initiateRatchet(secrets, rng), message, rng);
  const init = new Uint8Array([...prefix, ...first.out]);
  const accepted = accept(prekeys, bob, init, nowMs).out;
  const opened = decrypt(acceptRatchet(accepted.secrets), accepted.ratchetMessage);
  return { initiator: first.next, responder: opened.next, prefix, frame: init };
}

await time('verify a bundle', () => verifyBundle(bundle, undefined, nowMs));
await time('establish a session (initiate, accept, first message)', () => establish(1));

/** Messages of one conversation: enough for several epochs of the post-quantum ratchet at every chunk size. */
const CONVERSATION = 400;

/**
 * Mean over a whole conversation, after one to warm up, µs of processor time per message: the agreement's costly steps are rare, a
 * median would hide them, and a mean of the clock would count what else the machine does.
 */
function mean(message: (i: number) => void): number {
  const conversation = (): void => {
    for (let i = 0; i < CONVERSATION; i++) message(i);
  };
  conversation();
  const start = process.cpuUsage();
  conversation();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / CONVERSATION;
}

for (const profile of [1, 2, 3] as const) {
  let { initiator: a, responder: b } = establish(profile);
  let largestState = 0;
  const oneWay = (): void => {
    const sent = encrypt(a, message, rng);
    a = sent.next;
    b = decrypt(b, sent.out).next;
  };
  const pingPong = (i: number): void => {
    oneWay();
    [a, b] = [b, a];
    if (i % 20 === 0) largestState = Math.max(largestState, encodeState(a).length, encodeState(b).length);
  };
  await time(`one-way message, 100 B, profile ${profile}`, oneWay);
  const epochBefore = a.pq.sending.epoch;
  microseconds[`ping-pong message, 100 B, profile ${profile} (mean)`] = mean(pingPong);
  bytes[`messages per epoch, ping-pong, profile ${profile}`] = Math.round((2 * CONVERSATION) / (a.pq.sending.epoch - epochBefore));
  bytes[`message of 100 B, profile ${profile}`] = encrypt(a, message, rng).out.length;
  bytes[`largest state, profile ${profile}`] = largestState;

  // The post-quantum part alone: the braid and one step of its chains on each side.
  let x = braid.start('initiator', profile, key);
  let y = braid.start('responder', profile, key);
  const chain = startChains('initiator', key).sending;
  microseconds[`  of it post-quantum, profile ${profile} (mean)`] = mean(() => {
    const sent = braid.send(x, profile, rng);
    const received = braid.receive(y, sent.message, profile);
    stepChain(chain);
    stepChain(chain);
    [x, y] = [received.next, sent.next];
  });
}

const { initiator, responder, frame } = establish(1);
const reply = encrypt(responder, message, rng);
const settled = decrypt(initiator, reply.out).next;
const encoded = encodeState(settled);
await time('encode the state', () => encodeState(settled));
await time('decode the state', () => decodeState(encoded));
let ahead = settled;
let last: Uint8Array = new Uint8Array();
for (let i = 0; i < 1_000; i++) {
  const step = encrypt(ahead, message, rng);
  ahead = step.next;
  last = step.out;
}
bytes['bundle'] = identity.length + signedSet.length + bundle.oneTime!.head.length + bundle.oneTime!.entry.length;
bytes['first flight, sealed'] = sealFrame(address, parseInit(frame).setId, verified.signedSet.sealKey, frame, rng).length;
bytes['state'] = encoded.length;
bytes['state with 999 skipped keys'] = encodeState(decrypt(reply.next, last).next).length;

process.stdout.write(JSON.stringify({ node: process.version, microseconds, bytes } satisfies Figures));
