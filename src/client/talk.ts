/**
 * What is to be known of messages beside what they say: their place in the conversation, the timer by which they disappear, and who may
 * edit, delete and react to them.
 *
 * **Order.** Each conversation has a counter, as Lamport's clocks have: what a device sends is one beyond the greatest that it has sent
 * or received there, and says so inside its ciphertext. So a message sorts after all that its author's device had seen; messages that
 * crossed stand in one order all the same, by id. No relay and no other device's clock has a part in it, and nobody but its author places
 * a message; one of which nothing was said (by an older version) stands where it came. A dishonest author can say a smaller number or a
 * greater one: his own messages then stand among what he had seen, or later, and nobody else's move. What is beyond any honest number
 * counts as the greatest that is, so that nobody can use the counter up; but what one's own other devices say holds as they said it,
 * since they may have heard more than this one. A device that knows nothing of a conversation, as one that was just linked, begins
 * with its own clock's seconds: a clock that is right puts its messages behind what was said before it came.
 *
 * **Timer.** Content of that kind sets it for both sides, the last in order wins, and every message says how it stood.
 *
 * **Authors.** No history is kept here, but of every message its id, who sent it and where, for `limits.targetAgeMs`: `sent` and `got`.
 */

import { decodeUtf8, encodeUtf8, u64 } from '../bytes.js';
import { DecodeError, isCyphrError, UsageError } from '../errors.js';
import { limits, talkLimits } from '../limits.js';
import type { StoreKey, Write } from '../store/port.js';
import { reader } from '../wire/codec.js';
import { decodeContent, isTimer, type Stamp, stampContent } from './content.js';
import type { Context } from './context.js';
import { hasReceipts } from './receipts.js';
import { type InboxRecord, inboxRecord, keys, sentRecord, type TalkRecord, talkRecord } from './records.js';
import { deleted } from './sendlog.js';
import type { Content } from './types.js';

/** A message as it comes out of its session, before it has a place. */
export type Arrival = Omit<InboxRecord, 'order' | 'disappearAfterMs'>;

/** Order, timers and authors in one client. Each call that gives rows, and the commit of these, run under the lock `talk <account>` of the conversation. */
export interface Talk {
  /** Gives a message to `account` its place, and its payload the stamp. Throws `ERR_ARGUMENT` (`content.target`) for what its author may not say. */
  outgoing(
    account: string,
    id: string,
    payload: Uint8Array,
  ): Promise<Stamp & { readonly isQuiet: boolean | undefined; readonly payload: Uint8Array; readonly writes: readonly Write[] }>;
  /**
   * What the application is to get once this message has come: the message, and what had waited for it; or nothing, if it is a
   * duplicate, waits itself, or says what its author may not say. `isClaimed`: nothing is pinned, so that it changes nothing yet.
   */
  incoming(
    arrival: Arrival,
    isClaimed: boolean,
  ): Promise<{ readonly messages: readonly InboxRecord[]; readonly writes: readonly Write[]; committed(): void }>;
  /** The rows that take out what waits for its target and was written by whom `isGone`; `committed` is called after. */
  without(account: string, isGone: (from: InboxRecord) => boolean): Promise<{ readonly writes: readonly Write[]; committed(): void }>;
  /** The rows that count claimed messages of `account` in, and set the timer that they ask for, now that their sender is confirmed. */
  confirmed(account: string, records: readonly InboxRecord[]): Promise<Write[]>;
  /**
   * A conversation as another device has it, by the bytes of its `talk` row: the greater counter and the later timer hold. Throws
   * `ERR_DECODE`.
   */
  brought(account: string, bytes: Uint8Array): Promise<void>;
  /** Forgets what has waited for too long. */
  prune(): Promise<void>;
}

/** A message's sort key: 14 hex digits of its counter, and its id. */
export function orderKey(order: number, id: string): string {
  return order.toString(16).padStart(14, '0') + id;
}

/** A `talk` row that comes from elsewhere. Throws `ERR_DECODE`. */
function readTalk(bytes: Uint8Array): TalkRecord {
  try {
    const record = talkRecord.decode(bytes);
    const { greatest, timerMs = 0, timerOrder } = record;
    const hasTimer = timerOrder === undefined ? record.timerMs === undefined : isTimer(timerMs) && /^[0-9a-f]{46}$/.test(timerOrder);
    if (hasTimer && Number.isSafeInteger(greatest) && greatest >= 0) return record;
  } catch (error) {
    if (!isCyphrError(error)) throw error;
  }
  throw new DecodeError('ERR_DECODE', 'malformed conversation', { field: 'talk' });
}

/** The value of a `got` row: when a message came, and which conversation a message of one's own other devices belongs to. */
export function gotValue(nowMs: number, conversation?: string): Uint8Array {
  const name = encodeUtf8(conversation ?? '')!;
  const value = new Uint8Array(8 + name.length);
  value.set(u64(nowMs));
  value.set(name, 8);
  return value;
}

/** Reverse of `gotValue`. */
export function readGot(value: Uint8Array): { readonly atMs: number; readonly conversation: string } {
  return { atMs: reader(value.subarray(0, 8)).u64(), conversation: decodeUtf8(value.subarray(8)) ?? '' };
}

/** Where counters end: nobody gets there by `talkLimits.orderJump` in less than a million messages. */
const ORDER_MAX = Number.MAX_SAFE_INTEGER;

/** Whose a message is: this account's, or the other's. */
type Side = 'own' | 'theirs';

/** A message of which something is known: `'elsewhere'` is one of this account's in another conversation. */
interface Known {
  readonly side: Side | 'elsewhere';
  readonly atMs: number;
  /** It was cancelled or has failed: nobody has it, by what this device knows. */
  readonly isNowhere?: boolean;
}

/** What an own message of this content changes: what is deleted is not sent again either, whichever own device deletes it. */
function unsaid(content: Content): readonly Write[] {
  return content.kind === 'deletion' ? deleted(content.target) : [];
}

function targetOf(content: Content): string | undefined {
  return content.kind === 'edit' || content.kind === 'reaction' || content.kind === 'deletion' ? content.target : undefined;
}

/** Order, timers and authors in `ctx.db`. */
export async function talk(ctx: Pick<Context, 'days' | 'db' | 'device' | 'lock' | 'now' | 'observer'>): Promise<Talk> {
  const { db } = ctx;
  const own = ctx.device().account;
  /** How much of one side's waits for each target; and what waits, which is known, but has not come. */
  const awaited = new Map<string, number>();
  const waiting = new Set<string>();
  const nameOf = (...name: readonly (string | undefined)[]): string => JSON.stringify(name);
  /** A row of `early` is there, or gone. */
  const note = ([, account, by, target, id]: StoreKey, change: 1 | -1): void => {
    const name = nameOf(account, by, target);
    const left = (awaited.get(name) ?? 0) + change;
    if (left === 0) awaited.delete(name);
    else awaited.set(name, left);
    if (change === 1) waiting.add(nameOf(account, by, id));
    else waiting.delete(nameOf(account, by, id));
  };
  for (const { key } of await db.list(['early'])) note(key, 1);

  const load = async (account: string): Promise<TalkRecord> => {
    const row = await db.read(keys.talk(account));
    return row === undefined ? { greatest: 0 } : talkRecord.decode(row);
  };
  const next = ({ greatest }: TalkRecord): number =>
    greatest === 0 ? Math.max(1, Math.floor(ctx.now() / 1_000)) : Math.min(greatest + 1, ORDER_MAX);
  /** The row of a conversation that has one message more. */
  const placed = (account: string, known: TalkRecord, order: number, id: string, content: Content): Write => {
    const key = orderKey(order, id);
    const isTimer = content.kind === 'timer' && !(known.timerOrder !== undefined && known.timerOrder >= key);
    const timer = isTimer ? { timerMs: content.disappearAfterMs, timerOrder: key } : {};
    const value = talkRecord.encode({ ...known, greatest: Math.max(known.greatest, order), ...timer });
    return { key: keys.talk(account), value };
  };

  /** What is known of a message by its id, in one conversation. */
  const find = async (account: string, id: string): Promise<Known | undefined> => {
    const [sentRow, copied, got] = await Promise.all([keys.sent(id), keys.got(own, id), keys.got(account, id)].map(db.read));
    const sent = sentRow && sentRecord.decode(sentRow);
    const ours = sent === undefined || sent.isControl === true ? copied && readGot(copied) : { atMs: sent.atMs, conversation: sent.to };
    const isNowhere = sent?.state === 'cancelled' || sent?.state === 'failed';
    if (ours !== undefined) return { side: ours.conversation === account ? 'own' : 'elsewhere', atMs: ours.atMs, isNowhere };
    return got && { side: 'theirs', atMs: readGot(got).atMs };
  };
  /** Whether `by` may say this of a message. */
  const mayTalk = (by: Side, content: Content, side: Known['side']): boolean =>
    side !== 'elsewhere' && (content.kind === 'reaction' || side === by);

  /**
   * Whether something may wait for its target, and the reaction that makes room for it, if one has to: what is deleted or edited must not
   * stand because others were moved by it. A claimed sender's own goes with it.
   */
  const placeFor = async (account: string, by: Side, content: Content, isClaimed: boolean): Promise<{ instead?: StoreKey } | undefined> => {
    const most = isClaimed ? talkLimits.earlyClaimedCount : talkLimits.earlyCount;
    const rows = await db.list(['early', account, by], most);
    if (rows.length < most) return {};
    if (content.kind === 'reaction') return undefined;
    const least = rows.find(({ value }) => decodeContent(inboxRecord.decode(value).payload).content.kind === 'reaction');
    return least && { instead: least.key };
  };

  /**
   * What had waited for a message that is there now, and for what comes with it: each once, after its target. What its author may not say
   * goes.
   */
  const release = async (account: string, id: string, side: Side): Promise<{ messages: InboxRecord[]; writes: Write[] }> => {
    const found: { messages: InboxRecord[]; writes: Write[] } = { messages: [], writes: [] };
    const come = new Map([[id, side]]);
    // A Map gives what is added on the way, too. Where both sides have a message of one id, it is one's own.
    for (const [target, of] of come) {
      for (const by of ['own', 'theirs'] as const) {
        if (!awaited.has(nameOf(account, by, target))) continue;
        for (const { key, value } of await db.list(['early', account, by, target])) {
          const record = inboxRecord.decode(value);
          found.writes.push({ key, value: null });
          if (mayTalk(by, decodeContent(record.payload).content, of)) {
            found.messages.push({ ...record, onDay: undefined });
            if (by === 'own' || !come.has(record.id)) come.set(record.id, by);
          } else ctx.observer.log('warn', 'message-refused');
        }
      }
    }
    return found;
  };

  const nothing = { messages: [], writes: [], committed: () => {} };

  return {
    async outgoing(account, id, payload) {
      const { content } = decodeContent(payload);
      const target = targetOf(content);
      const aim = target === undefined ? undefined : await find(account, target);
      // An answer of the carrier that was lost leaves it open: what is deleted is gone either way.
      const mayBe = aim?.isNowhere !== true || content.kind === 'deletion';
      const isFresh = aim !== undefined && mayBe && ctx.now() - aim.atMs <= limits.targetAgeMs;
      if (target !== undefined && !(isFresh && mayTalk('own', content, aim.side))) {
        const rule = content.kind === 'reaction' ? 'a message' : 'a message of your own';
        const where = `in this conversation that this device knows and that was not cancelled, at most ${limits.targetAgeMs / 86_400_000} days old`;
        throw new UsageError('ERR_ARGUMENT', `content.target must be ${rule} ${where}`, { field: 'content.target' });
      }
      const known = await load(account);
      const order = next(known);
      const disappearAfterMs = content.kind === 'timer' ? undefined : known.timerMs || undefined;
      return {
        payload: stampContent(payload, { order, disappearAfterMs }),
        order,
        disappearAfterMs,
        isQuiet: hasReceipts(content) ? undefined : true,
        writes: [placed(account, known, order, id, content), ...unsaid(content)],
      };
    },
    async incoming(arrival, isClaimed) {
      const { account: from, id } = arrival;
      const account = arrival.to ?? from;
      const by: Side = from === own ? 'own' : 'theirs';
      const known = await find(account, id);
      if (known !== undefined && known.side !== by) ctx.observer.log('warn', 'message-id-taken');
      // A second one is nothing new, and somebody else's under an id of ours would take our message's place. Ours takes its own, if that
      // somebody was faster here than the device that sent it.
      if (known !== undefined && !(known.side === 'theirs' && by === 'own')) return nothing;
      const { content, stamp } = decodeContent(arrival.payload);
      // A history comes by its own message alone, which belongs to no conversation with anybody else.
      if (content.kind === 'history' && account !== own) {
        ctx.observer.log('warn', 'message-refused');
        return nothing;
      }
      const target = targetOf(content);
      const aim = target === undefined ? undefined : await find(account, target);
      const isEarly = target !== undefined && (aim === undefined || waiting.has(nameOf(account, aim.side, target)));
      if (aim !== undefined && !mayTalk(by, content, aim.side)) {
        ctx.observer.log('warn', 'message-refused');
        return nothing;
      }
      const place = isEarly ? await placeFor(account, by, content, isClaimed) : undefined;
      if (isEarly && place === undefined) {
        ctx.observer.log('warn', 'message-unplaced');
        return nothing;
      }
      const conversation = await load(account);
      const jump = by === 'own' ? talkLimits.ownOrderJump : talkLimits.orderJump;
      const most = Math.min(conversation.greatest + jump, ORDER_MAX);
      const order = Math.min(stamp?.order ?? next(conversation), most);
      const message: InboxRecord = { ...arrival, order, disappearAfterMs: stamp?.disappearAfterMs };
      const rows: Write[] = [{ key: keys.got(from, id), value: gotValue(arrival.receivedAtMs, by === 'own' ? account : undefined) }];
      if (by === 'own' && !isEarly) rows.push(...unsaid(content));
      if (isEarly) {
        if (!isClaimed) rows.push(placed(account, conversation, order, id, content));
        const instead = place?.instead;
        const key = keys.early(account, by, target, id);
        rows.push({ key, value: inboxRecord.encode({ ...message, onDay: ctx.days.today() }) });
        if (instead !== undefined) rows.push({ key: instead, value: null });
        return {
          messages: [],
          writes: rows,
          committed() {
            note(key, 1);
            if (instead !== undefined) note(instead, -1);
          },
        };
      }
      const { messages, writes } = await release(account, id, by);
      // What waited may have come while its sender was not confirmed.
      const greatest = Math.max(conversation.greatest, ...messages.map((each) => each.order ?? 0));
      if (!isClaimed) rows.push(placed(account, { ...conversation, greatest }, order, id, content));
      return {
        messages: [message, ...messages],
        writes: [...rows, ...writes],
        committed() {
          for (const { key } of writes) note(key, -1);
        },
      };
    },
    async without(account, isGone) {
      const gone = (await db.list(['early', account, 'theirs'])).map(({ key, value }) => ({ key, record: inboxRecord.decode(value) }));
      const found = gone.filter(({ record }) => isGone(record));
      return {
        writes: found.flatMap(({ key, record }) => [key, keys.got(account, record.id)].map((each): Write => ({ key: each, value: null }))),
        committed() {
          for (const { key } of found) note(key, -1);
        },
      };
    },
    async confirmed(account, records) {
      let known = await load(account);
      const rows = records.map(({ id, order = 0, payload }) => {
        const row = placed(account, known, order, id, decodeContent(payload).content);
        known = talkRecord.decode(row.value!);
        return row;
      });
      return rows.slice(-1);
    },
    async brought(account, bytes) {
      const { greatest, ...timer } = readTalk(bytes);
      await ctx.lock(`talk ${account}`, async () => {
        const known = await load(account);
        const isLater = (timer.timerOrder ?? '') > (known.timerOrder ?? '');
        const most = known.greatest + talkLimits.ownOrderJump;
        const value = talkRecord.encode({
          ...known,
          ...(isLater ? timer : {}),
          greatest: Math.max(known.greatest, Math.min(greatest, most)),
        });
        await db.commit([{ key: keys.talk(account), value }]);
      });
    },
    async prune() {
      for (const { key, value } of await db.list(['early'])) {
        if (ctx.days.sinceMs(inboxRecord.decode(value).onDay ?? 0) <= talkLimits.earlyMs) continue;
        await ctx.lock(`talk ${key[1]}`, async () => {
          if ((await db.read(key)) === undefined) return;
          await db.commit([{ key, value: null }]);
          note(key, -1);
        });
      }
    },
  };
}
