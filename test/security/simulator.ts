/**
 * Measures security, not agreement: how long somebody who has copied a party's whole state can read on, and what it opens of before.
 *
 * A conversation is recorded with everything a passive attacker could be given. The attacker is a follower: a copy of the owner's state
 * that runs the honest code on every frame of the wire, and makes the owner's sends again. Of what the owner drew since, it is told the
 * ratchet scalars if X25519 is broken, the KEM seeds and m if ML-KEM is; the rest it has to guess. A message counts as read when the
 * follower derives a key that fits its commitment.
 */

import { braid } from '../../src/ratchet/braid/machine.js';
import { combineMessageKeys, deriveEcMessageKey, stepPqChain } from '../../src/ratchet/keys.js';
import type { Profile } from '../../src/step.js';
import { below, converse, type Pattern, receiveSame, TRAFFIC } from '../helpers/conversation.js';
import { testRng } from '../helpers/rng.js';
import { secretsIn } from '../helpers/secrets.js';
import { ratchetOver, session } from '../helpers/sessions.js';
import { type Broken, Follower, isKeyOf, type Leak, leakOf } from './follower.js';

type Event =
  | { readonly kind: 'sent'; readonly index: number; readonly from: 0 | 1; readonly frame: Uint8Array; readonly leak: Leak }
  | { readonly kind: 'received'; readonly index: number; readonly to: 0 | 1; readonly frame: Uint8Array };

/** The state of one party, encoded, before event `at`. */
export interface Snapshot {
  readonly owner: 0 | 1;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A conversation as the attacker's oracle saw it. */
export interface Recording {
  readonly profile: Profile;
  readonly events: readonly Event[];
  readonly snapshots: readonly Snapshot[];
}

/** Records a conversation of `count` messages with `thefts` snapshots, spread over the messages from `first` to `last`. */
export function record(
  profile: Profile,
  pattern: Pattern,
  count: number,
  { first, last, thefts }: { first: number; last: number; thefts: number },
): Recording {
  const rng = testRng(`security ${profile} ${pattern}`);
  const { alice, bob } = session(braid, rng, profile);
  const parties = [alice, bob] as const;
  const events: Event[] = [];
  const snapshots: Snapshot[] = [];
  const steal = (): void => {
    const owner = below(rng, 2) as 0 | 1;
    snapshots.push({ owner, at: events.length, bytes: parties[owner].snapshot() });
  };
  /** Messages after which a state is stolen: at once, or when the next thing has happened. */
  const due = Array.from({ length: thefts }, (_, i) => first + Math.floor(((last - first) * (i + below(rng, 1000) / 1000)) / thefts));
  let waiting = 0;
  const happened = (event: Event): void => {
    events.push(event);
    for (; waiting > 0; waiting--) steal();
    if (event.kind === 'received') return;
    for (; due[0] === event.index; due.shift()) {
      if (below(rng, 2) === 0) steal();
      else waiting++;
    }
  };
  converse(parties, TRAFFIC[pattern](rng), count, {
    sent: ({ index, from, frame }) => happened({ kind: 'sent', index, from, frame, leak: leakOf(parties[from]) }),
    deliver(flight) {
      const to = flight.from === 0 ? 1 : 0;
      receiveSame(parties[to], flight);
      happened({ kind: 'received', index: flight.index, to, frame: flight.frame });
    },
  });
  return { profile, events, snapshots };
}

const { decode } = ratchetOver(braid);

/** How long a follower could read. */
export interface Outcome {
  /** Messages sent after the theft, by either side, up to the last that could be read. */
  readonly messages: number;
  /** How many of these could be read. */
  readonly read: number;
  /** Round trips up to that last message: half the length of the longest chain of answers to answers that it ends. */
  readonly roundTrips: number;
  /** Whether `patience` messages in a row could not be read at the end. */
  readonly hasLost: boolean;
}

/** Follows from a snapshot until `patience` messages in a row could not be read, or to the end. */
export function follow({ events }: Recording, { owner, at, bytes }: Snapshot, broken: Broken, patience: number): Outcome {
  const follower = new Follower(decode(bytes), broken);
  /** Messages since the theft: how many answers deep, and their position. */
  const sent = new Map<number, { readonly depth: number; readonly position: number }>();
  const depths: [number, number] = [0, 0];
  const read = new Set<number>();
  let [messages, roundTrips] = [0, 0];
  const isRead = (index: number): void => {
    const message = sent.get(index);
    if (message === undefined || read.has(index)) return;
    read.add(index);
    messages = Math.max(messages, message.position);
    roundTrips = Math.max(roundTrips, (message.depth + 1) / 2);
  };

  for (const event of events.slice(at)) {
    if (event.kind === 'sent') {
      const { index, from, frame, leak } = event;
      sent.set(index, { depth: depths[from], position: sent.size + 1 });
      if (from === owner ? follower.ownerSends(frame, leak) : follower.reads(frame)) isRead(index);
    } else {
      const { index, to, frame } = event;
      const message = sent.get(index);
      if (message !== undefined) depths[to] = Math.max(depths[to], message.depth + 1);
      if (to === owner && follower.ownerReceives(frame)) isRead(index);
    }
    if (sent.size - messages >= patience) break;
  }
  return { messages, read: read.size, roundTrips, hasLost: sent.size - messages >= patience };
}

/**
 * How many of the last `count` messages that the owner sent or received before the theft open with the stolen state: by the honest code,
 * and by every pair of secrets in it, taken as message keys or as chain keys.
 */
export function opensEarlier({ events }: Recording, { owner, at, bytes }: Snapshot, count: number): number {
  const state = decode(bytes);
  const secrets = secretsIn(state).filter(({ length }) => length === 32);
  const own = events.slice(0, at).filter((event) => (event.kind === 'sent' ? event.from === owner : event.to === owner));
  const counters = [0, 1, 2].flatMap((back) => [state.pq.sending.counter - back, state.pq.receiving.counter - back]).filter((n) => n >= 0);
  const ecKeys = secrets.flatMap((secret) => [secret, deriveEcMessageKey(secret)]);
  const pqKeys = secrets.flatMap((secret) => [secret, ...counters.map((counter) => stepPqChain(secret, counter).messageKey)]);
  const prks = [...secrets, ...pqKeys.flatMap((pq) => ecKeys.map((ec) => combineMessageKeys(pq, ec)))];
  return own.slice(-count).filter(({ kind, frame }) => {
    const isOpened = kind === 'received' && new Follower(state, { x25519: false, mlKem: false }).reads(frame);
    return isOpened || prks.some((prk) => isKeyOf(prk, state, frame));
  }).length;
}
