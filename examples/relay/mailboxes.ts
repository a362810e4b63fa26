/**
 * Durable queues of envelopes, one per device, under random names: nothing in this database says whose they are.
 *
 * ```
 * m MAILBOX ID       the envelope; ID = 16 hex digits, microseconds since 1970, strictly increasing
 * d MAILBOX HASH     ID of the queued envelope with this SHA-256: the same bytes are queued once, however often they are sent
 * ```
 */

import { createHash } from 'node:crypto';
import { ClassicLevel } from 'classic-level';
import { Later, type RelayLimits } from './limits.js';

/** A full mailbox may have room again when its owner comes. */
const FULL_RETRY_MS = 60_000;

export interface Row {
  readonly id: string;
  readonly envelope: Uint8Array;
}

export type Mailboxes = Awaited<ReturnType<typeof openMailboxes>>;

type Write = { readonly type: 'put'; readonly key: string; readonly value: Uint8Array } | { readonly type: 'del'; readonly key: string };

export async function openMailboxes(path: string, limits: RelayLimits, onStored: (mailbox: string) => void) {
  const db = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view', compression: false });
  await db.open();
  const counts = new Map<string, number>();
  const removing = new Map<string, Promise<void>>();
  /** Never behind what is stored, also if the clock went back while the relay was down. */
  let lastId = 0;
  for await (const key of db.keys({ gt: 'm', lt: 'n' })) lastId = Math.max(lastId, Number.parseInt(key.slice(-16), 16));

  // Everything that waits while the disk writes goes into the next batch: one sync for many envelopes, in order.
  let gathered: Write[] = [];
  let gathering: Promise<void> | undefined;
  let last: Promise<void> = Promise.resolve();
  function commit(writes: readonly Write[]): Promise<void> {
    gathered.push(...writes);
    gathering ??= last
      .catch(() => {})
      .then(() => {
        const batch = gathered;
        gathered = [];
        gathering = undefined;
        return db.batch(batch, { sync: true });
      });
    last = gathering;
    return last;
  }

  const rowKey = (mailbox: string, id: string): string => `m${mailbox}${id}`;
  const hashKey = (mailbox: string, envelope: Uint8Array): string => `d${mailbox}${createHash('sha256').update(envelope).digest('hex')}`;
  const rows = (mailbox: string, after: string) => ({ gt: rowKey(mailbox, after), lt: `m${mailbox}g` }); // 'g' follows the hex digits

  async function count(mailbox: string): Promise<number> {
    if (!counts.has(mailbox)) {
      const { length } = await db.keys({ ...rows(mailbox, ''), limit: limits.mailboxCount }).all();
      if (!counts.has(mailbox)) counts.set(mailbox, length);
    }
    return counts.get(mailbox)!;
  }

  async function erase(mailbox: string, key: string): Promise<void> {
    const envelope = await db.get(key);
    if (envelope === undefined) return;
    await commit([
      { type: 'del', key },
      { type: 'del', key: hashKey(mailbox, envelope) },
    ]);
    const known = counts.get(mailbox);
    if (known !== undefined) counts.set(mailbox, known - 1);
  }

  function remove(mailbox: string, id: string): Promise<void> {
    const key = rowKey(mailbox, id);
    const running = removing.get(key) ?? erase(mailbox, key).finally(() => removing.delete(key));
    removing.set(key, running);
    return running;
  }

  return {
    /** Resolves once the place in the queue is fixed; `stored` resolves once it is on disk. Throws `Later` if the mailbox is full. */
    async put(mailbox: string, envelope: Uint8Array): Promise<{ readonly stored: Promise<void> }> {
      const hash = hashKey(mailbox, envelope);
      if ((await db.get(hash)) !== undefined) return { stored: Promise.resolve() };
      const before = await count(mailbox);
      if (before >= limits.mailboxCount) throw new Later(FULL_RETRY_MS);
      counts.set(mailbox, before + 1);
      lastId = Math.max(lastId + 1, Date.now() * 1000);
      const id = lastId.toString(16).padStart(16, '0');
      const stored = commit([
        { type: 'put', key: rowKey(mailbox, id), value: envelope },
        { type: 'put', key: hash, value: Buffer.from(id, 'hex') },
      ]);
      return { stored: stored.then(() => onStored(mailbox)) };
    },
    /** Envelopes after `after` ('' = all), oldest first. */
    async read(mailbox: string, after: string, limit: number): Promise<Row[]> {
      const found = await db.iterator({ ...rows(mailbox, after), limit }).all();
      return found.map(([key, envelope]) => ({ id: key.slice(-16), envelope }));
    },
    /** Resolves once it is gone from the disk; nothing happens if it isn't there. */
    remove,
    /** Deletes a mailbox with all that is in it, and what has been put into it until now. */
    async drop(mailbox: string): Promise<void> {
      await last.catch(() => {});
      const keys = await Promise.all(['m', 'd'].map((kind) => db.keys({ gt: `${kind}${mailbox}`, lt: `${kind}${mailbox}g` }).all()));
      if (keys.flat().length > 0) await commit(keys.flat().map((key) => ({ type: 'del', key })));
      counts.delete(mailbox);
    },
    /** Drops what is too old, in all mailboxes. */
    async sweep(): Promise<number> {
      const oldest = (Date.now() - limits.mailboxAgeMs) * 1000;
      let dropped = 0;
      for await (const key of db.keys({ gt: 'm', lt: 'n' })) {
        const id = key.slice(-16);
        if (Number.parseInt(id, 16) >= oldest) continue;
        await remove(key.slice(1, -16), id);
        dropped++;
      }
      return dropped;
    },
    async close(): Promise<void> {
      await last.catch(() => {});
      await db.close();
    },
  };
}
