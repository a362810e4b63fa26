/**
 * What was sent lately, so that a device which could not read it can be sent it again: each message with the names under which it was
 * encrypted, for 48 hours from its acceptance by the relay and for at most 1,000 messages.
 *
 * Knows whom a message was meant for, and gives it for nobody else: only for a device that it was encrypted to under the account key
 * pinned then, by the name that it had in that device's own session, three times.
 */

import { compare, equal, fromHex, toHex } from '../bytes.js';
import { sessionLimits } from '../limits.js';
import type { MessageName } from '../step.js';
import type { Write } from '../store/port.js';
import { isExpired } from './content.js';
import type { Context } from './context.js';
import { keys, logRecord, nameBytes, nameOf, sentRecord } from './records.js';

/** A message as it was encrypted for one device. */
export interface LoggedName extends MessageName {
  /** H(DIK), 64 bytes. */
  readonly deviceKeyHash: Uint8Array;
  /** sessionId, 16 bytes. */
  readonly session: Uint8Array;
}

/** What is kept of a message beside its names. `control` is that of its `pending` row. */
export interface LoggedMessage {
  readonly account: string;
  /** H(AIK) of the pin under which it was encrypted, 64 bytes. */
  readonly accountKeyHash: Uint8Array;
  readonly payload: Uint8Array;
  readonly control?: string | undefined;
}

/** Who asks for messages again: a device, as its session proves it. */
export interface LogReader {
  readonly account: string;
  readonly accountKeyHash: Uint8Array;
  readonly deviceKeyHash: Uint8Array;
}

/** A message that may be sent again. `write` counts that, and goes into the commit that queues it. */
export interface Resend {
  readonly id: string;
  readonly payload: Uint8Array;
  readonly control: string | undefined;
  readonly write: Write;
}

/** The log of one client. Callers hold the lock of the account. */
export interface SendLog {
  /** The rows that keep message `id` with the names it has just got, and push out the oldest; none of one that was deleted. `committed` is called after their commit. */
  add(id: string, message: LoggedMessage, names: readonly LoggedName[]): Promise<{ writes: Write[]; committed(): void }>;
  /** The names of what was sent on that session, 16 bytes. */
  namesIn(session: Uint8Array): MessageName[];
  /** Of the messages that `reader` names, those that may be sent to it again. */
  take(reader: LogReader, session: Uint8Array, names: readonly MessageName[]): Promise<Resend[]>;
}

/** Under which id the copy of message `id` for one's own other devices is logged. */
export function copyName(id: string): string {
  return `${id} copy`;
}

/** The id on the wire of what is logged under `name`: a copy's is its message's. 32 hex digits. */
export function wireId(name: string): string {
  return name.slice(0, 32);
}

/** The rows that take message `id` with its copy out of the log. */
export function forget(id: string): Write[] {
  return [id, copyName(id)].map((name) => ({ key: keys.log(name), value: null }));
}

/** The same for a message that its author deletes: it does not come back, whatever of it still waits to be encrypted. */
export function deleted(id: string): Write[] {
  return [...forget(id), { key: keys.deleted(id), value: fromHex(id)! }];
}

interface StoredName {
  readonly to: Uint8Array;
  readonly session: Uint8Array;
  readonly name: Uint8Array;
  readonly tries: number;
}

/** Whether what is logged under `name` was deleted. */
async function isDeleted({ db }: Pick<Context, 'db'>, name: string): Promise<boolean> {
  return (await db.read(keys.deleted(wireId(name)))) !== undefined;
}

/**
 * Whether what is logged under `name` is there no more for whoever wrote it: deleted, cancelled, told as failed, or past the time of the
 * conversation's timer, and with `maxAgeMs` past that too. One that still waits for the relay is not past any.
 */
export async function isGone(
  ctx: Pick<Context, 'db' | 'now'>,
  name: string,
  atMs: number,
  maxAgeMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  if (await isDeleted(ctx, name)) return true;
  const row = await ctx.db.read(keys.sent(wireId(name)));
  const sent = row === undefined ? undefined : sentRecord.decode(row);
  if (sent?.state === 'queued' || sent?.state === 'held') return false;
  if (sent?.state === 'cancelled' || sent?.state === 'failed') return true;
  const sinceMs = sent?.acceptedAtMs ?? atMs;
  const hasDisappeared = isExpired({ receivedAtMs: sinceMs, disappearAfterMs: sent?.disappearAfterMs }, ctx.now());
  return hasDisappeared || Math.abs(ctx.now() - sinceMs) > maxAgeMs;
}

/** Whether a row of the log is past its time, or its message gone. */
export function isPast(ctx: Pick<Context, 'db' | 'now'>, name: string, atMs: number): Promise<boolean> {
  return isGone(ctx, name, atMs, sessionLimits.sendLogMs);
}

/** The log in `ctx.db`. In memory are the ids alone, and for each its names: a flood of questions costs no reads. */
export async function sendLog(ctx: Pick<Context, 'db' | 'now'>): Promise<SendLog> {
  const { db } = ctx;
  /** Names by message, oldest message first. */
  const known = new Map<string, readonly string[]>();
  const byName = new Map<string, string>();
  const nameIn = (session: Uint8Array, name: Uint8Array): string => `${toHex(session)}${toHex(name)}`;
  const drop = (id: string): void => {
    for (const name of known.get(id) ?? []) byName.delete(name);
    known.delete(id);
  };
  const index = (id: string, names: readonly StoredName[]): void => {
    drop(id);
    const all = names.map(({ session, name }) => nameIn(session, name));
    known.set(id, all);
    for (const name of all) byName.set(name, id);
  };
  const stored = (await db.list(['log'])).map(({ key, value }) => ({ id: key[1]!, row: logRecord.decode(value) }));
  stored.sort((a, b) => a.row.atMs - b.row.atMs);
  for (const { id, row } of stored) index(id, row.devices as unknown as StoredName[]);

  return {
    async add(id, { account, accountKeyHash, payload, control }, names) {
      if (await isDeleted(ctx, id)) return { writes: [], committed() {} };
      const row = known.has(id) ? await db.read(keys.log(id)) : undefined;
      const before = row === undefined ? undefined : logRecord.decode(row);
      const earlier = (before?.devices ?? []) as readonly StoredName[];
      const added = names.map(({ deviceKeyHash: to, session, ...name }): StoredName => {
        const tries = earlier.find((each) => equal(each.to, to))?.tries ?? 0;
        return { to, session, name: nameBytes(name), tries };
      });
      const devices = [...earlier.filter(({ to }) => !added.some((each) => equal(each.to, to))), ...added];
      const value = logRecord.encode({ account, accountKeyHash, payload, control, atMs: before?.atMs ?? ctx.now(), devices });
      const surplus: string[] = [];
      for (const other of known.has(id) ? [] : known.keys()) {
        if (known.size - surplus.length < sessionLimits.sendLogCount) break;
        surplus.push(other);
      }
      return {
        writes: [{ key: keys.log(id), value }, ...surplus.map((other): Write => ({ key: keys.log(other), value: null }))],
        committed() {
          for (const other of surplus) drop(other);
          index(id, devices);
        },
      };
    },
    namesIn(session) {
      const prefix = toHex(session);
      return [...byName.keys()].filter((name) => name.startsWith(prefix)).map((name) => nameOf(fromHex(name.slice(prefix.length)))!);
    },
    async take(reader, session, names) {
      const found: Resend[] = [];
      for (const asked of names.slice(0, sessionLimits.requestedMessages)) {
        const name = nameBytes(asked);
        const id = byName.get(nameIn(session, name));
        if (id === undefined || found.some((each) => each.id === id)) continue;
        const row = await db.read(keys.log(id));
        if (row === undefined) {
          drop(id);
          continue;
        }
        const { account, accountKeyHash, payload, control, atMs, devices } = logRecord.decode(row);
        const all = devices as unknown as readonly StoredName[];
        const entry = all.find((each) => equal(each.session, session) && compare(each.name, name) === 0);
        const isMeant =
          entry !== undefined &&
          account === reader.account &&
          equal(accountKeyHash, reader.accountKeyHash) &&
          equal(entry.to, reader.deviceKeyHash);
        if (!isMeant || entry.tries >= sessionLimits.resendCount || (await isPast(ctx, id, atMs))) continue;
        const counted = all.map((each) => (each === entry ? { ...each, tries: each.tries + 1 } : each));
        const value = logRecord.encode({ account, accountKeyHash, payload, control, atMs, devices: counted });
        found.push({ id, payload, control, write: { key: keys.log(id), value } });
      }
      return found;
    },
  };
}
