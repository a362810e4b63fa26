/** Forgets what is past its time: what is known of sent messages and of received ones, and idempotency keys. In the background, in small commits. */

import { toHex } from '../bytes.js';
import { limits, talkLimits } from '../limits.js';
import type { StoreKey, StoreRecord, Write } from '../store/port.js';
import type { Context } from './context.js';
import { keys, logRecord, sentRecord } from './records.js';
import { isPast } from './sendlog.js';
import { readGot } from './talk.js';

const PAGE = 256;

/** Runs once over the rows; safe to stop at any point. */
export async function prune(ctx: Context): Promise<void> {
  const isOld = (atMs: number, ageMs: number): boolean => ctx.now() - atMs > ageMs;
  await sweep(ctx, ['sent'], async ({ value }) => {
    const { atMs, state } = sentRecord.decode(value);
    return state !== 'queued' && state !== 'held' && isOld(atMs, talkLimits.knownMs);
  });
  await sweep(ctx, ['once'], async ({ value }) => {
    const row = await ctx.db.read(keys.sent(toHex(value)));
    return row === undefined || isOld(sentRecord.decode(row).atMs, limits.idempotencyKeyMs);
  });
  for (const space of ['told', 'deleted'])
    await sweep(ctx, [space], async ({ key }) => (await ctx.db.read(keys.sent(key[1]!))) === undefined);
  await sweep(ctx, ['got'], async ({ value }) => isOld(readGot(value).atMs, talkLimits.knownMs));
}

/** Forgets what sent messages said once that can't be sent again, be it that a conversation's timer says so. */
export async function expire(ctx: Context): Promise<void> {
  await sweep(ctx, ['log'], async ({ key, value }) => isPast(ctx, key[1]!, logRecord.decode(value).atMs));
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
