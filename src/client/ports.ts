/** The network ports of one client: bound to its login, and with every failure as an error of ours. */

import { copy, equal } from '../bytes.js';
import { InternalError, isCyphrError, StoreError, TransportError, UsageError } from '../errors.js';
import { type DeviceSecrets, proveLogin, readOwnLogin } from '../identity/index.js';
import type { BundleBytes, Rng } from '../step.js';
import type { Bound, Directory, Login, Transport } from '../transport/port.js';
import type { Database } from './database.js';
import type { Life } from './life.js';
import { checkPort } from './options.js';

/** The login of `device()`. A proof that is ahead of the store halts the client: the store was restored or copied. */
export function deviceLogin(device: () => DeviceSecrets, db: Database, life: Life, rng: Rng): Login {
  const { account, device: id } = device();
  return {
    address: { account, device: id },
    async prove({ audience, nonce, lastProof }) {
      const last = lastProof === undefined ? undefined : readOwnLogin(device(), lastProof);
      if (last !== undefined && equal(last.storeId, db.storeId) && last.generation > db.generation()) {
        const numbers = { got: db.generation(), max: last.generation };
        life.halt(new StoreError('ERR_STORE_ROLLBACK', 'this store is older than what this device has shown before', numbers));
      }
      life.assertOpen();
      return copy(proveLogin(device(), { audience, nonce, storeId: db.storeId, generation: db.generation() }, rng));
    },
  };
}

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

/** Binds a directory. Throws `ERR_ARGUMENT` if it is none. */
export function bindDirectory(port: Bound<Directory>, login: Login): Directory {
  const directory = bind('directory', port, login);
  const { remaining } = directory;
  return {
    publish: (keys, options) => guarded(() => directory.publish(keys, options), options?.signal),
    fetch: async (account, options) => checkBundles(await guarded(() => directory.fetch(account, options), options?.signal)),
    ...(remaining === undefined ? {} : { remaining: () => guarded(() => remaining.call(directory)) }),
  };
}

/** Whether a service refused for good: trying again with the same bytes is in vain. */
export function isRefusedForGood(error: unknown): error is TransportError {
  return error instanceof TransportError && error.code === 'ERR_REJECTED' && error.retryAfterMs === undefined;
}
