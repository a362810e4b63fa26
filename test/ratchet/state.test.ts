import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../src/bytes.js';
import { StoreError } from '../../src/errors.js';
import { startDecoder } from '../../src/ratchet/braid/erasure.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { decodeState, decrypt, encodeState, encrypt, type RatchetState } from '../../src/ratchet/index.js';
import { decodeCore, decodeSkippedChain, encodeCore, encodeSkippedChain } from '../../src/ratchet/ratchet.js';
import * as layout from '../../src/ratchet/state.js';
import { CHUNK_BYTES } from '../../src/wire/ratchet-message.js';
import { codeOf } from '../helpers/expect-code.js';
import type { StateVectors } from '../helpers/ratchet-states.js';
import { testRng } from '../helpers/rng.js';
import { secretsIn } from '../helpers/secrets.js';
import { ratchetOver, session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

const golden = JSON.parse(readFileSync(new URL('../../test-vectors/ratchet-state-v1.json', import.meta.url), 'utf8')) as StateVectors;

/** A state of each kind, the last two with skipped keys of an old chain and of the one in use. */
function states(): [name: string, encoded: Uint8Array][] {
  const { alice, bob } = session(braid, testRng('states'), 2);
  const named: [string, Uint8Array][] = [
    ['initiator before a reply', alice.snapshot()],
    ['responder awaiting the first message', bob.snapshot()],
  ];
  alice.send(text('lost'));
  bob.receive(alice.send(text('ping')));
  named.push(['awaiting the next send', bob.snapshot()]);
  alice.receive(bob.send(text('pong')));
  alice.send(text('lost'));
  alice.send(text('lost'));
  bob.receive(alice.send(text('ping')));
  named.push(['awaiting, with skipped keys', bob.snapshot()]);
  bob.send(text('pong'));
  named.push(['sending, with skipped keys', bob.snapshot()]);
  return named;
}

/** These, and one in each phase of the braid. */
const allStates = [...states(), ...golden.states.map(({ name, state }): [string, Uint8Array] => [name, fromHex(state)!])];

describe('encodeState and decodeState', () => {
  it.each(allStates)('are inverse: %s', (_, encoded) => {
    expect(encodeState(decodeState(encoded))).toEqual(encoded);
    expect(decodeState(encodeState(decodeState(encoded)))).toEqual(decodeState(encoded));
  });

  it.each(allStates)('T19: a zeroed key is refused: %s', (_, encoded) => {
    const state = decodeState(encoded) as RatchetState & { scka: BraidState };
    const secrets = secretsIn(state);
    const { auth, phase } = state.scka;
    const ofBraid = [auth.root, auth.mac, ...('key' in phase ? [phase.key.seed] : []), ...('kem' in phase ? [phase.kem.m] : [])];
    expect(secrets).toEqual(expect.arrayContaining(ofBraid));
    expect(secrets.length).toBeGreaterThan(6 + ofBraid.length);
    for (const secret of secrets) {
      const zeroed = encoded.slice();
      const at = Buffer.from(encoded).indexOf(secret);
      zeroed.fill(0, at, at + secret.length);
      expect(codeOf(() => decodeState(zeroed))).toBe('ERR_STORE_CORRUPT');
    }
  });

  it('know whose side they are', () => {
    expect(states().map(([, encoded]) => decodeState(encoded).role)).toEqual(['initiator', ...Array(4).fill('responder')]);
  });

  it('T19: a wiped state is refused', () => {
    const { alice } = session(braid, testRng('wiped'), 2);
    const { state } = alice;
    alice.send(text('x'));
    expect(codeOf(() => decodeState(encodeState(state)))).toBe('ERR_STORE_CORRUPT');
  });

  it.each(allStates)('T50: every truncation and a trailing byte are refused: %s', (_, encoded) => {
    for (let length = 0; length < encoded.length; length++) {
      expect(codeOf(() => decodeState(encoded.subarray(0, length)))).toBe('ERR_STORE_CORRUPT');
    }
    expect(codeOf(() => decodeState(new Uint8Array([...encoded, 0])))).toBe('ERR_STORE_CORRUPT');
  });

  it('T46: a newer version is ERR_STORE_VERSION, also of the inner record; an older one there never was', () => {
    const encoded = states()[0]![1];
    for (const at of [0, 5]) {
      for (const [version, code] of [
        [2, 'ERR_STORE_VERSION'],
        [255, 'ERR_STORE_VERSION'],
        [0, 'ERR_STORE_CORRUPT'],
      ] as const) {
        const other = encoded.slice();
        other[at] = version;
        const details = code === 'ERR_STORE_VERSION' ? { got: version, max: 1 } : {};
        expect(() => decodeState(other)).toThrow(expect.objectContaining({ code, ...details }));
      }
    }
  });

  it('T40: random and mutated bytes give a state that encodes to the same bytes, or a StoreError', () => {
    const samples = allStates.map(([, encoded]) => encoded);
    const mutated = fc
      .tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([sample, edits]) => {
        const out = sample.slice();
        for (const [at, value] of edits) out[value % 2 ? at % out.length : at % 80] = value;
        return out;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), mutated), (bytes) => {
        let state: RatchetState;
        try {
          state = decodeState(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(StoreError);
          return;
        }
        expect(Buffer.from(encodeState(state)).equals(bytes)).toBe(true);
      }),
      { seed: 40, numRuns: 3000 },
    );
  });

  it('refuse what no session can be in: role, profile, kind, flags, epochs that only one direction knows', () => {
    const whole = (change: (state: RatchetState) => object): Uint8Array => {
      const state = decodeState(states()[0]![1]);
      return encodeState({ ...state, ...change(state) });
    };
    const encoded = states()[0]![1];
    // version 1, length 4, then the core: version, role, profile, TH 64, received 8, kind.
    for (const [at, value] of [
      [6, 2],
      [7, 0],
      [7, 4],
      [80, 3],
    ] as const) {
      const other = encoded.slice();
      other[at] = value;
      expect(codeOf(() => decodeState(other))).toBe('ERR_STORE_CORRUPT');
    }
    expect(codeOf(() => decodeState(whole(({ pq }) => ({ pq: { ...pq, sending: { ...pq.sending, epoch: 1 } } }))))).toBe(
      'ERR_STORE_CORRUPT',
    );
    expect(codeOf(() => decodeState(whole(({ pq }) => ({ pq: { ...pq, receiving: { ...pq.receiving, epoch: 1 } } }))))).toBe(
      'ERR_STORE_CORRUPT',
    );
    const next = new Uint8Array(32).fill(7);
    const known = whole(({ pq, scka }) => ({
      scka: { ...(scka as BraidState), epoch: 2 },
      pq: { ...pq, sending: { ...pq.sending, nextChainKey: next }, receiving: { ...pq.receiving, epoch: 1 } },
    }));
    expect(decodeState(known)).toBeDefined();
    // The two flags: whether a next chain key follows, and whether a receiving chain does.
    const flag = Buffer.from(known).indexOf(next) - 1;
    expect(known[flag]).toBe(1);
    known[flag] = 2;
    expect(codeOf(() => decodeState(known))).toBe('ERR_STORE_CORRUPT');
    const sending = states()[4]![1];
    const { receiving } = decodeState(sending).ec as { receiving: { headerKey: { key: Uint8Array } } };
    const at = Buffer.from(sending).indexOf(receiving.headerKey.key) - 1;
    expect(sending[at]).toBe(1);
    sending[at] = 2;
    expect(codeOf(() => decodeState(sending))).toBe('ERR_STORE_CORRUPT');
    // The same two where nothing follows: no other value stands for 0.
    const { pq } = decodeState(encoded);
    for (const at of [Buffer.from(encoded).indexOf(pq.root) - 1, Buffer.from(encoded).indexOf(pq.sending.chainKey) + 32 + 4]) {
      const other = encoded.slice();
      expect(other[at]).toBe(0);
      other[at] = 2;
      expect(codeOf(() => decodeState(other))).toBe('ERR_STORE_CORRUPT');
    }
    // A braid whose epoch is not that of the chains, or whose chunks are another profile's.
    const one = decodeState(encoded);
    for (const epoch of [2, 3]) {
      expect(codeOf(() => decodeState(whole(({ scka }) => ({ scka: { ...(scka as BraidState), epoch } }))))).toBe('ERR_STORE_CORRUPT');
    }
    for (const profile of [1, 2, 3] as const) {
      const header = startDecoder(96, CHUNK_BYTES[profile]);
      const scka = { ...(one.scka as BraidState), phase: { kind: 'noHeaderReceived', header } as const };
      const bytes = encodeState({ ...one, scka } as RatchetState);
      if (profile === one.profile) expect(decodeState(bytes)).toBeDefined();
      else expect(codeOf(() => decodeState(bytes))).toBe('ERR_STORE_CORRUPT');
    }
    for (const length of [0, 1]) {
      const core = layout.encodeCore(decodeState(encoded), new Uint8Array(length));
      expect(codeOf(() => decodeCore(core, []))).toBe('ERR_STORE_CORRUPT');
    }
  });

  it('hold the state of any SCKA, and a conversation goes on from them at any moment', () => {
    const scka = toyScka(2);
    const { alice, bob } = session(scka, testRng('any'), 2);
    const { encode, decode } = ratchetOver(scka);
    for (let i = 0; i < 20; i++) {
      expect(bob.receive(alice.send(text(`${i}`)))).toEqual(text(`${i}`));
      expect(alice.receive(bob.send(text(`${i}`)))).toEqual(text(`${i}`));
      [alice.state, bob.state] = [decode(encode(alice.state)), decode(encode(bob.state))];
    }
    expect(alice.state.pq.sending.epoch).toBeGreaterThan(4);
  });
});

describe('records of a client', () => {
  it('a core and its skipped chains make the same state', () => {
    const state = decodeState(states()[4]![1]);
    const chains = state.skipped.map(encodeSkippedChain);
    expect(chains).toHaveLength(2);
    expect(decodeCore(encodeCore(state), chains.map(decodeSkippedChain))).toEqual(state);
  });

  it('T50: every truncation of a core, and a trailing byte, is refused', () => {
    for (const [, encoded] of states()) {
      const core = encodeCore(decodeState(encoded));
      for (let length = 0; length < core.length; length++) {
        expect(codeOf(() => decodeCore(core.subarray(0, length), []))).toBe('ERR_STORE_CORRUPT');
      }
      expect(codeOf(() => decodeCore(new Uint8Array([...core, 0]), []))).toBe('ERR_STORE_CORRUPT');
    }
  });

  it('a skipped chain that is empty, out of order or cut is refused', () => {
    const chain = decodeState(states()[4]![1]).skipped[1]!;
    const encoded = encodeSkippedChain(chain);
    expect(decodeSkippedChain(encoded)).toEqual(chain);
    for (const keys of [[], [...chain.keys].reverse(), [chain.keys[0]!, chain.keys[0]!]]) {
      expect(codeOf(() => decodeSkippedChain(encodeSkippedChain({ ...chain, keys })))).toBe('ERR_STORE_CORRUPT');
    }
    for (let length = 0; length < encoded.length; length++) {
      expect(codeOf(() => decodeSkippedChain(encoded.subarray(0, length)))).toBe('ERR_STORE_CORRUPT');
    }
  });
});

describe('golden states of version 1', () => {
  it('are of every kind and every phase', () => {
    const held = golden.states.map(({ state }) => decodeState(fromHex(state)!) as RatchetState & { scka: BraidState });
    expect(new Set(held.map(({ ec }) => ec.kind)).size).toBe(3);
    expect(new Set(held.map(({ scka }) => scka.phase.kind)).size).toBe(11);
  });

  it.each(golden.states.map((each) => [each.name, each] as const))(
    'T46: %s still decodes, decrypts and encodes to the same bytes',
    (_, each) => {
      const encoded = fromHex(each.state)!;
      let state = decodeState(encoded);
      expect(encodeState(state)).toEqual(encoded);
      for (const { frame, plaintext } of each.frames) {
        const { next, out } = decrypt(state, fromHex(frame)!);
        expect(out).toEqual(text(plaintext));
        state = next;
      }
      if (state.ec.kind !== 'awaitingFirst') expect(encrypt(state, text('on'), testRng('golden')).out.length).toBeGreaterThan(676);
    },
  );
});
