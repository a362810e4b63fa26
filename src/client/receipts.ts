/**
 * Receipts of what came, for those who sent it. Off unless the application asks for them.
 *
 * When a receipt leaves would tell the sender's device, and a relay, when this one is online and when its person looks, message by
 * message (T44). So they wait for 1–30 s at random, and all that an account is told then goes in one message, on sessions that there are.
 * None for what an application need not show (edits, reactions, deletions, timers: whoever sends those must not learn unnoticed whether
 * a device is online), and none to senders that no pin confirms. What waits survives a restart.
 */

import { fromHex } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { talkLimits } from '../limits.js';
import type { Write } from '../store/port.js';
import type { Contacts } from './contacts.js';
import { decodeContent } from './content.js';
import type { Context } from './context.js';
import type { Calls } from './engine.js';
import type { Outbox } from './outbox.js';
import { timer } from './platform.js';
import { type InboxRecord, keys } from './records.js';
import type { Content } from './types.js';

/** What a `receipt` row says. */
const DELIVERED = 1;
const READ = 2;

/** The receipts that one client gives. */
export interface Receipts {
  /** The rows of the receipts for messages of a pinned account; `scheduled` is called once they are committed. */
  due(messages: readonly InboxRecord[]): Write[];
  scheduled(messages: readonly InboxRecord[]): void;
  /** The person has seen a message. */
  readonly read: Calls['read'];
}

/** Whether content is of the kinds for which there are receipts. */
export function hasReceipts({ kind }: Content): boolean {
  return kind === 'text' || kind === 'bytes' || kind === 'app';
}

/** The receipts of `ctx`, with those that an earlier run left waiting. */
export async function receipts(ctx: Context, contacts: Pick<Contacts, 'load' | 'isSendable'>, post: Outbox['post']): Promise<Receipts> {
  const { db } = ctx;
  const mode = ctx.settings.receipts;
  const own = ctx.device().account;
  /** How not to, by account. */
  const timers = new Map<string, () => void>();

  const pauseMs = (): number => {
    const random = new DataView(ctx.rng(4).slice().buffer).getUint32(0) / 2 ** 32;
    return talkLimits.receiptsMinMs + random * (talkLimits.receiptsMaxMs - talkLimits.receiptsMinMs);
  };
  const schedule = (account: string, ms = pauseMs()): void => {
    if (timers.has(account) || ctx.life.hasEnded()) return;
    const due = (): void => {
      timers.delete(account);
      tell(account).catch((error: unknown) => {
        ctx.observer.log('info', 'receipts-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
        schedule(account);
      });
    };
    timers.set(account, timer(due, ms));
  };
  const tell = (account: string): Promise<void> =>
    ctx.lock(`receipts ${account}`, async () => {
      const rows = await db.list(['receipt', account], talkLimits.receiptsCount);
      // Whoever may not be written to is told nothing; it waits, one row for each message, and goes with what is told next.
      if (rows.length === 0 || !contacts.isSendable(await contacts.load(account))) return;
      const isRead = ({ value }: { readonly value: Uint8Array }): boolean => value[0] === READ && mode === 'delivered-and-read';
      const ids = (wanted: boolean): Uint8Array[] => rows.filter((row) => isRead(row) === wanted).map(({ key }) => fromHex(key[2]!)!);
      const posted = post(account, { t: 'receipts', delivered: ids(false), read: ids(true) }, { sessionsOnly: true });
      await db.commit([...posted.writes, ...rows.map(({ key }): Write => ({ key, value: null }))]);
      posted.committed();
      // The rest has waited as long.
      if (rows.length === talkLimits.receiptsCount) schedule(account, talkLimits.receiptsMinMs);
    });

  const waiting = await db.list(['receipt']);
  // Switched off since: what was not told is not.
  if (mode === 'off' && waiting.length > 0) await db.commit(waiting.map(({ key }) => ({ key, value: null })));
  else for (const { key } of waiting) schedule(key[1]!);

  ctx.life.onEnd(() => {
    for (const stop of timers.values()) stop();
  });

  const isDue = ({ account, payload }: InboxRecord): boolean =>
    mode !== 'off' && account !== own && hasReceipts(decodeContent(payload).content);
  return {
    due: (messages) =>
      messages.filter(isDue).map(({ account, id }) => ({ key: keys.receipt(account, id), value: new Uint8Array([DELIVERED]) })),
    scheduled(messages) {
      for (const message of messages) if (isDue(message)) schedule(message.account);
    },
    async read({ account, id }) {
      ctx.life.assertOpen();
      if (mode !== 'delivered-and-read' || account === own) return;
      await ctx.lock(`receipts ${account}`, async () => {
        if ((await db.read(keys.got(account, id))) !== undefined)
          await db.commit([{ key: keys.receipt(account, id), value: new Uint8Array([READ]) }]);
      });
      schedule(account);
    },
  };
}
