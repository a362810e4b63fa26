/**
 * What is measured of a library that keeps two devices in a session: `bench/` compares several of them side by side, the command's `bench`
 * measures this one.
 *
 * Knows no library, no clock and no randomness: a `Subject` brings the one, who measures brings the others.
 */

import { InternalError } from '../errors.js';

type Awaitable<T> = T | Promise<T>;

/** Bytes of each message's plaintext. */
export const MESSAGE_BYTES = 100;
/** Messages that are missing when those out of order arrive. */
export const STORED_KEYS = 900;

/** One device of a session. `M` is a message as it goes over the wire, `S` a saved session. */
export interface Side<M, S> {
  /** Encrypts a plaintext of `MESSAGE_BYTES`. */
  seal(): Awaitable<M>;
  /** Decrypts; returns the plaintext. */
  open(message: M): Awaitable<{ readonly length: number }>;
  save(): Awaitable<S>;
  load(saved: S): Awaitable<void>;
}

/** A session that has begun: `responder` has opened `first`. */
export interface Meeting<M, S> {
  readonly initiator: Side<M, S>;
  readonly responder: Side<M, S>;
  readonly first: M;
  close?(): Awaitable<void>;
}

/** A library, ready to be measured. */
export interface Subject<M, S> {
  /** Makes what both devices publish. What it returns starts their session: checks the published keys, seals and opens the first message. */
  meet(): Awaitable<() => Awaitable<Meeting<M, S>>>;
  wireBytes(message: M): number;
  /** Absent where sessions can't be saved one by one, nor messages be held back: nothing that needs it is measured then. */
  storedBytes?(saved: S): number;
  /** What a sender fetches before its first message to a device. */
  readonly bundleBytes?: number;
  /** Keys that the library stores for one gap, where they are fewer than `STORED_KEYS`. */
  readonly storedKeys?: number;
}

/** How often a slot does what its scenario says. Ping-pong: some epochs of a post-quantum ratchet, whose costly steps are rare. */
export const COUNTS = {
  /** A session from published keys, its first message sealed and opened. */
  establish: 2,
  /** A message, sealed and opened, to one who doesn't answer. */
  oneWay: 100,
  /** A message, sealed and opened, where each answers the other. */
  pingPong: 200,
  /** Opening a message before which 900 are missing. */
  jump: 1,
  /** Opening one of these 900 afterwards. */
  late: 50,
  /** Loading a session and saving it. */
  restore: 200,
} as const;
export type ScenarioName = keyof typeof COUNTS;

/** One thing to measure: `prepare` makes what is needed; what it returns does it `count` times, and only that is to be measured. */
export interface Slot {
  readonly count: number;
  prepare(): Awaitable<() => Awaitable<void>>;
}

/** Bytes of one subject; absent where it has no such thing. */
export interface Sizes {
  readonly bundle?: number | undefined;
  /** On the wire, beyond the plaintext of 100 bytes. */
  readonly firstOverhead: number;
  readonly laterOverhead: number;
  /** The largest of one conversation. */
  readonly state?: number | undefined;
  readonly stateWithStoredKeys?: number | undefined;
}

/**
 * The slots that a subject can fill, by name. Each may be prepared and run any number of times, in any order. `divide` makes them
 * shorter: for one that is slow.
 */
export function slotsOf<M, S>(subject: Subject<M, S>, divide = 1): Partial<Record<ScenarioName, Slot>> {
  const count = (name: ScenarioName): number => Math.ceil(COUNTS[name] / divide);
  const conversation = once(() => settled(subject));
  const gap = once(() => makeGap(subject));
  let open: Meeting<M, S>[] = [];

  const slots = {
    establish: async () => {
      for (const meeting of open) await meeting.close?.();
      open = [];
      const starts = await times(count('establish'), () => subject.meet());
      return async () => {
        for (const start of starts) open.push(await start());
      };
    },
    oneWay: async () => {
      const { initiator, responder } = await conversation();
      await pass(responder, initiator);
      await pass(initiator, responder);
      return async () => {
        for (let i = 0; i < count('oneWay'); i++) await pass(initiator, responder);
      };
    },
    pingPong: async () => {
      const { initiator, responder } = await conversation();
      return async () => {
        for (let i = 0; i < count('pingPong'); i++) {
          await pass(...(i % 2 === 0 ? ([initiator, responder] as const) : ([responder, initiator] as const)));
        }
      };
    },
  };
  const storing = {
    jump: async () => {
      const { side, before, messages } = await gap();
      await side.load(before);
      return async () => check(await side.open(messages[STORED_KEYS]!));
    },
    restore: async () => {
      const { initiator, responder } = await conversation();
      // From all over an epoch: what a session holds of its post-quantum ratchet comes and goes.
      const saved = await times(Math.min(count('restore'), 50), async () => {
        await pass(initiator, responder);
        await pass(responder, initiator);
        return initiator.save();
      });
      return async () => {
        // The newest comes last: the conversation goes on from it.
        for (let i = -count('restore'); i < 0; i++) {
          await initiator.load(saved.at(i % saved.length)!);
          await initiator.save();
        }
      };
    },
  };
  const late = async (): Promise<() => Promise<void>> => {
    const { side, after, messages } = await gap();
    await side.load(after);
    return async () => {
      for (let i = 0; i < count('late'); i++) check(await side.open(messages[shuffled(i)]!));
    };
  };

  const all: Partial<Record<ScenarioName, Slot['prepare']>> = {
    ...slots,
    ...(subject.storedBytes && storing),
    ...(subject.storedBytes && storesAll(subject) && { late }),
  };
  return Object.fromEntries(
    Object.entries(all).map(([name, prepare]) => [name, { count: count(name as ScenarioName), prepare }]),
  ) as Partial<Record<ScenarioName, Slot>>;
}

/** What a subject's messages and sessions weigh. */
export async function sizesOf<M, S>(subject: Subject<M, S>): Promise<Sizes> {
  const { initiator, responder, first, close } = await (await subject.meet())();
  let later = 0;
  let state = 0;
  for (let i = 0; i < COUNTS.pingPong; i += 2) {
    await pass(responder, initiator);
    const message = await initiator.seal();
    check(await responder.open(message));
    later = Math.max(later, subject.wireBytes(message));
    if (subject.storedBytes && i % 10 === 0) state = Math.max(state, subject.storedBytes(await initiator.save()));
  }
  const sizes = {
    bundle: subject.bundleBytes,
    firstOverhead: subject.wireBytes(first) - MESSAGE_BYTES,
    laterOverhead: later - MESSAGE_BYTES,
  };
  await close?.();
  if (!subject.storedBytes) return sizes;
  const stateWithStoredKeys = storesAll(subject) ? subject.storedBytes((await makeGap(subject)).after) : undefined;
  return { ...sizes, state, stateWithStoredKeys };
}

const storesAll = <M, S>({ storedKeys = STORED_KEYS }: Subject<M, S>): boolean => storedKeys >= STORED_KEYS;

/** A session in which each side has written: what only a first flight carries is over. */
async function settled<M, S>(subject: Subject<M, S>): Promise<Meeting<M, S>> {
  const meeting = await (await subject.meet())();
  await pass(meeting.responder, meeting.initiator);
  await pass(meeting.initiator, meeting.responder);
  return meeting;
}

interface Gap<M, S> {
  readonly side: Side<M, S>;
  /** The recipient's session before it opens the last message, and after. */
  readonly before: S;
  readonly after: S;
  /** `STORED_KEYS` messages that are missing, and the one behind them. */
  readonly messages: readonly M[];
}

async function makeGap<M, S>(subject: Subject<M, S>): Promise<Gap<M, S>> {
  const { initiator, responder: side } = await settled(subject);
  const before = await side.save();
  const messages = await times(STORED_KEYS + 1, () => initiator.seal());
  check(await side.open(messages[STORED_KEYS]!));
  return { side, before, after: await side.save(), messages };
}

/** Numbers below `STORED_KEYS` in no order, none twice: 7919 is a prime that does not divide it. */
const shuffled = (i: number): number => (i * 7919 + 1) % STORED_KEYS;

async function pass<M, S>(from: Side<M, S>, to: Side<M, S>): Promise<void> {
  check(await to.open(await from.seal()));
}

/** Throws `ERR_BUG` for what is no plaintext: nothing is measured that doesn't work. */
function check({ length }: { readonly length: number }): void {
  if (length !== MESSAGE_BYTES) throw new InternalError('ERR_BUG', 'the plaintext is another one', { got: length });
}

async function times<T>(count: number, make: () => Awaitable<T>): Promise<T[]> {
  const made: T[] = [];
  for (let i = 0; i < count; i++) made.push(await make());
  return made;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
