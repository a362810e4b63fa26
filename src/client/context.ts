/** What every part of one client shares. */

import { toHex } from '../bytes.js';
import type { ErrorCode } from '../errors.js';
import { isCyphrError } from '../errors.js';
import type { DeviceSecrets, VerifiedDeviceList } from '../identity/index.js';
import type { Now, Rng } from '../step.js';
import type { Directory, Transport } from '../transport/port.js';
import type { Days } from './ages.js';
import type { Database } from './database.js';
import type { Life } from './life.js';
import type { Emitter, Mutex } from './platform.js';
import type { ClientEvent, ClientOptions, Observation } from './types.js';

/** The choices of `ClientOptions`, with their defaults in place. */
export interface Settings {
  readonly trust: NonNullable<ClientOptions['trust']>;
  readonly bandwidth: ClientOptions['bandwidth'];
  readonly metadata: NonNullable<ClientOptions['metadata']>;
  readonly organisation: ClientOptions['organisation'];
  readonly receipts: NonNullable<ClientOptions['receipts']>;
}

/** One client's surroundings. `device` changes when its list is renewed; the rest never does. */
export interface Context {
  readonly settings: Settings;
  readonly db: Database;
  readonly transport: Transport;
  readonly directory: Directory;
  readonly rng: Rng;
  readonly now: Now;
  /**
   * By name and account. Who takes several takes them in the order `peer`, `prekeys` or `key`, `contact`, and then one of `talk`, `device`
   * and `sent`, under which none is taken. Nobody holds `contact` while the directory is asked.
   */
  readonly lock: Mutex;
  readonly events: Pick<Emitter<ClientEvent>, 'emit'>;
  readonly observer: Observer;
  device(): DeviceSecrets;
  /** This account's own list, as published. */
  ownList(): VerifiedDeviceList;
  setDevice(device: DeviceSecrets): void;
  /** By which what waits grows old. */
  readonly days: Days;
  /** A number greater than any before it: the order of rows. */
  nextSeq(): number;
  readonly life: Life;
}

type SpanName = Extract<Observation, { kind: 'span' }>['name'];

/** The observer hook, safe to call: what the application's function throws never reaches the protocol. */
export interface Observer {
  log(level: 'debug' | 'info' | 'warn' | 'error', event: string, code?: ErrorCode): void;
  gauge(name: Extract<Observation, { kind: 'gauge' }>['name'], value: number): void;
  /** Runs `task` inside a span; its outcome is `ok` or the error's code. */
  span<T>(name: SpanName, task: () => Promise<T>, sizes?: { paddedBytes?: number; deviceCount?: number }): Promise<T>;
  done(name: SpanName, durationMs: number): void;
}

/** Wraps the application's hook; without one, nothing is made and nothing is called. */
export function observer(hook: ((record: Observation) => void) | undefined, rng: Rng, now: Now): Observer {
  if (hook === undefined) {
    return { log: () => {}, gauge: () => {}, span: (_name, task) => task(), done: () => {} };
  }
  const correlation = (): string => toHex(rng(8));
  const report = (record: Observation): void => {
    try {
      hook(record);
    } catch {
      // Observability must never break what it observes.
    }
  };
  return {
    log: (level, event, code) => report({ kind: 'log', level, event, correlation: correlation(), ...(code === undefined ? {} : { code }) }),
    gauge: (name, value) => report({ kind: 'gauge', name, value }),
    async span(name, task, sizes = {}) {
      const startMs = now();
      const common = { kind: 'span', name, startMs, correlation: correlation(), ...sizes } as const;
      try {
        const result = await task();
        report({ ...common, durationMs: now() - startMs, outcome: 'ok' });
        return result;
      } catch (error) {
        report({ ...common, durationMs: now() - startMs, outcome: isCyphrError(error) ? error.code : 'ERR_BUG' });
        throw error;
      }
    },
    done: (name, durationMs) =>
      report({ kind: 'span', name, startMs: now() - durationMs, durationMs, outcome: 'ok', correlation: correlation() }),
  };
}
