/** A conversation over a network that loses, delays and reorders: the traffic that the braid's long runs are played with. */

import { equal } from '../../src/bytes.js';
import type { Profile, Rng } from '../../src/step.js';
import { type Party, text } from './sessions.js';

/** Who sends a message, and after how many further messages it arrives; `null` if it never does. */
export interface Turn {
  readonly from: 0 | 1;
  readonly delay: number | null;
}

/** What becomes of message i. */
export type Traffic = (i: number) => Turn;

/** A whole number from 0 to `limit` − 1. */
export function below(rng: Rng, limit: number): number {
  const bytes = rng(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % limit;
}

const atOnce = (isBob: boolean): Turn => ({ from: isBob ? 1 : 0, delay: 0 });

/** The patterns of traffic, each made from a generator. */
export const TRAFFIC = {
  'ping-pong': () => (i) => atOnce(i % 2 === 1),
  'bursts of 5': () => (i) => atOnce(i % 10 >= 5),
  '9:1': () => (i) => atOnce(i % 10 === 9),
  'random, 20 % lost': (rng) => () => ({ from: below(rng, 2) as 0 | 1, delay: below(rng, 5) === 0 ? null : below(rng, 5) }),
  /** 1,000 messages of one side, 500 of both in turn, 1,000 of the other side, 500 of both. */
  silences: () => (i) => atOnce(i % 1500 >= 1000 ? i % 2 === 1 : i % 3000 >= 1500),
} as const satisfies Record<string, (rng: Rng) => Traffic>;

export type Pattern = keyof typeof TRAFFIC;
export const PATTERNS = Object.keys(TRAFFIC) as Pattern[];

/** What 20,000 messages took: messages for an epoch on average, and at most. A run that takes far more has stalled. */
export const PER_EPOCH: Readonly<Record<Pattern, Readonly<Record<Profile, readonly [average: number, longest: number]>>>> = {
  'ping-pong': { 1: [15, 15], 2: [87, 87], 3: [5, 5] },
  'bursts of 5': { 1: [35, 35], 2: [95, 95], 3: [25, 25] },
  '9:1': { 1: [70, 71], 2: [377, 391], 3: [25, 29] },
  'random, 20 % lost': { 1: [36, 72], 2: [129, 171], 3: [22, 44] },
  silences: { 1: [46, 1015], 2: [267, 1087], 3: [16, 1005] },
};

/** Bursts of 1 to 11 messages of which one in five is lost and one in twenty comes late, by up to `late` messages. */
export function lateTraffic(late: number, rng: Rng): Traffic {
  let from: 0 | 1 = 0;
  let left = 0;
  return () => {
    if (left === 0) {
      from = from === 0 ? 1 : 0;
      left = 1 + below(rng, 11);
    }
    left--;
    const fate = below(rng, 20);
    return { from, delay: fate === 0 ? below(rng, late) : fate <= 4 ? null : 0 };
  };
}

/** One message on its way. */
export interface Flight {
  /** Position in the conversation. */
  readonly index: number;
  readonly from: 0 | 1;
  readonly frame: Uint8Array;
  readonly plaintext: Uint8Array;
}

/** What a test wants to do with the messages of a conversation. */
export interface Hooks {
  /** After a message was sent. */
  sent?(flight: Flight): void;
  /** In place of receiving it and comparing the plaintext. */
  deliver?(flight: Flight): void;
}

/** Receives a message and compares the plaintext. Throws if it cannot be read, or reads otherwise. */
export function receiveSame<S>(to: Party<S>, { index, frame, plaintext }: Flight): void {
  if (!equal(to.receive(frame), plaintext)) throw new Error(`message ${index} was read as another`);
}

/**
 * Plays `count` messages; the first one is Alice's and arrives. What is still on its way at the end never arrives. States are encoded
 * and decoded now and then.
 */
export function converse<S>(parties: readonly [Party<S>, Party<S>], traffic: Traffic, count: number, hooks: Hooks = {}): void {
  const due = new Map<number, Flight[]>();
  const deliver = hooks.deliver ?? ((flight: Flight) => receiveSame(parties[1 - flight.from]!, flight));
  for (let i = 0; i < count; i++) {
    const { from, delay } = i === 0 ? atOnce(false) : traffic(i);
    const plaintext = text(`${i}`);
    const flight: Flight = { index: i, from, frame: parties[from].send(plaintext), plaintext };
    hooks.sent?.(flight);
    if (delay !== null) due.set(i + delay, [...(due.get(i + delay) ?? []), flight]);
    due.get(i)?.forEach(deliver);
    due.delete(i);
    if (i % 97 === 0) parties[from].restore(parties[from].snapshot());
  }
}
