/** The world of the model of the whole: machines, a relay, time, and what should come true of every message. */

import { joinWith } from '../../src/client/join.js';
import { contactRecord } from '../../src/client/records.js';
import type { Client, MessageId } from '../../src/client/types.js';
import { decodeDevice } from '../../src/identity/index.js';
import type { Address } from '../../src/step.js';
import { parseDeviceList, parseIdentity } from '../../src/wire/objects.js';
import { glassStore } from '../helpers/people.js';
import { type DirectoryChange, type StepRelay, stepRelay } from '../helpers/step-relay.js';
import { type Timeline, timeline } from '../helpers/timeline.js';
import { type Backup, codeOf, filled, type Machine, machine } from './machine.js';

/** 2026-01-01, in milliseconds. */
const START = 1_767_225_600_000;
const MINUTE_MS = 60_000;

/** What a message does to another. A deletion says no text. */
export interface Change {
  readonly kind: 'edit' | 'deletion';
  readonly of: Outgoing;
}

/** A message that somebody's application was told to send. */
export interface Outgoing {
  /** `<text 1>`, `<text 2>`, … */
  readonly text: string;
  readonly from: Machine;
  readonly to: string;
  readonly atMs: number;
  /** `unknown`: the process died before it could say. */
  state: 'unsaid' | 'promised' | 'refused' | 'unknown';
  id: MessageId | undefined;
  order: string | undefined;
  /** That it edits or deletes an earlier one of the same account. */
  readonly change: Change | undefined;
  /** Devices of the recipient, and of its own account, that the sender knew. */
  readonly known: ReadonlySet<string>;
  /** By account, the version of the list in which it knew them. */
  readonly lists: ReadonlyMap<string, number>;
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
  /** How many were sent before the history begins. */
  readonly sentBefore: number;
  readonly backups: Map<Machine, Backup>;
  /** Devices that were taken out of their account, with the number of the message that was sent next, and the list without them. */
  readonly revoked: Map<string, { readonly next: number; readonly version: number }>;
  /** How many envelopes the relay has lost. */
  lostCount: number;
  readonly faults: string[];
  /** What was done, in words. */
  readonly log: string[];
}

interface Template {
  readonly machines: readonly { readonly account: string; readonly backup: Backup; readonly address: Address }[];
  readonly changes: readonly DirectoryChange[];
  readonly sentCount: number;
  readonly atMs: number;
}

const NAMES = ['alice', 'bob', 'carol'];
const templates = new Map<string, Promise<Template>>();

export const addressName = ({ account, device }: Address): string => `${account} ${device}`;

/** Where a device is now; `undefined` while nothing runs there, or what runs has no place. */
export function addressOf(each: Machine): Address | undefined {
  return each.addresses.at(-1);
}

/** The lists by which a machine would send by what its disk says now: that of an account, and its own. */
export function knownLists({ store, account: own }: Machine, account: string): Map<string, ReturnType<typeof parseDeviceList>> {
  const [contact, device] = [['contact', account], ['device']].map((key) => store.rows().get(JSON.stringify(key)));
  const lists = new Map([[own, parseDeviceList(decodeDevice(device!).deviceList)]]);
  if (contact !== undefined) lists.set(account, parseDeviceList(contactRecord.decode(contact).list));
  return lists;
}

function contentOf(text: string, change: Change | undefined): Parameters<Client['send']>[1] {
  const target = change?.of.id;
  if (target === undefined) return text;
  return change?.kind === 'edit' ? { kind: 'edit', target, text } : { kind: 'deletion', target };
}

/** Sends one more message; what comes of it is noted as it comes. */
export function send({ messages, sentBefore, faults, time }: World, from: Machine, to: string, change?: Change): Outgoing {
  const text = `<text ${sentBefore + messages.length}>`;
  const lists = [...knownLists(from, to)];
  const message: Outgoing = {
    text,
    from,
    to,
    atMs: time.now(),
    state: 'unsaid',
    id: undefined,
    order: undefined,
    change,
    known: new Set(lists.flatMap(([account, { entries }]) => entries.map(({ device }) => addressName({ account, device })))),
    lists: new Map(lists.map(([account, { version }]) => [account, version])),
    lostFor: new Set(),
    isForgotten: false,
  };
  messages.push(message);
  const seen = [...from.shown.values()].flatMap(({ conversation, order }) => (conversation === to ? order : []));
  const said = messages.flatMap((each) => (each.from === from && each.to === to ? (each.order ?? []) : []));
  const before = from.wasRestored ? [] : [...seen, ...said];
  from
    .client()!
    .send(to, contentOf(text, change))
    .then(
      ({ id, order }) => {
        message.id = id;
        message.order = order;
        for (const each of before) if (order <= each) faults.push(`${text} of ${from.name} stands before what was there when it was sent`);
        message.state = from.isDead() ? 'unknown' : 'promised';
      },
      (error: unknown) => {
        message.state = from.isDead() ? 'unknown' : 'refused';
        // What a halted or dying device refuses is no fault.
        const code = codeOf(error);
        // It knows nothing of that message, or by its clock it is too old.
        if (change !== undefined && code === 'ERR_ARGUMENT') return;
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
  const world: World = {
    relay,
    time,
    machines,
    accounts: NAMES,
    messages: [],
    sentBefore: 0,
    backups: new Map(),
    revoked: new Map(),
    lostCount: 0,
    faults,
    log: [],
  };
  try {
    for (const [i, count] of devices.entries()) {
      const account = NAMES[i]!;
      for (let n = 1; n <= count; n++) {
        const primary = machines.find((other) => other.account === account);
        if (primary !== undefined) {
          await link(world, primary, `shape ${devices}`);
          continue;
        }
        const each = machine(`${account}/${n}`, account, glassStore(), surroundings(relay, time, `shape ${devices}`, faults));
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
      sentCount: world.messages.length,
      atMs: time.now(),
    };
  } finally {
    time.end();
  }
}

/** A new machine, linked to the account of `primary` as people do it; `undefined` if that came to nothing. */
export async function link(world: World, primary: Machine, seed: string): Promise<Machine | undefined> {
  const { relay, time, faults, machines } = world;
  const { account } = primary;
  const count = machines.filter((each) => each.account === account).length;
  const each = machine(`${account}/${count + 1}`, account, glassStore(), surroundings(relay, time, seed, faults));
  let failure: unknown;
  each.start(async (options) => {
    try {
      const code = await primary.client()!.devices.link();
      const [joining, asked] = await Promise.all([joinWith({ ...options, code: code.qr }, () => options.rng), code.request()]);
      await asked.confirm();
      return await joining.client();
    } catch (error) {
      failure = error;
      throw error;
    }
  });
  await time.pass(MINUTE_MS);
  if (failure === undefined && each.client() !== undefined) {
    machines.push(each);
    return each;
  }
  if (!primary.isDead()) faults.push(`${each.name} was not linked: ${codeOf(failure)}`);
  each.stop();
  return undefined;
}

/** The person takes out what a linking has left in the list that came to nothing, what could not be recovered, and what a restored machine was. */
export async function revokeOrphans({ machines, accounts, time, faults }: World): Promise<void> {
  for (const account of accounts) {
    const own = machines.filter((each) => each.account === account && !each.isRetired);
    const primary = own[0]!.client();
    const revokeAll = async (): Promise<void> => {
      for (const { device } of (await primary?.devices.list()) ?? []) {
        const isOrphan = !own.some((each) => addressOf(each)?.device === device);
        if (isOrphan) await primary!.devices.revoke(device);
      }
    };
    revokeAll().catch((error: unknown) => faults.push(`${account} could not take out a device: ${codeOf(error)}`));
    await time.settle();
  }
}

/** The devices in the newest list of an account that the directory shows. */
export async function listed({ relay }: World, account: string): Promise<Set<string>> {
  const lists = (await relay.bundles(account)).map(({ identity }) => parseDeviceList(parseIdentity(identity).deviceList));
  const newest = lists.reduce((a, b) => (b.version > a.version ? b : a));
  return new Set(newest.entries.map(({ device }) => addressName({ account, device })));
}

/** A world of that shape, its machines running; `time.end()` is the caller's. */
export async function worldOf(shape: Shape, seed: string): Promise<World> {
  const name = JSON.stringify(shape);
  const template = templates.get(name) ?? makeTemplate(shape);
  templates.set(name, template);
  const { machines: made, changes, sentCount, atMs } = await template;
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
  return {
    relay,
    time,
    machines,
    accounts,
    messages: [],
    sentBefore: sentCount,
    backups: new Map(),
    revoked: new Map(),
    lostCount: 0,
    faults,
    log: [],
  };
}
