/**
 * The whole client: accounts with several devices, on a relay that delays, repeats, reorders, loses and restarts, and on machines that
 * crash, go back to backups, are copied, offline, or wrong by ten years; against what may be expected of them all the same.
 *
 * Time and network are the model's: a history is a list of steps, and the same steps from the same seed are the same history.
 */

import fc from 'fast-check';
import { keys, peerRecord, sentRecord, troubleRecord } from '../../src/client/records.js';
import { sessionLimits, talkLimits } from '../../src/limits.js';
import { forgetFrames, keysUsedTwice } from '../helpers/key-watch.js';
import { forgetTexts, textsIn } from '../helpers/text-watch.js';
import { codeOf, type Machine } from './machine.js';
import { anyStep, recover, type Step, take } from './whole-steps.js';
import {
  addressName,
  addressOf,
  type Change,
  listed,
  type Outgoing,
  readAll,
  revokeOrphans,
  type Shape,
  send,
  type World,
  worldOf,
} from './world.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Rounds of fresh messages until all of them arrive. Sessions may be started once an hour. */
const ROUNDS = 8;
/** More of them, a day later, where somebody has started as many with one device as a day allows. */
const MORE_ROUNDS = 2;

/** Large ones have met: each session that is started costs two signatures. */
const anyShape: fc.Arbitrary<Shape> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ devices: fc.constantFrom([1, 1], [1, 1, 1], [2, 1]), haveMet: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ devices: fc.constantFrom([2, 2], [2, 1, 1], [3, 1], [2, 2, 1]), haveMet: fc.constant(true) }) },
  { weight: 1, arbitrary: fc.record({ devices: fc.constantFrom([4, 1], [3, 2, 1], [2, 2, 2], [4, 4, 4]), haveMet: fc.constant(true) }) },
);

/** Plays histories from `seed`; what breaks an invariant is told with its history, shrunk if `shrinks`. */
export async function wholeHistories(runs: {
  numRuns: number;
  steps: number;
  seed: number;
  shrinks: boolean;
  /** Of a failure, as it was printed: plays that one alone. */
  path?: string | undefined;
}): Promise<void> {
  await fc.assert(
    fc.asyncProperty(anyShape, fc.array(anyStep, { minLength: 5, maxLength: runs.steps, size: 'max' }), fc.nat(), (...history) =>
      play(...history),
    ),
    {
      numRuns: runs.numRuns,
      seed: runs.seed,
      endOnFailure: !runs.shrinks,
      ...(runs.path !== undefined && { path: runs.path, numRuns: 1 }),
    },
  );
}

/** One history. Throws what broke, and what was done before. */
export async function play(shape: Shape, steps: readonly Step[], seed: number): Promise<void> {
  forgetFrames();
  forgetTexts();
  const world = await worldOf(shape, `history ${seed}`);
  try {
    for (const step of steps) await take(world, step);
    await heal(world);
    await readReports(world);
    const broken = [...world.faults, ...check(world, await statesOf(world))];
    if (broken.length > 0) throw new Error(`${broken.join('\n')}\n\nin this history:\n${world.log.join('\n')}`);
  } finally {
    for (const each of world.machines) each.stop();
    await world.time.settle();
    world.time.end();
  }
}

/** The disturbances end, and time passes until fresh messages arrive everywhere. */
async function heal(world: World): Promise<void> {
  const { relay, time, machines, log } = world;
  log.push('the disturbances end');
  relay.isSwift = true;
  relay.releaseAll();
  for (const each of machines) {
    Object.assign(each.link, { isUp: true, losesAcks: false, losesReplies: false });
    each.offsetMs = 0;
    each.arm(undefined);
    each.start();
  }
  await time.pass(MINUTE_MS);
  for (const each of machines) {
    if (each.client()?.status.state === 'halted') await recover(world, each);
  }
  await revokeOrphans(world);
  for (let round = 1; ; round++) {
    await time.pass(HOUR_MS + MINUTE_MS);
    await readAll(world);
    await retire(world);
    const fresh: Outgoing[] = [];
    for (const from of machines) {
      for (const to of world.accounts) if (to !== from.account && !from.isRetired) fresh.push(send(world, from, to));
    }
    await time.pass(MINUTE_MS);
    await readAll(world);
    const late = fresh.filter((message) => targets(world, message).some((target) => !has(target, message)));
    log.push(
      `round ${round}: ${fresh.map(({ text, from, to }) => `${text} ${from.name}→${to}`).join(', ')}; late: ${late.map(({ text }) => text)}`,
    );
    if (late.length === 0) return;
    if (round === ROUNDS && haveSpent(world)) {
      log.push('a day passes');
      await time.pass(DAY_MS);
    } else if (round === ROUNDS || round === ROUNDS + MORE_ROUNDS) {
      world.faults.push(`no convergence: ${late.map(({ text, from, to }) => `${text} from ${from.name} to ${to}`).join(', ')}`);
      return;
    }
  }
}

/** Whether one of them may start no session with some device before tomorrow. */
function haveSpent({ machines, time }: World): boolean {
  const started = ([key, value]: readonly [string, Uint8Array]): readonly number[] =>
    (JSON.parse(key) as string[])[0] === 'peer' ? (peerRecord.decode(value).startedAtMs as readonly number[]) : [];
  const today = (rows: readonly number[]): number => rows.filter((atMs) => atMs > time.now() - DAY_MS).length;
  const peers = machines.flatMap((each) => (each.isRetired ? [] : [...each.store.rows()].map(started)));
  return peers.some((rows) => today(rows) >= sessionLimits.newPerDeviceDay);
}

/** What the directory lists no more has gone, whatever becomes of it: a primary device may have gone back to a time before it. */
async function retire(world: World): Promise<void> {
  for (const account of world.accounts) {
    const there = await listed(world, account);
    for (const each of world.machines) {
      if (each.account === account && !each.isRetired && !there.has(addressName(addressOf(each)!))) each.isRetired = true;
    }
  }
}

/** Whether its sender was told that it has failed, or could ask: a process may have died before it said so, and after 150 days it is forgotten. */
const hasFailed = ({ id, from }: Outgoing): boolean =>
  from.failed.has(id!) ||
  from.store.written.some(
    ({ key, value }) => key[0] === 'sent' && key[1] === id && value !== null && sentRecord.decode(value).state === 'failed',
  );
const has = (target: Machine, { id }: Outgoing): boolean => id !== undefined && target.shown.has(id);
const isOf = ({ of }: Change, message: Outgoing): boolean => of === message || of === message.change?.of;

/** The machines that should show a message, if they were listed when it was sent: the recipient's, and the sender's others. */
function targets({ machines }: World, { from, to }: Outgoing): Machine[] {
  return machines.filter((each) => each !== from && !each.isRetired && (each.account === to || each.account === from.account));
}

/** Adds the events that a process which died did not come to say, if a diagnosis names them since. */
async function readReports({ machines, time }: World): Promise<void> {
  for (const at of machines) {
    const client = at.client();
    if (at.isRetired || client === undefined) continue;
    client.diagnose().then(
      ({ references }) => {
        for (const reference of references) {
          const row = at.store.rows().get(JSON.stringify(keys.trouble(reference)));
          if (row === undefined || !at.unsaid.has(reference)) continue;
          const { account: from, code, heals } = troubleRecord.decode(row);
          at.undecryptable.push({ type: 'undecryptable', reference, from, code, heals } as (typeof at.undecryptable)[number]);
        }
      },
      () => {},
    );
  }
  await time.settle();
}

/** What became of each message, as its sender says: its state, or why it has failed. One that has been forgotten had settled. */
async function statesOf({ messages, time }: World): Promise<ReadonlyMap<Outgoing, string>> {
  const states = new Map<Outgoing, string>();
  for (const message of messages) {
    const { id, from } = message;
    if (id === undefined || from.isRetired) continue;
    const ask = async (): Promise<void> => {
      const sent = await from.client()!.sent(id);
      states.set(message, sent?.state ?? 'forgotten');
      if (sent?.state === 'failed' || sent?.state === 'held')
        await sent.until('accepted').catch((error: unknown) => states.set(message, `${sent.state}: ${codeOf(error)}`));
    };
    ask().catch((error: unknown) => states.set(message, codeOf(error)));
  }
  await time.settle();
  return states;
}

/** Everything that is not as it should be, in words. */
function check(world: World, states: ReadonlyMap<Outgoing, string>): string[] {
  const { relay, machines, messages } = world;
  const broken: string[] = [];
  /** By text: the devices for which the relay has accepted it. */
  const accepted = new Map<string, Set<string>>();
  for (const { to, bytes } of relay.accepted) {
    for (const text of textsIn(bytes)) accepted.set(text, (accepted.get(text) ?? new Set()).add(addressName(to)));
  }
  for (const message of messages) {
    const { text, from, to, state, change, known, lists, lostFor, isForgotten } = message;
    for (const address of accepted.get(text) ?? []) {
      // Who had an older list, or none, may learn of the device before it learns that it is no more.
      const revoked = world.revoked.get(address);
      const knew = revoked !== undefined && (lists.get(address.split(' ')[0]!) ?? 0) >= revoked.version;
      if (knew && messages.indexOf(message) >= revoked.next && !known.has(address))
        broken.push(`${text} from ${from.name} went to ${address}, which was revoked`);
    }
    if (state === 'unsaid') broken.push(`${text} of ${from.name}: nothing was ever said of it`);
    if (isForgotten || from.isRetired || state !== 'promised') continue;
    const said = states.get(message)!;
    if (said.startsWith('failed: ') || hasFailed(message)) continue;
    if (!['accepted', 'delivered', 'read', 'forgotten'].includes(said)) broken.push(`${text} from ${from.name} to ${to}: still ${said}`);
    // What was deleted on the way need not come.
    if (messages.some((each) => each.change?.kind === 'deletion' && each.state !== 'refused' && isOf(each.change, message))) continue;
    for (const target of targets(world, message)) {
      const address = addressName(addressOf(target)!);
      // Where there is nothing to change, or that was forgotten, no change is shown.
      const isKnown = (of: Outgoing): boolean => has(target, of) && !target.wasRestored && world.time.now() - of.atMs <= talkLimits.knownMs;
      if (change !== undefined && !isKnown(change.of)) continue;
      // What a relay lost without a word can't be told from its bytes.
      if (change?.kind === 'deletion' && world.lostCount > 0) continue;
      const isDue = (known.has(address) || accepted.get(text)?.has(address) === true) && !lostFor.has(address);
      if (!isDue || has(target, message)) continue;
      const drops = dropsOf(target, message).map(({ code }) => code);
      // Whom a seal is from that can't be opened any more nobody knows.
      const isSealed = drops.includes('ERR_KEY_GONE');
      const isReported = target.undecryptable.some(
        ({ from: account, heals }) =>
          (account === from.account && (heals !== 'by-itself' || !mustHeal(world, message, target))) || (account === undefined && isSealed),
      );
      if (isReported) continue;
      broken.push(`${text} from ${from.name} was not shown to ${target.name}, which dropped it: ${drops}`);
    }
  }
  broken.push(...untrueReceipts(world));
  for (const target of machines) {
    const texts = [...target.shown.values()].map(({ text }) => text);
    for (const { text, atMs } of target.shownAfterAck) {
      // Sent again, it may have travelled for longer than what came is known: no carrier keeps an envelope for so long.
      const ageMs = atMs - messages.find((each) => each.text === text)!.atMs;
      if (ageMs <= talkLimits.knownMs) broken.push(`${text} was shown to ${target.name} after it was acknowledged`);
    }
    for (const text of new Set(texts)) {
      if (text !== '' && texts.indexOf(text) !== texts.lastIndexOf(text)) broken.push(`${text} was shown to ${target.name} twice`);
    }
    for (const [id, { from, conversation, text, order }] of target.shown) {
      const message = messages.find((each) => each.id === id || each.text === text);
      // A deletion whose sender died before it could say its id.
      if (message === undefined && text === '') continue;
      if (message?.order !== undefined && message.order !== order)
        broken.push(`${text} stands at ${order} for ${target.name}, at ${message.order} for ${message.from.name}`);
      const isTrue = message?.from.addresses.some((address) => addressName(address) === addressName(from)) === true;
      const isHere =
        message?.to === target.account ? conversation === from.account : message?.to === conversation && from.account === target.account;
      if (!isTrue || !isHere) broken.push(`${target.name} was shown ${text} as from ${addressName(from)} in ${conversation}`);
      if (message?.state === 'refused') broken.push(`${target.name} was shown ${text}, which was refused`);
    }
    if (!target.isRetired) broken.push(...tooManyRows(world, target), ...deletedRows(world, target));
  }
  for (const prk of keysUsedTwice(relay.accepted.map(({ bytes }) => bytes))) broken.push(`a key was used twice: ${prk}`);
  return broken;
}

/** Receipts of what has not come, or was not seen. */
function untrueReceipts({ machines, messages }: World): string[] {
  return machines.flatMap((from) =>
    [...from.told].flatMap(([id, told]) => {
      const message = messages.find((each) => each.id === id);
      const theirs = machines.filter((each) => each.account === message?.to);
      if (message === undefined || theirs.some(({ wasRestored }) => wasRestored)) return [];
      const isTrue = theirs.some(({ seen, store }) =>
        told === 'read' ? seen.has(id) : store.written.some(({ key }) => key[0] === 'got' && key.includes(id)),
      );
      return isTrue ? [] : [`${message.text} of ${from.name} was told to be ${told}`];
    }),
  );
}

const dropsOf = (target: Machine, { text }: Outgoing): Machine['dropped'] =>
  target.dropped.filter(({ parcel }) => textsIn(parcel.bytes).includes(text));

/** Whether what was not readable comes again: the sender's log still has it, for the same device, and no request was lost. */
function mustHeal({ time, lostCount }: World, { from, atMs }: Outgoing, target: Machine): boolean {
  const isFresh = !from.wasBehind() && !target.wasBehind() && Math.max(time.now(), from.latestMs()) - atMs < sessionLimits.sendLogMs;
  const haveStayed = from.addresses.length === 1 && target.addresses.length === 1;
  return isFresh && haveStayed && lostCount === 0;
}

/** Rows in which a text stands of which the machine knows that it was deleted. */
function deletedRows({ messages }: World, at: Machine): string[] {
  const rows = [...at.store.rows()].map(([key, value]) => [key, Buffer.from(value)] as const);
  return messages.flatMap((message) => {
    const { from, state, change } = message;
    const knows = (from === at && state === 'promised') || has(at, message);
    if (change?.kind !== 'deletion' || !knows || at.wasRestored) return [];
    const { text } = change.of;
    return rows.flatMap(([key, value]) => (value.includes(text) ? [`${text}, which was deleted, stands in ${key} of ${at.name}`] : []));
  });
}

/** Rows of the machine's disk by space, where there are more than there may be once everything has arrived. */
function tooManyRows({ machines }: World, at: Machine): string[] {
  const counts = new Map<string, number>();
  for (const key of at.store.rows().keys()) {
    const [space] = JSON.parse(key) as string[];
    counts.set(space!, (counts.get(space!) ?? 0) + 1);
  }
  const peers = machines.length * 4;
  const most: Record<string, number> = {
    outbox: 0,
    pending: 0,
    late: 0,
    unsent: 0,
    inbox: 0,
    claimed: 0,
    publish: 0,
    session: 5 * peers,
    login: 2,
  };
  return Object.entries(most).flatMap(([space, max]) => {
    const count = counts.get(space) ?? 0;
    return count > max
      ? [`${at.name} has ${count} rows of ${space}: ${[...at.store.rows().keys()].filter((key) => key.includes(`"${space}"`))}`]
      : [];
  });
}
