/** What can happen in the model of the whole: one step at a time, each to one machine. */

import fc from 'fast-check';
import { decodeDevice } from '../../src/identity/index.js';
import { spoilSessions } from '../helpers/broken-session.js';
import { textsIn } from '../helpers/text-watch.js';
import { codeOf, type Machine, machine } from './machine.js';
import { addressName, addressOf, type Change, knownLists, link, send, type World } from './world.js';

const HOUR_MS = 3_600_000;
const MOST_DEVICES = 4;
const TEN_YEARS_MS = 3_652 * 24 * HOUR_MS;

/** One step: what, to which machine, and a number that decides the rest. */
export interface Step {
  readonly does: keyof typeof STEPS;
  readonly at: number;
  readonly n: number;
}

/** A machine does it; the answer is what is written into the log, nothing if there was nothing to do. */
type Act = (world: World, at: Machine, n: number) => Promise<string | undefined> | string | undefined;

const others = ({ accounts }: World, { account }: Machine): string[] => accounts.filter((other) => other !== account);
const oneOf = <T>(from: readonly T[], n: number): T | undefined => from[n % Math.max(1, from.length)];

/** What the relay lost, and for whom. */
function noteLoss({ messages }: World, texts: readonly string[], address: string): void {
  for (const message of messages) if (texts.includes(message.text)) message.lostFor.add(address);
}

function change(world: World, at: Machine, n: number, kind: Change['kind']): string | undefined {
  const own = world.messages.filter(
    ({ from, id, change: other }) => from.account === at.account && id !== undefined && other === undefined,
  );
  const of = oneOf(own, n);
  if (at.client() === undefined || of === undefined) return undefined;
  return `${send(world, at, of.to, { kind, of }).text} of ${of.text} to ${of.to}`;
}

const STEPS = {
  send(world, at, n) {
    const to = oneOf(others(world, at), n)!;
    if (at.client() === undefined) return undefined;
    return `${send(world, at, to).text} to ${to}`;
  },
  /** One of the account's messages is changed, by whichever of its devices. */
  edit: (world, at, n) => change(world, at, n, 'edit'),
  delete: (world, at, n) => change(world, at, n, 'deletion'),
  /** Everybody at once: sessions cross. */
  burst(world) {
    const sent = world.machines.flatMap((each) =>
      each.client() === undefined ? [] : others(world, each).map((to) => send(world, each, to).text),
    );
    return sent.join(' ');
  },
  deliver({ relay }, at, n) {
    const which = (['first', 'last', 'all', 'all'] as const)[n % 4]!;
    for (const address of at.addresses) relay.release(address, which);
    return which;
  },
  'deliver everything'({ relay }) {
    relay.releaseAll();
    return '';
  },
  async read({ time }, at, n) {
    const acks = n % 3 !== 0;
    await at.read(acks, () => time.settle());
    return acks ? 'and acknowledges' : '';
  },
  restart(_, at) {
    at.stop();
    at.start();
    return '';
  },
  stop(_, at) {
    at.stop();
    return '';
  },
  crash(_, at, n) {
    const plan = { atCommit: 1 + (n % 6), side: n % 2 === 0 ? ('before' as const) : ('after' as const) };
    at.arm(plan);
    return `${plan.side} commit ${plan.atCommit} from here`;
  },
  connection({ relay }, at) {
    at.link.isUp = !at.link.isUp;
    if (!at.link.isUp) for (const address of at.addresses) relay.cut(address);
    return at.link.isUp ? 'up' : 'down';
  },
  'lossy connection'(_, at, n) {
    if (n % 2 === 0) at.link.losesAcks = !at.link.losesAcks;
    else at.link.losesReplies = !at.link.losesReplies;
    return `${at.link.losesAcks ? 'loses acknowledgements' : ''} ${at.link.losesReplies ? 'loses replies' : ''}`;
  },
  'relay restarts'({ relay }) {
    relay.restart();
    return '';
  },
  lose(world, at) {
    const address = addressOf(at);
    const lost = address && world.relay.lose(address);
    if (lost === undefined) return undefined;
    world.lostCount += 1;
    const texts = textsIn(lost.bytes);
    noteLoss(world, texts, addressName(lost.to));
    return texts.join(' ');
  },
  repeat({ relay }, _, n) {
    const parcel = oneOf(relay.accepted, n);
    if (parcel === undefined) return undefined;
    relay.repeat(parcel);
    return `${textsIn(parcel.bytes).join(' ')} to ${addressName(parcel.to)}`;
  },
  clock(_, at, n) {
    at.offsetMs = [TEN_YEARS_MS, -TEN_YEARS_MS, 0, 0][n % 4]!;
    return `is wrong by ${at.offsetMs} ms`;
  },
  async wait({ time }, _, n) {
    const ms = [10_000, 60_000, 600_000, HOUR_MS, HOUR_MS, 5 * HOUR_MS][n % 6]!;
    await time.pass(ms);
    return `${ms} ms`;
  },
  sleep({ time }, _, n) {
    const days = [1, 4, 8, 20, 50, 100][n % 6]!;
    time.jump(days * 24 * HOUR_MS);
    return `${days} days`;
  },
  backup(world, at) {
    if (at.client()?.status.state === 'halted') return undefined;
    world.backups.set(at, at.backup(world.messages.length));
    return '';
  },
  async restore(world, at) {
    const backup = world.backups.get(at);
    if (backup === undefined) return undefined;
    await showOnceMore(world, at);
    for (const [i, message] of world.messages.entries()) if (message.from === at && i >= backup.at) message.isForgotten = true;
    await at.restore(backup);
    at.start();
    await world.time.settle();
    expectHalted(world, at);
    return `to the time of <text ${world.sentBefore + backup.at}>`;
  },
  /** A copy of the disk is started while the original runs, and has shown itself since. */
  async clone(world, at) {
    if (at.client() === undefined || at.client()?.status.state === 'halted') return undefined;
    const copy = at.backup(0);
    await showOnceMore(world, at);
    at.start();
    await world.time.settle();
    const { relay, time, faults } = world;
    const clone = machine(`${at.name} copy`, at.account, at.store, { relay, now: time.now, seed: `copy ${world.log.length}`, faults });
    await clone.restore(copy);
    clone.start();
    await time.settle();
    expectHalted(world, clone);
    clone.stop();
    return '';
  },
  /** A fault of the disk: what a device reads with in its sessions is spoilt. */
  async spoil({ time }, at) {
    at.stop();
    await time.settle();
    await spoilSessions(at.store);
    at.start();
    return '';
  },
  async link(world, at) {
    const primary = world.machines.find((each) => each.account === at.account)!;
    const count = world.machines.filter((each) => each.account === at.account && !each.isRetired).length;
    if (count >= MOST_DEVICES || !primary.link.isUp || !isRunning(primary)) return undefined;
    return (await link(world, primary, `link ${world.log.length}`))?.name ?? 'in vain';
  },
  async revoke({ machines, messages, time, revoked, faults }, at) {
    const primary = machines.find((each) => each.account === at.account)!;
    const device = at.addresses.at(-1);
    if (at === primary || device === undefined || !isRunning(primary)) return undefined;
    let isDone = false;
    primary
      .client()!
      .devices.revoke(device.device)
      .then(
        () => {
          isDone = true;
        },
        (error: unknown) => {
          // A primary device that went back to a time before does not know the other one.
          if (!primary.isDead() && codeOf(error) !== 'ERR_ARGUMENT') faults.push(`${at.name} was not revoked: ${codeOf(error)}`);
        },
      );
    await time.settle();
    if (!isDone) return 'in vain';
    at.isRetired = true;
    revoked.set(addressName(device), { next: messages.length, version: knownLists(primary, at.account).get(at.account)!.version });
    return '';
  },
  async recover(world, at) {
    if (at.client()?.status.state !== 'halted') return undefined;
    await recover(world, at);
    return at.isRetired ? 'in vain' : '';
  },
} satisfies Record<string, Act>;

const isRunning = (each: Machine): boolean => each.client() !== undefined && each.client()?.status.state !== 'halted';

/** A halted device goes on as a new one. One without the account key can't: it has to be linked again. */
export async function recover({ time, faults }: World, at: Machine): Promise<void> {
  const isPrimary = decodeDevice(at.store.rows().get('["device"]')!).accountKey.secretKey !== undefined;
  at.client()!
    .recover()
    .catch((error: unknown) => {
      if (at.isDead()) return;
      if (!isPrimary && codeOf(error) === 'ERR_DEVICE_UNTRUSTED') at.isRetired = true;
      // With other devices in the account the directory has to be asked whether this one is still among them.
      else if (at.link.isUp || codeOf(error) !== 'ERR_OFFLINE') faults.push(`${at.name} did not recover: ${codeOf(error)}`);
    });
  await time.settle();
  if (at.isRetired) at.stop();
}

/** The machine runs on its own disk, connects, and ends. */
async function showOnceMore({ time }: World, at: Machine): Promise<void> {
  const wasUp = at.link.isUp;
  at.stop();
  at.link.isUp = true;
  at.start();
  await time.settle();
  at.stop();
  await time.settle();
  at.link.isUp = wasUp;
}

function expectHalted({ faults }: World, at: Machine): void {
  if (at.link.isUp && at.client()?.status.state !== 'halted') faults.push(`${at.name} goes on with a store that was copied`);
}

/** Does one step, lets all that follows from it happen, and a second pass. What has died begins again with its next step. */
export async function take(world: World, { does, at, n }: Step): Promise<void> {
  const living = world.machines.filter(({ isRetired }) => !isRetired);
  const chosen = living[at % living.length]!;
  if (chosen.client() === undefined && does !== 'stop') chosen.start();
  await world.time.settle();
  const act: Act = STEPS[does];
  const said = await act(world, chosen, n);
  await world.time.pass(1_000);
  if (said !== undefined) world.log.push(`${world.log.length}: ${chosen.name} ${does} ${said}`);
}

const WEIGHTS: Record<keyof typeof STEPS, number> = {
  send: 12,
  edit: 3,
  delete: 2,
  burst: 2,
  deliver: 10,
  'deliver everything': 3,
  read: 4,
  restart: 2,
  stop: 1,
  crash: 4,
  connection: 3,
  'lossy connection': 2,
  'relay restarts': 1,
  lose: 1,
  repeat: 2,
  clock: 2,
  wait: 2,
  sleep: 1,
  backup: 1,
  restore: 1,
  clone: 1,
  recover: 2,
  spoil: 1,
  link: 1,
  revoke: 1,
};

export const anyStep: fc.Arbitrary<Step> = fc.record({
  does: fc.oneof(...Object.entries(WEIGHTS).map(([does, weight]) => ({ weight, arbitrary: fc.constant(does as keyof typeof STEPS) }))),
  at: fc.nat(1_000),
  n: fc.nat(1_000),
});
