/** One WebSocket: frames in, frames out. The layouts are in README.md. A frame that breaks the rules ends the connection, without a word. */

import type { WebSocket } from 'ws';
import type { Auth, Session } from './auth.js';
import type { Directory, Stock } from './directory.js';
import { Later, Refused, type RelayLimits, type Spend } from './limits.js';
import type { Mailboxes } from './mailboxes.js';

const HELLO_MS = 10_000;
const SILENCE_CHECK_MS = 20_000;
/** Delivered and not acknowledged; more only after acknowledgements. */
const WINDOW_BYTES = 4 * 1024 * 1024;
const WINDOW_COUNT = 1_000;
const READ_COUNT = 32;
/** Frames that wait to be handled: above it the socket isn't read. */
const BACKLOG_BYTES = 4 * 1024 * 1024;
/** Answers that the other side doesn't read: above it the connection ends. */
const UNREAD_BYTES = 16 * 1024 * 1024;

/** What the relay tells the device that owns a mailbox. */
export interface Online {
  wake(): void;
  notice(stock: Stock): void;
  /** 4409: another connection of the same device took over; 4403: the device has left its account's list. */
  end(code: number): void;
}

export interface SocketServices {
  readonly auth: Auth;
  readonly directory: Directory;
  readonly mailboxes: Mailboxes;
  readonly online: Map<string, Online>;
  readonly limits: RelayLimits;
  readonly spend: Spend;
  readonly log: (event: string, detail?: Readonly<Record<string, number | string>>) => void;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of strict UTF-8; anything else breaks the rules. */
function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Refused();
  }
}

export function serveSocket(ws: WebSocket, services: SocketServices): void {
  const { auth, directory, mailboxes, online, limits, spend, log } = services;
  let session: Session | undefined;
  let handling: Promise<void> = Promise.resolve();
  let backlogBytes = 0;
  let heard = true;

  // Delivery: `cursor` is the last id that was delivered, `unacked` what was not acknowledged since `receive`.
  const unacked = new Map<string, number>();
  let cursor: string | undefined;
  let windowBytes = 0;
  let pumping = false;
  let again = false;
  let drained = false;

  const started = Date.now();
  const hello = setTimeout(() => ws.terminate(), HELLO_MS);
  const silence = setInterval(() => {
    if (!heard) ws.terminate();
    heard = false;
    // What a device can't handle yet must not keep the rest from it: after a while it counts no more, and comes again on a new connection.
    unacked.clear();
    windowBytes = 0;
    self.wake();
  }, SILENCE_CHECK_MS);

  const isOpen = (): boolean => ws.readyState === ws.OPEN;
  function send(type: number, ...parts: readonly Uint8Array[]): void {
    if (!isOpen()) return;
    if (ws.bufferedAmount > UNREAD_BYTES) ws.terminate();
    else ws.send(Buffer.concat([Buffer.of(type), ...parts]));
  }
  const u32 = (value: number): Buffer => {
    const out = Buffer.alloc(4);
    out.writeUInt32BE(value);
    return out;
  };

  const self: Online = {
    wake: () => pump().catch(fail),
    notice({ remaining, lastResortUsed }) {
      if (lastResortUsed || remaining < limits.oneTimePrekeysLow) send(0x17, u32(remaining), Buffer.of(lastResortUsed ? 1 : 0));
    },
    end: (code) => ws.close(code),
  };

  /** Delivers from the disk, in order, as far as the window allows. */
  async function pump(): Promise<void> {
    if (pumping || session === undefined || cursor === undefined) {
      again = true;
      return;
    }
    pumping = true;
    try {
      do {
        again = false;
        while (isOpen() && windowBytes < WINDOW_BYTES && unacked.size < WINDOW_COUNT) {
          const after: string = cursor;
          const rows = await mailboxes.read(session.mailbox, after, READ_COUNT);
          if (cursor !== after) continue; // `receive` came in between
          for (const { id, envelope } of rows) {
            cursor = id;
            unacked.set(id, envelope.length);
            windowBytes += envelope.length;
            drained = false;
            send(0x14, Buffer.from(id, 'hex'), envelope);
          }
          if (rows.length > 0) continue;
          // Woken meanwhile: look once more before saying so.
          if (!again && !drained) {
            drained = true;
            send(0x16);
          }
          break;
        }
      } while (again);
    } finally {
      pumping = false;
    }
  }

  async function accept(frame: Buffer): Promise<void> {
    const n = frame[9];
    if (frame.length < 12 || n === undefined || n === 0 || n > 64 || frame.length <= 10 + n) throw new Refused();
    const request = frame.subarray(1, 5);
    const to = { account: textOf(frame.subarray(10, 10 + n)), device: frame.readUInt32BE(5) };
    const envelope = frame.subarray(10 + n);
    try {
      await spend.send(session!.mailbox);
      const mailbox = await directory.mailbox(to);
      if (mailbox === undefined || envelope.length > limits.envelopeBytes) throw new Refused();
      await spend.receive(mailbox);
      const { stored } = await mailboxes.put(mailbox, envelope);
      if ((await directory.mailbox(to)) !== mailbox) {
        // Its owner has left meanwhile, and nobody will look into it again.
        await mailboxes.drop(mailbox);
        throw new Refused();
      }
      // Not awaited: the next frames may share its sync.
      settle(stored, frame.length, () => send(0x12, request));
    } catch (error) {
      if (!(error instanceof Later || error instanceof Refused)) throw error;
      const retryAfterMs = error instanceof Later ? error.retryAfterMs : 0;
      log('envelope refused', { retryAfterMs });
      send(0x13, request, u32(retryAfterMs));
    }
  }

  function acknowledge(frame: Buffer): void {
    if (frame.length !== 9) throw new Refused();
    const id = frame.subarray(1).toString('hex');
    windowBytes -= unacked.get(id) ?? 0;
    unacked.delete(id);
    settle(mailboxes.remove(session!.mailbox, id), frame.length, () => send(0x15, frame.subarray(1)));
    self.wake();
  }

  async function welcome(frame: Buffer): Promise<void> {
    session = auth.session(frame.subarray(1).toString('latin1'));
    if (session === undefined) throw new Refused();
    clearTimeout(hello);
    online.get(session.mailbox)?.end(4409);
    online.set(session.mailbox, self);
    await directory.answered(session);
    send(0x11);
    self.notice(await directory.stock(session));
  }

  async function handle(frame: Buffer): Promise<void> {
    const type = frame[0];
    if (type === undefined || (type === 0x01) !== (session === undefined)) throw new Refused();
    if (type === 0x01) return welcome(frame);
    if (type === 0x03) return accept(frame);
    if (type === 0x04) return acknowledge(frame);
    if (type === 0x05) return send(0x18);
    if (type === 0x02) {
      cursor = '';
      unacked.clear();
      windowBytes = 0;
      drained = false;
      self.wake();
    }
    // Other types are of a later version.
  }

  /** Counts bytes as backlog until the disk has them, then answers. */
  function settle(done: Promise<void>, bytes: number, answer: () => void): void {
    backlogBytes += bytes;
    done.then(answer, fail).finally(() => release(bytes));
  }

  function release(bytes: number): void {
    backlogBytes -= bytes;
    if (backlogBytes < BACKLOG_BYTES && ws.isPaused) ws.resume();
  }

  function fail(error: unknown): void {
    if (!isOpen()) return;
    // The class of an error is all that is written down: messages of other libraries may quote what they choked on.
    log('connection ended', { reason: error instanceof Refused ? 'refused' : 'failed', error: (error as Error)?.constructor?.name ?? '' });
    ws.close(4403);
  }

  ws.on('message', (data, isBinary) => {
    heard = true;
    const frame = data as Buffer;
    backlogBytes += frame.length;
    if (backlogBytes >= BACKLOG_BYTES) ws.pause();
    handling = handling
      .then(() => (isOpen() ? handle(isBinary ? frame : Buffer.alloc(0)) : undefined))
      .catch(fail)
      .finally(() => release(frame.length));
  });
  ws.on('error', () => {}); // 'close' follows
  ws.on('close', () => {
    clearTimeout(hello);
    clearInterval(silence);
    if (session !== undefined && online.get(session.mailbox) === self) online.delete(session.mailbox);
    log('disconnected', { ms: Date.now() - started });
  });
  log('connected');
}
