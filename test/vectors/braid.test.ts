import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/bytes.js';
import { sha256 } from '../../src/crypto/suite.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from '../../src/ratchet/index.js';
import type { SckaMessage } from '../../src/ratchet/scka.js';
import type { SessionSecrets } from '../../src/step.js';
import { seededRng } from '../../src/testing/rng.js';
import { type BraidVectors, makeBraidVectors, type VectorMessage } from '../helpers/braid-vectors.js';
import {
  type ConversationVectors,
  committed,
  finalOf,
  makeConversationVectors,
  plaintextOf,
  type Role,
} from '../helpers/conversation-vectors.js';
import { codeOf } from '../helpers/expect-code.js';

const load = (name: string): unknown => JSON.parse(readFileSync(new URL(`../../test-vectors/${name}`, import.meta.url), 'utf8'));
const bytes = (hex: string): Uint8Array => fromHex(hex)!;

describe('test-vectors/braid.json', () => {
  const vectors = load('braid.json') as BraidVectors;
  const state = (name: string) => braid.decode(bytes(vectors.states[name]!));
  const stateOf = (next: Parameters<typeof braid.encode>[0]): string => toHex(braid.encode(next));
  const parsed = (message: VectorMessage): SckaMessage => ({ ...message, chunk: bytes(message.chunk) });
  const secretOf = (emitted: { secret: Uint8Array } | null): string | undefined => (emitted === null ? undefined : toHex(emitted.secret));

  it('is what its generator makes', () => {
    expect(makeBraidVectors()).toEqual(vectors);
  });

  it('has every row: a send of each kind, each type to each, and each change', () => {
    const kinds = (names: readonly string[]): Set<string> => new Set(names.map((name) => state(name).phase.kind));
    expect(kinds(vectors.sends.map((each) => each.state)).size).toBe(11);
    expect(new Set(vectors.receives.map(({ state: name, message }) => `${state(name).phase.kind} ${message.type}`)).size).toBe(11 * 7);
    const changes = vectors.receives
      .map((each) => [state(each.state).phase.kind, state(each.next).phase.kind])
      .filter(([before, after]) => before !== after)
      .map((change) => change.join(' → '));
    // Ten steps of the tables' arrows, and three that skip a state where a piece is one chunk.
    expect(new Set(changes).size).toBe(13);
  });

  it('sends', () => {
    for (const vector of vectors.sends) {
      const random = vector.random === undefined ? [] : [bytes(vector.random)];
      const { next, message, emitted } = braid.send(state(vector.state), vector.profile, () => random.shift()!);
      expect([vector.state, stateOf(next)]).toEqual([vector.state, vectors.states[vector.next]]);
      expect([message, secretOf(emitted), random]).toEqual([parsed(vector.message), vector.emitted, []]);
    }
  });

  it('receives', () => {
    for (const vector of vectors.receives) {
      const { next, emitted } = braid.receive(state(vector.state), parsed(vector.message), vector.profile);
      expect([vector.state, stateOf(next)]).toEqual([vector.state, vectors.states[vector.next]]);
      expect(secretOf(emitted)).toBe(vector.emitted);
    }
  });

  it('refuses', () => {
    for (const vector of vectors.refusals) {
      expect([vector.why, codeOf(() => braid.receive(state(vector.state), parsed(vector.message), vector.profile))]).toEqual([
        vector.why,
        'ERR_DECRYPT',
      ]);
    }
  });
});

describe.each([1, 2, 3] as const)('test-vectors/conversation-%i.json', (profile) => {
  const vectors = load(`conversation-${profile}.json`) as ConversationVectors;

  function secrets(role: Role): SessionSecrets {
    return {
      role,
      profile: vectors.profile,
      transcriptHash: bytes(vectors.transcriptHash),
      rootKey: bytes(vectors.rootKey),
      headerKeyA: bytes(vectors.headerKeyA),
      nextHeaderKeyB: bytes(vectors.nextHeaderKeyB),
      sckaSecret: bytes(vectors.sckaSecret),
      signedPrekey: {
        publicKey: bytes(vectors.signedPrekeyPublicKey),
        secretKey: role === 'responder' ? bytes(vectors.signedPrekeySecretKey) : new Uint8Array(0),
      },
    };
  }

  it('is what its generator makes', () => {
    expect(makeConversationVectors(profile)).toEqual(vectors);
  });

  it('is played frame by frame, every state through its encoding', () => {
    const rngs = { initiator: seededRng(vectors.seeds.initiator), responder: seededRng(vectors.seeds.responder) };
    const states: Record<Role, RatchetState> = {
      initiator: initiateRatchet(secrets('initiator'), rngs.initiator),
      responder: acceptRatchet(secrets('responder')),
    };
    const sent: { to: Role; frame: Uint8Array }[] = [];
    for (const step of vectors.steps) {
      if ('send' in step) {
        const { state, out } = committed(encrypt(states[step.send], plaintextOf(sent.length), rngs[step.send]));
        expect([sent.length, toHex(sha256(out))]).toEqual([sent.length, step.frame]);
        const whole = vectors.frames[sent.length];
        if (whole !== undefined) expect(toHex(out)).toBe(whole);
        states[step.send] = decodeState(encodeState(state));
        sent.push({ to: step.send === 'initiator' ? 'responder' : 'initiator', frame: out });
        continue;
      }
      const { to, frame } = sent[step.arrive]!;
      if (step.code === undefined) {
        const { state, out } = committed(decrypt(states[to], frame));
        expect(out).toEqual(plaintextOf(step.arrive));
        states[to] = state;
      } else {
        expect([step.arrive, codeOf(() => decrypt(states[to], frame))]).toEqual([step.arrive, step.code]);
      }
    }
    expect(sent).toHaveLength(300);
    expect({ initiator: finalOf(states.initiator), responder: finalOf(states.responder) }).toEqual(vectors.final);
    expect(vectors.final.initiator.receivingEpoch).toBeGreaterThan(1);
  });
});
