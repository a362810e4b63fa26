import { describe, expect, it } from 'vitest';
import { concat, toHex } from '../../../src/bytes.js';
import { encaps1, mlKem768Header } from '../../../src/crypto/incremental-mlkem.js';
import { mlKem768 } from '../../../src/crypto/suite.js';
import { epochSecret, headerMac, updateAuthenticator } from '../../../src/ratchet/braid/authenticator.js';
import { chunkAt } from '../../../src/ratchet/braid/erasure.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import { type BraidPhase, type BraidState, heldKey } from '../../../src/ratchet/braid/state.js';
import type { SckaMessage, SckaStep } from '../../../src/ratchet/scka.js';
import type { Profile, Rng } from '../../../src/step.js';
import { chunksIn, garbageOf, messageOf, type Phase, receive, send, TYPES, type TypeName, walk } from '../../helpers/braid.js';
import { codeOf } from '../../helpers/expect-code.js';
import { testRng } from '../../helpers/rng.js';
import { filledDuring } from '../../helpers/secrets.js';

type Kind = BraidPhase['kind'];

const PROFILES = [1, 2, 3] as const;
const noRng: Rng = () => expect.fail('no randomness is due');

/** Profile 2 has states of every kind; epoch 2, so that there is an older one. */
const place = walk(2);
const { epoch, pieces } = place;
const at = (name: string): BraidState => place.states[name]!;
const names = Object.keys(place.states);

/** A chunk that no state of the walk has: parity. */
const FRESH = 40_000;

/** Section 4.7, "Receive": what each state does with the genuine next message of each type. What is not here is ignored. */
const RECEIVE: Readonly<Record<string, Partial<Record<TypeName, Kind>>>> = {
  keysUnsampled: {},
  keysSampled: { ct1: 'headerSent' },
  headerSent: { ct1: 'headerSent' },
  'headerSent, one left': { ct1: 'ct1Received' },
  ct1Received: { ct2: 'ekSentCt1Received' },
  ekSentCt1Received: { ct2: 'ekSentCt1Received' },
  'ekSentCt1Received, one left': { ct2: 'noHeaderReceived' },
  noHeaderReceived: { header: 'noHeaderReceived' },
  'noHeaderReceived, one left': { header: 'headerReceived' },
  headerReceived: {},
  ct1Sampled: { ek: 'ct1Sampled', ekCt1Ack: 'ct1Acknowledged' },
  'ct1Sampled, one left': { ek: 'ekReceivedCt1Sampled', ekCt1Ack: 'ct2Sampled' },
  ekReceivedCt1Sampled: { ekCt1Ack: 'ct2Sampled', ct1Ack: 'ct2Sampled' },
  ct1Acknowledged: { ek: 'ct1Acknowledged', ekCt1Ack: 'ct1Acknowledged' },
  'ct1Acknowledged, one left': { ek: 'ct2Sampled', ekCt1Ack: 'ct2Sampled' },
  ct2Sampled: {},
};

/** Section 4.7, "Send": type, and the piece whose chunk it carries; the state only counts on, but where `to` says otherwise. */
const SEND: Readonly<Record<Kind, { type: TypeName; to?: Kind }>> = {
  keysUnsampled: { type: 'header', to: 'keysSampled' },
  keysSampled: { type: 'header' },
  headerSent: { type: 'ek' },
  ct1Received: { type: 'ekCt1Ack' },
  ekSentCt1Received: { type: 'ct1Ack' },
  noHeaderReceived: { type: 'none' },
  headerReceived: { type: 'ct1', to: 'ct1Sampled' },
  ct1Sampled: { type: 'ct1' },
  ekReceivedCt1Sampled: { type: 'ct1' },
  ct1Acknowledged: { type: 'none' },
  ct2Sampled: { type: 'ct2' },
};

const garbage = (type: TypeName, of = epoch) => garbageOf(of, type);

describe('start', () => {
  it('makes the initiator the first holder of a key, both with one authenticator', () => {
    const secret = testRng('start')(32);
    const [holder, other] = [braid.start('initiator', 2, secret), braid.start('responder', 2, secret)];
    expect(holder).toMatchObject({ epoch: 1, phase: { kind: 'keysUnsampled' } });
    expect(other).toMatchObject({ epoch: 1, phase: { kind: 'noHeaderReceived', header: { lengthBytes: 96, chunkBytes: 32, chunks: [] } } });
    expect(holder.auth).toEqual(other.auth);
    secret.fill(0);
    expect(holder).toEqual(braid.start('initiator', 2, testRng('start')(32)));
  });
});

describe('send', () => {
  it('has a row for every state', () => {
    expect(new Set(names.map((name) => at(name).phase.kind))).toEqual(new Set(Object.keys(SEND)));
  });

  it.each(names)('%s', (name) => {
    const state = at(name);
    const { type, to } = SEND[state.phase.kind];
    const index = 'index' in state.phase ? state.phase.index : 0;
    const { next, message, emitted, wipe } = send(state, 2, to === undefined ? noRng : testRng('send'));
    expect(next).toMatchObject({ epoch, phase: { kind: to ?? state.phase.kind } });
    expect(message).toMatchObject({ epoch, type: TYPES.indexOf(type), index });
    if (to === undefined) {
      expect(message).toEqual(messageOf(pieces, epoch, 2, type, index));
      expect([emitted, wipe]).toEqual([null, []]);
      expect(next).toEqual('index' in state.phase ? { ...state, phase: { ...state.phase, index: index + 1 } } : state);
    }
  });

  it('keysUnsampled draws a 64-byte seed, and sends its header with a MAC', () => {
    const { next, message, emitted, wipe } = send(at('keysUnsampled'), 2, testRng('seed'));
    const { key, index } = next.phase as Phase<'keysSampled'>;
    expect(key).toEqual(heldKey(testRng('seed')(64)));
    const header = mlKem768Header(mlKem768.publicKey(key.seed));
    const piece = concat(header, headerMac(next.auth, epoch, header));
    expect([message.chunk, index]).toEqual([chunkAt(piece, 32, 0), 1]);
    expect([emitted, wipe, next.auth]).toEqual([null, [], at('keysUnsampled').auth]);
  });

  it('headerReceived draws 32 bytes, emits k_e, and moves the authenticator on', () => {
    const state = at('headerReceived');
    const { header } = state.phase as Phase<'headerReceived'>;
    const { next, message, emitted } = send(state, 2, testRng('m'));
    const m = testRng('m')(32);
    const { ct1, sharedSecret } = encaps1(header, m);
    const secret = epochSecret(sharedSecret, epoch);
    expect(emitted).toEqual({ epoch, secret });
    expect(next.auth).toEqual(updateAuthenticator(state.auth, epoch, secret));
    expect(next.phase).toEqual({
      kind: 'ct1Sampled',
      kem: { header, m, ct1 },
      index: 1,
      vector: { lengthBytes: 1152, chunkBytes: 32, chunks: [] },
    });
    expect(message.chunk).toEqual(ct1.slice(0, 32));
  });

  it.each(['keysUnsampled', 'headerReceived'])('%s takes nothing from a broken generator', (name) => {
    for (const broken of [() => new Uint8Array(64), () => new Uint8Array(1).fill(1)]) {
      expect(codeOf(() => send(at(name), 2, broken))).toBe('ERR_ARGUMENT');
    }
  });

  it.each(names.filter((name) => 'index' in at(name).phase))('T18: %s goes on with chunk 0 after chunk 65535', (name) => {
    const state = at(name);
    const last = { ...state, phase: { ...state.phase, index: 0xffff } } as BraidState;
    const { type } = SEND[state.phase.kind];
    const { next, message } = send(last, 2, noRng);
    expect(message).toEqual(messageOf(pieces, epoch, 2, type, 0xffff));
    expect(next.phase).toMatchObject({ index: 0 });
    expect(send(next, 2, noRng).message).toEqual(messageOf(pieces, epoch, 2, type, 0));
  });
});

describe('receive', () => {
  it('has a row for every state of the walk', () => {
    expect(names.sort()).toEqual(Object.keys(RECEIVE).sort());
  });

  describe.each(names)('%s', (name) => {
    const state = at(name);

    it.each(TYPES)('%s of the same epoch', (type) => {
      const expected = RECEIVE[name]![type];
      const { next, emitted } = receive(state, messageOf(pieces, epoch, 2, type, FRESH), 2);
      if (expected === undefined) {
        expect(next).toBe(state);
        expect(receive(state, garbage(type), 2)).toEqual({ next: state, emitted: null, fresh: [], wipe: [] });
        return;
      }
      const finishes = expected === 'noHeaderReceived' && type === 'ct2';
      expect(next.phase.kind).toBe(expected);
      expect(next.epoch).toBe(finishes ? epoch + 1 : epoch);
      expect(emitted).toEqual(finishes ? { epoch, secret: place.secret } : null);
      if (!finishes) expect(next.auth).toBe(state.auth);
      if (next.phase.kind === state.phase.kind) expect(chunksIn(next)).toBe(chunksIn(state) + 1);
      // Whatever piece is whole now, is the one that was sent.
      const { phase } = next;
      if (phase.kind === 'ct1Received' || phase.kind === 'ekSentCt1Received') expect(phase.ct1).toEqual(pieces.ct1);
      if (phase.kind === 'headerReceived') expect(phase.header).toEqual(pieces.header.slice(0, 64));
      if (phase.kind === 'ekReceivedCt1Sampled') expect(phase.vector).toEqual(pieces.vector);
      if (phase.kind === 'ct2Sampled') expect(phase).toEqual({ kind: 'ct2Sampled', piece: pieces.ct2, index: 0 });
    });

    it('sends what it has to go on with from where it was', () => {
      for (const type of TYPES) {
        const { next } = receive(state, messageOf(pieces, epoch, 2, type, FRESH), 2);
        const before = 'index' in state.phase ? state.phase.index : 0;
        if (!('index' in next.phase)) continue;
        const goesOn = next.phase.kind === state.phase.kind || ['ct1Received', 'ekReceivedCt1Sampled'].includes(next.phase.kind);
        expect(next.phase.index).toBe(goesOn ? before : 0);
      }
    });

    it('T15: an older epoch is ignored, whatever it says', () => {
      for (const type of TYPES) {
        for (const older of [1, epoch - 1]) expect(receive(state, garbage(type, older), 2).next).toBe(state);
      }
    });

    it('T16: a newer epoch is refused, but the next one once ct2 is on its way', () => {
      for (const type of TYPES) {
        for (const newer of [epoch + 1, epoch + 2, 0x7fff_ffff]) {
          if (newer === epoch + 1 && state.phase.kind === 'ct2Sampled') {
            const { next, emitted } = receive(state, garbage(type, newer), 2);
            expect([next, emitted]).toEqual([{ epoch: newer, auth: state.auth, phase: { kind: 'keysUnsampled' } }, null]);
          } else {
            expect(codeOf(() => receive(state, garbage(type, newer), 2))).toBe('ERR_DECRYPT');
          }
        }
      }
    });

    it('a chunk that it has already adds nothing, and still acknowledges', () => {
      for (const type of TYPES) {
        const message = messageOf(pieces, epoch, 2, type, FRESH);
        const once = receive(state, message, 2).next;
        const twice = receive(once, { ...message, chunk: garbage(type).chunk }, 2).next;
        if (chunksIn(once) > 0 && once.phase.kind === state.phase.kind) expect(twice).toEqual(once);
      }
    });
  });

  it('ct1Sampled is acknowledged by a chunk that it has already', () => {
    const message = messageOf(pieces, epoch, 2, 'ek', FRESH);
    const once = receive(at('ct1Sampled'), message, 2).next;
    const { next } = receive(once, { ...message, type: TYPES.indexOf('ekCt1Ack') }, 2);
    expect(next.phase).toMatchObject({ kind: 'ct1Acknowledged', vector: (once.phase as Phase<'ct1Sampled'>).vector });
  });

  it('FIN: the authenticator is the encapsulating side’s, and a decoder waits for the next header', () => {
    const { next } = receive(at('ekSentCt1Received, one left'), messageOf(pieces, epoch, 2, 'ct2', FRESH), 2);
    expect(next).toEqual({
      epoch: epoch + 1,
      auth: at('ct2Sampled').auth,
      phase: { kind: 'noHeaderReceived', header: { lengthBytes: 96, chunkBytes: 32, chunks: [] } },
    });
  });
});

it('T20: both sides wipe the shared secret that k_e was made of', () => {
  const { header } = at('headerReceived').phase as Phase<'headerReceived'>;
  const encapsulated = filledDuring(() => braid.send(at('headerReceived'), 2, testRng('m')));
  expect(encapsulated).toContain(toHex(encaps1(header, testRng('m')(32)).sharedSecret));
  const { key } = at('ct1Received').phase as Phase<'ct1Received'>;
  const decapsulated = filledDuring(() => braid.receive(at('ekSentCt1Received, one left'), messageOf(pieces, epoch, 2, 'ct2', FRESH), 2));
  expect(decapsulated).toContain(toHex(mlKem768.decapsulate(key.seed, concat(pieces.ct1, pieces.ct2.slice(0, 128)))));
});

describe('a piece of one chunk is whole with the first', () => {
  /** n of section 4.6 for each profile. */
  const ROWS: [Profile, string, TypeName, Kind][] = [
    [1, 'noHeaderReceived', 'header', 'headerReceived'],
    [3, 'noHeaderReceived', 'header', 'headerReceived'],
    [3, 'keysSampled', 'ct1', 'ct1Received'],
    [1, 'keysSampled', 'ct1', 'headerSent'],
    [1, 'ct1Received', 'ct2', 'noHeaderReceived'],
    [3, 'ct1Received', 'ct2', 'noHeaderReceived'],
    [3, 'ct1Sampled', 'ek', 'ekReceivedCt1Sampled'],
    [3, 'ct1Sampled', 'ekCt1Ack', 'ct2Sampled'],
    [1, 'ct1Sampled', 'ekCt1Ack', 'ct1Acknowledged'],
  ];
  it.each(ROWS)('profile %i: %s receives %s → %s', (profile, name, type, kind) => {
    const { states, pieces: own, secret } = walk(profile);
    for (const index of [0, 1, 0xffff]) {
      const { next, emitted } = receive(states[name]!, messageOf(own, epoch, profile, type, index), profile);
      expect(next.phase.kind).toBe(kind);
      expect(emitted).toEqual(type === 'ct2' ? { epoch, secret } : null);
    }
  });
});

describe('two sides', () => {
  /** Messages are lost, repeated and late; states are encoded and decoded; whatever a step wipes is wiped at once. */
  function converse(profile: Profile, count: number, seed: string): number {
    const rng = testRng(seed);
    const chance = (percent: number): boolean => rng(2)[1]! < 2.56 * percent;
    const secret = rng(32);
    const states = [braid.start('initiator', profile, secret), braid.start('responder', profile, secret)] as [BraidState, BraidState];
    const emitted: [string[], string[]] = [[], []];
    const bags: [SckaMessage[], SckaMessage[]] = [[], []];
    const commit = (side: 0 | 1, step: SckaStep<BraidState>): void => {
      if (step.emitted !== null) {
        expect(step.emitted.epoch).toBe(emitted[side].length + 1);
        emitted[side].push(toHex(step.emitted.secret));
      }
      for (const buffer of [...step.wipe, ...(step.emitted === null ? [] : [step.emitted.secret])]) buffer.fill(0);
      states[side] = chance(5) ? braid.decode(braid.encode(step.next)) : step.next;
    };
    for (let i = 0; i < count; i++) {
      const side = (rng(1)[0]! % 2) as 0 | 1;
      const other = (1 - side) as 0 | 1;
      const step = send(states[side], profile, rng);
      commit(side, step);
      if (!chance(20)) bags[other].push(step.message);
      while (bags[other].length > 0 && chance(60)) {
        const bag = bags[other];
        const at = rng(1)[0]! % bag.length;
        commit(other, receive(states[other], bag[at]!, profile));
        if (!chance(10)) bag.splice(at, 1);
      }
    }
    const [a, b] = emitted;
    const agreed = Math.min(a.length, b.length);
    expect(a.slice(0, agreed)).toEqual(b.slice(0, agreed));
    expect(Math.abs(a.length - b.length)).toBeLessThan(2);
    expect(new Set(a).size).toBe(a.length);
    return agreed;
  }

  it.each(PROFILES)('T22: agree on one key after another over a bad network, profile %i', (profile) => {
    expect(converse(profile, 1200, `two sides ${profile}`)).toBeGreaterThan({ 1: 10, 2: 3, 3: 20 }[profile]);
  });
});
