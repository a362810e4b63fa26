/**
 * What devices tell each other beside what people write: strict maps inside authenticated plaintext, told apart by `t`.
 *
 * Knows their layout, not what they cause: each part of the client that takes one part in them has a handler (receiver.ts), and posts
 * them through the outbox.
 */

import { DecodeError } from '../errors.js';
import type { Write } from '../store/port.js';
import { decodeMsgpack, encodeMsgpack } from '../wire/msgpack.js';
import { bySchema, type Shape } from './records.js';

/** Every control message but hello, and the shape of what it says. */
const CONTROLS = {
  /** To one's own other devices: `app` was sent to the account `to` under the message id `id`, 16 bytes. */
  copy: { to: 'string', id: 'bytes', app: 'bytes' },
  /** The sender's newest DeviceList and SignedSet, TBS‖sig each, and its DIK, 1,984 bytes. */
  keys: { list: 'bytes', key: 'bytes', set: 'bytes' },
  /**
   * What the sender could not read of session `session`, 16 bytes: the names {tag, n} of at most 64 messages. That session is broken, and
   * nothing is to be sent on it again.
   */
  retry: { session: 'bytes', missing: 'list' },
  /** To a device that was just linked: contacts as the one that linked it has them, each with its `account` and its stored record, `contact`. */
  contacts: { entries: 'list' },
  /**
   * To a device, from the one that linked it: opaque records of the application's own, part number `part` from 0 of the transfer `id`, 16
   * bytes; `at` as in application content, which this becomes.
   */
  history: { at: 'number', id: 'bytes', part: 'number', records: 'list', isLast: 'boolean' },
  /** Messages that came, and those that were read: ids of 16 bytes, at most 256 together. */
  receipts: { delivered: 'list', read: 'list' },
} as const;

export type ControlKind = keyof typeof CONTROLS;
export type Control = { [K in ControlKind]: { readonly t: K } & Shape<(typeof CONTROLS)[K]> }[ControlKind];
export type ControlOf<K extends ControlKind> = Extract<Control, { t: K }>;

/** Who sent a control message, as its session proves it. */
export interface ControlSender {
  readonly account: string;
  readonly device: number;
  /** H(AIK) and H(DIK), 64 bytes each. */
  readonly accountKeyHash: Uint8Array;
  readonly deviceKeyHash: Uint8Array;
  /** The session in which it came, 16 bytes. */
  readonly session: Uint8Array;
}

/** What a control message causes. */
export interface ControlEffect {
  /** Go into the commit of the message. */
  readonly writes: readonly Write[];
  /** Called after that commit. */
  committed?(): void;
  /** A message that it brings for the application; under the id of the control message itself if it names no other. */
  readonly message?: { readonly id?: string; readonly payload: Uint8Array; readonly to: string } | undefined;
}

/**
 * What is done with each kind, under the lock of the sender's account: no network, and no lock of an account or of the prekeys. Only
 * devices of pinned accounts get this far. What a handler throws as an error of ours makes the message void.
 */
export type ControlHandlers = { readonly [K in ControlKind]: (from: ControlSender, control: ControlOf<K>) => Promise<ControlEffect> };

/** Encodes a control message. */
export function encodeControl(control: Control): Uint8Array {
  return encodeMsgpack(control as unknown as Parameters<typeof encodeMsgpack>[0]);
}

/** Decodes a control message. Throws `ERR_DECODE` for a malformed one, unknown fields included, `ERR_VERSION` for a kind that this version doesn't know. */
export function decodeControl(payload: Uint8Array): Control {
  const value = decodeMsgpack(payload);
  if (typeof value !== 'object' || value === null) throw malformed('t');
  const { t, ...fields } = value as Record<string, unknown>;
  if (typeof t !== 'string') throw malformed('t');
  if (!Object.hasOwn(CONTROLS, t)) throw new DecodeError('ERR_VERSION', 'a control message of an unknown kind', { field: 't' });
  return { t, ...bySchema(CONTROLS[t as ControlKind], fields, malformed) } as Control;
}

function malformed(field: string): DecodeError {
  return new DecodeError('ERR_DECODE', 'control content does not follow its schema', { field });
}
