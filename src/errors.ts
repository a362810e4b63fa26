/**
 * The error classes. Each class says what the caller can do about it (`action`), each `code` says what happened.
 *
 * Errors carry codes, numbers and field names. They never carry keys, plaintext, account names or message ids.
 * This module imports nothing, so that an adapter can use it alone (`@cyphr/e2ee/errors`).
 */

/** What the caller does about an error, in one word. */
export type Action = 'fix' | 'drop' | 'resend' | 'ask' | 'retry' | 'recover' | 'report';

/** The one table from code to action. A code stands in exactly one class. */
const ACTIONS = {
  ERR_ARGUMENT: 'fix',
  ERR_LENGTH: 'fix',
  ERR_NO_SESSION: 'fix',
  ERR_SESSION_DEAD: 'fix',
  ERR_CLOSED: 'fix',
  ERR_DECODE: 'drop',
  ERR_VERSION: 'drop',
  ERR_TOO_LARGE: 'drop',
  ERR_DECRYPT: 'drop',
  ERR_SIGNATURE: 'drop',
  ERR_BUNDLE: 'drop',
  ERR_DUPLICATE: 'drop',
  ERR_KEY_GONE: 'resend',
  ERR_SKIP_LIMIT: 'resend',
  ERR_IDENTITY_CHANGED: 'ask',
  ERR_DEVICE_UNTRUSTED: 'ask',
  ERR_LIST_STALE: 'ask',
  ERR_KEYLOG: 'ask',
  ERR_ACCOUNT_EXISTS: 'ask',
  ERR_STORE_CONFLICT: 'retry',
  ERR_STORE_IO: 'retry',
  ERR_STORE_LOCKED: 'retry',
  ERR_STORE_ROLLBACK: 'recover',
  ERR_STORE_CORRUPT: 'recover',
  ERR_STORE_KEY: 'ask',
  ERR_STORE_FULL: 'ask',
  ERR_STORE_VERSION: 'ask',
  ERR_OFFLINE: 'retry',
  ERR_TIMEOUT: 'retry',
  ERR_REJECTED: 'retry',
  ERR_BUG: 'report',
} as const satisfies Readonly<Record<string, Action>>;

/** Every stable error code. */
export type ErrorCode = keyof typeof ACTIONS;

/** What an error may carry besides its code: numbers and field names, never secrets. `cause` is for local debugging. */
export interface CyphrErrorOptions {
  readonly cause?: unknown;
  readonly field?: string | undefined;
  readonly got?: number | undefined;
  readonly max?: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

const BRAND = Symbol.for('@cyphr/e2ee/error');

/** Base of every error that this library throws. `code` is stable (semver); `message` is English for developers and is not. */
export abstract class CyphrError<C extends ErrorCode = ErrorCode, A extends Action = Action> extends Error {
  readonly code: C;
  /** Derived from the code; a switch on it stays complete when codes are added. */
  readonly action: A;
  declare readonly field?: string;
  declare readonly got?: number;
  declare readonly max?: number;
  declare readonly retryAfterMs?: number;

  constructor(code: C, message: string, options: CyphrErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.action = ACTIONS[code] as Action as A;
    if (options.field !== undefined) this.field = options.field;
    if (options.got !== undefined) this.got = options.got;
    if (options.max !== undefined) this.max = options.max;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }

  get [BRAND](): true {
    return true;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** The call was wrong: fix the code. `field` names the argument. */
export class UsageError extends CyphrError<'ERR_ARGUMENT' | 'ERR_LENGTH' | 'ERR_NO_SESSION' | 'ERR_SESSION_DEAD' | 'ERR_CLOSED', 'fix'> {}
/** Bytes that don't follow the layout: acknowledge and drop. */
export class DecodeError extends CyphrError<'ERR_DECODE' | 'ERR_VERSION' | 'ERR_TOO_LARGE', 'drop'> {}
/** Authentication failed: acknowledge, drop, count. One text for all stages, so that it is no oracle. */
export class AuthError extends CyphrError<'ERR_DECRYPT' | 'ERR_SIGNATURE' | 'ERR_BUNDLE', 'drop'> {}
/** Seen before, or its key is gone: acknowledge; a resend may help. */
export class ReplayError extends CyphrError<'ERR_DUPLICATE' | 'ERR_KEY_GONE' | 'ERR_SKIP_LIMIT', 'drop' | 'resend'> {}
/** A question of trust: ask the person. */
export class TrustError extends CyphrError<
  'ERR_IDENTITY_CHANGED' | 'ERR_DEVICE_UNTRUSTED' | 'ERR_LIST_STALE' | 'ERR_KEYLOG' | 'ERR_ACCOUNT_EXISTS',
  'ask'
> {}
/** The store failed, or holds what this device must not use. */
export class StoreError extends CyphrError<
  | 'ERR_STORE_CONFLICT'
  | 'ERR_STORE_IO'
  | 'ERR_STORE_ROLLBACK'
  | 'ERR_STORE_LOCKED'
  | 'ERR_STORE_KEY'
  | 'ERR_STORE_CORRUPT'
  | 'ERR_STORE_FULL'
  | 'ERR_STORE_VERSION',
  'retry' | 'recover' | 'ask'
> {}
/** The network or the relay: the queue goes on by itself, but for what was refused for good (`ERR_REJECTED` without `retryAfterMs`). */
export class TransportError extends CyphrError<'ERR_OFFLINE' | 'ERR_TIMEOUT' | 'ERR_REJECTED', 'retry'> {}
/** A bug in this library: report it. */
export class InternalError extends CyphrError<'ERR_BUG', 'report'> {}

/** Every error class, as a union to switch on. */
export type AnyCyphrError = UsageError | DecodeError | AuthError | ReplayError | TrustError | StoreError | TransportError | InternalError;

/** Whether `value` is an error of this library; works across realms, workers and two copies of the package. */
export function isCyphrError(value: unknown): value is AnyCyphrError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true;
}

/** The one answer to everything that failed behind the parsing of a frame: no stage, no reason, no oracle. */
export function decryptFailed(): AuthError {
  return new AuthError('ERR_DECRYPT', 'message could not be authenticated');
}

/** Closes a `switch` over a union: the compiler proves that it is never reached. */
export function assertNever(value: never): never {
  throw new InternalError('ERR_BUG', `unexpected variant: ${typeof value}`);
}
