/**
 * One open WebSocket to a relay: matches acceptances to sends, acknowledgements to deliveries, and notices silence.
 *
 * It ends once and for good; whoever wants another one opens another one. Unanswered sends and acknowledgements then reject with
 * `ERR_OFFLINE`: the relay may have them, and the same bytes may be sent again.
 */

import { dial } from '#websocket';
import { fromHex } from '../../bytes.js';
import { TransportError } from '../../errors.js';
import type { Address } from '../../step.js';
import { ackFrame, helloFrame, PING, parseRelayFrame, RECEIVE, type RelayFrame, sendFrame } from './frames.js';
import { abortReason } from './http.js';
import { renewal } from './renewal.js';

/** A ping leaves this often; a connection on which nothing came for a whole interval is dropped, after 40 s at the latest. */
export const HEARTBEAT_MS: number = 20_000;
/** From the first packet to the relay's welcome. */
const OPENING_MS = 20_000;
/** From the call of `send` to the relay's acceptance, waiting for room included. */
const SEND_MS = 60_000;
/** Bytes that are sent and not accepted. Above it `send` waits, so that no socket buffer grows without bound. */
const WINDOW_BYTES = 1024 * 1024;
/** Bytes that came and were not taken; a relay keeps to 4 MiB, so above this it isn't one. */
const UNREAD_MAX_BYTES = 16 * 1024 * 1024;
/** Acknowledgements without an answer; a relay delivers no more than about 1,000 envelopes ahead of them, so above this it isn't one. */
const UNANSWERED_ACKS_MAX = 10_000;

/** Whoever takes deliveries. `end` comes once, when the connection is gone or, without an error, when another consumer took the place. */
export interface Consumer {
  /** A view into a message that nobody else holds. Returns the bytes that wait to be taken. */
  deliver(id: string, bytes: Uint8Array): number;
  drained(): void;
  end(error: unknown): void;
}

/** An open connection. */
export interface Connection {
  /** Resolves once the relay has the envelope on disk. Throws at once what `sendFrame` throws. */
  send(to: Address, envelope: Uint8Array, signal: AbortSignal | undefined): Promise<void>;
  /** Resolves once the relay has deleted the delivery. */
  ack(id: string): Promise<void>;
  /** Has everything unacknowledged delivered to `consumer`, from the oldest on. */
  receive(consumer: Consumer): void;
  /** Deliveries are no longer taken; the connection stays. */
  leave(consumer: Consumer): void;
  /** Ends the deliveries normally; what is unanswered rejects with `ERR_OFFLINE`. */
  close(): void;
  /** The same, but the deliveries end with `error`. */
  fail(error: unknown): void;
}

interface PendingSend {
  readonly request: number;
  readonly frame: Uint8Array;
  settle(error?: unknown): void;
}

function offline(): TransportError {
  return new TransportError('ERR_OFFLINE', 'connection to the relay is closed');
}

/** What a connection asks of its owner. */
export interface Owner {
  /** Logs in again: the device has sent or acknowledged since. Rejects if it was of no use; that alone doesn't end the connection. */
  renew(): Promise<unknown>;
  /** The connection is gone. Called once. */
  onEnd(): void;
}

/** Opens a connection for the session `token`. Rejects with `ERR_OFFLINE` or `ERR_TIMEOUT`. */
export function connect(url: string, protocols: readonly string[], token: string, owner: Owner): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const unaccepted = new Map<number, PendingSend>();
    const waiting: PendingSend[] = [];
    const unacked = new Map<string, { resolve(): void; reject(error: unknown): void }[]>();
    const proofs = renewal(() => owner.renew());
    let consumer: Consumer | undefined;
    let windowBytes = 0;
    let unansweredAcks = 0;
    let lastRequest = 0;
    let heard = true;
    let ended = false;

    const socket = dial(url, protocols, {
      open: () => socket.send(helloFrame(token)),
      message(bytes) {
        if (ended) return;
        heard = true;
        const frame = parseRelayFrame(bytes);
        if (frame === undefined) lose();
        else handle(frame);
      },
      close: () => lose(),
    });
    const opening = setTimeout(() => lose(new TransportError('ERR_TIMEOUT', 'relay did not welcome', { max: OPENING_MS })), OPENING_MS);
    const heartbeat = setInterval(() => {
      if (heard) socket.send(PING);
      else lose();
      heard = false;
    }, HEARTBEAT_MS);

    /** `verdict` is what the deliveries end with; `undefined` ends them normally. */
    function end(error: TransportError, verdict: unknown): void {
      if (ended) return;
      ended = true;
      proofs.stop();
      clearTimeout(opening);
      clearInterval(heartbeat);
      socket.close();
      reject(error); // nothing happens if it was open
      for (const send of [...unaccepted.values(), ...waiting]) send.settle(error);
      for (const acks of unacked.values()) for (const ack of acks) ack.reject(error);
      consumer?.end(verdict);
      owner.onEnd();
    }

    function lose(error = offline()): void {
      end(error, error);
    }

    function handle(frame: RelayFrame): void {
      switch (frame.kind) {
        case 'welcome':
          clearTimeout(opening);
          resolve(connection);
          return;
        case 'accepted':
          answered(frame.request, undefined);
          return;
        case 'refused': {
          const retryAfterMs = frame.retryAfterMs === 0 ? undefined : frame.retryAfterMs;
          answered(frame.request, new TransportError('ERR_REJECTED', 'relay refused the envelope', { retryAfterMs }));
          return;
        }
        case 'deliver':
          if (consumer !== undefined && consumer.deliver(frame.id, frame.bytes) > UNREAD_MAX_BYTES) lose();
          return;
        case 'acked': {
          const acks = unacked.get(frame.id) ?? [];
          unacked.delete(frame.id);
          unansweredAcks -= acks.length;
          for (const ack of acks) ack.resolve();
          return;
        }
        case 'drained':
          consumer?.drained();
          return;
        case 'other':
      }
    }

    function answered(request: number, error: TransportError | undefined): void {
      const send = unaccepted.get(request);
      if (send === undefined) return;
      unaccepted.delete(request);
      windowBytes -= send.frame.length;
      send.settle(error);
      while (waiting.length > 0 && hasRoom(waiting[0]!)) transmit(waiting.shift()!);
    }

    function hasRoom(send: PendingSend): boolean {
      return unaccepted.size === 0 || windowBytes + send.frame.length <= WINDOW_BYTES;
    }

    function transmit(send: PendingSend): void {
      unaccepted.set(send.request, send);
      windowBytes += send.frame.length;
      socket.send(send.frame);
    }

    const connection: Connection = {
      send(to, envelope, signal) {
        if (ended) return Promise.reject(offline());
        if (signal?.aborted) return Promise.reject(abortReason(signal));
        lastRequest = (lastRequest + 1) >>> 0;
        const request = lastRequest;
        const frame = sendFrame(request, to, envelope);
        return new Promise((done, failed) => {
          const giveUp = (error: unknown) => {
            // What is on its way keeps its place in the window until the relay has answered.
            const place = waiting.indexOf(send);
            if (place >= 0) waiting.splice(place, 1);
            send.settle(error);
          };
          const onAbort = () => giveUp(abortReason(signal!));
          const timer = setTimeout(() => giveUp(new TransportError('ERR_TIMEOUT', 'relay did not accept', { max: SEND_MS })), SEND_MS);
          const send: PendingSend = {
            request,
            frame,
            settle(error) {
              clearTimeout(timer);
              signal?.removeEventListener?.('abort', onAbort);
              if (error === undefined) done();
              else failed(error);
            },
          };
          signal?.addEventListener('abort', onAbort);
          proofs.note();
          if (waiting.length === 0 && hasRoom(send)) transmit(send);
          else waiting.push(send);
        });
      },
      ack(id) {
        if (unansweredAcks >= UNANSWERED_ACKS_MAX) lose();
        if (ended) return Promise.reject(offline());
        unansweredAcks += 1;
        return new Promise((done, failed) => {
          unacked.set(id, [...(unacked.get(id) ?? []), { resolve: done, reject: failed }]);
          proofs.note();
          socket.send(ackFrame(fromHex(id)!));
        });
      },
      receive(next) {
        consumer?.end(undefined);
        consumer = next;
        if (ended) next.end(offline());
        else socket.send(RECEIVE);
      },
      leave(former) {
        if (consumer === former) consumer = undefined;
      },
      close: () => end(offline(), undefined),
      fail: (error) => end(offline(), error),
    };
  });
}
