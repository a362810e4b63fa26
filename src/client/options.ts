/** The arguments of the client, checked: every fault is a `UsageError` that names the field. */

import { encodeUtf8 } from '../bytes.js';
import { UsageError } from '../errors.js';
import { limits } from '../limits.js';
import type { Settings } from './context.js';
import type { ClientOptions } from './types.js';

const CHOICES = {
  trust: ['warn', 'block', 'pinned-only'],
  bandwidth: ['lean', 'standard', 'wide'],
  metadata: ['tag', 'sealed'],
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

/** Checks `createClient`'s options before anything is touched. */
export function checkOptions(options: ClientOptions): Settings {
  if (typeof options !== 'object' || options === null) throw wrong('options', 'must be an object');
  checkAccount(options.account, 'account');
  for (const method of ['read', 'list', 'commit', 'close'] as const) {
    if (typeof options.store?.[method] !== 'function') throw wrong('store', 'must be a store');
  }
  for (const field of ['transport', 'directory'] as const) {
    const port: unknown = options[field];
    if (typeof port !== 'function' && (typeof port !== 'object' || port === null))
      throw wrong(field, 'must be a port, or a function that makes one');
  }
  for (const [field, allowed] of Object.entries(CHOICES)) {
    const value = options[field as keyof typeof CHOICES];
    if (value !== undefined && !(allowed as readonly unknown[]).includes(value)) throw wrong(field, `must be one of ${allowed.join(', ')}`);
  }
  for (const field of ['observe', 'rng', 'now'] as const) {
    if (options[field] !== undefined && typeof options[field] !== 'function') throw wrong(field, 'must be a function');
  }
  return { trust: options.trust ?? 'block', bandwidth: options.bandwidth, metadata: options.metadata ?? 'tag' };
}
