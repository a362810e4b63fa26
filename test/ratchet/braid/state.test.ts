import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/bytes.js';
import { mlKem768 } from '../../../src/crypto/suite.js';
import { isCyphrError } from '../../../src/errors.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import { type BraidPhase, type BraidState, decodeBraid, encodeBraid } from '../../../src/ratchet/braid/state.js';
import { type Phase, secretsOf, send, walk } from '../../helpers/braid.js';
import { codeOf } from '../../helpers/expect-code.js';
import { testRng } from '../../helpers/rng.js';

const walks = ([1, 2, 3] as const).map((profile) => walk(profile));
const all = walks.flatMap(({ profile, states }) => Object.entries(states).map(([name, state]) => [profile, name, state] as const));
const at = (name: string): BraidState => walks[1]!.states[name]!;

/** kind u8 ‖ e u32 ‖ root 32 ‖ mac 32. */
const HEAD_BYTES = 69;
/** Lengths of a state of profile 2 with its decoder empty, and kinds in the order of their numbers. */
const LAYOUT: readonly (readonly [BraidPhase['kind'], number])[] = [
  ['keysUnsampled', 0],
  ['keysSampled', 64 + 2],
  ['headerSent', 64 + 2 + 4],
  ['ct1Received', 64 + 2 + 960],
  ['ekSentCt1Received', 64 + 960 + 4],
  ['noHeaderReceived', 4],
  ['headerReceived', 64],
  ['ct1Sampled', 64 + 32 + 960 + 2 + 4],
  ['ekReceivedCt1Sampled', 64 + 32 + 960 + 2 + 1152],
  ['ct1Acknowledged', 64 + 32 + 960 + 4],
  ['ct2Sampled', 160 + 2],
];

const decoderOf = (state: BraidState) => Object.values(state.phase).find((part) => part?.chunks !== undefined);

describe('encodeBraid and decodeBraid', () => {
  it.each(all)('are inverse: profile %i, %s', (profile, _, state) => {
    const encoded = encodeBraid(state);
    expect(decodeBraid(encoded)).toEqual(state);
    expect(encodeBraid(decodeBraid(encoded))).toEqual(encoded);
    expect(send(decodeBraid(encoded), profile, testRng('on')).message).toEqual(send(state, profile, testRng('on')).message);
  });

  it.each(LAYOUT)('T46: the layout of %s', (kind, bodyBytes) => {
    const state = at(kind);
    const encoded = encodeBraid(state);
    const chunks = decoderOf(state)?.chunks.length ?? 0;
    expect(encoded).toHaveLength(HEAD_BYTES + bodyBytes + 34 * chunks);
    const number = LAYOUT.findIndex(([name]) => name === kind);
    expect(encoded.slice(0, HEAD_BYTES)).toEqual(concat(new Uint8Array([number, 0, 0, 0, state.epoch]), state.auth.root, state.auth.mac));
  });

  it('compute the encapsulation key from its seed: it is never written', () => {
    const { key } = at('keysSampled').phase as Phase<'keysSampled'>;
    expect(Buffer.from(encodeBraid(at('keysSampled'))).includes(Buffer.from(key.vector.subarray(0, 32)))).toBe(false);
    expect((decodeBraid(encodeBraid(at('keysSampled'))).phase as Phase<'keysSampled'>).key).toEqual(key);
    expect(concat(key.vector, key.header.subarray(0, 32))).toEqual(mlKem768.publicKey(key.seed));
  });

  it('share no buffer with what they are given', () => {
    for (const [, , state] of all) {
      const encoded = encodeBraid(state);
      const decoded = decodeBraid(encoded);
      encoded.fill(0);
      expect(decoded).toEqual(state);
    }
  });

  it.each(all)('T19: a secret that is zero is refused: profile %i, %s', (_, __, state) => {
    for (const secret of secretsOf(state)) {
      const encoded = encodeBraid(state);
      const found = Buffer.from(encoded).indexOf(secret);
      expect(codeOf(() => decodeBraid(encoded.fill(0, found, found + secret.length)))).toBe('ERR_DECODE');
    }
  });

  it('T19: a state whose secrets were wiped is refused', () => {
    const own = decodeBraid(encodeBraid(at('headerReceived')));
    for (const buffer of braid.send(own, 2, testRng('wiped')).wipe) buffer.fill(0);
    expect(codeOf(() => decodeBraid(encodeBraid(own)))).toBe('ERR_DECODE');
  });

  it.each(LAYOUT.map(([kind]) => kind))('T50: every truncation and a trailing byte are refused: %s', (kind) => {
    const encoded = encodeBraid(at(kind));
    for (let length = 0; length < encoded.length; length += length < 140 ? 1 : 61) {
      expect(codeOf(() => decodeBraid(encoded.subarray(0, length)))).toBe('ERR_DECODE');
    }
    expect(codeOf(() => decodeBraid(encoded.subarray(0, -1)))).toBe('ERR_DECODE');
    expect(codeOf(() => decodeBraid(concat(encoded, new Uint8Array(1))))).toBe('ERR_DECODE');
  });

  it('T16: an epoch that no session reaches is refused, and so is an unknown kind', () => {
    const edit = (at: number, ...bytes: number[]): Uint8Array => {
      const encoded = encodeBraid(walks[1]!.states['keysUnsampled']!);
      encoded.set(bytes, at);
      return encoded;
    };
    // The last epoch that can be sent in is 2³¹ − 1; what it leaves behind is a state of the next.
    expect(decodeBraid(edit(1, 0x80, 0, 0, 0)).epoch).toBe(0x8000_0000);
    for (const epoch of [
      [0, 0, 0, 0],
      [0x80, 0, 0, 1],
      [0xff, 0xff, 0xff, 0xff],
    ]) {
      expect(codeOf(() => decodeBraid(edit(1, ...epoch)))).toBe('ERR_DECODE');
    }
    for (const kind of [11, 255]) expect(codeOf(() => decodeBraid(edit(0, kind)))).toBe('ERR_DECODE');
  });

  describe.each([
    ['headerSent', 30],
    ['ekSentCt1Received', 5],
    ['noHeaderReceived', 3],
    ['ct1Sampled', 36],
    ['ct1Acknowledged', 36],
  ] as const)('the decoder of %s', (kind, n) => {
    const state = at(`${kind}, one left`);
    const encoded = encodeBraid(state);
    const decoder = decoderOf(state);
    /** Where it begins: chunkBytes u16 ‖ count u16 ‖ count × (index u16 ‖ chunk 32). */
    const start = encoded.length - 4 - 34 * (n - 1);
    const edited = (at: number, ...bytes: number[]): Uint8Array => {
      const out = encoded.slice();
      out.set(bytes, start + at);
      return out;
    };

    it('lacks one chunk at least: a whole piece is never stored', () => {
      expect(decoder.chunks).toHaveLength(n - 1);
      const whole = concat(edited(2, 0, n), new Uint8Array([0xff, 0xff]), new Uint8Array(32));
      expect(codeOf(() => decodeBraid(whole))).toBe('ERR_DECODE');
      const more = concat(
        edited(2, 0, n + 1),
        new Uint8Array([0xff, 0xfe]),
        new Uint8Array(32),
        new Uint8Array([0xff, 0xff]),
        new Uint8Array(32),
      );
      expect(codeOf(() => decodeBraid(more))).toBe('ERR_DECODE');
    });

    it('T16: a count is refused before a chunk is read', () => {
      expect(codeOf(() => decodeBraid(edited(2, 0xff, 0xff)))).toBe('ERR_DECODE');
    });

    it('holds no index twice', () => {
      expect(decodeBraid(edited(4, 0xff, 0xff))).toBeDefined();
      expect(codeOf(() => decodeBraid(edited(4, 0, 1)))).toBe('ERR_DECODE');
    });

    it('T08: has the chunk size of a profile', () => {
      for (const bytes of [0, 1, 2, 31, 33, 34, 64, 191, 1153, 0xffff]) {
        expect(codeOf(() => decodeBraid(edited(0, bytes >>> 8, bytes & 0xff)))).toBe('ERR_DECODE');
        expect(codeOf(() => decodeBraid(edited(0, bytes >>> 8, bytes & 0xff, 0, 0).subarray(0, start + 4)))).toBe('ERR_DECODE');
      }
    });
  });

  it('T40: random and mutated bytes give a state that encodes to the same bytes, or ERR_DECODE', () => {
    const samples = all.map(([, , state]) => encodeBraid(state));
    const mutated = fc
      .tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.integer({ min: -3, max: 3 }))
      .map(([sample, edits, longer]) => {
        const out = concat(sample, new Uint8Array(3)).slice(0, sample.length + Math.min(longer, 0) + (longer > 1 ? longer : 0));
        for (const [place, value] of edits) out[value % 2 ? place % out.length : place % 80] = value;
        return out;
      });
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
        let state: BraidState;
        try {
          state = decodeBraid(bytes);
        } catch (error) {
          expect(isCyphrError(error) && error.code).toBe('ERR_DECODE');
          return;
        }
        accepted++;
        expect(Buffer.from(encodeBraid(state)).equals(bytes)).toBe(true);
      }),
      { seed: 47, numRuns: 1500 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
