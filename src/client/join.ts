/**
 * The new device's side of a linking: reads the code, asks, waits for the challenge and the answer. The other side is linking.ts.
 *
 * Nothing is written before the answer is a grant; then all rows of the device are one commit, and the client opens on them as on any
 * store. A process that dies before leaves an empty store, and a device in the account's list that nobody has the keys of.
 */

import { wipe } from '../bytes.js';
import { isCyphrError, TransportError, TrustError, UsageError } from '../errors.js';
import { type DeviceSecrets, entryOf, generateDeviceKeys } from '../identity/index.js';
import { type LinkExchange, openLinkAnswer, openLinkChallenge, parseLinkCode, requestLink } from '../identity/linking.js';
import { linkLimits } from '../limits.js';
import type { Now, Rng } from '../step.js';
import type { Directory } from '../transport/port.js';
import type { DeviceEntry } from '../wire/objects.js';
import { openClient } from './client.js';
import { openDatabase, storeCall } from './database.js';
import { noDropBox } from './linking.js';
import { checkOptions } from './options.js';
import { clientClock, clientRng, type Endable, endingWith, timer } from './platform.js';
import { bindDirectory, isRefusedForGood } from './ports.js';
import { greetRecord, keys } from './records.js';
import { deviceRows } from './recovery.js';
import { assertUnsealed } from './registration.js';
import type { Client, ClientOptions, Joining, JoinOptions } from './types.js';

/** Pause before the network is tried again. */
const PAUSE_MS = 5_000;

/**
 * Makes this device one of an account that is open elsewhere: `code` is what `client.devices.link()` shows there, as the bytes of its QR
 * code or as it was typed. For an empty store, which stays empty until the other device has confirmed. Resolves once the other device has
 * taken the request, in `request()`. Both then show `confirmation`: a person compares, and confirms on the other one. `client()` resolves
 * with this device's client thereupon, and rejects if the person refused.
 *
 * What the other device knows of contacts comes by itself afterwards, encrypted. Messages of before come if its application sends them, by
 * `devices.sendHistory()`. From then on the store is opened by `createClient`, as any other; so too if `client()` rejects once the store
 * is no longer empty. On rejection, also of `client()`, the store is left open: try again with the same object, or close it.
 *
 * Throws `ERR_ARGUMENT` (`code`: it is none, or has a typing error; `account`: it is of another account; `store`: it is not empty;
 * `directory`: it has no drop box), `ERR_TIMEOUT` (the code is not good here, or no longer, or nobody answered), `ERR_DEVICE_UNTRUSTED` (another
 * device has asked with this code; from `client()`: the person refused), `ERR_DECRYPT` (somebody has tampered with the drop box), what
 * `createClient` throws, or `signal.reason`.
 *
 * @example
 * const joining = await joinAccount({ account: 'alice', store: idbStore('alice'), ...relay('wss://relay.example'), code: await scan() });
 * show(joining.confirmation);
 * const alice = await joining.client();
 */
export function joinAccount(options: JoinOptions): Promise<Joining> {
  return joinWith(options, clientRng);
}

/** `joinAccount` with the way its generator is made. */
export async function joinWith({ code, ...options }: JoinOptions, makeRng: (given: Rng | undefined) => Rng): Promise<Joining> {
  checkOptions(options);
  const { account, store, signal } = options;
  const read = parseLinkCode(code, account);
  const rng = makeRng(options.rng);
  const now = clientClock(options.now);
  const [meta, device] = await storeCall(() => store.read([keys.meta, keys.device]));
  if (meta !== undefined || device !== undefined) throw new UsageError('ERR_ARGUMENT', 'the store is not empty', { field: 'store' });
  await storeCall(() => assertUnsealed(store));
  const box = dropBoxOf(options);
  const untilMs = now() + linkLimits.codeMs;

  const patience = waiting(signal);
  const offer = await patience((options) => box.pickUp(read.offerSlot, options));
  if (offer === undefined) throw new TransportError('ERR_TIMEOUT', 'no device shows this code: it has expired, or is of another relay');
  const made = generateDeviceKeys(rng);
  const { dhKey } = entryOf(made);
  const asked = requestLink(read, offer, account, { device: made.device, deviceKey: made.deviceKey.publicKey, dhKey }, rng);
  const isLate = (): boolean => now() >= untilMs;
  const refused = (error: unknown): never => {
    if (!isRefusedForGood(error)) throw error;
    throw new TrustError('ERR_DEVICE_UNTRUSTED', 'another device has asked with this code: it is good for one', { cause: error });
  };
  let exchange: LinkExchange;
  try {
    // The same bytes again are no second request: all that was lost may be the answer to the first.
    await insisting(() => patience((options) => box.leave(read.requestSlot, asked.request, options)).catch(refused), patience, isLate);
    exchange = openLinkChallenge(asked, await leftIn(box, asked.challengeSlot, patience, isLate));
  } finally {
    wipe(asked.secret);
  }

  const open = async (): Promise<Client> => {
    try {
      const { accountKey, deviceList, linkedBy } = openLinkAnswer(exchange, await leftIn(box, exchange.grantSlot, waiting(signal), isLate));
      const joined: DeviceSecrets = {
        ...made,
        account,
        accountKey: { publicKey: accountKey, secretKey: undefined },
        deviceList: deviceList.bytes,
      };
      await found(options, joined, linkedBy, rng, now);
    } finally {
      // In the store by now, or of no use any more.
      wipe(exchange.answerKeys, made.deviceKey.secretKey, made.dhKey.secretKey);
    }
    return openClient(options, () => rng);
  };
  let client: Promise<Client> | undefined;
  return { confirmation: exchange.confirmation, client: () => (client ??= open()) };
}

type DropBox = Required<Pick<Directory, 'leave' | 'pickUp'>>;

function dropBoxOf({ account, directory }: ClientOptions): DropBox {
  // Who is being linked has nothing to log in with; a drop box asks for no login.
  const prove = (): Promise<never> => Promise.reject(new TransportError('ERR_OFFLINE', 'no device to log in with'));
  const { leave, pickUp } = bindDirectory(directory, { address: { account, device: 1 }, prove });
  if (leave === undefined || pickUp === undefined) throw noDropBox();
  return { leave, pickUp };
}

type Patience = <T>(call: Endable<T>) => Promise<T>;

/** Makes calls for as long as a code is good, from now on and whatever the clock says: what has not ended by then is `ERR_TIMEOUT`. */
function waiting(signal: AbortSignal | undefined): Patience {
  const late = new AbortController();
  timer(() => late.abort(), linkLimits.codeMs);
  return (call) =>
    endingWith([signal, late.signal], call).catch((error: unknown) => {
      throw signal?.aborted !== true && late.signal.aborted ? unanswered() : error;
    });
}

const pause = (ms: number, patience: Patience): Promise<void> => patience(() => new Promise((resolve) => void timer(resolve, ms)));

/** Makes a call over a network that may fail meanwhile, until it succeeds. */
async function insisting<T>(call: () => Promise<T>, patience: Patience, isLate: () => boolean): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isCyphrError(error) || error.action !== 'retry') throw error;
      // Throws at once where it was the patience that has ended.
      await pause(PAUSE_MS, patience);
    }
    if (isLate()) throw unanswered();
  }
}

/** Waits for what the other device leaves in a slot. */
async function leftIn(box: DropBox, slot: string, patience: Patience, isLate: () => boolean): Promise<Uint8Array> {
  for (;;) {
    const found = await insisting(() => patience((options) => box.pickUp(slot, options)), patience, isLate);
    if (found !== undefined) return found;
    await pause(linkLimits.emptyMs, patience);
    if (isLate()) throw unanswered();
  }
}

function unanswered(): TransportError {
  return new TransportError('ERR_TIMEOUT', 'the other device did not answer', { max: linkLimits.codeMs });
}

/** Makes the store that of a linked device, which greets the others of its account: one commit. */
async function found({ account, store }: ClientOptions, device: DeviceSecrets, linkedBy: DeviceEntry, rng: Rng, now: Now): Promise<void> {
  const db = await openDatabase(store, { rng, now, renew: true, onCommit: () => {}, onLost: () => {} });
  try {
    const greet = { key: keys.greet(account), value: greetRecord.encode({ isStarted: false, hellos: [] }) };
    const linker = { key: keys.linkedBy, value: linkedBy.keyHash.slice() };
    const [first, ...others] = [...deviceRows(device, rng, now()), greet, linker];
    await db.commit([{ ...first!, ifRev: 0 }, ...others]);
  } finally {
    await db.close();
  }
}
