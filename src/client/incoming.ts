/** The loop that takes envelopes from the carrier, one after another, for as long as the client lives. */

import { isCyphrError, StoreError } from '../errors.js';
import type { Delivery } from '../transport/port.js';
import type { Context } from './context.js';
import type { Inbox } from './inbox.js';
import { timer } from './platform.js';

const STORE_PAUSE_MS = 1_000;

/** What the loop tells, and hears. */
export interface IncomingEvents {
  /** Calls back when envelopes were left with the carrier that could be taken now: it is asked for them again. Returns how not to. */
  onStranded(listener: () => void): () => void;
  onDrained(): void;
  /** The store failed: the carrier will deliver again, after a pause. */
  onInterrupted(): void;
  /** The store can't be used any more. */
  onFatal(error: StoreError): void;
}

/** Runs until the client ends. Never rejects. */
export async function takeDeliveries(
  ctx: Context,
  inbox: Inbox,
  receive: (delivery: Delivery) => Promise<void>,
  events: IncomingEvents,
): Promise<void> {
  while (!ctx.life.hasEnded()) {
    const iterator = ctx.transport.deliveries({ onDrained: events.onDrained })[Symbol.asyncIterator]();
    let asksAgain = false;
    let wake = (): void => {};
    const stop = events.onStranded(() => {
      asksAgain = true;
      wake();
    });
    const next = (): Promise<IteratorResult<Delivery> | undefined> =>
      new Promise((resolve, reject) => {
        wake = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
    try {
      for (;;) {
        await inbox.room();
        if (asksAgain) break;
        const result = await ctx.life.race(next());
        if (result === undefined || result.done === true || ctx.life.hasEnded()) break;
        await receive(result.value);
      }
    } catch (error) {
      if (!ctx.life.hasEnded()) {
        ctx.observer.log('error', 'receiving-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
        const mayPass = !(error instanceof StoreError) || error.code === 'ERR_STORE_IO' || error.code === 'ERR_STORE_FULL';
        if (!mayPass) events.onFatal(error);
      }
    }
    stop();
    // Not waited for: a carrier that can't end its deliveries must not keep the client from closing.
    Promise.resolve(iterator.return?.()).catch(() => {});
    if (ctx.life.hasEnded()) return;
    if (asksAgain) continue;
    events.onInterrupted();
    await pause(ctx);
  }
}

async function pause({ life }: Context): Promise<void> {
  let stop = (): void => {};
  const over = new Promise<void>((resolve) => {
    stop = timer(resolve, STORE_PAUSE_MS);
  });
  await life.race(over).catch(stop);
}
