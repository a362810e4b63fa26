import { describe, expect, it } from 'vitest';
import { concat, toHex } from '../../../src/bytes.js';
import { mlKem768, sha3_256 } from '../../../src/crypto/suite.js';
import { ciphertextMac, headerMac } from '../../../src/ratchet/braid/authenticator.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../../src/ratchet/braid/state.js';
import {
  chunksIn,
  garbageOf,
  messageOf,
  type Phase,
  type Pieces,
  pieceOf,
  receive,
  send,
  type TypeName,
  walk,
} from '../../helpers/braid.js';
import { codeOf } from '../../helpers/expect-code.js';
import { flip, testRng } from '../../helpers/rng.js';
import { filledDuring } from '../../helpers/secrets.js';

/** Profile 2: every piece has several chunks. */
const place = walk(2);
const { epoch, pieces } = place;
const at = (name: string): BraidState => place.states[name]!;

/** A chunk that no state of the walk has: parity. */
const FRESH = 40_000;

/** Gives `from` the chunks of a piece that nobody honest has sent: the last is refused, whatever it was taken for. */
function refused(from: BraidState, type: TypeName, forged: Uint8Array): void {
  const lie: Pieces = { ...pieces, [type === 'ek' || type === 'ekCt1Ack' ? 'vector' : type]: forged };
  const n = forged.length / 32;
  let state = from;
  for (let index = 0; index < n - 1; index++) state = receive(state, messageOf(lie, epoch, 2, type, index), 2).next;
  expect(codeOf(() => receive(state, messageOf(lie, epoch, 2, type, n - 1), 2))).toBe('ERR_DECRYPT');
}

describe('an authenticated peer who lies', () => {
  it.each([
    ['noHeaderReceived', 'header'],
    ['ekSentCt1Received', 'ct2'],
    ['ct1Sampled', 'ek'],
    ['ct1Sampled', 'ekCt1Ack'],
    ['ct1Acknowledged', 'ek'],
    ['ct1Acknowledged', 'ekCt1Ack'],
  ] as const)('T17: %s refuses a false last chunk in %s, and takes the true one afterwards as if nothing had been', (kind, type) => {
    const state = at(`${kind}, one left`);
    const genuine = messageOf(pieces, epoch, 2, type, FRESH);
    const expected = receive(state, genuine, 2);
    for (const chunk of [flip(genuine.chunk), flip(genuine.chunk, 0, 0x80), new Uint8Array(32)]) {
      expect(codeOf(() => receive(state, { ...genuine, chunk }, 2))).toBe('ERR_DECRYPT');
    }
    expect(receive(state, genuine, 2)).toEqual(expected);
  });

  it('T17: chunks that agree with no piece are refused with the last; the earlier ones were taken on trust', () => {
    const poisoned = receive(at('noHeaderReceived'), garbageOf(epoch, 'header'), 2).next;
    const second = receive(poisoned, messageOf(pieces, epoch, 2, 'header', 1), 2).next;
    for (let index = 10; index < 20; index++) {
      expect(codeOf(() => receive(second, messageOf(pieces, epoch, 2, 'header', index), 2))).toBe('ERR_DECRYPT');
    }
    expect(receive(second, messageOf(pieces, epoch, 2, 'header', 1), 2).next).toEqual(second);
  });

  it('T17: a header whose MAC fails, in either half, is refused', () => {
    for (const byte of [0, 31, 32, 63, 64, 95]) refused(at('noHeaderReceived'), 'header', flip(pieces.header, byte));
    refused(at('noHeaderReceived'), 'header', new Uint8Array(96));
  });

  it('T15: a header of another epoch, or under another authenticator, is refused', () => {
    const header = pieces.header.slice(0, 64);
    for (const mac of [headerMac(at('noHeaderReceived').auth, epoch + 1, header), headerMac(at('ct2Sampled').auth, epoch, header)]) {
      refused(at('noHeaderReceived'), 'header', concat(header, mac));
    }
  });

  it('T05: a false ct2, a false MAC and a false ct1 all fail alike at FIN', () => {
    for (const byte of [0, 127, 128, 159]) refused(at('ct1Received'), 'ct2', flip(pieces.ct2, byte));
    const phase = at('ct1Received').phase as Phase<'ct1Received'>;
    for (const ct1 of [flip(phase.ct1), flip(phase.ct1, 0), new Uint8Array(960)]) {
      refused({ ...at('ct1Received'), phase: { ...phase, ct1 } }, 'ct2', pieces.ct2);
    }
  });

  it('T03: a ct2 whose MAC does not confirm k_e is refused', () => {
    const ct2 = pieces.ct2.slice(0, 128);
    refused(at('ct1Received'), 'ct2', concat(ct2, ciphertextMac(at('ct1Received').auth, epoch, pieces.ct1, ct2)));
  });

  it.each(['ek', 'ekCt1Ack'] as const)('T03: a vector that is not the header’s is refused, in %s', (type) => {
    for (const byte of [0, 600, 1151]) refused(at('ct1Sampled'), type, flip(pieces.vector, byte));
  });

  it('T04: a coefficient of q or more is refused when ct2 is made, though the header names it', () => {
    const vector = pieces.vector.slice();
    vector.set([0xff, 0xff, 0xff]);
    const rho = pieces.header.slice(0, 32);
    const header = concat(rho, sha3_256(concat(vector, rho)));
    const told = concat(header, headerMac(at('noHeaderReceived').auth, epoch, header));
    const lie: Pieces = { ...pieces, header: told, vector };
    let state = at('noHeaderReceived');
    for (let i = 0; i < 3; i++) state = receive(state, messageOf(lie, epoch, 2, 'header', i), 2).next;
    state = send(state, 2, testRng('m')).next;
    for (let i = 0; i < 35; i++) state = receive(state, messageOf(lie, epoch, 2, 'ek', i), 2).next;
    expect(codeOf(() => receive(state, messageOf(lie, epoch, 2, 'ekCt1Ack', 35), 2))).toBe('ERR_DECRYPT');
    const whole = receive(state, messageOf(lie, epoch, 2, 'ek', 35), 2).next;
    expect(whole.phase.kind).toBe('ekReceivedCt1Sampled');
    expect(codeOf(() => receive(whole, messageOf(lie, epoch, 2, 'ct1Ack', 0), 2))).toBe('ERR_DECRYPT');
    expect(receive(whole, messageOf(lie, epoch, 2, 'ek', 36), 2).next).toBe(whole);
  });

  it('T16: whatever indices it chooses, a decoder holds no more than its chunks', () => {
    const rng = testRng('indices');
    for (const [name, type] of [
      ['headerSent', 'ct1'],
      ['ct1Sampled', 'ek'],
      ['ct1Acknowledged', 'ek'],
    ] as const) {
      let state = at(name);
      for (let i = 0; i < 100; i++) {
        const [high, low] = rng(2);
        const message = { ...messageOf(pieces, epoch, 2, type, high! * 256 + low!), ...(type === 'ek' ? { chunk: rng(32) } : {}) };
        try {
          state = receive(state, message, 2).next;
        } catch {
          expect(type).toBe('ek');
        }
        expect(chunksIn(state)).toBeLessThan(Math.ceil(pieceOf(pieces, type)!.length / 32));
      }
    }
  });

  it('T05: what FIN has computed of a false agreement is wiped', () => {
    const { key } = at('ct1Received').phase as Phase<'ct1Received'>;
    const state = at('ekSentCt1Received, one left');
    const genuine = messageOf(pieces, epoch, 2, 'ct2', 4);
    // Chunk 4 is the MAC alone: the agreement itself is the true one.
    const wiped = filledDuring(() => {
      expect(codeOf(() => braid.receive(state, { ...genuine, chunk: new Uint8Array(32) }, 2))).toBe('ERR_DECRYPT');
    });
    const sharedSecret = mlKem768.decapsulate(key.seed, concat(pieces.ct1, pieces.ct2.slice(0, 128)));
    const { root, mac } = at('ct2Sampled').auth;
    expect(wiped).toEqual(expect.arrayContaining([sharedSecret, place.secret, root, mac].map(toHex)));
  });
});
