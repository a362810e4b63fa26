import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/bytes.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { SessionSecrets } from '../../src/step.js';
import { codeOf } from '../helpers/expect-code.js';
import { makeRatchetVectors, type RatchetVectors, type Role, type VectorStep } from '../helpers/ratchet-vectors.js';
import { ReferenceRatchet } from '../helpers/reference-ratchet.js';
import { ratchetOver, text } from '../helpers/sessions.js';

const vectors = JSON.parse(readFileSync(new URL('../../test-vectors/ratchet.json', import.meta.url), 'utf8')) as RatchetVectors;
const bytes = (hex: string): Uint8Array => fromHex(hex)!;

/** What a `send` draws, in order, the ratchet key apart: one implementation draws it here, another when it receives. */
function drawsOf({ nonceRandom, ratchetSecretKey, kemSeed, kemRandom }: Extract<VectorStep, { op: 'send' }>) {
  const present = (...hex: (string | undefined)[]): Uint8Array[] => hex.filter((each) => each !== undefined).map(bytes);
  return { nonce: present(nonceRandom), ratchetKey: present(ratchetSecretKey), kem: present(kemSeed, kemRandom) };
}

function secrets(role: Role): SessionSecrets {
  const publicKey = bytes(vectors.signedPrekeyPublicKey);
  return {
    role,
    profile: vectors.profile,
    transcriptHash: bytes(vectors.transcriptHash),
    rootKey: bytes(vectors.rootKey),
    headerKeyA: bytes(vectors.headerKeyA),
    nextHeaderKeyB: bytes(vectors.nextHeaderKeyB),
    sckaSecret: bytes(vectors.sckaSecret),
    signedPrekey: { publicKey, secretKey: role === 'responder' ? bytes(vectors.signedPrekeySecretKey) : new Uint8Array(0) },
  };
}

describe('test-vectors/ratchet.json', () => {
  it('is what its generator makes', () => {
    expect(makeRatchetVectors()).toEqual(vectors);
  });

  it('is played by this implementation, frame by frame', () => {
    const ratchet = ratchetOver(braid);
    const states: Record<Role, RatchetState> = {
      initiator: initiateRatchet(secrets('initiator'), () => bytes(vectors.initiatorRatchetSecretKey)),
      responder: ratchet.start(secrets('responder'), () => new Uint8Array(0)),
    };
    const frames: Uint8Array[] = [];
    for (const step of vectors.steps) {
      if (step.op === 'send') {
        const { nonce, ratchetKey, kem } = drawsOf(step);
        const random = [...nonce, ...ratchetKey, ...kem];
        const { next, out } = encrypt(states[step.from], text(step.plaintext), () => random.shift()!);
        expect(random).toEqual([]);
        expect(toHex(out)).toBe(step.frame);
        frames.push(out);
        states[step.from] = next;
      } else if (step.op === 'receive') {
        const { next, out } = decrypt(decodeState(encodeState(states[step.to])), frames[step.message]!);
        expect(out).toEqual(text(step.plaintext));
        states[step.to] = next;
      } else {
        expect([step.why, codeOf(() => decrypt(states[step.to], bytes(step.frame)))]).toEqual([step.why, step.code]);
      }
    }
    expect(frames).toHaveLength(100);
    // Both have agreed on four epochs, and used them.
    for (const { pq } of Object.values(states)) expect(Math.min(pq.sending.epoch, pq.receiving.epoch)).toBe(4);
  });

  it('is played by a second implementation, frame by frame', () => {
    // It draws a ratchet key when it receives, this library when it sends next: the keys come from a queue in the order of use.
    const player = (role: Role) => {
      const keys = vectors.steps.flatMap((step) => (step.op === 'send' && step.from === role ? drawsOf(step).ratchetKey : []));
      if (role === 'initiator') keys.unshift(bytes(vectors.initiatorRatchetSecretKey));
      const random: Uint8Array[] = [];
      const unused = new Uint8Array(32).fill(1);
      return { random, ratchet: new ReferenceRatchet(braid, secrets(role), () => random.shift() ?? keys.shift() ?? unused) };
    };
    const players = { initiator: player('initiator'), responder: player('responder') };
    const frames: string[] = [];
    for (const step of vectors.steps) {
      if (step.op === 'send') {
        const { random, ratchet } = players[step.from];
        const { nonce, kem } = drawsOf(step);
        random.push(...nonce, ...kem);
        expect(ratchet.encrypt(text(step.plaintext)).toString('hex')).toBe(step.frame);
        expect(random).toEqual([]);
        frames.push(step.frame);
      } else if (step.op === 'receive') {
        expect(players[step.to].ratchet.decrypt(bytes(frames[step.message]!)).toString()).toBe(step.plaintext);
      }
    }
  });
});
