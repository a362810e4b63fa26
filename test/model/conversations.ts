import fc from 'fast-check';
import { expect } from 'vitest';
import { type Envelope, type HostileNetwork, hostileNetwork } from '../helpers/hostile-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type Mortal, mortal } from '../helpers/mortal.js';
import { type Clock, START } from '../helpers/people.js';

const NAMES = ['alice', 'bob', 'carol'] as const;
type Name = (typeof NAMES)[number];

/** What should come true of the clients: the messages that `send()` has resolved for, in call order. */
interface Expected {
  readonly sent: { from: Name; to: Name; text: string }[];
  keepsOrder: boolean;
}

/** The clients, and a relay that holds envelopes back, repeats them, forgets acknowledgements and drops connections, but loses nothing. */
interface Real {
  readonly network: HostileNetwork;
  readonly clock: Clock;
  readonly people: Readonly<Record<Name, Mortal>>;
  readonly held: Envelope[];
}

type Command = fc.AsyncCommand<Expected, Real>;

const always = { check: () => true };

/** One second passes with every command, so that limits per minute are not what is tested. */
function later(real: Real): void {
  real.clock.ms += 10_000;
}

class Send implements Command {
  readonly from: Name;
  readonly to: Name;
  constructor(from: Name, to: Name) {
    this.from = from;
    this.to = to;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(real);
    const text = `${this.from} to ${this.to} ${expected.sent.length}`;
    await real.people[this.from].run((client) => client.send(this.to, text, { key: text }));
    expected.sent.push({ from: this.from, to: this.to, text });
  }
  toString = (): string => `send(${this.from}, ${this.to})`;
}

class Receive implements Command {
  readonly who: Name;
  readonly ack: boolean;
  constructor(who: Name, ack: boolean) {
    this.who = who;
    this.ack = ack;
  }
  check = always.check;
  async run(_: Expected, real: Real): Promise<void> {
    later(real);
    await real.people[this.who].drain({ ack: this.ack });
  }
  toString = (): string => `receive(${this.who}, ${this.ack ? 'ack' : 'no ack'})`;
}

class Restart implements Command {
  readonly who: Name;
  constructor(who: Name) {
    this.who = who;
  }
  check = always.check;
  run = async (_: Expected, real: Real): Promise<void> => real.people[this.who].restart();
  toString = (): string => `restart(${this.who})`;
}

class Crash implements Command {
  readonly who: Name;
  readonly atCommit: number;
  readonly side: 'before' | 'after';
  constructor(who: Name, atCommit: number, side: 'before' | 'after') {
    this.who = who;
    this.atCommit = atCommit;
    this.side = side;
  }
  check = always.check;
  run = async (_: Expected, real: Real): Promise<void> => real.people[this.who].arm({ atCommit: this.atCommit, side: this.side });
  toString = (): string => `crash(${this.who}, ${this.side} commit ${this.atCommit} from here)`;
}

class Network implements Command {
  readonly does: 'lose acks' | 'keep acks' | 'hold one' | 'release' | 'repeat';
  readonly at: number;
  constructor(does: Network['does'], at: number) {
    this.does = does;
    this.at = at;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    const { network, held } = real;
    if (this.does === 'lose acks') network.loseAcks = true;
    if (this.does === 'keep acks') network.loseAcks = false;
    if (this.does === 'release') release(real);
    if (this.does === 'hold one') {
      expected.keepsOrder = false;
      network.route = (envelope) => {
        held.push(envelope);
        network.route = (next) => [next];
        return [];
      };
    }
    const again = network.sent[this.at % Math.max(1, network.sent.length)];
    if (this.does === 'repeat' && again !== undefined) void network.inject(again.to, again.bytes);
  }
  toString = (): string => `network(${this.does}, ${this.at})`;
}

function release({ network, held }: Real): void {
  for (const { to, bytes } of held.splice(0)) void network.inject(to, bytes);
}

/** Two or three people who talk, restart and crash at any time. Fails with the commands that broke an invariant, and the seed. */
export async function converse(runs: { numRuns: number; commands: number; seed: number }): Promise<void> {
  const name = fc.constantFrom(...NAMES);
  const commands = fc.commands(
    [
      fc
        .tuple(name, name)
        .filter(([from, to]) => from !== to)
        .map(([from, to]) => new Send(from, to)),
      fc.constantFrom(['alice', 'bob'] as const, ['bob', 'alice'] as const).map(([from, to]) => new Send(from, to)),
      fc.tuple(name, fc.boolean()).map(([who, ack]) => new Receive(who, ack)),
      name.map((who) => new Restart(who)),
      fc
        .tuple(name, fc.integer({ min: 1, max: 6 }), fc.constantFrom('before' as const, 'after' as const))
        .map((plan) => new Crash(...plan)),
      fc
        .tuple(fc.constantFrom('lose acks', 'keep acks', 'hold one', 'release', 'repeat'), fc.nat(1_000))
        .map(([does, at]) => new Network(does as Network['does'], at)),
    ],
    { maxCommands: runs.commands, size: 'max' },
  );
  let lives = 0;
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const network = hostileNetwork();
      const clock = { ms: START };
      const life = lives++;
      const make = (who: Name): Mortal => mortal(who, network, clock, {}, undefined, `${runs.seed} ${life}`);
      const real: Real = { network, clock, held: [], people: { alice: make('alice'), bob: make('bob'), carol: make('carol') } };
      const expected: Expected = { sent: [], keepsOrder: true };
      try {
        for (const who of NAMES) await real.people[who].run(async () => {});
        await fc.asyncModelRun(() => ({ model: expected, real }), list);
        await settle(expected, real);
        check(expected, real);
      } finally {
        await Promise.all(NAMES.map((who) => real.people[who].close()));
      }
    }),
    { numRuns: runs.numRuns, seed: runs.seed, endOnFailure: true },
  );
}

/** The network heals; everybody can still write to everybody; everything arrives. */
async function settle(expected: Expected, real: Real): Promise<void> {
  real.network.loseAcks = false;
  real.network.route = (envelope) => [envelope];
  release(real);
  for (const from of NAMES) for (const to of NAMES) if (from !== to) await new Send(from, to).run(expected, real);
  for (const who of NAMES) await real.people[who].receive(expected.sent.filter(({ to }) => to === who).map(({ text }) => text));
  for (const who of NAMES) await real.people[who].drain();
}

function check({ sent, keepsOrder }: Expected, { network, people }: Real): void {
  for (const who of NAMES) {
    const { shown, order, shownAfterAck } = people[who];
    const texts = sent.filter(({ to }) => to === who).map(({ text }) => text);
    expect([...shown.values()].sort()).toEqual(texts.sort());
    expect(shownAfterAck).toEqual([]);
    for (const from of keepsOrder ? NAMES : []) {
      const conversation = sent.filter((each) => each.to === who && each.from === from).map(({ text }) => text);
      expect(order.filter((each) => each.from === from).map(({ text }) => text)).toEqual(conversation);
    }
  }
  expect(keysUsedTwice(network.sent.map(({ bytes }) => bytes))).toEqual([]);
}
