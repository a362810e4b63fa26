/** T08: there is no path without the braid. Whatever of it is removed, zeroed or lowered, nothing is accepted in its place. */

import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/bytes.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../../src/ratchet/braid/state.js';
import { decodeState, decrypt, encodeState, encrypt } from '../../../src/ratchet/index.js';
import type { Scka } from '../../../src/ratchet/scka.js';
import { decodeCore, encodeCore, type RatchetState } from '../../../src/ratchet/state.js';
import type { Profile } from '../../../src/step.js';
import { CHUNK_BYTES, type Header } from '../../../src/wire/ratchet-message.js';
import { secretsOf, TYPES } from '../../helpers/braid.js';
import { codeOf } from '../../helpers/expect-code.js';
import { forge } from '../../helpers/forge.js';
import { testRng } from '../../helpers/rng.js';
import { handshakeSecrets, Party, ratchetOver, session, text } from '../../helpers/sessions.js';

/** A peer who runs all of the protocol but the braid: None for ever, and deaf to what the other says. */
const deserter: Scka<BraidState> = {
  ...braid,
  send: (state, profile) => ({
    next: state,
    message: { epoch: 1, type: 0, index: 0, chunk: new Uint8Array(CHUNK_BYTES[profile]) },
    emitted: null,
    wipe: [],
  }),
  receive: (state) => ({ next: state, emitted: null, fresh: [], wipe: [] }),
};

/** Both sides after some round trips, the initiator being the one to send. */
function talk(profile: Profile, rounds: number, seed = `talk ${profile} ${rounds}`): { alice: Party<BraidState>; bob: Party<BraidState> } {
  const { alice, bob } = session(braid, testRng(seed), profile);
  for (let i = 0; i < rounds; i++) {
    bob.receive(alice.send(text('ping')));
    alice.receive(bob.send(text('pong')));
  }
  alice.send(text('lost'));
  return { alice, bob };
}

/** Refused with this code, and every byte of the state as before. */
function refuses(party: Party<BraidState>, frame: Uint8Array, code: string): void {
  const before = party.snapshot();
  expect(codeOf(() => party.receive(frame))).toBe(code);
  expect(party.snapshot()).toEqual(before);
}

/** Alice's next frame with another SCKA part. */
function forged({ alice }: { alice: Party<BraidState> }, header: Partial<Header>): Uint8Array {
  return forge(alice.state, { header });
}

describe('T08: the header of an authenticated peer', () => {
  it.each([1, 2, 3] as const)('pqEpoch 0, or one that is not agreed on, is refused: profile %i', (profile) => {
    const parties = talk(profile, 3);
    const { epoch } = parties.alice.state.scka;
    for (const pqEpoch of [0, epoch + 1, epoch + 2, 0x7fff_ffff, 0xffff_ffff]) {
      refuses(parties.bob, forged(parties, { pqEpoch, pqPrevious: 0 }), 'ERR_DECRYPT');
    }
  });

  it('an epoch that is over is not gone back to', () => {
    const parties = talk(3, 12);
    const { epoch } = parties.alice.state.pq.sending;
    expect(epoch).toBeGreaterThan(1);
    for (let pqEpoch = 1; pqEpoch <= epoch; pqEpoch++) {
      refuses(parties.bob, forged(parties, { pqEpoch, pqPrevious: 0, pqCounter: 1 }), 'ERR_DECRYPT');
    }
  });

  it('a type that carries no chunk carries none: else, and for a type that there is not, it is refused', () => {
    const parties = talk(2, 3);
    for (const type of [0, 4]) {
      refuses(parties.bob, forged(parties, { type, index: 1 }), 'ERR_DECRYPT');
      refuses(parties.bob, forged(parties, { type, chunk: new Uint8Array(32).fill(1, 31) }), 'ERR_DECRYPT');
    }
    for (const type of [7, 255]) refuses(parties.bob, forged(parties, { type }), 'ERR_DECRYPT');
  });

  it('a chunk of zeros is a chunk like any other: its MAC fails', () => {
    for (const profile of [1, 3] as const) {
      const parties = talk(profile, 0);
      refuses(parties.bob, forged(parties, { type: TYPES.indexOf('header') }), 'ERR_DECRYPT');
    }
    // Three chunks of profile 2: the first two are taken, no third ever is.
    const { alice, bob } = talk(2, 0);
    const zeros: Scka<BraidState> = {
      ...deserter,
      send: (state, profile, rng) => ({
        ...deserter.send(state, profile, rng),
        message: { epoch: 1, type: 1, index: sent++, chunk: new Uint8Array(32) },
      }),
    };
    let sent = 0;
    const liar = new Party(ratchetOver(zeros), alice.state, testRng('liar'));
    for (let i = 0; i < 2; i++) expect(bob.receive(liar.send(text('taken')))).toEqual(text('taken'));
    for (let i = 0; i < 5; i++) refuses(bob, liar.send(text('refused')), 'ERR_DECRYPT');
    expect(bob.state.scka).toMatchObject({ epoch: 1, phase: { kind: 'noHeaderReceived' } });
  });

  it.each(['initiator', 'responder'] as const)(
    'a peer who takes no part stays readable, gains nothing, and loses its own healing: %s',
    (role) => {
      const rng = testRng(`deserter ${role}`);
      const secrets = handshakeSecrets(rng, 3);
      const [honest, other] = [ratchetOver(braid), ratchetOver(deserter)];
      const mine = new Party(honest, honest.start(secrets[role === 'initiator' ? 'responder' : 'initiator'], rng), rng);
      const theirs = new Party(other, other.start(secrets[role], rng), rng);
      const order = role === 'initiator' ? [theirs, mine] : [mine, theirs];
      for (let i = 0; i < 50; i++) {
        expect(order[1]!.receive(order[0]!.send(text('there')))).toEqual(text('there'));
        expect(order[0]!.receive(order[1]!.send(text('back')))).toEqual(text('back'));
      }
      // Chain epoch 0 is that of the handshake, which was hybrid: nothing fell back to less.
      expect(mine.state.pq).toMatchObject({ sending: { epoch: 0 }, receiving: { epoch: 0 } });
      expect(mine.state.scka.phase.kind).toBe(role === 'initiator' ? 'noHeaderReceived' : 'keysSampled');
    },
  );
});

describe('T08: the frame', () => {
  it.each([
    [1, 2],
    [1, 3],
    [2, 1],
    [2, 3],
    [3, 1],
    [3, 2],
  ] as const)('a session of profile %i takes no frame of profile %i', (profile, foreign) => {
    const parties = talk(profile, 2);
    for (const length of [3, 600, 1200, 2000, 3000, 10_000, 60_000]) {
      const frame = encrypt({ ...parties.alice.state, profile: foreign }, new Uint8Array(length), testRng('foreign')).out;
      const code = codeOf(() => parties.bob.receive(frame));
      expect(['ERR_DECODE', 'ERR_DECRYPT']).toContain(code);
      refuses(parties.bob, frame, code);
    }
  });

  it('a relay can change nothing of it: every byte of the header is authenticated', () => {
    const { alice, bob } = talk(2, 1);
    const frame = alice.send(text('x'));
    for (let at = 44; at < 44 + 72 + 32; at++) {
      const other = frame.slice();
      other[at]! ^= 1;
      expect(codeOf(() => decrypt(bob.state, other))).toBe('ERR_DECRYPT');
    }
  });
});

describe('T08: the stored state', () => {
  const states = [1, 2, 3].flatMap((profile) =>
    [0, 2, 9, 40].flatMap((rounds) =>
      Object.values(talk(profile as Profile, rounds)).map((party) => [profile, rounds, party.state] as const),
    ),
  );
  const corrupt = (bytes: Uint8Array): void => expect(codeOf(() => decodeState(bytes))).toBe('ERR_STORE_CORRUPT') as never;

  it.each(states)('T19: zeroed secrets are refused: profile %i, %i rounds', (_, __, state) => {
    const chains = [state.pq.sending, state.pq.receiving].flatMap((chain) => [chain.chainKey, chain.nextChainKey ?? []].flat());
    for (const secret of [...secretsOf(state.scka), state.pq.root, ...chains]) {
      const encoded = encodeState(state);
      const at = Buffer.from(encoded).indexOf(secret);
      corrupt(encoded.fill(0, at, at + secret.length));
    }
  });

  it.each(states)('the braid’s part cannot be left out, emptied, cut or put twice: profile %i, %i rounds', (_, __, state) => {
    const part = braid.encode(state.scka);
    const without = encodeCore(state, new Uint8Array(0)).slice(0, -2);
    for (const core of [
      without,
      ...[new Uint8Array(0), new Uint8Array(part.length), part.subarray(1), part.subarray(0, -1), concat(part, part)].map((other) =>
        encodeCore(state, other),
      ),
    ]) {
      expect(codeOf(() => decodeCore(core, [], braid.decode))).toBe('ERR_STORE_CORRUPT');
      const whole = new Uint8Array(7 + core.length);
      whole[0] = 1;
      new DataView(whole.buffer).setUint32(1, core.length);
      whole.set(core, 5);
      corrupt(whole);
    }
  });

  it('a state whose secrets were wiped is refused', () => {
    const { alice } = talk(3, 2);
    const { state } = alice;
    alice.send(text('x'));
    corrupt(encodeState(state as RatchetState));
  });
});
