/**
 * From ciphertext to the carrier: what is encrypted leaves in order, a few envelopes at a time. A device whose mailbox the carrier says is
 * full keeps nobody else waiting; one that has left its account is found by what the carrier refuses for good.
 */

import { type AnyCyphrError, isCyphrError } from '../errors.js';
import { limits } from '../limits.js';
import type { StoreKey } from '../store/port.js';
import type { Contacts } from './contacts.js';
import type { Context } from './context.js';
import { timer } from './platform.js';
import { outboxRecord, type SentRecord } from './records.js';
import { isTooOld, tooOld, type WaitingHost } from './waiting.js';

/** Envelopes of one lane that may wait for acceptance at the same time; they leave in order. */
const IN_FLIGHT = 16;

/** For how long at most a carrier's word holds that a mailbox is full. */
const FULL_MS = 600_000;

/** What leaves one client. */
export interface Transmission {
  /**
   * Hands over what is encrypted for an account, oldest first. Throws the first failure that a later attempt may mend; answers with what
   * the carrier said where only a full mailbox is in the way.
   */
  transmit(account: string): Promise<AnyCyphrError | undefined>;
  /** Whether an envelope of this message is with the carrier. */
  isUnderWay(id: string): boolean;
}

/** The messages that leave: see outbox.ts. */
export interface TransmissionHost {
  readonly load: WaitingHost['messages']['load'];
  readonly finish: WaitingHost['finish'];
  /** One device has it. */
  accepted(account: string, id: string, device: number): Promise<void>;
  /** One device will not get it. */
  refused(account: string, id: string, device: number, error: AnyCyphrError): Promise<void>;
  /** Puts a message back where it waits for sessions; `false` if its plaintext is not here. */
  encryptAgain(account: string, id: string, device: number): Promise<boolean>;
  /** Ids of the messages to an account that have not come to an end. */
  waitingFor(account: string): ReadonlySet<string>;
  /** Whether a message is the protocol's own. */
  isControl(id: string): boolean;
}

function isForGood(error: unknown): error is AnyCyphrError {
  if (!isCyphrError(error)) return false;
  return error.code === 'ERR_REJECTED' ? error.retryAfterMs === undefined : error.action === 'fix' && error.code !== 'ERR_CLOSED';
}

/** The way out of `ctx.db`. */
export function transmission(
  ctx: Context,
  contacts: Contacts,
  { load, finish, accepted, refused, encryptAgain, waitingFor, isControl }: TransmissionHost,
): Transmission {
  const { db, transport } = ctx;
  /** How many envelopes of a message are with the carrier. */
  const inFlight = new Map<string, number>();
  /** By device and account: what the carrier has said where it takes nothing for now, for as long as that holds. */
  const full = new Map<string, AnyCyphrError>();

  /** Whether the account's newest list lacks a device that stood in it when a message was encrypted. */
  const isReplaced = async (account: string, device: number): Promise<boolean> => {
    const contact = await contacts.load(account);
    return contact !== undefined && !contact.devices.some((entry) => entry.device === device);
  };
  /** The same for a device for which the carrier refused an envelope for good: perhaps it has left, and only the directory knows. */
  const hasLeft = async (account: string, device: number): Promise<boolean> => {
    if (!(await isReplaced(account, device))) {
      await contacts.refresh(account, []).catch((error: unknown) => {
        if (!isCyphrError(error) || (error.action === 'retry' && !isForGood(error))) throw error;
      });
    }
    return isReplaced(account, device);
  };

  /** The record of a message, if it has waited for too long. Reads none as long as it can't have. */
  const outdated = async (id: string, { atMs, onDay = 0 }: Pick<SentRecord, 'atMs' | 'onDay'>): Promise<boolean> => {
    const ageMs = isControl(id) ? ctx.days.sinceMs(onDay) : ctx.now() - atMs;
    const record = ageMs > limits.queueAgeMs ? await load(id) : undefined;
    return record !== undefined && isTooOld(ctx, record);
  };

  /** Hands one envelope to the carrier; resolves once it is accepted, or refused for good. */
  const transmitOne = async (account: string, device: number, id: string, bytes: Uint8Array): Promise<void> => {
    inFlight.set(id, (inFlight.get(id) ?? 0) + 1);
    try {
      const task = (): Promise<void> => ctx.life.race(transport.send({ account, device }, bytes));
      await ctx.observer.span('transport.send', task, { paddedBytes: bytes.length });
      await accepted(account, id, device);
    } catch (error) {
      if (!isForGood(error)) throw error;
      if (error.code === 'ERR_REJECTED' && (await hasLeft(account, device)) && (await encryptAgain(account, id, device))) return;
      await refused(account, id, device, error);
    } finally {
      const count = inFlight.get(id)! - 1;
      if (count === 0) inFlight.delete(id);
      else inFlight.set(id, count);
    }
  };

  const transmit: Transmission['transmit'] = async (account) => {
    let after: StoreKey | undefined;
    let failure: unknown;
    let fullness: AnyCyphrError | undefined;
    const flying = new Set<Promise<void>>();
    try {
      while (failure === undefined && !ctx.life.hasEnded()) {
        const page = await db.list(['outbox', account], IN_FLIGHT, after);
        for (const { key, value } of page) {
          if (flying.size >= IN_FLIGHT) await Promise.race(flying);
          if (failure !== undefined || ctx.life.hasEnded()) break;
          after = key;
          const { id, bytes, ...since } = outboxRecord.decode(value);
          const device = Number(key[3]);
          if ((await isReplaced(account, device)) && (await encryptAgain(account, id, device))) continue;
          const isOld = await outdated(id, since);
          const name = `${device} ${account}`;
          const isFull = isOld ? undefined : full.get(name);
          fullness ??= isFull;
          if (isFull !== undefined) continue;
          // Cancelled since the page was read: nothing else happens between this look and the sending.
          if (!waitingFor(account).has(id)) continue;
          const task = isOld ? finish(id, 'failed', tooOld()) : transmitOne(account, device, id, bytes);
          const flight: Promise<void> = task.then(
            () => void flying.delete(flight),
            (error: unknown) => {
              if (isCyphrError(error) && error.code === 'ERR_REJECTED') {
                fullness ??= error;
                full.set(name, error);
                timer(() => full.delete(name), Math.min(error.retryAfterMs ?? 0, FULL_MS));
              } else failure ??= error;
              flying.delete(flight);
            },
          );
          flying.add(flight);
        }
        if (page.length === 0 || (page.length < IN_FLIGHT && [...waitingFor(account)].every((id) => inFlight.has(id)))) break;
      }
    } finally {
      // Also where the store fails: what is with the carrier must not be read, nor encrypted anew, as if it were not.
      await Promise.all(flying);
    }
    if (failure !== undefined) throw failure;
    return fullness;
  };

  return { transmit, isUnderWay: (id) => inFlight.has(id) };
}
