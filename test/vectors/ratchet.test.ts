import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/bytes.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { SessionSecrets } from '../../src/step.js';
import { codeOf } from '../helpers/expect-code.js';
import { makeRatchetVectors, type RatchetVectors, type Role } from '../helpers/ratchet-vectors.js';
import { ReferenceRatchet } from '../helpers/reference-ratchet.js';
import { ratchetOver, text } from '../helpers/sessions.js';

const vectors = JSON.parse(readFileSync(new URL('../../test-vectors/ratchet.json', import.meta.url), 'utf8')) as RatchetVectors;
const bytes = (hex: string): Uint8Array => fromHex(hex)!;

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
        const random = [step.nonceRandom, ...(step.ratchetSecretKey === undefined ? [] : [step.ratchetSecretKey])].map(bytes);
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
    expect(frames).toHaveLength(60);
  });

  it('is played by a second implementation, frame by frame', () => {
    // It draws a ratchet key when it receives, this library when it sends next: the keys come from a queue in the order of use.
    const players = Object.fromEntries(
      (['initiator', 'responder'] as const).map((role) => {
        const keys = vectors.steps.flatMap((step) => (step.op === 'send' && step.from === role ? (step.ratchetSecretKey ?? []) : []));
        if (role === 'initiator') keys.unshift(vectors.initiatorRatchetSecretKey);
        const random = { nonce: '' };
        const unused = '01'.repeat(32);
        const rng = (): Uint8Array => bytes(random.nonce === '' ? (keys.shift() ?? unused) : random.nonce);
        return [role, { random, ratchet: new ReferenceRatchet(braid, secrets(role), rng) }];
      }),
    ) as Record<Role, { random: { nonce: string }; ratchet: ReferenceRatchet<null> }>;
    const frames: string[] = [];
    for (const step of vectors.steps) {
      if (step.op === 'send') {
        const { random, ratchet } = players[step.from];
        random.nonce = step.nonceRandom;
        expect(ratchet.encrypt(text(step.plaintext)).toString('hex')).toBe(step.frame);
        random.nonce = '';
        frames.push(step.frame);
      } else if (step.op === 'receive') {
        expect(players[step.to].ratchet.decrypt(bytes(frames[step.message]!)).toString()).toBe(step.plaintext);
      }
    }
  });
});
