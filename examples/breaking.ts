/**
 * For the demonstration alone: damages messages on their way, to break a session on purpose and watch the SDK mend it. It stands where
 * a faulty or hostile relay would, and can do no more than one: what it changes is refused, asked for again, and arrives once.
 */

import type { Delivery, Network, Transport } from '@cyphr/e2ee';

/** First byte of a message of a session that is in use: first flights are let through. */
const SESSION_MESSAGE = 0x20;
/** So many in a row tell the SDK that it isn't chance. */
export const DAMAGED_COUNT = 3;

export type Direction = 'out' | 'in';

export interface Breaker {
  /** Damages the next three messages: of those that go out, the ones for `account`. */
  begin(direction: Direction, account: string): void;
  /** How many messages are still to be damaged. */
  left(): number;
  onDamage(listener: () => void): void;
  watch(network: Network): Network;
}

export function breaker(): Breaker {
  let plan: { readonly direction: Direction; readonly account: string } | undefined;
  /** How many each device is still to get damaged; in the own mailbox it is device 0. */
  let left = new Map<number, number>();
  const listeners: (() => void)[] = [];

  function damaged(
    direction: Direction,
    to: { readonly account: string; readonly device: number } | undefined,
    bytes: Uint8Array,
  ): Uint8Array {
    if (plan?.direction !== direction || bytes[0] !== SESSION_MESSAGE || (to !== undefined && to.account !== plan.account)) return bytes;
    const device = to?.device ?? 0;
    const count = left.get(device) ?? DAMAGED_COUNT;
    if (count === 0) return bytes;
    left.set(device, count - 1);
    for (const listener of listeners) listener();
    const copy = bytes.slice();
    copy[copy.length - 1]! ^= 1;
    return copy;
  }

  const transport = (inner: Transport): Transport => ({
    limits: inner.limits,
    send: (to, envelope, options) => inner.send(to, damaged('out', to, envelope), options),
    deliveries: (options) => ({
      [Symbol.asyncIterator]() {
        const iterator = inner.deliveries(options)[Symbol.asyncIterator]();
        const changed = (delivery: Delivery): Delivery => ({ ...delivery, bytes: damaged('in', undefined, delivery.bytes) });
        return {
          async next() {
            const result = await iterator.next();
            return result.done === true ? result : { done: false, value: changed(result.value) };
          },
          return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
        };
      },
    }),
    close: () => inner.close(),
  });

  return {
    begin(direction, account) {
      plan = { direction, account };
      left = new Map();
    },
    left: () => (plan === undefined ? 0 : Math.max(0, ...(left.size === 0 ? [DAMAGED_COUNT] : left.values()))),
    onDamage: (listener) => listeners.push(listener),
    watch: (network) => ({ ...network, transport: (login) => transport(network.transport(login)) }),
  };
}
