/**
 * What the tabs that have one store open say to each other. One of them leads: it has the engine. Messages are structured clones and
 * reach every tab of the same origin that has the store open, and nobody else; they hold plaintext (what is sent, what came in), as
 * those tabs do themselves. A tab can be closed, frozen or of another version of the library: nothing here is taken on trust to have
 * a shape.
 */

import {
  type AnyCyphrError,
  AuthError,
  DecodeError,
  InternalError,
  isCyphrError,
  ReplayError,
  StoreError,
  TransportError,
  TrustError,
  UsageError,
} from '../../errors.js';
import { bySchema, type Shape } from '../records.js';
import type { ClientEvent, ClientStatus } from '../types.js';

/** Version of all that follows. Of another one only `hello`, `ping` and what answers them are understood: enough to refuse, or to wait. */
const VERSION = 2;

/** `term` names one leadership, `from` and `to` one attachment of a tab to it. */
const KINDS = {
  /** Who leads? */
  hello: {},
  ping: {},
  call: { term: 'string', from: 'string', id: 'number', name: 'string', input: 'map' },
  abort: { term: 'string', from: 'string', id: 'number' },
  leave: { term: 'string', from: 'string', consumer: 'string' },
  /** Still here. */
  here: { term: 'string', from: 'string' },
  bye: { term: 'string', from: 'string' },
  /** The answer to `hello`, also said unasked by a new leader. */
  leading: { term: 'string', account: 'string', device: 'number', status: 'map' },
  /** The answer to `ping`, also while the engine is being opened. */
  alive: { term: 'string' },
  event: { term: 'string', event: 'map' },
  /** `value` holds one value, or is absent for an error. */
  answer: { term: 'string', to: 'string', id: 'number', value: 'list?', error: 'map?' },
  /** Are you still there? */
  who: { term: 'string', to: 'string' },
  /** You were silent for too long: what you asked for is forgotten. */
  dropped: { term: 'string', to: 'string' },
  /** The account is being erased: let go of the store. */
  erased: {},
} as const;

type Kind = keyof typeof KINDS;
export type TabMessage = { [K in Kind]: { readonly kind: K } & Shape<(typeof KINDS)[K]> }[Kind];

/** A message as it goes onto the channel. */
export function pack(message: TabMessage): Record<string, unknown> {
  return { ...message, cyphr: VERSION };
}

/** A message of this version; `'other-version'` for the leader of another; `undefined` for anything else. */
export function unpack(data: unknown): TabMessage | 'other-version' | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { cyphr, kind, ...fields } = data as Record<string, unknown>;
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) return undefined;
  if (cyphr !== VERSION) {
    if (kind === 'leading' || kind === 'alive') return 'other-version';
    return kind === 'hello' || kind === 'ping' ? { kind } : undefined;
  }
  try {
    return { kind, ...bySchema(KINDS[kind as Kind], fields, () => new Error('malformed')) } as TabMessage;
  } catch {
    return undefined;
  }
}

const CLASSES = [UsageError, DecodeError, AuthError, ReplayError, TrustError, StoreError, TransportError, InternalError];

/** An error of ours without its cause; any other is a bug. */
export function packError(thrown: unknown): Record<string, unknown> {
  const error = isCyphrError(thrown) ? thrown : new InternalError('ERR_BUG', 'unexpected failure in another tab');
  const { code, message, field, got, max, retryAfterMs } = error;
  return { type: CLASSES.findIndex((each) => error instanceof each), code, message, field, got, max, retryAfterMs };
}

/** Reverse of `packError`. */
export function unpackError({ type, code, message, ...rest }: Readonly<Record<string, unknown>>): AnyCyphrError {
  const Class = (CLASSES[type as number] ?? InternalError) as new (...args: unknown[]) => AnyCyphrError;
  return new Class(code, message, rest);
}

/** Replaces what `error` holds, if anything. */
function withError<T>(value: unknown, replace: (error: never) => unknown): T {
  const { error, ...rest } = value as Record<string, unknown>;
  return (error === undefined ? rest : { ...rest, error: replace(error as never) }) as T;
}

export const packStatus = (status: ClientStatus): Record<string, unknown> => withError(status, packError);
export const unpackStatus = (packed: unknown): ClientStatus => withError(packed, unpackError);

export function packEvent(event: ClientEvent): Record<string, unknown> {
  return event.type === 'status' ? { ...event, status: packStatus(event.status) } : withError(event, packError);
}

export function unpackEvent(packed: Readonly<Record<string, unknown>>): ClientEvent {
  return packed['type'] === 'status' ? { type: 'status', status: unpackStatus(packed['status']) } : withError(packed, unpackError);
}
