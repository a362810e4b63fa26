import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { equal, isZero, toHex } from '../../src/bytes.js';
import { isCyphrError } from '../../src/errors.js';
import { ratchetLimits } from '../../src/limits.js';
import { braid } from '../../src/ratchet/braid/machine.js';
import type * as keysModule from '../../src/ratchet/keys.js';
import type { Scka } from '../../src/ratchet/scka.js';
import type { RatchetState } from '../../src/ratchet/state.js';
import type { Profile, Rng, Step } from '../../src/step.js';
import { forgetKeyUses, keyUses } from '../helpers/key-uses.js';
import { flip, testRng } from '../helpers/rng.js';
import { secretsIn } from '../helpers/secrets.js';
import { handshakeSecrets, type Ratchet, ratchetOver } from '../helpers/sessions.js';
import { toyScka } from '../helpers/toy-scka.js';

vi.mock('../../src/ratchet/keys.js', async (original) =>
  (await import('../helpers/key-uses.js')).recordKeyUses(await original<typeof keysModule>()),
);
beforeEach(forgetKeyUses);

const SEED = 0x5eed_0001;

interface Side {
  state: RatchetState;
  hasReceived: boolean;
  snapshot: Uint8Array;
  readonly rng: Rng;
}

interface Flight {
  readonly to: 0 | 1;
  readonly frame: Uint8Array;
  readonly plaintext: Uint8Array;
  isDelivered: boolean;
}

/** What the commands work on. The network is the model; both ratchets are the real thing. */
interface World {
  readonly ratchet: Ratchet<unknown>;
  readonly sides: readonly [Side, Side];
  readonly flights: Flight[];
  /** Whether a state was ever rolled back: then a delivery may fail, and a PRK may come again. */
  isForked: boolean;
}

function world(scka: Scka<unknown>, profile: Profile, seed: string): World {
  const ratchet = ratchetOver(scka);
  const rng = testRng(seed);
  const { initiator, responder } = handshakeSecrets(rng, profile);
  const side = (secrets: typeof initiator): Side => {
    const state = ratchet.start(secrets, rng);
    return { state, hasReceived: false, snapshot: ratchet.encode(state), rng };
  };
  return { ratchet, sides: [side(initiator), side(responder)], flights: [], isForked: false };
}

/** `toEqual` takes a millisecond for such lengths. */
function expectSame(a: Uint8Array, b: Uint8Array): void {
  expect(equal(a, b)).toBe(true);
}

/** One step with everything that a step promises: nothing mutated, failure changes nothing, `wipe` is all that is no longer needed. */
function step({ ratchet }: World, side: Side, run: (state: RatchetState) => Step<RatchetState<unknown>, Uint8Array>): Uint8Array {
  const before = ratchet.encode(side.state);
  let result: Step<RatchetState<unknown>, Uint8Array>;
  try {
    result = run(side.state);
  } finally {
    expectSame(ratchet.encode(side.state), before);
  }
  const { next, out, wipe } = result;
  const [after, copyOfOut] = [ratchet.encode(next), out.slice()];
  for (const buffer of wipe) buffer.fill(0);
  const kept = new Set(secretsIn(next));
  for (const secret of secretsIn(side.state)) if (!kept.has(secret)) expect(isZero(secret)).toBe(true);
  expectSame(ratchet.encode(next), after);
  expectSame(ratchet.encode(ratchet.decode(after)), after);
  expectSame(out, copyOfOut);
  expect(next.skipped.flatMap(({ keys }) => keys).length).toBeLessThanOrEqual(ratchetLimits.skippedKeys);
  expect(next.skipped.length).toBeLessThanOrEqual(ratchetLimits.oldChains + 1);
  side.state = next;
  return out;
}

function encrypt(w: World, side: Side, plaintext: Uint8Array): Uint8Array {
  return step(w, side, (state) => w.ratchet.encrypt(state, plaintext, side.rng));
}

/** Delivers a frame; gives the plaintext, or the code of the typed error. */
function deliver(w: World, to: 0 | 1, frame: Uint8Array): Uint8Array | string {
  const side = w.sides[to];
  try {
    const plaintext = step(w, side, (state) => w.ratchet.decrypt(state, frame));
    side.hasReceived = true;
    return plaintext;
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return error.code;
  }
}

type Command = fc.Command<World, World>;
const command = (name: string, check: (w: World) => boolean, run: (w: World) => void): Command => ({
  check,
  run: (_, w) => run(w),
  toString: () => name,
});
const hasFlights = ({ flights }: World): boolean => flights.length > 0;
const pick = (w: World, index: number): Flight => w.flights[index % w.flights.length]!;

const send = fc.tuple(fc.constantFrom(0, 1), fc.nat(600)).map(([from, length]) =>
  command(
    `send(${from}, ${length} B)`,
    () => true,
    (w) => {
      const side = w.sides[from as 0 | 1];
      const plaintext = new Uint8Array(length).fill(w.flights.length + 1);
      if (from === 1 && !side.hasReceived) {
        if (!w.isForked) expect(() => encrypt(w, side, plaintext)).toThrow(expect.objectContaining({ code: 'ERR_NO_SESSION' }));
      } else {
        w.flights.push({ to: (1 - from) as 0 | 1, frame: encrypt(w, side, plaintext), plaintext, isDelivered: false });
      }
    },
  ),
);

function arrive(w: World, flight: Flight): void {
  const result = deliver(w, flight.to, flight.frame);
  if (typeof result !== 'string') expectSame(result, flight.plaintext);
  if (w.isForked) return;
  if (flight.isDelivered) expect(result).toBeOneOf(['ERR_DUPLICATE', 'ERR_NO_SESSION']);
  else expect(result).toBeInstanceOf(Uint8Array);
  flight.isDelivered = true;
}

const deliverOne = fc.nat(50).map((index) =>
  command(`deliver(${index})`, hasFlights, (w) => {
    arrive(w, pick(w, index));
    w.flights.splice(index % w.flights.length, 1);
  }),
);
/** A few round trips: epochs of the SCKA end only where both sides speak. */
const exchange = fc.integer({ min: 1, max: 6 }).map((rounds) =>
  command(
    `exchange(${rounds})`,
    () => true,
    (w) => {
      for (let i = 0; i < 2 * rounds; i++) {
        const from = (i % 2) as 0 | 1;
        if (!w.sides[from].hasReceived && from === 1) return;
        const plaintext = new Uint8Array(20).fill(i);
        arrive(w, { to: (1 - from) as 0 | 1, frame: encrypt(w, w.sides[from], plaintext), plaintext, isDelivered: false });
      }
    },
  ),
);
const duplicate = fc.nat(50).map((index) => command(`duplicate(${index})`, hasFlights, (w) => arrive(w, pick(w, index))));
const drop = fc.nat(50).map((index) => command(`drop(${index})`, hasFlights, (w) => void w.flights.splice(index % w.flights.length, 1)));
const tamper = fc.tuple(fc.nat(50), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([index, at, mask]) =>
  command(`tamper(${index}, byte ${at}, ${mask})`, hasFlights, (w) => {
    const { to, frame } = pick(w, index);
    const codes = ['ERR_DECRYPT', 'ERR_DECODE', 'ERR_VERSION', 'ERR_NO_SESSION', 'ERR_DUPLICATE'];
    expect(deliver(w, to, flip(frame, at % frame.length, mask))).toBeOneOf(codes);
  }),
);
const reload = fc.constantFrom(0, 1).map((who) =>
  command(
    `encode and decode(${who})`,
    () => true,
    ({ ratchet, sides }) => {
      const side = sides[who as 0 | 1];
      side.state = ratchet.decode(ratchet.encode(side.state));
    },
  ),
);
const snapshot = fc.constantFrom(0, 1).map((who) =>
  command(
    `snapshot(${who})`,
    () => true,
    ({ ratchet, sides }) => {
      const side = sides[who as 0 | 1];
      side.snapshot = ratchet.encode(side.state);
    },
  ),
);
const restore = fc.constantFrom(0, 1).map((who) =>
  command(
    `restore(${who})`,
    () => true,
    (w) => {
      const side = w.sides[who as 0 | 1];
      side.state = w.ratchet.decode(side.snapshot);
      side.hasReceived = side.state.ec.kind !== 'awaitingFirst';
      w.isForked = true;
    },
  ),
);

const honest = [send, send, send, deliverOne, deliverOne, deliverOne, exchange, duplicate, drop, tamper, reload];

describe.each([
  ['braid, profile 1', braid as Scka<unknown>, 1],
  ['braid, profile 3', braid as Scka<unknown>, 3],
  ['toy', toyScka() as Scka<unknown>, 2],
  ['slow toy', toyScka(3) as Scka<unknown>, 2],
] as const)('model, %s', (name, scka, profile) => {
  const seen = { deliveries: 0, epoch: 0 };
  const play = (commands: Iterable<Command>, isHonest: boolean): void => {
    forgetKeyUses();
    const w = world(scka, profile, `model ${name}`);
    fc.modelRun(() => ({ model: w, real: w }), commands);
    seen.deliveries += w.sides[0].state.receivedCount + w.sides[1].state.receivedCount;
    seen.epoch = Math.max(seen.epoch, w.sides[0].state.pq.sending.epoch);
    if (isHonest) expect(keyUses.prks.size).toBe(keyUses.counted);
    expect(keyUses.nonces.size).toBe(keyUses.counted);
    expect(keyUses.keys.size).toBe(keyUses.counted);
  };

  it('T17, T18: any order, loss, repetition and tampering gives the plaintext or a typed error, and a failed step changes nothing', () => {
    const commands = fc.commands(honest, { maxCommands: 150, size: 'max' });
    fc.assert(
      fc.property(commands, (each) => play(each, true)),
      { seed: SEED, numRuns: 30 },
    );
    // The commands did reach what they are meant to reach.
    expect(seen.deliveries).toBeGreaterThan(500);
    expect(seen.epoch).toBeGreaterThan(3);
  });

  it('T24, T42: with states rolled back too, no key, nonce or header nonce is used twice', () => {
    const commands = fc.commands([...honest, snapshot, restore], { maxCommands: 150, size: 'max' });
    fc.assert(
      fc.property(commands, (each) => play(each, false)),
      { seed: SEED, numRuns: 30 },
    );
  });
});

describe('key reuse', () => {
  it('T18: 100 encryptions use 100 keys, nonces and header nonces', () => {
    const w = world(braid as Scka<unknown>, 2, 'hundred');
    for (let i = 0; i < 100; i++) encrypt(w, w.sides[0], new Uint8Array(10));
    expect(keyUses.counted).toBe(100);
    for (const values of [keyUses.prks, keyUses.nonces, keyUses.keys]) expect(values.size).toBe(100);
  });

  it('T42: two encryptions from one snapshot share no key, also where the generator repeats itself and only the content differs', () => {
    const w = world(braid as Scka<unknown>, 2, 'snapshot');
    const saved = w.ratchet.encode(w.sides[0].state);
    const stuck: Rng = (length) => new Uint8Array(length).fill(9);
    const run = (plaintext: Uint8Array, rng: Rng): Uint8Array => w.ratchet.encrypt(w.ratchet.decode(saved), plaintext, rng).out;
    const one = new Uint8Array([1]);
    const frames = [run(one, w.sides[0].rng), run(one, w.sides[0].rng), run(one, stuck), run(new Uint8Array([2]), stuck)];
    expect([keyUses.counted, keyUses.prks.size, keyUses.nonces.size]).toEqual([4, 1, 4]);
    // K 32 ‖ N 12 ‖ COMMIT 32: each part differs by itself.
    for (const [from, to] of [
      [0, 64],
      [64, 88],
      [88, 152],
    ] as const) {
      expect(new Set([...keyUses.keys].map((okm) => okm.slice(from, to))).size).toBe(4);
    }
    expect(new Set(frames.map((frame) => toHex(frame.subarray(20, 44)))).size).toBe(4);
    // The same content under the same randomness is the same frame: nothing new is revealed.
    expect(run(one, stuck)).toEqual(frames[2]);
  });
});
