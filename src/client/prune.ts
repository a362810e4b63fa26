/** Forgets what is past its time: what is known of sent messages and of received ones, and idempotency keys. In the background, in small commits. */

import { toHex } from '../bytes.js';
import { limits, talkLimits } from '../limits.js';
import type { StoreKey, StoreRecord, Write } from '../store/port.js';
import { verdict } from './ages.js';
import type { Context } from './context.js';
import { keys, logRecord, sentRecord } from './records.js';
import { isPast } from './sendlog.js';
import { gotValue, readGot } from './talk.js';

const PAGE = 256;

/** What becomes of a row: its next value, `null` to forget it, or nothing. */
type Next = Uint8Array | null | undefined;

/** Runs once over the rows; safe to stop at any point. */
export async function prune(ctx: Context): Promise<void> {
  const nowMs = ctx.now();
  const next = (atMs: number, ageMs: number, dated: () => Uint8Array): Next => {
    const what = verdict(nowMs, atMs, ageMs);
    return what === 'anew' ? dated() : what === 'forget' ? null : undefined;
  };
  await sweep(ctx, ['sent'], async ({ value }) => {
    const sent = sentRecord.decode(value);
    if (sent.state === 'queued' || sent.state === 'held') return undefined;
    return next(sent.atMs, talkLimits.knownMs, () => sentRecord.encode({ ...sent, atMs: nowMs }));
  });
  await sweep(ctx, ['once'], async ({ value }) => {
    const row = await ctx.db.read(keys.sent(toHex(value)));
    return row === undefined || nowMs - sentRecord.decode(row).atMs > limits.idempotencyKeyMs ? null : undefined;
  });
  for (const space of ['told', 'deleted'])
    await sweep(ctx, [space], async ({ key }) => ((await ctx.db.read(keys.sent(key[1]!))) === undefined ? null : undefined));
  await sweep(ctx, ['got'], async ({ value }) => {
    const { atMs, conversation } = readGot(value);
    return next(atMs, talkLimits.knownMs, () => gotValue(nowMs, conversation));
  });
}

/** Forgets what sent messages said once that can't be sent again, be it that a conversation's timer says so. */
export async function expire(ctx: Context): Promise<void> {
  await sweep(ctx, ['log'], async ({ key, value }) => ((await isPast(ctx, key[1]!, logRecord.decode(value).atMs)) ? null : undefined));
}

/** Goes over the rows below `prefix`, a page and a commit at a time. */
export async function sweep(
  ctx: Context,
  prefix: StoreKey,
  judge: (row: StoreRecord & { readonly key: StoreKey }) => Promise<Next>,
): Promise<void> {
  let after: StoreKey | undefined;
  while (!ctx.life.hasEnded()) {
    const page = await ctx.db.list(prefix, PAGE, after);
    const writes: Write[] = [];
    for (const row of page) {
      const value = await judge(row);
      // What was written anew since it was read stays.
      if (value !== undefined) writes.push({ key: row.key, value, ifRev: row.rev });
    }
    if (writes.length > 0) await ctx.db.commit(writes);
    after = page.at(-1)?.key;
    if (page.length < PAGE) return;
  }
}
