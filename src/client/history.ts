/**
 * An application's history on its way from a primary device to one that it has linked: opaque records, a part of them in each message.
 *
 * Knows how a part gets there, and where it may come from; what the records say is the application's, which keeps them on both devices.
 * The records are packed in parcels.ts, in whichever tab reads them.
 */

import { fromHex } from '../bytes.js';
import { isCyphrError, UsageError } from '../errors.js';
import type { DeviceEntry } from '../wire/objects.js';
import { decodeContent } from './content.js';
import type { Context } from './context.js';
import { type ControlHandlers, encodeControl } from './control.js';
import type { Calls } from './engine.js';
import { assertLinker, assertPrimary, partBytes } from './linking.js';
import type { Outbox } from './outbox.js';
import { abortable, abortReason, emitter } from './platform.js';
import { keys } from './records.js';

/** The history that goes out of one client, or comes in. */
export interface History {
  readonly calls: Pick<Calls, 'historyOpen' | 'historyPart'>;
  /** The handler of `history`: a message for the application, in the conversation with nobody but this account. */
  readonly history: ControlHandlers['history'];
  /** A session with an own device has begun, or the own list has changed: parts may wait for that. */
  stir(): void;
}

/** The history of `ctx`. */
export function history(ctx: Context, outbox: Pick<Outbox, 'post' | 'until'>): History {
  const stirred = emitter<void>();

  /** A device of the newest list that takes a history from this one. */
  const recipient = async (device: number): Promise<DeviceEntry> => {
    assertPrimary(ctx);
    const entry = ctx.ownList().entries.find((each) => each.device === device);
    if (entry !== undefined && (await ctx.db.read(keys.linked(entry.keyHash))) !== undefined) return entry;
    throw new UsageError('ERR_ARGUMENT', 'device must be one of the account that this device has linked', { field: 'device' });
  };
  /** The same once it was heard of: nothing is said to a device that may never be there. */
  const present = async (device: number, signal: AbortSignal | undefined): Promise<DeviceEntry> => {
    for (;;) {
      let stop = (): void => {};
      const change = new Promise<void>((resolve) => {
        stop = stirred.listen(resolve);
      });
      try {
        const entry = await recipient(device);
        if ((await ctx.db.read(keys.peer(ctx.device().account, entry.keyHash))) !== undefined) return entry;
        await abortable(ctx.life.race(change), signal);
      } finally {
        stop();
      }
    }
  };

  return {
    calls: {
      async historyOpen({ device }) {
        await recipient(device);
        return { partBytes: partBytes(ctx) };
      },
      async historyPart({ device, id, transfer, ...said }, signal) {
        const { keyHash } = await present(device, signal);
        // Under its lock: nobody says how it ended before somebody listens.
        const { ended } = await ctx.lock(`sent ${id}`, async () => {
          // Posted before, through an engine that was gone before it was accepted.
          if ((await ctx.db.read(keys.sent(id))) === undefined) {
            if (signal?.aborted === true) throw abortReason(signal);
            const control = { t: 'history', at: ctx.now(), id: fromHex(transfer)!, ...said } as const;
            const { writes, committed } = outbox.post(ctx.device().account, control, { only: [keyHash], id });
            await ctx.db.commit(writes);
            committed();
          }
          const ended = outbox.until({ id, state: 'queued', until: 'accepted' }, signal);
          ended.catch(() => {});
          return { ended };
        });
        try {
          await ended;
        } catch (error) {
          const isCancelled = isCyphrError(error) && error.code === 'ERR_CLOSED' && !ctx.life.hasEnded();
          if (!isCancelled) throw error;
          await recipient(device);
          throw new UsageError('ERR_NO_SESSION', 'the device has published no keys', { field: 'device', cause: error });
        }
        // What waited for a device that was revoked counts as settled.
        await recipient(device);
      },
    },
    async history(from, control) {
      await assertLinker(ctx, from);
      const payload = encodeControl(control);
      decodeContent(payload);
      return { writes: [], message: { payload, to: ctx.device().account } };
    },
    stir: () => stirred.emit(),
  };
}
