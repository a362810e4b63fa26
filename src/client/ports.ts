/** The ports of one client: its own while it lives; those of the network bound to its login, and with every failure as an error of ours. */

import { InternalError, isCyphrError, TransportError, UsageError } from '../errors.js';
import { linkLimits, wireLimits } from '../limits.js';
import type { BundleBytes } from '../step.js';
import type { Bound, Directory, Login, Transport } from '../transport/port.js';
import { checkPort } from './options.js';

/** Ports, the store among them, that a living client owns: no other client takes them, and nobody else erases the store. */
export const owned = new WeakSet<object>();

/** Makes a port; what its factory throws is ours, or the cause of `ERR_ARGUMENT`. */
function made<P>(field: 'transport' | 'directory', make: () => P): P {
  try {
    return make();
  } catch (cause) {
    if (isCyphrError(cause)) throw cause;
    throw new UsageError('ERR_ARGUMENT', `${field} could not be made`, { field, cause });
  }
}

function bind<P>(field: 'transport' | 'directory', port: Bound<P>, login: Login): P {
  const bound = typeof port === 'function' ? made(field, () => (port as (login: Login) => P)(login)) : port;
  checkPort(field, bound);
  return bound;
}

/** Our error, or what an adapter threw wrapped as `ERR_OFFLINE`; an abort stays what it is. */
function networkError(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (isCyphrError(cause) || signal?.aborted === true) return cause;
  if (cause instanceof TypeError && !/fetch/i.test(cause.message)) return new InternalError('ERR_BUG', 'an adapter failed', { cause });
  return new TransportError('ERR_OFFLINE', 'the network failed', { cause });
}

async function guarded<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw networkError(error, signal);
  }
}

/** Binds a transport. Throws `ERR_ARGUMENT` if it is none. */
export function bindTransport(port: Bound<Transport>, login: Login): Transport {
  const transport = bind('transport', port, login);
  return {
    limits: transport.limits,
    send: (to, envelope, options) => guarded(() => transport.send(to, envelope, options), options?.signal),
    deliveries: (options) => transport.deliveries(options),
    close: () => guarded(() => transport.close()),
  };
}

/** What a directory answered, if it has the shape of bundles; whether they are genuine is another question. Throws `ERR_REJECTED`. */
function checkBundles(answer: unknown): BundleBytes[] {
  const isBytes = (value: unknown): boolean => value instanceof Uint8Array;
  const isBundle = (value: BundleBytes | null | undefined): boolean =>
    typeof value?.address?.account === 'string' &&
    isBytes(value.identity) &&
    isBytes(value.signedSet) &&
    (value.oneTime === undefined || (isBytes(value.oneTime?.head) && isBytes(value.oneTime.entry)));
  if (!Array.isArray(answer) || !answer.every(isBundle)) throw new TransportError('ERR_REJECTED', 'the directory answered no bundles');
  return answer;
}

/** What lay in a slot, if it can be that. Throws `ERR_REJECTED`. */
function checkLeft(answer: unknown): Uint8Array | undefined {
  if (answer === undefined || (answer instanceof Uint8Array && answer.length <= linkLimits.slotBytes)) return answer;
  throw new TransportError('ERR_REJECTED', 'the directory answered no bytes');
}

/** An organisation's statement, if it can be one. Throws `ERR_REJECTED`. */
function checkStatement(answer: unknown): Uint8Array | undefined {
  if (answer === undefined || (answer instanceof Uint8Array && answer.length <= wireLimits.rootStatementBytes)) return answer;
  throw new TransportError('ERR_REJECTED', 'the directory answered no statement');
}

/** Binds a directory. Throws `ERR_ARGUMENT` if it is none. */
export function bindDirectory(port: Bound<Directory>, login: Login): Directory {
  const directory = bind('directory', port, login);
  const { remaining, leave, pickUp, statement } = directory;
  return {
    publish: (keys, options) => guarded(() => directory.publish(keys, options), options?.signal),
    fetch: async (account, options) => checkBundles(await guarded(() => directory.fetch(account, options), options?.signal)),
    ...(remaining === undefined ? {} : { remaining: () => guarded(() => remaining.call(directory)) }),
    ...(statement === undefined
      ? {}
      : {
          statement: async (account, options) =>
            checkStatement(await guarded(() => statement.call(directory, account, options), options?.signal)),
        }),
    ...(leave === undefined || pickUp === undefined
      ? {}
      : {
          leave: (slot, bytes, options) => guarded(() => leave.call(directory, slot, bytes, options), options?.signal),
          pickUp: async (slot, options) => checkLeft(await guarded(() => pickUp.call(directory, slot, options), options?.signal)),
        }),
  };
}

/** Whether a service refused for good: trying again with the same bytes is in vain. */
export function isRefusedForGood(error: unknown): error is TransportError {
  return error instanceof TransportError && error.code === 'ERR_REJECTED' && error.retryAfterMs === undefined;
}
