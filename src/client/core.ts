/** The engine on an opened store: binds the ports, and joins what sends with what receives. */

import { toHex } from '../bytes.js';
import { DecodeError, isCyphrError, StoreError } from '../errors.js';
import { generateDevice, verifyDeviceList } from '../identity/index.js';
import type { Now, Rng } from '../step.js';
import { withRetry } from '../transport/retry.js';
import { encodeAccount } from '../wire/codec.js';
import { openDays } from './ages.js';
import { arrivals as openArrivals } from './arrivals.js';
import { contacts as openContacts } from './contacts.js';
import { type Context, observer, type Settings } from './context.js';
import type { ControlHandlers } from './control.js';
import { openDatabase } from './database.js';
import { diagnosis, troubles as openTroubles } from './diagnosis.js';
import { encryption as openEncryption } from './encryption.js';
import type { Engine } from './engine.js';
import { greetings as openGreetings } from './greetings.js';
import { history as openHistory } from './history.js';
import { inbox as openInbox } from './inbox.js';
import { takeDeliveries } from './incoming.js';
import { keyring as openKeyring } from './keyring.js';
import { life as beginLife } from './life.js';
import { linking as openLinking } from './linking.js';
import { lists as openLists } from './lists.js';
import { deviceLogin, verdictIn } from './login.js';
import { outbox as openOutbox } from './outbox.js';
import { ownList as openOwnList } from './own-list.js';
import { abortable, abortReason, mutex, nextTask, timer, within } from './platform.js';
import { bindDirectory, bindTransport, isRefusedForGood } from './ports.js';
import { expire, prune } from './prune.js';
import { receipts as openReceipts } from './receipts.js';
import { receiver as openReceiver } from './receiver.js';
import { loadIdentity, publishFirst, register } from './registration.js';
import { repair as openRepair } from './repair.js';
import { sendLog } from './sendlog.js';
import { sessions as openSessions } from './sessions.js';
import { talk as openTalk } from './talk.js';
import type { ClientEvent, ClientOptions, ClientStatus } from './types.js';

/** How often keys are looked after, and how soon again if the directory could not be reached. */
const MAINTENANCE_MS = 3_600_000;
const MAINTENANCE_RETRY_MS = 60_000;
/** A carrier that has neither let a device in nor failed by then is taken for one that does not say so. */
const QUIET_MS = 2_000;
const PRUNE_MS = 86_400_000;
/** How long a carrier may take to close before the client goes on without it. */
const CLOSING_MS = 5_000;

/** What an engine takes from its client. */
export interface CoreHost {
  readonly options: ClientOptions;
  readonly settings: Settings;
  readonly rng: Rng;
  readonly now: Now;
  emit(event: ClientEvent): void;
  /** The store has halted the engine: called before anything that waits for it hears of it. */
  onHalted(error: StoreError): void;
  /** Recovers the store, and opens the next engine on it. */
  recover(): Promise<void>;
}

/**
 * Opens the engine on `options.store`, and registers a device if the store is empty. On rejection the store is left open, and as it
 * was. Throws what `createClient` throws; `signal` aborts it.
 */
export async function openCore(
  { options, settings, rng, now, emit, onHalted, recover }: CoreHost,
  signal?: AbortSignal | undefined,
): Promise<Engine> {
  const watch = observer(options.observe, rng, now);
  const startMs = now();
  const life = beginLife();
  const db = await openDatabase(options.store, {
    rng,
    now,
    onCommit: (durationMs) => watch.done('commit', durationMs),
    onLost: (error) => life.halt(error),
  });
  life.onEnd((error) => {
    db.fail(error);
    const halted = life.halted();
    if (!life.isClosed() && halted !== undefined && halted !== verdict) onHalted(halted);
  });
  const stored = await loadIdentity(db, options.account);
  const verdict = await verdictIn(db);
  let device = stored?.device ?? generateDevice(options.account, rng, now());
  const login = deviceLogin(() => device, db, life, rng);
  const transport = bindTransport(options.transport, login);
  try {
    const directory = bindDirectory(options.directory, login);
    const identity = stored ?? (await register(device, db, directory, rng, now(), signal));
    let ownList = verifyDeviceList(device.deviceList, device.accountKey.publicKey);
    let seq = 0;
    let connection: 'connecting' | 'online' | 'offline' = 'connecting';
    let drained = false;
    let busyDeliveries = 0;
    /** Why the store has refused the last envelope; none once another was handled. */
    let refusal: StoreError | undefined;
    let statusIsDue = false;
    let saidStatus: string | undefined;
    /** False until every part is there: what they load is no news. */
    let isReady = false;

    const ctx: Context = {
      settings,
      db,
      transport: withRetry(transport, {
        rng,
        onUp() {
          setConnection('online');
          outbox.wakeAll();
          receiver.confirmAll();
          maintain();
          // Whoever was taken out of the account is told by no other device of it.
          if (ownList.entries.length > 1) contacts.askFor(device.account);
        },
        onDown(error) {
          drained = false;
          if (error !== undefined) watch.log('info', 'connection-down', isCyphrError(error) ? error.code : 'ERR_OFFLINE');
          setConnection('offline');
          // Perhaps this device has left its account's list.
          if (!isRefusedForGood(error)) return;
          contacts.refresh(device.account, []).catch((cause: unknown) => {
            watch.log('info', 'list-refresh-failed', isCyphrError(cause) ? cause.code : 'ERR_BUG');
          });
        },
      }),
      directory,
      rng,
      now,
      lock: mutex(),
      events: { emit },
      observer: watch,
      device: () => device,
      ownList: () => ownList,
      setDevice(next) {
        device = next;
        ownList = verifyDeviceList(next.deviceList, next.accountKey.publicKey);
      },
      days: await openDays(db, now),
      nextSeq: () => ++seq,
      life,
    };
    // Rows of an earlier run stay before those of this one.
    for (const [space, at] of Object.entries({ inbox: 1, pending: 2, late: 3, outbox: 2 })) {
      for (const { key } of await db.list([space])) seq = Math.max(seq, Number.parseInt(key[at]!, 16));
    }

    const keyring = openKeyring(ctx, identity.prekeys, () => own.refresh());
    const own = openOwnList(ctx, keyring.publication);
    const contacts = await openContacts(ctx, own);
    const sessions = openSessions(db);
    const encryption = openEncryption(ctx, contacts, sessions);
    const greetings = await openGreetings(ctx, contacts, encryption, (account) => outbox.wake(account));
    const talk = await openTalk(ctx);
    const log = await sendLog(ctx);
    const outbox = await openOutbox(ctx, contacts, encryption, greetings, talk, log, statusChanged);
    const receipts = await openReceipts(ctx, contacts, outbox.post);
    const inbox = await openInbox(ctx, contacts, () => drained && busyDeliveries === 0 && !receiver.isAsking(), statusChanged);
    const lists = openLists(ctx, contacts, outbox, () => keyring.prekeys().signedSet);
    const troubles = await openTroubles(ctx);
    const repair = openRepair(ctx, contacts, sessions, troubles, log, outbox);
    const handlers: ControlHandlers = {
      copy: async (from, { to, id, app }) => {
        if (from.account !== device.account || id.length !== 16) throw new DecodeError('ERR_DECODE', 'a copy of somebody else’s message');
        if (to === from.account || encodeAccount(to) === undefined)
          throw new DecodeError('ERR_DECODE', 'a copy to nobody', { field: 'to' });
        return { writes: [], message: { id: toHex(id), payload: app, to } };
      },
      keys: lists.keys,
      retry: repair.retry,
      receipts: outbox.receipts,
      contacts: (from, control) => linking.contacts(from, control),
      history: (from, control) => history.history(from, control),
    };
    const linking = openLinking(ctx, own, contacts, sessions, talk, outbox, repair, keyring.publish);
    const history = openHistory(ctx, outbox);
    const wake = (account: string): void => {
      outbox.wake(account);
      if (account !== device.account) return;
      linking.deliver();
      history.stir();
    };
    const arrivals = openArrivals(ctx, talk, receipts, inbox);
    const receiver = await openReceiver(
      ctx,
      contacts,
      sessions,
      inbox,
      keyring,
      greetings,
      arrivals,
      repair,
      troubles,
      handlers,
      lists.heard,
      wake,
    );
    own.onChanged((isNews) => {
      maintain();
      // First messages of a device that the list names by now may wait.
      receiver
        .retry(device.account)
        .catch((error: unknown) => watch.log('warn', 'retry-failed', isCyphrError(error) ? error.code : 'ERR_BUG'));
      history.stir();
      if (isNews)
        lists.tellAll().catch((error: unknown) => watch.log('info', 'telling-failed', isCyphrError(error) ? error.code : 'ERR_BUG'));
    });
    contacts.onPinned((account) => {
      outbox.wake(account);
      inbox.stir();
    });
    life.onEnd((error) => {
      if (!life.isClosed()) watch.log('error', 'halted', error.code);
      stopTimers();
      receiver.close();
      statusChanged();
      inbox.stir();
    });

    function status(): ClientStatus {
      const error = life.halted();
      if (error !== undefined) return { state: 'halted', error };
      if (life.isClosed()) return { state: 'closed' };
      return { state: connection, queuedCount: outbox.queuedCount(), unackedCount: inbox.count() };
    }
    /** Many changes in a row make one event. */
    function statusChanged(): void {
      if (!isReady || statusIsDue) return;
      statusIsDue = true;
      queueMicrotask(() => {
        statusIsDue = false;
        const next = status();
        const name = JSON.stringify(next);
        // That it is closed is said once, when it is; and nothing twice in a row.
        if (life.isClosed() || name === saidStatus) return;
        saidStatus = name;
        emit({ type: 'status', status: next });
      });
    }
    function setConnection(next: typeof connection): void {
      if (connection === next) return;
      connection = next;
      statusChanged();
      inbox.stir();
    }

    let prunedAtMs = Number.NEGATIVE_INFINITY;
    let stopTimers = (): void => {};
    let rounds = 0;
    /** Looks after the keys, renews them if it may, and forgets what is past its time; again in an hour, or soon if it failed. */
    function maintain(mayRenew = connection === 'online'): void {
      const round = ++rounds;
      const work = async (): Promise<void> => {
        await ctx.days.note();
        // Until the carrier has let this device in, it may be a copy that is about to be halted: the keys that it made would be nobody's.
        await (mayRenew ? keyring.maintain() : keyring.publish());
        outbox.wakeAll();
        receiver.confirmAll();
        await inbox.expire();
        await expire(ctx);
        await outbox.expire();
        await repair.orphaned();
        if (Math.abs(now() - prunedAtMs) < PRUNE_MS) return;
        await prune(ctx);
        await talk.prune();
        prunedAtMs = now();
      };
      const again = (ms: number, mayNext: boolean): void => {
        // A later one has decided, or will.
        if (round !== rounds) return;
        stopTimers();
        if (!ctx.life.hasEnded()) stopTimers = timer(() => maintain(mayNext), ms);
      };
      work().then(
        () => again(mayRenew || connection !== 'connecting' ? MAINTENANCE_MS : QUIET_MS, true),
        (error: unknown) => {
          watch.log('info', 'maintenance-failed', isCyphrError(error) ? error.code : 'ERR_BUG');
          // What is refused for good, only renewed keys can take the place of.
          again(MAINTENANCE_RETRY_MS, mayRenew || isRefusedForGood(error));
        },
      );
    }

    let receiving: Promise<void> = Promise.resolve();
    const start = (): void => {
      receiving = takeDeliveries(
        ctx,
        inbox,
        async (delivery) => {
          busyDeliveries += 1;
          try {
            await receiver.receive(delivery);
            refusal = undefined;
          } catch (error) {
            if (error instanceof StoreError) refusal = error;
            throw error;
          } finally {
            busyDeliveries -= 1;
            inbox.stir();
          }
        },
        {
          onStranded: (listener) =>
            receiver.onStranded(() => {
              // What was left with the carrier is yet to come.
              drained = false;
              listener();
            }),
          onDrained() {
            drained = true;
            inbox.stir();
          },
          onInterrupted() {
            drained = false;
            setConnection('offline');
          },
          onFatal: life.halt,
        },
      );
      outbox.wakeAll();
      linking.deliver();
      maintain();
    };

    if (verdict !== undefined) life.halt(verdict);
    isReady = true;
    if (stored === undefined) await publishFirst(() => abortable(keyring.publish(), signal), db);
    if (signal?.aborted === true) throw abortReason(signal);
    watch.done('open', now() - startMs);
    // Not before the next macrotask: listeners that are added at once miss nothing.
    life.onEnd(nextTask(verdict === undefined ? start : statusChanged));

    return {
      device: device.device,
      status,
      calls: {
        send: (input, signal) => {
          const { length } = input.payload;
          return watch.span('send', () => outbox.send(input, signal), { paddedBytes: length - (length % 512) + 512 });
        },
        sent: outbox.sent,
        until: outbox.until,
        cancel: outbox.cancel,
        next: inbox.next,
        ack: inbox.ack,
        read: receipts.read,
        ...contacts.calls,
        diagnose: diagnosis(ctx, { sessions, troubles, keyring, status, refusal: () => refusal?.code, isSealed: 'slots' in options.store }),
        ...linking.calls,
        ...history.calls,
        recover,
      },
      leave: inbox.leave,
      async stop(forGood) {
        // One that has halted stays so.
        if (!life.hasEnded()) life.close();
        // A port that was given, not made, serves the next engine too.
        if (forGood || typeof options.transport === 'function') await within(CLOSING_MS, ctx.transport.close());
        await outbox.close();
        await receiving;
        await db.close();
      },
    };
  } catch (error) {
    life.close();
    if (typeof options.transport === 'function') await within(CLOSING_MS, transport.close());
    // A commit that is under way is not to meet those of the next client on this store.
    await within(CLOSING_MS, db.close());
    throw error;
  }
}
