/**
 * The client's rows: their keys and their strict, versioned encoding.
 *
 * | key | holds |
 * |---|---|
 * | `meta` | format of the store, account, device id |
 * | `generation` | storeId ‖ generation (see database.ts) |
 * | `device` | keys of account and device, secret |
 * | `prekeys`, `seen/<key>` | prekey secrets; Inits accepted |
 * | `publish` | published bytes that the directory has not acknowledged |
 * | `contact/<account>` | pin, trust, device list, what is known of each device |
 * | `peer/<account>/<H(DIK)>` | which session is used |
 * | `session/<id>`, `init/<id>`, `skipped/<id>/<tag>`, `tag/<tag>` | ratchet state; stored Init; keys of missing messages; index |
 * | `sent/<message>`, `once/<key>` | what became of a sent message; idempotency keys |
 * | `pending/<account>/<seq>`, `outbox/<account>/<seq>/<device>` | plaintext that waits for a session; ciphertext that waits for acceptance |
 * | `unsent/<account>/<seq>` | the plaintext of what is in `outbox`: goes with its last row there, and back to `pending` when a device was replaced |
 * | `log/<message>`, `log/<message> copy` | what was sent lately, to be sent again to a device that could not read it |
 * | `deleted/<message>` | marks a sent message that its author has deleted |
 * | `trouble/<reference>`, `salt` | what was known of a message that could not be read; what makes ids in reports unreadable |
 * | `greet/<account>` | a contact that has not answered the device which replaced a lost one |
 * | `grant/<slot>`, `share/<H(DIK)>` | answers to new devices that were confirmed, not left yet; new devices that wait for contacts |
 * | `linked/<H(DIK)>`, `linked-by` | marks a device that this one has linked; H(DIK) of the one that has linked this one |
 * | `days` | how many days this store was in use: what others wait for ages by these |
 * | `talk/<account>` | the counter of a conversation, and its timer |
 * | `early/<account>/<side>/<target>/<message>` | edits, reactions and deletions, `own` or `theirs`, that came before their target |
 * | `receipt/<account>/<message>`, `told/<message>` | receipts that wait to be given; those that came: 1 delivered, 2 read |
 * | `claimed/<id>` | marks a session whose sender no pin confirms |
 * | `login/<audience>`, `login//halted` | login proofs that this store has made; why its device must not go on |
 * | `inbox/<seq>`, `got/<account>/<message>` | messages not acknowledged; ids already received |
 */

import { copy, toHex } from '../bytes.js';
import { StoreError } from '../errors.js';
import type { SessionFacts } from '../session/peer.js';
import type { MessageName } from '../step.js';
import type { StoreKey } from '../store/port.js';
import type { MsgpackValue } from '../wire/msgpack.js';
import { decodeRecordMap, encodeRecord } from '../wire/record.js';

/** Version of the store as a whole, which stands in `meta`; see migrations.ts. */
export const FORMAT = 3;

type Kind = 'bytes' | 'string' | 'number' | 'boolean' | 'list' | 'map';
type Schema = Readonly<Record<string, Kind | `${Kind}?`>>;

interface Values {
  bytes: Uint8Array;
  string: string;
  number: number;
  boolean: boolean;
  list: readonly unknown[];
  map: Readonly<Record<string, unknown>>;
}

/** The type of a record: `?` marks what may be absent. */
export type Shape<T extends Schema> = {
  readonly [K in keyof T as T[K] extends `${string}?` ? never : K]: T[K] extends Kind ? Values[T[K]] : never;
} & {
  readonly [K in keyof T as T[K] extends `${string}?` ? K : never]?:
    | (T[K] extends `${infer B extends Kind}?` ? Values[B] : never)
    | undefined;
};

const KINDS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  bytes: (value) => value instanceof Uint8Array,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  list: Array.isArray,
  map: (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array),
};

const CHECKS = Object.fromEntries(Object.entries(KINDS).flatMap(([kind, check]) => [kind, `${kind}?`].map((name) => [name, check])));

/** Copies `value` by schema; throws what `fail` makes for a missing or mistyped field, and for an unknown one. */
export function bySchema<T extends Schema>(schema: T, value: unknown, fail: (field: string) => Error): Shape<T> {
  if (!KINDS.map(value)) throw fail('record');
  const source = value as Record<string, unknown>;
  const out: Record<string, unknown> = {};
  for (const [field, kind] of Object.entries(schema)) {
    if (Object.hasOwn(source, field)) {
      if (!CHECKS[kind]!(source[field])) throw fail(field);
      out[field] = source[field];
    } else if (!kind.endsWith('?')) throw fail(field);
  }
  for (const field of Object.keys(source)) if (!Object.hasOwn(schema, field)) throw fail(field);
  return out as Shape<T>;
}

interface RecordCodec<T> {
  encode(value: T): Uint8Array;
  /** Throws `ERR_STORE_VERSION` for a newer record, `ERR_STORE_CORRUPT` for a damaged one. */
  decode(bytes: Uint8Array): T;
}

const corrupt = (kind: string, field: string): StoreError => new StoreError('ERR_STORE_CORRUPT', `damaged ${kind} record`, { field });

/** A record of one kind, in the one version of its layout that is written now. */
export function record<T extends Schema>(kind: string, schema: T, version = 1): RecordCodec<Shape<T>> {
  return {
    encode(value) {
      const present: Record<string, MsgpackValue> = {};
      for (const [field, content] of Object.entries(value)) if (content !== undefined) present[field] = content as MsgpackValue;
      return encodeRecord(kind, version, present);
    },
    decode: (bytes) => bySchema(schema, decodeRecordMap(bytes, kind, version), (field) => corrupt(kind, field)),
  };
}

export const metaRecord = record(
  'meta',
  {
    account: 'string',
    device: 'number',
    /** Generation from which on every login proof is remembered. */
    loginsSince: 'number',
  },
  FORMAT,
);

/** Login proofs for one audience: `made` are {generation, hash}, hash 16 bytes of SHA-256; those before `floor` are forgotten. */
export const loginRecord = record('login', { floor: 'number', made: 'list' });

/** `reason`: see login.ts. `got` and `max`: generations, or versions of the account's device list. */
export const verdictRecord = record('verdict', { reason: 'string', got: 'number', max: 'number' });

/** Published bytes, kept until the directory has acknowledged them: the same each time. */
export const publishRecord = record('publish', {
  identity: 'bytes',
  signedSet: 'bytes',
  batchId: 'string?',
  batchHead: 'bytes?',
  batchEntries: 'list?',
});

export const contactRecord = record('contact', {
  /** AIK, 1984 bytes; the pin is its hash. */
  identity: 'bytes',
  sinceMs: 'number',
  verified: 'boolean',
  /** DeviceList TBS‖sig, the newest one seen. */
  list: 'bytes',
  /** What the directory shows instead of the pin, until a person decides. */
  changedTo: 'bytes?',
  changedList: 'bytes?',
  /** The device that linked this one says so: nothing but a person's decision takes it back. */
  changedByOwn: 'boolean?',
  /** Earlier pins, H(AIK). */
  former: 'list',
  /** The pin took the place of the last of them without a person's decision. */
  unasked: 'boolean?',
  /** RootStatement TBS, verified: the newest that named a pin of this contact. */
  statement: 'bytes?',
});
export type ContactRecord = ReturnType<typeof contactRecord.decode>;

/** What is known of one device of a contact: its newest SignedSet, by hash and by what sealing to it needs. */
export const deviceRecord = record('device-of-contact', {
  setSeq: 'number',
  setHash: 'bytes',
  setId: 'bytes',
  sealKey: 'bytes',
  verFloor: 'number',
  /** The date of the set; absent in a row of before: its number tells it, unless the device's clock was wrong. */
  setNotAfterMs: 'number?',
});

export const peerRecord = record('peer', { sessions: 'list', startedAtMs: 'list', incarnation: 'bytes?', former: 'list?', gone: 'list?' });

const factsSchema = {
  id: 'bytes',
  initiatedByUs: 'boolean',
  createdAtMs: 'number',
  answeredAtMs: 'number?',
  status: 'string',
  retiredAtMs: 'number',
  dead: 'boolean',
  suspect: 'boolean?',
  /** Names of messages, 20 bytes each: see `nameBytes`. */
  failed: 'list?',
  askedCount: 'number?',
  askedAtMs: 'number?',
} as const;

/** The facts of one session, as they stand in a peer record. */
export function decodeFacts(value: unknown): SessionFacts {
  const fail = (field: string): StoreError => corrupt('peer', field);
  const { answeredAtMs, status, suspect, failed = [], askedCount, askedAtMs, ...rest } = bySchema(factsSchema, value, fail);
  const names = failed.map((bytes) => nameOf(bytes) ?? raise(fail('failed')));
  return {
    ...rest,
    status: status as SessionFacts['status'],
    answeredAtMs: answeredAtMs ?? null,
    suspect: suspect ?? false,
    failed: names,
    askedCount: askedCount ?? 0,
    askedAtMs: askedAtMs ?? 0,
  };
}

/** Reverse of `decodeFacts`. What a session that never failed has not is left out. */
export function encodeFacts({ answeredAtMs, suspect, failed, askedCount, askedAtMs, ...rest }: SessionFacts): Record<string, unknown> {
  return {
    ...rest,
    ...(answeredAtMs === null ? {} : { answeredAtMs }),
    ...(suspect ? { suspect } : {}),
    ...(failed.length > 0 ? { failed: failed.map(nameBytes), askedCount, askedAtMs } : {}),
  };
}

function raise(error: Error): never {
  throw error;
}

/** A message's name as bytes: tag 16 ‖ n u32. */
export function nameBytes({ tag, n }: MessageName): Uint8Array {
  const out = new Uint8Array(20);
  out.set(tag);
  new DataView(out.buffer).setUint32(16, n);
  return out;
}

/** Reverse of `nameBytes`; `undefined` for what is none. */
export function nameOf(bytes: unknown): MessageName | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length !== 20) return undefined;
  return { tag: copy(bytes.subarray(0, 16)), n: new DataView(bytes.buffer, bytes.byteOffset).getUint32(16) };
}

export const sessionRecord = record('session', {
  account: 'string',
  device: 'number',
  /** H(AIK) of the peer, 64 bytes: who this session is with, whatever the directory says. */
  accountKeyHash: 'bytes',
  /** H(DIK) of the peer's device, 64 bytes. */
  deviceKeyHash: 'bytes',
  replayable: 'boolean',
  /** Messages sent while unanswered. */
  unansweredCount: 'number',
  createdAtMs: 'number',
  /** When the first message was sent that nothing has answered; absent while there is none. */
  silentSinceMs: 'number?',
  core: 'bytes',
});
export type SessionRecord = ReturnType<typeof sessionRecord.decode>;

/** Kept while a session that was started here is unanswered: the Init, and what sealing it again needs. */
export const initRecord = record('init', { prefix: 'bytes', setId: 'bytes', sealKey: 'bytes' });

export const sentRecord = record('sent', {
  to: 'string',
  state: 'string',
  atMs: 'number',
  seq: 'number',
  /** Devices that have not got it. */
  waitingFor: 'list',
  /** How many have. */
  accepted: 'number',
  key: 'string?',
  code: 'string?',
  /** Its counter in the conversation; absent: it was sent before there was one. */
  order: 'number?',
  disappearAfterMs: 'number?',
  /** Of a kind for which there are no receipts. */
  isQuiet: 'boolean?',
  acceptedAtMs: 'number?',
  /** How many days were counted when it was queued: see `days`. */
  onDay: 'number?',
  /** A control message: the application hears nothing of it, and the row goes once it is accepted. */
  isControl: 'boolean?',
});
export type SentRecord = ReturnType<typeof sentRecord.decode>;

/** In `pending` or `late`, then in `unsent`. */
export const pendingRecord = record('pending', {
  id: 'string',
  payload: 'bytes',
  atMs: 'number',
  /** In `pending`: H(DIK) of the devices that it is still to be encrypted for; all that are listed, where it is absent. */
  only: 'list?',
  /** `'any'`: for the protocol, not for the application; `'on-sessions'`: and not worth a new session. */
  control: 'string?',
  /** Under which name it is logged, where that is not its id: a copy, or what is sent again. */
  as: 'string?',
});

/** `atMs`, `onDay`: as in the record of the message. */
export const outboxRecord = record('outbox', { id: 'string', bytes: 'bytes', atMs: 'number', onDay: 'number?' });

/** A message that was sent lately, or its copy: `devices` are {to, session, name, tries}, see sendlog.ts; `control` as in `pending`. */
export const logRecord = record('log', {
  account: 'string',
  accountKeyHash: 'bytes',
  payload: 'bytes',
  control: 'string?',
  atMs: 'number',
  devices: 'list',
});

/** What an `undecryptable` event knew: see diagnosis.ts. */
export const troubleRecord = record('trouble', {
  account: 'string',
  deviceKeyHash: 'bytes?',
  session: 'bytes?',
  code: 'string',
  heals: 'string',
  atMs: 'number',
});
export type TroubleRecord = ReturnType<typeof troubleRecord.decode>;

/** `hellos` are {device, bytes} that the relay has not accepted; not `isStarted`: they are not made yet. */
export const greetRecord = record('greet', { isStarted: 'boolean', hellos: 'list' });

/** `bytes` is to lie in the slot of the key, for `device`; in vain after `untilMs`. */
export const grantRecord = record('grant', { device: 'number', bytes: 'bytes', untilMs: 'number' });

/** `after`: the last account that was queued for the device of the key. */
export const shareRecord = record('share', { after: 'string?' });

export const inboxRecord = record('inbox', {
  id: 'string',
  account: 'string',
  device: 'number',
  accountKeyHash: 'bytes',
  payload: 'bytes',
  receivedAtMs: 'number',
  replayable: 'boolean',
  /** What an own other device sent: the account that it was sent to. */
  to: 'string?',
  /** Its counter in the conversation; absent: it came before there was one. */
  order: 'number?',
  disappearAfterMs: 'number?',
  /** In `early`: how many days were counted when it came. */
  onDay: 'number?',
});
export type InboxRecord = ReturnType<typeof inboxRecord.decode>;

/** `lately`: the days that were counted last, in days since 1970 by the clock of then. */
export const daysRecord = record('days', { lately: 'list', count: 'number' });

/** `timerOrder` is the sort key of the message that set the timer. */
export const talkRecord = record('talk', { greatest: 'number', timerMs: 'number?', timerOrder: 'string?' });
export type TalkRecord = ReturnType<typeof talkRecord.decode>;

/** A sequence number as a key component that sorts by value. */
export function seqKey(seq: number): string {
  return seq.toString(16).padStart(14, '0');
}

export const keys = {
  meta: ['meta'] as StoreKey,
  device: ['device'] as StoreKey,
  prekeys: ['prekeys'] as StoreKey,
  publish: ['publish'] as StoreKey,
  seen: (key: string): StoreKey => ['seen', key],
  contact: (account: string): StoreKey => ['contact', account],
  contactDevice: (account: string, device: number): StoreKey => ['contact-device', account, String(device)],
  /** By H(DIK): whoever claims this account with other keys is another peer. */
  peer: (account: string, deviceKeyHash: Uint8Array): StoreKey => ['peer', account, toHex(deviceKeyHash)],
  session: (id: string): StoreKey => ['session', id],
  init: (id: string): StoreKey => ['init', id],
  claimed: (id: string): StoreKey => ['claimed', id],
  skipped: (id: string, tag: string): StoreKey => ['skipped', id, tag],
  tag: (tag: string): StoreKey => ['tag', tag],
  grant: (slot: string): StoreKey => ['grant', slot],
  share: (deviceKeyHash: Uint8Array): StoreKey => ['share', toHex(deviceKeyHash)],
  linked: (deviceKeyHash: Uint8Array): StoreKey => ['linked', toHex(deviceKeyHash)],
  linkedBy: ['linked-by'] as StoreKey,
  sent: (id: string): StoreKey => ['sent', id],
  once: (key: string): StoreKey => ['once', key],
  pending: (account: string, seq: number): StoreKey => ['pending', account, seqKey(seq)],
  /** What others of the account have and one device can't be sent yet: no other message passes by it. */
  late: (account: string, deviceKeyHash: Uint8Array, seq: number): StoreKey => ['late', account, toHex(deviceKeyHash), seqKey(seq)],
  outbox: (account: string, seq: number, device: number): StoreKey => ['outbox', account, seqKey(seq), String(device)],
  unsent: (account: string, seq: number): StoreKey => ['unsent', account, seqKey(seq)],
  log: (id: string): StoreKey => ['log', id],
  deleted: (id: string): StoreKey => ['deleted', id],
  trouble: (reference: string): StoreKey => ['trouble', reference],
  salt: ['salt'] as StoreKey,
  greet: (account: string): StoreKey => ['greet', account],
  login: (audience: string): StoreKey => ['login', audience],
  verdict: ['login', '', 'halted'] as StoreKey,
  inbox: (seq: number): StoreKey => ['inbox', seqKey(seq)],
  got: (account: string, id: string): StoreKey => ['got', account, id],
  talk: (account: string): StoreKey => ['talk', account],
  days: ['days'] as StoreKey,
  early: (account: string, side: string, target: string, id: string): StoreKey => ['early', account, side, target, id],
  receipt: (account: string, id: string): StoreKey => ['receipt', account, id],
  told: (id: string): StoreKey => ['told', id],
};
