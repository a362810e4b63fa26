/** Three people whose stores are backed up, restored and recovered at random moments, against what may be expected of them. */

import fc from 'fast-check';
import { expect } from 'vitest';
import { type GlassNetwork, glassNetwork } from '../helpers/glass-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type Clock, type GlassStore, glassStore, type Person, person, START } from '../helpers/people.js';

const NAMES = ['alice', 'bob', 'carol'] as const;
type Name = (typeof NAMES)[number];

interface Sent {
  readonly from: Name;
  readonly to: Name;
  readonly text: string;
  /** Number of the command that sent it. */
  readonly at: number;
  /** Whether it may be lost with a device: what only the lost one has got, or has sent. */
  mayBeLost: boolean;
}

interface Expected {
  readonly sent: Sent[];
  commands: number;
  readonly verified: Set<string>;
}

interface Backup {
  readonly rows: readonly (readonly [string, Uint8Array])[];
  readonly at: number;
  readonly verified: ReadonlySet<string>;
}

interface Real {
  readonly network: GlassNetwork;
  readonly clock: Clock;
  readonly people: Record<Name, Person>;
  readonly backups: Map<Name, Backup>;
  /** Texts by message id: what each application has in a database of its own. */
  readonly shown: Record<Name, Map<string, string>>;
  lives: number;
}

type Command = fc.AsyncCommand<Expected, Real>;
const always = { check: () => true };

async function open(real: Real, who: Name, store: GlassStore): Promise<Person> {
  const opened = await person(who, real.network, real.clock, { store, seed: `${who} ${real.lives++}` });
  await opened.seen('status', ({ status }) => status.state === 'online' || status.state === 'halted');
  return opened;
}

async function drain(real: Real, who: Name): Promise<void> {
  for (const message of await real.people[who].readAll()) real.shown[who].set(message.id, message.text);
}

/** Waits for everything that must come; what does not come in time is missed by the check. */
async function receiveAll({ sent }: Expected, real: Real, who: Name): Promise<void> {
  const awaited = new Set(sent.filter(({ to, mayBeLost }) => to === who && !mayBeLost).map(({ text }) => text));
  for (const text of real.shown[who].values()) awaited.delete(text);
  if (awaited.size === 0) return;
  for await (const message of real.people[who].client.messages({ signal: AbortSignal.timeout(10_000) })) {
    real.shown[who].set(message.id, message.text);
    await message.ack();
    awaited.delete(message.text);
    if (awaited.size === 0) return;
  }
}

function later(expected: Expected, real: Real): void {
  expected.commands += 1;
  real.clock.ms += 20_000;
}

class Send implements Command {
  readonly from: Name;
  readonly to: Name;
  readonly waits: boolean;
  constructor(from: Name, to: Name, waits: boolean) {
    this.from = from;
    this.to = to;
    this.waits = waits;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(expected, real);
    const text = `${this.from} to ${this.to} ${expected.sent.length}`;
    const sent = await real.people[this.from].client.send(this.to, text);
    expected.sent.push({ from: this.from, to: this.to, text, at: expected.commands, mayBeLost: false });
    if (this.waits) await sent.until('accepted');
  }
  toString = (): string => `send(${this.from}, ${this.to}${this.waits ? ', accepted' : ''})`;
}

class Receive implements Command {
  readonly who: Name;
  constructor(who: Name) {
    this.who = who;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(expected, real);
    await drain(real, this.who);
  }
  toString = (): string => `receive(${this.who})`;
}

class Verify implements Command {
  readonly who: Name;
  readonly whom: Name;
  constructor(who: Name, whom: Name) {
    this.who = who;
    this.whom = whom;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(expected, real);
    await (await real.people[this.who].client.contact(this.whom).safetyNumber()).confirmDigits();
    expected.verified.add(`${this.who} ${this.whom}`);
  }
  toString = (): string => `verify(${this.who}, ${this.whom})`;
}

class Snapshot implements Command {
  readonly who: Name;
  constructor(who: Name) {
    this.who = who;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(expected, real);
    const rows = [...real.people[this.who].store.rows()].map(([key, value]) => [key, new Uint8Array(value)] as const);
    real.backups.set(this.who, { rows, at: expected.commands, verified: new Set(expected.verified) });
  }
  toString = (): string => `snapshot(${this.who})`;
}

/** The device goes on for a while, shows itself to the relay once more, and is lost; its backup takes its place. */
class Restore implements Command {
  readonly who: Name;
  constructor(who: Name) {
    this.who = who;
  }
  check = always.check;
  async run(expected: Expected, real: Real): Promise<void> {
    later(expected, real);
    const { who } = this;
    const backup = real.backups.get(who);
    if (backup === undefined) return;
    await real.people[who].client.close();
    const last = await open(real, who, real.people[who].store);
    await last.client.close();
    const texts = new Set(real.shown[who].values());
    for (const message of expected.sent) {
      const isUnsaved = message.from === who && message.at > backup.at;
      const isUnseen = message.to === who && !texts.has(message.text);
      if (isUnsaved || isUnseen) message.mayBeLost = true;
    }
    for (const name of NAMES) if (!backup.verified.has(`${who} ${name}`)) expected.verified.delete(`${who} ${name}`);
    const store = glassStore();
    await store.commit(backup.rows.map(([key, value]) => ({ key: JSON.parse(key), value })));
    const restored = await open(real, who, store);
    real.people[who] = restored;
    expect(restored.client.status).toMatchObject({ state: 'halted', error: { code: 'ERR_STORE_ROLLBACK' } });
    const met = new Set(
      [...store.rows().keys()]
        .map((key) => JSON.parse(key) as string[])
        .flatMap(([space, account]) => (space === 'peer' ? [account!] : [])),
    );
    const known = [...store.rows().keys()]
      .map((key) => JSON.parse(key) as string[])
      .flatMap(([space, account]) => (space === 'contact' ? [account!] : []));
    await restored.client.recover();
    // Everybody knows of the new device from here on, and nothing is sent to the lost one: contacts are greeted. A backup from before the
    // first contact greets nobody: they hear of it by its first message.
    for (const name of NAMES) {
      if (name === who) continue;
      if (!met.has(name) || !known.includes(name)) await new Send(who, name, true).run(expected, real);
      const isHello = ({ address }: { address: { account: string; device: number } }): boolean =>
        address.account === who && address.device === restored.client.device;
      await real.people[name].seen('sessionEstablished', isHello);
    }
  }
  toString = (): string => `restore(${this.who})`;
}

/** Runs the model; `seed` makes it repeatable. */
export async function restoreAtRandom(runs: { numRuns: number; commands: number; seed: number }): Promise<void> {
  const name = fc.constantFrom(...NAMES);
  const pair = fc.tuple(name, name).filter(([from, to]) => from !== to);
  const commands = fc.commands(
    [
      fc.tuple(pair, fc.boolean()).map(([[from, to], waits]) => new Send(from, to, waits)),
      fc.tuple(pair, fc.boolean()).map(([[from, to], waits]) => new Send(from, to, waits)),
      name.map((who) => new Receive(who)),
      pair.map(([who, whom]) => new Verify(who, whom)),
      name.map((who) => new Snapshot(who)),
      name.map((who) => new Restore(who)),
    ],
    { maxCommands: runs.commands, size: 'max' },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const network = glassNetwork();
      const real: Real = {
        network,
        clock: { ms: START },
        people: {} as Record<Name, Person>,
        backups: new Map(),
        shown: { alice: new Map(), bob: new Map(), carol: new Map() },
        lives: 0,
      };
      const expected: Expected = { sent: [], commands: 0, verified: new Set() };
      try {
        for (const who of NAMES) real.people[who] = await open(real, who, glassStore());
        await fc.asyncModelRun(() => ({ model: expected, real }), list);
        for (const from of NAMES) for (const to of NAMES) if (from !== to) await new Send(from, to, true).run(expected, real);
        for (const who of NAMES) await receiveAll(expected, real, who);
        await check(expected, real);
      } finally {
        await Promise.all(NAMES.map((who) => real.people[who]?.client.close()));
      }
    }),
    { numRuns: runs.numRuns, seed: runs.seed, endOnFailure: true },
  );
}

async function check({ sent, verified }: Expected, { network, people, shown }: Real): Promise<void> {
  for (const who of NAMES) {
    const texts = [...shown[who].values()];
    const mine = sent.filter(({ to }) => to === who);
    const missing = mine.filter(({ text, mayBeLost }) => !mayBeLost && !texts.includes(text)).map(({ text }) => text);
    expect(missing).toEqual([]);
    expect(texts.filter((text) => !mine.some((message) => message.text === text))).toEqual([]);
    expect(new Set(texts).size).toBe(texts.length);
    expect(people[who].count('identityChanged')).toBe(0);
    for (const whom of NAMES) {
      if (verified.has(`${who} ${whom}`)) expect(await people[who].client.contact(whom).identity()).toMatchObject({ trust: 'verified' });
    }
  }
  expect(keysUsedTwice(network.sent)).toEqual([]);
}
