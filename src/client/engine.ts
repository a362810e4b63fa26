/**
 * What a client works through. Everything that goes in or comes out is plain data that survives a structured clone, so that the same
 * calls serve the tab that has the store and those that work through it. What an application holds (handles.ts) is built on them.
 */

import type { Shape } from './records.js';
import type { ClientStatus, DeviceFacts, Diagnosis, SentState, Trust } from './types.js';

/** Every call, and the shape of what it is given. */
export const CALLS = {
  send: { account: 'string', payload: 'bytes', id: 'string', key: 'string?' },
  sent: { id: 'string' },
  /** `state` is what the handle knows. */
  until: { id: 'string', state: 'string', until: 'string' },
  cancel: { id: 'string', account: 'string' },
  next: { consumer: 'string', end: 'string' },
  ack: { seq: 'number', id: 'string' },
  read: { account: 'string', id: 'string' },
  identity: { account: 'string' },
  number: { account: 'string' },
  settle: { account: 'string', identity: 'bytes', verified: 'boolean' },
  scan: { account: 'string', identity: 'bytes', payload: 'bytes' },
  unverify: { account: 'string' },
  devices: {},
  fingerprint: {},
  linkOpen: {},
  linkRequest: { id: 'string' },
  linkAnswer: { id: 'string', isConfirmed: 'boolean' },
  revoke: { device: 'number' },
  historyOpen: { device: 'number' },
  /** `id` is the message's, `transfer` what the parts have in common: 32 hex digits each. */
  historyPart: { device: 'number', id: 'string', transfer: 'string', part: 'number', records: 'list', isLast: 'boolean' },
  diagnose: { reference: 'string?' },
  recover: {},
} as const;

export type CallName = keyof typeof CALLS;
export type Input<K extends CallName> = Shape<(typeof CALLS)[K]>;

/** A sent message, as its handle shows it. */
export interface SentFacts {
  readonly id: string;
  readonly account: string;
  readonly state: SentState;
  /** Its sort key. */
  readonly order: string;
}

/** A message of the inbox. `seq` and `id` together name its row for ever. */
export interface InboxMessage {
  readonly seq: number;
  readonly id: string;
  readonly account: string;
  readonly device: number;
  readonly payload: Uint8Array;
  readonly receivedAtMs: number;
  /** Its sort key. */
  readonly order: string;
  readonly disappearAfterMs?: number | undefined;
  readonly trust: Trust;
  readonly replayable: boolean;
  /** What an own other device sent: whom it was sent to. */
  readonly to?: string | undefined;
}

/** What each call resolves with. */
export interface Answers {
  /** Commits the message under its id; a second call with that id finds the first. Throws what policy or store say; then nothing happened. */
  send(): SentFacts;
  sent(): SentFacts | undefined;
  /** Settles once the message has left, or can't for now; `state` is what its handle knows. */
  until(): void;
  cancel(): SentState;
  /** The next message for this loop, which waits until no other has the place; `undefined` when it is to end. */
  next(): InboxMessage | undefined;
  /** Deletes a message; one that is gone is none. */
  ack(): void;
  /** Tells the sender that the message was read, if the application gives such receipts. */
  read(): void;
  identity(): { readonly trust: Trust; readonly sinceMs: number; readonly devices: readonly number[] };
  /** The safety number, and the identity that it shows: what `settle` and `scan` are bound to. */
  number(): { readonly digits: string; readonly qr: Uint8Array<ArrayBuffer>; readonly identity: Uint8Array };
  /** Makes the shown identity the pin, if it still is the current one. */
  settle(): void;
  scan(): 'match' | 'mismatch' | 'other-person' | 'unreadable';
  unverify(): void;
  devices(): readonly DeviceFacts[];
  /** H(AIK) in hex. */
  fingerprint(): string;
  /** Shows a code; an earlier one is no longer good. `id` names it in this engine. */
  linkOpen(): { readonly id: string; readonly qr: Uint8Array<ArrayBuffer>; readonly typed: string; readonly expiresAtMs: number };
  /** Waits for the one request of that code. */
  linkRequest(): { readonly confirmation: string; readonly device: number };
  linkAnswer(): void;
  revoke(): void;
  /** Whether a history may be sent to this device, and how many bytes of records each part may hold. */
  historyOpen(): { readonly partBytes: number };
  /** Settles once the part was accepted; a second call with its id waits for the first. */
  historyPart(): void;
  /** Works on a halted engine, too. */
  diagnose(): Diagnosis;
  /** Out of a halt: a new engine follows. */
  recover(): void;
}
export type Answer<K extends CallName> = ReturnType<Answers[K]>;

export type Calls = { readonly [K in CallName]: (input: Input<K>, signal?: AbortSignal) => Promise<Answer<K>> };

/** A store's engine, here or in another tab. */
export interface Engine {
  readonly device: number;
  readonly calls: Calls;
  status(): ClientStatus;
  /** The loop is over: what it did not acknowledge comes first in the next one. */
  leave(consumer: string): void;
  /** Ends every call, and whatever runs in the background; the store stays open. `forGood`: ports that the application made are closed, too. */
  stop(forGood: boolean): Promise<void>;
}
