/** What an application holds of a client: sent messages, received messages and their loop, contacts. They live on when the engine changes. */

import { UsageError } from '../errors.js';
import { decodeContent } from './content.js';
import type { InboxMessage, SentFacts } from './engine.js';
import { checkFunction, checkIterable, checkWaitOptions } from './options.js';
import { type Parcel, sendParcels } from './parcels.js';
import { hasReceipts } from './receipts.js';
import type { Seat } from './seat.js';
import type { Contact, Devices, Message, MessageId, ReceiveOptions, SafetyNumber, Sent } from './types.js';

/** The handle of a sent message. */
export function sentHandle(seat: Seat, { id, account, state, order }: SentFacts): Sent {
  return {
    id: id as MessageId,
    to: { kind: 'person', account },
    state,
    order,
    async until(until, options = {}) {
      seat.assertOpen();
      const { signal } = checkWaitOptions(options);
      if (until !== 'accepted' && until !== 'delivered' && until !== 'read')
        throw new UsageError('ERR_ARGUMENT', 'state must be one of accepted, delivered, read', { field: 'state' });
      return seat.call('until', { id, state, until }, signal);
    },
    cancel: () => seat.call('cancel', { id, account }),
  };
}

/** Throws `ERR_ARGUMENT` for what can't be a device's number. */
function checkDevice(device: unknown): void {
  if (!Number.isSafeInteger(device)) throw new UsageError('ERR_ARGUMENT', 'device must be a number of devices.list()', { field: 'device' });
}

function answeredAlready(isConfirmed: boolean): UsageError {
  const rule = isConfirmed ? 'it was confirmed: devices.revoke() takes the device out again' : 'it was rejected: show another code';
  return new UsageError('ERR_ARGUMENT', `the request has been answered: ${rule}`, { field: 'request' });
}

/** A view of the account's devices. */
export function devicesView(seat: Seat, newId: () => string): Devices {
  return {
    list: () => seat.call('devices', {}),
    async link(options = {}) {
      const { id, ...shown } = await seat.call('linkOpen', {}, checkWaitOptions(options).signal);
      let answered: { isConfirmed: boolean; done: Promise<void> } | undefined;
      // A second click is no second answer; one that failed may be given again.
      const answer = (isConfirmed: boolean): Promise<void> => {
        if (answered !== undefined && answered.isConfirmed !== isConfirmed) return Promise.reject(answeredAlready(answered.isConfirmed));
        answered ??= {
          isConfirmed,
          done: seat.call('linkAnswer', { id, isConfirmed }).catch((error: unknown) => {
            answered = undefined;
            throw error;
          }),
        };
        return answered.done;
      };
      return {
        ...shown,
        async request(options = {}) {
          const asked = await seat.call('linkRequest', { id }, checkWaitOptions(options).signal);
          return { ...asked, confirm: () => answer(true), reject: () => answer(false) };
        },
      };
    },
    async revoke(device) {
      checkDevice(device);
      return seat.call('revoke', { device });
    },
    async sendHistory(device, records, options = {}) {
      checkDevice(device);
      checkIterable(records, 'records');
      const { signal } = checkWaitOptions(options, ['progress']);
      const { progress } = options;
      if (progress !== undefined) checkFunction(progress, 'progress');
      const { partBytes } = await seat.call('historyOpen', { device }, signal);
      const transfer = newId();
      let acceptedCount = 0;
      const send = async (parcel: Parcel): Promise<void> => {
        await seat.call('historyPart', { device, id: newId(), transfer, ...parcel }, signal);
        acceptedCount += parcel.records.length;
        progress?.(acceptedCount);
      };
      await sendParcels(records, partBytes, send, signal);
    },
    fingerprint: () => seat.call('fingerprint', {}),
  };
}

/** A view of a contact. */
export function contactView(seat: Seat, account: string): Contact {
  return {
    account,
    identity: async (options = {}) => seat.call('identity', { account }, checkWaitOptions(options).signal),
    async safetyNumber(options = {}) {
      return numberHandle(seat, account, await seat.call('number', { account }, checkWaitOptions(options).signal));
    },
    unverify: () => seat.call('unverify', { account }),
  };
}

/** Every verb is bound to the identity that was shown. */
function numberHandle(
  seat: Seat,
  account: string,
  { digits, qr, identity }: { digits: string; qr: Uint8Array<ArrayBuffer>; identity: Uint8Array },
): SafetyNumber {
  return {
    digits,
    qr,
    async scan(payload) {
      if (!(payload instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'payload must be a Uint8Array', { field: 'payload' });
      return seat.call('scan', { account, identity, payload });
    },
    confirmDigits: () => seat.call('settle', { account, identity, verified: true }),
    accept: () => seat.call('settle', { account, identity, verified: false }),
  };
}

function messageHandle(
  seat: Seat,
  { seq, id, account, device, payload, to = account, ...rest }: InboxMessage,
  onAcked: () => void,
): Message {
  const { content, text, sentAtMs } = decodeContent(payload);
  let acknowledged: Promise<void> | undefined;
  return {
    ...rest,
    id: id as MessageId,
    conversation: { kind: 'person', account: to },
    from: { account, device },
    content,
    text,
    sentAtMs,
    async ack() {
      seat.assertOpen();
      acknowledged ??= seat.call('ack', { seq, id }).then(onAcked, (error: unknown) => {
        acknowledged = undefined;
        throw error;
      });
      return acknowledged;
    },
    async read() {
      seat.assertOpen();
      if (hasReceipts(content)) await seat.call('read', { account, id });
    },
  };
}

/** The messages of a client: one loop at a time; `newConsumer` names each. */
export function messageLoops(seat: Seat, newConsumer: () => string): (options: ReceiveOptions) => AsyncIterable<Message> {
  let busy = false;

  const loop = ({ signal, end = 'never' }: ReceiveOptions): AsyncIterator<Message> => {
    const consumer = newConsumer();
    /** What this loop was given and did not acknowledge: another engine, which doesn't know that, gives it again. */
    const held = new Set<string>();
    const stop = new AbortController();
    const finish = (): IteratorResult<Message> => {
      if (!stop.signal.aborted) {
        busy = false;
        signal?.removeEventListener('abort', finish);
        stop.abort();
        // What was not acknowledged comes first in the next loop.
        seat.leave(consumer);
      }
      return { done: true, value: undefined };
    };
    signal?.addEventListener('abort', finish);
    if (signal?.aborted === true) finish();

    const next = async (): Promise<IteratorResult<Message>> => {
      try {
        while (!stop.signal.aborted) {
          const found = await seat.call('next', { consumer, end }, stop.signal);
          if (found === undefined || stop.signal.aborted) break;
          const name = `${found.seq} ${found.id}`;
          if (held.has(name)) continue;
          held.add(name);
          return { done: false, value: messageHandle(seat, found, () => held.delete(name)) };
        }
      } catch (error) {
        // A client that is closed ends the loop; one that its store has halted says so.
        if (!stop.signal.aborted && !seat.isClosed()) {
          finish();
          throw error;
        }
      }
      return finish();
    };
    let last: Promise<unknown> = Promise.resolve();
    return {
      next() {
        const result = last.then(next);
        last = result.catch(() => {});
        return result;
      },
      return: () => Promise.resolve(finish()),
    };
  };

  return (options) => ({
    [Symbol.asyncIterator]() {
      if (busy) throw new UsageError('ERR_ARGUMENT', 'a loop over the messages is running already: one at a time', { field: 'messages' });
      busy = true;
      return loop(options);
    },
  });
}
