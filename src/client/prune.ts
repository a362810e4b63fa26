/** Forgets what is past its time: states of sent messages and idempotency keys, and ids of received ones. In the background, in small commits. */

import { toHex } from '../bytes.js';
import { limits } from '../limits.js';
import type { StoreKey, StoreRecord, Write } from '../store/port.js';
import { reader } from '../wire/codec.js';
import type { Context } from './context.js';
import { keys, logRecord, sentRecord } from './records.js';
import { isPast } from './sendlog.js';

const PAGE = 256;

/** Runs once over the rows; safe to stop at any point. */
export async function prune(ctx: Context): Promise<void> {
  const isOld = (atMs: number, ageMs: number): boolean => ctx.now() - atMs > ageMs;
  await sweep(ctx, ['sent'], async ({ value }) => {
    const { atMs, state } = sentRecord.decode(value);
    return state !== 'queued' && state !== 'held' && isOld(atMs, limits.idempotencyKeyMs);
  });
  await sweep(ctx, ['once'], async ({ value }) => (await ctx.db.read(keys.sent(toHex(value)))) === undefined);
  await sweep(ctx, ['log'], async ({ key, value }) => isPast(ctx, key[1]!, logRecord.decode(value).atMs));
  await sweep(ctx, ['got'], async ({ value }) => isOld(reader(value).u64(), limits.queueAgeMs * 2));
}

async function sweep(
  ctx: Context,
  prefix: StoreKey,
  isDue: (row: StoreRecord & { readonly key: StoreKey }) => Promise<boolean>,
): Promise<void> {
  let after: StoreKey | undefined;
  while (!ctx.life.hasEnded()) {
    const page = await ctx.db.list(prefix, PAGE, after);
    const writes: Write[] = [];
    // What was written anew since it was read stays.
    for (const row of page) if (await isDue(row)) writes.push({ key: row.key, value: null, ifRev: row.rev });
    if (writes.length > 0) await ctx.db.commit(writes);
    after = page.at(-1)?.key;
    if (page.length < PAGE) return;
  }
}
