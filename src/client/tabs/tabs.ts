/**
 * Several tabs (or workers) with one store: one leads and has the engine, the others work through it, and one of them takes over when
 * it closes, dies or freezes. Who leads is the platform's lock; that no two engines ever write is the database's own guard: the one
 * whose commit conflicts stops, and nothing is sent that was not committed. A tab that is superseded works through the new leader.
 */

import { StoreError, UsageError } from '../../errors.js';
import { tabLimits } from '../../limits.js';
import type { Leadership, SharedChannel, SharedStore } from '../../store/port.js';
import { CALLS, type Calls, type Engine } from '../engine.js';
import { abortReason, nextTask, timer } from '../platform.js';
import type { Seat } from '../seat.js';
import type { ClientEvent } from '../types.js';
import { type Host, host } from './host.js';
import { pack, packStatus, type TabMessage, unpack, unpackEvent, unpackStatus } from './messages.js';
import { type Remote, remote } from './remote.js';

/** What a tab is asked to work with. */
export interface TabsOptions {
  readonly shared: SharedStore;
  readonly account: string;
  readonly seat: Seat;
  newId(): string;
  /** Engines change one after another. */
  change<T>(task: () => Promise<T>): Promise<T>;
  openCore(): Promise<Engine>;
  /**
   * Reads what grows with every commit, by anybody. It is also this tab's pulse: browsers deliver messages to a frozen tab, which
   * answers them, but give it nothing from its store.
   */
  pulse(): Promise<number>;
  /** An event of another tab's engine. */
  emit(event: ClientEvent): void;
  /** The seat is empty, or has another engine. */
  onStatus(): void;
  /** Another tab erases the store. */
  onErased(): void;
}

/** This tab among the others. */
export interface Tabs {
  /**
   * Resolves once an engine serves: here, or in another tab. Throws what opening it throws, `ERR_STORE_LOCKED` if the leading tab has
   * another version of this library, `ERR_ARGUMENT` if it has another account, or `signal.reason`.
   */
  start(signal: AbortSignal | undefined): Promise<void>;
  leads(): boolean;
  /** An event of the engine here, for the other tabs. */
  publish(event: ClientEvent): void;
  /** The engine here was opened anew. */
  announce(): void;
  /** The engine here has halted; if another writer was met, this tab looks again who leads. */
  onHalted(error: StoreError): void;
  /** Resolves once no other tab uses the store. */
  evict(): Promise<void>;
  /** The client ends: nobody is answered any more, nothing is taken over. */
  retire(): void;
  /** After `retire`, and once the engine here has stopped. */
  leave(): void;
}

/** In the place of an engine that a tab could not open when it took over, on a store that repeating does not mend. */
function broken(device: number, error: StoreError): Engine {
  const call = (): Promise<never> => Promise.reject(error);
  const calls = Object.fromEntries(Object.keys(CALLS).map((name) => [name, call])) as unknown as Calls;
  return { device, calls, status: () => ({ state: 'halted', error }), leave() {}, async stop() {} };
}

/** Joins the other tabs. */
export function joinTabs(options: TabsOptions): Tabs {
  const { shared, account, seat, newId, change } = options;
  /** What this tab holds, from when it was granted. */
  let leadership: Leadership | undefined;
  let channel: SharedChannel | undefined;
  let hosting: Host | undefined;
  let serving: Remote | undefined;
  let waitingToLead = new AbortController();
  let opening: { resolve(): void; reject(error: unknown): void } | undefined;
  let reopenings = 0;
  /** Pings in a row that nobody answered, and the store's revision meanwhile. */
  let silence = 0;
  let lastRevision = -1;
  let stopWatching: (() => void) | undefined;

  const say = (message: TabMessage): void => channel?.post(pack(message));

  const take = (engine: Engine): void => {
    seat.take(engine);
    if (opening === undefined) options.onStatus();
    opening?.resolve();
    opening = undefined;
  };
  const vacate = (): Engine | undefined => {
    serving = undefined;
    const gone = seat.vacate();
    if (gone !== undefined) options.onStatus();
    return gone;
  };

  /** Opens the engine for the leadership that this tab holds. */
  const serve = async (granted: Leadership): Promise<void> => {
    await vacate()?.stop(false);
    const core = await options.openCore();
    if (leadership !== granted || seat.isClosed()) return core.stop(seat.isClosed());
    take(core);
    hosting!.announce();
  };

  const lead = async (granted: Leadership): Promise<void> => {
    if (seat.isClosed() || leadership !== undefined) return granted.release();
    waitingToLead.abort();
    leadership = granted;
    hosting = host(options, newId(), say);
    granted.lost.then(() => stepDown(granted));
    try {
      await serve(granted);
    } catch (error) {
      if (opening !== undefined) opening.reject(error);
      else if (error instanceof StoreError && error.action !== 'retry') {
        take(broken(seat.device(), error));
        return hosting?.announce();
      } else timer(() => void again(), tabLimits.pingMs);
      if (leadership === granted) resign();
    }
  };
  const resign = (): void => {
    hosting?.end();
    hosting = undefined;
    leadership?.release();
    leadership = undefined;
  };

  const enter = async (): Promise<void> => {
    if (seat.isClosed() || leadership !== undefined) return;
    const granted = await shared.lead('if-free');
    if (granted !== undefined) return lead(granted);
    waitingToLead.abort();
    waitingToLead = new AbortController();
    shared.lead('wait', { signal: waitingToLead.signal }).then(
      (late) => void (late && change(() => lead(late))),
      () => {},
    );
    say({ kind: 'hello' });
    silence = 0;
    watch();
  };
  const again = (): Promise<void> => change(enter).catch(() => {});

  /** Another tab leads now, or has written: the engine here is stopped before it does anything more. */
  const stepDown = (granted: Leadership): void => {
    if (leadership !== granted) return;
    resign();
    const stopped = vacate()?.stop(false);
    void change(async () => {
      await stopped;
      // One that was opened meanwhile.
      if (leadership === undefined && serving === undefined) await vacate()?.stop(false);
      await enter();
    }).catch(() => {});
  };

  const attach = (term: string, device: number, status: Readonly<Record<string, unknown>>): void => {
    const gone = vacate();
    serving = remote({ term, device, from: newId(), status: unpackStatus(status) }, say, watch);
    void gone?.stop(false);
    const isOpening = opening !== undefined;
    take(serving);
    // An engine that has halted says so no more: this tab's listeners are there in a moment.
    if (isOpening && serving.status().state === 'halted') nextTask(options.onStatus);
  };

  /** While something is awaited from the leader, it is asked whether it lives. */
  const watch = (): void => {
    if (stopWatching !== undefined || leadership !== undefined || seat.isClosed() || serving?.isBusy() === false) return;
    stopWatching = timer(() => void look(), tabLimits.pingMs);
  };
  const look = async (): Promise<void> => {
    if (silence === 0) lastRevision = -1;
    silence += 1;
    say({ kind: 'ping' });
    if (silence > tabLimits.silentPings) {
      // A commit since then is a sign of life, too.
      const revision = await options.pulse().catch(() => -1);
      if (revision === lastRevision && revision >= 0) await change(steal).catch(() => {});
      lastRevision = revision;
    }
    stopWatching = undefined;
    watch();
  };
  const steal = async (): Promise<void> => {
    if (seat.isClosed() || leadership !== undefined || silence <= tabLimits.silentPings) return;
    const granted = await shared.lead('steal');
    if (granted !== undefined) await lead(granted);
  };

  const hear = (message: TabMessage): void => {
    switch (message.kind) {
      case 'leading':
        silence = 0;
        if (message.account !== account) {
          opening?.reject(new UsageError('ERR_ARGUMENT', 'this store belongs to another account', { field: 'account' }));
        } else if (serving?.term === message.term) {
          const before = serving.status().state;
          serving.update(message.device, unpackStatus(message.status));
          if (serving.status().state !== before) options.onStatus();
        } else attach(message.term, message.device, message.status);
        break;
      case 'alive':
        silence = 0;
        break;
      case 'event':
        if (serving?.term === message.term) {
          const event = unpackEvent(message.event);
          if (event.type === 'status') serving.update(serving.device, event.status);
          options.emit(event);
        }
        break;
      case 'answer':
        silence = 0;
        serving?.hear(message);
        break;
      case 'who':
        if (serving?.from !== message.to) break;
        options.pulse().then(
          () => say({ kind: 'here', term: message.term, from: message.to }),
          () => {},
        );
        break;
      case 'dropped':
        if (serving?.from === message.to) attach(serving.term, serving.device, packStatus(serving.status()));
    }
  };
  const onMessage = (data: unknown): void => {
    const message = unpack(data);
    if (message === undefined) return;
    if (seat.isClosed()) {
      // What was sent still settles.
      if (message !== 'other-version' && message.kind === 'answer') serving?.hear(message);
    } else if (message === 'other-version') {
      silence = 0;
      opening?.reject(new StoreError('ERR_STORE_LOCKED', 'a tab with another version of this library has the store open'));
    } else if (message.kind === 'erased') {
      if (opening === undefined) options.onErased();
      else opening.reject(new StoreError('ERR_STORE_LOCKED', 'another tab erases this store'));
    } else if (hosting !== undefined) hosting.hear(message);
    else hear(message);
  };

  return {
    start: (signal) =>
      new Promise((resolve, reject) => {
        // Where the engine is being opened here, it hears of the abort itself.
        const onAbort = (): void => {
          if (leadership === undefined) opening?.reject(abortReason(signal!));
        };
        channel = shared.join(onMessage);
        const settle = (): void => signal?.removeEventListener('abort', onAbort);
        opening = {
          resolve() {
            settle();
            resolve();
          },
          reject(error) {
            settle();
            reject(error);
          },
        };
        signal?.addEventListener('abort', onAbort);
        if (signal?.aborted === true) onAbort();
        else change(enter).catch((error: unknown) => opening?.reject(error));
      }),
    leads: () => leadership !== undefined,
    publish: (event) => hosting?.publish(event),
    announce: () => hosting?.announce(),
    onHalted(error) {
      const granted = leadership;
      // A halt that lasts was committed: an engine that was frozen while another one wrote meets a conflict instead.
      if (granted === undefined || error.code !== 'ERR_STORE_CONFLICT' || reopenings >= tabLimits.reopenings) return;
      reopenings += 1;
      timer(() => {
        reopenings -= 1;
      }, 60_000);
      const stopped = vacate()?.stop(false);
      void change(async () => {
        await stopped;
        if (leadership === granted && !seat.isClosed()) await serve(granted);
      }).catch(() => stepDown(granted));
    },
    async evict() {
      say({ kind: 'erased' });
      if (leadership !== undefined) return;
      const abort = new AbortController();
      const stop = timer(() => abort.abort(), tabLimits.pingMs * tabLimits.silentPings);
      try {
        leadership = await shared.lead('wait', { signal: abort.signal });
      } catch {
        leadership = await shared.lead('steal');
      } finally {
        stop();
      }
    },
    retire() {
      waitingToLead.abort();
      stopWatching?.();
      opening = undefined;
      hosting?.end();
    },
    leave() {
      resign();
      channel?.close();
    },
  };
}
