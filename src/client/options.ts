/** The arguments of the client, checked: every fault is a `UsageError` that names the field. */

import { copy, encodeUtf8 } from '../bytes.js';
import { UsageError } from '../errors.js';
import { limits } from '../limits.js';
import type { Settings } from './context.js';
import type { ClientEvent, ClientOptions, ReceiveOptions, SendOptions } from './types.js';

const CHOICES = {
  trust: ['warn', 'block', 'pinned-only'],
  bandwidth: ['lean', 'standard', 'wide'],
  metadata: ['tag', 'sealed'],
  receipts: ['off', 'delivered', 'delivered-and-read'],
} as const;

function wrong(field: string, message: string): UsageError {
  return new UsageError('ERR_ARGUMENT', `${field} ${message}`, { field });
}

/** An account name: 1–64 bytes of well-formed UTF-8 in NFC, compared byte for byte. Throws `ERR_ARGUMENT`, `ERR_LENGTH`. */
export function checkAccount(value: unknown, field: string): string {
  if (typeof value !== 'string') throw wrong(field, 'must be a string');
  const bytes = encodeUtf8(value);
  if (bytes === undefined) throw wrong(field, 'holds an unpaired surrogate');
  if (value.normalize('NFC') !== value) throw wrong(field, 'must be in Unicode normal form NFC');
  if (bytes.length < 1 || bytes.length > limits.accountBytes) {
    throw new UsageError('ERR_LENGTH', `${field} must have 1 to ${limits.accountBytes} bytes`, {
      field,
      got: bytes.length,
      max: limits.accountBytes,
    });
  }
  return value;
}

/** Whom a message is for: an account's name, or a conversation with a person. Throws `ERR_ARGUMENT`, `ERR_LENGTH`. */
export function checkRecipient(to: unknown): string {
  if (typeof to === 'string') return checkAccount(to, 'to');
  const given = to as { kind?: unknown; account?: unknown } | null | undefined;
  if (given?.kind !== 'person' || typeof given.account !== 'string') throw wrong('to', 'must be an account name or a conversation');
  return checkAccount(given.account, 'to');
}

/** An idempotency key: 1–64 bytes of well-formed UTF-8. Throws `ERR_ARGUMENT`, `ERR_LENGTH`. */
export function checkKey(value: unknown): string {
  if (typeof value !== 'string') throw wrong('key', 'must be a string');
  const bytes = encodeUtf8(value);
  if (bytes === undefined) throw wrong('key', 'holds an unpaired surrogate');
  if (bytes.length < 1 || bytes.length > limits.idempotencyKeyBytes) {
    throw new UsageError('ERR_LENGTH', `key must have 1 to ${limits.idempotencyKeyBytes} bytes`, {
      field: 'key',
      got: bytes.length,
      max: limits.idempotencyKeyBytes,
    });
  }
  return value;
}

const METHODS = {
  store: ['read', 'list', 'commit', 'close'],
  transport: ['send', 'deliveries', 'close'],
  directory: ['publish', 'fetch'],
} as const;

const PORTS = {
  store: 'must be a store, such as memoryStore() makes',
  transport: 'must be a transport: pass ...relay(url), or another network with its dots',
  directory: 'must be a directory: pass ...relay(url), or another network with its dots',
} as const;

/** Throws `ERR_ARGUMENT` unless `port` has the methods of the port that `field` names, and a transport its limits. */
export function checkPort(field: keyof typeof METHODS, port: unknown): void {
  const given = port as Record<string, unknown> | null | undefined;
  const isPort = typeof given === 'object' && given !== null && METHODS[field].every((method) => typeof given[method] === 'function');
  const hasLimits = field !== 'transport' || typeof (given as { limits?: { maxBytes?: unknown } })?.limits?.maxBytes === 'number';
  if (!isPort || !hasLimits) throw wrong(field, PORTS[field]);
}

function checkSignal(signal: unknown): void {
  const given = signal as Partial<AbortSignal> | null | undefined;
  if (given !== undefined && typeof given?.addEventListener !== 'function') throw wrong('signal', 'must be an AbortSignal');
}

const EVENT_TYPES: Readonly<Record<ClientEvent['type'], true>> = {
  devicesChanged: true,
  status: true,
  sent: true,
  identityChanged: true,
  sessionEstablished: true,
  prekeysLow: true,
  lastResortUsed: true,
  undecryptable: true,
};

/** The name of an event. Throws `ERR_ARGUMENT`: a listener for a misspelt one would never be called. */
export function checkEventType(type: unknown): void {
  if (typeof type !== 'string' || !Object.hasOwn(EVENT_TYPES, type))
    throw wrong('type', `must be one of ${Object.keys(EVENT_TYPES).join(', ')}`);
}

/** Throws `ERR_ARGUMENT` for a field that no option has: a misspelt one would do nothing. What is inherited is an `AbortController`'s own business. */
function checkNames(options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw wrong(unknown, `is no option: there are ${known.join(', ')}`);
}

/** Checks options that hold a signal, and perhaps `others`, which the caller checks. */
export function checkWaitOptions(
  options: { readonly signal?: AbortSignal | undefined },
  others: readonly string[] = [],
): { readonly signal?: AbortSignal | undefined } {
  if (typeof options !== 'object' || options === null) throw wrong('options', 'must be an object');
  if ('aborted' in options) throw wrong('options', 'must be an object with the signal in it, not the signal');
  checkNames(options, ['signal', ...others]);
  checkSignal(options.signal);
  return options;
}

/** Checks `send`'s options. */
export function checkSendOptions(options: SendOptions): SendOptions {
  checkWaitOptions(options, ['key']);
  return { key: options.key === undefined ? undefined : checkKey(options.key), signal: options.signal };
}

/** Checks the options of `messages` and `subscribe`. */
export function checkReceiveOptions(options: ReceiveOptions): ReceiveOptions {
  checkWaitOptions(options, ['end']);
  if (options.end !== undefined && options.end !== 'never' && options.end !== 'when-drained') {
    throw wrong('end', 'must be one of never, when-drained');
  }
  return options;
}

/** A message id as an application kept it. Throws `ERR_ARGUMENT`. */
export function checkId(value: unknown, field = 'id'): string {
  if (typeof value !== 'string') throw wrong(field, 'must be a string');
  return value;
}

/** Throws `ERR_ARGUMENT` unless `value` is a function. */
export function checkFunction(value: unknown, field: string): void {
  if (typeof value !== 'function') throw wrong(field, 'must be a function');
}

/** Throws `ERR_ARGUMENT` unless `value` gives elements one after another, be it asynchronously. */
export function checkIterable(value: unknown, field: string): void {
  const given = (typeof value === 'object' ? value : undefined) as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined;
  if (typeof (given?.[Symbol.asyncIterator] ?? given?.[Symbol.iterator]) !== 'function')
    throw wrong(field, 'must be an iterable of Uint8Arrays, or an asynchronous one');
}

const ROOT_KEY_BYTES = 48;

/** A copy of an organisation's public key. Throws `ERR_ARGUMENT`, `ERR_LENGTH`. */
function checkOrganisation(value: unknown): Uint8Array | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof Uint8Array)) throw wrong('organisation', 'must be a Uint8Array');
  if (value.length === ROOT_KEY_BYTES) return copy(value);
  const message = `organisation must have ${ROOT_KEY_BYTES} bytes`;
  throw new UsageError('ERR_LENGTH', message, { field: 'organisation', got: value.length, max: ROOT_KEY_BYTES });
}

const CLIENT_OPTIONS: Readonly<Record<keyof ClientOptions, true>> = {
  account: true,
  store: true,
  transport: true,
  directory: true,
  trust: true,
  bandwidth: true,
  metadata: true,
  receipts: true,
  organisation: true,
  observe: true,
  rng: true,
  now: true,
  signal: true,
};

/** Checks `createClient`'s options before anything is touched. */
export function checkOptions(options: ClientOptions): Settings {
  if (typeof options !== 'object' || options === null) throw wrong('options', 'must be an object');
  checkAccount(options.account, 'account');
  checkPort('store', options.store);
  for (const field of ['transport', 'directory'] as const) if (typeof options[field] !== 'function') checkPort(field, options[field]);
  for (const [field, allowed] of Object.entries(CHOICES)) {
    const value = options[field as keyof typeof CHOICES];
    if (value !== undefined && !(allowed as readonly unknown[]).includes(value)) throw wrong(field, `must be one of ${allowed.join(', ')}`);
  }
  for (const field of ['observe', 'rng', 'now'] as const) {
    if (options[field] !== undefined) checkFunction(options[field], field);
  }
  const organisation = checkOrganisation(options.organisation);
  checkSignal(options.signal);
  checkNames(options, Object.keys(CLIENT_OPTIONS));
  const { trust = 'block', bandwidth, metadata = 'tag', receipts = 'off' } = options;
  return { trust, bandwidth, metadata, receipts, organisation };
}
