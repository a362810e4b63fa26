/** What the transport conformance cases share. */

import { equal, u32 } from '../bytes.js';
import type { Delivery, Login, Transport } from '../transport/port.js';
import { assert, within } from './assert.js';

type DeliveryOptions = NonNullable<Parameters<Transport['deliveries']>[0]>;

/** What a case works with: devices 1, 2, … of two accounts of its own. */
export interface TransportContext {
  readonly alice: Login;
  readonly bob: Login;
  readonly bobsOther: Login;
  readonly stranger: Login;
  readonly sever: (() => Promise<void>) | undefined;
  connect(login: Login): Promise<Transport>;
  listen(transport: Transport, options?: DeliveryOptions): Inbox;
  settled<T>(promise: Promise<T>, what: string): Promise<T>;
  /** Calls until it succeeds, as the client does after a failure. */
  again(call: () => Promise<void>): Promise<void>;
}

/** A running `deliveries()`. */
export interface Inbox {
  /** The next delivery; fails if none comes. */
  next(what: string): Promise<Delivery>;
  /** The next delivery, or how the deliveries ended. */
  step(what: string): Promise<Delivery | 'ended' | 'threw'>;
  /** Takes and acknowledges deliveries until each of `expected` came at least once; fails on bytes that are not expected. */
  takeAll(expected: readonly Uint8Array[]): Promise<void>;
  /** Breaks off, as `break` in a loop does. */
  stop(): Promise<void>;
}

/** One case, and whether it needs `sever`. */
export interface TransportCase {
  readonly name: string;
  readonly needsSever?: true;
  run(context: TransportContext): Promise<void>;
}

const ENVELOPE_BYTES = 64;

/** An envelope that is like no other of the case. */
export function envelope(number: number, lengthBytes = ENVELOPE_BYTES): Uint8Array {
  const bytes = Uint8Array.from({ length: lengthBytes }, (_, i) => (i * 7 + number) & 0xff);
  bytes.set(u32(number));
  return bytes;
}

/** Envelopes of consecutive numbers. */
export const envelopes = (first: number, count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => envelope(first + i));

/** Starts `deliveries()`, each step of which fails after `patienceMs`. */
export function listen(transport: Transport, patienceMs: number, options?: DeliveryOptions): Inbox {
  const iterator = transport.deliveries(options)[Symbol.asyncIterator]();

  async function next(what: string): Promise<Delivery> {
    const result = await within(iterator.next(), patienceMs, what);
    assert(result.done !== true, `${what}: the deliveries ended`);
    return result.value;
  }

  return {
    next,
    async step(what) {
      const outcome = iterator.next().then(
        (result) => (result.done === true ? 'ended' : result.value),
        () => 'threw' as const,
      );
      return within(outcome, patienceMs, what);
    },
    async takeAll(expected) {
      const missing = new Set(expected);
      while (missing.size > 0) {
        const delivery = await next(`${missing.size} more of ${expected.length} envelopes`);
        const match = expected.find((bytes) => equal(bytes, delivery.bytes));
        assert(match !== undefined, 'an envelope arrived that was not sent to this device, or not with these bytes');
        missing.delete(match);
        await delivery.ack();
      }
    },
    async stop() {
      await iterator.return?.();
    },
  };
}

/** Calls until it succeeds; after `patienceMs` the next failure comes through. */
export async function again(call: () => Promise<void>, patienceMs: number): Promise<void> {
  let patient = true;
  const timer = setTimeout(() => {
    patient = false;
  }, patienceMs);
  try {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!patient) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
