import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { concat, equal, toHex } from '../../../src/bytes.js';
import { isCyphrError } from '../../../src/errors.js';
import { ratchetLimits } from '../../../src/limits.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import type { BraidState } from '../../../src/ratchet/braid/state.js';
import type * as keysModule from '../../../src/ratchet/keys.js';
import type { RatchetState } from '../../../src/ratchet/state.js';
import type { Profile, Rng, Step } from '../../../src/step.js';
import type { Header } from '../../../src/wire/ratchet-message.js';
import { CHUNK_BYTES } from '../../../src/wire/ratchet-message.js';
import { PER_EPOCH } from '../../helpers/conversation.js';
import { codeOf } from '../../helpers/expect-code.js';
import { forge } from '../../helpers/forge.js';
import { forgetKeyUses, keyUses } from '../../helpers/key-uses.js';
import { flip, testRng } from '../../helpers/rng.js';
import { secretsIn } from '../../helpers/secrets.js';
import { handshakeSecrets, ratchetOver, text } from '../../helpers/sessions.js';

vi.mock('../../../src/ratchet/keys.js', async (original) =>
  (await import('../../helpers/key-uses.js')).recordKeyUses(await original<typeof keysModule>()),
);

const SEED = 0x5eed_0002;
const REFUSED = ['ERR_DECRYPT', 'ERR_DECODE', 'ERR_VERSION', 'ERR_NO_SESSION', 'ERR_DUPLICATE', 'ERR_SKIP_LIMIT'];
const ratchet = ratchetOver(braid);
type State = RatchetState<BraidState>;
type SideNumber = 0 | 1;

interface Flight {
  readonly to: SideNumber;
  readonly frame: Uint8Array;
  readonly plaintext: Uint8Array;
  isDelivered: boolean;
}

/** A device: what is in memory, and what a restart finds. State and outbox are one commit. */
interface Device {
  state: State;
  disk: Uint8Array;
  outbox: Flight[];
  saved: Uint8Array;
}

/** Two devices and what is on the wire between them: the model is the list of plaintexts, the ratchets are the real thing. */
class World {
  readonly profile: Profile;
  readonly devices: readonly [Device, Device];
  readonly wire: Flight[] = [];
  readonly delivered: Flight[] = [];
  /** PRKs, header nonces and K ‖ N ‖ COMMIT of the frames that left a device. */
  readonly used = { prks: [] as string[], nonces: [] as string[], keys: [] as string[] };
  /** Whether a state was rolled back: a delivery may then fail, and a PRK may come again. */
  isForked = false;
  private readonly rng: Rng;
  private sent = 0;

  constructor(profile: Profile) {
    this.profile = profile;
    this.rng = testRng(`braid model ${profile}`);
    const { initiator, responder } = handshakeSecrets(this.rng, profile);
    const device = (secrets: typeof initiator): Device => {
      const state = ratchet.start(secrets, this.rng);
      const disk = ratchet.encode(state);
      return { state, disk, outbox: [], saved: disk };
    };
    this.devices = [device(initiator), device(responder)];
    this.send(0, 'none');
    this.arrive(this.wire.pop()!, 'none');
  }

  /** One step; `null` if it was refused. A refused one leaves the state byte-equal, and so does one that is never committed. */
  private step(device: Device, run: (state: State) => Step<State, Uint8Array>): Step<State, Uint8Array> | string {
    try {
      return run(device.state);
    } catch (error) {
      if (!isCyphrError(error)) throw error;
      return error.code;
    } finally {
      expect(equal(ratchet.encode(device.state), device.disk)).toBe(true);
    }
  }

  private commit(device: Device, { next, wipe }: Step<State, Uint8Array>): void {
    device.disk = ratchet.encode(next);
    for (const buffer of wipe) buffer.fill(0);
    device.state = next;
    expect(next.skipped.flatMap(({ keys }) => keys).length).toBeLessThanOrEqual(ratchetLimits.skippedKeys);
    expect(next.skipped.length).toBeLessThanOrEqual(ratchetLimits.oldChains + 1);
  }

  restart(number: SideNumber): void {
    const device = this.devices[number];
    device.state = ratchet.decode(device.disk);
    this.wire.push(...device.outbox.splice(0));
  }

  send(from: SideNumber, crash: 'none' | 'before' | 'after'): void {
    const device = this.devices[from];
    const plaintext = text(`${from}: ${this.sent++}`);
    forgetKeyUses();
    const step = this.step(device, (state) => ratchet.encrypt(state, plaintext, this.rng));
    if (typeof step === 'string') {
      expect([step, this.isForked]).toEqual(['ERR_NO_SESSION', true]);
      return;
    }
    if (crash !== 'before') {
      this.used.prks.push(...keyUses.prks);
      this.used.nonces.push(...keyUses.nonces);
      this.used.keys.push(...keyUses.keys);
      this.commit(device, step);
      device.outbox.push({ to: from === 0 ? 1 : 0, frame: step.out, plaintext, isDelivered: false });
    }
    if (crash !== 'none') this.restart(from);
    else this.wire.push(...device.outbox.splice(0));
  }

  arrive(flight: Flight, crash: 'none' | 'before' | 'after'): void {
    const device = this.devices[flight.to];
    const step = this.step(device, (state) => ratchet.decrypt(state, flight.frame));
    if (typeof step === 'string') {
      if (flight.isDelivered) expect(step).toBeOneOf(this.isForked ? REFUSED : ['ERR_DUPLICATE', 'ERR_NO_SESSION']);
      else expect([step, this.isForked]).toEqual([expect.any(String), true]);
      return;
    }
    expect(equal(step.out, flight.plaintext)).toBe(true);
    if (!this.isForked) expect(flight.isDelivered).toBe(false);
    // Before the commit the message is not acknowledged, so that it comes again; after it, it may.
    if (crash === 'before') this.wire.push(flight);
    else {
      this.commit(device, step);
      flight.isDelivered = true;
      this.delivered.push(flight);
    }
    if (crash !== 'none') this.restart(flight.to);
  }

  /** A message that never was: its frame changed on the way, or made by a peer who breaks the rules. It must leave no trace. */
  refuse(to: SideNumber, frame: Uint8Array, mayBeRead: boolean): void {
    const step = this.step(this.devices[to], (state) => ratchet.decrypt(state, frame));
    if (typeof step === 'string') expect(step).toBeOneOf(REFUSED);
    else expect(mayBeRead).toBe(true);
  }

  epoch(): number {
    return Math.min(...this.devices.map(({ state }) => state.pq.sending.epoch));
  }

  exchange(rounds: number): void {
    for (let i = 0; i < 2 * rounds; i++) {
      const waiting = this.wire.length;
      this.send((i % 2) as SideNumber, 'none');
      if (this.wire.length > waiting) this.arrive(this.wire.pop()!, 'none');
    }
  }
}

type Op = readonly [name: keyof typeof OPS, side: SideNumber, pick: number, header: Partial<Header>];

/** Takes a message off the wire. */
function take(w: World, pick: number, use: (flight: Flight) => void): void {
  if (w.wire.length > 0) use(w.wire.splice(pick % w.wire.length, 1)[0]!);
}

const OPS = {
  send: (w: World, side: SideNumber) => w.send(side, 'none'),
  'crash before the commit of a send': (w: World, side: SideNumber) => w.send(side, 'before'),
  'crash after the commit of a send': (w: World, side: SideNumber) => w.send(side, 'after'),
  deliver: (w: World, _: SideNumber, pick: number) => take(w, pick, (flight) => w.arrive(flight, 'none')),
  'crash before the commit of a receipt': (w: World, _: SideNumber, pick: number) => take(w, pick, (flight) => w.arrive(flight, 'before')),
  'crash after the commit of a receipt': (w: World, _: SideNumber, pick: number) =>
    take(w, pick, (flight) => {
      w.arrive(flight, 'after');
      w.arrive(flight, 'none');
    }),
  drop: (w: World, _: SideNumber, pick: number) => take(w, pick, () => {}),
  duplicate: (w: World, _: SideNumber, pick: number) => {
    if (w.delivered.length > 0) w.arrive(w.delivered[pick % w.delivered.length]!, 'none');
  },
  tamper: (w: World, _: SideNumber, pick: number) => {
    const flight = w.wire[pick % Math.max(1, w.wire.length)];
    if (flight !== undefined) w.refuse(flight.to, flip(flight.frame, pick % flight.frame.length, 1 << (pick % 8)), false);
  },
  forge: (w: World, side: SideNumber, _: number, header: Partial<Header>) => {
    const { state } = w.devices[side];
    if (state.ec.kind !== 'sending') return;
    const chunk = new Uint8Array(CHUNK_BYTES[w.profile]).fill(header.type === 0 || header.type === 4 ? 0 : 7);
    w.refuse(side === 0 ? 1 : 0, forge(state, { header: { ...header, chunk } }), true);
  },
  exchange: (w: World, _: SideNumber, pick: number) => w.exchange(pick % 6),
  snapshot: (w: World, side: SideNumber) => {
    w.devices[side].saved = w.devices[side].disk;
  },
  restore: (w: World, side: SideNumber) => {
    w.devices[side].disk = w.devices[side].saved;
    w.isForked = true;
    w.restart(side);
  },
} as const;

const HONEST = (Object.keys(OPS) as (keyof typeof OPS)[]).filter((name) => name !== 'snapshot' && name !== 'restore');
const OFTEN = ['send', 'send', 'send', 'deliver', 'deliver', 'exchange'] as const;

/** Counters near the true ones, at the bounds, or anything; left out where the true one is to stand. */
const counter = fc.option(
  fc.oneof(fc.nat(30), fc.integer({ min: 25_001, max: 25_100 }), fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff)),
  {
    nil: undefined,
  },
);
const header = fc
  .record({
    n: counter,
    previousChainLength: counter,
    pqCounter: counter,
    pqPrevious: counter,
    pqEpoch: counter,
    type: fc.nat(7),
    index: fc.nat(70_000),
  })
  .map((fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Header>);
const ops = (names: readonly (keyof typeof OPS)[]): fc.Arbitrary<readonly Op[]> =>
  fc.array(fc.tuple(fc.constantFrom(...OFTEN, ...names), fc.constantFrom<SideNumber>(0, 1), fc.nat(100_000), header), {
    minLength: 40,
    maxLength: 150,
    size: 'max',
  });
const profiles = fc.constantFrom<Profile>(1, 2, 3);

function play(profile: Profile, each: readonly Op[]): World {
  const w = new World(profile);
  for (const [name, side, pick, fields] of each) OPS[name](w, side, pick, fields);
  return w;
}

const expectUnique = (values: readonly string[]): void => expect(new Set(values).size).toBe(values.length);

describe('model of a session with the braid', () => {
  it('T16, T17, T18, T22: whatever happens, plaintexts are right, refusals leave no trace, no key repeats, and epochs go on', () => {
    const seen = { epochs: 0, used: 0 };
    fc.assert(
      fc.property(profiles, ops(HONEST), (profile, each) => {
        const w = play(profile, each);
        const epoch = w.epoch();
        w.exchange(PER_EPOCH['ping-pong'][profile][0] + 5);
        expect(w.epoch()).toBeGreaterThan(epoch);
        while (w.wire.length > 0) w.arrive(w.wire.pop()!, 'none');
        for (const flight of w.delivered.slice(-20)) w.arrive(flight, 'none');
        for (const values of Object.values(w.used)) expectUnique(values);
        seen.epochs += w.epoch();
        seen.used += w.used.prks.length;
      }),
      { seed: SEED, numRuns: 24 },
    );
    expect(seen.epochs).toBeGreaterThan(100);
    expect(seen.used).toBeGreaterThan(2500);
  });

  it('T18, T24: with states rolled back too, no key, nonce or commitment is used twice', () => {
    fc.assert(
      fc.property(profiles, ops([...HONEST, 'snapshot', 'restore', 'restore']), (profile, each) => {
        const { used } = play(profile, each);
        expectUnique(used.nonces);
        expectUnique(used.keys);
      }),
      { seed: SEED, numRuns: 20 },
    );
  });

  it('T19: a state in which any one secret is zero is refused', () => {
    const at = (bytes: Uint8Array, part: Uint8Array): number => Buffer.from(bytes).indexOf(part);
    fc.assert(
      fc.property(profiles, ops(HONEST), (profile, each) => {
        for (const { state, disk } of play(profile, each).devices) {
          const places = secretsIn(state).map((secret) => [at(disk, secret), secret.length] as const);
          expect(places.length).toBeGreaterThan(9);
          for (const [offset, length] of places) {
            expect(offset).toBeGreaterThan(0);
            const damaged = concat(disk.subarray(0, offset), new Uint8Array(length), disk.subarray(offset + length));
            expect(codeOf(() => ratchet.decode(damaged))).toBe('ERR_STORE_CORRUPT');
          }
        }
      }),
      { seed: SEED, numRuns: 12 },
    );
  });

  it('T20: no state opens a message that it has received', () => {
    fc.assert(
      fc.property(profiles, ops(HONEST), (profile, each) => {
        const w = play(profile, each);
        for (const { to, frame } of w.delivered) expect(codeOf(() => ratchet.decrypt(w.devices[to].state, frame))).toBeOneOf(REFUSED);
      }),
      { seed: SEED, numRuns: 10 },
    );
  });

  it('T21: two epochs and a turn after a copy was taken, it reads no more and no longer writes what the peer accepts', () => {
    fc.assert(
      fc.property(profiles, ops(HONEST), fc.constantFrom<SideNumber>(0, 1), (profile, each, stolen) => {
        const w = play(profile, each);
        const copy = ratchet.decode(w.devices[stolen].disk);
        const until = w.epoch() + 2;
        while (w.epoch() <= until) w.exchange(2);
        const forged = ratchet.encrypt(copy, text('from the copy'), testRng('thief')).out;
        w.refuse(stolen === 0 ? 1 : 0, forged, false);
        w.send(stolen === 0 ? 1 : 0, 'none');
        expect(codeOf(() => ratchet.decrypt(copy, w.wire.at(-1)!.frame))).toBeOneOf(REFUSED);
        expect(toHex(copy.pq.root)).not.toBe(toHex(w.devices[stolen].state.pq.root));
      }),
      { seed: SEED, numRuns: 8 },
    );
  });
});
