/** This device's own keys: made once, published until the directory has acknowledged them, refilled and rotated. */

import { equal, wipe } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { type DeviceSecrets, encodeDevice, identityBytes, isListDue, renewDeviceList } from '../identity/index.js';
import { keyLimits } from '../limits.js';
import {
  decodePrekeys,
  decodeSeen,
  deviceKeys,
  encodePrekeys,
  type PrekeyState,
  prekeysPublished,
  rotatePrekeys,
} from '../pqxdh/prekeys.js';
import type { DeviceKeys } from '../step.js';
import type { Write } from '../store/port.js';
import type { Context } from './context.js';
import type { Database } from './database.js';
import { isRefusedForGood } from './ports.js';
import { keys, publishRecord } from './records.js';

/** The keys of one client. */
export interface Keyring {
  prekeys(): PrekeyState;
  /** After the commit of a step: what was written is what is used from now on. */
  install(prekeys: PrekeyState): void;
  /** A prekey was used: look soon whether they run low. */
  used(): void;
  /** The row that publishes this device as `device` has it; what waits to be published goes with it. Callers hold the lock of the device. */
  publication(device: DeviceSecrets): Promise<Write>;
  /** Publishes what waits, and nothing else. */
  publish(): Promise<void>;
  /** Publishes what waits, renews what is due. Rejects with what the directory or store say; safe to call again. */
  maintain(): Promise<void>;
}

/** The row of keys that the directory has not acknowledged. */
export function publishWrite(published: DeviceKeys): Write {
  const { identity, signedSet, batch } = published;
  const value = publishRecord.encode({ identity, signedSet, batchId: batch?.id, batchHead: batch?.head, batchEntries: batch?.entries });
  return { key: keys.publish, value };
}

/** The prekey secrets that are stored, if any. */
export async function loadPrekeys(db: Database): Promise<PrekeyState | undefined> {
  const row = await db.read(keys.prekeys);
  if (row === undefined) return undefined;
  const seen = await db.list(['seen']);
  return decodePrekeys(
    row,
    seen.map(({ key, value }) => [key[1]!, decodeSeen(value)] as const),
  );
}

/** The keyring over `initial`, which is stored. `refreshOwnList` asks the directory for the newest list of this account, and takes it. */
export function keyring(ctx: Context, initial: PrekeyState, refreshOwnList: () => Promise<void>): Keyring {
  let state = initial;
  let running: Promise<void> | undefined;

  const commit = async (writes: readonly Write[], next: PrekeyState): Promise<void> => {
    await ctx.db.commit(writes);
    state = next;
  };

  const underBoth = <T>(task: () => Promise<T>): Promise<T> => ctx.lock('prekeys', () => ctx.lock('device', task));

  /** Sends the waiting row, the same bytes each time, and forgets it once acknowledged. */
  const publish = async (): Promise<void> => {
    const row = await ctx.db.read(keys.publish);
    if (row === undefined) return;
    const { identity, signedSet, batchId, batchHead, batchEntries } = publishRecord.decode(row);
    const { account, device } = ctx.device();
    const batch =
      batchId === undefined || batchHead === undefined
        ? undefined
        : { id: batchId, head: batchHead, entries: (batchEntries ?? []) as Uint8Array[] };
    await ctx.life.race(ctx.directory.publish({ address: { account, device }, identity, signedSet, batch }));
    const isCurrent = await underBoth(async () => {
      const now = await ctx.db.read(keys.publish);
      // Another list took its place meanwhile, with the same prekeys.
      if (now === undefined || !equal(now, row)) return false;
      const next = prekeysPublished(state, ctx.now());
      await commit(
        [
          { key: keys.publish, value: null },
          { key: keys.prekeys, value: encodePrekeys(next) },
        ],
        next,
      );
      return true;
    });
    if (!isCurrent) await publish();
  };

  const renew = async (): Promise<void> => {
    // Whether the account has gone on without this device, or with others. Where it can't be asked, no list is signed; who can't sign one asks each time.
    const { accountKey } = ctx.device();
    if (accountKey.secretKey === undefined || isListDue(ctx.device(), ctx.now())) await refreshOwnList();
    const remaining = ctx.directory.remaining && (await ctx.life.race(ctx.directory.remaining()));
    if (remaining !== undefined) {
      ctx.observer.gauge('oneTimePrekeys', remaining);
      if (remaining < keyLimits.batchRefillBelow) ctx.events.emit({ type: 'prekeysLow', oneTimeCount: remaining });
    }
    await underBoth(async () => {
      const nowMs = ctx.now();
      const device = renewDeviceList(ctx.device(), nowMs, ctx.rng);
      const listIsNew = device !== ctx.device();
      const seenBefore = state.seen;
      const step = rotatePrekeys(state, device, ctx.rng, nowMs, remaining);
      const out = step.out ?? (listIsNew ? deviceKeys(step.next, device) : undefined);
      if (step.next === state && out === undefined) return;
      const writes: Write[] = [{ key: keys.prekeys, value: encodePrekeys(step.next) }];
      for (const name of seenBefore.keys()) if (!step.next.seen.has(name)) writes.push({ key: keys.seen(name), value: null });
      if (listIsNew) writes.push({ key: keys.device, value: encodeDevice(device) });
      if (out !== undefined) writes.push(publishWrite({ ...out, identity: identityBytes(device) }));
      await commit(writes, step.next);
      wipe(...step.wipe);
      if (listIsNew) ctx.setDevice(device);
    });
  };

  const self: Keyring = {
    prekeys: () => state,
    install(prekeys) {
      state = prekeys;
    },
    used() {
      self
        .maintain()
        .catch((error: unknown) => ctx.observer.log('info', 'maintenance-failed', isCyphrError(error) ? error.code : 'ERR_BUG'));
    },
    async publication(device) {
      const row = await ctx.db.read(keys.publish);
      const waiting = row === undefined ? {} : publishRecord.decode(row);
      const { identity, signedSet } = deviceKeys(state, device);
      return { key: keys.publish, value: publishRecord.encode({ ...waiting, identity, signedSet }) };
    },
    publish,
    maintain() {
      // What was committed since its last look waits, too.
      if (running !== undefined) return running.then(publish);
      running = (async () => {
        // A row that is refused for good must not keep the keys from being renewed: a renewed one takes its place.
        await publish().catch((error: unknown) => {
          if (!isRefusedForGood(error)) throw error;
        });
        await renew();
        await publish();
      })().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
  return self;
}
