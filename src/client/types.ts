/// <reference lib="esnext.disposable" preserve="true" />
/** The types that an application meets: what goes into the client, and what comes out. */

import type { AnyCyphrError, ErrorCode, StoreError } from '../errors.js';
import type { Address, Now, Rng } from '../step.js';
import type { ErasureReport, Store } from '../store/port.js';
import type { Bound, Directory, Transport } from '../transport/port.js';

declare const brand: unique symbol;

/** 32 lowercase hex digits; drawn by the SDK; travels inside the ciphertext only. One of your own records is cast (`id as MessageId`): calls check it. */
export type MessageId = string & { readonly [brand]: 'MessageId' };
/** Names a group. Groups are not built yet; the type keeps their place. */
export type GroupId = string & { readonly [brand]: 'GroupId' };
/** Where a message belongs; `send(message.conversation, …)` replies. */
export type Conversation = { readonly kind: 'person'; readonly account: string } | { readonly kind: 'group'; readonly id: GroupId };

/**
 * What a message says. New kinds are minor releases: keep a `default` branch.
 *
 * `edit`, `reaction` and `deletion` say something about an earlier message of the conversation, for at most `limits.targetAgeMs`: they
 * arrive only if their author may say it. Edits and deletions are the target's own author's, from any of his devices; reactions are
 * anyone's who is in the conversation. They are messages of their own; what to show is the application's to decide.
 */
export type Content =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'app'; readonly type: string; readonly data: unknown; readonly fallback?: string | undefined }
  /** The target's new text. */
  | { readonly kind: 'edit'; readonly target: MessageId; readonly text: string }
  /** At most `limits.emojiBytes` of UTF-8, looked at no further; `''` takes back what its author said before. */
  | { readonly kind: 'reaction'; readonly target: MessageId; readonly emoji: string }
  /** A request to every honest application to forget the target: whoever has read it may have kept it. */
  | { readonly kind: 'deletion'; readonly target: MessageId }
  /** From here on the conversation's messages are to disappear this long after they came, on both sides; 0: not any more. */
  | { readonly kind: 'timer'; readonly disappearAfterMs: number }
  /**
   * A part of what the device which linked this one sends by `devices.sendHistory()`, in a message `from` that device of one's own account
   * and in the conversation with it. It can't be sent by `send()`, and nobody else's arrives.
   */
  | ({ readonly kind: 'history' } & HistoryPart);

/**
 * Some of the application's own records, in their order. Parts are sent one after another, and a carrier may change that: they stand in
 * the order of `part`. A number that never comes was lost, as where a session broke or the sender was closed: let it send again.
 */
export interface HistoryPart {
  /** Names one call of `sendHistory()`, which all its parts have in common: 32 lowercase hex digits. */
  readonly transfer: string;
  /** Counts from 0. */
  readonly part: number;
  /** Whether it is the last of its transfer. */
  readonly isLast: boolean;
  readonly records: readonly Uint8Array[];
}

/** How a contact's identity is known: pinned at first use, verified by a person, else vouched for by an organisation, or changed. */
export type Trust = 'unverified' | 'verified' | 'vouched' | 'changed';

/** Options of `createClient`. */
export interface ClientOptions {
  /** 1–64 bytes of UTF-8 in NFC; compared byte for byte. */
  readonly account: string;
  /** This device's store, nobody else's; tabs of one origin may each open it. The client closes it. */
  readonly store: Store;
  readonly transport: Bound<Transport>;
  readonly directory: Bound<Directory>;
  /** What a changed identity does: default `'block'` stops sending until a person decides. A *verified* contact blocks always. */
  readonly trust?: 'warn' | 'block' | 'pinned-only' | undefined;
  /** How fast sessions heal against a quantum adversary, for bytes per message; default from `transport.limits`. */
  readonly bandwidth?: 'lean' | 'standard' | 'wide' | undefined;
  /** `'sealed'` hides from the relay which messages belong to one chain, for 1.3 KB each; default `'tag'`. First flights are always sealed. */
  readonly metadata?: 'tag' | 'sealed' | undefined;
  /**
   * Whether senders are told that their messages came, and were read (`Message.read()`), and whether what they tell is heard: default
   * `'off'`. Told encrypted, together, and 1–30 s later at random: even so, when a device is online shows.
   */
  readonly receipts?: 'off' | 'delivered' | 'delivered-and-read' | undefined;
  /**
   * An organisation's public key, 48 bytes, as `npx @cyphr/e2ee keygen-root` wrote it: contacts for whose identity its root has signed are
   * `vouched`. It only adds trust: a changed identity is accepted by itself only where a vouched contact's new one has a newer statement,
   * and never of a verified contact. With a wrong key nobody is vouched. Needs a directory that has `statement`.
   */
  readonly organisation?: Uint8Array | undefined;
  /** Called with every observation: never with ids, keys or content. What it throws never reaches the protocol. */
  readonly observe?: ((record: Observation) => void) | undefined;
  /** Mixed into the platform's generator where there is one. */
  readonly rng?: Rng | undefined;
  readonly now?: Now | undefined;
  /** Aborts the opening only. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `send`. */
export interface SendOptions {
  /** Your idempotency key, at most 64 bytes, never leaves the device: the same key gives the same `Sent` for 30 days. */
  readonly key?: string | undefined;
  /** Until `send()` resolves; after that `sent.cancel()`. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of what moves many bytes. */
export interface TransferOptions {
  /** Ends it: rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Called as bytes come or go; `totalBytes` is `undefined` where it is not known. */
  readonly progress?: ((doneBytes: number, totalBytes: number | undefined) => void) | undefined;
}

/** Options of `devices.sendHistory`. */
export interface HistoryOptions {
  /** Ends it between two parts: rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with how many records were accepted so far. */
  readonly progress?: ((recordCount: number) => void) | undefined;
}

/** How far a message has come: `'read'` may follow without `'delivered'`. */
export type SentState = 'queued' | 'held' | 'accepted' | 'delivered' | 'read' | 'cancelled' | 'failed';

/** The handle of a message that goes out, or went. */
export interface Sent {
  readonly id: MessageId;
  readonly to: Conversation;
  /** A snapshot, of when the handle was made. */
  readonly state: SentState;
  /** Where it stands in the conversation: as `Message.order`. */
  readonly order: string;
  /**
   * Resolves once the message has come that far. Rejects with its error if it has failed, with `signal.reason` on abort, and also with the
   * reason for which it is held (`ERR_NO_SESSION`: nobody of that name yet; a `TrustError`): it is kept then, and goes out by itself
   * once that is settled. `'delivered'` and `'read'`: one of the recipient's devices said so. `ERR_ARGUMENT` for what `receipts` leaves
   * out, and for edits, reactions, deletions and timers, of which nobody says so. The other side may tell nothing: pass a signal.
   */
  until(state: 'accepted' | 'delivered' | 'read', options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /** Takes the message back if it has not left, by what this device knows (a deletion does later): `'cancelled'`, or how far it had already come. */
  cancel(): Promise<SentState>;
}

/** A message that came in. Yielded until `ack()` has resolved. */
export interface Message {
  readonly id: MessageId;
  readonly conversation: Conversation;
  /** Proved by the session, never taken from an envelope. */
  readonly from: Address;
  readonly content: Content;
  /** The text (of an edit: the new one), else the sender's fallback, else `''`: always safe to show. */
  readonly text: string;
  /**
   * Where the message stands in its conversation: a key to compare as plain strings (`<`), the same on every device of both sides. Its
   * author's device makes it and it comes inside the ciphertext: no relay, and no clock of anybody who has seen a message there, has a
   * part in it. It sorts after all that its author's device had received or sent. A dishonest author can place his own messages later,
   * or among those that he has not answered, and nobody else's. Equal only to itself.
   */
  readonly order: string;
  /** The sender's claim. */
  readonly sentAtMs: number;
  /** This device's clock at the commit. */
  readonly receivedAtMs: number;
  /** The conversation's timer when it was sent: delete your copy this long after `receivedAtMs`. The client does so with its own. */
  readonly disappearAfterMs?: number | undefined;
  readonly trust: Trust;
  /** A first message without a one-time prekey: answer before acting irreversibly. */
  readonly replayable: boolean;
  /** Your copy is safe: the SDK forgets the plaintext. Idempotent. */
  ack(): Promise<void>;
  /**
   * The person has seen it: its sender is told, later, if `receipts` is `'delivered-and-read'`. Before `ack()` or after, but by this object
   * alone: what was acknowledged in an earlier run does not come again, and can't be marked.
   */
  read(): Promise<void>;
}

/** Options of `messages` and `subscribe`. */
export interface ReceiveOptions {
  /** Ends the loop normally: to stop is not an error. */
  readonly signal?: AbortSignal | undefined;
  /** Default `'never'`; `'when-drained'` ends once mailbox and inbox are empty. */
  readonly end?: 'never' | 'when-drained' | undefined;
}

/** Where the client stands. `queuedCount` messages wait to go out, `unackedCount` for the application. */
export type ClientStatus =
  | { readonly state: 'connecting' | 'online' | 'offline'; readonly queuedCount: number; readonly unackedCount: number }
  | { readonly state: 'halted'; readonly error: StoreError }
  | { readonly state: 'closed' };

/** Facts already committed, in order. */
export type ClientEvent =
  | { readonly type: 'status'; readonly status: ClientStatus }
  /** Of what this device sends: own devices hear nothing of each other's progress, and the copies that they get have no receipts. */
  | { readonly type: 'sent'; readonly id: MessageId; readonly state: SentState; readonly error?: AnyCyphrError | undefined }
  | { readonly type: 'identityChanged'; readonly account: string; readonly was: 'unverified' | 'verified' | 'vouched' }
  /**
   * The account's own key says that these devices came or went; on one's own account, too. `refused`: devices that the directory showed
   * and that key did not sign, each told once in a run, by number and key: nothing is ever encrypted for them.
   */
  | {
      readonly type: 'devicesChanged';
      readonly account: string;
      readonly added: readonly number[];
      readonly removed: readonly number[];
      readonly refused: readonly number[];
    }
  /**
   * `'first-contact'`: none with that device was there; `'healed'`: in the place of an earlier one; `'recovered'`: after a `recover()` or an
   * import here or there, and, on a device that was linked, with the others of its account.
   */
  | { readonly type: 'sessionEstablished'; readonly address: Address; readonly reason: 'first-contact' | 'healed' | 'recovered' }
  | { readonly type: 'prekeysLow'; readonly oneTimeCount: number }
  | { readonly type: 'lastResortUsed'; readonly address: Address }
  | {
      readonly type: 'undecryptable';
      /** Random: names this event in a report, and nothing else. */
      readonly reference: string;
      readonly from?: string | undefined;
      readonly code: ErrorCode;
      readonly heals: 'by-itself' | 'needs-person' | 'never';
    };

/** How a client stands, or what became of one event. Numbers and words, ids hashed: safe to post. */
export interface Diagnosis {
  readonly cause: ErrorCode | 'healthy';
  readonly heals: 'by-itself' | 'needs-person' | 'never';
  /** One sentence for developers. */
  readonly advice: string;
  readonly facts: Readonly<Record<string, number | string>>;
  /**
   * The `undecryptable` events that it is about: of a client, all that are remembered (the last 100, oldest first). One that happened
   * just before the process died is among them, though its handler never ran.
   */
  readonly references: readonly string[];
}

/** A record of the observer hook. `correlation` is random per operation. */
export type Observation =
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly event: string;
      readonly correlation: string;
      readonly code?: ErrorCode | undefined;
    }
  | {
      readonly kind: 'span';
      readonly name: 'open' | 'send' | 'receive' | 'handshake' | 'commit' | 'transport.send' | 'directory.fetch';
      readonly startMs: number;
      readonly durationMs: number;
      readonly outcome: 'ok' | ErrorCode;
      readonly correlation: string;
      readonly paddedBytes?: number | undefined;
      readonly deviceCount?: number | undefined;
    }
  | { readonly kind: 'gauge'; readonly name: 'queued' | 'unacked' | 'sessions' | 'oneTimePrekeys'; readonly value: number };

/** Bound to the identity that it shows: each verb throws `ERR_IDENTITY_CHANGED` once that is no longer the current one. */
export interface SafetyNumber {
  /** 60 digits, in groups of five. */
  readonly digits: string;
  /** Payload for any QR library, binary mode. */
  readonly qr: Uint8Array<ArrayBuffer>;
  /** `'match'` verifies; nothing else changes anything. */
  scan(payload: Uint8Array): Promise<'match' | 'mismatch' | 'other-person' | 'unreadable'>;
  /** The two people say that the digits agree: verified. Devices that were linked before are not told: there it is done again. */
  confirmDigits(): Promise<void>;
  /** Go on unverified after a change: the new pin. */
  accept(): Promise<void>;
}

/** A view of one person's keys. Methods ask the directory where nothing is pinned yet; `ERR_OFFLINE`, `ERR_NO_SESSION` for an unknown account. */
export interface Contact {
  readonly account: string;
  identity(options?: {
    signal?: AbortSignal | undefined;
  }): Promise<{ readonly trust: Trust; readonly sinceMs: number; readonly devices: readonly number[] }>;
  safetyNumber(options?: { signal?: AbortSignal | undefined }): Promise<SafetyNumber>;
  unverify(): Promise<void>;
}

/** A device of one's own account. */
export interface DeviceFacts {
  readonly device: number;
  /** Whether it is this one. */
  readonly self: boolean;
  /** Whether it has the account key, and so links and revokes; a device knows it of itself only. */
  readonly isPrimary?: boolean | undefined;
}

/**
 * The devices of one's own account. A device that was linked has no account key: what only a primary device can do throws
 * `ERR_DEVICE_UNTRUSTED` there.
 */
export interface Devices {
  /** As the newest list of the account says that this device knows, by device number. */
  list(): Promise<readonly DeviceFacts[]>;
  /**
   * Shows a code for a new device, which passes it to `joinAccount`. It is good for one request within ten minutes, until another code is
   * made, and while this client is open. Nobody should get one over the phone or from a page: whoever reads a code can ask.
   *
   * Throws `ERR_DEVICE_UNTRUSTED` without the account key, `ERR_ARGUMENT` (`directory`: it has no drop box), `ERR_LENGTH` for a 65th device,
   * `ERR_OFFLINE` and what else the directory says, `ERR_TIMEOUT` if it says nothing while the code is good, or `signal.reason`.
   */
  link(options?: { signal?: AbortSignal | undefined }): Promise<Linking>;
  /**
   * Takes a device out of the account: nothing is encrypted for it any more, here at once, by contacts as soon as they hear of it. What it
   * has received it keeps.
   *
   * Throws `ERR_DEVICE_UNTRUSTED` without the account key, `ERR_ARGUMENT` for this device itself and one that the account has not.
   */
  revoke(device: number): Promise<void>;
  /**
   * Sends records of the application's own, such as its messages of before, to a device that this one has linked: end-to-end encrypted, in
   * the sessions of the two, as messages of the kind `history`. Opaque, in order, and at most `limits.historyPartBytes` each (less
   * where the carrier's messages have less than 72 KiB); small ones travel together. Sessions never move, and the client of the other
   * device knows of these messages only what you show of them: it can't edit them or react to them, and what is said of them later waits
   * there for messages that never come.
   *
   * Resolves once all were accepted, as `until('accepted')` says. One part is under way at a time, and `records` is read no faster: while
   * the other device has not come yet, or its mailbox is full, this waits, so pass a signal. Copies of each record are taken as it is read.
   * On rejection, parts may have arrived: the next call is another transfer. What a part that was stored says still arrives after an
   * abort or a crash; what follows is yours to send again.
   *
   * Throws `ERR_DEVICE_UNTRUSTED` without the account key, `ERR_ARGUMENT` (`device`: this one has not linked it, before a `recover()` or an
   * import does not count, or it was revoked, also meanwhile; `records`: no Uint8Array), `ERR_LENGTH` (`records`: one is too long; nothing
   * more is read), `ERR_NO_SESSION` (the device has withdrawn its keys), `ERR_REJECTED` (refused for good, or a part waited for 30 days),
   * what `records` or `progress` throw, or `signal.reason`.
   */
  sendHistory(device: number, records: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options?: HistoryOptions): Promise<void>;
  /** H(AIK), which every device of the account has in common: 128 hex digits. An organisation signs it. */
  fingerprint(): Promise<string>;
}

/** A code that is shown to a new device: `qr` as bytes for a QR code, `typed` for people and for QR codes read as text. Secret while it is good. */
export interface Linking {
  readonly qr: Uint8Array<ArrayBuffer>;
  readonly typed: string;
  readonly expiresAtMs: number;
  /**
   * Waits for the new device, and takes its request: call it while the code is shown, as the new device waits for that. Throws
   * `ERR_TIMEOUT` once the code is no longer good, `ERR_DEVICE_UNTRUSTED` if something else than a new device has used it up, or
   * `signal.reason`.
   */
  request(options?: { signal?: AbortSignal | undefined }): Promise<LinkRequest>;
}

/** A new device that asks. */
export interface LinkRequest {
  /** Two groups of six digits. Confirm only if the new device, in a hand that you know, shows the same. */
  readonly confirmation: string;
  /** Its number, once it is confirmed: for `devices.sendHistory()`. */
  readonly device: number;
  /**
   * Commits the list with the new device; publishing it and answering go on by themselves. Called again, gives the same promise. Throws
   * `ERR_TIMEOUT` once the code is no longer good, `ERR_ARGUMENT` (`request`) after `reject()`.
   */
  confirm(): Promise<void>;
  /** Tells the new device so. Called again, gives the same promise. Throws `ERR_TIMEOUT` as `confirm()`, `ERR_ARGUMENT` (`request`) after it. */
  reject(): Promise<void>;
}

/** Options of `joinAccount`. */
export interface JoinOptions extends ClientOptions {
  /** What the other device shows: the bytes of its QR code, or what was typed. */
  readonly code: Uint8Array | string;
}

/** A device that has asked to be linked, and whose request was taken. */
export interface Joining {
  /** To be compared with what the other device shows. */
  readonly confirmation: string;
  /** This device's client, once the other device has confirmed. The same promise every time. */
  client(): Promise<Client>;
}

/** One device of one account. */
export interface Client extends AsyncDisposable {
  readonly account: string;
  /** u32, drawn at registration; another one after `recover()`. */
  readonly device: number;
  readonly status: ClientStatus;
  /**
   * Resolves once the message is in this device's store, in the same commit as the ratchet step: it goes out without you, also
   * after a crash. Rejections mean that nothing happened. One's own account is no recipient: `ERR_ARGUMENT`. `ERR_LENGTH` beyond
   * `limits.contentBytes` encoded: of text in UTF-8, about 30 bytes less, which its head costs (of an edit 60). Leave 100.
   */
  send(to: string | Conversation, content: string | Uint8Array | Content, options?: SendOptions): Promise<Sent>;
  /** The handle again, e.g. after a restart; `undefined` for an unknown id. */
  sent(id: string): Promise<Sent | undefined>;
  /**
   * Messages, oldest first; those not acknowledged come again after a crash, and to the next loop: so store them by `id`. One loop at
   * a time: a second one throws `ERR_ARGUMENT`; one in another tab waits for its turn, which also comes when the leading tab dies. When
   * the client halts the loop throws that error: start another one after `recover()`.
   */
  messages(options?: ReceiveOptions): AsyncIterable<Message>;
  /** `messages()` with an acknowledgement when `handler` resolves; rejects with what it throws, and that message comes first next time. */
  subscribe(handler: (message: Message) => void | Promise<void>, options?: ReceiveOptions): Promise<void>;
  /** No I/O. The contacts of an account can't be listed: keep their names in your own records. */
  contact(account: string): Contact;
  /** The devices of this account. */
  readonly devices: Devices;
  /**
   * Returns how to stop listening. A listener that throws stops neither the client nor other listeners: its error is thrown anew on a
   * microtask, uncaught. That ends a Node process, so catch what yours may throw. A promise that it returns is not looked at.
   */
  on<T extends ClientEvent['type']>(
    type: T,
    listener: (event: Extract<ClientEvent, { type: T }>) => void,
    options?: { signal?: AbortSignal | undefined },
  ): () => void;
  /**
   * Out of `'halted'`: keeps the account, contacts, pins and the inbox, drops sessions and prekeys, registers a new device, and encrypts
   * queued messages anew under their ids. Calls wait for it; loops have ended, start them anew. On rejection the client is halted as before.
   *
   * Throws `ERR_ARGUMENT` unless the client is halted, `ERR_DEVICE_UNTRUSTED` on a device without the account key, `ERR_STORE_*`; where the
   * account has other devices, which the directory is asked about, also `ERR_OFFLINE`, `ERR_TIMEOUT`, `ERR_REJECTED`, `ERR_ACCOUNT_EXISTS`.
   */
  recover(): Promise<void>;
  /**
   * What became of the messages of an `undecryptable` event, by its `reference`; without one, how the client stands. Works on a halted
   * client, too. `ERR_ARGUMENT` for a reference that none of the last 100 events has.
   */
  diagnose(reference?: string): Promise<Diagnosis>;
  /** Ends the client and destroys what its store holds, keys first; other clients of the account, in other tabs, close. */
  erase(): Promise<ErasureReport>;
  /** Finishes running commits, ends all loops, closes the ports. The same promise every time. */
  close(): Promise<void>;
}
