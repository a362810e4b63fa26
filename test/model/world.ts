/** The world of the model of the whole: machines, a relay, time, and what should come true of every message. */

import { openDatabase } from '../../src/client/database.js';
import { contactRecord, keys } from '../../src/client/records.js';
import { deviceRows } from '../../src/client/recovery.js';
import { decodeDevice, encodeDevice, entryOf, generateDeviceKeys, relist } from '../../src/identity/index.js';
import type { Address } from '../../src/step.js';
import type { Write } from '../../src/store/port.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { type GlassStore, glassStore } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';
import { type DirectoryChange, type StepRelay, stepRelay } from '../helpers/step-relay.js';
import { type Timeline, timeline } from '../helpers/timeline.js';
import { type Backup, codeOf, filled, type Machine, machine } from './machine.js';

/** 2026-01-01, in milliseconds. */
const START = 1_767_225_600_000;
const MINUTE_MS = 60_000;

/** A message that somebody's application was told to send. */
export interface Outgoing {
  /** `<1>`, `<2>`, … */
  readonly text: string;
  readonly from: Machine;
  readonly to: string;
  readonly atMs: number;
  /** `unknown`: the process died before it could say. */
  state: 'unsaid' | 'promised' | 'refused' | 'unknown';
  id: string | undefined;
  /** Devices of the recipient, and of its own account, that the sender knew. */
  readonly known: ReadonlySet<string>;
  /** Devices for which the relay has lost it. */
  readonly lostFor: Set<string>;
  /** The sender went back to a time before it. */
  isForgotten: boolean;
}

/** Which accounts there are, with how many devices, and whether they have met. */
export interface Shape {
  readonly devices: readonly number[];
  readonly haveMet: boolean;
}

export interface World {
  readonly relay: StepRelay;
  readonly time: Timeline;
  readonly machines: Machine[];
  readonly accounts: readonly string[];
  readonly messages: Outgoing[];
  readonly backups: Map<Machine, Backup>;
  readonly faults: string[];
  /** What was done, in words. */
  readonly log: string[];
}

interface Template {
  readonly machines: readonly { readonly account: string; readonly backup: Backup; readonly address: Address }[];
  readonly changes: readonly DirectoryChange[];
  readonly atMs: number;
}

const NAMES = ['alice', 'bob', 'carol'];
const templates = new Map<string, Promise<Template>>();

export const addressName = ({ account, device }: Address): string => `${account} ${device}`;

/** Where a device is now; `undefined` while nothing runs there, or what runs has no place. */
export function addressOf(each: Machine): Address | undefined {
  return each.addresses.at(-1);
}

/** The devices to which a machine would send by what its disk says now: those of an account, and its own others. */
function knownDevices({ store, account: own }: Machine, account: string): Set<string> {
  const [contact, device] = [['contact', account], ['device']].map((key) => store.rows().get(JSON.stringify(key)));
  const lists: [string, Uint8Array][] = [[own, decodeDevice(device!).deviceList]];
  if (contact !== undefined) lists.push([account, contactRecord.decode(contact).list]);
  return new Set(
    lists.flatMap(([owner, list]) => parseDeviceList(list).entries.map((entry) => addressName({ account: owner, device: entry.device }))),
  );
}

/** Sends one more message; what comes of it is noted as it comes. */
export function send({ messages, faults, time }: World, from: Machine, to: string): Outgoing {
  const text = `<${messages.length}>`;
  const message: Outgoing = {
    text,
    from,
    to,
    atMs: time.now(),
    state: 'unsaid',
    id: undefined,
    known: knownDevices(from, to),
    lostFor: new Set(),
    isForgotten: false,
  };
  messages.push(message);
  from
    .client()!
    .send(to, text)
    .then(
      ({ id }) => {
        message.id = id;
        message.state = from.isDead() ? 'unknown' : 'promised';
      },
      (error: unknown) => {
        message.state = from.isDead() ? 'unknown' : 'refused';
        // What a halted or dying device refuses is no fault.
        const code = codeOf(error);
        if (!from.isDead() && !['ERR_STORE_ROLLBACK', 'ERR_CLOSED'].includes(code)) faults.push(`${text} of ${from.name}: ${code}`);
      },
    );
  return message;
}

/** Everybody reads and acknowledges what there is. */
export async function readAll({ machines, time }: World): Promise<void> {
  for (const each of machines) await each.read(true, () => time.settle());
}

function surroundings(relay: StepRelay, time: Timeline, seed: string, faults: string[]) {
  return { relay, now: time.now, seed, faults };
}

/** Registers the accounts of a shape, once: every history begins with a copy. */
async function makeTemplate({ devices, haveMet }: Shape): Promise<Template> {
  const time = timeline(START);
  const relay = stepRelay();
  relay.isSwift = true;
  const faults: string[] = [];
  const machines: Machine[] = [];
  const world: World = { relay, time, machines, accounts: NAMES, messages: [], backups: new Map(), faults, log: [] };
  try {
    for (const [i, count] of devices.entries()) {
      const account = NAMES[i]!;
      for (let n = 1; n <= count; n++) {
        const each = machine(`${account}/${n}`, account, glassStore(), surroundings(relay, time, `shape ${devices}`, faults));
        if (n > 1) await join(world, each, machines.find((other) => other.account === account)!);
        machines.push(each);
        each.start();
        await time.pass(MINUTE_MS);
      }
    }
    for (let i = 0; haveMet && i < 2; i++) {
      for (const from of machines) {
        for (const to of new Set(machines.map(({ account }) => account))) if (to !== from.account) send(world, from, to);
        await time.pass(MINUTE_MS);
        await readAll(world);
      }
    }
    const addresses = machines.map((each) => addressOf(each)!);
    for (const each of machines) each.stop();
    await time.settle();
    if (faults.length > 0) throw new Error(faults.join('\n'));
    return {
      machines: machines.map((each, i) => ({ account: each.account, backup: each.backup(0), address: addresses[i]! })),
      changes: relay.changes,
      atMs: time.now(),
    };
  } finally {
    time.end();
  }
}

/** Makes a device on an empty disk one of the account of `primary`. */
async function join({ time }: World, joining: Machine, primary: Machine): Promise<void> {
  primary.stop();
  await time.settle();
  const rng = testRng(`join ${joining.name}`);
  const first = decodeDevice(primary.store.rows().get('["device"]')!);
  const { entries } = parseDeviceList(first.deviceList);
  const own = generateDeviceKeys(rng, entries);
  const next = relist(
    first,
    [...entries, entryOf(own)].sort((a, b) => a.device - b.device),
    time.now(),
    rng,
  );
  const accountKey = { publicKey: first.accountKey.publicKey, secretKey: undefined };
  const device = { account: first.account, accountKey, ...own, deviceList: next.deviceList };
  const write = async (store: GlassStore, rows: readonly Write[]): Promise<void> => {
    const db = await openDatabase(store, { rng, now: time.now, onCommit: () => {}, onLost: () => {} });
    await db.commit(rows);
    await db.close();
  };
  await write(joining.store, deviceRows(device, rng, time.now()));
  await write(primary.store, [{ key: keys.device, value: encodeDevice(next) }]);
  primary.start();
  await time.settle();
}

/** A world of that shape, its machines running; `time.end()` is the caller's. */
export async function worldOf(shape: Shape, seed: string): Promise<World> {
  const name = JSON.stringify(shape);
  const template = templates.get(name) ?? makeTemplate(shape);
  templates.set(name, template);
  const { machines: made, changes, atMs } = await template;
  const time = timeline(atMs);
  const relay = stepRelay();
  const faults: string[] = [];
  await relay.play(changes);
  const machines: Machine[] = [];
  for (const { account, backup, address } of made) {
    const count = machines.filter((each) => each.account === account).length;
    const each = machine(`${account}/${count + 1}`, account, await filled(backup.rows), surroundings(relay, time, seed, faults));
    each.addresses.push(address);
    machines.push(each);
    each.start();
  }
  await time.pass(1_000);
  const accounts = [...new Set(made.map(({ account }) => account))];
  return { relay, time, machines, accounts, messages: [], backups: new Map(), faults, log: [] };
}
