import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex } from '../../src/bytes.js';
import { generateX25519 } from '../../src/crypto/suite.js';
import { isCyphrError } from '../../src/errors.js';
import { wireLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../src/ratchet/braid/state.js';
import { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet } from '../../src/ratchet/index.js';
import type { Scka } from '../../src/ratchet/scka.js';
import { receivingTags } from '../../src/ratchet/triple.js';
import type { Profile } from '../../src/step.js';
import { padBody } from '../../src/wire/padding.js';
import type { Header } from '../../src/wire/ratchet-message.js';
import { codeOf } from '../helpers/expect-code.js';
import { type Forgery, forge } from '../helpers/forge.js';
import { usage } from '../helpers/matchers.js';
import { flip, testRng } from '../helpers/rng.js';
import { handshakeSecrets, type Party, session, text } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

const fresh = (seed: string, profile: Profile = 2) => session(braid, testRng(seed), profile);

/** A whole hdr ‖ mac of profile 1, not the peer's: the braid refuses its MAC. */
const FORGED_HEADER_PIECE = { type: 1, chunk: new Uint8Array(192).fill(1) };

function expectRejected<S>(party: Party<S>, frame: Uint8Array, code: string): void {
  const before = party.snapshot();
  expect(codeOf(() => party.receive(frame))).toBe(code);
  expect(party.snapshot()).toEqual(before);
}

function sendingOf(party: Party<unknown>) {
  const { ec } = party.state;
  if (ec.kind !== 'sending') throw new Error('this side cannot send');
  return ec;
}

/** All low-order points of Curve25519 and its twist, as u-coordinates: canonical ones, then those that are not. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
].map((hex) => fromHex(hex)!);

describe('the public functions', () => {
  it('carry a conversation through every profile, and through encoded states', () => {
    for (const profile of [1, 2, 3] as const) {
      const rng = testRng(`public ${profile}`);
      const { initiator, responder } = handshakeSecrets(rng, profile);
      let [alice, bob] = [initiateRatchet(initiator, rng), acceptRatchet(responder)];
      for (let i = 0; i < 3; i++) {
        const ping = encrypt(alice, text('ping'), rng);
        const received = decrypt(decodeState(encodeState(bob)), ping.out);
        const pong = encrypt(received.next, text('pong'), rng);
        const answered = decrypt(decodeState(encodeState(ping.next)), pong.out);
        expect([received.out, answered.out]).toEqual([text('ping'), text('pong')]);
        [alice, bob] = [answered.next, pong.next];
      }
    }
  });

  it('refuse secrets of the other role', () => {
    const { initiator, responder } = handshakeSecrets(testRng('roles'));
    expect(() => initiateRatchet(responder, testRng('r'))).toThrow(usage('ERR_ARGUMENT', 'secrets'));
    expect(() => acceptRatchet(initiator)).toThrow(usage('ERR_ARGUMENT', 'secrets'));
  });

  it('keep nothing of the secrets, which the caller wipes', () => {
    const rng = testRng('owner');
    const { initiator, responder } = handshakeSecrets(rng);
    const [alice, bob] = [initiateRatchet(initiator, rng), acceptRatchet(responder)];
    for (const { signedPrekey, transcriptHash, rootKey, headerKeyA, nextHeaderKeyB, sckaSecret } of [initiator, responder]) {
      for (const buffer of [
        signedPrekey.publicKey,
        signedPrekey.secretKey,
        transcriptHash,
        rootKey,
        headerKeyA,
        nextHeaderKeyB,
        sckaSecret,
      ]) {
        buffer.fill(0);
      }
    }
    expect(decrypt(bob, encrypt(alice, text('still'), rng).out).out).toEqual(text('still'));
  });

  it('T01: an initiator refuses a low-order signed prekey', () => {
    const { initiator } = handshakeSecrets(testRng('low order'));
    for (const publicKey of LOW_ORDER) {
      const secrets = { ...initiator, signedPrekey: { publicKey, secretKey: new Uint8Array(0) } };
      expect(codeOf(() => initiateRatchet(secrets, testRng('r')))).toBe('ERR_DECRYPT');
    }
  });
});

describe('encrypt', () => {
  it('is ERR_NO_SESSION at a responder that has received nothing', () => {
    expect(codeOf(() => fresh('mute').bob.send(text('')))).toBe('ERR_NO_SESSION');
  });

  it('takes 65,535 bytes and refuses one more', () => {
    const { alice, bob } = fresh('long');
    const longest = new Uint8Array(65_535).fill(3);
    expect(Buffer.from(longest).equals(bob.receive(alice.send(longest)))).toBe(true);
    expect(codeOf(() => alice.send(new Uint8Array(65_536)))).toBe('ERR_LENGTH');
  });

  it('T42: refuses a generator that gives short or zero bytes, at each draw', () => {
    const { alice, bob } = fresh('generator', 1);
    const expectRefusals = <S>(party: Party<S>, draws: number): void => {
      const before = party.snapshot();
      for (let bad = 0; bad < draws; bad++) {
        for (const broken of [(length: number) => new Uint8Array(length - 1).fill(1), (length: number) => new Uint8Array(length)]) {
          let count = 0;
          const rng = (length: number): Uint8Array => (count++ === bad ? broken(length) : testRng('ok')(length));
          expect(codeOf(() => party.send(text('x'), rng))).toBe('ERR_ARGUMENT');
          expect(count).toBe(bad + 1);
          expect(party.snapshot()).toEqual(before);
        }
      }
      let count = 0;
      party.ratchet.encrypt(party.state, text('x'), (length) => testRng(`${count++}`)(length));
      expect(count).toBe(draws);
    };
    expectRefusals(alice, 2); // header nonce, ML-KEM seed
    bob.receive(alice.send(text('ping')));
    expectRefusals(bob, 3); // header nonce, ratchet key, m
    bob.send(text('pong'));
    expectRefusals(bob, 1); // header nonce
  });

  it('T18: refuses n and pqCtr from 2³¹', () => {
    const max = wireLimits.counterMax;
    const { alice } = fresh('counters');
    const { state } = alice;
    alice.state = { ...state, ec: { ...sendingOf(alice), sendIndex: max } };
    expect(() => alice.send(text(''))).toThrow(expect.objectContaining({ code: 'ERR_SESSION_DEAD', max }));
    alice.state = { ...state, pq: { ...state.pq, sending: { ...state.pq.sending, counter: max - 1 } } };
    expect(codeOf(() => alice.send(text('')))).toBe('ERR_SESSION_DEAD');
  });

  it('T18: a chain that used up its 2³¹ indices ends with the next turn, and the chain after it says its length', () => {
    const max = wireLimits.counterMax;
    const { alice, bob } = fresh('last index');
    bob.receive(alice.send(text('')));
    const ec = bob.state.ec as Extract<typeof bob.state.ec, { kind: 'awaitingSend' }>;
    bob.state = { ...bob.state, ec: { ...ec, receiving: { ...ec.receiving, n: max - 1 } } };
    alice.state = { ...alice.state, ec: { ...sendingOf(alice), sendIndex: max - 1 } };
    expect(bob.receive(alice.send(text('last')))).toEqual(text('last'));
    expect(codeOf(() => alice.send(text('')))).toBe('ERR_SESSION_DEAD');
    alice.receive(bob.send(text('turn')));
    expect(bob.receive(alice.send(text('on')))).toEqual(text('on'));
  });

  it('is ERR_SESSION_DEAD at epoch 2³¹, and ERR_BUG where a state machine runs ahead of its chains', () => {
    const at = (epoch: number): Scka<BraidState> => ({
      ...braid,
      send: (state, profile, rng) => {
        const step = braid.send(state, profile, rng);
        return { ...step, message: { ...step.message, epoch } };
      },
    });
    const max = wireLimits.counterMax;
    const { alice } = session(at(max), testRng('epochs'), 2);
    const { sending } = alice.state.pq;
    alice.state = { ...alice.state, pq: { ...alice.state.pq, sending: { ...sending, epoch: max - 1 } } };
    expect(codeOf(() => alice.send(text('')))).toBe('ERR_SESSION_DEAD');
    expect(() => session(at(2), testRng('epochs'), 2).alice.send(text(''))).toThrow(expect.objectContaining({ code: 'ERR_BUG', got: 2 }));
    expect(codeOf(() => session(at(3), testRng('epochs'), 2).alice.send(text('')))).toBe('ERR_BUG');
    const emitting: Scka<BraidState> = {
      ...braid,
      send: (...call) => ({ ...braid.send(...call), emitted: { epoch: 2, secret: new Uint8Array(32).fill(1) } }),
    };
    expect(codeOf(() => session(emitting, testRng('epochs'), 2).alice.send(text('')))).toBe('ERR_BUG');
  });
});

describe('decrypt', () => {
  it('T13: frames of other types, versions and suites are DecodeErrors', () => {
    const { alice, bob } = fresh('types');
    const frame = alice.send(text('x'));
    for (const type of [0x00, 0x01, 0x10, 0x30, 0x40, 0x44, 0xff]) {
      const other = frame.slice();
      other[0] = type;
      expectRejected(bob, other, 'ERR_DECODE');
    }
    for (const at of [1, 2, 3]) expectRejected(bob, flip(frame, at, 2), 'ERR_VERSION');
    expectRejected(bob, new Uint8Array(wireLimits.frameBytes + 1).fill(0x20), 'ERR_TOO_LARGE');
    expectRejected(alice, frame, 'ERR_NO_SESSION');
    expect(bob.receive(frame)).toEqual(text('x'));
  });

  it('T13: a frame of one session means nothing in another, also where its tag is put on', () => {
    const [one, two] = [fresh('one'), fresh('two')];
    const frame = one.alice.send(text('x'));
    expectRejected(two.bob, frame, 'ERR_NO_SESSION');
    const moved = concat(frame.subarray(0, 4), two.alice.send(text('y')).subarray(4, 20), frame.subarray(20));
    expectRejected(two.bob, moved, 'ERR_DECRYPT');
  });

  it('T15, T17: every byte of a frame is authenticated, and a changed frame changes nothing', () => {
    const { alice, bob } = fresh('bits');
    const frame = alice.send(text('x'));
    const before = bob.snapshot();
    for (let at = 4; at < frame.length; at++) {
      expect(codeOf(() => bob.receive(flip(frame, at, 1 << (at % 8))))).toBe(at < 20 ? 'ERR_NO_SESSION' : 'ERR_DECRYPT');
    }
    expect(bob.snapshot()).toEqual(before);
    expect(bob.receive(frame)).toEqual(text('x'));
  });

  it('T15: parts of two genuine frames do not combine', () => {
    const { alice, bob } = fresh('splice');
    const [a, b] = [alice.send(text('a')), alice.send(text('b'))];
    for (const cut of [21, 44, 148, 180]) {
      const spliced = concat(a.subarray(0, cut), b.subarray(cut));
      expectRejected(bob, spliced, 'ERR_DECRYPT');
    }
    expect(bob.receive(b)).toEqual(text('b'));
    expect(bob.receive(a)).toEqual(text('a'));
    for (const frame of [a, b]) expectRejected(bob, frame, 'ERR_DUPLICATE');
  });

  it('T50: a frame cut to any length, or one byte longer, is rejected', () => {
    const { alice, bob } = fresh('cut');
    const frame = alice.send(text('x'.repeat(3000)));
    const before = bob.snapshot();
    for (let length = 0; length < frame.length; length++) {
      expect(codeOf(() => bob.receive(frame.slice(0, length)))).toBeOneOf(['ERR_DECODE', 'ERR_DECRYPT']);
    }
    expect(codeOf(() => bob.receive(concat(frame, new Uint8Array(1))))).toBe('ERR_DECODE');
    expect(bob.snapshot()).toEqual(before);
  });

  it('T40: random and mutated bytes give typed errors only', () => {
    const { alice, bob } = fresh('fuzz');
    const frame = alice.send(text('x'));
    const before = bob.snapshot();
    const mutated = fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((edits) => {
      const out = frame.slice();
      for (const [at, value] of edits) out[at] = value;
      return out;
    });
    const anything = fc.oneof(fc.uint8Array({ maxLength: 1500 }), mutated);
    fc.assert(
      fc.property(anything, (bytes) => {
        try {
          bob.ratchet.decrypt(bob.state, bytes);
          expect(Buffer.from(bytes).equals(frame)).toBe(true);
        } catch (error) {
          expect(isCyphrError(error)).toBe(true);
        }
      }),
      { seed: 7, numRuns: 2000 },
    );
    expect(bob.snapshot()).toEqual(before);
  });

  it('T05: every failure behind the parsing is one ERR_DECRYPT with one text', () => {
    const { alice, bob } = fresh('one text', 1);
    const frame = alice.send(text('x'));
    const failures = [
      flip(frame, 30),
      flip(frame, 100),
      flip(frame, 310),
      flip(frame),
      forge(alice.state, { header: { n: 3 } }),
      forge(alice.state, { header: { type: 7 } }),
      forge(alice.state, { header: FORGED_HEADER_PIECE }),
      forge(alice.state, { padded: new Uint8Array(512) }),
      forge(alice.state, { prk: new Uint8Array(32) }),
    ];
    const shown = new Set(
      failures.map((bad) => {
        try {
          return bob.receive(bad);
        } catch (error) {
          return String(error);
        }
      }),
    );
    expect([...shown]).toEqual(['AuthError: message could not be authenticated']);
  });

  it('T43: a body padded to another length than the bucket of its content is refused', () => {
    const { alice, bob } = fresh('padding');
    const bodies = [new Uint8Array(512), new Uint8Array(1024), new Uint8Array(512).fill(0x80, 0, 511), padBody(new Uint8Array(512))];
    bodies[1]![100] = 0x80; // fits 512
    bodies[2]![511] = 1;
    for (const padded of bodies.slice(0, 3)) expectRejected(bob, forge(alice.state, { padded }), 'ERR_DECRYPT');
    for (const length of [511, 513, 1023]) {
      expectRejected(bob, forge(alice.state, { padded: new Uint8Array(length).fill(0x80) }), 'ERR_DECODE');
    }
    expect(bob.receive(forge(alice.state, { padded: bodies[3]! }))).toEqual(new Uint8Array(512));
  });

  it('T36: a body that opens under a key that its commitment does not name is refused', () => {
    const { alice, bob } = fresh('commitment');
    expectRejected(bob, forge(alice.state, { commitment: new Uint8Array(32).fill(1) }), 'ERR_DECRYPT');
    expect(bob.receive(forge(alice.state))).toEqual(new Uint8Array([1, 2, 3]));
  });

  const badHeaders: [string, Forgery][] = [
    ['e = 0', { header: { pqEpoch: 0 } }],
    ['pqCtr = 0', { header: { pqCounter: 0 } }],
    ['pqPrev in the first epoch', { header: { pqPrevious: 1 } }],
    ['type 7', { header: { type: 7 } }],
    ['flags', { flags: 1 }],
    ['None with an index', { header: { index: 1 } }],
    ['None with a chunk', { header: { chunk: new Uint8Array(192).fill(1) } }],
    ['Ct1Ack with a chunk', { header: { type: 4, chunk: new Uint8Array(192).fill(1) } }],
    ['a piece that the SCKA refuses', { header: FORGED_HEADER_PIECE }],
  ];
  it.each(badHeaders)('an authenticated header with %s is refused', (_, forgery) => {
    const { alice, bob } = fresh('fields', 1);
    expectRejected(bob, forge(alice.state, forgery), 'ERR_DECRYPT');
  });
});

describe('ratchet keys in an authenticated header', () => {
  it('are looked at before the gap: a key that is none is no reason to give up the session', () => {
    const { alice, bob } = fresh('before the gap');
    const far = { n: 25_001, pqCounter: 25_002 };
    expectRejected(bob, forge(alice.state, { header: far }), 'ERR_SKIP_LIMIT');
    expectRejected(bob, forge(alice.state, { header: { ...far, ratchetKey: new Uint8Array(32).fill(0xff) } }), 'ERR_DECRYPT');
    bob.receive(alice.send(text('first')));
    bob.send(text('answer'));
    const next = { headerKey: sendingOf(alice).nextSendingHeaderKey };
    expectRejected(bob, forge(alice.state, { ...next, header: { ...far, previousChainLength: 1, pqCounter: 25_003 } }), 'ERR_DECRYPT');
  });

  it('T01: low-order and non-canonical ones are refused before anything changes', () => {
    const { alice, bob } = fresh('low');
    for (const ratchetKey of LOW_ORDER) expectRejected(bob, forge(alice.state, { header: { ratchetKey } }), 'ERR_DECRYPT');
    bob.receive(alice.send(text('first')));
    bob.send(text('now sending'));
    const ec = sendingOf(alice);
    for (const ratchetKey of LOW_ORDER) {
      const header = { ratchetKey, n: 0, previousChainLength: 1 };
      expectRejected(bob, forge(alice.state, { header, headerKey: ec.nextSendingHeaderKey }), 'ERR_DECRYPT');
    }
  });

  it('a known one under NHKr, another one under HKr, and any under NHKr before an answer are refused', () => {
    const { alice, bob } = fresh('keys');
    const other = generateX25519(testRng('other')).publicKey;
    bob.receive(alice.send(text('first')));
    const ec = sendingOf(alice);
    const next = { headerKey: ec.nextSendingHeaderKey };
    expectRejected(bob, forge(alice.state, { header: { ratchetKey: other } }), 'ERR_DECRYPT');
    // Bob has not answered: no honest peer can have stepped again.
    expectRejected(bob, forge(alice.state, { ...next, header: { ratchetKey: other, n: 0, previousChainLength: 1 } }), 'ERR_DECRYPT');
    bob.send(text('answer'));
    expectRejected(bob, forge(alice.state, { ...next, header: { n: 0, previousChainLength: 1 } }), 'ERR_DECRYPT');
    expect(bob.receive(forge(alice.state))).toEqual(new Uint8Array([1, 2, 3]));
  });

  it('under an old tag it is ignored, as are the counters', () => {
    const { alice, bob } = fresh('old');
    const missing = alice.send(text('missing'));
    bob.receive(alice.send(text('first')));
    const chain = bob.state.skipped[0]!;
    const { headerKey, keys } = { headerKey: { ...chain.headerKey, key: chain.headerKey.key.slice() }, keys: chain.keys };
    const prk = keys[0]!.prk.slice();
    alice.receive(bob.send(text('answer')));
    alice.send(text('lost'));
    bob.receive(alice.send(text('new chain')));
    const header = { ratchetKey: LOW_ORDER[0]!, n: 0, previousChainLength: 9, pqCounter: 77 };
    expect(bob.receive(forge(alice.state, { headerKey, prk, header }))).toEqual(new Uint8Array([1, 2, 3]));
    expectRejected(bob, missing, 'ERR_NO_SESSION');
  });
});

describe('late messages and the SCKA', () => {
  /** Bob misses one message of an old chain; the forger has its key. */
  function withMissing(seed: string) {
    const { alice, bob } = session(toyScka(), testRng(seed), 2);
    bob.receive(alice.send(text('first')));
    const missing = alice.send(text('missing'));
    bob.receive(alice.send(text('second')));
    const { headerKey, keys } = bob.state.skipped[0]!;
    const taken = { headerKey: { ...headerKey, key: headerKey.key.slice() }, prk: keys[0]!.prk.slice() };
    const { ratchetKeyPair } = sendingOf(alice);
    alice.receive(bob.send(text('answer')));
    alice.send(text('lost'));
    /** A message with the missing one's keys and place, and `header` as the forger likes. */
    const late = (header: Partial<Header>): Uint8Array =>
      forge(alice.state, { ...taken, header: { ratchetKey: ratchetKeyPair.publicKey, n: 1, pqEpoch: 1, pqPrevious: 0, ...header } });
    return { alice, bob, missing, late };
  }

  it('still carry its payload', () => {
    // Bob's Ct1 arrives late, after another of his chain, and completes the epoch for Alice.
    const { alice, bob } = session(toyScka(2), testRng('payload'), 2);
    bob.receive(alice.send(text('hdr')));
    const [first, second] = [bob.send(text('ct1, 0')), bob.send(text('ct1, 1'))];
    alice.receive(second);
    expect(alice.state.scka.epoch).toBe(1);
    alice.receive(first);
    expect(alice.state.scka.epoch).toBe(2);
    expect(alice.state.pq.sending.nextChainKey).not.toBeNull();
    bob.receive(alice.send(text('in epoch 2')));
    expect(bob.state.pq.receiving.epoch).toBe(1);
  });

  it('can bring no epoch ahead of the chains', () => {
    const { bob, late } = withMissing('ahead');
    // Bob's state machine would go on to epoch 2, whose chain no message has entered yet.
    expect(bob.state.scka).toMatchObject({ phase: 'answering', epoch: 1 });
    expect(bob.ratchet.decrypt(bob.state, late({ pqEpoch: 1 })).out).toEqual(new Uint8Array([1, 2, 3]));
    expectRejected(bob, late({ pqEpoch: 2 }), 'ERR_DECRYPT');
  });

  it('are refused whole if the SCKA refuses them, or their body does not open', () => {
    const { bob, missing, late } = withMissing('refused');
    expectRejected(bob, late({ type: 1, chunk: new Uint8Array(32).fill(1) }), 'ERR_DECRYPT');
    expectRejected(bob, flip(missing), 'ERR_DECRYPT');
    expect(bob.receive(missing)).toEqual(text('missing'));
  });

  it('a state machine that emits out of order is ERR_BUG, and its secret is wiped', () => {
    const secret = new Uint8Array(32).fill(5);
    const ahead: Scka<BraidState> = { ...braid, receive: (...call) => ({ ...braid.receive(...call), emitted: { epoch: 7, secret } }) };
    const { alice, bob } = session(ahead, testRng('order'), 2);
    expectRejected(bob, alice.send(text('x')), 'ERR_BUG');
    expect(secret).toEqual(new Uint8Array(32));
  });
});

describe('tags', () => {
  it('receivingTags names HKr, NHKr and each old chain of which a message is missing', () => {
    const { alice, bob } = fresh('tags');
    const tagOf = (frame: Uint8Array): Uint8Array => frame.subarray(4, 20);
    expect(receivingTags(alice.state)).toHaveLength(1);
    expect(receivingTags(bob.state)).toHaveLength(1);
    const missing = alice.send(text('missing'));
    const frame = alice.send(text('first'));
    expect(receivingTags(bob.state)).toEqual([tagOf(frame)]);
    bob.receive(frame);
    expect(receivingTags(bob.state)).toHaveLength(2);
    expect(receivingTags(bob.state)[0]).toEqual(tagOf(frame));
    const answer = bob.send(text('answer'));
    expect(receivingTags(alice.state)).toEqual([tagOf(answer)]);
    alice.receive(answer);
    const second = alice.send(text('second'));
    expect(receivingTags(bob.state)[1]).toEqual(tagOf(second));
    bob.receive(second);
    expect(receivingTags(bob.state)).toHaveLength(3);
    expect(receivingTags(bob.state)[2]).toEqual(tagOf(missing));
    bob.receive(missing);
    expect(receivingTags(bob.state)).toHaveLength(2);
  });
});
