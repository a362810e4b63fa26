/** Forgets what is past its time: states of sent messages and idempotency keys, and ids of received ones. In the background, in small commits. */

import { limits } from '../limits.js';
import type { StoreKey, Write } from '../store/port.js';
import { reader } from '../wire/codec.js';
import type { Context } from './context.js';
import { keys, sentRecord } from './records.js';

const PAGE = 256;

/** Runs once over the rows; safe to stop at any point. */
export async function prune(ctx: Context): Promise<void> {
  const isOld = (atMs: number, ageMs: number): boolean => ctx.now() - atMs > ageMs;
  await sweep(ctx, ['sent'], ({ value }) => {
    const { atMs, state, key } = sentRecord.decode(value);
    if (state === 'queued' || state === 'held' || !isOld(atMs, limits.idempotencyKeyMs)) return [];
    return key === undefined ? ['self'] : ['self', keys.once(key)];
  });
  await sweep(ctx, ['got'], ({ value }) => (isOld(reader(value).u64(), limits.queueAgeMs * 2) ? ['self'] : []));
}

async function sweep(
  ctx: Context,
  prefix: StoreKey,
  select: (row: { readonly value: Uint8Array }) => readonly ('self' | StoreKey)[],
): Promise<void> {
  let after: StoreKey | undefined;
  while (!ctx.closed()) {
    const page = await ctx.db.list(prefix, PAGE, after);
    const writes = page.flatMap((row): Write[] => select(row).map((key) => ({ key: key === 'self' ? row.key : key, value: null })));
    if (writes.length > 0) await ctx.db.commit(writes);
    after = page.at(-1)?.key;
    if (page.length < PAGE) return;
  }
}
